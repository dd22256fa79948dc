//! Merging again and again while a run grows, with a kill at every place; and what cannot be merged.

use std::os::unix::fs::symlink;
use std::time::Instant;

use super::run::listing::Listing;
use super::*;
use crate::run_dir::RunDir;
use crate::run_dir::records::RunRecord;
use crate::run_dir::scan::sample_record;

const WISH: Wish = Wish { dry_run: false, keep_both: false };

/// Merges with these wishes.
fn merged(here: &Workspace, from: &[PathBuf]) -> Result<Vec<Told>, MergeError> {
    when_free(|| merge(here, from, WISH))
}

/// A child that another test forks at this moment holds a copy of the last merge's lock until it execs.
fn when_free<T>(take: impl Fn() -> Result<T, MergeError>) -> Result<T, MergeError> {
    let begun = Instant::now();
    loop {
        match take() {
            Err(MergeError::Busy) if begun.elapsed().as_secs() < 120 => std::thread::yield_now(),
            other => return other,
        }
    }
}

struct Two {
    folder: tempfile::TempDir,
    here: Workspace,
    there: Workspace,
}

fn two() -> Two {
    let folder = tempfile::tempdir().unwrap();
    let [here, there] = ["here", "there"].map(|name| Workspace::new(folder.path().join(name)));
    for workspace in [&here, &there] {
        fs::create_dir_all(workspace.runs()).unwrap();
    }
    Two { folder, here, there }
}

fn put(dir: &RunDir, file: &str, bytes: &str) {
    let path = dir.path().join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn record(dir: &RunDir, number: u32) {
    let record = RunRecord { number, ..sample_record(&dir.experiment(), &dir.name()) };
    put(dir, "run.json", &serde_json::to_string(&record).unwrap());
}

/// How far the run of these tests is: what its files hold then, the last line still being written.
fn state(at: usize) -> Vec<(String, String)> {
    let lines = |word: &str, count: usize| -> String {
        (0..count).map(|line| format!("{word} {line}, as long as lines are\n")).collect()
    };
    let mut files = vec![
        ("env.json".to_owned(), "{}".to_owned()),
        ("metrics.csv".to_owned(), format!("step,loss\n{}torn", lines("1", at * 3))),
        ("telemetry.csv".to_owned(), lines("2", at * 2)),
        ("events.jsonl".to_owned(), lines("{}", at)),
        ("attempts.jsonl".to_owned(), lines("{}", 1 + at / 2)),
        ("requests.jsonl".to_owned(), lines("{}", at / 2)),
        ("train.log".to_owned(), lines("log", at)),
        ("progress.json".to_owned(), format!("{{\"step\":{at}}}")),
    ];
    for step in 1..=at {
        files.push((format!("samples/step-{step:08}.json"), format!("{{\"step\":{step}}}")));
        // Only two are kept there; what is here stays.
        if step + 2 > at {
            for file in ["model.safetensors", "optimizer.safetensors", "state.json"] {
                files.push((format!("checkpoints/step-{step:08}/{file}"), format!("{file} {step}")));
            }
        }
    }
    if at == LAST {
        files.push(("result.json".to_owned(), "{\"step\":4}".to_owned()));
        files.push(("verify.jsonl".to_owned(), lines("{}", 2)));
    }
    files
}

const LAST: usize = 4;

/// The run there, come so far; checkpoints that are not kept any more are removed.
fn come_to(dir: &RunDir, at: usize) {
    drop(fs::remove_dir_all(dir.checkpoints()));
    state(at).iter().for_each(|(file, text)| put(dir, file, text));
}

fn whole_lines(text: &str) -> &str {
    text.rfind('\n').map_or("", |last| &text[..=last])
}

/// Whether all that is there is here, up to the last whole line.
fn follows(here: &RunDir, at: usize) {
    for (file, text) in state(at) {
        let grows = file.ends_with(".csv") || file.ends_with(".jsonl") || file.ends_with(".log");
        let expected = if grows { whole_lines(&text) } else { &text };
        let is = fs::read_to_string(here.path().join(&file)).unwrap_or_default();
        assert_eq!(is, expected, "{file} at {at}");
    }
    let hidden = |folder: &Path| {
        let names = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
        names.filter(|name| name.to_string_lossy().starts_with('.')).count()
    };
    assert_eq!(hidden(here.path()) + hidden(&here.checkpoints()), 0, "nothing half is left at {at}");
}

fn one(told: &[Told]) -> &What {
    &told.iter().find(|told| told.name == "x/r").unwrap().what
}

#[test]
fn a_run_that_grows_is_followed_from_every_place_at_which_a_merge_was_killed() {
    for before in 1..LAST {
        let Two { folder: _folder, here, there } = two();
        let (ours, theirs) = (here.run("x", "r"), there.run("x", "r"));
        record(&theirs, 0);
        come_to(&theirs, before);
        let told = merged(&here, &[there.root().to_owned()]).unwrap();
        assert!(matches!(one(&told), What::Added { number: None, .. }), "{told:?}");
        follows(&ours, before);
        let told = merged(&here, &[there.root().to_owned()]).unwrap();
        assert_eq!(one(&told), &What::Same);
        come_to(&theirs, before + 1);
        // Killed after so many files, the last of which had come half way.
        let order: Vec<_> = Listing::of(&theirs).unwrap().in_order().cloned().collect();
        let old = state(before);
        for place in 0..=order.len() {
            drop(fs::remove_dir_all(ours.path()));
            record(&ours, 0);
            old.iter().for_each(|(file, text)| put(&ours, file, whole_if_grows(file, text)));
            for (done, (file, _)) in order.iter().take(place).enumerate() {
                let name = file.to_string_lossy();
                let text = fs::read_to_string(theirs.path().join(file)).unwrap();
                let text = whole_if_grows(&name, &text);
                let was = old.iter().find(|(old, _)| *old == name).map_or(0, |(_, text)| text.len());
                let is_torn = done + 1 == place && whole_if_grows(&name, "a").is_empty();
                let end = if is_torn { was.min(text.len()).midpoint(text.len()) } else { text.len() };
                put(&ours, &name, &text[..end]);
            }
            fs::create_dir_all(ours.checkpoints().join(".merge-killed")).unwrap();
            let told = merged(&here, &[there.root().to_owned()]).unwrap();
            // Where all was done but for what the killed one left behind, nothing is.
            if place == order.len() {
                assert!(matches!(one(&told), What::Same | What::Grown { .. }), "{told:?}");
                drop(fs::remove_dir_all(ours.checkpoints().join(".merge-killed")));
            } else {
                assert!(matches!(one(&told), What::Grown { .. }), "{before} {place}: {told:?}");
            }
            follows(&ours, before + 1);
        }
    }
}

fn whole_if_grows<'a>(file: &str, text: &'a str) -> &'a str {
    let grows = [".csv", ".jsonl", ".log"].iter().any(|end| file.ends_with(end));
    if grows { whole_lines(text) } else { text }
}

