//! The first page, which tells of the time since the reader last looked.

use overnight::experiment::settings::Task;

use crate::chrome::{Scripts, with_browser};
use crate::made_up::{EVENING, Ending};
use crate::place::Place;

const HEADLINE: &str = "document.querySelector('h1').textContent";
const PERIODS: &str = "[...document.querySelectorAll('#periods button')]
    .map((button) => (button.getAttribute('aria-pressed') === 'true' ? '*' : '') + button.textContent)";

#[test]
fn the_first_page_tells_of_the_time_since_the_last_look() {
    with_browser(Scripts::On, async |chrome| {
        let place = Place::of(10, Ending::Mixed);
        place.add("shapes", Task::ImageClassification, 1, Ending::AllFinished);
        place.build();
        chrome.look(1440, "light").await;
        let page = place.file("index.html");
        chrome.goto(&page).await;
        // Whoever never looked is told of the last batch.
        assert_eq!(chrome.text(HEADLINE).await, "8 runs finished. One needs you.");
        assert_eq!(chrome.texts(PERIODS).await, ["*the last batch", "24 hours"]);
        let rows = "document.querySelectorAll('#news tbody tr').length";
        assert_eq!(chrome.number(rows).await, 9.0);
        // The headline and the facts count what the list tells of.
        let told = "document.querySelectorAll('#news .st.finished').length";
        assert_eq!(chrome.number(told).await, 8.0);
        let fact = "document.querySelector('[data-fact=finished] b').textContent";
        assert_eq!(chrome.text(fact).await, "8");
        // Names of several experiments say which.
        let names = chrome
            .texts("[...document.querySelectorAll('#news a[title]')].map((link) => link.textContent)")
            .await;
        assert!(names.iter().any(|name| name.starts_with("shapes · ")), "{names:?}");

        // The same a day later: what they had seen is then the night's first hour.
        let key = "`overnight-looked-${document.documentElement.dataset.workspace}`";
        let kept = chrome.text(&format!("localStorage.getItem({key})")).await;
        assert!(kept.contains(r#""since":null"#), "{kept}");
        let seen = EVENING + 3000.0;
        chrome
            .run(&format!(
                "localStorage.setItem({key}, JSON.stringify({{ since: null, seen: {seen}, at: 1 }}))"
            ))
            .await;
        chrome.goto("about:blank").await;
        chrome.goto(&page).await;
        let headline = chrome.text(HEADLINE).await;
        assert!(
            headline.contains("finished and 1 failed since you last looked. One needs you."),
            "{headline}"
        );
        assert_eq!(chrome.texts(PERIODS).await, ["*since I last looked", "the last batch", "24 hours"]);
        let fewer = chrome.number(rows).await;
        assert!(fewer > 0.0 && fewer < 9.0, "{fewer}");
        let line = chrome.text("document.querySelector('h1 + p').textContent").await;
        assert!(line.starts_with("You last looked ") && line.ends_with(" ago."), "{line}");
        // A reload is the same look.
        chrome.goto("about:blank").await;
        chrome.goto(&page).await;
        assert_eq!(chrome.text(HEADLINE).await, headline);

        // The choice stands in the address; the batch is told of as it came.
        chrome.run("document.querySelector('[data-since=batch]').focus()").await;
        chrome.press(fantoccini::key::Key::Enter).await;
        assert_eq!(chrome.text(HEADLINE).await, "8 runs finished. One needs you.");
        assert_eq!(chrome.text("location.hash").await, "#?since=batch");
        assert_eq!(chrome.text("document.activeElement.dataset.since").await, "batch");
        assert_eq!(chrome.number(rows).await, 9.0);
        chrome.look(390, "dark").await;
        let too_wide = chrome.number("document.documentElement.scrollWidth - innerWidth").await;
        assert!(too_wide < 1.0, "{too_wide} pixels too wide");
        assert_eq!(chrome.complaints().await, Vec::<String>::new());

        // Where nothing has run there is no time to choose.
        let empty = Place::empty();
        empty.build();
        chrome.goto(&empty.file("index.html")).await;
        chrome.until("the page", "document.querySelector('h1').textContent === 'No runs yet.'").await;
        assert_eq!(chrome.texts(PERIODS).await, [""; 0]);
    });
}
