//! Which runs a need means, and which waiting runs can never start, because what they need has come to a
//! bad end. That follows from all runs together, so it is found in a second step, after each was looked at.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::Status;
use super::scan::Seen;
use crate::experiment::settings::NeedsFailed;

/// Whether `need`, of a run of the experiment `of`, means this run: by its experiment, by both names, or
/// by its own name among those of one experiment. Nobody else decides that.
pub fn means(need: &str, of: &str, experiment: &str, run: &str) -> bool {
    // Asked for each pair of runs: nothing is put together only to be compared.
    let is_path = |text: &str, folder: &str, name: &str| {
        text.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/')) == Some(name)
    };
    need == experiment || is_path(need, experiment, run) || (of == experiment && need == run)
}

/// The names under which a run can be needed.
pub fn names(experiment: &str, run: &str) -> [String; 2] {
    [experiment.to_owned(), format!("{experiment}/{run}")]
}

/// The names that a need may stand for.
pub fn asked(need: &str, of: &str) -> [String; 2] {
    [need.to_owned(), format!("{of}/{need}")]
}

/// A run among those that need each other.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    pub experiment: &'a str,
    pub run: &'a str,
    /// Experiments, `experiment/run`, or runs of its own experiment.
    pub needs: &'a [String],
    pub fate: Fate,
}

/// What a run's status means for those that need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// Failed, killed or stopped: it does not finish unless a person acts.
    Bad,
    /// Waits, and waits in vain where a need is bad.
    Waiting,
    Other,
}

impl Fate {
    pub fn of(status: &Status) -> Fate {
        match status {
            Status::Failed { .. } | Status::Killed { .. } | Status::Stopped => Fate::Bad,
            Status::Waiting { .. } | Status::Skipped { .. } | Status::NeedFailed { .. } => Fate::Waiting,
            _ => Fate::Other,
        }
    }
}

/// For each member the first of its needs that is bad, or is skipped itself, if it waits for one.
pub fn failed_needs(members: &[Member]) -> Vec<Option<String>> {
    let mut failed: Vec<Option<String>> = vec![None; members.len()];
    let names = |member: &Member| names(member.experiment, member.run);
    let mut bad: HashSet<String> =
        members.iter().filter(|member| member.fate == Fate::Bad).flat_map(names).collect();
    loop {
        let mut is_settled = true;
        for (member, failed) in members.iter().zip(&mut failed) {
            if member.fate != Fate::Waiting || failed.is_some() {
                continue;
            }
            // Its own experiment may have bad runs; only a need for one of them counts.
            let is_bad =
                |need: &&String| asked(need, member.experiment).iter().any(|name| bad.contains(name));
            *failed = member.needs.iter().find(is_bad).cloned();
            if failed.is_some() {
                bad.extend(names(member));
                is_settled = false;
            }
        }
        if is_settled {
            return failed;
        }
    }
}

/// Whether any of these waits and needs another, so that the others must be looked at too.
pub fn any<'a>(runs: impl IntoIterator<Item = &'a Seen>) -> bool {
    runs.into_iter().any(|seen| !needs(seen).is_empty() && Fate::of(&seen.status) == Fate::Waiting)
}

/// Skips, or lets fail, those of `runs` whose needs among `runs` and `others` came to a bad end; `fate` says
/// what a run's status means.
pub fn skip(mut runs: Vec<&mut Seen>, others: &[Seen], fate: impl Fn(&Seen) -> Fate) {
    let names: Vec<(String, String)> = runs
        .iter()
        .map(|seen| &**seen)
        .chain(others)
        .map(|seen| (seen.dir.experiment(), seen.dir.name()))
        .collect();
    let all = runs.iter().map(|seen| &**seen).chain(others).zip(&names);
    let members: Vec<Member> = all
        .map(|(seen, (experiment, run))| Member { experiment, run, needs: needs(seen), fate: fate(seen) })
        .collect();
    let failed = failed_needs(&members);
    for (seen, need) in runs.iter_mut().zip(failed) {
        if let Some(need) = need {
            seen.status = without(need, seen);
        }
    }
}

/// What a run is whose need came to a bad end, as its file asks.
pub fn without(need: String, seen: &Seen) -> Status {
    let rule = seen.record.as_ref().map_or(NeedsFailed::Skip, |record| record.queue.needs_failed);
    match rule {
        NeedsFailed::Skip => Status::Skipped { need },
        NeedsFailed::Fail => Status::NeedFailed { need },
    }
}

