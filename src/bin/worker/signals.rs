//! SIGTERM and SIGINT as one flag of the process, for everything that may take long: also for threads that
//! load data.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use signal_hook::consts::{SIGINT, SIGTERM};

static ASKED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// Listens from now on.
///
/// # Errors
/// The kernel refuses.
pub fn listen() -> io::Result<()> {
    for signal in [SIGTERM, SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&ASKED))?;
    }
    Ok(())
}

/// Whether this process has been asked to end.
pub fn asked_to_end() -> bool {
    ASKED.load(Ordering::Relaxed)
}
