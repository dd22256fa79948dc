//! A million rows: the page holds few, and asks for more where one looks closely.

use std::fmt::Write;

use super::{ends, settled};
use crate::chrome::{Chrome, Scripts, with_browser};
use crate::made_up::Ending;
use crate::place::{Place, Serving};

fn of_rows(rows: u32) -> Place {
    let place = Place::of(1, Ending::AllFinished);
    let mut csv = String::with_capacity(rows as usize * 32);
    csv.push_str("step,time,loss\n");
    for step in 1..=rows {
        // One row of its own among the rest.
        let loss = if step == rows / 2 + 3 { 9.0 } else { f64::from(step % 7) };
        writeln!(csv, "{step},{},{loss}", 1_790_000_000 + step).unwrap();
    }
    std::fs::write(place.runs[0].metrics(), csv).unwrap();
    place.build();
    place
}

/// Values between the ends of the chart, as drawn.
async fn shown(chrome: &Chrome) -> f64 {
    let model = "(({ lines, x }) => lines[0].x.filter((at) => at >= x.low && at <= x.high).length)(overnight.modelOf(document.getElementById('chart-other-0')))";
    chrome.number(model).await
}

#[test]
fn a_million_rows_are_a_small_page_that_shows_every_row_when_one_looks_closely() {
    with_browser(Scripts::On, async |chrome| {
        let place = of_rows(1_000_000);
        let page =
            std::fs::metadata(place.path().join("reports").join(place.page_of(&place.runs[0]))).unwrap();
        assert!(page.len() < 200_000, "{} bytes", page.len());
        let serving = Serving::new(&place);
        chrome.goto(&serving.page(&place.page_of(&place.runs[0]))).await;
        assert!(shown(chrome).await < 2_000.0);
        let tallest = "Math.max(...overnight.modelOf(document.getElementById('chart-other-0')).lines[0].y)";
        assert_eq!(chrome.number(tallest).await, 9.0, "no extreme is lost");
        chrome.requests().await;
        chrome.run("overnight.setView({ zoom: { low: 499900, high: 500100 } })").await;
        chrome
            .until(
                "every row",
                "(({ x }) => x.includes(500003) && x.includes(500004))(overnight.modelOf(document.getElementById('chart-other-0')).lines[0])",
            )
            .await;
        assert_eq!(shown(chrome).await, 201.0);
        let at = "((line) => line.x[line.y.indexOf(9)])(overnight.modelOf(document.getElementById('chart-other-0')).lines[0])";
        assert_eq!(chrome.number(at).await, 500_003.0);
        settled(chrome).await;
        let dots = "document.querySelector('#chart-other-0 path.line').getAttribute('d').split('L').length";
        assert!(chrome.number(dots).await > 150.0, "and drawn");
        let asked = chrome.requests().await;
        assert!(asked.iter().filter(|address| address.ends_with("metrics.csv")).count() <= 6, "{asked:?}");
        assert_eq!(chrome.complaints().await, Vec::<String>::new());
    });
}

#[test]
fn from_a_file_the_page_shows_what_it_holds() {
    with_browser(Scripts::On, async |chrome| {
        let place = of_rows(20_000);
        chrome.goto(&place.file(&place.page_of(&place.runs[0]))).await;
        chrome.run("overnight.setView({ zoom: { low: 9000, high: 11000 } })").await;
        settled(chrome).await;
        assert_eq!(ends(chrome, "chart-other-0").await, (9000.0, 11000.0));
        assert!(shown(chrome).await > 50.0);
        assert_eq!(chrome.complaints().await, Vec::<String>::new(), "nothing was asked for");
    });
}
