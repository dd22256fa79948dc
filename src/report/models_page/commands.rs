//! What one can type with a checkpoint: only verbs that this program has, and only where they do something
//! for this run as it stands.

use serde::Serialize;

use super::super::stock::Kept;
use super::super::summary::RunSummary;
use crate::experiment::settings::{Task, Which};

/// A line to copy, and what it is for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Command {
    pub purpose: &'static str,
    pub text: String,
}

/// The commands for one checkpoint of a run; `has_verb` says which verbs the program has.
pub fn commands(run: &RunSummary, kept: &Kept, has_verb: impl Fn(&str) -> bool) -> Vec<Command> {
    let name = quoted(&run.key());
    let step = kept.step;
    let newest = run.stock.checkpoints.last().is_some_and(|newest| newest.step == step);
    let mut commands = Vec::new();
    let mut add = |purpose, verb: &str, text: String| {
        if verb.is_empty() || has_verb(verb) {
            commands.push(Command { purpose, text });
        }
    };
    if run.stock.task == Some(Task::LanguageModel) {
        add("generate text", "generate", format!("overnight generate {name}"));
    }
    match (run.state.word.as_str(), newest) {
        ("paused" | "stopped", true) => add("go on from here", "resume", format!("overnight resume {name}")),
        ("paused" | "stopped" | "failed" | "killed", _) => {
            add("go on from here", "retry", format!("overnight retry {name} --from {step}"));
        }
        ("waiting" | "lost", true) => add("go on from here", "run", "overnight run".to_owned()),
        _ => {}
    }
    let file = format!("{}.html", run.run);
    add("send its report", "export", format!("overnight export {name} -o {}", quoted(&file)));
    if !run.is_active() && run.state.word != "waiting" {
        add("delete the run", "clean", format!("overnight clean {name} --yes"));
    }
    commands
}

/// What an experiment file says to begin with these weights.
pub fn begin_with(run: &RunSummary, kept: &Kept) -> String {
    let which = toml(&Which::file_of(kept.step));
    format!("[weights]\nfrom = {}\nfile = {which}", toml(&run.key()))
}

fn toml(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// For a shell, in which some characters mean something.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=+,:@%".contains(c);
    match word.chars().all(is_plain) && !word.starts_with('-') {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Cli;
    use crate::report::models_page::tests::run;

    fn typed(task: Task, word: &str, step: u64) -> Vec<String> {
        let run = run("pre", "s1", task, word);
        let kept = run.stock.checkpoints.iter().find(|kept| kept.step == step).unwrap();
        commands(&run, kept, |_| true).into_iter().map(|command| command.text).collect()
    }

    #[test]
    fn each_state_has_the_commands_that_do_something_there() {
        let (export, clean) = ("overnight export pre/s1 -o s1.html", "overnight clean pre/s1 --yes");
        let generate = "overnight generate pre/s1";
        let images = Task::ImageClassification;
        assert_eq!(typed(Task::LanguageModel, "finished", 20), [generate, export, clean]);
        assert_eq!(typed(images, "finished", 20), [export, clean], "images are not generated");
        assert_eq!(typed(images, "running", 20), [export], "a live run cannot be deleted");
        assert_eq!(typed(images, "paused", 20), ["overnight resume pre/s1", export, clean]);
        assert_eq!(typed(images, "stopped", 10)[0], "overnight retry pre/s1 --from 10", "goes back");
        assert_eq!(typed(images, "failed", 20)[0], "overnight retry pre/s1 --from 20");
        assert_eq!(typed(images, "waiting", 20), ["overnight run", export]);
    }

    #[test]
    fn what_stands_on_the_page_can_be_typed() {
        let has = super::super::has_verb;
        for word in ["finished", "running", "paused", "stopped", "failed", "killed", "waiting", "lost"] {
            for task in [Task::LanguageModel, Task::ImageClassification] {
                let run = run("pre", "s1", task, word);
                for kept in &run.stock.checkpoints {
                    for Command { text, .. } in commands(&run, kept, has) {
                        let parsed = Cli::try_parse_from(text.split(' '));
                        assert!(parsed.is_ok(), "{text}: {}", parsed.unwrap_err());
                    }
                }
            }
        }
        assert!(has("clean") && !has("fly"));
    }

    #[test]
    fn odd_names_are_quoted_for_the_shell_and_for_toml() {
        assert_eq!(quoted("pre/lr3e-4-s1"), "pre/lr3e-4-s1");
        assert_eq!(quoted("a b'c"), r"'a b'\''c'");
        assert_eq!(quoted("$(rm)"), "'$(rm)'");
        assert_eq!(quoted("--yes"), "'--yes'");
        let run = run("pre", "s\"1", Task::LanguageModel, "finished");
        let text = begin_with(&run, &run.stock.checkpoints[0]);
        let parsed: toml::Table = text.parse().unwrap();
        assert_eq!(parsed["weights"]["from"].as_str(), Some("pre/s\"1"));
        assert_eq!(parsed["weights"]["file"].as_str(), Some("checkpoints/step-00000010/model.safetensors"));
    }
}
