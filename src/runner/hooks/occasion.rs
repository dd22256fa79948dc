//! What hooks are told of, and the three forms of it: JSON, variables, and a title with a message.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::run_dir::budgets::Verdict;
use crate::run_dir::records::RunResult;
use crate::run_dir::{RunDir, Workspace, read, scan};
use crate::runner::{Outcome, tell};
use crate::say;
use crate::workspace_settings::hooks::On;

/// Something that happened and that others may want to know.
#[derive(Debug, Clone, PartialEq)]
pub struct Occasion {
    pub on: On,
    /// A few words: `x/s1 failed`.
    pub title: String,
    /// A sentence.
    pub message: String,
    /// All that is known beside that, by name; a map in a map is a group of facts.
    pub facts: Map<String, Value>,
}

/// Where a batch is at work.
#[derive(Debug, Clone)]
pub struct Place {
    pub workspace: Workspace,
    pub host: String,
    /// The batch's name.
    pub batch: String,
}

/// An occasion as hooks are told it.
#[derive(Debug, Clone)]
pub struct Told {
    pub on: On,
    pub title: String,
    pub message: String,
    /// One JSON object.
    pub facts: Value,
    /// Where commands work.
    pub folder: PathBuf,
}

impl Occasion {
    /// A run has ended for good: `word` is its status, `why` the end of its last attempt.
    pub fn run_ended(run: &RunDir, word: &str, why: &str, result: Option<&RunResult>) -> Occasion {
        let name = name(run);
        let on = if result.is_some() { On::RunFinished } else { On::RunFailed };
        let message = match result {
            Some(result) => format!("{name} {word}{}", tell::achieved(result)),
            None if why.is_empty() => format!("{name} {word}"),
            None => format!("{name} {word}: {why}"),
        };
        let mut occasion = Occasion::of(on, format!("{name} {word}"), message);
        occasion.about(run);
        occasion.fact("status", json!(word));
        occasion.fact("why", json!(why));
        if let Some(result) = result {
            occasion.fact("step", json!(result.step));
            occasion.fact("elapsed_seconds", json!(result.elapsed_seconds));
        }
        if let Some(best) = result.and_then(|result| result.best.as_ref()) {
            let best = json!({ "metric": best.metric, "value": number(best.value), "step": best.step });
            occasion.fact("best", best);
        }
        occasion
    }

    /// A rule of alerts holds; without a run it is about the machine.
    pub fn alert(run: Option<&RunDir>, rule: &str, message: &str) -> Occasion {
        let title = run.map_or_else(|| "alert".to_owned(), |run| format!("alert for {}", name(run)));
        let mut occasion = Occasion::of(On::Alert, title, message.to_owned());
        if let Some(run) = run {
            occasion.about(run);
        }
        occasion.fact("rule", json!(rule));
        occasion
    }

    /// The batch is over. `best` is the best of the runs that finished in it, with its result.
    pub fn batch_finished(
        outcome: &Outcome,
        best: Option<(&RunDir, &RunResult)>,
        seconds: f64,
        report: Option<&Path>,
    ) -> Occasion {
        let mut counts: Map<String, Value> = Map::new();
        counts.insert("finished".to_owned(), json!(outcome.finished_now));
        for run in &outcome.left {
            let count = counts.get(run.status.word()).and_then(Value::as_u64).unwrap_or(0);
            counts.insert(run.status.word().to_owned(), json!(count + 1));
        }
        let shown: Vec<String> = counts.iter().map(|(word, count)| format!("{count} {word}")).collect();
        let exit_code = outcome.exit() as u8;
        let mut message = format!("{} in {}", shown.join(", "), say::duration(seconds));
        let best = best.and_then(|(run, result)| Some((name(run), result.best.as_ref()?)));
        if let Some((run, best)) = &best {
            message += &format!("; best {run}: {} {:.4}", best.metric, best.value);
        }
        message += &missed_words(&outcome.missed);
        message += &format!(" (exit code {exit_code})");
        let mut occasion = Occasion::of(On::BatchFinished, "batch finished".to_owned(), message);
        occasion.fact("counts", Value::Object(counts));
        occasion.fact("exit_code", json!(exit_code));
        occasion.fact("seconds", json!(seconds));
        if let Some((run, best)) = best {
            let value = number(best.value);
            let best = json!({ "run": run, "metric": best.metric, "value": value, "step": best.step });
            occasion.fact("best", best);
        }
        if !outcome.missed.is_empty() {
            let missed = outcome.missed.iter().map(
                |(run, verdict)| json!({ "run": name(run), "budget": verdict.budget, "found": verdict.found }),
            );
            occasion.fact("missed", missed.collect());
        }
        if let Some(report) = report {
            occasion.fact("report", json!(report));
        }
        occasion
    }

