//! The workspace that issues and other tools speak of: so many runs of so many steps with two metrics,
//! and the same scalars as event files of TensorBoard.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use overnight::experiment::settings::Task;
use overnight::run_dir::Workspace;

use super::made_up::{self, Ending, MadeUp};

/// What was made: the workspace, and the folder that TensorBoard is pointed at.
pub struct Scalars {
    pub workspace: Workspace,
    pub events: PathBuf,
    pub runs: u32,
    pub last_step: u32,
}

/// Runs of one experiment with `steps` rows each, made once and kept under `target/`.
pub fn made(runs: u32, steps: u32) -> io::Result<Scalars> {
    let target = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target");
    let root = target.join(format!("bench-scalars-{runs}x{steps}"));
    let (made, events) = (root.join("made"), root.join("tensorboard"));
    if !made.is_file() {
        eprintln!("making {runs} runs of {steps} steps with two metrics in {}", root.display());
        let started = Instant::now();
        if root.exists() {
            fs::remove_dir_all(&root)?;
        }
        let workspace = Workspace::new(&root);
        let one = MadeUp {
            experiment: "scalars",
            task: Task::LanguageModel,
            runs,
            rows: (steps / 10).max(1),
            end: Ending::AllFinished,
        };
        let names = made_up::experiment(&root, &one)?;
        for (number, name) in names.iter().enumerate() {
            let dir = workspace.run("scalars", name);
            fs::remove_file(dir.telemetry())?;
            let folder = events.join(name);
            fs::create_dir_all(&folder)?;
            write_run(number as u64, steps, &dir.metrics(), &folder)?;
        }
        let planned: Vec<(&str, String)> = names.into_iter().map(|name| ("scalars", name)).collect();
        let end = Some(made_up::EVENING + 30_000.0);
        made_up::batch(&root, "20261119T211000-ada-01-0001", &planned, end)?;
        fs::write(made, "")?;
        eprintln!("made in {:.0} s", started.elapsed().as_secs_f64());
    }
    Ok(Scalars { workspace: Workspace::new(root), events, runs, last_step: steps.saturating_sub(1) })
}

fn write_run(run: u64, steps: u32, csv: &Path, events: &Path) -> io::Result<()> {
    let mut csv = BufWriter::new(File::create(csv)?);
    let mut log = BufWriter::new(File::create(events.join("events.out.tfevents.1795122600.ada-01"))?);
    writeln!(csv, "step,epoch,time,train/loss,val/loss")?;
    write_record(&mut log, &event(made_up::EVENING, 0, &[tagged(3, b"brain.Event:2")]))?;
    for step in 0..steps {
        let place = run << 32 | u64::from(step);
        let jitter = 0.1 * made_up::noise(place);
        let train = 4.0 * (-f64::from(step) / 2000.0).exp() + 0.5 * made_up::noise(run) + jitter;
        let (val, time) = (train + 0.1, made_up::EVENING + f64::from(step) * 0.1);
        writeln!(csv, "{step},0,{time:.3},{train:.6},{val:.6}")?;
        let values = [("train/loss", train), ("val/loss", val)].map(|(tag, value)| {
            let mut message = tagged(1, tag.as_bytes());
            message.push(2 << 3 | 5);
            message.extend((value as f32).to_le_bytes());
            tagged(1, &message)
        });
        write_record(&mut log, &event(time, step, &[tagged(5, &values.concat())]))?;
    }
    csv.flush()?;
    log.flush()
}

/// A message `Event` of TensorBoard's protocol: wall time, step, and fields of it as they are on disk.
fn event(time: f64, step: u32, fields: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = vec![1 << 3 | 1];
    bytes.extend(time.to_le_bytes());
    bytes.push(2 << 3);
    bytes.extend(varint(step));
    bytes.extend(fields.concat());
    bytes
}

/// A field that holds text or another message.
fn tagged(field: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![field << 3 | 2];
    bytes.extend(varint(content.len() as u32));
    bytes.extend(content);
    bytes
}

fn varint(mut number: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// A record as TensorFlow writes them: its length, its bytes, each with a checksum.
fn write_record(out: &mut impl Write, content: &[u8]) -> io::Result<()> {
    let length = (content.len() as u64).to_le_bytes();
    out.write_all(&length)?;
    out.write_all(&masked_checksum(&length).to_le_bytes())?;
    out.write_all(content)?;
    out.write_all(&masked_checksum(content).to_le_bytes())
}

/// CRC-32C (Castagnoli), turned and shifted as TensorFlow's record format asks for.
fn masked_checksum(bytes: &[u8]) -> u32 {
    let mut sum = !0u32;
    for byte in bytes {
        sum = TABLE[((sum ^ u32::from(*byte)) & 0xff) as usize] ^ (sum >> 8);
    }
    (!sum).rotate_right(15).wrapping_add(0xa282_ead8)
}

const TABLE: [u32; 256] = {
    let mut table = [0u32; 256];
    let mut index = 0;
    while index < 256 {
        let (mut value, mut bit) = (index as u32, 0);
        while bit < 8 {
            value = if value & 1 == 1 { 0x82f6_3b78 ^ (value >> 1) } else { value >> 1 };
            bit += 1;
        }
        table[index] = value;
        index += 1;
    }
    table
};
