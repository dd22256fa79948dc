//! What the machine did during a run: one small chart for each measured quantity.

use super::super::chart::{self, Axis, Chart, Form, Point, Range, Series, Size, Spread, Weight};
use super::super::files::RunFiles;
use super::super::model::Figure;
use super::super::summary::RunSummary;

/// Charts of telemetry on one page.
const MOST: usize = 12;

/// A chart for each column that has values, over the minutes since the first sample.
pub fn figures(files: &RunFiles, summary: &RunSummary) -> Vec<Figure> {
    let Some(start) = files.telemetry.column("time").and_then(|time| time.values.first().copied()) else {
        return Vec::new();
    };
    let end = files.telemetry.column("time").and_then(|time| time.last()).unwrap_or(start);
    let (unit, seconds) = match end - start {
        span if span > 6.0 * 3600.0 => ("hours", 3600.0),
        span if span > 300.0 => ("minutes", 60.0),
        _ => ("seconds", 1.0),
    };
    let columns = files.telemetry.columns.iter().filter(|column| column.name != "time");
    columns
        .filter_map(|column| {
            let shown = Shown::of(&column.name)?;
            let points: Vec<Point> = files
                .telemetry
                .points("time", &column.name)
                .map(|(time, value)| ((time - start) / seconds, value / shown.divisor))
                .collect();
            if points.is_empty() {
                return None;
            }
            let note = if shown.unit.is_empty() {
                format!("over {unit}")
            } else {
                format!("{} over {unit}", shown.unit)
            };
            let (label, weight) = (shown.title.clone(), Weight::Plain);
            let chart = Chart {
                title: shown.title.clone(),
                subtitle: note.clone(),
                x: Axis {
                    label: unit.into(),
                    spread: Spread::Linear,
                    range: Range::Fixed(0.0, (end - start) / seconds),
                },
                y: Axis { label: shown.title.clone(), spread: Spread::Linear, range: shown.range },
                series: vec![Series { label, number: summary.number % 8, points, weight, form: Form::AsIs }],
                events: Vec::new(),
                size: Size::Third,
            };
            let id = format!("telemetry-{}", column.name.replace(|c: char| !c.is_ascii_alphanumeric(), "-"));
            let (title, svg) = (shown.title, chart::draw(&chart));
            Some(Figure { id, title, note, width: "w4", legend: Vec::new(), svg })
        })
        .take(MOST)
        .collect()
}

/// Energy of all GPUs over the run, from counters that only rise.
pub fn energy_kwh(files: &RunFiles) -> Option<f64> {
    let counters = files.telemetry.columns.iter().filter(|column| column.name.ends_with("energy_joules"));
    let used = counters.filter_map(|column| Some(column.last()? - column.values.first()?));
    let joules = used.fold(None, |sum: Option<f64>, used| Some(sum.unwrap_or(0.0) + used))?;
    (joules.is_finite() && joules > 0.0).then_some(joules / 3.6e6)
}

/// How a column is shown: the unit stands at the end of its name.
struct Shown {
    title: String,
    unit: &'static str,
    divisor: f64,
    range: Range,
}

impl Shown {
    fn of(column: &str) -> Option<Shown> {
        // A counter since the machine's start tells nothing as a curve.
        let counters = ["_joules", "network_received_bytes", "network_sent_bytes"];
        if counters.iter().any(|counter| column.ends_with(counter)) {
            return None;
        }
        const GIB: f64 = 1024.0 * 1024.0 * 1024.0;
        let units = [
            ("_percent", "%", 1.0, Range::Fixed(0.0, 100.0)),
            ("_bytes", "GiB", GIB, Range::FromZero),
            ("_mib", "GiB", 1024.0, Range::FromZero),
            ("_celsius", "°C", 1.0, Range::All),
            ("_watts", "W", 1.0, Range::FromZero),
            ("_mhz", "MHz", 1.0, Range::FromZero),
        ];
        let found = units.into_iter().find_map(|(end, unit, divisor, range)| {
            let title = title(column.strip_suffix(end)?);
            Some(Shown { title, unit, divisor, range })
        });
        Some(found.unwrap_or_else(|| Shown {
            title: title(column),
            unit: "",
            divisor: 1.0,
            range: Range::All,
        }))
    }
}

/// "gpu0_use" is "GPU 0 use".
fn title(name: &str) -> String {
    let words = name.split('_').map(|word| match word.strip_prefix("gpu") {
        Some("") => "GPU".to_owned(),
        Some(number) if number.bytes().all(|byte| byte.is_ascii_digit()) => format!("GPU {number}"),
        _ if word == "cpu" => "CPU".to_owned(),
        _ => word.to_owned(),
    });
    let words: Vec<String> = words.collect();
    let text = words.join(" ");
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_titled_by_its_name_and_measured_by_its_end() {
        let shown = Shown::of("gpu0_memory_bytes").unwrap();
        assert_eq!((shown.title.as_str(), shown.unit), ("GPU 0 memory", "GiB"));
        assert_eq!(Shown::of("cpu_percent").unwrap().title, "CPU");
        assert_eq!(Shown::of("process_memory_bytes").unwrap().title, "Process memory");
        assert!(Shown::of("gpu0_energy_joules").is_none());
    }
}
