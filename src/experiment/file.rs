//! Reading an experiment file: one file in, the complete settings of all its runs out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Map;
use toml::{Table, Value};

use super::diagnostic::{self, Diagnostic, Problem, Rejected, Source, Unread};
use super::settings::{Queue, Settings};
use super::sweep::{MOST_RUNS, Point, Sweep};
use super::{Alert, Budget, alert, budget, mistakes, parse, validate};
use crate::run_dir::is_plain_name;
use crate::run_dir::records::Origin;

/// An experiment: everything its file says, complete and typed.
#[derive(Debug, Clone)]
pub struct Experiment {
    /// The file's name without its ending.
    pub name: String,
    pub description: String,
    pub tags: Vec<String>,
    pub notes: String,
    pub queue: Queue,
    pub alerts: Vec<Alert>,
    pub budgets: Vec<Budget>,
    /// In the order in which they are queued.
    pub runs: Vec<PlannedRun>,
    source: Source,
}

/// One run of an experiment.
#[derive(Debug, Clone)]
pub struct PlannedRun {
    pub settings: Settings,
    /// What the sweep gave, by dotted path, the seed included where it gives seeds.
    pub varied: Map<String, serde_json::Value>,
    /// Which of them are drawn log-uniformly.
    pub log_uniform: Vec<String>,
    /// Where each value that is not a default came from.
    pub origins: BTreeMap<String, Origin>,
}

/// An experiment file as far as it can be understood, and what is wrong with it.
#[derive(Debug)]
pub struct Examined {
    /// Complete and good only where nothing is wrong; what could not be read goes by its default.
    pub experiment: Experiment,
    /// In the order of the file.
    pub wrong: Vec<Diagnostic>,
    /// The dotted paths of what is wrong.
    broken: Vec<String>,
}

impl Examined {
    /// The experiment.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn good(self) -> Result<Experiment, Rejected> {
        if self.wrong.is_empty() { Ok(self.experiment) } else { Err(Rejected(self.wrong)) }
    }

    /// Whether everything is good that decides which data a run reads and how.
    pub fn knows_its_data(&self) -> bool {
        let sections = ["", "data", "model", "sample", "sweep"];
        self.broken.iter().all(|path| !sections.contains(&path.split(['.', '[']).next().unwrap_or_default()))
    }
}

/// `--set train.optimizer.lr=3e-4`: a value that stands above the file's.
#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    path: String,
    value: Value,
}

impl std::str::FromStr for Override {
    type Err = String;

    fn from_str(text: &str) -> Result<Override, String> {
        let (path, value) = text.split_once('=').ok_or("write SETTING=VALUE, for example train.steps=100")?;
        let (path, value) = (path.trim(), value.trim());
        if path.is_empty() || path.split('.').any(str::is_empty) {
            return Err(format!("`{path}` is no dotted path of a setting, such as train.optimizer.lr"));
        }
        // What is no TOML value is a word: `--set train.precision=bf16` needs no quotes.
        let parsed = toml::from_str::<Table>(&format!("value = {value}")).ok();
        let value =
            parsed.and_then(|mut table| table.remove("value")).unwrap_or(Value::String(value.to_owned()));
        Ok(Override { path: path.to_owned(), value })
    }
}

impl Experiment {
    /// Reads and checks one experiment file. Data files are not looked at.
    ///
    /// # Errors
    /// Everything that is wrong with the file, each with its place.
    pub fn read(path: &Path, overrides: &[Override]) -> Result<Experiment, Rejected> {
        Experiment::examine(path, overrides)?.good()
    }

    /// Reads one experiment file as far as it can be understood.
    ///
    /// # Errors
    /// It cannot be read, or is no TOML.
    pub fn examine(path: &Path, overrides: &[Override]) -> Result<Examined, Rejected> {
        if path.is_dir() {
            let way_out = format!("name the files in it: {}", path.join("*.toml").display());
            let folder = Source::new(path, "").diagnostic(None, "is a folder".to_owned(), way_out);
            return Err(Rejected(vec![folder]));
        }
        let way_out = "name a file that exists, for example experiments/NAME.toml";
        let text = diagnostic::read_text(path, way_out).map_err(|unread| match unread {
            Unread::Missing(rejected) | Unread::Wrong(rejected) => rejected,
        })?;
        Experiment::examine_text(path, &text, overrides, MOST_RUNS)
    }

