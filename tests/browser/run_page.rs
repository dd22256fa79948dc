//! What only a run's page has: samples as a slider, the search in its log, the model's diagram.

use std::fs;

use overnight::run_dir::RunDir;
use overnight::run_dir::records::{Sample, SampleItem};
use serde_json::json;

use crate::charts::WIDTHS;
use crate::chrome::{Chrome, Scripts, with_browser};
use crate::hands::Button;
use crate::made_up::Ending;
use crate::place::{Place, Serving};

/// Lines of the log of a furnished run.
const LINES: u64 = 5_000;

/// Gives a run what made-up ones lack: a model of six equal blocks, many samples, a long log with
/// everything in it that one may not trust.
pub fn furnish(run: &RunDir) {
    let layer = |name: String, kind: &str, tensors: &[(&str, [i64; 2])]| {
        let parameters: i64 = tensors.iter().map(|(_, [rows, columns])| rows * columns).sum();
        json!({ "name": name, "kind": kind, "output": [64, 128], "tensors": tensors, "parameters": parameters })
    };
    let mut layers = vec![layer("transformer.wte".into(), "embedding", &[("weight", [65, 128])])];
    for block in 0..6 {
        let name = |part: &str| format!("transformer.h.{block}.{part}");
        layers.push(layer(name("ln_1"), "norm", &[("weight", [1, 128])]));
        layers.push(layer(name("attn"), "attention", &[("c_attn.weight", [384, 128])]));
        layers.push(layer(name("mlp"), "feed-forward", &[("c_fc.weight", [512, 128])]));
    }
    layers.push(layer("lm_head".into(), "linear, tied to transformer.wte", &[]));
    let parameters: i64 = layers.iter().map(|layer| layer["parameters"].as_i64().unwrap()).sum();
    let model =
        json!({ "kind": "gpt", "parameters": parameters, "layers": layers, "vocabulary": ["a", "b"] });
    fs::write(run.model_json(), model.to_string()).unwrap();
    for step in [500, 1000, 2000, 2500] {
        let text = format!("\nwhat it says at step {step}, <script>document.title = 'broken'</script>");
        let item =
            SampleItem::Text { prompt: "ROMEO:".into(), text, temperature: 0.8, top_k: 50, top_p: 1.0 };
        let sample = serde_json::to_vec(&Sample { step, items: vec![item] }).unwrap();
        fs::write(run.sample_json(step), sample).unwrap();
    }
    let mut log: String = (1..=LINES).map(|step| format!("step {step}  train/loss 1.5\n")).collect();
    log += "<script>document.title = 'broken'</script> needle one\n";
    log += "a NUL \0 and \u{202e}turned needle two\n";
    log += &format!("{}needle three{}\n", "x".repeat(300_000), "y".repeat(700_000));
    log += "the end\n";
    fs::write(run.train_log(), log).unwrap();
}

fn furnished() -> Place {
    let place = Place::of(2, Ending::AllFinished);
    furnish(&place.runs[0]);
    place.build();
    place
}

/// Details of samples that are seen, by what they say.
const SEEN: &str =
    "[...document.querySelectorAll('#samples > details')].filter((one) => !one.hidden && one.open)
    .map((one) => one.id)";

#[test]
fn samples_go_by_a_slider_with_keys_at_any_width() {
    with_browser(Scripts::On, async |chrome| {
        let place = furnished();
        for width in WIDTHS {
            chrome.look(width, "light").await;
            chrome.goto(&place.file(&place.page_of(&place.runs[0]))).await;
            assert_eq!(chrome.texts(SEEN).await, ["sample-3000"], "the newest at first");
            chrome.run("document.getElementById('sample-at').focus()").await;
            chrome.press(fantoccini::key::Key::Left).await;
            chrome.until("the one before", &format!("({SEEN}).join() === 'sample-2500'")).await;
            chrome.press(fantoccini::key::Key::Home).await;
            chrome.until("the first", &format!("({SEEN}).join() === 'sample-500'")).await;
            let told = "document.getElementById('sample-told').textContent";
            assert_eq!(chrome.text(told).await, "Step 500 · 1 of 6");
            let heard = "document.getElementById('sample-at').getAttribute('aria-valuetext')";
            assert_eq!(chrome.text(heard).await, "Step 500");
            let shown = "document.querySelector('#sample-500 pre').textContent";
            assert!(chrome.text(shown).await.contains("<script>"), "as text");
            assert!(chrome.number("document.querySelector('#sample-500 pre').offsetHeight").await > 20.0);
        }
        assert!(!chrome.is("document.title === 'broken'").await);
        // The mouse: near the right end is near the newest.
        let (x, y) = chrome.middle("document.getElementById('sample-at')").await;
        chrome.click((x, y), Button::Left, 1).await;
        chrome
            .until(
                "the sample in the middle",
                &format!("({SEEN})[0] === 'sample-1500' || ({SEEN})[0] === 'sample-2000'"),
            )
            .await;
    });
}

