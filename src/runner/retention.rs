//! Deletes what the workspace's rules let go, after each run, where `overnight.toml` asks for it. A
//! thread does it, one pass at a time: thousands of directories and a slow disk hold up no run.

use std::collections::BTreeSet;

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::batch::Batch;
use super::view::View;
use crate::clean::{self, Carried, Part, Removal, Rules};
use crate::run_dir::{RunDir, Workspace, scan};
use crate::say;
use crate::workspace_settings::RetentionSettings;

/// The rules of a batch, and whether they are being applied.
pub struct Retention {
    workspace: Workspace,
    /// None where nobody asked for it.
    rules: Option<Rules>,
    scope: Scope,
    begun: Clocks,
    has_doubted: bool,
    is_at_work: bool,
    news: (UnboundedSender<Cleaned>, UnboundedReceiver<Cleaned>),
}

/// What the next pass looks at. All runs of a large workspace take seconds, and only time makes those
/// of other experiments go: they are looked at once a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Scope {
    All,
    Experiments(BTreeSet<String>),
}

/// What one pass came to.
#[derive(Debug, Default)]
pub struct Cleaned {
    removed: Vec<Removal>,
    errors: Vec<String>,
    /// Why runs are not deleted by their age.
    doubt: Option<String>,
}

/// What the machine's clocks show, in seconds: the time of day, which anybody may set, and the time since
/// it was switched on, which runs through sleep too and cannot be set.
#[derive(Debug, Clone, Copy)]
struct Clocks {
    wall: f64,
    boot: f64,
}

/// More than the corrections of a night make.
const DRIFT_SECONDS: f64 = 300.0;

impl Clocks {
    fn now() -> Clocks {
        let boot = clock_gettime(ClockId::Boottime);
        Clocks { wall: scan::now(), boot: boot.tv_sec as f64 + boot.tv_nsec as f64 / 1e9 }
    }
}

/// Why nobody can say how old anything is, if the time of day was set since `begun`.
fn doubt(begun: Clocks, now: Clocks) -> Option<String> {
    let drift = (now.wall - begun.wall) - (now.boot - begun.boot);
    (drift.abs() > DRIFT_SECONDS).then(|| {
        let way = if drift > 0.0 { "ahead" } else { "back" };
        let by = say::duration(drift.abs());
        format!("the clock jumped {way} by {by}: no run is deleted by its age until it is right again")
    })
}

/// The rules without those that a doubtful clock would mislead, and whether there was one of them.
fn trusted(rules: Rules, is_doubtful: bool) -> (Rules, bool) {
    let by_age = rules.older_than_days;
    (Rules { older_than_days: by_age.filter(|_| !is_doubtful), ..rules }, by_age.is_some())
}

impl Retention {
    pub fn new(workspace: &Workspace, settings: &RetentionSettings) -> Retention {
        Retention {
            workspace: workspace.clone(),
            rules: settings.apply.then(|| Rules::from(settings)),
            scope: Scope::All,
            begun: Clocks::now(),
            has_doubted: false,
            is_at_work: false,
            news: unbounded_channel(),
        }
    }

    /// A run has ended: the rules may let something go. Returns at once.
    pub fn run_ended(&mut self, run: &RunDir) {
        if let Scope::Experiments(experiments) = &mut self.scope {
            experiments.insert(run.experiment());
        }
        self.begin();
    }

    /// Begins a pass, unless one is at work; the next one begins when that has ended.
    fn begin(&mut self) {
        let Some(rules) = self.rules.clone().filter(|_| !self.is_at_work) else { return };
        let doubt = doubt(self.begun, Clocks::now());
        let rules = trusted(rules, doubt.is_some());
        // It is said once, and stays true for a while.
        let doubt = doubt.filter(|_| rules.1 && !std::mem::replace(&mut self.has_doubted, true));
        let rules = rules.0;
        let (workspace, news, scope) = (self.workspace.clone(), self.news.0.clone(), self.scope.clone());
        let pass = move || {
            let cleaned = Cleaned { doubt, ..apply(&workspace, &rules, &scope) };
            // Nobody listens any more when the runner ends.
            drop(news.send(cleaned));
        };
        // Without a thread the next run that ends tries again.
        if std::thread::Builder::new().name("retention".to_owned()).spawn(pass).is_ok() {
            self.scope = Scope::Experiments(BTreeSet::new());
            self.is_at_work = true;
        }
    }

