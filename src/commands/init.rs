//! `overnight init`: a workspace with one example that runs as it stands.

mod unit;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use anyhow::Context;

use super::text;
use crate::cli::InitArgs;
use crate::exit::Exit;
use crate::experiment::schema::schema;
use crate::workspace_settings::template;

const EXAMPLE: &str = include_str!("init/example.toml");

const GITIGNORE: &str =
    "# What overnight makes: it can be large, and it can be made again.\n/runs/\n/batches/\n/reports/\n";

pub fn init(args: &InitArgs) -> anyhow::Result<Exit> {
    let folder = &args.folder;
    if args.systemd {
        return unit::write(folder);
    }
    let experiments = folder.join("experiments");
    fs::create_dir_all(&experiments).with_context(|| format!("cannot make {}", experiments.display()))?;
    let schema = serde_json::to_string_pretty(&schema()).unwrap_or_default() + "\n";
    write_new(&experiments.join("shapes.toml"), EXAMPLE)?;
    write_new(&experiments.join("experiment.schema.json"), &schema)?;
    write_new(&folder.join("overnight.toml"), &template::template())?;
    write_new(&folder.join(".gitignore"), GITIGNORE)?;
    let change = if folder == Path::new(".") { String::new() } else { format!("-C {} ", folder.display()) };
    text::talk(format_args!("next: overnight {change}run experiments/shapes.toml"));
    Ok(Exit::Success)
}

/// Writes a file that is not there yet; one that is there stays as it is.
fn write_new(path: &Path, text: &str) -> anyhow::Result<()> {
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(mut file) => {
            file.write_all(text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
            // The files matter more than who reads their names.
            drop(text::result(path.display()));
            Ok(())
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            text::talk(format_args!("{} is there already and stays as it is", path.display()));
            Ok(())
        }
        Err(error) => Err(error).with_context(|| format!("cannot write {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::Experiment;

    #[test]
    fn the_example_is_good_and_needs_no_file() {
        let experiment = Experiment::from_text(Path::new("experiments/shapes.toml"), EXAMPLE, &[]).unwrap();
        assert_eq!(experiment.runs.len(), 4);
        let folder = tempfile::tempdir().unwrap();
        for run in &experiment.runs {
            crate::data_files::inspect(&run.settings, folder.path()).unwrap();
        }
    }
}
