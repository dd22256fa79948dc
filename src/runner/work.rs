//! The loop of a batch: observe, decide, carry out, tell; until nothing is left. All decisions are in
//! [`schedule`](super::schedule); all that is remembered here can be found again on disk.

mod acts;
mod alerts;
mod beginning;
mod deciding;
mod ends;
mod farewell;
mod finishing;
mod gauging;
mod keeping;
mod late;
mod measure;
mod outside;
mod preparing;
mod unheard;
mod waiting;

use std::collections::HashSet;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::awake::Awake;
use super::batch::{Batch, FoundBefore};
use super::breaker::Breaker;
use super::devices::Devices;
use super::division::Processor;
use super::estimate::Rates;
use super::fresh_report::FreshReport;
use super::gauges::Gauges;
use super::gpu_memory::GpuMemories;
use super::hold::Hold;
use super::hooks::Hooks;
use super::interrupt::{Ending, Interrupts};
use super::kernel::MemoryWatch;
use super::left_out::LeftOut;
use super::outcome::{LeftRun, Outcome};
use super::preparing::KnownData;
use super::program::Program;
use super::retention::Retention;
use super::room::{Room, Space};
use super::rota::Rota;
use super::schedule::{Action, Decision, Slot, Standing};
use super::skips::Skips;
use super::terminal::Terminal;
use super::tracked::{self, Tracked};
use super::view::{Facts, View};
use super::whereabouts::Whereabouts;
use super::words::Words;
use super::{Afterwards, RunnerError, RunnerOptions, Selection, tell};
use crate::run_dir::records::RunnerLock;
use crate::run_dir::{RunDir, Workspace, scan};
use farewell::Farewells;
use measure::Findings;

/// Time between two looks at the run directories.
const TICK: Duration = Duration::from_millis(500);

/// Works the selected runs; the workspace is held by the caller.
///
/// # Errors
/// There is no worker to start, the batch's directory cannot be written to, or the workspace was moved or
/// removed meanwhile.
pub async fn work(
    workspace: &Workspace,
    options: &RunnerOptions,
    hold: &mut Hold,
) -> Result<Outcome, RunnerError> {
    let outcome = batches(workspace, options, hold).await;
    // Whatever went wrong then, went wrong for this.
    hold.is_there()?;
    outcome
}

async fn batches(
    workspace: &Workspace,
    options: &RunnerOptions,
    hold: &mut Hold,
) -> Result<Outcome, RunnerError> {
    let mut interrupts = Interrupts::listen()?;
    let mut terminal = Terminal::listen(options.terminal)?;
    let mut farewells = Farewells::default();
    let mut outcome = batch(workspace, options, hold, &mut interrupts, &mut terminal, &mut farewells).await?;
    // Whoever queued something while hooks and the report were waited for was told that a runner is at work.
    while options.afterwards == Afterwards::End && outcome.batch.is_some() && outcome.goes_on() {
        let come = waiting::come_since(workspace, &outcome.known);
        if come.is_empty() {
            break;
        }
        let late = RunnerOptions { selection: Selection::Runs(come), ..options.clone() };
        let next = batch(workspace, &late, hold, &mut interrupts, &mut terminal, &mut farewells).await?;
        let has_begun = next.batch.is_some();
        outcome = outcome.followed_by(next);
        if !has_begun {
            break;
        }
    }
    while options.afterwards == Afterwards::Wait && outcome.goes_on() {
        hold.is_there()?;
        drop(hold.name(RunnerLock::WAITS));
        terminal.waits();
        waiting::say_what_is_held(options, &outcome);
        let all = RunnerOptions { selection: Selection::All, ..options.clone() };
        let whereabouts = hold.whereabouts();
        let found =
            waiting::found_work(workspace, &all, &outcome.left, &whereabouts, &mut interrupts, &mut terminal);
        if !found.await {
            farewells.abandon().await;
            return Ok(outcome);
        }
        outcome = batch(workspace, &all, hold, &mut interrupts, &mut terminal, &mut farewells).await?;
    }
    farewells.finish(&mut interrupts).await;
    Ok(outcome)
}

