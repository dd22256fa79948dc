//! `overnight merge`: runs of several machines as one workspace, also while they grow.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use overnight::report::catalog::Catalog;
use overnight::run_dir::{self, RunDir, lock, read};
use serde_json::Value;

use crate::namespace::{mount_small_disk, with_own_mounts};
use crate::workspace::{Workspace, step, wait_until};

/// Every file below a folder with its bytes, hidden ones and locks aside.
fn all(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).into_iter().flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if path.is_dir() {
                folders.push(path);
            } else if name != "alive.lock" && !name.starts_with('.') {
                let below = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
                files.push((below, fs::read(&path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

fn merge(here: &Workspace, there: &Workspace, more: &[&str], code: i32) -> Value {
    let from = there.path("").display().to_string();
    let said = here.overnight(&[&["merge", from.as_str(), "--json"], more].concat()).code(code);
    serde_json::from_str(&said.stdout).unwrap()
}

/// What was done to each, by name.
fn did(merged: &Value, name: &str) -> String {
    let all = merged["merged"].as_array().unwrap();
    let one = all.iter().find(|one| one["name"].as_str().unwrap().starts_with(name));
    one.unwrap_or_else(|| panic!("{name} is not in {merged:#}"))["did"].as_str().unwrap().to_owned()
}

#[test]
fn runs_and_batches_of_another_workspace_are_taken_over_whole_and_once() {
    let here = Workspace::new().experiment("x", 4, &[1], "");
    let there = Workspace::new().experiment("x", 4, &[2], "").experiment("y", 4, &[1], "");
    here.run(&["experiments/x.toml"]).code(0);
    there.run(&["experiments/x.toml", "experiments/y.toml"]).code(0);
    let before = all(&there.path("runs"));
    let mine = all(&here.path("runs"));

    let planned = merge(&here, &there, &["--dry-run"], 0);
    assert_eq!((did(&planned, "x/").as_str(), planned["dry_run"].as_bool()), ("added", Some(true)));
    assert_eq!(all(&here.path("runs")), mine, "only said");

    // A killed merge left this.
    fs::create_dir(here.path("runs/x/.merge-dead")).unwrap();
    let merged = merge(&here, &there, &[], 0);
    assert_eq!((did(&merged, "x/"), did(&merged, "y/")), ("added".to_owned(), "added".to_owned()));
    assert!(!here.path("runs/x/.merge-dead").exists());
    let now = all(&here.path("runs"));
    // Both runs of x were the first of their workspace; here the later one is the second.
    let is_here = |file: &(String, Vec<u8>)| now.contains(file);
    let other: Vec<&String> = before.iter().filter(|file| !is_here(file)).map(|(name, _)| name).collect();
    assert!(other.len() == 1 && other[0].starts_with("x/") && other[0].ends_with("/run.json"), "{other:?}");
    let number = |seed| read::run_record(&here.seed("x", seed)).unwrap().number;
    assert_eq!((number(1), number(2)), (0, 1));
    assert!(mine.iter().all(is_here));
    assert_eq!(here.batches(), 2);
    assert_eq!(all(&there.path("runs")), before, "nothing there is changed");
    let again = merge(&here, &there, &[], 0);
    assert!(again["merged"].as_array().unwrap().iter().all(|one| one["did"] == "same"), "{again:#}");
    assert_eq!(here.words("x"), ["finished", "finished"]);
    here.overnight(&["merge", "nowhere"]).code(1).says("there is no runs/ in it");
    here.overnight(&["merge", "."]).code(1).says("is this workspace");
}

#[test]
fn a_run_that_still_grows_there_goes_on_growing_here() {
    let here = Workspace::new();
    let there = Workspace::new().experiment("x", 8, &[1], "await@5");
    let running = there.start(&["experiments/x.toml"]);
    wait_until("it stands at step 5", || there.runs("x").first().is_some_and(|run| step(run) == 5));
    merge(&here, &there, &[], 0);
    let (ours, theirs) = (here.seed("x", 1), there.seed("x", 1));
    assert!(!ours.result().exists());
    let begun = fs::read(ours.metrics()).unwrap();
    assert_eq!(begun, fs::read(theirs.metrics()).unwrap());
    // As a merge that was killed while it appended, and one that was cut there.
    fs::write(ours.metrics(), &begun[..begun.len() - 7]).unwrap();
    fs::write(theirs.path().join("go-on"), "").unwrap();
    running.wait().code(0);
    let merged = merge(&here, &there, &[], 0);
    assert_eq!(did(&merged, "x/"), "grown");
    assert!(merged.to_string().contains("go-on"), "a foreign file is told of, and left there: {merged}");
    let files =
        |run: &RunDir| all(run.path()).into_iter().filter(|(name, _)| name != "go-on").collect::<Vec<_>>();
    let older: Vec<String> = files(&theirs).into_iter().map(|(name, _)| name).collect();
    for (name, bytes) in files(&theirs) {
        assert_eq!(fs::read(ours.path().join(&name)).unwrap(), bytes, "{name} of {older:?}");
    }
    assert_eq!(here.words("x"), ["finished"]);
}

#[test]
fn a_run_that_was_killed_there_and_went_on_from_a_checkpoint_is_followed() {
    let here = Workspace::new();
    let there = Workspace::new().experiment("x", 8, &[1], "hold@5");
    let running = there.start(&["experiments/x.toml"]);
    wait_until("it stands at step 5", || there.runs("x").first().is_some_and(|run| step(run) == 5));
    merge(&here, &there, &[], 0);
    let (ours, theirs) = (here.seed("x", 1), there.seed("x", 1));
    // Its worker dies, and the next attempt cuts the row of step 5 and writes it anew, with another time.
    let process: i32 = fs::read_to_string(theirs.alive_lock()).unwrap().trim().parse().unwrap();
    let process = rustix::process::Pid::from_raw(process).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::KILL).unwrap();
    running.wait().code(0);
    assert_ne!(fs::read(ours.metrics()).unwrap(), fs::read(theirs.metrics()).unwrap());
    assert_eq!(did(&merge(&here, &there, &[], 0), "x/"), "grown");
    assert_eq!(fs::read(ours.metrics()).unwrap(), fs::read(theirs.metrics()).unwrap());
    assert_eq!(here.words("x"), ["finished"]);
    assert_eq!(did(&merge(&there, &here, &[], 0), "x/"), "same", "and the way back adds nothing");
}

#[test]
fn what_conflicts_is_told_and_left_out_or_kept_beside() {
    let here = Workspace::new().experiment("x", 4, &[1], "");
    let there = Workspace::new().experiment("x", 4, &[1], "");
    here.run(&["experiments/x.toml"]).code(0);
    there.run(&["experiments/x.toml"]).code(0);
    let mine = all(&here.path("runs"));
    let merged = merge(&here, &there, &[], 100);
    assert_eq!(did(&merged, "x/"), "conflict");
    assert!(
        merged.to_string().contains("it was trained here and there: attempts.jsonl differs from line 1 on")
    );
    assert_eq!(all(&here.path("runs")), mine, "nothing is overwritten");

    let merged = merge(&here, &there, &["--keep-both"], 0);
    assert_eq!(did(&merged, "x/"), "beside");
    let name = there.seed("x", 1).name();
    let kept = here.runs("x").into_iter().find(|run| run.name() == format!("{name}-2")).unwrap();
    let record = read::run_record(&kept).unwrap();
    assert_eq!((record.run, record.number), (format!("{name}-2"), 1));
    assert_eq!(fs::read(kept.metrics()).unwrap(), fs::read(there.seed("x", 1).metrics()).unwrap());
    // It is known again, also without the flag.
    for more in [&["--keep-both"][..], &[]] {
        assert_eq!(did(&merge(&here, &there, more, 0), "x/"), "same");
    }
    assert_eq!(here.runs("x").len(), 2);

    // Rows that somebody changed.
    let other = Workspace::new();
    merge(&other, &there, &[], 0);
    let metrics = other.seed("x", 1).metrics();
    let text = fs::read_to_string(&metrics).unwrap();
    fs::write(&metrics, text.replacen("\n2,", "\n7,", 1)).unwrap();
    let merged = merge(&other, &there, &[], 100).to_string();
    assert!(merged.contains("metrics.csv has other rows here and there, from line 3 on"), "{merged}");
}

#[test]
fn what_cannot_be_taken_over_is_left_where_it_is() {
    let here = Workspace::new();
    let there = Workspace::new().experiment("x", 4, &[1, 2, 3], "");
    there.run(&["experiments/x.toml"]).code(0);
    let [one, two, three] = [1, 2, 3].map(|seed| there.seed("x", seed));
    // Half copied; with a link in place of a file; with a foreign file and a link to a folder.
    fs::remove_file(one.run_json()).unwrap();
    let secret = there.path("secret.txt");
    fs::write(&secret, "secret").unwrap();
    fs::remove_file(two.train_log()).unwrap_or_default();
    symlink(&secret, two.train_log()).unwrap();
    symlink(there.path("experiments"), two.path().join("samples")).unwrap();
    fs::write(three.path().join("notes.md"), "mine").unwrap();
    symlink(there.path("runs/x"), there.path("runs/linked")).unwrap();
    let merged = merge(&here, &there, &[], 100);
    assert!(merged.to_string().contains("it has no run.json yet"), "{merged}");
    assert_eq!(here.runs("x").len(), 2);
    assert!(!here.path("runs/linked").exists());
    for name in ["train.log", "samples"] {
        assert!(!here.seed("x", 2).path().join(name).exists(), "{name}");
    }
    assert!(!here.seed("x", 3).path().join("notes.md").exists());
    for told in ["train.log", "samples", "notes.md"] {
        assert!(merged.to_string().contains(told), "{told}: {merged}");
    }

    // A run whose worker is at it here is not touched.
    let ours = here.seed("x", 3);
    fs::remove_file(ours.result()).unwrap();
    let held = lock::try_lock(&ours.alive_lock()).unwrap().unwrap();
    let merged = merge(&here, &there, &[], 100);
    assert!(merged.to_string().contains("a worker is at it here") && !ours.result().exists(), "{merged}");
    drop(held);
    merge(&here, &there, &[], 100);
    assert!(ours.result().exists());
}

#[test]
fn folders_that_were_plainly_copied_are_one_workspace_and_what_is_odd_is_said() {
    let here = Workspace::new().experiment("x", 4, &[1], "");
    let there = Workspace::new().experiment("x", 4, &[2, 3], "");
    here.run(&["experiments/x.toml"]).code(0);
    there.run(&["experiments/x.toml"]).code(0);
    for folder in ["runs", "batches"] {
        let copied =
            std::process::Command::new("cp").arg("-a").arg(there.path(folder)).arg(here.path(".")).status();
        assert!(copied.unwrap().success());
    }
    // Of the third, the copy has come to no run.json yet.
    let half = here.seed("x", 3);
    fs::remove_file(half.run_json()).unwrap();
    here.overnight(&["report"]).code(0);
    let status = here.overnight(&["status"]).code(0).stdout;
    let (one, two) = (here.seed("x", 1).name(), here.seed("x", 2).name());
    for words in ["both have the number 0", "overnight merge gives each its own", "unreadable", "run.json"] {
        assert!(status.contains(words), "{words}: {status}");
    }
    // On pages each has a color of its own, and the later one says why; once more is the same.
    for _ in 0..2 {
        let listed = Catalog::new(&run_dir::Workspace::new(here.path(""))).refresh();
        let number = |run: &str| listed[&("x".to_owned(), run.to_owned())].number;
        let warned = |run: &str| {
            let page = fs::read(here.path(&format!("reports/runs/x/{run}/index.json"))).unwrap();
            serde_json::from_slice::<Value>(&page).unwrap()["warnings"].to_string()
        };
        let mut by_number = [(number(&one), warned(&one)), (number(&two), warned(&two))];
        by_number.sort();
        let [(first, calm), (second, told)] = by_number;
        assert!(first == 0 && second > 0, "{first} {second}");
        let words = format!("so it is drawn as number {second}");
        assert!(!calm.contains("is drawn as") && told.contains(&words), "{calm} {told}");
        here.overnight(&["report"]).code(0);
    }
    for run in [one, two, half.name()] {
        assert!(here.path(&format!("reports/runs/x/{run}/index.html")).is_file(), "{run}");
    }
    here.run(&[]).code(0);
    assert_eq!(here.words("x").iter().filter(|word| **word == "finished").count(), 2);
}

#[test]
fn a_merge_that_fills_the_disk_leaves_whole_runs_alone_and_goes_on_when_there_is_room() {
    with_own_mounts(
        "merge::a_merge_that_fills_the_disk_leaves_whole_runs_alone_and_goes_on_when_there_is_room",
        || {
            let there = Workspace::new().experiment("x", 4, &[1, 2, 3], "");
            there.run(&["experiments/x.toml"]).code(0);
            // Each run is larger than the room for all but the first.
            for run in there.runs("x") {
                fs::write(run.train_log(), "a line of a log\n".repeat(20_000)).unwrap();
            }
            let here = Workspace::new();
            if !mount_small_disk(&here.path(""), 640) {
                return;
            }
            fs::create_dir(here.path("runs")).unwrap();
            let from = there.path("").display().to_string();
            let said = here.overnight(&["merge", &from]);
            assert!(!said.status.success() && said.stderr.contains("No space left"), "{}", said.stderr);
            let whole = |run: &RunDir| {
                let theirs = there.path("runs/x").join(run.name());
                let same = |name: &str| {
                    fs::read(run.path().join(name)).unwrap() == fs::read(theirs.join(name)).unwrap()
                };
                all(&theirs).iter().all(|(name, _)| name == "run.json" || same(name))
            };
            let runs = here.runs("x");
            assert!((1..3).contains(&runs.len()) && runs.iter().all(whole), "{}", runs.len());
            let hidden = fs::read_dir(here.path("runs/x")).unwrap().flatten();
            let hidden = hidden.filter(|entry| entry.file_name().to_string_lossy().starts_with('.')).count();
            assert_eq!(hidden, 0, "nothing half is left");
            // Room is made.
            let grown = std::process::Command::new("mount")
                .args(["-o", "remount,size=8m"])
                .arg(here.path(""))
                .status();
            assert!(grown.unwrap().success());
            merge(&here, &there, &[], 0);
            assert!(here.runs("x").len() == 3 && here.runs("x").iter().all(whole));
        },
    );
}

#[test]
fn runs_of_another_program_are_merged_with_what_was_verified_and_grow_on() {
    let here = Workspace::new();
    let there = Workspace::new().file("old.csv", "step,loss\n1,2.5\n2,2.25\n");
    there.overnight(&["import", "old.csv", "--experiment", "old"]).code(0);
    assert_eq!(did(&merge(&here, &there, &[], 0), "old/"), "added");
    let there = there.file("old.csv", "step,loss\n1,2.5\n2,2.25\n3,2.125\n");
    there.overnight(&["import", "old.csv", "--experiment", "old"]).code(0);
    let theirs = there.runs("old").remove(0);
    let verdict = r#"{"time":1.0}"#;
    fs::write(theirs.verify(), format!("{verdict}\n")).unwrap();
    assert_eq!(did(&merge(&here, &there, &[], 0), "old/"), "grown");
    let ours = here.runs("old").remove(0);
    let (is, was) = (all(ours.path()), all(theirs.path()));
    assert_eq!(is, was);
    assert_eq!(did(&merge(&here, &there, &[], 0), "old/"), "same");
}
