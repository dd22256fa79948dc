//! What the loop's decisions rest on: runs, devices and clocks as they are at this moment, in the schedule's
//! words.

use std::time::Instant;

use super::Work;
use crate::run_dir::records::{BatchAsk, BatchRequest};
use crate::run_dir::{Status, read, scan};
use crate::runner::admission::{self, Need, Probing, Rules, Vacancies};
use crate::runner::hooks::Occasion;
use crate::runner::schedule::{self, Deadline, Decision, Gate, Observation, Reason, Standing, Wish};
use crate::runner::tracked::{self, Judge, Tracked};
use crate::runner::{clock, devices, estimate, tell};

impl Work<'_> {
    /// Takes out of the queue what waits for a run that did not finish.
    pub(super) fn skip(&mut self, is_hinted: bool) {
        let batch = self.batch.name();
        let judge = Judge { host: &self.host, batch: Some(&batch), failed: self.options.failed };
        for index in tracked::skip(&mut self.runs, &mut self.left_out, &mut self.skips, is_hinted, judge) {
            let run = &mut self.runs[index];
            let need = match &run.seen.status {
                Status::Skipped { need } | Status::NeedFailed { need } => Some(need.clone()),
                _ => None,
            };
            if let Some(need) = need.as_ref().filter(|_| need != run.skipped) {
                let why = format!("{need} did not finish");
                let word = run.seen.status.word();
                self.batch.event(word, Some(&run.dir), &why);
                self.view.say(&format!("{word:8} {}: {why}", run.name()));
                if let Status::NeedFailed { .. } = run.seen.status {
                    self.hooks.tell(&Occasion::run_ended(&run.dir, word, &why, None));
                }
            }
            run.skipped = need;
        }
    }

    /// What can be done about each run.
    pub(super) fn standings(&self, now: Instant) -> Vec<Standing> {
        let batch = self.batch.name();
        let standing = |run: &Tracked| run.standing(now, Some(&batch), self.options.failed);
        self.runs.iter().map(standing).collect()
    }

    /// Reads what people ask of the batch as a whole.
    pub(super) fn look_for_drain(&mut self) {
        if self.draining {
            return;
        }
        let requests = read::lines::<BatchRequest>(&self.batch.dir().requests());
        let asked = requests
            .ok()
            .and_then(|lines| lines.records.into_iter().find(|line| line.ask == BatchAsk::Drain));
        if let Some(request) = asked {
            self.draining = true;
            let words = format!("{} asked for the end after the current runs", request.who);
            self.batch.event("drain", None, &words);
            self.view.say(&words);
        }
    }

    pub(super) fn decide(&self, standings: &[Standing], now: Instant) -> Decision {
        let positions = schedule::relevant(standings, |run| !self.runs[run].needs().is_empty());
        let scheduled = |position: &usize| {
            let (run, standing) = (&self.runs[*position], &standings[*position]);
            let waits = *standing == Standing::Waiting;
            let seconds = waits.then(|| tell::seconds_left(run, &self.rates)).flatten();
            let need = match standing {
                Standing::Waiting | Standing::Preparing(_) if !self.gpus.is_empty() => {
                    self.memories.need(run)
                }
                _ => Need::Unknown(Probing::Possible),
            };
            schedule::Run { need, ..run.scheduled(standing.clone(), self.gpus.len(), seconds, now) }
        };
        let runs: Vec<schedule::Run> = positions.iter().map(scheduled).collect();
        schedule::decide(&Observation {
            runs: &runs,
            slots: &self.slots,
            gpus: &self.gpus,
            gpu_states: &self.gauges.states(now),
            ending: self.ending,
            patience: self.options.patience,
            gate: self.gate(),
            deadline: self.deadline(),
            vacancies: &self.vacancies(),
            others: &self.left_out.others(),
        })
        .among(&positions)
    }

    /// What is left of the devices at this moment.
    fn vacancies(&self) -> Vacancies {
        Vacancies {
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
            (None, _) if self.room.is_held() => {
                Gate::NotYet(self.space.map_or_else(String::new, |space| space.reason()))
            }
            (None, Some(at)) if now < at => Gate::NotYet(format!("until {}", clock(at))),
            _ => Gate::Open,
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        self.options.until.map(|until| Deadline { seconds_left: until - scan::now(), clock: clock(until) })
    }

    /// Where waiting runs can be expected to start.
    pub(super) fn places(&self, decision: &Decision) -> tell::Places<'_> {
        let vacancies = self.vacancies();
        let mut taken = vec![false; self.slots.len()];
        let slots = self.runs.iter().filter_map(|run| match &run.worker {
            Some(worker) => worker.slot,
            None => run.preparation.slot(),
        });
        for slot in slots {
            if let Some(taken) = taken.get_mut(slot) {
                *taken = true;
            }
        }
        let startable = decision.waiting.iter().filter(|(_, reason)| matches!(reason, Reason::Waits(_)));
        let gpus = self.gpus.len();
        let mut on_gpus =
            startable.map(|(run, _)| &self.runs[*run]).filter(|run| run.wish(gpus) != Wish::Cpu);
        let need = on_gpus.next().and_then(|run| admission::expected(self.memories.need(run)));
        let usable = estimate::usable(&self.slots, &taken, &vacancies.gpus, need, vacancies.rules);
        tell::Places { slots: &self.slots, usable, gpus }
    }
}
