use std::time::Instant;

use serde_json::Value;

use super::*;
use crate::data_files::image::{Image, encode_png};
use crate::import::rows::{Clock, Rows};
use crate::run_dir::metrics::Metrics;
use crate::run_dir::records::Sample;
use crate::run_dir::{Status, distributions};

/// A workspace, and a source of one file beside it.
struct Scene {
    folder: tempfile::TempDir,
    known: KnownRuns,
}

impl Scene {
    fn new() -> Scene {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("logs")).unwrap();
        Scene { folder, known: KnownRuns::default() }
    }

    fn workspace(&self) -> Workspace {
        Workspace::new(self.folder.path().join("workspace"))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join("logs").join(name)
    }

    /// Brings what a log of these losses comes to.
    fn bring(&mut self, name: &str, losses: &[f64], mode: Mode) -> Brought {
        let file = self.file(name);
        fs::write(&file, format!("{losses:?}")).unwrap();
        let mut foreign = Foreign { tool: "TensorBoard", files: vec![file.clone()], ..Foreign::default() };
        for (step, loss) in losses.iter().enumerate() {
            foreign.rows.put_clock(step as f64, Clock::Time, 1.7e9 + step as f64);
            foreign.rows.put(step as f64, "val_loss", *loss);
        }
        foreign.add_settings("lr", 0.1.into());
        let aim = Aim { tags: vec!["old".into()], ..Aim::default() };
        let root = self.file("");
        self.bring_this(&root, &file, &foreign, &aim, mode)
    }

    /// Brings one run. A child that another test forks at this moment holds a copy of the last lock until it execs.
    fn bring_this(&mut self, root: &Path, file: &Path, foreign: &Foreign, aim: &Aim, mode: Mode) -> Brought {
        let begun = Instant::now();
        loop {
            let found = vec![(file.to_owned(), foreign.clone())];
            let one = arriving(root, found, aim).unwrap().remove(0);
            match bring(&self.workspace(), one, &mut self.known, None, mode) {
                Err(error)
                    if error.kind() == io::ErrorKind::WouldBlock && begun.elapsed().as_secs() < 120 =>
                {
                    std::thread::yield_now();
                }
                brought => return brought.unwrap(),
            }
        }
    }
}

#[test]
fn a_run_is_made_once_grows_and_stays_as_it_is_where_nothing_came() {
    let mut scene = Scene::new();
    let first = scene.bring("a.log", &[3.0, 2.0], Mode::Write);
    assert_eq!(first.what, What::New);
    assert_eq!(
        first.dir.experiment(),
        scene.folder.path().file_name().unwrap().to_str().unwrap().trim_matches('.')
    );
    let csv = || fs::read_to_string(first.dir.metrics()).unwrap();
    assert!(csv().starts_with("step,epoch,time,elapsed,val_loss\n0,,1700000000,0,3\n"), "{}", csv());
    let state = || fs::read(first.dir.import_json()).unwrap();
    let before = state();
    assert_eq!(scene.bring("a.log", &[3.0, 2.0], Mode::Write).what, What::Same);
    assert_eq!(state(), before, "nothing is touched");
    assert_eq!(scene.bring("a.log", &[3.0, 2.0, 1.0, 0.5], Mode::Write).what, What::Grown(2));
    assert_eq!(Metrics::read(&first.dir.metrics()).unwrap().rows, 4);
    assert_eq!(scene.bring("a.log", &[9.0, 2.0, 1.0, 0.5], Mode::Write).what, What::Rewritten);
    assert!(csv().contains(",0,9\n"), "{}", csv());
    assert_eq!(scan::runs(&scene.workspace()).len(), 1);
}

#[test]
fn of_a_source_that_was_cut_off_no_row_is_lost() {
    let mut scene = Scene::new();
    let dir = scene.bring("a.log", &[3.0, 2.0, 1.0], Mode::Write).dir;
    let before = fs::read(dir.metrics()).unwrap();
    for left in [&[3.0, 2.0][..], &[]] {
        let cut = scene.bring("a.log", left, Mode::Write);
        assert_eq!((cut.what, cut.state.rows), (What::Shorter, 3), "{left:?}");
        assert_eq!(fs::read(dir.metrics()).unwrap(), before);
    }
    assert_eq!(scene.bring("a.log", &[3.0, 2.5], Mode::Write).what, What::Rewritten, "another log");
}

