//! Sources that lie: what they hold is read as far as it can be, said, and shown as text.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use overnight::run_dir::{self, scan};
use rustix::process::Signal;
use serde_json::Value;

use super::events::{self, bytes, double, event, image, integer, png, record, scalar, tensor};
use crate::workspace::{Workspace, wait_until};

/// What an import may take of the memory, whatever it reads.
const MOST_KIB: u32 = 1_500_000;

/// `overnight import` that has no more memory than this.
fn bounded(workspace: &Workspace, arguments: &[&str]) -> (Option<i32>, Value, String) {
    let inner = workspace.command(&[&["import", "--json"], arguments].concat());
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -v {MOST_KIB} && exec \"$@\""), "sh"]);
    command.arg(inner.get_program()).args(inner.get_args());
    let output = command.output().unwrap();
    let told = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code(), told, String::from_utf8_lossy(&output.stderr).into_owned())
}

fn write(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// What was told of the run of this name.
fn told_of<'a>(told: &'a Value, name: &str) -> &'a Value {
    let runs = told["runs"].as_array().unwrap();
    let found = runs.iter().find(|run| run["run"].as_str().is_some_and(|run| run.starts_with(name)));
    found.unwrap_or_else(|| panic!("{name} is not there: {told:#}"))
}

fn warns(told: &Value, name: &str, words: &str) {
    let warnings = told_of(told, name)["warnings"].to_string();
    assert!(warnings.contains(words), "{name}: {words:?} is not in {warnings}");
}

