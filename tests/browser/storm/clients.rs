//! Clients of the event stream: most only hear, some also read every row and lose their connection
//! again and again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

pub struct Clients {
    state: Arc<State>,
    thread: JoinHandle<Vec<String>>,
}

struct State {
    address: String,
    /// Path of the CSV that readers follow.
    csv: String,
    is_over: AtomicBool,
    messages: AtomicU64,
    losses: AtomicU64,
}

pub struct Read {
    pub messages: u64,
    pub losses: u64,
}

/// Messages after which a reader loses its connection.
const HEARD: usize = 7;
/// Without a word for so long after the end, a reader has all it was told of.
const SILENCE: Duration = Duration::from_secs(5);

impl Clients {
    /// `address` with its scheme; `csv` below it.
    pub fn start(address: &str, clients: usize, readers: usize, csv: &str) -> Clients {
        let state = Arc::new(State {
            address: address.trim_start_matches("http://").to_owned(),
            csv: format!("/{csv}"),
            is_over: AtomicBool::new(false),
            messages: AtomicU64::new(0),
            losses: AtomicU64::new(0),
        });
        let shared = state.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut tasks = tokio::task::JoinSet::new();
                for _ in readers..clients {
                    tasks.spawn(hear(shared.clone()));
                }
                let mut reading = tokio::task::JoinSet::new();
                for _ in 0..readers {
                    reading.spawn(read(shared.clone()));
                }
                let rows = reading.join_all().await;
                tasks.shutdown().await;
                rows
            })
        });
        Clients { state, thread }
    }

    /// Waits until the readers have heard all; each must hold `whole`.
    pub fn end(self, whole: &str) -> Read {
        self.state.is_over.store(true, Ordering::Relaxed);
        for rows in self.thread.join().unwrap() {
            assert!(rows == whole, "a reader has {} of {} bytes", rows.len(), whole.len());
        }
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Read { messages: count(&self.state.messages), losses: count(&self.state.losses) }
    }
}

async fn hear(state: Arc<State>) {
    let mut stream = listen(&state, None).await;
    let mut line = String::new();
    while stream.read_line(&mut line).await.unwrap() > 0 {
        state.messages.fetch_add(u64::from(line.starts_with("data: ")), Ordering::Relaxed);
        line.clear();
    }
}

/// Holds every row: reads on where a message says so, and comes back with the last id it heard.
async fn read(state: Arc<State>) -> String {
    let mut rows = String::new();
    let mut id: Option<String> = None;
    loop {
        let mut stream = listen(&state, id.as_deref()).await;
        let mut heard = 0;
        while heard < HEARD {
            let mut line = String::new();
            let reading = tokio::time::timeout(SILENCE, stream.read_line(&mut line)).await;
            match reading {
                Ok(count) => assert!(count.unwrap() > 0, "the server ended a stream"),
                Err(_) if state.is_over.load(Ordering::Relaxed) => return rows,
                Err(_) => continue,
            }
            if let Some(told) = line.strip_prefix("id: ") {
                id = Some(told.trim().to_owned());
            }
            if line.starts_with("data: ") {
                state.messages.fetch_add(1, Ordering::Relaxed);
                heard += 1;
                if line.contains(&state.csv[1..]) || line.contains("\"missed\":true") {
                    rows.push_str(&rest(&state, rows.len()).await);
                }
            }
        }
        state.losses.fetch_add(1, Ordering::Relaxed);
    }
}

async fn listen(state: &State, id: Option<&str>) -> BufReader<TcpStream> {
    let id = id.map_or(String::new(), |id| format!("Last-Event-ID: {id}\r\n"));
    let request = format!("GET /events HTTP/1.1\r\nHost: localhost\r\n{id}\r\n");
    let mut stream = TcpStream::connect(&state.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut stream = BufReader::new(stream);
    let mut status = String::new();
    stream.read_line(&mut status).await.unwrap();
    assert!(status.starts_with("HTTP/1.1 200"), "{status}");
    stream
}

/// The bytes of the CSV from `held` on.
async fn rest(state: &State, held: usize) -> String {
    let request = format!("GET {} HTTP/1.1\r\nHost: localhost\r\nRange: bytes={held}-\r\n\r\n", state.csv);
    let mut stream = TcpStream::connect(&state.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    match head.split(' ').nth(1) {
        Some("206") => body.to_owned(),
        Some("416") => String::new(),
        _ => panic!("{head}"),
    }
}
