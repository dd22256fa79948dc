//! MLflow's `mlflow.db`, in which it keeps runs unless a folder was asked for: the same things as in `mlruns`, in
//! tables. Artifacts lie in folders beside it all the same.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};

use super::super::files::{Files, Reading, has_ending, head, name};
use super::super::foreign::{Foreign, Wish};
use super::super::sqlite::{Cell, Damage, Database, is_database, wal};
use super::super::yaml;
use super::{MOST_NAMED, MOST_OF_A_KIND, Point, artifacts, put, tag};

/// Runs of a database, and values of all of them.
const MOST_RUNS: usize = 10_000;
const MOST_VALUES: usize = 20_000_000;

/// Takes databases that MLflow made, and the artifacts of runs that lie beside them.
pub fn claim(files: &mut Files) -> Vec<Reading> {
    let root = files.root.clone();
    let is_called = |path: &Path| path == root || has_ending(path, &[".db", ".sqlite", ".sqlite3"]);
    let is_ours = |path: &Path| {
        let has_tables =
            |found: Database| found.has("runs") && found.has("metrics") && found.has("experiments");
        is_called(path) && is_database(&head(path)) && Database::open(path).is_ok_and(has_tables)
    };
    let databases = files.take(is_ours);
    if databases.is_empty() {
        return Vec::new();
    }
    for path in &databases {
        files.said.extend(beside(path));
        files.said.extend(deleted(path));
    }
    // They belong to it, whether anything is read of them or not.
    let is_beside = |path: &Path| {
        let own = |database: &PathBuf| {
            let rest = path.to_str().zip(database.to_str()).and_then(|(path, of)| path.strip_prefix(of));
            rest.is_some_and(|rest| ["-wal", "-shm", "-journal"].contains(&rest))
        };
        databases.iter().any(own)
    };
    files.take(is_beside);
    let kept = files.take(|path| run_of(path).is_some());
    let reading = |path: PathBuf| {
        let files = std::iter::once(path.clone()).chain(kept.iter().cloned()).collect();
        Reading { place: path, files, read }
    };
    databases.into_iter().map(reading).collect()
}

/// The run that an artifact belongs to, and what it is called: `.../<32 hex digits>/artifacts/NAME`.
fn run_of(path: &Path) -> Option<(String, String)> {
    let parts: Vec<String> = path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    let is_id = |part: &str| part.len() == 32 && part.chars().all(|letter| letter.is_ascii_hexdigit());
    let at = parts.windows(2).rposition(|pair| is_id(&pair[0]) && pair[1] == "artifacts")?;
    (parts.len() > at + 2).then(|| (parts[at].clone(), parts[at + 2..].join("/")))
}

/// What SQLite has written beside the file, not yet into it, and what cannot be read here.
fn beside(path: &Path) -> Option<String> {
    let journal = path.with_file_name(format!("{}-journal", name(path)));
    let has_journal = journal.metadata().is_ok_and(|file| file.len() > 0);
    let has_log = || Database::open(path).is_ok_and(|database| database.has_unread_log);
    (has_journal || has_log()).then(|| {
        let name = name(path);
        format!("{name} is being written: what is new may be missing (import it again when MLflow's server has ended)")
    })
}

fn deleted(path: &Path) -> Option<String> {
    let mut names = Vec::new();
    let mut database = Database::open(path).ok()?;
    database
        .each_row("runs", ["name", "run_uuid", "lifecycle_stage"], |[name, id, stage]| {
            // One more than are named tells that there are more.
            if stage.text() == "deleted" && names.len() <= MOST_NAMED {
                names.push(if name.text().is_empty() { id.text() } else { name.text() });
            }
        })
        .ok()?;
    let more = if names.len() > MOST_NAMED { ", ..." } else { "" };
    names.truncate(MOST_NAMED);
    (!names.is_empty()).then(|| format!("deleted in MLflow, so left out: {}{more}", names.join(", ")))
}

/// Runs while tables are read.
#[derive(Default)]
struct Runs {
    runs: Vec<Foreign>,
    /// By their id.
    places: HashMap<String, usize>,
    /// Rows of a kind that belong to a run.
    counts: HashMap<(usize, &'static str), usize>,
    left: u64,
    damage: Damage,
}

impl Runs {
    /// The run that a row belongs to, unless it has too many of its kind.
    fn of(&mut self, id: &Cell, kind: &'static str) -> Option<&mut Foreign> {
        let place = *self.places.get(&id.text())?;
        let count = self.counts.entry((place, kind)).or_default();
        *count += 1;
        (*count <= MOST_OF_A_KIND).then_some(&mut self.runs[place])
    }

