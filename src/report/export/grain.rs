//! How finely an exported file holds its lines: as a screen shows them, and coarser the more runs there
//! are, so that the file can still be mailed.

use super::super::chart::{Chart, Grain, Size};

/// CSS pixels of the plot to each column of a drawing: two points in each are half a point a pixel.
const PIXELS: u32 = 4;
/// Columns of a run's drawn lines, over all runs together.
const DRAWN: u32 = 50 * 1176 / PIXELS;
/// Columns of what the script gets of one line, and over all lines of all runs together.
const KEPT_OF_LINE: u32 = 200;
const KEPT: usize = 40_000;
/// Below these a line is no line.
const LEAST: u32 = 12;

/// Of the charts of one run, of so many that share the file.
pub fn of_run(charts: &[&Chart], runs: usize) -> u32 {
    let needs = charts.iter().flat_map(|chart| &chart.series).map(|series| series.points.len().div_ceil(2));
    let mut needs: Vec<u32> = needs.map(|need| need.min(KEPT_OF_LINE as usize) as u32).collect();
    shared(&mut needs, (KEPT / runs.max(1)) as u32)
}

/// Of a drawing, of so many runs that share the file.
pub fn of_drawing(size: Size, runs: usize, kept: u32) -> Grain {
    let width = size.plot_px().0.max(1) as u32;
    let share = DRAWN / runs.max(1) as u32 * width / 1176;
    Grain { drawn: (width / PIXELS).min(share).max(LEAST), kept }
}

/// The highest number that each may have, so that all together have no more than there is: those who need
/// less leave it to the others.
fn shared(needs: &mut [u32], all: u32) -> u32 {
    needs.sort_unstable();
    let mut left = all;
    for (place, need) in needs.iter().enumerate() {
        let each = left / (needs.len() - place) as u32;
        if *need > each {
            return each.max(LEAST);
        }
        left -= need;
    }
    KEPT_OF_LINE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fifty_runs_are_drawn_at_half_a_point_a_pixel_and_more_at_less() {
        for (size, runs, columns) in [
            (Size::Full, 1, 294),
            (Size::Full, 50, 294),
            (Size::Third, 50, 86),
            (Size::Full, 100, 147),
            (Size::Full, 100_000, 12),
        ] {
            assert_eq!(of_drawing(size, runs, 7), Grain { drawn: columns, kept: 7 }, "{size:?} {runs}");
        }
    }

    #[test]
    fn lines_of_few_points_leave_their_share_to_the_others() {
        for (mut needs, all, each) in [
            (vec![], 100, 200),
            (vec![10, 10, 10], 100, 200),
            (vec![200, 10, 200], 110, 50),
            (vec![200, 200], 800, 200),
            (vec![200; 100], 800, 12),
        ] {
            assert_eq!(shared(&mut needs, all), each, "{needs:?}");
        }
    }
}
