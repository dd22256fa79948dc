//! A series of any length in a bounded number of points that keeps its extremes: pairs of neighboring
//! stretches become one whenever there are too many, and of each stretch the lowest, the highest and the
//! first value that is no finite number stay.

/// A step and a value.
pub(super) type Point = (f64, f64);

/// Takes points one by one.
#[derive(Debug, Clone)]
pub(super) struct Outline {
    most: usize,
    /// With the place of each in the whole series.
    kept: Vec<(u64, Point)>,
    /// Places in one stretch; 1 while everything is kept.
    stretch: u64,
    taken: u64,
    last: Option<(u64, Point)>,
}

/// Beside the stretches: the first point and the last.
const ENDS: usize = 2;

impl Outline {
    /// `most` points stay, ten or more.
    pub fn new(most: usize) -> Outline {
        Outline { most: most.max(10), kept: Vec::new(), stretch: 1, taken: 0, last: None }
    }

    pub fn take(&mut self, point: Point) {
        let placed = (self.taken, point);
        self.kept.push(placed);
        self.last = Some(placed);
        self.taken += 1;
        // Twice as many before it is thinned, so that a point costs no more the longer the series is.
        if self.kept.len() > 2 * self.most {
            self.thin();
        }
    }

    /// How many points there were.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// The points in order, and whether some are left out.
    pub fn finish(mut self) -> (Vec<Point>, bool) {
        if self.kept.len() > self.most {
            self.thin();
        }
        if let Some(last) = self.last
            && self.kept.last().is_none_or(|(place, _)| *place < last.0)
        {
            self.kept.push(last);
        }
        let is_thinned = (self.kept.len() as u64) < self.taken;
        (self.kept.into_iter().map(|(_, point)| point).collect(), is_thinned)
    }

    /// First in stretches as long as those before, then in longer ones as far as need be.
    fn thin(&mut self) {
        loop {
            let stretch = self.stretch;
            let mut thinner: Vec<(u64, Point)> = Vec::with_capacity(2 * self.most + 1);
            for same in self.kept.chunk_by(|one, other| one.0 / stretch == other.0 / stretch) {
                extremes(same, &mut thinner);
            }
            self.kept = thinner;
            if self.kept.len() <= self.most - ENDS {
                return;
            }
            self.stretch *= 2;
        }
    }
}

/// What stays of a stretch, in order. Its very first point stays where it is the first of all.
fn extremes(stretch: &[(u64, Point)], kept: &mut Vec<(u64, Point)>) {
    let finite = || stretch.iter().enumerate().filter(|(_, (_, point))| point.1.is_finite());
    let value = |&(_, (_, point)): &(usize, &(u64, Point))| point.1;
    let lowest = finite().min_by(|one, other| value(one).total_cmp(&value(other)));
    let highest = finite().max_by(|one, other| value(one).total_cmp(&value(other)));
    let odd = stretch.iter().position(|(_, point)| !point.1.is_finite());
    let first = stretch.first().filter(|(place, _)| *place == 0).map(|_| 0);
    let mut places: Vec<usize> =
        [lowest, highest].into_iter().flatten().map(|(place, _)| place).chain(odd).chain(first).collect();
    places.sort_unstable();
    places.dedup();
    kept.extend(places.into_iter().map(|place| stretch[place]));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn outline(most: usize, values: impl IntoIterator<Item = f64>) -> (Vec<Point>, bool) {
        let mut outline = Outline::new(most);
        for (step, value) in values.into_iter().enumerate() {
            outline.take((step as f64, value));
        }
        outline.finish()
    }

    #[test]
    fn few_points_stay_as_they_are() {
        assert_eq!(outline(10, []), (vec![], false));
        let (points, is_thinned) = outline(10, (0..10).map(f64::from));
        assert_eq!((points.len(), is_thinned), (10, false));
    }

    #[test]
    fn a_spike_and_a_value_that_is_no_number_stay_visible_among_a_million() {
        let values = (0..1_000_000).map(|step| match step {
            123_456 => 9.0,
            654_321 => -9.0,
            777_777 => f64::NAN,
            _ => (f64::from(step) * 0.01).sin(),
        });
        let (points, is_thinned) = outline(500, values);
        assert!(is_thinned && (200..=500).contains(&points.len()), "{}", points.len());
        let late = points.iter().filter(|(step, _)| *step > 500_000.0).count();
        assert!((100..=300).contains(&late), "they lie over all of it: {late}");
        assert!(points.contains(&(123_456.0, 9.0)) && points.contains(&(654_321.0, -9.0)));
        assert!(points.iter().any(|(step, value)| *step == 777_777.0 && value.is_nan()));
        assert_eq!((points[0].0, points[points.len() - 1].0), (0.0, 999_999.0));
    }

    proptest! {
        #[test]
        fn whatever_comes_the_bound_the_order_the_ends_and_the_extremes_hold(
            values in proptest::collection::vec(prop_oneof![9 => -1e3..1e3f64, 1 => Just(f64::NAN), 1 => Just(f64::INFINITY)], 0..3000),
            most in 10usize..200,
        ) {
            let (points, is_thinned) = outline(most, values.clone());
            prop_assert!(points.len() <= most);
            prop_assert_eq!(is_thinned, points.len() < values.len());
            prop_assert!(points.windows(2).all(|pair| pair[0].0 < pair[1].0));
            prop_assert_eq!(points.first().map(|point| point.0), values.first().map(|_| 0.0));
            prop_assert_eq!(points.last().map(|point| point.0), values.len().checked_sub(1).map(|last| last as f64));
            let of = |fold: fn(f64, f64) -> f64, start: f64, values: &mut dyn Iterator<Item = f64>| {
                values.filter(|value| value.is_finite()).fold(start, fold)
            };
            for (fold, start) in [(f64::min as fn(f64, f64) -> f64, f64::INFINITY), (f64::max, f64::NEG_INFINITY)] {
                prop_assert_eq!(
                    of(fold, start, &mut points.iter().map(|point| point.1)),
                    of(fold, start, &mut values.iter().copied())
                );
            }
        }
    }
}
