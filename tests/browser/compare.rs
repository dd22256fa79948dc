//! Runs that are ticked anywhere and compared.

use overnight::experiment::settings::Task;
use overnight::report::chart::meeting;
use overnight::run_dir::read;
use overnight::run_dir::records::RunResult;

use crate::charts::WIDTHS;
use crate::chrome::{Chrome, Scripts, with_browser};
use crate::hands::Button;
use crate::live::IS_LIVE;
use crate::made_up::{Ending, noise};
use crate::place::{Place, Serving};

/// Every twelfth run has the settings of the first and the next seed; so one setting has three seeds, the
/// others two.
const RUNS: u32 = 25;
const IS_THERE: &str = "!!document.querySelector('#beside') && !document.querySelector('main').textContent.includes('Looking for')";
const HEADS: &str = "[...document.querySelectorAll('#beside thead a')].map((name) => name.title)";
const CHOSEN: &str = "document.querySelector('#chosen b').textContent";

fn key(place: &Place, number: usize) -> String {
    format!("depth/{}", place.runs[number].name())
}

fn address(page: &str, keys: &[String]) -> String {
    format!("{page}#runs={}", keys.join(","))
}

async fn compared(chrome: &Chrome, address: &str) {
    chrome.goto("about:blank").await;
    chrome.goto(address).await;
    chrome.until("the runs side by side", IS_THERE).await;
}

/// The cells of a row of the table, each with its lines; none where there is no such row.
async fn row(chrome: &Chrome, name: &str) -> Vec<String> {
    let row = format!(
        "[...document.querySelectorAll('#beside tr')].find((row) => row.cells[0]?.textContent === {name:?})"
    );
    chrome.texts(&format!("[...({row}?.querySelectorAll('td') ?? [])].map((cell) => cell.innerText)")).await
}

fn best(place: &Place, number: usize) -> f64 {
    let result: RunResult = read::json(&place.runs[number].result()).unwrap();
    result.best.unwrap().value
}

#[test]
fn runs_are_ticked_by_mouse_and_keyboard_over_pages_and_meet_side_by_side() {
    with_browser(Scripts::On, async |chrome| {
        let place = Place::of(4, Ending::AllFinished);
        place.build();
        for width in WIDTHS {
            chrome.look(width, "light").await;
            chrome.goto(&place.file("experiments/depth/index.html")).await;
            assert!(chrome.is("document.getElementById('chosen').hidden").await);
            let tick = |number: usize| {
                format!("document.querySelector('#sweep .tick[data-run=\"{}\"]')", key(&place, number))
            };
            chrome.click(chrome.middle(&tick(2)).await, Button::Left, 1).await;
            chrome.until("the bar", &format!("{CHOSEN} === '1 run chosen'")).await;
            chrome.run(&format!("{}.focus()", tick(0))).await;
            chrome.key(" ", false).await;
            chrome.until("the second", &format!("{CHOSEN} === '2 runs chosen'")).await;
            // The end of the page lies above the bar, and the bar on the screen.
            chrome.run("scrollTo(0, document.documentElement.scrollHeight)").await;
            let uncovered = "document.querySelector('main').getBoundingClientRect().bottom
                <= document.getElementById('chosen').getBoundingClientRect().top";
            chrome.until("the end of the page above the bar", uncovered).await;
            let sides = chrome.value("(({ left, right }) => [left, right])(document.getElementById('chosen').getBoundingClientRect())").await;
            assert!(sides[0].as_f64() >= Some(0.0) && sides[1].as_f64() <= Some(f64::from(width)), "{sides}");
            // Rows that are made anew have the ticks that their runs have.
            chrome
                .run(
                    "const row = document.querySelector('#sweep tbody tr'); const next = row.cloneNode(true);
                for (const box of next.querySelectorAll('.tick')) box.checked = !box.checked;
                row.replaceWith(next); document.dispatchEvent(new Event('overnight:rows'))",
                )
                .await;
            let ticked = "[...document.querySelectorAll('.tick')].filter((box) => box.checked).length";
            assert_eq!(chrome.number(ticked).await, 2.0);
            // A third on its own page, by the link that leads to the comparison at once.
            chrome.goto(&place.file(&place.page_of(&place.runs[3]))).await;
            assert_eq!(chrome.text(CHOSEN).await, "2 runs chosen");
            chrome.run("document.querySelector('a[data-compare]').click()").await;
            chrome.until("the runs side by side", IS_THERE).await;
            let keys = [key(&place, 2), key(&place, 0), key(&place, 3)];
            assert_eq!(chrome.texts(HEADS).await, keys);
            assert_eq!(chrome.text("location.hash").await, format!("#runs={}", keys.join(",")));
            let too_wide = chrome.number("document.documentElement.scrollWidth - innerWidth").await;
            assert!(too_wide < 1.0, "{too_wide} pixels too wide");

            // Without an address it is what was ticked; leaving one out unticks it.
            chrome.goto("about:blank").await;
            chrome.goto(&place.file("compare.html")).await;
            chrome.until("the runs side by side", IS_THERE).await;
            chrome.run("document.querySelector('[data-without]').click()").await;
            chrome.until("two runs", &format!("{HEADS}.length === 2")).await;
            chrome.goto(&place.file("experiments/depth/index.html")).await;
            assert_eq!(chrome.text(CHOSEN).await, "2 runs chosen");
            // From the keyboard: the bar comes after everything else.
            chrome.run("document.querySelector('#chosen a').focus()").await;
            chrome.key("Tab", false).await;
            chrome.key("Enter", false).await;
            chrome.until("no choice", "document.getElementById('chosen').hidden").await;
            assert_eq!(chrome.number(ticked).await, 0.0);
        }
        assert_eq!(chrome.complaints().await, Vec::<String>::new());
    });
}

