use super::*;
use std::fs;

fn runs(name: &str, text: &str, wish: &Wish) -> io::Result<Vec<Foreign>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    let mut files = Files::of(&path).unwrap();
    let readings = claim(&mut files);
    read(&readings[0], wish)
}

fn values(run: &Foreign) -> (Vec<String>, Vec<Vec<Option<f64>>>) {
    let table = run.rows.clone().table();
    (table.metrics(), table.rows().into_iter().map(|row| [&row[..1], &row[4..]].concat()).collect())
}

#[test]
fn the_wide_form_is_read_whatever_separates_it() {
    let text = "\u{feff}Epoch;global_step;\"val loss\";note;opt\n0;10;1.5;a;adam\n0;20;;b;adam\n1;30;nan;c;adam\n1;40\n";
    let run = runs("any", text, &Wish::default()).unwrap().remove(0);
    let (metrics, rows) = values(&run);
    assert_eq!((metrics, rows.len()), (vec!["val loss".to_owned()], 2));
    assert_eq!(run.settings.get("opt"), Some(&"adam".into()));
    assert!(
        run.warnings.iter().any(|warning| warning.contains("column note holds words")),
        "{:?}",
        run.warnings
    );
    assert!(run.warnings.iter().any(|warning| warning.starts_with("1 rows have another")));
}

#[test]
fn the_long_form_and_a_column_of_runs_part_metrics_and_runs() {
    let text = "run,step,metric,value\na,1,loss,3\na,1,acc,0.5\nb,1,loss,4\n";
    let runs = runs("x.csv", text, &Wish::default()).unwrap();
    assert_eq!(runs.iter().map(|run| run.part.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(
        values(&runs[0]),
        (vec!["loss".into(), "acc".into()], vec![vec![Some(1.0), Some(3.0), Some(0.5)]])
    );
}

#[test]
fn json_lines_may_be_nested_and_the_last_may_be_torn() {
    let text = "{\"step\": 1, \"train\": {\"loss\": 2.5}, \"_timestamp\": 1700000000.5}\n{\"step\": 2, \"train\": {\"lo";
    let run = runs("x.jsonl", text, &Wish::default()).unwrap().remove(0);
    assert_eq!(values(&run), (vec!["train/loss".into()], vec![vec![Some(1.0), Some(2.5)]]));
    assert_eq!(run.started, Some(1_700_000_000.5));
    assert!(run.warnings[0].contains("1 lines are no JSON"), "{:?}", run.warnings);
    let list = runs("x.json", "[{\"iter\": 3, \"loss\": 1}]", &Wish::default()).unwrap().remove(0);
    assert_eq!(values(&list).1, [[Some(3.0), Some(1.0)]]);
}

#[test]
fn a_step_column_may_be_named_and_a_missing_one_is_said_with_those_there_are() {
    let text = "tick,loss\n1,2\n";
    let error = runs("x.csv", text, &Wish::default()).unwrap_err().to_string();
    assert!(error.contains("--step COLUMN") && error.contains("tick, loss"), "{error}");
    let wish = Wish { step: Some("tick".into()), columns: vec![("loss".into(), "train/loss".into())] };
    assert_eq!(values(&runs("x.csv", text, &wish).unwrap()[0]).0, ["train/loss"]);
}

#[test]
fn ten_thousand_columns_come_to_what_a_page_can_show() {
    let names: Vec<String> = (0..10_000).map(|at| format!("m{at}")).collect();
    let row = vec!["1"; 10_000].join(",");
    let text = format!("step,{}\n1,{row}\n2,{row}\n", names.join(","));
    let run = runs("x.csv", &text, &Wish::default()).unwrap().remove(0);
    assert_eq!(values(&run).0.len(), super::super::rows::MOST_COLUMNS);
}

#[test]
fn runs_beyond_the_most_are_counted_and_said() {
    let rows: String = (0..MOST_RUNS + 3).map(|run| format!("r{run},1,0.5\n")).collect();
    let runs = runs("x.csv", &format!("run,step,loss\n{rows}r0,2,0.25\n"), &Wish::default()).unwrap();
    assert_eq!((runs.len(), values(&runs[0]).1.len()), (MOST_RUNS, 2));
    let said = &runs[0].warnings;
    assert!(said[0].starts_with("3 of its runs were left out"), "{said:?}");
}

#[test]
fn a_column_is_known_by_its_words_and_the_best_one_for_steps_counts() {
    let of = |name: &str| (columns::of(name).kind, columns::of(name).step.is_some());
    assert_eq!(of("Global_Step"), (Kind::Other, true));
    assert_eq!((of("epoch"), of("Wall time")), ((Kind::Epoch, true), (Kind::Time, false)));
    assert_eq!(
        (of("run_id"), of("metric"), of("value")),
        ((Kind::Run, false), (Kind::Metric, false), (Kind::Value, false))
    );
    let best = |names: &[&str]| step_column(names.iter().copied(), &mut Names::default(), &Wish::default());
    assert_eq!(
        (best(&["epoch", "loss", "step"]), best(&["epoch", "iter"]), best(&["loss"])),
        (Some(2), Some(1), None)
    );
}
