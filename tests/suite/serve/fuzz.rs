//! A fuzzer on the front: random bytes, requests put together at random, good requests with bytes changed.
//!
//! Ten seconds; `OVERNIGHT_FUZZ_SECONDS` takes another time, `OVERNIGHT_FUZZ_SEED` the same bytes again.

use std::io::{Read, Write};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::{LIMIT, Served};

#[test]
fn random_bytes_never_end_it_and_others_are_answered_meanwhile() {
    let served = Served::new();
    let number = |name: &str, default: u64| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let time = Duration::from_secs(number("OVERNIGHT_FUZZ_SECONDS", 10));
    let seed = number("OVERNIGHT_FUZZ_SEED", 0x9e37_79b9_7f4a_7c15);
    println!("OVERNIGHT_FUZZ_SEED={seed}");
    let is_over = AtomicBool::new(false);
    let (served, is_over) = (&served, &is_over);
    let asked = std::thread::scope(|scope| {
        let others = scope.spawn(move || {
            let mut asked = 0;
            while !is_over.load(Ordering::Relaxed) {
                served.assert_answers();
                asked += 1;
            }
            asked
        });
        let fuzzed = std::panic::catch_unwind(AssertUnwindSafe(|| fuzz(served, time, seed)));
        is_over.store(true, Ordering::Relaxed);
        let asked = others.join().expect("others are answered");
        println!(
            "{} requests of the fuzzer, {asked} of others meanwhile",
            fuzzed.expect("the fuzzer ends well")
        );
        asked
    });
    assert!(asked > 0);
    served.assert_answers();
    served.events(None);
}

/// How many requests were sent.
fn fuzz(served: &Served, time: Duration, seed: u64) -> u64 {
    let mut random = Random(seed | 1);
    let begun = Instant::now();
    let mut sent = 0;
    while begun.elapsed() < time {
        let request = match random.below(3) {
            0 => random.bytes(600),
            1 => random.words(),
            _ => random.changed(),
        };
        let mut stream = served.connect();
        // It may be refused and cut off before all of it is sent.
        let _ = stream.write_all(&request);
        if random.below(3) == 0 {
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let mut answer = [0; 4096];
            let count = stream.read(&mut answer).unwrap_or(0);
            let answer = &answer[..count];
            let says = |what: &[u8]| answer.windows(what.len()).any(|part| part == what);
            assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 "), "{request:?}");
            assert!(!says(b"\r\n\r\nsecret"), "{request:?}");
        }
        sent += 1;
    }
    assert!(begun.elapsed() < time + LIMIT, "the fuzzer was held up");
    sent
}

/// Xorshift: the same bytes from the same seed.
struct Random(u64);

const WORDS: [&[u8]; 29] = [
    b"GET ",
    b"HEAD ",
    b"/",
    b"/events",
    b"/runs/a/metrics.csv",
    b"/api/v1/runs",
    b"/api/v1/runs/x/a/metrics?points=",
    b"/metrics",
    b"/readyz",
    b"&column=",
    b"&status=waiting",
    b"Accept: application/openmetrics-text\r\n",
    b" HTTP/1.1\r\n",
    b"Host: localhost\r\n",
    b"Range: bytes=",
    b"-",
    b",",
    b"\r\n\r\n",
    b"%",
    b"..",
    b"\0",
    b"Accept-Encoding: gzip\r\n",
    b"If-None-Match: *\r\n",
    b"If-Range: \"",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Last-Event-ID: ",
    b"99999999999999999999",
    b"\xc0\xae",
];

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 16) as usize % limit
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        (0..self.below(most)).map(|_| self.next() as u8).collect()
    }

    fn words(&mut self) -> Vec<u8> {
        let mut request = Vec::new();
        for _ in 0..self.below(20) {
            match self.below(5) {
                0 => request.extend(self.bytes(9)),
                _ => request.extend(WORDS[self.below(WORDS.len())]),
            }
        }
        request
    }

    /// A good request with a few bytes changed, left out or doubled.
    fn changed(&mut self) -> Vec<u8> {
        let target: &[u8] = match self.below(3) {
            0 => b"/runs/a/metrics.csv?x=1",
            1 => b"/api/v1/runs/x/a/metrics?from=1&column=train/loss&points=10",
            _ => b"/api/v1/runs?status=waiting&tag=a&limit=2&cursor=x/a",
        };
        let rest = b" HTTP/1.1\r\nHost: localhost\r\nRange: bytes=5-\r\nIf-Range: \"1-2-3\"\r\n\
              Accept-Encoding: gzip;q=0.5, *\r\nLast-Event-ID: 1-2\r\n\r\n";
        let mut request = [b"GET ", target, rest].concat();
        for _ in 0..1 + self.below(4) {
            let at = self.below(request.len());
            match self.below(3) {
                0 => request[at] = self.next() as u8,
                1 => drop(request.remove(at)),
                _ => request.insert(at, request[at]),
            }
        }
        request
    }
}
