//! How the state of a run moves: pure functions from what was seen to what the next checkpoint says.

use std::fmt;

use overnight::experiment::metric::direction_of;
use overnight::experiment::settings::Settings;
use overnight::run_dir::PROTOCOL;
use overnight::run_dir::checkpoint::{Best, Reduction, State, Window, chained};
use overnight::run_dir::number::Number;

use crate::journal::fp32;
use crate::losses::StepNumbers;

/// The state before the first step.
pub fn fresh() -> State {
    State {
        protocol: PROTOCOL,
        step: 0,
        epoch: 0.0,
        model_hash: String::new(),
        optimizer_hash: String::new(),
        metrics_length: 0,
        elapsed_seconds: 0.0,
        history: String::new(),
        best: None,
        stale_evaluations: 0,
        stop_best: None,
        lr_factor: 1.0,
        reductions: Vec::new(),
        alerts: Vec::new(),
        due: Vec::new(),
        window: Window::default(),
        last: Default::default(),
    }
}

/// A step whose loss or gradient is not a finite number.
#[derive(Debug, Clone, PartialEq)]
pub struct NotFinite {
    pub step: u64,
    pub loss: f32,
    pub grad_norm: f32,
    /// The last loss that was finite.
    pub last_finite: Option<f64>,
    /// When the learning rate was lowered, for who takes the steps again.
    pub reductions: Vec<Reduction>,
    /// The first tensor that was not finite, in words, once somebody found it.
    suspect: Option<String>,
}

impl NotFinite {
    pub fn with_suspect(self, suspect: Option<String>) -> NotFinite {
        NotFinite { suspect, ..self }
    }
}

impl fmt::Display for NotFinite {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        if self.loss.is_finite() {
            write!(out, "the gradient of step {} is not finite (its norm is {})", self.step, self.grad_norm)?;
        } else {
            write!(out, "the loss of step {} is {}", self.step, self.loss)?;
        }
        match (self.last_finite, self.step) {
            (Some(last), step) => write!(out, "; the last finite loss was {last} at step {}", step - 1)?,
            (None, _) => write!(out, "; no loss before it is known")?,
        }
        match &self.suspect {
            Some(suspect) => write!(out, "; the first tensor that is not finite: {suspect}")?,
            None => write!(out, "; a replay found every tensor finite up to there")?,
        }
        write!(out, " (a lower learning rate, a longer warm-up, or clipping may help)")
    }
}

/// Takes in the numbers of steps, up to the first that is not finite.
pub fn absorb(state: &mut State, numbers: &[StepNumbers], examples_per_step: u64) -> Option<NotFinite> {
    for number in numbers {
        if !number.loss.is_finite() || !number.grad_norm.is_finite() {
            let this = number.loss.is_finite().then(|| f64::from(number.loss));
            return Some(NotFinite {
                step: number.step,
                loss: number.loss,
                grad_norm: number.grad_norm,
                last_finite: state.window.last_loss.or(this),
                reductions: state.reductions.clone(),
                suspect: None,
            });
        }
        state.history = chained(&state.history, &number.loss.to_bits().to_le_bytes());
        let window = &mut state.window;
        window.steps += 1;
        window.loss += f64::from(number.loss);
        window.grad_norm += f64::from(number.grad_norm);
        if let Some(correct) = number.correct {
            window.correct += correct;
            window.examples += examples_per_step;
        }
        window.last_loss = Some(fp32(f64::from(number.loss)));
    }
    None
}

/// The means over the steps since the last row, by metric; the next row starts afresh.
pub fn means(state: &mut State) -> Vec<(&'static str, f64)> {
    let Window { steps, loss, grad_norm, correct, examples, last_loss } = state.window;
    state.window = Window { last_loss, ..Window::default() };
    let mut means = Vec::new();
    if steps > 0 {
        means.push(("train/loss", fp32(loss / steps as f64)));
        means.push(("grad_norm", fp32(grad_norm / steps as f64)));
    }
    if examples > 0 {
        means.push(("train/accuracy", fp32(correct as f64 / examples as f64)));
    }
    means
}

/// Holds the metrics of an evaluation against the best so far: for the best checkpoint (whether this is
/// one), and for stopping early.
pub fn judge(state: &mut State, settings: &Settings, metrics: &[(&str, f64)]) -> bool {
    let value_of = |name: &str| metrics.iter().find(|(metric, _)| *metric == name).map(|(_, value)| *value);
    if let Some(stop) = &settings.stop
        && let Some(value) = value_of(&stop.metric)
    {
        let before = state.stop_best.map_or(f64::NAN, |Number(best)| best);
        if direction_of(&stop.metric).is_better(value, before) {
            state.stop_best = Some(Number(value));
            state.stale_evaluations = 0;
        } else {
            state.stale_evaluations += 1;
        }
    }
    let metric = &settings.checkpoint.best;
    let Some(value) = value_of(metric) else { return false };
    let before = state.best.as_ref().map_or(f64::NAN, |best| best.value);
    let improved = direction_of(metric).is_better(value, before);
    if improved {
        state.best = Some(Best { metric: metric.clone(), value, step: state.step });
    }
    improved
}

