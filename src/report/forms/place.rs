//! Where an export lands: made beside its place and renamed into it, and never over what is no export of the
//! same kind, unless that is asked for. A folder is never removed that we did not make: it is moved aside.

pub(super) mod beside;

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::{Form, FormError};
use crate::run_dir::read;
use crate::run_dir::write::at;

/// What may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overwrite {
    /// An export of the same kind.
    Own,
    /// Whatever is there.
    Anything,
}

/// Lies in each folder that we made.
pub const MARK: &str = ".overnight-export";

/// Bytes at each end of a file in which its kind shows.
const LOOKED_AT: u64 = 4096;

type Fill<'a> = &'a mut dyn FnMut(&mut BufWriter<File>) -> Result<(), FormError>;

/// Writes a file; says how many bytes it has.
pub fn file(path: &Path, form: Form, overwrite: Overwrite, fill: Fill) -> Result<u64, FormError> {
    // A bare name has an empty folder.
    let path = std::path::absolute(path)?;
    if overwrite == Overwrite::Own && !may_replace(&path, form)? {
        return Err(FormError::Taken(path));
    }
    let (file, name) = beside::file(&path).map_err(|error| at(&path, error))?.into_parts();
    // Locked until it has its place.
    let file = filled(file, fill).map_err(|error| no_room(&path, error))?;
    let bytes = file.metadata()?.len();
    name.persist(&path).map_err(|error| at(&path, error.error))?;
    Ok(bytes)
}

/// Writes to standard output what some forms need to seek in first.
pub fn standard_output(fill: Fill) -> Result<u64, FormError> {
    let mut file = filled(tempfile::tempfile()?, fill)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(io::copy(&mut file, &mut io::stdout().lock())?)
}

fn filled(file: File, fill: Fill) -> Result<File, FormError> {
    let mut out = BufWriter::with_capacity(1 << 17, file);
    fill(&mut out)?;
    Ok(out.into_inner().map_err(|error| error.into_error())?)
}

/// Makes a folder; says where what stood there went, if it was not ours.
pub fn folder(
    path: &Path,
    overwrite: Overwrite,
    fill: impl FnOnce(&Path) -> Result<(), FormError>,
) -> Result<Option<PathBuf>, FormError> {
    let path = std::path::absolute(path)?;
    let (is_there, is_ours) = looked_at(&path)?;
    if is_there && !is_ours && overwrite == Overwrite::Own {
        return Err(FormError::Taken(path));
    }
    let (made, _lock) = beside::folder(&path).map_err(|error| at(&path, error))?;
    fs::write(made.path().join(MARK), "made by overnight export\n")?;
    fill(made.path())?;
    let mut moved = None;
    if is_there {
        let aside = free_name(&path);
        fs::rename(&path, &aside).map_err(|error| at(&path, error))?;
        moved = Some(aside);
    }
    if let Err(error) = fs::rename(made.path(), &path) {
        return Err(brought_back(&path, moved.as_deref(), error).into());
    }
    // Its name is another now.
    drop(made.keep());
    match moved {
        Some(old) if is_ours => {
            fs::remove_dir_all(&old).map_err(|error| at(&old, error))?;
            Ok(None)
        }
        moved => Ok(moved),
    }
}

/// What was moved aside comes back where nothing took its place; where it cannot, it is said where it is.
fn brought_back(path: &Path, moved: Option<&Path>, error: io::Error) -> io::Error {
    let kind = error.kind();
    match moved.map(|aside| (aside, fs::rename(aside, path))) {
        Some((aside, Err(_))) => {
            let aside = aside.display();
            io::Error::new(kind, format!("{}: {error} (what was there is now {aside})", path.display()))
        }
        _ => at(path, error),
    }
}

/// A disk that is full says so without a name.
fn no_room(path: &Path, error: FormError) -> FormError {
    match error {
        FormError::Write(error)
            if matches!(
                error.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
            ) =>
        {
            at(path, error).into()
        }
        other => other,
    }
}

/// Whether something is there, and whether a folder of ours. An empty folder is as good as ours.
fn looked_at(path: &Path) -> io::Result<(bool, bool)> {
    let Ok(found) = fs::symlink_metadata(path) else { return Ok((false, false)) };
    if !found.is_dir() {
        return Ok((true, false));
    }
    let is_empty = fs::read_dir(path)?.next().is_none();
    Ok((true, is_empty || path.join(MARK).is_file()))
}

fn free_name(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let names = (1..).map(|number| path.with_file_name(format!("{name}.before-{number}")));
    names.into_iter().find(|name| fs::symlink_metadata(name).is_err()).unwrap_or_else(|| path.to_owned())
}

fn may_replace(path: &Path, form: Form) -> io::Result<bool> {
    let Ok(found) = fs::symlink_metadata(path) else { return Ok(true) };
    if !found.is_file() {
        return Ok(false);
    }
    let mut file = read::open(path).map_err(|error| at(path, error))?;
    let mut head = Vec::new();
    Read::by_ref(&mut file).take(LOOKED_AT).read_to_end(&mut head)?;
    file.seek(SeekFrom::Start(found.len().saturating_sub(LOOKED_AT)))?;
    let mut tail = Vec::new();
    file.take(LOOKED_AT).read_to_end(&mut tail)?;
    Ok(is_ours(form, &head, &tail))
}

