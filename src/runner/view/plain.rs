//! The view for logs: lines that stay, each with its time, so that they can be searched.

use jiff::Zoned;

use super::facts::Facts;
use super::lines;
use crate::say;

/// `2026-11-21 02:10:33 started  x/s1 on the processor`.
pub fn said(at: &Zoned, text: &str) -> String {
    format!("{} {}", at.strftime("%F %T"), say::plain(text))
}

/// A line for each run at work, and one for the batch.
pub fn standing(at: &Zoned, facts: &Facts) -> Vec<String> {
    let run = |run: &super::LiveRun| format!("at work  {}: {}", run.name, lines::figures(run).join(", "));
    let batch = std::iter::once(lines::counted(&facts.counts))
        .chain(lines::ending(facts, at.time_zone()))
        .chain(facts.remarks.iter().cloned());
    let batch = format!("batch    {}", batch.collect::<Vec<_>>().join("; "));
    facts.live.iter().map(run).chain([batch]).map(|line| said(at, &line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_dir::records::Counts;
    use crate::runner::view::LiveRun;

    #[test]
    fn each_line_has_its_time_and_can_be_found_by_the_runs_name() {
        let at = jiff::Timestamp::from_second(1_795_216_200).unwrap().to_zoned(jiff::tz::TimeZone::UTC);
        let run = LiveRun {
            name: "shakespeare/s1".into(),
            phase: "training".into(),
            step: 500,
            steps: 2000,
            loss: Some(1.93214),
            rate: Some((41_234.0, "tokens".into())),
            left_seconds: Some(190.4),
        };
        let facts = Facts {
            now: 1_795_216_200.0,
            live: vec![run],
            counts: Counts { finished: 3, running: 1, waiting: 1, ..Counts::default() },
            end: Some(1_795_220_000.0),
            remarks: vec!["drains\n".into()],
            ..Facts::default()
        };
        insta::assert_snapshot!(standing(&at, &facts).join("\n"), @r"
        2026-11-20 23:10:00 at work  shakespeare/s1: 500/2,000, 25 %, 3 min 10 s left, loss 1.9321, 41.2k tokens/s
        2026-11-20 23:10:00 batch    3 of 5 runs finished, 1 running, 1 waiting; ends about 00:13, in 1 h 3 min; drains�
        ");
    }
}
