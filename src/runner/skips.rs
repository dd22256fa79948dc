//! Which runs are skipped because a run that they need came to a bad end, kept up to date by what has
//! changed: beside ten thousand runs a look at one costs no more than beside ten. Pure.
//!
//! The same rule as [`needs::failed_needs`], which decides it for all runs at once.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::left_out::Need;
use crate::run_dir::RunDir;
use crate::run_dir::needs::{self, Fate};

/// What is known of the runs of a batch, and of those outside of it that they need.
#[derive(Default)]
pub struct Skips {
    members: HashMap<RunDir, Member>,
    /// Members that are outside of the batch.
    others: HashSet<RunDir>,
    /// Names that a bad or skipped run bears, and how many do.
    bad: HashMap<String, usize>,
    /// Those that wait, by the names that they need.
    wanting: HashMap<String, HashSet<RunDir>>,
    /// What runs of the batch need before they can begin, and how many do.
    open: BTreeSet<Need>,
    counts: HashMap<Need, usize>,
    /// How many members were judged so far.
    #[cfg(test)]
    judged: usize,
}

/// A run as it was seen last.
struct Member {
    fate: Fate,
    needs: Vec<String>,
    /// It is of the batch and cannot begin before its needs have finished.
    is_open: bool,
    /// The need that came to a bad end.
    failed: Option<String>,
}

impl Skips {
    /// Takes in a run of the batch; `is_open` says that it begins when its needs have finished.
    pub fn put(&mut self, dir: &RunDir, needs: &[String], fate: Fate, is_open: bool) -> BTreeSet<RunDir> {
        self.others.remove(dir);
        self.take_in(dir, needs, fate, is_open)
    }

