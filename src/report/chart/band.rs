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
    fn a_ring_goes_there_below_and_back_above() {
        let band = Band { number: 0, edges: vec![(0.0, 1.0, 2.0), (1.0, 1.5, 2.5)] };
        assert_eq!(band.ring(|x| x as i64), [(0.0, 1.0), (1.0, 1.5), (1.0, 2.5), (0.0, 2.0)]);
        assert!(Band::default().ring(|x| x as i64).is_empty());
    }
}
