//! Telling of alerts, and asking for what the rules of the runner's own say.

use std::time::Instant;

use super::Work;
use crate::experiment::alert::Action;
use crate::run_dir::records::{Attempt, BatchEvent, Event, What};
use crate::run_dir::write::{Durability, append_line};
use crate::run_dir::{RunDir, Workspace, machine, read, requests, scan};
use crate::runner::alerts::{self, Listener, Surroundings};
use crate::runner::hooks::Occasion;
use crate::runner::tracked::Tracked;

impl Work<'_> {
    /// Tells of the alerts that a live worker has written since the last time.
    pub(super) fn hear_alerts(&mut self, index: usize) {
        let run = &mut self.runs[index];
        let Some(listener) = run.worker.as_mut().and_then(|worker| worker.listener.as_mut()) else { return };
        let (dir, heard) = (run.dir.clone(), listener.hear(&run.dir));
        for event in heard {
            if let What::Alert { message, rule, action } = &event.what {
                self.tell_alert(&dir, rule.as_deref(), Some(event.step), message, *action);
            }
        }
    }

    /// Tells of the alerts that came since the last attempt at a run began and that no runner heard, for
    /// want of one. Only of an attempt whose end nobody has seen: another was followed to it.
    pub(super) fn catch_up(&mut self, index: usize) {
        let run = &mut self.runs[index];
        let Some((listener, untold)) = unheard(self.workspace, run) else { return };
        let dir = run.dir.clone();
        if let Some(worker) = &mut run.worker {
            worker.listener = Some(listener);
        }
        for event in untold {
            if let What::Alert { message, rule, action } = &event.what {
                self.tell_alert(&dir, rule.as_deref(), Some(event.step), message, *action);
            }
        }
    }

    /// Looks at the rules over numbers of the machine. What they ask for is a request like any other, so
    /// the next look at the run finds it.
    pub(super) fn watch_machine(&mut self) {
        let machine = self.gauges.machine().clone();
        let gpus = self.gauges.gpu_samples(Instant::now());
        for index in 0..self.runs.len() {
            let run = &mut self.runs[index];
            let Some(worker) = &mut run.worker else { continue };
            let process = worker.handle.as_ref().map(|handle| handle.process);
            let gpu = worker.gpu.and_then(|gpu| gpus.get(gpu));
            let around = Surroundings {
                machine: &machine,
                gpu: gpu.map(|(sample, _)| sample),
                throttled_seconds: gpu.and_then(|(_, seconds)| *seconds),
                process_memory_bytes: process.and_then(machine::process_memory_bytes),
            };
            let Some(listener) = &mut worker.listener else { continue };
            let fired = listener.look(&around);
            let (dir, attempt) = (run.dir.clone(), worker.attempt);
            let step = run.seen.progress.as_ref().map_or(0, |progress| progress.step);
            for fired in fired {
                let (rule, action) = (Some(fired.rule.clone()), Some(fired.action));
                let what = What::Alert { message: fired.message.clone(), rule, action };
                let event = Event { time: scan::now(), attempt, step, what };
                // A full disk is what a rule may be about: the action matters more than the diary.
                drop(append_line(&dir.alerts(), &event, Durability::Rebuildable));
                self.tell_alert(&dir, Some(&fired.rule), Some(step), &fired.message, action);
                let Some(ask) = alerts::ask(fired.action) else { continue };
                if let Err(error) = requests::ask(&dir, requests::who(&fired.rule), ask) {
                    let why = format!("the alert could not ask for the end: {error}");
                    self.batch.event(alerts::EVENT, Some(&dir), &why);
                    self.view.say(&format!("alert    {}/{}: {why}", dir.experiment(), dir.name()));
                }
            }
        }
    }

    fn tell_alert(
        &mut self,
        dir: &RunDir,
        rule: Option<&str>,
        step: Option<u64>,
        message: &str,
        action: Option<Action>,
    ) {
        let line = alerts::line(step, rule, message, action);
        self.batch.event(alerts::EVENT, Some(dir), &line);
        self.view.say(&format!("alert    {}/{} {line}", dir.experiment(), dir.name()));
        self.hooks.tell(&Occasion::alert(Some(dir), rule.unwrap_or(alerts::UNRULED), &line));
    }
}

/// What the last attempt at a run told and nobody has passed on, where nobody has seen its end either; with
/// who goes on listening from there.
pub(super) fn unheard(workspace: &Workspace, run: &Tracked) -> Option<(Listener, Vec<Event>)> {
    let Some(Attempt::Start(start)) = run.seen.attempts.last() else { return None };
    let batch = start.batch.as_ref()?;
    let alerts = run.seen.record.as_ref().map(|record| record.alerts.as_slice());
    let mut listener = Listener::from_the_beginning(alerts.unwrap_or_default());
    let heard = listener.hear(&run.dir);
    if heard.is_empty() {
        return Some((listener, heard));
    }
    let since = scan::batches(workspace).into_iter().filter(|dir| dir.name() >= *batch);
    let lines = since.filter_map(|batch| read::lines::<BatchEvent>(&batch.events()).ok());
    let told: Vec<BatchEvent> = lines.flat_map(|lines| lines.records).collect();
    Some((listener, alerts::untold(heard, &told, &run.dir, start.attempt, scan::now())))
}
