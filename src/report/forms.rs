//! Runs in the forms that others take: the HTML file to send, which `export` makes, tables of numbers,
//! TensorBoard's files, tables and charts for a paper, the whole site in one archive.
//!
//! Each form streams: one run after the other, no more of it in memory than the form needs. What an HTML file
//! leaves out as private is left out here too.

mod archive;
mod bare;
mod chosen;
mod csv;
mod json;
mod paper;
mod parquet;
mod place;
mod table;
mod tensorboard;

use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::ReportError;
use super::export::{Surroundings, export};
use crate::run_dir::read::ReadError;
use crate::run_dir::{RunDir, Workspace};

use chosen::Chosen;
pub use place::Overwrite;

/// A form, by the name that is typed for it; what stands beside each is its help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// One page with everything inside, to send.
    Html,
    /// A folder of event files, one folder a run.
    Tensorboard,
    /// Every number; settings that vary stand beside it.
    Csv,
    /// What each run is, and its rows.
    Json,
    /// The table of csv with types, for pandas, Polars and DuckDB.
    Parquet,
    /// A table for a paper, a row for runs that differ by seed alone.
    Latex,
    /// The same table for Markdown.
    Markdown,
    /// Charts and tables on pages.
    Pdf,
    /// One chart.
    Png,
    /// The whole site.
    Zip,
}

/// How tables of numbers are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// A row for each value.
    Long,
    /// A row for each step, a column for each metric.
    Wide,
}

/// What is asked for beside the form; each is for some forms only.
#[derive(Debug, Clone)]
pub struct Wishes {
    pub layout: Layout,
    /// Columns of a table for a paper; none means the metric that counts.
    pub metrics: Vec<String>,
    /// The metric of a picture.
    pub chart: Option<String>,
    /// Pixels across of a picture.
    pub width: u32,
    pub theme: Option<String>,
    pub surroundings: Surroundings,
    pub overwrite: Overwrite,
}

/// What was written, and what was not.
#[derive(Debug, Default, Serialize)]
pub struct Written {
    pub runs: usize,
    /// Bytes of all files.
    pub bytes: u64,
    pub files: u64,
    /// Values, rows, pages or whatever the form counts: a word and a number.
    pub holds: Vec<(String, u64)>,
    /// What the form has no place for and what was damaged, as sentences.
    pub left_out: Vec<String>,
    /// What is wrong with the theme, if it was left out.
    #[serde(skip)]
    pub warning: Option<String>,
    /// Where something went that stood in the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moved: Option<PathBuf>,
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum FormError {
    #[error("{} is there and no export of this kind (another -o, or --force to replace it)", .0.display())]
    Taken(PathBuf),
    #[error(
        "{}: no form ends in .{ending} (known are html, htm, csv, json, parquet, tex, md, pdf, png and zip; \
         --format chooses one under any name)", .path.display()
    )]
    Ending { path: PathBuf, ending: String },
    #[error("{0} is a folder of files and cannot go to standard output (-o FOLDER)")]
    Folder(&'static str),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Write(#[from] io::Error),
    #[error(transparent)]
    Report(#[from] ReportError),
    #[error("{what} has no values of {metric} (there are {known})")]
    NoMetric { what: String, metric: String, known: String },
    #[error("a picture shows one experiment or one run; these runs are of {0} (name one of them)")]
    Several(String),
    #[error(
        "no font for the words of charts was found (apt install fonts-dejavu-core, or another package of fonts)"
    )]
    NoFont,
    #[error("{what} could not be made: {reason}")]
    Made { what: &'static str, reason: String },
}

impl Form {
    /// The form that a path's ending names; none, and standard output, mean HTML.
    ///
    /// # Errors
    /// No form has this ending.
    pub fn of_ending(path: &Path) -> Result<Form, FormError> {
        let Some(ending) = path.extension() else { return Ok(Form::Html) };
        let ending = ending.to_string_lossy().to_ascii_lowercase();
        Ok(match ending.as_str() {
            "html" | "htm" => Form::Html,
            "csv" => Form::Csv,
            "json" => Form::Json,
            "parquet" => Form::Parquet,
            "tex" => Form::Latex,
            "md" => Form::Markdown,
            "pdf" => Form::Pdf,
            "png" => Form::Png,
            "zip" => Form::Zip,
            _ => return Err(FormError::Ending { path: path.to_owned(), ending }),
        })
    }
}

/// Writes these runs to `path`; to standard output where there is none.
///
/// # Errors
/// Something else is there already, a file cannot be read or written, or the form cannot hold the runs.
pub fn write(
    workspace: &Workspace,
    dirs: &[RunDir],
    form: Form,
    path: Option<&Path>,
    wishes: &Wishes,
) -> Result<Written, FormError> {
    let mut chosen = Chosen::new(workspace, dirs, wishes.surroundings);
    let mut written = Written { runs: dirs.len(), ..Written::default() };
    if form == Form::Tensorboard {
        let path = path.ok_or(FormError::Folder("TensorBoard's"))?;
        let moved = place::folder(path, wishes.overwrite, |folder| {
            tensorboard::write(&mut chosen, folder, &mut written)
        })?;
        written.moved = moved;
    } else {
        let mut fill = |file: &mut BufWriter<std::fs::File>| match form {
            Form::Html => {
                let exported = export(workspace, dirs, wishes.surroundings, wishes.theme.as_deref())?;
                written.warning = exported.warning;
                place::text(file, &exported.html)
            }
            Form::Csv => csv::write(&mut chosen, wishes.layout, file, &mut written),
            Form::Json => json::write(&mut chosen, file, &mut written),
            Form::Parquet => parquet::write(&mut chosen, wishes.layout, file, &mut written),
            Form::Latex | Form::Markdown => table::write(&mut chosen, form, wishes, file, &mut written),
            Form::Pdf => paper::pdf(&mut chosen, wishes, file, &mut written),
            Form::Png => paper::png(&mut chosen, wishes, file, &mut written),
            Form::Zip => archive::write(&mut chosen, path, wishes, file, &mut written),
            Form::Tensorboard => Ok(()),
        };
        let bytes = match path {
            Some(path) => place::file(path, form, wishes.overwrite, &mut fill)?,
            None => place::standard_output(&mut fill)?,
        };
        (written.bytes, written.files) = (bytes, 1);
    }
    chosen.tell(&mut written);
    Ok(written)
}

#[cfg(test)]
mod tests;
