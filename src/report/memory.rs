//! What is freed between one run's page and the next is kept for the next.

/// Runs at once from which on it matters.
const MANY: usize = 200;
/// Larger than any buffer of a run's page.
const LARGEST: usize = 16 << 20;

/// Before so many runs are rendered at once. Each takes and gives back some MiB; by itself glibc hands them to
/// the kernel each time, which gives them out again a page and a fault at a time. Once it has seen a larger
/// buffer come and go, it keeps up to twice that (`mallopt(3)`, "dynamic mmap threshold"). The buffer is never
/// written to, so it costs nothing, and other allocators do not mind.
pub fn keep_for(runs: usize) {
    if runs >= MANY {
        drop(std::hint::black_box(Vec::<u8>::with_capacity(LARGEST)));
    }
}
