//! What a person types and gets back, with wrong input above all.

use std::fs;
use std::process::Command;

use overnight::run_dir::write::{Durability, replace};

use crate::workspace::{Output, Workspace};

/// `overnight` with `arguments`, to its end.
fn overnight(workspace: &Workspace, arguments: &[&str]) -> Output {
    workspace.spawn(arguments).wait()
}

const TEXT: &str = "[data]\nkind = \"text\"\nfiles = [\"a.txt\"]\n[model]\nkind = \"gpt\"\ncontext = 16\n";

fn with_text(text: &[u8]) -> Workspace {
    let workspace = Workspace::new().file("experiments/x.toml", TEXT);
    fs::write(workspace.path("experiments/a.txt"), text).unwrap();
    workspace
}

#[test]
fn init_makes_a_workspace_whose_example_can_be_planned_and_keeps_what_is_there() {
    let workspace = Workspace::new();
    let made = overnight(&workspace, &["init"]).code(0);
    assert!(made.stdout.contains("experiments/shapes.toml"), "{}", made.stdout);
    overnight(&workspace, &["plan", "experiments/shapes.toml"]).code(0).says("4 runs, 4 of them new");
    fs::write(workspace.path("experiments/shapes.toml"), "# mine").unwrap();
    overnight(&workspace, &["init"]).code(0).says("is there already and stays as it is");
    assert_eq!(fs::read_to_string(workspace.path("experiments/shapes.toml")).unwrap(), "# mine");
}

#[test]
fn a_wrong_file_is_refused_with_its_place_and_nothing_starts() {
    let workspace = Workspace::new().experiment("good", 4, &[1], "").file(
        "experiments/bad.toml",
        "[data]\nkind = \"shapes\"\n[model]\nkind = \"mlp\"\n[train]\nstesp = 3\n",
    );
    for verb in ["run", "queue", "plan"] {
        let output = overnight(&workspace, &[verb, "experiments/good.toml", "experiments/bad.toml"]).code(78);
        assert_eq!(
            output.stderr,
            "error: experiments/bad.toml:6:1: [train] has no setting `stesp`\n  \
             6 | stesp = 3\n    | ^^^^^\n  did you mean `steps`?\n",
            "{verb}"
        );
    }
    assert!(!workspace.path("runs").exists());
}

#[test]
fn each_way_a_data_file_can_be_bad_is_told_apart() {
    let missing = Workspace::new().file("experiments/x.toml", TEXT);
    for (workspace, complaint) in [
        (missing, "a.txt: no such file or folder"),
        (with_text(b""), "a.txt: the file is empty"),
        (with_text(b"caf\xe9 au lait"), "a.txt: not UTF-8 at byte 3"),
        (with_text(b"too short"), "but one example needs 17"),
    ] {
        let output = overnight(&workspace, &["check", "experiments/x.toml"]).code(78).says(complaint);
        assert!(
            output.stderr.contains("x.toml:3:9") || output.stderr.contains("x.toml:6:11"),
            "{}",
            output.stderr
        );
    }
}

#[test]
fn text_with_a_mark_and_foreign_line_ends_is_fine() {
    let text =
        "\u{feff}Alice was beginning to get very tired\r\nof sitting by her sister on the bank\r\n".repeat(9);
    overnight(&with_text(text.as_bytes()), &["check", "experiments/x.toml"]).code(0);
}

#[test]
fn an_experiment_whose_name_cannot_be_a_folder_is_refused() {
    let workspace = Workspace::new().file("experiments/two words.toml", TEXT);
    overnight(&workspace, &["check", "experiments/two words.toml"])
        .code(78)
        .says("\"two words\" cannot name");
}

