//! What the machine did during a run: one small chart for each measured quantity, and in words what
//! held its GPU up.

mod words;

use std::borrow::Cow;

use super::super::chart::number::measured;
use super::super::chart::{
    Axis, Chart, Counted, Csv, Event, Form, Origin, Point, Range, Series, Size, Spread, Weight,
};
use super::super::files::RunFiles;
use super::super::model::Figure;
use super::super::planned::Planned;
use super::super::summary::RunSummary;
use super::events;
use crate::run_dir::metrics::{Column, Metrics};
use crate::run_dir::telemetry::{self, Energy, LOST, XID};

pub use words::notes;

/// Charts of telemetry on one page.
const MOST: usize = 18;

/// A chart for each column that has values, over the minutes since the first sample: the GPU's first.
pub fn figures(files: &RunFiles, summary: &RunSummary) -> Vec<Figure> {
    planned(files, summary).into_iter().map(Planned::drawn).collect()
}

/// The same before they are drawn.
pub fn planned(files: &RunFiles, summary: &RunSummary) -> Vec<Planned> {
    let straight = in_order(&files.telemetry);
    // Times that were moved stand in no file.
    let has_rows = matches!(straight, Cow::Borrowed(_));
    let table = straight.as_ref();
    let Some(start) = table.column("time").and_then(|time| time.values.first().copied()) else {
        return Vec::new();
    };
    let end = table.column("time").and_then(|time| time.last()).unwrap_or(start);
    let span = Span::of(start, end);
    let marks = words::marks(table);
    // Times that were moved fit no event.
    let happened = if has_rows { events::over_time(files, summary) } else { Vec::new() };
    let happened: Vec<Event> =
        happened.into_iter().map(|event| Event { x: span.place(event.x), ..event }).collect();
    let mut columns: Vec<&Column> = table.columns.iter().filter(|column| column.name != "time").collect();
    columns.sort_by_key(|column| !column.name.starts_with("gpu"));
    let figure = |column: &Column| {
        let mut shown = Shown::of(&column.name)?;
        let raw = points(table, column, &shown, &span);
        if raw.is_empty() || shown.is_amount && raw.iter().all(|(_, value)| *value == 0.0) {
            return None;
        }
        shown.choose_unit(raw.iter().map(|(_, value)| *value));
        let points = raw.into_iter().map(|(time, value)| (time, value / shown.divisor)).collect();
        let of_gpu = column.name.starts_with("gpu");
        let events = marks.iter().filter(|mark| of_gpu && mark.is_on(&column.name));
        let events = events.map(|mark| Event { x: span.place(mark.time), word: mark.word.clone() });
        let events = events.chain(happened.iter().cloned());
        let mut origin = origin(table, column, &shown, &span, summary);
        origin.csv = origin.csv.filter(|_| has_rows);
        Some(plan(shown, points, events.collect(), &span, origin))
    };
    columns.into_iter().filter_map(figure).take(MOST).collect()
}

/// The table with times that never go back: where somebody set the clock back, the rows after it follow the
/// one before as the closest ones follow each other.
pub(in crate::report) fn in_order(table: &Metrics) -> Cow<'_, Metrics> {
    let times = table.column("time").map(|time| time.values.as_slice()).unwrap_or_default();
    let steps = times.windows(2).map(|pair| pair[1] - pair[0]);
    if !steps.clone().any(|step| step < 0.0) {
        return Cow::Borrowed(table);
    }
    let closest = steps.filter(|step| *step > 0.0).fold(f64::INFINITY, f64::min);
    let closest = if closest.is_finite() { closest } else { 0.0 };
    let mut straight = table.clone();
    if let Some(time) = straight.columns.iter_mut().find(|column| column.name == "time") {
        let mut shift = 0.0;
        let mut before = f64::NEG_INFINITY;
        for value in &mut time.values {
            if *value + shift < before {
                shift = before + closest - *value;
            }
            *value += shift;
            before = *value;
        }
    }
    Cow::Owned(straight)
}

/// Joules that the run took, over all its attempts. Tables of earlier versions have the counters of whole
/// devices alone, which only rise.
pub fn energy_joules(table: &Metrics) -> Option<f64> {
    let counters = || {
        let of_device = |column: &&Column| column.name.starts_with("gpu") && column.name.ends_with("_joules");
        let counters = table.columns.iter().filter(of_device);
        let used = counters.filter_map(|column| Some(column.last()? - column.values.first()?));
        used.fold(None, |sum: Option<f64>, used| Some(sum.unwrap_or(0.0) + used))
    };
    let has_shares = table.column(telemetry::RUN_GPU_JOULES).is_some();
    let joules = if has_shares { Energy::of(table).total_joules() } else { counters() };
    joules.filter(|joules| joules.is_finite() && (has_shares || *joules > 0.0))
}

