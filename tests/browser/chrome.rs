//! A headless Chromium behind its WebDriver, with a profile of its own.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

/// How long a condition may take before a test gives up; the machine may be busy.
const LIMIT: Duration = Duration::from_secs(60);

pub struct Chrome {
    driver: Child,
    client: Client,
    /// Removed when the browser is gone.
    _profile: tempfile::TempDir,
}

/// What a browser is asked to be.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    pub width: u32,
    pub scripts: Scripts,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scripts {
    On,
    Off,
}

impl Chrome {
    /// A browser, or nothing and a printed reason where there is none on this machine.
    pub async fn open(kind: Kind) -> Option<Chrome> {
        let started =
            Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let Ok(mut driver) = started else {
            println!("skipped: no chromedriver on the PATH");
            return None;
        };
        let mut lines = BufReader::new(driver.stdout.take()?).lines();
        let port = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let rest = line.strip_prefix("ChromeDriver was started successfully on port ")?;
            rest.trim_end_matches('.').parse::<u16>().ok()
        })?;
        let profile = tempfile::tempdir().unwrap();
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let capabilities = capabilities(kind, profile.path().to_str()?);
        let client = ClientBuilder::new(connector)
            .capabilities(capabilities.as_object()?.clone().into_iter().collect())
            .connect(&format!("http://127.0.0.1:{port}"))
            .await;
        match client {
            Ok(client) => Some(Chrome { driver, client, _profile: profile }),
            Err(error) => {
                println!("skipped: chromedriver starts no browser: {error}");
                let _ = driver.kill();
                let _ = driver.wait();
                None
            }
        }
    }

    pub async fn goto(&self, address: &str) {
        self.client.goto(address).await.unwrap();
    }

    /// The value of an expression in the page.
    pub async fn value(&self, expression: &str) -> Value {
        self.client.execute(&format!("return {expression}"), vec![]).await.unwrap()
    }

    /// Runs statements in the page.
    pub async fn run(&self, statements: &str) {
        self.client.execute(statements, vec![]).await.unwrap();
    }

    /// Waits until an expression is true in the page.
    pub async fn until(&self, what: &str, expression: &str) {
        let started = Instant::now();
        while self.value(expression).await != Value::Bool(true) {
            assert!(started.elapsed() < LIMIT, "{what} never came");
            tokio::task::yield_now().await;
        }
    }

    pub async fn source(&self) -> String {
        self.client.source().await.unwrap()
    }

    pub async fn close(mut self) {
        let _ = self.client.clone().close().await;
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

impl Drop for Chrome {
    fn drop(&mut self) {
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

fn capabilities(kind: Kind, profile: &str) -> Value {
    let args = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        &format!("--user-data-dir={profile}"),
        &format!("--window-size={},900", kind.width.max(500)),
    ];
    let mut options = json!({ "args": args });
    if kind.width < 500 {
        let metrics = json!({ "width": kind.width, "height": 844, "pixelRatio": 2.0, "touch": true });
        options["mobileEmulation"] = json!({ "deviceMetrics": metrics });
    }
    if kind.scripts == Scripts::Off {
        options["prefs"] = json!({ "profile.managed_default_content_settings.javascript": 2 });
    }
    json!({ "browserName": "chrome", "goog:chromeOptions": options })
}
