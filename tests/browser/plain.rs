//! Pages with nothing behind them: opened by double click, or read with JavaScript off.

use crate::chrome::{Scripts, with_browser};
use crate::made_up::Ending;
use crate::place::{Place, Serving};

#[test]
fn from_a_file_every_page_is_whole_and_asks_for_nothing_else() {
    with_browser(Scripts::On, async |chrome| {
        for place in [Place::morning(), Place::wordy(), Place::empty()] {
            place.build();
            let below = place.file("");
            for page in place.pages() {
                chrome.goto(&place.file(&page)).await;
                assert_eq!(chrome.complaints().await, Vec::<String>::new(), "{page}");
                let elsewhere: Vec<String> =
                    chrome.requests().await.into_iter().filter(|asked| !asked.starts_with(&below)).collect();
                assert_eq!(elsewhere, Vec::<String>::new(), "{page}");
                let broken =
                    "[...document.images].filter((image) => !image.naturalWidth && image.loading !== 'lazy')
                    .map((image) => image.src)";
                assert_eq!(chrome.texts(broken).await, Vec::<String>::new(), "{page}");
                assert!(
                    chrome.is("getComputedStyle(document.querySelector('nav')).display === 'flex'").await
                );
            }
        }
        let place = Place::morning();
        place.build();
        chrome.goto(&place.file(&place.page_of(&place.runs[0]))).await;
        assert_eq!(chrome.texts(LACKING).await, Vec::<String>::new());
        assert!(chrome.number("document.querySelectorAll('figure').length").await > 7.0);
    });
}

#[test]
fn served_pages_keep_to_their_policy_and_their_host() {
    with_browser(Scripts::On, async |chrome| {
        for place in [Place::morning(), Place::wordy()] {
            place.build();
            let serving = Serving::new(&place);
            for page in place.pages() {
                chrome.goto(&serving.page(&page)).await;
                chrome.until("the connection", crate::live::IS_LIVE).await;
                // Pictures that come when one scrolls to them, too.
                chrome.run("for (const image of document.images) image.loading = 'eager'").await;
                let loaded =
                    "[...document.images].every((image) => image.complete && image.naturalWidth > 0)";
                chrome.until("the pictures", loaded).await;
                assert_eq!(chrome.complaints().await, Vec::<String>::new(), "{page}");
                let elsewhere: Vec<String> = chrome
                    .requests()
                    .await
                    .into_iter()
                    .filter(|asked| !asked.starts_with(&serving.address))
                    .collect();
                assert_eq!(elsewhere, Vec::<String>::new(), "{page}");
            }
            // Before the server ends: the page would complain that it is gone.
            chrome.goto("about:blank").await;
        }
    });
}

/// Charts without lines, ticks or words, and facts without a number.
/// Drawings without a table for those who hear the page.
const UNHEARD: &str = "[...document.querySelectorAll('figure, #night')].filter((figure) => {
    const rows = [...figure.querySelectorAll('.heard tbody tr')];
    return rows.length === 0 || !rows.some((row) => /[0-9]/.test(row.textContent))
      || [...figure.querySelectorAll('.heard tr')].some((row) => row.cells.length < 2);
    }).map((figure) => figure.id)";

const LACKING: &str = "[...[...document.querySelectorAll('figure')].filter((figure) => {
    const lines = [...figure.querySelectorAll('path.line')].map((path) => path.getBoundingClientRect());
    return !lines.some((box) => box.width > 50) || figure.querySelectorAll('svg text').length < 4
      || figure.querySelector('desc').textContent.length < 20;
    }).map((figure) => figure.id),
    ...[...document.querySelectorAll('.key')].filter((fact) => !/[0-9]/.test(fact.querySelector('b').textContent))
    .map((fact) => fact.textContent)]";

#[test]
fn without_scripts_every_chart_and_number_is_there() {
    with_browser(Scripts::Off, async |chrome| {
        let place = Place::morning();
        place.build();
        chrome.goto(&place.file(&place.page_of(&place.runs[0]))).await;
        let switches = "[...document.querySelectorAll('button, #tools, .lines')].filter((one) => one.getClientRects().length)";
        assert_eq!(chrome.number(&format!("{switches}.length")).await, 0.0, "scripts are off");
        assert_eq!(chrome.texts(LACKING).await, Vec::<String>::new());
        assert_eq!(chrome.texts(UNHEARD).await, Vec::<String>::new());
        assert!(chrome.number("document.querySelectorAll('figure').length").await > 7.0);
        chrome.goto(&place.file("experiments/depth/index.html")).await;
        assert_eq!(chrome.number("document.querySelectorAll('#sweep tbody tr').length").await, 10.0);
        assert!(chrome.number("document.querySelectorAll('#chart-val-loss path.line').length").await >= 9.0);
        chrome.goto(&place.file("index.html")).await;
        assert_eq!(chrome.texts(UNHEARD).await, Vec::<String>::new());
        assert!(chrome.number("document.querySelectorAll('path.line').length").await >= 9.0);
        assert!(chrome.number("document.querySelectorAll('#night .bar').length").await > 7.0);
    });
}

#[test]
fn without_scripts_a_page_reloads_itself_while_its_run_is_active() {
    with_browser(Scripts::Off, async |chrome| {
        let place = Place::of(2, Ending::AllFinished);
        place.build();
        let result = std::fs::read(place.runs[0].result()).unwrap();
        let alive = place.revive(0);
        place.build();
        let serving = Serving::new(&place);
        let reloads = "!!document.querySelector('head meta[http-equiv=refresh]')";
        chrome.goto(&serving.page(&place.page_of(&place.runs[0]))).await;
        assert!(chrome.is(reloads).await, "scripts are off and the run is active");
        place.add_row(0, 2990, 0.777, None);
        let new_row = "document.querySelector('#chart-loss desc').textContent.includes('0.7770')";
        chrome.until("the new row", new_row).await;

        std::fs::write(place.runs[0].result(), result).unwrap();
        drop(alive);
        chrome.until("its end", "document.querySelector('main .st').textContent === 'finished'").await;
        assert!(!chrome.is(reloads).await, "a page of what is finished stays");
        // Another run's page never did.
        chrome.goto(&serving.page(&place.page_of(&place.runs[1]))).await;
        assert!(!chrome.is(reloads).await);
    });
}
