//! Clients that are many, slow, or endless; whoever asks meanwhile is answered.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use overnight::serve::Limits;

use super::{LIMIT, Served, reply};

#[test]
fn a_head_of_any_size_costs_the_client_its_answer_and_nobody_else() {
    let served = Served::new();
    let mut stream = served.connect();
    write!(stream, "GET / HTTP/1.1\r\nHost: localhost\r\nX: ").unwrap();
    // The server hangs up in between; how many bytes went into the void does not matter.
    let part = [b'x'; 64 << 10];
    for _ in 0..(200 << 20) / part.len() {
        if stream.write_all(&part).is_err() {
            break;
        }
    }
    served.assert_answers();

    let exact = |bytes: usize| {
        let start = "GET / HTTP/1.1\r\nHost: localhost\r\nX: ";
        let filler = "x".repeat(bytes - start.len() - 4);
        served.send(&format!("{start}{filler}\r\n\r\n")).status
    };
    assert_eq!(exact(16 << 10), 200);
    assert_eq!(exact((16 << 10) + 1), 431);
}

#[test]
fn a_head_that_does_not_end_is_given_up_at_its_deadline() {
    let served = Served::with(Limits { head_deadline: Duration::from_millis(200), ..Limits::default() });
    let mut stream = served.connect();
    write!(stream, "GET / HTTP/1.1\r\nHost: local").unwrap();
    assert_eq!(reply(&mut stream).status, 408);
    // Our own head may come too late as well, on a machine that is busy.
    let waiting = Instant::now();
    while served.get("/").status != 200 {
        assert!(waiting.elapsed() < LIMIT, "nobody else is answered");
    }
}

#[test]
fn two_thousand_half_open_connections_keep_nobody_waiting() {
    let served = Served::new();
    let half_open: Vec<_> = (0..2000)
        .map(|number| {
            let mut stream = served.connect();
            if number % 2 == 0 {
                write!(stream, "GET / HTTP/1.1\r\nHo").unwrap();
            }
            stream
        })
        .collect();
    served.assert_answers();
    drop(half_open);
    served.assert_answers();
}

#[test]
fn when_places_run_out_the_one_that_dawdles_longest_makes_room() {
    let served = Served::with(Limits {
        connections: 8,
        room_patience: Duration::from_millis(10),
        ..Limits::default()
    });
    let mut half_open: Vec<_> = (0..40).map(|_| served.connect()).collect();
    served.assert_answers();
    let mut nothing = Vec::new();
    assert_eq!(half_open[0].read_to_end(&mut nothing).unwrap(), 0);
}

