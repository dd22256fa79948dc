//! The exported file, as whoever got it by mail opens it.

use fantoccini::key::Key;
use overnight::report::export::{Surroundings, export};
use overnight::run_dir::{Workspace, scan};
use serde_json::json;

use crate::access::{axe, violations};
use crate::chrome::{Chrome, Scripts, with_browser};
use crate::files::Plain;
use crate::place::Place;

/// Its address, with all runs of the place in it.
fn sent(place: &Place) -> String {
    let workspace = Workspace::new(place.path());
    let sent = export(&workspace, &scan::runs(&workspace), Surroundings::LeftOut, None).unwrap();
    let path = place.path().join("sent.html");
    std::fs::write(&path, sent.html).unwrap();
    url::Url::from_file_path(path).unwrap().into()
}

async fn open(chrome: &Chrome, address: &str) {
    chrome.goto("about:blank").await;
    chrome.requests().await;
    chrome.goto(address).await;
    chrome.until("its data", "document.documentElement.dataset.sent === 'ready'").await;
}

const MAIN: &str = "document.querySelector('#e0-chart-val-loss svg.chart')";
const FURTHER: &str = "document.querySelectorAll('section[data-charts=r0] .further figure path.line')";

#[test]
fn a_sent_file_is_alive_by_itself_at_every_width() {
    with_browser(Scripts::On, async |chrome| {
        let place = Place::morning();
        let address = sent(&place);
        for (width, scheme) in [(1440, "light"), (390, "dark")] {
            chrome.look(width, scheme).await;
            open(chrome, &address).await;
            // What stands in it stays as it is until the reader wants something else.
            assert!(!chrome.is(&format!("'view' in {MAIN}.closest('figure').dataset")).await);
            chrome.run(&format!("{MAIN}.focus()")).await;
            chrome.press(Key::Right).await;
            chrome
                .until(
                    "the nearest points",
                    "/^step [\\d,]+$/.test(document.querySelector('#tip p')?.textContent)",
                )
                .await;
            chrome.until("every line", "document.querySelectorAll('#tip li').length > 5").await;
            chrome.press(Key::Escape).await;
            // Far from the window there is nothing yet; where the reader comes by, there is.
            assert_eq!(chrome.number(&format!("{FURTHER}.length")).await, 0.0);
            chrome.run("document.querySelector('section[data-charts=r0]').scrollIntoView()").await;
            chrome.until("further charts", &format!("{FURTHER}.length > 3")).await;
            let told = chrome
                .text("document.querySelector('section[data-charts=r0] .further desc').textContent")
                .await;
            assert!(told.contains(" at "), "{told}");
            // One data for both: smoothing is of every chart near the window.
            chrome.run("document.getElementById('tool-log-x').click()").await;
            chrome.until("another x", &format!("[...{FURTHER}].length > 3 && document.querySelector('section[data-charts=r0] svg.plot').dataset.x.endsWith('log')")).await;
            // A way within the file leaves the charts as they are looked at.
            chrome.run("document.querySelector('#e0-runs a').click()").await;
            chrome.until("the run", "location.hash.startsWith('#run-depth/')").await;
            chrome.run("scrollTo(0, 0)").await;
            chrome
                .until(
                    "the same x above",
                    &format!("{MAIN}.querySelector('svg.plot').dataset.x.endsWith('log')"),
                )
                .await;
            chrome.run("document.getElementById('reset').click()").await;
            chrome.until("as drawn", &format!("{MAIN}.closest('figure').dataset.view === ''")).await;
            assert!(chrome.is("document.documentElement.scrollWidth <= innerWidth").await, "{width}");
            assert_eq!(chrome.requests().await, std::slice::from_ref(&address));
            assert_eq!(chrome.complaints().await, Vec::<String>::new());
        }
        // Where it lies on somebody's host, there is nothing that it could follow.
        let Some(host) = Plain::python(place.path()).map_err(|reason| println!("skipped: {reason}")).ok()
        else {
            return;
        };
        let address = format!("{}/sent.html", host.address.trim_end_matches('/'));
        open(chrome, &address).await;
        assert_eq!(chrome.requests().await, [address]);
    });
}

