//! What of telemetry is better said than drawn: lower clocks and their reasons, errors of the GPU, company
//! on it, and where the energy comes from.

use super::super::super::chart::number::count;
use super::super::super::say::Clock;
use crate::run_dir::metrics::{Column, Metrics};
use crate::run_dir::telemetry::{Energy, LOST, THROTTLE, XID, throttle_words, xid_words};

/// Marks of one kind on a chart.
const MARKS: usize = 4;
/// Errors that are named one by one.
const ERRORS: usize = 8;

/// Something to mark on the charts of a GPU, at Unix seconds.
pub struct Mark {
    pub time: f64,
    pub word: String,
    of_clocks: bool,
}

impl Mark {
    /// Whether it belongs on the chart of this column: reasons for lower clocks on that of the clocks.
    pub fn is_on(&self, column: &str) -> bool {
        !self.of_clocks || column.ends_with("_clock_mhz") && !column.ends_with("_memory_clock_mhz")
    }
}

/// Errors, and the moments from which on the clocks were held down.
pub fn marks(table: &Metrics) -> Vec<Mark> {
    let xids = xids(table).into_iter().map(|(time, code)| (time, format!("XID {code}"), false));
    let lost = lost(table).into_iter().map(|time| (time, "lost".to_owned(), false));
    let begins = throttled(table).into_iter().map(|(time, words)| (time, words.to_owned(), true));
    let marks = xids.take(MARKS).chain(lost).chain(begins.take(MARKS));
    marks.map(|(time, word, of_clocks)| Mark { time, word, of_clocks }).collect()
}

/// Sentences above the charts.
pub fn notes(table: &Metrics, clock: &Clock) -> Vec<String> {
    let mut notes = Vec::new();
    let xids = xids(table);
    for (time, code) in xids.iter().take(ERRORS) {
        let (code, moment) = (*code, clock.moment(*time).text);
        notes.push(format!("The GPU reported XID {code} at {moment}: {}.", xid_words(code)));
    }
    if xids.len() > ERRORS {
        notes.push(format!("It reported {} more errors.", count((xids.len() - ERRORS) as u64)));
    }
    if let Some(time) = lost(table) {
        notes.push(format!("The GPU was lost at {}.", clock.moment(time).text));
    }
    notes.extend(held_down(table));
    let most = ends_with(table, "processes_count").flat_map(|column| &column.values);
    let most = most.copied().fold(0.0, f64::max);
    if most > 1.0 {
        let many = count(most as u64);
        notes.push(format!(
            "Up to {many} processes were on the GPU at once: its use, memory and power are of all of them."
        ));
    }
    notes.extend(energy(table));
    notes
}

