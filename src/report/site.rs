//! The names below `reports/`, and how files get there: whole, by rename, only when they changed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::run_dir::write::{Durability, at, replace, replace_by};
use crate::run_dir::{Workspace, read};

/// The folder that holds the pages.
#[derive(Clone, Debug)]
pub struct Site {
    root: PathBuf,
}

impl Site {
    pub fn new(workspace: &Workspace) -> Site {
        Site { root: workspace.reports() }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Held by whoever writes pages at the moment.
    pub fn lock(&self) -> PathBuf {
        self.root.join(".lock")
    }

    /// What the last build knew of a run: a cache, gone without harm.
    pub fn remembered(&self, experiment: &str, run: &str) -> PathBuf {
        self.root.join(".state").join(experiment).join(run)
    }

    /// What the pages about all runs were last made from.
    pub fn remembered_shared(&self) -> PathBuf {
        self.root.join(".state/.shared")
    }

    /// Runs that the last build knew, as `.state` has them.
    pub fn remembered_runs(&self) -> Vec<(String, String)> {
        let experiments = names_in(&self.root.join(".state"));
        let runs = experiments.into_iter().flat_map(|experiment| {
            let runs = names_in(&self.root.join(".state").join(&experiment));
            runs.into_iter().map(move |run| (experiment.clone(), run))
        });
        runs.collect()
    }

    /// Writes a file unless it already has these bytes; says whether it wrote.
    ///
    /// # Errors
    /// Any error of the file system, with the path.
    pub fn publish(&self, below: &str, bytes: &[u8]) -> io::Result<bool> {
        let path = self.root.join(below);
        let same_length = fs::metadata(&path).is_ok_and(|metadata| metadata.len() == bytes.len() as u64);
        if same_length && read::bytes(&path).is_ok_and(|old| old == bytes) {
            return Ok(false);
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|error| at(folder, error))?;
        }
        replace(&path, bytes, Durability::Rebuildable)?;
        Ok(true)
    }

    /// Brings our copy of a growing CSV file up to its last whole row: appends what is new, or
    /// writes it afresh when the original was cut. Says whether anything changed.
    ///
    /// # Errors
    /// Any error of the file system, with the path. A missing original is no error.
    pub fn follow(&self, original: &Path, below: &str) -> io::Result<bool> {
        let copy = self.root.join(below);
        // A link may lead to what was never meant to be shown, in runs that came from elsewhere.
        if original.is_symlink() {
            return Ok(false);
        }
        let Ok(mut source) = read::open(original) else { return Ok(false) };
        // The copy has two writers, the builder and whoever copies new rows meanwhile, perhaps of another
        // process: in turn, by a lock on the folder, or rows would stand in it twice.
        let folder = copy.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder).map_err(|error| at(folder, error))?;
        let turn = File::open(folder).map_err(|error| at(folder, error))?;
        rustix::fs::flock(&turn, rustix::fs::FlockOperation::LockExclusive)
            .map_err(|error| at(folder, error.into()))?;
        let held = fs::metadata(&copy).map_or(0, |metadata| metadata.len());
        if !begins_alike(&mut source, &copy, held).map_err(|error| at(original, error))? {
            let end = end_of_rows(&mut source, 0).map_err(|error| at(original, error))?;
            source.seek(SeekFrom::Start(0)).map_err(|error| at(original, error))?;
            replace_by(&copy, &mut source.take(end), Durability::Rebuildable)?;
            return Ok(true);
        }
        let end = end_of_rows(&mut source, held).map_err(|error| at(original, error))?;
        if end <= held {
            return Ok(false);
        }
        source.seek(SeekFrom::Start(held)).map_err(|error| at(original, error))?;
        // Between files the kernel copies by itself.
        let append = || -> io::Result<u64> {
            let mut copy = OpenOptions::new().write(true).create(true).truncate(false).open(&copy)?;
            copy.seek(SeekFrom::Start(held))?;
            io::copy(&mut source.take(end - held), &mut copy)
        };
        append().map_err(|error| at(&copy, error))?;
        Ok(true)
    }

    /// Writes a script named by what it is about, like [`Site::publish`]. A name that with its ending is
    /// longer than names can be has none: the page that asks for it says so.
    ///
    /// # Errors
    /// Any other error of the file system, with the path.
    pub fn publish_data(&self, below: &str, bytes: &[u8]) -> io::Result<bool> {
        match self.publish(below, bytes) {
            Err(error) if error.kind() == io::ErrorKind::InvalidFilename => Ok(false),
            result => result,
        }
    }

    /// Removes the pages of a run that is gone.
    pub fn forget(&self, experiment: &str, run: &str) {
        let _ = fs::remove_dir_all(self.root.join(run_folder(experiment, run)));
        let _ = fs::remove_file(self.remembered(experiment, run));
        let _ = fs::remove_file(self.root.join(run_data(experiment, run)));
    }

    /// Removes the page of an experiment without runs.
    pub fn forget_experiment(&self, experiment: &str) {
        let _ = fs::remove_dir_all(self.root.join(experiment_folder(experiment)));
        let _ = fs::remove_dir_all(self.root.join(".state").join(experiment));
        let _ = fs::remove_dir_all(self.root.join("data/runs").join(experiment));
        let _ = fs::remove_file(self.root.join(seeds_data(experiment)));
    }
}

