//! PNG and JPEG files as plain pixels of a wanted size, and pixels as PNG.

use super::DataError;
use crate::run_dir::read;
use std::borrow::Cow;
use std::io::Cursor;
use std::path::Path;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// Pixels in rows from the top, the channels of a pixel side by side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    pub width: usize,
    pub height: usize,
    /// 1 (gray) or 3 (red, green, blue).
    pub channels: usize,
    /// `height` x `width` x `channels` values, 0 to 255.
    pub pixels: Vec<u8>,
}

/// Reads a PNG or JPEG file, told by its content, in gray (`channels` 1) or color (3). Opacity is
/// dropped, 16 bits become 8, a palette becomes colors.
///
/// # Errors
///
/// A file that cannot be read or decoded, or is neither format.
pub fn read_image(path: &Path, channels: usize) -> Result<Image, DataError> {
    let bytes = read::bytes(path).map_err(|error| DataError::read(path, error))?;
    if bytes.is_empty() {
        return Err(DataError::Empty { path: path.to_owned() });
    }
    let decoded = if bytes.starts_with(b"\x89PNG") {
        png(&bytes, usize::MAX)
    } else if bytes.starts_with(&[0xff, 0xd8]) {
        decode_jpeg(&bytes)
    } else {
        Err("neither PNG nor JPEG by its first bytes".to_owned())
    };
    let image = decoded.map_err(|reason| DataError::BadImage { path: path.to_owned(), reason })?;
    Ok(image.with_channels(channels))
}

/// A PNG of no more than so many pixels, opacity dropped.
///
/// # Errors
/// It is larger, or cannot be decoded.
pub fn png(bytes: &[u8], most_pixels: usize) -> Result<Image, String> {
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(|error| error.to_string())?;
    let (width, height) = (reader.info().width, reader.info().height);
    if u64::from(width) * u64::from(height) > most_pixels as u64 {
        return Err(format!("{width} x {height} pixels"));
    }
    let size = reader.output_buffer_size().ok_or("its size does not fit in memory")?;
    let mut pixels = vec![0; size];
    let info = reader.next_frame(&mut pixels).map_err(|error| error.to_string())?;
    pixels.truncate(info.buffer_size());
    Ok(Image {
        width: info.width as usize,
        height: info.height as usize,
        channels: info.color_type.samples(),
        pixels,
    }
    .without_opacity())
}

/// A JPEG in color of no more than so many pixels on a side.
///
/// # Errors
/// It is larger, or cannot be decoded.
pub fn jpeg(bytes: &[u8], longest_side: usize) -> Result<Image, String> {
    let options = DecoderOptions::default().set_max_width(longest_side).set_max_height(longest_side);
    decode(bytes, options)
}

fn decode_jpeg(bytes: &[u8]) -> Result<Image, String> {
    decode(bytes, DecoderOptions::default())
}

fn decode(bytes: &[u8], options: DecoderOptions) -> Result<Image, String> {
    let options = options.jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    let pixels = decoder.decode().map_err(|error| error.to_string())?;
    let info = decoder.info().ok_or("it has no frame")?;
    let (width, height) = (info.width as usize, info.height as usize);
    Ok(Image { width, height, channels: pixels.len() / (width * height).max(1), pixels })
}

impl Image {
    /// This image stretched to `width` x `height`. An axis that shrinks averages the area under each
    /// new pixel, so no detail is skipped; one that grows is interpolated linearly between pixel
    /// centers.
    pub fn resized(&self, width: usize, height: usize) -> Image {
        let (across, down) = (Taps::between(self.width, width), Taps::between(self.height, height));
        let channels = self.channels;
        let mut rows = vec![0.0_f32; self.height * width * channels];
        for y in 0..self.height {
            for x in 0..width {
                for (from, weight) in across.of(x) {
                    for channel in 0..channels {
                        let value = self.pixels[(y * self.width + from) * channels + channel];
                        rows[(y * width + x) * channels + channel] += weight * f32::from(value);
                    }
                }
            }
        }
        let stride = width * channels;
        let mut pixels = Vec::with_capacity(height * stride);
        for y in 0..height {
            for at in 0..stride {
                let sum: f32 = down.of(y).map(|(from, w)| w * rows[from * stride + at]).sum();
                pixels.push(sum.round().clamp(0.0, 255.0) as u8);
            }
        }
        Image { width, height, channels, pixels }
    }

    /// The pixels channel by channel, as a tensor `channels` x `height` x `width` has them.
    pub fn planes(&self) -> Cow<'_, [u8]> {
        if self.channels == 1 {
            return Cow::Borrowed(&self.pixels);
        }
        let plane = |channel| self.pixels.iter().skip(channel).step_by(self.channels);
        Cow::Owned((0..self.channels).flat_map(plane).copied().collect())
    }

    pub fn with_channels(self, channels: usize) -> Image {
        let pixels = match (self.channels, channels) {
            (1, 3) => self.pixels.iter().flat_map(|&gray| [gray; 3]).collect(),
            (3, 1) => {
                let (pixels, _) = self.pixels.as_chunks::<3>();
                pixels.iter().map(luma).collect()
            }
            _ => return self,
        };
        Image { channels, pixels, ..self }
    }

    fn without_opacity(self) -> Image {
        let kept = match self.channels {
            2 => 1,
            4 => 3,
            _ => return self,
        };
        let pixels =
            self.pixels.chunks_exact(self.channels).flat_map(|pixel| &pixel[..kept]).copied().collect();
        Image { channels: kept, pixels, ..self }
    }
}

/// Brightness by the weights of ITU-R BT.601.
fn luma(&[red, green, blue]: &[u8; 3]) -> u8 {
    let sum = 299 * u32::from(red) + 587 * u32::from(green) + 114 * u32::from(blue);
    ((sum + 500) / 1000) as u8
}

