//! TensorBoard's event files: all files of a folder are one run.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};

use super::event::{Event, Logged, Session, What, session};
use super::files::{Files, Reading, folder, head, name};
use super::foreign::{Foreign, Wish};
use super::histogram;
use super::rows::Clock;
use super::tfrecord::{self, Damage};
use crate::run_dir::read;

/// Takes the event files: by their content where a person named one, else by their name too, so that not every
/// file of a folder is opened.
pub fn claim(files: &mut Files) -> Vec<Reading> {
    let is_named = |path: &Path| files.is_named(path) || is_event_file(path);
    let ours = |path: &Path| is_named(path) && (tfrecord::is_record(&head(path)) || is_empty(path));
    let found: BTreeSet<PathBuf> = files.left.iter().filter(|path| ours(path)).cloned().collect();
    let found = files.take(|path| found.contains(path));
    let mut folders: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
    for file in found {
        folders.entry(folder(&file)).or_default().push(file);
    }
    fold_sessions(&mut folders);
    fold_keras(&mut folders);
    let reading = |(place, mut files): (PathBuf, Vec<PathBuf>)| {
        files.sort_by_key(|file| (folder(file), order(file)));
        Reading { place, files, read }
    };
    folders.into_iter().map(reading).collect()
}

pub fn is_event_file(path: &Path) -> bool {
    name(path).contains(".tfevents.")
}

/// Just begun: a source that grows has nothing in it at first.
fn is_empty(path: &Path) -> bool {
    is_event_file(path) && path.metadata().is_ok_and(|metadata| metadata.len() == 0)
}

/// `events.out.tfevents.<seconds>.<host>...`: the order in which they were begun.
fn order(file: &Path) -> (u64, String) {
    let name = name(file);
    let seconds = name.split(".tfevents.").nth(1).and_then(|rest| rest.split('.').next()?.parse().ok());
    (seconds.unwrap_or(0), name)
}

/// `add_hparams` writes the settings of a run into a folder of its own below, named by the time.
fn fold_sessions(folders: &mut BTreeMap<PathBuf, Vec<PathBuf>>) {
    let is_time = |path: &Path| name(path).parse::<f64>().is_ok_and(|time| time > 1e8);
    let sessions: Vec<PathBuf> =
        folders.keys().filter(|path| is_time(path) && folders.contains_key(&folder(path))).cloned().collect();
    for session in sessions {
        let files = folders.remove(&session).unwrap_or_default();
        folders.entry(folder(&session)).or_default().extend(files);
    }
}

/// Keras writes training and validation of one run into two folders beside each other.
fn fold_keras(folders: &mut BTreeMap<PathBuf, Vec<PathBuf>>) {
    let parents: BTreeSet<PathBuf> = folders.keys().map(|path| folder(path)).collect();
    for parent in parents {
        let parts = PARTS.map(|part| parent.join(part));
        let found: Vec<&PathBuf> = parts.iter().filter(|part| folders.contains_key(*part)).collect();
        // What lies below a folder follows it in their order.
        let after = || folders.range::<PathBuf, _>((Bound::Excluded(&parent), Bound::Unbounded));
        let below = || after().take_while(|(path, _)| path.starts_with(&parent)).count();
        if found.len() >= 2 && !folders.contains_key(&parent) && found.len() == below() {
            let files = found.into_iter().flat_map(|part| folders.remove(part)).flatten().collect();
            folders.insert(parent, files);
        }
    }
}

const PARTS: [&str; 4] = ["train", "validation", "val", "test"];