    fn damaged(&mut self, more: Damage) {
        self.damage.pages += more.pages;
        self.damage.rows += more.rows;
    }
}

fn read(reading: &Reading, wish: &Wish) -> io::Result<Vec<Foreign>> {
    let mut database = Database::open(&reading.place)?;
    let mut found = runs(&mut database, reading, wish)?;
    let names: HashMap<String, String> =
        found.places.iter().map(|(id, place)| (id.clone(), found.runs[*place].name.clone())).collect();
    let damage = database.each_row("params", ["key", "value", "run_uuid"], |[key, value, id]| {
        if let Some(run) = found.of(id, "params") {
            run.add_settings(&key.text(), yaml::word(&value.text()));
        }
    })?;
    found.damaged(damage);
    let damage = database.each_row("tags", ["key", "value", "run_uuid"], |[key, value, id]| {
        if let Some(run) = found.of(id, "tags") {
            tag(run, &key.text(), &value.text(), |parent| names.get(parent).cloned());
        }
    })?;
    found.damaged(damage);
    let lasts = metrics(&mut database, &mut found)?;
    let mut kept: Vec<BTreeMap<String, PathBuf>> = vec![BTreeMap::new(); found.runs.len()];
    for path in reading.files.iter().skip(1) {
        let Some((id, called)) = run_of(path) else { continue };
        if let Some(place) = found.places.get(&id) {
            kept[*place].insert(called, path.clone());
        }
    }
    for (place, kept) in kept.into_iter().enumerate() {
        artifacts::take(&mut found.runs[place], kept, lasts[place])?;
    }
    for ((place, kind), count) in found.counts {
        if count > MOST_OF_A_KIND {
            let left = count - MOST_OF_A_KIND;
            found.runs[place].warn(format!("{left} of its {kind} were left out, beyond {MOST_OF_A_KIND}"));
        }
    }
    let Damage { pages, rows } = found.damage;
    for run in &mut found.runs {
        if pages + rows > 0 {
            run.warn(format!(
                "{pages} pages and {rows} rows of {} are damaged or too long",
                name(&reading.place)
            ));
        }
        if found.left > 0 {
            run.warn(format!(
                "{} runs or values of {} were left out: it has too many",
                found.left,
                name(&reading.place)
            ));
        }
    }
    Ok(found.runs)
}

/// The runs that were not deleted, with what their table and that of experiments say.
fn runs(database: &mut Database, reading: &Reading, wish: &Wish) -> io::Result<Runs> {
    let mut found = Runs::default();
    let log = Some(wal::beside(&reading.place)).filter(|log| log.is_file());
    let mut experiments: HashMap<String, (String, bool)> = HashMap::new();
    let columns = ["experiment_id", "name", "lifecycle_stage"];
    let damage = database.each_row("experiments", columns, |[id, name, stage]| {
        if experiments.len() < MOST_RUNS {
            experiments.insert(id.text(), (name.text(), stage.text() == "deleted"));
        }
    })?;
    found.damaged(damage);
    let columns =
        ["run_uuid", "name", "status", "start_time", "end_time", "lifecycle_stage", "experiment_id"];
    let damage =
        database.each_row("runs", columns, |[id, name, status, start, end, stage, experiment]| {
            let (experiment, is_gone) = experiments.get(&experiment.text()).cloned().unwrap_or_default();
            if is_gone || stage.text() == "deleted" {
                return;
            }
            if found.runs.len() >= MOST_RUNS {
                found.left += 1;
                return;
            }
            let (id, name) = (id.text(), name.text());
            let mut run = Foreign { tool: "MLflow", rows: wish.rows(), ..Foreign::default() };
            run.files.push(reading.place.clone());
            run.files.extend(log.clone());
            run.experiment = Some(experiment).filter(|experiment| !experiment.is_empty());
            run.name = if name.is_empty() { id.chars().take(8).collect() } else { name };
            run.part.clone_from(&id);
            [start, end].into_iter().filter_map(Cell::number).for_each(|time| run.heard(time / 1000.0));
            let status = status.text();
            run.has_ended = !matches!(status.as_str(), "" | "RUNNING" | "SCHEDULED");
            if run.has_ended && status != "FINISHED" {
                run.warn("MLflow says that it failed or was killed");
            }
            found.places.insert(id, found.runs.len());
            found.runs.push(run);
        })?;
    found.damaged(damage);
    Ok(found)
}

/// Puts all metrics; the last step of each run comes back.
fn metrics(database: &mut Database, found: &mut Runs) -> io::Result<Vec<f64>> {
    let mut points: BTreeMap<(usize, String), Vec<Point>> = BTreeMap::new();
    let (mut taken, mut left) = (0, 0);
    let columns = ["key", "value", "timestamp", "run_uuid", "step", "is_nan"];
    let damage = database.each_row("metrics", columns, |[key, value, time, id, step, is_nan]| {
        let Some(place) = found.places.get(&id.text()) else { return };
        if taken >= MOST_VALUES {
            left += 1;
            return;
        }
        taken += 1;
        let value = match (value.number(), is_nan) {
            (_, Cell::Integer(1)) | (None, _) => f64::NAN,
            // Its database has no other word for what is infinite.
            (Some(f64::MAX), _) => f64::INFINITY,
            (Some(f64::MIN), _) => f64::NEG_INFINITY,
            (Some(value), _) => value,
        };
        let point = (step.number().unwrap_or(0.0), time.number().unwrap_or(f64::NAN), value);
        points.entry((*place, key.text())).or_default().push(point);
    })?;
    found.damaged(damage);
    found.left += left;
    let mut lasts = vec![0.0_f64; found.runs.len()];
    for ((place, called), points) in points {
        lasts[place] = lasts[place].max(put(&mut found.runs[place], &called, points));
    }
    Ok(lasts)
}

#[cfg(test)]
mod tests {
    use super::super::super::sqlite::written;
    use super::*;
    use std::fs;