    /// Takes in all that are needed of the runs outside of the batch.
    pub fn put_others<'a>(
        &mut self,
        others: impl Iterator<Item = (&'a RunDir, &'a [String], Fate)>,
    ) -> BTreeSet<RunDir> {
        let mut changed = BTreeSet::new();
        let mut left = std::mem::take(&mut self.others);
        for (dir, needs, fate) in others {
            left.remove(dir);
            changed.append(&mut self.take_in(dir, needs, fate, false));
            self.others.insert(dir.clone());
        }
        for dir in left {
            changed.append(&mut self.take_in(&dir, &[], Fate::Other, false));
            self.members.remove(&dir);
        }
        changed
    }

    /// The need of a run that did not finish.
    pub fn failed(&self, dir: &RunDir) -> Option<&str> {
        self.members.get(dir)?.failed.as_deref()
    }

    /// What runs of the batch wait for, with their experiment.
    pub fn open(&self) -> &BTreeSet<Need> {
        &self.open
    }

    /// Those whose need has failed by that, or has not failed any more.
    fn take_in(&mut self, dir: &RunDir, needs: &[String], fate: Fate, is_open: bool) -> BTreeSet<RunDir> {
        let mut changed = BTreeSet::new();
        let known = self.members.get(dir);
        if known.is_some_and(|known| (known.fate, known.is_open) == (fate, is_open) && known.needs == needs) {
            return changed;
        }
        let is_better = self.forget(dir, &mut changed);
        let experiment = dir.experiment();
        if is_open {
            for need in needs {
                let need = (experiment.clone(), need.clone());
                *self.counts.entry(need.clone()).or_default() += 1;
                self.open.insert(need);
            }
        }
        if fate == Fate::Waiting {
            for name in needs.iter().flat_map(|need| needs::asked(need, &experiment)) {
                self.wanting.entry(name).or_default().insert(dir.clone());
            }
        }
        let member = Member { fate, needs: needs.to_vec(), is_open, failed: None };
        self.members.insert(dir.clone(), member);
        if fate == Fate::Bad {
            self.turned_bad(dir, &mut changed);
        }
        match is_better {
            // Those that are skipped may have been so by each other: all of them are judged anew.
            true => self.judge_all(&mut changed),
            false => self.judge([dir.clone()].into(), &mut changed),
        }
        changed
    }

    /// Takes out what was known of a run; whether it was bad, so that others may be better off without it.
    fn forget(&mut self, dir: &RunDir, changed: &mut BTreeSet<RunDir>) -> bool {
        let Some(known) = self.members.remove(dir) else { return false };
        let experiment = dir.experiment();
        if known.is_open {
            for need in &known.needs {
                let need = (experiment.clone(), need.clone());
                if let Some(count) = self.counts.get_mut(&need) {
                    *count -= 1;
                    if *count == 0 {
                        self.counts.remove(&need);
                        self.open.remove(&need);
                    }
                }
            }
        }
        if known.fate == Fate::Waiting {
            for name in known.needs.iter().flat_map(|need| needs::asked(need, &experiment)) {
                if let Some(wanting) = self.wanting.get_mut(&name) {
                    wanting.remove(dir);
                    if wanting.is_empty() {
                        self.wanting.remove(&name);
                    }
                }
            }
        }
        if known.failed.is_some() {
            changed.insert(dir.clone());
        }
        let was_bad = known.fate == Fate::Bad || known.failed.is_some();
        if was_bad {
            self.turned_good(dir);
        }
        was_bad
    }

    fn turned_bad(&mut self, dir: &RunDir, changed: &mut BTreeSet<RunDir>) {
        let mut affected = BTreeSet::new();
        for name in needs::names(&dir.experiment(), &dir.name()) {
            let count = self.bad.entry(name.clone()).or_default();
            *count += 1;
            if *count == 1 {
                affected.extend(self.wanting.get(&name).into_iter().flatten().cloned());
            }
        }
        self.judge(affected, changed);
    }

    fn turned_good(&mut self, dir: &RunDir) {
        for name in needs::names(&dir.experiment(), &dir.name()) {
            if let Some(count) = self.bad.get_mut(&name) {
                *count -= 1;
                if *count == 0 {
                    self.bad.remove(&name);
                }
            }
        }
    }

    fn judge(&mut self, mut open: BTreeSet<RunDir>, changed: &mut BTreeSet<RunDir>) {
        while let Some(dir) = open.pop_first() {
            #[cfg(test)]
            {
                self.judged += 1;
            }
            let Some(member) = self.members.get_mut(&dir) else { continue };
            if member.fate != Fate::Waiting || member.failed.is_some() {
                continue;
            }
            let experiment = dir.experiment();
            let is_bad = |need: &&String| {
                needs::asked(need, &experiment).iter().any(|name| self.bad.contains_key(name))
            };
            let Some(need) = member.needs.iter().find(is_bad) else { continue };
            member.failed = Some(need.clone());
            changed.insert(dir.clone());
            for name in needs::names(&experiment, &dir.name()) {
                let count = self.bad.entry(name.clone()).or_default();
                *count += 1;
                if *count == 1 {
                    open.extend(self.wanting.get(&name).into_iter().flatten().cloned());
                }
            }
        }
    }

    fn judge_all(&mut self, changed: &mut BTreeSet<RunDir>) {
        let waiting: BTreeSet<RunDir> = self.wanting.values().flatten().cloned().collect();
        let mut before: HashMap<RunDir, String> = HashMap::new();
        for dir in &waiting {
            if let Some(failed) = self.members.get_mut(dir).and_then(|member| member.failed.take()) {
                before.insert(dir.clone(), failed);
                self.turned_good(dir);
            }
        }
        self.judge(waiting.clone(), &mut BTreeSet::new());
        let is_other = |dir: &RunDir| self.failed(dir) != before.get(dir).map(String::as_str);
        changed.extend(waiting.into_iter().filter(is_other));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_dir::Workspace;
    use crate::run_dir::needs::Member as Seen;

    fn run(experiment: &str, name: &str) -> RunDir {
        Workspace::new("/w").run(experiment, name)
    }

    fn put(skips: &mut Skips, dir: &RunDir, needs: &[&str], fate: Fate) -> Vec<String> {
        let needs: Vec<String> = needs.iter().map(|&need| need.to_owned()).collect();
        let changed = skips.put(dir, &needs, fate, fate == Fate::Waiting);
        changed.into_iter().map(|dir| dir.name()).collect()
    }

    #[test]
    fn beside_ten_thousand_runs_only_those_that_need_what_has_changed_are_judged() {
        let mut skips = Skips::default();
        let runs: Vec<RunDir> = (0..10_000).map(|number| run("x", &format!("s{number}"))).collect();
        for dir in &runs {
            put(&mut skips, dir, &[], Fate::Waiting);
        }
        let (stage, behind) = (run("y", "stage"), run("z", "behind"));
        put(&mut skips, &stage, &["x/s7"], Fate::Waiting);
        put(&mut skips, &behind, &["y"], Fate::Waiting);
        let judged = |skips: &mut Skips, put: &mut dyn FnMut(&mut Skips)| {
            let before = skips.judged;
            put(skips);
            skips.judged - before
        };
        let same = judged(&mut skips, &mut |skips| {
            for dir in &runs {
                assert!(put(skips, dir, &[], Fate::Waiting).is_empty());
            }
        });
        assert_eq!(same, 0, "all were looked at again, and nothing was new");
        let one = judged(&mut skips, &mut |skips| {
            assert!(put(skips, &runs[8], &[], Fate::Bad).is_empty(), "nobody needs that one");
        });
        assert!(one <= 1, "{one}");
        let two = judged(&mut skips, &mut |skips| {
            assert_eq!(put(skips, &runs[7], &[], Fate::Bad), ["stage", "behind"]);
        });
        assert!(two <= 3, "{two}");
        assert_eq!((skips.failed(&stage), skips.failed(&behind)), (Some("x/s7"), Some("y")));
        let back = judged(&mut skips, &mut |skips| {
            assert_eq!(put(skips, &runs[7], &[], Fate::Other), ["stage", "behind"]);
        });
        assert!(back <= 3, "those that need something, not all: {back}");
        assert_eq!((skips.failed(&stage), skips.failed(&behind)), (None, None));
    }

    #[test]
    fn what_runs_wait_for_is_known_as_long_as_one_of_them_waits() {
        let mut skips = Skips::default();
        let (one, two) = (run("y", "a"), run("y", "b"));
        put(&mut skips, &one, &["x"], Fate::Waiting);
        put(&mut skips, &two, &["x"], Fate::Waiting);
        let need: BTreeSet<Need> = [("y".to_owned(), "x".to_owned())].into();
        put(&mut skips, &one, &["x"], Fate::Other);
        assert_eq!(skips.open(), &need);
        put(&mut skips, &two, &["x"], Fate::Other);
        assert_eq!(skips.open(), &BTreeSet::new());
    }

    #[test]
    fn runs_outside_of_the_batch_count_while_they_are_needed() {
        let mut skips = Skips::default();
        let (stage, other) = (run("y", "a"), run("x", "s1"));
        put(&mut skips, &stage, &["x"], Fate::Waiting);
        let none: &[String] = &[];
        assert_eq!(skips.put_others([(&other, none, Fate::Bad)].into_iter()), [stage.clone()].into());
        assert_eq!(skips.put_others([(&other, none, Fate::Bad)].into_iter()), BTreeSet::new());
        assert_eq!(skips.put_others(std::iter::empty()), [stage.clone()].into());
        assert_eq!(skips.failed(&stage), None);
    }

    /// Numbers that look random, the same at each run.
    fn numbers(mut state: u64) -> impl FnMut(usize) -> usize {
        move |below| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below
        }
    }

    #[test]
    fn whatever_changes_in_whatever_order_the_same_runs_are_skipped_as_by_the_rule_for_all() {
        let mut number = numbers(7);
        let all = [("x", "a"), ("x", "b"), ("y", "a"), ("y", "b"), ("z", "a"), ("z", "b")];
        let wants = ["x", "y", "z", "x/a", "y/b", "z/a", "a", "b"];
        for _ in 0..300 {
            let mut skips = Skips::default();
            let mut states: Vec<(Vec<String>, Fate)> = vec![(Vec::new(), Fate::Other); all.len()];
            let needs: Vec<Vec<String>> = (0..all.len())
                .map(|_| (0..number(3)).map(|_| wants[number(wants.len())].to_owned()).collect())
                .collect();
            let mut seen_changed: HashMap<RunDir, Option<String>> = HashMap::new();
            for _ in 0..20 {
                let at = number(all.len());
                let fate = [Fate::Bad, Fate::Waiting, Fate::Waiting, Fate::Other][number(4)];
                states[at] = (needs[at].clone(), fate);
                let changed = skips.put(&run(all[at].0, all[at].1), &needs[at], fate, fate == Fate::Waiting);
                for dir in changed {
                    seen_changed.insert(dir.clone(), skips.failed(&dir).map(str::to_owned));
                }
                let members: Vec<Seen> = all
                    .iter()
                    .zip(&states)
                    .map(|((experiment, run), (needs, fate))| Seen { experiment, run, needs, fate: *fate })
                    .collect();
                for ((experiment, name), expected) in all.iter().zip(needs::failed_needs(&members)) {
                    let dir = run(experiment, name);
                    assert_eq!(
                        skips.failed(&dir).is_some(),
                        expected.is_some(),
                        "{experiment}/{name}: {members:?}"
                    );
                    let told = seen_changed.get(&dir).cloned().flatten();
                    assert_eq!(told.as_deref(), skips.failed(&dir), "what changed was told");
                }
            }
        }
    }
}
