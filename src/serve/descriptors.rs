//! How many connections the open-file limit allows. `tiny_http` dies when descriptors run out, so
//! the guard raises the soft limit and stays below it.

use rustix::process::{Resource, getrlimit, setrlimit};

/// How the descriptors are shared out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shares {
    /// Connections held open at once, event streams among them.
    pub connections: usize,
    /// Of these, event streams.
    pub streams: usize,
    /// Short requests passed on at once.
    pub requests: usize,
}

/// One request passed on: the guard's end of the private socket, its other end as `tiny_http` has
/// it (twice, cloned), the file, and one to spare.
const PER_REQUEST: usize = 5;
/// For what opens and closes meanwhile: folders read by the scan, the watcher, the listener.
const SPARE: usize = 16;

/// Raises the soft limit to the hard one as far as `wanted` connections need it, and shares out
/// what there is.
pub(super) fn shares(wanted: usize) -> Shares {
    let limit = getrlimit(Resource::Nofile);
    let needed = wanted as u64 + 512;
    let soft = limit.current.unwrap_or(u64::MAX);
    let raised = needed.min(limit.maximum.unwrap_or(u64::MAX)).max(soft);
    let mut now = soft;
    if raised > soft {
        let asked = rustix::process::Rlimit { current: Some(raised), maximum: limit.maximum };
        if setrlimit(Resource::Nofile, asked).is_ok() {
            now = raised;
        }
    }
    share_out(usize::try_from(now).unwrap_or(usize::MAX), in_use(), wanted)
}

fn in_use() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(32, |entries| entries.count())
}

fn share_out(limit: usize, in_use: usize, wanted: usize) -> Shares {
    let free = limit.saturating_sub(in_use + SPARE);
    let requests = (free / (4 * PER_REQUEST)).clamp(2, 16);
    let connections = free.saturating_sub(requests * PER_REQUEST).clamp(2, wanted);
    Shares { connections, streams: (connections * 3 / 4).max(1), requests }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_the_limit_the_shares_fit_below_it_once_it_is_sane() {
        for limit in [0, 10, 40, 64, 128, 256, 1024, 4096, 1 << 20, usize::MAX] {
            let shares = share_out(limit, 12, 4096);
            assert!(shares.connections >= 2 && shares.requests >= 2);
            assert!(shares.streams < shares.connections || shares.connections == 1);
            if limit >= 64 {
                let most = shares.connections + shares.requests * PER_REQUEST + SPARE + 12;
                assert!(most <= limit, "{limit}: {shares:?}");
            }
        }
        assert_eq!(share_out(1 << 20, 12, 4096).connections, 4096);
    }
}
