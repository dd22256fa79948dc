//! The runner.
pub mod devices;
pub mod telemetry;
