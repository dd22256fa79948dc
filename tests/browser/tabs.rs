//! Several tabs on one report: one stream for all of them, none for those that nobody sees.

use serde_json::json;

use crate::chrome::{Chrome, Scripts, with_browser};
use crate::live::IS_LIVE;
use crate::made_up::Ending;
use crate::place::{Place, Serving};

/// The page keeps what it opens, so that a test can look at it.
const KEEP_STREAMS: &str = "window.streams = [];
    window.EventSource = class extends EventSource {
        constructor(...given) { super(...given); window.streams.push(this); }
    };";
const OPEN_STREAMS: &str = "streams.filter((stream) => stream.readyState < 2).length";

#[test]
fn a_page_that_is_hidden_closes_its_stream_and_catches_up_when_it_is_seen_again() {
    with_browser(Scripts::On, async |chrome| {
        let place = Place::of(2, Ending::AllFinished);
        place.build();
        let _alive = place.revive(0);
        let serving = Serving::new(&place);
        let address = serving.page(&place.page_of(&place.runs[0]));
        let seen = open(chrome, &address).await;
        chrome.until("the connection", IS_LIVE).await;
        chrome.until("the state", "!!document.querySelector('main .st.running')").await;
        assert_eq!(chrome.number(OPEN_STREAMS).await, 1.0);

        chrome.minimize().await;
        chrome.until("hiding", "document.hidden").await;
        chrome.until("the end of the stream", &format!("{OPEN_STREAMS} === 0")).await;
        place.add_row(0, 2990, 0.777, None);
        let new_row = "document.querySelector('#chart-loss desc').textContent.includes('0.7770')";
        // Another window has it, so it is built and was told; but not to the hidden page.
        chrome.new_window().await;
        chrome.goto(&address).await;
        chrome.until("the new row", new_row).await;
        chrome.close_tab().await;
        chrome.speak_to(&seen).await;
        assert!(!chrome.is(new_row).await, "a hidden page asks for nothing");

        chrome.restore().await;
        chrome.until("the new row", new_row).await;
        chrome.until("its stream", &format!("{OPEN_STREAMS} === 1")).await;
    });
}

#[test]
fn two_windows_are_both_live_by_one_stream() {
    with_browser(Scripts::On, async |chrome| {
        let place = Place::of(2, Ending::AllFinished);
        place.build();
        let _alive = place.revive(0);
        let serving = Serving::new(&place);
        let address = serving.page(&place.page_of(&place.runs[0]));
        let first = open(chrome, &address).await;
        chrome.until("the connection", IS_LIVE).await;
        let second = chrome.new_window().await;
        open(chrome, &address).await;
        chrome.until("the connection", IS_LIVE).await;
        assert!(!chrome.is("document.hidden").await);
        assert_eq!(chrome.number("streams.length").await, 0.0, "the first window hears for both");

        place.add_row(0, 2990, 0.777, None);
        let new_row = "document.querySelector('#chart-loss desc').textContent.includes('0.7770')";
        chrome.until("the new row", new_row).await;
        chrome.speak_to(&first).await;
        chrome.until("the new row", new_row).await;

        // The window that is left takes the stream over.
        chrome.close_tab().await;
        chrome.speak_to(&second).await;
        chrome.until("a stream of its own", &format!("{OPEN_STREAMS} === 1")).await;
        place.add_row(0, 3000, 0.666, None);
        let next_row = "document.querySelector('#chart-loss desc').textContent.includes('0.6660')";
        chrome.until("the next row", next_row).await;
    });
}

/// Opens a page in the present tab, with an eye on its streams.
async fn open(chrome: &Chrome, address: &str) -> fantoccini::wd::WindowHandle {
    let script = json!({ "source": KEEP_STREAMS });
    chrome.devtools("Page.addScriptToEvaluateOnNewDocument", script).await;
    chrome.goto(address).await;
    chrome.tab().await
}
