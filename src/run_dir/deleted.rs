//! Runs that a rule let go. What is left of each is a line in `runs/<experiment>/deleted.jsonl`, written
//! before its directory goes, so that what was done is not taken for something still to be done. Whoever
//! names a run to be deleted wants it gone: that is forgotten, and its file queues it anew.

use std::collections::{BTreeMap, HashMap};
use std::io;

use serde::{Deserialize, Serialize};

use super::budgets::{self, Verdict};
use super::needs::means;
use super::records::{Environment, Fingerprint, RunResult};
use super::{RunDir, Workspace, read, reason, requests, scan};

/// A line of `deleted.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Deleted {
    pub time: f64,
    pub run: String,
    /// Number within the experiment, which no other run gets.
    pub number: u32,
    /// Of its settings, as in `run.json`.
    pub hash: String,
    /// The rule, as a person would say it.
    pub why: String,
    /// What it had come to.
    pub result: Option<RunResult>,
    /// Whether that is what its file required.
    #[serde(default)]
    pub budgets: Vec<Verdict>,
    /// What it had learned from.
    #[serde(default)]
    pub data: Vec<Fingerprint>,
    /// A person deleted a run of the same settings since, by name: nothing is known of any.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_forgotten: bool,
}

/// Notes that a rule lets this run go. One that cannot be read leaves nothing to be known by.
///
/// # Errors
/// The file cannot be written.
pub fn remember(dir: &RunDir, why: &str) -> io::Result<()> {
    let seen = scan::look(dir, &scan::host(), scan::now());
    let Ok(record) = &seen.record else { return Ok(()) };
    let environment = read::json_if_there::<Environment>(&dir.env_json()).ok().flatten();
    let line = Deleted {
        time: scan::now(),
        run: dir.name(),
        number: record.number,
        hash: record.hash.clone(),
        why: why.to_owned(),
        result: read::json_if_there(&dir.result()).ok().flatten(),
        budgets: budgets::verdicts(&seen),
        data: environment.map(|environment| environment.data).unwrap_or_default(),
        is_forgotten: false,
    };
    requests::append(&dir.workspace().deleted(&dir.experiment()), &line)
}

/// Notes that a person deletes this run: what rules let go of the same settings is not known any more.
///
/// # Errors
/// The file cannot be written.
pub fn forget(dir: &RunDir) -> io::Result<()> {
    let Ok(record) = read::run_record(dir) else { return Ok(()) };
    let (workspace, experiment) = (dir.workspace(), dir.experiment());
    match recorded(&workspace, &experiment).into_iter().find(|line| line.hash == record.hash) {
        None => Ok(()),
        Some(line) => {
            let why = "deleted by name".to_owned();
            let line = Deleted { time: scan::now(), why, is_forgotten: true, ..line };
            requests::append(&workspace.deleted(&experiment), &line)
        }
    }
}

/// What rules let go of an experiment and nobody has forgotten, the oldest first. Lines that cannot be read
/// say nothing.
pub fn known(workspace: &Workspace, experiment: &str) -> Vec<Deleted> {
    let mut known = recorded(workspace, experiment);
    // One that was trained anew is there again; and a line may come before a deletion that did not.
    known.retain(|known| !workspace.run(experiment, &known.run).path().is_dir());
    known
}

/// What rules let go of the runs that `need`, of a run of the experiment `of`, means: experiment and line.
pub fn meant(workspace: &Workspace, need: &str, of: &str) -> Vec<(String, Deleted)> {
    let named = need.split('/').next().unwrap_or(need);
    let mut found = Vec::new();
    for experiment in [Some(named), Some(of).filter(|of| *of != named)].into_iter().flatten() {
        let known = known(workspace, experiment).into_iter();
        let meant = known.filter(|gone| means(need, of, experiment, &gone.run));
        found.extend(meant.map(|gone| (experiment.to_owned(), gone)));
    }
    found
}

