//! Rows of `metrics.csv` as running hashes: all rows are too many to send, a few hashes of them prove
//! equality in bits, and the beginnings of many tell from which row on two runs part.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::experiment::metric;
use crate::run_dir::metrics::Metrics;

/// The rows up to a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    pub step: u64,
    /// Beginning of a hash over all rows so far, in hex.
    pub hash: String,
}

/// Of every so many rows the beginning of the same hash. One that is equal by chance is a row of which the
/// difference is told late; the next one gives it away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    pub every: u32,
    /// Bytes of each.
    pub bytes: u8,
    /// All of them, one after the other, in base64.
    pub hashes: String,
}

/// From where on two runs differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parted {
    /// The last step that was held against the other's and was equal; 0 where none was.
    pub after: u64,
    /// The first that was and is not.
    pub step: u64,
    /// Whether `after` may be equal by chance: one in two to so many.
    pub bits: u32,
    /// Rows here in between that nobody compared.
    pub between: usize,
}

/// Hex digits of a mark: enough that no two histories have the same.
const DIGITS: usize = 20;
/// Bytes of a hash in a chain at most.
const MOST_BYTES: u8 = 4;

/// Marks at `most` rows at the most, evenly, the last one among them.
pub fn marks(metrics: &Metrics, most: usize) -> Vec<Mark> {
    let all = hashes(metrics);
    let every = all.len().div_ceil(most.max(1)).max(1);
    let is_marked = |index: usize| (all.len() - 1 - index).is_multiple_of(every);
    let marked = all.iter().enumerate().filter(|(index, _)| is_marked(*index));
    marked.map(|(_, (step, hash))| mark(*step, hash)).collect()
}

/// A chain of `most` bytes at the most: of each row if it can, with as many bytes as it can.
pub fn chain(metrics: &Metrics, most: usize) -> Option<Chain> {
    let all = hashes(metrics);
    if all.is_empty() || most == 0 {
        return None;
    }
    let every = all.len().div_ceil(most);
    let bytes = (most / all.len()).clamp(1, usize::from(MOST_BYTES));
    let taken = all.iter().skip(every - 1).step_by(every);
    let hashes: Vec<u8> = taken.flat_map(|(_, hash)| &hash.as_bytes()[..bytes]).copied().collect();
    let every = u32::try_from(every).ok()?;
    Some(Chain { every, bytes: bytes as u8, hashes: STANDARD.encode(hashes) })
}

impl Chain {
    /// What is wrong with one that somebody sent.
    pub fn problem(&self) -> Option<String> {
        if self.every == 0 || !(1..=MOST_BYTES).contains(&self.bytes) {
            return Some(format!("{} bytes of every {} rows are no chain", self.bytes, self.every));
        }
        match STANDARD.decode(&self.hashes) {
            Ok(hashes) if hashes.len().is_multiple_of(usize::from(self.bytes)) => None,
            Ok(_) => Some("its last hash is cut".into()),
            Err(error) => Some(error.to_string()),
        }
    }

    /// What it says of the rows here, up to the first that is another.
    fn held(&self, ours: &[(u64, blake3::Hash)]) -> Vec<Held> {
        if self.problem().is_some() {
            return Vec::new();
        }
        let hashes = STANDARD.decode(&self.hashes).unwrap_or_default();
        let (every, bytes) = (self.every as usize, usize::from(self.bytes));
        let places = (every - 1..ours.len()).step_by(every);
        let all = hashes.chunks_exact(bytes).zip(places).map(|(recorded, place)| {
            let (step, hash) = &ours[place];
            let is_equal = hash.as_bytes().starts_with(recorded);
            Held { place, step: *step, bits: u32::from(self.bytes) * 8, is_equal }
        });
        to_the_first_other(all)
    }
}

/// A row here, held against a hash of it.
struct Held {
    place: usize,
    step: u64,
    bits: u32,
    is_equal: bool,
}

