//! Pages behind servers that know nothing of this program: they follow the files all the same.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::chrome::{Chrome, Scripts, with_browser};
use crate::live::IS_LIVE;
use crate::made_up::Ending;
use crate::place::Place;

const LIMIT: Duration = Duration::from_secs(20);

/// A server of plain files; ended when dropped.
pub struct Plain {
    child: Child,
    pub address: String,
    _folder: tempfile::TempDir,
}

impl Plain {
    /// Debian's nginx as it is configured out of the box, but for folder and port.
    fn nginx(root: &Path) -> Result<Plain, String> {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let place = folder.path().display();
        let configuration = format!(
            "daemon off; master_process off; pid {place}/pid; error_log {place}/error.log;\n\
             events {{ }}\n\
             http {{ access_log {place}/access.log; gzip on;\n\
             types {{ text/html html; text/css css; text/javascript js; application/json json; text/csv csv; }}\n\
             client_body_temp_path {place}/1; proxy_temp_path {place}/2; fastcgi_temp_path {place}/3;\n\
             uwsgi_temp_path {place}/4; scgi_temp_path {place}/5;\n\
             server {{ listen 127.0.0.1:{port}; root \"{}\"; }} }}\n",
            root.display()
        );
        fs::write(folder.path().join("nginx.conf"), configuration).unwrap();
        let mut command = Command::new("nginx");
        command
            .arg("-e")
            .arg(folder.path().join("error.log"))
            .arg("-c")
            .arg(folder.path().join("nginx.conf"));
        Plain::start(command, port, folder)
    }

    pub fn python(root: &Path) -> Result<Plain, String> {
        let port = free_port();
        let mut command = Command::new("python3");
        command
            .args(["-m", "http.server", "--bind", "127.0.0.1", "--directory"])
            .arg(root)
            .arg(port.to_string());
        Plain::start(command, port, tempfile::tempdir().unwrap())
    }

    fn start(mut command: Command, port: u16, folder: tempfile::TempDir) -> Result<Plain, String> {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("there is no {name} on the PATH: {error}"))?;
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if let Some(status) = child.try_wait().unwrap() {
                return Err(format!("{name} does not start: {status}"));
            }
            assert!(begun.elapsed() < LIMIT, "{name} never listens");
            std::thread::yield_now();
        }
        Ok(Plain { child, address: format!("http://127.0.0.1:{port}"), _folder: folder })
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// Runs a test behind each server of files that is here; those that are not are named. CI has both.
fn with_each(test: impl AsyncFn(&Chrome, &Place, &Plain)) {
    with_browser(Scripts::On, async |chrome| {
        for start in [Plain::nginx, Plain::python] {
            let place = Place::of(2, Ending::AllFinished);
            place.build();
            match start(&place.path().join("reports")) {
                Ok(plain) => {
                    test(chrome, &place, &plain).await;
                    // Before its server ends: a page that asks on would complain.
                    chrome.goto("about:blank").await;
                }
                Err(reason) if std::env::var("CI").is_ok_and(|ci| ci == "true") => {
                    panic!("CI must see the pages behind it, and {reason}")
                }
                Err(reason) => println!("skipped: {reason}"),
            }
        }
    });
}

/// The rows that the follower of the test was given, as it keeps them.
const FOLLOW: &str = "
    window.given = []; window.fresh = 0; window.asked = [];
    const own = window.fetch;
    window.fetch = async (url, options) => {
        const answer = await own(url, options);
        asked.push({ range: (options?.headers || {}).Range || null, status: answer.status });
        return answer;
    };
    window.follower = overnight.followRows('metrics.csv', null, (rows, isFresh) => {
        if (isFresh) { window.given = []; window.fresh++; }
        window.given.push(...rows);
    });
    window.look = () => { window.looked = false; follower.look().then(() => (window.looked = true)); };";

