//! When a run was at work, and on what.

use serde::{Deserialize, Serialize};

use super::super::energy;
use super::super::files::RunFiles;
use crate::run_dir::records::{Attempt, Device, exit};

/// One attempt on the machine's time line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AttemptSpan {
    pub start: f64,
    /// None while it lives, and when nobody saw it end.
    pub end: Option<f64>,
    pub batch: Option<String>,
    pub device: String,
    pub failed: bool,
    /// Step of the checkpoint it went on from.
    #[serde(default)]
    pub checkpoint: Option<u64>,
    /// What the run took during it, where that was measured.
    #[serde(default)]
    pub energy_joules: Option<f64>,
}

/// The attempts of a run in their order.
pub fn spans(files: &RunFiles) -> Vec<AttemptSpan> {
    let mut spans: Vec<(u32, AttemptSpan)> = Vec::new();
    for line in &files.seen.attempts {
        match line {
            Attempt::Start(start) => {
                let device = match &start.device {
                    Device::Cpu { .. } => "CPU".to_owned(),
                    Device::Cuda { index, .. } => format!("GPU {index}"),
                };
                let (start_time, batch) = (start.time, start.batch.clone());
                spans.push((
                    start.attempt,
                    AttemptSpan {
                        start: start_time,
                        end: None,
                        batch,
                        device,
                        failed: false,
                        checkpoint: start.checkpoint,
                        energy_joules: None,
                    },
                ));
            }
            Attempt::End(end) => {
                if let Some((_, span)) = spans.iter_mut().rev().find(|(attempt, _)| *attempt == end.attempt) {
                    // A clock that went back in between makes no attempt end before it began.
                    span.end = Some(end.time.max(span.start));
                    span.failed = end.signal.is_some()
                        || !matches!(end.code, None | Some(exit::FINISHED | exit::ENDED_AS_ASKED));
                }
            }
        }
    }
    let mut spans: Vec<AttemptSpan> = spans.into_iter().map(|(_, span)| span).collect();
    energy::share_out(&mut spans, &files.telemetry);
    spans
}
