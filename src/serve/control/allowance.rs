//! How many changes one person may ask for: some at once, then one after another.

use std::collections::HashMap;
use std::time::Instant;

/// What each person has left.
#[derive(Default)]
pub(super) struct Allowances(HashMap<String, (f64, Instant)>);

const AT_ONCE: f64 = 30.0;
const PER_SECOND: f64 = 1.0;
/// So many are remembered before those go who have all of it again: addresses have no end.
const MOST: usize = 1_000;

impl Allowances {
    /// Takes one, or says after how many seconds there is one again.
    pub fn take(&mut self, person: &str, now: Instant) -> Result<(), u64> {
        if self.0.len() >= MOST && !self.0.contains_key(person) {
            self.0.retain(|_, (left, then)| after(*left, *then, now) < AT_ONCE);
        }
        let (left, then) = self.0.get(person).copied().unwrap_or((AT_ONCE, now));
        let left = after(left, then, now);
        let is_enough = left >= 1.0;
        self.0.insert(person.to_owned(), (if is_enough { left - 1.0 } else { left }, now));
        match is_enough {
            true => Ok(()),
            false => Err(((1.0 - left) / PER_SECOND).ceil().max(1.0) as u64),
        }
    }
}

/// What is left `now` of what was left `then`.
fn after(left: f64, then: Instant, now: Instant) -> f64 {
    (left + now.saturating_duration_since(then).as_secs_f64() * PER_SECOND).min(AT_ONCE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn who_asks_too_much_waits_and_the_others_do_not() {
        let (mut allowances, now) = (Allowances::default(), Instant::now());
        for _ in 0..30 {
            assert_eq!(allowances.take("ada", now), Ok(()));
        }
        assert_eq!(allowances.take("ada", now), Err(1));
        assert_eq!(allowances.take("bob", now), Ok(()));
        let later = now + Duration::from_secs(2);
        assert_eq!([(); 3].map(|()| allowances.take("ada", later)), [Ok(()), Ok(()), Err(1)]);
        // Nobody saves up more than that.
        let much_later = now + Duration::from_secs(3600);
        assert_eq!((0..40).filter(|_| allowances.take("ada", much_later).is_ok()).count(), 30);
    }

    #[test]
    fn who_has_all_of_it_again_is_forgotten_and_who_has_not_is_not() {
        let (mut allowances, now) = (Allowances::default(), Instant::now());
        let address = |number: usize| format!("2001:db8::{number:x}");
        (0..MOST).for_each(|number| allowances.take(&address(number), now).unwrap());
        let later = now + Duration::from_secs(10);
        for _ in 0..30 {
            allowances.take("ada", later).unwrap();
        }
        assert_eq!((allowances.0.len(), allowances.take("ada", later)), (1, Err(1)));
        (0..MOST).for_each(|number| allowances.take(&address(number), later).unwrap());
        assert_eq!(allowances.take("ada", later), Err(1));
    }
}
