//! Energy and time of the processor: counters of the kernel, where it lets this user read them.

use std::fs;
use std::path::{Path, PathBuf};

/// Counters of whole processor packages (RAPL, "running average power limit").
pub struct Packages {
    packages: Vec<Package>,
}

struct Package {
    energy: PathBuf,
    /// The counter begins again behind this.
    range_microjoules: u64,
    last: Option<u64>,
}

impl Packages {
    /// Those below `root`, which is `/sys/class/powercap`, that can be read. Most systems let only root
    /// read them, and many virtual machines have none.
    pub fn find(root: &Path) -> Packages {
        let entries = fs::read_dir(root).into_iter().flatten().flatten();
        let mut packages: Vec<Package> = entries.filter_map(|entry| package(&entry.path())).collect();
        packages.sort_by(|one, other| one.energy.cmp(&other.energy));
        Packages { packages }
    }

    /// Joules since the last call; none at the first one, and where nothing can be read.
    pub fn joules(&mut self) -> Option<f64> {
        let mut sum = None;
        for package in &mut self.packages {
            let now = number(&package.energy);
            if let (Some(last), Some(now)) = (package.last, now) {
                let risen = if now >= last { now - last } else { now + package.range_microjoules - last };
                sum = Some(sum.unwrap_or(0.0) + risen as f64 / 1e6);
            }
            package.last = now;
        }
        sum
    }
}

/// Seconds of processor time that all processes have taken since the machine started.
pub fn machine_seconds() -> Option<f64> {
    busy_ticks(&fs::read_to_string("/proc/stat").ok()?).map(seconds)
}

/// Ticks of the whole processor since the machine started: how many were taken, and how many there were.
pub fn machine_ticks() -> Option<(u64, u64)> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    Some((busy_ticks(&text)?, ticks(&text)?.iter().sum()))
}

/// Seconds of processor time that a process has taken, while it lives.
pub fn process_seconds(process: u32) -> Option<f64> {
    ticks_of(process).map(seconds)
}

/// The same in ticks.
pub fn ticks_of(process: u32) -> Option<u64> {
    process_ticks(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
}

fn package(folder: &Path) -> Option<Package> {
    // `intel-rapl:0` is a package, `intel-rapl:0:1` a part of it that is counted there already. AMD's
    // processors have the same names.
    let name = folder.file_name()?.to_str()?;
    name.strip_prefix("intel-rapl:")?.parse::<u32>().ok()?;
    // `psys` counts the rest of the machine too.
    fs::read_to_string(folder.join("name")).ok().filter(|name| name.starts_with("package"))?;
    let energy = folder.join("energy_uj");
    let last = number(&energy);
    last?;
    let range_microjoules = number(&folder.join("max_energy_range_uj")).unwrap_or(0);
    Some(Package { energy, range_microjoules, last })
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// All but idle and waiting for disks, of the first line of `/proc/stat`; guests are in the first two.
fn busy_ticks(text: &str) -> Option<u64> {
    let ticks = ticks(text)?;
    Some(ticks[..3].iter().sum::<u64>() + ticks[5] + ticks[6])
}

fn ticks(text: &str) -> Option<[u64; 8]> {
    let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<u64> = line.split_whitespace().take(8).filter_map(|ticks| ticks.parse().ok()).collect();
    ticks.try_into().ok()
}

/// User and system time of `/proc/*/stat`; the name in it may hold anything.
fn process_ticks(text: &str) -> Option<u64> {
    let mut fields = text.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some(next()? + next()?)
}

/// The kernel counts processor time for programs in hundredths of a second.
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_added_up_and_their_parts_are_not_counted_twice() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        for (zone, name) in [
            ("intel-rapl:0", "package-0"),
            ("intel-rapl:1", "package-1"),
            ("intel-rapl:0:0", "core"),
            ("intel-rapl:2", "psys"),
        ] {
            write(&format!("{zone}/name"), &format!("{name}\n"));
            write(&format!("{zone}/energy_uj"), "1000000\n");
            write(&format!("{zone}/max_energy_range_uj"), "5000000\n");
        }
        let mut packages = Packages::find(root.path());
        assert_eq!(packages.packages.len(), 2);
        write("intel-rapl:0/energy_uj", "3000000\n");
        write("intel-rapl:1/energy_uj", "500000\n");
        assert_eq!(packages.joules(), Some(2.0 + 4.5), "the second counter began again");
        assert_eq!(packages.joules(), Some(0.0));
    }

    #[test]
    fn where_nothing_can_be_read_there_is_no_energy_and_not_none_of_it() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(Packages::find(root.path()).joules(), None);
        assert_eq!(Packages::find(Path::new("/no/such/folder")).joules(), None);
    }

    #[test]
    fn processor_time_is_read_past_any_name() {
        assert_eq!(process_ticks("7 (a) b) c) R 1 2 3 4 5 6 7 8 9 10 150 50 0 0"), Some(200));
        assert_eq!(busy_ticks("cpu  100 1 50 9000 20 3 4 0 0 0\ncpu0 1 2 3"), Some(158));
        assert!(machine_ticks().is_some_and(|(busy, all)| busy > 0 && busy < all));
        assert!(machine_seconds().is_some_and(|seconds| seconds > 0.0));
        assert!(process_seconds(std::process::id()).is_some());
        assert_eq!(process_seconds(u32::MAX), None);
    }
}