    fn text(text: &str) -> Cell {
        Cell::Text(text.to_owned())
    }

    const RUN: &str = "98c09421e66d4503ad23cac8d598116b";
    const GONE: &str = "64d0001089ae4ce6b1c209e787e1c33a";

    fn database() -> Vec<u8> {
        let whole = |value: i64| Cell::Integer(value);
        let run = |id: &str, name: &str, stage: &str| {
            let times = [whole(1_700_000_000_000), whole(1_700_000_100_000)];
            [&[text(id), text(name), text("KILLED")][..], &times, &[text(stage), whole(1)]].concat()
        };
        let metric = |key: &str, value: f64, step: i64, is_nan: i64| {
            vec![
                text(key),
                Cell::Real(value),
                whole(1_700_000_000_000 + step),
                text(RUN),
                whole(step),
                whole(is_nan),
            ]
        };
        let mut metrics: Vec<Vec<Cell>> = (0..100).map(|step| metric("loss", 1.0, step, 0)).collect();
        metrics.extend([metric("odd", 0.0, 7, 1), metric("odd", f64::MAX, 3, 0)]);
        written::database(&[
            (
                "experiments",
                "CREATE TABLE experiments (experiment_id INTEGER, name VARCHAR, lifecycle_stage VARCHAR)",
                vec![vec![Cell::Null, text("digits"), text("active")]],
            ),
            (
                "runs",
                "CREATE TABLE \"runs\" (run_uuid VARCHAR(32), name VARCHAR, status VARCHAR, start_time BIGINT, end_time BIGINT, lifecycle_stage VARCHAR, experiment_id INTEGER)",
                vec![run(RUN, "first try", "active"), run(GONE, "gone", "deleted")],
            ),
            (
                "params",
                "CREATE TABLE params (\"key\" VARCHAR, value VARCHAR, run_uuid VARCHAR)",
                vec![vec![text("lr"), text("0.1"), text(RUN)], vec![text("lr"), text("9"), text(GONE)]],
            ),
            (
                "tags",
                "CREATE TABLE tags (\"key\" VARCHAR, value VARCHAR, run_uuid VARCHAR)",
                vec![
                    vec![text("team"), text("night"), text(RUN)],
                    vec![text("mlflow.note.content"), text(&"x".repeat(3000)), text(RUN)],
                ],
            ),
            (
                "metrics",
                "CREATE TABLE metrics (\"key\" VARCHAR, value FLOAT, timestamp BIGINT, run_uuid VARCHAR, step BIGINT, is_nan BOOLEAN)",
                metrics,
            ),
        ])
    }

