//! `/metrics`: the workspace in numbers for Prometheus, the machine and its GPUs only while somebody looks
//! at them. GPUs have the names, labels and units of NVIDIA's DCGM exporter, so that dashboards made for
//! it show these too.

pub(super) mod families;
mod gpus;
mod text;

use schemars::{Schema, SchemaGenerator, json_schema};

use self::families as of;
use self::text::{Exposition, Format};
use super::batch::{Machine, Work, holder};
use super::call::{Call, Reply};
use super::health::counted;
use super::problem::Problem;
use super::route::{Access, Route};
use super::runs::STATUSES;
use crate::report::catalog::{self, Listed, Runs};
use crate::run_dir::records::Progress;
use crate::run_dir::{Workspace, read, scan};

pub(super) const ROUTE: Route = Route {
    path: "/metrics",
    name: "scrape",
    summary: "Numbers for Prometheus; in OpenMetrics for those who ask for it.",
    parameters: &[],
    refusals: &[],
    access: Access::Reader,
    content: &[(text::PLAIN, text_schema), (text::OPEN_METRICS, text_schema)],
    answer,
};

/// Live runs beyond these are counted, not told one by one: each makes series that are kept for weeks.
const MOST_RUNS: usize = 100;

fn text_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string" })
}

fn answer(call: &Call) -> Result<Reply, Problem> {
    let format = Format::asked(call.asked.accept.unwrap_or_default());
    let workspace = &call.api.workspace;
    let mut text = Exposition::new(format);
    text.one(&of::BUILD, &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    let is_built = catalog::is_built(workspace);
    text.one(&of::REPORT_BUILT, &[], f64::from(u8::from(is_built)));
    let has_failed = call.api.changes.problem().is_some();
    text.one(&of::REPORT_FAILED, &[], f64::from(u8::from(has_failed)));
    text.one(&of::RUNNER, &[], f64::from(u8::from(holder(workspace).is_some())));
    if let Ok(runs) = call.api.index.runs() {
        statuses(&mut text, &runs);
        live(&mut text, workspace, &runs);
    }
    if let Some(work) = Work::newest(workspace) {
        batch(&mut text, &work);
        let machine = work.machine();
        if work.is_at_work && machine.is_fresh(scan::now()) {
            this_machine(&mut text, &work.batch.host, &machine);
            gpus::told(&mut text, &work.batch, &machine);
        }
    }
    Ok(Reply::Now { content_type: format.content_type(), body: text.finish().into_bytes() })
}

fn statuses(text: &mut Exposition, runs: &Runs) {
    let counts = counted(runs);
    // A state that nobody is in is zero: a series that ends would look like a server that is gone.
    for word in STATUSES {
        text.one(&of::RUNS, &[("state", word)], counts.get(word).copied().unwrap_or(0) as f64);
    }
    for (word, count) in counts.iter().filter(|(word, _)| !STATUSES.contains(&word.as_str())) {
        text.one(&of::RUNS, &[("state", word)], *count as f64);
    }
    text.one(&of::QUEUE, &[], counts.get("waiting").copied().unwrap_or(0) as f64);
}

fn live(text: &mut Exposition, workspace: &Workspace, runs: &Runs) {
    let all: Vec<&Listed> = runs.values().map(|listed| &**listed).filter(|run| run.is_live()).collect();
    text.one(&of::LEFT_OUT, &[], all.len().saturating_sub(MOST_RUNS) as f64);
    let told = all.into_iter().take(MOST_RUNS);
    let progress = |run: &Listed| -> Option<Progress> {
        read::json_if_there(&workspace.run(&run.experiment, &run.run).progress()).ok().flatten()
    };
    let told: Vec<(&Listed, Option<Progress>)> = told.map(|run| (run, progress(run))).collect();
    let mut each = |family, value: &dyn Fn(&Listed, Option<&Progress>) -> Option<f64>| {
        for (run, progress) in &told {
            if let Some(value) = value(run, progress.as_ref()) {
                text.one(family, &[("experiment", &run.experiment), ("run", &run.run)], value);
            }
        }
    };
    each(&of::STEP, &|run, progress| Some(progress.map_or(run.step, |progress| progress.step) as f64));
    each(&of::STEPS, &|run, progress| Some(progress.map_or(run.steps, |progress| progress.steps) as f64));
    each(&of::LOSS, &|_, progress| progress?.loss.map(|loss| loss.0));
    each(&of::STEP_RATE, &|_, progress| progress?.steps_per_second);
    each(&of::REMAINING, &|_, progress| progress?.remaining_seconds);
    each(&of::HEARD, &|_, progress| Some(progress?.time));
    for (run, progress) in &told {
        if let Some((metric, rate)) = progress.as_ref().and_then(|progress| progress.rate.as_ref()) {
            let labels = [("experiment", &*run.experiment), ("run", &*run.run), ("rate", metric)];
            text.one(&of::RATE, &labels, *rate);
        }
    }
}

fn batch(text: &mut Exposition, work: &Work) {
    text.one(&of::BATCH_START, &[], work.batch.start);
    // While it works it has no end; that of the one before would be wrong.
    if let Some(end) = work.batch.end {
        text.one(&of::BATCH_END, &[], end);
    }
    if let Some(code) = work.batch.exit_code {
        text.one(&of::BATCH_EXIT, &[], f64::from(code));
    }
    if let Some(joules) = work.batch.energy_joules {
        text.one(&of::BATCH_ENERGY, &[], joules);
    }
}

fn this_machine(text: &mut Exposition, host: &str, machine: &Machine) {
    let columns = [
        (&of::CPU, "cpu_percent", 0.01),
        (&of::MEMORY, "memory_bytes", 1.0),
        (&of::DISK_FREE, "disk_free_bytes", 1.0),
    ];
    for (family, column, unit) in columns {
        if let Some(value) = machine.value(column) {
            text.one(family, &[("host", host)], value * unit);
        }
    }
}
