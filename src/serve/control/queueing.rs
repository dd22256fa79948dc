//! An experiment that somebody sends: checked like a file and more strictly, shown or queued, and kept as a
//! file of the workspace, so that the next person finds what was queued.

use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::act::{self, Queue, Queued, QueuedRun};
use crate::experiment::diagnostic::Source;
use crate::experiment::{Diagnostic, Rejected};
use crate::queue::check::{Bounds, check_text};
use crate::queue::{self, Again, Checked, Entry, QueueError, confined};
use crate::run_dir::{Workspace, is_plain_name, read, write};
use crate::serve::api::problem::{Mistake, Problem};

/// The most runs of one request. More is what somebody does who sits at the machine.
const RUNS: usize = 1000;
/// The most mistakes that are told of one text.
const MISTAKES: usize = 100;
/// How long data are looked at.
const PATIENCE: Duration = Duration::from_secs(60);

/// An experiment that is good.
pub(super) struct Prepared {
    file: PathBuf,
    text: String,
    checked: [Checked; 1],
    pub dry_run: bool,
}

/// Reads the body, and the data that its experiment names. May take a minute; no file is written.
pub(super) fn prepare(workspace: &Workspace, body: &[u8]) -> Result<Prepared, Problem> {
    let Queue { toml: text, dry_run, name } = act::read(body)?;
    let name = name.unwrap_or_else(|| format!("web-{}", &blake3::hash(text.as_bytes()).to_hex()[..8]));
    let file = workspace.experiments().join(format!("{name}.toml"));
    if !is_plain_name(&name) {
        let message = format!("{name:?} cannot name an experiment");
        let hint = "use letters, digits, `.`, `_` and `-`, a letter or digit first".to_owned();
        let mistake = Mistake { key: Some("name".to_owned()), line: None, message, hint: Some(hint) };
        return Err(refused(vec![mistake]));
    }
    // Data are named relative to this folder, so it has to be there before they are looked for.
    let folder = workspace.experiments();
    fs::create_dir_all(&folder).map_err(|error| act::failed(workspace)(write::at(&folder, error)))?;
    let bounds = Bounds {
        most_runs: RUNS,
        until: Instant::now() + PATIENCE,
        of_data: &|settings| confined::problems(workspace, settings),
    };
    let checked =
        check_text(&file, &text, &bounds).map_err(|rejected| rejection(workspace, &file, rejected))?;
    match is_other(&file, &text) {
        Ok(true) => {
            let reason = format!("an experiment {name} is there already, with another text");
            let source = Source::new(&file, "");
            let wrong = source.diagnostic(None, reason, "give this one a name of its own".to_owned());
            return Err(rejection(workspace, &file, Rejected(vec![wrong])));
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(act::failed(workspace)(write::at(&file, error)));
        }
        _ => {}
    }
    Ok(Prepared { file, text, checked: [checked], dry_run })
}

/// Says what would be queued, and queues it unless that is all that was asked: as `overnight queue` does.
pub(super) fn queue(workspace: &Workspace, prepared: &Prepared) -> Result<Queued, Problem> {
    let problem = |error: QueueError| match error {
        QueueError::Rejected(rejected) => rejection(workspace, &prepared.file, rejected),
        error @ QueueError::DataChanged { .. } => act::conflict(&act::within(workspace, &error.to_string())),
        QueueError::Io(error) => act::failed(workspace)(error),
    };
    let entries = queue::plan(workspace, &prepared.checked, Again::No).map_err(problem)?;
    if !prepared.dry_run {
        keep(&prepared.file, &prepared.text).map_err(act::failed(workspace))?;
        queue::submit(workspace, &entries).map_err(problem)?;
    }
    let run = |entry: Entry| QueuedRun {
        run: entry.record.run,
        settings: entry.record.varied,
        new: !entry.is_known,
        steps: entry.record.steps,
    };
    Ok(Queued {
        experiment: prepared.checked[0].experiment.name.clone(),
        runs: entries.into_iter().map(run).collect(),
        queued: !prepared.dry_run,
    })
}

/// Writes the file, unless there is one; whoever was faster with another text is not overwritten.
fn keep(file: &Path, text: &str) -> io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(|error| write::at(folder, error))?;
    let mut new = tempfile::NamedTempFile::new_in(folder).map_err(|error| write::at(folder, error))?;
    new.write_all(text.as_bytes())?;
    new.as_file().set_permissions(Permissions::from_mode(0o644))?;
    new.as_file().sync_all()?;
    match new.persist_noclobber(file) {
        Ok(_) => write::sync_folder(folder),
        Err(_) if is_other(file, text).is_ok_and(|is_other| !is_other) => Ok(()),
        Err(error) => Err(write::at(file, error.error)),
    }
}

/// Whether a file says anything else. What lies there need not be a file, nor short.
fn is_other(file: &Path, text: &str) -> io::Result<bool> {
    match read::bounded(file, text.len() as u64) {
        Ok(before) => Ok(before != text.as_bytes()),
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Ok(true),
        Err(error) => Err(error),
    }
}

fn rejection(workspace: &Workspace, file: &Path, rejected: Rejected) -> Problem {
    let mistake = |wrong: Diagnostic| {
        let is_here = wrong.file == file;
        let place = wrong.file.file_name().map(|name| name.to_string_lossy().into_owned());
        let reason = act::within(workspace, &wrong.reason);
        let message = match is_here {
            true => reason,
            false => format!("{}: {reason}", place.unwrap_or_default()),
        };
        Mistake {
            key: Some(wrong.key).filter(|key| is_here && !key.is_empty()),
            line: Some(wrong.line).filter(|line| is_here && *line > 0),
            message,
            hint: Some(wrong.way_out).filter(|hint| !hint.is_empty()),
        }
    };
    refused(rejected.0.into_iter().take(MISTAKES).map(mistake).collect())
}

fn refused(mistakes: Vec<Mistake>) -> Problem {
    let detail = match mistakes.as_slice() {
        [only] => only.message.clone(),
        more => format!("there are {} mistakes in the experiment", more.len()),
    };
    Problem {
        mistakes: mistakes.into(),
        ..Problem::new(422, detail, "each is told in `problems`, with its key and line")
    }
}
