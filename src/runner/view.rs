//! What a person sees of a batch while it works, on standard error: on a terminal one live line a
//! run, elsewhere one plain line now and then. What happened stays above the live lines.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::say::{self, duration};

/// How a batch shows itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// Live lines on a terminal, plain lines otherwise.
    #[default]
    Auto,
    /// Plain lines, for logs.
    Plain,
}

/// Where one live run stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunLine {
    pub name: String,
    /// `starting`, `training`, `evaluating`, ...
    pub phase: String,
    pub step: u64,
    pub steps: u64,
    pub loss: Option<f64>,
    /// Tokens or images a second, and which of them.
    pub rate: Option<(f64, String)>,
    pub left_seconds: Option<f64>,
}

/// Where the whole batch stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BatchLine {
    pub finished: usize,
    pub failed: usize,
    pub running: usize,
    pub waiting: usize,
    /// Stopped, paused, unreadable or at work elsewhere.
    pub left: usize,
    /// Until the whole batch has probably ended.
    pub left_seconds: Option<f64>,
}

/// Shows a batch; dropping it leaves the terminal as it was.
pub struct View {
    kind: Kind,
}

enum Kind {
    Live { lines: MultiProgress, runs: BTreeMap<String, ProgressBar>, batch: ProgressBar },
    Plain { last: Option<Instant> },
}

/// Time between two plain lines of one run.
const PLAIN_INTERVAL: Duration = Duration::from_secs(30);

impl View {
    pub fn open(style: Style) -> View {
        if style == Style::Plain || !std::io::stderr().is_terminal() {
            return View { kind: Kind::Plain { last: None } };
        }
        let lines = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(4));
        let batch = lines.add(line_bar());
        View { kind: Kind::Live { lines, runs: BTreeMap::new(), batch } }
    }

    /// Something happened: a line that stays.
    pub fn say(&self, text: &str) {
        let text = say::plain(text);
        match &self.kind {
            Kind::Live { lines, .. } => drop(lines.println(text)),
            // Nobody reads a closed standard error; that is no reason to end a batch.
            Kind::Plain { .. } => drop(writeln!(std::io::stderr(), "{text}")),
        }
    }

    /// Redraws what is going on.
    pub fn update(&mut self, now: Instant, runs: &[RunLine], batch: &BatchLine) {
        match &mut self.kind {
            Kind::Live { lines, runs: bars, batch: total } => {
                bars.retain(|name, bar| {
                    let lives = runs.iter().any(|run| run.name == *name);
                    if !lives {
                        bar.finish_and_clear();
                        lines.remove(bar);
                    }
                    lives
                });
                let width = runs.iter().map(|run| run.name.chars().count()).max().unwrap_or(0);
                for run in runs {
                    let bar = bars
                        .entry(run.name.clone())
                        .or_insert_with(|| lines.insert_before(total, line_bar()));
                    bar.set_message(live_line(run, width));
                }
                total.set_message(batch_line(batch));
            }
            Kind::Plain { last } => {
                if last.is_none_or(|last| now.duration_since(last) >= PLAIN_INTERVAL) {
                    // The first call only begins the interval: a run that has just started has
                    // nothing to tell.
                    if last.is_some() {
                        for run in runs {
                            drop(writeln!(std::io::stderr(), "{}", plain_line(run)));
                        }
                    }
                    *last = Some(now);
                }
            }
        }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        if let Kind::Live { lines, .. } = &self.kind {
            drop(lines.clear());
        }
    }
}

/// `3 of 40 finished, 1 failed, 2 running, 34 waiting; 2 h 5 min left in all`.
pub fn batch_line(batch: &BatchLine) -> String {
    let all = batch.finished + batch.failed + batch.running + batch.waiting + batch.left;
    let mut line = format!("{} of {all} finished", batch.finished);
    for (count, word) in [
        (batch.failed, "failed"),
        (batch.running, "running"),
        (batch.waiting, "waiting"),
        (batch.left, "left alone"),
    ] {
        if count > 0 {
            line += &format!(", {count} {word}");
        }
    }
    line += &batch
        .left_seconds
        .filter(|left| *left > 0.0)
        .map_or(String::new(), |left| format!("; {} left in all", duration(left)));
    line
}

