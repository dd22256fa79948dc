//! Which runs a person means: `latest`, an experiment, a run's name, or the beginning of one.

use crate::run_dir::records::Request;
use crate::run_dir::{RunDir, Workspace, read, requests, scan};

/// Why a selection names no run, or not one.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SelectError {
    #[error("there are no runs yet (overnight run experiments/NAME.toml makes some)")]
    NoRuns,
    #[error("there is no run {selection}{near}")]
    None { selection: String, near: String },
    #[error("{selection} could be {found} (write more of the name)")]
    Several { selection: String, found: String },
}

/// The runs that `selection` names: an experiment's name means all its runs.
pub fn runs(workspace: &Workspace, selection: &str) -> Result<Vec<RunDir>, SelectError> {
    let all = scan::runs(workspace);
    let of_experiment: Vec<RunDir> =
        all.iter().filter(|run| run.experiment() == selection).cloned().collect();
    if !of_experiment.is_empty() { Ok(of_experiment) } else { one_of(all, selection).map(|run| vec![run]) }
}

/// The runs that have the tag, from their file or by request.
pub fn tagged(workspace: &Workspace, tag: &str) -> Result<Vec<RunDir>, SelectError> {
    let has_tag = |run: &RunDir| {
        let own = read::run_record(run).map(|record| record.tags).unwrap_or_default();
        let requests = read::lines::<Request>(&run.requests()).map(|lines| lines.records).unwrap_or_default();
        requests::tags(&own, &requests).iter().any(|known| known == tag)
    };
    let found: Vec<RunDir> = scan::runs(workspace).into_iter().filter(has_tag).collect();
    if found.is_empty() {
        let near = " (overnight status lists the runs)".to_owned();
        return Err(SelectError::None { selection: format!("with the tag {tag}"), near });
    }
    Ok(found)
}

/// The one run that `selection` names: `latest`, `experiment/run`, a run's name, the beginning of
/// either, or an experiment that has one run.
pub fn run(workspace: &Workspace, selection: &str) -> Result<RunDir, SelectError> {
    one_of(scan::runs(workspace), selection)
}

fn one_of(all: Vec<RunDir>, selection: &str) -> Result<RunDir, SelectError> {
    if all.is_empty() {
        return Err(SelectError::NoRuns);
    }
    if selection == "latest" {
        let newest = all.into_iter().max_by_key(last_touched);
        return newest.ok_or(SelectError::NoRuns);
    }
    let names: Vec<String> = all.iter().map(|run| format!("{}/{}", run.experiment(), run.name())).collect();
    let exact = |index: &usize| names[*index] == selection || all[*index].name() == selection;
    let begins =
        |index: &usize| names[*index].starts_with(selection) || all[*index].name().starts_with(selection);
    for fits in [&exact as &dyn Fn(&usize) -> bool, &begins] {
        let found: Vec<usize> = (0..all.len()).filter(fits).collect();
        match found.as_slice() {
            [] => continue,
            [one] => return Ok(all[*one].clone()),
            several => {
                let some: Vec<&str> = several.iter().take(4).map(|index| names[*index].as_str()).collect();
                let more = if several.len() > 4 {
                    format!(" and {} more", several.len() - 4)
                } else {
                    String::new()
                };
                let found = format!("{}{more}", some.join(", "));
                return Err(SelectError::Several { selection: selection.to_owned(), found });
            }
        }
    }
    let near = all
        .iter()
        .map(|run| run.name())
        .chain(names)
        .max_by(|a, b| strsim::jaro_winkler(a, selection).total_cmp(&strsim::jaro_winkler(b, selection)))
        .filter(|near| strsim::jaro_winkler(near, selection) > 0.7)
        .map(|near| format!(" (did you mean {near}?)"))
        .unwrap_or_else(|| " (overnight status lists them)".to_owned());
    Err(SelectError::None { selection: selection.to_owned(), near })
}

/// When a run last moved: its progress, else its last attempt, else its making.
fn last_touched(run: &RunDir) -> std::time::SystemTime {
    [run.progress(), run.attempts(), run.run_json()]
        .iter()
        .find_map(|path| path.metadata().and_then(|metadata| metadata.modified()).ok())
        .unwrap_or(std::time::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_name_is_found_by_its_beginning_and_confusion_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::new(folder.path());
        assert_eq!(run(&workspace, "latest"), Err(SelectError::NoRuns));
        for name in ["x/lr1-s1-aaaa", "x/lr1-s2-bbbb", "y/lr2-s1-cccc"] {
            fs::create_dir_all(workspace.runs().join(name)).unwrap();
        }
        assert_eq!(run(&workspace, "lr2").unwrap().name(), "lr2-s1-cccc");
        assert_eq!(run(&workspace, "x/lr1-s2").unwrap().name(), "lr1-s2-bbbb");
        assert_eq!(runs(&workspace, "x").unwrap().len(), 2);
        let several = run(&workspace, "lr1").unwrap_err().to_string();
        assert!(several.contains("x/lr1-s1-aaaa, x/lr1-s2-bbbb"), "{several}");
        let none = run(&workspace, "lr2-s1-cccd").unwrap_err().to_string();
        assert!(none.contains("did you mean lr2-s1-cccc?"), "{none}");
        fs::write(workspace.run("x", "lr1-s2-bbbb").progress(), "{}").unwrap();
        assert!(run(&workspace, "latest").is_ok());
    }
}