/// One life of the runner: from work found to nothing left.
async fn batch(
    workspace: &Workspace,
    options: &RunnerOptions,
    hold: &mut Hold,
    interrupts: &mut Interrupts,
    terminal: &mut Terminal,
    farewells: &mut Farewells,
) -> Result<Outcome, RunnerError> {
    let host = scan::host();
    let runs = waiting::selected(workspace, options, &host);
    if waiting::is_idle(&runs, options) {
        unheard::tell(workspace, options, &runs, interrupts).await;
        let outcome = Outcome::of(&runs, None, Ending::Open, &Decision::default());
        return Ok(outcome.judged(&runs, &options.selection));
    }
    let program = Program::find()?;
    tokio::select! {
        answer = program.shake_hands() => answer?,
        _ = interrupts.next() => return Ok(Outcome::of(&runs, None, Ending::Asked, &Decision::default())),
    }
    if !waiting::waited_for_room(workspace, options, interrupts).await {
        return Ok(Outcome::of(&runs, None, Ending::Asked, &Decision::default()));
    }
    let devices = Devices::find();
    hold.is_there()?;
    let work = Work::begin(workspace, options, hold.whereabouts(), runs, program, devices)?;
    // A courtesy to those who ask; a disk that takes no name takes no runs either, and says so.
    drop(hold.name(&work.batch.name()));
    terminal.begun(work.batch.dir());
    work.go(interrupts, terminal, farewells).await
}

struct Work<'a> {
    workspace: &'a Workspace,
    whereabouts: Whereabouts,
    options: &'a RunnerOptions,
    host: String,
    boot: String,
    cpu_name: String,
    program: Program,
    devices: Devices,
    /// Model names of the GPUs, by position.
    gpus: Vec<String>,
    slots: Vec<Slot>,
    memories: GpuMemories,
    processor: Processor,
    /// What earlier batches measured.
    found: FoundBefore,
    runs: Vec<Tracked>,
    rates: Rates,
    ending: Ending,
    breaker: Breaker,
    /// A person asked for the end after the current runs.
    draining: bool,
    /// Workers were killed because of a second signal.
    has_ended_workers: bool,
    /// Runs that were there before and are not this batch's.
    left_out: LeftOut,
    skips: Skips,
    comings: scan::Comings,
    rota: Rota,
    batch: Batch,
    report: Option<FreshReport>,
    gauges: Gauges,
    /// Runs that ended on a GPU just now, whose error may still come.
    just_ended: Vec<gauging::JustEnded>,
    hooks: Hooks,
    retention: Retention,
    words: Words,
    begun: Instant,
    sampled: Option<Instant>,
    memory: MemoryWatch,
    /// Whether the disk of `runs/` has room, and what it had when last looked at.
    room: Room,
    space: Option<Space>,
    view: View,
    ended: (UnboundedSender<Ended>, UnboundedReceiver<Ended>),
    /// What data files hold that are not as they were queued.
    known_data: KnownData,
    findings: (UnboundedSender<Findings>, UnboundedReceiver<Findings>),
    /// What the probe on a GPU has found, until the driver was asked what it holds meanwhile.
    found_of_gpu: Option<measure::Answered>,
    /// What is being tried out; it ends with the batch.
    probes: JoinSet<()>,
    /// An adopted worker has ended.
    gone: Arc<Notify>,
    awake: Awake,
}

/// A child of ours has ended.
struct Ended {
    dir: RunDir,
    status: std::io::Result<ExitStatus>,
}

impl<'a> Work<'a> {
    async fn go(
        mut self,
        interrupts: &mut Interrupts,
        terminal: &mut Terminal,
        farewells: &mut Farewells,
    ) -> Result<Outcome, RunnerError> {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.name_what_is_left_alone();
        for index in 0..self.runs.len() {
            // Those that live are caught up with when they are adopted.
            if !self.runs[index].seen.status.is_running() {
                self.catch_up(index);
                self.catch_up_end(index);
            }
        }
        let decision = loop {
            if self.whereabouts.are_left() {
                return self.leave();
            }
            self.observe();
            self.catch_up_with_ends();
            self.end_probes();
            let now = Instant::now();
            self.gauge(now);
            let standings = self.standings(now);
            let decision = self.decide(&standings, now);
            self.tell(&decision, &standings, now);
            if decision.done {
                break decision;
            }
            let mut look_again = false;
            for action in &decision.actions {
                look_again |= self.carry_out(*action).await;
            }
            self.count_passes(&decision, now);
            if look_again {
                continue;
            }
            tokio::select! {
                // Of a worker whose directory is gone nothing is to be written.
                Some(ended) = self.ended.1.recv() => if !self.whereabouts.are_left() {
                    self.ended(ended);
                },
                Some(findings) = self.findings.1.recv() => self.heard(findings),
                () = self.gone.notified() => {}
                interrupt = interrupts.next() => self.interrupted(interrupt),
                news = terminal.next() => self.terminal_changed(news, terminal),
                news = self.hooks.news() => news.tell(&mut self.batch, &mut self.view),
                cleaned = self.retention.news() => cleaned.tell(&mut self.batch, &mut self.view),
                said = self.words.news() => said.tell(&mut self.view),
                _ = tick.tick() => {}
            }
        };
        self.finish(&decision, interrupts, farewells).await
    }