fn line_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new_spinner().with_style(style)
}

fn live_line(run: &RunLine, width: usize) -> String {
    format!("{:width$}  {}  {}", say::plain(&run.name), meter(run.step, run.steps), figures(run).join("  "))
}

fn plain_line(run: &RunLine) -> String {
    format!("{}: {}", say::plain(&run.name), figures(run).join(", "))
}

fn figures(run: &RunLine) -> Vec<String> {
    let mut figures = vec![format!("{}/{}", run.step, run.steps)];
    if run.phase != "training" && !run.phase.is_empty() {
        figures.push(run.phase.clone());
    }
    // In the order in which a narrow terminal may cut them off.
    figures.extend(run.left_seconds.map(|left| format!("{} left", duration(left))));
    figures.extend(run.loss.map(|loss| format!("loss {loss:.4}")));
    figures.extend(run.rate.as_ref().map(|(rate, of)| format!("{} {of}/s", short(*rate))));
    figures
}

fn meter(step: u64, steps: u64) -> String {
    const CELLS: u64 = 12;
    let full = (step.min(steps) * CELLS).checked_div(steps).unwrap_or(0);
    (0..CELLS).map(|cell| if cell < full { '━' } else { '╌' }).collect()
}

fn short(rate: f64) -> String {
    match rate {
        r if !r.is_finite() => "?".into(),
        r if r >= 1e6 => format!("{:.2}M", r / 1e6),
        r if r >= 1e4 => format!("{:.1}k", r / 1e3),
        r if r >= 100.0 => format!("{r:.0}"),
        r => format!("{r:.1}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> RunLine {
        RunLine {
            name: "shakespeare/s1".into(),
            phase: "training".into(),
            step: 500,
            steps: 2000,
            loss: Some(1.93214),
            rate: Some((41_234.0, "tokens".into())),
            left_seconds: Some(190.4),
        }
    }

    #[test]
    fn a_line_has_progress_loss_rate_and_time_left() {
        insta::assert_snapshot!(live_line(&run(), 16), @"shakespeare/s1    ━━━╌╌╌╌╌╌╌╌╌  500/2000  3 min 10 s left  loss 1.9321  41.2k tokens/s");
        insta::assert_snapshot!(plain_line(&run()), @"shakespeare/s1: 500/2000, 3 min 10 s left, loss 1.9321, 41.2k tokens/s");
    }

    #[test]
    fn a_run_that_starts_says_so_and_invents_no_numbers() {
        let run = RunLine { name: "x".into(), phase: "starting".into(), ..Default::default() };
        insta::assert_snapshot!(plain_line(&run), @"x: 0/0, starting");
    }

    #[test]
    fn a_hostile_name_does_not_command_the_terminal() {
        let run = RunLine { name: "x\x1b[2J".into(), ..Default::default() };
        assert!(plain_line(&run).starts_with("x\u{fffd}[2J: "));
        assert!(live_line(&run, 5).starts_with("x\u{fffd}[2J  "));
    }

    #[test]
    fn the_batch_counts_what_is_there() {
        let batch = BatchLine {
            finished: 3,
            failed: 1,
            running: 2,
            waiting: 34,
            left_seconds: Some(7500.0),
            ..BatchLine::default()
        };
        assert_eq!(
            batch_line(&batch),
            "3 of 40 finished, 1 failed, 2 running, 34 waiting; 2 h 5 min left in all"
        );
        let batch = BatchLine { finished: 4, ..Default::default() };
        assert_eq!(batch_line(&batch), "4 of 4 finished");
    }
}
