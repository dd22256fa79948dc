//! `overnight check`: everything that is wrong with experiment files and `overnight.toml`, and what the good
//! ones come to.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{fits, print_json, text};
use crate::cli::FilesArgs;
use crate::exit::Exit;
use crate::experiment::Diagnostic;
use crate::experiment::diagnostic::Source;
use crate::queue::{self, Checked, stages};
use crate::run_dir::Workspace;
use crate::say;
use crate::workspace_settings::WorkspaceSettings;

/// The workspace's settings, which are looked at anyway.
const SETTINGS: &str = "overnight.toml";

pub fn check(workspace: &Workspace, args: &FilesArgs) -> anyhow::Result<Exit> {
    let (alerts, mut wrong) = match WorkspaceSettings::read(workspace) {
        Ok(settings) => (settings.alerts, Vec::new()),
        Err(rejected) => (Vec::new(), rejected.0),
    };
    let mut files: Vec<PathBuf> = Vec::new();
    let is_settings = |file: &Path| {
        file.canonicalize().is_ok_and(|file| workspace.settings().canonicalize().is_ok_and(|own| own == file))
    };
    let settings = args.files.iter().find(|file| is_settings(file)).filter(|_| wrong.is_empty());
    for named in args.files.iter().filter(|file| !is_settings(file)) {
        match files_in(named) {
            Ok(found) => files.extend(found),
            Err(diagnostic) => wrong.push(*diagnostic),
        }
    }
    let (mut good, mut of_files) = queue::examine(&files, &args.overrides.set);
    of_files.extend(stages::problems(workspace, &good, &of_files, &alerts));
    good.retain(|good| of_files.iter().all(|wrong| wrong.file != good.experiment.file()));
    wrong.extend(of_files);
    let exit = if wrong.is_empty() { Exit::Success } else { Exit::Rejected };
    if args.json.json {
        let experiments: Vec<_> = good
            .iter()
            .map(|good| json!({ "file": good.experiment.file(), "runs": good.experiment.runs.len() }))
            .collect();
        let warnings = fits::warnings(&good);
        print_json(&json!({ "experiments": experiments, "problems": wrong, "warnings": warnings }))?;
        return Ok(exit);
    }
    if let Some(settings) = settings {
        text::result(format_args!("{}: fine", settings.display()))?;
    }
    for Checked { experiment, .. } in &good {
        let runs = say::counted(experiment.runs.len(), "run", "runs");
        text::result(format_args!("{}: fine, {runs}", experiment.file().display()))?;
    }
    fits::warnings(&good).iter().for_each(|words| text::talk(format_args!("warning: {words}")));
    for diagnostic in &wrong {
        let red = text::RED;
        text::talk(format_args!("{}error:{} {diagnostic}\n", red.render(), red.render_reset()));
    }
    if !wrong.is_empty() {
        text::talk(count(&wrong, good.len()));
    }
    Ok(exit)
}

/// The file itself; of a folder the experiment files in it, by name.
fn files_in(named: &Path) -> Result<Vec<PathBuf>, Box<Diagnostic>> {
    if !named.is_dir() {
        return Ok(vec![named.to_owned()]);
    }
    let wrong = |reason: String, way_out: &str| {
        Box::new(Source::new(named, "").diagnostic(None, reason, way_out.to_owned()))
    };
    let entries = fs::read_dir(named)
        .map_err(|error| wrong(format!("cannot be read: {error}"), "make it a folder that can be read"))?;
    let is_meant = |path: &PathBuf| {
        path.extension().is_some_and(|end| end == "toml")
            && path.file_name().is_some_and(|name| name != SETTINGS)
    };
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(is_meant).collect();
    files.sort();
    if files.is_empty() {
        return Err(wrong("has no experiment files".to_owned(), "they end in .toml"));
    }
    Ok(files)
}

/// `3 mistakes in 2 files; 1 file is fine`.
fn count(wrong: &[Diagnostic], good: usize) -> String {
    let files: BTreeSet<&Path> = wrong.iter().map(|diagnostic| diagnostic.file.as_path()).collect();
    let mistakes = say::counted(wrong.len(), "mistake", "mistakes");
    let fine = match good {
        0 => String::new(),
        good => format!("; {} fine", say::counted(good, "file is", "files are")),
    };
    format!("{mistakes} in {}{fine}", say::counted(files.len(), "file", "files"))
}
