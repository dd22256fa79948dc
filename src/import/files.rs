//! The files of a source, and how a format takes those that are its own.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::foreign::{Foreign, Wish};
use crate::run_dir::{RunDir, read};

/// A file that is read, or the files below a folder that are.
#[derive(Debug, Clone)]
pub struct Files {
    /// What a person named.
    pub root: PathBuf,
    /// Those that no format has taken yet, in order.
    pub left: Vec<PathBuf>,
    /// What was left out before anything was read, as sentences.
    pub said: Vec<String>,
}

/// Files that make one or several runs, and how they are read.
pub struct Reading {
    /// Where its run lies: a folder, or a file. Its name, and how it is known again.
    pub place: PathBuf,
    pub files: Vec<PathBuf>,
    pub read: fn(&Reading, &Wish) -> io::Result<Vec<Foreign>>,
}

/// Files of a folder that are looked at.
const MOST_FILES: usize = 100_000;
/// How deep below it.
const DEEPEST: usize = 12;

impl Files {
    /// Links are not followed: a folder of logs is no reason to read all of a disk.
    ///
    /// # Errors
    /// There is nothing at `root`, or it cannot be read.
    pub fn of(root: &Path) -> io::Result<Files> {
        if !fs::metadata(root)?.is_dir() {
            read::open(root)?;
            return Ok(Files { root: root.to_owned(), left: vec![root.to_owned()], said: Vec::new() });
        }
        fs::read_dir(root)?;
        let below = walkdir::WalkDir::new(root).max_depth(DEEPEST).sort_by_file_name();
        let below = below.into_iter().filter_entry(|entry| !is_run_of_ours(entry.path()));
        let mut said = Vec::new();
        let mut left: Vec<PathBuf> = Vec::new();
        let mut deep = None;
        for entry in below.flatten() {
            if entry.file_type().is_file() {
                left.push(entry.into_path());
            } else if entry.file_type().is_dir() && entry.depth() == DEEPEST {
                deep = deep.or_else(|| Some(entry.into_path()));
            }
            if left.len() > MOST_FILES {
                break;
            }
        }
        if let Some(deep) = deep {
            said.push(format!(
                "folders more than {DEEPEST} deep were not looked into, {} among them",
                deep.display()
            ));
        }
        if left.len() > MOST_FILES {
            left.truncate(MOST_FILES);
            said.push(format!(
                "it holds more than {MOST_FILES} files: what comes after {} was not looked at",
                left.last().map(|last| last.display().to_string()).unwrap_or_default()
            ));
        }
        Ok(Files { root: root.to_owned(), left, said })
    }

    /// Whether a person named this file itself, so that its name need not say what it is.
    pub fn is_named(&self, file: &Path) -> bool {
        file == self.root
    }

    /// Takes the files for which `is_ours` says so.
    pub fn take(&mut self, is_ours: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
        let (ours, left) = std::mem::take(&mut self.left).into_iter().partition(|path| is_ours(path));
        self.left = left;
        ours
    }
}

/// A run directory: TensorBoard's own folder is called `runs` too, and nothing is imported from itself.
fn is_run_of_ours(folder: &Path) -> bool {
    let run = RunDir::new(folder).run_json();
    run.is_file()
        && head(&run)
            .trim_ascii_start()
            .strip_prefix(b"{")
            .is_some_and(|head| head.trim_ascii_start().starts_with(b"\"protocol\""))
}

/// The beginning of a file; empty where it cannot be read.
pub fn head(path: &Path) -> Vec<u8> {
    const BYTES: u64 = 64 * 1024;
    let mut head = Vec::new();
    if let Ok(file) = read::open(path) {
        drop(file.take(BYTES).read_to_end(&mut head));
    }
    head
}

/// The command that unpacks a file which begins so, if it is an archive.
pub fn unpacking(head: &[u8]) -> Option<&'static str> {
    match head {
        [b'P', b'K', 3, 4, ..] => Some("unzip FILE -d FOLDER"),
        [0x1f, 0x8b, ..] => Some("tar -xzf FILE -C FOLDER, or gunzip FILE"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some("tar --zstd -xf FILE -C FOLDER"),
        [b'B', b'Z', b'h', ..] => Some("tar -xjf FILE -C FOLDER"),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => Some("tar -xJf FILE -C FOLDER"),
        head if head.get(257..262) == Some(b"ustar") => Some("tar -xf FILE -C FOLDER"),
        _ => None,
    }
}

/// The file's name, as text.
pub fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

pub fn has_ending(path: &Path, endings: &[&str]) -> bool {
    let name = name(path).to_ascii_lowercase();
    endings.iter().any(|ending| name.ends_with(ending))
}

/// The folder that a file lies in.
pub fn folder(path: &Path) -> PathBuf {
    path.parent().unwrap_or(Path::new(".")).to_owned()
}

/// The text of a small file, and whether that is all of it: no more than `most` bytes are read.
///
/// # Errors
/// It cannot be read.
pub fn text(path: &Path, most: u64) -> io::Result<(String, bool)> {
    let mut bytes = Vec::new();
    read::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    let is_whole = bytes.len() as u64 <= most;
    bytes.truncate(usize::try_from(most).unwrap_or(usize::MAX));
    Ok((String::from_utf8_lossy(&bytes).into_owned(), is_whole))
}

