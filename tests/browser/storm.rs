//! Many runs that write, many readers of events, and one real page, while memory is watched.
//!
//! A few seconds of it stand in the suite; `make storm` takes `OVERNIGHT_ROWS_SECONDS`: in ten minutes
//! fifty workers write what they would in twenty-four hours.

mod clients;
mod memory;
mod writers;

use std::time::{Duration, Instant};

use serde_json::json;

use crate::chrome::{Chrome, Scripts, with_browser};
use crate::live::IS_LIVE;
use crate::made_up::Ending;
use crate::place::{Place, Serving};

use clients::Clients;
use memory::Memory;
use writers::Writers;

const WORKERS: u32 = 50;
const CLIENTS: usize = 500;
/// Of these, so many also read every row, and lose their connection again and again.
const READERS: usize = 5;
/// A row each ten seconds over a day, written within ten minutes.
const ROWS_A_SECOND: f64 = 24.0 * 360.0 / 600.0;
/// At memory, while it goes on.
const LOOKS: u32 = 12;
/// What the page may take: its renderer's own memory.
const PAGE_MIB: u64 = 200;
/// What the server may take more in the second half than in the first, beyond the rows it holds.
const SERVER_GROWTH_MIB: u64 = 64;

#[test]
fn a_storm_of_rows_reaches_every_reader_and_leaves_memory_flat() {
    with_browser(Scripts::On, async |chrome| {
        let seconds = std::env::var("OVERNIGHT_ROWS_SECONDS").ok();
        let time = Duration::from_secs(seconds.and_then(|text| text.parse().ok()).unwrap_or(8));
        let place = Place::of(WORKERS, Ending::AllFinished);
        let _alive: Vec<_> = (0..WORKERS as usize).map(|number| place.revive(number)).collect();
        place.build();
        let serving = Serving::new(&place);
        let page = place.page_of(&place.runs[0]);
        chrome.goto(&serving.page(&page)).await;
        chrome.until("the connection", IS_LIVE).await;
        chrome.run(WATCH_PIXELS).await;
        // The driver has the browser keep every answer for its inspector: a hundred MiB nobody else has.
        chrome.devtools("Network.disable", json!({})).await;

        let clients =
            Clients::start(&serving.address, CLIENTS, READERS, &page.replace("index.html", "metrics.csv"));
        let writers = Writers::start(&place.runs, ROWS_A_SECOND);
        let mut held: Vec<Memory> = Vec::new();
        let begun = Instant::now();
        let mut looks = tokio::time::interval(Duration::from_millis(500));
        while begun.elapsed() < time {
            looks.tick().await;
            if begun.elapsed() > time * (held.len() as u32 + 1) / LOOKS {
                held.push(Memory::of(&serving, chrome));
            }
        }
        let written = writers.end();
        let last = written.first.last().expect("rows were written").0;
        chrome.until("the last row on the page", &format!("shown.some(([step]) => step >= {last})")).await;
        held.push(Memory::of(&serving, chrome));
        let whole = std::fs::read_to_string(place.runs[0].metrics()).unwrap();
        let read = clients.end(&whole);

        println!("{} rows by {WORKERS} workers in {:.0} s", written.rows, time.as_secs_f64());
        println!(
            "{CLIENTS} event clients: {} messages; {READERS} of them lost their connection {} times and have all rows",
            read.messages, read.losses
        );
        let most = |part: &[Memory], of: fn(&Memory) -> u64| part.iter().map(of).max().unwrap_or(0);
        let (early, late) = held.split_at(held.len() / 2);
        println!("MiB of the server: {:?}", held.iter().map(|held| held.server).collect::<Vec<_>>());
        println!("MiB of the page: {:?}", held.iter().map(|held| held.page).collect::<Vec<_>>());
        let mut waits = waits(chrome, &written.first).await;
        println!("row written to pixels changed: {}", percentiles(&mut waits));
        assert!(most(&held, |held| held.page) < PAGE_MIB, "the page: {held:?}");
        let growth = most(late, |held| held.server).saturating_sub(most(early, |held| held.server));
        assert!(growth <= SERVER_GROWTH_MIB, "the server grows: {held:?}");
        assert_eq!(chrome.complaints().await, Vec::<String>::new());
    });
}

/// The same with what is usual: one run that writes two rows a second, and nobody else.
#[test]
fn a_row_is_on_the_page_soon_after_it_was_written() {
    with_browser(Scripts::On, async |chrome| {
        let seconds = std::env::var("OVERNIGHT_ROWS_SECONDS").ok();
        let time = Duration::from_secs(seconds.and_then(|text| text.parse().ok()).unwrap_or(6).min(60));
        let place = Place::of(8, Ending::AllFinished);
        let _alive = place.revive(0);
        place.build();
        let serving = Serving::new(&place);
        chrome.goto(&serving.page(&place.page_of(&place.runs[0]))).await;
        chrome.until("the connection", IS_LIVE).await;
        chrome.until("the state", "!!document.querySelector('main .st.running')").await;
        chrome.run(WATCH_PIXELS).await;
        let writers = Writers::start(&place.runs[..1], 2.0);
        tokio::time::sleep(time).await;
        let written = writers.end();
        let last = written.first.last().expect("rows were written").0;
        chrome.until("the last row on the page", &format!("shown.some(([step]) => step >= {last})")).await;
        let mut waits = waits(chrome, &written.first).await;
        assert_eq!(waits.len(), written.first.len(), "every row was seen");
        println!("row written to pixels changed, one run: {}", percentiles(&mut waits));
    });
}

/// Notes, in the frame after each change of the chart, its last step and the time.
const WATCH_PIXELS: &str = "window.shown = [];
    const last = () => Math.max(...overnight.chartOf(document.getElementById('chart-loss')).series
        .map(({ x }) => x.length ? x.at(-1) : 0));
    let noted = last();
    new MutationObserver(() => {
        const step = last();
        if (step <= noted) return;
        noted = step;
        requestAnimationFrame(() => shown.push([step, Date.now()]));
    }).observe(document.getElementById('main'), { subtree: true, childList: true, attributes: true });";

/// Milliseconds from each row to the first drawing that has it.
async fn waits(chrome: &Chrome, written: &[(u64, f64)]) -> Vec<f64> {
    let shown: Vec<(f64, f64)> = serde_json::from_value(chrome.value("shown").await).unwrap();
    let first_with = |step: u64| shown.iter().find(|(last, _)| *last >= step as f64);
    written.iter().filter_map(|(step, time)| Some(first_with(*step)?.1 - time)).collect()
}

fn percentiles(waits: &mut [f64]) -> String {
    waits.sort_by(f64::total_cmp);
    let at = |part: f64| waits[(part * (waits.len() - 1) as f64) as usize];
    format!(
        "{:.0} ms at the median, {:.0} ms at the 95th percentile, {:.0} ms at most, {} rows",
        at(0.5),
        at(0.95),
        at(1.0),
        waits.len()
    )
}
