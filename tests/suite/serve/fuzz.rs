//! A fuzzer on the front: random bytes, requests put together at random, good requests with bytes changed;
//! changes among them, with the token of somebody who may make them.
//!
//! Ten seconds; `OVERNIGHT_FUZZ_SECONDS` takes another time, `OVERNIGHT_FUZZ_SEED` the same bytes again.

use std::io::{Read, Write};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use overnight::serve::control::person::{Person, token_hash};
use overnight::serve::control::role::Role;
use overnight::serve::{Port, ServeOptions};

use super::{LIMIT, Served};

const TOKEN: &str = "0123456789abcdef";

#[test]
fn random_bytes_never_end_it_and_others_are_answered_meanwhile() {
    let person = Person { name: "ada".into(), role: Role::Owner, token_hash: token_hash(TOKEN) };
    let people = vec![person];
    let served = Served::as_asked(ServeOptions { port: Port::Exactly(0), people, ..ServeOptions::default() });
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

const WORDS: [&[u8]; 42] = [
    b"GET ",
    b"HEAD ",
    b"POST ",
    b"/api/v1/runs/x/a/tag",
    b"/api/v1/queue",
    b"/api/v1/queue/drain",
    b"/api/v1/clean",
    b"/api/v1/session",
    b"/api/v1/runs/x/a/checkpoints/1/state.json",
    b"Authorization: Bearer 0123456789abcdef\r\n",
    b"Content-Type: application/json\r\n",
    b"Idempotency-Key: 12345678\r\n",
    b"Origin: http://localhost\r\n",
    b"Content-Length: 2\r\n",
    b"{}",
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
        let good: [(&str, &str, &str); 7] = [
            ("GET", "/runs/a/metrics.csv?x=1", ""),
            ("GET", "/api/v1/runs/x/a/metrics?from=1&column=train/loss&points=10", ""),
            ("GET", "/api/v1/runs?status=waiting&tag=a&limit=2&cursor=x/a", ""),
            ("GET", "/api/v1/runs/x/a/checkpoints/20/model.safetensors", ""),
            ("POST", "/api/v1/runs/x/a/note", r#"{"text":"a"}"#),
            ("POST", "/api/v1/clean", r#"{"runs":["x/a"],"confirm":true}"#),
            ("POST", "/api/v1/queue", r#"{"toml":"[data]\nkind = \"shapes\"\n","dry_run":false}"#),
        ];
        let (method, target, body) = good[self.below(good.len())];
        let of_change = match method {
            "POST" => format!(
                "Content-Type: application/json\r\nIdempotency-Key: number-{}\r\nContent-Length: {}\r\n",
                self.next(),
                body.len()
            ),
            _ => "Range: bytes=5-\r\nIf-Range: \"1-2-3\"\r\nAccept-Encoding: gzip;q=0.5, *\r\n\
                  Last-Event-ID: 1-2\r\n"
                .to_owned(),
        };
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\
             {of_change}\r\n{body}"
        );
        let mut request = request.into_bytes();
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
