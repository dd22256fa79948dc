//! Finds libtorch for the worker: `LIBTORCH`, the cache that `scripts/libtorch` fills, the torch of
//! `python3`. Nothing is loaded or imported here, so it takes milliseconds.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The one version the worker is built against; another may load and compute something else.
pub const VERSION: &str = "2.11.0";

/// A libtorch that the worker can be started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Libtorch {
    /// The folder with `lib/` in it.
    pub directory: PathBuf,
    /// As the package states it, with its local part (`2.11.0+cu130`).
    pub version: String,
    pub source: Source,
    /// Whether the libraries that its CUDA part needs are there too.
    pub has_cuda: bool,
}

/// Where it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Environment,
    Cache,
    Python,
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(match self {
            Source::Environment => "LIBTORCH",
            Source::Cache => "the cache",
            Source::Python => "python3's torch",
        })
    }
}

#[derive(Debug, thiserror::Error)]
pub enum LibtorchError {
    #[error(
        "LIBTORCH is {}, which holds no lib/libtorch_cpu.so (name the folder with lib/ in it, or unset LIBTORCH)",
        directory.display()
    )]
    NotOne { directory: PathBuf },
    #[error(
        "LIBTORCH is {}, which is version {found}, and the worker needs {VERSION} (unset LIBTORCH, or name a libtorch {VERSION})",
        directory.display()
    )]
    WrongVersion { directory: PathBuf, found: String },
    #[error(
        "no libtorch {VERSION} found in {} nor in python3's packages{} (fetch it once with scripts/libtorch, or pip install torch=={VERSION}, or set LIBTORCH)",
        cache.display(),
        others(.passed_over)
    )]
    Missing {
        cache: PathBuf,
        /// Those of another version, with it.
        passed_over: Vec<(PathBuf, String)>,
    },
}

fn others(passed_over: &[(PathBuf, String)]) -> String {
    let others =
        passed_over.iter().map(|(directory, version)| format!(", only {version} in {}", directory.display()));
    others.collect()
}

/// Finds the libtorch that the worker will be started with on this machine.
pub fn find() -> Result<Libtorch, LibtorchError> {
    find_among(&Places {
        chosen: std::env::var_os("LIBTORCH").filter(|value| !value.is_empty()).map(PathBuf::from),
        cache: cache(),
        python: python_torch,
        has_driver: has_nvidia_driver(),
    })
}

/// The value of `LD_LIBRARY_PATH` for the worker: libtorch, the CUDA libraries that came with it, and
/// whatever this process's own value names.
pub fn library_path_env(libtorch: &Libtorch) -> OsString {
    let mut folders = vec![libtorch.directory.join("lib")];
    folders.extend(cuda_folders(&libtorch.directory));
    let inherited = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    folders.extend(std::env::split_paths(&inherited).filter(|path| !path.as_os_str().is_empty()));
    // Only a folder with a colon in its name fails here, and that cannot be said in this variable.
    std::env::join_paths(
        folders.iter().filter(|folder| !folder.as_os_str().as_encoded_bytes().contains(&b':')),
    )
    .unwrap_or(inherited)
}

/// Folder of everything that is fetched once for all checkouts.
pub fn cache() -> PathBuf {
    let base = match std::env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()) {
        Some(base) => PathBuf::from(base),
        None => PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache"),
    };
    base.join("overnight")
}

/// Whether this machine has NVIDIA's driver, seen without loading it.
pub fn has_nvidia_driver() -> bool {
    ["/proc/driver/nvidia/version", "/dev/nvidiactl", "/dev/dxg"].iter().any(|path| Path::new(path).exists())
}

struct Places<P> {
    chosen: Option<PathBuf>,
    cache: PathBuf,
    python: P,
    has_driver: bool,
}

