//! Images of simple shapes, drawn from a seed: a data set that needs no file. Place, size, turn,
//! brightness and noise differ from image to image, so that a model has something to learn.

use super::{DataError, LabeledImages};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::f64::consts::{FRAC_PI_2, PI, TAU};

/// The shapes in the order in which `classes` takes them.
pub const SHAPE_NAMES: [&str; 6] = ["circle", "square", "triangle", "cross", "ring", "stripes"];

/// Points per pixel side that decide how much of a pixel a shape covers.
const SUBPIXELS: usize = 3;

/// Draws `count` gray images of `size` x `size` pixels, with the first `classes` of
/// [`SHAPE_NAMES`] in turn. Equal arguments give equal bytes.
///
/// # Errors
///
/// `classes` outside of 2 to 6, `size` outside of 8 to 256, fewer images than classes.
pub fn draw_shapes(count: usize, classes: usize, size: usize, seed: u64) -> Result<LabeledImages, DataError> {
    let bad = |setting, value: usize, reason: &str| {
        Err(DataError::BadSetting { setting, value: value.to_string(), reason: reason.to_owned() })
    };
    if !(2..=SHAPE_NAMES.len()).contains(&classes) {
        return bad("classes", classes, "there are 2 to 6 shapes");
    }
    if !(8..=256).contains(&size) {
        return bad("size", size, "images are 8 to 256 pixels wide");
    }
    if count < classes {
        return bad("count", count, "fewer images than classes");
    }
    let mut pixels = Vec::with_capacity(count * size * size);
    let labels: Vec<u16> = (0..count).map(|image| (image % classes) as u16).collect();
    for (image, &label) in labels.iter().enumerate() {
        // A stream for each image: a larger data set begins with the smaller one's images.
        let mut random = Random::new(seed, image as u64);
        draw(SHAPE_NAMES[label as usize], size, &mut random, &mut pixels);
    }
    Ok(LabeledImages { images: count, channels: 1, height: size, width: size, pixels, labels })
}

fn draw(shape: &str, size: usize, random: &mut Random, pixels: &mut Vec<u8>) {
    let side = size as f64;
    let radius = side * random.between(0.25, 0.4);
    let room = side / 2.0 - radius;
    let (center_x, center_y) =
        (side / 2.0 + random.between(-room, room), side / 2.0 + random.between(-room, room));
    let (sin, cos) = random.between(0.0, TAU).sin_cos();
    let background = random.between(0.0, 90.0);
    let foreground = random.between(150.0, 255.0);
    let noise = random.between(5.0, 30.0);
    for y in 0..size {
        for x in 0..size {
            let mut covered = 0;
            for sub in 0..SUBPIXELS * SUBPIXELS {
                let step = |n: usize| (n as f64 + 0.5) / SUBPIXELS as f64;
                let dx = (x as f64 + step(sub % SUBPIXELS) - center_x) / radius;
                let dy = (y as f64 + step(sub / SUBPIXELS) - center_y) / radius;
                covered += usize::from(is_inside(shape, cos * dx + sin * dy, cos * dy - sin * dx));
            }
            let share = covered as f64 / (SUBPIXELS * SUBPIXELS) as f64;
            let value = background + share * (foreground - background) + noise * random.bell();
            pixels.push(value.round().clamp(0.0, 255.0) as u8);
        }
    }
}

/// Whether a point belongs to a shape that fills the unit circle around the origin.
fn is_inside(shape: &str, x: f64, y: f64) -> bool {
    let distance = x.hypot(y);
    match shape {
        "circle" => distance < 0.85,
        "square" => x.abs().max(y.abs()) < 0.7,
        "triangle" => is_in_polygon(3, x, y),
        "cross" => x.abs().min(y.abs()) < 0.24 && x.abs().max(y.abs()) < 0.9,
        "ring" => (0.5..0.95).contains(&distance),
        _ => x.abs() < 0.8 && (0.22..0.78).contains(&y.abs()),
    }
}

fn is_in_polygon(corners: usize, x: f64, y: f64) -> bool {
    let inner = 0.95 * (PI / corners as f64).cos();
    (0..corners).all(|corner| {
        let angle = FRAC_PI_2 + TAU * corner as f64 / corners as f64;
        x * angle.cos() + y * angle.sin() < inner
    })
}

struct Random(ChaCha8Rng);

impl Random {
    fn new(seed: u64, stream: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let mut random = ChaCha8Rng::from_seed(key);
        random.set_stream(stream);
        Self(random)
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        let unit = (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        low + unit * (high - low)
    }

    /// About normal with deviation 1: a sum of four even draws, which needs no logarithm and so is
    /// the same on every processor.
    fn bell(&mut self) -> f64 {
        let sum: f64 = (0..4).map(|_| self.between(-0.5, 0.5)).sum();
        sum * 3_f64.sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_arguments_give_equal_images_and_another_seed_gives_others() {
        let images = draw_shapes(16, 4, 16, 7).unwrap();
        assert_eq!(images, draw_shapes(16, 4, 16, 7).unwrap());
        assert_ne!(images.pixels, draw_shapes(16, 4, 16, 8).unwrap().pixels);
        assert_eq!(images.labels[..5], [0, 1, 2, 3, 0]);
        assert_eq!(images.pixels.len(), 16 * 16 * 16);
    }

    #[test]
    fn a_larger_set_begins_with_the_smaller_one() {
        let small = draw_shapes(6, 3, 12, 1).unwrap();
        let large = draw_shapes(9, 3, 12, 1).unwrap();
        assert_eq!(large.pixels[..small.pixels.len()], small.pixels);
    }

    #[test]
    fn every_shape_covers_a_fair_part_of_its_circle_and_no_two_are_alike() {
        let raster = |shape: &str| -> Vec<bool> {
            let place = |n: usize| (n as f64 + 0.5) / 16.0 - 1.0;
            let points = (0..1024).map(|i| (place(i % 32), place(i / 32)));
            points.map(|(x, y)| is_inside(shape, x, y)).collect()
        };
        let rasters: Vec<_> = SHAPE_NAMES.iter().map(|shape| raster(shape)).collect();
        for (i, raster) in rasters.iter().enumerate() {
            let covered = raster.iter().filter(|&&inside| inside).count();
            assert!((150..800).contains(&covered), "{}: {covered}", SHAPE_NAMES[i]);
            for other in &rasters[..i] {
                let differ = raster.iter().zip(other).filter(|(a, b)| a != b).count();
                assert!(differ > 100, "{} differs by {differ}", SHAPE_NAMES[i]);
            }
        }
    }

    #[test]
    fn settings_out_of_range_are_refused_by_name() {
        for (count, classes, size, named) in [
            (10, 1, 16, "data.classes = 1"),
            (10, 9, 16, "data.classes = 9"),
            (10, 3, 4, "data.size = 4"),
            (2, 3, 16, "data.count = 2"),
        ] {
            let error = draw_shapes(count, classes, size, 0).unwrap_err();
            assert!(error.to_string().starts_with(named), "{error}");
        }
    }
}
