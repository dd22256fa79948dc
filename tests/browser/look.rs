//! How pages look, wide and narrow, light and dark.
//!
//! With `OVERNIGHT_SCREENSHOTS=FOLDER` the pictures are left there, for a person to look at.

use std::path::Path;

use serde_json::json;

use crate::chrome::{Chrome, Scripts, with_browser};
use crate::made_up::Ending;
use crate::place::Place;

const EVERY_LOOK: [(u32, &str); 4] = [(1440, "light"), (1440, "dark"), (390, "light"), (390, "dark")];
/// Each width and each scheme once.
const TWO_LOOKS: [(u32, &str); 2] = [(1440, "dark"), (390, "light")];
/// Behind the text of the default theme.
const PAPERS: [&str; 2] = ["rgb(251, 250, 247)", "rgb(16, 20, 27)"];

/// What is laid out only when it comes near the screen, laid out now: until then its size is a guess.
const ALL_LAID_OUT: &str = "[...document.querySelectorAll('main *')]
    .filter((one) => getComputedStyle(one).contentVisibility === 'auto')
    .map((one) => { one.style.contentVisibility = 'visible'; }).length";

/// Texts of charts that are smaller than 11 CSS pixels on the screen.
const SMALL: &str = "[...document.querySelectorAll('svg text')]
    .filter((text) => text.getBoundingClientRect().width > 0
        && parseFloat(getComputedStyle(text).fontSize) * text.getScreenCTM().a < 10.99)
    .map((text) => text.textContent)";

/// Charts two of whose texts touch.
const TOUCHING: &str = "[...document.querySelectorAll('svg.chart')].flatMap((chart) => {
    const boxes = [...chart.querySelectorAll('text')].map((text) => [text.getBoundingClientRect(), text.textContent])
        .filter(([box]) => box.width > 0);
    return boxes.flatMap(([one, word], place) => boxes.slice(place + 1)
        .filter(([other]) => one.left < other.right - 1 && other.left < one.right - 1
            && one.top < other.bottom - 3 && other.top < one.bottom - 3)
        .map(([, second]) => `${chart.parentNode.id}: ${word} | ${second}`)); })";

/// Texts of charts that stand outside of their figure or of the window.
const OUTSIDE: &str = "[...document.querySelectorAll('svg.chart')].flatMap((chart) => {
    const around = (chart.closest('figure') || chart.parentNode).getBoundingClientRect();
    return [...chart.querySelectorAll('text')].filter((text) => {
        const box = text.getBoundingClientRect();
        return box.width > 0 && (box.left < Math.max(0, around.left - 2) || box.top < around.top - 2
            || box.right > Math.min(innerWidth, around.right + 16) || box.bottom > around.bottom + 2);
    }).map((text) => `${chart.parentNode.id}: ${text.textContent}`); })";

/// The innermost elements that make the page wider than it is to be.
const WIDE: &str = "(() => {
    const isOut = (one) => one.getBoundingClientRect().right > WIDTH + 1 && !one.closest('.scroll, svg svg, .heard');
    return [...document.body.querySelectorAll('*')].filter((one) => isOut(one) && ![...one.children].some(isOut))
        .map((one) => `${one.closest('[id]').id}: ${one.outerHTML.slice(0, 160)}`); })()";

const BACKGROUND: &str = "getComputedStyle(document.documentElement).backgroundColor";

async fn look_at(chrome: &Chrome, name: &str, place: &Place) {
    place.build();
    look_at_pages(chrome, name, place, &place.pages()).await;
}

async fn look_at_pages(chrome: &Chrome, name: &str, place: &Place, pages: &[String]) {
    look_in_theme(chrome, name, place, pages, PAPERS, &EVERY_LOOK).await;
}

