//! Where several lines lie that one line stands for: an area between two edges.

use super::series::Point;

/// The area around a mean.
#[derive(Clone, Debug, Default)]
pub struct Band {
    /// The identity of the line it belongs to.
    pub number: u16,
    /// x, lower and upper edge, in rising order of x; finite.
    pub edges: Vec<(f64, f64, f64)>,
}

impl Band {
    pub fn lower(&self) -> Vec<Point> {
        self.edges.iter().map(|&(x, low, _)| (x, low)).collect()
    }

    pub fn upper(&self) -> Vec<Point> {
        self.edges.iter().map(|&(x, _, high)| (x, high)).collect()
    }

    /// The same where either edge has an extreme, in about so many columns: what scripts draw it from.
    pub(super) fn thinned(&self, columns: u32) -> Vec<(f64, f64, f64)> {
        if self.edges.len() <= columns as usize * 2 {
            return self.edges.clone();
        }
        let kept = |edge: &[Point]| super::series::thinned(edge, columns);
        let mut places: Vec<f64> =
            kept(&self.lower()).into_iter().chain(kept(&self.upper())).map(|(x, _)| x).collect();
        places.sort_by(f64::total_cmp);
        places.dedup();
        let is_kept = |x: f64| places.binary_search_by(|place| place.total_cmp(&x)).is_ok();
        self.edges.iter().copied().filter(|&(x, _, _)| is_kept(x)).collect()
    }

    /// Along the lower edge and back along the upper one, each reduced to what a screen shows.
    pub(super) fn ring(&self, column: impl Fn(f64) -> i64) -> Vec<Point> {
        let mut ring = super::series::reduced(&self.lower(), &column);
        ring.extend(super::series::reduced(&self.upper(), &column).into_iter().rev());
        ring
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_band_of_few_places_keeps_the_extremes_of_both_edges() {
        let edges =
            |x: u32| (f64::from(x), if x == 700 { -5.0 } else { 0.0 }, if x == 301 { 9.0 } else { 1.0 });
        let band = Band { number: 0, edges: (0..1000).map(edges).collect() };
        let few = band.thinned(20);
        assert!(
            few.len() <= 88 && few.contains(&(700.0, -5.0, 1.0)) && few.contains(&(301.0, 0.0, 9.0)),
            "{few:?}"
        );
        assert_eq!((few.first(), few.last()), (band.edges.first(), band.edges.last()));
        assert_eq!(band.thinned(500).len(), 1000);
    }

    #[test]
    fn a_ring_goes_there_below_and_back_above() {
        let band = Band { number: 0, edges: vec![(0.0, 1.0, 2.0), (1.0, 1.5, 2.5)] };
        assert_eq!(band.ring(|x| x as i64), [(0.0, 1.0), (1.0, 1.5), (1.0, 2.5), (0.0, 2.0)]);
        assert!(Band::default().ring(|x| x as i64).is_empty());
    }
}
