//! What an experiment that was sent over the network may name as its data: files of the workspace, and of
//! those not what is kept from readers. A link is followed, and what it leads to has to lie inside as well.

use std::path::{Component, Path, PathBuf};

use crate::data_files;
use crate::experiment::Problem;
use crate::experiment::settings::{Data, Settings};
use crate::run_dir::Workspace;
use crate::say;

/// What is wrong with where the data of a run lie whose file is in the folder of experiments. What is
/// missing is nothing that is told here.
pub fn problems(workspace: &Workspace, settings: &Settings) -> Vec<Problem> {
    let named = named(&settings.data);
    if let Some((key, _)) = named.get(MOST_NAMED) {
        let reason = format!("more than {MOST_NAMED} files are named");
        return vec![Problem::new(key, reason, "name their folder, or a pattern such as ../data/*.txt")];
    }
    let outside = named.iter().filter(|(_, path)| !stays_inside(path)).map(|(key, path)| {
        let reason = format!("{path} does not lie in this workspace");
        Problem::new(key, reason, "name files of the workspace: ../data/NAME, without further `..`")
    });
    let problems: Vec<Problem> = outside.collect();
    if !problems.is_empty() {
        return problems;
    }
    // A link may lead out where the words do not.
    let files = data_files::files_named(settings, &workspace.experiments()).unwrap_or_default();
    let led_out = || {
        let root = workspace.root().canonicalize().ok()?;
        files.iter().find(|file| file.canonicalize().is_ok_and(|file| !is_shown(&root, &file)))
    };
    let key = named.first().map_or("data", |(key, _)| key);
    if let Some(file) = led_out() {
        let name = file.strip_prefix(workspace.root()).unwrap_or(file).display().to_string();
        let reason = format!("{name} is not among the files that may be learned from");
        let way_out = "name plain files of the workspace; a link may not lead out of it";
        return vec![Problem::new(key, reason, way_out)];
    }
    let length = |file: &PathBuf| file.metadata().map_or(0, |metadata| metadata.len());
    let bytes = files.iter().map(length).fold(0, u64::saturating_add);
    if matches!(settings.data, Data::Text(_)) && bytes > MOST_TEXT {
        let (bytes, most) = (say::bytes(bytes), say::bytes(MOST_TEXT));
        let reason = format!("the text has {bytes}, and {most} at most are read for what was sent");
        return vec![Problem::new(key, reason, "queue it where the data is: overnight queue FILE")];
    }
    Vec::new()
}

/// Each may be a pattern, for which folders are walked.
const MOST_NAMED: usize = 100;
/// Text is held in memory while it is looked at, and whoever sends an experiment did not start the server.
const MOST_TEXT: u64 = 512 << 20;

/// The settings that name files, and what they name.
fn named(data: &Data) -> Vec<(String, String)> {
    let some = |key: &str, path: &Option<String>| path.clone().map(|path| (key.to_owned(), path));
    match data {
        Data::Text(text) => {
            let taken: Vec<usize> = text.taken().map(|(place, ..)| place).collect();
            let own = text.files.iter().enumerate().filter(|(place, _)| !taken.contains(place));
            own.map(|(place, file)| (format!("data.files[{place}]"), file.clone())).collect()
        }
        Data::Idx(idx) => [
            some("data.images", &Some(idx.images.clone())),
            some("data.labels", &Some(idx.labels.clone())),
            some("data.validation_images", &idx.validation_images),
            some("data.validation_labels", &idx.validation_labels),
        ]
        .into_iter()
        .flatten()
        .collect(),
        Data::Folder(folder) => [
            some("data.path", &Some(folder.path.clone())),
            some("data.validation_path", &folder.validation_path),
        ]
        .into_iter()
        .flatten()
        .collect(),
        Data::Shapes(_) => Vec::new(),
    }
}

/// Whether a path relative to the folder of experiments stays in the workspace by its words: one `..` leads
/// to the workspace itself, and one behind a name could leave through a link.
fn stays_inside(path: &str) -> bool {
    let below = Path::new(path.strip_prefix("../").unwrap_or(path));
    let is_plain = |part: Component| matches!(part, Component::Normal(_) | Component::CurDir);
    !path.contains('\0') && below.components().all(is_plain)
}

