//! What the kernel lets a runner know about the end of a worker: whether it killed something for want of
//! memory, and what it wrote into its log.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::run_dir::cause::Xid;
use crate::run_dir::read::NOT_WAITING;

/// A large process takes a while to end after the kernel has decided.
const LATELY: Duration = Duration::from_secs(30);
/// The kernel keeps fewer records than this.
const MOST_RECORDS: usize = 200_000;

/// Notices that the kernel kills processes for want of memory: in this control group where it counts
/// them, else on the whole machine.
#[derive(Debug, Default)]
pub struct MemoryWatch {
    counter: Option<PathBuf>,
    kills: Option<u64>,
    rose: Option<Instant>,
}

impl MemoryWatch {
    /// Watches the control group of this process, which is that of its workers.
    pub fn begin() -> MemoryWatch {
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mut counters = counters(&groups);
        counters.push(PathBuf::from("/proc/vmstat"));
        let counts = |path: &PathBuf| kills(path).map(|count| (path.clone(), count));
        match counters.iter().find_map(counts) {
            Some((path, count)) => MemoryWatch { counter: Some(path), kills: Some(count), rose: None },
            None => MemoryWatch::default(),
        }
    }

    /// Looks again; called often enough, so that a kill is known by its time.
    pub fn look(&mut self, now: Instant) {
        let count = self.counter.as_deref().and_then(kills);
        if count > self.kills {
            self.rose = Some(now);
        }
        self.kills = count.or(self.kills);
    }

    pub fn killed_lately(&self, now: Instant) -> bool {
        self.rose.is_some_and(|rose| now.duration_since(rose) <= LATELY)
    }
}

/// Where the kernel counts the kills of these control groups (`/proc/self/cgroup`), the likeliest first:
/// one hierarchy for all controllers, one of memory's own, both side by side.
fn counters(groups: &str) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        let path = path.trim_start_matches('/');
        if controllers.is_empty() {
            paths.extend(
                ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
                    .map(|root| Path::new(root).join(path).join("memory.events")),
            );
        } else if controllers.split(',').any(|controller| controller == "memory") {
            paths.push(Path::new("/sys/fs/cgroup/memory").join(path).join("memory.oom_control"));
        }
    }
    paths
}

fn kills(path: &Path) -> Option<u64> {
    counted(&fs::read_to_string(path).ok()?)
}