/// That what a run is to take of a need is not there any more, if rules let all of that go, and the way out.
pub fn words(workspace: &Workspace, need: &str, of: &str) -> Option<(String, String)> {
    let (experiment, gone) = meant(workspace, need, of).pop()?;
    let (name, on) = (format!("{experiment}/{}", gone.run), reason::moment(gone.time));
    Some((
        format!("{name} was deleted by a rule on {on} ({})", gone.why),
        format!("train it anew: overnight run {experiment}.toml --again"),
    ))
}

/// The last line of each run that is not forgotten.
fn recorded(workspace: &Workspace, experiment: &str) -> Vec<Deleted> {
    let lines = read::lines::<Deleted>(&workspace.deleted(experiment));
    let lines = lines.map(|lines| lines.records).unwrap_or_default();
    // By place, so that they stay in order; rules let thousands go over the years.
    let mut known: BTreeMap<usize, Deleted> = BTreeMap::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut by_hash: HashMap<String, Vec<usize>> = HashMap::new();
    for (place, line) in lines.into_iter().enumerate() {
        if line.is_forgotten {
            let forgotten = by_hash.remove(&line.hash).unwrap_or_default();
            forgotten.iter().for_each(|place| drop(known.remove(place)));
        } else {
            places.insert(line.run.clone(), place).iter().for_each(|before| drop(known.remove(before)));
            by_hash.entry(line.hash.clone()).or_default().push(place);
            known.insert(place, line);
        }
    }
    known.into_values().collect()
}

/// What is left of these runs, where rules let them go; the lines of each experiment are read once.
pub fn of(dirs: &[RunDir]) -> HashMap<RunDir, Deleted> {
    let mut asked: BTreeMap<String, Vec<&RunDir>> = BTreeMap::new();
    for dir in dirs {
        asked.entry(dir.experiment()).or_default().push(dir);
    }
    let mut found = HashMap::new();
    for (experiment, dirs) in asked {
        let known = known(&dirs[0].workspace(), &experiment).into_iter();
        let known: HashMap<String, Deleted> = known.map(|known| (known.run.clone(), known)).collect();
        let of = |dir: &RunDir| Some((dir.clone(), known.get(&dir.name())?.clone()));
        found.extend(dirs.into_iter().filter_map(of));
    }
    found
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::run_dir::records::RunRecord;
    use crate::run_dir::scan::sample_record;
    use crate::run_dir::write::{Durability, replace_json};

    fn run(workspace: &Workspace, name: &str, hash: &str) -> RunDir {
        let dir = workspace.run("x", name);
        fs::create_dir_all(dir.path()).unwrap();
        let record = RunRecord { hash: hash.to_owned(), number: 7, ..sample_record("x", name) };
        replace_json(&dir.run_json(), &record, Durability::Rebuildable).unwrap();
        dir
    }

    #[test]
    fn what_a_rule_let_go_is_known_until_it_is_there_again_or_a_person_deletes_its_like() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::new(folder.path());
        let (a, b) = (run(&workspace, "a", "1f"), run(&workspace, "b", "2f"));
        for dir in [&a, &b] {
            remember(dir, "untouched for 30 days").unwrap();
        }
        let names = || known(&workspace, "x").into_iter().map(|known| known.run).collect::<Vec<_>>();
        assert_eq!(names(), [""; 0], "they are still there");
        for dir in [&a, &b] {
            fs::remove_dir_all(dir.path()).unwrap();
        }
        assert_eq!(names(), ["a", "b"]);
        let found = of(&[a.clone(), run(&workspace, "d", "4f")]);
        assert_eq!(found.len(), 1, "one of them is there");
        assert_eq!((found[&a].number, found[&a].why.as_str()), (7, "untouched for 30 days"));
        let again = run(&workspace, "a-2", "1f");
        assert_eq!(names(), ["a", "b"]);
        forget(&again).unwrap();
        assert_eq!(names(), ["b"]);
        forget(&run(&workspace, "c", "3f")).unwrap();
        assert_eq!(
            fs::read_to_string(workspace.deleted("x")).unwrap().lines().count(),
            3,
            "nothing to forget"
        );
    }
}
