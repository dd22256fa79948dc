//! What a run measures and makes along the way: evaluations, rows of metrics, samples.

use std::collections::BTreeMap;

use overnight::run_dir::number::Number;
use overnight::run_dir::records::{Evaluation, Phase, Sample, What};
use overnight::run_dir::scan;
use overnight::run_dir::write::{Durability, make_folder, replace, replace_json};
use overnight::say;

use super::Training;
use super::due::Due;
use super::state::{self, NotFinite};
use crate::failure::Failure;
use crate::order::derived_seed;
use crate::task::Asked;
use crate::torch_ext;

/// Columns that say when and where, and are no result.
const PLACES: [&str; 4] = ["step", "epoch", "time", "elapsed"];

impl Training<'_> {
    /// Measures the model; the row of this step will hold it. `false` when it was asked to end.
    pub fn evaluate(&mut self, ended: &dyn Fn() -> bool) -> Result<bool, Failure> {
        self.progress.phase(Phase::Evaluating);
        let batches = self.record.settings.evaluation_batches();
        let asked = Asked { batches, at_once: self.learner.at_once() };
        self.measured = self.learner.without_gradients(|task| task.evaluate(asked, ended))?;
        let Some(measured) = &self.measured else { return Ok(false) };
        let metrics: BTreeMap<String, Number> =
            measured.metrics.iter().map(|(name, value)| ((*name).to_owned(), Number(*value))).collect();
        let evaluation = Evaluation {
            step: self.state.step,
            metrics: metrics.clone(),
            classes: measured.classes.clone(),
            confusion: measured.confusion.clone(),
        };
        replace_json(&self.dir.evaluation(), &evaluation, Durability::Rebuildable)?;
        self.journal.event(self.state.step, What::Evaluated { metrics })?;
        Ok(true)
    }

    /// Writes the row of this step. Gives whether its evaluation is the best so far.
    pub fn write_row(&mut self, due: Due) -> Result<bool, Failure> {
        self.claim.check()?;
        let mut cells = state::means(&mut self.state);
        if let Some(measured) = self.measured.take() {
            cells.extend(measured.metrics);
        }
        cells.push(("lr", self.rate_of(self.state.step)));
        let steps_per_second = self.clock.lap_rate();
        if let Some(steps_per_second) = steps_per_second {
            let rate = self.learner.task.rate();
            let units = rate.units_per_example * self.record.settings.examples_per_step();
            cells.push((rate.metric, (steps_per_second * units as f64).round()));
        }
        let improved = due.evaluation && state::judge(&mut self.state, &self.record.settings, &cells);
        for (name, value) in &cells {
            self.state.last.insert((*name).to_owned(), Number(*value));
        }
        self.append(&cells)?;
        self.progress.row(&cells, steps_per_second);
        self.watch_row(&cells)?;
        Ok(improved)
    }

    /// The row of a step whose loss is not finite, so that the curve shows where it broke off.
    pub fn write_bad_row(&mut self, found: &NotFinite) -> Result<(), Failure> {
        self.state.step = found.step;
        let norm = f64::from(found.grad_norm);
        self.append(&[("train/loss", f64::from(found.loss)), ("grad_norm", norm)])
    }

    fn append(&mut self, metrics: &[(&'static str, f64)]) -> Result<(), Failure> {
        let step = self.state.step;
        self.state.epoch = step as f64 / self.record.steps_per_epoch.max(1) as f64;
        let milliseconds = |seconds: f64| (seconds * 1e3).round() / 1e3;
        let places = [
            step as f64,
            self.state.epoch,
            milliseconds(scan::now()),
            milliseconds(self.clock.elapsed_seconds()),
        ];
        let mut cells: Vec<(&str, f64)> = PLACES.into_iter().zip(places).collect();
        cells.extend(metrics);
        self.journal.row(&cells)?;
        let words: Vec<String> =
            metrics.iter().map(|(name, value)| format!("{name} {}", say::value(*value))).collect();
        self.journal.say(&format!("step {step}  {}", words.join("  ")))?;
        Ok(())
    }

    /// Writes what the model produces now. `false` when it was asked to end.
    pub fn sample(&mut self, ended: &dyn Fn() -> bool) -> Result<bool, Failure> {
        self.progress.phase(Phase::Sampling);
        let step = self.state.step;
        torch_ext::seed(
            self.learner.device,
            derived_seed(self.record.settings.train.seed, "sample", step, 0),
        )?;
        // Nothing is learned from samples, and drawing tokens is faster without.
        torch_ext::set_deterministic(false)?;
        let sampled = self.learner.without_gradients(|task| task.sample(ended));
        torch_ext::set_deterministic(true)?;
        let Some(sampled) = sampled? else { return Ok(false) };
        if sampled.items.is_empty() {
            return Ok(true);
        }
        let folder = self.dir.samples();
        make_folder(&folder)?;
        if let Some(png) = &sampled.png {
            replace(&self.dir.sample_png(step), png, Durability::Rebuildable)?;
        }
        replace_json(
            &self.dir.sample_json(step),
            &Sample { step, items: sampled.items },
            Durability::Rebuildable,
        )?;
        self.journal.event(step, What::Sampled)?;
        Ok(true)
    }
}