    /// Reads the text of an experiment file that lies, or would lie, at `path`.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place.
    pub fn from_text(path: &Path, text: &str, overrides: &[Override]) -> Result<Experiment, Rejected> {
        Experiment::examine_text(path, text, overrides, MOST_RUNS)?.good()
    }

    /// Reads the text of such a file as far as it can be understood. More than `most` runs of it are a
    /// mistake.
    ///
    /// # Errors
    /// It is no TOML.
    pub fn examine_text(
        path: &Path,
        text: &str,
        overrides: &[Override],
        most: usize,
    ) -> Result<Examined, Rejected> {
        let source = Source::new(path, text);
        let mut wrong: Vec<Problem> = Vec::new();
        let mut table: Table = source.table()?;
        let name = name_of(path).map_err(|problem| wrong.push(problem)).unwrap_or_default();
        for wanted in overrides {
            wrong.extend(set(&mut table, &wanted.path, wanted.value.clone()).err());
        }
        let description = parse::take(&mut table, "description", &mut wrong).unwrap_or_default();
        let tags = parse::take(&mut table, "tags", &mut wrong).unwrap_or_default();
        let notes = parse::take(&mut table, "notes", &mut wrong).unwrap_or_default();
        let queue: Queue = parse::take(&mut table, "queue", &mut wrong).unwrap_or_default();
        wrong.extend(validate::queue_problems(&queue));
        let alerts = table.remove("alerts").map(|value| alert::read("alerts", value, &mut wrong));
        let alerts = alerts.unwrap_or_default();
        let budgets = table.remove("budgets").map(|value| budget::read("budgets", value, &mut wrong));
        let budgets = budgets.unwrap_or_default();
        let sweep: Sweep = parse::take(&mut table, "sweep", &mut wrong).unwrap_or_default();
        let (points, of_sweep) = sweep.points(most);
        wrong.extend(of_sweep);

        let gives = |path: &str| overrides.iter().any(|given| given.path == path) || source.gives(path);
        let mut runs = Vec::new();
        for point in points {
            let mut problems = Vec::new();
            let mut planned = planned(&table, &point, overrides, &source, &mut problems);
            if let Some(run) = &mut planned {
                run.log_uniform = sweep.log_uniform();
                let mut further = validate::problems(&run.settings);
                further.extend(alert::problems(&alerts, &run.settings));
                further.extend(budget::problems(&budgets, &run.settings));
                further.retain(|problem| mistakes::stands_apart(problem, &problems, gives));
                problems.extend(further);
            }
            // The same mistake at every point of a sweep is one mistake.
            problems.into_iter().for_each(|problem| {
                if !wrong.contains(&problem) {
                    wrong.push(problem);
                }
            });
            runs.extend(planned);
        }
        let broken = wrong.iter().map(|problem| problem.path.clone()).collect();
        let mut diagnostics: Vec<Diagnostic> =
            wrong.into_iter().map(|problem| located(&source, overrides, problem)).collect();
        diagnostics.sort_by_key(|diagnostic| (diagnostic.line, diagnostic.column));
        diagnostics.dedup();
        let (alerts, budgets) =
            (alerts.into_iter().flatten().collect(), budgets.into_iter().flatten().collect());
        let experiment = Experiment { name, description, tags, notes, queue, alerts, budgets, runs, source };
        Ok(Examined { experiment, wrong: diagnostics, broken })
    }

    /// The file it was read from.
    pub fn file(&self) -> &Path {
        &self.source.file
    }

    /// The folder that paths in the file are relative to.
    pub fn base(&self) -> PathBuf {
        self.file().parent().map(Path::to_owned).unwrap_or_default()
    }

    /// A problem found later (with the data, say) with its place in this file.
    pub fn locate(&self, problem: Problem) -> Diagnostic {
        self.source.locate(problem)
    }
}

