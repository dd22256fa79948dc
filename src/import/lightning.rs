//! Lightning's folders: `version_N` with `hparams.yaml`, and `metrics.csv` or event files.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;

use super::files::{Files, Reading, folder, name, whole};
use super::foreign::{Foreign, Wish};
use super::{table, tensorboard, yaml};

/// Takes folders that a logger of Lightning wrote: they are called so, or have settings beside their values.
pub fn claim(files: &mut Files) -> Vec<Reading> {
    let is_log = |path: &PathBuf| name(path) == "metrics.csv" || tensorboard::is_event_file(path);
    let logs: BTreeSet<PathBuf> =
        files.left.iter().filter(|path| is_log(path)).map(|path| folder(path)).collect();
    let is_ours = |place: &PathBuf| {
        name(place).strip_prefix("version_").is_some_and(|number| number.parse::<u32>().is_ok())
            || place.join("hparams.yaml").is_file()
    };
    let places: BTreeSet<PathBuf> = logs.into_iter().filter(is_ours).collect();
    let taken = files.take(|path| {
        (is_log(&path.to_owned()) || name(path) == "hparams.yaml") && places.contains(&folder(path))
    });
    let mut found: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
    for path in taken {
        found.entry(folder(&path)).or_default().push(path);
    }
    found.into_iter().map(|(place, files)| Reading { place, files, read }).collect()
}

fn read(reading: &Reading, wish: &Wish) -> io::Result<Vec<Foreign>> {
    let of = |is_meant: &dyn Fn(&PathBuf) -> bool| -> Reading {
        let files = reading.files.iter().filter(|path| is_meant(path)).cloned().collect();
        Reading { place: reading.place.clone(), files, read }
    };
    let table = of(&|path| name(path) == "metrics.csv");
    let mut events = of(&|path| tensorboard::is_event_file(path));
    events.files.sort();
    let has_both = !table.files.is_empty() && !events.files.is_empty();
    let mut run = match table.files.is_empty() {
        true => tensorboard::read(&events, wish)?,
        false => table::read(&table, wish)?,
    };
    let mut run = if run.is_empty() { Foreign::default() } else { run.swap_remove(0) };
    if has_both {
        run.warn("its event files were left out: metrics.csv has the same values");
    }
    for path in of(&|path| name(path) == "hparams.yaml").files {
        let text = String::from_utf8_lossy(&whole(&path)?).into_owned();
        let (settings, is_whole) = yaml::read(&text);
        if !is_whole {
            run.warn("hparams.yaml could not be read to its end");
        }
        run.add_settings("", settings);
        // Event files name what is nested with slashes.
        let is_there = |path: &String| run.settings.contains_key(&path.replace('/', "."));
        let twice: Vec<String> =
            run.settings.keys().filter(|path| path.contains('/') && is_there(path)).cloned().collect();
        twice.iter().for_each(|path| drop(run.settings.remove(path)));
    }
    // Its logger says so together with the settings, at the beginning.
    run.has_ended = false;
    Ok(vec![Foreign { tool: "Lightning", files: reading.files.clone(), ..run }])
}

#[cfg(test)]
mod tests {
    use super::super::event::written::{event, metadata, scalar};
    use super::super::protobuf::written::{bytes, double, integer};
    use super::super::{names, tfrecord};
    use super::*;
    use std::fs;