#[test]
fn other_columns_are_said_and_a_run_without_any_that_was_asked_for_stays_as_it_was() {
    let mut scene = Scene::new();
    let first = scene.bring("a.log", &[3.0, 2.0], Mode::Write);
    assert_eq!((first.state.step, first.state.best.map(|best| best.value)), (1, Some(2.0)));
    let file = scene.file("a.log");
    let mut again = |wanted: &str| {
        let mut rows = Rows::taking(&[(wanted.to_owned(), "new".to_owned())]);
        for step in 0..2 {
            rows.put(f64::from(step), "val_loss", 3.0);
            rows.put(f64::from(step), "acc", 0.5);
        }
        let foreign = Foreign { tool: "TensorBoard", files: vec![file.clone()], rows, ..Foreign::default() };
        scene.bring_this(&file, &file, &foreign, &Aim::default(), Mode::Write)
    };
    let csv = || fs::read_to_string(first.dir.metrics()).unwrap();
    let before = csv();
    let kept = again("lr");
    assert_eq!((kept.what, kept.state.rows, csv()), (What::Kept, 2, before));
    assert_eq!(again("acc").what, What::Columns);
    assert_eq!(again("acc").what, What::Same);
    assert!(csv().starts_with("step,epoch,time,elapsed,new\n0,,,,0.5\n"), "{}", csv());
    assert_eq!(scene.bring("a.log", &[3.0, 2.0], Mode::Write).what, What::Columns, "all of them again");
}

#[test]
fn a_fresh_copy_of_old_logs_is_no_run_at_work_though_its_file_began_now() {
    let mut scene = Scene::new();
    let file = scene.file("a.log");
    fs::write(&file, "x").unwrap();
    let mut foreign = Foreign { tool: "TensorBoard", files: vec![file.clone()], ..Foreign::default() };
    foreign.heard(scan::now());
    foreign.rows.put_clock(1.0, Clock::Time, 1.7e9);
    foreign.rows.put(1.0, "loss", 3.0);
    let one = arriving(&scene.file(""), vec![(file, foreign)], &Aim::default()).unwrap().remove(0);
    let dir = bring(&scene.workspace(), one, &mut scene.known, None, Mode::Write).unwrap().dir;
    let seen = scan::look(&dir, "here", scan::now());
    assert_eq!(seen.status, Status::Finished);
    assert!(seen.import.unwrap().written.is_some());
}

#[test]
fn what_stands_on_disk_has_no_settings_of_ours_and_reads_back() {
    let mut scene = Scene::new();
    let dir = scene.bring("a.log", &[3.0], Mode::Write).dir;
    let text = fs::read_to_string(dir.run_json()).unwrap();
    let json: Value = serde_json::from_str(&text).unwrap();
    assert!(json.get("settings").is_none(), "{text}");
    assert_eq!(json["imported"]["settings"]["lr"], 0.1);
    let seen = scan::look(&dir, "here", scan::now());
    let record = seen.record.unwrap();
    assert_eq!((record.tags, seen.status), (vec!["old".to_owned()], Status::Finished));
    assert!(record.imported.is_some_and(|imported| imported.source.ends_with("logs/a.log")));
    assert!(scan::is_imported(&dir) && scan::runs_of_ours(&scene.workspace()).is_empty());
    // Neither may stand without the other.
    fs::write(dir.run_json(), text.replace("\"imported\"", "\"other\"")).unwrap();
    let error = read::run_record(&dir).unwrap_err().to_string();
    assert!(error.contains("settings stand in runs of ours"), "{error}");
}

#[test]
fn a_copy_of_the_same_files_adds_nothing_and_a_dry_run_writes_nothing() {
    let mut scene = Scene::new();
    assert_eq!(scene.bring("a.log", &[3.0], Mode::DryRun).what, What::New);
    assert!(!scene.workspace().runs().exists());
    let first = scene.bring("a.log", &[3.0], Mode::Write).dir;
    assert_eq!(scene.bring("copy.log", &[3.0], Mode::Write).what, What::Copy(first));
    scene.known = KnownRuns::of(&scene.workspace());
    assert_eq!(scene.bring("a.log", &[3.0], Mode::Write).what, What::Same);
    assert_eq!(scene.bring("other.log", &[4.0], Mode::Write).what, What::New);
    assert_eq!(scan::runs(&scene.workspace()).len(), 2);
}

#[test]
fn names_come_from_the_place_and_what_differs_is_what_varies() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("mnist/lightning_logs");
    let mut found = Vec::new();
    for (version, lr) in [("version_0", 0.1), ("version_1", 0.2)] {
        let place = root.join(version);
        fs::create_dir_all(&place).unwrap();
        let mut foreign = Foreign::default();
        foreign.add_settings("lr", lr.into());
        foreign.add_settings("depth", 3.into());
        found.push((place, foreign));
    }
    let aim = Aim { name: Some("old run".into()), ..Aim::default() };
    let named = arriving(&root, found.clone(), &aim).unwrap();
    assert_eq!(named[0].name, "old-run-version_0");
    let arriving = arriving(&root, found, &Aim::default()).unwrap();
    assert_eq!((arriving[0].experiment.as_str(), arriving[1].name.as_str()), ("mnist", "version_1"));
    assert_eq!(serde_json::to_string(&arriving[1].varied).unwrap(), r#"{"lr":0.2}"#);
}