/// Builds the report, and looks for markup that came from a source. However long that takes on a busy machine.
fn reported(workspace: &Workspace) {
    let output = workspace.command(&["report"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for entry in walkdir::WalkDir::new(workspace.path("reports")).into_iter().flatten() {
        if entry.path().extension().is_some_and(|ending| ending == "html") {
            let html = fs::read_to_string(entry.path()).unwrap();
            assert!(
                !html.contains("<script>alert") && !html.contains("onload=alert"),
                "{}",
                entry.path().display()
            );
        }
    }
}

/// Event files: a length that is a lie, tensors without shape or end, pictures that explode.
fn lying_events(old: &Path) {
    let name = "events.out.tfevents.1.h";
    let good = record(&event(1.7e9, 1, &[scalar("loss", 1.0)]));
    let path = old.join("false-length").join(name);
    write(&path, [good.clone(), events::head(2 << 30)].concat());
    File::options().write(true).open(&path).unwrap().set_len(2 << 30).unwrap();
    let endless = [bytes(1, b"x"), bytes(8, &[0xff; 64])].concat();
    let shapes = [integer(1, 2), bytes(2, &bytes(2, &integer(1, u64::MAX))), bytes(4, &[0; 16])].concat();
    let long = [integer(1, 7), bytes(8, &vec![b'<'; 20 << 20])].concat();
    let values = [
        scalar("loss", f32::NAN),
        scalar("<script>alert(1)</script>", f32::INFINITY),
        scalar("../../etc/passwd", 1.0),
        tensor("shapes", "histograms", &shapes),
        tensor("scalar", "scalars", &shapes),
        tensor("long", "text", &long),
        image("bomb", &png(1_000_000, 1_000_000)),
        image("wide", &png(u32::MAX, 1)),
        image("svg", b"<svg xmlns='http://www.w3.org/2000/svg' onload=alert(1)></svg>"),
        image("fine", &png(1, 1)),
        endless,
    ];
    let steps = [(f64::NAN, 5), (1e300, 6), (-1e300, i64::MAX), (0.0, -7), (1.7e9, 3), (1.7e9, i64::MIN)];
    let odd = steps.iter().map(|&(time, step)| record(&event(time, step, &[scalar("loss", 2.0)])));
    let whole: Vec<u8> = std::iter::once(record(&event(1.7e9, 2, &values))).chain(odd).flatten().collect();
    write(&old.join("tensors").join(name), whole);
    let nonsense: Vec<u8> = [record(&[0xff; 5000]), record(&double(1, 1.0)), good].concat();
    write(&old.join("nonsense").join(name), nonsense);
}

/// Tables: gigabytes without a line, ten thousand columns, numbers that are none, names that lead elsewhere.
fn lying_tables(old: &Path) {
    let path = old.join("large.csv");
    write(&path, "step,loss\n1,0.5\n2,0.25\n");
    File::options().write(true).open(&path).unwrap().set_len(3 << 30).unwrap();
    let names: Vec<String> = (0..10_000).map(|at| format!("m{at}")).collect();
    let row = vec!["1"; 10_000].join(",");
    let rows: Vec<String> = (0..20).map(|step| format!("{step},{row}\n")).collect();
    write(&old.join("wide.csv"), format!("step,{}\n{}", names.join(","), rows.concat()));
    let numbers = "step,loss\n-1,1\n9,nan\n10,inf\n11,-inf\n4,1e999\n1e300,1\n0.5,1\nnan,1\n18446744073709551615,1\n12,0.5\n";
    write(&old.join("numbers.csv"), numbers);
    let long = "n".repeat(300);
    let mut named = b"run,step,loss\n".to_vec();
    for name in [
        "../../outside",
        "/etc/passwd",
        "a\0b",
        "CON",
        "nul.txt",
        "Case",
        "case",
        "..",
        "<script>alert(1)</script>",
        &long,
    ] {
        named.extend(format!("\"{name}\",1,0.5\n").bytes());
    }
    named.extend(b"\"\xff\xfe\",1,0.5\n");
    write(&old.join("named.csv"), named);
}

/// Files that nest for ever.
fn deep_files(old: &Path) {
    let (lists, objects) = ("[".repeat(100_000), "{\"a\":".repeat(100_000));
    write(&old.join("deep.jsonl"), format!("{{\"step\": 1, \"loss\": 1}}\n{{\"step\": 2, \"x\": {lists}\n"));
    write(&old.join("deep.json"), format!("[{{\"step\": 1, \"loss\": 1}}, {lists}"));
    write(&old.join("checkpoint-1/trainer_state.json"), format!("{{\"log_history\": {lists}"));
    let about = r#"{"experiment": {"name": "deep"}, "heartbeat": null, "start_time": ""}"#;
    write(&old.join("sacred/run.json"), about);
    write(&old.join("sacred/config.json"), &objects);
    write(
        &old.join("sacred/metrics.json"),
        format!("{{\"loss\": {{\"steps\": [1], \"values\": [1], \"x\": {lists}"),
    );
    write(&old.join("version_0/hparams.yaml"), format!("lr: 1\nx: {lists}"));
    write(&old.join("version_0/metrics.csv"), "step,loss\n1,0.5\n");
    let meta = "run_id: abc1\nrun_name: ../../../up\nlifecycle_stage: active\nstatus: 3\nstart_time: 99999999999999999999\n";
    write(&old.join("mlruns/0/abc1/meta.yaml"), meta);
    write(&old.join("mlruns/0/abc1/metrics/loss"), "1700000000000 1 1\n");
    write(&old.join("mlruns/0/abc1/artifacts/images/bomb+step+1+timestamp+1.png"), png(60_000, 60_000));
    symlink("/etc/passwd", old.join("mlruns/0/abc1/artifacts/secret.txt")).unwrap();
    symlink("..", old.join("mlruns/0/loop")).unwrap();
    write(&old.join("mlruns/mlflow.db"), [b"SQLite format 3\0".to_vec(), vec![0xff; 5000]].concat());
}

#[test]
fn sources_that_lie_cost_no_memory_and_what_is_sound_of_them_is_shown() {
    let workspace = Workspace::new();
    let old = workspace.path("old");
    lying_events(&old);
    lying_tables(&old);
    deep_files(&old);
    let (code, told, said) = bounded(&workspace, &[old.to_str().unwrap(), "--experiment", "../../x"]);
    assert!(matches!(code, Some(0 | 1)), "{code:?}: {said}");
    warns(&told, "false-length", "records are longer than any that is read");
    assert_eq!(told_of(&told, "false-length")["rows"], 1);
    warns(&told, "tensors", "3 pictures were left out");
    warns(&told, "tensors", "their step is no whole number from 0 on");
    warns(&told, "nonsense", "");
    warns(&told, "wide", "9800 of its metrics were left out");
    warns(&told, "large", "longer than any that is read");
    assert_eq!(told_of(&told, "large")["rows"], 2);
    warns(&told, "numbers", "5 values were left out");
    warns(&told, "deep", "");
    warns(&told, "sacred", "config.json is cut off or damaged");
    warns(&told, "version_0", "hparams.yaml could not be read to its end");
    warns(&told, "up", "1 pictures were left out");
    assert!(!told.to_string().contains("secret"), "links are not followed");
    // Each name is a folder of its own below the experiment, on any file system.
    let runs = scan::runs(&run_dir::Workspace::new(workspace.path(".")));
    let told = told["runs"].as_array().unwrap();
    assert_eq!(runs.len(), told.iter().filter(|run| run["what"] == "new").count(), "{told:#?}");
    assert!(runs.len() >= 20, "{told:#?}");
    let mut names: Vec<String> = runs.iter().map(|run| run.name().to_lowercase()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), runs.len());
    for run in &runs {
        let name = run.name();
        assert_eq!(run.experiment(), "x");
        assert!(
            name.len() <= 110
                && name.bytes().all(|byte| byte.is_ascii_graphic() && !b"/\\:*?\"<>|".contains(&byte)),
            "{name}"
        );
        assert!(!run.path().is_symlink() && run.path().is_dir());
    }
    reported(&workspace);
    // They take long, and were asked.
    fs::remove_file(old.join("large.csv")).unwrap();
    fs::remove_dir_all(old.join("false-length")).unwrap();
    let (_, again, _) = bounded(&workspace, &[old.to_str().unwrap(), "--experiment", "../../x"]);
    let changed = |run: &&Value| !["same", "copy", "empty"].map(Value::from).contains(&run["what"]);
    let changed: Vec<&Value> = again["runs"].as_array().unwrap().iter().filter(changed).collect();
    assert!(changed.is_empty(), "{changed:#?}");
}

#[test]
fn folders_without_end_are_looked_into_so_far_and_archives_are_to_be_unpacked() {
    let workspace = Workspace::new().file("old/0.csv", "step,loss\n1,0.5\n");
    let old = workspace.path("old");
    let many = old.join("many");
    fs::create_dir(&many).unwrap();
    let one = many.join("0");
    File::create(&one).unwrap();
    for place in 1..100_100 {
        // A second name costs a tenth of a second file.
        if fs::hard_link(&one, many.join(place.to_string())).is_err() {
            File::create(many.join(place.to_string())).unwrap();
        }
    }
    let deep = (0..40).fold(old.join("deep"), |folder, _| folder.join("d"));
    fs::create_dir_all(&deep).unwrap();
    symlink(&old, deep.join("loop")).unwrap();
    symlink("self", old.join("self")).unwrap();
    let (code, told, said) = bounded(&workspace, &[old.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{said}");
    let left = told["left_out"].to_string();
    assert!(left.contains("more than 100000 files") && left.contains("folders more than 12 deep"), "{left}");
    assert_eq!(told["runs"].as_array().unwrap().len(), 1);
    for (name, begin, way) in
        [("m.zip", &b"PK\x03\x04"[..], "unzip FILE"), ("m.tgz", b"\x1f\x8b\x08", "tar -xzf FILE")]
    {
        let mut file = File::create(workspace.path(name)).unwrap();
        file.write_all(begin).unwrap();
        file.set_len(4 << 30).unwrap();
        workspace.overnight(&["import", name]).code(1).says("unpack it").says(way);
    }
}

#[test]
fn a_source_that_is_cut_and_replaced_while_it_is_followed_is_read_as_it_then_is() {
    let log = |steps: std::ops::Range<u32>| -> String {
        steps.map(|step| format!("step {step}: train loss 2.0, val loss {step}.5\n")).collect()
    };
    let workspace = Workspace::new().file("old/gpt.log", &log(0..50));
    let watching = workspace.spawn(&["import", "old", "--watch", "--experiment", "x"]);
    let has = |row: &str, what: &str| {
        wait_until(what, || {
            let run = workspace.runs("x").pop();
            run.is_some_and(|run| fs::read_to_string(run.metrics()).is_ok_and(|csv| csv.contains(row)))
        });
    };
    has("\n49,", "it is there");
    let path = workspace.path("old/gpt.log");
    // Cut to nothing, and to the midst of a line, under the reader's hands.
    for length in [0, 3, 60] {
        File::options().write(true).open(&path).unwrap().set_len(length).unwrap();
    }
    fs::write(workspace.path("old/new.tmp"), log(100..120)).unwrap();
    fs::rename(workspace.path("old/new.tmp"), &path).unwrap();
    has("\n119,", "the other file is there");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    fs::remove_dir(&path).unwrap();
    fs::write(&path, log(200..230)).unwrap();
    has("\n229,", "and the one after that");
    watching.signal(Signal::INT);
    watching.wait().code(0);
    assert_eq!(workspace.runs("x").len(), 1);
    let csv = fs::read_to_string(workspace.runs("x")[0].metrics()).unwrap();
    assert_eq!(csv.lines().count(), 31, "{csv}");
}

#[test]
fn a_run_that_stands_where_an_import_would_is_left_as_it_is() {
    let workspace =
        Workspace::new().file("old/a.csv", "step,loss\n1,0.5\n").file("old/b.csv", "step,loss\n1,0.25\n");
    workspace.overnight(&["import", "old", "--experiment", "x"]).code(0);
    let run = workspace.runs("x").remove(0);
    let record = fs::read_to_string(run.run_json()).unwrap();
    // A record that cannot be read, and one that tells of another source; of neither it is known what it read.
    fs::remove_file(run.import_json()).unwrap();
    for other in ["{", &record.replace("a.csv", "c.csv")] {
        fs::write(run.run_json(), other).unwrap();
        let output = workspace.overnight(&["import", "old", "--experiment", "x"]).code(1);
        assert!(output.stderr.contains(&run.name()), "{}", output.stderr);
        assert!(output.stdout.contains("nothing new"), "the other is imported: {}", output.stdout);
        assert_eq!(fs::read_to_string(run.run_json()).unwrap(), other);
    }
    assert_eq!(workspace.runs("x").len(), 2);
}
