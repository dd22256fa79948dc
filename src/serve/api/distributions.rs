//! `/api/v1/runs/{experiment}/{run}/distributions`: how values were spread over the steps of a run, of programs that
//! log histograms. The report's copy of the table is read row by row, twice: first to find the steps that are told.

use std::collections::HashSet;
use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;

use super::call::{Call, Reply};
use super::metrics::{self, Wanted};
use super::outline::Outline;
use super::problem::Problem;
use super::route::{Access, EXPERIMENT, FROM, Kind, Parameter, Place, RUN, Route, TO};
use super::runs::Measured;
use crate::report::catalog::{self, Listed};
use crate::run_dir::distributions::{self, QUANTILES};
use crate::run_dir::metrics::stream::Rows;

pub(super) const ROUTE: Route = Route {
    path: "/api/v1/runs/{experiment}/{run}/distributions",
    name: "getDistributions",
    summary: "How values were spread over the steps of an imported run: quantiles of the histograms that it logged, \
              thinned to so many steps each; the least and the largest value are kept.",
    parameters: &[
        EXPERIMENT,
        RUN,
        FROM,
        TO,
        Parameter {
            name: "name",
            place: Place::Query,
            kind: Kind::Texts { most: MOST },
            description: "A histogram that is wanted, several if said several times; without it the first twenty.",
        },
        Parameter {
            name: "points",
            place: Place::Query,
            kind: Kind::Number { least: 20, most: 10_000, default: Some(1000) },
            description: "Steps of each histogram at the most.",
        },
    ],
    refusals: &[404, 503],
    access: Access::Reader,
    content: &[(super::JSON, |schemas| schemas.subschema_for::<Distributions>())],
    answer,
};

const MOST: usize = 20;
/// Names that are told of those that are left out.
const MOST_NAMES: usize = 100;

/// How values were spread.
#[derive(Serialize, JsonSchema)]
struct Distributions {
    experiment: String,
    run: String,
    /// None where no histogram was logged.
    histograms: Vec<Histogram>,
    /// Histograms that are not told, because there are too many or they were not asked for; a hundred at the most.
    left_out: Vec<String>,
    /// Lines of the file that could not be used.
    bad: u64,
    /// Whether any histogram has fewer steps here than were logged.
    thinned: bool,
    /// The address of the whole table, where there is one.
    csv: Option<String>,
}

/// One histogram: its quantiles at each step, in the order of the file.
#[derive(Serialize, JsonSchema)]
struct Histogram {
    name: String,
    /// Steps of the range at which it was logged.
    logged: u64,
    /// Whether some of them are left out here.
    thinned: bool,
    steps: Vec<Measured>,
    /// The least value.
    min: Vec<Measured>,
    /// 5 % of the values lie below it.
    p5: Vec<Measured>,
    p25: Vec<Measured>,
    /// The median.
    p50: Vec<Measured>,
    p75: Vec<Measured>,
    p95: Vec<Measured>,
    /// The largest value.
    max: Vec<Measured>,
}

fn answer(call: &Call) -> Result<Reply, Problem> {
    let (listed, _) = call.run()?;
    let path = catalog::table(&call.api.workspace, &listed, "distributions.csv");
    let (from, to) = call.values.steps();
    let points = call.values.number("points").unwrap_or(1000) as usize;
    let wanted = Wanted { columns: call.values.all("name").to_vec(), from, to, points };
    let version = metrics::version(&path, &wanted);
    let make = move || {
        let told = read(&path, &listed, &wanted)?;
        serde_json::to_vec(&told).map_err(|error| Problem::unavailable(error.to_string()))
    };
    Ok(Reply::Later { version, make: Box::new(make) })
}

/// A value for each quantile.
type Quantiles = [f64; QUANTILES.len()];

/// The columns of a histogram among those of its table.
type Places = [usize; QUANTILES.len()];
type Named = (String, Places);

