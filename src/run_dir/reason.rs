//! Why a run stands where it stands, in the words that the command line and the pages share. What only the
//! runner knows, it writes into its batch's `queue.json`; that is said instead of what is found here.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::cause::{self, Cause};
use super::records::Event;
use super::scan::{self, Seen};
use super::status::{self, Stage, Waiting};
use super::{Status, machine, read, removed_lock, requests, split};
use crate::say;

/// Why it waits or is held, or how it ended badly; empty where the state says all.
pub fn of(seen: &Seen) -> String {
    if let Some(imported) = seen.record.as_ref().ok().and_then(|record| record.imported.as_ref()) {
        return imported.words();
    }
    match &seen.status {
        Status::Unreadable { reason } => reason.clone(),
        Status::Waiting { because } => waiting(seen, *because),
        Status::Failed { code } => last_words(seen).unwrap_or_else(|| format!("exit code {code}")),
        Status::Killed { signal } => {
            last_words(seen).unwrap_or_else(|| format!("ended by {}", say::signal(*signal)))
        }
        Status::Lost => lives_on(seen).map_or_else(
            || "nobody saw it end; the next runner goes on with it".to_owned(),
            |reason| format!("held: {reason}"),
        ),
        Status::Skipped { need } | Status::NeedFailed { need } => format!("{need} did not finish"),
        Status::Paused | Status::Stopped => {
            requests::ended_by_rule(&seen.requests).map(|rule| format!("by {rule}")).unwrap_or_default()
        }
        Status::Running { stage: Stage::Elsewhere } if seen.import.is_some() => {
            "its source grew a moment ago (import --watch follows it)".to_owned()
        }
        Status::Running { stage: Stage::Elsewhere } => "on another machine".to_owned(),
        Status::Running { .. } | Status::Finished => String::new(),
    }
}

/// Whether a person must do something before it can go on, although it waits.
pub fn is_held(seen: &Seen) -> bool {
    match seen.status {
        Status::Waiting { because } => because == Waiting::BatchNorm,
        Status::Lost => lives_on(seen).is_some(),
        _ => false,
    }
}

/// Why a lost run may not be started here: its worker lives on, or may do so, and two would write the same
/// files.
pub fn lives_on(seen: &Seen) -> Option<String> {
    if seen.status != Status::Lost {
        return None;
    }
    elsewhere(seen).or_else(|| without_lock(seen))
}

/// On a machine that sleeps or whose files come late.
fn elsewhere(seen: &Seen) -> Option<String> {
    let start = status::elsewhere(&seen.attempts, &seen.requests, &scan::host(), machine::boot_id())?;
    let heard = seen.progress.as_ref().map_or(start.time, |progress| progress.time);
    let name = format!("{}/{}", seen.dir.experiment(), seen.dir.name());
    Some(format!(
        "it began on {}, last heard of {}: it goes on there by itself if that machine only sleeps (if it is \
         gone for good: overnight retry {name})",
        start.host,
        moment(heard)
    ))
}

/// Here, though nobody can see it by its lock any more.
pub fn without_lock(seen: &Seen) -> Option<String> {
    let process = removed_lock::worker(&seen.dir, &seen.attempts)?;
    Some(format!(
        "its worker lives (process {process}), though its alive.lock was removed; wait for its end, or end it: \
         kill {process}"
    ))
}

fn waiting(seen: &Seen, because: Waiting) -> String {
    let times = |left: u32| if left == 1 { "once".to_owned() } else { format!("{left} times") };
    match because {
        Waiting::New => "queued (overnight run works the queue)".to_owned(),
        Waiting::Interrupted => "goes on from its last checkpoint (overnight run)".to_owned(),
        Waiting::Retry { left } => {
            let cause = cause::last_end(&seen.attempts).and_then(|end| end.cause.as_ref()).map(Cause::words);
            format!("{}; may start {} more", cause.as_deref().unwrap_or("was killed"), times(left))
        }
        Waiting::Asked => "asked to run again".to_owned(),
        Waiting::Device { left } => format!("its GPU broke down; may start {} more", times(left)),
        Waiting::Smaller { micro_batch } => split::goes_on_with(micro_batch),
        Waiting::BatchNorm => format!("held: {}", split::HELD),
        Waiting::Room => "the disk was full; goes on when there is room".to_owned(),
    }
}

