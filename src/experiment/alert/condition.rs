//! The condition of a rule: the grammar, and what each form means for one value after another.
//!
//! ```text
//! condition = subject test [ "after" N "steps" ]
//! subject   = a metric, or a number of the machine: see `Telemetry`
//! test      = ( "<" | "<=" | ">" | ">=" ) amount
//!           | "not improving for" N "steps"
//!           | ( "fell by" | "rose by" ) ( "half" | N "%" )     against the median of this attempt so far
//! ```

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::experiment::metric::{Direction, Metric};
use crate::experiment::parse::nearest;
use crate::experiment::sentence::{Comparison, Misread, Sentence, Unit};

/// A condition, as it was written and as it was understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    text: String,
    pub subject: Subject,
    pub test: Test,
    /// Steps before which it is not looked at.
    pub after: u64,
    /// Where the subject stands, in characters of the text.
    subject_at: Range<usize>,
}

/// What a condition is about.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Subject {
    /// A column of `metrics.csv`, looked at in each of its rows.
    Metric(&'static Metric),
    /// A number of the machine, looked at in each sample of telemetry.
    Telemetry(Telemetry),
}

/// Numbers of the machine that rules may name: those of the run's own GPU and process, and of the
/// machine as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Telemetry {
    GpuTemperature,
    GpuMemory,
    GpuUse,
    GpuPower,
    GpuThrottled,
    CpuUse,
    MemoryUsed,
    ProcessMemory,
    DiskFree,
}

impl Telemetry {
    pub const ALL: [Telemetry; 9] = [
        Telemetry::GpuTemperature,
        Telemetry::GpuMemory,
        Telemetry::GpuUse,
        Telemetry::GpuPower,
        Telemetry::GpuThrottled,
        Telemetry::CpuUse,
        Telemetry::MemoryUsed,
        Telemetry::ProcessMemory,
        Telemetry::DiskFree,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Telemetry::GpuTemperature => "gpu temperature",
            Telemetry::GpuMemory => "gpu memory",
            Telemetry::GpuUse => "gpu use",
            Telemetry::GpuPower => "gpu power",
            Telemetry::GpuThrottled => "gpu throttled",
            Telemetry::CpuUse => "cpu use",
            Telemetry::MemoryUsed => "memory used",
            Telemetry::ProcessMemory => "process memory",
            Telemetry::DiskFree => "disk free",
        }
    }

    pub fn unit(self) -> Unit {
        match self {
            Telemetry::GpuTemperature => Unit::Celsius,
            Telemetry::GpuUse | Telemetry::CpuUse => Unit::Percent,
            Telemetry::GpuPower => Unit::Watts,
            Telemetry::GpuThrottled => Unit::Seconds,
            Telemetry::GpuMemory | Telemetry::MemoryUsed | Telemetry::ProcessMemory | Telemetry::DiskFree => {
                Unit::Bytes
            }
        }
    }
}

