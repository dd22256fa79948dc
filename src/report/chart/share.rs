//! A bar with its uncertainty, for a cell of a table. The numbers stand beside it, so it is for eyes only.

use std::fmt::Write;

use crate::statistics::Interval;

/// Units of the drawing's width; it stretches to its cell.
const WIDTH: f64 = 1000.0;

/// Which values a column of bars covers.
#[derive(Clone, Copy, Debug)]
pub struct Reach {
    pub low: f64,
    pub high: f64,
}

impl Reach {
    /// From the lowest to the highest end, with zero.
    pub fn of<'a>(bars: impl Iterator<Item = (f64, &'a Interval)>) -> Reach {
        bars.fold(Reach { low: 0.0, high: 0.0 }, |all, (value, interval)| Reach {
            low: all.low.min(interval.low).min(value),
            high: all.high.max(interval.high).max(value),
        })
    }

    fn place(self, value: f64) -> f64 {
        let width = self.high - self.low;
        let share = (value - self.low) / width;
        // Nothing to show, or no number: at the left edge.
        let share = if share.is_finite() { share } else { 0.0 };
        (share.clamp(0.0, 1.0) * WIDTH * 10.0).round() / 10.0
    }
}

/// A bar from zero to the value, a thin line over the interval, and a line at zero.
pub fn bar(value: f64, interval: &Interval, reach: Reach) -> String {
    let (zero, end) = (reach.place(0.0), reach.place(value));
    let (from, to) = (reach.place(interval.low), reach.place(interval.high));
    let (left, width) = (zero.min(end), (end - zero).abs());
    let mut svg = String::new();
    let _ = write!(
        svg,
        r#"<svg class="share" viewBox="0 0 {WIDTH} 16" preserveAspectRatio="none" aria-hidden="true"><rect class="bar c1" x="{left}" y="3" width="{width}" height="10"/><path class="reach" d="M{from} 8H{to}"/><path class="zero" d="M{zero} 0V16"/></svg>"#
    );
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_begins_at_zero_and_its_interval_may_cross_it() {
        let interval = Interval { low: -0.5, high: 0.5 };
        let reach = Reach::of([(0.25, &interval)].into_iter());
        let svg = bar(0.25, &interval, reach);
        assert!(svg.contains(r#"x="500" y="3" width="250""#) && svg.contains("M0 8H1000"), "{svg}");
        assert!(!bar(f64::NAN, &interval, reach).contains("NaN"));
        let nothing = Reach::of(std::iter::empty());
        assert!(bar(0.0, &Interval { low: 0.0, high: 0.0 }, nothing).contains(r#"width="0""#));
    }
}
