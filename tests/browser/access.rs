//! What automatic checks find wrong with the pages for people who read them otherwise than most: axe on
//! every page in every theme, Lighthouse on every kind of page.
//!
//! Both come from npm; where they are missing, tests print why and pass, but under `CI=true` they fail.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::chrome::{Chrome, Scripts, with_browser};
use crate::place::{Place, Serving};

const WIDTHS: [u32; 2] = [1440, 390];

/// Where `npm install --prefix` put the packages, as `.ci/run` does.
fn package(path: &str) -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    let found = cache?.join("overnight/node/node_modules").join(path);
    if found.exists() {
        return Some(found);
    }
    let reason = format!(
        "{} is missing (npm install --prefix ~/.cache/overnight/node axe-core lighthouse@12)",
        found.display()
    );
    assert!(!std::env::var("CI").is_ok_and(|ci| ci == "true"), "CI must check the pages, and {reason}");
    println!("skipped: {reason}");
    None
}

/// The script that checks a page, where it is installed.
pub fn axe() -> Option<String> {
    package("axe-core/axe.min.js").map(|path| std::fs::read_to_string(path).unwrap())
}

/// Everything that axe finds wrong with the page that is open, by its rule and place.
pub async fn violations(chrome: &Chrome, axe: &str) -> Vec<String> {
    chrome.run(axe).await;
    chrome
        .run(
            "window.found_ = null; axe.run(document, { resultTypes: ['violations'] }).then(
        ({ violations }) => { window.found_ = violations.flatMap(({ id, nodes }) =>
            nodes.map(({ target, failureSummary }) => `${id} at ${target.join(' ')}: ${failureSummary}`)); },
        (error) => { window.found_ = [String(error)]; })",
        )
        .await;
    chrome.until("what axe finds", "Array.isArray(window.found_)").await;
    chrome.texts("window.found_").await
}

async fn check(chrome: &Chrome, axe: &str, place: &Place, looks: &[(u32, &str)]) {
    for (width, scheme) in looks {
        chrome.look(*width, scheme).await;
        for page in place.pages() {
            chrome.goto(&place.file(&page)).await;
            let found = violations(chrome, axe).await;
            assert!(found.is_empty(), "{page}, {width} wide, {scheme}: {found:#?}");
        }
    }
}

#[test]
fn axe_finds_nothing_wrong_on_any_page() {
    let Some(axe) = axe() else { return };
    with_browser(Scripts::On, async |chrome| {
        let looks = WIDTHS.map(|width| [(width, "light"), (width, "dark")]).concat();
        for place in [Place::morning(), Place::evening(), Place::wordy(), Place::empty()] {
            place.build();
            check(chrome, &axe, &place, &looks).await;
        }
    });
}

#[test]
fn axe_finds_nothing_wrong_in_any_theme() {
    let Some(axe) = axe() else { return };
    with_browser(Scripts::On, async |chrome| {
        let place = Place::morning();
        for theme in ["contrast", "paper"] {
            let settings = format!("[report]\ntheme = \"{theme}\"\n");
            std::fs::write(place.path().join("overnight.toml"), settings).unwrap();
            place.build();
            check(chrome, &axe, &place, &[(1440, "light"), (390, "dark")]).await;
        }
    });
}

/// Scores of a page that is served, by category, from 0 to 1.
fn scores(lighthouse: &std::path::Path, address: &str) -> Vec<(String, f64, String)> {
    let profile = tempfile::tempdir().unwrap();
    let flags =
        format!("--headless=new --no-sandbox --disable-gpu --user-data-dir={}", profile.path().display());
    let output = Command::new("node")
        .arg(lighthouse)
        .arg(address)
        .args([
            "--quiet",
            "--no-enable-error-reporting",
            "--output=json",
            "--only-categories=accessibility,best-practices",
        ])
        .arg(format!("--chrome-flags={flags}"))
        .env("CHROME_PATH", "/usr/bin/chromium")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let found: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    let failed = |category: &Value| {
        let audits = category["auditRefs"].as_array().into_iter().flatten();
        let failed = audits.map(|audit| &found["audits"][audit["id"].as_str().unwrap_or_default()]);
        let failed = failed.filter(|audit| audit["score"].as_f64().is_some_and(|score| score < 1.0));
        failed.filter_map(|audit| audit["title"].as_str()).collect::<Vec<_>>().join("; ")
    };
    let categories = found["categories"].as_object().unwrap_or_else(|| panic!("no categories: {said}"));
    categories
        .iter()
        .map(|(name, category)| (name.clone(), category["score"].as_f64().unwrap_or(0.0), failed(category)))
        .collect()
}

#[test]
fn lighthouse_gives_every_kind_of_page_ninety_five_of_a_hundred() {
    let Some(lighthouse) = package("lighthouse/cli/index.js") else { return };
    let place = Place::morning();
    place.build();
    let serving = Serving::new(&place);
    // One of each kind: pages of runs are made alike.
    let mut pages = place.pages();
    let mut kinds = std::collections::BTreeSet::new();
    pages
        .retain(|page| kinds.insert((page.split('/').next().unwrap().to_owned(), page.matches('/').count())));
    assert!(pages.len() >= 4, "{pages:?}");
    for page in pages {
        for (category, score, failed) in scores(&lighthouse, &serving.page(&page)) {
            assert!(score >= 0.95, "{page}: {category} {score}: {failed}");
        }
    }
}
