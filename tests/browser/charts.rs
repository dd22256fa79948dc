//! What one can do with a chart, by mouse, finger and keyboard, wide and narrow.

mod axes;
mod bands;
mod edges;
mod far;
mod keys;
mod pointer;
mod save;

use crate::chrome::Chrome;
use crate::made_up::Ending;
use crate::place::Place;

pub const WIDTHS: [u32; 2] = [1440, 390];

/// Shown once a page's script has drawn and told everything it was asked for.
async fn settled(chrome: &Chrome) {
    chrome.run("window.frames_ = 0; requestAnimationFrame(() => requestAnimationFrame(() => window.frames_ = 1))").await;
    chrome.until("the next frames", "window.frames_ === 1").await;
}

/// An experiment's page of so many runs at this width.
async fn experiment(chrome: &Chrome, runs: u32, width: u32) -> Place {
    let place = Place::of(runs, Ending::AllFinished);
    place.build();
    chrome.look(width, "light").await;
    chrome.goto(&place.file("experiments/depth/index.html")).await;
    place
}

/// A run's page at this width.
async fn run(chrome: &Chrome, width: u32) -> Place {
    let place = Place::of(2, Ending::AllFinished);
    place.build();
    chrome.look(width, "light").await;
    chrome.goto(&place.file(&place.page_of(&place.runs[0]))).await;
    place
}

/// The ends of a figure's x as drawn.
async fn ends(chrome: &Chrome, figure: &str) -> (f64, f64) {
    let drawn = chrome.text(&format!("document.querySelector('#{figure} svg.plot').dataset.x")).await;
    let mut words = drawn.split(' ').map(|word| word.parse::<f64>().unwrap_or(f64::NAN));
    (words.next().unwrap(), words.next().unwrap())
}

/// Labels of a figure's ticks: those of y have a `dx`.
async fn ticks(chrome: &Chrome, figure: &str, axis: char) -> Vec<String> {
    let which = if axis == 'y' { "[dx]" } else { ":not([dx])" };
    chrome
        .texts(&format!(
            "[...document.querySelectorAll('#{figure} g.scale text{which}')].map((text) => text.textContent)"
        ))
        .await
}

/// Chooses a value of a control of the row above the charts, as its own events tell it.
async fn set(chrome: &Chrome, control: &str, value: &str) {
    let script = "const control = document.getElementById('CONTROL');
        if (control.type === 'checkbox') control.click();
        else { control.value = 'VALUE';
            for (const kind of ['input', 'change']) control.dispatchEvent(new Event(kind, { bubbles: true })); }";
    chrome.run(&script.replace("CONTROL", control).replace("VALUE", value)).await;
    settled(chrome).await;
}
