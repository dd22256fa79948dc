//! A run of thousands of metrics: its page stays a page, and draws what is asked for.

use std::fmt::Write;
use std::fs::{self, OpenOptions};
use std::io::Write as _;

use crate::chrome::{Scripts, with_browser};
use crate::made_up::Ending;
use crate::place::{Place, Serving};

const COLUMNS: usize = 5_000;
const ROWS: usize = 40;

fn row(step: usize) -> String {
    let mut text = format!("{step},0.5,{},{step},1.5", 1.8e9 + step as f64);
    for column in 0..COLUMNS {
        let _ = write!(text, ",{}", column + step);
    }
    text + "\n"
}

/// Two runs, the first of which logged thousands of metrics.
fn wide() -> Place {
    let place = Place::of(2, Ending::AllFinished);
    let mut text = "step,epoch,time,elapsed,train/loss".to_owned();
    for column in 0..COLUMNS {
        let _ = write!(text, ",layer{:02}/m{column:04}", column / 100);
    }
    text.push('\n');
    (1..=ROWS).for_each(|step| text += &row(step));
    fs::write(place.runs[0].metrics(), text).unwrap();
    place.build();
    place
}

#[test]
fn a_run_of_thousands_of_metrics_is_usable_and_draws_what_is_asked_for() {
    with_browser(Scripts::On, async |chrome| {
        let place = wide();
        let page = place.page_of(&place.runs[0]);
        let last = "[...document.querySelectorAll('#further tr[data-place]')].at(-1)";
        chrome.look(1440, "light").await;
        chrome.goto(&place.file(&page)).await;
        assert!(chrome.number("document.querySelectorAll('*').length").await < 20_000.0);
        assert!(chrome.number("document.querySelectorAll('figure svg.chart').length").await <= 40.0);
        // A file may load nothing beside itself but scripts, and there is one for each group.
        chrome.run(&format!("{last}.closest('details').open = true")).await;
        chrome.until("the switches", &format!("!!{last}.querySelector('button')")).await;
        chrome.run(&format!("{last}.querySelector('button').click()")).await;
        let drawn = "[...document.querySelectorAll('#further-charts figure')].map((figure) => overnight.modelOf(figure).lines[0].y.length)";
        chrome.until("the chart from a file", &format!("String({drawn}) === '{ROWS}'")).await;
        chrome.run("overnight.setView({ zoom: { low: 10, high: 20 } })").await;
        chrome
            .until(
                "the zoom",
                "document.querySelector('#further-charts svg.plot').dataset.x.startsWith('10 20')",
            )
            .await;
        assert!(chrome.is("document.getElementById('further-why').hidden").await);
        assert_eq!(chrome.complaints().await, Vec::<String>::new());

        let serving = Serving::new(&place);
        chrome.goto(&serving.page(&page)).await;
        assert!(chrome.is("!document.getElementById('further-how').hidden").await);
        chrome.run(&format!("{last}.closest('details').open = true")).await;
        chrome.until("the switches", &format!("!!{last}.querySelector('button')")).await;
        let at = chrome.text(&format!("{last}.dataset.place")).await;
        let chart = format!("document.getElementById('further-chart-{at}')");
        let button = format!("#further tr[data-place='{at}'] button");
        chrome.run(&format!("document.querySelector(\"{button}\").click()")).await;
        chrome.until("the chart", &format!("{chart}?.querySelector('path.line') != null")).await;
        // Five columns come before those of this test.
        let column: usize = at.parse::<usize>().unwrap() - 5;
        let line = format!("overnight.modelOf({chart}).lines[0]");
        assert_eq!(chrome.number(&format!("{line}.x.length")).await, ROWS as f64);
        assert_eq!(chrome.number(&format!("{line}.y.at(-1)")).await, (column + ROWS) as f64);
        let pressed = format!("document.querySelector(\"{button}\").getAttribute('aria-pressed')");
        assert_eq!(chrome.text(&pressed).await, "true");
        // It is a chart like the others: zoomed with them, and with what others are saved by.
        chrome.run("overnight.setView({ zoom: { low: 10, high: 20 } })").await;
        chrome
            .until("the zoom", &format!("{chart}.querySelector('svg.plot').dataset.x.startsWith('10 20')"))
            .await;
        assert!(chrome.is(&format!("!!{chart}.querySelector('button.more') && overnight.toCsv(overnight.modelOf({chart})).split('\\n').length > 10")).await);

        // A new page of the run leaves it, and a second click takes it away.
        let mut file = OpenOptions::new().append(true).open(place.runs[0].metrics()).unwrap();
        file.write_all(row(ROWS + 1).as_bytes()).unwrap();
        let count = format!("{last}.cells[4].textContent === '{}'", ROWS + 1);
        chrome.until("the new page", &count).await;
        assert!(chrome.is(&format!("!!{chart}?.querySelector('path.line')")).await);
        assert_eq!(chrome.text(&pressed).await, "true");
        chrome.run(&format!("document.querySelector(\"{button}\").click()")).await;
        chrome.until("nothing of it", &format!("{chart} === null && {pressed} === 'false'")).await;
        assert_eq!(chrome.complaints().await, Vec::<String>::new());
    });
}
