//! A headless Chromium behind its WebDriver, with a profile of its own.
//!
//! Where there is none, tests print why and pass; under `CI=true` they fail instead.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use fantoccini::actions::{InputSource, MOUSE_BUTTON_LEFT, MouseActions, PointerAction};
use fantoccini::wd::{WebDriverCompatibleCommand, WindowHandle};
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

/// How long a condition may take before a test gives up; the machine may be busy.
const LIMIT: Duration = Duration::from_secs(60);
/// Between two looks at a condition.
const PAUSE: Duration = Duration::from_millis(15);
/// Of a window, in CSS pixels.
const HEIGHT: f64 = 900.0;
/// Browsers at work at a time: each is half a dozen processes.
static TURNS: Semaphore = Semaphore::const_new(2);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scripts {
    On,
    Off,
}

/// Gives a test a browser, and takes it away again whatever becomes of the test.
pub fn with_browser(scripts: Scripts, test: impl AsyncFnOnce(&Chrome)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let _turn = TURNS.acquire().await.unwrap();
        match Chrome::open(scripts).await {
            Ok(chrome) => {
                test(&chrome).await;
                let _ = chrome.client.clone().close().await;
            }
            Err(reason) if std::env::var("CI").is_ok_and(|ci| ci == "true") => {
                panic!("CI must see the pages, and {reason}")
            }
            Err(reason) => println!("skipped: {reason}"),
        }
    });
}

pub struct Chrome {
    client: Client,
    driver: Child,
    /// The driver's words; closed early, its next one would end it.
    _words: BufReader<ChildStdout>,
    /// Removed when the browser is gone.
    _profile: tempfile::TempDir,
}

