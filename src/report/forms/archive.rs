//! The whole site in one zip, under one folder: built from copies of the runs in which nothing private is left.
//!
//! The copies lie in a workspace of their own beside the real one, so that what is large is linked and not
//! copied; it goes when the archive is done. Files stand in the order of their names, all with one time.

mod batches;
mod copies;

use std::io::{self, Seek, Write};
use std::path::Path;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::super::export::Surroundings;
use super::super::{Report, Scope};
use super::chosen::Chosen;
use super::{FormError, Wishes, Written};
use crate::run_dir::{Workspace, read, scan};
use batches::Batches;

/// What the file says of who made it.
pub const COMMENT: &str = concat!("overnight ", env!("CARGO_PKG_VERSION"), " report");

pub fn write(
    chosen: &mut Chosen,
    path: Option<&Path>,
    wishes: &Wishes,
    out: &mut (impl Write + Seek),
    written: &mut Written,
) -> Result<(), FormError> {
    let beside = super::place::beside::folder(&chosen.workspace.root().join("a site to pack"));
    // A workspace that cannot be written to: everything is copied then.
    let (folder, _lock) = match beside {
        Ok((folder, lock)) => (folder, Some(lock)),
        Err(_) => (tempfile::tempdir()?, None),
    };
    let site = Workspace::new(folder.path());
    copies::settings(chosen.workspace, &site, wishes.theme.as_deref())?;
    let mut batches = Batches::default();
    for dir in chosen.dirs {
        copies::run(chosen, dir, &site, &mut batches)?;
    }
    batches.copy(chosen, &site)?;
    let name = path.and_then(Path::file_stem).and_then(|stem| stem.to_str()).unwrap_or("report");
    let host = match chosen.surroundings {
        Surroundings::LeftOut => "(left out)".to_owned(),
        Surroundings::Shown => scan::host(),
    };
    let built = Report::anew(site.root()).named(name.to_owned(), host).refresh(&Scope::All)?;
    written.warning = built.warning;
    let files = packed(&site.reports(), name, out)?;
    written.holds.push(("files".into(), files));
    written.left_out.push("checkpoints".into());
    Ok(())
}

/// Writes what lies in `folder` under this name; how many files that is.
fn packed(folder: &Path, name: &str, out: &mut (impl Write + Seek)) -> Result<u64, FormError> {
    let mut zip = ZipWriter::new(out);
    let walked = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter();
    let mut files = 0;
    // What begins with a dot is the builder's own memory.
    let is_shown = |entry: &walkdir::DirEntry| {
        entry.depth() == 0 || !entry.file_name().to_string_lossy().starts_with('.')
    };
    for entry in walked.filter_entry(is_shown) {
        let entry = entry.map_err(io::Error::from)?;
        if !entry.file_type().is_file() {
            continue;
        }
        let below = entry.path().strip_prefix(folder).unwrap_or(entry.path());
        let length = entry.metadata().map_err(io::Error::from)?.len();
        let is_packed = below.extension().is_some_and(|ending| ending == "png");
        let method = if is_packed { CompressionMethod::Stored } else { CompressionMethod::Deflated };
        let options = SimpleFileOptions::default()
            .compression_method(method)
            .last_modified_time(DateTime::default())
            .unix_permissions(0o644)
            .large_file(length >= u64::from(u32::MAX));
        zip.start_file(format!("{name}/{}", below.display()), options).map_err(made)?;
        io::copy(&mut read::open(entry.path())?, &mut zip)?;
        files += 1;
    }
    zip.set_comment(COMMENT);
    zip.finish().map_err(made)?.flush()?;
    Ok(files)
}

fn made(error: zip::result::ZipError) -> FormError {
    FormError::Made { what: "the archive", reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn two_archives_of_the_same_files_have_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("b/index.html", "b"), ("a.html", "a"), (".state/x", "no"), ("c.png", "c")] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let pack = || {
            let mut out = io::Cursor::new(Vec::new());
            assert_eq!(packed(folder.path(), "report", &mut out).unwrap(), 3);
            out.into_inner()
        };
        let one = pack();
        let now = fs::File::open(folder.path().join("a.html")).unwrap();
        now.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(one, pack());
        let places = ["report/a.html", "report/b/index.html", "report/c.png"]
            .map(|name| memchr::memmem::find(&one, name.as_bytes()).unwrap());
        assert!(places.is_sorted());
        assert!(memchr::memmem::find(&one, b".state").is_none());
    }
}