    fn observe(&mut self) {
        let now = Instant::now();
        let turn = self.rota.turn(self.runs.len(), now, TICK);
        let hinted = turn.is_some() && self.comings.any(self.workspace);
        let turn = turn.unwrap_or_default();
        if hinted {
            // What was there before and is not among the chosen stays out; what is queued from now on
            // belongs to this batch.
            let all = scan::runs_of_ours(self.workspace).into_iter();
            let known: HashSet<&RunDir> = self.runs.iter().map(|run| &run.dir).collect();
            let new = all.filter(|dir| !known.contains(dir) && !self.left_out.dirs.contains(dir));
            let mut new: Vec<Tracked> = new.map(|dir| Tracked::new(dir, &self.host)).collect();
            tracked::in_order_of_age(&mut new);
            new.iter().for_each(|run| self.memories.learn(run));
            self.runs.extend(new);
        }
        self.look_for_drain();
        self.memory.look(now);
        self.look_at_room();
        for index in 0..self.runs.len() {
            let run = &mut self.runs[index];
            let is_looked_at = hinted || run.due || run.is_followed() || turn.contains(&index);
            if !is_looked_at {
                continue;
            }
            run.look(&self.host, now);
            if run.worker.is_some() {
                tell::learn_partial_rate(&mut self.rates, run);
            }
            self.hear_alerts(index);
            self.take_put_off(index);
            self.end_adopted(index);
            if self.runs[index].is_to_be_adopted() {
                self.adopt(index, now);
            }
        }
        self.follow_adopted();
        self.skip(hinted);
        self.tend_preparations(now);
        // Stable: runs of one priority keep their order.
        self.runs.sort_by_key(|run| std::cmp::Reverse(run.priority()));
    }

    /// Whether the directories must be looked at again before waiting for news.
    async fn carry_out(&mut self, action: Action) -> bool {
        let (Action::Start { run, .. }
        | Action::AskToEnd { run }
        | Action::Probe { run, .. }
        | Action::Divide { run, .. }
        | Action::Kill { run, .. }
        | Action::Close { run }) = action;
        self.runs[run].due = true;
        match action {
            Action::Start { run, slot } => self.start(run, slot).await,
            Action::Probe { run, gpu } => self.probe(run, gpu),
            Action::Divide { run, runs } => self.divide(run, runs),
            Action::AskToEnd { run } => self.ask_to_end(run),
            Action::Kill { run, cause } => self.kill(run, cause),
            Action::Close { run } => self.close(run).await,
        }
    }

    /// Notes which waiting runs were passed by those that have just started.
    fn count_passes(&mut self, decision: &Decision, now: Instant) {
        for (waiting, by) in &decision.passed {
            if self.runs[*by].worker.is_some() {
                self.runs[*waiting].is_passed(now);
            }
        }
    }

    fn name_what_is_left_alone(&mut self) {
        if let Some(at) = self.options.at.filter(|at| *at > scan::now()) {
            self.view.say(&format!("nothing is started before {}", super::clock(at)));
        }
        for run in &self.runs {
            let standing = tracked::standing(&run.seen, None, self.options.failed);
            if standing == Standing::Left && !run.seen.status.is_running() {
                self.view.say(&LeftRun::of(run, None).line());
            }
        }
    }

    fn tell(&mut self, decision: &Decision, standings: &[Standing], now: Instant) {
        // What is asked of a probe changes the reasons at once.
        let is_passing = decision
            .actions
            .iter()
            .any(|action| matches!(action, Action::Probe { .. } | Action::Divide { .. }));
        if (self.batch.queue_is_due(now) && !is_passing) || decision.done {
            let mut state = tell::queue_state(
                &self.runs,
                standings,
                &self.places(decision),
                decision,
                &self.rates,
                scan::now(),
            );
            state.drain = self.draining || !self.ending.is_open();
            state.breaker = self.breaker.tripped();
            state.energy_joules = self.gauges.joules();
            self.batch.write_queue(now, &state);
            self.view.update(now, Facts::of(&state, tell::live_runs(&self.runs)));
            self.keep_awake(now);
            if let Some(report) = &mut self.report {
                report.tend(self.workspace, &mut self.batch);
            }
        }
    }
}