    /// What the next pass came to; never, while none is at work.
    pub async fn news(&mut self) -> Cleaned {
        let Some(cleaned) = self.news.1.recv().await else { return std::future::pending().await };
        self.is_at_work = false;
        if self.scope != Scope::Experiments(BTreeSet::new()) {
            self.begin();
        }
        cleaned
    }

    /// Whether nothing is being deleted.
    pub fn is_done(&self) -> bool {
        !self.is_at_work
    }
}

fn apply(workspace: &Workspace, rules: &Rules, scope: &Scope) -> Cleaned {
    let (runs, outside) = match scope {
        Scope::All => (clean::observe(workspace), clean::leftovers(workspace, scan::now())),
        Scope::Experiments(those) => {
            (clean::observe_those(workspace, |experiment| those.contains(experiment)), Vec::new())
        }
    };
    let mut cleaned = Cleaned::default();
    for removal in clean::decide(&runs, &outside, rules).removals {
        match clean::carry_out(&removal, rules) {
            Ok(Carried::Gone) => cleaned.removed.push(removal),
            // Whatever keeps it now, the next pass looks again.
            Ok(Carried::Alive | Carried::Obsolete) => {}
            Err(error) => cleaned.errors.push(error.to_string()),
        }
    }
    cleaned
}

impl Cleaned {
    /// In the batch's diary each thing by itself; where a person looks, their sum.
    pub fn tell(&self, batch: &mut Batch, view: &mut View) {
        for removal in &self.removed {
            let run = match &removal.of {
                Part::Whole(run, _) | Part::Checkpoint(run) | Part::Leftover(Some(run)) => Some(run),
                Part::Leftover(None) => None,
            };
            let name = removal.path.file_name().unwrap_or_default().to_string_lossy();
            let freed = say::bytes(removal.bytes);
            batch.event("deleted", run, &format!("{name} ({freed}): {}", removal.reason));
        }
        if let Some(doubt) = &self.doubt {
            batch.event("clock-jumped", None, doubt);
            view.say(&format!("kept     {doubt}"));
        }
        for error in &self.errors {
            batch.event("not-deleted", None, error);
            view.say(&format!("kept     {error}"));
        }
        if !self.removed.is_empty() {
            let bytes = say::bytes(self.removed.iter().map(|removal| removal.bytes).sum());
            let things = say::counted(self.removed.len(), "thing", "things");
            view.say(&format!("cleaned  {things}, {bytes} (as overnight.toml says; each is in runner.log)"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_run_is_deleted_by_its_age_while_the_clock_stands_elsewhere_than_it_should() {
        let begun = Clocks { wall: 1_795_215_600.0, boot: 50.0 };
        let after = |wall: f64, boot: f64| {
            let now = Clocks { wall: begun.wall + wall, boot: begun.boot + boot };
            let by_age = Rules { older_than_days: Some(30.0), best: Some(2), ..Rules::default() };
            let doubt = doubt(begun, now);
            let (rules, _) = trusted(by_age, doubt.is_some());
            assert_eq!(rules.best, Some(2), "the other rules hold");
            (rules.older_than_days, doubt.map(|words| words[..24].to_owned()))
        };
        let trusted = (Some(30.0), None);
        assert_eq!(after(0.0, 0.0), trusted);
        assert_eq!(after(36_000.0, 36_000.0), trusted, "a night");
        assert_eq!(after(36_100.0, 36_000.0), trusted, "a correction");
        assert_eq!(after(36_300.0, 36_000.0), trusted, "the largest");
        assert_eq!(after(36_301.0, 36_000.0), (None, Some("the clock jumped ahead b".into())));
        assert_eq!(
            after(36_000.0 + 40.0 * 86_400.0, 36_000.0),
            (None, Some("the clock jumped ahead b".into()))
        );
        assert_eq!(after(-3600.0, 60.0), (None, Some("the clock jumped back by".into())));
    }
}