    fn of(on: On, title: String, message: String) -> Occasion {
        Occasion { on, title, message, facts: Map::new() }
    }

    fn about(&mut self, run: &RunDir) {
        self.fact("run", json!(name(run)));
        self.fact("experiment", json!(run.experiment()));
        self.fact("directory", json!(run.path()));
        if let Ok(record) = read::run_record(run) {
            self.fact("description", json!(record.description));
            self.fact("notes", json!(record.notes));
            self.fact("tags", json!(record.tags.join(" ")));
        }
    }

    /// One more thing that is known.
    pub fn fact(&mut self, name: &str, value: Value) {
        self.facts.insert(name.to_owned(), value);
    }

    /// The occasion with all that hooks are told beside it.
    pub fn told(&self, place: &Place) -> Told {
        let folder = place.workspace.root().to_owned();
        let mut facts = Map::new();
        facts.insert("event".to_owned(), json!(self.on.to_string()));
        facts.insert("title".to_owned(), json!(self.title));
        facts.insert("message".to_owned(), json!(self.message));
        facts.insert("time".to_owned(), json!(scan::now()));
        facts.insert("host".to_owned(), json!(place.host));
        facts.insert("workspace".to_owned(), json!(folder));
        facts.insert("batch".to_owned(), json!(place.batch));
        facts.extend(self.facts.clone());
        Told {
            on: self.on,
            title: self.title.clone(),
            message: self.message.clone(),
            facts: Value::Object(facts),
            folder,
        }
    }
}

impl Told {
    /// `OVERNIGHT_EVENT`, `OVERNIGHT_RUN`, `OVERNIGHT_BEST_VALUE`, ...: each fact by itself.
    pub fn variables(&self) -> Vec<(String, String)> {
        let mut variables = Vec::new();
        collect("OVERNIGHT", &self.facts, &mut variables);
        variables
    }
}

/// Budgets that a notice names; the others are counted.
const MOST_BUDGETS: usize = 3;

/// Which runs missed what, behind the other words of a batch's end.
fn missed_words(missed: &[(RunDir, Verdict)]) -> String {
    let named = missed.iter().take(MOST_BUDGETS);
    let mut words: Vec<String> =
        named.map(|(run, verdict)| format!("missed {}: {}", name(run), verdict.line())).collect();
    if let more @ 1.. = missed.len().saturating_sub(MOST_BUDGETS) {
        words.push(format!("{more} more missed"));
    }
    words.iter().map(|words| format!("; {words}")).collect()
}

/// More does not go into a program's environment; all of it is on its standard input.
const MOST_CHARACTERS: usize = 8192;

fn collect(name: &str, value: &Value, variables: &mut Vec<(String, String)>) {
    let text = match value {
        Value::Object(facts) => {
            for (key, value) in facts {
                collect(&format!("{name}_{}", key.to_uppercase()), value, variables);
            }
            return;
        }
        Value::String(text) => text.chars().filter(|c| *c != '\0').take(MOST_CHARACTERS).collect(),
        other => other.to_string(),
    };
    variables.push((name.to_owned(), text));
}

fn name(run: &RunDir) -> String {
    format!("{}/{}", run.experiment(), run.name())
}

/// JSON has no number that is not finite; there it is spelt out, as everywhere here.
fn number(value: f64) -> Value {
    json!(crate::run_dir::number::Number(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_batch_names_the_first_budgets_that_were_missed_and_counts_the_others() {
        let missed = |count: usize| -> Vec<(RunDir, Verdict)> {
            let verdict = |seed: usize| Verdict {
                budget: "val/loss < 1".to_owned(),
                found: format!("it was {seed}"),
                met: false,
                value: None,
            };
            (1..=count).map(|seed| (RunDir::new(format!("runs/x/s{seed}")), verdict(seed))).collect()
        };
        assert_eq!(missed_words(&missed(0)), "");
        assert_eq!(missed_words(&missed(1)), "; missed x/s1: val/loss < 1: it was 1");
        assert!(missed_words(&missed(5)).ends_with("missed x/s3: val/loss < 1: it was 3; 2 more missed"));
    }
}
