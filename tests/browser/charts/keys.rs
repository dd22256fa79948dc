//! By keyboard alone.

use super::{WIDTHS, ends, experiment, settled, ticks};
use crate::chrome::{Chrome, Scripts, with_browser};

const CHART: &str = "chart-val-loss";
const FOCUSED: &str = "document.activeElement.closest('figure')?.id + ' ' + document.activeElement.nodeName";

/// Presses Tab until something has the focus.
async fn tab_to(chrome: &Chrome, condition: &str) {
    for _ in 0..200 {
        if chrome.is(condition).await {
            return;
        }
        chrome.key("Tab", false).await;
    }
    panic!("{condition}: no Tab leads there");
}

#[test]
fn arrows_move_the_cursor_plus_and_minus_zoom_escape_shows_everything() {
    with_browser(Scripts::On, async |chrome| {
        for width in WIDTHS {
            let _place = experiment(chrome, 3, width).await;
            let all = ends(chrome, CHART).await;
            tab_to(chrome, &format!("{FOCUSED} === '{CHART} svg'")).await;
            let outline = "getComputedStyle(document.activeElement).outlineStyle";
            assert_eq!(chrome.text(outline).await, "solid", "the focus is seen");
            let said = "document.getElementById('spoken')?.textContent ?? ''";
            chrome.key("ArrowRight", false).await;
            chrome.until("the first point", &format!("({said}).startsWith('step 150:')")).await;
            chrome.key("ArrowRight", false).await;
            chrome.until("the second", &format!("({said}).startsWith('step 300:')")).await;
            chrome.key("ArrowRight", true).await;
            chrome.until("ten further", &format!("({said}).startsWith('step 1,800:')")).await;
            chrome.key("ArrowLeft", false).await;
            chrome.until("one back", &format!("({said}).startsWith('step 1,650:')")).await;
            assert_eq!(chrome.text(said).await.matches(", ").count(), 2, "three runs are told");
            chrome.key("+", false).await;
            settled(chrome).await;
            let (low, high) = ends(chrome, CHART).await;
            assert!((high - low - (all.1 - all.0) / 2.0).abs() < 1.0, "{low} to {high}");
            assert!(low < 1650.0 && high > 1650.0, "about the cursor");
            chrome.key("-", false).await;
            settled(chrome).await;
            assert_eq!(ends(chrome, CHART).await, all);
            chrome.key("+", false).await;
            settled(chrome).await;
            chrome.key("Escape", false).await;
            settled(chrome).await;
            assert_eq!(ends(chrome, CHART).await, all);
            assert!(chrome.is("!document.querySelector('g.cursor')").await);
            chrome.key("End", false).await;
            chrome.until("the last point", &format!("({said}).startsWith('step 3,000:')")).await;
            let before = ticks(chrome, CHART, 'y').await;
            chrome.key("l", false).await;
            settled(chrome).await;
            assert_ne!(ticks(chrome, CHART, 'y').await, before, "logarithmic");
            chrome.key("l", false).await;
            settled(chrome).await;
            assert_eq!(ticks(chrome, CHART, 'y').await, before);
        }
    });
}

#[test]
fn the_menu_opens_walks_and_closes_by_keys_and_gives_the_focus_back() {
    with_browser(Scripts::On, async |chrome| {
        let _place = experiment(chrome, 3, 1440).await;
        tab_to(chrome, &format!("{FOCUSED} === '{CHART} svg'")).await;
        let item = "document.activeElement.textContent";
        chrome.key("m", false).await;
        chrome.until("the menu", &format!("{item} === 'Save as SVG'")).await;
        chrome.key("ArrowDown", false).await;
        assert_eq!(chrome.text(item).await, "Save as PNG");
        chrome.key("End", false).await;
        assert_eq!(chrome.text(item).await, "Logarithmic y");
        chrome.key("Escape", false).await;
        assert!(chrome.is("!document.getElementById('menu')").await);
        assert_eq!(chrome.text(FOCUSED).await, format!("{CHART} svg"));
        // The same by the button beside the title.
        tab_to(chrome, "document.activeElement.matches('#chart-train-loss button.more')").await;
        chrome.key("Enter", false).await;
        chrome.until("the menu", &format!("{item} === 'Save as SVG'")).await;
        chrome.key("End", false).await;
        chrome.key("Enter", false).await;
        settled(chrome).await;
        assert!(chrome.text("location.hash").await.contains("logy=chart-train-loss"));
        assert!(chrome.is("document.activeElement.matches('#chart-train-loss button.more')").await);
    });
}

#[test]
fn legends_and_switches_work_by_keys() {
    with_browser(Scripts::On, async |chrome| {
        let _place = experiment(chrome, 3, 390).await;
        let pressed = "[...document.querySelectorAll('#chart-val-loss .legend button')].map((one) => one.getAttribute('aria-pressed')).join()";
        tab_to(chrome, "document.activeElement.matches('#chart-val-loss .legend button')").await;
        chrome.key(" ", false).await;
        settled(chrome).await;
        assert_eq!(chrome.text(pressed).await, "false,true,true");
        chrome.key(" ", false).await;
        settled(chrome).await;
        chrome.key("Enter", true).await;
        settled(chrome).await;
        assert_eq!(chrome.text(pressed).await, "true,false,false", "one alone");
        chrome.run("document.getElementById('tool-smooth').focus()").await;
        let before = chrome.text("document.querySelector('#tools output').textContent").await;
        chrome.key("End", false).await;
        settled(chrome).await;
        assert_ne!(chrome.text("document.querySelector('#tools output').textContent").await, before);
        tab_to(chrome, "document.activeElement.id === 'reset'").await;
        chrome.key("Enter", false).await;
        settled(chrome).await;
        assert_eq!(chrome.text(pressed).await, "true,true,true");
        assert_eq!(chrome.text("location.hash").await, "");
    });
}
