//! What is not the same: rows of metrics, and tensors of two safetensors files.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::experiment::metric;
use crate::run_dir::metrics::Metrics;
use crate::run_dir::number::Number;
use crate::run_dir::verdict::Difference;

/// Rows that were compared, and the first difference in them.
#[derive(Debug, PartialEq)]
pub struct Rows {
    pub compared: u64,
    pub difference: Option<Difference>,
}

/// Holds the rows of the steps after `from` up to `to` against each other, in the columns that must
/// reproduce. The row of `to` may be missing in one: it is written after the evaluation that an
/// interruption put off.
pub fn rows(recorded: &Metrics, replayed: &Metrics, from: u64, to: u64) -> Rows {
    let of = |metrics: &Metrics| -> BTreeMap<u64, u32> {
        let Some(steps) = metrics.column("step") else { return BTreeMap::new() };
        let rows = steps.values.iter().map(|step| *step as u64).zip(steps.rows.iter().copied());
        rows.filter(|(step, _)| from < *step && *step <= to).collect()
    };
    let (ours, theirs) = (of(recorded), of(replayed));
    let steps: BTreeSet<u64> = ours.keys().chain(theirs.keys()).copied().collect();
    let mut compared = 0;
    for step in steps {
        let (row, other) = match (ours.get(&step), theirs.get(&step)) {
            (Some(row), Some(other)) => (*row, *other),
            _ if step == to => continue,
            (here, _) => {
                let difference = Some(Difference::Row { step, is_recorded: here.is_some() });
                return Rows { compared, difference };
            }
        };
        compared += 1;
        for column in replayed.columns.iter().filter(|column| metric::must_reproduce(&column.name)) {
            let is = recorded.column(&column.name).and_then(|column| column.in_row(row));
            let would_be = column.in_row(other);
            if is.map(f64::to_bits) != would_be.map(f64::to_bits) {
                let difference = Difference::Cell {
                    step,
                    column: column.name.clone(),
                    recorded: is.map(Number),
                    replayed: would_be.map(Number),
                };
                return Rows { compared, difference: Some(difference) };
            }
        }
    }
    Rows { compared, difference: None }
}

/// The first tensor of two checkpoints' `model.safetensors` that differs. None where the files cannot be
/// told apart this way: only in what stands around the tensors, or one is damaged.
pub fn tensors(recorded: &[u8], replayed: &[u8], step: u64) -> Option<Difference> {
    let (ours, theirs) = (Tensors::of(recorded)?, Tensors::of(replayed)?);
    theirs.list.iter().find_map(|(name, tensor)| {
        let before = ours.list.iter().find(|(other, _)| other == name).map(|(_, tensor)| tensor);
        let is = before.map_or(&[][..], |before| before.bytes);
        let place = (0..tensor.bytes.len()).find(|place| is.get(*place) != tensor.bytes.get(*place))?;
        let size = tensor.size.max(1);
        let number = |bytes: &[u8]| {
            let start = place / size * size;
            let four: [u8; 4] = bytes.get(start..start + 4)?.try_into().ok()?;
            tensor.is_fp32.then(|| Number(f64::from(f32::from_le_bytes(four))))
        };
        Some(Difference::Tensor {
            step,
            name: name.clone(),
            index: (place / size) as u64,
            recorded: number(is),
            replayed: number(tensor.bytes),
        })
    })
}

/// The tensors of a safetensors file, in the order in which they lie there. The format is eight bytes of
/// length, so many bytes of JSON, and the numbers, little-endian.
struct Tensors<'a> {
    list: Vec<(String, Tensor<'a>)>,
}

struct Tensor<'a> {
    bytes: &'a [u8],
    /// Bytes of one number.
    size: usize,
    is_fp32: bool,
}

