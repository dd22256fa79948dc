//! The runner.
pub mod child;
pub mod devices;
pub mod interrupt;
pub mod schedule;
pub mod telemetry;
pub mod view;