#[test]
fn runs_side_by_side_show_what_differs_and_whether_seeds_explain_it() {
    with_browser(Scripts::On, async |chrome| {
        let place = Place::of(RUNS, Ending::AllFinished);
        let images = place.add("shapes", Task::ImageClassification, 1, Ending::AllFinished);
        place.build();
        let page = place.file("compare.html");
        chrome.look(1440, "light").await;
        compared(chrome, &address(&page, &[key(&place, 0), key(&place, 12), key(&place, 1)])).await;

        let cells = row(chrome, "val/loss, best").await;
        let numbers = |cell: &str| -> Vec<f64> {
            cell.split_whitespace().filter_map(|word| word.parse().ok()).collect()
        };
        let variance = |numbers: &[usize]| {
            let values: Vec<f64> = numbers.iter().map(|number| best(&place, *number)).collect();
            overnight::statistics::variance(&values)
        };
        let (three, two) = (variance(&[0, 12, 24]), variance(&[1, 13]));
        let expected =
            [(12, (2.0 * three).sqrt(), "only the seed differs"), (1, (three + two).sqrt(), "within noise")];
        assert!((numbers(&cells[0])[0] - best(&place, 0)).abs() < 1e-3, "{cells:?}");
        for (cell, (number, deviation, verdict)) in cells[1..].iter().zip(expected) {
            let [value, by, spread] = numbers(cell)[..] else { panic!("{cell}") };
            assert!((value - best(&place, number)).abs() < 1e-3, "{cell}");
            let difference = best(&place, number) - best(&place, 0);
            assert!((by / difference - 1.0).abs() < 0.06, "{cell}, not {difference}");
            assert!((spread / deviation - 1.0).abs() < 0.06, "{cell}, not {deviation}");
            assert!(cell.ends_with(verdict), "{cell}");
        }
        assert_eq!(row(chrome, "train.seed").await, ["1", "2", "1"]);
        assert_eq!(row(chrome, "train.optimizer.lr").await, ["1e-3", "1e-3", "3e-4"]);
        assert_eq!(row(chrome, "model.layers").await, Vec::<String>::new(), "what is equal is left out");
        assert_eq!(row(chrome, "training").await, ["20 min", "20 min 0 %", "20 min 0 %"]);
        assert_eq!(row(chrome, "energy").await.len(), 3);
        let samples = chrome
            .texts("[...document.querySelectorAll('.beside pre b')].map((prompt) => prompt.textContent)")
            .await;
        assert_eq!(samples, ["ROMEO:"; 3]);

        // Against another one, and the address says so.
        chrome.run("document.querySelectorAll('[name=base]')[2].click()").await;
        let is_base =
            "document.querySelectorAll('#beside tr')[3].cells[3].querySelectorAll('small').length === 0";
        chrome.until("differences to the third", is_base).await;
        assert!(chrome.text("location.hash").await.ends_with(&format!("&base={}", key(&place, 1))));

        // The charts are the others' own: cursor, axes, legend.
        let chart = chrome.chart("chart-val-loss").await;
        chrome.hover(chart(0.6, 0.5)).await;
        chrome.until("the values there", "document.querySelectorAll('#tip li').length === 3").await;
        chrome.run("overnight.setView({ x: 'epoch', smoothing: 0.9 })").await;
        let is_seen = "overnight.modelOf(document.getElementById('chart-val-loss')).axis === 'epoch'
            && document.querySelectorAll('#chart-train-loss path.faint').length === 3
            && document.querySelectorAll('.legend button').length === 3";
        chrome.until("epochs and averages", is_seen).await;
        let hash = chrome.text("location.hash").await;
        compared(chrome, &format!("{page}{hash}")).await;
        chrome.until("the same view again", is_seen).await;

        // Another experiment: its first run has the color of ours, and one seed.
        let other = format!("shapes/{}", images[0]);
        compared(chrome, &address(&page, &[key(&place, 0), other])).await;
        let swatches =
            "[...document.querySelectorAll('#beside thead .swatch')].map((swatch) => swatch.className)";
        assert_eq!(chrome.texts(swatches).await, ["swatch c1", "swatch c2"]);
        let legend = chrome.texts("[...document.querySelectorAll('figure')].flatMap((figure) => overnight.chartOf(figure).series.map(({ label }) => label))").await;
        assert!(
            legend.iter().any(|label| label.contains("(another color here: its own stands for ")),
            "{legend:?}"
        );
        assert!(row(chrome, "train/loss, last").await[1].ends_with("no noise known"));
        assert_eq!(chrome.complaints().await, Vec::<String>::new());

        // The rule for colors is the report's own.
        for seed in 0..40_u64 {
            let own: Vec<u16> = (0..seed).map(|place| (noise(seed * 100 + place) * 70.0) as u16).collect();
            let here = chrome.value(&format!("overnight.meeting({own:?})")).await;
            assert_eq!(here, serde_json::json!(meeting::numbers(&own)), "{own:?}");
        }
    });
}

