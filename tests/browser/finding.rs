//! The list of all runs: searching, filtering, sorting, choosing columns, turning pages.

use fantoccini::key::Key;
use overnight::experiment::settings::Task;

use crate::chrome::{Chrome, Scripts, with_browser};
use crate::made_up::Ending;
use crate::place::{Place, Serving};

const FOUND: &str = "document.getElementById('found').textContent";
const NAMES: &str = "[...document.querySelectorAll('#runs tbody a[title]')].map((link) => link.textContent)";
const SORTED: &str = "[...document.querySelectorAll('#runs th[aria-sort]')]
    .map((head) => `${head.textContent} ${head.getAttribute('aria-sort')}`).join()";

/// Twelve runs of one experiment, one of them failed, and three of another.
fn two_experiments() -> Place {
    let place = Place::of(12, Ending::Mixed);
    place.add("shapes", Task::ImageClassification, 3, Ending::AllFinished);
    place.build();
    place
}

/// Types into the search field, as if by a person; the list follows at once.
async fn search(chrome: &Chrome, text: &str) -> String {
    chrome
        .run(&format!(
            "const field = document.getElementById('find'); field.value = {};
             field.dispatchEvent(new Event('input', {{ bubbles: true }}))",
            serde_json::json!(text)
        ))
        .await;
    chrome.text(FOUND).await
}

async fn all_there(chrome: &Chrome, count: &str) {
    let is_known = format!("{FOUND} === '{count} runs.' && !!document.querySelector('#runs thead button')");
    chrome.until("the runs", &is_known).await;
}

/// Opens the list of columns, which is made when that is done.
async fn offer_columns(chrome: &Chrome) {
    chrome.run("document.getElementById('columns-of-runs').open = true").await;
    chrome.until("the columns", "!!document.querySelector('#column-boxes input')").await;
}

#[test]
fn runs_are_found_by_words_settings_metrics_tags_and_states() {
    with_browser(Scripts::On, async |chrome| {
        let place = two_experiments();
        chrome.goto(&place.file("runs/index.html")).await;
        all_there(chrome, "15").await;
        for (asked, count) in [
            ("lr>3e-4", 8),
            ("lr>3e-4 experiment=depth", 6),
            ("lr>=3e-4 lr<1e-3 experiment=depth", 6),
            ("model.layers=4", 4),
            ("layers=4,6", 8),
            ("model.kind=cnn", 3),
            ("cnn", 3),
            ("-cnn", 12),
            ("status=failed", 1),
            ("-state=finished", 3),
            ("state!=finished", 3),
            ("state:fin", 12),
            ("tag=made-up", 15),
            ("tag=made", 0),
            ("tag:made", 15),
            ("training<1h", 14),
            ("val/loss=nan", 0),
            ("\"to look at pages\"", 15),
            ("LAYERS4", 4),
            // Still being typed.
            ("lr>", 15),
            ("-", 15),
        ] {
            let expected = if count == 15 { "15 runs.".to_owned() } else { format!("{count} of 15 runs.") };
            assert_eq!(search(chrome, asked).await, expected, "{asked}");
        }
        let said = search(chrome, "lrr>1").await;
        assert_eq!(said, "0 of 15 runs. No column, setting or metric is called lrr.");
        // A metric is its last value, the best one has a column of its own.
        search(chrome, "val/loss<1.6").await;
        offer_columns(chrome).await;
        chrome.run("document.querySelector('#column-boxes input[value=\"val/loss, last\"]').click()").await;
        let values =
            "[...document.querySelectorAll('#runs tbody tr')].map((row) => row.cells[8].textContent)";
        let values = chrome.texts(values).await;
        assert!(
            !values.is_empty() && values.iter().all(|value| value.parse::<f64>().unwrap() < 1.6),
            "{values:?}"
        );
        // The choices write the same words.
        search(chrome, "cnn").await;
        let choose = "const state = document.getElementById('find-state'); state.value = 'failed';
             state.dispatchEvent(new Event('change', { bubbles: true }))";
        chrome.run(choose).await;
        assert_eq!(chrome.text("document.getElementById('find').value").await, "cnn state=failed");
        chrome.run(&choose.replace("'failed'", "''")).await;
        assert_eq!(chrome.text("document.getElementById('find').value").await, "cnn");
        assert_eq!(chrome.text(FOUND).await, "3 of 15 runs.");
        assert_eq!(chrome.complaints().await, Vec::<String>::new());
    });
}

