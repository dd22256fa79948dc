//! What the loop's decisions rest on: runs, devices and clocks as they are at this moment, in the schedule's
//! words.

use super::Work;
use crate::run_dir::scan;
use crate::runner::admission::{self, Need, Probing, Room, Rules};
use crate::runner::schedule::{self, Decision, Gate, Observation, Reason, Standing, Wish};
use crate::runner::{clock, devices, estimate, tell};

impl Work<'_> {
    pub(super) fn decide(&self, standings: &[Standing]) -> Decision {
        let runs: Vec<schedule::Run> = self
            .runs
            .iter()
            .zip(standings)
            .map(|(run, standing)| {
                let seconds = tell::seconds_left(run, &self.rates);
                let need = match standing {
                    Standing::Waiting if !self.gpus.is_empty() => self.memories.need(run),
                    _ => Need::Unknown(Probing::Possible),
                };
                schedule::Run { need, ..run.scheduled(standing.clone(), self.gpus.len(), seconds) }
            })
            .collect();
        schedule::decide(&Observation {
            runs: &runs,
            slots: &self.slots,
            gpus: &self.gpus,
            ending: self.ending,
            patience: self.options.patience,
            gate: self.gate(),
            seconds_left: self.options.until.map(|until| until - scan::now()),
            room: &self.room(),
        })
    }

    /// What is left of the devices at this moment.
    fn room(&self) -> Room {
        Room {
            gpus: self.memories.gpus(self.devices.gpus(), &self.runs),
            rules: Rules::of(&self.options.settings.devices),
            processor: self.processor,
            cores: self.options.slots.is_none().then(|| u32::try_from(devices::cpu_count()).unwrap_or(1)),
        }
    }

    fn gate(&self) -> Gate {
        let now = scan::now();
        match (self.breaker.tripped(), self.options.at) {
            (Some(why), _) => Gate::Shut(why),
            (None, _) if self.draining => Gate::Shut("the batch ends after its current runs".to_owned()),
            (None, Some(at)) if now < at => Gate::NotYet(format!("until {}", clock(at))),
            _ => Gate::Open,
        }
    }

    /// Where waiting runs can be expected to start.
    pub(super) fn places(&self, decision: &Decision) -> tell::Places<'_> {
        let room = self.room();
        let mut taken = vec![false; self.slots.len()];
        for slot in self.runs.iter().filter_map(|run| run.worker.as_ref()?.slot) {
            if let Some(taken) = taken.get_mut(slot) {
                *taken = true;
            }
        }
        let startable = decision.waiting.iter().filter(|(_, reason)| matches!(reason, Reason::Waits(_)));
        let gpus = self.gpus.len();
        let mut on_gpus =
            startable.map(|(run, _)| &self.runs[*run]).filter(|run| run.wish(gpus) != Wish::Cpu);
        let need = on_gpus.next().and_then(|run| admission::expected(self.memories.need(run)));
        let usable = estimate::usable(&self.slots, &taken, &room.gpus, need, room.rules);
        tell::Places { slots: &self.slots, usable, gpus }
    }
}
