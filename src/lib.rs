//! overnight: queue machine-learning experiments in the evening, have a report in the morning.

pub mod data_files;
pub mod experiment;
pub mod queue;
pub mod report;
pub mod run_dir;
pub mod runner;
pub mod serve;
