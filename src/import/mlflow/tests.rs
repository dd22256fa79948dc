use std::fs;

use super::*;

const RUN: &str = "run_id: abc1\nrun_name: first try\nstatus: 3\nstart_time: 1700000000000\n\
                   end_time: 1700000100000\nlifecycle_stage: active\nartifact_uri: file:///etc\n";

fn scene(files: &[(&str, &str)]) -> tempfile::TempDir {
    let scene = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = scene.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    scene
}

fn readings(scene: &tempfile::TempDir) -> (Vec<Reading>, Files) {
    let mut files = Files::of(scene.path()).unwrap();
    (claim(&mut files), files)
}

fn run(scene: &tempfile::TempDir) -> Foreign {
    read(&readings(scene).0[0], &Wish::default()).unwrap().remove(0)
}

#[test]
fn a_run_has_its_parameters_metrics_tags_and_the_name_of_its_experiment() {
    let scene = scene(&[
        ("mlruns/7/meta.yaml", "experiment_id: '7'\nname: digits\nartifact_location: x\n"),
        ("mlruns/7/abc1/meta.yaml", RUN),
        ("mlruns/7/abc1/params/lr", "0.1"),
        ("mlruns/7/abc1/params/model/kind", "mlp"),
        ("mlruns/7/abc1/metrics/val/loss", "1700000001000 2.0 10\n1700000002000 nan 20 data 12ab\n17000"),
        ("mlruns/7/abc1/metrics/old", "1700000001000 5\n"),
        ("mlruns/7/abc1/tags/mlflow.note.content", "good"),
        ("mlruns/7/abc1/tags/mlflow.parentRunId", "../../../etc"),
        ("mlruns/7/abc1/tags/team", "night"),
        ("mlruns/7/abc1/artifacts/metrics.csv", "step,loss\n1,2\n"),
        ("mlruns/7/abc1/artifacts/said/one.txt", "hello"),
    ]);
    let (readings, files) = readings(&scene);
    assert_eq!((readings.len(), files.left.len()), (1, 0));
    let run = read(&readings[0], &Wish::default()).unwrap().remove(0);
    assert_eq!((run.experiment.as_deref(), run.name.as_str()), (Some("digits"), "first try"));
    assert_eq!(
        serde_json::to_string(&run.settings).unwrap(),
        r#"{"lr":0.1,"model/kind":"mlp","mlflow.parent":"../../../etc"}"#
    );
    assert_eq!((run.notes.as_str(), run.tags.as_slice()), ("good", &["team=night".to_owned()][..]));
    assert_eq!((run.started, run.newest, run.has_ended), (Some(1.7e9), Some(1.7e9 + 100.0), true));
    let table = run.rows.clone().table();
    assert_eq!(table.columns()[4..], ["old", "val/loss"]);
    assert_eq!(table.rows()[1], [Some(10.0), None, Some(1.7e9 + 1.0), Some(0.0), None, Some(2.0)]);
    assert!(table.rows()[2][5].is_some_and(f64::is_nan));
    assert!(run.warnings.iter().any(|said| said.contains("1 lines of metrics/val/loss")));
    assert!(
        run.warnings.iter().any(|said| said.contains("1 of its artifacts stay where they are: metrics.csv"))
    );
    assert_eq!((run.texts[0].step, run.texts[0].title.as_str()), (20, "said/one.txt"));
    assert!(!run.files.iter().any(|path| path.ends_with("artifacts/metrics.csv")));
}

#[test]
fn what_was_deleted_is_left_out_and_said_and_a_child_names_its_parent() {
    let gone = RUN.replace("active", "deleted");
    let scene = scene(&[
        ("0/abc1/meta.yaml", RUN),
        ("0/abc2/meta.yaml", RUN.replace("first try", "child").as_str()),
        ("0/abc2/tags/mlflow.parentRunId", "abc1"),
        ("0/bad/meta.yaml", &gone),
        ("0/bad/metrics/loss", "1 2 3\n"),
        (".trash/9/meta.yaml", "experiment_id: '9'\nlifecycle_stage: deleted\nartifact_location: x\n"),
        (".trash/9/abc3/meta.yaml", RUN),
        ("0/models/m-1/meta.yaml", "model_id: m-1\nsource_run_id: abc1\n"),
    ]);
    let (readings, files) = readings(&scene);
    let names: Vec<String> = readings.iter().map(|reading| name(&reading.place)).collect();
    assert_eq!(names, ["abc1", "abc2"]);
    let child = read(&readings[1], &Wish::default()).unwrap().remove(0);
    assert_eq!(child.settings["mlflow.parent"], "first try");
    assert_eq!(files.said[0], "deleted in MLflow, so left out: 9, bad");
    assert!(files.said[1].ends_with("m-1"), "{:?}", files.said);
}