const COUNT: &str = "document.querySelector('#log-block output').textContent";
const MARKED: &str = "[...document.querySelectorAll('#log mark')].map((mark) => mark.parentNode.textContent.trim().slice(0, 60))";
const NOW: &str = "document.querySelector('#log .now')?.textContent.slice(0, 40) ?? ''";

/// Types words into the search field, key by key.
async fn search(chrome: &Chrome, words: &str) {
    chrome.run("const field = document.getElementById('log-search'); field.focus(); field.select()").await;
    for letter in words.chars() {
        chrome.key(&letter.to_string(), false).await;
    }
}

#[test]
fn the_whole_log_is_searched_by_keyboard() {
    with_browser(Scripts::On, async |chrome| {
        let place = furnished();
        for width in WIDTHS {
            chrome.look(width, "light").await;
            chrome.goto(&place.file(&place.page_of(&place.runs[0]))).await;
            assert_eq!(chrome.text(COUNT).await, "");
            search(chrome, "NEEDLE").await;
            chrome.until("the lines found", &format!("{COUNT} === '1 of 3 lines'")).await;
            assert!(chrome.text(NOW).await.starts_with("<script>document.title"), "as text");
            chrome.key("Enter", false).await;
            chrome.until("the next one", &format!("{COUNT} === '2 of 3 lines'")).await;
            assert!(chrome.text(NOW).await.contains('␀'));
            chrome.key("Enter", true).await;
            chrome.key("Enter", true).await;
            chrome.until("round the beginning", &format!("{COUNT} === '3 of 3 lines'")).await;
            assert!(chrome.number("document.querySelector('#log .now').textContent.length").await < 2_200.0);
            assert!(chrome.is("document.querySelector('#log .now mark').textContent === 'needle'").await);
            let is_seen = "(() => { const [log, now] = ['#log', '#log .now'].map((one) =>
                document.querySelector(one).getBoundingClientRect());
                return now.top < log.bottom && now.bottom > log.top; })()";
            assert!(chrome.is(is_seen).await, "it is scrolled to");
            // A line far from the end, which stands in the page nowhere else.
            search(chrome, "step 17 ").await;
            chrome.until("one line", &format!("{COUNT} === '1 of 1 lines'")).await;
            assert_eq!(chrome.texts(MARKED).await, ["step 17  train/loss 1.5"]);
            assert!(
                chrome.number("document.getElementById('log').textContent.split('\\n').length").await > 100.0
            );
            let (x, y) = chrome.middle("document.getElementById('log-filter')").await;
            chrome.click((x, y), Button::Left, 1).await;
            chrome
                .until(
                    "that line alone",
                    "document.getElementById('log').textContent.trim() === 'step 17  train/loss 1.5'",
                )
                .await;
            search(chrome, "nowhere (").await;
            chrome.until("nothing", &format!("{COUNT} === 'not found'")).await;
            assert!(chrome.number("document.documentElement.scrollWidth - innerWidth").await < 1.0);
        }
        assert!(!chrome.is("document.title === 'broken'").await);
        assert_eq!(chrome.complaints().await, Vec::<String>::new());
    });
}

#[test]
fn the_search_goes_on_while_the_log_and_the_samples_grow() {
    with_browser(Scripts::On, async |chrome| {
        let place = furnished();
        let _alive = place.revive(0);
        place.build();
        let serving = Serving::new(&place);
        chrome.goto(&serving.page(&place.page_of(&place.runs[0]))).await;
        chrome.until("the connection", crate::live::IS_LIVE).await;
        search(chrome, "needle").await;
        chrome.until("the lines found", &format!("{COUNT} === '1 of 3 lines'")).await;
        let run = &place.runs[0];
        let mut log = fs::read(run.train_log()).unwrap();
        log.extend(b"a fresh needle\n");
        fs::write(run.train_log(), log).unwrap();
        fs::copy(run.sample_json(2500), run.sample_json(3500)).unwrap();
        let sample = fs::read_to_string(run.sample_json(3500)).unwrap().replace("2500", "3500");
        fs::write(run.sample_json(3500), sample).unwrap();
        place.add_row(0, 2990, 0.777, None);
        chrome.until("the new line", &format!("{COUNT} === '1 of 4 lines'")).await;
        assert_eq!(chrome.text("document.getElementById('log-search').value").await, "needle");
        chrome.until("the new sample", &format!("({SEEN})[0] === 'sample-3500'")).await;
        assert_eq!(chrome.text("document.getElementById('sample-at').value").await, "6");
        assert_eq!(chrome.complaints().await, Vec::<String>::new());
        chrome.goto("about:blank").await;
    });
}