impl Tensors<'_> {
    fn of(file: &[u8]) -> Option<Tensors<'_>> {
        let length = u64::from_le_bytes(file.get(..8)?.try_into().ok()?);
        let rest = &file[8..];
        let length = usize::try_from(length).ok()?;
        let header: Map<String, Value> = serde_json::from_slice(rest.get(..length)?).ok()?;
        let numbers = &rest[length..];
        let mut list = Vec::new();
        for (name, entry) in header.iter().filter(|(name, _)| *name != "__metadata__") {
            let offset = |index: usize| usize::try_from(entry["data_offsets"][index].as_u64()?).ok();
            let bytes = numbers.get(offset(0)?..offset(1)?)?;
            let dimensions = entry["shape"].as_array()?.iter().map(Value::as_u64);
            let count = dimensions.collect::<Option<Vec<u64>>>()?.into_iter().product::<u64>();
            let size = bytes.len() / usize::try_from(count.max(1)).ok()?;
            list.push((name.clone(), Tensor { bytes, size, is_fp32: entry["dtype"] == "F32" }));
        }
        Some(Tensors { list })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALM: &str = "step,time,train/loss,val/loss\n5,1,3,\n10,2,2.5,2.75\n15,3,nan,\n20,4,2,2\n";

    #[test]
    fn times_may_differ_and_nothing_else() {
        let later = CALM.replace(",1,", ",99,");
        let same = rows(&Metrics::of(CALM), &Metrics::of(&later), 0, 20);
        assert_eq!(same, Rows { compared: 4, difference: None });
        let other = Metrics::of(&CALM.replace("2.75", "2.7500000000000004"));
        let found = rows(&other, &Metrics::of(CALM), 0, 20).difference.unwrap().to_string();
        assert_eq!(found, "val/loss of step 10 is 2.7500000000000004 in metrics.csv and 2.75 in the replay");
        let empty = Metrics::of(&CALM.replace("nan", ""));
        let found = rows(&empty, &Metrics::of(CALM), 0, 20).difference.unwrap().to_string();
        assert!(found.contains("of step 15 is empty in metrics.csv and nan"), "{found}");
        assert_eq!(
            rows(&other, &Metrics::of(CALM), 10, 20).difference,
            None,
            "what is before does not count"
        );
    }

    #[test]
    fn a_row_that_is_missing_counts_but_for_the_last() {
        let without = |line: &str| Metrics::of(&CALM.replace(line, ""));
        let found = rows(&without("15,3,nan,\n"), &Metrics::of(CALM), 0, 20).difference;
        assert_eq!(found, Some(Difference::Row { step: 15, is_recorded: false }));
        let found = rows(&Metrics::of(CALM), &without("15,3,nan,\n"), 0, 20).difference;
        assert_eq!(found, Some(Difference::Row { step: 15, is_recorded: true }));
        assert_eq!(rows(&without("20,4,2,2\n"), &Metrics::of(CALM), 0, 20).difference, None);
    }

    fn file(second: [f32; 3]) -> Vec<u8> {
        let header = r#"{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[3],"data_offsets":[8,20]}}"#;
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        for number in [1.0, 2.0].iter().chain(&second) {
            bytes.extend(number.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn the_first_tensor_that_differs_is_named_with_the_number_in_it() {
        let one = file([0.5, 1.5, 2.5]);
        assert_eq!(tensors(&one, &one, 7), None);
        let found = tensors(&file([0.5, 1.75, 0.0]), &one, 7).unwrap();
        let expected = Difference::Tensor {
            step: 7,
            name: "b".into(),
            index: 1,
            recorded: Some(Number(1.75)),
            replayed: Some(Number(1.5)),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn files_that_are_none_are_no_panic() {
        let one = file([0.5, 1.5, 2.5]);
        for cut in [0, 4, 8, 40, one.len() - 3] {
            assert_eq!(tensors(&one[..cut], &one, 7), None, "{cut}");
        }
        let mut huge = one.clone();
        huge[..8].copy_from_slice(&u64::MAX.to_le_bytes());
        assert_eq!(tensors(&huge, &one, 7), None);
    }
}
