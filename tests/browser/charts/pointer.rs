//! By mouse and finger.

use super::{WIDTHS, ends, experiment, run, settled, ticks};
use crate::chrome::{Chrome, Scripts, with_browser};
use crate::hands::Button;

const TIP: &str = "document.getElementById('tip')";
const CHART: &str = "chart-val-loss";

async fn tip_rows(chrome: &Chrome) -> Vec<(String, f64)> {
    let rows = chrome
        .texts("[...document.querySelectorAll('#tip li')].map((row) => `${row.querySelector('span:not(.swatch)').textContent} ${row.querySelector('b').textContent}`)")
        .await;
    let split = |row: &String| {
        let (name, value) = row.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    };
    rows.iter().map(split).collect()
}

#[test]
fn the_nearest_points_of_all_lines_are_listed_by_value_and_every_chart_has_the_cursor() {
    with_browser(Scripts::On, async |chrome| {
        for width in WIDTHS {
            let _place = experiment(chrome, 5, width).await;
            let place = chrome.chart(CHART).await;
            chrome.hover(place(0.502, 0.3)).await;
            chrome.until("the list", &format!("{TIP} && !{TIP}.hidden")).await;
            let rows = tip_rows(chrome).await;
            assert_eq!(rows.len(), 5, "{rows:?}");
            assert!(rows.windows(2).all(|pair| pair[0].1 >= pair[1].1), "{rows:?}");
            // Evaluations stand at every 150th step of 3,000: the nearest to the middle is 1,500.
            let at = chrome.text("document.querySelector('#tip p').textContent").await;
            assert!(at.starts_with("step 1,50"), "{at}");
            let truth = chrome
                .number("Math.max(...JSON.parse(overnight.held('chart-val-loss', document.getElementById('chart-val-loss').dataset.chart)).series.map(({ points }) => points[points.indexOf(1500) + 1]))")
                .await;
            assert!((rows[0].1 - truth).abs() < 1e-3, "{rows:?}, not {truth}");
            let marked = "[...document.querySelectorAll('g.cursor')].filter((group) => group.getBoundingClientRect().top < innerHeight + 200)
                .map((group) => [group.closest('figure').id, group.querySelectorAll('circle').length].join(' '))";
            let marked = chrome.texts(marked).await;
            assert!(marked.contains(&format!("{CHART} 5")) && marked.len() >= 2, "{marked:?}");
            let box_ = chrome
                .value(&format!("(({{ left, right }}) => [left, right])({TIP}.getBoundingClientRect())"))
                .await;
            assert!(box_[0].as_f64() >= Some(0.0) && box_[1].as_f64() <= Some(f64::from(width)), "{box_}");
            chrome.hover((5.0, 5.0)).await;
            chrome
                .until("an end of it", &format!("{TIP}.hidden && !document.querySelector('g.cursor')"))
                .await;
        }
    });
}

#[test]
fn the_cursor_of_a_run_stands_at_the_same_moment_on_curves_and_telemetry() {
    with_browser(Scripts::On, async |chrome| {
        let _place = run(chrome, 1440).await;
        // Half of the 1,200 seconds are steps 0 to 1,500.
        let place = chrome.chart("telemetry-cpu-percent").await;
        chrome.hover(place(0.5, 0.5)).await;
        let line = "document.querySelector('#telemetry-memory-bytes g.cursor line')";
        chrome.until("the cursor", &format!("!!{line}")).await;
        assert!((chrome.number(&format!("parseFloat({line}.getAttribute('x1'))")).await - 50.0).abs() < 1.0);
        let curve = "overnight.modelNow(document.getElementById('chart-lr'))";
        chrome.run("document.getElementById('chart-lr').scrollIntoView()").await;
        let place = chrome.chart("chart-lr").await;
        chrome.hover(place(0.25, 0.5)).await;
        chrome.until("the cursor there", "!!document.querySelector('#chart-lr g.cursor')").await;
        assert_eq!(chrome.number(&format!("{curve}.x.high")).await, 3000.0);
        let all = "overnight.figures().filter((figure) => { const { top, bottom } = figure.getBoundingClientRect(); return bottom > 0 && top < innerHeight; })
            .every((figure) => figure.querySelector('g.cursor'))";
        assert!(chrome.is(all).await, "every chart in sight has it");
    });
}

