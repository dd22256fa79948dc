//! `overnight generate` with a real worker: it writes what the run's own samples say, and touches nothing.

use std::fs;
use std::process::{Command, Stdio};

use overnight::experiment::settings::*;
use overnight::run_dir::records::{Sample as Written, SampleItem};
use overnight::run_dir::{read, step_name};
use serde_json::Value;

use crate::fixture::{TestRun, image_classification, language_model};

/// What a person would type after `overnight generate test/run`: exit code, results and talk.
fn generate(run: &TestRun, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_overnight"));
    command.arg("-C").arg(run.workspace().root()).arg("generate").arg("test/run").args(arguments);
    let output = command.env_remove("OVERNIGHT_WORKER").stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// A GPT that has taken samples of its likeliest words.
fn sampled() -> TestRun {
    let sample = Sample {
        prompts: vec!["one for".to_owned(), "seven".to_owned()],
        tokens: 24,
        temperature: 0.0,
        every: Every::Steps(20),
        ..Sample::default()
    };
    let run = TestRun::new(Settings { sample, ..language_model() });
    run.train();
    run
}

#[test]
fn a_checkpoint_writes_what_the_run_wrote_at_that_step_without_its_data() {
    let run = sampled();
    fs::remove_file(run.workspace().experiments().join("text.txt")).unwrap();
    let attempts = fs::read(run.dir.attempts()).unwrap();
    let path = run.dir.samples().join(step_name(60)).with_extension("json");
    let sampled: Written = read::json(&path).unwrap();

    let (code, stdout, stderr) = generate(&run, &["--step", "60", "--json"]);
    assert_eq!(code, Some(0), "{stderr}");
    let answer: Value = serde_json::from_str(&stdout).unwrap();
    let items: Vec<SampleItem> = serde_json::from_value(answer["items"].clone()).unwrap();
    assert_eq!(items, sampled.items);
    assert_eq!(fs::read(run.dir.attempts()).unwrap(), attempts, "nothing of the run is touched");

    let (code, stdout, stderr) = generate(&run, &["--step", "60", "-p", "one for"]);
    let SampleItem::Text { prompt, text, .. } = &sampled.items[0] else { panic!("{sampled:?}") };
    assert_eq!((code, stdout), (Some(0), format!("{prompt}{text}\n")), "{stderr}");
}

#[test]
fn texts_of_one_seed_are_the_same_and_others_differ() {
    let run = sampled();
    let write = |seed: &str| {
        let (code, stdout, stderr) =
            generate(&run, &["-p", "three", "-n", "2", "--temperature", "1.5", "--seed", seed]);
        assert_eq!(code, Some(0), "{stderr}");
        stdout
    };
    let first = write("1");
    assert_eq!(first, write("1"));
    assert_ne!(first, write("2"));
    let texts: Vec<&str> = first.split("---------------\n").collect();
    assert!(texts.len() == 2 && texts[0] != texts[1], "{first}");
}

#[test]
fn what_cannot_write_says_why() {
    let run = sampled();
    let (code, _, stderr) = generate(&run, &["--step", "7"]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("it has no checkpoint of step 7 (there are "), "{stderr}");
    let (code, _, stderr) = generate(&run, &["-p", "Ω"]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("the prompt cannot be read") && stderr.contains('Ω'), "{stderr}");
    let weights = run.dir.checkpoint(60).model();
    let mut bytes = fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&weights, bytes).unwrap();
    let (code, _, stderr) = generate(&run, &["--step", "60"]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("does not have the hash in its state (choose another)"), "{stderr}");
    assert!(weights.exists(), "and is left where it is");

    let images = TestRun::new(image_classification());
    images.train();
    let (code, _, stderr) = generate(&images, &[]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("no language model"), "{stderr}");
}
