//! Pages that change while somebody reads them.

use std::time::{SystemTime, UNIX_EPOCH};

use fantoccini::key::Key;

use crate::chrome::{Chrome, Scripts, with_browser};
use crate::made_up::Ending;
use crate::place::{Place, Serving};

/// Whether the page's connection stands.
pub const IS_LIVE: &str = "document.getElementById('connection').textContent === 'live'";
const VIEW: &str = "document.querySelector('#chart-loss svg.plot').dataset.x";

#[test]
fn a_live_page_changes_in_place_under_its_reader() {
    with_browser(Scripts::On, async |chrome| {
        let place = Place::of(3, Ending::AllFinished);
        place.build();
        let _alive = place.revive(0);
        let serving = Serving::new(&place);
        chrome.goto(&serving.page(&place.page_of(&place.runs[0]))).await;
        chrome.until("the connection", IS_LIVE).await;
        // The page as a run at work: built again since the lock was taken.
        chrome.until("the state", "!!document.querySelector('main .st.running')").await;

        drag_over_the_loss(chrome).await;
        chrome.until("the zoom", &format!("parseFloat({VIEW}) > 1000")).await;
        let zoomed = chrome.text(VIEW).await;
        chrome.run("overnight.setView({ smoothing: 0.9, hidden: new Set(['val/loss']) })").await;
        let averaged = "[document.querySelectorAll('#chart-lr path.faint').length,
            document.querySelectorAll('#chart-loss path.lead').length,
            document.querySelector('#tools output').textContent].join()";
        chrome.until("the average", &format!("{averaged} === '1,0,0.90'")).await;
        let ticks = "[...document.querySelectorAll('#chart-loss g.scale text:not([dx])')].map((text) => text.textContent).join()";
        let zoomed_ticks = chrome.text(ticks).await;
        chrome
            .run(
                "window.scrollTo(0, 500); window.before = document.querySelector('h1');
                 getSelection().selectAllChildren(document.getElementById('log'));
                 document.getElementById('all-settings').open = true;",
            )
            .await;
        let reader = "[scrollY, getSelection().toString(), document.getElementById('all-settings').open]";
        let kept = chrome.value(reader).await;
        assert_eq!((kept[0].as_f64(), &kept[2]), (Some(500.0), &true.into()));
        assert!(kept[1].as_str().unwrap().contains("train/loss"), "{kept}");

        let seen = "document.querySelector('#chart-loss desc').textContent.includes('0.7770')";
        let shown = changed_after(chrome, seen, || place.add_row(0, 2990, 0.777, None)).await;
        println!("a row was on its page {shown:.0} ms after it was written");

        assert_eq!(chrome.value(reader).await, kept, "scroll, selection and what was opened stay");
        assert_eq!(chrome.text(VIEW).await, zoomed, "the zoom stays");
        assert_eq!(chrome.text(ticks).await, zoomed_ticks);
        assert!(chrome.is("window.before === document.querySelector('h1')").await, "no reload");

        assert_eq!(chrome.text(averaged).await, "1,0,0.90", "the average stays, what was hidden as well");

        chrome.run("document.getElementById('reset').click()").await;
        chrome.until("all steps again", &format!("{VIEW}.startsWith('0 ')")).await;
        assert_eq!(chrome.text(averaged).await, "0,1,0.83 where noisy");
        assert_eq!(chrome.complaints().await, Vec::<String>::new());
        let own = |address: &String| address.starts_with(&serving.address);
        assert!(chrome.requests().await.iter().all(own));
    });
}

#[test]
fn a_sorted_table_keeps_its_order_and_the_focus_while_values_change() {
    with_browser(Scripts::On, async |chrome| {
        let place = Place::of(5, Ending::AllFinished);
        place.build();
        let _alive = place.revive(1);
        let serving = Serving::new(&place);
        chrome.goto(&serving.page("experiments/depth/index.html")).await;
        chrome.until("the connection", IS_LIVE).await;
        chrome.until("the state", "!!document.querySelector('#sweep .st.running')").await;
        // By the number of steps, falling, from the keyboard.
        chrome.run("[...document.querySelectorAll('#sweep th button')].at(-2).focus()").await;
        chrome.press(Key::Enter).await;
        chrome.press(Key::Enter).await;
        let order = "[...document.querySelectorAll('#sweep tbody tr')].map((row) => row.id).join()";
        let sorted = "document.querySelector('#sweep th[aria-sort]').getAttribute('aria-sort')";
        let focus = "document.activeElement.textContent";
        let before = (chrome.text(sorted).await, chrome.text(focus).await);
        assert_eq!(before, ("descending".into(), "steps".into()));
        let old_order = chrome.text(order).await;

        // The best loss of all, and more steps than any other run has.
        place.add_row(1, 5000, 0.9, Some(0.5));
        let cell =
            "[...document.querySelectorAll('#sweep tr')].some((row) => row.textContent.includes('0.5000'))";
        chrome.until("the new value", cell).await;

        assert_eq!((chrome.text(sorted).await, chrome.text(focus).await), before);
        let new_order = chrome.text(order).await;
        assert_ne!(new_order, old_order);
        let first = chrome.text("document.querySelector('#sweep tbody tr').textContent").await;
        assert!(first.contains("5,000"), "sorted by the new values: {first}");
    });
}

