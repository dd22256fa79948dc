//! Images side by side on one picture, framed by whether the model was right.

use crate::task::TaskError;
use overnight::data_files::{Image, encode_png};
use tch::Tensor;

/// The least side of an image on the sheet; smaller ones are enlarged by a whole number.
const SIDE: usize = 48;
const FRAME: usize = 3;
/// Gray for right, orange for wrong: told apart by brightness, too.
const RIGHT: [u8; 3] = [208, 208, 208];
const WRONG: [u8; 3] = [214, 94, 0];

/// A sheet of `pixels` (u8, `[images, channels, height, width]`, on the CPU), from the top left in
/// rows, as the bytes of a PNG file.
pub fn prediction_sheet(pixels: &Tensor, right: &[bool]) -> Result<Vec<u8>, TaskError> {
    let size: Vec<usize> = pixels.size().iter().map(|&size| size as usize).collect();
    let (channels, height, width) = (size[1], size[2], size[3]);
    let values = Vec::<u8>::try_from(pixels.f_contiguous()?.f_view([-1])?)?;
    let scale = SIDE.div_ceil(height.max(width)).max(1);
    let (tile_width, tile_height) = (width * scale + 2 * FRAME, height * scale + 2 * FRAME);
    let columns = columns(right.len());
    let rows = right.len().div_ceil(columns);
    let mut sheet = Image {
        width: columns * tile_width,
        height: rows * tile_height,
        channels: 3,
        pixels: vec![255; columns * tile_width * rows * tile_height * 3],
    };
    for (tile, image) in values.chunks_exact(channels * height * width).enumerate() {
        let frame = if right[tile] { RIGHT } else { WRONG };
        let (left, top) = (tile % columns * tile_width, tile / columns * tile_height);
        for y in 0..tile_height {
            for x in 0..tile_width {
                let inside =
                    (FRAME..tile_width - FRAME).contains(&x) && (FRAME..tile_height - FRAME).contains(&y);
                let color = if inside {
                    let place = (y - FRAME) / scale * width + (x - FRAME) / scale;
                    // Gray is the one channel three times.
                    [0, 1, 2].map(|channel: usize| image[channel.min(channels - 1) * height * width + place])
                } else {
                    frame
                };
                let at = ((top + y) * sheet.width + left + x) * 3;
                sheet.pixels[at..at + 3].copy_from_slice(&color);
            }
        }
    }
    encode_png(&sheet).map_err(|error| TaskError::Data(format!("the sheet of predictions: {error}")))
}

/// A sheet about twice as wide as high, 16 images across at most.
fn columns(images: usize) -> usize {
    ((2.0 * images as f64).sqrt().ceil() as usize).clamp(1, images.clamp(1, 16))
}

#[cfg(test)]
mod tests {
    use super::*;
    use overnight::data_files::read_image;

    #[test]
    fn images_stand_in_rows_framed_by_whether_they_were_told_right() {
        let pixels = Tensor::from_slice(&[10_u8, 20, 30]).view([3, 1, 1, 1]).repeat([1, 1, 48, 48]);
        let png = prediction_sheet(&pixels, &[true, false, true]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sheet.png");
        std::fs::write(&path, png).unwrap();
        let sheet = read_image(&path, 3).unwrap();
        let tile = 48 + 2 * FRAME;
        assert_eq!((sheet.width, sheet.height), (3 * tile, tile));
        let at = |x: usize, y: usize| &sheet.pixels[(y * sheet.width + x) * 3..][..3];
        assert_eq!(at(0, 0), RIGHT);
        assert_eq!(at(tile + 1, 1), WRONG);
        assert_eq!(at(tile / 2, tile / 2), [10; 3]);
        assert_eq!(at(2 * tile + tile / 2, tile / 2), [30; 3]);
    }

    #[test]
    fn small_images_are_enlarged_by_a_whole_number() {
        let pixels = Tensor::from_slice(&[0_u8, 90]).view([1, 1, 1, 2]);
        let png = prediction_sheet(&pixels, &[true]).unwrap();
        let width = u32::from_be_bytes([png[16], png[17], png[18], png[19]]);
        assert_eq!(width as usize, 48 + 2 * FRAME);
    }
}