#[test]
fn a_file_cannot_be_written_while_another_import_follows_it() {
    let mut scene = Scene::new();
    let dir = scene.bring("a.log", &[3.0], Mode::Write).dir;
    let held = lock::try_lock(&dir.alive_lock()).unwrap().unwrap();
    assert!(scan::look(&dir, "here", scan::now()).status.is_running());
    let foreign = Foreign { files: vec![scene.file("a.log")], ..Foreign::default() };
    let one =
        arriving(&scene.file(""), vec![(scene.file("a.log"), foreign)], &Aim::default()).unwrap().remove(0);
    let error = bring(&scene.workspace(), one, &mut scene.known, None, Mode::Write).unwrap_err();
    assert!(error.to_string().contains("another import"), "{error}");
    drop(held);
}

#[test]
fn runs_are_numbered_in_their_experiment_and_known_by_where_they_come_from() {
    let mut scene = Scene::new();
    for (number, name) in ["a.log", "b.log", "c.log"].into_iter().enumerate() {
        let dir = scene.bring(name, &[number as f64], Mode::Write).dir;
        assert_eq!(read::run_record(&dir).unwrap().number as usize, number);
        let mode = fs::metadata(dir.path()).unwrap().permissions().mode() & 0o777;
        assert_eq!((&dir.name()[..2], mode), (&format!("{}-", &name[..1])[..], 0o755), "for all to read");
        assert_eq!(
            KnownRuns::of(&scene.workspace()).at(&fs::canonicalize(scene.file(name)).unwrap(), ""),
            Some(&dir)
        );
    }
    let left = fs::read_dir(scene.workspace().runs()).unwrap().flatten();
    let left = left.flat_map(|experiment| fs::read_dir(experiment.path()).unwrap().flatten());
    assert_eq!(left.filter(|entry| entry.file_name().to_string_lossy().starts_with(".new-")).count(), 0);
}

#[test]
fn histograms_texts_and_pictures_come_along_and_grow_and_what_is_no_picture_is_said() {
    let mut scene = Scene::new();
    let file = scene.file("a.log");
    fs::write(&file, "x").unwrap();
    let image = Image { width: 2, height: 1, channels: 3, pixels: vec![7; 6] };
    let png = encode_png(&image).unwrap();
    let mut foreign = Foreign { tool: "TensorBoard", files: vec![file.clone()], ..Foreign::default() };
    foreign.rows.put(1.0, "loss", 3.0);
    let spread = [0.5; distributions::QUANTILES.len()];
    let mut brought = |foreign: &Foreign| {
        let root = scene.file("");
        let brought = scene.bring_this(&root, &file, foreign, &Aim::default(), Mode::Write);
        (brought.dir, brought.state.warnings)
    };
    let (dir, said) = brought(&foreign);
    assert!(said.is_empty() && !dir.distributions().exists() && !dir.samples().exists(), "{said:?}");
    for step in [1, 2] {
        foreign.distributions.put_quantiles(step as f64, "weights", &spread);
        foreign.add_text(step, "said", "hello");
        foreign.add_image(step, "digit", &png);
        foreign.add_image(step, "svg", b"<svg/>");
        foreign.rows.put(0.5, "loss", 3.0);
        foreign.distributions.put_quantiles(0.5, "weights", &spread);
        let (dir, said) = brought(&foreign);
        let rows = fs::read_to_string(dir.distributions()).unwrap().lines().count() as u64;
        assert_eq!(rows, 1 + step);
        let sample: Sample = read::json(&dir.sample_json(step)).unwrap();
        assert_eq!((sample.step, sample.items.len()), (step, 2), "a text, and the title of a picture");
        assert_eq!(fs::read(dir.sample_png(step)).unwrap(), png);
        let quantiles = step as usize * distributions::QUANTILES.len();
        let left =
            |count: usize| format!("{count} values were left out: their step is no whole number from 0 on");
        assert_eq!(
            said,
            [
                left(step as usize),
                format!("of its histograms: {}", left(quantiles)),
                format!("{step} pictures were left out, which are no PNG or JPEG that a page shows"),
            ]
        );
    }
}

#[test]
fn a_file_itself_gives_the_experiment_its_name_without_the_ending() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("old.night.csv");
    fs::write(&file, "x").unwrap();
    let named = arriving(&file, vec![(file.clone(), Foreign::default())], &Aim::default()).unwrap();
    assert_eq!((named[0].experiment.as_str(), named[0].name.as_str()), ("old.night", "old.night"));
}

#[test]
fn runs_that_are_there_are_looked_through_once_and_not_for_each_that_comes() {
    let (mut numbers, mut looked) = (Numbers::default(), 0);
    for place in 0..20_000 {
        let next = numbers.next("x", || {
            looked += 1;
            Some(6)
        });
        assert_eq!(next, 7 + place);
    }
    assert_eq!((looked, numbers.next("y", || None), numbers.next("y", || None)), (1, 0, 1));
}
