//! Data that charts must survive, each kind on a page: what would be wrong is looked for.

use std::fmt::Write;

use serde_json::Value;

use super::{WIDTHS, ends, set, settled, ticks};
use crate::chrome::{Chrome, Scripts, with_browser};
use crate::made_up::Ending;
use crate::place::Place;

const ROWS: u32 = 200;

/// Columns that no metric of ours has, each its own chart: `chart-other-0` and so on.
const KINDS: [&str; 10] = [
    "gaps",
    "infinite",
    "nothing_finite",
    "one_point",
    "one_late",
    "constant",
    "zero",
    "tiny",
    "huge",
    "wide",
];

fn cell(kind: &str, row: u32) -> String {
    let x = f64::from(row);
    let value = match kind {
        "gaps" if (50..60).contains(&row) => f64::NAN,
        "gaps" => x.sin(),
        "infinite" if row == 100 => f64::INFINITY,
        "infinite" if row == 120 => f64::NEG_INFINITY,
        "infinite" => x,
        "nothing_finite" => f64::NAN,
        "one_point" if row == 1 => 3.0,
        "one_late" if row == 150 => 7.0,
        "one_point" | "one_late" => return String::new(),
        "constant" => 0.1,
        "zero" => 0.0,
        "tiny" => 1e-300 * (1.0 + x),
        "huge" => 1e300 * (1.0 + x) / 250.0,
        _ => 10f64.powf(x / 10.0 - 10.0),
    };
    match value {
        value if value.is_nan() => "nan".into(),
        value if value.is_infinite() => if value > 0.0 { "inf" } else { "-inf" }.into(),
        value => format!("{value:e}"),
    }
}

/// A run whose metrics are all kinds of trouble.
fn troubled() -> Place {
    let place = Place::of(1, Ending::AllFinished);
    let mut csv = format!("step,epoch,time,elapsed,{}\n", KINDS.join(","));
    for row in 1..=ROWS {
        let cells: Vec<String> = KINDS.iter().map(|kind| cell(kind, row)).collect();
        writeln!(
            csv,
            "{},{},{},{row},{}",
            row * 10,
            f64::from(row) / 10.0,
            1_790_000_000 + row,
            cells.join(",")
        )
        .unwrap();
    }
    std::fs::write(place.runs[0].metrics(), csv).unwrap();
    place.build();
    place
}

fn figure(kind: &str) -> String {
    format!("chart-other-{}", KINDS.iter().position(|known| *known == kind).unwrap())
}

/// Numbers in the drawing that are none, places far from the plot, ticks that say nothing.
const WRONG: &str = "[...document.querySelectorAll('figure')].flatMap((figure) => {
    const said = [...figure.querySelectorAll('path.line')].map((path) => path.getAttribute('d'))
        .concat([...figure.querySelectorAll('circle, line, svg.chart text')].flatMap((one) => ['x', 'y', 'cx', 'cy', 'x1', 'y1'].map((name) => one.getAttribute(name) || '')));
    const labels = [...figure.querySelectorAll('g.scale text')].map((text) => text.textContent);
    const wrong = said.filter((text) => /NaN|Infinity|undefined|null/.test(text)).concat(labels.filter((label) => /NaN|Infinity|undefined|^$/.test(label)));
    if (labels.length < 3) wrong.push('hardly a tick');
    return wrong.map((text) => `${figure.id}: ${text.slice(0, 80)}`); })";

async fn is_right(chrome: &Chrome, how: &str) {
    assert_eq!(chrome.texts(WRONG).await, Vec::<String>::new(), "{how}");
    assert_eq!(chrome.complaints().await, Vec::<String>::new(), "{how}");
    let count = async |kind: &str, what: &str| {
        chrome.number(&format!("document.querySelectorAll('#{} {what}').length", figure(kind))).await
    };
    assert_eq!(count("gaps", "path.line:not(.faint)").await, 2.0, "{how}: a gap is a gap");
    assert_eq!(count("gaps", "circle.gap").await, 1.0, "{how}: with a mark");
    assert_eq!(count("infinite", "circle.gap").await, 2.0, "{how}");
    assert_eq!(count("nothing_finite", "path.line").await, 0.0, "{how}");
    for one in ["one_point", "one_late"] {
        assert_eq!(count(one, "circle.dot").await, 1.0, "{how}: {one} is a dot");
    }
    for line in ["constant", "huge", "wide"] {
        assert!(count(line, "path.line").await >= 1.0, "{how}: {line} is a line");
    }
}