/// From where on the rows here are not those that were recorded; none where they are as far as both came.
/// Also how many rows were compared.
pub fn first_difference(recorded: &[Mark], chain: Option<&Chain>, here: &Metrics) -> (usize, Option<Parted>) {
    let ours = hashes(here);
    let (marked, linked) = (marked(recorded, &ours), chain.map_or_else(Vec::new, |chain| chain.held(&ours)));
    let compared = marked.len().max(linked.len());
    // Of a row that has both, the mark says more, and comes last.
    let all = || linked.iter().chain(&marked);
    let Some(first) = all().filter(|held| !held.is_equal).min_by_key(|held| held.place) else {
        return (compared, None);
    };
    let before = all().filter(|held| held.is_equal && held.place < first.place);
    let before = before.max_by_key(|held| held.place);
    let parted = Parted {
        after: before.map_or(0, |before| before.step),
        step: first.step,
        bits: before.map_or(SURE, |before| before.bits),
        between: first.place - before.map_or(0, |before| before.place + 1),
    };
    (compared, Some(parted))
}

/// Bits of a mark.
const SURE: u32 = DIGITS as u32 * 4;

/// What the marks say of the rows here.
fn marked(recorded: &[Mark], ours: &[(u64, blake3::Hash)]) -> Vec<Held> {
    let came = ours.last().map_or(0, |(step, _)| *step);
    let all = recorded.iter().filter(|mark| mark.step <= came).map(|recorded| {
        let place = ours.binary_search_by_key(&recorded.step, |(step, _)| *step);
        let is_equal = place.is_ok_and(|place| mark(ours[place].0, &ours[place].1) == *recorded);
        // A row that is missing here would stand before the next one.
        Held { place: place.unwrap_or_else(|next| next), step: recorded.step, bits: SURE, is_equal }
    });
    to_the_first_other(all)
}

fn to_the_first_other(all: impl Iterator<Item = Held>) -> Vec<Held> {
    let mut held = Vec::new();
    for one in all {
        let is_equal = one.is_equal;
        held.push(one);
        if !is_equal {
            break;
        }
    }
    held
}

fn mark(step: u64, hash: &blake3::Hash) -> Mark {
    Mark { step, hash: hash.to_hex()[..DIGITS].to_owned() }
}

