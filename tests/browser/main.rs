//! The pages in headless Chromium: what no look at their text can tell.
//!
//! Without a browser on this machine each test prints so and passes, but not under `CI=true`.

mod access;
mod aside;
mod charts;
mod chrome;
mod compare;
mod control;
mod files;
mod finding;
mod further;
mod hands;
mod hostile;
#[path = "../suite/hostile/records.rs"]
mod hostile_records;
mod imported;
mod live;
mod look;
#[path = "../../benches/made_up.rs"]
mod made_up;
mod morning;
mod place;
mod plain;
mod run_page;
mod sealed;
mod sent;
mod storm;
mod sweep;
mod tables;
mod tabs;
mod workspace_pages;

use std::process::Command;

#[test]
fn only_a_persons_machine_may_lack_a_browser() {
    let any_test = || {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "tables::a_table_sorts_by_a_click_and_back", "--nocapture"]);
        command.env("PATH", "").env_remove("CI");
        command
    };
    let skipped = any_test().output().unwrap();
    assert!(skipped.status.success());
    let said = String::from_utf8_lossy(&skipped.stdout).into_owned();
    assert!(said.contains("skipped: there is no chromedriver on the PATH"), "{said}");
    assert!(!any_test().env("CI", "true").output().unwrap().status.success());
}