/// Whether a file that was found is one that everybody who reads the report may know of: not the settings
/// of the workspace, which may hold a token, not its logs, nothing hidden.
fn is_shown(root: &Path, file: &Path) -> bool {
    let Ok(below) = file.strip_prefix(root) else { return false };
    let is_hidden = below.components().any(|part| part.as_os_str().as_encoded_bytes().starts_with(b"."));
    let workspace = Workspace::new(root);
    !is_hidden && file != workspace.settings() && !file.starts_with(workspace.logs())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::experiment::Experiment;

    /// What is told of data that are named so, in a workspace with some links.
    fn told(data: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("w");
        for (name, text) in [
            ("w/data/a.txt", "a"),
            ("w/overnight.toml", ""),
            ("w/logs/serve.jsonl", ""),
            ("w/.hidden/b.txt", "b"),
            ("outside/c.txt", "c"),
            ("w/experiments/e.txt", "e"),
        ] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        File::create(root.join("data/endless.txt")).unwrap().set_len(MOST_TEXT).unwrap();
        symlink("../../outside", root.join("data/out")).unwrap();
        symlink("../overnight.toml", root.join("data/settings.txt")).unwrap();
        symlink("a.txt", root.join("data/again.txt")).unwrap();
        let text = format!("data = {data}\n[model]\nkind = \"gpt\"\ncontext = 8\n");
        let path = root.join("experiments/x.toml");
        let read = Experiment::from_text(&path, &text, &[]);
        let images = text.replace("kind = \"gpt\"\ncontext = 8", "kind = \"mlp\"");
        let read = read.or_else(|_| Experiment::from_text(&path, &images, &[])).unwrap();
        let problems = problems(&Workspace::new(&root), &read.runs[0].settings);
        problems.into_iter().map(|problem| format!("{}: {}", problem.path, problem.reason)).collect()
    }

    #[test]
    fn data_of_the_workspace_may_be_named_and_nothing_else() {
        let text = |files: &str| told(&format!("{{ kind = \"text\", files = [{files}] }}"));
        for inside in [
            r#""e.txt""#,
            r#""../data/a.txt""#,
            r#""../data/a*.txt""#,
            r#""../data/again.txt""#,
            r#""../data/missing.txt""#,
            r#""need:samples/*.json""#,
        ] {
            assert_eq!(text(inside), [""; 0], "{inside}");
        }
        for outside in [
            "/etc/passwd",
            "../../outside/c.txt",
            "../../w/data/a.txt",
            "../data/../../outside/c.txt",
            "../data/out/../a.txt",
            "../data/{a,../../x}",
            "./need:../../other/a/metrics.csv",
        ] {
            let told = text(&format!("\"e.txt\", \"{outside}\""));
            assert_eq!(told.len(), 1, "{outside}: {told:?}");
            assert!(told[0].starts_with("data.files[1]: ") && told[0].contains("does not lie"), "{told:?}");
        }
        for led in ["../data/out/c.txt", "../data", "../data/*/c.txt", "../data/settings.txt"] {
            let told = text(&format!("\"{led}\""));
            assert!(told.len() == 1 && told[0].contains("not among the files"), "{led}: {told:?}");
        }
        for kept in ["../overnight.toml", "../logs/*.jsonl", "../.hidden/b.txt"] {
            assert_eq!(text(&format!("\"{kept}\"")).len(), 1, "{kept}");
        }
        let many = text(&[r#""e.txt""#; MOST_NAMED + 1].join(","));
        assert_eq!(many, ["data.files[100]: more than 100 files are named"]);
        assert_eq!(text(r#""../data/endless.txt""#), [""; 0]);
        let long = text(r#""../data/endless.txt", "../data/a.txt""#);
        assert!(long.len() == 1 && long[0].contains("512 MiB at most are read"), "{long:?}");
        let idx = "{ kind = \"idx\", images = \"/a\", labels = \"../b\", validation_images = \"../../c\", \
                   validation_labels = \"../d\" }";
        let keys: Vec<String> =
            told(idx).iter().map(|told| told.split(':').next().unwrap().to_owned()).collect();
        assert_eq!(keys, ["data.images", "data.validation_images"]);
        assert_eq!(told("{ kind = \"folder\", path = \"/etc\" }").len(), 1);
    }
}
