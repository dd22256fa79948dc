//! An exported file as the experiment: run elsewhere, verified, and refused where somebody changed it.

mod hostile;

use std::fs;
use std::io::{Read, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use overnight::run_dir::read;
use overnight::run_dir::records::Environment;
use overnight::run_dir::sent;
use serde_json::{Value, json};

use crate::pty::Terminal;
use crate::workspace::Workspace;

const BEGIN: &str = "<script type=\"application/gzip;base64\" id=\"facts\">";
const TEXT: &str = "one for sorrow, two for joy, three for a girl, four for a boy\n";

/// Two experiments, one of which needs the other, trained and exported.
fn sent() -> (Workspace, String) {
    let text = "description = \"nursery\"\ntags = [\"old\"]\n[data]\nkind = \"text\"\nfiles = [\"../data/*.txt\"]\n\
                [model]\nkind = \"gpt\"\ncontext = 8\n[train]\nsteps = 10\n[checkpoint]\nevery = 2\n\
                [sweep]\nseeds = [1, 2]\n";
    let workspace = Workspace::new()
        .file("data/b.txt", &TEXT.repeat(30))
        .file("data/a.txt", &TEXT.repeat(20))
        .file("experiments/x.toml", text)
        .experiment("later", 4, &[1], "");
    let later = fs::read_to_string(workspace.path("experiments/later.toml")).unwrap();
    let workspace = workspace.file("experiments/later.toml", &format!("{later}[queue]\nneeds = [\"x\"]\n"));
    workspace.run(&["experiments/x.toml", "experiments/later.toml"]).code(0);
    workspace.overnight(&["export", "--all", "-o", "sent.html"]).code(0);
    let html = fs::read_to_string(workspace.path("sent.html")).unwrap();
    (workspace, html)
}

/// Another workspace with the file, and the data under other names in another folder.
fn elsewhere(html: &str) -> Workspace {
    Workspace::new()
        .file("sent.html", html)
        .file("store/deep/two.bin", &TEXT.repeat(30))
        .file("store/one.bin", &TEXT.repeat(20))
        // As long as the one that is wanted, and another.
        .file("store/deep/as-long.bin", &TEXT.repeat(20).replace("joy", "yoj"))
}

#[test]
fn a_report_is_run_elsewhere_with_data_by_hash_and_verified_equal() {
    let (first, html) = sent();
    let here = elsewhere(&html);
    here.run(&["sent.html", "--data", "store"]).code(2).says("nothing was changed: there is no terminal");
    let missing = here.run(&["sent.html", "--yes"]).code(78);
    let hash = blake3::hash(TEXT.repeat(30).as_bytes()).to_hex();
    for words in [
        "x: 2 runs, 20 steps to train",
        "2 data files are not found",
        "../data/b.txt",
        hash.as_str(),
        "--data DIR",
    ] {
        assert!(missing.stderr.contains(words), "{words}: {}", missing.stderr);
    }
    here.run(&["sent.html", "--yes", "--set", "train.steps=3"])
        .code(1)
        .says("--set does not go with a report");
    here.run(&["sent.html", "--yes", "--again"]).code(1).says("--again does not go with a report");
    // One that has the name or the size, and is another.
    for text in ["short".to_owned(), TEXT.repeat(30).replace("joy", "yoj")] {
        let other = here.path("other");
        fs::create_dir_all(&other).unwrap();
        fs::write(other.join("b.txt"), &text).unwrap();
        let refused = here.run(&["sent.html", "--yes", "--data", "other"]).code(78);
        let found = format!("found other data: {}, ", other.join("b.txt").display());
        for words in [hash.as_str(), &found, blake3::hash(text.as_bytes()).to_hex().as_str()] {
            assert!(refused.stderr.contains(words), "{words}: {}", refused.stderr);
        }
    }
    assert!(here.runs("x").is_empty() && !here.path("data").exists());
    here.overnight(&["verify", "sent.html"]).code(4);

    let said = here.run(&["sent.html", "--yes", "--data", "store"]).code(0).stderr;
    for words in ["x: 2 runs, 20 steps to train", "later: 1 run, 4 steps", "../data/b.txt (", "two.bin"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let names = |workspace: &Workspace, experiment: &str| {
        let runs = workspace.runs(experiment);
        runs.iter().map(|run| (run.name(), read::run_record(run).unwrap())).collect::<Vec<_>>()
    };
    for experiment in ["x", "later"] {
        for ((name, was), (same, is)) in names(&first, experiment).into_iter().zip(names(&here, experiment)) {
            assert_eq!((&name, &was.hash, &was.settings), (&same, &is.hash, &is.settings));
            assert_eq!((was.number, was.tags, was.description), (is.number, is.tags, is.description));
        }
    }
    let known: Environment = read::json(&here.seed("x", 1).env_json()).unwrap();
    assert_eq!(known.sent.unwrap().file, "sent.html");
    assert_eq!(known.data.len(), 2);
    // A link, so nothing is copied.
    let data = here.path("data/sent").read_dir().unwrap().flatten().next().unwrap().path();
    assert!(data.join("data/a.txt").is_symlink());

    let equal = here.overnight(&["verify", "sent.html"]).code(0).stdout;
    assert_eq!(equal.matches("equal   ").count(), 3, "{equal}");
    assert!(equal.contains("10 hashes of rows, 5 checkpoints, 1 final value"), "{equal}");
    // Where it came from it is the same, and once more adds nothing.
    first.overnight(&["verify", "sent.html"]).code(0);
    here.run(&["sent.html", "--yes"]).code(0).says("2 of them here already");
    assert_eq!(here.runs("x").len(), 2);
}

#[test]
fn at_a_terminal_a_report_is_run_only_when_somebody_says_so() {
    let (_first, html) = sent();
    let here = elsewhere(&html);
    let run = ["run", "--plain", "--no-report", "sent.html", "--data", "store"];
    for (keys, code, runs) in [("n\n", 2, 0), ("y\n", 0, 2)] {
        let mut terminal = Terminal::start(&here, &run, 160, 40);
        terminal.wait_for("run this? [y/N]");
        terminal.type_keys(keys);
        assert_eq!(terminal.wait().code(), Some(code));
        assert_eq!(here.runs("x").len(), runs);
    }
}

#[test]
fn what_came_out_different_is_told_with_its_step_and_the_reason() {
    let (_first, html) = sent();
    let here = elsewhere(&html).variable("FAKE_DRIFT", "9");
    here.run(&["sent.html", "--yes", "--data", "store"]).code(0);
    let differs = here.overnight(&["verify", "sent.html"]).code(100).stdout;
    for words in [
        "differs x/",
        "rows of metrics.csv differ since step 9; all up to step 8 are equal",
        "of checkpoint 10 differ; those of checkpoint 8 are equal",
        "train/loss at the end, step 10, is 1.1 in the file and 1.35 here",
        "one of the two does not give the same bits twice",
        "equal   later/",
    ] {
        assert!(differs.contains(words), "{words}: {differs}");
    }
    // Another machine is a reason, where the file says so.
    let facts = unpacked(&html);
    let mut other = facts.clone();
    other["runs"].as_array_mut().unwrap().iter_mut().for_each(|run| {
        run["orders"]["device"][1] = "Another".into();
        run["orders"]["threads"] = 99.into();
    });
    let here = here.file("other.html", &packed(&html, &other));
    let said = here.overnight(&["verify", "other.html", "--json"]).code(100).stdout;
    let json: Value = serde_json::from_str(&said).unwrap();
    let run = json["runs"].as_array().unwrap().iter().find(|run| run["experiment"] == "x").unwrap();
    assert_eq!(
        run["differences"][0],
        json!({ "what": "rows", "after": 8, "step": 9, "between": 0, "bits": 80 })
    );
    assert!(run["why"][0].as_str().unwrap().starts_with("device: Another in the file"), "{run}");
    assert!(run["why"][1].as_str().unwrap().starts_with("threads: 99 in the file"), "{run}");
}

fn unpacked(html: &str) -> Value {
    let (_, block) = html.split_once(BEGIN).unwrap();
    let packed = STANDARD.decode(block.split_once("</script>").unwrap().0).unwrap();
    let mut json = String::new();
    GzDecoder::new(packed.as_slice()).read_to_string(&mut json).unwrap();
    serde_json::from_str(&json).unwrap()
}

fn block(html: &str, block: &str) -> String {
    let (before, rest) = html.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once("</script>").unwrap();
    format!("{before}{BEGIN}{block}</script>{after}")
}

fn packed(html: &str, facts: &Value) -> String {
    block(html, &gzipped(facts.to_string().as_bytes()))
}

fn gzipped(bytes: &[u8]) -> String {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(bytes).unwrap();
    STANDARD.encode(packed.finish().unwrap())
}

#[test]
fn a_report_that_somebody_changed_is_refused_with_the_place() {
    let (workspace, html) = sent();
    let facts = unpacked(&html);
    let path = workspace.path("bad.html");
    let refused = |text: &str| {
        fs::write(&path, text).unwrap();
        sent::read(&path).unwrap_err().to_string()
    };
    // By a JSON pointer what stands there instead, and what is said.
    for (pointer, value, words) in [
        ("/format", json!(3), "was written by overnight"),
        ("/format", json!(1), "export the runs anew"),
        ("/runs", json!([]), "runs: there are none"),
        ("/runs/0/protocol", json!(2), "runs[0].protocol: is 2"),
        ("/runs/0/run", json!("../../x"), "runs[0].run: \"../../x\" is no name"),
        ("/runs/0/experiment", json!(".hidden"), "runs[0].experiment"),
        ("/runs/1/settings/train/steps", json!("many"), "runs[1].settings.train.steps: invalid type"),
        ("/runs/1/settings/train/steps", json!(1e30), "runs[1].settings.train.steps: invalid"),
        ("/runs/1/settings/train/batch_size", json!(0), "runs[1].settings.train.batch_size"),
        ("/runs/1/settings/hooks", json!({ "end": "rm -rf /" }), "unknown field `hooks`"),
        ("/runs/1/number", json!(1e18), "runs[1].number"),
        ("/runs/1/seed", json!(77), "runs[1].seed: is 77"),
        ("/runs/1/settings/train/log_every", json!(3), "runs[1].hash: the settings have another one"),
        ("/runs/1/hash", json!("0".repeat(64)), "runs[1].hash: is not the one in the run's name"),
        ("/runs/1/chain/bytes", json!(9), "runs[1].chain: 9 bytes of every 1 rows"),
        ("/runs/1/chain/hashes", json!("%"), "runs[1].chain: "),
        ("/runs/1/varied", json!({ "no.such": 1 }), "runs[1].varied"),
    ] {
        let mut changed = facts.clone();
        match changed.pointer_mut(pointer) {
            Some(place) => *place = value,
            None => {
                let (above, key) = pointer.rsplit_once('/').unwrap();
                changed.pointer_mut(above).unwrap()[key] = value;
            }
        }
        let said = refused(&packed(&html, &changed));
        assert!(said.contains(words) && said.contains("bad.html"), "{pointer}: {said}");
    }
    let mut twice = facts.clone();
    let first = twice["runs"][0].clone();
    twice["runs"].as_array_mut().unwrap().push(first);
    assert!(refused(&packed(&html, &twice)).contains("stands in it twice"));
    assert!(refused("<html></html>").contains("holds no runs of overnight"));
    assert!(refused(&block(&html, "%%%")).contains("cannot be unpacked"));
    assert!(refused(&block(&html, &STANDARD.encode("no gzip"))).contains("cannot be unpacked"));
    assert!(refused(&block(&html, &gzipped(b"[1,"))).contains("cannot be unpacked"));
    assert!(refused(&html[..html.find(BEGIN).unwrap() + 200]).contains("ends in the midst"));
    let bomb = gzipped(&vec![b' '; 80 << 20]);
    assert!(refused(&block(&html, &bomb)).contains("grow beyond 64.0 MiB"));

    // Data that lead out of the workspace are never looked at, and a larger sweep is no way around.
    let mut climbing = facts.clone();
    for run in climbing["runs"].as_array_mut().unwrap().iter_mut().filter(|run| run["experiment"] == "x") {
        run["shortened"] = true.into();
        run["settings"]["data"]["files"] = json!(["../../../../../../../../etc/host*", "/etc/passwd"]);
    }
    let here = elsewhere("").file("climbing.html", &packed(&html, &climbing));
    here.run(&["climbing.html", "--yes", "--data", "store"]).code(78);
    assert!(here.runs("x").is_empty());
}