impl Chrome {
    async fn open(scripts: Scripts) -> Result<Chrome, String> {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .process_group(0)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("there is no chromedriver on the PATH: {error}"))?;
        let mut words = BufReader::new(driver.stdout.take().unwrap());
        let port = words.by_ref().lines().map_while(Result::ok).find_map(|line| {
            let rest = line.strip_prefix("ChromeDriver was started successfully on port ")?;
            rest.trim_end_matches('.').parse::<u16>().ok()
        });
        let profile = tempfile::tempdir().unwrap();
        let wanted = capabilities(scripts, &profile.path().display().to_string());
        let address = format!("http://127.0.0.1:{}", port.unwrap_or_default());
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(wanted.as_object().unwrap().clone().into_iter().collect())
            .connect(&address)
            .await;
        let client = client.map_err(|error| {
            end(&mut driver);
            format!("chromedriver starts no browser: {error}")
        })?;
        Ok(Chrome { client, driver, _words: words, _profile: profile })
    }

    /// Opens a page, with what its script brings afterwards.
    pub async fn goto(&self, address: &str) {
        self.client.goto(address).await.unwrap();
        let is_whole = "!window.overnight?.takeAside || !document.querySelector('[data-aside]')";
        self.until("what lies beside the page", is_whole).await;
    }

    /// The value of an expression in the page.
    pub async fn value(&self, expression: &str) -> Value {
        self.client
            .execute(&format!("return {expression}"), vec![])
            .await
            .unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    pub async fn number(&self, expression: &str) -> f64 {
        let value = self.value(expression).await;
        value.as_f64().unwrap_or_else(|| panic!("{expression} is {value}"))
    }

    pub async fn text(&self, expression: &str) -> String {
        let value = self.value(expression).await;
        value.as_str().unwrap_or_else(|| panic!("{expression} is {value}")).to_owned()
    }

    /// The strings of a list.
    pub async fn texts(&self, expression: &str) -> Vec<String> {
        let value = self.value(expression).await;
        serde_json::from_value(value).unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    pub async fn is(&self, expression: &str) -> bool {
        self.value(expression).await == Value::Bool(true)
    }

    /// Runs statements in the page.
    pub async fn run(&self, statements: &str) {
        self.client.execute(statements, vec![]).await.unwrap_or_else(|error| panic!("{statements}: {error}"));
    }

    /// Waits until an expression is true in the page. One that cannot be told is not true yet: a page that
    /// loads anew has nothing in it for a moment.
    pub async fn until(&self, what: &str, expression: &str) {
        let started = Instant::now();
        let mut looks = tokio::time::interval(PAUSE);
        loop {
            let seen = self.client.execute(&format!("return {expression}"), vec![]).await;
            if matches!(seen, Ok(Value::Bool(true))) {
                return;
            }
            assert!(started.elapsed() < LIMIT, "{what} never came; the last look at {expression}: {seen:?}");
            looks.tick().await;
        }
    }

    /// Presses the mouse over a place of the window, moves to another and lets go.
    pub async fn drag(&self, from: (f64, f64), to: (f64, f64)) {
        let to_place = |(x, y)| PointerAction::MoveTo { duration: None, x, y };
        let drag = MouseActions::new("mouse".into())
            .then(to_place(from))
            .then(PointerAction::Down { button: MOUSE_BUTTON_LEFT })
            .then(to_place(((from.0 + to.0) / 2.0, (from.1 + to.1) / 2.0)))
            .then(to_place(to))
            .then(PointerAction::Up { button: MOUSE_BUTTON_LEFT });
        self.client.perform_actions(drag).await.unwrap();
    }

    /// Moves the mouse to a place of the window.
    pub async fn point(&self, (x, y): (f64, f64)) {
        let there = MouseActions::new("mouse".into()).then(PointerAction::MoveTo { duration: None, x, y });
        self.client.perform_actions(there).await.unwrap();
    }

    /// Types into what has the focus.
    pub async fn press(&self, key: fantoccini::key::Key) {
        let focused = self.client.active_element().await.unwrap();
        focused.send_keys(&key.to_string()).await.unwrap();
    }

    pub async fn tab(&self) -> WindowHandle {
        self.client.window().await.unwrap()
    }

    /// Takes the window from the screen, and so hides its page.
    pub async fn minimize(&self) {
        self.client.minimize_window().await.unwrap();
    }

    /// Brings it back.
    pub async fn restore(&self) {
        self.client.set_window_rect(0, 0, 1440, 900).await.unwrap();
    }

    /// A further window, seen beside the first; commands go to it from now on.
    pub async fn new_window(&self) -> WindowHandle {
        let window = self.client.new_window(false).await.unwrap().handle;
        self.client.switch_to_window(window.clone()).await.unwrap();
        window
    }

    pub async fn close_tab(&self) {
        self.client.close_window().await.unwrap();
    }

    /// Sends commands to a tab, which may be in the background.
    pub async fn speak_to(&self, tab: &WindowHandle) {
        self.client.switch_to_window(tab.clone()).await.unwrap();
    }

    /// Emulates a window of this width, and the system's choice of light or dark.
    pub async fn look(&self, width: u32, scheme: &str) {
        self.resize(width, HEIGHT).await;
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", features).await;
    }

    async fn resize(&self, width: u32, height: f64) {
        let is_phone = width < 500;
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_phone });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// Writes a picture of the whole page, as far down as it goes.
    pub async fn picture(&self, width: u32, path: &Path) {
        let height = self.number("document.documentElement.scrollHeight").await;
        self.resize(width, height.max(HEIGHT)).await;
        std::fs::write(path, self.client.screenshot().await.unwrap()).unwrap();
        self.resize(width, HEIGHT).await;
    }

    /// The driver's; the browser is below it.
    pub fn process(&self) -> u32 {
        self.driver.id()
    }

    /// A command of Chromium's DevTools protocol.
    pub async fn devtools(&self, method: &str, parameters: Value) -> Value {
        let body = json!({ "cmd": method, "params": parameters });
        let command = Own { path: "goog/cdp/execute", body };
        self.client.issue_cmd(command).await.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// What pages asked for since the last call: addresses, but for those that
    /// hold their data, and those of the browser's own first page.
    pub async fn requests(&self) -> Vec<String> {
        let entries = self.log("performance").await;
        let messages = entries.iter().filter_map(|entry| entry["message"].as_str());
        messages
            .filter_map(|text| serde_json::from_str::<Value>(text).ok())
            .filter(|entry| entry["message"]["method"] == "Network.requestWillBeSent")
            .filter_map(|entry| entry["message"]["params"]["request"]["url"].as_str().map(str::to_owned))
            .filter(|address| !["data:", "about:", "chrome:"].iter().any(|own| address.starts_with(own)))
            .collect()
    }

    /// What the console says since the last call: errors, refusals of the content-security policy.
    pub async fn complaints(&self) -> Vec<String> {
        let entries = self.log("browser").await;
        entries.iter().filter_map(|entry| entry["message"].as_str().map(str::to_owned)).collect()
    }

    async fn log(&self, kind: &str) -> Vec<Value> {
        let command = Own { path: "se/log", body: json!({ "type": kind }) };
        let entries = self.client.issue_cmd(command).await.unwrap();
        entries.as_array().cloned().unwrap_or_default()
    }
}

impl Drop for Chrome {
    fn drop(&mut self) {
        end(&mut self.driver);
    }
}

/// Ends the driver and its browser, which is in its process group: alone it would live on.
fn end(driver: &mut Child) {
    let _ = kill_process_group(Pid::from_child(driver), Signal::KILL);
    let _ = driver.wait();
}

fn capabilities(scripts: Scripts, profile: &str) -> Value {
    let args = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--hide-scrollbars",
        &format!("--user-data-dir={profile}"),
        "--window-size=1440,900",
    ];
    let mut options = json!({ "args": args });
    if scripts == Scripts::Off {
        options["prefs"] = json!({ "profile.managed_default_content_settings.javascript": 2 });
    }
    json!({
        "browserName": "chrome",
        "goog:chromeOptions": options,
        "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
    })
}

/// A command that only Chromium's driver knows.
#[derive(Debug)]
struct Own {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Own {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.body.to_string()))
    }
}
