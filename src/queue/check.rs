//! Experiment files with the data they name: what is good, and everything that is wrong.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::survey::Surveyor;
use crate::data_files::DataFacts;
use crate::experiment::diagnostic::Source;
use crate::experiment::file::Examined;
use crate::experiment::settings::{Data, Settings};
use crate::experiment::{Diagnostic, Experiment, Override, Problem, Rejected};

/// An experiment file that is good, with what is known of its data.
#[derive(Debug)]
pub struct Checked {
    pub experiment: Experiment,
    /// One for each of the experiment's runs.
    pub facts: Vec<DataFacts>,
}

/// Reads all `files` and looks at the data they name. Nothing is written.
///
/// # Errors
/// Everything that is wrong with any of the files, so that nothing starts if one of them is wrong.
pub fn check(files: &[PathBuf], overrides: &[Override]) -> Result<Vec<Checked>, Rejected> {
    let (good, wrong) = examine(files, overrides);
    if wrong.is_empty() { Ok(good) } else { Err(Rejected(wrong)) }
}

/// What is good among `files`, and all that is wrong with the others.
pub fn examine(files: &[PathBuf], overrides: &[Override]) -> (Vec<Checked>, Vec<Diagnostic>) {
    let mut good: Vec<Checked> = Vec::new();
    let mut wrong: Vec<Diagnostic> = Vec::new();
    for file in files {
        match Experiment::examine(file, overrides) {
            Ok(examined) => match with_data(examined, None) {
                Ok(checked) => good.push(checked),
                Err(problems) => wrong.extend(problems),
            },
            Err(rejected) => wrong.extend(rejected.0),
        }
    }
    let mut seen: BTreeMap<&str, &Path> = BTreeMap::new();
    for Checked { experiment, .. } in &good {
        if let Some(first) = seen.insert(&experiment.name, experiment.file()) {
            let reason = format!("has the name of {}, and the name is the experiment's", first.display());
            let source = Source::new(experiment.file(), "");
            wrong.push(source.diagnostic(None, reason, "rename one of them".to_owned()));
        }
    }
    (good, wrong)
}

/// What is allowed of an experiment that somebody sent.
pub struct Bounds<'a> {
    pub most_runs: usize,
    /// Until when its data are looked at.
    pub until: Instant,
    /// What is wrong with where the data of a run lie; they are read where nothing is.
    pub of_data: &'a dyn Fn(&Settings) -> Vec<Problem>,
}

/// The same for the text of one file that would lie at `file`.
///
/// # Errors
/// Everything that is wrong with it.
pub fn check_text(file: &Path, text: &str, bounds: &Bounds) -> Result<Checked, Rejected> {
    let mut examined = Experiment::examine_text(file, text, &[], bounds.most_runs)?;
    let mut of_data: Vec<Diagnostic> = Vec::new();
    // Most runs of a sweep name the same data, and a pattern may go through all of a workspace.
    let mut known: Vec<&Data> = Vec::new();
    for run in &examined.experiment.runs {
        if known.contains(&&run.settings.data) {
            continue;
        }
        known.push(&run.settings.data);
        let is_late = Instant::now() > bounds.until;
        let problems = if is_late { vec![too_long()] } else { (bounds.of_data)(&run.settings) };
        for problem in problems {
            let diagnostic = examined.experiment.locate(problem);
            if !of_data.contains(&diagnostic) {
                of_data.push(diagnostic);
            }
        }
        if is_late {
            break;
        }
    }
    if of_data.is_empty() {
        return with_data(examined, Some(bounds.until)).map_err(Rejected);
    }
    examined.wrong.extend(of_data);
    examined.wrong.sort_by_key(|diagnostic| (diagnostic.line, diagnostic.column));
    Err(Rejected(examined.wrong))
}

/// Looks at the data of all runs, as far as the file says for certain what that is.
fn with_data(examined: Examined, until: Option<Instant>) -> Result<Checked, Vec<Diagnostic>> {
    let mut facts = Vec::new();
    let mut wrong: Vec<Diagnostic> = Vec::new();
    if examined.knows_its_data() {
        let experiment = &examined.experiment;
        let mut surveyor = Surveyor::new(experiment.base());
        for run in &experiment.runs {
            if until.is_some_and(|until| Instant::now() > until) {
                wrong.push(experiment.locate(too_long()));
                break;
            }
            match surveyor.survey(&run.settings) {
                Ok(found) => facts.push(found),
                Err(problem) => {
                    let diagnostic = experiment.locate(problem);
                    if !wrong.contains(&diagnostic) {
                        wrong.push(diagnostic);
                    }
                }
            }
        }
    }
    wrong.extend(examined.wrong);
    wrong.sort_by_key(|diagnostic| (diagnostic.line, diagnostic.column));
    if wrong.is_empty() { Ok(Checked { experiment: examined.experiment, facts }) } else { Err(wrong) }
}

fn too_long() -> Problem {
    let way_out = "queue it where the data is: overnight queue FILE";
    Problem::new("data", "looking at the data of all runs takes too long", way_out)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use super::*;

    /// What is wrong with a sweep over two data sets and three rates, and how often was asked about data.
    fn checked(until: Instant) -> (Result<usize, Vec<String>>, usize) {
        let text = "[data]\nkind = \"shapes\"\n[model]\nkind = \"mlp\"\n[sweep.values]\n\
                    \"data.count\" = [100, 200]\n\"train.optimizer.lr\" = [1e-3, 2e-3, 3e-3]\n";
        let asked = Cell::new(0);
        let of_data = |_: &Settings| {
            asked.set(asked.get() + 1);
            Vec::new()
        };
        let bounds = Bounds { most_runs: 10, until, of_data: &of_data };
        let checked = check_text(Path::new("/none/x.toml"), text, &bounds);
        let runs = checked.map(|checked| checked.facts.len());
        let runs = runs.map_err(|Rejected(wrong)| wrong.into_iter().map(|one| one.reason).collect());
        (runs, asked.get())
    }

    #[test]
    fn data_that_several_runs_name_are_looked_for_once_and_no_longer_than_allowed() {
        assert_eq!(checked(Instant::now() + Duration::from_secs(600)), (Ok(6), 2));
        let past = Instant::now();
        // It has to be over, not just now.
        while Instant::now() <= past {}
        let late = vec!["looking at the data of all runs takes too long".to_owned()];
        assert_eq!(checked(past), (Err(late), 0));
    }
}
