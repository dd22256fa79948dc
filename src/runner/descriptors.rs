//! How many files the system lets the runner have open, against what it opens for so many runs at once. Too
//! few would show in the middle of the night, as runs that fail.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the runner has open whatever it does, and for moments beside that: a starting worker's files among it.
const BASE: u64 = 40;
/// For each run: two names of its process, its telemetry, and what is looked at meanwhile.
const PER_RUN: u64 = 6;

/// The limit is too low.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the system lets this program have only {limit} files open, and {runs} at once may take {needed} (ulimit -n \
     {needed} raises it, as root where it is refused; LimitNOFILE={needed} in a systemd unit{fewer})",
    runs = crate::say::counted(*runs, "run", "runs"),
    fewer = fewer(*limit)
)]
pub struct TooFew {
    limit: u64,
    runs: usize,
    needed: u64,
}

/// Raises the soft limit as far as so many runs at once need it.
///
/// # Errors
/// The hard limit is lower than that.
pub fn suffice(runs: usize) -> Result<(), TooFew> {
    let limit = getrlimit(Resource::Nofile);
    let (needed, soft) = (needed(runs), limit.current.unwrap_or(u64::MAX));
    if soft >= needed {
        return Ok(());
    }
    let raised = Rlimit { current: Some(needed), maximum: limit.maximum };
    let may_be = limit.maximum.is_none_or(|hard| hard >= needed);
    if may_be && setrlimit(Resource::Nofile, raised).is_ok() {
        return Ok(());
    }
    Err(TooFew { limit: limit.maximum.unwrap_or(soft), runs, needed })
}

fn needed(runs: usize) -> u64 {
    BASE + PER_RUN * runs as u64
}

/// The other way out, where some runs would do.
fn fewer(limit: u64) -> String {
    match limit.saturating_sub(BASE) / PER_RUN {
        0 => String::new(),
        runs => format!("; or fewer at once: --slots {runs}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_is_too_low_is_named_with_both_ways_out() {
        let none = TooFew { limit: 16, runs: 1, needed: needed(1) }.to_string();
        assert!(none.contains("only 16 files open, and 1 run at once may take 46 (ulimit -n 46"), "{none}");
        assert!(!none.contains("--slots"), "{none}");
        let some = TooFew { limit: 64, runs: 100, needed: needed(100) }.to_string();
        assert!(some.ends_with("; or fewer at once: --slots 4)"), "{some}");
    }
}