/// Bytes of the copy's end that are compared before rows are appended to it.
const COMPARED: u64 = 4096;

/// Bytes of the longest piece in which the end of the rows is looked for.
const LONGEST_STRIDE: u64 = 1 << 18;

/// Whether the original still begins with what the copy holds, judged by the end of the copy: a
/// resumed run writes its own time into each row, so overtaken rows differ there.
fn begins_alike(source: &mut File, copy: &Path, held: u64) -> io::Result<bool> {
    if held == 0 {
        return Ok(true);
    }
    if source.metadata()?.len() < held {
        return Ok(false);
    }
    let from = held.saturating_sub(COMPARED);
    let end_of = |file: &mut File| -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(from))?;
        file.take(held - from).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    Ok(end_of(source)? == end_of(&mut read::open(copy)?)?)
}

/// Where the last whole row of a file ends, if that is beyond `held`: looked for from the file's end.
fn end_of_rows(source: &mut File, held: u64) -> io::Result<u64> {
    let mut end = source.metadata()?.len();
    let mut block = Vec::new();
    let mut length = COMPARED;
    while end > held {
        let from = held.max(end.saturating_sub(length));
        // A line without end is passed over in longer strides.
        length = (length * 2).min(LONGEST_STRIDE);
        source.seek(SeekFrom::Start(from))?;
        block.clear();
        source.by_ref().take(end - from).read_to_end(&mut block)?;
        match whole_rows(&block) {
            0 => end = from,
            rows => return Ok(from + rows as u64),
        }
    }
    Ok(held)
}

/// Length up to and with the last newline.
fn whole_rows(bytes: &[u8]) -> usize {
    memchr::memrchr(b'\n', bytes).map_or(0, |last| last + 1)
}