#[test]
fn a_sent_file_prints_whole_charts_and_no_controls() {
    with_browser(Scripts::On, async |chrome| {
        let place = Place::wordy();
        let address = sent(&place);
        open(chrome, &address).await;
        chrome.run("window.dispatchEvent(new Event('beforeprint'))").await;
        chrome.devtools("Emulation.setEmulatedMedia", json!({ "media": "print" })).await;
        let sections = "[...document.querySelectorAll('section[data-charts^=r]')]";
        let drawn = ".filter((section) => section.querySelector('figure')).every((section) => section.querySelectorAll('.further figure path.line').length > 3)";
        chrome.until("every chart on paper", &format!("{sections}{drawn}")).await;
        let shown = ["nav", "#tools", "#tools-of-all", ".more", ".legend button + a", "#tip"].map(|name| {
            format!("[...document.querySelectorAll('{name}')].some((one) => one.checkVisibility())")
        });
        for controls in shown {
            assert!(!chrome.is(&controls).await, "{controls}");
        }
        // As wide as paper between its margins.
        chrome
            .devtools(
                "Emulation.setDeviceMetricsOverride",
                json!({ "width": 718, "height": 1000, "deviceScaleFactor": 1, "mobile": false }),
            )
            .await;
        let wide = "[...document.querySelectorAll('table, figure, pre')].filter((one) => !one.closest('.heard') && one.getBoundingClientRect().right > innerWidth + 1).map((one) => one.outerHTML.slice(0, 200))";
        assert_eq!(chrome.texts(wide).await, Vec::<String>::new());
        let split = "[...document.querySelectorAll('figure')].filter((one) => getComputedStyle(one).breakInside !== 'avoid').length";
        assert_eq!(chrome.number(split).await, 0.0);
        let pages = chrome.devtools("Page.printToPDF", json!({})).await;
        assert!(pages["data"].as_str().unwrap().len() > 20_000);
        assert_eq!(chrome.complaints().await, Vec::<String>::new());
    });
}

#[test]
fn a_sent_file_says_everything_with_scripts_off() {
    with_browser(Scripts::Off, async |chrome| {
        let place = Place::morning();
        let address = sent(&place);
        chrome.goto(&address).await;
        let counted = |what: &str| format!("document.querySelectorAll('{what}').length");
        assert!(chrome.number(&counted("section[data-charts=e0] svg.chart path.line")).await > 20.0);
        let bare = "[...document.querySelectorAll('section[data-charts^=r]')].filter((section) => !section.querySelector('svg.chart path.line')).length";
        // The one that waits has no values.
        assert_eq!(chrome.number(bare).await, 1.0);
        assert!(chrome.number(&counted("#e0-values tbody tr")).await >= 10.0);
        assert!(
            chrome.is("document.querySelector('#main').textContent.includes('What light is this')").await
        );
        assert!(
            !chrome
                .is("[...document.querySelectorAll('.further')].some((one) => one.checkVisibility())")
                .await
        );
        assert_eq!(chrome.requests().await, [address]);
    });
}

#[test]
fn axe_finds_nothing_wrong_in_a_sent_file() {
    let Some(axe) = axe() else { return };
    with_browser(Scripts::On, async |chrome| {
        for place in [Place::morning(), Place::wordy()] {
            let address = sent(&place);
            for (width, scheme) in [(1440, "dark"), (390, "light")] {
                chrome.look(width, scheme).await;
                open(chrome, &address).await;
                let found = violations(chrome, &axe).await;
                assert!(found.is_empty(), "{width} wide, {scheme}: {found:#?}");
            }
        }
    });
}
