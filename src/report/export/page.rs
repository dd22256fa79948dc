//! What the template of the exported file sees.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::super::chart::number::measured;
use super::super::chart::{self, Chart};
use super::super::clocks;
use super::super::experiment_page;
use super::super::files::RunFiles;
use super::super::judged;
use super::super::lead;
use super::super::model::{Column, Fact, FailureRow, Figure, RunRow, SettingRow, TextSample};
use super::super::planned::Planned;
use super::super::rows::{self, Table};
use super::super::run_page::{self, curves, samples, settings, telemetry};
use super::super::seeds::Seeds;
use super::super::site::address;
use super::super::summary::{RunSummary, State};
use super::Surroundings;
use super::extras::Extras;
use super::grain;
use super::packed::{Packed, Sent};

/// Letters of all samples together, and of one at least and at most.
const SAMPLE_LETTERS: usize = 60_000;
const LETTERS_OF_SAMPLE: (usize, usize) = (300, 4_000);
/// Different values of a setting that are named.
const NAMED: usize = 4;

#[derive(Serialize)]
pub struct ExportPage {
    /// With its day: it is opened on others.
    pub made: String,
    pub experiments: Vec<ExperimentBlock>,
    pub runs: Vec<RunBlock>,
}

#[derive(Serialize)]
pub struct ExperimentBlock {
    name: String,
    /// The section in the packed data.
    charts: String,
    description: String,
    headline: String,
    say: Vec<String>,
    figures: Vec<Figure>,
    columns: Vec<Column>,
    rows: Vec<RunRow>,
    values: Values,
    settings: Vec<Setting>,
}

/// The last value of every metric of every run.
#[derive(Serialize)]
struct Values {
    metrics: Vec<String>,
    /// Name, its section, the class of its color, and a value or nothing for each metric.
    rows: Vec<(String, String, String, Vec<String>)>,
}

/// A setting that is not everywhere the default.
#[derive(Serialize)]
struct Setting {
    path: String,
    /// What it is in all runs, or its first values.
    value: String,
    default: String,
}

#[derive(Serialize)]
pub struct RunBlock {
    id: String,
    charts: String,
    label: String,
    /// With its experiment and its hash.
    name: String,
    /// Classes of its color.
    class: String,
    state: State,
    facts: Vec<Fact>,
    say: Vec<String>,
    notes: Vec<String>,
    failure: Option<FailureRow>,
    figure: Option<Figure>,
    sample: Option<LastSample>,
    pub extras: Extras,
    /// Only where surroundings are shown.
    environment: Vec<(String, String)>,
    diff: String,
}

#[derive(Serialize)]
struct LastSample {
    step: String,
    summary: String,
    texts: Vec<TextSample>,
}

/// A run that is in the file, with what its experiment needs of it.
pub struct Told {
    pub block: RunBlock,
    pub summary: RunSummary,
    settings: Vec<SettingRow>,
}

/// How many share the file.
#[derive(Clone, Copy)]
pub struct Share {
    pub runs: usize,
}

pub fn run(
    files: &RunFiles,
    summary: RunSummary,
    place: usize,
    share: Share,
    surroundings: Surroundings,
    packed: &mut Packed,
) -> Told {
    let charts = format!("r{place}");
    let mut planned = curves::planned(files, &summary);
    let further: Vec<Planned> =
        planned.drain(planned.len().min(1)..).chain(telemetry::planned(files, &summary)).collect();
    let all: Vec<&Chart> = planned.iter().chain(&further).map(|planned| &planned.chart).collect();
    let kept = grain::of_run(&all, share.runs);
    let figure = planned.pop().map(|main| standing(main, &charts, share, kept, packed));
    for one in further {
        let id = format!("{charts}-{}", one.id);
        let data = chart::data_at(&one.chart, kept);
        packed.add(
            &Sent { section: &charts, id: &id, heading: Some((&one.title, &one.note)), chart: &data },
            section,
        );
    }
    let shown = surroundings == Surroundings::Shown;
    let diff = files.environment.iter().filter(|_| shown).map(|known| known.git_diff.clone()).collect();
    let block = RunBlock {
        id: section_id(&summary.experiment, &summary.run),
        extras: Extras::of(files, &charts),
        charts,
        name: format!("{}/{}", summary.experiment, summary.run),
        label: summary.label.clone(),
        class: chart::backend::series_class(summary.number),
        state: summary.state.clone(),
        facts: run_page::facts(files, &summary),
        say: run_page::sentences(files, &summary),
        notes: files.notes(),
        failure: rows::failure(&summary, ""),
        figure,
        sample: sample(files, share),
        environment: if shown { run_page::environment(files) } else { Vec::new() },
        diff,
    };
    let record = files.seen.record.as_ref().ok();
    let settings = record.map(|record| settings::rows(record, None)).unwrap_or_default();
    Told { block, summary, settings }
}