#[test]
fn dragging_zooms_all_charts_and_a_double_click_shows_everything() {
    with_browser(Scripts::On, async |chrome| {
        for width in WIDTHS {
            let _place = experiment(chrome, 3, width).await;
            let all = ends(chrome, CHART).await;
            let drawn = (ticks(chrome, CHART, 'x').await, ticks(chrome, CHART, 'y').await);
            let place = chrome.chart(CHART).await;
            chrome.drag(place(0.4, 0.3), place(0.8, 0.4)).await;
            settled(chrome).await;
            for figure in [CHART, "chart-train-loss"] {
                let (low, high) = ends(chrome, figure).await;
                let wanted = (all.1 * 0.4, all.1 * 0.8);
                assert!(
                    (low - wanted.0).abs() < 20.0 && (high - wanted.1).abs() < 20.0,
                    "{figure}: {low} to {high}"
                );
            }
            let (low, high) = ends(chrome, CHART).await;
            let shown = ticks(chrome, CHART, 'x').await;
            let inside =
                |tick: &String| (low..=high).contains(&tick.replace(',', "").parse::<f64>().unwrap());
            assert!(shown.len() >= 2 && shown.iter().all(inside), "{shown:?}");
            // The height follows what is seen: the beginning is far above it.
            assert_ne!(ticks(chrome, CHART, 'y').await, drawn.1);

            // The address keeps it.
            assert!(chrome.text("location.hash").await.contains("zoom="));
            chrome.devtools("Page.reload", serde_json::json!({})).await;
            chrome
                .until(
                    "the page again",
                    "document.readyState === 'complete' && !!document.querySelector('figure[data-chart]')",
                )
                .await;
            let (again_low, again_high) = ends(chrome, CHART).await;
            assert!(
                (again_low - low).abs() < 1e-6 && (again_high - high).abs() < 1e-6,
                "{again_low} to {again_high}"
            );

            let place = chrome.chart(CHART).await;
            chrome.click(place(0.5, 0.5), Button::Left, 2).await;
            settled(chrome).await;
            assert_eq!(ends(chrome, CHART).await, all);
            assert_eq!(ticks(chrome, CHART, 'y').await, drawn.1);
            assert_eq!(chrome.text("location.hash").await, "");
        }
    });
}

#[test]
fn a_click_in_the_legend_hides_and_a_double_click_singles_out() {
    with_browser(Scripts::On, async |chrome| {
        for width in WIDTHS {
            let _place = experiment(chrome, 4, width).await;
            let lines = "[...document.querySelectorAll('figure[data-chart]')].map((figure) => new Set([...figure.querySelectorAll('path.line')].map((path) => path.getAttribute('class').split(' ')[1])).size)";
            let button =
                |number: u32| format!("document.querySelectorAll('#{CHART} .legend button')[{number}]");
            assert_eq!(
                chrome.number(&format!("document.querySelectorAll('#{CHART} .legend button').length")).await,
                4.0
            );
            chrome.click(chrome.middle(&button(1)).await, Button::Left, 1).await;
            settled(chrome).await;
            let left = chrome.value(lines).await;
            assert!(
                left.as_array().unwrap().iter().all(|count| count == 3),
                "all charts have three lines: {left}"
            );
            assert_eq!(chrome.text(&format!("{}.getAttribute('aria-pressed')", button(1))).await, "false");
            chrome.click(chrome.middle(&button(1)).await, Button::Left, 1).await;
            settled(chrome).await;
            assert!(chrome.value(lines).await.as_array().unwrap().iter().all(|count| count == 4));

            chrome.click(chrome.middle(&button(2)).await, Button::Left, 2).await;
            settled(chrome).await;
            assert!(
                chrome.value(lines).await.as_array().unwrap().iter().all(|count| count == 1),
                "one alone"
            );
            assert_eq!(chrome.text(&format!("{}.getAttribute('aria-pressed')", button(2))).await, "true");
            chrome.devtools("Page.reload", serde_json::json!({})).await;
            chrome
                .until(
                    "the page again",
                    "document.readyState === 'complete' && !!document.querySelector('figure[data-chart]')",
                )
                .await;
            assert!(
                chrome.value(lines).await.as_array().unwrap().iter().all(|count| count == 1),
                "the address keeps it"
            );
            chrome.click(chrome.middle(&button(2)).await, Button::Left, 2).await;
            settled(chrome).await;
            assert!(chrome.value(lines).await.as_array().unwrap().iter().all(|count| count == 4));
        }
    });
}

#[test]
fn two_fingers_zoom_one_points_and_a_double_tap_shows_everything() {
    with_browser(Scripts::On, async |chrome| {
        let _place = experiment(chrome, 3, 390).await;
        chrome
            .devtools(
                "Emulation.setTouchEmulationEnabled",
                serde_json::json!({ "enabled": true, "maxTouchPoints": 5 }),
            )
            .await;
        let all = ends(chrome, CHART).await;
        let place = chrome.chart(CHART).await;
        chrome.fingers("touchStart", &[place(0.4, 0.5)]).await;
        chrome.fingers("touchEnd", &[]).await;
        chrome.until("the list", &format!("{TIP} && !{TIP}.hidden")).await;
        assert_eq!(tip_rows(chrome).await.len(), 3);

        chrome.fingers("touchStart", &[place(0.4, 0.5), place(0.6, 0.5)]).await;
        chrome.fingers("touchMove", &[place(0.3, 0.5), place(0.7, 0.5)]).await;
        chrome.fingers("touchMove", &[place(0.2, 0.5), place(0.8, 0.5)]).await;
        chrome.fingers("touchEnd", &[]).await;
        settled(chrome).await;
        // What was between the fingers, a fifth, now has three fifths of the width.
        let (low, high) = ends(chrome, CHART).await;
        let width = (high - low) / (all.1 - all.0);
        assert!((width - 1.0 / 3.0).abs() < 0.02, "{low} to {high} of {all:?}");
        assert!(((low + high) / 2.0 - (all.0 + all.1) / 2.0).abs() < all.1 * 0.02);

        for _ in 0..2 {
            chrome.fingers("touchStart", &[place(0.5, 0.5)]).await;
            chrome.fingers("touchEnd", &[]).await;
        }
        settled(chrome).await;
        assert_eq!(ends(chrome, CHART).await, all);
    });
}