/// Lets the follower look once, and compares what it has with the file.
async fn look(chrome: &Chrome, csv: &Path) -> serde_json::Value {
    chrome.run("look(); asked.length = 0").await;
    chrome.until("the end of a look", "window.looked").await;
    let text = fs::read_to_string(csv).unwrap();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let rows: Vec<&str> = if whole.is_empty() { Vec::new() } else { whole.split('\n').collect() };
    assert_eq!(chrome.texts("given").await, rows);
    chrome.value("asked").await
}

#[test]
fn rows_are_followed_by_parts_and_read_afresh_after_a_cut() {
    with_each(async |chrome, place, plain| {
        // A page of the site, so that the script is there; the CSV is one of the test's own.
        let folder = place.path().join("reports/own");
        fs::create_dir(&folder).unwrap();
        let csv = folder.join("metrics.csv");
        let write = |text: &str| fs::write(&csv, text).unwrap();
        write("step,loss\n1,0.5\n2,0.4\n");
        fs::write(
            folder.join("index.html"),
            "<!doctype html><script src=\"../assets/overnight.js\"></script>",
        )
        .unwrap();
        chrome.goto(&format!("{}/own/", plain.address)).await;
        chrome.run(FOLLOW).await;
        look(chrome, &csv).await;
        assert_eq!(chrome.number("fresh").await, 1.0);

        // More rows, one of them not whole yet.
        write("step,loss\n1,0.5\n2,0.4\n3,0.3\n4,0.");
        let asked = look(chrome, &csv).await;
        assert_eq!(asked[0]["range"], "bytes=16-", "from the start of the last row");
        let knows_parts = asked[0]["status"] == 206;
        write("step,loss\n1,0.5\n2,0.4\n3,0.3\n4,0.25\n5,0.2\n");
        look(chrome, &csv).await;
        assert_eq!(chrome.number("fresh").await, 1.0, "nothing was read twice");
        assert_eq!(
            chrome.is("follower.pause() >= 5000").await,
            !knows_parts,
            "whole files are asked for less often"
        );

        // Cut to a checkpoint: shorter; then as long as before with other rows in the place.
        write("step,loss\n1,0.5\n2,0.4\n");
        look(chrome, &csv).await;
        assert_eq!(chrome.number("fresh").await, 2.0);
        write("step,loss\n1,0.5\n2,0.4\n3,0.3\n4,0.25\n");
        look(chrome, &csv).await;
        write("step,loss\n1,0.5\n2,0.4\n3,0.9\n4,0.88\n5,0.7\n");
        look(chrome, &csv).await;
        assert_eq!(chrome.number("fresh").await, 3.0);
        // Empty, as of a run that begins again, and back.
        write("");
        look(chrome, &csv).await;
        write("step,loss\n");
        look(chrome, &csv).await;
        write("step,loss\n1,0.5\n");
        look(chrome, &csv).await;
        println!("{}", if knows_parts { "by parts" } else { "whole" });
    });
}

#[test]
fn a_page_behind_a_server_of_files_is_live() {
    with_each(async |chrome, place, plain| {
        let _alive = place.revive(0);
        place.build();
        let address = format!("{}/{}", plain.address, place.page_of(&place.runs[0]));
        chrome.goto(&address).await;
        chrome.until("the connection", IS_LIVE).await;
        chrome.run("window.before = document.querySelector('h1')").await;
        for (step, loss) in [(2990, "0.7770"), (3000, "0.6660")] {
            place.add_row(0, step, loss.parse().unwrap(), None);
            place.build();
            let new_row =
                format!("document.querySelector('#chart-loss desc').textContent.includes('{loss}')");
            chrome.until("the new row", &new_row).await;
        }
        assert!(chrome.is("window.before === document.querySelector('h1')").await, "no reload");
        assert_eq!(chrome.complaints().await, Vec::<String>::new());
        // The first page has no rows of its own, and changes all the same.
        chrome.goto(&format!("{}/", plain.address)).await;
        chrome.until("the connection", IS_LIVE).await;
        assert!(chrome.text("document.querySelector('h1').textContent").await.contains("running"));
        drop(_alive);
        fs::write(place.runs[0].result(), fs::read(place.runs[1].result()).unwrap()).unwrap();
        place.build();
        chrome.until("its end", "document.querySelector('h1').textContent === '2 runs finished.'").await;
        let elsewhere: Vec<String> =
            chrome.requests().await.into_iter().filter(|asked| !asked.starts_with(&plain.address)).collect();
        assert_eq!(elsewhere, Vec::<String>::new());
    });
}

