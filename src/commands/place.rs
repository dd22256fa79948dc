//! Which workspace a command works in: the folder that `-C` names, else the nearest one from here upward.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::cli::{Cli, Verb};
use crate::run_dir::Workspace;

/// A workspace, and how it was found.
#[derive(Debug, PartialEq, Eq)]
pub struct Place {
    pub workspace: Workspace,
    /// Whether it is neither the folder that `-C` names nor the current one.
    pub is_above: bool,
    /// Whether nobody named it and nothing is in it: what a verb writes begins a workspace there.
    pub is_new: bool,
}

/// The workspace that this command line means. `here` is the folder the command works in, `-C` obeyed.
///
/// # Errors
/// The nearest workspace above belongs to somebody else, whose `overnight.toml` could start programs.
pub fn of(cli: &Cli, here: &Path) -> anyhow::Result<Place> {
    // A new workspace is made where the person is, and some verbs need none.
    let looks_upward = !matches!(cli.verb, Verb::Init(_) | Verb::Schema(_) | Verb::Completions { .. });
    if cli.directory.is_some() || !looks_upward || is_begun(here) {
        return Ok(Place { workspace: Workspace::new(here), is_above: false, is_new: false });
    }
    let Some(above) = here.ancestors().skip(1).find(|folder| is_workspace(folder)) else {
        return Ok(Place { workspace: Workspace::new(here), is_above: false, is_new: true });
    };
    let own = rustix::process::geteuid().as_raw();
    let workspace = Workspace::new(above);
    // Below a folder that everybody may write to, the file may be anybody's.
    let parts = [above.to_owned(), workspace.settings(), workspace.runs(), workspace.experiments()];
    let is_foreign = |part: &PathBuf| fs::symlink_metadata(part).is_ok_and(|part| part.uid() != own);
    anyhow::ensure!(
        !parts.iter().any(is_foreign),
        "the nearest workspace, {}, belongs to another user (-C {} works there all the same, -C . here)",
        above.display(),
        above.display()
    );
    Ok(Place { workspace: Workspace::new(above), is_above: true, is_new: false })
}

/// Whether somebody who stands in this folder means it: a folder for experiments may still be empty.
fn is_begun(folder: &Path) -> bool {
    let workspace = Workspace::new(folder);
    workspace.settings().is_file() || workspace.runs().is_dir() || workspace.experiments().is_dir()
}

/// Whether a folder further up is one of ours. Other programs call folders `runs` and `experiments` too, so
/// what is in them counts.
fn is_workspace(folder: &Path) -> bool {
    let workspace = Workspace::new(folder);
    workspace.settings().is_file()
        || entries(&workspace.experiments()).any(|path| path.extension().is_some_and(|end| end == "toml"))
        || workspace.runner_lock().is_file()
        || entries(&workspace.runs())
            .any(|experiment| entries(&experiment).any(|run| run.join("run.json").is_file()))
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    /// What is found from `here` in a folder with these files (those that end in `/` are folders), as a path
    /// within it.
    fn found(files: &[&str], here: &str, arguments: &[&str]) -> (String, bool) {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path().join(here);
        fs::create_dir_all(&here).unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            if file.ends_with('/') {
                fs::create_dir_all(path).unwrap();
            } else {
                fs::write(path, "").unwrap();
            }
        }
        let cli = Cli::parse_from([&["overnight"], arguments].concat());
        let place = of(&cli, &here).unwrap();
        let root = place.workspace.root().strip_prefix(folder.path()).unwrap();
        (root.to_string_lossy().into_owned(), place.is_above)
    }

    #[test]
    fn the_nearest_workspace_from_here_upward_is_meant() {
        for (files, here, expected) in [
            (&["w/overnight.toml"][..], "w/a/b", ("w", true)),
            (&["w/experiments/x.toml"], "w/experiments", ("w", true)),
            (&["w/runs/x/s1/run.json"], "w/runs/x/s1", ("w", true)),
            (&["w/runs/.runner.lock"], "w/data", ("w", true)),
            (&["w/overnight.toml", "w/in/overnight.toml"], "w/in/a", ("w/in", true)),
            // The current folder is enough where it has anything.
            (&["w/overnight.toml", "w/in/experiments/"], "w/in", ("w/in", false)),
            (&["w/overnight.toml", "w/in/runs/"], "w/in", ("w/in", false)),
            (&["w/overnight.toml"], "w", ("w", false)),
            // Folders of other programs are passed by.
            (&["w/runs/events.out", "w/experiments/notes.md"], "w/a", ("w/a", false)),
            (&[], "w/a", ("w/a", false)),
        ] {
            let (root, is_above) = found(files, here, &["status"]);
            assert_eq!((root.as_str(), is_above), expected, "{files:?} from {here}");
        }
    }

    #[test]
    fn a_workspace_is_new_where_nobody_named_it_and_nothing_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let is_new = |arguments: &[&str]| {
            let cli = Cli::parse_from([&["overnight"], arguments].concat());
            of(&cli, folder.path()).unwrap().is_new
        };
        assert!(is_new(&["import", "logs"]) && !is_new(&["-C", ".", "import", "logs"]));
        fs::create_dir(folder.path().join("runs")).unwrap();
        assert!(!is_new(&["import", "logs"]));
    }

    #[test]
    fn a_folder_that_is_named_and_init_never_look_upward() {
        let files = &["w/overnight.toml"][..];
        for arguments in [&["-C", ".", "status"][..], &["init"], &["init", "--systemd"], &["schema"]] {
            assert_eq!(found(files, "w/a", arguments), ("w/a".to_owned(), false), "{arguments:?}");
        }
    }
}