/// Why the run ends here although steps are left, if it does.
pub fn early_stop(state: &State, settings: &Settings) -> Option<String> {
    let stop = settings.stop.as_ref()?;
    let Number(best) = state.stop_best?;
    let metric = &stop.metric;
    if let Some(target) = stop.target
        && (best == target || direction_of(metric).is_better(best, target))
    {
        return Some(format!("{metric} reached {best}, the target is {target}"));
    }
    let patience = stop.patience?;
    let patient = state.stale_evaluations < patience;
    (!patient).then(|| format!("{metric} did not get better than {best} in {patience} evaluations"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use overnight::experiment::settings::*;

    fn settings(stop: Stop) -> Settings {
        Settings {
            weights: None,
            data: Data::Shapes(Shapes::default()),
            model: Model::Mlp(Mlp::default()),
            train: Train::default(),
            evaluate: Evaluate::default(),
            checkpoint: Checkpoint::default(),
            sample: Sample::default(),
            stop: Some(stop),
            resources: Resources::default(),
        }
    }

    fn number(step: u64, loss: f32) -> StepNumbers {
        StepNumbers { step, loss, grad_norm: 1.0, correct: Some(3) }
    }

    #[test]
    fn a_row_averages_over_its_steps_however_they_were_fetched() {
        let (mut once, mut twice) = (fresh(), fresh());
        let numbers = [number(1, 2.0), number(2, 1.0), number(3, 0.1)];
        assert_eq!(absorb(&mut once, &numbers, 4), None);
        assert_eq!(absorb(&mut twice, &numbers[..1], 4), None);
        assert_eq!(absorb(&mut twice, &numbers[1..], 4), None);
        assert_eq!(once, twice);
        let means = means(&mut once);
        assert!(means.contains(&("train/accuracy", 0.75)), "{means:?}");
        assert_eq!(once.window.steps, 0);
    }

    #[test]
    fn a_loss_that_is_not_finite_is_named_with_the_last_one_that_was() {
        let mut state = fresh();
        let found = absorb(&mut state, &[number(1, 2.5), number(2, f32::NAN)], 4).unwrap();
        let story = found.with_suspect(Some("the output of h.0".to_owned())).to_string();
        assert!(
            story.starts_with("the loss of step 2 is NaN; the last finite loss was 2.5 at step 1;"),
            "{story}"
        );
        assert!(story.contains("not finite: the output of h.0"), "{story}");
        assert_eq!(state.window.steps, 1, "what was finite counts");
    }

    #[test]
    fn the_history_depends_on_every_bit_of_every_loss() {
        let mut histories = Vec::new();
        for last in [1.0, 1.0 + f32::EPSILON] {
            let mut state = fresh();
            absorb(&mut state, &[number(1, 2.0), number(2, last)], 4);
            histories.push(state.history);
        }
        assert_ne!(histories[0], histories[1]);
    }

    #[test]
    fn a_run_stops_after_its_patience_and_goes_on_when_something_improves() {
        let settings = settings(Stop { patience: Some(2), ..Stop::default() });
        let mut state = fresh();
        let mut stops = Vec::new();
        for value in [3.0, 2.0, 2.5, 1.9, 2.1, f64::NAN] {
            judge(&mut state, &settings, &[("val/loss", value)]);
            stops.push(early_stop(&state, &settings).is_some());
        }
        assert_eq!(stops, [false, false, false, false, false, true]);
    }

    #[test]
    fn a_run_stops_at_its_target_whichever_way_is_better() {
        let stop = Stop { metric: "val/accuracy".to_owned(), patience: None, target: Some(0.9) };
        let settings = settings(stop);
        let mut state = fresh();
        judge(&mut state, &settings, &[("val/accuracy", 0.8)]);
        assert_eq!(early_stop(&state, &settings), None);
        judge(&mut state, &settings, &[("val/accuracy", 0.9)]);
        assert!(early_stop(&state, &settings).is_some_and(|why| why.contains("the target is 0.9")));
    }

    #[test]
    fn the_best_is_the_best_and_not_the_latest() {
        let settings = settings(Stop::default());
        let mut state = fresh();
        let improved: Vec<bool> = [(1, 2.0), (2, 3.0), (3, 2.0), (4, 1.0)]
            .map(|(step, value)| {
                state.step = step;
                judge(&mut state, &settings, &[("val/loss", value)])
            })
            .to_vec();
        assert_eq!(improved, [true, false, false, true]);
        assert_eq!(state.best.map(|best| best.step), Some(4));
    }
}