/// The time that all charts show.
pub(in crate::report) struct Span {
    pub(in crate::report) start: f64,
    pub(in crate::report) unit: &'static str,
    pub(in crate::report) seconds: f64,
    pub(in crate::report) length: f64,
}

impl Span {
    pub(in crate::report) fn of(start: f64, end: f64) -> Span {
        let (unit, seconds) = match end - start {
            span if span > 6.0 * 3600.0 => ("hours", 3600.0),
            span if span > 300.0 => ("minutes", 60.0),
            _ => ("seconds", 1.0),
        };
        Span { start, unit, seconds, length: (end - start) / seconds }
    }

    pub(in crate::report) fn place(&self, time: f64) -> f64 {
        (time - self.start) / self.seconds
    }
}

/// Values as they stand in the table, rates of counters.
pub(in crate::report) fn points(table: &Metrics, column: &Column, shown: &Shown, span: &Span) -> Vec<Point> {
    let values = table.points("time", &column.name);
    let values: Box<dyn Iterator<Item = Point>> = match shown.kind {
        Kind::Gauge => Box::new(values),
        Kind::Counter => {
            let counts: Vec<Point> = values.collect();
            // What a counter rose by in a pause, other runs and people did.
            Box::new(stretches(&counts).into_iter().flat_map(rates).collect::<Vec<_>>().into_iter())
        }
    };
    values.map(|(time, value)| (span.place(time), value)).collect()
}

/// Samples that lie further apart than so many usual intervals have a pause between them.
const PAUSE_INTERVALS: f64 = 4.0;

/// The stretches in which samples came as usual. Nothing is known of a pause, so no line leads over it.
pub(in crate::report) fn stretches(points: &[Point]) -> Vec<&[Point]> {
    let mut apart: Vec<f64> = points.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    if apart.is_empty() {
        return vec![points];
    }
    let middle = apart.len() / 2;
    let usual = *apart.select_nth_unstable_by(middle, f64::total_cmp).1;
    points.chunk_by(|one, other| other.0 - one.0 <= PAUSE_INTERVALS * usual).collect()
}

/// What a counter rose by in each second between two rows. One that fell began anew with the machine.
fn rates(counts: &[Point]) -> Vec<Point> {
    let rate = |pair: &[Point]| {
        let ((from, before), (to, after)) = (pair[0], pair[1]);
        (to > from && after >= before).then(|| (to, (after - before) / (to - from)))
    };
    counts.windows(2).filter_map(rate).collect()
}

/// Whose line it is. A rate stands in no file as it is drawn, so that one has no rows to look up.
fn origin(table: &Metrics, column: &Column, shown: &Shown, span: &Span, summary: &RunSummary) -> Origin {
    let place = |name: &str| table.columns.iter().position(|known| known.name == name);
    let places = place("time").zip(place(&column.name)).filter(|_| shown.kind == Kind::Gauge);
    let csv = places.map(|(x, y)| Csv {
        href: "telemetry.csv".into(),
        x,
        y,
        from: span.start,
        unit: span.seconds,
        divisor: shown.divisor,
    });
    Origin {
        experiment: summary.experiment.clone(),
        run: summary.run.clone(),
        number: summary.number,
        metric: column.name.clone(),
        csv,
        ..Origin::default()
    }
}

fn plan(shown: Shown, points: Vec<Point>, events: Vec<Event>, span: &Span, origin: Origin) -> Planned {
    let unit = span.unit;
    let note =
        if shown.unit.is_empty() { format!("over {unit}") } else { format!("{} over {unit}", shown.unit) };
    let column = origin.metric.clone();
    let series = stretches(&points).into_iter().enumerate().map(|(index, points)| Series {
        label: match (index, points.first()) {
            (0, _) | (_, None) => shown.title.clone(),
            (_, Some((at, _))) => format!("{} after a pause, from {unit} {}", shown.title, measured(*at)),
        },
        number: origin.number,
        points: points.to_vec(),
        weight: Weight::Plain,
        form: Form::AsIs,
        origin: origin.clone(),
    });
    let series = series.collect();
    let chart = Chart {
        title: shown.title.clone(),
        subtitle: note.clone(),
        x: Axis {
            label: unit.into(),
            spread: Spread::Linear,
            range: Range::Fixed(0.0, span.length),
            counted: Counted::Time { from: span.start, unit: span.seconds },
        },
        y: Axis {
            label: shown.title.clone(),
            spread: Spread::Linear,
            range: shown.range,
            counted: Counted::Steps,
        },
        series,
        events,
        size: Size::Third,
        told: String::new(),
        bands: Vec::new(),
    };
    let id = format!("telemetry-{}", column.replace(|c: char| !c.is_ascii_alphanumeric(), "-"));
    Planned { id, title: shown.title, note, legend: Vec::new(), chart }
}

