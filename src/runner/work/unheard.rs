//! What a runner does that finds no work: it tells of the alerts and ends that came while no runner lived. They
//! belong to the batch that was there last, so they stand in its events, and nobody tells of them again.

use std::time::Instant;

use super::alerts::unheard;
use super::late;
use crate::experiment::alert::Action;
use crate::run_dir::records::{BatchEvent, What};
use crate::run_dir::write::{Durability, append_line};
use crate::run_dir::{BatchDir, RunDir, Workspace, scan};
use crate::runner::hooks::{Hooks, Occasion, Place};
use crate::runner::interrupt::Interrupts;
use crate::runner::tracked::Tracked;
use crate::runner::view::View;
use crate::runner::{RunnerOptions, alerts};

/// Tells of them and waits for the hooks, no longer than their timeout; a signal ends the waiting.
pub(super) async fn tell(
    workspace: &Workspace,
    options: &RunnerOptions,
    runs: &[Tracked],
    interrupts: &mut Interrupts,
) {
    let untold = runs.iter().filter_map(|run| Some((run, unheard(workspace, run)?.1)));
    let untold: Vec<_> = untold.filter(|(_, events)| !events.is_empty()).collect();
    let ended = runs.iter().filter_map(|run| Some((run, late::untold(workspace, run)?)));
    let ended: Vec<_> = ended.collect();
    let is_news = !untold.is_empty() || !ended.is_empty();
    let Some(batch) = scan::batches(workspace).pop().filter(|_| is_news) else { return };
    let place = Place { workspace: workspace.clone(), host: scan::host(), batch: batch.name() };
    let hooks = Hooks::new(&options.settings.hooks, place);
    let mut teller = Teller { batch, hooks, view: View::open(options.style) };
    for (run, events) in untold {
        for event in events {
            if let What::Alert { message, rule, action } = &event.what {
                teller.alert(&run.dir, rule.as_deref(), event.step, message, *action);
            }
        }
    }
    for (run, end) in ended {
        teller.event(late::EVENT, Some(&run.dir), &late::message(&end));
        teller.view.say(&late::line(run, &end));
        if let Some(occasion) = late::occasion(run, &end.why) {
            teller.hooks.tell(&occasion);
        }
    }
    teller.finish(interrupts).await;
}

struct Teller {
    batch: BatchDir,
    hooks: Hooks,
    view: View,
}

impl Teller {
    fn alert(&mut self, dir: &RunDir, rule: Option<&str>, step: u64, message: &str, action: Option<Action>) {
        let line = alerts::line(Some(step), rule, message, action);
        self.event(alerts::EVENT, Some(dir), &line);
        self.view.say(&format!("alert    {}/{} {line}", dir.experiment(), dir.name()));
        self.hooks.tell(&Occasion::alert(Some(dir), rule.unwrap_or(alerts::UNRULED), &line));
    }

    fn event(&self, event: &str, run: Option<&RunDir>, message: &str) {
        let line = BatchEvent {
            time: scan::now(),
            event: event.to_owned(),
            experiment: run.map(RunDir::experiment),
            run: run.map(RunDir::name),
            message: message.to_owned(),
        };
        // Where the disk takes no line, it is told once more the next time.
        drop(append_line(&self.batch.events(), &line, Durability::Rebuildable));
    }

    async fn finish(mut self, interrupts: &mut Interrupts) {
        let latest = Instant::now() + self.hooks.longest();
        while !self.hooks.is_done() {
            tokio::select! {
                news = self.hooks.news() => {
                    let (event, words) = news.said();
                    self.event(event, None, &words);
                    if let Err(why) = &news.outcome {
                        self.view.say(&format!("hook     {} failed: {why}", news.hook));
                    }
                }
                _ = interrupts.next() => break,
                () = tokio::time::sleep_until(latest.into()) => break,
            }
        }
        self.hooks.abandon();
    }
}