/// "The GPU's clocks were held down in 12 % of the samples: at its power limit (10 %), too warm (2 %)."
fn held_down(table: &Metrics) -> Option<String> {
    let samples: Vec<&String> =
        ends_with(table, THROTTLE).flat_map(|column| &column.words).map(|(_, words)| words).collect();
    let mut reasons: Vec<(&'static str, usize)> = Vec::new();
    let mut slow = 0;
    for words in &samples {
        let meant: Vec<&'static str> = words.split(' ').filter_map(throttle_words).collect();
        slow += usize::from(!meant.is_empty());
        for meaning in meant {
            match reasons.iter_mut().find(|(known, _)| *known == meaning) {
                Some((_, times)) => *times += 1,
                None => reasons.push((meaning, 1)),
            }
        }
    }
    if slow == 0 {
        return None;
    }
    reasons.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
    let share = |times: usize| format!("{:.0} %", (times as f64 / samples.len() as f64 * 100.0).max(1.0));
    let listed: Vec<String> =
        reasons.iter().map(|(meaning, times)| format!("{meaning} ({})", share(*times))).collect();
    Some(format!("The GPU's clocks were held down in {} of the samples: {}.", share(slow), listed.join(", ")))
}

fn energy(table: &Metrics) -> Option<String> {
    let Energy { gpu_joules, cpu_joules } = Energy::of(table);
    let whole = |joules: f64| format!("{} J", count(joules.round().max(0.0) as u64));
    let gpu = gpu_joules.map(|joules| {
        format!(
            "{} of the GPU, an equal part wherever runs shared it, power without load counted in",
            whole(joules)
        )
    });
    let cpu =
        cpu_joules.map(|joules| format!("{} of the processor, by the time that it computed", whole(joules)));
    let parts: Vec<String> = gpu.into_iter().chain(cpu).collect();
    let total = Energy { gpu_joules, cpu_joules }.total_joules()?;
    Some(format!("Over all attempts the run took {}: {}.", crate::say::energy(total), parts.join("; ")))
}

/// Time and number of each error.
fn xids(table: &Metrics) -> Vec<(f64, u64)> {
    let columns = ends_with(table, XID);
    columns
        .flat_map(|column| table.points("time", &column.name))
        .map(|(time, code)| (time, code as u64))
        .collect()
}

/// When the GPU was lost for the first time.
fn lost(table: &Metrics) -> Option<f64> {
    let columns = ends_with(table, LOST);
    columns.flat_map(|column| table.points("time", &column.name)).map(|(time, _)| time).next()
}

/// From when on which reason held the clocks down, each time that it began.
fn throttled(table: &Metrics) -> Vec<(f64, &'static str)> {
    let Some(time) = table.column("time") else { return Vec::new() };
    let mut begins = Vec::new();
    for column in ends_with(table, THROTTLE) {
        let mut before = None;
        for (row, words) in &column.words {
            let now = words.split(' ').find_map(throttle_words);
            if let (Some(meaning), Some(time)) = (now.filter(|_| now != before), time.in_row(*row)) {
                begins.push((time, meaning));
            }
            before = now;
        }
    }
    begins
}

fn ends_with<'a>(table: &'a Metrics, end: &str) -> impl Iterator<Item = &'a Column> {
    table.columns.iter().filter(move |column| column.name.starts_with("gpu") && column.name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Metrics {
        let mut table = Metrics::default();
        table.extend(
            b"time,gpu_throttle_reasons,gpu_xid_code,gpu_lost,gpu_processes_count,run_gpu_energy_joules\n\
              0,idle,,,1,0\n60,power-cap,,,3,1000\n120,power-cap thermal,31,,2,2000\n180,none,,,1,1512000\n240,,79,1,,\n",
        );
        table
    }

    #[test]
    fn errors_throttling_company_and_energy_are_said_in_words() {
        let notes = notes(&table(), &Clock::ahead_of_utc(0, 300.0));
        assert_eq!(
            notes,
            [
                "The GPU reported XID 31 at 00:02: a program touched GPU memory that is not its own.",
                "The GPU reported XID 79 at 00:04: it has fallen off the bus.",
                "The GPU was lost at 00:04.",
                "The GPU's clocks were held down in 50 % of the samples: at its power limit (50 %), too warm (25 %).",
                "Up to 3 processes were on the GPU at once: its use, memory and power are of all of them.",
                "Over all attempts the run took 0.42 kWh: 1,512,000 J of the GPU, an equal part wherever runs shared it, power without load counted in.",
            ]
        );
    }

    #[test]
    fn marks_stand_where_it_began() {
        let marks: Vec<(f64, String)> =
            marks(&table()).into_iter().map(|mark| (mark.time, mark.word)).collect();
        let expected = [(120.0, "XID 31"), (240.0, "XID 79"), (240.0, "lost"), (60.0, "at its power limit")];
        assert_eq!(marks, expected.map(|(time, word)| (time, word.to_owned())));
        let clocks = Mark { time: 0.0, word: String::new(), of_clocks: true };
        assert!(clocks.is_on("gpu_clock_mhz") && !clocks.is_on("gpu_memory_clock_mhz"));
    }

    #[test]
    fn a_calm_run_on_the_processor_has_nothing_to_say() {
        let mut table = Metrics::default();
        table.extend(b"time,cpu_percent\n0,50\n");
        assert_eq!(notes(&table, &Clock::ahead_of_utc(0, 1.0)), [""; 0]);
    }
}
