//! `overnight compare`: runs side by side, as the page of that name has them.

use std::io::{self, Write};

use super::print_json;
use super::text::{self, Cell, Table};
use crate::cli::CompareArgs;
use crate::exit::Exit;
use crate::queue::select;
use crate::report::side_by_side::{self, Cost, Difference, MetricRow, Row, SideBySide, Verdict};
use crate::run_dir::{RunDir, Workspace};
use crate::say::{self, measured};

/// Runs that are compared; of more nobody could read the columns.
const MOST: usize = 60;

pub fn compare(workspace: &Workspace, args: &CompareArgs) -> anyhow::Result<Exit> {
    let mut dirs: Vec<RunDir> = Vec::new();
    for selection in &args.runs {
        for dir in select::runs(workspace, selection)? {
            if !dirs.contains(&dir) {
                dirs.push(dir);
            }
        }
    }
    if dirs.len() > MOST {
        text::talk(format_args!("Of {} runs the first {MOST} are compared.", dirs.len()));
        dirs.truncate(MOST);
    }
    let found = side_by_side::read(workspace, &dirs);
    if args.json.json {
        print_json(&found)?;
        return Ok(Exit::Success);
    }
    print(&found, &mut anstream::stdout().lock())?;
    if dirs.len() == 1 {
        text::talk("One run alone: name another to see what differs.");
    }
    Ok(Exit::Success)
}

fn print(found: &SideBySide, out: &mut impl Write) -> io::Result<()> {
    let names = found.runs.iter().map(|run| run.name.as_str());
    // The last column is the one that a terminal wraps.
    let header: Vec<&str> = std::iter::once("").chain(names).chain([""]).collect();
    let mut table = Table::new(&header);
    let line = |name: &str, values: Vec<String>| {
        let cells = values.into_iter().map(Cell::new);
        std::iter::once(Cell::styled(name, text::DIM)).chain(cells).collect::<Vec<Cell>>()
    };
    table.row(line("experiment", found.runs.iter().map(|run| run.experiment.clone()).collect()));
    table.row(line("state", found.runs.iter().map(|run| run.state.clone()).collect()));
    table.row(line("step", found.runs.iter().map(|run| say::count(run.step)).collect()));
    for Row { name, values } in found.settings.iter().chain(&found.environment) {
        let shown = |value: &String| if value.is_empty() { "none".to_owned() } else { value.clone() };
        table.row(line(name, values.iter().map(shown).collect()));
    }
    for row in &found.metrics {
        table.row(line(&row.name, values(row)));
        if row.differences.iter().any(Option::is_some) {
            table.row(line("", row.differences.iter().map(in_words).collect()));
        }
    }
    let mut cost = |name: &str, of: &dyn Fn(&Cost) -> Option<(f64, String)>| {
        let first = found.cost.first().and_then(of);
        let cell = |(place, cost): (usize, &Cost)| {
            let Some((value, words)) = of(cost) else { return String::new() };
            let part = first.as_ref().filter(|(first, _)| place > 0 && *first > 0.0);
            part.map_or(words.clone(), |(first, _)| {
                format!("{words} ({:+.0} %)", (value / first - 1.0) * 100.0)
            })
        };
        if found.cost.iter().any(|cost| of(cost).is_some()) {
            table.row(line(name, found.cost.iter().enumerate().map(cell).collect()));
        }
    };
    cost("training", &|cost| cost.seconds.map(|seconds| (seconds, say::duration(seconds))));
    cost("energy", &|cost| cost.joules.map(|joules| (joules, say::energy(joules))));
    let mut rates: Vec<&str> =
        found.cost.iter().filter_map(|cost| Some(cost.rate.as_ref()?.0.as_str())).collect();
    rates.sort_unstable();
    rates.dedup();
    for rate in rates {
        cost(&rate.replace('_', " "), &|cost| {
            cost.rate.as_ref().filter(|(name, _)| name == rate).map(|(_, value)| (*value, measured(*value)))
        });
    }
    table.print(out)
}

fn values(row: &MetricRow) -> Vec<String> {
    row.values.iter().map(|value| value.map_or_else(String::new, |value| measured(value.0))).collect()
}

/// "+0.012 ± 0.004, worse".
fn in_words(difference: &Option<Difference>) -> String {
    let Some(Difference { by, noise, verdict }) = difference else { return String::new() };
    let sign = if *by > 0.0 { "+" } else { "" };
    match (noise, verdict) {
        (Some(noise), verdict) => {
            format!("{sign}{} ± {}, {}", measured(*by), measured(*noise), verdict.words())
        }
        (None, _) => format!("{sign}{}, {}", measured(*by), Verdict::NoNoiseKnown.words()),
    }
}
