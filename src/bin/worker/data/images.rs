//! Images as bytes on the device, made into normalized numbers batch by batch.

use crate::models::ImageShape;
use overnight::data_files::{ImageSplits, LabeledImages};
use tch::{Device, Kind, TchError, Tensor};

/// A data set of images on the device.
pub struct ImageData {
    pub training: Split,
    pub validation: Split,
    pub classes: Vec<String>,
    /// Mean and deviation of each channel of the training pixels, `[1, channels, 1, 1]`.
    mean: Tensor,
    deviation: Tensor,
}

/// One split: pixels (u8, `[images, channels, height, width]`) and labels (int64, `[images]`).
pub struct Split {
    pub pixels: Tensor,
    pub labels: Tensor,
}

impl ImageData {
    pub fn new(splits: ImageSplits, device: Device) -> Result<Self, TchError> {
        let (mean, deviation) = channel_statistics(&splits.training);
        let by_channel = |values: &[f32]| {
            Tensor::f_from_slice(values)?.f_view([1, values.len() as i64, 1, 1])?.f_to(device)
        };
        Ok(Self {
            mean: by_channel(&mean)?,
            deviation: by_channel(&deviation)?,
            training: Split::new(&splits.training, device)?,
            validation: Split::new(&splits.validation, device)?,
            classes: splits.classes,
        })
    }

    pub fn shape(&self) -> ImageShape {
        let size = self.training.pixels.size();
        ImageShape { channels: size[1], height: size[2], width: size[3], classes: self.classes.len() as i64 }
    }

    /// The images of `split` with these `numbers` (int64, `[n]`) as normalized numbers (float, `[n,
    /// channels, height, width]`), and their labels.
    pub fn batch(&self, split: &Split, numbers: &Tensor) -> Result<(Tensor, Tensor), TchError> {
        let mut images = split.pixels.f_index_select(0, numbers)?.f_to_kind(Kind::Float)?;
        let images = images.f_sub_(&self.mean)?.f_div_(&self.deviation)?;
        Ok((images, split.labels.f_index_select(0, numbers)?))
    }
}

impl Split {
    fn new(images: &LabeledImages, device: Device) -> Result<Self, TchError> {
        let size = [images.images, images.channels, images.height, images.width].map(|size| size as i64);
        let labels: Vec<i64> = images.labels.iter().map(|&label| label.into()).collect();
        Ok(Self {
            pixels: Tensor::f_from_slice(&images.pixels)?.f_view(size)?.f_to(device)?,
            labels: Tensor::f_from_slice(&labels)?.f_to(device)?,
        })
    }

    pub fn images(&self) -> i64 {
        self.labels.size()[0]
    }
}

/// Mean and deviation of each channel, 0 to 255, from whole numbers: the same on every machine.
fn channel_statistics(images: &LabeledImages) -> (Vec<f32>, Vec<f32>) {
    let plane = images.height * images.width;
    let mut sums = vec![(0_u64, 0_u64); images.channels];
    for (number, pixels) in images.pixels.chunks_exact(plane).enumerate() {
        let (sum, squares) = &mut sums[number % images.channels];
        for &pixel in pixels {
            *sum += u64::from(pixel);
            *squares += u64::from(pixel) * u64::from(pixel);
        }
    }
    let count = (images.images * plane) as f64;
    let statistics = sums.iter().map(|&(sum, squares)| {
        let mean = sum as f64 / count;
        let deviation = (squares as f64 / count - mean * mean).max(0.0).sqrt();
        // One gray everywhere has no deviation to divide by.
        (mean as f32, if deviation < 1e-3 { 1.0 } else { deviation as f32 })
    });
    statistics.unzip()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(pixels: Vec<u8>, labels: Vec<u16>) -> LabeledImages {
        LabeledImages { images: labels.len(), channels: 2, height: 1, width: 2, pixels, labels }
    }

    #[test]
    fn each_channel_is_normalized_by_the_training_pixels() {
        let training = images(vec![0, 10, 7, 7, 20, 30, 7, 7], vec![0, 1]);
        let validation = images(vec![15, 15, 7, 8], vec![1]);
        let classes = vec!["a".to_owned(), "b".to_owned()];
        let splits = ImageSplits { training, validation, classes };
        let data = ImageData::new(splits, Device::Cpu).unwrap();
        assert_eq!(data.shape(), ImageShape { channels: 2, height: 1, width: 2, classes: 2 });
        assert_eq!(data.training.pixels.kind(), Kind::Uint8);
        let (batch, labels) = data.batch(&data.validation, &Tensor::from_slice(&[0_i64])).unwrap();
        assert_eq!(Vec::<f32>::try_from(batch.flatten(0, -1)).unwrap(), [0.0, 0.0, 0.0, 1.0]);
        assert_eq!(Vec::<i64>::try_from(labels).unwrap(), [1]);
        let (batch, labels) = data.batch(&data.training, &Tensor::from_slice(&[1_i64, 0])).unwrap();
        let deviation = 125.0_f32.sqrt();
        let expected = [5.0, 15.0, 0.0, 0.0, -15.0, -5.0, 0.0, 0.0].map(|value| value / deviation);
        assert_eq!(Vec::<f32>::try_from(batch.flatten(0, -1)).unwrap(), expected);
        assert_eq!(Vec::<i64>::try_from(labels).unwrap(), [1, 0]);
    }
}