/// All of these files have lines of a name and a number.
fn counted(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

/// What the kernel's log says, within the last `seconds`, about this process and about NVIDIA's GPUs,
/// oldest first; nothing where the log may not be read.
pub fn log_of(process: u32, seconds: f64) -> Vec<String> {
    let now = clock_gettime(ClockId::Monotonic);
    let since = now.tv_sec as f64 - seconds;
    let mut lines = Vec::new();
    drop(each_record(|record| lines.extend(line_about(record, process, since))));
    lines
}

/// The processes that the driver named in the kernel's log, within the last `seconds`, with an error of this
/// number; none where it names none, where the log may not be read, or where processes have other numbers
/// here than in the log.
pub fn processes_of_xid(code: u64, seconds: f64) -> Vec<u32> {
    if !has_the_kernels_numbers() {
        return Vec::new();
    }
    let since = clock_gettime(ClockId::Monotonic).tv_sec as f64 - seconds;
    let mut processes = Vec::new();
    let named = |record: &str| {
        let message = message_since(record, since)?;
        Xid::parse(message).filter(|xid| u64::from(xid.code) == code)?.process
    };
    drop(each_record(|record| processes.extend(named(record))));
    processes
}

/// The namespace of process numbers that the kernel itself uses (PROC_PID_INIT_INO in its `proc_ns.h`).
const FIRST_NAMESPACE: &str = "pid:[4026531836]";

fn has_the_kernels_numbers() -> bool {
    stand_in().is_some()
        || fs::read_link("/proc/self/ns/pid").is_ok_and(|name| name == Path::new(FIRST_NAMESPACE))
}

/// Names a file that is read in the place of the kernel's log, one record a line: on a machine without a GPU
/// no driver writes any.
const STAND_IN: &str = "OVERNIGHT_KERNEL_LOG";

fn stand_in() -> Option<PathBuf> {
    std::env::var_os(STAND_IN).filter(|path| !path.is_empty()).map(PathBuf::from)
}

fn each_record(mut take: impl FnMut(&str)) -> io::Result<()> {
    if let Some(path) = stand_in() {
        fs::read_to_string(path)?.lines().for_each(take);
        return Ok(());
    }
    let mut log = fs::OpenOptions::new().read(true).custom_flags(NOT_WAITING).open("/dev/kmsg")?;
    let mut record = [0; 8192];
    for _ in 0..MOST_RECORDS {
        match log.read(&mut record) {
            Ok(0) => break,
            Ok(length) => take(&String::from_utf8_lossy(&record[..length])),
            // The record that came next has been overwritten.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The message of a record, `priority,number,microseconds,flags;message`, if it is as new.
fn message_since(record: &str, since: f64) -> Option<&str> {
    let (head, text) = record.split_once(';')?;
    let microseconds: f64 = head.split(',').nth(2)?.parse().ok()?;
    text.lines().next().filter(|_| microseconds / 1e6 >= since)
}

/// The message of a record if it is about that process, or about a GPU and no other process.
fn line_about(record: &str, process: u32, since: f64) -> Option<String> {
    let message = message_since(record, since)?;
    let is_its_xid = |xid: &Xid| xid.is_of_device() || xid.process.is_none_or(|named| named == process);
    let is_about = message.contains(&format!("[{process}]"))
        || message.contains(&format!("Killed process {process} "))
        || Xid::parse(message).is_some_and(|xid| is_its_xid(&xid));
    is_about.then(|| message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_is_found_in_either_kind_of_hierarchy() {
        let found = counters("0::/user.slice/a:b\n");
        assert_eq!(found[0], Path::new("/sys/fs/cgroup/user.slice/a:b/memory.events"));
        let found = counters("9:name=systemd:/\n4:cpu,memory:/x/y\n");
        assert_eq!(found, [Path::new("/sys/fs/cgroup/memory/x/y/memory.oom_control")]);
        assert!(counters("nonsense").is_empty());
        assert_eq!(counted("under_oom 0\noom_kill 12\n"), Some(12));
        assert_eq!(counted("oom 3\noom_kill_disable 0\n"), None);
    }

    #[test]
    fn a_count_that_rises_is_remembered_for_a_while() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let write = |count: u32| fs::write(file.path(), format!("oom_kill {count}\n")).unwrap();
        write(2);
        let counter = Some(file.path().to_owned());
        let mut watch = MemoryWatch { counter, kills: Some(2), rose: None };
        let now = Instant::now();
        watch.look(now);
        assert!(!watch.killed_lately(now), "what was before does not count");
        write(3);
        watch.look(now);
        assert!(watch.killed_lately(now) && watch.killed_lately(now + LATELY));
        assert!(!watch.killed_lately(now + 2 * LATELY));
    }

    #[test]
    fn records_of_others_and_older_ones_are_left_out() {
        let line = |record: &str| line_about(record, 77, 10.0);
        assert_eq!(
            line("6,1,20000000,-;w[77]: segfault at 0\n A=b\n").as_deref(),
            Some("w[77]: segfault at 0")
        );
        assert_eq!(line("6,1,9000000,-;w[77]: segfault at 0"), None);
        assert_eq!(line("6,1,20000000,-;w[778]: segfault at 0"), None);
        let xid = |rest: &str| line(&format!("3,1,20000000,-;NVRM: Xid (PCI:0000:3b:00): {rest}")).is_some();
        assert!(xid("31, pid=77, name=w, MMU Fault") && xid("31, pid='<unknown>', MMU Fault"));
        assert!(!xid("31, pid=78, name=v, MMU Fault"), "its neighbor's on the GPU");
        assert!(xid("79, pid=78, GPU has fallen off the bus."), "which both have met");
        assert!(line("3,1,20000000,-;Out of memory: Killed process 77 (w) total").is_some());
        assert_eq!(line("no record"), None);
    }
}
