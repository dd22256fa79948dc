//! `/api/v1/runs/{experiment}/{run}/metrics`: curves of a run in as many points as are wanted, read row by
//! row from the report's copy of its table, so that no length of it takes more memory.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;

use super::call::{Call, Reply};
use super::outline::Outline;
use super::problem::Problem;
use super::route::{Access, EXPERIMENT, FROM, Kind, Parameter, Place, RUN, Route, TO};
use super::runs::Measured;
use crate::experiment::metric::{Direction, direction_of};
use crate::report::catalog::{self, Listed};
use crate::run_dir::metrics::stream::Rows;

pub(super) const ROUTE: Route = Route {
    path: "/api/v1/runs/{experiment}/{run}/metrics",
    name: "getMetrics",
    summary: "What a run logged over its steps, thinned to so many points a column; extremes are kept.",
    parameters: &[
        EXPERIMENT,
        RUN,
        FROM,
        TO,
        Parameter {
            name: "column",
            place: Place::Query,
            kind: Kind::Texts { most: MOST_COLUMNS },
            description: "A column of metrics.csv that is wanted, several if said several times; without \
                          it the first fifty.",
        },
        Parameter {
            name: "points",
            place: Place::Query,
            kind: Kind::Number { least: 10, most: 10_000, default: Some(1000) },
            description: "Points of each column at the most. The first and the last, the lowest and the \
                          highest stay, and values that are no finite numbers are not hidden.",
        },
    ],
    refusals: &[404, 503],
    access: Access::Reader,
    content: &[(super::JSON, |schemas| schemas.subschema_for::<Metrics>())],
    answer,
};

const MOST_COLUMNS: usize = 50;
/// The column that the others are told over.
const STEP: &str = "step";

/// What a run logged.
#[derive(Serialize, JsonSchema)]
struct Metrics {
    experiment: String,
    run: String,
    columns: Vec<Column>,
    /// Columns that are not told, because there are too many or they were not asked for; a hundred at the
    /// most.
    left_out: Vec<String>,
    /// Rows of the range.
    rows: u64,
    /// Lines of the file that could not be used.
    bad: u64,
    /// Whether any column has fewer points here than were logged.
    thinned: bool,
    /// The address of the whole table.
    csv: String,
}

/// One column where it was logged.
#[derive(Serialize, JsonSchema)]
struct Column {
    name: String,
    /// `higher` or `lower`, where one of them is better.
    better: Option<String>,
    /// Points that were logged in the range.
    logged: u64,
    /// Whether some of them are left out here.
    thinned: bool,
    /// Step and value of each point, in the order of the file.
    steps: Vec<Measured>,
    values: Vec<Measured>,
}

/// What is wanted of a table.
pub(super) struct Wanted {
    pub columns: Vec<String>,
    pub from: u64,
    pub to: u64,
    pub points: usize,
}

fn answer(call: &Call) -> Result<Reply, Problem> {
    let (listed, _) = call.run()?;
    let path = catalog::table(&call.api.workspace, &listed, "metrics.csv");
    let (from, to) = call.values.steps();
    let points = call.values.number("points").unwrap_or(1000) as usize;
    let wanted = Wanted { columns: call.values.all("column").to_vec(), from, to, points };
    let version = version(&path, &wanted);
    let make = move || {
        let metrics = read(&path, &listed, &wanted)?;
        serde_json::to_vec(&metrics).map_err(|error| Problem::unavailable(error.to_string()))
    };
    Ok(Reply::Later { version, make: Box::new(make) })
}

/// Another one for each state of the table and each wish, without reading it.
pub(super) fn version(path: &PathBuf, wanted: &Wanted) -> String {
    let state = fs::metadata(path).map(|file| (file.ino(), file.len(), file.mtime(), file.mtime_nsec())).ok();
    let Wanted { columns, from, to, points } = wanted;
    let hash = blake3::hash(format!("{path:?} {state:?} {columns:?} {from} {to} {points}").as_bytes());
    hash.to_hex()[..24].to_owned()
}

fn read(path: &Path, listed: &Listed, wanted: &Wanted) -> Result<Metrics, Problem> {
    let failed =
        |error: &dyn std::fmt::Display| Problem::unavailable(format!("the table cannot be read: {error}"));
    let mut rows = Rows::open(path).map_err(|error| failed(&error))?;
    let (told, left_out) = chosen(&rows.columns, &wanted.columns)?;
    let step = rows.columns.iter().position(|name| name == STEP);
    let mut outlines = vec![Outline::new(wanted.points); told.len()];
    let (mut count, mut row) = (0, Vec::new());
    while rows.next(&mut row).map_err(|error| failed(&error))? {
        let Some(at) = step.and_then(|step| row[step]) else { continue };
        if !(wanted.from as f64..=wanted.to as f64).contains(&at) {
            continue;
        }
        count += 1;
        for (column, outline) in told.iter().zip(&mut outlines) {
            if let Some(value) = row[*column] {
                outline.take((at, value));
            }
        }
    }
    let columns: Vec<Column> =
        told.iter().zip(outlines).map(|(place, outline)| column(&rows.columns[*place], outline)).collect();
    Ok(Metrics {
        experiment: listed.experiment.clone(),
        run: listed.run.clone(),
        thinned: columns.iter().any(|column| column.thinned),
        columns,
        left_out,
        rows: count,
        bad: rows.bad,
        csv: format!("/{}metrics.csv", catalog::address_of(&catalog::run_page(listed))),
    })
}

/// The places of those that are told, and the names of those that are not.
fn chosen(header: &[String], wanted: &[String]) -> Result<(Vec<usize>, Vec<String>), Problem> {
    const MOST_NAMES: usize = 100;
    for name in wanted {
        if !header.contains(name) {
            let known: Vec<&str> = header.iter().map(String::as_str).take(MOST_COLUMNS).collect();
            return Err(unknown("column", &format!("this run has no column {name}"), name, &known));
        }
    }
    let is_told = |name: &String| name != STEP && (wanted.is_empty() || wanted.contains(name));
    let (told, rest): (Vec<usize>, Vec<usize>) =
        (0..header.len()).partition(|place| is_told(&header[*place]));
    let (told, beyond) = told.split_at(told.len().min(MOST_COLUMNS));
    let left = beyond.iter().chain(&rest).map(|place| &header[*place]).filter(|name| *name != STEP);
    Ok((told.to_vec(), left.take(MOST_NAMES).cloned().collect()))
}

/// Why there is nothing of this name, with the one that was meant, or with those that there are.
pub(super) fn unknown(parameter: &str, detail: &str, name: &str, known: &[&str]) -> Problem {
    let nearest = known.iter().map(|known| (strsim::jaro_winkler(known, name), known));
    let nearest = nearest.filter(|(near, _)| *near > 0.8).max_by(|a, b| a.0.total_cmp(&b.0));
    let hint = match nearest {
        Some((_, known)) => format!("did you mean {known}?"),
        None if known.is_empty() => "there are none".to_owned(),
        None => format!("there are {}", known.join(", ")),
    };
    Problem { parameter: Some(parameter.to_owned()), ..Problem::new(404, detail, hint) }
}

fn column(name: &str, outline: Outline) -> Column {
    let logged = outline.taken();
    let (points, thinned) = outline.finish();
    let (steps, values) =
        points.into_iter().map(|(step, value)| (Measured::from(step), Measured::from(value))).unzip();
    let better = match direction_of(name) {
        Direction::Higher => Some("higher"),
        Direction::Lower => Some("lower"),
        _ => None,
    };
    Column { name: name.to_owned(), better: better.map(str::to_owned), logged, thinned, steps, values }
}
