//! Deletes what was decided, one thing at a time, under the lock of the run it belongs to.

use std::fs;
use std::io;
use std::path::Path;

use super::observe::observe_one;
use super::{Part, Removal, Rules, parts};
use crate::run_dir::write::at;
use crate::run_dir::{RunDir, deleted, lock};
use crate::verify::scratch;

/// What became of a removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carried {
    Gone,
    /// A worker lives there.
    Alive,
    /// What it was decided on holds no longer.
    Obsolete,
}

/// Deletes one thing. The run's lock is shared with readers and keeps workers out, so that nobody takes
/// us for one; what the decision rests on is looked at once more under it.
///
/// # Errors
/// The disk says so, with the path.
pub fn carry_out(removal: &Removal, rules: &Rules) -> io::Result<Carried> {
    let run = match &removal.of {
        Part::Whole(run, _) | Part::Checkpoint(run) | Part::Leftover(Some(run)) => run,
        Part::Leftover(None) if scratch::is_in_use(&removal.path) => return Ok(Carried::Alive),
        Part::Leftover(None) => return delete(&removal.path).map(|()| Carried::Gone),
    };
    if !run.path().is_dir() {
        return Ok(Carried::Obsolete);
    }
    let Some(_lock) = lock::try_shared(&run.alive_lock())? else { return Ok(Carried::Alive) };
    if !holds_still(run, removal, rules) {
        return Ok(Carried::Obsolete);
    }
    if let Part::Whole(..) = removal.of {
        match rules.runs.contains(run) {
            true => deleted::forget(run)?,
            false => deleted::remember(run, &removal.reason)?,
        }
    }
    delete(&removal.path)?;
    Ok(Carried::Gone)
}

fn holds_still(run: &RunDir, removal: &Removal, rules: &Rules) -> bool {
    match &removal.of {
        Part::Whole(_, status) => {
            let now = observe_one(run);
            // Whether it is skipped follows from others, and such a run stays anyway.
            now.status == *status && now.needed_by.is_none() && !now.is_outside
        }
        _ => parts(&observe_one(run), rules).iter().any(|part| part.path == removal.path),
    }
}

