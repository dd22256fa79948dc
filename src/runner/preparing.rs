//! What comes before an attempt and may take its time: a look at the run's data files, which must be those
//! it was queued with, and the weights that it begins with. A thread does it; the loop goes on meanwhile.

mod known;
mod looking;
pub mod text;

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::data_files;
use crate::experiment::settings::Data;
use crate::run_dir::records::{
    Ask, Attempt, DataSeen, Environment, Event, Fingerprint, Request, RunRecord, Stamp, Start,
};
use crate::run_dir::stage::{self, TakeError, TakenFile, TakenWeights};
use crate::run_dir::status::last_start;
use crate::run_dir::{RunDir, read};
use crate::runner::schedule::Preparing;
use crate::runner::starting::newest;

pub use known::KnownData;
pub use looking::Looking;

/// What was found is taken for true so long.
const FRESH: Duration = Duration::from_secs(5);

/// What an attempt's orders say beside what the schedule decides.
#[derive(Clone, Debug, Default)]
pub struct Prepared {
    pub weights: Option<TakenWeights>,
    /// Text of other runs.
    pub text: Vec<TakenFile>,
    /// The data, where it is not as it was queued.
    pub data: Option<DataSeen>,
}

/// Why a run cannot be started now.
#[derive(Debug)]
pub enum Unready {
    /// A person must see to it first.
    Held(String),
    Io(io::Error),
}

impl From<TakeError> for Unready {
    fn from(error: TakeError) -> Unready {
        match error {
            TakeError::Held(why) => Unready::Held(why),
            TakeError::Io(error) => Unready::Io(error),
        }
    }
}

impl From<io::Error> for Unready {
    fn from(error: io::Error) -> Unready {
        Unready::Io(error)
    }
}

/// How far a run is prepared.
#[derive(Debug, Default)]
pub enum Preparation {
    #[default]
    None,
    /// A thread is at it.
    Begun(Begun),
    Done(Box<Prepared>, Instant),
}

/// A preparation that a thread is at.
#[derive(Debug)]
pub struct Begun {
    /// Kept for the run; none any more once its data have not answered for long.
    pub slot: Option<usize>,
    pub looking: Looking,
}

impl Begun {
    /// What the schedule must know of it.
    pub fn standing(&self, now: Instant) -> Preparing {
        Preparing { slot: self.slot, unanswered: self.looking.unanswered(now) }
    }

    /// Gives its slot up where its data do not answer, and says why when it does.
    pub fn give_up_slot(&mut self, now: Instant) -> Option<String> {
        let why = self.looking.unanswered(now)?;
        self.slot.take().map(|_| why)
    }
}

impl Preparation {
    /// The slot that is kept meanwhile.
    pub fn slot(&self) -> Option<usize> {
        match self {
            Preparation::Begun(begun) => begun.slot,
            Preparation::None | Preparation::Done(..) => None,
        }
    }

    /// What was found, while it is fresh; then it is used up.
    pub fn take(&mut self, now: Instant) -> Option<Prepared> {
        match std::mem::take(self) {
            Preparation::Done(prepared, since) if now.duration_since(since) <= FRESH => Some(*prepared),
            Preparation::Done(..) | Preparation::None => None,
            begun @ Preparation::Begun(_) => {
                *self = begun;
                None
            }
        }
    }
}

/// Whether there is nothing to look at and nothing to take.
pub fn is_idle(record: &RunRecord) -> bool {
    matches!(record.settings.data, Data::Shapes(_)) && record.settings.weights.is_none()
}

/// Prepares the run's next attempt.
///
/// # Errors
/// It cannot be started now.
pub fn prepare(
    dir: &RunDir,
    record: &RunRecord,
    known: &KnownData,
    looking: &Looking,
) -> Result<Prepared, Unready> {
    let attempts = lines::<Attempt>(&dir.attempts())?;
    let requests = lines::<Request>(&dir.requests())?;
    let before = last_start(&attempts);
    let data = data(dir, record, before, &requests, known, looking).map_err(Unready::Held)?;
    let newest = newest(dir, &requests, &lines::<Event>(&dir.events())?);
    let taken = before.and_then(|start| start.weights.as_deref());
    let weights = stage::take(dir, record, taken, newest.is_none())?;
    let text = text::take(dir, record, before.map(|start| &start.text[..]))?;
    Ok(Prepared { weights, text, data })
}

fn lines<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Vec<T>, Unready> {
    let lines = read::lines(path).map_err(|error| Unready::Io(io::Error::other(error)))?;
    Ok(lines.records)
}