fn find_among(places: &Places<impl Fn() -> Option<PathBuf>>) -> Result<Libtorch, LibtorchError> {
    if let Some(directory) = &places.chosen {
        return match inspect(directory, Source::Environment) {
            None => Err(LibtorchError::NotOne { directory: directory.clone() }),
            Some(found) if !is_ours(&found.version) => {
                Err(LibtorchError::WrongVersion { directory: directory.clone(), found: found.version })
            }
            Some(found) => Ok(found),
        };
    }
    let mut candidates = in_cache(&places.cache);
    // python3 takes a while to start, so it is asked only if the cache does not do.
    let does =
        |candidate: &Libtorch| is_ours(&candidate.version) && (candidate.has_cuda || !places.has_driver);
    if !candidates.iter().any(does) {
        candidates.extend((places.python)().and_then(|directory| inspect(&directory, Source::Python)));
    }
    let (ours, others): (Vec<_>, Vec<_>) = candidates.into_iter().partition(|one| is_ours(&one.version));
    // Stable: the cache before python3. With a driver one with CUDA comes first; without one, a
    // libtorch without CUDA, which is loaded faster.
    let best = ours.into_iter().min_by_key(|one| one.has_cuda != places.has_driver);
    best.ok_or_else(|| LibtorchError::Missing {
        cache: places.cache.clone(),
        passed_over: others.into_iter().map(|one| (one.directory, one.version)).collect(),
    })
}

/// What `scripts/libtorch` fetched, sorted by name.
fn in_cache(cache: &Path) -> Vec<Libtorch> {
    let Ok(entries) = fs::read_dir(cache) else { return Vec::new() };
    let mut folders: Vec<_> = entries
        .flatten()
        .filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"libtorch-"))
        .map(|entry| entry.path().join("torch"))
        .collect();
    folders.sort();
    folders.iter().filter_map(|folder| inspect(folder, Source::Cache)).collect()
}

fn inspect(directory: &Path, source: Source) -> Option<Libtorch> {
    let libraries = directory.join("lib");
    if !libraries.join("libtorch_cpu.so").is_file() {
        return None;
    }
    let cuda_part = libraries.join("libtorch_cuda.so").is_file();
    let has_cublas = |folder: &Path| holds(folder, "libcublas.so");
    Some(Libtorch {
        directory: directory.to_owned(),
        version: stated_version(directory),
        source,
        has_cuda: cuda_part
            && (has_cublas(&libraries) || cuda_folders(directory).iter().any(|folder| has_cublas(folder))),
    })
}

/// From `version.py` of a wheel or `build-version` of a plain libtorch.
fn stated_version(directory: &Path) -> String {
    let wheel = fs::read_to_string(directory.join("version.py")).ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("__version__"))?;
        Some(line.split(['\'', '"']).nth(1)?.to_owned())
    });
    let plain = || Some(fs::read_to_string(directory.join("build-version")).ok()?.trim().to_owned());
    wheel.or_else(plain).filter(|version| !version.is_empty()).unwrap_or_else(|| "unknown".to_owned())
}

/// Versions compare without their local part.
fn is_ours(version: &str) -> bool {
    version.split('+').next() == Some(VERSION)
}

/// `nvidia/*/lib` beside the package, where wheels put CUDA's libraries.
fn cuda_folders(directory: &Path) -> Vec<PathBuf> {
    let beside = directory.parent().map(|parent| parent.join("nvidia")).unwrap_or_default();
    let Ok(entries) = fs::read_dir(beside) else { return Vec::new() };
    let mut folders: Vec<_> = entries.flatten().map(|entry| entry.path().join("lib")).collect();
    folders.retain(|folder| folder.is_dir());
    folders.sort();
    folders
}

fn holds(folder: &Path, library: &str) -> bool {
    let Ok(mut entries) = fs::read_dir(folder) else { return false };
    entries.any(|entry| entry.is_ok_and(|entry| starts_with(&entry.file_name(), library)))
}

fn starts_with(name: &OsStr, beginning: &str) -> bool {
    name.as_encoded_bytes().starts_with(beginning.as_bytes())
}