/// Of each row its step, and the hash of all rows up to it as far as they must reproduce.
fn hashes(metrics: &Metrics) -> Vec<(u64, blake3::Hash)> {
    let Some(steps) = metrics.column("step") else { return Vec::new() };
    let mut columns: Vec<_> = metrics
        .columns
        .iter()
        .filter(|column| column.name != "step" && metric::must_reproduce(&column.name))
        .collect();
    columns.sort_by(|one, other| one.name.cmp(&other.name));
    let mut hasher = blake3::Hasher::new_derive_key("overnight rows of a run, protocol 1");
    let mut hashes = Vec::with_capacity(steps.values.len());
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
        hashes.push((*step as u64, hasher.finalize()));
    }
    hashes
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALM: &str = "step,time,train/loss,val/loss\n5,1,3,\n10,2,2.5,2.75\n15,3,nan,\n20,4,2,2\n";

    #[test]
    fn a_difference_is_found_between_two_marks_and_times_may_differ() {
        let calm = Metrics::of(CALM);
        let steps = |marks: &[Mark]| marks.iter().map(|mark| mark.step).collect::<Vec<_>>();
        let (all, some) = (marks(&calm, 32), marks(&calm, 2));
        assert_eq!((steps(&all), steps(&some)), (vec![5, 10, 15, 20], vec![10, 20]));
        assert!(marks(&Metrics::of(""), 4).is_empty());
        let parted = |after, step, between| Some(Parted { after, step, bits: SURE, between });
        for (text, of_all, of_some) in [
            (CALM.replace(",1,", ",99,"), (4, None), (2, None)),
            (CALM.replace("2.75", "2.7500000000000004"), (2, parted(5, 10, 0)), (1, parted(0, 10, 1))),
            (CALM.replace("20,4,2,2", "20,4,2,"), (4, parted(15, 20, 0)), (2, parted(10, 20, 1))),
            (CALM.replace("20,4,2,2\n", ""), (3, None), (1, None)),
            (CALM.replace("15,3,nan,\n", ""), (3, parted(10, 15, 0)), (2, parted(10, 20, 0))),
        ] {
            let here = Metrics::of(&text);
            assert_eq!(first_difference(&all, None, &here), of_all, "{text}");
            assert_eq!(first_difference(&some, None, &here), of_some, "{text}");
        }
    }

    /// Ten thousand rows, one a step, of which the one of `other` is another.
    fn long(other: u64) -> Metrics {
        let row = |step: u64| format!("{step},{}\n", 1.0 / step as f64 + f64::from(u8::from(step == other)));
        Metrics::of(&format!("step,train/loss\n{}", (1..=10_000).map(row).collect::<String>()))
    }

    #[test]
    fn a_chain_tells_the_row_itself_where_a_file_has_room_and_else_between_which() {
        let recorded = long(0);
        let few = marks(&recorded, 3);
        for (most, every, bytes) in [
            (80_000, 1, 4),
            (40_000, 1, 4),
            (39_999, 1, 3),
            (10_000, 1, 1),
            (9_999, 2, 1),
            (1_200, 9, 1),
            (600, 17, 1),
            (1, 10_000, 1),
        ] {
            let chain = chain(&recorded, most).unwrap();
            assert_eq!((chain.every, chain.bytes), (every, bytes), "{most}");
            assert_eq!(chain.problem(), None);
            let decoded = STANDARD.decode(&chain.hashes).unwrap();
            assert!(decoded.len() <= most);
            assert_eq!(first_difference(&few, Some(&chain), &recorded).1, None);
        }
        let fine = chain(&recorded, 40_000).unwrap();
        let coarse = chain(&recorded, 600).unwrap();
        for at in [1, 2, 17, 3_333, 3_334, 4_951, 9_999, 10_000] {
            let here = long(at);
            let (_, found) = first_difference(&few, Some(&fine), &here);
            let found = found.unwrap();
            assert_eq!((found.after, found.step, found.between), (at - 1, at, 0));
            assert_eq!(
                found.bits,
                if at == 1 || few.iter().any(|mark| mark.step == at - 1) { 80 } else { 32 }
            );
            let (_, found) = first_difference(&few, Some(&coarse), &here);
            let found = found.unwrap();
            assert!(
                found.after < at && at <= found.step && found.step - found.after <= 17,
                "{at}: {found:?}"
            );
            assert_eq!(found.between as u64, found.step - found.after - 1);
        }
    }

    #[test]
    fn what_is_missing_or_by_chance_equal_is_found_by_what_follows() {
        let recorded = Metrics::of(CALM);
        let all = marks(&recorded, 32);
        let chain = chain(&recorded, 100).unwrap();
        let without = Metrics::of(&CALM.replace("15,3,nan,\n", ""));
        let (_, found) = first_difference(&[], Some(&chain), &without);
        assert_eq!(found, Some(Parted { after: 10, step: 20, bits: 32, between: 0 }));
        let shorter = Metrics::of(&CALM.replace("20,4,2,2\n", ""));
        assert_eq!(first_difference(&all, Some(&chain), &shorter), (3, None));
        // A chain that says the same of other rows: the marks know better.
        let other = Metrics::of(&CALM.replace("2.75", "2.8"));
        let lucky = super::chain(&other, 100).unwrap();
        let (_, found) = first_difference(&all, Some(&lucky), &other);
        assert_eq!(found.map(|found| (found.after, found.step, found.bits)), Some((5, 10, SURE)));
        assert!(super::chain(&Metrics::of(""), 100).is_none() && super::chain(&recorded, 0).is_none());
    }

    #[test]
    fn a_chain_that_somebody_made_up_is_told_and_never_followed() {
        let good = chain(&Metrics::of(CALM), 100).unwrap();
        for bad in [
            Chain { every: 0, ..good.clone() },
            Chain { bytes: 0, ..good.clone() },
            Chain { bytes: 200, ..good.clone() },
            Chain { bytes: 3, ..good.clone() },
            Chain { hashes: "%%".into(), ..good.clone() },
        ] {
            assert!(bad.problem().is_some(), "{bad:?}");
            assert!(bad.held(&hashes(&Metrics::of(CALM))).is_empty());
        }
        let far = Chain { every: u32::MAX, ..good };
        assert!(far.held(&hashes(&Metrics::of(CALM))).is_empty());
    }
}
