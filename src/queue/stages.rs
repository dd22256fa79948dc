//! Stages: runs that need others, held against what is known of those. Whatever can be known before the
//! night is said before the night.

mod circle;
mod fits;

use std::collections::HashSet;

use crate::data_files::{self, DataFacts, Learned, Vocabulary};
use crate::experiment::settings::{Data, Queue, Settings, Weights};
use crate::experiment::{Alert, Diagnostic, Experiment, PlannedRun, Problem, Rejected, identity};
use crate::run_dir::needs::{asked, means, names};
use crate::run_dir::records::ModelRecord;
use crate::run_dir::{RunDir, Workspace, deleted, is_plain_name, read, scan};

use self::circle::Waiting;
use super::Checked;

/// How a run of these settings stands in the queue: what it takes something of, it needs.
pub fn queue(queue: &Queue, settings: &Settings) -> Queue {
    let mut queue = queue.clone();
    let weights = settings.weights.iter().map(|weights| weights.from.clone());
    for need in weights.chain(text_needs(settings)) {
        if !queue.needs.contains(&need) {
            queue.needs.push(need);
        }
    }
    queue
}

/// Whose text a run is to learn from.
fn text_needs(settings: &Settings) -> Vec<String> {
    match &settings.data {
        Data::Text(text) => text.taken().map(|(_, need, _)| need.to_owned()).collect(),
        _ => Vec::new(),
    }
}

/// Holds the needs of these experiments against what is known, before any of them is queued.
///
/// # Errors
/// What [`problems`] finds.
pub fn check(workspace: &Workspace, checked: &[Checked], alerts: &[Alert]) -> Result<(), Rejected> {
    let wrong = problems(workspace, checked, &[], alerts);
    if wrong.is_empty() { Ok(()) } else { Err(Rejected(wrong)) }
}

/// Holds the needs of these experiments against each other, the runs of the workspace, and the experiment
/// files beside them: a need that names nothing, or whose result cannot be taken. Of the files that are
/// `rejected`, nobody knows what runs they would have. `alerts` are the workspace's.
pub fn problems(
    workspace: &Workspace,
    checked: &[Checked],
    rejected: &[Diagnostic],
    alerts: &[Alert],
) -> Vec<Diagnostic> {
    let known = Known { workspace, checked, rejected, alerts };
    let mut wrong: Vec<Diagnostic> = Vec::new();
    for good in checked {
        let experiment = &good.experiment;
        let needs = experiment.queue.needs.iter().enumerate();
        let mut problems: Vec<Problem> = needs
            .filter(|(_, need)| known.meant(experiment, need).is_empty())
            // To have finished is all that is asked of it.
            .filter(|(_, need)| deleted::meant(workspace, need, &experiment.name).is_empty())
            .filter_map(|(index, need)| known.nothing(experiment, &format!("queue.needs[{index}]"), need))
            .collect();
        problems.extend(
            (experiment.queue.needs.contains(&experiment.name))
                .then(|| itself("queue.needs", &experiment.name)),
        );
        for need in experiment.runs.iter().flat_map(|run| text_needs(&run.settings)) {
            if need == experiment.name {
                problems.push(itself("data.files", &need));
            } else if let Some(problem) = known.gone(experiment, "data.files", &need) {
                problems.push(problem);
            } else if known.meant(experiment, &need).is_empty() {
                problems.extend(known.nothing(experiment, "data.files", &need));
            }
        }
        let mut looked: Vec<(&Weights, Vec<Other>)> = Vec::new();
        for (run, facts) in experiment.runs.iter().zip(&good.facts) {
            let Some(weights) = &run.settings.weights else { continue };
            if !looked.iter().any(|(known, _)| *known == weights) {
                looked.push((weights, known.meant(experiment, &weights.from)));
            }
            let others =
                looked.iter().find(|(known, _)| *known == weights).map_or(&[][..], |(_, found)| found);
            if weights.from == experiment.name {
                problems.push(itself("weights.from", &experiment.name));
            } else if let Some(problem) = known.gone(experiment, "weights.from", &weights.from) {
                problems.push(problem);
            } else if others.is_empty() {
                problems.extend(known.nothing(experiment, "weights.from", &weights.from));
            } else {
                problems
                    .extend(others.iter().flat_map(|other| other.problems(&run.settings, facts, weights)));
            }
        }
        for diagnostic in problems.into_iter().map(|problem| experiment.locate(problem)) {
            if !wrong.contains(&diagnostic) {
                wrong.push(diagnostic);
            }
        }
    }
    // What would wait for itself is a circle too, and was told.
    if wrong.is_empty() {
        wrong.extend(known.circle());
    }
    wrong
}

fn itself(path: &str, experiment: &str) -> Problem {
    let reason = format!("{experiment} would wait for itself");
    Problem::new(path, reason, "name another experiment, or one run of this one")
}

/// The experiment file of that name in the same folder. What is wrong with it is said when it is queued.
fn file_beside(experiment: &Experiment, name: &str) -> Option<Experiment> {
    read_beside(experiment, name)?.ok()
}

