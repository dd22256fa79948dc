//! `overnight export` in the forms of other programs; what these read of them is asked by `make peers`.

use std::fs;
use std::io::Read;

use overnight::run_dir::scan;
use serde_json::Value;
use zip::ZipArchive;

use crate::namespace::{mount_small_disk, with_own_mounts};
use crate::workspace::{Workspace, wait_until};

const X: &str = "experiments/x.toml";

fn with_runs() -> Workspace {
    let workspace = Workspace::new().experiment("x", 4, &[1, 2], "");
    workspace.run(&[X]).code(0);
    workspace
}

#[test]
fn the_ending_decides_the_form_and_it_is_said_what_was_written() {
    let workspace = with_runs();
    // The worker of the tests evaluates nothing.
    let of = ["--metric", "train/loss"];
    for (path, more, begins) in [
        ("a.csv", &[][..], &b"experiment,run,seed,step,metric,value"[..]),
        ("a.json", &[], b"{\"format\":1,\"program\":\"overnight "),
        ("a.parquet", &[], b"PAR1"),
        ("a.tex", &of, b"% overnight "),
        ("a.md", &of, b"<!-- overnight "),
        ("a.pdf", &of, b"%PDF-"),
        ("a.png", &[], b"\x89PNG"),
        ("a.zip", &[], b"PK"),
        ("a.html", &[], b"<!doctype html>"),
    ] {
        // Twice: the second replaces the first, which is one of its kind.
        for _ in 0..2 {
            let said = workspace.overnight(&[&["export", "x", "--json", "-o", path], more].concat()).code(0);
            let told: Value = serde_json::from_str(&said.stdout).unwrap();
            let bytes = fs::read(workspace.path(path)).unwrap();
            assert!(bytes.starts_with(begins), "{path}: {:?}", &bytes[..40]);
            assert_eq!((&told["runs"], &told["bytes"]), (&2.into(), &bytes.len().into()), "{told}");
            assert!(told["left_out"].to_string().contains("--with-environment"), "{told}");
        }
    }
    let said = workspace.overnight(&["export", "x", "--format", "tensorboard", "-o", "tb"]).code(0);
    assert!(said.stderr.contains("left out: host, people"), "{}", said.stderr);
    for run in workspace.runs("x") {
        let folder = workspace.path("tb/x").join(run.name());
        let names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        assert!(names.len() == 1 && names[0].starts_with("events.out.tfevents."), "{names:?}");
    }
    let lines = workspace.overnight(&["export", "x", "--format", "csv", "-o", "-"]).code(0).stdout;
    assert_eq!(lines.into_bytes(), fs::read(workspace.path("a.csv")).unwrap());
}

#[test]
fn what_is_not_ours_stays_and_what_has_no_use_is_refused() {
    let workspace = with_runs().file("mine.csv", "mine\n").file("folder/mine", "mine\n");
    workspace.overnight(&["export", "x", "-o", "mine.csv"]).code(1).says("--force");
    let into = ["export", "x", "--format", "tensorboard", "-o", "folder"];
    workspace.overnight(&into).code(1).says("--force");
    assert_eq!(fs::read_to_string(workspace.path("mine.csv")).unwrap(), "mine\n");
    workspace.overnight(&["export", "x", "--force", "-o", "mine.csv"]).code(0);
    workspace.overnight(&[&into[..], &["--force"]].concat()).code(0).says("folder.before-1");
    assert_eq!(fs::read_to_string(workspace.path("folder.before-1/mine")).unwrap(), "mine\n");
    workspace.overnight(&["export", "x", "--wide", "-o", "a.pdf"]).code(2).says("--wide is for csv, parquet");
    workspace.overnight(&["export", "x", "--chart", "none", "-o", "a.png"]).code(1).says("train/loss");
    workspace.overnight(&["export", "x", "--metric", "none", "-o", "a.md"]).code(1).says("train/loss");
    assert!(!workspace.path("a.pdf").exists() && !workspace.path("a.png").exists());
}

#[test]
fn an_archive_holds_the_site_and_nothing_of_this_machine_unless_asked() {
    let workspace = with_runs();
    let here = workspace.path("").canonicalize().unwrap();
    let here = here.to_string_lossy().trim_end_matches('/').to_owned();
    let host = scan::host();
    for dir in workspace.runs("x") {
        let log = format!("reading {here}/data/input.txt\n");
        fs::write(dir.train_log(), log).unwrap();
    }
    workspace.overnight(&["export", "x", "-o", "night.zip"]).code(0);
    let mut archive = ZipArchive::new(fs::File::open(workspace.path("night.zip")).unwrap()).unwrap();
    let mut has_log = false;
    for at in 0..archive.len() {
        let mut file = archive.by_index(at).unwrap();
        let name = file.name().to_owned();
        assert!(name.starts_with("night/") && !name.contains("/."), "{name}");
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        has_log |= text.contains("reading ./data/input.txt");
        assert!(!text.contains(&here), "{name} names the folder");
        assert!(!text.contains(&format!("\"host\":\"{host}\"")), "{name} names the host");
    }
    assert!(has_log);
    let mut page = String::new();
    archive.by_name("night/index.html").unwrap().read_to_string(&mut page).unwrap();
    assert!(page.contains("<h2>The night</h2>") && page.contains("id=\"night\""), "its time line is there");
    for run in workspace.runs("x") {
        assert!(archive.by_name(&format!("night/runs/x/{}/index.html", run.name())).is_ok());
    }
    assert!(
        fs::read_dir(workspace.path(""))
            .unwrap()
            .flatten()
            .all(|entry| { !entry.file_name().to_string_lossy().starts_with(".new-") })
    );
}

