//! What the server and the page's own process hold.

use crate::chrome::Chrome;
use crate::place::Serving;

/// In MiB; shared pages count by their part.
#[derive(Debug)]
pub struct Memory {
    pub server: u64,
    /// The largest of the browser's renderers.
    pub page: u64,
}

impl Memory {
    pub fn of(serving: &Serving, chrome: &Chrome) -> Memory {
        let renderers = below(chrome.process()).into_iter().filter(|process| is_renderer(*process));
        Memory { server: own_mib(serving.process()), page: renderers.map(own_mib).max().unwrap_or(0) }
    }
}

fn own_mib(process: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) >> 10
}

fn is_renderer(process: u32) -> bool {
    let command = std::fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&command).contains("--type=renderer")
}

/// Every process that this one started, and they started.
fn below(process: u32) -> Vec<u32> {
    // Each thread has a list of the children that it started.
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    let children: std::collections::BTreeSet<u32> = lists
        .flat_map(|list| list.split_whitespace().filter_map(|word| word.parse().ok()).collect::<Vec<u32>>())
        .collect();
    children.iter().flat_map(|child| std::iter::once(*child).chain(below(*child))).collect()
}
