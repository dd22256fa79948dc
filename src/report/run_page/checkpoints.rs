//! The checkpoints of a run: what each came to, where it is, and how it is used.

use super::super::chart::number::{count, measured};
use super::super::files::RunFiles;
use super::super::model::{CheckpointRow, CheckpointsBlock};
use super::super::say;
use super::super::summary::RunSummary;
use crate::run_dir::metrics::Metrics;
use crate::run_dir::{Status, step_name};

/// What of the rows is told with a checkpoint.
const LOSSES: [&str; 3] = ["train/loss", "val/loss", "val/accuracy"];

/// Newest first; none without a checkpoint.
pub fn block(files: &RunFiles, summary: &RunSummary) -> Option<CheckpointsBlock> {
    let last = files.checkpoints.last().map(|(step, _)| *step)?;
    let best = files
        .result
        .as_ref()
        .and_then(|result| result.best_checkpoint)
        .or(summary.best.map(|best| best.step));
    let is_logged = |name: &&str| files.metrics.column(name).is_some_and(|column| !column.values.is_empty());
    let losses: Vec<&str> = LOSSES.into_iter().filter(is_logged).collect();
    let run = summary.key();
    let row = |&(step, bytes): &(u64, u64)| {
        let marks = [(Some(step) == best, "best"), (step == last, "last")];
        let note: Vec<&str> = marks.iter().filter(|(holds, _)| *holds).map(|(_, word)| *word).collect();
        let file = format!("checkpoints/{}/model.safetensors", step_name(step));
        CheckpointRow {
            step: count(step),
            losses: losses.iter().map(|name| value_at(&files.metrics, name, step)).collect(),
            size: say::bytes(bytes),
            command: command(&run, &files.seen.status, step, &note, &file),
            note: note.join(", "),
            file: format!("runs/{run}/{file}"),
        }
    };
    Some(CheckpointsBlock {
        losses: losses.iter().map(|name| (*name).to_owned()).collect(),
        rows: files.checkpoints.iter().rev().map(row).collect(),
    })
}

/// The value that stands in the row of this step, or nothing.
fn value_at(metrics: &Metrics, name: &str, step: u64) -> String {
    let (Some(steps), Some(column)) = (metrics.column("step"), metrics.column(name)) else {
        return String::new();
    };
    // Steps that a resume overtook come first.
    let row = steps.values.iter().rposition(|value| *value == step as f64).map(|index| steps.rows[index]);
    row.and_then(|row| column.in_row(row)).map_or_else(String::new, measured)
}

/// What one would type: another run that begins with these weights, or this one from here on.
fn command(run: &str, status: &Status, step: u64, marks: &[&str], file: &str) -> String {
    let run = quoted(run);
    if !matches!(status, Status::Finished) {
        return format!("overnight retry {run} --from {step}");
    }
    let which = match marks {
        marks if marks.contains(&"best") => String::new(),
        marks if marks.contains(&"last") => " --set weights.file=last".to_owned(),
        _ => format!(" --set weights.file={file}"),
    };
    format!("overnight run FILE --set weights.from={run}{which}")
}

/// As a shell takes it for one word.
fn quoted(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/~=+,:@%".contains(&byte);
    match text.bytes().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_used_by_what_can_be_typed() {
        let waiting = Status::Stopped;
        let file = "checkpoints/step-00000010/model.safetensors";
        let cases: [(&str, &Status, &[&str], &str); 5] = [
            ("x/y", &waiting, &["best"], "overnight retry x/y --from 10"),
            ("x/y", &Status::Finished, &["best", "last"], "overnight run FILE --set weights.from=x/y"),
            (
                "x/y",
                &Status::Finished,
                &["last"],
                "overnight run FILE --set weights.from=x/y --set weights.file=last",
            ),
            (
                "x/y",
                &Status::Finished,
                &[],
                "overnight run FILE --set weights.from=x/y \
                 --set weights.file=checkpoints/step-00000010/model.safetensors",
            ),
            ("x/<b>; rm 'y", &waiting, &[], r"overnight retry 'x/<b>; rm '\''y' --from 10"),
        ];
        for (run, status, marks, expected) in cases {
            assert_eq!(command(run, status, 10, marks, file), expected);
        }
    }

    #[test]
    fn losses_are_those_of_the_row_that_stands() {
        let mut metrics = Metrics::default();
        metrics.extend(b"step,val/loss\n10,3\n20,2\n20,1.5\n30,\n");
        let at = |step| value_at(&metrics, "val/loss", step);
        assert_eq!([10, 20, 30, 40].map(at), ["3", "1.500", "", ""]);
        assert_eq!(value_at(&metrics, "nothing", 10), "");
    }
}
