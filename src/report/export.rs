//! One file with everything inside, to be sent to others: curves, values, settings, fingerprints.
//! It runs no script and loads nothing; its policy allows its own style by hash and nothing else.

mod private;

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::ReportError;
use super::experiment_page::{self, Weighed};
use super::files::RunFiles;
use super::model::Frame;
use super::run_page;
use super::say::Clock;
use super::summary::RunSummary;
use super::theme::Theme;
use crate::run_dir::metrics::Metrics;
use crate::run_dir::status::last_start;
use crate::run_dir::{RunDir, Workspace, scan};
use private::Private;

/// Whether the file says where and from what the runs were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surroundings {
    LeftOut,
    /// Host and the uncommitted changes as well, and paths as they are.
    Shown,
}

/// What the template of the exported file sees.
#[derive(Serialize)]
struct ExportPage {
    /// `YYYY-MM-DD HH:MM`, as the clock here shows it.
    made: String,
    experiments: Vec<Value>,
    runs: Vec<Value>,
}

/// One file to send.
pub struct Exported {
    pub html: String,
    /// What is wrong with the theme, if it was left out.
    pub warning: Option<String>,
}

/// These runs as one HTML file, in the theme of this name or the workspace's own.
///
/// # Errors
/// A template or the style of the workspace does not work.
pub fn export(
    workspace: &Workspace,
    dirs: &[RunDir],
    surroundings: Surroundings,
    theme: Option<&str>,
) -> Result<Exported, ReportError> {
    let theme = Theme::load(workspace, theme)?;
    let host = scan::host();
    let clock = Clock::here(scan::now());
    let mut by_experiment: BTreeMap<String, Vec<RunSummary>> = BTreeMap::new();
    let (mut runs, mut facts) = (Vec::new(), Vec::new());
    for dir in dirs {
        let files = RunFiles::read(dir, &host, clock.now, Metrics::default());
        let summary = RunSummary::of(&files, String::new());
        let page = run_page::page(&files, &summary, None, frame(&clock), &clock);
        let id = format!("run-{}/{}", summary.experiment, summary.run);
        let figure = page.figures.first();
        let last: BTreeMap<&String, _> = summary.last.iter().collect();
        runs.push(json!({
            "id": id, "name": page.full_name, "state": page.state, "say": page.say, "figure": figure,
            "facts": page.facts, "last": last, "settings": page.differing, "description": page.description,
        }));
        facts.push(recorded(&files, &summary, surroundings));
        by_experiment.entry(summary.experiment.clone()).or_default().push(summary);
    }
    let experiments = by_experiment.iter().map(|(name, summaries)| {
        let those: Vec<&RunSummary> = summaries.iter().collect();
        let page = experiment_page::page(name, &those, None, &Weighed::default(), frame(&clock), &clock);
        let (columns, rows) = (page.columns, page.rows);
        json!({ "name": name, "headline": page.headline, "say": page.say, "figures": page.figures,
                "columns": columns, "rows": rows })
    });
    let page = ExportPage { made: clock.now().text, experiments: experiments.collect(), runs };
    let in_page = |error| ReportError::Twin { page: "the exported file".into(), error };
    let mut page = serde_json::to_value(page).map_err(in_page)?;
    let mut facts = Value::Array(facts);
    if surroundings == Surroundings::LeftOut {
        let private = Private::here(workspace, host);
        private.leave_out(&mut page);
        private.leave_out(&mut facts);
    }
    let style = theme.assets().iter().find(|(path, _)| path.ends_with(".css"));
    let style = style.map_or_else(String::new, |(_, bytes)| String::from_utf8_lossy(bytes).into_owned());
    // Otherwise a `</script>` in a name would end the block.
    let facts = json!({ "format": 1, "program": env!("CARGO_PKG_VERSION"), "runs": facts });
    let facts = facts.to_string().replace('<', "\\u003c");
    let logo = theme.logo();
    let logo = format!("data:{};base64,{}", logo.media_type, STANDARD.encode(&logo.bytes));
    let hash = STANDARD.encode(Sha256::digest(style.as_bytes()));
    let whole = json!({ "page": page, "logo": logo, "style": style, "style_hash": hash, "facts": facts });
    let html = theme.render("export.html", &whole)?;
    Ok(Exported { html, warning: theme.warning().map(str::to_owned) })
}

/// Settings, seed, fingerprints and versions of a run, for programs.
fn recorded(files: &RunFiles, summary: &RunSummary, surroundings: Surroundings) -> Value {
    let record = files.seen.record.as_ref().ok();
    let environment = files.environment.as_ref();
    let mut facts = json!({
        "experiment": summary.experiment,
        "run": summary.run,
        "seed": summary.seed,
        "state": summary.state.word,
        "last": summary.last,
        "settings": record.map(|record| &record.settings),
        "data": environment.map(|known| &known.data),
        "program": environment.map(|known| &known.program),
        "libtorch": last_start(&files.seen.attempts).map(|start| &start.libtorch),
    });
    if surroundings == Surroundings::Shown {
        facts["environment"] = json!(environment);
    }
    facts
}

fn frame(clock: &Clock) -> Frame {
    let nothing = String::new;
    Frame {
        title: nothing(),
        root: nothing(),
        here: "",
        workspace: nothing(),
        host: nothing(),
        workspace_id: nothing(),
        logo: "",
        warning: None,
        active: false,
        built: clock.now(),
    }
}
