//! overnight: queue machine-learning experiments in the evening, have a report in the morning.
//!
//! # Bird's-eye view
//!
//! An experiment file becomes run directories ([`queue`]). The runner ([`runner`]) starts a worker (the
//! binary `overnight-worker`, which alone links libtorch) for one run after the other. The report
//! ([`report`]) is built from the run directories, anew whenever something in them changes ([`watch`]),
//! and a small server ([`serve`]) shows it.
//!
//! **The run directory is the protocol.** These parts never talk to each other: they read and write
//! files, whose names and records are all in [`run_dir`]. So each can be killed, replaced, run on
//! another machine or tested alone.
//!
//! # Files on disk and who writes them
//!
//! | where | what | writer |
//! |---|---|---|
//! | `experiments/*.toml` | what a person wrote | a person, [`serve`] for one who sends it; read by [`experiment`] |
//! | `overnight.toml` | settings of the workspace | a person; read by [`workspace_settings`] |
//! | `runs/<experiment>/<run>/` | one run: see [`run_dir::RunDir`] | queue, runner and worker, each its own files |
//! | `runs/<experiment>/.verify-*/` | a replay while it goes on; its verdict goes to the run's `verify.jsonl` | [`verify`] |
//! | `runs/.runner.lock` | held by the one runner | [`runner`] |
//! | `batches/<batch>/` | one life of the runner: see [`run_dir::BatchDir`] | [`runner`] |
//! | `reports/` | the generated site | [`report`] |
//! | `data/sent/` | links to the data of runs that were sent | [`again`] |
//! | `logs/` | what people changed over the network, and who was not let through | [`serve`] |
//!
//! # Invariants
//!
//! - Each file has one writer. Small files are replaced whole, the others only grow.
//! - Status is derived by [`run_dir::status::status`], never stored.
//! - Decisions are pure functions from observations to actions; a thin loop carries them out.
//! - Runner and report do not know each other; nothing here knows libtorch.
//! - What a model, a person or another program wrote is untrusted text.

pub mod again;
pub mod clean;
pub mod cli;
pub mod commands;
pub mod curves;
pub mod data_files;
pub mod doctor;
pub mod exit;
pub mod experiment;
pub mod file_size;
pub mod generate;
pub mod import;
pub mod libtorch;
pub mod merge;
pub mod queue;
pub mod report;
pub mod run_dir;
pub mod runner;
pub mod say;
pub mod serve;
pub mod statistics;
pub mod verify;
pub mod watch;
pub mod workspace_settings;
