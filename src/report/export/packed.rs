//! The charts of an exported file for its script: each line once, however many charts have it, and all of
//! them compressed. The form is read by `templates/js/sent.js`.
//!
//! ```text
//! lines     x      differences of places, the first from zero
//!           y      values: "nan", "inf" and "-inf" as in pages
//!           at, mean, of   where stretches end (differences again), their means, their rows
//!           rows   how many rows the line stands for
//! figures   by section: id, chart as in `chart::data` but for the numbers: `line` is a place in `lines`;
//!           title and note where the script draws all of it
//! clocks    as in pages
//! ```

use std::collections::BTreeMap;
use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;
use serde_json::{Value, json};

use super::super::chart::data::brief;
use crate::run_dir::number::Number;

/// Significant digits that every value keeps.
const DIGITS: i32 = 4;
/// Into how many parts of its range a line's values are told apart.
const PARTS: f64 = 2000.0;

/// What the script of the file gets.
#[derive(Debug, Default, Serialize)]
pub struct Packed {
    lines: Vec<Line>,
    figures: BTreeMap<String, Vec<Value>>,
    clocks: serde_json::Map<String, Value>,
    /// Places of lines by their names.
    #[serde(skip)]
    known: BTreeMap<String, usize>,
}

#[derive(Debug, Serialize)]
struct Line {
    x: Vec<Number>,
    y: Vec<Number>,
    at: Vec<Number>,
    mean: Vec<Number>,
    of: Vec<Number>,
    rows: u64,
}

/// A figure as the script gets it.
pub struct Sent<'a> {
    /// The section that it stands in.
    pub section: &'a str,
    pub id: &'a str,
    /// Title and note, where nothing of it stands in the file.
    pub heading: Option<(&'a str, &'a str)>,
    /// As pages have it.
    pub chart: &'a str,
}

impl Packed {
    /// Adds a figure; where a line goes on is asked by its experiment and run.
    pub fn add(&mut self, sent: &Sent, place_of: impl Fn(&str, &str) -> String) {
        let Ok(mut chart) = serde_json::from_str::<Value>(sent.chart) else { return };
        for series in chart["series"].as_array_mut().into_iter().flatten() {
            let line = self.line(series);
            let Some(series) = series.as_object_mut() else { continue };
            for field in ["points", "means", "rows", "csv"] {
                series.remove(field);
            }
            for member in series.get_mut("members").and_then(Value::as_array_mut).into_iter().flatten() {
                let line = self.line(member);
                member["points"] = Value::Null;
                member["line"] = line.into();
            }
            let whose = ["experiment", "run"].map(|name| series.get(name).and_then(Value::as_str));
            if let (true, [Some(experiment), Some(run)]) = (series.contains_key("href"), whose) {
                let place = place_of(experiment, run);
                series.insert("href".into(), place.into());
            }
            series.insert("line".into(), line.into());
        }
        let mut figure = json!({ "id": sent.id, "chart": chart });
        if let Some((title, note)) = sent.heading {
            figure["title"] = title.into();
            figure["note"] = note.into();
        }
        self.figures.entry(sent.section.to_owned()).or_default().push(figure);
    }

    /// Adds what a step of some runs is on other axes.
    pub fn know(&mut self, clocks: &str) {
        if let Ok(Value::Object(clocks)) = serde_json::from_str(clocks) {
            self.clocks.extend(clocks);
        }
    }

    /// The place of a series among the lines. Of two charts that have it the first decides.
    fn line(&mut self, series: &Value) -> usize {
        let name = series["id"].as_str().unwrap_or_default();
        if let Some(place) = self.known.get(name) {
            return *place;
        }
        let (points, means) = (numbers(&series["points"]), numbers(&series["means"]));
        let every = |values: &[f64], stride: usize, offset: usize| -> Vec<f64> {
            values.iter().skip(offset).step_by(stride).copied().collect()
        };
        self.lines.push(Line {
            x: differences(&every(&points, 2, 0)),
            y: told_apart(&every(&points, 2, 1)),
            at: differences(&every(&means, 3, 0)),
            mean: told_apart(&every(&means, 3, 1)),
            of: every(&means, 3, 2).into_iter().map(Number).collect(),
            rows: series["rows"].as_u64().unwrap_or(0),
        });
        self.known.insert(name.to_owned(), self.lines.len() - 1);
        self.lines.len() - 1
    }
}

