//! The view in several sizes, as it is seen.

use super::*;

/// 2026-11-20 23:10 UTC.
const NOW_SECONDS: f64 = 1_795_216_200.0;

fn live(name: &str, step: u64) -> LiveRun {
    LiveRun {
        name: name.into(),
        phase: "training".into(),
        step,
        steps: 2000,
        loss: Some(1.93214),
        rate: Some((41_234.0, "tokens".into())),
        left_seconds: Some(190.4),
    }
}

fn night() -> Facts {
    let waiting = |number: usize| WaitingRun {
        experiment: "shakespeare".into(),
        run: format!("lr3e-4-layers4-s{number}-1f3a9c07"),
        reason: if number == 3 { "after baseline".into() } else { "for a free slot".into() },
        start: (number < 5).then_some(NOW_SECONDS + 900.0 * number as f64),
        end: None,
        passed: None,
    };
    let failed = |run: &str, cause: &str| FailedRun {
        experiment: "mnist".into(),
        run: run.into(),
        cause: cause.into(),
        time: NOW_SECONDS - 60.0,
    };
    let evaluating =
        LiveRun { phase: "evaluating".into(), ..live("shakespeare/lr3e-4-layers4-s2-b81c22d0", 990) };
    Facts {
        now: NOW_SECONDS,
        live: vec![live("shakespeare/lr1e-3-layers4-s1-1f3a9c07", 500), evaluating],
        waiting: (3..37).map(waiting).collect(),
        failed: vec![failed("s1-00aa11bb", "a loss was not a finite number at step 40 (nan)")],
        counts: Counts { finished: 3, failed: 1, running: 2, waiting: 34, left: 0 },
        end: Some(NOW_SECONDS + 27_000.0),
        remarks: Vec::new(),
    }
}

