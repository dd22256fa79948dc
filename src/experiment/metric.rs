//! What is known of a metric: its unit, which way is better, whether it must reproduce.

use serde::{Deserialize, Serialize};

/// Which way a metric is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    Lower,
    Higher,
    /// Neither way is better: a learning rate, a count.
    Neither,
}

impl Direction {
    /// Whether `value` is better than `than`. A value that is not a number is never better.
    pub fn is_better(self, value: f64, than: f64) -> bool {
        match self {
            Direction::Lower => value < than || (than.is_nan() && !value.is_nan()),
            Direction::Higher => value > than || (than.is_nan() && !value.is_nan()),
            Direction::Neither => false,
        }
    }
}

/// One metric that a worker of this package logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its column in `metrics.csv`.
    pub name: &'static str,
    /// As a person says it, to begin a title with.
    pub title: &'static str,
    /// Empty for numbers without a unit.
    pub unit: &'static str,
    pub direction: Direction,
    /// Whether two attempts at the same run must give the same bits.
    pub reproducible: bool,
}

impl Metric {
    pub const ALL: &'static [Metric] = &[
        Metric::new("train/loss", "Training loss", "", Direction::Lower, true),
        Metric::new("val/loss", "Validation loss", "", Direction::Lower, true),
        Metric::new("val/perplexity", "Validation perplexity", "", Direction::Lower, true),
        Metric::new("val/bits_per_byte", "Validation bits per byte", "bits", Direction::Lower, true),
        Metric::new("train/accuracy", "Training accuracy", "", Direction::Higher, true),
        Metric::new("val/accuracy", "Validation accuracy", "", Direction::Higher, true),
        Metric::new("lr", "Learning rate", "", Direction::Neither, true),
        Metric::new("grad_norm", "Gradient norm", "", Direction::Neither, true),
        Metric::new("tokens_per_second", "Tokens per second", "1/s", Direction::Higher, false),
        Metric::new("images_per_second", "Images per second", "1/s", Direction::Higher, false),
        Metric::new("time", "Time", "s", Direction::Neither, false),
        Metric::new("elapsed", "Elapsed", "s", Direction::Neither, false),
    ];

    const fn new(
        name: &'static str,
        title: &'static str,
        unit: &'static str,
        direction: Direction,
        reproducible: bool,
    ) -> Metric {
        Metric { name, title, unit, direction, reproducible }
    }

    /// The metric of that name, if a worker of this package logs it.
    pub fn named(name: &str) -> Option<&'static Metric> {
        Metric::ALL.iter().find(|metric| metric.name == name)
    }
}

/// Whether two attempts at one run must give the same bits in this column: all that is not known not to.
pub fn must_reproduce(name: &str) -> bool {
    Metric::named(name).is_none_or(|metric| metric.reproducible)
}

/// Which way the metric `name` is better. One that is not ours goes by its words, whatever their case: what
/// has `accuracy` among them, or ends in `acc`, `iou`, `dice`, `f1` or `per_second`, is better higher, unless
/// it is a loss or an error; everything else is better lower.
pub fn direction_of(name: &str) -> Direction {
    if let Some(metric) = Metric::named(name) {
        return metric.direction;
    }
    let name = name.to_lowercase();
    let word = name.rsplit('/').next().unwrap_or(&name);
    if word.contains("loss") || word.contains("error") {
        return Direction::Lower;
    }
    let higher = ["accuracy", "acc", "iou", "dice", "f1", "per_second"];
    let is_higher = higher.iter().any(|end| word.ends_with(end)) || name.contains("accuracy");
    if is_higher { Direction::Higher } else { Direction::Lower }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_better_than_none_and_never_the_other_way() {
        for direction in [Direction::Lower, Direction::Higher] {
            assert!(direction.is_better(1.0, f64::NAN));
            assert!(!direction.is_better(f64::NAN, 1.0));
        }
        assert!(Direction::Lower.is_better(1.0, 2.0));
        assert!(Direction::Higher.is_better(2.0, 1.0));
        assert!(!Direction::Neither.is_better(2.0, 1.0));
    }

    #[test]
    fn foreign_metrics_get_a_direction_by_their_last_word() {
        assert_eq!(direction_of("eval/top5_accuracy"), Direction::Higher);
        assert_eq!(direction_of("eval/nll"), Direction::Lower);
        assert_eq!(direction_of("Accuracy/top_1"), Direction::Higher);
        assert_eq!(direction_of("val_Acc"), Direction::Higher);
        assert_eq!(direction_of("accuracy/loss"), Direction::Lower);
    }
}
