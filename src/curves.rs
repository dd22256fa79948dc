//! Curves in words: what a person would say who looked at them, from the values alone.
//!
//! Pure: values in, sentences out. The same sentences are the description of a chart, the paragraph of
//! a page and the summary in the terminal. What is said was measured: that something came right after
//! something else may be said, that it came from it may not.

mod course;
mod ends;
pub mod of_run;
mod pace;
mod robust;
mod spikes;
mod stand;
mod trends;

#[cfg(test)]
mod made;
#[cfg(test)]
mod tests;

pub use robust::{median, noise};

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::experiment::metric::{Direction, Metric, direction_of};
use course::Course;

/// A step and a value. The value may be anything.
pub type Point = (f64, f64);

/// One metric over the steps, in strictly rising order of steps.
#[derive(Clone, Debug)]
pub struct Curve {
    /// The metric's name: `val/loss`.
    pub name: String,
    pub points: Vec<Point>,
}

/// Something that happened to a run and may stand beside what its curves did.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// Steps.
    pub from: f64,
    /// The same as `from` for what took no time.
    pub to: f64,
    pub what: Happened,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Happened {
    /// It went on from the checkpoint of that step.
    Resumed,
    /// From one row to the next, and not step by step as schedules do.
    LearningRate { from: f64, to: f64 },
    /// The device's clocks were held down, for that reason.
    Throttled(String),
}

/// How much of the run there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Values may still be added.
    SoFar,
    Whole,
}

/// All that is looked at of one run.
#[derive(Clone, Debug)]
pub struct Observed<'a> {
    /// The metric that counts.
    pub metric: String,
    pub curves: Cow<'a, [Curve]>,
    pub marks: Vec<Mark>,
    pub extent: Extent,
}

/// A sentence, with what it is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Said {
    pub kind: Kind,
    /// The metrics whose charts show it.
    pub about: Vec<String>,
    pub text: String,
}

/// What was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// First, best and last value of the metric that counts.
    Course,
    /// The same of another metric: said with its chart, left out of the run's paragraph.
    OtherCourse,
    NotFinite,
    Diverged,
    Overfitting,
    /// Nothing moved at the end.
    Plateau,
    /// Nothing moved for a while.
    Rest,
    /// Its last values are still better than those before.
    StillImproving,
    Spikes,
    Slowdown,
}

/// Everything worth saying about the curves of a run, most important first.
pub fn said(run: &Observed<'_>) -> Vec<Said> {
    let courses: Vec<Course> = run.curves.iter().map(|curve| Course::of(curve, run.extent)).collect();
    let course = |name: &str| courses.iter().find(|course| course.name == name);
    let mut said = Vec::new();
    let overfitting = trends::overfitting(course);
    for course in &courses {
        let counts = course.name == run.metric;
        let about = |kind, text| Said { kind, about: vec![course.name.clone()], text };
        let kind = if counts { Kind::Course } else { Kind::OtherCourse };
        said.extend(ends::sentence(course).map(|text| about(kind, text)));
        if course.direction == Direction::Neither || is_rate(&course.name) {
            continue;
        }
        let is_overfit = overfitting.iter().any(|said| said.about.contains(&course.name));
        said.extend(ends::not_finite(course).map(|text| about(Kind::NotFinite, text)));
        let diverged = if is_overfit { None } else { trends::divergence(course, &run.marks) };
        let has_diverged = diverged.is_some();
        said.extend(diverged.map(|text| about(Kind::Diverged, text)));
        said.extend(spikes::sentence(course, &run.marks).map(|text| about(Kind::Spikes, text)));
        if counts && !is_overfit && !has_diverged {
            said.extend(stand::sentences(course).into_iter().map(|(kind, text)| about(kind, text)));
        }
    }
    said.extend(overfitting);
    for rate in courses.iter().filter(|course| is_rate(&course.name)) {
        let about = vec![rate.name.clone()];
        let slow = pace::sentence(rate, &run.marks);
        said.extend(slow.map(|text| Said { kind: Kind::Slowdown, about, text }));
    }
    said.sort_by_key(|one| one.kind);
    said
}

/// The sentences of a paragraph, `most` at most, and how many are left out. Courses of single charts are not
/// among them. A run may have thousands of metrics: the one that counts stays before those that everybody
/// knows, and these before the others.
pub fn foremost<'a>(said: &'a [Said], metric: &str, most: usize) -> (Vec<&'a str>, usize) {
    let place = |name: &String| match name.as_str() {
        name if name == metric => 0,
        name if Metric::named(name).is_some() => 1,
        _ => 2,
    };
    let of_paragraph = said.iter().filter(|one| one.kind != Kind::OtherCourse).enumerate();
    let mut found: Vec<(usize, usize, &str)> = of_paragraph
        .map(|(at, one)| (one.about.iter().map(place).min().unwrap_or(2), at, one.text.as_str()))
        .collect();
    found.sort_unstable();
    let left_out = found.len().saturating_sub(most);
    found.truncate(most);
    found.sort_unstable_by_key(|(_, at, _)| *at);
    (found.into_iter().map(|(.., text)| text).collect(), left_out)
}

/// What of it belongs to a chart of these metrics.
pub fn of_chart(said: &[Said], metrics: &[&str]) -> String {
    let shown = said.iter().filter(|one| one.about.iter().any(|name| metrics.contains(&name.as_str())));
    shown.map(|one| one.text.as_str()).collect::<Vec<_>>().join(" ")
}

/// The metric as a sentence begins with it.
fn title(name: &str) -> &str {
    Metric::named(name).map_or(name, |metric| metric.title)
}

/// The same within a sentence.
fn title_within(name: &str) -> String {
    let own = Metric::named(name).map(|metric| metric.title.to_lowercase());
    own.unwrap_or_else(|| name.to_owned())
}

fn is_rate(name: &str) -> bool {
    name.ends_with("per_second") && direction_of(name) == Direction::Higher
}

/// A step, or whatever stands for it, with its thousands apart.
fn step(x: f64) -> String {
    match x {
        x if x.fract() == 0.0 && (0.0..1e15).contains(&x) => crate::say::count(x as u64),
        x => crate::say::measured(x),
    }
}