fn read(path: &Path, listed: &Listed, wanted: &Wanted) -> Result<Distributions, Problem> {
    let (told, left_out) = chosen(&open(path)?.columns, wanted)?;
    let places: Vec<Places> = told.iter().map(|(_, places)| *places).collect();
    // The extremes of the least values and of the largest ones stay.
    let mut outlines = vec![[(); 2].map(|()| Outline::new(wanted.points / 2)); told.len()];
    let bad = each(path, &places, wanted, |histogram, step, quantiles| {
        let [least, largest] = &mut outlines[histogram];
        least.take((step, quantiles[0]));
        largest.take((step, quantiles[QUANTILES.len() - 1]));
    })?;
    let logged: Vec<u64> = outlines.iter().map(|[least, _]| least.taken()).collect();
    let steps = |outlines: [Outline; 2]| outlines.into_iter().flat_map(|outline| outline.finish().0);
    let kept: Vec<HashSet<u64>> = outlines
        .into_iter()
        .map(|outlines| steps(outlines).map(|(step, _)| step.to_bits()).collect())
        .collect();
    let mut rows: Vec<Vec<(f64, Quantiles)>> = vec![Vec::new(); told.len()];
    each(path, &places, wanted, |histogram, step, quantiles| {
        // In a table of another hand a step may stand more than once.
        if kept[histogram].contains(&step.to_bits()) && rows[histogram].len() < wanted.points {
            rows[histogram].push((step, *quantiles));
        }
    })?;
    let histograms: Vec<Histogram> = told
        .into_iter()
        .zip(logged)
        .zip(rows)
        .map(|(((name, _), logged), rows)| histogram(name, logged, &rows))
        .collect();
    let address = || format!("/{}distributions.csv", catalog::address_of(&catalog::run_page(listed)));
    Ok(Distributions {
        experiment: listed.experiment.clone(),
        run: listed.run.clone(),
        thinned: histograms.iter().any(|one| one.thinned),
        histograms,
        left_out,
        bad,
        csv: path.is_file().then(address),
    })
}

fn failed(error: impl std::fmt::Display) -> Problem {
    Problem::unavailable(format!("the table cannot be read: {error}"))
}

fn open(path: &Path) -> Result<Rows, Problem> {
    Rows::open(path).map_err(failed)
}

/// Gives each histogram of each row of the range; how many lines could not be used.
fn each(
    path: &Path,
    histograms: &[Places],
    wanted: &Wanted,
    mut take: impl FnMut(usize, f64, &Quantiles),
) -> Result<u64, Problem> {
    let mut rows = open(path)?;
    let Some(step) = rows.columns.iter().position(|name| name == "step") else { return Ok(rows.bad) };
    let mut row = Vec::new();
    while rows.next(&mut row).map_err(failed)? {
        let Some(at) = row[step].filter(|at| (wanted.from as f64..=wanted.to as f64).contains(at)) else {
            continue;
        };
        for (histogram, places) in histograms.iter().enumerate() {
            let quantiles = places.map(|place| row[place]);
            if quantiles.iter().all(Option::is_some) {
                take(histogram, at, &quantiles.map(Option::unwrap_or_default));
            }
        }
    }
    Ok(rows.bad)
}

/// Those that are told with their columns, and the names of those that are not.
fn chosen(header: &[String], wanted: &Wanted) -> Result<(Vec<Named>, Vec<String>), Problem> {
    let known = distributions::names_of(header.iter().map(String::as_str));
    for name in &wanted.columns {
        if !known.contains(&name.as_str()) {
            return Err(metrics::unknown("name", &format!("this run has no histogram {name}"), name, &known));
        }
    }
    let is_told =
        |name: &&str| wanted.columns.is_empty() || wanted.columns.iter().any(|wanted| wanted == name);
    let (told, rest): (Vec<&str>, Vec<&str>) = known.into_iter().partition(is_told);
    let (told, beyond) = told.split_at(told.len().min(MOST));
    let places = |name: &&str| {
        let place = |column: String| header.iter().position(|known| *known == column).unwrap_or_default();
        ((*name).to_owned(), distributions::columns(name).map(place))
    };
    let left = beyond.iter().chain(&rest).take(MOST_NAMES).map(|name| (*name).to_owned());
    Ok((told.iter().map(places).collect(), left.collect()))
}

fn histogram(name: String, logged: u64, rows: &[(f64, Quantiles)]) -> Histogram {
    let of = |place: usize| rows.iter().map(|(_, quantiles)| Measured::from(quantiles[place])).collect();
    Histogram {
        name,
        logged,
        thinned: (rows.len() as u64) < logged,
        steps: rows.iter().map(|(step, _)| Measured::from(*step)).collect(),
        min: of(0),
        p5: of(1),
        p25: of(2),
        p50: of(3),
        p75: of(4),
        p95: of(5),
        max: of(6),
    }
}