#[test]
fn the_first_page_follows_a_run_that_begins_and_ends() {
    with_browser(Scripts::On, async |chrome| {
        let place = Place::of(3, Ending::AllFinished);
        place.build();
        let serving = Serving::new(&place);
        chrome.goto(&serving.page("index.html")).await;
        chrome.until("the connection", IS_LIVE).await;
        let headline = "document.querySelector('h1').textContent";
        assert_eq!(chrome.text(headline).await, "3 runs finished.");
        let result = std::fs::read(place.runs[2].result()).unwrap();
        let alive = place.revive(2);
        chrome.until("a run at work", &format!("{headline}.includes('1 is running')")).await;
        std::fs::write(place.runs[2].result(), result).unwrap();
        drop(alive);
        chrome.until("its end", &format!("{headline} === '3 runs finished.'")).await;
    });
}

#[test]
fn a_page_comes_back_when_its_server_does() {
    with_browser(Scripts::On, async |chrome| {
        let place = Place::of(2, Ending::AllFinished);
        place.build();
        let _alive = place.revive(0);
        let serving = Serving::new(&place);
        chrome.goto(&serving.page(&place.page_of(&place.runs[0]))).await;
        chrome.until("the connection", IS_LIVE).await;
        let port = serving.port();
        drop(serving);
        let is_lost = "document.getElementById('connection').textContent === 'not connected'";
        chrome.until("the loss of the connection", is_lost).await;
        place.add_row(0, 2990, 0.777, None);
        let _again = Serving::at(&place, port);
        chrome.until("the connection", IS_LIVE).await;
        let new_row = "document.querySelector('#chart-loss desc').textContent.includes('0.7770')";
        chrome.until("the row that was written meanwhile", new_row).await;
    });
}

#[test]
fn a_page_that_a_busy_server_refused_asks_again() {
    with_browser(Scripts::On, async |chrome| {
        let place = Place::of(1, Ending::AllFinished);
        place.build();
        let serving = Serving::new(&place);
        // A stream that is refused closes for good, as browsers see it.
        let refused = "window.streams = 0;
            window.EventSource = class extends EventSource {
                constructor(path) { super(window.streams++ ? path : '/no-such-stream'); }
            };";
        let script = serde_json::json!({ "source": refused });
        chrome.devtools("Page.addScriptToEvaluateOnNewDocument", script).await;
        chrome.goto(&serving.page("index.html")).await;
        chrome.until("the connection", IS_LIVE).await;
        assert_eq!(chrome.number("window.streams").await, 2.0);
    });
}

#[test]
fn a_report_that_cannot_be_built_is_said_on_the_page_until_it_can() {
    with_browser(Scripts::On, async |chrome| {
        let place = Place::of(1, Ending::AllFinished);
        place.build();
        let serving = Serving::new(&place);
        chrome.goto(&serving.page("index.html")).await;
        chrome.until("the connection", IS_LIVE).await;
        let templates = place.path().join("templates");
        std::fs::create_dir(&templates).unwrap();
        std::fs::write(templates.join("run.html"), "{% <b>nonsense</b> %}").unwrap();
        let problem = "document.getElementById('problem')";
        chrome
            .until("the problem", &format!("!{problem}.hidden && {problem}.textContent.includes('run.html')"))
            .await;
        assert_eq!(chrome.number(&format!("{problem}.children.length")).await, 0.0, "only text");
        assert_eq!(chrome.text("document.querySelector('h1').textContent").await, "1 run finished.");
        // Who comes later is told as well.
        chrome.goto(&serving.page("runs/index.html")).await;
        chrome.until("the problem", &format!("!{problem}.hidden")).await;
        std::fs::remove_dir_all(templates).unwrap();
        chrome.until("the end of the problem", &format!("{problem}.hidden")).await;
    });
}

/// Draws a band over the middle of the first chart with the mouse.
async fn drag_over_the_loss(chrome: &Chrome) {
    let chart = "document.querySelector('#chart-loss svg.chart')";
    chrome.run(&format!("{chart}.scrollIntoView({{ block: 'center' }})")).await;
    let side = async |name: &str| chrome.number(&format!("{chart}.getBoundingClientRect().{name}")).await;
    let (left, width, top) = (side("left").await, side("width").await, side("top").await);
    let place = |part: f64| ((left + part * width).round(), (top + 40.0).round());
    chrome.drag(place(0.4), place(0.8)).await;
}

/// Milliseconds from a change on disk to the page that shows it.
async fn changed_after(chrome: &Chrome, condition: &str, change: impl FnOnce()) -> f64 {
    // The page notes the time itself: asking it from outside takes time of its own.
    let watch = "window.changed = null;
        new MutationObserver(() => { if (window.changed === null && (CONDITION)) window.changed = Date.now(); })
            .observe(document.getElementById('main'), { subtree: true, childList: true, attributes: true, characterData: true });";
    chrome.run(&watch.replace("CONDITION", condition)).await;
    let written = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64() * 1e3;
    change();
    chrome.until("the change", "window.changed !== null").await;
    chrome.number("window.changed").await - written
}