#[test]
fn a_run_that_a_rule_let_go_here_stays_away_and_its_number_and_name_are_known() {
    let Two { folder: _folder, here, there } = two();
    let from = [there.root().to_owned()];
    let (ours, theirs) = (here.run("x", "r"), there.run("x", "r"));
    for dir in [&ours, &theirs] {
        record(dir, 0);
    }
    crate::run_dir::deleted::remember(&ours, "untouched for 30 days").unwrap();
    fs::remove_dir_all(ours.path()).unwrap();
    // Another run that has its number.
    record(&there.run("x", "s"), 0);
    let told = merged(&here, &from).unwrap();
    assert!(matches!(one(&told), What::Deleted { why } if why.contains("untouched for 30 days")), "{told:?}");
    assert!(!ours.path().exists());
    let other = told.iter().find(|told| told.name == "x/s").unwrap();
    assert!(matches!(other.what, What::Added { number: Some(1), .. }), "{told:?}");
    // What was let go there is known here, once, and what is here stays.
    crate::run_dir::deleted::remember(&there.run("x", "s"), "too many").unwrap();
    fs::remove_dir_all(there.run("x", "s").path()).unwrap();
    for (did, lines) in [(true, 2), (false, 2)] {
        let told = merged(&here, &from).unwrap();
        let of_file = told.iter().find(|told| told.name == "x/deleted.jsonl").unwrap();
        assert_eq!(matches!(of_file.what, What::Grown { .. }), did, "{told:?}");
        assert_eq!(fs::read_to_string(here.deleted("x")).unwrap().lines().count(), lines);
        assert!(here.run("x", "s").run_json().is_file());
    }
    // A person who copies the folder has it back.
    record(&ours, 0);
    assert_eq!(one(&merged(&here, &from).unwrap()), &What::Same);
}

