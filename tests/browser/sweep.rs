//! The page of an experiment: its table narrowed, axes brushed, points against any field.

use fantoccini::key::Key;

use crate::chrome::{Chrome, Scripts, with_browser};
use crate::made_up::Ending;
use crate::place::Place;

const PAGE: &str = "experiments/depth/index.html";
const KEPT: &str = "[...document.querySelectorAll('.parallel path.line:not(.away)')].length";
const IN_TABLE: &str = "[...document.querySelectorAll('#sweep tbody tr:not(.away)')].length";
const TITLE: &str = "document.querySelector('#scatter figcaption b').textContent";

/// Looks into the middle of the axis at this place, in pixels of the window.
async fn axis(chrome: &Chrome, at: usize, part: f64) -> (f64, f64) {
    let line = format!("document.querySelectorAll('.parallel .axis line')[{at}].getBoundingClientRect()");
    let x = chrome.number(&format!("{line}.left")).await;
    let (top, bottom) =
        (chrome.number(&format!("{line}.top")).await, chrome.number(&format!("{line}.bottom")).await);
    (x, bottom + (top - bottom) * part)
}

/// The name of some line of the parallel coordinates, and a place where a pointer meets it.
async fn line(chrome: &Chrome) -> (String, (f64, f64)) {
    let found = chrome
        .value(
            "(() => {
                for (const path of document.querySelectorAll('.parallel path.line')) {
                    for (let part = 0.05; part < 0.5; part += 0.01) {
                        const at = path.getPointAtLength(path.getTotalLength() * part).matrixTransform(path.getScreenCTM());
                        const [x, y] = [Math.round(at.x), Math.round(at.y)];
                        if (x < innerWidth && document.elementFromPoint(x, y) === path) return [path.querySelector('title').textContent, x, y];
                    }
                }
                return null;
            })()",
        )
        .await;
    let place = |at: usize| found[at].as_f64().unwrap_or_else(|| panic!("no line can be met: {found}"));
    (found[0].as_str().unwrap_or_default().to_owned(), (place(1), place(2)))
}