/// Which old places make up each new place along one axis, and with which weights.
struct Taps {
    taps: Vec<Vec<(usize, f32)>>,
}

impl Taps {
    fn between(old: usize, new: usize) -> Self {
        let scale = old as f64 / new as f64;
        let taps = (0..new).map(|place| {
            if scale > 1.0 {
                area_taps(place as f64 * scale, (place + 1) as f64 * scale, old)
            } else {
                linear_taps((place as f64 + 0.5) * scale - 0.5, old)
            }
        });
        Self { taps: taps.collect() }
    }

    fn of(&self, place: usize) -> impl Iterator<Item = (usize, f32)> + '_ {
        self.taps[place].iter().copied()
    }
}

fn area_taps(start: f64, end: f64, old: usize) -> Vec<(usize, f32)> {
    let last = (end.ceil() as usize).min(old);
    (start.floor() as usize..last)
        .map(|from| {
            let covered = (end.min(from as f64 + 1.0) - start.max(from as f64)).max(0.0);
            (from, (covered / (end - start)) as f32)
        })
        .collect()
}

fn linear_taps(center: f64, old: usize) -> Vec<(usize, f32)> {
    let center = center.clamp(0.0, (old - 1) as f64);
    let left = center.floor() as usize;
    let right_weight = (center - left as f64) as f32;
    let right = (left + 1).min(old - 1);
    vec![(left, 1.0 - right_weight), (right, right_weight)]
}

/// `image` as the bytes of a PNG file.
///
/// # Errors
///
/// When width, height and pixels do not belong together.
pub fn encode_png(image: &Image) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, image.width as u32, image.height as u32);
    encoder.set_color(match image.channels {
        1 => png::ColorType::Grayscale,
        _ => png::ColorType::Rgb,
    });
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&image.pixels)?;
    writer.finish()?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn gray(width: usize, height: usize, pixels: &[u8]) -> Image {
        Image { width, height, channels: 1, pixels: pixels.to_vec() }
    }

    #[test]
    fn shrinking_averages_the_area_under_each_new_pixel() {
        let image = gray(4, 2, &[0, 100, 200, 200, 100, 200, 0, 0]);
        assert_eq!(image.resized(2, 1).pixels, [100, 100]);
        // Three into two: each new pixel covers one old pixel and half of the middle one.
        assert_eq!(gray(3, 1, &[0, 90, 240]).resized(2, 1).pixels, [30, 190]);
    }

    #[test]
    fn growing_interpolates_between_pixel_centers() {
        let image = gray(2, 1, &[0, 100]);
        assert_eq!(image.resized(4, 1).pixels, [0, 25, 75, 100]);
        assert_eq!(image.resized(2, 1), image);
    }

    #[test]
    fn each_axis_and_channel_is_resized_by_itself() {
        let image = Image { width: 2, height: 1, channels: 3, pixels: vec![10, 20, 30, 50, 60, 70] };
        let resized = image.resized(1, 2);
        assert_eq!(resized.pixels, [30, 40, 50, 30, 40, 50]);
        assert_eq!(&*image.planes(), [10, 50, 20, 60, 30, 70]);
    }

    fn write(bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("picture");
        fs::write(&path, bytes).unwrap();
        (folder, path)
    }

    #[test]
    fn a_png_is_read_back_as_it_was_written_and_in_the_wanted_channels() {
        let image = gray(2, 2, &[1, 2, 3, 4]);
        let (_folder, path) = write(&encode_png(&image).unwrap());
        assert_eq!(read_image(&path, 1).unwrap(), image);
        let color = read_image(&path, 3).unwrap();
        assert_eq!(color.pixels, [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]);
        let (_folder, path) = write(&encode_png(&color).unwrap());
        assert_eq!(read_image(&path, 1).unwrap(), image);
    }

    #[test]
    fn palettes_sixteen_bits_and_opacity_become_plain_colors() {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, 2, 1);
        encoder.set_color(png::ColorType::Rgba);
        encoder.set_depth(png::BitDepth::Sixteen);
        let mut writer = encoder.write_header().unwrap();
        let pixel = [10, 0, 20, 0, 30, 0, 0, 0];
        writer.write_image_data(&[pixel, pixel].concat()).unwrap();
        writer.finish().unwrap();
        let (_folder, path) = write(&bytes);
        assert_eq!(read_image(&path, 3).unwrap().pixels, [10, 20, 30, 10, 20, 30]);
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, 8, 1);
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_depth(png::BitDepth::One);
        encoder.set_palette(vec![5, 5, 5, 9, 9, 9]);
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(&[0b0100_0001]).unwrap();
        writer.finish().unwrap();
        let (_folder, path) = write(&bytes);
        assert_eq!(read_image(&path, 1).unwrap().pixels, [5, 9, 5, 5, 5, 5, 5, 9]);
    }

    #[test]
    fn a_broken_picture_is_named_with_the_reason() {
        let mut bytes = encode_png(&gray(2, 2, &[1, 2, 3, 4])).unwrap();
        bytes.truncate(40);
        for content in [&bytes[..], b"GIF89a", &[0xff, 0xd8, 0xff, 0xe0, 0, 0]] {
            let (_folder, path) = write(content);
            let error = read_image(&path, 1).unwrap_err();
            assert!(matches!(error, DataError::BadImage { .. }), "{error}");
            assert!(error.to_string().starts_with(path.to_str().unwrap()));
        }
        let (_folder, path) = write(b"");
        assert!(matches!(read_image(&path, 1), Err(DataError::Empty { .. })));
    }
}