fn names_in(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// The folder of a run's page below `reports/`.
pub fn run_folder(experiment: &str, run: &str) -> String {
    format!("runs/{}/{run}", beside_lists(experiment))
}

/// The folder of an experiment's page below `reports/`.
pub fn experiment_folder(experiment: &str) -> String {
    format!("experiments/{}", beside_lists(experiment))
}

/// The experiment's name as a folder that lies beside `index.html`, the list: an experiment may
/// bear the list's own name.
fn beside_lists(experiment: &str) -> String {
    let is_taken = experiment.starts_with("index.");
    if is_taken { format!("{experiment}~") } else { experiment.to_owned() }
}

/// The script with what other pages may want of a run.
pub fn run_data(experiment: &str, run: &str) -> String {
    format!("data/runs/{experiment}/{run}.js")
}

/// The script with what the seeds of an experiment say together.
pub fn seeds_data(experiment: &str) -> String {
    format!("data/seeds/{experiment}.js")
}

/// A path below `reports/` as an address.
pub fn address_of(path: &str) -> String {
    path.split('/').map(address).collect::<Vec<_>>().join("/")
}

/// A path's segment for an address: everything but plain characters as `%xx`.
pub fn address(segment: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-~".contains(byte);
    segment
        .bytes()
        .map(|byte| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_as_long_as_names_can_be_is_remembered() {
        let (_folder, site) = site();
        let longest = "x".repeat(255);
        let path = site.remembered(&longest, &longest);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "{}").unwrap();
        assert_eq!(site.remembered_runs(), [(longest.clone(), longest)]);
    }

    fn site() -> (tempfile::TempDir, Site) {
        let folder = tempfile::tempdir().unwrap();
        let site = Site::new(&Workspace::new(folder.path()));
        (folder, site)
    }

    #[test]
    fn what_a_link_leads_to_is_not_copied() {
        let (folder, site) = site();
        fs::write(folder.path().join("private"), "step\n1\n").unwrap();
        let link = folder.path().join("metrics.csv");
        std::os::unix::fs::symlink("private", &link).unwrap();
        assert!(!site.follow(&link, "runs/a/metrics.csv").unwrap());
        assert!(!site.root().join("runs/a/metrics.csv").exists());
    }

    #[test]
    fn a_page_is_written_only_when_it_changed() {
        let (_folder, site) = site();
        assert!(site.publish("a/index.html", b"one").unwrap());
        assert!(!site.publish("a/index.html", b"one").unwrap());
        assert!(site.publish("a/index.html", b"two").unwrap());
        assert_eq!(fs::read(site.root().join("a/index.html")).unwrap(), b"two");
    }

    #[test]
    fn the_copy_holds_whole_rows_only() {
        let (folder, site) = site();
        let original = folder.path().join("metrics.csv");
        let copy = site.root().join("m.csv");
        assert!(!site.follow(&original, "m.csv").unwrap());
        fs::write(&original, "step,loss\n1,2\n2,1.").unwrap();
        assert!(site.follow(&original, "m.csv").unwrap());
        assert_eq!(fs::read_to_string(&copy).unwrap(), "step,loss\n1,2\n");
        fs::write(&original, "step,loss\n1,2\n2,1.5\n").unwrap();
        assert!(site.follow(&original, "m.csv").unwrap());
        assert!(!site.follow(&original, "m.csv").unwrap());
        assert_eq!(fs::read_to_string(&copy).unwrap(), "step,loss\n1,2\n2,1.5\n");
    }

    #[test]
    fn after_a_cut_the_copy_is_written_afresh() {
        let (folder, site) = site();
        let original = folder.path().join("metrics.csv");
        let copy = site.root().join("m.csv");
        fs::write(&original, "step,loss\n1,2\n2,1.5\n").unwrap();
        site.follow(&original, "m.csv").unwrap();
        fs::write(&original, "step,loss\n1,2\n").unwrap();
        site.follow(&original, "m.csv").unwrap();
        assert_eq!(fs::read_to_string(&copy).unwrap(), "step,loss\n1,2\n");
        fs::write(&original, "step,loss\n1,3\n2,2.5\n3,1.0\n").unwrap();
        site.follow(&original, "m.csv").unwrap();
        assert_eq!(fs::read_to_string(&copy).unwrap(), "step,loss\n1,3\n2,2.5\n3,1.0\n");
    }

    #[test]
    fn addresses_hold_no_markup_and_no_slash() {
        assert_eq!(address("lr3e-4-s1"), "lr3e-4-s1");
        assert_eq!(address("a b/<c>\"ä"), "a%20b%2F%3Cc%3E%22%C3%A4");
    }
}
