//! What Prometheus is told: read by a parser as strict as its own, by `promtool` where there is one, and
//! named by the dashboard.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};

use super::*;
use crate::run_dir::lock;
use crate::serve::api::prometheus::families::{ALL, Family, Kind};

/// A workspace that has something to tell of every family: one live run, one GPU.
fn told(accept: Option<&str>, change: impl FnOnce(&Scene)) -> String {
    let scene = Scene::new();
    let run = scene.api.workspace.run("x", "a");
    let _alive = lock::try_lock(&run.alive_lock()).unwrap().unwrap();
    crate::report::build(scene.folder.path()).unwrap();
    let _held = at_work(&scene, 0.0);
    change(&scene);
    let (status, headers, body) = scene.ask(&Asked { path: "/metrics", accept, ..Asked::default() });
    assert_eq!(status, 200);
    let kind = if accept.is_some() {
        "application/openmetrics-text; version=1.0.0"
    } else {
        "text/plain; version=0.0.4"
    };
    assert!(headers.contains(&format!("Content-Type: {kind}")), "{headers}");
    String::from_utf8(body).unwrap()
}

/// A batch that has ended, with a row as fresh as if its runner had just gone.
fn ended(scene: &Scene) {
    let path = BatchDir::new(scene.api.workspace.batches().join("b")).batch_json();
    let mut batch: Batch = crate::run_dir::read::json(&path).unwrap();
    (batch.end, batch.exit_code, batch.energy_joules) = (Some(2000.5), Some(100), Some(7.5));
    replace_json(&path, &batch, Durability::Rebuildable).unwrap();
}

fn is_name(text: &str, also: &[u8]) -> bool {
    !text.is_empty()
        && !text.starts_with(|first: char| first.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || also.contains(&byte))
}

/// Families with their kinds and how many samples each has.
fn parsed(text: &str) -> BTreeMap<String, (String, usize)> {
    let (mut families, mut help, mut series) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
    let mut open = String::new();
    let body = text.strip_suffix("# EOF\n").unwrap_or(text);
    assert!(body.ends_with('\n'));
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, said) = rest.split_once(' ').unwrap();
            assert!(is_name(name, b":") && !said.is_empty() && help.insert(name.to_owned()), "{line}");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(["gauge", "counter", "unknown"].contains(&kind) && help.contains(name), "{line}");
            assert!(families.insert(name.to_owned(), (kind.to_owned(), 0)).is_none(), "{line}");
            open = name.to_owned();
        } else {
            let (named, value) = line.rsplit_once(' ').unwrap();
            let number =
                ["NaN", "+Inf", "-Inf"].contains(&value) || value.parse::<f64>().is_ok_and(f64::is_finite);
            assert!(number && series.insert(named.to_owned()), "{line}");
            let name = named.split('{').next().unwrap();
            assert!(name == open, "{line} is not among its family");
            labels(&named[name.len()..]);
            families.get_mut(name).unwrap().1 += 1;
        }
    }
    assert!(families.values().all(|(_, samples)| *samples > 0));
    families
}

/// Holds `{a="b",c="d"}` against the format.
fn labels(text: &str) {
    let Some(mut rest) = text.strip_prefix('{') else { return assert_eq!(text, "") };
    let mut names = BTreeSet::new();
    loop {
        let (name, value) = rest.split_once("=\"").unwrap();
        assert!(is_name(name, b"") && names.insert(name.to_owned()), "{text}");
        let mut chars = value.char_indices();
        let end = loop {
            match chars.next().unwrap() {
                (_, '\\') => assert!(matches!(chars.next(), Some((_, '\\' | '"' | 'n'))), "{text}"),
                (end, '"') => break end,
                _ => {}
            }
        };
        rest = &value[end + 1..];
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None => return assert_eq!(rest, "}", "{text}"),
        }
    }
}

#[test]
fn a_strict_parser_reads_both_formats_and_finds_every_family_and_no_other() {
    let known: BTreeMap<&str, &Family> = ALL.iter().map(|family| (family.name, *family)).collect();
    assert_eq!(known.len(), ALL.len());
    let mut seen = BTreeSet::new();
    for change in [|_: &Scene| {}, ended] {
        for accept in [None, Some("application/openmetrics-text;version=1.0.0;q=0.9,text/plain;q=0.2")] {
            let text = told(accept, change);
            assert_eq!(text.ends_with("# EOF\n"), accept.is_some());
            for (name, (kind, _)) in parsed(&text) {
                let family = known.get(name.as_str()).unwrap_or_else(|| panic!("{name} is in no list"));
                let expected = match (family.kind, accept) {
                    (Kind::Gauge, _) => "gauge",
                    (Kind::Counter, None) => "counter",
                    (Kind::Counter, Some(_)) => "unknown",
                };
                assert_eq!(kind, expected, "{name}");
                seen.insert(name);
            }
        }
    }
    let missing: Vec<&&str> = known.keys().filter(|name| !seen.contains(**name)).collect();
    assert!(missing.is_empty(), "never told: {missing:?}");
}

#[test]
fn live_runs_are_told_one_by_one_up_to_a_bound() {
    let scene = Scene::new();
    let workspace = &scene.api.workspace;
    let mut alive = Vec::new();
    for number in 0..103 {
        let dir = workspace.run("many", &format!("r{number}"));
        fs::create_dir_all(dir.path()).unwrap();
        let record = sample_record("many", &dir.name());
        replace_json(&dir.run_json(), &record, Durability::Rebuildable).unwrap();
        alive.push(lock::try_lock(&dir.alive_lock()).unwrap().unwrap());
    }
    crate::report::build(scene.folder.path()).unwrap();
    let text = scene.get("/metrics").1.as_str().unwrap().to_owned();
    assert_eq!(parsed(&text)["overnight_run_step"].1, 100);
    assert!(text.lines().any(|line| line == "overnight_runs_left_out 3"), "{text}");
}

#[test]
fn promtool_finds_nothing_wrong_but_what_nvidia_chose() {
    let told = told(None, ended);
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = promtool else {
        println!("skipped: there is no promtool here (Debian's package prometheus has it)");
        return;
    };
    promtool.stdin.take().unwrap().write_all(told.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    let ours: Vec<&str> =
        said.lines().filter(|line| !line.trim_start().starts_with("DCGM_FI_DEV_")).collect();
    // 3: it was read, and could be named better.
    assert!(ours.is_empty() && matches!(output.status.code(), Some(0 | 3)), "{said}");
}

#[test]
fn every_query_of_the_dashboard_names_what_is_exported() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/grafana/overnight.json");
    let dashboard: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let known: BTreeSet<&str> = ALL.iter().map(|family| family.name).collect();
    let mut named = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            let query = target["expr"].as_str().unwrap();
            let names = metrics_of(query);
            assert!(!names.is_empty(), "{query}");
            for name in names {
                assert!(known.contains(name.as_str()), "{name} of {query} is not exported");
                named.insert(name);
            }
        }
    }
    assert!(named.len() > 20, "{named:?}");
}

/// The names in a query that are neither functions nor in braces or brackets.
fn metrics_of(query: &str) -> Vec<String> {
    let mut bare = String::new();
    let mut depth = 0;
    for char in query.chars() {
        match char {
            '{' | '[' => depth += 1,
            '}' | ']' => depth -= 1,
            char if depth == 0 => bare.push(char),
            _ => {}
        }
    }
    let words = bare.split(|char: char| !char.is_ascii_alphanumeric() && char != '_');
    let names = words.filter(|word| is_name(word, b"") && !["sum", "rate", "time"].contains(word));
    names.map(str::to_owned).collect()
}
