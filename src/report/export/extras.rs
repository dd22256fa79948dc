//! What an exported file has of a run's images and its confusion matrix: all of it where there is room, else
//! that of the best runs, and for the others a sentence that says what is missing.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::super::attached::sheet;
use super::super::files::RunFiles;
use super::super::model::{Figure, PredictionRow};
use super::super::run_page;
use crate::say;

/// Bytes of all images and matrices together: with curves and tables of 50 long runs the file stays below
/// what mail takes. Each run fewer than these leaves its own part.
const ROOM: usize = 225_000;
const MANY_RUNS: usize = 50;
const PART_OF_RUN: usize = 12_000;
/// Bytes of markup around a cell of a table, and around a prediction.
const AROUND_CELL: usize = 9;
const AROUND_PREDICTION: usize = 80;

#[derive(Debug, Default, Serialize)]
pub struct Extras {
    /// The newest sheet of images, as an address that holds it, with what was seen in each.
    images: Option<Images>,
    confusion: Option<Figure>,
    /// Step of the evaluation that the matrix is of.
    evaluated: String,
    /// What there was no room for.
    left_out: String,
}

#[derive(Debug, Serialize)]
struct Images {
    step: String,
    address: String,
    predictions: Vec<PredictionRow>,
}

impl Extras {
    pub fn of(files: &RunFiles, section: &str) -> Extras {
        let newest =
            files.samples.iter().rev().find_map(|one| Some((one.step, sheet(files.dir(), one.step)?)));
        let images = newest.map(|(step, bytes)| Images {
            step: say::count(step),
            address: format!("data:image/png;base64,{}", STANDARD.encode(bytes)),
            predictions: run_page::samples::predictions(files, step),
        });
        let evaluation = run_page::evaluation(files);
        let evaluated = evaluation.as_ref().map_or_else(String::new, |block| block.step.clone());
        Extras {
            images,
            confusion: evaluation.and_then(|block| block.confusion).map(|mut figure| {
                figure.id = format!("{section}-{}", figure.id);
                figure
            }),
            evaluated,
            left_out: String::new(),
        }
    }
}

/// Leaves out what there is no room for. `best_first` are the runs in the order in which they have a claim:
/// first each one's matrix, which says more in fewer bytes, then the images.
pub fn fit(best_first: &mut [&mut Extras]) {
    let fewer = MANY_RUNS.saturating_sub(best_first.len());
    fit_in(best_first, ROOM + fewer * PART_OF_RUN);
}

fn fit_in(best_first: &mut [&mut Extras], mut room: usize) {
    let mut claim = |bytes: usize| {
        let fits = bytes <= room;
        room -= if fits { bytes } else { 0 };
        fits
    };
    for extras in best_first.iter_mut() {
        if extras.confusion.as_ref().is_some_and(|figure| !claim(matrix_bytes(figure))) {
            extras.confusion = None;
            extras.left_out = "The confusion matrix".into();
        }
    }
    for extras in best_first.iter_mut() {
        if extras.images.as_ref().is_some_and(|images| !claim(images_bytes(images))) {
            extras.images = None;
            extras.left_out = match extras.left_out.as_str() {
                "" => "The sample images".into(),
                matrix => format!("{matrix} and the sample images"),
            };
        }
        if !extras.left_out.is_empty() {
            let are = if extras.left_out.contains("images") { "are" } else { "is" };
            extras.left_out += &format!(" {are} left out: the file would be too large to mail.");
        }
    }
}

fn matrix_bytes(figure: &Figure) -> usize {
    let cells = figure.drawing.table.rows.iter().flatten();
    figure.drawing.svg.len() + cells.map(|cell| cell.len() + AROUND_CELL).sum::<usize>()
}

fn images_bytes(images: &Images) -> usize {
    let rows = images.predictions.iter();
    let words = rows.map(|row| row.actual.len() + row.predicted.len() + AROUND_PREDICTION);
    images.address.len() + words.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(bytes: usize) -> Extras {
        let images = Images { step: String::new(), address: "x".repeat(bytes), predictions: Vec::new() };
        Extras { images: Some(images), ..Extras::default() }
    }

    #[test]
    fn the_best_runs_keep_their_images_and_a_small_one_fits_behind_a_large_one() {
        let mut all = [images(60), images(50), images(40), images(1)];
        fit_in(&mut all.iter_mut().collect::<Vec<_>>(), 100);
        let kept: Vec<bool> = all.iter().map(|extras| extras.images.is_some()).collect();
        assert_eq!(kept, [true, false, true, false]);
        assert_eq!(all[1].left_out, "The sample images are left out: the file would be too large to mail.");
        assert_eq!(all[0].left_out, "");
    }
}
