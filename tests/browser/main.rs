//! The pages in headless Chromium: what no look at their text can tell. Skipped, with a printed
//! reason, where there is no chromedriver.

mod chrome;
#[path = "../../benches/made_up.rs"]
mod made_up;

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use chrome::{Chrome, Kind, Scripts};
use made_up::{Ending, MadeUp};
use overnight::experiment::settings::Task;
use overnight::run_dir::{RunDir, Workspace, lock};

const WIDE: Kind = Kind { width: 1440, scripts: Scripts::On };
const NARROW: Kind = Kind { width: 390, scripts: Scripts::On };

fn in_browser<Test: Future<Output = ()>>(test: Test) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

fn workspace() -> (tempfile::TempDir, Vec<RunDir>) {
    let folder = tempfile::tempdir().unwrap();
    let made_up =
        MadeUp { experiment: "depth", task: Task::LanguageModel, runs: 10, rows: 300, end: Ending::Mixed };
    let names = made_up::experiment(folder.path(), &made_up).unwrap();
    let planned: Vec<(&str, String)> = names.iter().map(|name| ("depth", name.clone())).collect();
    let end = Some(made_up::EVENING + 9e3);
    made_up::batch(folder.path(), "20261119T211000-ada-01-0001", &planned, end).unwrap();
    let images = MadeUp {
        experiment: "shapes",
        task: Task::ImageClassification,
        runs: 1,
        rows: 100,
        end: Ending::AllFinished,
    };
    made_up::experiment(folder.path(), &images).unwrap();
    let runs = names.iter().map(|name| Workspace::new(folder.path()).run("depth", name)).collect();
    (folder, runs)
}

/// `overnight serve` on a workspace; killed when dropped.
struct Serving {
    child: Child,
    address: String,
}

