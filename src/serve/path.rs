//! From the path of a request to a regular file below `reports/`, or to nothing: no dot files, no
//! climbing in any encoding, no link that leads out, nothing that is not a plain file.

use std::fs::File;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags};

/// What a path leads to.
#[derive(Debug)]
pub(super) enum Found {
    File {
        file: File,
        path: PathBuf,
    },
    /// A directory named without its slash: the links of its page would be wrong, so redirect.
    /// The target is relative, percent-encoded as it was sent.
    NeedsSlash(String),
    Nothing,
}

/// Resolves the percent-encoded `path` of a request under the folder `root`.
pub(super) fn open(root: &Path, path: &str) -> Found {
    let Some(relative) = decoded(path) else {
        return Found::Nothing;
    };
    let Ok(root) = root.canonicalize() else {
        return Found::Nothing;
    };
    let Some(target) = canonical_below(&root, &root.join(&relative)) else {
        return Found::Nothing;
    };
    if !target.is_dir() {
        // A slash after a file's name is no name of that file.
        return match path.ends_with('/') {
            true => Found::Nothing,
            false => open_file(target),
        };
    }
    let Some(index) = canonical_below(&root, &target.join("index.html")) else {
        return Found::Nothing;
    };
    if !path.ends_with('/') {
        let last = path.rsplit('/').next().unwrap_or_default();
        return Found::NeedsSlash(format!("./{last}/"));
    }
    open_file(index)
}

/// Opens a file whose place below a folder of ours is known. A link on the way is none of ours, wherever it
/// leads.
pub(super) fn open_plain(folder: &Path, relative: &Path) -> Option<File> {
    let target = folder.canonicalize().ok()?.join(relative);
    if target.canonicalize().ok()? != target {
        return None;
    }
    match open_file(target) {
        Found::File { file, .. } => Some(file),
        _ => None,
    }
}

/// The path relative to the root with its encoding undone once, or nothing if a segment is hidden,
/// climbs, or holds what no file name of ours holds.
fn decoded(path: &str) -> Option<PathBuf> {
    let mut relative = PathBuf::new();
    for segment in path.split('/') {
        let segment = String::from_utf8(percent_decoded(segment)?).ok()?;
        if segment.is_empty() {
            continue;
        }
        if segment.starts_with('.') || segment.contains(['/', '\\', '\0']) {
            return None;
        }
        relative.push(segment);
    }
    Some(relative)
}

/// The bytes that a part of an address stands for.
pub(super) fn percent_decoded(segment: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(segment.len());
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| (byte? as char).to_digit(16);
                (digit(bytes.next())? * 16 + digit(bytes.next())?) as u8
            }
            plain => plain,
        });
    }
    Some(decoded)
}

/// Follows all links; what ends outside of the root, or in a hidden file of it, does not exist.
fn canonical_below(root: &Path, path: &Path) -> Option<PathBuf> {
    let target = path.canonicalize().ok()?;
    let below = target.strip_prefix(root).ok()?;
    let hidden = below
        .components()
        .any(|part| matches!(part, Component::Normal(name) if name.as_encoded_bytes().starts_with(b".")));
    (!hidden).then_some(target)
}

/// A pipe or device would block the reader for ever: opened without waiting, and then refused.
fn open_file(path: PathBuf) -> Found {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let Ok(file) = rustix::fs::open(&path, flags, Mode::empty()).map(File::from) else {
        return Found::Nothing;
    };
    match file.metadata() {
        Ok(metadata) if metadata.is_file() => Found::File { file, path },
        _ => Found::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::fs::symlink;

    fn site() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("reports");
        std::fs::create_dir_all(root.join("runs/a b")).unwrap();
        std::fs::write(root.join("index.html"), "home").unwrap();
        std::fs::write(root.join("runs/a b/index.html"), "run").unwrap();
        std::fs::write(root.join(".lock"), "hidden").unwrap();
        std::fs::write(folder.path().join("secret"), "secret").unwrap();
        (folder, root)
    }

    fn read(root: &Path, path: &str) -> Option<String> {
        match open(root, path) {
            Found::File { mut file, .. } => {
                let mut text = String::new();
                file.read_to_string(&mut text).unwrap();
                Some(text)
            }
            _ => None,
        }
    }

    #[test]
    fn files_and_the_index_of_a_folder_are_found() {
        let (_folder, root) = site();
        assert_eq!(read(&root, "/").as_deref(), Some("home"));
        assert_eq!(read(&root, "/index.html").as_deref(), Some("home"));
        assert_eq!(read(&root, "/runs/a%20b/").as_deref(), Some("run"));
        assert_eq!(read(&root, "//runs//a%20b//").as_deref(), Some("run"));
        assert!(matches!(open(&root, "/runs/a%20b"), Found::NeedsSlash(to) if to == "./a%20b/"));
        assert_eq!(read(&root, "/runs/"), None, "no listing without an index");
        assert_eq!(read(&root, "/index.html/"), None);
    }

    #[test]
    fn nothing_climbs_out_in_any_encoding() {
        let (_folder, root) = site();
        for path in [
            "/../secret",
            "/runs/../../secret",
            "/%2e%2e/secret",
            "/%2E%2e/secret",
            "/.%2e/secret",
            "/runs%2f..%2f..%2fsecret",
            "/..%2fsecret",
            "/%252e%252e/secret",
            "/..%5csecret",
            "/..\\secret",
            "/%c0%ae%c0%ae/secret",
            "/%ff",
            "/%",
            "/%2",
            "/%zz",
            "/%+2",
            "/index.html%00",
            "/index.html%00.png",
            "/.lock",
            "/%2elock",
            "/./index.html",
        ] {
            assert_eq!(read(&root, path), None, "{path}");
        }
    }

    #[test]
    fn links_that_lead_out_and_things_that_are_no_files_do_not_exist() {
        let (folder, root) = site();
        symlink(folder.path().join("secret"), root.join("out")).unwrap();
        symlink(folder.path(), root.join("outside")).unwrap();
        symlink("../../index.html", root.join("runs/a b/home.html")).unwrap();
        symlink(".lock", root.join("lock")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        let pipe = root.join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
            .unwrap();
        for path in ["/out", "/outside/secret", "/lock", "/loop", "/pipe"] {
            assert_eq!(read(&root, path), None, "{path}");
        }
        assert_eq!(read(&root, "/runs/a%20b/home.html").as_deref(), Some("home"));
    }

    #[test]
    fn a_report_that_was_never_built_has_no_pages() {
        assert_eq!(read(Path::new("/nonexistent/reports"), "/"), None);
    }
}
