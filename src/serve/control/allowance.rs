//! How many changes one person may ask for: some at once, then one after another.

use std::collections::HashMap;
use std::time::Instant;

/// What each person has left.
#[derive(Default)]
pub(super) struct Allowances(HashMap<String, (f64, Instant)>);

const AT_ONCE: f64 = 30.0;
const PER_SECOND: f64 = 1.0;

impl Allowances {
    /// Takes one, or says after how many seconds there is one again.
    pub fn take(&mut self, person: &str, now: Instant) -> Result<(), u64> {
        let (left, then) = self.0.get(person).copied().unwrap_or((AT_ONCE, now));
        let left = (left + now.saturating_duration_since(then).as_secs_f64() * PER_SECOND).min(AT_ONCE);
        let is_enough = left >= 1.0;
        self.0.insert(person.to_owned(), (if is_enough { left - 1.0 } else { left }, now));
        match is_enough {
            true => Ok(()),
            false => Err(((1.0 - left) / PER_SECOND).ceil().max(1.0) as u64),
        }
    }
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
    }
}