/// The problem with its place: in the file, or on the command line where that gave the value.
fn located(source: &Source, overrides: &[Override], problem: Problem) -> Diagnostic {
    let given = overrides.iter().find(|given| {
        let rest = given.path.strip_prefix(problem.path.as_str());
        !problem.path.is_empty() && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    });
    match given {
        Some(given) => {
            let reason = format!("--set {}: {}", given.path, problem.reason);
            source.diagnostic(None, reason, problem.way_out)
        }
        None => source.locate(problem),
    }
}

fn name_of(path: &Path) -> Result<String, Problem> {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    if is_plain_name(&stem) {
        return Ok(stem);
    }
    let reason = format!("\"{stem}\" cannot name an experiment");
    Err(Problem::new(
        "",
        reason,
        "use letters, digits, `.`, `_` and `-` in the file's name, a letter or digit first",
    ))
}

/// The run of one point; None where so much is wrong that it has no settings.
fn planned(
    base: &Table,
    point: &Point,
    overrides: &[Override],
    source: &Source,
    wrong: &mut Vec<Problem>,
) -> Option<PlannedRun> {
    let mut table = base.clone();
    let mut varied = Map::new();
    for (path, value) in &point.values {
        let section = path.split('.').next().unwrap_or_default();
        if ["description", "tags", "notes", "sweep", "queue", "alerts", "budgets"].contains(&section) {
            let reason = format!("{path} cannot be varied");
            wrong.push(Problem::new(path, reason, "vary settings of data, model, train and the like"));
            continue;
        }
        wrong.extend(set(&mut table, path, value.clone()).err());
        varied.insert(path.clone(), serde_json::to_value(value).unwrap_or_default());
    }
    if let Some(seed) = point.seed {
        match i64::try_from(seed) {
            Ok(value) => wrong.extend(set(&mut table, "train.seed", Value::Integer(value)).err()),
            Err(_) => {
                let reason = format!("seed {seed} is too large");
                wrong.push(Problem::new("sweep.seeds", reason, "use a number below 2^63"));
            }
        }
        varied.insert("train.seed".to_owned(), seed.into());
    }
    let origins = origins(&table, &varied, overrides, source);
    let settings = parse::settings(table, wrong)?;
    Some(PlannedRun { settings, varied, log_uniform: Vec::new(), origins })
}

const MOST_SECTIONS: usize = 8;

/// Puts `value` at the dotted path, making the sections on the way.
fn set(table: &mut Table, path: &str, value: Value) -> Result<(), Problem> {
    let (sections, key) = path.rsplit_once('.').unwrap_or(("", path));
    // Sections within sections are walked by recursion later, which has an end.
    if sections.split('.').count() > MOST_SECTIONS {
        let reason = format!("a setting lies in {MOST_SECTIONS} sections within each other at most");
        return Err(Problem::new("", reason, "`overnight schema` lists every setting"));
    }
    let mut table = table;
    for section in sections.split('.').filter(|section| !section.is_empty()) {
        let below = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
        let Value::Table(below) = below else {
            let reason = format!("{path} cannot be set: `{section}` is a value, not a section");
            return Err(Problem::new(path, reason, "`overnight schema` lists every setting"));
        };
        table = below;
    }
    table.insert(key.to_owned(), value);
    Ok(())
}

fn origins(
    table: &Table,
    varied: &Map<String, serde_json::Value>,
    overrides: &[Override],
    source: &Source,
) -> BTreeMap<String, Origin> {
    let mut paths = Vec::new();
    leaves("", table, &mut paths);
    let origin = |path: &str| {
        if varied.contains_key(path) {
            Origin::Sweep
        } else if overrides.iter().any(|wanted| wanted.path == path) {
            Origin::CommandLine
        } else {
            Origin::File { line: source.line_of(path).unwrap_or_default() }
        }
    };
    paths
        .into_iter()
        .map(|path| {
            let origin = origin(&path);
            (path, origin)
        })
        .collect()
}

