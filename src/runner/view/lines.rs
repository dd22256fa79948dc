//! From facts and a size to lines: what runs, what failed, what is next, when it ends. Pure, so that
//! each size can be looked at in a test. Never more lines than there is room for, never a wider one.

use anstyle::{AnsiColor, Style};
use jiff::tz::TimeZone;

use super::facts::{Facts, LiveRun};
use super::text::{Line, middle, padded, width};
use crate::run_dir::records::{Counts, FailedRun, WaitingRun};
use crate::say::{self, duration};

/// Room for a view, in columns and lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub width: usize,
    pub height: usize,
}

/// Of what waits, so many are named; the others are counted.
const NEXT: usize = 4;
/// Of what failed.
const FAILED: usize = 3;
/// From this width on a word stands before each group, below it a sign.
const WORDS_FROM: usize = 64;
/// A name is not made shorter than this for the sake of figures.
const LEAST_NAME: usize = 14;
const GAP: &str = "  ";

const DIM: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();
const RED: Style = AnsiColor::Red.on_default();
const BLUE: Style = AnsiColor::Blue.on_default();

/// The lines of a view that fit into `size`, with times as clocks in `zone` show them.
pub fn lines(facts: &Facts, size: Size, zone: &TimeZone) -> Vec<Line> {
    let mut foot = batch_lines(facts, size.width, zone);
    foot.truncate(size.height);
    let mut room = size.height.saturating_sub(foot.len());
    let failed = facts.failed.len().min(FAILED);
    let others = usize::from(facts.counts.failed > 0) + usize::from(!facts.waiting.is_empty());
    // What is at work comes first, and leaves a line for each of the others.
    let live_room = room.saturating_sub(others).max(room.min(1));
    let names = NameWidth::of(facts, size.width);
    let live = group(live_lines(&facts.live, size.width, names), facts.live.len(), live_room);
    room -= live.len();
    let failed_room = room.saturating_sub(usize::from(!facts.waiting.is_empty())).min(failed + 1);
    let bad: Vec<Line> = facts.failed.iter().take(failed).map(|run| failed_line(run, names)).collect();
    let bad = group(bad, facts.counts.failed.max(facts.failed.len()), failed_room);
    room -= bad.len();
    let next: Vec<Line> =
        facts.waiting.iter().take(NEXT).map(|run| next_line(run, names, facts.now, zone)).collect();
    let next = group(next, facts.waiting.len(), room.min(NEXT + 1));
    let mut lines = Vec::new();
    for (label, style, group) in [(NOW, BLUE, live), (BAD, RED, bad), (NEXT_UP, DIM, next)] {
        lines.extend(
            group
                .into_iter()
                .enumerate()
                .map(|(index, line)| labelled(label, style, index == 0, size.width).and(line)),
        );
    }
    lines.extend(foot);
    lines.into_iter().map(|line| line.cut(size.width)).collect()
}

/// A word and a sign that stand for a group.
type Label = (&'static str, &'static str);
const NOW: Label = ("now     ", "▸ ");
const BAD: Label = ("failed  ", "✕ ");
const NEXT_UP: Label = ("next    ", "○ ");

fn labelled((word, sign): Label, style: Style, is_first: bool, columns: usize) -> Line {
    match (columns >= WORDS_FROM, is_first) {
        (true, true) => Line::new().with(style, word),
        (true, false) => Line::new().plain(&" ".repeat(word.len())),
        (false, _) => Line::new().with(style, sign),
    }
}

fn label_width(columns: usize) -> usize {
    if columns >= WORDS_FROM { NOW.0.len() } else { 2 }
}

/// As many of the lines as there is room for; the last says how many more there are.
fn group(mut lines: Vec<Line>, all: usize, room: usize) -> Vec<Line> {
    if lines.len() == all && all <= room {
        return lines;
    }
    lines.truncate(if room > 1 { room - 1 } else { room });
    if lines.len() < all && lines.len() < room {
        let more = all - lines.len();
        lines.push(Line::new().with(DIM, &format!("and {} more", say::count(more as u64))));
    }
    lines
}

/// Columns for the names of all groups, so that what is said about them stands below each other.
#[derive(Clone, Copy)]
struct NameWidth(usize);

