//! An experiment: a TOML file as a person wrote it, and the complete settings of each run it stands for.
//!
//! Two stages, both strict. [`Experiment::read`] turns a file into runs whose settings are typed and
//! complete; every complaint on the way names file, line, column, reason and way out. Nothing here
//! looks at data files or run directories: what needs those is in [`crate::data_files`] and
//! [`crate::queue`].

pub mod alert;
pub mod budget;
pub mod diagnostic;
pub mod file;
pub mod identity;
pub mod metric;
pub mod mistakes;
pub mod parse;
pub mod schema;
pub mod sentence;
pub mod settings;
pub mod sweep;
pub mod validate;

pub use alert::Alert;
pub use budget::Budget;
pub use diagnostic::{Diagnostic, Problem, Rejected};
pub use file::{Experiment, Override, PlannedRun};
pub use metric::{Direction, Metric};
pub use settings::Settings;