/// Reads a file that is taken into memory whole.
///
/// # Errors
/// It cannot be read, or is larger than anything of its kind.
pub fn whole(path: &Path) -> io::Result<Vec<u8>> {
    const MOST: u64 = 256 << 20;
    let mut bytes = Vec::new();
    let file = read::open(path)?;
    if file.metadata()?.len() > MOST {
        let message = format!("larger than {} MiB, which no file of its kind is", MOST >> 20);
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    file.take(MOST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Gives one line after the other, without its newline, to `take`, and whether it ended in one. Lines longer
/// than `LONGEST_LINE` are left out; how many, comes back.
///
/// # Errors
/// The file cannot be read.
pub fn each_line(path: &Path, mut take: impl FnMut(&[u8], bool)) -> io::Result<u64> {
    use std::io::{BufRead, BufReader};
    const LONGEST_LINE: u64 = 4 << 20;
    let mut file = BufReader::with_capacity(1 << 16, read::open(path)?);
    let (mut line, mut too_long) = (Vec::new(), 0);
    loop {
        line.clear();
        let read = Read::by_ref(&mut file).take(LONGEST_LINE).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(too_long);
        }
        let is_whole = line.last() == Some(&b'\n');
        if !is_whole && read as u64 == LONGEST_LINE {
            too_long += 1;
            file.skip_until(b'\n')?;
            continue;
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        take(text.strip_suffix(b"\r").unwrap_or(text), is_whole);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_nobody_ends_take_no_memory() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        fs::write(&path, [b"one\r\n".to_vec(), vec![b'x'; 9 << 20], b"\ntwo\nthree".to_vec()].concat())
            .unwrap();
        let mut lines = Vec::new();
        let too_long = each_line(&path, |line, is_whole| lines.push((line.len(), is_whole))).unwrap();
        assert_eq!((lines, too_long), (vec![(3, true), (3, true), (5, false)], 1));
    }

    #[test]
    fn files_below_a_folder_are_found_in_order_and_links_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b/two", "a/one"] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        std::os::unix::fs::symlink("/", folder.path().join("c")).unwrap();
        let mut files = Files::of(folder.path()).unwrap();
        assert_eq!(files.left.iter().map(|path| name(path)).collect::<Vec<_>>(), ["one", "two"]);
        assert_eq!(files.take(|path| name(path) == "two").len(), 1);
        assert_eq!(files.left.len(), 1);
        assert!(Files::of(&folder.path().join("none")).is_err());
    }

    #[test]
    fn runs_of_ours_are_passed_over_and_folders_without_end_are_looked_into_so_far() {
        let scene = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = scene.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("ours/run.json", "\n{ \"protocol\": 1 }");
        write("ours/metrics.csv", "step\n");
        write("other/run.json", "{ \"command\": \"main\", \"protocol\": 1 }");
        let below = |depth: usize| "d/".repeat(depth - 1) + "log";
        write(&below(DEEPEST), "");
        let files = Files::of(scene.path()).unwrap();
        assert_eq!(files.left.iter().map(|path| name(path)).collect::<Vec<_>>(), ["log", "run.json"]);
        assert_eq!(files.said, [""; 0]);
        write(&below(DEEPEST + 1), "");
        let files = Files::of(scene.path()).unwrap();
        assert_eq!(files.left.len(), 2);
        let said = format!("folders more than {DEEPEST} deep were not looked into");
        assert!(files.said.len() == 1 && files.said[0].starts_with(&said), "{:?}", files.said);
        let named = scene.path().join("ours/run.json");
        let files = Files::of(&named).unwrap();
        assert!(files.left == [named.clone()] && files.is_named(&named), "a file that a person named");
    }

    #[test]
    fn each_archive_is_named_with_the_command_that_unpacks_it() {
        let mut tar = vec![0; 512];
        tar[257..262].copy_from_slice(b"ustar");
        for (head, command) in [
            (&b"PK\x03\x04..."[..], Some("unzip")),
            (b"\x1f\x8b\x08", Some("tar -xzf")),
            (b"\x28\xb5\x2f\xfd", Some("tar --zstd")),
            (b"BZh9", Some("tar -xjf")),
            (b"\xfd7zXZ\0", Some("tar -xJf")),
            (&tar, Some("tar -xf")),
            (b"step,loss", None),
            (b"PK", None),
            (b"", None),
        ] {
            let told = unpacking(head);
            assert_eq!(told.is_some(), command.is_some(), "{head:?}");
            assert!(told.zip(command).is_none_or(|(told, command)| told.starts_with(command)), "{told:?}");
        }
    }

    #[test]
    fn no_more_of_a_file_is_read_than_its_kind_may_have() {
        let scene = tempfile::tempdir().unwrap();
        let path = scene.path().join("file");
        fs::write(&path, "123456").unwrap();
        assert_eq!(text(&path, 6).unwrap(), ("123456".to_owned(), true));
        assert_eq!(text(&path, 5).unwrap(), ("12345".to_owned(), false));
        assert_eq!(whole(&path).unwrap(), b"123456");
        // Nothing of it is on the disk, and nothing of it is read.
        fs::File::create(&path).unwrap().set_len((256 << 20) + 1).unwrap();
        assert!(whole(&path).unwrap_err().to_string().starts_with("larger than 256 MiB"));
        assert_eq!(head(&path).len(), 64 << 10);
    }
}