impl NameWidth {
    fn of(facts: &Facts, columns: usize) -> NameWidth {
        let live = facts.live.iter().map(|run| width(&run.name));
        let next = facts.waiting.iter().take(NEXT).map(|run| width(&name_of(&run.experiment, &run.run)));
        let failed = facts.failed.iter().take(FAILED).map(|run| width(&name_of(&run.experiment, &run.run)));
        let longest = live.chain(next).chain(failed).max().unwrap_or(0);
        let half = columns.saturating_sub(label_width(columns)) / 2;
        NameWidth(longest.min(half.max(LEAST_NAME)))
    }

    fn put(self, name: &str) -> String {
        padded(&middle(&say::plain(name), self.0), self.0)
    }
}

fn name_of(experiment: &str, run: &str) -> String {
    format!("{experiment}/{run}")
}

fn failed_line(run: &FailedRun, names: NameWidth) -> Line {
    let name = names.put(&name_of(&run.experiment, &run.run));
    Line::new().plain(&name).plain(GAP).plain(&run.cause)
}

fn next_line(run: &WaitingRun, names: NameWidth, now: f64, zone: &TimeZone) -> Line {
    let name = names.put(&name_of(&run.experiment, &run.run));
    let start = run.start.map(|start| format!(", about {}", clock(start, now, zone))).unwrap_or_default();
    Line::new().plain(&name).plain(GAP).with(DIM, &format!("{}{start}", run.reason))
}

/// What may be said of a live run, in the order in which it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Figure {
    Meter,
    Percent,
    Steps,
    Phase,
    Left,
    Loss,
    Rate,
}

const FIGURES: [Figure; 7] =
    [Figure::Meter, Figure::Percent, Figure::Steps, Figure::Phase, Figure::Left, Figure::Loss, Figure::Rate];
/// What a narrow terminal goes without, first to last.
const DISPENSABLE: [Figure; 6] =
    [Figure::Meter, Figure::Rate, Figure::Steps, Figure::Loss, Figure::Phase, Figure::Left];

fn live_lines(runs: &[LiveRun], columns: usize, names: NameWidth) -> Vec<Line> {
    let column = |figure: &Figure| {
        let widths = runs.iter().map(|run| match figure {
            Figure::Left => width(&left_or_phase(run)),
            figure => width(&said(run, *figure)),
        });
        widths.max().unwrap_or(0)
    };
    let mut figures: Vec<(Figure, usize)> =
        FIGURES.iter().map(|figure| (*figure, column(figure))).filter(|(_, width)| *width > 0).collect();
    let taken =
        |figures: &[(Figure, usize)]| figures.iter().map(|(_, width)| GAP.len() + width).sum::<usize>();
    let room = columns.saturating_sub(label_width(columns));
    let least = names.0.min(if columns >= WORDS_FROM { 2 * LEAST_NAME } else { LEAST_NAME });
    for figure in DISPENSABLE {
        if least + taken(&figures) > room {
            figures.retain(|(kept, _)| *kept != figure);
        }
    }
    let names = NameWidth(names.0.min(room.saturating_sub(taken(&figures)).max(LEAST_NAME)));
    let line = |run: &LiveRun| {
        let mut line = Line::new().plain(&names.put(&run.name));
        let has_phase = figures.iter().any(|(figure, _)| *figure == Figure::Phase);
        for (figure, width) in &figures {
            let style = if *figure == Figure::Meter { BLUE } else { Style::new() };
            let text = match figure {
                Figure::Left if !has_phase => left_or_phase(run),
                figure => said(run, *figure),
            };
            let aligned = match figure {
                Figure::Percent | Figure::Steps => format!("{text:>width$}"),
                _ => padded(&text, *width),
            };
            line = line.plain(GAP).with(style, &aligned);
        }
        line
    };
    runs.iter().map(line).collect()
}

/// What stands for the time left where there is no room for the phase, and no time known.
fn left_or_phase(run: &LiveRun) -> String {
    Some(said(run, Figure::Left)).filter(|left| !left.is_empty()).unwrap_or_else(|| said(run, Figure::Phase))
}

