//! Pictures that another program logged, as the one PNG of a step that pages show.

use crate::data_files::image::{Image, encode_png, jpeg, png};

/// Pixels on a side of a JPEG, and pixels of any picture: what is larger would cost a browser hundreds of MiB.
const LONGEST_SIDE: usize = 8192;
const MOST_PIXELS: usize = 16 << 20;
/// Pixels on a side of a picture among others, of which smaller ones are tried until the sheet is small enough.
const SIDES: [usize; 4] = [512, 256, 128, 64];
/// Bytes of a sheet that pages show.
const LARGEST_SHEET: usize = 8 << 20;
/// Pixels between pictures.
const GAP: usize = 2;

/// A picture that can be shown.
#[derive(Debug)]
pub struct Picture<'a> {
    encoded: &'a [u8],
    image: Image,
}

impl Picture<'_> {
    /// # Errors
    /// It is neither PNG nor JPEG, is damaged, or has more pixels than a page shows.
    pub fn read(encoded: &[u8]) -> Result<Picture<'_>, String> {
        let image = match encoded {
            [0x89, b'P', b'N', b'G', ..] => png(encoded, MOST_PIXELS)?,
            [0xff, 0xd8, ..] => jpeg(encoded, LONGEST_SIDE)?,
            _ => return Err("neither PNG nor JPEG".to_owned()),
        };
        let is_empty = image.width == 0 || image.height == 0;
        if is_empty || image.width * image.height > MOST_PIXELS {
            return Err(format!("{} x {} pixels", image.width, image.height));
        }
        Ok(Picture { encoded, image })
    }
}

/// All pictures of a step as one PNG, row by row; a single one as it is, unless a PNG of it is too large.
///
/// # Errors
/// They cannot be encoded.
pub fn sheet(pictures: &[Picture]) -> Result<Vec<u8>, String> {
    if let [one] = pictures {
        let whole = match one.encoded {
            [0x89, ..] => one.encoded.to_vec(),
            _ => encode_png(&one.image).map_err(|error| error.to_string())?,
        };
        if whole.len() <= LARGEST_SHEET {
            return Ok(whole);
        }
    }
    let mut sheet = Vec::new();
    for side in SIDES {
        sheet = encode_png(&joined(pictures, side)).map_err(|error| error.to_string())?;
        if sheet.len() <= LARGEST_SHEET {
            break;
        }
    }
    Ok(sheet)
}

/// The pictures in a grid that is about as wide as high, each in its cell from the top left.
fn joined(pictures: &[Picture], side: usize) -> Image {
    let fitted: Vec<Image> = pictures.iter().map(|picture| fitted(&picture.image, side)).collect();
    let widest = fitted.iter().map(|image| image.width).max().unwrap_or(1);
    let highest = fitted.iter().map(|image| image.height).max().unwrap_or(1);
    let across = (1..).find(|across| across * across >= fitted.len()).unwrap_or(1);
    let down = fitted.len().div_ceil(across).max(1);
    let (width, height) = (across * (widest + GAP) - GAP, down * (highest + GAP) - GAP);
    let mut pixels = vec![255; width * height * 3];
    for (place, image) in fitted.iter().enumerate() {
        let (left, top) = (place % across * (widest + GAP), place / across * (highest + GAP));
        for (row, line) in image.pixels.chunks_exact(image.width * 3).enumerate() {
            let start = ((top + row) * width + left) * 3;
            pixels[start..start + line.len()].copy_from_slice(line);
        }
    }
    Image { width, height, channels: 3, pixels }
}

fn fitted(image: &Image, side: usize) -> Image {
    let longest = image.width.max(image.height);
    let small = |length: usize| (length * side / longest).max(1);
    let image = match longest > side {
        true => image.resized(small(image.width), small(image.height)),
        false => image.clone(),
    };
    image.with_channels(3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(width: usize, height: usize, channels: usize) -> Vec<u8> {
        encode_png(&Image { width, height, channels, pixels: vec![7; width * height * channels] }).unwrap()
    }

    #[test]
    fn a_single_picture_stays_as_it_is_and_several_are_one_sheet() {
        let (gray, color, long) = (encoded(8, 4, 1), encoded(4, 8, 3), encoded(2000, 10, 3));
        let read = |encoded| Picture::read(encoded).unwrap();
        assert_eq!(sheet(&[read(&gray)]).unwrap(), gray);
        let two = sheet(&[read(&gray), read(&color)]).unwrap();
        let two = png(&two, MOST_PIXELS).unwrap();
        assert_eq!((two.width, two.height), (8 + GAP + 8, 8));
        assert_eq!(two.pixels[..3], [7, 7, 7]);
        assert_eq!(two.pixels[8 * 3..9 * 3], [255, 255, 255]);
        let four = sheet(&[read(&gray), read(&color), read(&long), read(&gray)]).unwrap();
        let four = png(&four, MOST_PIXELS).unwrap();
        assert_eq!((four.width, four.height), (512 + GAP + 512, 8 + GAP + 8));
    }

    #[test]
    fn a_single_picture_of_which_a_png_is_too_large_is_shown_smaller() {
        let (width, height) = (2000, 1700);
        let mut noise = blake3::Hasher::new().finalize_xof();
        let mut pixels = vec![0; width * height * 3];
        noise.fill(&mut pixels);
        let image = Image { width, height, channels: 3, pixels };
        assert!(encode_png(&image).unwrap().len() > LARGEST_SHEET);
        let photo = Picture { encoded: b"\xff\xd8", image };
        let shown = png(&sheet(&[photo]).unwrap(), MOST_PIXELS).unwrap();
        assert_eq!((shown.width, shown.height), (512, 435));
    }

    #[test]
    fn bombs_and_what_is_no_picture_are_refused() {
        let whole = encoded(2, 1, 1);
        for (width, height) in [(1_000_000_u32, 1_000_000_u32), (u32::MAX, 1), (0, 5), (16_384, 16_384)] {
            let mut bomb = whole.clone();
            bomb[16..20].copy_from_slice(&width.to_be_bytes());
            bomb[20..24].copy_from_slice(&height.to_be_bytes());
            let sum = super::super::wandb_log::crc32(&bomb[12..29]).to_be_bytes();
            bomb[29..33].copy_from_slice(&sum);
            assert!(Picture::read(&bomb).is_err(), "{width} x {height}");
        }
        let cut = &whole[..whole.len() - 20];
        let svg = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>";
        for nothing in
            [&b""[..], b"GIF89a", b"\x89PNG", b"\xff\xd8\xff", cut, svg, b"\x89PNG\r\n\x1a\n<svg/>"]
        {
            assert!(Picture::read(nothing).is_err(), "{nothing:?}");
        }
    }
}
