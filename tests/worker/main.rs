//! The worker as a process: it is given a run directory, and what it leaves there is looked at.
//!
//! These need libtorch: `LIBTORCH` must name it (`make test` sets it).

mod again;
mod alerts;
mod asked_to_end;
mod disturbed;
mod failures;
mod fixture;
mod generate;
mod learning;
mod linkage;
mod orders;
mod probe;
mod real_data;
mod resume;
mod split;
mod stages;
mod storm;
mod verify;
