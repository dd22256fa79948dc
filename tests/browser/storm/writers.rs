//! Workers that only write rows.

use std::fs::OpenOptions;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use overnight::run_dir::RunDir;

pub struct Writers {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Written>,
}

#[derive(Default)]
pub struct Written {
    /// Of all runs.
    pub rows: u64,
    /// The first run's rows: step, and the time in milliseconds since 1970 just before it was written.
    pub first: Vec<(u64, f64)>,
}

/// The made-up runs end before this step.
const FIRST_STEP: u64 = 10_000;

impl Writers {
    /// Each run gets so many rows a second, all in turn.
    pub fn start(runs: &[RunDir], rows_a_second: f64) -> Writers {
        let mut files: Vec<_> =
            runs.iter().map(|run| OpenOptions::new().append(true).open(run.metrics()).unwrap()).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut written = Written::default();
            let begun = Instant::now();
            let pause = Duration::from_secs_f64(1.0 / (rows_a_second * files.len() as f64));
            let mut next = begun;
            'all: for row in 0.. {
                for (number, file) in files.iter_mut().enumerate() {
                    if stopped.load(Ordering::Relaxed) {
                        break 'all;
                    }
                    let step = FIRST_STEP + row;
                    let loss = 0.5 + ((row * 7 + number as u64) % 100) as f64 * 1e-3;
                    if number == 0 {
                        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
                        written.first.push((step, now.as_secs_f64() * 1e3));
                    }
                    file.write_all(format!("{step},6.02,{row},1210,{loss},,,,1e-4,0.5,412000\n").as_bytes())
                        .unwrap();
                    written.rows += 1;
                    next += pause;
                    std::thread::sleep(next.saturating_duration_since(Instant::now()));
                }
            }
            written
        });
        Writers { stop, thread }
    }

    pub fn end(self) -> Written {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}