impl Subject {
    pub fn name(&self) -> &'static str {
        match self {
            Subject::Metric(metric) => metric.name,
            Subject::Telemetry(telemetry) => telemetry.name(),
        }
    }

    pub fn unit(&self) -> Unit {
        match self {
            Subject::Metric(metric) if metric.unit == "s" => Unit::Seconds,
            Subject::Metric(_) => Unit::Plain,
            Subject::Telemetry(telemetry) => telemetry.unit(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Test {
    Compared {
        comparison: Comparison,
        /// In the unit that the subject's unit names first.
        limit: f64,
    },
    NotImproving {
        steps: u64,
    },
    /// Against the median of this attempt so far; `part` of it, above 0.
    Fell {
        part: f64,
    },
    Rose {
        part: f64,
    },
}

/// Words that end the name of a subject.
const AFTER_SUBJECT: [&str; 4] = ["not", "fell", "rose", "after"];
const TESTS: &str = "write a test, such as > 5, not improving for 2000 steps, or fell by half";

impl Condition {
    /// # Errors
    /// What is not understood, with its place and the nearest word that would be.
    pub fn parse(text: &str) -> Result<Condition, Misread> {
        let mut sentence = Sentence::new(text);
        let (name, subject_at) = sentence.words_until(&AFTER_SUBJECT);
        let subject = subject(&name, subject_at.clone())?;
        let test = test(&mut sentence, subject)?;
        let after_at = sentence.here();
        let after = if sentence.takes("after") { sentence.steps()? } else { 0 };
        sentence.end(&["after"])?;
        if after > 0 && matches!(subject, Subject::Telemetry(_)) {
            return Err(Misread {
                at: after_at,
                reason: format!("{name} is sampled every few seconds, not by steps"),
                way_out: "leave out `after`".to_owned(),
            });
        }
        Ok(Condition { text: text.trim().to_owned(), subject, test, after, subject_at })
    }

    /// Where the subject stands, in characters of what was written.
    pub fn subject_at(&self) -> Range<usize> {
        self.subject_at.clone()
    }

    /// In the same words for the same meaning, however it was written.
    pub fn canonical(&self) -> String {
        let test = match self.test {
            Test::Compared { comparison, limit } => format!("{} {limit:e}", comparison.sign()),
            Test::NotImproving { steps } => format!("not improving for {steps} steps"),
            Test::Fell { part } => format!("fell by {part:e}"),
            Test::Rose { part } => format!("rose by {part:e}"),
        };
        format!("{} {test} after {} steps", self.subject.name(), self.after)
    }

    /// Whether two attempts at the same run see the same.
    pub fn is_reproducible(&self) -> bool {
        let Subject::Metric(metric) = self.subject else { return false };
        metric.reproducible && matches!(self.test, Test::Compared { .. } | Test::NotImproving { .. })
    }
}

fn test(sentence: &mut Sentence, subject: Subject) -> Result<Test, Misread> {
    if let Some(comparison) = sentence.comparison() {
        return Ok(Test::Compared { comparison, limit: sentence.amount(subject.unit())? });
    }
    let at = sentence.here();
    if sentence.takes("not") {
        let is_whole = sentence.takes("improving") && sentence.takes("for");
        if !is_whole {
            return Err(
                sentence.misread("this is no test", "write for example: not improving for 2000 steps")
            );
        }
        let steps = sentence.steps()?;
        let improves = matches!(subject, Subject::Metric(metric) if metric.direction != Direction::Neither);
        if !improves {
            let reason = format!("neither way is better for {}", subject.name());
            return Err(Misread { at, reason, way_out: "compare it with a number instead".to_owned() });
        }
        return Ok(Test::NotImproving { steps });
    }
    let fell = sentence.takes("fell");
    if fell || sentence.takes("rose") {
        if !sentence.takes("by") {
            return Err(sentence.misread("`by` is expected here", "write for example: fell by half"));
        }
        let part = part(sentence)?;
        return Ok(if fell { Test::Fell { part } } else { Test::Rose { part } });
    }
    let way_out = match nearest(sentence.next_word(), &["not", "fell", "rose"]) {
        Some(near) => format!("did you mean `{near}`?"),
        None => TESTS.to_owned(),
    };
    let reason = if sentence.next_word().is_empty() { "the test is missing" } else { "this is no test" };
    Err(sentence.misread(reason, &way_out))
}

/// `half`, `30 %`.
fn part(sentence: &mut Sentence) -> Result<f64, Misread> {
    if sentence.takes("half") {
        return Ok(0.5);
    }
    let before = sentence.here();
    let percent = sentence.amount(Unit::Percent)?;
    if percent > 0.0 && percent.is_finite() {
        return Ok(percent / 100.0);
    }
    Err(Misread {
        at: before,
        reason: format!("{percent} % is no change"),
        way_out: "write half, or a percentage above 0".to_owned(),
    })
}

/// The subject of that name.
fn subject(name: &str, at: Range<usize>) -> Result<Subject, Misread> {
    let telemetry = Telemetry::ALL.into_iter().find(|telemetry| telemetry.name() == name);
    if let Some(telemetry) = telemetry {
        return Ok(Subject::Telemetry(telemetry));
    }
    metric(name).map(Subject::Metric).ok_or_else(|| {
        let mut known: Vec<&str> = metrics().map(|metric| metric.name).collect();
        known.extend(Telemetry::ALL.map(Telemetry::name));
        let way_out = match nearest(name, &known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known are {}", known.join(", ")),
        };
        let reason = match name {
            "" => "a rule begins with what it watches".to_owned(),
            name => format!("there is no metric `{name}`"),
        };
        Misread { at, reason, way_out }
    })
}

/// Metrics that rules may name. The time of the day says nothing about a run.
pub fn metrics() -> impl Iterator<Item = &'static Metric> {
    Metric::ALL.iter().filter(|metric| metric.name != "time")
}

pub fn metric(name: &str) -> Option<&'static Metric> {
    metrics().find(|metric| metric.name == name)
}

impl fmt::Display for Condition {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(&self.text)
    }
}

