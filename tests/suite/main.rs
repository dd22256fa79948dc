//! Everything but the worker, through the command line and the files; no libtorch.

mod runner;
mod serve;
mod workspace;
