//! What a page of many runs weighs, counted: seconds are another machine's.

use serde_json::json;

use super::*;
use crate::report::aside;
use crate::report::say::Moment;
use crate::report::summary::{BestValue, State, sample};
use crate::report::theme::Theme;
use crate::run_dir::Workspace;
use crate::run_dir::number::Number;

/// Runs that differ in their learning rate, with three curves of so many rows each.
fn crowd(runs: u16, rows: u32) -> Vec<RunSummary> {
    let one = sample("x", "y");
    let run = |number: u16| {
        let mut run = one.clone();
        run.number = number;
        run.run = format!("lr{number}-0000");
        run.label = format!("lr{number}");
        run.metric = "val/loss".into();
        run.best = Some(BestValue { value: 1.0 + f64::from(number) / 1e3, step: 9 });
        run.state =
            State { word: "finished".into(), class: "finished".into(), detail: None, is_imported: false };
        run.varied = vec![("train.optimizer.lr".into(), json!(1e-4 * f64::from(number + 1)))];
        let value = |step: u32| (f64::from(step * 7919 % 1009) / 1009.0) + f64::from(number);
        let curve: Vec<(f64, Number)> =
            (0..rows).map(|step| (f64::from(step), Number(value(step)))).collect();
        for name in ["val/loss", "train/loss", "grad_norm"] {
            run.curves.insert(name.into(), curve.clone());
            run.last.insert(name.into(), Number(value(rows)));
        }
        run
    };
    (0..runs).map(run).collect()
}

fn frame() -> Frame {
    Frame {
        title: String::new(),
        root: "../../".into(),
        here: "experiments",
        workspace: String::new(),
        host: String::new(),
        workspace_id: String::new(),
        logo: "",
        warning: None,
        active: false,
        built: Moment::default(),
    }
}

fn of(runs: &[RunSummary]) -> ExperimentPage {
    let runs: Vec<&RunSummary> = runs.iter().collect();
    page("x", &runs, None, &Weighed::default(), frame(), &Clock::ahead_of_utc(0, 100.0))
}

fn html(page: &ExperimentPage) -> String {
    let folder = tempfile::tempdir().unwrap();
    Theme::load(&Workspace::new(folder.path()), None).unwrap().render("experiment.html", page).unwrap()
}

/// Beginnings of elements.
fn elements(html: &str) -> usize {
    html.as_bytes().windows(2).filter(|pair| pair[0] == b'<' && pair[1].is_ascii_lowercase()).count()
}

#[test]
fn a_page_of_250_runs_is_a_page_and_what_its_charts_are_made_of_lies_beside_it() {
    let mut page = of(&crowd(250, 2000));
    let script = aside::taken(&mut page).expect("too much for a page");
    let html = html(&page);
    assert!(elements(&html) < 8_000, "{} elements", elements(&html));
    // Nearly all of it is the drawings, at some two bytes a coordinate.
    assert!(html.len() < 700_000, "{} bytes", html.len());
    let address = page.aside.as_deref().unwrap();
    assert!(html.contains(&format!("data-src=\"{address}\"")) && !html.contains("data-chart="));
    for id in ["chart-val-loss", "chart-train-loss", "chart-grad-norm", "sweep-data"] {
        assert_eq!(html.matches(&format!("id=\"{id}\" ")).count(), 1, "{id}");
        assert!(script.contains(&format!("\n'{id}':'")), "{id}");
    }
    // Every run has its lines and its row, all seeds together have one.
    assert_eq!(html.matches("<path class=\"line ").count(), 3 * 250 + 1 + 250);
    assert_eq!(html.matches("<tr id=\"sweep-").count(), 250);
}

#[test]
fn a_small_page_holds_its_charts_itself() {
    let mut page = of(&crowd(2, 50));
    assert!(aside::taken(&mut page).is_none());
    let html = html(&page);
    assert!(html.contains("data-chart=\"{") && !html.contains("id=\"aside\""), "{html}");
}

#[test]
fn of_metrics_that_each_run_has_alone_few_are_fields_and_the_rest_is_counted() {
    let mut runs = crowd(40, 50);
    for run in &mut runs {
        for place in 0..100 {
            run.last.insert(format!("own/{}-{place}", run.number), Number(1.0));
        }
    }
    let page = of(&runs);
    let sweep = page.sweep.as_ref().unwrap();
    assert_eq!(sweep.metrics_left_out, 40 * 100 + 3 - 60);
    assert!(sweep.table.head.len() < 70, "{:?}", sweep.table.head);
    assert!(sweep.table.head.contains(&"val/loss, last".to_owned()));
    assert!(html(&page).contains("3943 more stand on the pages of their runs"));
}
