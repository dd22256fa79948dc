//! Exported files that somebody made to do harm, or that were damaged on their way.

use std::fs::{self, File};

use overnight::run_dir::sent as file;
use serde_json::{Value, json};

use super::{BEGIN, block, elsewhere, gzipped, packed, sent, unpacked};

/// What every process of these tests may have of memory, in KiB: less than the files ask for.
const ROOM: &str = "ulimit -d 500000 && exec \"$@\"";

#[test]
fn no_file_takes_more_memory_than_there_is_room_for() {
    let (_first, html) = sent();
    let facts = unpacked(&html);
    // Small files whose facts are 24 megabytes, and many times that as trees.
    let wide = |unit: &str| format!("[{}0]", unit.repeat((24 << 20) / unit.len()));
    let run = |key: &str, value: &str| {
        let mut first = facts["runs"][0].clone();
        first[key] = json!("PLACE");
        let runs = json!({ "format": 2, "program": "9", "runs": [first] }).to_string();
        gzipped(runs.replace("\"PLACE\"", value).as_bytes())
    };
    let deep = "[".repeat(500_000) + &"]".repeat(500_000);
    let here = elsewhere("");
    for (name, text) in [
        ("objects", block(&html, &run("varied", &format!("{{\"a\":{}}}", wide("{\"\":0},"))))),
        ("unknown", block(&html, &run("hooks", &wide("{\"\":0},")))),
        ("tags", block(&html, &run("tags", &wide("\"\",")))),
        ("deep", block(&html, &run("varied", &format!("{{\"a\":{deep}}}")))),
        ("deeper", block(&html, &run("settings", &deep))),
        ("runs", block(&html, &gzipped(format!("{{\"format\":2,\"runs\":{}}}", wide("{},")).as_bytes()))),
        ("all", block(&html, &gzipped(wide("{\"\":0},").as_bytes()))),
        ("blocks", BEGIN.repeat(100_000)),
    ] {
        let file = format!("{name}.html");
        fs::write(here.path(&file), text).unwrap();
        let said = here.run_by(&["sh", "-c", ROOM, "sh"], &[&file, "--yes", "--data", "store"]).code(78);
        assert!(said.stderr.contains(&file) && said.stderr.len() < 2_000, "{name}: {}", said.stderr);
    }
    // Two gigabytes of nothing; a pipe that nobody writes to; what never ends.
    File::create(here.path("long.html")).unwrap().set_len(2 << 30).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, here.path("pipe.html"), rustix::fs::Mode::RWXU).unwrap();
    std::os::unix::fs::symlink("/dev/zero", here.path("zero.html")).unwrap();
    fs::create_dir(here.path("folder.html")).unwrap();
    for (name, words) in
        [("long", "has 2.0 GiB"), ("pipe", "not a file"), ("zero", "not a file"), ("folder", "not a file")]
    {
        let file = format!("{name}.html");
        let said = here.run_by(&["sh", "-c", ROOM, "sh"], &[&file, "--yes"]).code(78);
        assert!(said.stderr.contains(words) && said.stderr.contains(&file), "{name}: {}", said.stderr);
    }
    assert!(here.runs("x").is_empty() && !here.path("data").exists());
}

#[test]
fn a_file_that_is_cut_anywhere_is_refused_or_whole() {
    let (first, html) = sent();
    let path = first.path("cut.html");
    let place = html.find(BEGIN).unwrap();
    let end = place + html[place..].find("</script>").unwrap();
    for part in 0..20 {
        let cut = (place - 10) + (end - place + 40) * part / 19;
        fs::write(&path, &html[..cut]).unwrap();
        match file::read(&path) {
            Ok(read) => assert!(cut > end && read.runs.len() == 3, "{cut} of {end}"),
            Err(error) => assert!(cut <= end && error.to_string().contains("cut.html"), "{cut}: {error}"),
        }
    }
}

#[test]
fn steps_that_the_settings_do_not_have_are_refused_and_added_up_nowhere() {
    let (_first, html) = sent();
    let here = elsewhere("");
    for (key, value) in
        [("steps", json!(u64::MAX)), ("steps", json!(7)), ("steps_per_epoch", json!(u64::MAX))]
    {
        let mut facts = unpacked(&html);
        facts["runs"][0][key] = value.clone();
        fs::write(here.path("made.html"), packed(&html, &facts)).unwrap();
        for arguments in [&["run", "made.html", "--yes"][..], &["verify", "made.html"]] {
            let said = here.overnight(arguments).code(78);
            assert!(said.stderr.contains(&format!("runs[0].{key}: ")), "{value}: {}", said.stderr);
        }
    }
    assert!(here.runs("x").is_empty());
}

#[test]
fn what_it_says_beside_the_settings_is_neither_started_nor_applied() {
    let (_first, html) = sent();
    let mut facts = unpacked(&html);
    let mark = tempfile::tempdir().unwrap();
    let touch = format!("touch {}", mark.path().join("made").display());
    for run in facts["runs"].as_array_mut().unwrap() {
        for key in ["hooks", "command", "commands", "worker", "pre", "post"] {
            run[key] = json!({ "start": touch, "end": [touch] });
        }
        run["environment"] = json!({
            "git_diff": "--- a/data/new\n+++ b/data/new\n@@ -0,0 +1 @@\n+applied\n",
            "command": touch,
        });
        run["base"] = json!("../../../../tmp");
        run["notes"] = json!(format!("$({touch}) `{touch}`"));
        run["description"] = json!(format!("'; {touch}; '"));
    }
    facts["hooks"] = json!({ "end": touch });
    let here = elsewhere("").file("armed.html", &packed(&html, &facts));
    here.run(&["armed.html", "--yes", "--data", "store"]).code(0);
    here.overnight(&["verify", "armed.html"]).code(0);
    assert!(fs::read_dir(mark.path()).unwrap().next().is_none());
    assert!(!here.path("data/new").exists());
    for run in here.runs("x") {
        let record: Value = serde_json::from_slice(&fs::read(run.run_json()).unwrap()).unwrap();
        let base = record["base"].as_str().unwrap();
        assert!(base.starts_with("data/sent/"), "{base}");
        assert!(record.get("hooks").is_none() && record.get("environment").is_none(), "{record}");
    }
}

#[test]
fn a_report_whose_runner_is_killed_at_any_place_is_started_again_and_doubles_nothing() {
    let (first, html) = sent();
    let names = |workspace: &crate::workspace::Workspace, experiment: &str| {
        workspace.runs(experiment).iter().map(|run| run.name()).collect::<Vec<_>>()
    };
    let arguments = ["sent.html", "--yes", "--data", "store"];
    for (place, begun) in ["", "data/sent", "runs", "runs/later", "batches"].into_iter().enumerate() {
        let here = elsewhere(&html);
        let running = here.start(&arguments);
        // Whatever it has come to by then, also its end.
        crate::workspace::wait_until("it has begun", || here.path(begun).exists());
        drop(running);
        here.run(&arguments).code(0);
        for experiment in ["x", "later"] {
            assert_eq!(names(&here, experiment), names(&first, experiment), "{place}");
        }
        here.overnight(&["verify", "sent.html"]).code(0);
        let left = fs::read_dir(here.path("data/sent")).unwrap().flatten();
        let left: Vec<_> = left.map(|entry| entry.file_name()).collect();
        assert!(left.iter().filter(|name| !name.to_string_lossy().starts_with('.')).count() == 1, "{left:?}");
    }
}
