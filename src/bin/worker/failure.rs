//! Why a worker could not go on, as its last event says it and as its exit code does.

use std::io;

use overnight::run_dir::ReadError;
use overnight::run_dir::records::{FailureKind, exit};
use tch::TchError;

use crate::task::TaskError;
use crate::train::NotFinite;

#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A file of the run could not be written.
    #[error("{error}{way_out}", error = .0, way_out = way_out(.0))]
    Write(io::Error),
    /// Asked to end before there was anything to write: no failure, but an end of what was going on.
    #[error("asked to end while it loaded")]
    AskedToEnd,
    #[error("{}", first_line(.0))]
    Torch(#[from] TchError),
    #[error("{0}")]
    Data(String),
    /// The whole story: step, last finite value, first tensor that was not finite.
    #[error("{0}")]
    NotFinite(NotFinite),
    #[error("{0}")]
    Checkpoint(String),
    #[error("{0}")]
    Read(#[from] ReadError),
    /// The run cannot be started as it was ordered; the text says the way out.
    #[error("{0}")]
    Orders(String),
    /// A bug of ours, or libtorch's word on one.
    #[error("{0}")]
    Panic(String),
}

impl Failure {
    pub fn kind(&self) -> FailureKind {
        match self {
            Failure::Write(_) => FailureKind::CannotWrite,
            Failure::Data(_) => FailureKind::Data,
            Failure::NotFinite(_) => FailureKind::NotFinite,
            Failure::Checkpoint(_) => FailureKind::Checkpoint,
            Failure::Torch(error) => kind_of_message(&error.to_string()),
            Failure::Panic(message) => kind_of_message(message),
            Failure::Read(_) | Failure::Orders(_) | Failure::AskedToEnd => FailureKind::Other,
        }
    }

    pub fn exit_code(&self) -> i32 {
        match self.kind() {
            FailureKind::CannotWrite => exit::CANNOT_WRITE,
            FailureKind::OutOfDeviceMemory => exit::OUT_OF_DEVICE_MEMORY,
            FailureKind::DeviceLost => exit::DEVICE_LOST,
            _ => exit::FAILED,
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        match error.kind() {
            // What a file lacks that its checkpoint knows of cannot be written again.
            io::ErrorKind::InvalidData => Failure::Checkpoint(format!(
                "{error} (give the file back as it was, or remove the run's checkpoints to begin again)"
            )),
            _ => Failure::Write(error),
        }
    }
}

impl From<TaskError> for Failure {
    fn from(error: TaskError) -> Failure {
        match error {
            TaskError::Torch(error) => Failure::Torch(error),
            TaskError::Data(message) => Failure::Data(message),
            TaskError::AskedToEnd => Failure::AskedToEnd,
        }
    }
}

/// What a person can do about a file that could not be written.
fn way_out(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull => " (free some space; the run then goes on)",
        io::ErrorKind::QuotaExceeded => " (free some of your share of the disk; the run then goes on)",
        io::ErrorKind::FileTooLarge => {
            " (a limit on the size of files is reached: raise it (ulimit -f unlimited), then start overnight again)"
        }
        io::ErrorKind::PermissionDenied => " (make it writable for this user, then start the run again)",
        io::ErrorKind::ReadOnlyFilesystem => {
            " (the disk may have been damaged: see dmesg; mount it writable, then start the run again)"
        }
        io::ErrorKind::NotFound => " (give the folder back, then start the run again)",
        io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            " (something else lies there: move it away, then start the run again)"
        }
        // What the system says is all there is to say.
        _ => "",
    }
}

/// libtorch tells these two apart by its words only.
fn kind_of_message(message: &str) -> FailureKind {
    let out_of_memory =
        ["out of memory", "can't allocate memory", "CUDNN_STATUS_ALLOC_FAILED", "CUBLAS_STATUS_ALLOC_FAILED"];
    if out_of_memory.iter().any(|words| message.contains(words)) {
        FailureKind::OutOfDeviceMemory
    } else if message.contains("CUDA error") && !message.contains("device-side assert") {
        FailureKind::DeviceLost
    } else {
        FailureKind::Other
    }
}

/// libtorch's messages go on with a stack trace of its own.
fn first_line(error: &TchError) -> String {
    error.to_string().lines().next().unwrap_or("libtorch failed without a word").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn torch(message: &str) -> Failure {
        Failure::Torch(TchError::Torch(message.to_owned()))
    }

    #[test]
    fn each_way_to_fail_has_its_exit_code() {
        assert_eq!(torch("CUDA out of memory. Tried to allocate 2 GiB").exit_code(), 82);
        assert_eq!(torch("DefaultCPUAllocator: can't allocate memory: you tried").exit_code(), 82);
        assert_eq!(torch("CUDA error: unspecified launch failure").exit_code(), 83);
        assert_eq!(torch("CUDA error: device-side assert triggered").exit_code(), 1);
        assert_eq!(torch("The size of tensor a (3) must match").exit_code(), 1);
        assert_eq!(Failure::Write(io::Error::other("x")).exit_code(), 74);
    }

    #[test]
    fn space_is_asked_for_only_where_there_is_none() {
        let says = |number| Failure::from(io::Error::from_raw_os_error(number)).to_string();
        assert!(says(28).contains("free some space"), "{}", says(28));
        assert!(says(122).contains("your share"));
        for (number, words) in [
            (13, "make it writable"),
            (30, "see dmesg"),
            (2, "give the folder back"),
            (21, "move it away"),
            (27, "ulimit -f"),
        ] {
            assert!(says(number).contains(words) && !says(number).contains("free some"), "{}", says(number));
        }
        assert_eq!(says(5), "Input/output error (os error 5)");
    }

    #[test]
    fn the_stack_of_libtorch_is_left_out() {
        assert!(!torch("bad\nException raised from x").to_string().contains("Exception"));
    }
}
