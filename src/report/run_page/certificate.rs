//! The certificate on the page of a run: how it came through its attempts, and what a replay said.

use super::super::chart::number::count;
use super::super::files::RunFiles;
use super::super::model::{CertificateBlock, CertificateRow};
use super::super::say::{self, Clock};
use crate::run_dir::certificate::{Certificate, Verified, precision, split, trail};
use crate::run_dir::records::{Device, Start};
use crate::run_dir::status::last_start;
use crate::run_dir::verdict::Verdict;

/// None before there is a checkpoint that could be compared.
pub fn block(files: &RunFiles, clock: &Clock) -> Option<CertificateBlock> {
    let trail = trail(&files.events);
    let last = last_start(&files.seen.attempts)?;
    let certificate = Certificate::of(&files.seen.attempts, &trail, &files.verdicts);
    let newest = certificate.newest.as_ref()?;
    let name = format!("{}/{}", files.dir().experiment(), files.dir().name());
    let (class, mut details, command) = match &certificate.verified {
        Verified::No => ("", Vec::new(), format!("overnight verify {name}")),
        Verified::Equal | Verified::Partly { .. } => {
            ("good", Vec::new(), format!("overnight verify {name} --all"))
        }
        Verified::Differs { why, .. } => ("bad", why.clone(), format!("overnight verify {name} --all")),
    };
    details.extend(
        certificate.changes.iter().filter(|change| !details.contains(change)).cloned().collect::<Vec<_>>(),
    );
    let mut rows = Vec::new();
    let mut row = |name, value: String, whole: &str| {
        if !value.is_empty() {
            rows.push(CertificateRow { name, value, whole: whole.to_owned() });
        }
    };
    row("attempts", attempts(&certificate), "");
    row("device", device(last), "");
    row("threads", last.threads.to_string(), "");
    row("precision", precision(last.precision).to_owned(), "");
    row("batch", split(last), "");
    row("libtorch", last.libtorch.clone(), "");
    row("newest checkpoint", format!("step {}", count(newest.step)), "");
    row("history of losses and weights", short(&newest.history), &newest.history);
    row("weights", short(&newest.weights), &newest.weights);
    row("last replay", files.verdicts.last().map(|verdict| replay(verdict, clock)).unwrap_or_default(), "");
    Some(CertificateBlock {
        sentence: certificate.sentence(),
        is_headline: certificate.resumed > 0 || certificate.verified != Verified::No,
        class,
        details,
        rows,
        command,
    })
}

fn attempts(certificate: &Certificate) -> String {
    let mut words = count(u64::from(certificate.attempts));
    if certificate.resumed > 0 {
        words += &format!(", {} from a checkpoint", count(u64::from(certificate.resumed)));
    }
    match certificate.kills_survived {
        0 => words,
        kills => format!("{words}, {}", say::counted(kills as usize, "kill survived", "kills survived")),
    }
}

fn device(start: &Start) -> String {
    match &start.device {
        Device::Cpu { name } => format!("{name}, on {}", start.host),
        Device::Cuda { name, driver, .. } => format!("{name}, driver {driver}, on {}", start.host),
    }
}

fn replay(verdict: &Verdict, clock: &Clock) -> String {
    format!(
        "{}: steps {} to {}, {} and {}, in {}, on {} with libtorch {}: {}",
        clock.moment(verdict.time).text,
        count(verdict.from),
        count(verdict.to),
        say::counted(verdict.checkpoints as usize, "checkpoint", "checkpoints"),
        say::counted(verdict.rows as usize, "row of metrics", "rows of metrics"),
        say::duration(verdict.seconds),
        verdict.device.name(),
        verdict.libtorch,
        if verdict.equal { "equal" } else { "not equal" }
    )
}

/// Enough of a hash to compare by eye.
fn short(hash: &str) -> String {
    hash.get(..16).unwrap_or(hash).to_owned()
}