/// The package's folder by its spec, not by importing it, which would take seconds.
fn python_torch() -> Option<PathBuf> {
    const ASK: &str = "import importlib.util as u; s = u.find_spec('torch'); print(s.origin if s else '')";
    let output =
        Command::new("python3").args(["-c", ASK]).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let origin = String::from_utf8(output.stdout).ok()?;
    Path::new(origin.trim()).parent().filter(|folder| folder.is_absolute()).map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder that looks like a libtorch from outside.
    fn make(directory: &Path, version: &str, with_cuda: bool) {
        fs::create_dir_all(directory.join("lib")).unwrap();
        fs::write(directory.join("lib/libtorch_cpu.so"), "").unwrap();
        // The wheel holds its CUDA part also where CUDA's own libraries were left out.
        fs::write(directory.join("lib/libtorch_cuda.so"), "").unwrap();
        fs::write(directory.join("version.py"), format!("x = 1\n__version__ = '{version}'\n")).unwrap();
        let runtime = directory.parent().unwrap().join("nvidia/cu13/lib");
        fs::create_dir_all(&runtime).unwrap();
        fs::write(runtime.join("libcudart.so.13"), "").unwrap();
        if with_cuda {
            fs::write(runtime.join("libcublas.so.13"), "").unwrap();
        }
    }

    struct Machine {
        folder: tempfile::TempDir,
    }

    impl Machine {
        fn new() -> Machine {
            Machine { folder: tempfile::tempdir().unwrap() }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        fn find(&self, chosen: Option<&str>, has_driver: bool) -> Result<Libtorch, LibtorchError> {
            find_among(&Places {
                chosen: chosen.map(|name| self.path(name)),
                cache: self.path("cache"),
                python: || Some(self.path("python/torch")),
                has_driver,
            })
        }
    }

    #[test]
    fn the_one_chosen_wins_and_a_wrong_choice_is_named_instead_of_passed_over() {
        let machine = Machine::new();
        make(&machine.path("cache/libtorch-2.11.0-cpu/torch"), "2.11.0+cu130", false);
        make(&machine.path("mine/torch"), "2.11.0", false);
        make(&machine.path("old/torch"), "2.6.0+cu124", false);
        let found = machine.find(Some("mine/torch"), false).unwrap();
        assert_eq!((found.source, found.directory), (Source::Environment, machine.path("mine/torch")));
        let error = machine.find(Some("old/torch"), false).unwrap_err().to_string();
        assert!(error.contains("2.6.0+cu124") && error.contains(VERSION), "{error}");
        let error = machine.find(Some("nowhere"), false).unwrap_err().to_string();
        assert!(error.contains("unset LIBTORCH"), "{error}");
    }

    #[test]
    fn the_cache_comes_before_python_and_versions_compare_without_their_local_part() {
        let machine = Machine::new();
        make(&machine.path("python/torch"), "2.11.0+cpu", false);
        assert_eq!(machine.find(None, false).unwrap().source, Source::Python);
        make(&machine.path("cache/libtorch-2.11.0-cpu/torch"), "2.11.0+cu130", false);
        let found = machine.find(None, false).unwrap();
        assert_eq!((found.source, found.version.as_str()), (Source::Cache, "2.11.0+cu130"));
        for near in ["2.11.1", "2.11.0.dev1", "2.11.0rc1", "12.11.0"] {
            assert!(!is_ours(near), "{near}");
        }
    }

    #[test]
    fn with_a_driver_the_one_with_cuda_is_taken_wherever_it_is() {
        let machine = Machine::new();
        make(&machine.path("cache/libtorch-2.11.0-cpu/torch"), VERSION, false);
        make(&machine.path("python/torch"), VERSION, true);
        assert_eq!(machine.find(None, true).unwrap().source, Source::Python);
        assert_eq!(machine.find(None, false).unwrap().source, Source::Cache);
        make(&machine.path("cache/libtorch-2.11.0-cuda/torch"), VERSION, true);
        let found = machine.find(None, true).unwrap();
        assert_eq!((found.source, found.has_cuda), (Source::Cache, true));
    }

    #[test]
    fn where_there_is_none_the_others_found_are_named_with_the_way_out() {
        let machine = Machine::new();
        make(&machine.path("python/torch"), "2.6.0", false);
        let error = machine.find(None, false).unwrap_err().to_string();
        assert!(error.contains("only 2.6.0 in"), "{error}");
        assert!(error.contains("scripts/libtorch"), "{error}");
    }

    #[test]
    fn the_library_path_holds_libtorch_and_the_cuda_libraries_beside_it() {
        let machine = Machine::new();
        make(&machine.path("mine/torch"), VERSION, false);
        let found = machine.find(Some("mine/torch"), false).unwrap();
        let value = library_path_env(&found);
        let folders: Vec<_> = std::env::split_paths(&value).collect();
        assert_eq!(folders[0], machine.path("mine/torch/lib"));
        assert_eq!(folders[1], machine.path("mine/nvidia/cu13/lib"));
    }
}
