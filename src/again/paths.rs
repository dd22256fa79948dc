//! Paths of data as a file of somebody else has them: where they lead, counted from the folder they are
//! relative to, and never anywhere else.

use std::path::{Component, Path, PathBuf};

use crate::experiment::settings::{Data, Settings};

/// Folders that a path may climb.
const MOST_CLIMBED: usize = 16;

/// How many folders above its base a path leads; none where that is nonsense.
pub fn climbs(path: &str) -> Option<usize> {
    if path.contains('\0') {
        return None;
    }
    let (mut depth, mut highest) = (0_isize, 0);
    for part in Path::new(path).components() {
        match part {
            Component::Normal(_) => depth += 1,
            Component::ParentDir => depth -= 1,
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return None,
        }
        highest = highest.max(-depth);
    }
    usize::try_from(highest).ok().filter(|climbed| *climbed <= MOST_CLIMBED)
}

/// The same place without `.` and `..`, below `base`, which is as deep as the path climbs.
pub fn below(base: &Path, path: &str) -> PathBuf {
    let mut place = base.to_owned();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(name) => place.push(name),
            Component::ParentDir => {
                place.pop();
            }
            _ => {}
        }
    }
    place
}

/// The last part of an absolute path, and any other path as it is: what lies elsewhere on a foreign machine
/// has no place here.
pub fn shortened(path: &str) -> String {
    match path.strip_prefix('/') {
        Some(rest) => rest.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned(),
        None => path.to_owned(),
    }
}

/// Every path of data that the settings name, to look at and to change. What other runs are to write is not
/// among them.
pub fn of_data(settings: &mut Settings) -> Vec<&mut String> {
    match &mut settings.data {
        Data::Text(text) => {
            let taken: Vec<usize> = text.taken().map(|(place, _, _)| place).collect();
            let own = text.files.iter_mut().enumerate();
            own.filter(|(place, _)| !taken.contains(place)).map(|(_, file)| file).collect()
        }
        Data::Idx(idx) => [Some(&mut idx.images), Some(&mut idx.labels)]
            .into_iter()
            .chain([idx.validation_images.as_mut(), idx.validation_labels.as_mut()])
            .flatten()
            .collect(),
        Data::Folder(folder) => {
            [Some(&mut folder.path), folder.validation_path.as_mut()].into_iter().flatten().collect()
        }
        Data::Shapes(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_as_high_as_it_ever_climbs() {
        for (path, expected) in [
            ("a.txt", Some(0)),
            ("../data/a.txt", Some(1)),
            ("a/../../../b", Some(2)),
            ("./a/b/..", Some(0)),
            ("/etc/passwd", None),
            ("a\0b", None),
        ] {
            assert_eq!(climbs(path), expected, "{path:?}");
        }
        assert_eq!(climbs(&"../".repeat(40)), None);
        assert_eq!(below(Path::new("k/b/b"), "../../x/./y"), Path::new("k/x/y"));
        assert_eq!((shortened("/srv/a/x.idx"), shortened("../x")), ("x.idx".into(), "../x".into()));
    }
}
