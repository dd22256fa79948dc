//! TensorBoard's event files, a folder for each run: every number at its step and time, all settings as
//! hyperparameters, what models wrote and drew. Its scalars have 32 bits, so numbers are rounded to these.

mod event;

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use super::super::attached::sheet;
use super::super::bounded;
use super::chosen::{Chosen, Outline};
use super::{FormError, Written};
use crate::import::tfrecord;
use crate::run_dir::distributions;
use crate::run_dir::records::{Sample, SampleItem};
use crate::run_dir::status::{end_of, last_start};
use crate::run_dir::write::at;
use crate::run_dir::{RunDir, Status, read, step_of};
use event::{Ended, Event};

pub fn write(chosen: &mut Chosen, folder: &Path, written: &mut Written) -> Result<(), FormError> {
    let (mut values, mut histograms, mut samples) = (0, 0, 0);
    for dir in chosen.dirs {
        let outline = chosen.outline(dir);
        let run = folder.join(&outline.experiment).join(&outline.run);
        fs::create_dir_all(&run).map_err(|error| at(&run, error))?;
        let begun = begun(&outline);
        // Readers know such files by the word before the time.
        let path = run.join(format!("events.out.tfevents.{:010}.overnight", begun.max(0.0) as u64));
        let mut out = Out { file: BufWriter::with_capacity(1 << 16, File::create(&path)?), bytes: 0 };
        out.put(&Event::version(begun))?;
        out.put(&Event::settings(begun, &outline.settings))?;
        values += scalars(chosen, dir, begun, &mut out)?;
        histograms += spread(chosen, dir, begun, &mut out)?;
        samples += said_and_drawn(chosen, dir, begun, &mut out)?;
        if let Some((time, ended)) = ended(&outline) {
            out.put(&Event::end(time, ended))?;
        }
        out.file.flush().map_err(|error| at(&path, error))?;
        written.bytes += out.bytes;
        written.files += 1;
    }
    written.holds = vec![("values".into(), values), ("samples".into(), samples)];
    if histograms > 0 {
        written.holds.push(("histograms".into(), histograms));
        written.left_out.push(
            "how many values a histogram had, which nobody kept: its counts are shares of a hundred".into(),
        );
    }
    written.left_out.push("logs, telemetry and checkpoints".into());
    Ok(())
}

struct Out {
    file: BufWriter<File>,
    bytes: u64,
}

impl Out {
    fn put(&mut self, event: &[u8]) -> Result<(), FormError> {
        let record = tfrecord::record(event);
        self.bytes += record.len() as u64;
        Ok(self.file.write_all(&record)?)
    }
}

/// When its first attempt began, else when it was queued.
fn begun(outline: &Outline) -> f64 {
    use crate::run_dir::records::Attempt;
    let seen = &outline.files.seen;
    let first = seen.attempts.iter().find_map(|line| match line {
        Attempt::Start(start) => Some(start.time),
        Attempt::End(_) => None,
    });
    first.unwrap_or_else(|| seen.record.as_ref().map_or(0.0, |record| record.created))
}

fn ended(outline: &Outline) -> Option<(f64, Ended)> {
    let seen = &outline.files.seen;
    let ended = match &seen.status {
        Status::Finished => Ended::Well,
        Status::Failed { .. } | Status::Killed { .. } => Ended::Badly,
        _ => return None,
    };
    let last = last_start(&seen.attempts)?;
    Some((end_of(&seen.attempts, last.attempt).map_or(last.time, |end| end.time), ended))
}

/// Every value that was logged; how many.
fn scalars(chosen: &mut Chosen, dir: &RunDir, begun: f64, out: &mut Out) -> Result<u64, FormError> {
    let mut values = 0;
    each_step(chosen, &dir.metrics(), begun, |columns, row, mut event| {
        let logged = columns.iter().zip(row).filter(|(name, _)| !matches!(name.as_str(), "step" | "time"));
        let logged = logged.filter_map(|(name, value)| Some((name.as_str(), (*value)? as f32)));
        let before = values;
        for (name, value) in logged {
            event.scalar(name, value);
            values += 1;
        }
        if values > before { out.put(&event.done()) } else { Ok(()) }
    })?;
    Ok(values)
}

/// Quantiles of histograms as histograms with a bucket between each two of them; how many.
fn spread(chosen: &mut Chosen, dir: &RunDir, begun: f64, out: &mut Out) -> Result<u64, FormError> {
    let mut histograms = 0;
    each_step(chosen, &dir.distributions(), begun, |columns, row, mut event| {
        let before = histograms;
        for name in distributions::names_of(columns.iter().map(String::as_str)) {
            let cell = |name: &String| row[columns.iter().position(|column| column == name)?];
            let quantiles = distributions::columns(name).each_ref().map(cell);
            if quantiles.iter().all(|cell| cell.is_some_and(f64::is_finite)) {
                event.histogram(name, &quantiles.map(Option::unwrap_or_default));
                histograms += 1;
            }
        }
        if histograms > before { out.put(&event.done()) } else { Ok(()) }
    })?;
    Ok(histograms)
}

/// Gives each row of a table that has a whole step, with an event at its step and time.
fn each_step(
    chosen: &mut Chosen,
    path: &Path,
    begun: f64,
    mut take: impl FnMut(&[String], &[Option<f64>], Event) -> Result<(), FormError>,
) -> Result<(), FormError> {
    let mut without_step = 0_u64;
    chosen.each_row_of(path, |columns, row| {
        let cell = |name: &str| columns.iter().position(|column| column == name).and_then(|at| row[at]);
        match cell("step").filter(|step| step.fract() == 0.0 && step.abs() < 9e15) {
            Some(step) => take(columns, row, Event::at(cell("time").unwrap_or(begun), step as i64)),
            None => {
                without_step += 1;
                Ok(())
            }
        }
    })?;
    if without_step > 0 {
        chosen.damage(format_args!("{without_step} rows of {} have no whole step", path.display()));
    }
    Ok(())
}

/// Texts and sheets of images; how many samples.
fn said_and_drawn(chosen: &mut Chosen, dir: &RunDir, begun: f64, out: &mut Out) -> Result<u64, FormError> {
    let Ok(entries) = fs::read_dir(dir.samples()) else { return Ok(0) };
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut steps: Vec<u64> =
        names.filter(|name| name.ends_with(".json")).filter_map(|name| step_of(&name)).collect();
    steps.sort_unstable();
    for step in &steps {
        let mut sample = match read::json::<Sample>(&dir.sample_json(*step)) {
            Ok(sample) => sample,
            Err(error) => {
                chosen.damage(error);
                continue;
            }
        };
        let mut told = Vec::new();
        bounded::cut_sample(&mut sample, &mut told);
        told.into_iter().for_each(|what| chosen.damage(what));
        let time = fs::metadata(dir.sample_json(*step)).and_then(|known| known.modified()).ok();
        let time = time.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        let mut event = Event::at(time.map_or(begun, |time| time.as_secs_f64()), *step as i64);
        for (place, item) in sample.items.iter().enumerate() {
            match item {
                SampleItem::Text { prompt, text, .. } => {
                    event.text(&format!("samples/{}", place + 1), &format!("{prompt}{text}"));
                }
                SampleItem::Logged { title, text } => event.text(title, text),
                SampleItem::Prediction { .. } => {}
            }
        }
        if let Some(png) = sheet(dir, *step) {
            event.image("samples/images", &png);
        }
        out.put(&event.done())?;
    }
    Ok(steps.len() as u64)
}
