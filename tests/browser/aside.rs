//! Pages that are too large to hold what their charts are made of: it comes after them, and nothing twice.

use crate::chrome::{Scripts, with_browser};
use crate::live::IS_LIVE;
use crate::made_up::Ending;
use crate::place::{Place, Serving};

/// Enough runs that a page's charts lie beside it.
const RUNS: u32 = 24;
const PAGE: &str = "experiments/depth/index.html";
const HELD: &str = "document.getElementById('chart-val-loss').dataset.chart";

#[test]
fn charts_of_many_runs_come_after_the_page_from_a_file_as_well() {
    with_browser(Scripts::On, async |chrome| {
        let place = Place::of(RUNS, Ending::AllFinished);
        place.build();
        let html = std::fs::read_to_string(place.path().join("reports").join(PAGE)).unwrap();
        assert!(html.contains("data-aside=\"@") && !html.contains("data-chart="));
        assert!(html.matches("<path class=\"line ").count() >= RUNS as usize, "the drawings are there");
        chrome.goto(&place.file(PAGE)).await;
        let charts = "[...document.querySelectorAll('figure[data-chart]')]";
        assert!(chrome.number(&format!("{charts}.length")).await > 0.0);
        let points =
            format!("Math.min(...{charts}.map((figure) => overnight.modelOf(figure).lines[0].x.length))");
        assert!(chrome.number(&points).await > 10.0);
        // The switches know the axes, though these came later too.
        assert!(chrome.is("!!document.querySelector('#tool-x option[value=epoch]')").await);
        chrome.run("overnight.setView({ zoom: { low: 1000, high: 2000 } })").await;
        let zoomed = format!(
            "{charts}.every((figure) => figure.querySelector('svg.plot').dataset.x.startsWith('1000 2000'))"
        );
        chrome.until("the zoom", &zoomed).await;
        // A list of hundreds is made when somebody opens it.
        let items = "document.querySelectorAll('#lines-chart-val-loss li').length";
        assert_eq!(chrome.number(items).await, 0.0);
        chrome.run("document.getElementById('lines-chart-val-loss').open = true").await;
        chrome.until("the lines", &format!("{items} === {RUNS}")).await;
        assert_eq!(chrome.complaints().await, Vec::<String>::new());
    });
}

#[test]
fn a_served_page_is_asked_for_once_and_its_charts_follow_their_runs() {
    with_browser(Scripts::On, async |chrome| {
        let place = Place::of(RUNS, Ending::AllFinished);
        place.build();
        let _alive = place.revive(0);
        let serving = Serving::new(&place);
        // While the server still builds, the page may be another one by the time it is asked about.
        let again = "performance.getEntriesByType('resource').filter(({ name, decodedBodySize }) => name === location.href && decodedBodySize > 0).length";
        let mut asked = f64::NAN;
        for _ in 0..20 {
            chrome.goto(&serving.page(PAGE)).await;
            chrome.until("the connection", IS_LIVE).await;
            asked = chrome.number(again).await;
            if asked == 0.0 {
                break;
            }
        }
        assert_eq!(asked, 0.0, "the page is asked for again as often as it is opened");
        let before = chrome.text(HELD).await;
        place.add_row(0, 3100, 0.5, Some(0.0625));
        let model = "overnight.modelOf(document.getElementById('chart-val-loss'))";
        let last = format!("{model}.lines.some(({{ y }}) => y.at(-1) === 0.0625)");
        chrome.until("the row", &last).await;
        assert_ne!(chrome.text(HELD).await, before);
        assert_eq!(chrome.complaints().await, Vec::<String>::new());
    });
}