fn needs(seen: &Seen) -> &[String] {
    seen.record.as_ref().map_or(&[], |record| &record.queue.needs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_dir::Workspace;
    use crate::run_dir::scan::sample_record;
    use crate::run_dir::status::Waiting;

    #[test]
    fn what_a_need_means_is_what_its_names_say() {
        for need in ["x", "y", "s1", "x/s1", "y/s1", "x/", "/s1", "x/s1/", "s", ""] {
            for (of, experiment, run) in
                [("x", "x", "s1"), ("x", "y", "s1"), ("y", "x", "s1"), ("x", "s1", "s1"), ("x", "s", "1")]
            {
                let asked = asked(need, of);
                let by_names = names(experiment, run).iter().any(|name| asked.contains(name));
                assert_eq!(means(need, of, experiment, run), by_names, "{need}, {of}, {experiment}/{run}");
            }
        }
    }

    fn failed(members: &[(&str, &str, &[&str], Fate)]) -> Vec<Option<String>> {
        let needs: Vec<Vec<String>> =
            members.iter().map(|member| member.2.iter().map(|need| (*need).to_owned()).collect()).collect();
        let members: Vec<Member> = members
            .iter()
            .zip(&needs)
            .map(|((experiment, run, _, fate), needs)| Member { experiment, run, needs, fate: *fate })
            .collect();
        failed_needs(&members)
    }

    #[test]
    fn a_need_means_an_experiment_or_one_run_by_both_names_or_by_its_own_among_its_like() {
        for (need, of, experiment, run, expected) in [
            ("x", "y", "x", "s1", true),
            ("x", "x", "x", "s1", true),
            ("x/s1", "y", "x", "s1", true),
            ("x/s1", "y", "x", "s2", false),
            ("s1", "x", "x", "s1", true),
            ("s1", "y", "x", "s1", false),
        ] {
            assert_eq!(means(need, of, experiment, run), expected, "{need} of {of}: {experiment}/{run}");
        }
    }

    #[test]
    fn a_bad_end_skips_all_that_need_it_however_far_behind() {
        let found = failed(&[
            ("third", "s1", &["second/s1"], Fate::Waiting),
            ("second", "s1", &["first"], Fate::Waiting),
            ("second", "s2", &["other"], Fate::Waiting),
            ("first", "s1", &[], Fate::Other),
            ("first", "s2", &[], Fate::Bad),
            ("other", "s1", &[], Fate::Other),
        ]);
        let found: Vec<Option<&str>> = found.iter().map(Option::as_deref).collect();
        assert_eq!(found, [Some("second/s1"), Some("first"), None, None, None, None]);
    }

    #[test]
    fn a_need_for_one_run_of_its_experiment_leaves_the_others_alone() {
        let found = failed(&[
            ("x", "a", &[], Fate::Bad),
            ("x", "b", &["a"], Fate::Waiting),
            ("x", "c", &["d"], Fate::Waiting),
            ("x", "d", &[], Fate::Waiting),
        ]);
        assert_eq!(found, [None, Some("a".to_owned()), None, None]);
    }

    #[test]
    fn runs_that_need_each_other_end_the_search() {
        let members = [("x", "a", &["b"][..], Fate::Waiting), ("x", "b", &["a"][..], Fate::Waiting)];
        assert_eq!(failed(&members), [None, None]);
    }

    fn seen(run: &str, needs: &[&str], rule: NeedsFailed, status: Status) -> Seen {
        let mut record = sample_record("x", run);
        record.queue.needs = needs.iter().map(|&need| need.to_owned()).collect();
        record.queue.needs_failed = rule;
        Seen {
            import: None,
            dir: Workspace::new("/w").run("x", run),
            record: Ok(record),
            attempts: Vec::new(),
            requests: Vec::new(),
            progress: None,
            status,
            warnings: Vec::new(),
        }
    }

    #[test]
    fn each_status_is_bad_waits_or_is_neither() {
        let need = || "x".to_owned();
        for (status, fate) in [
            (Status::Failed { code: 1 }, Fate::Bad),
            (Status::Killed { signal: 9 }, Fate::Bad),
            (Status::Stopped, Fate::Bad),
            (Status::Waiting { because: Waiting::New }, Fate::Waiting),
            (Status::Skipped { need: need() }, Fate::Waiting),
            (Status::NeedFailed { need: need() }, Fate::Waiting),
            (Status::Paused, Fate::Other),
            (Status::Lost, Fate::Other),
            (Status::Finished, Fate::Other),
        ] {
            assert_eq!(Fate::of(&status), fate, "{status:?}");
        }
    }

    #[test]
    fn runs_whose_need_came_to_a_bad_end_are_skipped_or_fail_as_their_files_ask() {
        let waiting = || Status::Waiting { because: Waiting::New };
        let mut runs = [
            seen("a", &["bad"], NeedsFailed::Skip, waiting()),
            seen("b", &["bad"], NeedsFailed::Fail, waiting()),
            seen("c", &["good"], NeedsFailed::Skip, waiting()),
            seen("d", &["bad"], NeedsFailed::Skip, Status::Finished),
        ];
        let others = [
            seen("bad", &[], NeedsFailed::Skip, Status::Stopped),
            seen("good", &[], NeedsFailed::Skip, Status::Finished),
        ];
        skip(runs.iter_mut().collect(), &others, |seen| Fate::of(&seen.status));
        let need = || "bad".to_owned();
        let expected = [
            Status::Skipped { need: need() },
            Status::NeedFailed { need: need() },
            waiting(),
            Status::Finished,
        ];
        assert_eq!(runs.map(|seen| seen.status), expected);
    }

    #[test]
    fn others_are_looked_at_where_one_that_waits_needs_any() {
        let waiting = || Status::Waiting { because: Waiting::New };
        let of = |needs: &[&str], status| any([&seen("a", needs, NeedsFailed::Skip, status)]);
        assert!(of(&["b"], waiting()));
        assert!(!of(&[], waiting()) && !of(&["b"], Status::Finished) && !any([]));
    }
}