impl Serialize for Condition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Condition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Condition::parse(&text).map_err(de::Error::custom)
    }
}

impl schemars::JsonSchema for Condition {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Condition".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "examples": [
                "val/loss > 5 after 500 steps",
                "val/loss not improving for 2000 steps",
                "grad_norm > 100",
                "tokens_per_second fell by half",
                "gpu temperature > 88",
                "gpu throttled > 5 min",
                "disk free < 5 GiB"
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_understood() {
        for (text, canonical) in [
            ("val/loss > 5 after 500 steps", "val/loss > 5e0 after 500 steps"),
            ("val/loss>=5", "val/loss >= 5e0 after 0 steps"),
            ("val/loss not improving for 2000 steps", "val/loss not improving for 2000 steps after 0 steps"),
            ("tokens_per_second fell by half", "tokens_per_second fell by 5e-1 after 0 steps"),
            ("grad_norm rose by 300 %", "grad_norm rose by 3e0 after 0 steps"),
            ("gpu temperature > 88 °C", "gpu temperature > 8.8e1 after 0 steps"),
            ("gpu throttled > 5 min", "gpu throttled > 3e2 after 0 steps"),
            ("disk free < 5 GiB", "disk free < 5.36870912e9 after 0 steps"),
            ("elapsed > 2 h", "elapsed > 7.2e3 after 0 steps"),
        ] {
            let condition = Condition::parse(text).unwrap_or_else(|misread| panic!("{text}: {misread}"));
            assert_eq!(condition.canonical(), canonical);
            assert_eq!(condition.to_string(), text);
        }
    }

    #[test]
    fn each_mistake_is_named_at_its_place_with_the_nearest_word() {
        for (text, place, reason, way_out) in [
            ("", 0..0, "a rule begins with", "known are"),
            ("val/los > 5", 0..7, "there is no metric `val/los`", "did you mean `val/loss`?"),
            ("gpu temprature > 5", 0..14, "there is no metric", "did you mean `gpu temperature`?"),
            ("time > 5", 0..4, "there is no metric `time`", ""),
            ("val/loss", 8..8, "the test is missing", "not improving for"),
            ("val/loss = 5", 9..10, "this is no test", "write a test"),
            ("val/loss > five", 11..15, "a number is expected", "write a number"),
            ("val/loss > 5 aftr 3 steps", 13..17, "`aftr` has no meaning here", "did you mean `after`?"),
            ("val/loss > 5 after 3", 20..20, "`steps` is expected", "500 steps"),
            ("val/loss > 5 after 0 steps", 19..20, "a number of steps", "from 1 on"),
            ("val/loss not falling", 13..20, "this is no test", "not improving for 2000 steps"),
            ("grad_norm not improving for 5 steps", 10..13, "neither way is better for grad_norm", "compare"),
            ("val/loss fell half", 14..18, "`by` is expected", "fell by half"),
            ("val/loss fell by -3 %", 17..19, "-3 % is no change", "above 0"),
            ("disk free < 5", 13..13, "needs a unit", "GiB"),
            ("disk free < 5 GB after 3 steps", 17..22, "not by steps", "leave out `after`"),
            ("grad_norm > 5 GiB", 14..17, "`GiB` has no meaning here", "leave it out"),
        ] {
            let misread = Condition::parse(text).expect_err(text);
            assert_eq!(misread.at, place, "{text}: {misread}");
            assert!(misread.reason.contains(reason), "{text}: {misread}");
            assert!(misread.way_out.contains(way_out), "{text}: {misread}");
        }
    }

    #[test]
    fn only_what_two_attempts_see_alike_is_reproducible() {
        let is = |text: &str| Condition::parse(text).unwrap().is_reproducible();
        assert!(is("val/loss > 5") && is("train/loss not improving for 5 steps") && is("grad_norm > 1"));
        assert!(!is("tokens_per_second < 5") && !is("elapsed > 1 h") && !is("disk free < 1 GiB"));
        assert!(!is("val/loss fell by half"), "an attempt that went on has another median");
    }
}
