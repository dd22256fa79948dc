//! Which examples each step learns from: a function of the seed and the step, so that a resumed run
//! sees what it would have seen.

use std::collections::VecDeque;
use std::ops::Range;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::task::Order;

/// A number for one purpose at one place, from the run's seed: neighbors have nothing in common.
pub fn derived_seed(seed: u64, purpose: &str, step: u64, part: u64) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes()).update(&step.to_le_bytes()).update(&part.to_le_bytes());
    hasher.update(purpose.as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_le_bytes(first)
}

/// The examples of every step of a run.
pub struct ExampleOrder {
    order: Order,
    examples: u64,
    per_step: u64,
    steps_per_epoch: u64,
    seed: u64,
    /// Shuffles of the latest epochs, by epoch: making one costs a pass over all examples.
    shuffled: VecDeque<(u64, Vec<i64>)>,
}

impl ExampleOrder {
    /// `examples` and `per_step` are at least 1.
    pub fn new(order: Order, examples: i64, per_step: u64, steps_per_epoch: u64, seed: u64) -> ExampleOrder {
        ExampleOrder {
            order,
            examples: u64::try_from(examples).unwrap_or(0).max(1),
            per_step: per_step.max(1),
            steps_per_epoch: steps_per_epoch.max(1),
            seed,
            shuffled: VecDeque::new(),
        }
    }

    /// Example numbers of `steps` (counted from 1), one step after the other.
    pub fn of_steps(&mut self, steps: Range<u64>) -> Vec<i64> {
        let mut numbers = Vec::with_capacity(((steps.end - steps.start) * self.per_step) as usize);
        for step in steps {
            match self.order {
                Order::WithReplacement => self.draw(step, &mut numbers),
                Order::Epochs => self.deal(step, &mut numbers),
            }
        }
        numbers
    }

    fn draw(&self, step: u64, numbers: &mut Vec<i64>) {
        let mut random = self.generator("windows", step);
        numbers.extend((0..self.per_step).map(|_| below(&mut random, self.examples) as i64));
    }

    /// The step's share of its epoch's shuffle. Where the last step of an epoch finds too few
    /// examples left, it begins again at the top: every batch has the same size, and every example
    /// is due at least once.
    fn deal(&mut self, step: u64, numbers: &mut Vec<i64>) {
        let (epoch, within) = ((step - 1) / self.steps_per_epoch, (step - 1) % self.steps_per_epoch);
        let (examples, per_step) = (self.examples, self.per_step);
        let shuffle = self.shuffle(epoch);
        let places = within * per_step..(within + 1) * per_step;
        numbers.extend(places.map(|place| shuffle[(place % examples) as usize]));
    }

    fn shuffle(&mut self, epoch: u64) -> &[i64] {
        let known = self.shuffled.iter().position(|(of, _)| *of == epoch);
        let index = known.unwrap_or_else(|| {
            let mut numbers: Vec<i64> = (0..self.examples as i64).collect();
            let mut random = self.generator("epoch", epoch);
            for place in (1..numbers.len()).rev() {
                numbers.swap(place, below(&mut random, place as u64 + 1) as usize);
            }
            self.shuffled.truncate(1);
            self.shuffled.push_front((epoch, numbers));
            0
        });
        &self.shuffled[index].1
    }

    fn generator(&self, purpose: &str, number: u64) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(derived_seed(self.seed, purpose, number, 0))
    }
}

/// A number from 0 up to `limit`, exclusive. Written out here because the order of a run's data must
/// not change with a library; the multiplication is as even as 64 bits allow (Lemire 2019).
fn below(random: &mut ChaCha8Rng, limit: u64) -> u64 {
    ((u128::from(random.next_u64()) * u128::from(limit)) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(examples: i64, per_step: u64) -> ExampleOrder {
        let steps_per_epoch = (examples as u64).div_ceil(per_step);
        ExampleOrder::new(Order::Epochs, examples, per_step, steps_per_epoch, 7)
    }

    #[test]
    fn a_step_sees_the_same_examples_whatever_was_asked_before() {
        for order in [Order::Epochs, Order::WithReplacement] {
            let mut whole = ExampleOrder::new(order, 100, 8, 13, 7);
            let all = whole.of_steps(1..40);
            let mut later = ExampleOrder::new(order, 100, 8, 13, 7);
            assert_eq!(later.of_steps(20..40), all[19 * 8..]);
        }
    }

    #[test]
    fn every_image_is_due_in_every_epoch_and_each_epoch_is_shuffled_anew() {
        let mut order = images(10, 3);
        let epochs: Vec<Vec<i64>> =
            (0..2).map(|epoch| order.of_steps(epoch * 4 + 1..epoch * 4 + 5)).collect();
        for epoch in &epochs {
            let mut seen = epoch[..10].to_vec();
            seen.sort_unstable();
            assert_eq!(seen, (0..10).collect::<Vec<_>>());
            assert_eq!(epoch[10..], epoch[..2], "the last batch is filled from the top");
        }
        assert_ne!(epochs[0], epochs[1]);
    }

    #[test]
    fn a_batch_larger_than_the_data_repeats_it() {
        let numbers = images(3, 8).of_steps(1..2);
        assert_eq!(numbers.len(), 8);
        assert!(numbers.iter().all(|number| (0..3).contains(number)));
    }

    #[test]
    fn windows_are_spread_over_the_whole_text() {
        let numbers = ExampleOrder::new(Order::WithReplacement, 1000, 100, 1, 7).of_steps(1..101);
        let mean = numbers.iter().sum::<i64>() as f64 / numbers.len() as f64;
        assert!((mean - 499.5).abs() < 15.0, "{mean}");
        assert!(numbers.iter().all(|number| (0..1000).contains(number)));
    }

    #[test]
    fn seeds_of_neighbors_differ() {
        let seeds = [
            derived_seed(1, "dropout", 1, 0),
            derived_seed(1, "dropout", 1, 1),
            derived_seed(1, "dropout", 2, 0),
            derived_seed(2, "dropout", 1, 0),
            derived_seed(1, "sample", 1, 0),
        ];
        for (index, seed) in seeds.iter().enumerate() {
            assert!(!seeds[..index].contains(seed));
        }
    }
}
