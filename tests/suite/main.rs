//! Everything but the worker, as one binary; what trains is a fake worker that obeys the protocol.

mod causes;
mod clean;
mod command_line;
mod disk;
mod division;
mod gpus;
mod hooks;
mod leave;
mod live;
mod namespace;
mod others;
mod out_of_memory;
mod pty;
mod report;
mod requests;
mod runner;
mod serve;
mod settings;
mod sharing;
mod status;
mod systemd;
mod verify;
mod workspace;
