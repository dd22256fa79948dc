//! Histograms of TensorBoard as the quantiles that pages draw: within a bucket values are taken to lie evenly.
//!
//! `HistogramProto` has bucket limits and counts (framework/summary.proto); the newer plugin has a tensor with left
//! edge, right edge and count in each row (tensorboard/plugins/histogram/metadata.py).

use super::event::Tensor;
use super::protobuf::{Wire, field, fields};
use crate::run_dir::distributions::QUANTILES;

/// Buckets of one histogram: TensorBoard's own have fewer than two thousand.
const MOST_BUCKETS: usize = 1 << 16;

pub type Quantiles = [f64; QUANTILES.len()];

/// The quantiles of a `HistogramProto`; nothing where it holds no values, or nonsense.
pub fn of_message(message: &[u8]) -> Option<Quantiles> {
    let number = |at| field(message, at).map(Wire::double).filter(|value| value.is_finite());
    let (limits, counts) = (doubles(message, 6), doubles(message, 7));
    if limits.len() != counts.len() || limits.len() > MOST_BUCKETS {
        return None;
    }
    let lefts = std::iter::once(f64::MIN).chain(limits.iter().copied());
    let buckets =
        lefts.zip(limits.iter().copied()).zip(counts).map(|((left, right), count)| (left, right, count));
    quantiles(&buckets.collect::<Vec<_>>(), number(1), number(2))
}

/// The quantiles of a tensor whose rows are buckets.
pub fn of_tensor(tensor: Tensor) -> Option<Quantiles> {
    let numbers = tensor.numbers(3 * MOST_BUCKETS)?;
    let (rows, rest) = numbers.as_chunks::<3>();
    let buckets: Vec<(f64, f64, f64)> =
        rows.iter().map(|&[left, right, count]| (left, right, count)).collect();
    rest.is_empty().then(|| quantiles(&buckets, None, None)).flatten()
}

/// Repeated doubles, packed or not.
fn doubles(message: &[u8], number: u64) -> Vec<f64> {
    let mut values = Vec::new();
    for (_, value) in fields(message).filter(|(known, _)| *known == number) {
        match value {
            Wire::Bytes(packed) => {
                values.extend(packed.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes)));
            }
            other => values.push(other.double()),
        }
        if values.len() > MOST_BUCKETS {
            break;
        }
    }
    values
}

/// `least` and `most` are told beside the buckets, whose outer edges may be the ends of all numbers.
fn quantiles(buckets: &[(f64, f64, f64)], least: Option<f64>, most: Option<f64>) -> Option<Quantiles> {
    let is_sound = |&(left, right, count): &(f64, f64, f64)| !left.is_nan() && left <= right && count >= 0.0;
    let full = || buckets.iter().filter(|(_, _, count)| *count > 0.0);
    let whole: f64 = full().map(|(_, _, count)| count).sum();
    if !buckets.iter().all(is_sound) || !whole.is_finite() || whole <= 0.0 {
        return None;
    }
    let least = least.or(full().next().map(|(left, _, _)| *left))?;
    let most = most.or(full().next_back().map(|(_, right, _)| *right))?;
    let at = |share: f64| {
        let (wanted, mut below) = (share * whole, 0.0);
        for &(left, right, count) in full() {
            if below + count >= wanted {
                let (left, right) = (left.max(least), right.min(most).max(least));
                return left + (right - left) * ((wanted - below) / count).clamp(0.0, 1.0);
            }
            below += count;
        }
        most
    };
    let mut found = QUANTILES.map(|(_, share)| at(share));
    // They never go back, however the edges and the two ends disagree.
    (found[0], found[QUANTILES.len() - 1]) = (least, most);
    for place in 1..found.len() {
        found[place] = found[place].max(found[place - 1]);
    }
    found.iter().all(|value| value.is_finite()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::super::event::Event;
    use super::super::event::What;
    use super::super::event::written::{event, tensor};
    use super::super::protobuf::written::{bytes, double, integer};
    use super::*;

    fn packed(values: &[f64]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    fn message(least: f64, most: f64, limits: &[f64], counts: &[f64]) -> Vec<u8> {
        [double(1, least), double(2, most), bytes(6, &packed(limits)), bytes(7, &packed(counts))].concat()
    }

    #[test]
    fn quantiles_lie_evenly_within_the_buckets_of_both_kinds() {
        let even = [0.0, 0.5, 2.5, 5.0, 7.5, 9.5, 10.0];
        let near = |found: Option<Quantiles>| {
            let found = found.unwrap();
            assert!(found.iter().zip(even).all(|(found, even)| (found - even).abs() < 1e-9), "{found:?}");
        };
        near(of_message(&message(0.0, 10.0, &[0.0, 5.0, f64::MAX], &[0.0, 50.0, 50.0])));
        let unpacked = [double(1, 0.0), double(2, 10.0), double(6, 10.0), double(7, 4.0)].concat();
        near(of_message(&unpacked));
        for (kind, values) in [
            (2, packed(&[0.0, 5.0, 50.0, 5.0, 10.0, 50.0])),
            (1, [0.0_f32, 10.0, 8.0].iter().flat_map(|value| value.to_le_bytes()).collect()),
        ] {
            let value = tensor("weights", "histograms", &[integer(1, kind), bytes(4, &values)].concat());
            let record = event(1.7e9, 1, &[value]);
            let What::Tensor(tensor) = Event::read(&record).values().next().unwrap().what else { panic!() };
            near(of_tensor(tensor));
        }
    }

    #[test]
    fn empty_and_nonsensical_histograms_have_no_quantiles() {
        let nan = f64::NAN;
        for (limits, counts) in [
            (&[][..], &[][..]),
            (&[1.0], &[0.0]),
            (&[1.0], &[1.0, 2.0]),
            (&[1.0, 0.5], &[1.0, 1.0]),
            (&[nan], &[1.0]),
            (&[1.0], &[nan]),
            (&[1.0], &[f64::INFINITY]),
            (&[1.0], &[-1.0]),
        ] {
            assert_eq!(of_message(&message(0.0, 1.0, limits, counts)), None, "{limits:?} {counts:?}");
        }
        assert_eq!(of_message(b"\x32\xff\xff\xff\xff\x0f"), None, "a length beyond its end");
        let ends = of_message(&message(5.0, -5.0, &[0.0, 1.0], &[1.0, 1.0])).unwrap();
        assert!(ends.windows(2).all(|pair| pair[0] <= pair[1]), "{ends:?}");
    }
}
