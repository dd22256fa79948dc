//! A report is the experiment: the runs of an exported file are queued here as they were there, and held
//! against what the file says came out. Hooks, commands and diffs are no part of that.

pub mod compare;
pub mod data;
mod paths;
pub mod plan;

pub use compare::{Compared, compare};
pub use plan::{AgainError, Plan, Planned, complete, plan, queue};
