//! From what an experiment file names to a list of files, in an order that is the same everywhere.

use super::DataError;
use super::named::{At, unheard};
use globset::{GlobBuilder, GlobSet};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

/// The files that `patterns` name: plain files, folders (all files below them) and globs (`*` stays
/// within a folder, `**` goes to any depth), relative to `base`.
///
/// The patterns keep their order; the files of one pattern are sorted by the bytes of their path, so
/// that the text is the same on every machine. A file named twice counts once. Names that begin
/// with a dot are left out unless they are written out in full. A link that leads nowhere, or in a circle,
/// is no file.
///
/// # Errors
///
/// A pattern that names nothing, a file that is missing, a pattern that cannot be read.
pub fn expand(patterns: &[String], base: &Path) -> Result<Vec<PathBuf>, DataError> {
    expand_heard(patterns, base, &unheard)
}

/// The same, where `at` hears of each pattern before it is followed.
pub(super) fn expand_heard(patterns: &[String], base: &Path, at: At) -> Result<Vec<PathBuf>, DataError> {
    if patterns.is_empty() {
        return Err(DataError::NothingNamed);
    }
    let mut files = Vec::new();
    let mut seen = HashSet::new();
    for pattern in patterns {
        at(&base.join(pattern));
        let found = expand_one(pattern, base)?;
        files.extend(found.into_iter().filter(|path| seen.insert(path.clone())));
    }
    Ok(files)
}

fn expand_one(pattern: &str, base: &Path) -> Result<Vec<PathBuf>, DataError> {
    let path = base.join(pattern);
    // A file whose name holds a bracket exists as it is written: names win over patterns.
    if path.is_file() {
        return Ok(vec![path]);
    }
    let found = if path.is_dir() {
        visible_files(&path)?
    } else if is_glob(pattern) {
        matching_files(pattern, base)?
    } else {
        return Err(DataError::Missing { path, base: base.to_owned() });
    };
    if found.is_empty() {
        return Err(DataError::NoMatch { pattern: pattern.to_owned(), base: base.to_owned() });
    }
    Ok(found)
}

fn is_glob(pattern: &str) -> bool {
    pattern.contains(['*', '?', '[', '{'])
}

fn matching_files(pattern: &str, base: &Path) -> Result<Vec<PathBuf>, DataError> {
    let bad = |reason: String| DataError::BadPattern { pattern: pattern.to_owned(), reason };
    // The walk begins at the last folder that is spelled out, which also resolves `..` before the
    // pattern: a glob compares text and knows nothing of parent folders.
    let (folder, rest) = split_at_glob(pattern);
    let root = base.join(folder);
    // Each pair of braces within another is a call within a call to whoever reads the pattern.
    if depth_of_braces(rest) > MOST_BRACES {
        return Err(bad(format!("its braces are nested more than {MOST_BRACES} deep")));
    }
    let built = GlobBuilder::new(rest).literal_separator(true).build();
    // A set of one, because a pattern too large to be compiled alone is a panic.
    let matcher = built.and_then(|glob| GlobSet::builder().add(glob).build());
    let matcher = matcher.map_err(|error| bad(error.kind().to_string()))?;
    if !root.is_dir() {
        return Ok(Vec::new());
    }
    let mut files = visible_files(&root)?;
    files.retain(|path| path.strip_prefix(&root).is_ok_and(|relative| matcher.is_match(relative)));
    Ok(files)
}

/// As deep as nobody writes them.
const MOST_BRACES: usize = 16;

/// How many braces are open at once, at the most.
fn depth_of_braces(pattern: &str) -> usize {
    let (mut open, mut most) = (0usize, 0);
    for byte in pattern.bytes() {
        match byte {
            b'{' => open += 1,
            b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        most = most.max(open);
    }
    most
}

/// `../books/*/x.txt` into `../books` and `*/x.txt`.
fn split_at_glob(pattern: &str) -> (&str, &str) {
    let glob = pattern.find(['*', '?', '[', '{']).unwrap_or(pattern.len());
    match pattern[..glob].rfind('/') {
        Some(slash) => (&pattern[..=slash], &pattern[slash + 1..]),
        None => ("", pattern),
    }
}

/// All files below `root` but those in or named as hidden ones, sorted.
fn visible_files(root: &Path) -> Result<Vec<PathBuf>, DataError> {
    let hidden = |name: &std::ffi::OsStr| name.as_encoded_bytes().starts_with(b".");
    let walk = WalkDir::new(root)
        .follow_links(true)
        .into_iter()
        .filter_entry(|entry| entry.depth() == 0 || !hidden(entry.file_name()));
    let mut files = Vec::new();
    for entry in walk {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) if leads_nowhere(&error) => continue,
            Err(error) => {
                let path = error.path().unwrap_or(root).to_owned();
                return Err(DataError::read(&path, error.into()));
            }
        };
        if entry.file_type().is_file() {
            files.push(entry.into_path());
        }
    }
    // By the bytes of the path, not by components: one rule, easy to repeat in any language.
    files.sort_by(|a, b| a.as_os_str().as_encoded_bytes().cmp(b.as_os_str().as_encoded_bytes()));
    Ok(files)
}

