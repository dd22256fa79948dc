//! One setting or metric of many runs as an axis: where each run's value lies on it. Values that are none
//! lie nowhere, and whoever draws puts them at the edge.

use super::axis::{Scale, Spread};
use super::number::labels;

/// Positive values that lie two decades apart or more are shown on a log axis; a little less, because
/// quotients of powers of ten are not exact.
const DECADES: f64 = 99.99;

/// What a value can be.
#[derive(Clone, Debug, PartialEq)]
pub enum Measure {
    Amount,
    /// Words in their order; a value is the place of one.
    Kinds(Vec<String>),
}

/// The values of all runs, in the order of the runs; NaN where there is none.
#[derive(Clone, Debug)]
pub struct Dimension {
    pub name: String,
    pub measure: Measure,
    pub values: Vec<f64>,
    /// Whether its sweep draws from a log-uniform distribution.
    pub is_drawn_log: bool,
}

/// A dimension with its scale.
#[derive(Clone, Debug)]
pub struct Placed {
    scale: Scale,
    words: Vec<String>,
}

impl Dimension {
    pub fn amounts(name: &str, values: Vec<f64>) -> Dimension {
        Dimension { name: name.to_owned(), measure: Measure::Amount, values, is_drawn_log: false }
    }

    /// Whether two runs have different values.
    pub fn differs(&self) -> bool {
        let mut finite = self.values.iter().filter(|value| value.is_finite());
        let first = finite.next();
        let has_none = first.is_some() && self.values.iter().any(|value| !value.is_finite());
        has_none || finite.any(|value| Some(value) != first)
    }

    pub fn is_log(&self) -> bool {
        let (low, high) = self.ends();
        high.is_finite()
            && self.measure == Measure::Amount
            && low > 0.0
            && (self.is_drawn_log || high / low >= DECADES)
    }

    pub fn placed(&self, about: usize) -> Placed {
        match &self.measure {
            Measure::Kinds(words) => {
                let last = words.len().saturating_sub(1) as f64;
                Placed { scale: Scale::exact(-0.25, last + 0.25, Spread::Linear, 2), words: words.clone() }
            }
            Measure::Amount => {
                let (low, high) = self.ends();
                let spread = if self.is_log() { Spread::Log } else { Spread::Linear };
                let scale = Scale::exact(low, high, spread, about);
                let mut finite = self.values.iter().filter(|value| value.is_finite());
                let scale = if finite.all(|value| value.fract() == 0.0) { scale.of_counts() } else { scale };
                Placed { scale, words: Vec::new() }
            }
        }
    }

    fn ends(&self) -> (f64, f64) {
        let finite = self.values.iter().filter(|value| value.is_finite());
        finite
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &value| (low.min(value), high.max(value)))
    }
}

impl Placed {
    /// 0 at the low end, 1 at the high one; nothing for what is no number.
    pub fn fraction(&self, value: f64) -> Option<f64> {
        Some(self.scale.fraction(value).clamp(0.0, 1.0)).filter(|_| value.is_finite())
    }

    /// Ticks with their words.
    pub fn ticks(&self) -> Vec<(f64, String)> {
        if self.words.is_empty() {
            let ticks = self.scale.ticks();
            return ticks.iter().map(|tick| self.scale.fraction(*tick)).zip(labels(ticks)).collect();
        }
        let place = |(at, word): (usize, &String)| (self.scale.fraction(at as f64), word.clone());
        self.words.iter().enumerate().map(place).collect()
    }

    pub fn ends(&self) -> (f64, f64) {
        (self.scale.low(), self.scale.high())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_any_kind_lie_on_the_axis_or_nowhere() {
        let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e-300, 1e300, 5.0, 0.0, -1e300];
        for values in [vec![], vec![5.0], vec![2.0; 40], vec![f64::NAN; 3], vec![1e-300, 1e300], odd.to_vec()]
        {
            let dimension = Dimension::amounts("x", values.clone());
            let placed = dimension.placed(4);
            for value in values {
                let place = placed.fraction(value);
                assert_eq!(place.is_some(), value.is_finite(), "{value}");
                assert!(place.is_none_or(|place| (0.0..=1.0).contains(&place)), "{value}: {place:?}");
            }
            assert!(placed.ticks().len() < 20 && placed.ends().0 < placed.ends().1);
        }
    }

    #[test]
    fn an_axis_is_logarithmic_where_its_sweep_is_or_positive_values_span_two_decades() {
        let is_log = |values: &[f64]| Dimension::amounts("x", values.to_vec()).is_log();
        assert!(is_log(&[1e-4, 1e-2, f64::NAN]) && is_log(&[1e-300, 1e300]));
        assert!(is_log(&[1e-4, 1e-3, 1e-2]) && !is_log(&[1e-4, 9e-3]));
        let drawn = |values: &[f64]| {
            Dimension { is_drawn_log: true, ..Dimension::amounts("x", values.to_vec()) }.is_log()
        };
        assert!(drawn(&[1e-4, 3e-4]) && drawn(&[2.0]) && !drawn(&[0.0, 1.0]) && !drawn(&[]));
        assert!(!is_log(&[1e-4, 3e-4]) && !is_log(&[0.0, 1e-2]) && !is_log(&[-1.0, 100.0]) && !is_log(&[]));
    }

    #[test]
    fn whole_numbers_have_whole_ticks() {
        let words = |values: &[f64]| -> Vec<String> {
            let placed = Dimension::amounts("layers", values.to_vec()).placed(4);
            placed.ticks().into_iter().map(|(_, word)| word).collect()
        };
        assert_eq!(words(&[2.0, f64::NAN, 3.0]), ["2", "3"]);
        assert_eq!(words(&[2.0, 2.0]), ["1", "2", "3"]);
        assert_eq!(words(&[2.0, 2.5]), ["2.0", "2.2", "2.4"]);
    }

    #[test]
    fn kinds_keep_their_order_and_a_constant_does_not_differ() {
        let kinds = Measure::Kinds(vec!["adamw".into(), "sgd".into()]);
        let dimension =
            Dimension { name: "kind".into(), measure: kinds, values: vec![1.0, 0.0], is_drawn_log: true };
        let words: Vec<String> = dimension.placed(4).ticks().into_iter().map(|(_, word)| word).collect();
        assert_eq!(words, ["adamw", "sgd"]);
        assert!(dimension.differs() && !dimension.is_log());
        assert!(!Dimension::amounts("x", vec![1.0, 1.0]).differs());
        assert!(!Dimension::amounts("x", vec![f64::NAN]).differs());
    }
}
