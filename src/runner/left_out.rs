//! Runs outside of a batch that runs of it need. They are looked at seldom, and only they: a stage that waits
//! beside ten thousand other runs asks about a few of them.

use std::collections::{BTreeSet, HashSet};
use std::time::{Duration, Instant};

use super::schedule::Other;
use crate::run_dir::needs::means;
use crate::run_dir::scan::Seen;
use crate::run_dir::{RunDir, Status};

/// Those that have not finished are looked at again after this, whatever hints at a change.
const PAUSE: Duration = Duration::from_secs(2);

/// A need, with the experiment of the run that has it.
pub type Need = (String, String);

/// The runs that a batch leaves out, and what was seen of those that are needed.
#[derive(Default)]
pub struct LeftOut {
    pub dirs: HashSet<RunDir>,
    /// What runs of the batch need, when it was looked last.
    needs: BTreeSet<Need>,
    seen: Vec<Seen>,
    /// Needed runs that rules let go when they had finished: experiment and name.
    gone: Vec<(String, String)>,
    looked: Option<Instant>,
}

/// How a look at runs is done.
pub struct Looks<'a> {
    pub at: &'a mut dyn FnMut(&RunDir) -> Seen,
    /// What rules let go of the runs that a need means.
    pub gone: &'a mut dyn FnMut(&Need) -> Vec<(String, String)>,
}

impl LeftOut {
    pub fn new(dirs: HashSet<RunDir>) -> LeftOut {
        LeftOut { dirs, ..LeftOut::default() }
    }

    /// Looks at those that are meant by these needs, or by the needs of those, where that is due: `is_hinted`
    /// says that something has changed. What has finished is not looked at twice. Whether it was due.
    pub fn look(&mut self, needs: &BTreeSet<Need>, is_hinted: bool, now: Instant, looks: Looks) -> bool {
        let is_fresh = self.looked.is_some_and(|looked| now.saturating_duration_since(looked) < PAUSE);
        if (is_fresh && !is_hinted && *needs == self.needs) || (needs.is_empty() && self.needs.is_empty()) {
            return false;
        }
        self.looked = Some(now);
        let mut before = std::mem::take(&mut self.seen);
        before.retain(|seen| seen.status == Status::Finished);
        let mut left: Vec<&RunDir> = self.dirs.iter().collect();
        let mut open: Vec<Need> = needs.iter().cloned().collect();
        let mut known: BTreeSet<Need> = needs.clone();
        while let Some((of, need)) = open.pop() {
            let is_meant = |dir: &&RunDir| means(&need, &of, &dir.experiment(), &dir.name());
            let (meant, rest): (Vec<&RunDir>, Vec<&RunDir>) = left.into_iter().partition(is_meant);
            left = rest;
            for dir in meant {
                let again = before.iter().position(|seen| seen.dir == *dir);
                let seen = again.map_or_else(|| (looks.at)(dir), |place| before.swap_remove(place));
                let theirs = seen.record.as_ref().map_or(&[][..], |record| &record.queue.needs);
                let theirs = theirs.iter().map(|need| (dir.experiment(), need.clone()));
                open.extend(theirs.filter(|need| known.insert(need.clone())));
                self.seen.push(seen);
            }
        }
        self.gone = needs.iter().flat_map(looks.gone).collect();
        self.needs = needs.clone();
        true
    }

    /// Those that are needed, as they were seen.
    pub fn seen(&self) -> &[Seen] {
        &self.seen
    }

    /// The same in the schedule's words.
    pub fn others(&self) -> Vec<Other> {
        let seen = self.seen.iter().map(|seen| Other {
            experiment: seen.dir.experiment(),
            name: seen.dir.name(),
            is_finished: seen.status == Status::Finished,
        });
        let gone = self.gone.iter().map(|(experiment, name)| Other {
            experiment: experiment.clone(),
            name: name.clone(),
            is_finished: true,
        });
        seen.chain(gone).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_dir::Workspace;
    use crate::run_dir::scan::sample_record;

    fn seen(dir: &RunDir, needs: &[&str], status: Status) -> Seen {
        let mut record = sample_record(&dir.experiment(), &dir.name());
        record.queue.needs = needs.iter().map(|&need| need.to_owned()).collect();
        Seen {
            import: None,
            dir: dir.clone(),
            record: Ok(record),
            attempts: Vec::new(),
            requests: Vec::new(),
            progress: None,
            status,
            warnings: Vec::new(),
        }
    }

    #[test]
    fn beside_a_thousand_others_only_those_that_are_needed_are_looked_at_and_not_at_every_moment() {
        let workspace = Workspace::new("/w");
        let mut dirs: HashSet<RunDir> = (0..1000).map(|run| workspace.run("y", &format!("s{run}"))).collect();
        dirs.extend(["a", "b"].map(|run| workspace.run("z", run)));
        let mut left_out = LeftOut::new(dirs);
        let (mut looked_at, mut lists) = (Vec::new(), 0);
        let begun = Instant::now();
        let mut look = |needs: &[&str], is_hinted, seconds| {
            let needs: BTreeSet<Need> = needs.iter().map(|&need| ("x".to_owned(), need.to_owned())).collect();
            looked_at.clear();
            let mut at = |dir: &RunDir| {
                looked_at.push(dir.name());
                match dir.name().as_str() {
                    "s1" => seen(dir, &["z/a"], Status::Stopped),
                    _ => seen(dir, &[], Status::Finished),
                }
            };
            let mut gone = |_: &Need| {
                lists += 1;
                vec![("y".to_owned(), "old".to_owned())]
            };
            let now = begun + Duration::from_secs(seconds);
            left_out.look(&needs, is_hinted, now, Looks { at: &mut at, gone: &mut gone });
            (looked_at.clone(), lists)
        };
        assert_eq!(look(&[], true, 0), (vec![], 0), "nothing is needed");
        let needed = ["s1".to_owned(), "a".to_owned()].to_vec();
        assert_eq!(look(&["y/s1"], false, 0), (needed, 1), "and what that needs");
        assert_eq!(look(&["y/s1"], false, 1), (vec![], 1), "that was a moment ago");
        assert_eq!(look(&["y/s1"], true, 1), (vec!["s1".to_owned()], 2), "what has finished stays so");
        assert_eq!(look(&["y/s1"], false, 4), (vec!["s1".to_owned()], 3));
        assert_eq!(look(&["y/s1", "z/b"], false, 4), (vec!["b".to_owned(), "s1".to_owned()], 5));
        let others: Vec<(String, bool)> =
            left_out.others().into_iter().map(|other| (other.name, other.is_finished)).collect();
        assert!(others.contains(&("s1".to_owned(), false)) && others.contains(&("old".to_owned(), true)));
    }
}
