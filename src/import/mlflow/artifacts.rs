//! Files that a run of MLflow keeps: texts and pictures stand among its samples, the others are named.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::super::files::{has_ending, text};
use super::super::foreign::{Foreign, LARGEST_IMAGE, LONGEST_TEXT};
use super::MOST_NAMED;
use crate::run_dir::read;

/// Of a run.
const MOST_TEXTS: usize = 50;
const MOST_PICTURES: usize = 200;

/// Takes in what has a place: files by their path below `artifacts`. Those without a step stand at the last one.
///
/// # Errors
/// One of them cannot be read.
pub fn take(run: &mut Foreign, artifacts: BTreeMap<String, PathBuf>, last: f64) -> io::Result<()> {
    let (mut texts, mut pictures, mut left) = (0, 0, Vec::new());
    for (called, path) in artifacts {
        let (title, step) = title(&called);
        let step = step.unwrap_or(last as u64);
        match kind(&path) {
            Some(Kind::Text) if texts < MOST_TEXTS => {
                texts += 1;
                let (text, is_whole) = text(&path, LONGEST_TEXT as u64)?;
                if !is_whole {
                    run.warn(format!("{called} was cut off after {} KiB", LONGEST_TEXT >> 10));
                }
                run.add_text(step, &title, &text);
                run.files.push(path);
            }
            Some(Kind::Picture) if pictures < MOST_PICTURES => {
                pictures += 1;
                if path.metadata()?.len() > LARGEST_IMAGE as u64 {
                    run.warn(format!(
                        "the picture {called} was left out: it has more than {} MiB",
                        LARGEST_IMAGE >> 20
                    ));
                    continue;
                }
                run.add_image(step, &title, &read::bounded(&path, LARGEST_IMAGE as u64)?);
                run.files.push(path);
            }
            _ => left.push(called),
        }
    }
    if !left.is_empty() {
        let more = if left.len() > MOST_NAMED { ", ..." } else { "" };
        let count = left.len();
        left.truncate(MOST_NAMED);
        run.warn(format!("{count} of its artifacts stay where they are: {}{more}", left.join(", ")));
    }
    Ok(())
}

enum Kind {
    Text,
    Picture,
}

fn kind(path: &Path) -> Option<Kind> {
    match path {
        _ if has_ending(path, &[".txt", ".md"]) => Some(Kind::Text),
        _ if has_ending(path, &[".png", ".jpg", ".jpeg"]) => Some(Kind::Picture),
        _ => None,
    }
}

/// `images/KEY+step+5+timestamp+...` as `log_image` names them, by older versions with percent signs; slashes of
/// the key are number signs.
fn title(called: &str) -> (String, Option<u64>) {
    let logged = |sign: &str| {
        let rest = called.strip_prefix("images/")?;
        let (key, rest) = rest.split_once(&format!("{sign}step{sign}"))?;
        Some((key.replace('#', "/"), Some(rest.split_once(sign)?.0.parse().ok()?)))
    };
    logged("+").or_else(|| logged("%")).unwrap_or_else(|| (called.to_owned(), None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_that_was_logged_names_its_key_and_its_step() {
        let table = [
            ("images/val#digits+step+50+timestamp+17+ab.png", ("val/digits", Some(50))),
            ("images/digits%step%5%timestamp%17%ab.png", ("digits", Some(5))),
            ("images/digits+step+x+timestamp.png", ("images/digits+step+x+timestamp.png", None)),
            ("said/one.txt", ("said/one.txt", None)),
        ];
        for (called, (key, step)) in table {
            assert_eq!(title(called), (key.to_owned(), step));
        }
    }
}
