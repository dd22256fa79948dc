//! Training and validation: which items go where. A split depends on the data alone, never on a
//! run's seed, so that runs with other seeds are measured on the same items.

use super::DataError;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// How many of `items` come first, for training, when the last `fraction` is for validation.
///
/// # Errors
///
/// When one of the two parts would be empty.
pub fn split_by_position(items: usize, fraction: f64) -> Result<usize, DataError> {
    let training = ((1.0 - fraction) * items as f64).floor() as usize;
    check_split(training, items, fraction)?;
    Ok(training)
}

/// Item numbers of both parts, each in ascending order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitByClass {
    pub training: Vec<u32>,
    pub validation: Vec<u32>,
}

/// Takes about `fraction` of each class for validation, so that a small class is in both parts and
/// a file sorted by class does no harm.
///
/// # Errors
///
/// When one of the two parts would be empty.
pub fn split_by_class(labels: &[u16], fraction: f64) -> Result<SplitByClass, DataError> {
    let classes = labels.iter().map(|&label| label as usize + 1).max().unwrap_or(0);
    let mut of_class = vec![Vec::new(); classes];
    for (item, &label) in labels.iter().enumerate() {
        of_class[label as usize].push(item as u32);
    }
    let mut random = ChaCha8Rng::from_seed(*b"one split for every seed of runs");
    let mut split = SplitByClass { training: Vec::with_capacity(labels.len()), validation: Vec::new() };
    for mut items in of_class {
        shuffle(&mut items, &mut random);
        let count = items.len();
        let wanted = (fraction * count as f64).round() as usize;
        // Two images of a class are enough for one on each side.
        let wanted = if count < 2 { 0 } else { wanted.clamp(1, count - 1) };
        split.validation.extend_from_slice(&items[count - wanted..]);
        split.training.extend_from_slice(&items[..count - wanted]);
    }
    split.training.sort_unstable();
    split.validation.sort_unstable();
    let valid = fraction > 0.0 && fraction < 1.0;
    let training = if valid { split.training.len() } else { 0 };
    check_split(training, labels.len(), fraction)?;
    Ok(split)
}

fn check_split(training: usize, items: usize, fraction: f64) -> Result<(), DataError> {
    let part = if training == 0 {
        "training"
    } else if training >= items {
        "validation"
    } else {
        return Ok(());
    };
    Err(DataError::EmptySplit { part, fraction, items })
}

/// Fisher and Yates, written out so that no crate's new version changes a split.
fn shuffle(items: &mut [u32], random: &mut ChaCha8Rng) {
    for last in (1..items.len()).rev() {
        // The bias of the remainder is below 2^-32 for any list that fits in memory.
        let chosen = (random.next_u64() % (last as u64 + 1)) as usize;
        items.swap(last, chosen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_tenth_of_tiny_shakespeare_is_where_others_put_it() {
        assert_eq!(split_by_position(1_115_394, 0.1).unwrap(), 1_003_854);
    }

    #[test]
    fn a_split_that_leaves_nothing_is_refused_and_says_for_which_part() {
        let error = split_by_position(10, 0.0).unwrap_err().to_string();
        assert!(error.contains("leaves nothing for validation"), "{error}");
        let error = split_by_position(10, 0.95).unwrap_err().to_string();
        assert!(error.contains("leaves nothing for training"), "{error}");
        assert!(split_by_class(&[0, 0, 1, 1], 0.0).is_err());
        assert!(split_by_class(&[0, 1], 0.5).is_err());
    }

    #[test]
    fn every_class_is_in_both_parts_also_when_the_file_is_sorted_by_class() {
        let labels: Vec<u16> = (0..100).map(|i| i / 25).chain([4, 4]).collect();
        let split = split_by_class(&labels, 0.2).unwrap();
        assert_eq!(split.validation.len(), 4 * 5 + 1);
        assert_eq!(split.training.len() + split.validation.len(), 102);
        for class in 0..5 {
            let has = |part: &[u32]| part.iter().any(|&i| labels[i as usize] == class);
            assert!(has(&split.training) && has(&split.validation));
        }
    }

    #[test]
    fn a_split_is_the_same_every_time() {
        let labels: Vec<u16> = (0..40).map(|i| i % 2).collect();
        let split = split_by_class(&labels, 0.1).unwrap();
        assert_eq!(split, split_by_class(&labels, 0.1).unwrap());
        assert_eq!(split.validation, [10, 19, 26, 31]);
    }
}