/// Whether a file's ends are those of an export of this form. An empty file is nobody's.
fn is_ours(form: Form, head: &[u8], tail: &[u8]) -> bool {
    let has = |bytes: &[u8], words: &str| memchr::memmem::find(bytes, words.as_bytes()).is_some();
    head.is_empty()
        || match form {
            // A page to send has always replaced what bears its name.
            Form::Html => true,
            Form::Csv => head.starts_with(b"experiment,run,seed,step,"),
            Form::Json => head.starts_with(b"{\"format\":1,\"program\":\"overnight"),
            Form::Parquet => head.starts_with(b"PAR1") && has(tail, super::parquet::MAKER),
            Form::Latex => head.starts_with(b"% overnight "),
            Form::Markdown => head.starts_with(b"<!-- overnight "),
            Form::Pdf => head.starts_with(b"%PDF") && has(head, super::paper::MAKER),
            Form::Png => head.starts_with(b"\x89PNG") && has(head, super::paper::MAKER),
            Form::Zip => head.starts_with(b"PK") && has(tail, super::archive::COMMENT),
            Form::Tensorboard => false,
        }
}

/// Writes a small text whole.
pub fn text(out: &mut impl Write, text: &str) -> Result<(), FormError> {
    Ok(out.write_all(text.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(path: &Path, overwrite: Overwrite, text: &'static str) -> Result<u64, FormError> {
        file(path, Form::Csv, overwrite, &mut |out| Ok(out.write_all(text.as_bytes())?))
    }

    #[test]
    fn only_an_export_of_the_same_kind_is_replaced_unless_forced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        let ours = "experiment,run,seed,step,metric,value\n";
        assert_eq!(put(&path, Overwrite::Own, ours).unwrap(), ours.len() as u64);
        put(&path, Overwrite::Own, ours).unwrap();
        fs::write(&path, "my,own,table\n").unwrap();
        let refused = put(&path, Overwrite::Own, ours).unwrap_err().to_string();
        assert!(refused.contains("a.csv") && refused.contains("--force"), "{refused}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "my,own,table\n");
        put(&path, Overwrite::Anything, ours).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), ours);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_fails_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        put(&path, Overwrite::Own, "experiment,run,seed,step,\n").unwrap();
        let failed = file(&path, Form::Csv, Overwrite::Own, &mut |out| {
            out.write_all(b"half")?;
            Err(FormError::NoFont)
        });
        assert!(failed.is_err());
        let full = |_: &mut BufWriter<File>| Err(io::Error::from(io::ErrorKind::StorageFull).into());
        let failed = file(&path, Form::Csv, Overwrite::Own, &mut { full }).unwrap_err();
        assert!(failed.to_string().contains("a.csv: "), "{failed}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "experiment,run,seed,step,\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_of_others_is_moved_aside_and_one_of_ours_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tb");
        let fill = |name: &'static str| {
            move |made: &Path| -> Result<(), FormError> { Ok(fs::write(made.join(name), "x")?) }
        };
        assert_eq!(super::folder(&path, Overwrite::Own, fill("one")).unwrap(), None);
        assert_eq!(super::folder(&path, Overwrite::Own, fill("two")).unwrap(), None);
        assert!(path.join("two").is_file() && !path.join("one").exists());
        fs::remove_file(path.join(MARK)).unwrap();
        assert!(matches!(super::folder(&path, Overwrite::Own, fill("no")), Err(FormError::Taken(_))));
        let moved = super::folder(&path, Overwrite::Anything, fill("three")).unwrap().unwrap();
        assert!(moved.ends_with("tb.before-1") && moved.join("two").is_file());
        assert!(path.join("three").is_file());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_could_not_be_replaced_is_there_as_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tb");
        let fill = |made: &Path| -> Result<(), FormError> { Ok(fs::write(made.join("one"), "x")?) };
        super::folder(&path, Overwrite::Own, fill).unwrap();
        // Somebody removes what is being made.
        let gone = |made: &Path| -> Result<(), FormError> { Ok(fs::remove_dir_all(made)?) };
        let failed = super::folder(&path, Overwrite::Own, gone).unwrap_err().to_string();
        assert!(failed.contains("tb: No such file"), "{failed}");
        assert!(path.join("one").is_file());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        // Somebody else takes the place meanwhile.
        let aside = folder.path().join("tb.before-1");
        fs::rename(&path, &aside).unwrap();
        fs::write(&path, "taken").unwrap();
        let failed = io::Error::from(io::ErrorKind::NotADirectory);
        let said = brought_back(&path, Some(&aside), failed).to_string();
        assert!(said.contains("what was there is now") && said.contains("tb.before-1"), "{said}");
        assert!(aside.join("one").is_file());
    }
}
