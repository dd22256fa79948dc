//! Deletes what the workspace's rules let go, after each run, where `overnight.toml` asks for it. A
//! thread does it, one pass at a time: thousands of directories and a slow disk hold up no run.

use std::collections::BTreeSet;

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
}

impl Retention {
    pub fn new(workspace: &Workspace, settings: &RetentionSettings) -> Retention {
        Retention {
            workspace: workspace.clone(),
            rules: settings.apply.then(|| Rules::from(settings)),
            scope: Scope::All,
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
        let (workspace, news, scope) = (self.workspace.clone(), self.news.0.clone(), self.scope.clone());
        let pass = move || {
            let cleaned = apply(&workspace, &rules, &scope);
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
