//! Rows of `metrics.csv` as running hashes: all rows are too many to send, a few hashes of them prove
//! equality in bits and tell between which rows two runs part.

use serde::{Deserialize, Serialize};

use crate::experiment::metric::Metric;
use crate::run_dir::metrics::Metrics;

/// The rows up to a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    pub step: u64,
    /// Beginning of a hash over all rows so far, in hex.
    pub hash: String,
}

/// Hex digits of a mark: enough that no two histories have the same.
const DIGITS: usize = 20;

/// Marks at `most` rows at the most, evenly, the last one among them.
pub fn marks(metrics: &Metrics, most: usize) -> Vec<Mark> {
    let all = rows(metrics);
    let every = all.len().div_ceil(most.max(1)).max(1);
    let is_marked = |index: usize| (all.len() - 1 - index).is_multiple_of(every);
    let marked = all.iter().enumerate().filter(|(index, _)| is_marked(*index));
    marked.map(|(_, mark)| mark.clone()).collect()
}

/// The last step at which both agree, and the first at which they are known not to; none where they agree
/// as far as both came. Also how many marks were compared.
pub fn first_difference(recorded: &[Mark], here: &Metrics) -> (usize, Option<(u64, u64)>) {
    let ours = rows(here);
    let came = ours.last().map_or(0, |mark| mark.step);
    let (mut compared, mut agreed) = (0, 0);
    for mark in recorded.iter().filter(|mark| mark.step <= came) {
        compared += 1;
        let is = ours.binary_search_by_key(&mark.step, |ours| ours.step).ok().map(|index| &ours[index]);
        if is.is_none_or(|is| is.hash != mark.hash) {
            return (compared, Some((agreed, mark.step)));
        }
        agreed = mark.step;
    }
    (compared, None)
}

/// A mark for each row.
fn rows(metrics: &Metrics) -> Vec<Mark> {
    let Some(steps) = metrics.column("step") else { return Vec::new() };
    let must_reproduce = |name: &str| Metric::named(name).is_none_or(|metric| metric.reproducible);
    let mut columns: Vec<_> = metrics
        .columns
        .iter()
        .filter(|column| column.name != "step" && must_reproduce(&column.name))
        .collect();
    columns.sort_by(|one, other| one.name.cmp(&other.name));
    let mut hasher = blake3::Hasher::new_derive_key("overnight rows of a run, protocol 1");
    let mut marks = Vec::with_capacity(steps.values.len());
    for (row, step) in steps.rows.iter().zip(&steps.values) {
        hasher.update(&step.to_bits().to_le_bytes());
        for column in &columns {
            // A name and its value: a column that nobody logged is as good as none.
            if let Some(value) = column.in_row(*row) {
                hasher.update(column.name.as_bytes()).update(b"=");
                // All that is no number is one: its bits are the processor's, and no text keeps them.
                let value = if value.is_nan() { f64::NAN } else { value };
                hasher.update(&value.to_bits().to_le_bytes());
            }
        }
        let hash = hasher.finalize().to_hex()[..DIGITS].to_owned();
        marks.push(Mark { step: *step as u64, hash });
    }
    marks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(text: &str) -> Metrics {
        let mut metrics = Metrics::default();
        metrics.extend(text.as_bytes());
        metrics
    }

    const CALM: &str = "step,time,train/loss,val/loss\n5,1,3,\n10,2,2.5,2.75\n15,3,nan,\n20,4,2,2\n";

    #[test]
    fn a_difference_is_found_between_two_marks_and_times_may_differ() {
        let calm = metrics(CALM);
        let steps = |marks: &[Mark]| marks.iter().map(|mark| mark.step).collect::<Vec<_>>();
        let (all, some) = (marks(&calm, 32), marks(&calm, 2));
        assert_eq!((steps(&all), steps(&some)), (vec![5, 10, 15, 20], vec![10, 20]));
        assert!(marks(&metrics(""), 4).is_empty());
        for (text, of_all, of_some) in [
            (CALM.replace(",1,", ",99,"), (4, None), (2, None)),
            (CALM.replace("2.75", "2.7500000000000004"), (2, Some((5, 10))), (1, Some((0, 10)))),
            (CALM.replace("20,4,2,2", "20,4,2,"), (4, Some((15, 20))), (2, Some((10, 20)))),
            (CALM.replace("20,4,2,2\n", ""), (3, None), (1, None)),
            (CALM.replace("15,3,nan,\n", ""), (3, Some((10, 15))), (2, Some((10, 20)))),
        ] {
            let here = metrics(&text);
            assert_eq!(first_difference(&all, &here), of_all, "{text}");
            assert_eq!(first_difference(&some, &here), of_some, "{text}");
        }
    }
}
