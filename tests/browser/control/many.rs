//! Several runs at once, and the batch at work.

use std::io::Write;

use overnight::run_dir::records::BatchRequest;
use overnight::run_dir::{Workspace, lock, read, scan};
use serde_json::json;

use super::asks;
use crate::chrome::Chrome;
use crate::place::{Place, Serving};

/// Ticked runs, and all that an experiment's page shows.
pub async fn several(chrome: &Chrome, place: &Place, serving: &Serving) {
    let counts = || place.runs.iter().map(|run| asks(run).len()).collect::<Vec<_>>();
    let before = counts();
    chrome.goto(&serving.page("runs/index.html")).await;
    chrome.until("the rows", "document.querySelectorAll('#runs .tick').length === 5 && !!document.getElementById('chosen-acts')").await;
    chrome.run("document.querySelectorAll('#runs .tick').forEach((box) => box.click())").await;
    // Finished and failed ones cannot be paused.
    chrome.until("the count", "document.getElementById('chosen-pause')?.textContent === 'Pause 2'").await;
    chrome.press_button("#chosen-pause").await;
    chrome.send_dialog("ask").await;
    let results = "[...document.querySelectorAll('#ask .asked li')].filter((row) => row.textContent.includes('was asked to pause')).length === 2";
    chrome.until("the result of each", results).await;
    assert_eq!(counts(), [before[0], before[1], before[2], before[3] + 1, before[4] + 1]);
    chrome.key("Escape", false).await;

    chrome.goto(&serving.page("experiments/depth/index.html")).await;
    chrome.until("the button", "!!document.getElementById('all-resume')").await;
    // One that is to wait waits, and is asked again.
    chrome
        .run(
            "const real = window.fetch; let isFirst = true; window.fetch = async (...given) => {
                if (!isFirst || !String(given[0]).endsWith('/resume')) return real(...given);
                isFirst = false;
                return new Response('{}', { status: 429, headers: { 'Retry-After': '1' } }); }",
        )
        .await;
    chrome.press_button("#all-resume").await;
    chrome.send_dialog("ask").await;
    let results = "[...document.querySelectorAll('#ask .asked li')].filter((row) => row.textContent.includes('was asked to go on')).length === 2";
    chrome.until("the result of each", results).await;
    assert_eq!(counts(), [before[0], before[1], before[2], before[3] + 2, before[4] + 2]);
    assert!(!chrome.is("'ran' in window").await);
}

/// The batch at work, on the first page.
pub async fn drain(chrome: &Chrome, place: &Place, serving: &Serving) {
    let workspace = Workspace::new(place.path());
    let mut runner = lock::try_lock(&workspace.runner_lock()).unwrap().unwrap();
    let _alive = place.revive(0);
    let batch = scan::batches(&workspace).remove(0);
    let name = batch.path().file_name().unwrap().to_str().unwrap();
    let holder = json!({ "host": scan::host(), "process": std::process::id(), "since": 1, "batch": name });
    runner.write_all(holder.to_string().as_bytes()).unwrap();
    chrome.goto(&serving.page("index.html")).await;
    chrome.press_button("#drain").await;
    chrome
        .until("the question", "document.querySelector('#ask p').textContent.includes('go on to their end')")
        .await;
    assert!(!batch.requests().exists());
    chrome.send_dialog("ask").await;
    let said = "document.getElementById('batch-said').textContent.includes('ends after its current runs')";
    chrome.until("what was asked", said).await;
    let asked: Vec<BatchRequest> = read::lines(&batch.requests()).unwrap().records;
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].who, "web:the-owner");
}
