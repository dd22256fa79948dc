//! Pictures that another program logged, as the PNG that pages show.

use crate::data_files::image::{encode_png, jpeg};

/// Pixels on a side; a page shows no more.
const LONGEST_SIDE: u32 = 8192;

/// The picture as PNG.
///
/// # Errors
/// It is neither PNG nor JPEG, is damaged, or has more pixels than a page shows.
pub fn as_png(encoded: &[u8]) -> Result<Vec<u8>, String> {
    match encoded {
        [0x89, b'P', b'N', b'G', ..] => {
            let side = |at: usize| Some(u32::from_be_bytes(encoded.get(at..at + 4)?.try_into().ok()?));
            let sides = side(16).zip(side(20)).ok_or("a PNG that is cut off")?;
            check(sides)?;
            Ok(encoded.to_vec())
        }
        [0xff, 0xd8, ..] => {
            let image = jpeg(encoded, LONGEST_SIDE as usize)?;
            encode_png(&image).map_err(|error| error.to_string())
        }
        _ => Err("neither PNG nor JPEG".to_owned()),
    }
}

fn check((width, height): (u32, u32)) -> Result<(), String> {
    let is_shown = (1..=LONGEST_SIDE).contains(&width) && (1..=LONGEST_SIDE).contains(&height);
    is_shown.then_some(()).ok_or_else(|| format!("{width} x {height} pixels"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_files::image::Image;

    #[test]
    fn pictures_become_png_and_bombs_are_refused() {
        let image = Image { width: 2, height: 1, channels: 1, pixels: vec![0, 255] };
        let png = encode_png(&image).unwrap();
        assert_eq!(as_png(&png).unwrap(), png);
        let mut bomb = png.clone();
        bomb[16..20].copy_from_slice(&1_000_000_u32.to_be_bytes());
        assert!(as_png(&bomb).unwrap_err().contains("1000000 x 1 pixels"));
        for nothing in [&b""[..], b"GIF89a", b"\x89PNG", b"\xff\xd8\xff"] {
            assert!(as_png(nothing).is_err());
        }
    }
}
