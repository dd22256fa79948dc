//! An import that is killed at any place, or finds the disk full, and is asked again.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

use overnight::run_dir::{self, RunDir, scan};

use super::events;
use crate::workspace::Workspace;

/// More calls than an import makes.
const MOST_CALLS: usize = 400;

/// The stand-in; none, with a printed reason, where there is no C compiler.
fn dying() -> Option<String> {
    let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join("libdies.so");
    // Another run of these tests may be loading the one that is there.
    let building = library.with_extension(format!("building-{}", std::process::id()));
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/import/dies.c");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-w", "-o"]).arg(&building).arg(source);
    let is_there =
        compiler.status().is_ok_and(|status| status.success()) && fs::rename(&building, &library).is_ok();
    if !is_there {
        println!("skipped: no C compiler (cc) to build the stand-in for a full disk");
    }
    is_there.then(|| library.to_string_lossy().into_owned())
}

fn source(workspace: &Workspace, steps: std::ops::Range<i64>) {
    fs::create_dir_all(workspace.path("old")).unwrap();
    let text: Vec<u8> = steps.flat_map(|step| events::record(&events::of_everything(step))).collect();
    fs::write(workspace.path("old/events.out.tfevents.1700000000.host"), text).unwrap();
}

fn runs(workspace: &Workspace) -> Vec<RunDir> {
    scan::runs(&run_dir::Workspace::new(workspace.path(".")))
}

/// What a run holds, but for the moments at which it was imported.
fn contents(run: &RunDir) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for folder in [run.path().to_owned(), run.samples()] {
        for entry in fs::read_dir(folder).unwrap().flatten().filter(|entry| entry.path().is_file()) {
            let name = entry.file_name().to_string_lossy().into_owned();
            // What was being replaced when it was killed is cleaned away after a while.
            if !name.starts_with(".new-")
                && name != "alive.lock"
                && name != "run.json"
                && name != "import.json"
            {
                found.insert(name, fs::read(entry.path()).unwrap());
            }
        }
    }
    assert!(run_dir::read::run_record(run).is_ok());
    found
}

/// Imports with the stand-in at this call; whether it came to it.
fn is_interrupted(workspace: &Workspace, library: &str, at: usize, is_full: bool) -> bool {
    let mut command = workspace.command(&["import", "old", "--experiment", "x"]);
    let below = fs::canonicalize(workspace.path(".")).unwrap().join("runs");
    command.env("LD_PRELOAD", library).env("DIES_BELOW", &below).env("DIES_AT", at.to_string());
    if is_full {
        command.env("DIES_FULL", "1");
    }
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if is_full && !output.status.success() {
        assert!(output.status.code() == Some(1) && said.contains("No space left"), "{at}: {said}");
        return true;
    }
    assert!(output.status.success() || output.status.signal() == Some(9), "{at}: {said}");
    !output.status.success()
}

#[test]
fn an_import_that_was_cut_at_any_place_and_is_asked_again_has_everything_once() {
    let Some(library) = dying() else { return };
    let whole = |steps: i64| {
        let done = Workspace::new();
        source(&done, 0..steps);
        done.overnight(&["import", "old", "--experiment", "x"]).code(0);
        contents(&runs(&done)[0])
    };
    let (first, grown) = (whole(20), whole(40));
    assert!(first.contains_key("distributions.csv") && first.keys().any(|name| name.ends_with(".png")));
    for is_full in [false, true] {
        for is_new in [true, false] {
            let wanted = if is_new { &first } else { &grown };
            let mut at = 1;
            loop {
                let one = Workspace::new();
                source(&one, 0..20);
                if !is_new {
                    one.overnight(&["import", "old", "--experiment", "x"]).code(0);
                    source(&one, 0..40);
                }
                let was_interrupted = is_interrupted(&one, &library, at, is_full);
                one.overnight(&["import", "old", "--experiment", "x"]).code(0);
                let found = runs(&one);
                assert_eq!(found.len(), 1, "call {at}, full {is_full}, new {is_new}");
                assert!(contents(&found[0]) == *wanted, "call {at}, full {is_full}, new {is_new}");
                let again = one.overnight(&["import", "old", "--experiment", "x"]).code(0);
                assert!(again.stdout.contains("nothing new, "), "{}", again.stdout);
                if !was_interrupted {
                    break;
                }
                // Every place at first, then some: they are alike.
                at += 1 + at / 8;
            }
            assert!((5..MOST_CALLS).contains(&at), "call {at}");
        }
    }
}
