//! The learning rate of each step: a pure function of the settings and the step.

use std::f64::consts::PI;

use overnight::experiment::settings::{Schedule, ScheduleKind};

/// One-cycle starts at its top divided by this (Smith and Topin 2019).
const ONE_CYCLE_START: f64 = 25.0;
/// Part of the run in which one-cycle rises where no warm-up is set.
const ONE_CYCLE_RISE: f64 = 0.3;

/// The learning rate of `step` (counted from 1) of `steps`. `top` is the optimizer's own rate.
///
/// With a warm-up of `w` steps the rate rises in a straight line and reaches `top` at step `w + 1`;
/// `linear`, `cosine` and `one-cycle` are at the floor at the last step, `constant` has none.
pub fn learning_rate(schedule: &Schedule, top: f64, step: u64, steps: u64) -> f64 {
    let floor = schedule.floor;
    let warmup = match (schedule.kind, schedule.warmup) {
        (ScheduleKind::OneCycle, 0) => (steps as f64 * ONE_CYCLE_RISE).round() as u64,
        (_, warmup) => warmup,
    };
    let done = step.saturating_sub(1);
    if done < warmup {
        let rise = step as f64 / (warmup + 1) as f64;
        return match schedule.kind {
            ScheduleKind::OneCycle => between(top / ONE_CYCLE_START, top, half_cosine(1.0 - rise)),
            _ => top * rise,
        };
    }
    // From 0 at the top to 1 at the last step; a warm-up that fills the run leaves no way down.
    let way_down = steps.saturating_sub(1).saturating_sub(warmup);
    let progress = if way_down == 0 { 0.0 } else { ((done - warmup) as f64 / way_down as f64).min(1.0) };
    match schedule.kind {
        ScheduleKind::Constant => top,
        ScheduleKind::Linear => between(floor, top, 1.0 - progress),
        ScheduleKind::Cosine | ScheduleKind::OneCycle => between(floor, top, half_cosine(progress)),
    }
}

/// 1 at 0, 0 at 1, flat at both.
fn half_cosine(progress: f64) -> f64 {
    0.5 * (1.0 + (PI * progress).cos())
}

fn between(low: f64, high: f64, part: f64) -> f64 {
    low + (high - low) * part
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(kind: ScheduleKind, warmup: u64, floor: f64, steps: u64) -> Vec<f64> {
        let schedule = Schedule { kind, warmup, floor };
        (1..=steps).map(|step| learning_rate(&schedule, 1.0, step, steps)).collect()
    }

    fn assert_close(left: &[f64], right: &[f64]) {
        let close = left.len() == right.len() && left.iter().zip(right).all(|(l, r)| (l - r).abs() < 1e-12);
        assert!(close, "{left:?} is not {right:?}");
    }

    #[test]
    fn constant_rises_and_stays() {
        assert_close(&rates(ScheduleKind::Constant, 3, 0.1, 6), &[0.25, 0.5, 0.75, 1.0, 1.0, 1.0]);
    }

    #[test]
    fn linear_ends_at_its_floor() {
        assert_close(&rates(ScheduleKind::Linear, 1, 0.2, 6), &[0.5, 1.0, 0.8, 0.6, 0.4, 0.2]);
    }

    #[test]
    fn cosine_is_halfway_down_in_the_middle() {
        let rates = rates(ScheduleKind::Cosine, 0, 0.1, 5);
        assert_close(&[rates[0], rates[2], rates[4]], &[1.0, 0.55, 0.1]);
    }

    #[test]
    fn one_cycle_rises_for_a_third_and_falls_to_its_floor() {
        let rates = rates(ScheduleKind::OneCycle, 0, 0.0, 100);
        let top = rates.iter().position(|rate| *rate == 1.0);
        assert_eq!(top, Some(30));
        assert!(rates[0] < 0.05 && rates[99].abs() < 1e-12);
        assert!(rates[..31].is_sorted() && rates[30..].iter().rev().is_sorted());
    }

    #[test]
    fn runs_of_one_step_and_warm_ups_longer_than_the_run_have_a_rate() {
        for kind in
            [ScheduleKind::Constant, ScheduleKind::Linear, ScheduleKind::Cosine, ScheduleKind::OneCycle]
        {
            for (warmup, steps) in [(0, 1), (1, 1), (10, 3)] {
                assert!(
                    rates(kind, warmup, 0.0, steps).iter().all(|rate| rate.is_finite() && *rate > 0.0),
                    "{kind:?}"
                );
            }
        }
    }
}