#[test]
fn the_list_sorts_from_the_keyboard_and_its_state_stands_in_the_address() {
    with_browser(Scripts::On, async |chrome| {
        let place = two_experiments();
        chrome.look(1440, "light").await;
        chrome.goto(&place.file("runs/index.html")).await;
        all_there(chrome, "15").await;
        assert_eq!(chrome.text(SORTED).await, "last heard descending");
        let tick = "[...document.querySelectorAll('#runs tbody .tick')].map((tick) => tick.dataset.run)";
        let ticks = chrome.texts(tick).await;
        assert!(ticks.len() == 15 && ticks.iter().all(|run| run.split('/').count() == 2), "{ticks:?}");
        chrome.run("window.told = 0; document.addEventListener('overnight:rows', () => told++)").await;
        chrome.run("document.querySelector('#runs .tick').click()").await;
        let is_there = "document.activeElement.dataset.sort === 'best'";
        let mut presses = 0;
        while !chrome.is(is_there).await {
            chrome.press(Key::Tab).await;
            presses += 1;
            assert!(presses < 60, "the Tab key never gets to the heading");
        }
        chrome.press(Key::Enter).await;
        assert_eq!(chrome.text(SORTED).await, "best ascending");
        assert!(chrome.is(is_there).await, "the focus stays");
        assert!(chrome.number("told").await >= 1.0);
        assert_eq!(chrome.number("document.querySelectorAll('#runs .tick:checked').length").await, 1.0);
        // Values of different metrics do not compare: those of one stand together.
        let best =
            "[...document.querySelectorAll('#runs tbody tr')].filter((row) => row.cells[3].textContent)
            .map((row) => `${row.cells[2].textContent} ${row.cells[3].textContent}`)";
        let rising = chrome.texts(best).await;
        let rows: Vec<(&str, f64)> = rising
            .iter()
            .filter_map(|row| row.split_once(' '))
            .map(|(metric, value)| (metric, value.parse().unwrap()))
            .collect();
        let of_metric: Vec<&[(&str, f64)]> = rows.chunk_by(|one, other| one.0 == other.0).collect();
        assert!(rows.len() > 10 && of_metric.len() == 2, "{rising:?}");
        assert!(of_metric[0].len() > of_metric[1].len(), "the commonest first: {rising:?}");
        assert!(of_metric.iter().all(|rows| rows.is_sorted_by_key(|(_, value)| *value)), "{rising:?}");
        search(chrome, "experiment=depth -state=waiting").await;
        offer_columns(chrome).await;
        chrome
            .run("document.querySelector('#column-boxes input[value=\"train.optimizer.lr\"]').click()")
            .await;
        let names = chrome.texts(NAMES).await;
        assert_eq!(names.len(), 10);
        let address = chrome.text("location.href").await;
        assert!(address.contains("#?") && address.contains("sort=best"), "{address}");
        chrome.goto("about:blank").await;
        chrome.goto(&address).await;
        chrome.until("the same list", &format!("{FOUND} === '10 of 15 runs.'")).await;
        assert_eq!(chrome.texts(NAMES).await, names);
        assert_eq!(chrome.text(SORTED).await, "best ascending");
        let heads = "[...document.querySelectorAll('#runs th')].map((head) => head.textContent).slice(-2)";
        assert_eq!(chrome.texts(heads).await, ["lr", "state"]);
    });
}

#[test]
fn many_runs_are_turned_over_and_a_live_one_is_shown_in_place() {
    with_browser(Scripts::On, async |chrome| {
        let place = Place::of(230, Ending::AllFinished);
        let result = std::fs::read(place.runs[0].result()).unwrap();
        let alive = place.revive(0);
        place.build();
        let serving = Serving::new(&place);
        chrome.look(390, "dark").await;
        chrome.goto(&serving.page("runs/index.html")).await;
        all_there(chrome, "230").await;
        let rows = "document.querySelectorAll('#runs tbody tr').length";
        assert_eq!(chrome.number(rows).await, 100.0);
        assert_eq!(chrome.text("document.getElementById('runs').getAttribute('aria-rowcount')").await, "231");
        chrome.run("document.getElementById('on').focus()").await;
        for _ in 0..2 {
            chrome.press(Key::Enter).await;
        }
        assert_eq!(chrome.number(rows).await, 30.0);
        assert_eq!(chrome.text("document.querySelector('#turn span').textContent").await, "201 to 230");
        assert_eq!(
            chrome.text("document.querySelector('#runs tbody tr').getAttribute('aria-rowindex')").await,
            "202"
        );
        assert!(chrome.is("document.getElementById('on').disabled").await);
        let too_wide = chrome.number("document.documentElement.scrollWidth - innerWidth").await;
        assert!(too_wide < 1.0, "{too_wide} pixels too wide");
        chrome.until("the connection", crate::live::IS_LIVE).await;
        assert_eq!(search(chrome, "state=running").await, "1 of 230 runs.");
        std::fs::write(place.runs[0].result(), result).unwrap();
        drop(alive);
        chrome.until("its end", &format!("{FOUND} === '0 of 230 runs.'")).await;
        assert_eq!(chrome.text("document.getElementById('find').value").await, "state=running");
        assert_eq!(search(chrome, "").await, "230 runs.");
        chrome.goto("about:blank").await;
    });
}

#[test]
fn without_a_script_the_newest_runs_stand_there_and_the_others_are_named() {
    with_browser(Scripts::Off, async |chrome| {
        let place = Place::of(120, Ending::AllFinished);
        place.build();
        chrome.goto(&place.file("runs/index.html")).await;
        assert_eq!(chrome.number("document.querySelectorAll('#runs tbody tr').length").await, 100.0);
        let said = chrome.text("document.getElementById('found').innerText").await;
        assert!(
            said.starts_with("The 100 runs last heard of, of 120.") && said.ends_with("depth (120)."),
            "{said}"
        );
        let seen = "[...document.querySelectorAll('#finder, .tick, #turn')].filter((part) => part.getClientRects().length)";
        assert_eq!(chrome.number(&format!("{seen}.length")).await, 0.0);
    });
}