/// What was written of the end of the last attempt: by the runner, else by the worker itself.
fn last_words(seen: &Seen) -> Option<String> {
    let end = cause::last_end(&seen.attempts)?;
    let by_worker = || {
        let events = read::lines::<Event>(&seen.dir.events()).ok()?.records;
        cause::failed(&events, end.attempt).map(|(_, message)| message.to_owned())
    };
    Some(end.why.trim().to_owned()).filter(|why| !why.is_empty()).or_else(by_worker)
}

/// "21 Nov 05:10": pages are not built anew only because time passes, so none says how long ago.
pub fn moment(seconds: f64) -> String {
    let at = Timestamp::from_second(seconds as i64).unwrap_or_default().to_zoned(TimeZone::system());
    at.strftime("%-d %b %H:%M").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_dir::Workspace;
    use crate::run_dir::imported::ImportState;
    use crate::run_dir::records::{Attempt, Device, Start};
    use crate::run_dir::scan::sample_record;

    fn seen(status: Status) -> Seen {
        Seen {
            dir: Workspace::new("/w").run("x", "r"),
            record: Ok(sample_record("x", "r")),
            attempts: Vec::new(),
            requests: Vec::new(),
            progress: None,
            import: None,
            status,
            warnings: Vec::new(),
        }
    }

    /// A start on the machine of this name.
    fn start(host: &str) -> Attempt {
        Attempt::Start(Start {
            attempt: 1,
            time: 0.0,
            batch: None,
            host: host.to_owned(),
            boot: String::new(),
            device: Device::Cpu { name: "a processor".into() },
            precision: crate::experiment::settings::Precision::Fp32,
            threads: 1,
            micro_batch: 4,
            accumulate: 1,
            libtorch: "2.11.0".into(),
            checkpoint: None,
            weights: None,
            text: Vec::new(),
            data: None,
            why: String::new(),
        })
    }

    #[test]
    fn what_the_word_of_a_status_does_not_say_is_said_once() {
        let need = || "y/s1".to_owned();
        for (status, words) in [
            (Status::Finished, ""),
            (Status::Unreadable { reason: "torn".into() }, "torn"),
            (Status::Failed { code: 3 }, "exit code 3"),
            (Status::Skipped { need: need() }, "y/s1 did not finish"),
            (Status::NeedFailed { need: need() }, "y/s1 did not finish"),
            (Status::Lost, "nobody saw it end; the next runner goes on with it"),
            (Status::Running { stage: Stage::Elsewhere }, "on another machine"),
            (Status::Paused, ""),
            (Status::Waiting { because: Waiting::Retry { left: 1 } }, "was killed; may start once more"),
            (Status::Waiting { because: Waiting::Retry { left: 2 } }, "was killed; may start 2 times more"),
            (Status::Waiting { because: Waiting::Room }, "the disk was full; goes on when there is room"),
        ] {
            assert_eq!(of(&seen(status.clone())), words, "{status:?}");
        }
        let imported = Seen {
            import: Some(ImportState::default()),
            ..seen(Status::Running { stage: Stage::Elsewhere })
        };
        assert!(of(&imported).starts_with("its source grew a moment ago"), "{}", of(&imported));
    }

    #[test]
    fn a_lost_run_of_another_machine_is_held_and_one_of_this_machine_goes_on() {
        let here = Seen { attempts: vec![start(&scan::host())], ..seen(Status::Lost) };
        assert!(!is_held(&here) && lives_on(&here).is_none(), "{}", of(&here));
        let elsewhere = Seen { attempts: vec![start("another machine")], ..seen(Status::Lost) };
        let words = of(&elsewhere);
        assert!(words.starts_with("held: it began on another machine, last heard of 1"), "{words}");
        assert!(is_held(&elsewhere) && words.contains("overnight retry x/r"), "{words}");
        let finished = Seen { status: Status::Finished, ..elsewhere };
        assert!(!is_held(&finished) && lives_on(&finished).is_none());
        assert!(is_held(&seen(Status::Waiting { because: Waiting::BatchNorm })));
        assert!(!is_held(&seen(Status::Waiting { because: Waiting::New })));
    }
}
