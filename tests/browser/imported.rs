//! A run of another program beside one of ours: every page that names it says that it was imported.

use std::fs;
use std::process::Command;

use overnight::run_dir::{Workspace, scan};
use serde_json::{Value, json};

use crate::chrome::{Scripts, with_browser};
use crate::made_up::Ending;
use crate::place::Place;

const LOG: &str = "step 0: train loss 4.2, val loss 4.3\nstep 250: train loss 2.1, val loss 2.2\nstep 500: train loss 1.9, val loss 2.0\n";

/// The texts of rows, cards and heads in which a page links to a run.
fn places(run: &str) -> String {
    let link = format!("[...document.querySelectorAll('a[href*={run:?}]')]");
    let text = "(link.closest('tr, th, dl, details, li') ?? link.parentElement).textContent";
    format!("{link}.map((link) => {text})")
}

fn is_marked(run: &str) -> String {
    format!("{}.some((text) => text.includes('imported'))", places(run))
}

#[test]
fn a_run_of_another_program_is_marked_wherever_it_is_named_and_ours_never() {
    with_browser(Scripts::On, async |chrome| {
        let place = Place::of(3, Ending::AllFinished);
        let log = place.path().join("gpt.log");
        fs::write(&log, LOG).unwrap();
        let mut import = Command::new(env!("CARGO_BIN_EXE_overnight"));
        import.arg("-C").arg(place.path()).args(["import", "--experiment", "depth"]).arg(&log);
        assert!(import.status().unwrap().success());
        let runs = scan::runs(&Workspace::new(place.path()));
        let imported = runs.iter().find(|run| scan::is_imported(run)).unwrap();
        // Its tool calls the setting by its last word alone.
        let mut record: Value = serde_json::from_slice(&fs::read(imported.run_json()).unwrap()).unwrap();
        record["imported"]["settings"] = json!({ "lr": 0.07 });
        fs::write(imported.run_json(), serde_json::to_vec(&record).unwrap()).unwrap();
        // As where its program had logged histograms.
        let names = ["min", "p5", "p25", "p50", "p75", "p95", "max"].map(|name| format!("weights/{name}"));
        let rows = "10,-9,-2,-1,0.5,1,2,9\n20,-8,-2,-1,0.25,1,2,8\n30,-7,-2,-1,0.125,1,2,7\n";
        fs::write(imported.distributions(), format!("step,{}\n{rows}", names.join(","))).unwrap();
        place.build();
        let (theirs, ours) = (imported.name(), place.runs[0].name());
        for page in ["index.html", "runs/index.html", "experiments/depth/index.html"] {
            chrome.goto(&place.file(page)).await;
            chrome.until(&format!("the mark on {page}"), &is_marked(&theirs)).await;
            assert!(!chrome.is(&is_marked(&ours)).await, "{page}");
        }
        // These name runs by what they learned and where they ran.
        for page in ["models.html", "system.html"] {
            chrome.goto(&place.file(page)).await;
            chrome.until("the page", "document.querySelector('main, h1') !== null").await;
            let all = chrome.texts(&places(&theirs)).await;
            assert!(all.is_empty() || chrome.is(&is_marked(&theirs)).await, "{page}: {all:?}");
            assert!(!chrome.is(&is_marked(&ours)).await, "{page}");
        }
        chrome.goto(&place.file("runs/index.html")).await;
        let found = "document.getElementById('found').textContent";
        chrome
            .until(
                "the runs",
                &format!("{found} === '4 runs.' && !!document.querySelector('#runs thead button')"),
            )
            .await;
        for (asked, expected) in [
            ("lr<1", "4 runs."),
            ("lr=0.07", "1 of 4 runs."),
            ("lr!=0.07", "3 of 4 runs."),
            ("train.optimizer.lr>0", "3 of 4 runs."),
            ("imported", "1 of 4 runs."),
            ("-imported", "3 of 4 runs."),
            ("imported=true", "1 of 4 runs."),
            ("lr>>1", "0 of 4 runs. lr>>1 is no question: write a name, a sign and a value, as lr>1e-3."),
        ] {
            let field = "const field = document.getElementById('find')";
            let event = "field.dispatchEvent(new Event('input', { bubbles: true }))";
            chrome.run(&format!("{field}; field.value = {}; {event}", json!(asked))).await;
            assert_eq!(chrome.text(found).await, expected, "{asked}");
        }
        chrome.goto(&place.file(&place.page_of(imported))).await;
        chrome.until("its own page", "document.querySelector('h1') !== null").await;
        let body = chrome.text("document.body.innerText").await;
        assert!(
            body.contains("imported from nanoGPT") && body.contains("As its source tells them"),
            "{body}"
        );
        // Two areas around the median, and as many when a script has drawn the chart anew.
        let areas = "document.querySelectorAll('#distribution-0 svg path.spread').length";
        chrome.until("both areas", &format!("{areas} === 2")).await;
        let table = chrome.text("document.querySelector('#distribution-0').textContent").await;
        assert!(
            table.contains("weights") && body.contains("distributions.csv has every step"),
            "{table} {body}"
        );
        chrome.until("the tools", "!!window.overnight?.setView").await;
        chrome.run("document.querySelector('#distribution-0 svg path.spread').dataset.old = 1").await;
        chrome.run("overnight.setView({ whole: true })").await;
        let anew = "document.querySelector('#distribution-0 svg path.spread:not([data-old])') !== null";
        chrome.until("the chart drawn anew", &format!("{anew} && {areas} > 0")).await;
        assert!(chrome.is(&format!("{areas} === 2")).await);
        chrome.goto(&format!("{}#runs=depth/{theirs},depth/{ours}", place.file("compare.html"))).await;
        chrome.until("both are compared", &format!("{}.length > 0", places(&ours))).await;
        chrome.until("the mark in compare", &is_marked(&theirs)).await;
        assert!(!chrome.is(&is_marked(&ours)).await);
        assert_eq!(chrome.complaints().await, [""; 0]);
    });
}