/// How the data is, where it is not as it was queued; or why that needs a person.
fn data(
    dir: &RunDir,
    record: &RunRecord,
    before: Option<&Start>,
    requests: &[Request],
    known: &KnownData,
    looking: &Looking,
) -> Result<Option<DataSeen>, String> {
    let environment = read::json_if_there::<Environment>(&dir.env_json()).ok().flatten();
    let Some(environment) = environment.filter(|_| !matches!(record.settings.data, Data::Shapes(_))) else {
        return Ok(None);
    };
    let base = dir.workspace().root().join(&record.base);
    let name = format!("{}/{}", record.experiment, record.run);
    let missing = |error: data_files::DataError| {
        format!("{error} (give it back, or queue it anew: overnight run FILE --again)")
    };
    let at = |path: &Path| looking.at(path);
    let now = data_files::stamps(&record.settings, &base, &at).map_err(missing)?;
    let accepted = before.and_then(|start| start.data.as_deref());
    if now == accepted.map_or(&environment.stamps[..], |seen| &seen.stamps) {
        return Ok(accepted.cloned());
    }
    let read = || data_files::fingerprints(&record.settings, &base, &at);
    let contents = known.contents((base.clone(), now.clone()), looking, read).map_err(missing)?;
    let last = accepted.map_or(&environment.data[..], |seen| &seen.contents);
    // What was queued is right at any time.
    let changed = (contents != environment.data).then(|| changed(last, &contents)).flatten();
    match changed {
        Some(path) if !is_accepted(&now, before, requests) => Err(format!(
            "{path} has changed since it was queued (overnight resume {name} takes it as it is; overnight run FILE --again queues it anew)"
        )),
        _ => Ok(Some(DataSeen { stamps: now, contents })),
    }
}

/// The first data file of which one knows what the other does not.
fn changed(before: &[Fingerprint], now: &[Fingerprint]) -> Option<String> {
    let gone = before.iter().find(|file| !now.contains(file));
    gone.or_else(|| now.iter().find(|file| !before.contains(file))).map(|file| file.path.clone())
}

