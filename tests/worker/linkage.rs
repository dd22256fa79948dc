//! libtorch is needed by the worker alone: everything else starts in milliseconds, also without it.

use std::process::Command;

/// The shared libraries that a program names as needed; `None` where there is no `readelf`.
fn needed_by(program: &str) -> Option<Vec<String>> {
    let output =
        Command::new("readelf").args(["--dynamic", "--wide", program]).env("LC_ALL", "C").output().ok()?;
    let text = String::from_utf8(output.stdout).unwrap();
    let needed = text.lines().filter(|line| line.contains("(NEEDED)"));
    Some(needed.filter_map(|line| Some(line.split_once('[')?.1.split_once(']')?.0.to_owned())).collect())
}

#[test]
fn the_main_program_needs_no_libtorch_and_the_worker_does() {
    let (Some(main), Some(worker)) =
        (needed_by(env!("CARGO_BIN_EXE_overnight")), needed_by(env!("CARGO_BIN_EXE_overnight-worker")))
    else {
        println!("skipped: there is no readelf here");
        return;
    };
    let of_libtorch =
        |name: &&String| ["libtorch", "libc10", "libstdc++"].iter().any(|library| name.starts_with(library));
    assert!(!main.is_empty());
    assert_eq!(main.iter().find(of_libtorch), None, "{main:?}");
    assert!(worker.iter().any(|name| name == "libtorch_cpu.so"), "{worker:?}");
}
