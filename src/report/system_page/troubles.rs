//! What went wrong with the GPUs of a machine: errors, and stretches in which their clocks were held down.

use super::super::chart::night::{Bar, Kind, Lane};
use crate::run_dir::metrics::{Column, Metrics};
use crate::run_dir::telemetry::{LOST, THROTTLE, XID, throttle_words};

/// The troubles of one GPU.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Troubles {
    /// Unix seconds and the driver's number.
    pub errors: Vec<(f64, u64)>,
    /// From when on it did not answer.
    pub lost: Option<f64>,
    pub slow: Vec<Slow>,
    /// Part of the samples in which it was held down, from 0 to 1.
    pub slow_part: f64,
}

/// A stretch in which the clocks were held down for one reason.
#[derive(Clone, Debug, PartialEq)]
pub struct Slow {
    pub from: f64,
    pub until: f64,
    pub why: &'static str,
}

/// Stretches nearer to each other than this, or than a part of the night, are one.
const APART_SECONDS: f64 = 30.0;
const APART_PART: f64 = 1.0 / 300.0;
/// Errors that are marked one by one.
const MOST_ERRORS: usize = 40;

/// The GPUs of a batch's table by their prefix in column names, `gpu0` first.
pub fn devices(table: &Metrics) -> Vec<String> {
    let mut numbers: Vec<u32> = table
        .columns
        .iter()
        .filter_map(|column| column.name.strip_prefix("gpu")?.split_once('_')?.0.parse().ok())
        .collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers.into_iter().map(|number| format!("gpu{number}")).collect()
}

/// "gpu0" is "GPU 0", as attempts name it.
pub fn name(device: &str) -> String {
    format!("GPU {}", device.strip_prefix("gpu").unwrap_or(device))
}

pub fn troubles(table: &Metrics, device: &str) -> Troubles {
    let column = |end: &str| table.column(&format!("{device}_{end}"));
    let points = |end: &str| table.points("time", &format!("{device}_{end}")).collect::<Vec<_>>();
    let (slow, slow_part) = column(THROTTLE).map(|words| slow(table, words)).unwrap_or_default();
    Troubles {
        errors: points(XID).into_iter().map(|(time, code)| (time, code as u64)).collect(),
        lost: points(LOST).first().map(|(time, _)| *time),
        slow,
        slow_part,
    }
}

fn slow(table: &Metrics, words: &Column) -> (Vec<Slow>, f64) {
    let Some(time) = table.column("time") else { return Default::default() };
    let (first, last) = (time.values.first().copied().unwrap_or(0.0), time.last().unwrap_or(0.0));
    let apart = ((last - first) * APART_PART).max(APART_SECONDS);
    let mut found: Vec<Slow> = Vec::new();
    let mut rows = 0;
    for (row, reasons) in &words.words {
        let Some(why) = reasons.split(' ').find_map(throttle_words) else { continue };
        rows += 1;
        let Some(from) = time.in_row(*row) else { continue };
        // What a sample says holds until the next one.
        let until = time.in_row(row + 1).filter(|next| (0.0..apart).contains(&(next - from))).unwrap_or(from);
        match found.last_mut() {
            Some(before) if before.why == why && from - before.until <= apart && from >= before.from => {
                before.until = until;
            }
            _ => found.push(Slow { from, until, why }),
        }
    }
    (found, rows as f64 / words.words.len().max(1) as f64)
}

/// The troubles as lanes below those of the GPU's runs; none where it had none.
pub fn lanes(device: &str, troubles: &Troubles) -> Vec<Lane> {
    let name = name(device);
    let bar = |start, end, label: String, kind| Bar { start, end, label, kind };
    let slow = troubles
        .slow
        .iter()
        .map(|slow| bar(slow.from, slow.until, format!("{name} {}", slow.why), Kind::Slow));
    let errors = troubles.errors.iter().take(MOST_ERRORS);
    let errors = errors.map(|(time, code)| bar(*time, *time, format!("{name} XID {code}"), Kind::Error));
    let lost = troubles.lost.map(|time| bar(time, time, format!("{name} lost"), Kind::Error));
    let lanes = [("held down", slow.collect::<Vec<_>>()), ("errors", errors.chain(lost).collect())];
    let lanes = lanes.into_iter().filter(|(_, bars)| !bars.is_empty());
    lanes.map(|(label, bars)| Lane { label: label.to_owned(), bars }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &str) -> Metrics {
        let mut table = Metrics::default();
        let head = "time,gpu0_use_percent,gpu0_throttle_reasons,gpu0_xid_code,gpu0_lost,gpu10_use_percent\n";
        table.extend(format!("{head}{rows}").as_bytes());
        table
    }

    #[test]
    fn stretches_of_one_reason_that_lie_near_each_other_are_one() {
        let table = table(
            "0,1,none,,,1\n2,1,power-cap,,,1\n4,1,power-cap thermal,,,1\n6,1,idle,,,1\n20,1,power-cap,,,1\n\
             22,1,none,,,1\n100,1,thermal,,,1\n102,1,thermal,31,,1\n104,1,none,79,1,1\n",
        );
        let found = troubles(&table, "gpu0");
        let slow = |from, until, why| Slow { from, until, why };
        assert_eq!(found.slow, [slow(2.0, 22.0, "at its power limit"), slow(100.0, 104.0, "too warm")]);
        assert_eq!((found.errors.as_slice(), found.lost), (&[(102.0, 31), (104.0, 79)][..], Some(104.0)));
        assert!((found.slow_part - 5.0 / 9.0).abs() < 1e-9);
        let lanes = lanes("gpu0", &found);
        let told: Vec<(&str, Vec<&str>)> = lanes
            .iter()
            .map(|lane| (lane.label.as_str(), lane.bars.iter().map(|bar| bar.label.as_str()).collect()))
            .collect();
        let expected = [
            ("held down", vec!["GPU 0 at its power limit", "GPU 0 too warm"]),
            ("errors", vec!["GPU 0 XID 31", "GPU 0 XID 79", "GPU 0 lost"]),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn gpus_stand_in_the_order_of_their_numbers_and_calm_ones_have_no_lane() {
        let calm = table("0,1,none,,,1\n");
        assert_eq!(devices(&calm), ["gpu0", "gpu10"]);
        assert_eq!(name("gpu10"), "GPU 10");
        assert_eq!(lanes("gpu10", &troubles(&calm, "gpu10")), []);
        assert_eq!(devices(&Metrics::default()), [""; 0]);
    }
}
