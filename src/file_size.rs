//! A limit on the size of files (`ulimit -f`). The kernel ends a program that would write beyond it, without a
//! word; whoever has called [`survive`] gets an error instead, which is told like that of a full disk.

use std::io;
use std::sync::Arc;

use signal_hook::consts::SIGXFSZ;

/// What a person can do about it.
pub const WAY_OUT: &str =
    "a limit on the size of files is reached: raise it (ulimit -f unlimited), then start overnight again";

/// Lets a write beyond the limit fail. The signal is caught and not ignored: what is ignored stays so in every
/// program that is started, and those who do not expect it, such as hooks, would go on with half a file; what
/// is caught is as it was in them.
pub fn survive() {
    // Where the kernel refuses, everything is as it was before.
    drop(signal_hook::flag::register(SIGXFSZ, Arc::default()));
}

/// Whether this error says that the limit is reached.
pub fn is_reached(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::FileTooLarge
}

/// The error, with what to do about it where the limit is its reason.
pub fn told(error: &io::Error) -> String {
    if is_reached(error) { format!("{error} ({WAY_OUT})") } else { error.to_string() }
}