#[test]
fn no_values_break_a_chart_however_one_looks_at_it() {
    with_browser(Scripts::On, async |chrome| {
        let place = troubled();
        for width in WIDTHS {
            chrome.look(width, "dark").await;
            chrome.goto("about:blank").await;
            chrome.goto(&place.file(&place.page_of(&place.runs[0]))).await;
            assert_eq!(
                chrome.number("document.querySelectorAll('figure[data-chart]').length").await,
                KINDS.len() as f64 + TELEMETRY
            );
            is_right(chrome, "as drawn").await;
            // The same by the script: another x, so that it draws everything itself.
            set(chrome, "tool-x", "epoch").await;
            is_right(chrome, "over epochs").await;
            let (low, high) = ends(chrome, &figure("one_late")).await;
            assert!(low < 15.0 && high > 15.0, "about its only point: {low} to {high}");
            set(chrome, "tool-x", "step").await;
            set(chrome, "tool-outliers", "").await;
            is_right(chrome, "without outliers").await;
            set(chrome, "tool-outliers", "").await;
            chrome.run("overnight.setView({ zoom: { low: 5, high: 2000 } })").await;
            settled(chrome).await;
            is_right(chrome, "zoomed").await;
            let tiny = ticks(chrome, &figure("tiny"), 'y').await;
            assert!(tiny.len() >= 2 && tiny.last().unwrap().contains("e-2"), "{tiny:?}");
            let huge = ticks(chrome, &figure("huge"), 'y').await;
            assert!(huge.iter().any(|tick| tick.contains("e29") || tick.contains("e300")), "{huge:?}");
            set(chrome, "tool-log-y", "").await;
            assert_eq!(chrome.texts(WRONG).await, Vec::<String>::new(), "logarithmic");
            let wide = ticks(chrome, &figure("wide"), 'y').await;
            assert!(wide.len() >= 3, "20 decades: {wide:?}");
            set(chrome, "tool-smooth", "50").await;
            assert_eq!(chrome.texts(WRONG).await, Vec::<String>::new(), "averaged");
            // Everything can be pointed at and saved.
            let failures = "overnight.figures().flatMap((figure) => { try { const model = overnight.modelNow(figure);
                for (const part of [0, 0.5, 1]) overnight.pointsAt(model, model.x.at(part));
                const files = [overnight.toSvg(model), overnight.toTikz(model)];
                return files.filter((file) => /NaN|undefined/.test(file)).map(() => figure.id); } catch (error) { return [`${figure.id}: ${error}`]; } })";
            assert_eq!(chrome.texts(failures).await, Vec::<String>::new());
        }
    });
}

/// Charts of the made-up telemetry.
const TELEMETRY: f64 = 4.0;

#[test]
fn an_average_passes_over_what_is_not_finite() {
    with_browser(Scripts::On, async |chrome| {
        let place = troubled();
        chrome.goto(&place.file(&place.page_of(&place.runs[0]))).await;
        let smooth =
            "(([x, y], weight) => [...overnight.smooth({ x, y, means: null }, weight).y].map(String))";
        let of = |values: &str| format!("{smooth}([[0, 1, 2, 3], {values}], 0.5)");
        assert_eq!(chrome.texts(&of("[NaN, 4, Infinity, 1]")).await, ["NaN", "4", "Infinity", "2"]);
        let huge = chrome.texts(&of("[1e300, 1e300, 1e300, 1e300]")).await;
        assert!(
            huge.iter().all(|value| (value.parse::<f64>().unwrap() / 1e300 - 1.0).abs() < 1e-12),
            "{huge:?}"
        );
        // Means of stretches count with all their rows: two rows of 3 and one of 0, from 6.
        let means = "[...overnight.smooth({ means: { x: [1, 3], y: [6, 3], n: [1, 2] } }, 0.5).y]";
        let got: Value = chrome.value(means).await;
        let by_row = (6.0 * 0.125 + 3.0 * 0.25 + 3.0 * 0.5) / (0.125 + 0.25 + 0.5);
        assert!((got[1].as_f64().unwrap() - by_row).abs() < 1e-12, "{got}, not {by_row}");
    });
}

#[test]
fn steps_that_go_back_are_drawn_once() {
    with_browser(Scripts::On, async |chrome| {
        let place = Place::of(1, Ending::AllFinished);
        let mut csv = "step,epoch,time,elapsed,loss\n".to_owned();
        // A worker of another program that cut nothing: 100 steps, then again from 50 on.
        for (row, step) in (1..=100).chain(50..=150).enumerate() {
            writeln!(csv, "{step},1,{},{row},{}", 1_790_000_000 + row, if row < 100 { 5.0 } else { 1.0 })
                .unwrap();
        }
        std::fs::write(place.runs[0].metrics(), csv).unwrap();
        place.build();
        chrome.goto(&place.file(&place.page_of(&place.runs[0]))).await;
        let points: Vec<f64> = serde_json::from_value(
            chrome
                .value("[...overnight.chartOf(document.getElementById('chart-other-0')).series[0].x]")
                .await,
        )
        .unwrap();
        assert_eq!(points, (1..=150).map(f64::from).collect::<Vec<_>>());
        for axis in ["step", "elapsed", "time"] {
            set(chrome, "tool-x", axis).await;
            let rises = "(({ x }) => x.every((value, at) => at === 0 || value >= x[at - 1]))(overnight.modelNow(document.getElementById('chart-other-0')).lines[0])";
            assert!(chrome.is(rises).await, "{axis}");
        }
    });
}
