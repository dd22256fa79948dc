//! Models, system and pipelines: the filter, the time line, the graph.

use std::fmt::Write;
use std::fs;

use overnight::experiment::settings::Task;
use overnight::run_dir::{Workspace, scan};
use serde_json::{Value, json};

use crate::chrome::{Chrome, Scripts, with_browser};
use crate::made_up::{EVENING, Ending};
use crate::place::Place;

const WIDTHS: [u32; 2] = [1440, 390];
const SHOWN: &str =
    "[...document.querySelectorAll('#models > details')].filter((model) => !model.hidden).length";
const TOO_WIDE: &str = "document.documentElement.scrollWidth - innerWidth";

/// Forty runs of text and some of images, the first of which begins with what one of the others learned, on
/// two GPUs of which one got warm and made an error.
fn night() -> Place {
    let place = Place::of(40, Ending::Mixed);
    let names = place.add("shapes", Task::ImageClassification, 3, Ending::AllFinished);
    let workspace = Workspace::new(place.path());
    let tuned = workspace.run("shapes", &names[0]);
    let mut record: Value = serde_json::from_slice(&fs::read(tuned.run_json()).unwrap()).unwrap();
    record["settings"]["weights"] = json!({ "from": "depth", "file": "best" });
    record["tags"] = json!(["tuned", "<b>odd \"tag\""]);
    fs::write(tuned.run_json(), record.to_string()).unwrap();
    let mut text = "time,cpu_percent,memory_bytes".to_owned();
    for gpu in 0..2 {
        for end in ["use_percent", "power_watts", "temperature_celsius", "throttle_reasons", "xid_code"] {
            write!(text, ",gpu{gpu}_{end}").unwrap();
        }
    }
    for row in 0..900 {
        let warm = if (300..400).contains(&row) { "thermal" } else { "none" };
        let error = if row == 350 { "79" } else { "" };
        let time = EVENING + f64::from(row) * 10.0;
        write!(text, "\n{time},50,8000000000,90,300,60,none,,80,{},70,{warm},{error}", 300 + row % 50)
            .unwrap();
    }
    fs::write(scan::batches(&workspace)[0].telemetry(), text + "\n").unwrap();
    place.build();
    place
}

async fn fits(chrome: &Chrome, at: &str) {
    assert!(chrome.number(TOO_WIDE).await < 1.0, "{at}");
}

#[test]
fn models_are_narrowed_by_what_one_types_and_chooses() {
    with_browser(Scripts::On, async |chrome| {
        let place = night();
        for width in WIDTHS {
            chrome.look(width, if width == 390 { "dark" } else { "light" }).await;
            chrome.goto(&place.file("models.html")).await;
            chrome.until("the fields", "!document.getElementById('narrow').hidden").await;
            fits(chrome, "models").await;
            let all = chrome.number(SHOWN).await;
            assert!(all > 40.0);
            let set = async |name: &str, value: &str| {
                chrome
                    .run(&format!(
                        "const field = document.getElementById('narrow').elements['{name}']; field.value = {value:?};
                         field.dispatchEvent(new Event('input', {{ bubbles: true }}))"
                    ))
                    .await;
            };
            set("task", "image classification").await;
            assert_eq!(chrome.number(SHOWN).await, 3.0);
            assert_eq!(
                chrome.text("document.querySelector('#narrow output').textContent").await,
                format!("3 of {all}")
            );
            set("tag", "<b>odd \"tag\"").await;
            assert_eq!(chrome.number(SHOWN).await, 1.0);
            set("text", "no such thing").await;
            assert!(chrome.is("!document.getElementById('none').hidden").await);
            set("text", "SHAPES lr").await;
            assert_eq!(chrome.number(SHOWN).await, 1.0);
            // The address keeps it.
            chrome.run("location.reload()").await;
            chrome
                .until("the same choice", &format!("document.getElementById('narrow') && {SHOWN} === 1"))
                .await;
            chrome.run("[...document.querySelectorAll('#models > details')].find((model) => !model.hidden).open = true").await;
            assert!(chrome.is("document.querySelector('#models [open] .commands').textContent.includes('overnight clean shapes/')").await);
            fits(chrome, "an open card").await;
            chrome.run("history.replaceState(null, '', location.pathname)").await;
        }
        assert_eq!(chrome.complaints().await, [""; 0]);
    });
}

#[test]
fn bars_of_the_night_follow_the_cursor_and_the_zoom_of_the_charts() {
    with_browser(Scripts::On, async |chrome| {
        let place = night();
        for width in WIDTHS {
            chrome.look(width, "light").await;
            chrome.goto(&place.file("system.html")).await;
            // No switch is without effect: over time there is one x, and no logarithm of it.
            chrome.until("the switches", "document.getElementById('tools') !== null").await;
            let without = "['tool-x', 'tool-log-x'].every((id) => document.getElementById(id) === null)";
            assert!(
                chrome.is(without).await && chrome.is("document.getElementById('tool-log-y') !== null").await
            );
            fits(chrome, "system").await;
            let lefts = "new Set([...document.querySelectorAll('#system svg.chart')].map((chart) => Math.round(chart.getBoundingClientRect().left))).size";
            assert_eq!(chrome.number(lefts).await, 1.0, "one left edge for all");
            assert!(
                chrome
                    .is("document.querySelector('#system svg.night').textContent.includes('GPU 1 XID 79')")
                    .await
            );
            let place_of = chrome.chart("gpu-use").await;
            chrome.hover(place_of(0.5, 0.5)).await;
            let line = "document.querySelector('svg.night g.cursor line')";
            chrome.until("the cursor on the bars", &format!("{line} !== null")).await;
            let apart = format!(
                "Math.abs({line}.getBoundingClientRect().left - document.querySelector('#gpu-use g.cursor line').getBoundingClientRect().left)"
            );
            assert!(chrome.number(&apart).await < 2.0);
            chrome.hover((5.0, 5.0)).await;
            chrome.until("no cursor", "document.querySelector('g.cursor') === null").await;
            if width == 1440 {
                chrome.drag(place_of(0.25, 0.5), place_of(0.5, 0.5)).await;
                chrome
                    .until(
                        "the bars zoomed",
                        "parseFloat(document.querySelector('svg.lanes').getAttribute('width')) > 350",
                    )
                    .await;
            }
            chrome.run("history.replaceState(null, '', location.pathname)").await;
        }
        assert_eq!(chrome.complaints().await, [""; 0]);
    });
}

#[test]
fn the_graph_leads_to_the_runs_and_the_list_says_the_same() {
    with_browser(Scripts::Off, async |chrome| {
        let place = night();
        for width in WIDTHS {
            chrome.look(width, "dark").await;
            chrome.goto(&place.file("pipelines.html")).await;
            fits(chrome, "pipelines").await;
        }
        let page = fs::read_to_string(place.path().join("reports/pipelines.html")).unwrap();
        assert!(page.contains("<svg class=\"graph\"") && page.contains("id=\"stages\""));
        let hrefs = page.split("<svg class=\"graph\"").nth(1).unwrap();
        let href = hrefs.split("<a href=\"").nth(1).unwrap().split('"').next().unwrap();
        assert!(place.path().join("reports").join(href).is_file(), "{href}");
        // Without a script the whole list of models is there.
        let models = fs::read_to_string(place.path().join("reports/models.html")).unwrap();
        assert!(models.matches("<summary>").count() > 40 && models.contains("id=\"narrow\""));
    });
}