/// How a column is shown: the unit stands at the end of its name.
pub(in crate::report) struct Shown {
    pub(in crate::report) title: String,
    pub(in crate::report) unit: &'static str,
    pub(in crate::report) divisor: f64,
    pub(in crate::report) range: Range,
    kind: Kind,
    /// Bytes, whose unit follows from how many there are; none at all are not worth a chart.
    is_amount: bool,
}

/// Whether a column says how much there is, or how much there was in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Gauge,
    Counter,
}

impl Shown {
    /// Whether the file has the values as they are drawn.
    pub(in crate::report) fn is_gauge(&self) -> bool {
        self.kind == Kind::Gauge
    }

    pub(in crate::report) fn of(column: &str) -> Option<Shown> {
        // A counter of energy tells less than the power beside it; these are told in words.
        let untold = ["_joules", XID, LOST, "processes_count", "processes", telemetry::THROTTLE];
        if untold.iter().any(|end| column.ends_with(end)) {
            return None;
        }
        let counters = ["disk_read", "disk_written", "network_received", "network_sent"];
        if counters.iter().any(|counter| column.strip_suffix("_bytes") == Some(counter)) {
            let title = title(column.strip_suffix("_bytes").unwrap_or(column));
            let range = Range::FromZero;
            let kind = Kind::Counter;
            return Some(Shown { title, unit: "B/s", divisor: 1.0, range, kind, is_amount: true });
        }
        let units = [
            ("_percent", "%", 1.0, Range::Fixed(0.0, 100.0)),
            ("_bytes", "B", 1.0, Range::FromZero),
            ("_mib", "MiB", 1.0, Range::FromZero),
            ("_celsius", "°C", 1.0, Range::All),
            ("_watts", "W", 1.0, Range::FromZero),
            ("_mhz", "MHz", 1.0, Range::FromZero),
        ];
        let found = units.into_iter().find_map(|(end, unit, divisor, range)| {
            let title = title(column.strip_suffix(end)?);
            let is_amount = ["B", "MiB"].contains(&unit);
            Some(Shown { title, unit, divisor, range, kind: Kind::Gauge, is_amount })
        });
        Some(found.unwrap_or_else(|| Shown {
            title: title(column),
            unit: "",
            divisor: 1.0,
            range: Range::All,
            kind: Kind::Gauge,
            is_amount: false,
        }))
    }

    /// The unit in which the largest of these bytes has one to four digits before the point.
    pub(in crate::report) fn choose_unit(&mut self, values: impl Iterator<Item = f64>) {
        if !self.is_amount {
            return;
        }
        let largest = values.filter(|value| value.is_finite()).fold(0.0, f64::max);
        let (mut place, form) = AMOUNTS
            .iter()
            .enumerate()
            .find_map(|(place, forms)| Some((place, forms.iter().position(|unit| *unit == self.unit)?)))
            .unwrap_or_default();
        while largest / self.divisor >= EACH && place + 1 < AMOUNTS.len() {
            place += 1;
            self.divisor *= EACH;
        }
        self.unit = AMOUNTS[place][form];
    }
}

/// Units of bytes, each so many times the one before.
const AMOUNTS: [[&str; 2]; 5] =
    [["B", "B/s"], ["KiB", "KiB/s"], ["MiB", "MiB/s"], ["GiB", "GiB/s"], ["TiB", "TiB/s"]];
const EACH: f64 = 1024.0;