#[test]
fn queries_speak_json_on_standard_output_alone() {
    let workspace = Workspace::new().experiment("x", 4, &[1, 2], "");
    overnight(&workspace, &["queue", "experiments/x.toml"]).code(0);
    for arguments in [
        &["plan", "experiments/x.toml", "--json"][..],
        &["check", "experiments/x.toml", "--json"],
        &["status", "--json"],
        &["schema"],
    ] {
        let output = overnight(&workspace, arguments).code(0);
        let parsed: serde_json::Value = serde_json::from_str(&output.stdout).expect(&output.stdout);
        assert!(parsed.is_object());
    }
    let status = overnight(&workspace, &["status", "--json"]).stdout;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let words: Vec<&str> =
        status["runs"].as_array().unwrap().iter().filter_map(|run| run["status"].as_str()).collect();
    assert_eq!(words, ["waiting", "waiting"]);
    let wrong = Workspace::new().file("experiments/x.toml", "[data]\n[model]\n");
    let output = overnight(&wrong, &["check", "experiments/x.toml", "--json"]).code(78);
    let problems: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(problems["problems"][0]["line"], 1);
}

#[test]
fn a_selection_that_matches_no_run_ends_with_four() {
    let workspace = Workspace::new().experiment("x", 4, &[1], "");
    overnight(&workspace, &["logs"]).code(4).says("there are no runs yet");
    overnight(&workspace, &["queue", "experiments/x.toml"]).code(0);
    overnight(&workspace, &["status", "nothing"]).code(4).says("there is no run nothing");
    overnight(&workspace, &["logs", "s1"]).code(0).says("nothing is in it yet");
}

#[test]
fn wrong_usage_ends_with_two() {
    let workspace = Workspace::new();
    overnight(&workspace, &["polish"]).code(2);
    overnight(&workspace, &["check"]).code(2);
    overnight(&workspace, &["run", "x.toml", "--set", "steps"]).code(2).says("SETTING=VALUE");
    overnight(&workspace, &["run", "--slots", "0"]).code(2);
}

#[test]
fn a_run_that_cannot_be_read_is_shown_beside_the_others() {
    let workspace = Workspace::new().experiment("x", 4, &[1, 2], "");
    overnight(&workspace, &["queue", "experiments/x.toml"]).code(0);
    let [first, _] = &workspace.runs("x")[..] else { panic!("two runs are there") };
    replace(&first.run_json(), b"", Durability::Synced).unwrap();
    fs::create_dir_all(workspace.path("runs/x/<b>empty")).unwrap();
    let output = overnight(&workspace, &["status"]).code(0);
    assert!(
        output.stdout.contains("2 unreadable") && output.stdout.contains("1 waiting"),
        "{}",
        output.stdout
    );
    assert!(output.stdout.contains("is empty (a copy that broke off?)"), "{}", output.stdout);
}

#[test]
fn a_log_cannot_command_the_terminal() {
    let workspace = Workspace::new().experiment("x", 4, &[1], "");
    overnight(&workspace, &["queue", "experiments/x.toml"]).code(0);
    fs::write(workspace.runs("x")[0].train_log(), "step 1 \x1b]0;owned\x07\x1b[2J\n").unwrap();
    let output = overnight(&workspace, &["logs", "latest"]).code(0);
    assert_eq!(output.stdout, "step 1 ?]0;owned??[2J\n");
}

#[test]
fn completions_name_every_verb() {
    let script = overnight(&Workspace::new(), &["completions", "bash"]).code(0).stdout;
    for verb in
        ["init", "check", "plan", "run", "queue", "status", "logs", "report", "serve", "doctor", "schema"]
    {
        assert!(script.contains(verb), "{verb}");
    }
}

#[test]
fn the_main_program_does_not_need_libtorch() {
    // What the loader itself would load, asked of the loader.
    let output =
        Command::new("ldd").arg(env!("CARGO_BIN_EXE_overnight")).output().expect("ldd is part of libc");
    // Names alone: an address may hold any letters.
    let needs = String::from_utf8_lossy(&output.stdout).into_owned();
    let needs: Vec<&str> =
        needs.split_whitespace().filter(|word| !word.trim_start_matches('(').starts_with("0x")).collect();
    let needs = needs.join(" ");
    assert!(needs.contains("libc.so"), "{needs}");
    for foreign in ["torch", "c10", "cuda", "nvidia"] {
        assert!(!needs.contains(foreign), "{needs}");
    }
}