/// Reads the files of a run, in their order.
///
/// # Errors
/// None of them can be read.
pub fn read(reading: &Reading, wish: &Wish) -> io::Result<Vec<Foreign>> {
    let mut run = Foreign { tool: "TensorBoard", rows: wish.rows(), ..Foreign::default() };
    run.files.clone_from(&reading.files);
    let mut tags = Tags::default();
    for path in &reading.files {
        // The folder says which of two values with one tag it is.
        let part = name(&folder(path));
        let is_part = PARTS.contains(&part.as_str()) && folder(path) != reading.place;
        let prefix = if is_part { format!("{part}/") } else { String::new() };
        let damage = tfrecord::each_record(read::open(path)?, |record| {
            let event = Event::read(record);
            run.heard(event.time);
            for value in event.values() {
                tags.take(&mut run, &event, &prefix, value);
            }
        })?;
        warn_of(&mut run, &name(path), &damage);
    }
    tags.warn(&mut run);
    Ok(vec![run])
}

/// What was learned of tags while reading: the plugin stands with the first value alone.
#[derive(Default)]
struct Tags {
    plugins: HashMap<String, String>,
    /// Those of which nothing can be drawn.
    bare_histograms: BTreeSet<String>,
    others: BTreeSet<String>,
}

impl Tags {
    fn take(&mut self, run: &mut Foreign, event: &Event, prefix: &str, value: Logged) {
        const MOST_TAGS: usize = 100_000;
        let Logged { tag, plugin, content, what } = value;
        if plugin == "hparams" {
            let Session { settings, has_ended } = session(content);
            run.add_settings("", serde_json::Value::Object(settings));
            run.has_ended |= has_ended;
            return;
        }
        if !plugin.is_empty() && self.plugins.len() < MOST_TAGS {
            self.plugins.entry(tag.clone()).or_insert(plugin);
        }
        let plugin = self.plugins.get(&tag).map(String::as_str).unwrap_or_default();
        let step = u64::try_from(event.step);
        match what {
            What::Scalar(value) => scalar(run, event, prefix, &tag, value),
            What::Tensor(tensor) => match (plugin, step) {
                ("text", Ok(step)) => {
                    let texts: Vec<_> = tensor.pieces().map(String::from_utf8_lossy).collect();
                    run.add_text(step, tag.trim_end_matches("/text_summary"), &texts.join("\n"));
                }
                // Width and height come first.
                ("images", Ok(step)) => images(run, step, &tag, tensor.pieces().skip(2)),
                ("histograms", _) => self.histogram(run, event, prefix, tag, histogram::of_tensor(tensor)),
                ("scalars" | "", _) => match tensor.number() {
                    Some(value) => scalar(run, event, prefix, &tag, value),
                    None => drop(self.others.insert(tag)),
                },
                _ => drop(self.others.insert(tag)),
            },
            What::Image(encoded) => match step {
                Ok(step) => run.add_image(step, &tag, encoded),
                Err(_) => drop(self.others.insert(tag)),
            },
            What::Histogram(message) => {
                self.histogram(run, event, prefix, tag, histogram::of_message(message));
            }
            What::Other => drop(self.others.insert(tag)),
            What::Nothing => {}
        }
    }

    fn histogram(
        &mut self,
        run: &mut Foreign,
        event: &Event,
        prefix: &str,
        tag: String,
        quantiles: Option<histogram::Quantiles>,
    ) {
        match quantiles {
            Some(quantiles) => {
                run.distributions.put_quantiles(event.step as f64, &format!("{prefix}{tag}"), &quantiles);
            }
            None => drop(self.bare_histograms.insert(tag)),
        }
    }

    fn warn(self, run: &mut Foreign) {
        let named = |tags: BTreeSet<String>| {
            let some: Vec<&str> = tags.iter().take(3).map(String::as_str).collect();
            let more = if tags.len() > 3 { " ..." } else { "" };
            (tags.len(), format!("{}{more}", some.join(", ")))
        };
        if !self.bare_histograms.is_empty() {
            let (count, some) = named(self.bare_histograms);
            run.warn(format!(
                "histograms that hold no values, or none that are numbers, were left out: {count} ({some})"
            ));
        }
        if !self.others.is_empty() {
            let (count, some) = named(self.others);
            run.warn(format!(
                "tags that are no scalar, text, picture or histogram were left out: {count} ({some})"
            ));
        }
    }
}

