//! What may be concluded from several runs: who leads, whether that is decided, which settings matter.
//!
//! Pure numbers in and out. Everything drawn at random follows from fixed seeds, so that a report built
//! twice says the same twice.

pub mod band;
pub mod draws;
pub mod forest;
pub mod groups;
pub mod importance;
pub mod ranks;
pub mod student;

/// Where a value probably lies: from `low` to `high`.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
}

impl Interval {
    /// Whether zero lies inside or on an end.
    pub fn has_zero(&self) -> bool {
        !(self.low > 0.0 || self.high < 0.0)
    }
}

pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The variance of what the values are drawn from (divided by one less than their number); zero for one.
pub fn variance(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return 0.0;
    }
    let mean = mean(values);
    values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (values.len() - 1) as f64
}