#[test]
fn runs_are_brushed_found_and_set_against_each_other() {
    with_browser(Scripts::On, async |chrome| {
        let place = Place::of(12, Ending::Mixed);
        place.build();
        for width in [1440, 390] {
            chrome.look(width, "light").await;
            chrome.goto("about:blank").await;
            chrome.goto(&place.file(PAGE)).await;
            chrome.until("the axes", "document.querySelectorAll('.parallel [role=slider]').length > 1").await;
            assert_eq!((chrome.number(KEPT).await, chrome.number(IN_TABLE).await), (12.0, 12.0));
            // A mouse on the first axis, and the address remembers.
            chrome.run("document.getElementById('parallel').scrollIntoView({ block: 'center' })").await;
            let (from, to) = (axis(chrome, 0, 0.45).await, axis(chrome, 0, 0.99).await);
            chrome.drag(from, to).await;
            chrome.until("a brush", "location.hash.includes('brush=')").await;
            chrome.until("fewer runs", &format!("{KEPT} > 0 && {KEPT} < 12 && {KEPT} === {IN_TABLE}")).await;
            chrome.until("faded curves", "document.querySelector('svg.chart .line.away') !== null").await;
            let kept = chrome.number(KEPT).await;
            chrome.run("location.reload()").await;
            chrome.until("the same brush", &format!("{KEPT} === {kept}")).await;
            // The keyboard takes it back, and makes another one.
            chrome.run("document.querySelector('.parallel .axis').focus()").await;
            chrome.press(Key::Escape).await;
            chrome.until("all runs", &format!("{KEPT} === 12")).await;
            chrome.press(Key::Down).await;
            chrome.until("the lower half", &format!("{KEPT} > 0 && {KEPT} < 12")).await;
            chrome.press(Key::Escape).await;
            chrome.until("all runs", &format!("{KEPT} === 12 && !location.hash.includes('brush')")).await;
            // Points move to other fields, and stay links.
            let choose = |id: &str, at: usize| {
                format!(
                    "const box = document.getElementById('{id}'); box.selectedIndex = {at};
                     box.dispatchEvent(new Event('change', {{ bubbles: true }}))"
                )
            };
            let before = chrome.text(TITLE).await;
            chrome.run(&choose("sx", 2)).await;
            chrome.until("another title", &format!("{TITLE} !== {before:?}")).await;
            chrome.until("the address", "location.hash.includes('sx=')").await;
            let links = "document.querySelectorAll('.scatter a[href$=\"index.html\"]').length";
            assert_eq!(chrome.number(links).await, 12.0);
            // All points are one stop on the way by Tab; arrows go on along x and y.
            let stops =
                "[...document.querySelectorAll('.scatter a')].filter((link) => link.tabIndex === 0).length";
            assert_eq!(chrome.number(stops).await, 1.0);
            chrome.run("document.querySelector('.scatter a[tabindex=\"0\"]').focus()").await;
            let own = |name: &str| {
                format!("parseFloat(document.activeElement.querySelector('circle').getAttribute('{name}'))")
            };
            chrome.press(Key::Home).await;
            let left = chrome.number(&own("cx")).await;
            chrome.press(Key::End).await;
            assert!(chrome.number(&own("cx")).await > left, "{width}");
            let before = chrome.text("document.activeElement.dataset.run").await;
            chrome.press(Key::Left).await;
            assert_ne!(chrome.text("document.activeElement.dataset.run").await, before);
            let lower = chrome.number(&own("cy")).await;
            chrome.press(Key::Up).await;
            assert!(chrome.number(&own("cy")).await <= lower, "{width}");
            assert_eq!(chrome.number(stops).await, 1.0);
            chrome.press(Key::Tab).await;
            assert!(chrome.is("document.activeElement.closest('.scatter') === null").await, "{width}");
            // A line that is pointed at says its name and stands out.
            chrome.run("document.getElementById('parallel').scrollIntoView({ block: 'center' })").await;
            let (of, over) = line(chrome).await;
            chrome.point(over).await;
            chrome.until("a name", "document.getElementById('named')?.hidden === false").await;
            assert_eq!(chrome.text("document.getElementById('named').textContent").await, of, "{width}");
            assert_eq!(chrome.number("document.querySelectorAll('.parallel path.named').length").await, 1.0);
            chrome.point((2.0, 2.0)).await;
            chrome.until("no name", "document.getElementById('named').hidden").await;
            // The table.
            chrome
                .run(
                    "const field = document.getElementById('sweep-find'); field.value = 'failed';
                     field.dispatchEvent(new Event('input', { bubbles: true }))",
                )
                .await;
            let shown = "document.querySelectorAll('#sweep tbody tr:not([hidden])').length";
            chrome.until("the failed run", &format!("{shown} === 1")).await;
            chrome.run("document.getElementById('sweep-differ').click()").await;
            chrome.until("columns that differ", "location.hash.includes('differ=1')").await;
            let wide = "document.documentElement.scrollWidth <= innerWidth";
            assert!(chrome.is(wide).await, "{width}: the page scrolls sideways");
            assert_eq!(chrome.complaints().await, Vec::<String>::new());
        }
    });
}

#[test]
fn without_script_both_drawings_are_there() {
    with_browser(Scripts::Off, async |chrome| {
        let place = Place::of(4, Ending::AllFinished);
        place.build();
        for width in [1440, 390] {
            chrome.look(width, "dark").await;
            chrome.goto(&place.file(PAGE)).await;
            assert_eq!(chrome.number(KEPT).await, 4.0);
            assert_eq!(chrome.number("document.querySelectorAll('.scatter a circle.dot').length").await, 4.0);
            let size = "getComputedStyle(document.querySelector('.axis text')).fontSize";
            assert_eq!(chrome.text(size).await, "11px");
        }
    });
}