/// All pictures of a tag at a step, numbered where they are several.
fn images<'a>(run: &mut Foreign, step: u64, tag: &str, encoded: impl Iterator<Item = &'a [u8]>) {
    for (place, encoded) in encoded.enumerate() {
        let title = if place == 0 { tag.to_owned() } else { format!("{tag}/{place}") };
        run.add_image(step, &title, encoded);
    }
}

fn scalar(run: &mut Foreign, event: &Event, prefix: &str, tag: &str, value: f64) {
    let step = event.step as f64;
    run.rows.put_clock(step, Clock::Time, event.time);
    match tag {
        "epoch" => run.rows.put_clock(step, Clock::Epoch, value),
        _ => run.rows.put(step, &format!("{prefix}{tag}"), value),
    }
}

fn warn_of(run: &mut Foreign, file: &str, damage: &Damage) {
    if damage.is_cut {
        run.warn(format!("{file} ends in the midst of a record: what stands before it was read"));
    }
    if damage.records > 0 {
        run.warn(format!("{file}: {} damaged records were left out", damage.records));
    }
    if damage.skipped > 0 {
        run.warn(format!("{file}: {} bytes belong to no record and were skipped", damage.skipped));
    }
    if damage.too_long > 0 {
        run.warn(format!("{file}: {} records are longer than any that is read", damage.too_long));
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::written::{event, metadata, scalar, tensor, texts};
    use super::super::protobuf::written::{bytes, double, integer};
    use super::*;
    use std::fs;

    /// Files below a folder, each of these events, and the runs they make.
    fn runs(files: &[(&str, &[Vec<u8>])]) -> Vec<(String, Foreign)> {
        let scene = tempfile::tempdir().unwrap();
        for (name, events) in files {
            let path = scene.path().join(name);
            fs::create_dir_all(folder(&path)).unwrap();
            let records: Vec<u8> = events.iter().flat_map(|event| tfrecord::record(event)).collect();
            fs::write(path, records).unwrap();
        }
        let mut found = Files::of(scene.path()).unwrap();
        let readings = claim(&mut found);
        assert!(found.left.is_empty());
        let named = |reading: &Reading| {
            let run = read(reading, &Wish::default()).unwrap().remove(0);
            (reading.place.strip_prefix(scene.path()).unwrap().display().to_string(), run)
        };
        readings.iter().map(named).collect()
    }

    fn float_tensor(value: f32) -> Vec<u8> {
        [integer(1, 1), bytes(4, &value.to_le_bytes())].concat()
    }

    #[test]
    fn several_files_of_a_folder_are_one_run_in_the_order_of_their_times() {
        let first = [
            event(1.7e9, 0, &[]),
            event(1.7e9 + 1.0, 10, &[scalar("loss", 3.0), scalar("epoch", 0.0)]),
            event(1.7e9 + 2.0, 20, &[scalar("loss", 2.0)]),
        ];
        let resumed = [event(1.7e9 + 60.0, 15, &[tensor("loss", "scalars", &float_tensor(2.5))])];
        // By its text the second comes first.
        let runs = runs(&[
            ("a/events.out.tfevents.1000000000.host.1.0", &resumed),
            ("a/events.out.tfevents.999999999.host.1.0", &first),
        ]);
        assert_eq!(runs.len(), 1);
        let table = runs[0].1.rows.clone().table();
        assert_eq!(table.columns(), ["step", "epoch", "time", "elapsed", "loss"]);
        let losses: Vec<_> = table.rows().iter().map(|row| (row[0], row[4])).collect();
        assert_eq!(losses, [(Some(10.0), Some(3.0)), (Some(15.0), Some(2.5))]);
        assert_eq!(table.overtaken, 1);
        assert_eq!((runs[0].1.started, runs[0].1.newest), (Some(1.7e9), Some(1.7e9 + 60.0)));
    }

    #[test]
    fn texts_pictures_settings_and_histograms_are_kept_and_others_named() {
        let session = bytes(3, &bytes(1, &[bytes(1, b"lr"), bytes(2, &bytes(3, b"0.1"))].concat()));
        let settings = [bytes(1, b"_hparams_/session_start_info"), metadata("hparams", &session)].concat();
        let image = [bytes(1, b"digits"), bytes(4, &bytes(4, b"PNG"))].concat();
        let buckets = [double(1, 0.0), double(2, 4.0), double(6, 4.0), double(7, 8.0)].concat();
        let bare = bytes(5, &[double(1, f64::MAX), double(2, -f64::MAX)].concat());
        let events = [
            event(1.7e9, 0, &[settings]),
            event(1.7e9, 5, &[tensor("said/text_summary", "text", &texts(&[b"To be"])), image]),
            event(1.7e9, 6, &[tensor("new", "images", &texts(&[b"8", b"8", b"PNG2", b"PNG3"]))]),
            event(1.7e9, 7, &[[bytes(1, b"weights"), bytes(5, &buckets)].concat()]),
            event(1.7e9, 7, &[[bytes(1, b"dead"), bare].concat()]),
            event(1.7e9, 8, &[tensor("curve", "pr_curves", &float_tensor(1.0))]),
        ];
        let (_, run) = runs(&[("events.out.tfevents.1.h", &events)]).remove(0);
        assert_eq!(run.settings.get("lr").and_then(|lr| lr.as_str()), Some("0.1"));
        assert_eq!((run.texts[0].title.as_str(), run.texts[0].text.as_str()), ("said", "To be"));
        let images: Vec<(&str, &[u8])> =
            run.images.iter().map(|image| (image.title.as_str(), image.encoded.as_slice())).collect();
        assert_eq!(images, [("digits", &b"PNG"[..]), ("new", b"PNG2"), ("new/1", b"PNG3")]);
        let spread = run.distributions.clone().table();
        assert_eq!(spread.columns()[4..6], ["weights/min", "weights/p5"]);
        let row = &spread.rows()[0];
        assert_eq!((row[0], row[4], row[7], row[10]), (Some(7.0), Some(0.0), Some(2.0), Some(4.0)));
        assert!(
            run.warnings[0].contains("1 (dead)") && run.warnings[1].contains("1 (curve)"),
            "{:?}",
            run.warnings
        );
    }

    #[test]
    fn folders_of_one_run_are_folded_and_others_are_runs_of_their_own() {
        let loss = |value| vec![event(1.7e9, 1, &[scalar("loss", value)])];
        let (one, two) = (loss(1.0), loss(2.0));
        let runs = runs(&[
            ("keras/train/events.out.tfevents.1.h", &one),
            ("keras/validation/events.out.tfevents.1.h", &two),
            ("hparams/events.out.tfevents.1.h", &one),
            ("hparams/1700000000.5/events.out.tfevents.1.h", &two),
            ("sweep/lr0.1/events.out.tfevents.1.h", &one),
            ("sweep/lr0.2/events.out.tfevents.1.h", &two),
        ]);
        let places: Vec<&str> = runs.iter().map(|(place, _)| place.as_str()).collect();
        assert_eq!(places, ["hparams", "keras", "sweep/lr0.1", "sweep/lr0.2"]);
        assert_eq!(runs[1].1.rows.clone().table().metrics(), ["train/loss", "validation/loss"]);
    }

    #[test]
    fn a_file_that_is_cut_off_gives_what_it_has_and_says_so() {
        let scene = tempfile::tempdir().unwrap();
        let path = scene.path().join("any-name");
        let whole: Vec<u8> =
            (1..4).flat_map(|step| tfrecord::record(&event(1.7e9, step, &[scalar("loss", 1.0)]))).collect();
        fs::write(&path, &whole[..whole.len() - 5]).unwrap();
        let mut files = Files::of(&path).unwrap();
        let readings = claim(&mut files);
        let run = read(&readings[0], &Wish::default()).unwrap().remove(0);
        assert_eq!(run.rows.clone().table().rows().len(), 2);
        assert!(run.warnings[0].contains("midst of a record"), "{:?}", run.warnings);
    }
}
