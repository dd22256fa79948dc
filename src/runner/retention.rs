//! Deletes what the workspace's rules let go, after each run, where `overnight.toml` asks for it. A
//! thread does it, one pass at a time: thousands of directories and a slow disk hold up no run.

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::batch::Batch;
use super::view::View;
use crate::clean::{self, Carried, Part, Removal, Rules};
use crate::run_dir::{Workspace, scan};
use crate::say;
use crate::workspace_settings::RetentionSettings;

/// The rules of a batch, and whether they are being applied.
pub struct Retention {
    workspace: Workspace,
    /// None where nobody asked for it.
    rules: Option<Rules>,
    state: State,
    news: (UnboundedSender<Cleaned>, UnboundedReceiver<Cleaned>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    AtWork,
    /// At work, and a run has ended since it began.
    DueAgain,
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
            state: State::Idle,
            news: unbounded_channel(),
        }
    }

    /// A run has ended: the rules may let something go. Returns at once.
    pub fn run_ended(&mut self) {
        self.state = match (&self.rules, self.state) {
            (None, _) => State::Idle,
            (Some(rules), State::Idle) => self.begin(rules.clone()),
            (Some(_), State::AtWork | State::DueAgain) => State::DueAgain,
        };
    }

    fn begin(&self, rules: Rules) -> State {
        let (workspace, news) = (self.workspace.clone(), self.news.0.clone());
        let pass = move || {
            let cleaned = apply(&workspace, &rules);
            // Nobody listens any more when the runner ends.
            drop(news.send(cleaned));
        };
        match std::thread::Builder::new().name("retention".to_owned()).spawn(pass) {
            Ok(_) => State::AtWork,
            // The next run that ends tries again.
            Err(_) => State::Idle,
        }
    }

    /// What the next pass came to; never, while none is at work.
    pub async fn news(&mut self) -> Cleaned {
        let Some(cleaned) = self.news.1.recv().await else { return std::future::pending().await };
        let is_due = self.state == State::DueAgain;
        self.state = State::Idle;
        if is_due {
            self.run_ended();
        }
        cleaned
    }

    /// Whether nothing is being deleted.
    pub fn is_done(&self) -> bool {
        self.state == State::Idle
    }
}

fn apply(workspace: &Workspace, rules: &Rules) -> Cleaned {
    let outside = clean::leftovers(workspace, scan::now());
    let mut cleaned = Cleaned::default();
    for removal in clean::decide(&clean::observe(workspace), &outside, rules).removals {
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
