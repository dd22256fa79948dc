//! One run of another workspace, and the run of its name here.

pub(super) mod listing;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::copy::{self, Grown};
use super::{What, Wish, deleted};
use crate::run_dir::deleted::known;
use crate::run_dir::records::RunRecord;
use crate::run_dir::write::{Durability, at, replace_json};
use crate::run_dir::{RunDir, Workspace, lock, read, scan};
use listing::{Kind, Listing};

/// What there is to do to a file here.
#[derive(Debug, PartialEq)]
enum Act {
    Extend {
        from: u64,
        to: u64,
    },
    Replace,
    /// Replaced up to its last whole line.
    Rewrite,
    /// A checkpoint, with its files.
    Checkpoint,
}

/// How a run here stands to one there.
enum Stand {
    /// It is the same one, and this is to be done. None of it where all is here.
    Goes(Vec<(PathBuf, Act)>),
    Ahead,
    Conflict(String),
}

/// Takes over a run, or says why not; also the files that are none of a run's.
pub fn merge(
    workspace: &Workspace,
    there: &Workspace,
    experiment: &str,
    name: &str,
    wish: Wish,
) -> io::Result<(What, Vec<String>)> {
    let (there, here) = (there.run(experiment, name), workspace.run(experiment, name));
    let mut listing = Listing::of(&there)?;
    let left_out = |why: String| What::LeftOut { why };
    if !listing.has("run.json") {
        return Ok((left_out("it has no run.json yet (is it still being copied?)".into()), Vec::new()));
    }
    let record = match read::run_record(&there) {
        Ok(record) => record,
        Err(error) => return Ok((left_out(error.to_string()), Vec::new())),
    };
    let mut foreign = std::mem::take(&mut listing.foreign);
    if fs::symlink_metadata(here.path()).is_err() {
        if let Some(gone) = deleted::here(workspace, experiment, &record) {
            return Ok((gone, foreign));
        }
        // Of two runs with one number the later one gets the next that is free, or they had one color.
        let numbers = numbers(workspace, experiment);
        let numbered =
            numbers.contains(&record.number).then(|| RunRecord { number: next(&numbers), ..record });
        let number = numbered.as_ref().map(|record| record.number);
        let bytes = add(&there, &here, &listing, numbered, wish)?;
        return Ok((What::Added { bytes, number }, foreign));
    }
    let mut why = match stand_and_go(&here, &there, &record, &listing, wish, &mut foreign)? {
        Gone::Did(what) => return Ok((what, foreign)),
        Gone::Conflict(why) => why,
    };
    // An earlier merge may have kept it beside the one that has its name.
    let mut kept = 2;
    loop {
        let beside = workspace.run(experiment, &format!("{name}-{kept}"));
        if fs::symlink_metadata(beside.path()).is_err() {
            break;
        }
        let is_it = read::run_record(&beside).is_ok_and(|known| known.created == record.created);
        if is_it
            && let Gone::Did(what) = stand_and_go(&beside, &there, &record, &listing, wish, &mut foreign)?
        {
            return Ok((what, foreign));
        }
        kept += 1;
    }
    if !wish.keep_both {
        why += " (--keep-both keeps it beside)";
        return Ok((What::Conflict { why }, foreign));
    }
    let kept_as = format!("{name}-{kept}");
    let number = next(&numbers(workspace, experiment));
    let record = RunRecord { run: kept_as.clone(), number, ..record };
    let bytes = add(&there, &workspace.run(experiment, &kept_as), &listing, Some(record), wish)?;
    Ok((What::Beside { kept_as, bytes }, foreign))
}

/// The numbers that runs of an experiment have here, and had that rules let go.
fn numbers(workspace: &Workspace, experiment: &str) -> BTreeSet<u32> {
    let runs = scan::runs_of(workspace, experiment).into_iter();
    let runs = runs.filter_map(|dir| Some(read::run_record(&dir).ok()?.number));
    runs.chain(known(workspace, experiment).into_iter().map(|gone| gone.number)).collect()
}

