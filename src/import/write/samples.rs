//! Texts and pictures that were logged, among the samples of the run: each step has one file of texts and one
//! picture.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use super::super::foreign::Foreign;
use super::super::foreign::LoggedImage;
use super::super::picture::{self, Picture};
use crate::run_dir::RunDir;
use crate::run_dir::imported::ImportState;
use crate::run_dir::read;
use crate::run_dir::records::{Sample, SampleItem};
use crate::run_dir::write::{self, Durability, at};

/// Writes what is not there yet.
///
/// # Errors
/// The disk says so, with the path.
pub fn bring(dir: &RunDir, foreign: &Foreign, state: &mut ImportState) -> io::Result<()> {
    let mut samples: BTreeMap<u64, Vec<SampleItem>> = BTreeMap::new();
    for text in &foreign.texts {
        let item = SampleItem::Logged { title: text.title.clone(), text: text.text.clone() };
        samples.entry(text.step).or_default().push(item);
    }
    let mut of_steps: BTreeMap<u64, Vec<&LoggedImage>> = BTreeMap::new();
    foreign.images.iter().for_each(|image| of_steps.entry(image.step).or_default().push(image));
    let mut unshown = 0;
    // A step at a time, and written at once: as pixels, or as sheets, all of them together would take gigabytes.
    for (step, images) in of_steps {
        let readable = images
            .iter()
            .copied()
            .filter_map(|image| Some((image.title.clone(), Picture::read(&image.encoded).ok()?)));
        let (titles, pictures): (Vec<String>, Vec<Picture>) = readable.unzip();
        unshown += images.len() - pictures.len();
        if pictures.is_empty() {
            continue;
        }
        match picture::sheet(&pictures) {
            Ok(sheet) => write_sheet(dir, step, &sheet)?,
            Err(_) => {
                unshown += pictures.len();
                continue;
            }
        }
        let items = titles.into_iter().map(|title| SampleItem::Logged { title, text: String::new() });
        samples.entry(step).or_default().extend(items);
    }
    if unshown > 0 {
        let what = "pictures were left out, which are no PNG or JPEG that a page shows";
        state.warnings.push(format!("{unshown} {what}"));
    }
    if samples.is_empty() {
        return Ok(());
    }
    fs::create_dir_all(dir.samples()).map_err(|error| at(&dir.samples(), error))?;
    for (step, items) in samples {
        let sample = Sample { step, items };
        let path = dir.sample_json(step);
        if read::json_if_there::<Sample>(&path).ok().flatten().as_ref() != Some(&sample) {
            write::replace_json(&path, &sample, Durability::Rebuildable)?;
        }
    }
    Ok(())
}

fn write_sheet(dir: &RunDir, step: u64, png: &[u8]) -> io::Result<()> {
    fs::create_dir_all(dir.samples()).map_err(|error| at(&dir.samples(), error))?;
    let path = dir.sample_png(step);
    match read::bytes(&path) {
        Ok(known) if known == png => Ok(()),
        _ => write::replace(&path, png, Durability::Rebuildable),
    }
}
