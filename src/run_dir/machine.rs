//! How this machine calls itself in start lines, whoever writes them, and what a process holds of it.

use std::fs;
use std::sync::OnceLock;

/// The boot id: a process number of another boot says nothing.
pub fn boot_id() -> &'static str {
    static ID: OnceLock<String> = OnceLock::new();
    // Asked for at every look at a run, and the same as long as this process lives.
    ID.get_or_init(|| {
        fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
    })
}

/// Bytes of memory that a process here may take: the machine's, or less where its control group has less.
pub fn memory_bytes() -> Option<u64> {
    let table = fs::read_to_string("/proc/meminfo").ok()?;
    let line = table.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let machine = line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024;
    let group = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let limit = group.iter().find_map(|path| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok());
    Some(limit.map_or(machine, |limit| limit.min(machine)))
}

/// The processor as it names itself.
pub fn cpu_name() -> String {
    let table = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = table.lines().find(|line| line.starts_with("model name"));
    line.and_then(|line| line.split_once(':')).map_or("processor", |(_, name)| name.trim()).to_owned()
}

/// Bytes of memory that a process holds, while it lives.
pub fn process_memory_bytes(process: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_lives_holds_memory() {
        assert!(process_memory_bytes(std::process::id()).is_some_and(|bytes| bytes > 0));
        assert_eq!(process_memory_bytes(u32::MAX), None);
    }
}