fn leaves(path: &str, table: &Table, found: &mut Vec<String>) {
    for (key, value) in table {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match value {
            Value::Table(below) => leaves(&path, below, found),
            _ => found.push(path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str = "[data]\nkind = \"shapes\"\n[model]\nkind = \"mlp\"\n";

    fn read(text: &str) -> Result<Experiment, Rejected> {
        Experiment::from_text(Path::new("experiments/x.toml"), text, &[])
    }

    fn complaint(text: &str) -> String {
        read(text).expect_err("the file is wrong").to_string()
    }

    #[test]
    fn what_is_not_written_is_a_default() {
        let experiment = read(MINIMAL).unwrap();
        assert_eq!(experiment.name, "x");
        assert_eq!(experiment.runs.len(), 1);
        assert_eq!(experiment.runs[0].settings.train.seed, 1337);
        assert_eq!(experiment.runs[0].origins["data.kind"], Origin::File { line: 2 });
    }

    #[test]
    fn a_misspelled_key_is_named_with_its_place_and_the_nearest_known_one() {
        assert_eq!(
            complaint(&format!("{MINIMAL}[train]\nsteps = 10\n  batchsize = 3\n")),
            "experiments/x.toml:7:3: [train] has no setting `batchsize`\n  \
             7 |   batchsize = 3\n    |   ^^^^^^^^^\n  did you mean `batch_size`?"
        );
        let nested = complaint(&format!("{MINIMAL}[train.optimizer]\nlearning_rate = 3\n"));
        assert!(nested.starts_with("experiments/x.toml:6:1: [train.optimizer] has no setting"), "{nested}");
        let top = complaint(&format!("{MINIMAL}[trian]\nsteps = 3\n"));
        assert!(top.contains("x.toml:5:2") && top.contains("did you mean `train`?"), "{top}");
        let inline = complaint("data = { kind = \"shapes\", cuont = 3 }\n[model]\nkind = \"mlp\"\n");
        assert!(inline.contains("x.toml:1:27") && inline.contains("`count`"), "{inline}");
    }

    #[test]
    fn wrong_types_and_kinds_are_named() {
        let kind = complaint("[data]\nkind = \"shapes\"\n[model]\nkind = \"gtp\"\n");
        assert!(
            kind.contains("x.toml:4:8: model.kind cannot be \"gtp\"") && kind.contains("\"gpt\""),
            "{kind}"
        );
        let kind_of_number = complaint(&format!("{MINIMAL}[train]\nsteps = \"many\"\n"));
        assert!(kind_of_number.contains("x.toml:6:9: train.steps: invalid type"), "{kind_of_number}");
        let syntax = complaint("[data\nkind = 3");
        assert!(syntax.starts_with("experiments/x.toml:1:"), "{syntax}");
        assert!(complaint("").contains("no [data] section"));
    }

    #[test]
    fn what_is_wrong_in_a_rule_is_named_at_its_place_within_the_sentence() {
        let rule = |more: &str| complaint(&format!("{MINIMAL}[[alerts]]\nwhen = \"grad_norm > 9\"\n{more}"));
        insta::assert_snapshot!(rule("[[alerts]]\nwhen = \"val/loss > 5 aftr 3 steps\"\n"), @r#"
        experiments/x.toml:8:22: `aftr` has no meaning here
          8 | when = "val/loss > 5 aftr 3 steps"
            |                      ^^^^
          did you mean `after`?
        "#);
        insta::assert_snapshot!(rule("[[alerts]]\nwhen = 'val/perplexity > 5'\n"), @r#"
        experiments/x.toml:8:9: runs of these settings give no `val/perplexity`
          8 | when = 'val/perplexity > 5'
            |         ^^^^^^^^^^^^^^
          these settings give elapsed, train/loss, train/accuracy, val/loss, val/accuracy, lr, grad_norm, images_per_second
        "#);
        insta::assert_snapshot!(rule("[[alerts]]\nwhen = \"images_per_second < 5\"\ndo = \"reduce-lr\"\n"), @r#"
        experiments/x.toml:9:6: "images_per_second < 5" is not the same in two attempts, so a learning rate that follows it could not be replayed
          9 | do = "reduce-lr"
            |      ^^^^^^^^^^^
          write do = "warn", "pause" or "stop", or watch a metric such as val/loss against a number
        "#);
        insta::assert_snapshot!(rule("[[budgets]]\nrequire = \"val/loss < 1 at step 777\"\n"), @r#"
        experiments/x.toml:8:25: val/loss is not logged at step 777 (evaluate.every is 250)
          8 | require = "val/loss < 1 at step 777"
            |                         ^^^^^^^^^^^
          write a step at which it is logged, or change evaluate.every
        "#);
        insta::assert_snapshot!(rule("[[budgets]]\nrequires = \"val/loss < 1\"\n"), @r#"
        experiments/x.toml:8:1: [[budgets]] has no setting `requires`
          8 | requires = "val/loss < 1"
            | ^^^^^^^^
          did you mean `require`?
        "#);
        let swept = complaint(&format!("{MINIMAL}[sweep.values]\n\"alerts\" = [1]\n"));
        assert!(swept.contains("alerts cannot be varied"), "{swept}");
    }

    #[test]
    fn a_value_of_the_sweep_is_named_where_it_stands() {
        let text = format!("{MINIMAL}[sweep.values]\n\"train.optimizer.lr\" = [1e-3, -1.0]\n");
        let complaint = complaint(&text);
        assert!(complaint.contains("x.toml:6:24"), "{complaint}");
        let unknown = super::Experiment::from_text(
            Path::new("x.toml"),
            &format!("{MINIMAL}[sweep.values]\n\"train.optimizer.lrr\" = [1e-3]\n"),
            &[],
        );
        assert!(unknown.unwrap_err().to_string().contains("did you mean `lr`?"));
    }

    #[test]
    fn the_same_mistake_at_every_point_is_said_once() {
        let text = format!("{MINIMAL}[train]\nbatch_size = 0\n[sweep]\nseeds = [1, 2, 3]\n");
        assert_eq!(read(&text).unwrap_err().0.len(), 1);
    }

    #[test]
    fn overrides_stand_above_the_file_and_below_the_sweep() {
        let overrides = ["train.steps=7", "train.precision=bf16", "train.optimizer.lr=1"]
            .map(|text| text.parse().unwrap());
        let text = format!("{MINIMAL}[train]\nsteps = 10\n[sweep.values]\n\"train.optimizer.lr\" = [0.5]\n");
        let experiment = Experiment::from_text(Path::new("x.toml"), &text, &overrides).unwrap();
        let run = &experiment.runs[0];
        assert_eq!(run.settings.train.steps, Some(7));
        assert_eq!(run.settings.train.precision, super::super::settings::Precision::Bf16);
        assert_eq!(run.settings.train.optimizer.lr(), 0.5);
        assert_eq!(run.origins["train.steps"], Origin::CommandLine);
        assert_eq!(run.origins["train.optimizer.lr"], Origin::Sweep);
        assert!("train.steps".parse::<Override>().is_err());
        let deep = [format!("{}x=3", "train.".repeat(50_000)).parse().unwrap()];
        let rejected = Experiment::from_text(Path::new("x.toml"), MINIMAL, &deep).unwrap_err().to_string();
        assert!(rejected.contains("8 sections within each other at most"), "{rejected}");
        let wrong = ["train.stpes=3".parse().unwrap()];
        let rejected = Experiment::from_text(Path::new("x.toml"), MINIMAL, &wrong).unwrap_err().to_string();
        assert_eq!(
            rejected,
            "x.toml: --set train.stpes: [train] has no setting `stpes`\n  did you mean `steps`?"
        );
    }

    #[test]
    fn a_file_of_a_size_that_nobody_writes_is_refused_unread() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.toml");
        std::fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
        let rejected = Experiment::read(&path, &[]).unwrap_err().to_string();
        assert!(rejected.contains("x.toml: is longer than 4 MiB"), "{rejected}");
        let endless = Experiment::read(Path::new("/dev/zero"), &[]).unwrap_err().to_string();
        assert!(endless.starts_with("/dev/zero: ") && endless.contains("a device"), "{endless}");
    }

    #[test]
    fn a_name_that_cannot_be_a_folder_is_refused() {
        for name in ["two words.toml", "-x.toml", ".toml", "ü.toml"] {
            let rejected = Experiment::from_text(Path::new(name), MINIMAL, &[]).unwrap_err();
            assert!(rejected.to_string().contains("cannot name an experiment"), "{name}");
        }
    }
}