fn drawn(facts: &Facts, width: usize, height: usize) -> String {
    let lines = lines(facts, Size { width, height }, &TimeZone::UTC);
    assert!(lines.len() <= height, "{} lines in {height}", lines.len());
    for line in &lines {
        assert!(line.width() <= width, "{} columns in {width}: {}", line.width(), line.text());
    }
    lines.iter().map(Line::text).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_wide_terminal_shows_everything() {
    insta::assert_snapshot!(drawn(&night(), 140, 40), @r"
    now     shakespeare/lr1e-3-layers4-s1-1f3a9c07  ━━━╌╌╌╌╌╌╌╌╌  25 %  500/2,000              3 min 10 s left  loss 1.9321  41.2k tokens/s
            shakespeare/lr3e-4-layers4-s2-b81c22d0  ━━━━━╌╌╌╌╌╌╌  49 %  990/2,000  evaluating  3 min 10 s left  loss 1.9321  41.2k tokens/s
    failed  mnist/s1-00aa11bb                       a loss was not a finite number at step 40 (nan)
    next    shakespeare/lr3e-4-layers4-s3-1f3a9c07  after baseline, about 23:55
            shakespeare/lr3e-4-layers4-s4-1f3a9c07  for a free slot, about 00:10
            shakespeare/lr3e-4-layers4-s5-1f3a9c07  for a free slot
            shakespeare/lr3e-4-layers4-s6-1f3a9c07  for a free slot
            and 30 more
    3 of 40 runs finished, 1 failed, 2 running, 34 waiting; ends about 06:40, in 7 h 30 min
    ");
}

#[test]
fn eighty_columns_show_what_matters() {
    insta::assert_snapshot!(drawn(&night(), 79, 24), @r"
    now     shakespeare/lr1e-…yers4-s1-1f3a9c07  25 %              3 min 10 s left
            shakespeare/lr3e-…yers4-s2-b81c22d0  49 %  evaluating  3 min 10 s left
    failed  mnist/s1-00aa11bb                    a loss was not a finite number at…
    next    shakespeare/lr3e-…yers4-s3-1f3a9c07  after baseline, about 23:55
            shakespeare/lr3e-…yers4-s4-1f3a9c07  for a free slot, about 00:10
            shakespeare/lr3e-…yers4-s5-1f3a9c07  for a free slot
            shakespeare/lr3e-…yers4-s6-1f3a9c07  for a free slot
            and 30 more
    3 of 40 runs finished, 1 failed, 2 running, 34 waiting
    ends about 06:40, in 7 h 30 min
    ");
}

#[test]
fn forty_columns_go_without_most_figures() {
    insta::assert_snapshot!(drawn(&night(), 39, 24), @r"
    ▸ shakesp…3a9c07  25 %  3 min 10 s left
    ▸ shakesp…1c22d0  49 %  3 min 10 s left
    ✕ mnist/s1-00aa11bb   a loss was not a…
    ○ shakespea…1f3a9c07  after baseline, …
    ○ shakespea…1f3a9c07  for a free slot,…
    ○ shakespea…1f3a9c07  for a free slot
    ○ shakespea…1f3a9c07  for a free slot
    ○ and 30 more
    3 of 40 runs finished, 1 failed, 2
    running, 34 waiting
    ends about 06:40, in 7 h 30 min
    ");
}

#[test]
fn a_low_terminal_counts_what_it_cannot_show() {
    insta::assert_snapshot!(drawn(&night(), 79, 6), @r"
    now     shakespeare/lr1e-…yers4-s1-1f3a9c07  25 %              3 min 10 s left
            shakespeare/lr3e-…yers4-s2-b81c22d0  49 %  evaluating  3 min 10 s left
    failed  mnist/s1-00aa11bb                    a loss was not a finite number at…
    next    shakespeare/lr3e-…yers4-s3-1f3a9c07  after baseline, about 23:55
    3 of 40 runs finished, 1 failed, 2 running, 34 waiting
    ends about 06:40, in 7 h 30 min
    ");
    insta::assert_snapshot!(drawn(&night(), 79, 3), @r"
    now     shakespeare/lr1e-…yers4-s1-1f3a9c07  25 %              3 min 10 s left
    3 of 40 runs finished, 1 failed, 2 running, 34 waiting
    ends about 06:40, in 7 h 30 min
    ");
    insta::assert_snapshot!(drawn(&night(), 79, 1), @"3 of 40 runs finished, 1 failed, 2 running, 34 waiting");
    assert_eq!(drawn(&night(), 79, 0), "");
}

#[test]
fn more_runs_than_lines_never_exceed_the_terminal() {
    let many = |count: usize| Facts {
        live: (0..count).map(|number| live(&format!("x/s{number}"), 5)).collect(),
        counts: Counts { running: count, ..night().counts },
        ..night()
    };
    insta::assert_snapshot!(drawn(&many(50), 79, 8), @r"
    now     x/s0                                 0 %  3 min 10 s left  loss 1.9321
            x/s1                                 0 %  3 min 10 s left  loss 1.9321
            x/s2                                 0 %  3 min 10 s left  loss 1.9321
            and 47 more
    failed  mnist/s1-00aa11bb                    a loss was not a finite number at…
    next    shakespeare/lr3e-…yers4-s3-1f3a9c07  after baseline, about 23:55
    3 of 88 runs finished, 1 failed, 50 running, 34 waiting
    ends about 06:40, in 7 h 30 min
    ");
    for count in [0, 1, 7, 50] {
        for height in 0..30 {
            for width in [0, 1, 10, 39, 63, 64, 79, 200] {
                drawn(&many(count), width, height);
            }
        }
    }
}

#[test]
fn a_run_that_starts_says_so_and_invents_no_numbers() {
    let facts = Facts {
        live: vec![LiveRun { name: "x/s1".into(), phase: "starting".into(), ..LiveRun::default() }],
        counts: Counts { running: 1, ..Counts::default() },
        ..Facts::default()
    };
    insta::assert_snapshot!(drawn(&facts, 79, 24), @r"
    now     x/s1  starting
    0 of 1 runs finished, 1 running
    ");
}

#[test]
fn long_and_wide_names_are_cut_in_their_middle() {
    let mut facts = night();
    facts.live[0].name = format!("x/{}-1f3a9c07", "long".repeat(60));
    facts.live[1].name = "数据集数据集数据集数据集数据集数据集/s1-00aa11bb".into();
    insta::assert_snapshot!(drawn(&facts, 79, 7), @r"
    now     x/longlonglonglon…longlong-1f3a9c07  25 %              3 min 10 s left
            数据集数据集数据…数据集/s1-00aa11bb  49 %  evaluating  3 min 10 s left
    failed  mnist/s1-00aa11bb                    a loss was not a finite number at…
    next    shakespeare/lr3e-…yers4-s3-1f3a9c07  after baseline, about 23:55
            and 33 more
    3 of 40 runs finished, 1 failed, 2 running, 34 waiting
    ends about 06:40, in 7 h 30 min
    ");
}

#[test]
fn a_hostile_name_or_cause_does_not_command_the_terminal() {
    let mut facts = night();
    facts.live[0].name = "x\x1b[2J".into();
    facts.failed[0].cause = "line one\nline two\x07".into();
    facts.remarks = vec!["\x1b]0;title".into()];
    let size = Size { width: 100, height: 30 };
    for line in lines(&facts, size, &TimeZone::UTC) {
        assert!(!line.text().chars().any(char::is_control), "{:?}", line.text());
    }
}

#[test]
fn times_that_are_far_away_have_their_date() {
    assert_eq!(clock(NOW_SECONDS + 3600.0, NOW_SECONDS, &TimeZone::UTC), "00:10");
    assert_eq!(clock(NOW_SECONDS - 3600.0, NOW_SECONDS, &TimeZone::UTC), "22:10");
    assert_eq!(clock(NOW_SECONDS + 50_000.0, NOW_SECONDS, &TimeZone::UTC), "2026-11-21 13:03");
}
