//! A real run is exported, trained again from the file in another workspace, and is equal in bits.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use overnight::run_dir::metrics::Metrics;
use overnight::run_dir::{RunDir, Workspace, scan};

const TEXT: &str = "one for sorrow, two for joy, three for a girl, four for a boy, five for silver.\n";
const EXPERIMENT: &str = "[data]\nkind = \"text\"\nfiles = [\"../data/text.txt\"]\n\
    [model]\nkind = \"gpt\"\nlayers = 2\nheads = 2\nwidth = 32\ncontext = 16\ndropout = 0.1\n\
    [train]\nsteps = 40\nbatch_size = 4\nlog_every = 1\n[evaluate]\nevery = 20\nbatches = 3\n\
    [checkpoint]\nevery = 10\n[sample]\nevery = 0\n[resources]\ndevice = \"cpu\"\nthreads = 1\n\
    [[alerts]]\nwhen = \"val/loss > 0\"\ndo = \"reduce-lr\"\n";

/// `overnight` in this folder. Its exit code and all that it said.
fn overnight(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_overnight"));
    command.arg("-C").arg(folder).args(arguments).env_remove("OVERNIGHT_WORKER").stdin(Stdio::null());
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

fn only_run(folder: &Path) -> RunDir {
    let mut runs = scan::runs(&Workspace::new(folder));
    assert_eq!(runs.len(), 1);
    runs.remove(0)
}

#[test]
fn a_report_trains_the_same_bits_again_elsewhere_and_verify_proves_it() {
    let (there, here) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (name, text) in
        [("data/text.txt", TEXT.repeat(40).as_str()), ("experiments/nursery.toml", EXPERIMENT)]
    {
        let path = there.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let run = ["run", "--plain", "--no-report", "experiments/nursery.toml"];
    let (code, said) = overnight(there.path(), &run);
    assert_eq!(code, Some(0), "{said}");
    let file = here.path().join("sent.html").display().to_string();
    let (code, said) = overnight(there.path(), &["export", "--all", "-o", &file]);
    assert_eq!(code, Some(0), "{said}");

    fs::create_dir(here.path().join("store")).unwrap();
    fs::write(here.path().join("store/another-name"), TEXT.repeat(40)).unwrap();
    let again = ["run", "--plain", "--no-report", "sent.html", "--yes", "--data", "store"];
    let (code, said) = overnight(here.path(), &again);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = overnight(here.path(), &["verify", "sent.html"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("equal   nursery/") && said.contains("40 hashes of rows, 4 checkpoints"), "{said}");

    let (was, is) = (only_run(there.path()), only_run(here.path()));
    assert_eq!(was.name(), is.name());
    let weights = |run: &RunDir| fs::read(run.checkpoint(40).model()).unwrap();
    assert!(weights(&was) == weights(&is), "the weights are the same bytes");
    let losses = |run: &RunDir| {
        let metrics = Metrics::read(&run.metrics()).unwrap();
        metrics.column("train/loss").unwrap().values.iter().map(|loss| loss.to_bits()).collect::<Vec<_>>()
    };
    assert_eq!(losses(&was), losses(&is));

    // One changed bit of a loss is found, with its step.
    let text = fs::read_to_string(is.metrics()).unwrap();
    let row = text.lines().find(|line| line.starts_with("23,")).unwrap();
    let loss = row.split(',').nth(4).unwrap();
    fs::write(is.metrics(), text.replace(row, &row.replacen(loss, &format!("{loss}1"), 1))).unwrap();
    let (code, said) = overnight(here.path(), &["verify", "sent.html"]);
    assert_eq!(code, Some(100), "{said}");
    // Of each row a byte of a hash is sent: one change in 256 is seen a row late.
    let named =
        [23, 24].map(|step| format!("differ since step {step}; all up to step {} are equal", step - 1));
    assert!(named.iter().any(|words| said.contains(words)), "{said}");
}