fn read_beside(experiment: &Experiment, name: &str) -> Option<Result<Experiment, Rejected>> {
    let file = experiment.base().join(format!("{name}.toml"));
    let is_another = is_plain_name(name) && name != experiment.name && file.is_file();
    is_another.then(|| Experiment::read(&file, &[]))
}

/// Where needs are looked up.
struct Known<'a> {
    workspace: &'a Workspace,
    checked: &'a [Checked],
    rejected: &'a [Diagnostic],
    alerts: &'a [Alert],
}

/// A run that a need means, as far as it is known.
struct Other {
    settings: Settings,
    /// All, and those of an epoch.
    steps: Option<(u64, u64)>,
    /// The tokens of its model.
    vocabulary: Option<Vocabulary>,
    /// It is over, so its files are what they will be; whether it has the one with this name.
    has_file: Option<bool>,
}

impl Known<'_> {
    /// That the need names nothing, if that is known.
    fn nothing(&self, experiment: &Experiment, path: &str, need: &str) -> Option<Problem> {
        let name = need.split('/').next().unwrap_or(need);
        if self.rejected.iter().any(|wrong| wrong.file.file_stem().is_some_and(|stem| stem == name)) {
            return None;
        }
        if let Some(Err(Rejected(wrong))) = read_beside(experiment, name) {
            let first = wrong.first()?;
            let reason = format!(
                "\"{need}\" means {name}.toml beside this file, which is wrong itself: {}",
                first.reason
            );
            let way_out = format!("see all that is wrong there: overnight check {}", first.file.display());
            return Some(Problem::new(path, reason, way_out));
        }
        let is_meant = |dir: &RunDir| means(need, &experiment.name, &dir.experiment(), &dir.name());
        if scan::runs(self.workspace).iter().any(|dir| scan::is_imported(dir) && is_meant(dir)) {
            let reason = format!("\"{need}\" was imported: it is shown, and has nothing to take");
            return Some(Problem::new(path, reason, "name runs that are trained here"));
        }
        let reason = format!(
            "\"{need}\" names no experiment and no run: neither among these files, nor in runs/, nor a file beside this one"
        );
        let way_out = "name an experiment, or a run as experiment/run; overnight status lists runs";
        Some(Problem::new(path, reason, way_out))
    }

    /// That all of what is to be taken was deleted by rules, and nothing named here trains it anew.
    fn gone(&self, experiment: &Experiment, path: &str, need: &str) -> Option<Problem> {
        let (reason, way_out) = deleted::words(self.workspace, need, &experiment.name)?;
        let is_planned = self
            .checked
            .iter()
            .any(|good| !self.planned(&good.experiment, &good.facts, experiment, need).is_empty());
        let is_there = is_planned || !self.queued(experiment, need).is_empty();
        (!is_there).then(|| Problem::new(path, reason, way_out))
    }

    /// Needs of the files that lead back to themselves, perhaps over runs that are queued, or files beside.
    fn circle(&self) -> Option<Diagnostic> {
        let files = || self.checked.iter().map(|good| &good.experiment);
        let planned = |experiment: &Experiment| -> Vec<Waiting> {
            let waiting = |run: &PlannedRun| Waiting {
                experiment: experiment.name.clone(),
                run: self.name(experiment, run),
                needs: queue(&experiment.queue, &run.settings).needs,
            };
            experiment.runs.iter().map(waiting).collect()
        };
        let mut waiting: Vec<Waiting> = files().flat_map(planned).collect();
        if waiting.iter().all(|run| run.needs.is_empty()) {
            return None;
        }
        let mut finished: HashSet<(String, String)> = HashSet::new();
        for dir in scan::runs_of_ours(self.workspace) {
            let (experiment, run) = (dir.experiment(), dir.name());
            if dir.result().is_file() {
                finished.insert((experiment, run));
            } else if let Ok(record) = read::run_record(&dir) {
                waiting.retain(|known| (&known.experiment, &known.run) != (&experiment, &run));
                waiting.push(Waiting { experiment, run, needs: record.queue.needs });
            }
        }
        waiting.retain(|run| !finished.contains(&(run.experiment.clone(), run.run.clone())));
        for experiment in files() {
            let mut looked: HashSet<String> = waiting.iter().map(|run| run.experiment.clone()).collect();
            let mut next = 0;
            while let Some(run) = waiting.get(next) {
                let needs = run.needs.clone();
                for need in needs {
                    let name = need.split('/').next().unwrap_or(&need);
                    if looked.insert(name.to_owned())
                        && let Some(other) = file_beside(experiment, name)
                    {
                        waiting.extend(planned(&other));
                    }
                }
                next += 1;
            }
        }
        let mut circle = circle::circle(&waiting)?;
        let is_of = |position: usize, file: &Experiment| waiting[position].experiment == file.name;
        let (at, file) = circle
            .iter()
            .enumerate()
            .find_map(|(at, run)| files().find(|file| is_of(*run, file)).map(|file| (at, file)))?;
        circle.rotate_left(at);
        let (first, next) = (&waiting[circle[0]], &waiting[circle[1 % circle.len()]]);
        let leads = |need: &&String| {
            asked(need, &first.experiment)
                .iter()
                .any(|name| names(&next.experiment, &next.run).contains(name))
        };
        let need = first.needs.iter().find(leads)?;
        let path = match file.queue.needs.iter().position(|own| own == need) {
            Some(index) => format!("queue.needs[{index}]"),
            None if file.runs.iter().any(|run| text_needs(&run.settings).contains(need)) => {
                "data.files".to_owned()
            }
            None => "weights.from".to_owned(),
        };
        let reason = format!("these would wait for each other: {}", circle::words(&waiting, &circle));
        Some(file.locate(Problem::new(path, reason, "take one of these needs away")))
    }

    fn name(&self, experiment: &Experiment, run: &PlannedRun) -> String {
        let hash = identity::hash(&run.settings, &super::alerts(experiment, self.alerts, run));
        identity::run_name(&run.varied, run.settings.train.seed, &hash)
    }

    /// The runs that `need` of `experiment` means, those that are queued by now first of all.
    fn meant(&self, experiment: &Experiment, need: &str) -> Vec<Other> {
        let mut found = self.queued(experiment, need);
        for good in self.checked {
            found.extend(self.planned(&good.experiment, &good.facts, experiment, need));
        }
        if found.is_empty() {
            found = self.beside(experiment, need);
        }
        found
    }

    fn queued(&self, experiment: &Experiment, need: &str) -> Vec<Other> {
        let of = &experiment.name;
        let runs = scan::runs_of_ours(self.workspace).into_iter();
        let meant = runs.filter(|dir| means(need, of, &dir.experiment(), &dir.name()));
        let wanted = experiment.runs.iter().find_map(|run| {
            let weights = run.settings.weights.as_ref().filter(|weights| weights.from == need)?;
            Some(weights.file.as_str()).filter(|file| file.contains('/'))
        });
        let known = meant.filter_map(|dir| {
            let record = read::run_record(&dir).ok()?;
            let model = read::json::<ModelRecord>(&dir.model_json()).ok();
            let names = model.and_then(|model| model.vocabulary);
            let is_over = dir.result().is_file();
            Some(Other {
                steps: Some((record.steps, record.steps_per_epoch)),
                vocabulary: names.and_then(|names| Vocabulary::of_names(&names)),
                has_file: wanted.filter(|_| is_over).map(|file| dir.path().join(file).is_file()),
                settings: record.settings,
            })
        });
        known.collect()
    }

    fn planned(&self, good: &Experiment, facts: &[DataFacts], of: &Experiment, need: &str) -> Vec<Other> {
        let runs = good.runs.iter().zip(facts);
        let meant = runs.filter(|(run, _)| means(need, &of.name, &good.name, &self.name(good, run)));
        meant.map(|(run, facts)| Other::planned(&run.settings, Some(facts))).collect()
    }

    /// The experiment file of that name in the same folder, which may be queued later.
    fn beside(&self, experiment: &Experiment, need: &str) -> Vec<Other> {
        let name = need.split('/').next().unwrap_or(need);
        let Some(other) = file_beside(experiment, name) else { return Vec::new() };
        let facts: Vec<Option<DataFacts>> =
            other.runs.iter().map(|run| data_files::inspect(&run.settings, &other.base()).ok()).collect();
        let runs = other.runs.iter().zip(&facts);
        let meant =
            runs.filter(|(run, _)| means(need, &experiment.name, &other.name, &self.name(&other, run)));
        meant.map(|(run, facts)| Other::planned(&run.settings, facts.as_ref())).collect()
    }
}