/// "gpu0_use" is "GPU 0 use".
fn title(name: &str) -> String {
    let words = name.split('_').map(|word| match word.strip_prefix("gpu") {
        Some("") => "GPU".to_owned(),
        Some(number) if number.bytes().all(|byte| byte.is_ascii_digit()) => format!("GPU {number}"),
        _ if word == "cpu" => "CPU".to_owned(),
        _ if word == "gpu" => "GPU".to_owned(),
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
        assert_eq!((shown.title.as_str(), shown.unit), ("GPU 0 memory", "B"));
        assert_eq!(Shown::of("cpu_percent").unwrap().title, "CPU");
        assert_eq!(Shown::of("process_memory_bytes").unwrap().title, "Process memory");
        assert_eq!(Shown::of("gpu_memory_clock_mhz").unwrap().title, "GPU memory clock");
        for words in
            ["gpu0_energy_joules", "gpu_xid_code", "gpu_lost", "gpu_processes", "gpu_throttle_reasons"]
        {
            assert!(Shown::of(words).is_none(), "{words}");
        }
    }

    #[test]
    fn bytes_are_told_in_the_unit_that_fits_them() {
        let told = |column: &str, largest: f64| {
            let mut shown = Shown::of(column).unwrap();
            shown.choose_unit([0.0, f64::NAN, largest].into_iter());
            format!("{} {}", largest / shown.divisor, shown.unit)
        };
        let gib = 1024f64.powi(3);
        for (column, largest, expected) in [
            ("network_sent_bytes", 512.0, "512 B/s"),
            ("network_sent_bytes", 4096.0, "4 KiB/s"),
            ("process_memory_bytes", 1.5 * gib, "1.5 GiB"),
            ("process_memory_bytes", 4e-3 * gib, "4.096 MiB"),
            ("gpu0_memory_mib", 512.0, "512 MiB"),
            ("gpu0_memory_mib", 81_920.0, "80 GiB"),
            ("cpu_percent", 4096.0, "4096 %"),
        ] {
            assert_eq!(told(column, largest), expected);
        }
    }

    #[test]
    fn a_clock_that_was_set_back_turns_no_curve_round() {
        let mut table = Metrics::default();
        table.extend(b"time,cpu_percent\n100,1\n102,2\n10902,3\n104.5,4\n106.5,5\n50,6\n");
        let times = in_order(&table).points("time", "cpu_percent").collect::<Vec<_>>();
        let expected =
            [(100.0, 1.0), (102.0, 2.0), (10_902.0, 3.0), (10_904.0, 4.0), (10_906.0, 5.0), (10_908.0, 6.0)];
        assert_eq!(times, expected);
        let mut table = Metrics::default();
        table.extend(b"time,cpu_percent\n100,1\n102,2\n");
        assert!(matches!(in_order(&table), Cow::Borrowed(_)));
    }

    #[test]
    fn no_line_leads_over_a_pause() {
        let at = |times: &[f64]| times.iter().map(|time| (*time, 1.0)).collect::<Vec<Point>>();
        let lengths = |times: &[f64]| stretches(&at(times)).iter().map(|part| part.len()).collect::<Vec<_>>();
        assert_eq!(lengths(&[0.0, 2.0, 4.1, 6.0, 60.0, 62.0, 64.0]), [4, 3]);
        assert_eq!(lengths(&[0.0, 2.0, 4.0, 9.0, 11.0]), [5], "a late sample is no pause");
        assert_eq!(lengths(&[0.0]), [1]);
        assert_eq!(lengths(&[0.0, 50.0]), [2]);
    }

    #[test]
    fn counters_are_shown_as_rates() {
        let shown = Shown::of("network_received_bytes").unwrap();
        assert_eq!(
            (shown.title.as_str(), shown.unit, shown.kind),
            ("Network received", "B/s", Kind::Counter)
        );
        let counts = vec![(0.0, 100.0), (2.0, 300.0), (4.0, 10.0), (6.0, 10.0)];
        assert_eq!(rates(&counts), [(2.0, 100.0), (6.0, 0.0)]);
    }

    #[test]
    fn energy_is_the_runs_share_and_in_older_tables_the_devices_own() {
        let table = |text: &str| {
            let mut table = Metrics::default();
            table.extend(text.as_bytes());
            energy_joules(&table)
        };
        assert_eq!(table("time,gpu_energy_joules\n1,500\n2,900\n"), Some(400.0));
        let shares = "time,gpu_energy_joules,run_gpu_energy_joules,run_cpu_energy_joules\n";
        assert_eq!(table(&format!("{shares}1,500,20,\n2,900,220,5\n3,,,\n")), Some(225.0));
        assert_eq!(table(&format!("{shares}1,,,\n")), None, "absent, never zero");
    }
}
