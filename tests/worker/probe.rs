//! Probes: they tell how fast a run is and what it takes, and leave no trace in its directory.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use overnight::experiment::settings::*;
use overnight::run_dir::RunDir;
use overnight::run_dir::records::{Device, ProbeOrders, ProbeResult, Start, exit};
use rustix::process::{Pid, Signal, kill_process};

use crate::fixture::{TestRun, gpt, image_classification, language_model, libtorch};

fn orders(run: &TestRun) -> String {
    let train = &language_model().train;
    let start = Start {
        attempt: 1,
        time: 0.0,
        batch: None,
        host: "here".to_owned(),
        boot: String::new(),
        device: Device::Cpu { name: "a processor".to_owned() },
        precision: Precision::Fp32,
        threads: 1,
        micro_batch: train.batch_size,
        accumulate: 1,
        libtorch: "2.11.0".to_owned(),
        checkpoint: None,
        weights: None,
        text: Vec::new(),
        data: None,
        why: String::new(),
    };
    let record = overnight::run_dir::read::run_record(&run.dir).unwrap();
    let start = Start { micro_batch: record.settings.train.batch_size, ..start };
    serde_json::to_string(&ProbeOrders { start, seconds: 0.2 }).unwrap()
}

fn command(run: &TestRun) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_overnight-worker"));
    command.arg("probe").arg(run.dir.path()).arg(orders(run));
    command.env("LD_LIBRARY_PATH", libtorch().join("lib")).env("GOMP_SPINCOUNT", "1000");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What the probe says once it has timed its steps; it then goes on.
fn answer(probe: &mut Child) -> ProbeResult {
    let mut line = String::new();
    BufReader::new(probe.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}, {}", said(probe)))
}

fn said(probe: &mut Child) -> String {
    let mut words = String::new();
    probe.stderr.as_mut().unwrap().read_to_string(&mut words).unwrap();
    words
}

/// Hashes of every file below the run's directory, and of its folders' names.
fn contents(run: &RunDir) -> BTreeMap<String, String> {
    fn add(folder: &Path, found: &mut BTreeMap<String, String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.to_string_lossy().into_owned();
            if path.is_dir() {
                add(&path, found);
                found.insert(name, "a folder".to_owned());
            } else {
                let hash = blake3::hash(&std::fs::read(&path).unwrap());
                found.insert(name, hash.to_hex().to_string());
            }
        }
    }
    let mut found = BTreeMap::new();
    add(run.path(), &mut found);
    found
}

#[test]
fn a_probe_says_how_fast_its_steps_are_and_leaves_the_run_as_it_was() {
    for settings in [language_model(), image_classification()] {
        let run = TestRun::new(settings);
        run.kill_after_rows(15);
        let before = contents(&run.dir);
        assert!(before.len() > 5, "an attempt left something to be spoiled: {before:?}");

        let mut probe = command(&run).spawn().unwrap();
        let found = answer(&mut probe);
        assert!(found.steps_per_second > 0.0 && found.steps_per_second.is_finite(), "{found:?}");
        assert!(found.steps >= 3 && found.seconds >= 0.2, "{found:?}");
        assert!(found.process_memory_bytes > 1 << 20, "{found:?}");
        assert_eq!(found.peak_device_bytes, None, "there is no GPU");
        assert!(probe.try_wait().unwrap().is_none(), "it goes on until it is let go");
        drop(probe.stdin.take());
        assert_eq!(probe.wait().unwrap().code(), Some(exit::FINISHED), "{}", said(&mut probe));
        assert_eq!(contents(&run.dir), before);
    }
}

#[test]
fn a_probe_that_is_asked_to_end_ends_without_a_trace() {
    let run = TestRun::new(language_model());
    let before = contents(&run.dir);
    let mut probe = command(&run).spawn().unwrap();
    answer(&mut probe);
    kill_process(Pid::from_child(&probe), Signal::TERM).unwrap();
    // Waiting would close it, and an end that was not asked for looks otherwise.
    let _held = probe.stdin.take();
    assert_eq!(probe.wait().unwrap().code(), Some(exit::ENDED_AS_ASKED), "{}", said(&mut probe));
    assert_eq!(contents(&run.dir), before);
}

#[test]
fn a_probe_that_memory_does_not_suffice_for_says_so_by_its_exit_code() {
    let mut settings = language_model();
    // Its tensors alone take more than the process may have.
    gpt(&mut settings).width = 4096;
    gpt(&mut settings).layers = 8;
    let run = TestRun::new(settings);
    let before = contents(&run.dir);
    let plain = command(&run);
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -v 3000000 && exec \"$0\" \"$@\""]).arg(plain.get_program());
    limited.args(plain.get_args()).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    limited.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut probe = limited.spawn().unwrap();
    let words = said(&mut probe);
    assert_eq!(probe.wait().unwrap().code(), Some(exit::OUT_OF_DEVICE_MEMORY), "{words}");
    assert_eq!(contents(&run.dir), before);
}
