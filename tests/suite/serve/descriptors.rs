//! File descriptors that run out: in the server's own process, and by clients of one with few.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{LIMIT, Served, reply};

#[test]
fn running_out_of_descriptors_is_survived() {
    // The limit is the whole process's, so the test runs once more in a process of its own.
    let output = Command::new("sh")
        .args([
            "-c",
            "ulimit -n 96 && exec \"$0\" --exact serve::descriptors::with_few_descriptors --nocapture",
        ])
        .arg(std::env::current_exe().unwrap())
        .env("OVERNIGHT_TEST_FEW_DESCRIPTORS", "1")
        .output()
        .unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("survived"), "{said}");
}

#[test]
fn with_few_descriptors() {
    if std::env::var_os("OVERNIGHT_TEST_FEW_DESCRIPTORS").is_none() {
        return;
    }
    let served = Served::new();
    served.assert_answers();
    // Connected before the descriptors are gone, answered after.
    let mut waiting: Vec<_> = (0..8).map(|_| served.connect()).collect();
    let mut eaten = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        eaten.push(file);
    }
    for stream in &mut waiting {
        write!(stream, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    }
    // One descriptor lets the guard connect and the private server fail.
    eaten.pop();
    let mut statuses = Vec::new();
    for mut stream in waiting {
        stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        let mut some = [0u8; 12];
        statuses.push(stream.read_exact(&mut some).map(|()| some[9]));
    }
    drop(eaten);
    let started = Instant::now();
    loop {
        let reply = served.get("/");
        if reply.status == 200 {
            break;
        }
        assert!(started.elapsed() < LIMIT, "{}", reply.head);
    }
    served.assert_answers();
    println!("survived; meanwhile: {statuses:?}");
}

#[test]
fn more_clients_than_descriptors_leave_a_page_for_the_next() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("runs")).unwrap();
    std::fs::create_dir_all(folder.path().join("experiments")).unwrap();
    let mut child = Command::new("sh")
        .args(["-c", "ulimit -n 80 && exec \"$0\" -C \"$1\" serve --port 0"])
        .arg(env!("CARGO_BIN_EXE_overnight"))
        .arg(folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().trim_start_matches("http://").trim_end_matches('/').to_owned();
    let connect = || {
        let stream = TcpStream::connect(&address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream
    };
    let page = || {
        let mut stream = connect();
        write!(stream, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        reply(&mut stream).status
    };
    let begun = Instant::now();
    while page() != 200 {
        assert!(begun.elapsed() < LIMIT, "the report was never built");
    }
    let half_open: Vec<_> = (0..400).map(|_| connect()).collect();
    assert_eq!(page(), 200, "before they leave");
    drop(half_open);
    assert_eq!(page(), 200);
    child.kill().unwrap();
    child.wait().unwrap();
}