#[test]
fn every_shipped_experiment_is_read_without_complaint() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments");
    let mut seen = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "toml") {
            overnight::experiment::Experiment::read(&path, &[])
                .unwrap_or_else(|rejected| panic!("{rejected}"));
            seen += 1;
        }
    }
    assert!(seen > 0);
}

#[test]
fn a_reader_that_went_away_is_no_failure_and_stops_nothing_halfway() {
    let workspace = Workspace::new().experiment("x", 4, &[1, 2], "").experiment("z", 4, &[1], "fail@1");
    let unheard = |arguments: &[&str]| workspace.unheard(arguments).code();
    for arguments in [
        &["init"][..],
        &["check", "experiments/x.toml"],
        &["plan", "experiments/x.toml"],
        &["queue", "experiments/x.toml"],
        &["pause", "--all"],
        &["status"],
        &["report"],
        &["resume", "--all"],
        &["run", "--plain"],
    ] {
        assert_eq!(unheard(arguments), Some(0), "{arguments:?}");
        if arguments[0] == "pause" {
            assert_eq!(workspace.words("x"), ["paused"; 2]);
        }
    }
    assert_eq!(workspace.words("x"), ["finished"; 2]);
    assert_eq!(unheard(&["run", "--plain", "--no-report", "experiments/z.toml"]), Some(100));
}

#[test]
fn a_result_that_cannot_be_written_is_an_error_and_no_panic() {
    let workspace = Workspace::new().experiment("x", 4, &[1, 2], "");
    let unwritten = |arguments: &[&str]| workspace.unwritten(arguments).code();
    for verb in ["check", "plan", "queue"] {
        assert_eq!(unwritten(&[verb, "experiments/x.toml"]), Some(1), "{verb}");
    }
    assert_eq!(workspace.words("x"), ["waiting"; 2]);
    assert_eq!(unwritten(&["pause", "--all"]), Some(0));
    assert_eq!(workspace.words("x"), ["paused"; 2], "all are asked, whether or not it can be said");
}

#[test]
fn a_model_that_cannot_be_held_in_memory_is_warned_of() {
    let text = "[data]\nkind = \"shapes\"\ncount = 100\nsize = 32\n[model]\nkind = \"mlp\"\nhidden = [65536, 65536, 65536, 65536]\n\
                [train]\nsteps = 4\n[resources]\ndevice = \"cpu\"\n[train.optimizer]\nkind = \"adamw\"\n";
    let workspace =
        Workspace::new().file("experiments/x.toml", &text.replace("65536]", "65536, 65536, 65536]"));
    let output = workspace.overnight(&["check", "experiments/x.toml"]).code(0);
    let warning = output.says("x.toml: a model of ").says("with its gradients and optimizer").stderr;
    assert!(warning.contains("lower model.hidden"), "{warning}");
    let json = workspace.overnight(&["check", "--json", "experiments/x.toml"]).code(0).stdout;
    assert!(json.contains("this machine has"), "{json}");
}

#[test]
fn runs_that_were_finished_before_are_named_with_the_way_to_train_them_again() {
    let workspace = Workspace::new().experiment("x", 4, &[1], "");
    let run = |workspace: &Workspace| workspace.run(&["experiments/x.toml"]).code(0).stderr;
    assert!(!run(&workspace).contains("--again"));
    assert!(run(&workspace).contains("this run was finished before (--again trains it once more)\n"));
    let workspace = workspace.experiment("x", 4, &[1, 2], "");
    assert!(run(&workspace).contains("1 of 2 runs were finished before (--again trains it once more)\n"));
    assert!(run(&workspace).contains("all 2 runs were finished before (--again trains them once more)\n"));
}