    #[test]
    fn runs_of_a_database_have_all_that_those_of_a_folder_have() {
        let scene = tempfile::tempdir().unwrap();
        let kept = scene.path().join("mlruns/1").join(RUN).join("artifacts/said");
        fs::create_dir_all(&kept).unwrap();
        fs::write(kept.join("one.txt"), "hello").unwrap();
        fs::write(kept.join("model.bin"), "x").unwrap();
        fs::write(scene.path().join("mlflow.db"), database()).unwrap();
        fs::write(scene.path().join("mlflow.db-wal"), "x").unwrap();
        let mut files = Files::of(scene.path()).unwrap();
        let readings = claim(&mut files);
        assert_eq!((readings.len(), files.left.len()), (1, 0));
        assert!(files.said[0].starts_with("mlflow.db is being written"), "{:?}", files.said);
        assert_eq!(files.said[1], "deleted in MLflow, so left out: gone");
        let runs = (readings[0].read)(&readings[0], &Wish::default()).unwrap();
        let [run] = runs.as_slice() else { panic!("{runs:?}") };
        assert_eq!((run.experiment.as_deref(), run.name.as_str()), (Some("digits"), "first try"));
        assert_eq!(serde_json::to_string(&run.settings).unwrap(), r#"{"lr":0.1}"#);
        assert_eq!((run.tags.as_slice(), run.notes.len()), (&["team=night".to_owned()][..], 3000));
        assert_eq!((run.started, run.has_ended), (Some(1.7e9), true));
        assert_eq!((run.texts[0].step, run.texts[0].text.as_str()), (99, "hello"));
        assert_eq!(run.warnings[1], "1 of its artifacts stay where they are: said/model.bin");
        let table = run.rows.clone().table();
        assert_eq!(
            (table.columns()[4..].to_vec(), table.rows().len()),
            (vec!["loss".into(), "odd".into()], 100)
        );
        assert_eq!(table.rows()[3][5], Some(f64::INFINITY));
        assert!(table.rows()[7][5].is_some_and(f64::is_nan));
    }

    #[test]
    fn what_stands_in_the_log_beside_a_database_is_read_too() {
        let scene = tempfile::tempdir().unwrap();
        let path = scene.path().join("mlflow.db");
        let whole = database();
        let pages: Vec<(u32, &[u8])> = (1..).zip(whole.chunks(written::PAGE)).collect();
        // As where all of it was committed and nothing brought into the file but its first page.
        fs::write(&path, &whole[..written::PAGE]).unwrap();
        fs::write(wal::beside(&path), wal::written(&[(&pages, pages.len() as u32)], false)).unwrap();
        fs::write(scene.path().join("mlflow.db-shm"), "x").unwrap();
        let mut files = Files::of(scene.path()).unwrap();
        let readings = claim(&mut files);
        assert_eq!(
            (files.left.len(), files.said.as_slice()),
            (0, &["deleted in MLflow, so left out: gone".to_owned()][..])
        );
        let run = (readings[0].read)(&readings[0], &Wish::default()).unwrap().remove(0);
        assert_eq!((run.rows.clone().table().rows().len(), run.files.len()), (100, 2));
    }

    #[test]
    fn a_database_of_another_program_is_left_alone_and_a_damaged_one_gives_what_it_has() {
        let scene = tempfile::tempdir().unwrap();
        let other = written::database(&[("users", "CREATE TABLE users (id INTEGER)", Vec::new())]);
        fs::write(scene.path().join("other.db"), other).unwrap();
        let whole = database();
        let mut damaged = whole.clone();
        damaged[written::PAGE * 20..written::PAGE * 21].fill(0);
        fs::write(scene.path().join("mlflow.db"), damaged).unwrap();
        // Its list of tables stands at the end.
        fs::write(scene.path().join("cut.db"), &whole[..whole.len() - written::PAGE * 4]).unwrap();
        let mut files = Files::of(scene.path()).unwrap();
        let readings = claim(&mut files);
        assert_eq!(files.left, [scene.path().join("cut.db"), scene.path().join("other.db")]);
        let run = (readings[0].read)(&readings[0], &Wish::default()).unwrap().remove(0);
        assert!(
            run.warnings.iter().any(|said| said.starts_with("1 pages and 0 rows of mlflow.db are damaged"))
        );
        assert!((50..100).contains(&run.rows.clone().table().rows().len()));
    }
}