#[test]
fn new_rows_are_drawn_before_the_page_itself_is_made_anew() {
    with_each(async |chrome, place, plain| {
        let _alive = place.revive(0);
        place.build();
        let page = place.page_of(&place.runs[0]);
        chrome.goto(&format!("{}/{page}", plain.address)).await;
        chrome.until("the connection", IS_LIVE).await;
        let lines = "[...document.querySelectorAll('#chart-loss svg.plot path')].map((path) => path.getAttribute('d')).join()";
        let before = chrome.text(lines).await;
        let copy = place.path().join("reports").join(page).with_file_name("metrics.csv");
        let append = |rows: &str| {
            use std::io::Write;
            fs::OpenOptions::new().append(true).open(&copy).unwrap().write_all(rows.as_bytes()).unwrap();
        };
        append("4000,6.02,1,1210,0.777,0.5,,,1e-4,0.5,412000\n");
        let last = |value: &str| {
            format!(
                "overnight.chartOf(document.getElementById('chart-loss')).series
                .some(({{ x, y }}) => x.at(-1) === 4000 && y.at(-1) === {value})"
            )
        };
        chrome.until("the row in the chart's data", &last("0.777")).await;
        chrome.until("another drawing", &format!("{lines} !== {before:?}")).await;
        // The curve of the evaluations has it as well, and the axis reaches it.
        assert!(chrome.is(&last("0.5")).await);
        assert!(
            chrome
                .is("Number(document.querySelector('#chart-loss svg.plot').dataset.x.split(' ')[1]) >= 4000")
                .await
        );
        assert!(
            !chrome.is("document.querySelector('#chart-loss desc').textContent.includes('0.7770')").await
        );
        // A run that goes on from an earlier checkpoint writes other rows in their place: nothing stays.
        place.add_row(0, 4000, 0.444, Some(0.3));
        place.build();
        chrome.until("the row that counts", &last("0.444")).await;
        assert!(!chrome.is(&last("0.777")).await);
        assert_eq!(chrome.complaints().await, Vec::<String>::new());
    });
}

#[test]
fn a_page_of_files_says_when_its_server_is_gone() {
    with_each(async |chrome, place, plain| {
        chrome.goto(&format!("{}/{}", plain.address, place.page_of(&place.runs[0]))).await;
        chrome.until("the connection", IS_LIVE).await;
        chrome.devtools("Network.enable", json!({})).await;
        let offline = |offline: bool| json!({ "offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1 });
        chrome.devtools("Network.emulateNetworkConditions", offline(true)).await;
        let is_lost = "document.getElementById('connection').textContent === 'not connected'";
        chrome.until("the loss of the connection", is_lost).await;
        chrome.devtools("Network.emulateNetworkConditions", offline(false)).await;
        chrome.until("the connection", IS_LIVE).await;
    });
}

#[test]
fn from_a_file_a_page_asks_for_nothing_and_shows_what_it_holds() {
    with_browser(Scripts::On, async |chrome| {
        let place = Place::of(1, Ending::AllFinished);
        let _alive = place.revive(0);
        place.build();
        let page = place.file(&place.page_of(&place.runs[0]));
        chrome.goto(&page).await;
        chrome.requests().await;
        assert!(chrome.number("document.querySelectorAll('#chart-loss path.line').length").await > 0.0);
        // A second of looking, by the page's own clock, is longer than a follower waits.
        chrome.run("window.isLate = false; setTimeout(() => (window.isLate = true), 1500)").await;
        chrome.until("a second and a half", "window.isLate").await;
        assert_eq!(chrome.requests().await, Vec::<String>::new());
        assert_eq!(chrome.complaints().await, Vec::<String>::new());
        assert_eq!(chrome.text("document.getElementById('connection').textContent").await, "");
    });
}
