//! Where foreign runs go: the experiment and the name of each, and what those that come together do not have in
//! common. Nothing is written here.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::super::foreign::Foreign;
use super::super::names;
use crate::run_dir::is_plain_name;

/// What a person said about where runs go.
#[derive(Debug, Clone, Default)]
pub struct Aim {
    pub experiment: Option<String>,
    pub name: Option<String>,
    pub tags: Vec<String>,
}

/// A foreign run with what is decided of its place.
#[derive(Debug)]
pub struct Arriving {
    pub foreign: Foreign,
    /// The whole path of the file or folder it lies in.
    pub source: PathBuf,
    pub experiment: String,
    pub name: String,
    /// Settings in which it differs from others that arrive with it.
    pub varied: Map<String, Value>,
    pub tags: Vec<String>,
}

/// Decides where foreign runs go: `place` is where each lies, `root` what a person named.
pub fn arriving(root: &Path, found: Vec<(PathBuf, Foreign)>, aim: &Aim) -> io::Result<Vec<Arriving>> {
    let several = found.len() > 1;
    let root = fs::canonicalize(root)?;
    let mut arriving = Vec::new();
    for (place, foreign) in found {
        let source = fs::canonicalize(&place)?;
        let experiment = aim.experiment.clone().or_else(|| foreign.experiment.clone());
        let experiment = names::plain(&experiment.unwrap_or_else(|| experiment_of(&root)));
        let own = if foreign.name.is_empty() { name_of(&root, &source) } else { foreign.name.clone() };
        let name = match &aim.name {
            Some(name) if several => format!("{name}-{own}"),
            Some(name) => name.clone(),
            None => own,
        };
        let mut tags = foreign.tags.clone();
        tags.extend(aim.tags.iter().cloned());
        let name = names::plain(&name);
        debug_assert!(is_plain_name(&name) && is_plain_name(&experiment));
        arriving.push(Arriving { foreign, source, experiment, name, varied: Map::new(), tags });
    }
    vary(&mut arriving);
    Ok(arriving)
}

/// Folders that every project has say nothing about it.
const COMMON: [&str; 9] =
    ["lightning_logs", "logs", "log", "runs", "tb_logs", "csv_logs", "tensorboard", "output", "outputs"];

fn experiment_of(root: &Path) -> String {
    let mut names = root.ancestors().map(super::super::files::name);
    let is_telling = |name: &String| !name.is_empty() && !COMMON.contains(&name.as_str());
    let own = root.is_file().then(|| stem(root));
    own.or_else(|| names.find(is_telling)).unwrap_or_else(|| "imported".to_owned())
}

/// Its place below the root in words, without what is common to all.
fn name_of(root: &Path, source: &Path) -> String {
    let below = source.strip_prefix(root).unwrap_or(source);
    let parts: Vec<String> = below.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    match parts.as_slice() {
        [] => stem(source),
        [folders @ .., last] => {
            let last = if source.is_file() { stem(Path::new(last)) } else { last.clone() };
            let folders = folders.iter().filter(|part| !COMMON.contains(&part.as_str())).cloned();
            folders.chain([last]).collect::<Vec<_>>().join("-")
        }
    }
}

fn stem(path: &Path) -> String {
    let stem = if path.is_dir() { path.file_name() } else { path.file_stem() };
    stem.map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

/// What runs that come together do not have in common: as in a sweep, a few values of each.
fn vary(arriving: &mut [Arriving]) {
    const MOST: usize = 8;
    let mut paths: Vec<String> = Vec::new();
    for path in arriving.iter().flat_map(|one| one.foreign.settings.keys()) {
        if !paths.contains(path) {
            paths.push(path.clone());
        }
    }
    let value = |one: &Arriving, path: &str| one.foreign.settings.get(path).cloned();
    let differs = |path: &String| {
        let short = |one: &Arriving| value(one, path).is_none_or(|value| value.to_string().len() <= 40);
        arriving.iter().any(|one| value(one, path) != value(&arriving[0], path)) && arriving.iter().all(short)
    };
    let varied: Vec<String> = paths.into_iter().filter(differs).take(MOST).collect();
    for one in arriving {
        one.varied = varied.iter().filter_map(|path| Some((path.clone(), value(one, path)?))).collect();
    }
}
