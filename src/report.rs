//! The report: run directories in, static pages out.

pub mod chart;