#[test]
fn readers_that_do_not_read_cannot_take_all_places() {
    let served = Served::with(Limits { room_patience: Duration::from_millis(50), ..Limits::default() });
    std::fs::write(served.reports().join("large.csv"), vec![b'1'; 32 << 20]).unwrap();
    let lazy: Vec<_> = (0..400)
        .map(|_| {
            let mut stream = served.connect();
            write!(stream, "GET /large.csv HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
            stream
        })
        .collect();
    served.assert_answers();
    drop(lazy);
    // Those that have left are noticed one after the other; meanwhile a long answer may still lose its place.
    let waiting = Instant::now();
    while served.get("/large.csv").body.len() < 32 << 20 {
        assert!(waiting.elapsed() < LIMIT, "no long answer comes whole");
    }
}

#[test]
fn a_slow_reader_gets_a_large_file_whole_while_others_ask_for_its_place() {
    const BYTES: usize = 24 << 20;
    let served = Served::with(Limits { room_patience: Duration::from_millis(20), ..Limits::default() });
    std::fs::write(served.reports().join("large.csv"), vec![b'1'; BYTES]).unwrap();
    let ask = |stream: &mut std::net::TcpStream| {
        write!(stream, "GET /large.csv HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    };
    let mut slow = served.connect();
    ask(&mut slow);
    let mut first = [0; 1];
    slow.read_exact(&mut first).unwrap();
    // They take nothing and wait for its place, which is the one that was had first.
    let _lazy: Vec<_> = (0..40)
        .map(|_| {
            let mut stream = served.connect();
            ask(&mut stream);
            stream
        })
        .collect();
    // As slow as a reader is who takes a piece now and then, and longer than answers were spared before.
    let (mut taken, mut piece, begun) = (1, vec![0; 64 << 10], Instant::now());
    while begun.elapsed() < Duration::from_secs(4) {
        match slow.read(&mut piece).unwrap() {
            0 => break,
            count => taken += count,
        }
        served.assert_answers();
        std::thread::park_timeout(Duration::from_millis(10));
    }
    taken += std::io::copy(&mut slow, &mut std::io::sink()).unwrap() as usize;
    assert!(taken > BYTES, "{taken} bytes with the head of the answer");
}

#[test]
fn streams_have_a_share_of_the_places_and_pages_keep_theirs() {
    let served = Served::with(Limits { connections: 8, ..Limits::default() });
    let streams: Vec<_> = (0..6).map(|_| served.events(None)).collect();
    let reply = served.get("/events");
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("5")));
    served.assert_answers();
    drop(streams);
    let waiting = Instant::now();
    while served.send("HEAD /events HTTP/1.1\r\nHost: localhost\r\n\r\n").status != 200 {
        assert!(waiting.elapsed() < LIMIT, "the places were not given back");
    }
}

#[test]
fn heads_that_come_byte_by_byte_are_cut_at_the_deadline_of_the_whole() {
    let deadline = Duration::from_secs(3);
    let served = Served::with(Limits { head_deadline: deadline, ..Limits::default() });
    let mut slow: Vec<_> = (0..300).map(|_| served.connect()).collect();
    let (begun, mut byte) = (Instant::now(), 0);
    let head = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A-Header-That-Never-Ends: xxxxxxxxxxxxxxxx";
    // Each byte is a sign of life, and none of them buys time.
    loop {
        let mut are_open = false;
        for stream in &mut slow {
            are_open |= stream.write_all(&head[byte % head.len()..][..1]).is_ok();
        }
        byte += 1;
        served.assert_answers();
        if !are_open {
            break;
        }
        assert!(begun.elapsed() < LIMIT, "they are still listened to");
    }
    assert!(begun.elapsed() >= deadline);
}

#[test]
fn a_body_in_any_form_is_refused_and_never_read_as_a_request() {
    let served = Served::new();
    let smuggled = "GET /runs/a/metrics.csv HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for headers in [
        "Transfer-Encoding: chunked\r\n",
        "transfer-encoding: gzip, chunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
        "Transfer-Encoding:\tchunked\r\nTransfer-Encoding: identity\r\n",
        "Content-Length: 5\r\n",
        "Content-Length: 0\r\nContent-Length: 5\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 99999999999999999999999\r\n",
    ] {
        for body in [format!("5\r\nabcde\r\n0\r\n\r\n{smuggled}"), smuggled.to_owned()] {
            let request = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n{body}");
            let reply = served.send(&request);
            assert_eq!(reply.status, 400, "{request:?}");
            let text = String::from_utf8(reply.body).unwrap();
            assert_eq!(text.matches("HTTP/1.1").count(), 0, "one answer: {text}");
        }
    }
    // What comes after a head without a body is nothing either: one request a connection.
    let reply = served.send(&format!("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n{smuggled}"));
    assert_eq!((reply.status, reply.body.as_slice()), (200, &b"<h1>Morning</h1>"[..]));
}

#[test]
fn chunks_that_never_end_hold_up_nobody() {
    let served = Served::new();
    let mut endless: Vec<_> = (0..50).map(|_| served.connect()).collect();
    for stream in &mut endless {
        stream
            .write_all(b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
            .unwrap();
    }
    let chunk = [&b"10000\r\n"[..], &[b'x'; 0x10000], b"\r\n"].concat();
    for _ in 0..20 {
        endless.retain_mut(|stream| stream.write_all(&chunk).is_ok());
        served.assert_answers();
    }
    assert_eq!(endless.len(), 0, "they are still listened to");
}