fn next(numbers: &BTreeSet<u32>) -> u32 {
    numbers.last().map_or(0, |last| last.saturating_add(1))
}

/// Builds a run aside and renames it into place.
fn add(
    there: &RunDir,
    here: &RunDir,
    listing: &Listing,
    record: Option<RunRecord>,
    wish: Wish,
) -> io::Result<u64> {
    if wish.dry_run {
        return Ok(listing.bytes);
    }
    let building = copy::aside(here.path().parent().unwrap_or(Path::new(".")))?;
    let mut bytes = 0;
    for (file, kind) in listing.in_order() {
        let (from, to) = (there.path().join(file), building.path().join(file));
        let folder = to.parent().unwrap_or(building.path());
        fs::create_dir_all(folder).map_err(|error| at(folder, error))?;
        let copied = match kind {
            Kind::Grows => copy::lines(&to, &from),
            _ => copy::whole(&to, &from),
        };
        match copied {
            Ok(copied) => bytes += copied,
            // Retention there deletes checkpoints meanwhile; of one that is not whole nothing is kept.
            Err(error) if error.kind() == io::ErrorKind::NotFound && *kind == Kind::Checkpoint => {
                drop(fs::remove_dir_all(folder));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && *kind != Kind::Record => {}
            Err(error) => return Err(error),
        }
    }
    listing::remove_partial_checkpoints(&RunDir::new(building.path()));
    if let Some(record) = record {
        replace_json(&RunDir::new(building.path()).run_json(), &record, Durability::Synced)?;
    }
    copy::settle(building, here.path())?;
    Ok(bytes)
}

enum Gone {
    Did(What),
    Conflict(String),
}

fn stand_and_go(
    here: &RunDir,
    there: &RunDir,
    record: &RunRecord,
    listing: &Listing,
    wish: Wish,
    foreign: &mut Vec<String>,
) -> io::Result<Gone> {
    let did = |what| Ok(Gone::Did(what));
    let busy = || What::LeftOut { why: "a worker is at it here".into() };
    if lock::is_held(&here.alive_lock()) {
        return did(busy());
    }
    let mut differing = Vec::new();
    let acts = match acts(stand(here, there, record, listing, &mut differing)?) {
        Ok(acts) if wish.dry_run => {
            foreign.append(&mut differing);
            let bytes = acts.iter().map(|(file, act)| listing::size(there, file, act_from(act))).sum();
            return did(What::Grown { bytes });
        }
        Ok(_) => {
            // As long as this is held no worker starts here. One may have come and gone since we looked, so
            // what is done follows from another look.
            let Some(held) = lock::try_shared(&here.alive_lock())? else { return did(busy()) };
            differing.clear();
            acts(stand(here, there, record, listing, &mut differing)?).map(|acts| (acts, held))
        }
        Err(gone) => Err(gone),
    };
    foreign.append(&mut differing);
    let (acts, _held) = match acts {
        Ok(acts) => acts,
        Err(gone) => return Ok(gone),
    };
    copy::remove_abandoned(&here.checkpoints());
    let mut bytes = 0;
    for (file, act) in acts {
        let (to, from) = (here.path().join(&file), there.path().join(&file));
        bytes += match act {
            Act::Extend { from: start, to: end } => {
                copy::extend(&to, &from, start, end)?;
                end - start
            }
            Act::Replace => copy::whole(&to, &from)?,
            Act::Rewrite => copy::lines(&to, &from)?,
            Act::Checkpoint => checkpoint(&to, &from)?,
        };
    }
    scan::announce(here);
    did(What::Grown { bytes })
}

/// What there is to do; or what is so where nothing is.
fn acts(stand: Stand) -> Result<Vec<(PathBuf, Act)>, Gone> {
    match stand {
        Stand::Conflict(why) => Err(Gone::Conflict(why)),
        Stand::Ahead => Err(Gone::Did(What::Ahead)),
        Stand::Goes(acts) if acts.is_empty() => Err(Gone::Did(What::Same)),
        Stand::Goes(acts) => Ok(acts),
    }
}

fn act_from(act: &Act) -> u64 {
    if let Act::Extend { from, .. } = act { *from } else { 0 }
}

/// Copies a checkpoint aside and renames it into place; one that vanishes meanwhile is left out.
fn checkpoint(here: &Path, there: &Path) -> io::Result<u64> {
    let building = copy::aside(here.parent().unwrap_or(Path::new(".")))?;
    let mut bytes = 0;
    for file in listing::CHECKPOINT {
        match copy::whole(&building.path().join(file), &there.join(file)) {
            Ok(copied) => bytes += copied,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(error),
        }
    }
    if here.exists() {
        fs::remove_dir_all(here).map_err(|error| at(here, error))?;
    }
    copy::settle(building, here)?;
    Ok(bytes)
}

/// Holds a run here against the one there, file by file.
fn stand(
    here: &RunDir,
    there: &RunDir,
    record: &RunRecord,
    listing: &Listing,
    foreign: &mut Vec<String>,
) -> io::Result<Stand> {
    let conflict = |why: String| Ok(Stand::Conflict(why));
    let known = match read::run_record(here) {
        Ok(known) => known,
        Err(error) => return conflict(format!("the one here cannot be read: {error}")),
    };
    if known.hash != record.hash || known.settings != record.settings {
        let short = |hash: &str| hash.chars().take(8).collect::<String>();
        return conflict(format!(
            "another run has its name: {} here, {} there",
            short(&known.hash),
            short(&record.hash)
        ));
    }
    let of = |file: &str| copy::grown(&here.path().join(file), &there.path().join(file));
    let attempts = of("attempts.jsonl")?;
    let events = of("events.jsonl")?;
    for (file, grown) in [("attempts.jsonl", attempts), ("events.jsonl", events)] {
        if let Grown::Parted { line } = grown {
            return conflict(format!("it was trained here and there: {file} differs from line {line} on"));
        }
    }
    let metrics = of("metrics.csv")?;
    // A new attempt goes on from a checkpoint, and cuts the rows behind it.
    let goes_on = matches!(attempts, Grown::There { .. });
    if let Grown::Parted { line } = metrics
        && !goes_on
    {
        return conflict(format!("metrics.csv has other rows here and there, from line {line} on"));
    }
    let finished = (here.result().is_file(), listing.has("result.json"));
    if attempts == Grown::Here || events == Grown::Here || finished == (true, false) {
        return Ok(Stand::Ahead);
    }
    if finished == (true, true) && !copy::is_same(&here.result(), &there.result())? {
        return conflict("it finished with another result here".into());
    }
    let mut acts = Vec::new();
    for (file, kind) in listing.in_order() {
        let (ours, theirs) = (here.path().join(file), there.path().join(file));
        let name = file.to_string_lossy();
        match kind {
            Kind::Record => {}
            Kind::Grows => match of(&name)? {
                Grown::There { here: from, there: to } => acts.push((file.clone(), Act::Extend { from, to })),
                Grown::Parted { .. } | Grown::Here if name == "metrics.csv" && goes_on => {
                    acts.push((file.clone(), Act::Rewrite));
                }
                Grown::Parted { line } => {
                    foreign.push(format!("{name}: differs from line {line} on, and stays as it is here"));
                }
                Grown::Same | Grown::Here => {}
            },
            Kind::Checkpoint => {
                let folder = file.parent().unwrap_or(file).to_owned();
                let is_state = file.file_name().is_some_and(|name| name == "state.json");
                if is_state && !copy::is_same(&ours, &theirs).unwrap_or(true) {
                    acts.push((folder, Act::Checkpoint));
                }
            }
            Kind::Replaced | Kind::Result => {
                if !copy::is_same(&ours, &theirs).unwrap_or(true) {
                    acts.push((file.clone(), Act::Replace));
                }
            }
        }
    }
    Ok(Stand::Goes(acts))
}