/// `papers` are what the theme has behind its text by day and by night.
async fn look_in_theme(
    chrome: &Chrome,
    name: &str,
    place: &Place,
    pages: &[String],
    papers: [&str; 2],
    looks: &[(u32, &str)],
) {
    let mut wrong = Vec::new();
    for &(width, scheme) in looks {
        chrome.look(width, scheme).await;
        for page in pages {
            chrome.goto(&place.file(page)).await;
            let at = format!("{page} of {name}, {width} wide, {scheme}");
            if let Some(wanted) = std::env::var_os("OVERNIGHT_SCREENSHOTS") {
                let folder = Path::new(&wanted).join(format!("{name}-{width}-{scheme}"));
                std::fs::create_dir_all(&folder).unwrap();
                // Names of experiments may be as long as names of files.
                let short: String = page.replace('/', "_").chars().rev().take(60).collect();
                let short: String = short.chars().rev().collect();
                chrome.picture(width, &folder.join(short + ".png")).await;
            }
            chrome.number(ALL_LAID_OUT).await;
            let paper = papers[usize::from(scheme == "dark")];
            assert_eq!(chrome.text(BACKGROUND).await, paper, "{at}");
            // On a phone what is too wide makes the whole window wider.
            let wide = chrome.number("Math.max(innerWidth, document.documentElement.scrollWidth)").await;
            let too_wide = wide - f64::from(width);
            if too_wide >= 1.0 {
                let those = chrome.texts(&WIDE.replace("WIDTH", &width.to_string())).await;
                wrong.push(format!("{at} is {too_wide} pixels too wide: {those:?}"));
            }
            for (what, query) in [("is small", SMALL), ("touches", TOUCHING), ("is outside", OUTSIDE)] {
                let texts = chrome.texts(query).await;
                if !texts.is_empty() {
                    wrong.push(format!("{at}: text {what}: {texts:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_morning_fits_wide_and_narrow_light_and_dark() {
    with_browser(Scripts::On, async |chrome| look_at(chrome, "morning", &Place::morning()).await);
}

#[test]
fn an_evening_fits_with_its_progress() {
    with_browser(Scripts::On, async |chrome| look_at(chrome, "evening", &Place::evening()).await);
}

#[test]
fn long_names_and_many_files_fit() {
    with_browser(Scripts::On, async |chrome| look_at(chrome, "wordy", &Place::wordy()).await);
}

#[test]
fn a_workspace_without_runs_fits() {
    with_browser(Scripts::On, async |chrome| look_at(chrome, "empty", &Place::empty()).await);
}

#[test]
fn names_of_any_length_and_script_fit() {
    with_browser(Scripts::On, async |chrome| {
        let place = Place::named();
        place.build();
        look_at_pages(chrome, "named", &place, &place.some_pages()).await;
    });
}

#[test]
fn every_theme_fits_none_one_and_forty_runs_and_long_names() {
    with_browser(Scripts::On, async |chrome| {
        let white = "rgb(255, 255, 255)";
        let places = [
            ("none", Place::empty()),
            ("one", Place::of(1, Ending::AllFinished)),
            ("forty", Place::of(40, Ending::Mixed)),
            ("named", Place::named()),
        ];
        for (theme, by_night) in [("contrast", "rgb(0, 0, 0)"), ("paper", white)] {
            for (what, place) in &places {
                std::fs::write(
                    place.path().join("overnight.toml"),
                    format!("[report]\ntheme = \"{theme}\"\n"),
                )
                .unwrap();
                place.build();
                let mut pages = place.some_pages();
                let first = place.runs.first().map(|run| place.page_of(run));
                pages.retain(|page| {
                    !page.starts_with("runs/") || page == "runs/index.html" || Some(page) == first.as_ref()
                });
                let name = format!("{theme}-{what}");
                look_in_theme(chrome, &name, place, &pages, [white, by_night], &TWO_LOOKS).await;
            }
        }
    });
}

/// Boxes that hide a part of what is in them without a shade at that edge, and tables whose first column
/// scrolls away.
const HIDDEN: &str = "[...document.querySelectorAll('.scroll')].filter((box) => box.scrollWidth > box.clientWidth + 1)
    .flatMap((box) => {
        const wrong = [];
        if (!getComputedStyle(box).backgroundImage.includes('gradient')) wrong.push(`${box.ariaLabel}: no shade`);
        const first = box.querySelector(':scope > table:not(.stack) > tbody > tr > :first-child');
        box.scrollLeft = 1e6;
        const gone = first && first.getBoundingClientRect().left < box.getBoundingClientRect().left - 1;
        box.scrollLeft = 0;
        if (gone) wrong.push(`${box.ariaLabel}: its first column is gone`);
        return wrong;
    })";

#[test]
fn what_is_too_wide_for_a_phone_scrolls_and_says_so() {
    with_browser(Scripts::On, async |chrome| {
        let place = Place::of(10, Ending::Mixed);
        place.build();
        chrome.look(390, "light").await;
        let mut scrolling = 0.0;
        for page in
            [&place.page_of(&place.runs[0]), "experiments/depth/index.html", "index.html", "system.html"]
        {
            chrome.goto(&place.file(page)).await;
            let wide = "[...document.querySelectorAll('.scroll')].filter((box) => box.scrollWidth > box.clientWidth + 1)";
            scrolling += chrome.number(&format!("{wide}.length")).await;
            assert_eq!(chrome.texts(HIDDEN).await, [""; 0], "{page}");
            // Words at an edge of the night are whole.
            let cut = "[...document.querySelectorAll('svg.window text')].filter((text) => {
                const [own, around] = [text, text.closest('svg.window')].map((one) => one.getBoundingClientRect());
                return own.width > 0 && text.closest('.scale') && (own.left < around.left - 1 || own.right > around.right + 1);
            }).map((text) => text.textContent)";
            assert_eq!(chrome.texts(cut).await, [""; 0], "{page}");
        }
        assert!(scrolling >= 3.0, "the checkpoints, importance and parallel coordinates: {scrolling}");
    });
}

#[test]
fn a_single_run_fits() {
    with_browser(Scripts::On, async |chrome| {
        look_at(chrome, "single", &Place::of(1, Ending::AllFinished)).await;
    });
}

#[test]
fn forty_runs_fit() {
    with_browser(Scripts::On, async |chrome| {
        let place = Place::of(40, Ending::Mixed);
        place.build();
        let mut pages = place.pages();
        pages.retain(|page| !page.starts_with("runs/depth/"));
        assert_eq!(pages.len(), 8, "{pages:?}");
        look_at_pages(chrome, "forty", &place, &pages).await;
    });
}

#[test]
fn on_a_phone_the_state_and_the_way_out_are_seen() {
    with_browser(Scripts::On, async |chrome| {
        let place = Place::of(10, Ending::Mixed);
        place.build();
        chrome.look(390, "light").await;
        // The right edge of what is seen, in CSS pixels: beyond it one would have to scroll.
        let edge = async |element: &str| {
            let box_ = format!("document.querySelector('{element}').getBoundingClientRect()");
            (chrome.number(&format!("{box_}.width")).await, chrome.number(&format!("{box_}.right")).await)
        };
        chrome.goto(&place.file("index.html")).await;
        let (width, right) = edge("td code").await;
        assert!(width > 50.0 && right < 390.0, "{width} {right}");
        chrome.goto(&place.file("experiments/depth/index.html")).await;
        let (width, right) = edge("#sweep .st").await;
        assert!(width > 50.0 && right < 390.0, "{width} {right}");
    });
}

#[test]
fn many_data_files_are_one_line_that_opens() {
    with_browser(Scripts::On, async |chrome| {
        let place = Place::wordy();
        place.build();
        chrome.goto(&place.file(&place.page_of(&place.runs[0]))).await;
        assert_eq!(
            chrome.text("document.querySelector('#data summary').textContent").await,
            "Data: 63 files, 437 KiB"
        );
        let height = "document.getElementById('data').offsetHeight";
        assert!(chrome.number(height).await < 40.0);
        chrome.run("document.querySelector('#data summary').click()").await;
        assert!(chrome.number(height).await > 1000.0);
        assert_eq!(chrome.number("document.querySelectorAll('#data tr').length").await, 63.0);
        // A few are named beside the rest.
        chrome.goto(&place.file(&place.page_of(&place.runs[1]))).await;
        assert!(chrome.is("document.getElementById('data') === null").await);
        assert!(
            chrome.is("document.querySelector('main').textContent.includes('data: ../data/input.txt')").await
        );
    });
}

#[test]
fn on_paper_a_page_is_black_on_white_and_whole() {
    with_browser(Scripts::On, async |chrome| {
        let place = Place::of(1, Ending::AllFinished);
        place.build();
        chrome.devtools("Emulation.setEmulatedMedia", json!({ "media": "print" })).await;
        chrome.goto(&place.file(&place.page_of(&place.runs[0]))).await;
        assert_eq!(chrome.text(BACKGROUND).await, "rgb(255, 255, 255)");
        assert_eq!(chrome.text("getComputedStyle(document.querySelector('nav')).display").await, "none");
        let lines = "document.querySelectorAll('figure path.line').length";
        assert!(chrome.number(lines).await > 5.0);
        // On a sheet of A4, with its margins, nothing is cut off: nobody scrolls there.
        let many = Place::of(13, Ending::Mixed);
        many.build();
        let sheet = json!({ "width": 718, "height": 1000, "deviceScaleFactor": 1, "mobile": false });
        chrome.devtools("Emulation.setDeviceMetricsOverride", sheet).await;
        for page in
            ["index.html", "experiments/depth/index.html", &many.page_of(&many.runs[0]), "system.html"]
        {
            chrome.goto(&many.file(page)).await;
            let beyond = "[...document.querySelectorAll('figure, svg, table')].filter((one) => !one.closest('.heard, svg svg')
                && one.getBoundingClientRect().right > innerWidth + 1)
                .map((one) => `${one.closest('[id]').id} ${one.getBoundingClientRect().right}`)";
            assert_eq!(chrome.texts(beyond).await, [""; 0], "{page}");
        }
    });
}