/// Names in a folder of the workspace.
fn names(workspace: &Workspace, folder: &str) -> Vec<String> {
    let entries = fs::read_dir(workspace.path(folder)).unwrap().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_full_disk_leaves_the_old_export_and_nothing_half_written() {
    with_own_mounts("forms::a_full_disk_leaves_the_old_export_and_nothing_half_written", || {
        let workspace = with_runs();
        fs::create_dir(workspace.path("small")).unwrap();
        if !mount_small_disk(&workspace.path("small"), 256) {
            return;
        }
        workspace.overnight(&["export", "x", "-o", "small/a.csv"]).code(0);
        workspace.overnight(&["export", "x", "--format", "tensorboard", "-o", "small/tb"]).code(0);
        let before = fs::read(workspace.path("small/a.csv")).unwrap();
        let mut ballast = fs::File::create(workspace.path("small/ballast")).unwrap();
        while std::io::Write::write(&mut ballast, &[1; 4096]).is_ok_and(|written| written > 0) {}
        let there = names(&workspace, "small");
        for path in
            ["a.csv", "b.json", "b.parquet", "b.md", "b.tex", "b.pdf", "b.png", "b.zip", "b.html", "tb"]
        {
            let path = format!("small/{path}");
            let more: &[&str] = match path.as_str() {
                "small/tb" => &["--format", "tensorboard"],
                "small/b.md" | "small/b.tex" | "small/b.pdf" => &["--metric", "train/loss"],
                _ => &[],
            };
            let said = workspace.overnight(&[&["export", "x", "-o", path.as_str()], more].concat());
            assert!(
                !said.status.success() && said.stderr.contains("No space left"),
                "{path}: {}",
                said.stderr
            );
            assert_eq!(names(&workspace, "small"), there, "{path}");
        }
        assert_eq!(fs::read(workspace.path("small/a.csv")).unwrap(), before);
    });
}

#[test]
fn a_killed_export_leaves_no_half_file_under_its_name() {
    let workspace = Workspace::new().experiment("x", 4, &[1], "");
    workspace.run(&[X]).code(0);
    let run = workspace.seed("x", 1);
    let table = fs::read_to_string(run.metrics()).unwrap();
    let row = table.lines().next_back().unwrap();
    fs::write(run.metrics(), format!("{table}{}", format!("{row}\n").repeat(300_000))).unwrap();
    fs::create_dir(workspace.path("made")).unwrap();
    let exporting = workspace.spawn(&["export", "x", "-o", "made/big.csv"]);
    // Half way, or at its end where this test is slow.
    wait_until("it writes", || !names(&workspace, "made").is_empty());
    drop(exporting);
    let whole = workspace.overnight(&["export", "x", "--format", "csv", "-o", "-"]).code(0).stdout;
    if let Ok(made) = fs::read_to_string(workspace.path("made/big.csv")) {
        assert!(made == whole, "{} of {} bytes", made.len(), whole.len());
    }
    workspace.overnight(&["export", "x", "-o", "made/big.csv"]).code(0);
    assert!(fs::read_to_string(workspace.path("made/big.csv")).unwrap() == whole);
}

#[test]
fn where_no_font_is_found_pictures_say_what_to_install() {
    with_own_mounts("forms::where_no_font_is_found_pictures_say_what_to_install", || {
        let workspace = with_runs();
        // The usual folders, and the settings that name others.
        for folder in ["/usr/share/fonts", "/usr/local/share/fonts", "/etc/fonts"] {
            if fs::metadata(folder).is_ok() && !mount_small_disk(std::path::Path::new(folder), 64) {
                return;
            }
        }
        let home = workspace.path("home").display().to_string();
        let workspace = workspace.variable("HOME", &home).variable("XDG_DATA_HOME", &home);
        for path in ["a.pdf", "a.png"] {
            let of: &[&str] = if path == "a.pdf" { &["--metric", "train/loss"] } else { &[] };
            let refused = workspace.overnight(&[&["export", "x", "-o", path], of].concat());
            refused.code(1).says("no font for the words of charts was found (apt install fonts-dejavu-core");
            assert!(!workspace.path(path).exists());
        }
    });
}