#[test]
fn runs_that_are_gone_and_names_that_mean_harm_are_told() {
    with_browser(Scripts::On, async |chrome| {
        let place = Place::wordy();
        place.build();
        let page = place.file("compare.html");
        let stray = "depth/%253Cb%253Eby%2520hand%2520%2526%2520%2522quoted%2522";
        let asked = [
            &key(&place, 0),
            "depth/gone",
            "../secrets",
            "depth/%252e%252e",
            "a/b/c",
            "<img src=x onerror=alert(1)>",
            "%25E0",
            stray,
        ];
        compared(chrome, &format!("{page}#runs={}", asked.join(","))).await;
        let told = chrome
            .texts("[...document.querySelectorAll('.say.bad p')].map((line) => line.textContent)")
            .await;
        assert_eq!(told.len(), 6, "{told:?}");
        assert!(
            told[3].contains("<img src=x") && told[5].starts_with("depth/gone is not in this report"),
            "{told:?}"
        );
        assert_eq!(chrome.texts(HEADS).await, [key(&place, 0), "depth/<b>by hand & \"quoted\"".into()]);
        assert!(chrome.is("!document.querySelector('main img, #beside a b')").await);
        let requests = chrome.requests().await;
        assert!(
            !requests.iter().any(|asked| asked.contains("secrets") || asked.contains("onerror")),
            "{requests:?}"
        );

        chrome.goto("about:blank").await;
        chrome.goto(&page).await;
        chrome
            .until("a way to runs", "document.querySelector('main').textContent.includes('Tick runs')")
            .await;
    });
}

#[test]
fn served_runs_that_are_compared_grow() {
    with_browser(Scripts::On, async |chrome| {
        let place = Place::of(2, Ending::AllFinished);
        place.build();
        let _alive = place.revive(0);
        let serving = Serving::new(&place);
        compared(chrome, &address(&serving.page("compare.html"), &[key(&place, 0), key(&place, 1)])).await;
        chrome.until("the connection", IS_LIVE).await;
        chrome.until("the state", "!!document.querySelector('#beside .st.running')").await;
        chrome.run("window.before = document.querySelector('h1')").await;
        place.add_row(0, 5000, 0.9, Some(0.5));
        let grown = "overnight.chartOf(document.getElementById('chart-val-loss')).series
            .some(({ x, y }) => x.at(-1) === 5000 && y.at(-1) === 0.5)";
        chrome.until("the row", grown).await;
        // They have not come to the same step, so they are compared where both have been.
        let common = row(chrome, "val/loss, best up to step 3,000").await;
        assert!(common.len() == 2 && !common[0].starts_with("0.5"), "{common:?}");
        assert!(chrome.is("window.before === document.querySelector('h1')").await, "no reload");
        assert_eq!(chrome.complaints().await, Vec::<String>::new());
    });
}
