use std::time::Instant;

use serde_json::json;

use super::webhook::{Letter, letter};
use super::*;
use crate::run_dir::{RunDir, Workspace};
use crate::workspace_settings::hooks::{CommandLine, Form, On};

fn hook(words: &[&str], timeout_seconds: u32) -> HookSettings {
    HookSettings {
        on: vec![On::Alert],
        command: Some(CommandLine::Program(words.iter().map(|word| (*word).to_owned()).collect())),
        webhook: None,
        form: Form::Json,
        headers: Default::default(),
        desktop: false,
        timeout_seconds,
    }
}

fn place() -> Place {
    Place { workspace: Workspace::new("/"), host: "box".to_owned(), batch: "b".to_owned() }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

#[test]
fn every_fact_is_a_variable_that_a_program_can_be_given() {
    let mut occasion = Occasion::alert(Some(&RunDir::new("/w/runs/x/s1")), "val/loss > 5", "it\0rose");
    occasion.fact("best", json!({ "value": 0.5, "step": 7 }));
    occasion.fact("long", json!("ä".repeat(100_000)));
    let variables = occasion.told(&place()).variables();
    let value = |name: &str| &variables.iter().find(|(known, _)| known == name).expect(name).1;
    assert_eq!(value("OVERNIGHT_EVENT"), "alert");
    assert_eq!(value("OVERNIGHT_RUN"), "x/s1");
    assert_eq!(value("OVERNIGHT_RULE"), "val/loss > 5");
    assert_eq!(value("OVERNIGHT_MESSAGE"), "itrose");
    assert_eq!((value("OVERNIGHT_BEST_VALUE").as_str(), value("OVERNIGHT_BEST_STEP").as_str()), ("0.5", "7"));
    assert_eq!(value("OVERNIGHT_LONG").chars().count(), 8192);
}

#[test]
fn what_others_take_for_markup_is_only_text() {
    let told = Occasion::alert(None, "rule", "a < b & <!channel>\nsecond").told(&place());
    let slack = letter(Form::Slack, &told);
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&slack.body).unwrap(),
        json!({ "text": "*alert*\na &lt; b &amp; &lt;!channel&gt;\nsecond" })
    );
    let ntfy = letter(Form::Ntfy, &told);
    let headers = [("Title", "alert"), ("Priority", "high"), ("Tags", "warning")];
    assert_eq!(
        ntfy,
        Letter {
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            body: "a < b & <!channel>\nsecond".to_owned(),
        }
    );
}

#[test]
fn more_than_can_wait_is_left_out_and_said_to_be() {
    let mut hooks = Hooks::new(&[hook(&["sleep", "600"], 3600)], place());
    for _ in 0..AT_ONCE + WAITING + 10 {
        hooks.tell(&Occasion::alert(None, "rule", "message"));
    }
    let news = block_on(hooks.news());
    assert_eq!(news.hook, "command sleep 600, on alert");
    assert_eq!(news.outcome, Err("left out: 64 others wait already".to_owned()));
    assert!(hooks.abandon() > AT_ONCE);
}

#[test]
fn what_is_abandoned_is_ended_also_when_it_begins_later() {
    let groups = Groups::default();
    let told = Occasion::alert(None, "rule", "message").told(&place());
    let words = ["sleep".to_owned(), "600".to_owned()];
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let running = scope.spawn(|| command::run(&words, &told, Duration::from_secs(600), &groups));
        groups.abandon();
        assert_eq!(running.join().unwrap(), Err("ended by SIGKILL (9)".to_owned()));
    });
    assert_eq!(
        command::run(&words, &told, Duration::from_secs(600), &groups),
        Err("ended by SIGKILL (9)".to_owned())
    );
    assert!(begun.elapsed() < Duration::from_secs(500), "neither slept to its end");
}

#[test]
fn a_command_that_talks_without_end_is_ended_and_its_last_words_are_few() {
    let told = Occasion::alert(None, "rule", "message").told(&place());
    let outcome = command::run(&["yes".to_owned()], &told, Duration::from_secs(1), &Groups::default());
    assert_eq!(outcome, Err("ended after 1.0 s: it hung".to_owned()));
    let script = "yes | head -c 100000; echo the end; exit 7";
    let words = ["sh", "-c", script].map(str::to_owned);
    let outcome = command::run(&words, &told, Duration::from_secs(60), &Groups::default());
    assert_eq!(outcome, Err("exit code 7: the end".to_owned()));
}

#[test]
fn facts_that_nobody_reads_hold_nobody_up() {
    let mut occasion = Occasion::alert(None, "rule", "message");
    occasion.fact("long", json!("x".repeat(1_000_000)));
    let told = occasion.told(&place());
    let outcome = command::run(&["true".to_owned()], &told, Duration::from_secs(60), &Groups::default());
    assert_eq!(outcome, Ok(()));
}
