//! Which runs without a worker are looked at when nothing hints at a change: some at each tick, in
//! turns, so that ten thousand waiting runs cost no more than fifty.

use std::ops::Range;
use std::time::{Duration, Instant};

/// At least so many runs are looked at in one turn.
const LEAST: usize = 50;
/// All runs have had their turn after so many.
const TURNS: usize = 60;

/// Whose turn it is.
#[derive(Debug, Default)]
pub struct Rota {
    next: usize,
    last: Option<Instant>,
}

impl Rota {
    /// Positions of the runs whose turn it is now, out of `count`; none when the last turn was less than
    /// `interval` ago.
    pub fn turn(&mut self, count: usize, now: Instant, interval: Duration) -> Option<Range<usize>> {
        if self.last.is_some_and(|last| now.duration_since(last) < interval) {
            return None;
        }
        self.last = Some(now);
        let begin = if self.next < count { self.next } else { 0 };
        let end = count.min(begin + LEAST.max(count.div_ceil(TURNS)));
        self.next = end;
        Some(begin..end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(500);

    fn turns(count: usize, many: u32) -> Vec<Range<usize>> {
        let (mut rota, begun) = (Rota::default(), Instant::now());
        (0..many).filter_map(|turn| rota.turn(count, begun + turn * TICK, TICK)).collect()
    }

    #[test]
    fn few_runs_have_their_turn_each_time() {
        assert_eq!(turns(40, 2), [0..40, 0..40]);
    }

    #[test]
    fn many_runs_have_their_turns_one_after_the_other() {
        let turns = turns(10_000, 61);
        assert_eq!(turns[0], 0..167);
        assert_eq!(turns[1], 167..334);
        assert_eq!(turns[59], 9853..10_000);
        assert_eq!(turns[60], 0..167);
    }

    #[test]
    fn nobody_has_a_turn_between_two_ticks() {
        let (mut rota, now) = (Rota::default(), Instant::now());
        assert_eq!(rota.turn(40, now, TICK), Some(0..40));
        assert_eq!(rota.turn(40, now + TICK / 2, TICK), None);
    }

    #[test]
    fn runs_that_went_take_no_turn() {
        let (mut rota, now) = (Rota::default(), Instant::now());
        assert_eq!(rota.turn(100, now, TICK), Some(0..50));
        assert_eq!(rota.turn(20, now + TICK, TICK), Some(0..20));
    }
}