/// Layers whose tensors are seen.
const OPEN: &str = "[...document.querySelectorAll('details.layer')].filter((one) => one.open)
    .map((one) => one.querySelector('b').textContent)";

/// The middle of the box that says `name`.
fn boxed(name: &str) -> String {
    format!(
        "[...document.querySelectorAll('svg.architecture a')].find((link) => link.querySelector('.name').textContent === '{name}').querySelector('.box')"
    )
}

#[test]
fn a_box_of_the_model_opens_its_tensors_by_mouse_and_keyboard() {
    with_browser(Scripts::On, async |chrome| {
        let place = furnished();
        for width in WIDTHS {
            chrome.look(width, "light").await;
            chrome.goto(&place.file(&place.page_of(&place.runs[0]))).await;
            let address = chrome.text("location.href").await;
            let texts =
                "[...document.querySelectorAll('svg.architecture text')].map((text) => text.textContent)";
            let texts = chrome.texts(texts).await;
            for text in
                ["transformer.h.0 … 5", "attn", "64 × 128", "6 × 49,152 · 42.3\u{a0}%", "no parameters"]
            {
                assert!(texts.iter().any(|one| one == text), "{text} is not among {texts:?}");
            }
            assert!(chrome.texts(OPEN).await.is_empty());
            let place = chrome.middle(&boxed("attn")).await;
            chrome.click(place, Button::Left, 1).await;
            chrome.until("its tensors", &format!("({OPEN})[0] === 'transformer.h.0 … 5.attn'")).await;
            let tensors = "document.querySelector('details.layer[open] td').textContent";
            assert_eq!(chrome.text(tensors).await, "c_attn.weight");
            assert!(chrome.is("document.activeElement.tagName === 'SUMMARY'").await);
            assert_eq!(chrome.text("location.href").await, address, "how charts are looked at stays there");
            chrome.run(&format!("{}.closest('a').focus()", boxed("mlp"))).await;
            chrome.key("Enter", false).await;
            chrome.until("the other's as well", &format!("({OPEN}).length === 2")).await;
        }
    });
}

#[test]
fn without_scripts_a_box_opens_its_tensors_and_all_samples_and_the_log_are_there() {
    with_browser(Scripts::Off, async |chrome| {
        let place = furnished();
        let page = place.page_of(&place.runs[0]);
        chrome.look(390, "light").await;
        chrome.goto(&place.file(&page)).await;
        let middle = chrome.middle(&boxed("attn")).await;
        chrome.click(middle, Button::Left, 1).await;
        chrome.until("its tensors", &format!("({OPEN})[0] === 'transformer.h.0 … 5.attn'")).await;
        assert_eq!(chrome.number("document.querySelectorAll('#samples > details').length").await, 6.0);
        let of_scripts = "document.querySelector('#samples input, #log-block input, main button.copy')";
        assert!(chrome.is(&format!("{of_scripts} === null")).await);
        assert!(chrome.text("document.getElementById('log').textContent").await.ends_with("the end"));
        assert!(chrome.text("document.querySelector('#log-block a').href").await.ends_with("/log.txt"));
        let text =
            fs::read(place.path().join("reports").join(page.replace("index.html", "log.txt"))).unwrap();
        assert_eq!(text, fs::read(place.runs[0].train_log()).unwrap(), "byte for byte");
        assert!(chrome.is("!!document.querySelector('#checkpoints code.copy')").await);
    });
}

#[test]
fn a_command_is_copied_by_its_button() {
    with_browser(Scripts::On, async |chrome| {
        let place = furnished();
        chrome.goto(&place.file(&place.page_of(&place.runs[0]))).await;
        chrome.run("navigator.clipboard.writeText = async (text) => { window.copied_ = text; }").await;
        let middle = chrome.middle("document.querySelector('button.copy')").await;
        chrome.click(middle, Button::Left, 1).await;
        chrome.until("the word", "document.querySelector('button.copy').textContent === 'copied'").await;
        assert!(
            chrome.text("window.copied_").await.starts_with("overnight run FILE --set weights.from=depth/")
        );
        chrome
            .until("the button as it was", "document.querySelector('button.copy').textContent === 'copy'")
            .await;
    });
}