pub fn experiment(
    name: &str,
    told: &[Told],
    place: usize,
    share: Share,
    packed: &mut Packed,
) -> ExperimentBlock {
    let charts = format!("e{place}");
    let judged = judged::together(told.iter().map(|told| &told.summary));
    let ranked = rows::ranked(judged.iter().map(Cow::as_ref));
    let seeds = Seeds::of(&ranked);
    let table = Table::of(&ranked);
    let planned = experiment_page::planned(&ranked, "");
    // Their lines are those of the runs, so what is kept here only counts where a run has none.
    let figures = planned.into_iter().map(|one| standing(one, &charts, share, 100, packed)).collect();
    let clocks = clocks::json(ranked.iter().map(|run| (run.key(), &run.clocks)));
    packed.know(&clocks);
    let newest = ranked.iter().max_by(|one, other| one.created.total_cmp(&other.created));
    ExperimentBlock {
        name: name.to_owned(),
        charts,
        description: newest.map_or_else(String::new, |run| run.description.clone()),
        headline: lead::best(&ranked).unwrap_or_else(|| "No value to compare runs by yet.".into()),
        say: experiment_page::words::sentences(&ranked, seeds.as_ref()),
        figures,
        columns: table.columns(),
        rows: ranked
            .iter()
            .enumerate()
            .map(|(place, run)| {
                let mut row = table.row(run, "", place == 0 && run.best.is_some());
                row.href = section(&run.experiment, &run.run);
                row
            })
            .collect(),
        values: values(&ranked),
        settings: differing(told),
    }
}

/// A figure whose drawing stands in the file; the script gets its lines besides.
fn standing(
    mut planned: Planned,
    section_name: &str,
    share: Share,
    kept: u32,
    packed: &mut Packed,
) -> Figure {
    planned.id = format!("{section_name}-{}", planned.id);
    let grain = grain::of_drawing(planned.chart.size, share.runs, kept);
    let figure = planned.drawn_at(grain);
    packed.add(
        &Sent { section: section_name, id: &figure.id, heading: None, chart: &figure.drawing.json },
        section,
    );
    figure
}

fn section_id(experiment: &str, run: &str) -> String {
    format!("run-{experiment}/{run}")
}

/// The address of a run's section.
fn section(experiment: &str, run: &str) -> String {
    format!("#run-{}/{}", address(experiment), address(run))
}

fn values(ranked: &[&RunSummary]) -> Values {
    let metrics: BTreeSet<&String> = ranked.iter().flat_map(|run| run.last.keys()).collect();
    let value = |run: &RunSummary, metric: &String| {
        run.last.get(metric).map_or_else(String::new, |last| measured(last.0))
    };
    let row = |run: &&RunSummary| {
        let class = chart::backend::series_class(run.number);
        let cells = metrics.iter().map(|metric| value(run, metric)).collect();
        (run.label.clone(), section(&run.experiment, &run.run), class, cells)
    };
    Values {
        rows: ranked.iter().map(row).collect(),
        metrics: metrics.iter().map(|metric| (*metric).clone()).collect(),
    }
}

/// Settings that some run has otherwise than by default, in the order of the file format.
fn differing(told: &[Told]) -> Vec<Setting> {
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    let mut found: Vec<(&SettingRow, Vec<&str>, bool)> = Vec::new();
    for row in told.iter().flat_map(|told| &told.settings) {
        let place = *places.entry(&row.path).or_insert_with(|| {
            found.push((row, Vec::new(), false));
            found.len() - 1
        });
        let (_, values, is_told) = &mut found[place];
        *is_told |= settings::is_told(row);
        if !values.contains(&row.value.as_str()) {
            values.push(&row.value);
        }
    }
    let setting = |(row, values, is_told): (&SettingRow, Vec<&str>, bool)| {
        let more = values.len().saturating_sub(NAMED);
        let mut value = values[..values.len() - more].join(" · ");
        if more > 0 {
            value += &format!(" and {more} more");
        }
        is_told.then(|| Setting { path: row.path.clone(), value, default: row.default.clone() })
    };
    found.into_iter().filter_map(setting).collect()
}

/// What the model last produced, as far as the file has room.
fn sample(files: &RunFiles, share: Share) -> Option<LastSample> {
    let newest = samples::blocks(files).into_iter().next()?;
    let (least, most) = LETTERS_OF_SAMPLE;
    let each = (SAMPLE_LETTERS / share.runs.max(1) / newest.texts.len().max(1)).clamp(least, most);
    let cut = |mut sample: TextSample| {
        if let Some((end, _)) = sample.text.char_indices().nth(each) {
            sample.text.truncate(end);
            sample.text.push_str(" …");
        }
        sample
    };
    let texts: Vec<TextSample> = newest.texts.into_iter().map(cut).collect();
    (!texts.is_empty() || !newest.summary.is_empty()).then_some(LastSample {
        step: newest.step,
        summary: newest.summary,
        texts,
    })
}