/// A link to nothing or to a folder that it lies in, and what vanished while we looked: no files.
fn leads_nowhere(error: &walkdir::Error) -> bool {
    let kind = error.io_error().map(std::io::Error::kind);
    error.loop_ancestor().is_some() || kind == Some(std::io::ErrorKind::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn folder_with(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "text").unwrap();
        }
        folder
    }

    fn names(patterns: &[&str], folder: &tempfile::TempDir) -> Result<Vec<String>, DataError> {
        let patterns: Vec<String> = patterns.iter().map(|&p| p.to_owned()).collect();
        let files = expand(&patterns, folder.path())?;
        let relative = |file: &PathBuf| {
            let path = file.strip_prefix(folder.path()).unwrap();
            path.to_str().unwrap().to_owned()
        };
        Ok(files.iter().map(relative).collect())
    }

    #[test]
    fn files_of_a_glob_are_sorted_by_path() {
        let folder = folder_with(&["b.txt", "a.txt", "c.md", "deep/d.txt"]);
        assert_eq!(names(&["*.txt"], &folder).unwrap(), ["a.txt", "b.txt"]);
        assert_eq!(names(&["**/*.txt"], &folder).unwrap(), ["a.txt", "b.txt", "deep/d.txt"]);
    }

    #[test]
    fn links_that_lead_nowhere_or_in_a_circle_are_no_files() {
        let folder = folder_with(&["x/a.txt", "x/deep/b.txt"]);
        std::os::unix::fs::symlink("gone", folder.path().join("x/broken.txt")).unwrap();
        std::os::unix::fs::symlink("..", folder.path().join("x/deep/up")).unwrap();
        std::os::unix::fs::symlink("deep/b.txt", folder.path().join("x/link.txt")).unwrap();
        for pattern in ["x", "x/**/*.txt"] {
            assert_eq!(names(&[pattern], &folder).unwrap(), ["x/a.txt", "x/deep/b.txt", "x/link.txt"]);
        }
        let named = names(&["x/broken.txt"], &folder).unwrap_err().to_string();
        assert!(named.contains("no such file"), "{named}");
    }

    #[test]
    fn a_folder_means_every_visible_file_below_it() {
        let folder = folder_with(&["x/2", "x/1/a", "x/.hidden", "x/.git/config", "y"]);
        assert_eq!(names(&["x"], &folder).unwrap(), ["x/1/a", "x/2"]);
    }

    #[test]
    fn patterns_keep_their_order_and_a_file_named_twice_counts_once() {
        let folder = folder_with(&["a.txt", "b.txt"]);
        assert_eq!(names(&["b.txt", "*.txt"], &folder).unwrap(), ["b.txt", "a.txt"]);
    }

    #[test]
    fn a_glob_may_begin_in_a_parent_folder() {
        let folder = folder_with(&["books/a.txt", "experiments/x.toml"]);
        let found = expand(&["../books/*.txt".to_owned()], &folder.path().join("experiments"));
        assert_eq!(found.unwrap().len(), 1);
    }

    #[test]
    fn a_name_with_a_bracket_is_a_name_when_such_a_file_exists() {
        let folder = folder_with(&["a[1].txt"]);
        assert_eq!(names(&["a[1].txt"], &folder).unwrap(), ["a[1].txt"]);
    }

    #[test]
    fn a_pattern_that_no_matcher_can_be_made_of_is_refused_and_ends_nothing() {
        let folder = folder_with(&["a.txt"]);
        let nested = |depth: usize| format!("{}a{}.txt", "{".repeat(depth), "}".repeat(depth));
        assert_eq!(names(&[&nested(MOST_BRACES)], &folder).unwrap(), ["a.txt"]);
        for depth in [MOST_BRACES + 1, 1_000, 30_000] {
            let deep = names(&[&nested(depth)], &folder).unwrap_err().to_string();
            assert!(deep.contains("nested more than 16 deep"), "{}", &deep[deep.len() - 100..]);
        }
        let large = format!("{{{}}}", "[!a]*é,".repeat(300_000));
        let large = names(&[&large], &folder).unwrap_err().to_string();
        assert!(large.contains("not a pattern that can be read"), "{}", &large[..100]);
    }

    #[test]
    fn what_names_nothing_is_refused_with_the_place_it_was_looked_for() {
        let folder = folder_with(&["a.txt"]);
        let missing = names(&["b.txt"], &folder).unwrap_err().to_string();
        assert!(missing.contains("b.txt: no such file"), "{missing}");
        assert!(missing.contains(folder.path().to_str().unwrap()));
        let nothing = names(&["*.md"], &folder).unwrap_err().to_string();
        assert!(nothing.contains("*.md: matches no file in"), "{nothing}");
        let nowhere = names(&["gone/*.md"], &folder).unwrap_err().to_string();
        assert!(nowhere.contains("matches no file"), "{nowhere}");
        let broken = names(&["a{b.txt"], &folder).unwrap_err().to_string();
        assert!(broken.contains("a{b.txt: not a pattern"), "{broken}");
        assert!(matches!(names(&[], &folder), Err(DataError::NothingNamed)));
    }
}
