//! Curves made for tests: shapes of training with noise of a fixed seed.

use rand::RngExt;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{Curve, Extent, Mark, Observed, Point, Said, said};

/// Draws of a seed that stay the same for ever.
pub struct Draws(ChaCha8Rng);

impl Draws {
    pub fn new(seed: u64) -> Draws {
        Draws(ChaCha8Rng::seed_from_u64(seed))
    }

    /// Between zero and one.
    pub fn even(&mut self) -> f64 {
        self.0.random::<f64>()
    }

    /// Of the standard normal distribution (Box and Muller, 1958).
    pub fn normal(&mut self) -> f64 {
        let (one, other) = (1.0 - self.even(), self.even());
        (-2.0 * one.ln()).sqrt() * (std::f64::consts::TAU * other).cos()
    }

    /// With the longer tails of losses of single batches: Laplace, of variance one.
    pub fn long_tailed(&mut self) -> f64 {
        let even = self.even() - 0.5;
        -even.signum() * (1.0 - 2.0 * even.abs()).max(1e-300).ln() / 2f64.sqrt()
    }
}

/// A point every `every` steps, `count` of them, by the share of the run that is over.
pub fn curve(name: &str, count: usize, every: f64, mut y: impl FnMut(f64) -> f64) -> Curve {
    let point = |index: usize| (((index + 1) as f64 * every), y((index + 1) as f64 / count as f64));
    Curve { name: name.to_owned(), points: (0..count).map(point).collect::<Vec<Point>>() }
}

/// A loss as language models have it: a power law over a floor.
pub fn power(t: f64) -> f64 {
    1.2 + 0.3 * (t + 0.001).powf(-0.4)
}

pub fn run(metric: &str, curves: Vec<Curve>, marks: Vec<Mark>) -> Observed<'static> {
    Observed { metric: metric.to_owned(), curves: curves.into(), marks, extent: Extent::Whole }
}

pub fn said_of(metric: &str, curves: Vec<Curve>, marks: Vec<Mark>) -> Vec<Said> {
    said(&run(metric, curves, marks))
}
