//! Which number stands for a run on pages: its own, but where folders were plainly copied together and another
//! run of the experiment has it too. Then the later one is drawn as the next that is free.

use std::collections::{BTreeMap, BTreeSet};

use super::summary::RunSummary;
use super::{Redraw, Report};
use crate::run_dir::records::RunRecord;
use crate::run_dir::{RunDir, read};

/// So many numbers there are on pages: the others stand for what is no run.
const COUNT: u16 = 0x8000;

/// What decides the number of a run.
struct Numbered<'a> {
    recorded: u16,
    created: f64,
    run: &'a str,
}

impl Report {
    /// Runs that are drawn with the number of another one, or not any more with their own.
    pub(super) fn misnumbered(&mut self) -> Vec<Redraw> {
        let mut experiments: BTreeMap<&str, Vec<(&RunDir, Numbered)>> = BTreeMap::new();
        for (dir, known) in &self.runs {
            let run = &known.summary;
            // One whose record cannot be read has none.
            let Some(recorded) = run.recorded else { continue };
            let numbered = Numbered { recorded, created: run.created, run: &run.run };
            experiments.entry(&run.experiment).or_default().push((dir, numbered));
        }
        let mut wrong: Vec<(RunDir, u16)> = Vec::new();
        for (dirs, runs) in
            experiments.into_values().map(|runs| runs.into_iter().unzip::<_, _, Vec<_>, Vec<_>>())
        {
            let moved = dirs.into_iter().zip(shown(&runs));
            let moved = moved.filter(|(dir, number)| self.runs[*dir].summary.number != *number);
            wrong.extend(moved.map(|(dir, number)| (dir.clone(), number)));
        }
        let mut redraws = Vec::with_capacity(wrong.len());
        for (dir, number) in wrong {
            let Some(summary) = self.runs.get(&dir).map(|known| &known.summary) else { continue };
            let (mark, failed) = (summary.fingerprint.clone(), summary.failed_need.clone());
            let own = recorded(summary);
            redraws
                .push(Redraw { number: (number != own).then_some(number), ..self.redraw(dir, mark, failed) });
        }
        redraws
    }
}

/// Those of these runs that are drawn with another number than their own, for who has no report to ask.
pub fn moved(dirs: &[RunDir]) -> BTreeMap<RunDir, u16> {
    let records = dirs.iter().filter_map(|dir| Some((dir, read::run_record(dir).ok()?)));
    let mut experiments: BTreeMap<String, Vec<(&RunDir, RunRecord)>> = BTreeMap::new();
    for (dir, record) in records {
        experiments.entry(dir.experiment()).or_default().push((dir, record));
    }
    let mut moved = BTreeMap::new();
    for runs in experiments.values() {
        let numbered = runs.iter().map(|(_, record)| Numbered {
            recorded: of_record(record),
            created: record.created,
            run: &record.run,
        });
        let numbered: Vec<Numbered> = numbered.collect();
        let places = shown(&numbered).into_iter().zip(&numbered).zip(runs);
        let others = places.filter(|((number, run), _)| *number != run.recorded);
        moved.extend(others.map(|((number, _), (dir, _))| ((*dir).clone(), number)));
    }
    moved
}

/// The number in a record, as pages have room for it.
pub fn of_record(record: &RunRecord) -> u16 {
    (record.number % u32::from(COUNT)) as u16
}

/// The same of a run's summary.
pub fn recorded(run: &RunSummary) -> u16 {
    run.recorded.unwrap_or(run.number)
}

/// Why a run is drawn with another number.
pub fn sentence(recorded: u16, shown: u16) -> String {
    format!(
        "its number, {recorded}, is also that of another run of this experiment: their folders were copied together, \
         so it is drawn as number {shown} (overnight merge gives each run its own)"
    )
}

/// The number of each, in their order: of those that share one, the run that was queued first has it.
fn shown(runs: &[Numbered]) -> Vec<u16> {
    let mut order: Vec<usize> = (0..runs.len()).collect();
    order.sort_by(|one, other| {
        let (one, other) = (&runs[*one], &runs[*other]);
        one.created.total_cmp(&other.created).then_with(|| one.run.cmp(other.run))
    });
    let taken: BTreeSet<u16> = runs.iter().map(|run| run.recorded).collect();
    // Behind all others, so that a later run of this workspace moves none of them.
    let mut free = taken.last().map_or(0, |last| last.wrapping_add(1));
    let mut given = BTreeSet::new();
    let mut shown: Vec<u16> = runs.iter().map(|run| run.recorded).collect();
    for place in order {
        if !given.insert(shown[place]) {
            shown[place] = free % COUNT;
            free = free.wrapping_add(1);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::catalog::{self, Catalog};
    use crate::run_dir::Workspace;
    use crate::run_dir::scan::sample_record;
    use crate::run_dir::write::{Durability, replace_json};

    #[test]
    fn of_runs_with_one_number_the_first_keeps_it_and_the_others_are_behind_all() {
        let run = |recorded, created, run| Numbered { recorded, created, run };
        for (runs, expected) in [
            (vec![run(0, 1.0, "a"), run(1, 2.0, "b")], vec![0, 1]),
            (vec![run(0, 2.0, "a"), run(0, 1.0, "b"), run(1, 3.0, "c")], vec![2, 0, 1]),
            (vec![run(0, 1.0, "b"), run(0, 1.0, "a"), run(0, 1.0, "c")], vec![1, 0, 2]),
            (vec![run(0, f64::NAN, "a"), run(0, 1.0, "b")], vec![1, 0]),
            (vec![], vec![]),
        ] {
            assert_eq!(shown(&runs), expected);
        }
    }

    #[test]
    fn copied_runs_are_drawn_with_numbers_of_their_own_until_they_are_apart_again() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::new(folder.path());
        let dirs = ["a", "b"].map(|name| workspace.run("x", name));
        for (dir, created) in dirs.iter().zip([2.0, 1.0]) {
            std::fs::create_dir_all(dir.path()).unwrap();
            let record = RunRecord { created, number: 0, ..sample_record("x", &dir.name()) };
            replace_json(&dir.run_json(), &record, Durability::Rebuildable).unwrap();
        }
        assert_eq!(moved(&dirs), BTreeMap::from([(dirs[0].clone(), 1)]));
        assert_eq!(moved(&dirs[..1]), BTreeMap::new());
        let built = || {
            crate::report::build(folder.path()).unwrap();
            let runs = Catalog::new(&workspace).refresh();
            let numbers: Vec<(String, u16)> =
                runs.values().map(|run| (run.run.clone(), run.number)).collect();
            let page = workspace.reports().join(catalog::run_page(runs.values().next().unwrap()));
            let page = std::fs::read_to_string(page.join("index.html")).unwrap();
            (numbers, page.contains("so it is drawn as number 1"))
        };
        for _ in 0..2 {
            assert_eq!(built(), (vec![("a".to_owned(), 1), ("b".to_owned(), 0)], true));
        }
        std::fs::remove_dir_all(dirs[1].path()).unwrap();
        assert_eq!(built(), (vec![("a".to_owned(), 0)], false), "its own number again");
    }

    #[test]
    fn a_number_beyond_those_of_pages_begins_anew() {
        let of = |number| of_record(&RunRecord { number, ..sample_record("x", "a") });
        assert_eq!([0, 0x7fff, 0x8000, 0x8003].map(of), [0, 0x7fff, 0, 3]);
    }
}
