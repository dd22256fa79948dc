//! Everything but the worker, as one binary; what trains is a fake worker that obeys the protocol.

mod command_line;
mod division;
mod gpus;
mod hooks;
mod live;
mod out_of_memory;
mod report;
mod requests;
mod runner;
mod serve;
mod sharing;
mod workspace;
