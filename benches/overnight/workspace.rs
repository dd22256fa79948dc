//! A workspace as many nights would leave it, made once and kept under `target/`.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use overnight::queue::{self, Again};
use overnight::run_dir::number::Number;
use overnight::run_dir::records::{Attempt, Device, End, RunResult, Start};
use overnight::run_dir::write::{self, Durability};
use overnight::run_dir::{PROTOCOL, RunDir, Workspace, metrics, read};

/// Finished runs of one sweep, of `rows` rows each, two of their metrics logged in every row.
pub fn generated(runs: usize, rows: usize) -> Workspace {
    let target = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target");
    let root = target.join(format!("bench-{runs}x{rows}"));
    let workspace = Workspace::new(&root);
    let made = root.join("made");
    if made.is_file() {
        return workspace;
    }
    eprintln!("making {runs} runs of {rows} rows in {}", root.display());
    let started = Instant::now();
    let _ = fs::remove_dir_all(&root);
    fs::create_dir_all(workspace.experiments()).expect("target/ can be written to");
    let file = workspace.experiments().join("sweep.toml");
    fs::write(&file, experiment(runs, rows)).expect("target/ can be written to");
    let checked = queue::check(&[file], &[]).expect("the generated experiment is good");
    let entries = queue::plan(&workspace, &checked, Again::No).expect("the workspace is new");
    queue::submit(&workspace, &entries).expect("target/ can be written to");
    for (number, entry) in entries.iter().enumerate() {
        finish(&entry.dir, number, rows).expect("target/ can be written to");
    }
    fs::write(made, "").expect("target/ can be written to");
    eprintln!("made in {:.0} s", started.elapsed().as_secs_f64());
    workspace
}

fn experiment(runs: usize, rows: usize) -> String {
    let rates: Vec<_> =
        (0..runs.div_ceil(SEEDS)).map(|number| format!("{:e}", 1e-5 * 1.1f64.powi(number as i32))).collect();
    let seeds: Vec<_> = (1..=SEEDS.min(runs)).map(|seed| seed.to_string()).collect();
    format!(
        "[data]\nkind = \"shapes\"\n[model]\nkind = \"mlp\"\n[train]\nsteps = {rows}\nlog_every = 1\n\
         [sweep]\nseeds = [{}]\n[sweep.values]\n\"train.optimizer.lr\" = [{}]\n",
        seeds.join(", "),
        rates.join(", "),
    )
}

const SEEDS: usize = 25;

/// Leaves the run as a worker would that trained it to its end.
fn finish(run: &RunDir, number: usize, rows: usize) -> std::io::Result<()> {
    let record = read::run_record(run).map_err(std::io::Error::other)?;
    let columns = metrics::columns(&record.settings);
    let place = |name: &str| columns.iter().position(|column| *column == name);
    let (train, validation) = (place("train/loss"), place("val/loss"));
    let mut writer = metrics::Writer::open(&run.metrics(), &columns, None)?;
    let mut random = number as u64 + 1;
    let mut row = vec![None; columns.len()];
    for step in 1..=rows {
        // A curve that falls, with the noise that curves have.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let noise = (random >> 11) as f64 / (1u64 << 53) as f64 - 0.5;
        let loss = 0.2 + 2.0 / (1.0 + step as f64 / 200.0) + number as f64 * 1e-4;
        row[0] = Some(step as f64);
        row[1] = Some(step as f64 / 100.0);
        row[2] = Some(1.79e9 + step as f64 * 0.05);
        row[3] = Some(step as f64 * 0.05);
        if let (Some(train), Some(validation)) = (train, validation) {
            row[train] = Some(loss + noise * 0.1);
            row[validation] = Some(loss + 0.05 + noise * 0.02);
        }
        writer.row(&row)?;
    }
    let start = Start {
        attempt: 1,
        time: 1.79e9,
        batch: None,
        host: "bench".to_owned(),
        boot: "bench".to_owned(),
        device: Device::Cpu { name: "bench".to_owned() },
        precision: overnight::experiment::settings::Precision::Fp32,
        threads: 1,
        micro_batch: 32,
        accumulate: 1,
        libtorch: "none".to_owned(),
        checkpoint: None,
        why: "queued".to_owned(),
    };
    let end = End {
        attempt: 1,
        time: 1.79e9 + rows as f64 * 0.05,
        code: Some(0),
        signal: None,
        checkpoint: Some(rows as u64),
        why: "finished".to_owned(),
    };
    write::append_line(&run.attempts(), &Attempt::Start(start), Durability::Rebuildable)?;
    write::append_line(&run.attempts(), &Attempt::End(end.clone()), Durability::Rebuildable)?;
    let last = [("train/loss", train), ("val/loss", validation)]
        .into_iter()
        .filter_map(|(name, place)| Some((name.to_owned(), Number(row[place?]?))))
        .collect();
    let result = RunResult {
        protocol: PROTOCOL,
        time: end.time,
        step: rows as u64,
        epoch: rows as f64 / 100.0,
        elapsed_seconds: rows as f64 * 0.05,
        stopped_early: None,
        last,
        best: None,
        last_checkpoint: rows as u64,
        best_checkpoint: None,
        history: "0".repeat(64),
        attempts: 1,
    };
    write::replace_json(&run.result(), &result, Durability::Rebuildable)
}
