//! Hydra's folders of jobs: settings from `.hydra`, while what a job logged is read by whoever knows it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::files::{Files, Reading, folder, name, text};
use super::foreign::{Foreign, Wish};
use super::yaml;

/// Settings are smaller than that.
const LARGEST: u64 = 1 << 20;

/// The folders of jobs, each with its files below `.hydra`.
#[derive(Debug, Default)]
pub struct Jobs(BTreeMap<PathBuf, Vec<PathBuf>>);

impl Jobs {
    /// Takes what is Hydra's own.
    pub fn of(files: &mut Files) -> Jobs {
        let own = ["config.yaml", "overrides.yaml", "hydra.yaml"];
        let taken = files.take(|path| name(&folder(path)) == ".hydra" && own.contains(&name(path).as_str()));
        let mut jobs: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
        for path in taken {
            jobs.entry(folder(&folder(&path))).or_default().push(path);
        }
        files.take(|path| name(path) == "multirun.yaml");
        Jobs(jobs)
    }

    /// Readings of the jobs in which nothing was logged: they have settings alone.
    pub fn without(&self, readings: &[Reading]) -> Vec<Reading> {
        let full: BTreeSet<&Path> = readings.iter().flat_map(|reading| reading.place.ancestors()).collect();
        let is_bare = |job: &PathBuf| !full.contains(job.as_path());
        let bare = self.0.keys().filter(|job| is_bare(job));
        bare.map(|job| Reading { place: job.clone(), files: Vec::new(), read }).collect()
    }

    /// Gives runs the settings of the job in whose folder they lie.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn dress(&self, place: &Path, runs: &mut [Foreign]) -> io::Result<()> {
        let Some((job, files)) = place.ancestors().find_map(|above| self.0.get_key_value(above)) else {
            return Ok(());
        };
        for path in files {
            let (text, is_short) = text(path, LARGEST)?;
            let (value, is_sound) = yaml::read(&text);
            for run in &mut *runs {
                if !(is_short && is_sound) {
                    run.warn(format!(".hydra/{} could not be read to its end", name(path)));
                }
                put(run, &name(path), &value);
                run.files.push(path.clone());
            }
        }
        for run in runs.iter_mut().filter(|run| run.name.is_empty()) {
            let number = name(job);
            let overrides = run.description.trim_start_matches(OVERRIDES);
            run.name = format!("{number} {overrides}").trim().to_owned();
        }
        Ok(())
    }
}

const OVERRIDES: &str = "Hydra's overrides: ";

fn read(_: &Reading, wish: &Wish) -> io::Result<Vec<Foreign>> {
    Ok(vec![Foreign { tool: "Hydra", rows: wish.rows(), ..Foreign::default() }])
}

fn put(run: &mut Foreign, file: &str, value: &Value) {
    match file {
        "config.yaml" => run.add_settings("", value.clone()),
        "overrides.yaml" => {
            let given: Vec<&str> = value.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            if run.description.is_empty() && !given.is_empty() {
                run.description = format!("{OVERRIDES}{}", given.join(", "));
            }
        }
        _ => {
            let job = value.pointer("/hydra/job/name").and_then(Value::as_str);
            run.experiment = run.experiment.take().or_else(|| job.map(str::to_owned));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::import::foreign::Wish;

    #[test]
    fn jobs_have_their_settings_and_what_another_reader_knows_of_them() {
        let scene = tempfile::tempdir().unwrap();
        let bomb = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\nlr: 0.1\nmodel:\n  depth: 3\n";
        let jobs = scene.path().join("multirun/2026-01-01/12-00-00");
        for job in ["0", "1"] {
            let own = jobs.join(job).join(".hydra");
            fs::create_dir_all(&own).unwrap();
            fs::write(own.join("config.yaml"), bomb).unwrap();
            fs::write(own.join("overrides.yaml"), "- lr=0.1\n- model.depth=3\n").unwrap();
            fs::write(own.join("hydra.yaml"), "hydra:\n  job:\n    name: train\n").unwrap();
        }
        fs::write(jobs.join("multirun.yaml"), "x: 1\n").unwrap();
        fs::write(jobs.join("0/metrics.csv"), "step,loss\n1,0.5\n2,0.25\n").unwrap();
        fs::write(jobs.join("0/model.bin"), "x").unwrap();
        let source = crate::import::read(scene.path(), &|_| Wish::default()).unwrap();
        assert_eq!((source.found.len(), source.unknown.len()), (2, 1));
        for (found, rows) in source.found.into_iter().zip([2, 0]) {
            let run = found.runs.unwrap().remove(0);
            assert_eq!(run.experiment.as_deref(), Some("train"));
            assert_eq!(
                (run.settings["lr"].clone(), run.settings["model.depth"].clone()),
                (0.1.into(), 3.into())
            );
            assert!(run.name.ends_with(" lr=0.1, model.depth=3"), "{}", run.name);
            assert_eq!(run.rows.table().rows().len(), rows);
        }
    }

    #[test]
    fn a_job_that_logged_nothing_has_its_settings_once_and_damaged_ones_are_said() {
        let scene = tempfile::tempdir().unwrap();
        let own = |job: &str| {
            let own = scene.path().join(job).join(".hydra");
            fs::create_dir_all(&own).unwrap();
            own
        };
        fs::write(own("full").join("config.yaml"), "lr: 0.1\n").unwrap();
        fs::write(scene.path().join("full/metrics.csv"), "step,loss\n1,0.5\n").unwrap();
        fs::write(own("torn").join("config.yaml"), "lr: 0.2\nmodel: [1,\n").unwrap();
        let long = format!("lr: 0.3\n{}", "#".repeat(usize::try_from(super::LARGEST).unwrap()));
        fs::write(own("long").join("config.yaml"), long).unwrap();
        let source = crate::import::read(scene.path(), &|_| Wish::default()).unwrap();
        let runs = source.found.into_iter().map(|found| found.runs.unwrap().remove(0));
        let mut told: Vec<_> =
            runs.map(|run| (run.name, run.settings["lr"].as_f64(), run.warnings, run.files.len())).collect();
        told.sort_by(|one, other| one.0.cmp(&other.0));
        let said = vec![".hydra/config.yaml could not be read to its end".to_owned()];
        assert_eq!(
            told,
            [
                ("full".to_owned(), Some(0.1), Vec::new(), 2),
                ("long".to_owned(), Some(0.3), said.clone(), 1),
                ("torn".to_owned(), Some(0.2), said, 1),
            ]
        );
    }
}
