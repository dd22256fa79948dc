//! Runs that are ticked anywhere and compared.

use std::path::Path;

use overnight::report::chart::meeting;

use crate::charts::WIDTHS;
use crate::chrome::{Chrome, Scripts, with_browser};
use crate::hands::Button;
use crate::live::IS_LIVE;
use crate::made_up::Ending;
use crate::place::{Place, Serving};

/// Two settings with three seeds each, and one alone: every twelfth run has the next seed.
const RUNS: u32 = 25;
const CHOSEN: &str = "document.querySelector('#chosen b').textContent";
const IS_THERE: &str = "!!document.querySelector('#beside') && !document.querySelector('main').textContent.includes('Looking for')";
const HEADS: &str = "[...document.querySelectorAll('#beside thead a')].map((name) => name.title)";

fn address(place: &Place, numbers: &[usize]) -> String {
    let runs: Vec<String> =
        numbers.iter().map(|number| format!("depth/{}", place.runs[*number].name())).collect();
    format!("{}#runs={}", place.file("compare.html"), runs.join(","))
}

async fn compared(chrome: &Chrome, address: &str) {
    chrome.goto("about:blank").await;
    chrome.goto(address).await;
    chrome.until("the runs side by side", IS_THERE).await;
}

/// The cells of a row of the table.
async fn row(chrome: &Chrome, name: &str) -> Vec<String> {
    let row = format!("[...document.querySelectorAll('#beside tr')].find((row) => row.cells[0]?.textContent === {name:?})");
    chrome.texts(&format!("[...{row}.querySelectorAll('td')].map((cell) => cell.innerText)")).await
}

#[test]
fn looks() {
    with_browser(Scripts::On, async |chrome| {
        let place = Place::of(RUNS, Ending::AllFinished);
        place.add("shapes", overnight::experiment::settings::Task::ImageClassification, 3, Ending::AllFinished);
        place.build();
        let Some(folder) = std::env::var_os("OVERNIGHT_SCREENSHOTS") else { return };
        for (name, numbers) in [("two", vec![0, 1]), ("five", vec![0, 12, 1, 2, 3]), ("twelve", (0..12).collect())] {
            for width in WIDTHS {
                for scheme in ["light", "dark"] {
                    chrome.look(width, scheme).await;
                    compared(chrome, &address(&place, &numbers)).await;
                    chrome.picture(width, &Path::new(&folder).join(format!("{name}-{width}-{scheme}.png"))).await;
                }
            }
        }
        chrome.look(390, "light").await;
        chrome.goto(&place.file("experiments/depth/index.html")).await;
        chrome.run("document.querySelectorAll('input.tick')[2].click(); document.querySelector('#sweep').scrollIntoView()").await;
        chrome.picture(390, &Path::new(&folder).join("ticks.png")).await;
        println!("{:?}", chrome.complaints().await);
    });
}
