//! overnight: queue machine-learning experiments in the evening, have a report in the morning.

pub mod data_files;
pub mod experiment;
pub mod run_dir;
