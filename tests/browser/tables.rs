//! Tables that sort, by mouse and by keyboard.

use fantoccini::key::Key;

use crate::chrome::{Scripts, with_browser};
use crate::made_up::Ending;
use crate::place::{Place, Serving};

const RATES: &str =
    "[...document.querySelectorAll('#sweep tbody tr')].map((row) => row.cells[1].textContent).join(' ')";
/// Headings that say to be sorted by, and which way.
const SORTED: &str = "[...document.querySelectorAll('#sweep th[aria-sort]')]
    .map((head) => `${head.textContent} ${head.getAttribute('aria-sort')}`).join()";
const RISING: &str = "1e-4 1e-4 3e-4 3e-4 3e-4 6e-4 6e-4 1e-3 1e-3 1e-3";
const FALLING: &str = "1e-3 1e-3 1e-3 6e-4 6e-4 3e-4 3e-4 3e-4 1e-4 1e-4";

#[test]
fn a_table_sorts_by_a_click_and_back() {
    with_browser(Scripts::On, async |chrome| {
        let place = Place::of(10, Ending::Mixed);
        place.build();
        chrome.goto(&place.file("experiments/depth/index.html")).await;
        assert_eq!(chrome.text(SORTED).await, "");
        let click = "[...document.querySelectorAll('#sweep th button')][1].click()";
        chrome.run(click).await;
        assert_eq!(chrome.text(RATES).await, RISING);
        assert_eq!(chrome.text(SORTED).await, "lr ascending");
        chrome.run(click).await;
        assert_eq!(chrome.text(RATES).await, FALLING);
        assert_eq!(chrome.text(SORTED).await, "lr descending");
        // Values of another metric stand by themselves, those of most rows first.
        chrome
            .run(
                "for (const { cells } of document.querySelectorAll('#sweep tbody tr'))
                    if (cells[1].textContent === '3e-4') cells[1].dataset.of = 'another metric';",
            )
            .await;
        chrome.run(click).await;
        assert_eq!(chrome.text(RATES).await, "1e-4 1e-4 6e-4 6e-4 1e-3 1e-3 1e-3 3e-4 3e-4 3e-4");
        chrome.run(click).await;
        assert_eq!(chrome.text(RATES).await, "1e-3 1e-3 1e-3 6e-4 6e-4 1e-4 1e-4 3e-4 3e-4 3e-4");
    });
}

#[test]
fn a_table_sorts_from_the_keyboard() {
    with_browser(Scripts::On, async |chrome| {
        let place = Place::of(10, Ending::Mixed);
        place.build();
        chrome.goto(&place.file("experiments/depth/index.html")).await;
        let is_there =
            "document.activeElement.tagName === 'BUTTON' && document.activeElement.textContent === 'lr'";
        let mut presses = 0;
        while !chrome.is(is_there).await {
            chrome.press(Key::Tab).await;
            presses += 1;
            assert!(presses < 200, "the Tab key never gets to the heading");
        }
        let outline = "getComputedStyle(document.activeElement).outlineStyle";
        assert_eq!(chrome.text(outline).await, "solid", "the focus is seen");
        chrome.press(Key::Enter).await;
        assert_eq!(chrome.text(RATES).await, RISING);
        chrome.press(Key::Space).await;
        assert_eq!(chrome.text(RATES).await, FALLING);
        assert!(chrome.is(is_there).await, "the focus stays where it was");
        // Another column: only one heading says to be sorted by.
        chrome.press(Key::Tab).await;
        chrome.press(Key::Enter).await;
        assert_eq!(chrome.text(SORTED).await, "layers ascending");
    });
}

#[test]
fn rows_without_a_value_come_last_both_ways() {
    with_browser(Scripts::On, async |chrome| {
        let place = Place::of(10, Ending::Mixed);
        place.build();
        chrome.goto(&place.file("experiments/depth/index.html")).await;
        let click = "[...document.querySelectorAll('#sweep th button')]
            .find((button) => button.textContent === 'val/loss, best').click()";
        let last = "document.querySelector('#sweep tbody tr:last-child .st').textContent";
        for _ in 0..2 {
            chrome.run(click).await;
            assert_eq!(chrome.text(last).await, "waiting");
        }
    });
}

#[test]
fn of_hundreds_of_runs_the_best_are_there_at_once_and_the_others_soon() {
    with_browser(Scripts::On, async |chrome| {
        const RUNS: usize = 410;
        let place = Place::of(RUNS as u32, Ending::Mixed);
        place.build();
        let page = "experiments/depth/index.html";
        let text = std::fs::read_to_string(place.path().join("reports").join(page)).unwrap();
        assert_eq!(text.matches("<tr id=\"sweep-").count(), 300);
        assert!(text.contains("The best 300 of 410 runs"));

        let rows = "document.querySelectorAll('#sweep tbody tr').length";
        let serving = Serving::new(&place);
        for address in [place.file(page), serving.page(page)] {
            chrome.goto(&address).await;
            chrome.until("all rows", &format!("{rows} === {RUNS}")).await;
            assert!(chrome.is("document.getElementById('sweep-left') === null").await);
            let ids = "new Set([...document.querySelectorAll('#sweep tbody tr')].map(({ id }) => id)).size";
            assert_eq!(chrome.number(ids).await, RUNS as f64);
        }
        // They are rows like the others: sorted, found and chosen.
        let like = "(() => { const [one, other] = [0, 409].map((at) => document.querySelectorAll('#sweep tbody tr')[at]);
            return [...one.cells].every((cell, at) => cell.className === other.cells[at].className)
                && other.querySelector('a').href.endsWith('/index.html') && other.querySelector('.st').textContent.length > 3; })()";
        assert!(chrome.is(like).await);
        chrome.run("[...document.querySelectorAll('#sweep th button')].find((button) => button.textContent === 'seed').click()").await;
        let seeds = "[...document.querySelectorAll('#sweep tbody tr')].map((row) => Number(row.cells[3].dataset.sort))";
        assert!(chrome.is(&format!("{seeds}.every((seed, at, all) => !at || all[at - 1] <= seed)")).await);
        // A new page has them too.
        let gone = place.runs[RUNS - 1].clone();
        std::fs::remove_dir_all(gone.path()).unwrap();
        chrome.until("one row less", &format!("{rows} === {}", RUNS - 1)).await;
        assert!(
            chrome
                .is(&format!("!document.getElementById('sweep').textContent.includes('{}')", gone.name()))
                .await
        );
        assert!(chrome.is(&format!("{seeds}.every((seed, at, all) => !at || all[at - 1] <= seed)")).await);
        assert_eq!(chrome.complaints().await, Vec::<String>::new());
    });
}