/// A value as JSON, compressed, in letters.
pub fn compressed<T: Serialize>(value: &T) -> Result<String, serde_json::Error> {
    let json = serde_json::to_vec(value)?;
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    let packed = packed.write_all(&json).and_then(|()| packed.finish());
    packed.map(|packed| STANDARD.encode(packed)).map_err(serde_json::Error::io)
}

fn numbers(values: &Value) -> Vec<f64> {
    let number = |value: &Value| match value.as_str() {
        Some(text) => text.parse().unwrap_or(f64::NAN),
        None => value.as_f64().unwrap_or(f64::NAN),
    };
    values.as_array().into_iter().flatten().map(number).collect()
}

/// From each value to the next, the first from zero, so that adding them up goes astray nowhere.
fn differences(values: &[f64]) -> Vec<Number> {
    let mut at = 0.0;
    let step = |value: &f64| {
        let step = brief(value - at, 7);
        at = brief(at + step, 12);
        Number(step)
    };
    values.iter().map(step).collect()
}

/// Values with the digits that are seen: some of each, and more where they all lie close to each other.
fn told_apart(values: &[f64]) -> Vec<Number> {
    let finite = values.iter().copied().filter(|value| value.is_finite());
    let (low, high) = finite
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    let finest = ((high - low) / PARTS).log10();
    let digits = |value: f64| match finest.is_finite() {
        true => ((value.abs().log10() - finest).ceil()).clamp(f64::from(DIGITS), 9.0) as i32,
        false => 9,
    };
    values.iter().map(|&value| Number(brief(value, digits(value)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(values: Vec<Number>) -> Vec<f64> {
        values.into_iter().map(|Number(value)| value).collect()
    }

    #[test]
    fn places_stand_as_differences_that_add_up_to_them() {
        let places: Vec<f64> = (0..1000).map(|place| 0.1 + f64::from(place) * (1.0 / 3.0)).collect();
        let mut at = 0.0;
        for (place, step) in places.iter().zip(plain(differences(&places))) {
            at = brief(at + step, 12);
            assert!((at - place).abs() < 1e-4, "{at} for {place}");
        }
        assert_eq!(plain(differences(&[10.0, 20.0, 50.0])), [10.0, 10.0, 30.0]);
    }

    #[test]
    fn values_keep_the_digits_that_are_seen() {
        for (values, kept) in [
            (vec![1.234567, 10.987654], vec![1.235, 10.99]),
            (vec![1e-4 / 3.0, 10.0], vec![3.333e-5, 10.0]),
            (vec![412_345.678, 412_346.789], vec![412_345.678, 412_346.789]),
            (vec![2.0 / 3.0], vec![0.666_666_667]),
            (vec![f64::INFINITY, 0.0, 1.0], vec![f64::INFINITY, 0.0, 1.0]),
        ] {
            assert_eq!(plain(told_apart(&values)), kept);
        }
    }

    #[test]
    fn a_line_that_several_charts_have_stands_once() {
        let series = |points: &str| {
            format!(
                r##"{{"id":"x/a/val/loss","experiment":"x","run":"a","points":{points},"rows":2,"href":"../a","csv":{{}}}}"##
            )
        };
        let mut packed = Packed::default();
        for (section, points) in [("r0", "[10,\"nan\",20,1.5]"), ("e0", "[20,1.5]")] {
            let chart = format!(r#"{{"series":[{}]}}"#, series(points));
            let sent = Sent { section, id: "figure", heading: None, chart: &chart };
            packed.add(&sent, |experiment, run| format!("#{experiment}/{run}"));
        }
        let packed = serde_json::to_value(&packed).unwrap();
        assert_eq!(
            packed["lines"],
            json!([{ "x": [10.0, 10.0], "y": ["nan", 1.5], "at": [], "mean": [], "of": [], "rows": 2 }])
        );
        let series = &packed["figures"]["e0"][0]["chart"]["series"][0];
        assert_eq!(
            series,
            &json!({ "id": "x/a/val/loss", "experiment": "x", "run": "a", "href": "#x/a", "line": 0 })
        );
    }
}