impl Other {
    fn planned(settings: &Settings, facts: Option<&DataFacts>) -> Other {
        let vocabulary = facts.and_then(|facts| match &facts.learned {
            // One that begins with weights has the vocabulary of those.
            Learned::Text { vocabulary, .. } if settings.weights.is_none() => Some(vocabulary.clone()),
            _ => None,
        });
        let steps = facts.map(|facts| {
            let examples = facts.examples_per_epoch;
            (settings.total_steps(examples), settings.steps_per_epoch(examples))
        });
        Other { settings: settings.clone(), steps, vocabulary, has_file: None }
    }

    /// What keeps a run of these settings from beginning with the weights of this one.
    fn problems(&self, ours: &Settings, facts: &DataFacts, weights: &Weights) -> Vec<Problem> {
        let from = &weights.from;
        let mut found = fits::misfits(&self.settings, ours, from);
        match (self.has_file, self.steps) {
            (Some(true), _) => {}
            (Some(false), _) => found.push(Problem::new(
                "weights.file",
                format!("{from} has finished, and has no {}", weights.file),
                "name a checkpoint that is there, or write \"best\" or \"last\"",
            )),
            (None, Some((steps, steps_per_epoch))) => {
                found.extend(fits::not_kept(&self.settings, steps, steps_per_epoch, weights));
            }
            (None, None) => {}
        }
        if let (Some(theirs), Learned::Text { vocabulary, .. }) = (&self.vocabulary, &facts.learned) {
            found.extend(fits::foreign(theirs, vocabulary, ours, from));
        }
        found
    }
}