/// Whether a person has said `resume` after all changes, and no attempt has used that up.
fn is_accepted(now: &[Stamp], before: Option<&Start>, requests: &[Request]) -> bool {
    let last = before.map_or(0, |start| start.attempt);
    let Some(resume) = requests.iter().rev().find(|request| request.ask == Ask::Resume) else { return false };
    let is_unused =
        resume.attempt.map_or(before.is_none_or(|start| resume.time > start.time), |at| at >= last);
    is_unused && now.iter().all(|file| file.changed < resume.time)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::experiment::settings::Text;
    use crate::run_dir::records::Device;
    use crate::run_dir::scan::{self, sample_record};
    use crate::run_dir::write::{Durability, append_line, replace_json};

    struct Place {
        folder: tempfile::TempDir,
        dir: RunDir,
        record: RunRecord,
    }

    /// A run that learns from `a.txt`, queued with it as it is.
    fn place() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let dir = RunDir::new(folder.path().join("runs/x/y"));
        fs::create_dir_all(dir.path()).unwrap();
        let mut record = RunRecord { base: String::new(), ..sample_record("x", "y") };
        record.settings.data = Data::Text(Text { files: vec!["a.txt".to_owned()], ..Text::default() });
        fs::write(folder.path().join("a.txt"), "one").unwrap();
        let environment = Environment {
            data: data_files::fingerprints(&record.settings, folder.path(), &data_files::unheard).unwrap(),
            stamps: data_files::stamps(&record.settings, folder.path(), &data_files::unheard).unwrap(),
            ..Environment::default()
        };
        replace_json(&dir.env_json(), &environment, Durability::Rebuildable).unwrap();
        Place { folder, dir, record }
    }

    impl Place {
        fn file(&self) -> PathBuf {
            self.folder.path().join("a.txt")
        }

        fn ready(&self) -> Result<Option<DataSeen>, String> {
            match prepare(&self.dir, &self.record, &KnownData::default(), &looking()) {
                Ok(prepared) => Ok(prepared.data),
                Err(Unready::Held(why)) => Err(why),
                Err(Unready::Io(error)) => panic!("{error}"),
            }
        }

        fn resume(&self, attempt: u32) {
            // Later than any change by now, whatever the ticks of the file system.
            let request = Request {
                time: scan::now() + 60.0,
                who: String::new(),
                attempt: Some(attempt),
                key: None,
                ask: Ask::Resume,
            };
            append_line(&self.dir.requests(), &request, Durability::Rebuildable).unwrap();
        }

        fn start(&self, attempt: u32, data: Option<DataSeen>) {
            let start = Start {
                attempt,
                time: scan::now(),
                batch: None,
                host: String::new(),
                boot: String::new(),
                device: Device::Cpu { name: String::new() },
                precision: crate::experiment::settings::Precision::Fp32,
                threads: 1,
                micro_batch: 1,
                accumulate: 1,
                libtorch: String::new(),
                checkpoint: None,
                weights: None,
                text: Vec::new(),
                data: data.map(Box::new),
                why: String::new(),
            };
            append_line(&self.dir.attempts(), &Attempt::Start(start), Durability::Rebuildable).unwrap();
        }
    }

    fn looking() -> Looking {
        Looking::begin(Duration::from_secs(120), Path::new("a.txt"), Instant::now())
    }

    fn replace(path: &Path, text: &str) {
        let aside = path.with_extension("new");
        fs::write(&aside, text).unwrap();
        let long_ago = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        fs::File::options().append(true).open(&aside).unwrap().set_modified(long_ago).unwrap();
        fs::rename(&aside, path).unwrap();
    }

    #[test]
    fn a_place_is_given_up_once_where_data_do_not_answer_and_never_taken_back() {
        let begun = Instant::now();
        let looking = Looking::begin(Duration::from_secs(120), Path::new("a.txt"), begun);
        let mut preparing = Begun { slot: Some(3), looking: looking.clone() };
        let later = begun + Duration::from_secs(120);
        assert_eq!(preparing.give_up_slot(begun), None);
        assert_eq!(preparing.standing(begun), Preparing { slot: Some(3), unanswered: None });
        let why = preparing.give_up_slot(later).unwrap();
        assert_eq!(why, "its data have not answered for 2 min: a.txt");
        assert_eq!(preparing.give_up_slot(later), None, "told once");
        assert_eq!(preparing.standing(later), Preparing { slot: None, unanswered: Some(why) });
        looking.at(Path::new("a.txt"));
        assert_eq!(preparing.standing(begun), Preparing { slot: None, unanswered: None });
    }

    #[test]
    fn data_that_was_only_touched_is_what_it_was_and_is_read_no_second_time() {
        let place = place();
        assert_eq!(place.ready(), Ok(None));
        replace(&place.file(), "one");
        let seen = place.ready().unwrap().expect("its stamp is another");
        place.start(1, Some(seen.clone()));
        assert_eq!(place.ready(), Ok(Some(seen)));
    }

    #[test]
    fn data_that_is_gone_holds_the_run_whatever_a_person_has_said() {
        let place = place();
        fs::remove_file(place.file()).unwrap();
        place.resume(0);
        let why = place.ready().unwrap_err();
        assert!(why.contains("a.txt: no such file") && why.contains("give it back"), "{why}");
    }

    #[test]
    fn a_resume_takes_the_data_as_it_is_once_and_not_what_replaces_it_later() {
        let place = place();
        replace(&place.file(), "two");
        assert!(place.ready().unwrap_err().contains("a.txt has changed since it was queued"));
        place.resume(0);
        let seen = place.ready().unwrap().expect("it is not as it was queued");
        place.start(1, Some(seen.clone()));
        assert_eq!(place.ready(), Ok(Some(seen)), "the next attempt takes the same");
        // Also a file that is older than all of this, of the same length.
        replace(&place.file(), "six");
        assert!(place.ready().unwrap_err().contains("a.txt has changed"));
        place.resume(1);
        assert!(place.ready().is_ok());
        replace(&place.file(), "one");
        assert!(place.ready().is_ok(), "that is what it was queued with");
    }

    #[test]
    fn what_changes_after_a_person_has_said_resume_is_not_what_was_meant() {
        let stamp = |changed: f64| Stamp { path: "a".to_owned(), changed, mark: String::new() };
        let resume =
            |time: f64, attempt| Request { time, who: String::new(), attempt, key: None, ask: Ask::Resume };
        let accepted = |changed: f64, requests: &[Request]| is_accepted(&[stamp(changed)], None, requests);
        assert!(accepted(10.0, &[resume(20.0, Some(0))]));
        assert!(accepted(10.0, &[resume(20.0, None)]), "as older versions wrote it");
        assert!(!accepted(30.0, &[resume(20.0, Some(0))]));
        assert!(!accepted(10.0, &[]));
    }
}