    #[test]
    fn values_of_training_and_validation_on_rows_of_their_own_are_one_run_with_its_settings() {
        let scene = tempfile::tempdir().unwrap();
        let place = scene.path().join("lightning_logs/version_3");
        fs::create_dir_all(&place).unwrap();
        fs::write(place.join("hparams.yaml"), "lr: 0.1\nmodel:\n  depth: 3\n").unwrap();
        let rows = "train_loss,epoch,step,val_loss\n0.5,0,49,\n,0,50,0.4\n0.3,1,99,\n";
        fs::write(place.join("metrics.csv"), rows).unwrap();
        let mut files = Files::of(scene.path()).unwrap();
        let readings = claim(&mut files);
        let run = (readings[0].read)(&readings[0], &Wish::default()).unwrap().remove(0);
        assert_eq!((readings.len(), run.tool, run.files.len()), (1, "Lightning", 2));
        let table = run.rows.clone().table();
        assert_eq!(table.columns()[4..], ["train_loss", "val_loss"]);
        assert_eq!(table.rows()[1], [Some(50.0), Some(0.0), None, None, None, Some(0.4)]);
        assert_eq!(serde_json::to_string(&run.settings).unwrap(), r#"{"lr":0.1,"model.depth":3}"#);
    }

    fn claimed(scene: &std::path::Path, written: &[(&str, &str)]) -> (Vec<Reading>, Files) {
        for (path, text) in written {
            let path = scene.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let mut files = Files::of(scene).unwrap();
        (claim(&mut files), files)
    }

    #[test]
    fn a_folder_is_lightnings_by_its_name_or_its_settings_and_other_files_are_left() {
        let scene = tempfile::tempdir().unwrap();
        let (readings, files) = claimed(
            scene.path(),
            &[
                ("named/hparams.yaml", "lr: 1\n"),
                ("named/metrics.csv", "step,loss\n1,2\n"),
                ("named/notes.txt", ""),
                ("none/hparams.yaml", "lr: 1\n"),
                ("other/metrics.csv", "step,loss\n1,2\n"),
                ("version_2/metrics.csv", "step,loss\n1,2\n"),
                ("version_x/metrics.csv", "step,loss\n1,2\n"),
            ],
        );
        let places: Vec<String> = readings.iter().map(|reading| name(&reading.place)).collect();
        assert_eq!(places, ["named", "version_2"]);
        let left: Vec<String> = files.left.iter().map(|path| name(&folder(path))).collect();
        assert_eq!(left, ["named", "none", "other", "version_x"]);
    }

    #[test]
    fn values_that_stand_twice_are_taken_once_and_settings_that_are_cut_off_are_said() {
        let scene = tempfile::tempdir().unwrap();
        let table = ("version_0/metrics.csv", "step,loss\n1,2\n");
        let event = ("version_0/events.out.tfevents.1.box", "");
        let warnings = |written: &[(&str, &str)]| {
            let (readings, _) = claimed(scene.path(), written);
            (readings[0].read)(&readings[0], &Wish::default()).unwrap().remove(0).warnings
        };
        assert_eq!(warnings(&[table, ("version_0/hparams.yaml", "lr: 1\n")]), [""; 0]);
        let said = warnings(&[event, ("version_0/hparams.yaml", "lr: [1,\n")]);
        assert!(said[0].starts_with("its event files were left out"), "{said:?}");
        assert!(said[1].starts_with("hparams.yaml could not be read to its end"), "{said:?}");
    }

    #[test]
    fn settings_come_from_events_and_beside_them_and_the_end_that_is_logged_with_them_is_none() {
        let scene = tempfile::tempdir().unwrap();
        let place = scene.path().join("lightning_logs/version_0");
        fs::create_dir_all(&place).unwrap();
        fs::write(place.join("hparams.yaml"), "lr: 0.1\nmodel:\n  depth: 3\n").unwrap();
        let told = |tag: &[u8], content: &[u8]| [bytes(1, tag), metadata("hparams", content)].concat();
        let lr = bytes(1, &[bytes(1, b"lr"), bytes(2, &double(2, 0.1))].concat());
        let depth = bytes(1, &[bytes(1, b"model/depth"), bytes(2, &double(2, 3.0))].concat());
        let name = bytes(1, &[bytes(1, b"name"), bytes(2, &bytes(3, b"adam"))].concat());
        let events = [
            event(1.7e9, 0, &[scalar("hp_metric", -1.0)]),
            event(1.7e9, 0, &[told(b"_hparams_/session_start_info", &bytes(3, &[lr, depth, name].concat()))]),
            event(1.7e9, 0, &[told(b"_hparams_/session_end_info", &bytes(4, &integer(1, 1)))]),
            event(1.7e9 + 1.0, 10, &[scalar("train_acc", 0.5)]),
        ];
        let records: Vec<u8> = events.iter().flat_map(|event| tfrecord::record(event)).collect();
        fs::write(place.join("events.out.tfevents.1.h"), records).unwrap();
        let mut files = Files::of(scene.path()).unwrap();
        let readings = claim(&mut files);
        let run = (readings[0].read)(&readings[0], &Wish::default()).unwrap().remove(0);
        assert_eq!(
            serde_json::to_string(&run.settings).unwrap(),
            r#"{"lr":0.1,"model.depth":3,"name":"adam"}"#
        );
        let metrics = run.rows.table().metrics();
        assert_eq!((run.has_ended, names::judged_by(&metrics).unwrap().as_str()), (false, "train_acc"));
    }
}
