//! Deleting runs, by the rules and the code of `overnight clean`: under the lock of each, and only with the
//! word that confirms it.

use std::collections::BTreeMap;

use super::act::{self, CLEANED, Clean, Cleaned, CleanedRun};
use crate::clean::{self, Carried, Parts, Rules};
use crate::run_dir::{RunDir, Workspace};
use crate::serve::api::problem::Problem;

pub(super) fn clean(workspace: &Workspace, body: &[u8]) -> Result<Cleaned, Problem> {
    let Clean { runs, confirm } = act::read(body)?;
    if runs.is_empty() || runs.len() > CLEANED {
        let detail = format!("runs are 1 to {CLEANED} names, each as EXPERIMENT/RUN");
        return Err(Problem::new(400, detail, "name what shall go"));
    }
    let mut dirs: BTreeMap<RunDir, String> = BTreeMap::new();
    for name in runs {
        let (experiment, run) = name.split_once('/').unwrap_or((&name, ""));
        let dir = act::known_run(workspace, experiment, run)?;
        dirs.insert(dir, name);
    }
    let rules = Rules { runs: dirs.keys().cloned().collect(), parts: Parts::Stay, ..Rules::default() };
    let is_meant = |experiment: &str| dirs.keys().any(|dir| dir.experiment() == experiment);
    let known = clean::observe_those(workspace, is_meant);
    let decision = clean::decide(&known, &[], &rules);
    let mut told = Vec::new();
    for removal in decision.removals {
        let Some(name) = dirs.get(&RunDir::new(&removal.path)) else { continue };
        let why = match confirm.then(|| clean::carry_out(&removal, &rules)).transpose() {
            Ok(None | Some(Carried::Gone)) => None,
            Ok(Some(Carried::Alive)) => Some("a worker lives there".to_owned()),
            Ok(Some(Carried::Obsolete)) => Some("it has changed just now".to_owned()),
            // Others are gone already: what became of each has to be told.
            Err(error) => Some(act::within(workspace, &error.to_string())),
        };
        told.push(CleanedRun {
            run: name.clone(),
            bytes: removal.bytes,
            can_go: why.is_none(),
            why: why.unwrap_or(removal.reason),
        });
    }
    for kept in decision.kept {
        let Some(name) = dirs.get(&RunDir::new(&kept.path)) else { continue };
        let bytes = known.iter().find(|run| run.dir.path() == kept.path).map_or(0, |run| run.bytes);
        told.push(CleanedRun { run: name.clone(), bytes, can_go: false, why: kept.reason });
    }
    let missing = dirs.into_values().filter(|name| told.iter().all(|run| run.run != *name)).map(|run| {
        let why = "it does not lie where runs lie".to_owned();
        CleanedRun { run, bytes: 0, can_go: false, why }
    });
    let missing: Vec<CleanedRun> = missing.collect();
    told.extend(missing);
    told.sort_by(|one, other| one.run.cmp(&other.run));
    let going = || told.iter().filter(|run| run.can_go);
    let (bytes, deleted) = (going().map(|run| run.bytes).sum(), confirm && going().next().is_some());
    Ok(Cleaned { runs: told, bytes, deleted })
}