fn said(run: &LiveRun, figure: Figure) -> String {
    let percent = || (run.step.min(run.steps) * 100).checked_div(run.steps);
    match figure {
        Figure::Meter | Figure::Steps if run.steps == 0 => String::new(),
        Figure::Meter => meter(run.step, run.steps),
        Figure::Percent => percent().map(|percent| format!("{percent} %")).unwrap_or_default(),
        Figure::Steps => format!("{}/{}", say::count(run.step), say::count(run.steps)),
        Figure::Phase if run.phase == "training" => String::new(),
        Figure::Phase => run.phase.clone(),
        Figure::Left => run.left_seconds.map(|left| format!("{} left", duration(left))).unwrap_or_default(),
        Figure::Loss => run.loss.map(|loss| format!("loss {loss:.4}")).unwrap_or_default(),
        Figure::Rate => {
            let rate = run.rate.as_ref();
            rate.map(|(rate, of)| format!("{} {of}/s", short(*rate))).unwrap_or_default()
        }
    }
}

fn meter(step: u64, steps: u64) -> String {
    const CELLS: u64 = 12;
    let full = (step.min(steps) * CELLS).checked_div(steps).unwrap_or(0);
    (0..CELLS).map(|cell| if cell < full { '━' } else { '╌' }).collect()
}

/// A rate in four characters or so.
fn short(rate: f64) -> String {
    match rate {
        r if !r.is_finite() => "?".into(),
        r if r >= 1e6 => format!("{:.2}M", r / 1e6),
        r if r >= 1e4 => format!("{:.1}k", r / 1e3),
        r if r >= 100.0 => format!("{r:.0}"),
        r => format!("{r:.1}"),
    }
}

/// What a run has to say about itself without a place for each figure, for logs.
pub fn figures(run: &LiveRun) -> Vec<String> {
    let shown = [Figure::Steps, Figure::Percent, Figure::Phase, Figure::Left, Figure::Loss, Figure::Rate];
    shown.iter().map(|figure| said(run, *figure)).filter(|said| !said.is_empty()).collect()
}

/// `3 of 40 runs finished, 1 failed, 2 running, 34 waiting`.
pub fn counted(counts: &Counts) -> String {
    let all = counts.finished + counts.failed + counts.running + counts.waiting + counts.left;
    let mut text = format!("{} of {all} runs finished", counts.finished);
    for (count, word) in [
        (counts.failed, "failed"),
        (counts.running, "running"),
        (counts.waiting, "waiting"),
        (counts.left, "left alone"),
    ] {
        if count > 0 {
            text += &format!(", {count} {word}");
        }
    }
    text
}

/// `ends about 06:40, in 2 h 5 min`; nothing where nothing is left or known.
pub fn ending(facts: &Facts, zone: &TimeZone) -> Option<String> {
    let end = facts.end.filter(|end| *end > facts.now)?;
    Some(format!("ends about {}, in {}", clock(end, facts.now, zone), duration(end - facts.now)))
}

fn batch_lines(facts: &Facts, columns: usize, zone: &TimeZone) -> Vec<Line> {
    let (counts, end) = (counted(&facts.counts), ending(facts, zone).unwrap_or_default());
    let bold = |text: &str| Line::new().with(BOLD, text);
    let mut lines: Vec<Line> = Vec::new();
    if !end.is_empty() && width(&counts) + 2 + width(&end) <= columns {
        lines.push(bold(&counts).plain("; ").plain(&end));
    } else {
        lines.extend(wrapped(&counts, columns).iter().map(|text| bold(text)));
        lines.extend(wrapped(&end, columns).iter().map(|text| Line::new().plain(text)));
    }
    let remarks = facts.remarks.iter().flat_map(|remark| wrapped(remark, columns));
    lines.extend(remarks.map(|remark| Line::new().plain(&remark)));
    lines
}

/// Words in as many lines as they need; nothing for no words.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if width(line) + 1 + width(word) <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A time less than half a day away as `23:10`, another with its date; both in Unix seconds.
pub fn clock(time: f64, now: f64, zone: &TimeZone) -> String {
    let Ok(zoned) = jiff::Timestamp::from_second(time as i64) else { return "an unknown time".into() };
    let is_near = (time - now).abs() < 43_200.0;
    zoned.to_zoned(zone.clone()).strftime(if is_near { "%H:%M" } else { "%F %H:%M" }).to_string()
}

#[cfg(test)]
mod tests;