/// It vanishes by a rename first, so that nobody sees half of it.
fn delete(path: &Path) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let aside =
        tempfile::Builder::new().prefix(".gone-").tempdir_in(folder).map_err(|error| at(folder, error))?;
    let target = aside.path().join("removed");
    match fs::rename(path, &target) {
        // Somebody else was faster.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        renamed => renamed.map_err(|error| at(path, error))?,
    }
    let is_folder = fs::symlink_metadata(&target).is_ok_and(|metadata| metadata.is_dir());
    let removed = if is_folder { fs::remove_dir_all(&target) } else { fs::remove_file(&target) };
    removed.map_err(|error| at(&target, error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clean::{Decision, decide, observe};
    use crate::experiment::settings::{Weights, Which};
    use crate::run_dir::Workspace;
    use crate::run_dir::checkpoint::{Best, State};
    use crate::run_dir::records::{Ask, Request};
    use crate::run_dir::scan::{self, sample_record};
    use crate::run_dir::write::{Durability, append_line, replace_json};

    fn ask(run: &RunDir, ask: Ask) {
        let request =
            Request { time: scan::now(), who: "somebody".to_owned(), attempt: None, key: None, ask };
        append_line(&run.requests(), &request, Durability::Synced).unwrap();
    }

    /// A stopped run with checkpoints of three steps, the first of them its best.
    fn stopped(workspace: &Workspace) -> RunDir {
        let run = workspace.run("x", "s1");
        let best = Some(Best { metric: "val/loss".to_owned(), value: 1.0, step: 2 });
        for step in [2, 4, 6] {
            let state = State {
                protocol: crate::run_dir::PROTOCOL,
                step,
                epoch: 0.0,
                model_hash: String::new(),
                optimizer_hash: String::new(),
                metrics_length: 0,
                elapsed_seconds: 0.0,
                history: String::new(),
                best: best.clone(),
                stale_evaluations: 0,
                stop_best: None,
                lr_factor: 1.0,
                reductions: Vec::new(),
                alerts: Vec::new(),
                due: Vec::new(),
                window: Default::default(),
                last: Default::default(),
            };
            fs::create_dir_all(run.checkpoint(step).path()).unwrap();
            replace_json(&run.checkpoint(step).state(), &state, Durability::Synced).unwrap();
        }
        replace_json(&run.run_json(), &sample_record("x", "s1"), Durability::Synced).unwrap();
        ask(&run, Ask::Stop);
        run
    }

    fn decision(workspace: &Workspace, rules: &Rules) -> Decision {
        decide(&observe(workspace), &[], rules)
    }

    #[test]
    fn the_best_checkpoint_of_a_run_that_did_not_finish_stays_too() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::new(folder.path());
        let run = stopped(&workspace);
        let rules = Rules { checkpoints: Some(1), ..Rules::default() };
        for removal in decision(&workspace, &rules).removals {
            assert_eq!(carry_out(&removal, &rules).unwrap(), Carried::Gone);
        }
        assert_eq!(crate::run_dir::checkpoint::steps(&run), [2, 6]);
    }

    #[test]
    fn a_run_that_another_came_to_need_meanwhile_stays() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::new(folder.path());
        let run = stopped(&workspace);
        let named = Rules { runs: [run.clone()].into(), ..Rules::default() };
        let whole = decision(&workspace, &named).removals.remove(0);
        let mut dependant = sample_record("y", "s1");
        dependant.queue.needs = vec!["x/s1".to_owned()];
        let other = workspace.run("y", "s1");
        fs::create_dir_all(other.path()).unwrap();
        replace_json(&other.run_json(), &dependant, Durability::Synced).unwrap();
        assert_eq!(carry_out(&whole, &named).unwrap(), Carried::Obsolete);
        fs::remove_dir_all(other.path()).unwrap();
        assert_eq!(carry_out(&whole, &named).unwrap(), Carried::Gone);
    }

    #[test]
    fn a_checkpoint_that_another_is_to_begin_with_stays() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::new(folder.path());
        let run = stopped(&workspace);
        let rules = Rules { checkpoints: Some(1), ..Rules::default() };
        let decided = decision(&workspace, &rules).removals;
        let mut dependant = sample_record("y", "s1");
        let file = Which::file_of(4);
        dependant.settings.weights = Some(Weights { from: "x".to_owned(), file });
        dependant.queue.needs = vec!["x".to_owned()];
        let other = workspace.run("y", "s1");
        fs::create_dir_all(other.path()).unwrap();
        replace_json(&other.run_json(), &dependant, Durability::Synced).unwrap();
        assert_eq!(decision(&workspace, &rules).removals, []);
        assert_eq!(
            carry_out(&decided[0], &rules).unwrap(),
            Carried::Obsolete,
            "decided before it was needed"
        );
        fs::remove_dir_all(other.path()).unwrap();
        assert_eq!(carry_out(&decided[0], &rules).unwrap(), Carried::Gone);
        assert_eq!(crate::run_dir::checkpoint::steps(&run), [2, 6]);
    }

    #[test]
    fn what_was_decided_is_looked_at_again_under_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::new(folder.path());
        let run = stopped(&workspace);
        let named = Rules { runs: [run.clone()].into(), ..Rules::default() };
        let whole = decision(&workspace, &named).removals.remove(0);
        let rules = Rules { checkpoints: Some(1), ..Rules::default() };
        let checkpoint = decision(&workspace, &rules).removals.remove(0);

        let worker = lock::try_lock(&run.alive_lock()).unwrap();
        assert_eq!(carry_out(&whole, &named).unwrap(), Carried::Alive);
        assert_eq!(carry_out(&checkpoint, &rules).unwrap(), Carried::Alive);
        drop(worker);
        let carry_out = |removal: &Removal, rules: &Rules| {
            lock::wait_until_free(&run.alive_lock());
            carry_out(removal, rules)
        };
        ask(&run, Ask::Retry { from_step: Some(4) });
        assert_eq!(carry_out(&whole, &named).unwrap(), Carried::Obsolete, "it waits by now");
        assert_eq!(carry_out(&checkpoint, &rules).unwrap(), Carried::Obsolete, "it goes on from there");
        ask(&run, Ask::Stop);
        assert_eq!(carry_out(&whole, &named).unwrap(), Carried::Gone);
        assert_eq!(carry_out(&whole, &named).unwrap(), Carried::Obsolete, "somebody was faster");
        assert_eq!(fs::read_dir(workspace.runs().join("x")).unwrap().count(), 0);
    }

    #[test]
    fn what_a_link_leads_to_outside_of_the_workspace_stays_whole_and_in_part() {
        let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let [here, there] = folders.each_ref().map(|folder| Workspace::new(folder.path()));
        let real = stopped(&there);
        fs::create_dir(there.runs().join("x/.new-queued")).unwrap();
        let of_run = here.runs().join("y/s1");
        fs::create_dir_all(of_run.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(there.runs().join("x"), here.runs().join("x")).unwrap();
        std::os::unix::fs::symlink(real.path(), &of_run).unwrap();
        for run in [here.run("x", "s1"), here.run("y", "s1")] {
            let named = Rules { runs: [run.clone()].into(), ..Rules::default() };
            let Decision { removals, kept } = decision(&here, &named);
            assert_eq!((removals, &*kept[0].path), (Vec::new(), run.path()));
            assert!(kept[0].reason.contains("a link leads out of the workspace"), "{kept:?}");
            let of = Part::Whole(run.clone(), crate::run_dir::Status::Stopped);
            let whole = Removal { of, path: run.path().to_owned(), bytes: 0, reason: String::new() };
            assert_eq!(carry_out(&whole, &named).unwrap(), Carried::Obsolete, "the link came since");
        }
        let far_future = scan::now() + 1e6;
        assert_eq!(crate::clean::leftovers(&here, far_future), []);
        assert_eq!(crate::clean::leftovers(&there, far_future).len(), 1);
        // Checkpoints that lie on another disk: the run can go and its link with it, they stay.
        let own = stopped(&here_with_own(&here));
        fs::rename(own.checkpoints(), there.runs().join("moved")).unwrap();
        std::os::unix::fs::symlink(there.runs().join("moved"), own.checkpoints()).unwrap();
        let rules = Rules { checkpoints: Some(1), ..Rules::default() };
        assert_eq!(decision(&here, &rules).removals, []);
        let named = Rules { runs: [own.clone()].into(), ..Rules::default() };
        let whole = decision(&here, &named).removals.remove(0);
        assert_eq!(carry_out(&whole, &named).unwrap(), Carried::Gone);
        assert_eq!(fs::read_dir(there.runs().join("moved")).unwrap().count(), 3);
        assert_eq!(crate::run_dir::checkpoint::steps(&real), [2, 4, 6]);
    }

    /// The same workspace without the links: what is made in it is its own.
    fn here_with_own(here: &Workspace) -> Workspace {
        fs::remove_file(here.runs().join("x")).unwrap();
        fs::remove_dir_all(here.runs().join("y")).unwrap();
        here.clone()
    }

    #[test]
    fn runs_that_lie_on_another_disk_as_a_whole_are_those_of_the_workspace() {
        let [here, there] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let workspace = Workspace::new(here.path());
        std::os::unix::fs::symlink(there.path(), workspace.runs()).unwrap();
        let run = stopped(&workspace);
        let named = Rules { runs: [run.clone()].into(), ..Rules::default() };
        let whole = decision(&workspace, &named).removals.remove(0);
        assert_eq!(carry_out(&whole, &named).unwrap(), Carried::Gone);
    }
}
