//! Texts and pictures that were logged, among the samples of the run: each step has one file of texts and one
//! picture.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use super::super::foreign::Foreign;
use super::super::picture;
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
    let mut pictures: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    let (mut unshown, mut beside) = (0, 0);
    for image in &foreign.images {
        match picture::as_png(&image.encoded) {
            Ok(_) if pictures.contains_key(&image.step) => beside += 1,
            Ok(png) => {
                pictures.insert(image.step, png);
                let item = SampleItem::Logged { title: image.title.clone(), text: String::new() };
                samples.entry(image.step).or_default().push(item);
            }
            Err(_) => unshown += 1,
        }
    }
    if unshown > 0 {
        let what = "pictures were left out, which are no PNG or JPEG that a page shows";
        state.warnings.push(format!("{unshown} {what}"));
    }
    if beside > 0 {
        state.warnings.push(format!("{beside} pictures were left out: a step shows the first of its own"));
    }
    if samples.is_empty() {
        return Ok(());
    }
    fs::create_dir_all(dir.samples()).map_err(|error| at(&dir.samples(), error))?;
    for (step, png) in &pictures {
        let path = dir.sample_png(*step);
        if read::bytes(&path).ok().as_ref() != Some(png) {
            write::replace(&path, png, Durability::Rebuildable)?;
        }
    }
    for (step, items) in samples {
        let sample = Sample { step, items };
        let path = dir.sample_json(step);
        if read::json_if_there::<Sample>(&path).ok().flatten().as_ref() != Some(&sample) {
            write::replace_json(&path, &sample, Durability::Rebuildable)?;
        }
    }
    Ok(())
}
