//! The machine over a batch: the runs as bars, and below them one chart for each quantity over the same time
//! line, a line for each GPU.

use super::super::chart::night::{self, Night};
use super::super::chart::number::measured;
use super::super::chart::series::thinned;
use super::super::chart::{
    self, Axis, Chart, Counted, Csv, Event, Form, Origin, Point, Range, Series, Size, Spread, Weight,
};
use super::super::index_page::numbers_here;
use super::super::lanes;
use super::super::model::{Figure, Key};
use super::super::run_page::telemetry::{Shown, Span, points, stretches};
use super::super::say::Clock;
use super::super::summary::{AttemptSpan, RunSummary};
use super::troubles::{self, Troubles};
use crate::run_dir::metrics::Metrics;

/// Quantities of a GPU, by the end of their columns.
const OF_GPUS: [(&str, &str); 5] = [
    ("use_percent", "GPU use"),
    ("memory_bytes", "GPU memory"),
    ("power_watts", "GPU power"),
    ("temperature_celsius", "GPU temperature"),
    ("clock_mhz", "GPU clock"),
];
/// Quantities of the machine: the columns that share a chart.
const OF_MACHINE: [(&str, &[(&str, &str)]); 5] = [
    ("Processor", &[("cpu_percent", "processor")]),
    ("Memory", &[("memory_bytes", "memory")]),
    ("Disk", &[("disk_read_bytes", "read"), ("disk_written_bytes", "written")]),
    ("Room on the disk", &[("disk_free_bytes", "free")]),
    ("Network", &[("network_received_bytes", "received"), ("network_sent_bytes", "sent")]),
];
/// Points of a line are reduced to about twice as many: a page has a dozen charts of as many lines as
/// there are GPUs, and reads closer by what lies beside it.
const COLUMNS: u32 = 400;
/// Marks on one chart.
const MOST_MARKS: usize = 12;

/// One line of a chart: the column, its name, its number.
struct Line {
    column: String,
    label: String,
    number: u16,
}

/// The runs of a batch over a time, with the troubles of the GPUs below their runs.
pub fn time_line(
    attempts: Vec<(&RunSummary, &AttemptSpan)>,
    troubles: &[(String, Troubles)],
    (start, end): (f64, f64),
    root: &str,
    clock: &Clock,
) -> Option<Figure> {
    let (numbers, legend) = numbers_here(attempts.iter().map(|(run, _)| *run), root);
    let mut all = lanes::lanes(attempts, &numbers, clock.now);
    for (device, found) in troubles {
        let name = troubles::name(device);
        let device_lane = all.iter().position(|lane| lane.label == name);
        // The device's further lanes have no label.
        let behind = device_lane.map_or(all.len(), |first| {
            let further = all[first + 1..].iter().take_while(|lane| lane.label.is_empty()).count();
            first + 1 + further
        });
        all.splice(behind..behind, troubles::lanes(device, found));
    }
    let title = "Runs".to_owned();
    let night =
        Night { title: title.clone(), start, end, offset_seconds: clock.offset_seconds(start), lanes: all };
    let is_empty = night.lanes.is_empty();
    (!is_empty).then(|| Figure {
        id: "runs-over-time".into(),
        title,
        note: "which run used which device".into(),
        width: "w12",
        legend,
        drawing: night::drawing(&night),
    })
}

/// The charts of the GPUs, and those of the machine. `csv` is where the table lies, seen from the page.
pub fn charts(
    table: &Metrics,
    troubles: &[(String, Troubles)],
    (start, end): (f64, f64),
    csv: Option<&str>,
) -> (Vec<Figure>, Vec<Figure>) {
    let over = Over { table, span: Span::of(start, end), csv };
    let of_gpus = OF_GPUS.iter().filter_map(|(quantity, title)| {
        let line = |(index, (device, _)): (usize, &(String, Troubles))| Line {
            column: format!("{device}_{quantity}"),
            label: troubles::name(device),
            number: index as u16,
        };
        let lines: Vec<Line> = troubles.iter().enumerate().map(line).collect();
        over.figure(title, &lines, over.events(troubles, *quantity == "clock_mhz"))
    });
    let of_machine = OF_MACHINE.iter().filter_map(|(title, columns)| {
        let line = |(index, (column, label)): (usize, &(&str, &str))| Line {
            column: (*column).to_owned(),
            label: (*label).to_owned(),
            number: index as u16,
        };
        let lines: Vec<Line> = columns.iter().enumerate().map(line).collect();
        over.figure(title, &lines, Vec::new())
    });
    let mut of_gpus: Vec<Figure> = of_gpus.collect();
    // The first says for all which line is which.
    of_gpus.iter_mut().skip(1).for_each(|figure| figure.legend.clear());
    (of_gpus, of_machine.collect())
}