#[test]
fn our_own_runs_by_another_way_are_no_other_workspace() {
    let Two { folder, here, there } = two();
    record(&here.run("x", "r"), 0);
    let refused = |from: &Path| matches!(merged(&here, &[from.to_owned()]), Err(MergeError::Itself(_)));
    symlink(here.root(), folder.path().join("link")).unwrap();
    assert!(refused(here.root()) && refused(&folder.path().join("link")));
    fs::create_dir(folder.path().join("other")).unwrap();
    symlink(here.runs(), folder.path().join("other/runs")).unwrap();
    assert!(refused(&folder.path().join("other")));
    for inside in [here.runs(), here.run("x", "r").path().to_owned()] {
        let refused = merged(&here, &[inside]).unwrap_err();
        assert!(matches!(refused, MergeError::NoWorkspace(_)), "{refused}");
    }
    // Two at once: the second is told.
    let alone = when_free(|| alone(&here)).unwrap();
    let refused = merge(&here, &[there.root().to_owned()], WISH).unwrap_err();
    assert!(matches!(refused, MergeError::Busy), "{refused}");
    drop(alone);
    // A copy that lies inside is one of its own.
    let backup = Workspace::new(here.root().join("backup"));
    record(&backup.run("x", "other"), 0);
    let told = merged(&here, &[backup.root().to_owned()]).unwrap();
    assert!(matches!(told[0].what, What::Added { number: Some(1), .. }), "{told:?}");
}

#[test]
fn no_name_and_nothing_that_is_no_file_gets_here() {
    let Two { folder: _folder, here, there } = two();
    let theirs = there.run("x", "r");
    record(&theirs, 0);
    put(&theirs, "metrics.csv", "step\n1\n");
    let fifo = |path: &Path| {
        rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::RWXU).unwrap();
    };
    fifo(&theirs.events());
    fifo(&there.deleted("x"));
    symlink("/etc/passwd", theirs.train_log()).unwrap();
    fs::create_dir(theirs.result()).unwrap();
    put(&theirs, "checkpoints/step-00000001/evil.so", "x");
    put(&theirs, "samples/../samples/step-00000001.sh", "x");
    for name in ["..hidden", "a b", "-rf", "\u{202e}txt", "new\nline"] {
        put(&there.run("x", name), "run.json", "{}");
        put(&there.run(name, "r"), "run.json", "{}");
    }
    // A batch that is a pipe inside, and one without a record.
    fs::create_dir_all(there.batches().join("b1")).unwrap();
    fifo(&there.batches().join("b1/batch.json"));
    fs::create_dir_all(there.batches().join("b2")).unwrap();
    let told = merged(&here, &[there.root().to_owned()]).unwrap();
    let ours = here.run("x", "r");
    assert!(ours.run_json().is_file() && ours.metrics().is_file());
    for path in [ours.events(), ours.train_log(), ours.result(), ours.checkpoints(), here.deleted("x")] {
        assert!(fs::symlink_metadata(&path).is_err(), "{}", path.display());
    }
    // Nor is a merge ended by them that comes again, nor what it has to do beside them.
    record(&there.run("x", "s"), 1);
    let again = merge(&here, &[there.root().to_owned()], WISH).unwrap();
    assert_eq!(one(&again), &What::Same);
    assert!(here.run("x", "s").run_json().is_file());
    symlink("/etc/passwd", theirs.path().join("telemetry.csv")).unwrap();
    fs::remove_file(theirs.metrics()).unwrap();
    symlink("/etc/passwd", theirs.metrics()).unwrap();
    merge(&here, &[there.root().to_owned()], WISH).unwrap();
    assert_eq!(fs::read_to_string(ours.metrics()).unwrap(), "step\n1\n");
    let left = &told.iter().find(|told| told.name == "x/r").unwrap().left_out;
    for name in
        ["events.jsonl", "train.log", "result.json", "checkpoints/step-00000001/evil.so", "step-00000001.sh"]
    {
        assert!(left.iter().any(|left| left.ends_with(name)), "{name}: {left:?}");
    }
    let taken = folders(&here.runs()).unwrap();
    assert!(taken.iter().all(|name| is_plain_name(name)), "{taken:?}");
    let left_out = told.iter().filter(|told| matches!(told.what, What::LeftOut { .. })).count();
    assert!(left_out >= 2, "{told:?}");
    assert!(folders(&here.batches()).unwrap().is_empty());
}

#[test]
fn what_a_killed_merge_left_goes_with_the_next_and_a_dry_run_touches_nothing() {
    let Two { folder: _folder, here, there } = two();
    record(&there.run("x", "r"), 0);
    let left = [here.runs().join("x"), here.batches()].map(|place| place.join(format!("{}1", copy::PREFIX)));
    for place in &left {
        fs::create_dir_all(place.join("inside")).unwrap();
    }
    let from = [there.root().to_owned()];
    let alone = when_free(|| alone(&here)).unwrap();
    let told = merge(&here, &from, Wish { dry_run: true, ..WISH }).unwrap();
    drop(alone);
    assert!(matches!(told[0].what, What::Added { .. }), "{told:?}");
    assert!(left.iter().all(|place| place.is_dir()) && !here.run("x", "r").path().exists());
    merged(&here, &from).unwrap();
    assert!(!left.iter().any(|place| place.exists()) && here.run("x", "r").run_json().is_file());
}