impl Serving {
    fn new(workspace: &Path) -> Serving {
        let mut child = Command::new(env!("CARGO_BIN_EXE_overnight"))
            .arg("-C")
            .arg(workspace)
            .args(["serve", "--port", "0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Serving { child, address: line.trim().trim_end_matches('/').to_owned() }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Draws a band over the middle of the first chart, as a person would with the mouse.
const DRAG: &str = "const chart = document.querySelector('#chart-loss svg.chart');
    const box = chart.getBoundingClientRect();
    const at = (kind, part) => chart.dispatchEvent(new PointerEvent(kind, { bubbles: true, button: 0,
        pointerType: 'mouse', clientX: box.left + part * box.width, clientY: box.top + 40 }));
    at('pointerdown', 0.4); at('pointermove', 0.8); at('pointerup', 0.8);";

const VIEW: &str = "document.querySelector('#chart-loss svg.plot').getAttribute('viewBox')";

#[test]
fn a_live_page_changes_in_place_under_its_reader() {
    in_browser(async {
        let Some(chrome) = Chrome::open(WIDE).await else { return };
        let (folder, runs) = workspace();
        overnight::report::build(folder.path()).unwrap();
        std::fs::remove_file(runs[0].result()).unwrap();
        let _alive = lock::try_lock(&runs[0].alive_lock()).unwrap().unwrap();
        let serving = Serving::new(folder.path());
        chrome.goto(&format!("{}/runs/depth/{}/", serving.address, runs[0].name())).await;
        chrome.until("the connection", "document.getElementById('connection').textContent === 'live'").await;
        // The page as a run at work: built again since the lock was taken.
        chrome.until("the state", "document.querySelector('main .st').textContent !== 'finished'").await;

        chrome.run(DRAG).await;
        let view = chrome.value(VIEW).await;
        assert!(!view.as_str().unwrap().starts_with("0 0 "), "zoomed: {view}");
        chrome
            .run(
                "window.scrollTo(0, 500); window.before = document.querySelector('h1');
                 getSelection().selectAllChildren(document.querySelector('details pre'));
                 document.getElementById('all-settings').open = true;",
            )
            .await;
        let reader = "[scrollY, getSelection().toString(), document.getElementById('all-settings').open]";
        let kept = chrome.value(reader).await;
        assert_eq!(kept[0], 500);
        assert!(kept[1].as_str().unwrap().contains("What light"), "{kept}");

        let mut metrics = OpenOptions::new().append(true).open(runs[0].metrics()).unwrap();
        metrics.write_all(b"3010,6.02,1,1210,0.777,,,,1e-4,0.5,412000\n").unwrap();
        let new_row = "document.querySelector('#chart-loss desc').textContent.includes('0.7770')";
        chrome.until("the new row", new_row).await;

        assert_eq!(chrome.value(reader).await, kept, "scroll, selection and what was opened stay");
        let moved = chrome.value(VIEW).await;
        assert!(!moved.as_str().unwrap().starts_with("0 0 "), "still zoomed: {moved}");
        assert_eq!(chrome.value("window.before === document.querySelector('h1')").await, true);
        chrome.run("document.getElementById('unzoom').click()").await;
        assert!(chrome.value(VIEW).await.as_str().unwrap().starts_with("0 0 "));
        chrome.close().await;
    });
}

#[test]
fn pages_fit_wide_and_narrow_with_text_of_eleven_pixels_at_least() {
    in_browser(async {
        let (folder, runs) = workspace();
        overnight::report::build(folder.path()).unwrap();
        let reports = folder.path().join("reports");
        let run = format!("runs/depth/{}/index.html", runs[0].name());
        let failed = format!("runs/depth/{}/index.html", runs[7].name());
        let images = std::fs::read_dir(reports.join("runs/shapes")).unwrap().flatten().next().unwrap();
        let images = format!("runs/shapes/{}/index.html", images.file_name().to_string_lossy());
        for kind in [WIDE, NARROW] {
            let Some(chrome) = Chrome::open(kind).await else { return };
            for below in [
                "index.html",
                "experiments/index.html",
                "runs/index.html",
                "experiments/depth/index.html",
                &run,
                &failed,
                &images,
            ] {
                chrome.goto(&format!("file://{}/{below}", reports.display())).await;
                let too_wide = chrome.value("document.documentElement.scrollWidth - innerWidth").await;
                assert!(
                    too_wide.as_f64().unwrap() < 1.0,
                    "{below} at {}: {too_wide} pixels too wide",
                    kind.width
                );
                let small = chrome
                    .value(
                        "[...document.querySelectorAll('svg text')].filter((text) => text.getBoundingClientRect().width > 0
                         && parseFloat(getComputedStyle(text).fontSize) * text.getScreenCTM().a < 10.99)
                         .map((text) => text.textContent)",
                    )
                    .await;
                assert_eq!(small, serde_json::json!([]), "{below} at {}", kind.width);
                let touching = chrome
                    .value(
                        "[...document.querySelectorAll('svg.chart')].flatMap((chart) => {
                           const boxes = [...chart.querySelectorAll('text')].map((text) => text.getBoundingClientRect())
                             .filter((box) => box.width > 0);
                           return boxes.filter((one, place) => boxes.slice(place + 1).some((other) =>
                             one.left < other.right - 1 && other.left < one.right - 1 &&
                             one.top < other.bottom - 3 && other.top < one.bottom - 3)).map(() => chart.parentNode.id);
                         })",
                    )
                    .await;
                assert_eq!(touching, serde_json::json!([]), "labels touch on {below} at {}", kind.width);
            }
            chrome.close().await;
        }
    });
}

#[test]
fn a_table_sorts_by_a_click_and_back() {
    in_browser(async {
        let Some(chrome) = Chrome::open(WIDE).await else { return };
        let (folder, _) = workspace();
        overnight::report::build(folder.path()).unwrap();
        chrome
            .goto(&format!("file://{}/reports/experiments/depth/index.html", folder.path().display()))
            .await;
        let rates = "[...document.querySelectorAll('#sweep tbody tr')].map((row) => row.cells[1].textContent).join(' ')";
        let click = "[...document.querySelectorAll('#sweep th button')][1].click()";
        chrome.run(click).await;
        assert_eq!(chrome.value(rates).await, "1e-4 1e-4 3e-4 3e-4 3e-4 6e-4 6e-4 1e-3 1e-3 1e-3");
        chrome.run(click).await;
        assert_eq!(chrome.value(rates).await, "1e-3 1e-3 1e-3 6e-4 6e-4 3e-4 3e-4 3e-4 1e-4 1e-4");
        assert_eq!(
            chrome.value("document.querySelector('#sweep th[aria-sort]').getAttribute('aria-sort')").await,
            "descending"
        );
        chrome.close().await;
    });
}

#[test]
fn without_scripts_every_chart_and_number_is_there() {
    in_browser(async {
        let Some(chrome) = Chrome::open(Kind { scripts: Scripts::Off, ..WIDE }).await else { return };
        let (folder, runs) = workspace();
        overnight::report::build(folder.path()).unwrap();
        let page =
            format!("file://{}/reports/runs/depth/{}/index.html", folder.path().display(), runs[0].name());
        chrome.goto(&page).await;
        let source = chrome.source().await;
        assert!(!source.contains("<button"), "scripts are off");
        assert!(source.contains("class=\"line c0 faint\"") && source.contains("val/loss, best"));
        chrome.close().await;
    });
}