/// What all charts of the page are over.
struct Over<'a> {
    table: &'a Metrics,
    span: Span,
    csv: Option<&'a str>,
}

impl Over<'_> {
    /// Errors on every chart of the GPUs, the reasons for lower clocks on that of the clocks.
    fn events(&self, troubles: &[(String, Troubles)], with_slow: bool) -> Vec<Event> {
        let event = |time: f64, word: String| Event { x: self.span.place(time), word };
        let mut events = Vec::new();
        for (device, found) in troubles {
            let name = troubles::name(device);
            let said = |what: String| if troubles.len() == 1 { what } else { format!("{name} {what}") };
            let errors = found.errors.iter().map(|(time, code)| event(*time, said(format!("XID {code}"))));
            events.extend(errors.take(MOST_MARKS));
            events.extend(found.lost.map(|time| event(time, said("lost".to_owned()))));
            let slow = found.slow.iter().filter(|_| with_slow);
            events.extend(slow.map(|slow| event(slow.from, said(slow.why.to_owned()))).take(MOST_MARKS));
        }
        events
    }

    fn figure(&self, title: &str, lines: &[Line], events: Vec<Event>) -> Option<Figure> {
        let mut shown = Shown::of(&lines.first()?.column)?;
        let raw: Vec<Vec<Point>> = lines.iter().map(|line| self.points(line)).collect();
        // The unit of amounts follows from the largest of all lines of the chart.
        shown.choose_unit(raw.iter().flatten().map(|(_, value)| *value));
        let both = lines.iter().zip(&raw);
        let series: Vec<Series> = both.flat_map(|(line, raw)| self.series(line, raw, &shown)).collect();
        if series.is_empty() {
            return None;
        }
        let (unit, span) = (self.span.unit, &self.span);
        let mut legend: Vec<Key> = Vec::new();
        for one in series.iter().filter(|_| lines.len() > 1) {
            let class = chart::backend::series_class(one.number);
            if legend.iter().all(|key| key.class != class) {
                let line = lines.iter().find(|line| line.number == one.number);
                let name = line.map_or_else(String::new, |line| line.label.clone());
                legend.push(Key { class, name, href: None });
            }
        }
        let chart = Chart {
            title: title.to_owned(),
            subtitle: shown.unit.to_owned(),
            x: Axis {
                label: unit.into(),
                spread: Spread::Linear,
                range: Range::Fixed(0.0, span.length),
                counted: Counted::Time { from: span.start, unit: span.seconds },
            },
            y: Axis {
                label: title.to_owned(),
                spread: Spread::Linear,
                range: shown.range,
                counted: Counted::Steps,
            },
            series,
            events,
            size: Size::Strip,
            told: String::new(),
            bands: Vec::new(),
        };
        let id = title.to_lowercase().replace(' ', "-");
        let note = format!("{} over {unit}", shown.unit);
        let drawing = chart::draw(&chart);
        Some(Figure { id, title: title.to_owned(), note, width: "w12", legend, drawing })
    }

    /// What stands in a column, or the rate of what it counts, in the file's unit.
    fn points(&self, line: &Line) -> Vec<Point> {
        let column = self.table.column(&line.column).zip(Shown::of(&line.column));
        column.map(|(column, shown)| points(self.table, column, &shown, &self.span)).unwrap_or_default()
    }

    /// The line of a column, in as many pieces as it has pauses.
    fn series(&self, line: &Line, raw: &[Point], shown: &Shown) -> Vec<Series> {
        let points: Vec<Point> = raw.iter().map(|(at, value)| (*at, value / shown.divisor)).collect();
        let place = |name: &str| self.table.columns.iter().position(|known| known.name == name);
        let places = place("time").zip(place(&line.column)).filter(|_| shown.is_gauge());
        let csv = places.zip(self.csv).map(|((x, y), href)| Csv {
            href: href.to_owned(),
            x,
            y,
            from: self.span.start,
            unit: self.span.seconds,
            divisor: shown.divisor,
        });
        let origin = Origin {
            experiment: "machine".to_owned(),
            run: line.label.clone(),
            number: line.number,
            metric: line.column.clone(),
            csv,
            ..Origin::default()
        };
        let pieces = stretches(&points).into_iter().filter(|piece| !piece.is_empty()).enumerate();
        let series = pieces.map(|(index, piece)| Series {
            label: match index {
                0 => line.label.clone(),
                _ => format!("{} from {} {}", line.label, self.span.unit, measured(piece[0].0)),
            },
            number: line.number,
            points: thinned(piece, COLUMNS),
            weight: Weight::Plain,
            form: Form::AsIs,
            origin: origin.clone(),
        });
        series.collect()
    }
}
