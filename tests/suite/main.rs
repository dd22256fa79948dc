//! Everything but the worker, as one binary; what trains is a fake worker that obeys the protocol.

mod alerts;
mod causes;
mod clean;
mod clock;
mod command_line;
mod damaged;
mod disk;
mod gauges;
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
mod status;
mod systemd;
mod unwatched;
mod verify;
mod workspace;