#[test]
fn a_metric_of_gigabytes_and_thousands_of_parameters_are_left_out_and_said() {
    let scene = scene(&[("abc1/meta.yaml", RUN), ("abc1/metrics/small", "1 2 3\n")]);
    let sparse = fs::File::create(scene.path().join("abc1/metrics/large")).unwrap();
    sparse.set_len(10 << 30).unwrap();
    fs::create_dir(scene.path().join("abc1/params")).unwrap();
    for place in 0..MOST_OF_A_KIND + 5 {
        fs::write(scene.path().join(format!("abc1/params/p{place}")), "1").unwrap();
    }
    let run = run(&scene);
    assert_eq!(run.rows.clone().table().columns()[4..], ["small"]);
    assert!(run.warnings.iter().any(|said| said.starts_with("metrics/large was left out")));
    assert!(run.warnings.iter().any(|said| said.starts_with("5 of its params were left out")));
    assert!(run.files.len() <= MOST_OF_A_KIND + 2);
}

#[test]
fn anchors_that_explode_and_links_out_give_nothing() {
    let bomb = format!("{RUN}a: &a [x,x,x,x]\nb: &b [*a,*a,*a,*a]\nc: [*b,*b,*b,*b]\n");
    let scene = scene(&[("abc1/meta.yaml", &bomb), ("abc1/metrics/loss", "1 2 3\n")]);
    std::os::unix::fs::symlink("/etc/passwd", scene.path().join("abc1/metrics/secret")).unwrap();
    std::os::unix::fs::symlink("/etc", scene.path().join("abc1/params")).unwrap();
    let run = run(&scene);
    assert_eq!(run.rows.clone().table().columns()[4..], ["loss"]);
    assert!(run.settings.is_empty() && run.name == "first try");
}

#[test]
fn a_run_that_failed_and_one_at_work_are_told_apart() {
    for (status, has_ended, is_warned) in
        [(1, false, false), (2, false, false), (3, true, false), (4, true, true), (5, true, true)]
    {
        let meta = RUN.replace("status: 3", &format!("status: {status}"));
        let run = run(&scene(&[("abc1/meta.yaml", &meta)]));
        let said = run.warnings.iter().any(|said| said == "MLflow says that it failed or was killed");
        assert_eq!((run.has_ended, said), (has_ended, is_warned), "{status}");
    }
}

#[test]
fn texts_beyond_what_is_kept_are_cut_and_named_and_what_came_is_among_its_files() {
    let long = "x".repeat(usize::try_from(LARGEST_TEXT).unwrap() + 1);
    let scene = scene(&[
        ("abc1/meta.yaml", RUN),
        ("abc1/params/long", &long),
        ("abc1/params/whole", &long[1..]),
        ("abc1/metrics/loss", "1700000200000 2 3\n"),
    ]);
    fs::create_dir(scene.path().join("abc1/tags")).unwrap();
    for place in 0..52 {
        fs::write(scene.path().join(format!("abc1/tags/t{place:02}")), "a\nb").unwrap();
    }
    let run = run(&scene);
    let cut = format!("params/long was cut off after {} KiB", LARGEST_TEXT >> 10);
    assert_eq!(run.warnings, [cut, "tags beyond 50 were left out".to_owned()]);
    assert_eq!((run.tags.len(), run.tags[49].as_str()), (50, "t49=a b"));
    assert_eq!(run.settings["long"].as_str().map(str::len), Some(long.len() - 1));
    assert_eq!(run.newest, Some(1_700_000_200.0), "a metric is a sign of life");
    assert_eq!(run.files.len(), 1 + 2 + 1 + 52);
}

#[test]
fn of_many_runs_that_were_deleted_some_are_named() {
    let gone = RUN.replace("active", "deleted");
    let scene = scene(&[]);
    for place in 0..=MOST_NAMED {
        let place = scene.path().join(format!("r{place:02}"));
        fs::create_dir(&place).unwrap();
        fs::write(place.join("meta.yaml"), &gone).unwrap();
    }
    let said = &readings(&scene).1.said[0];
    assert!(said.ends_with(&format!("r{:02}, ...", MOST_NAMED - 1)), "{said}");
}
