//! Charts and tables for a paper: a PDF of pages, or one picture. Both are our own SVG in the theme `paper`,
//! turned into PDF or pixels without a browser; words are set in a font of this machine.

mod figure;
mod pages;

use std::borrow::Cow;
use std::io::{BufWriter, Write};

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb::Database};

use super::super::chart::Size;
use super::super::experiment_page;
use super::super::judged;
use super::super::lead;
use super::super::planned::Planned;
use super::super::rows::ranked;
use super::super::run_page::{self, curves};
use super::super::seeds::Seeds;
use super::super::summary::{CURVES, RunSummary};
use super::super::theme::Theme;
use super::bare::Look;
use super::chosen::Chosen;
use super::table::{self, by_experiment, no_metric};
use super::{FormError, Wishes, Written};
use crate::run_dir::{RunDir, Workspace};
use figure::drawn;
use pages::Pages;

/// What each file says of who made it.
pub const MAKER: &str = concat!("overnight ", env!("CARGO_PKG_VERSION"));

/// Charts of an experiment or a run on paper.
const MOST_CHARTS: usize = 12;
/// Rows of the list of runs.
const MOST_RUNS: usize = 200;

/// The look of a theme, and the fonts of this machine.
struct Press {
    look: Look,
    options: Options<'static>,
}

impl Press {
    fn of(workspace: &Workspace, theme: Option<&str>, written: &mut Written) -> Result<Press, FormError> {
        let theme =
            Theme::load(workspace, Some(theme.unwrap_or("paper"))).map_err(super::ReportError::from)?;
        written.warning = theme.warning().map(str::to_owned);
        let style = theme.text_of(&["style.css"]);
        let mut options = Options::default();
        let fonts = options.fontdb_mut();
        fonts.load_system_fonts();
        let family = family_of(fonts, &Look::families(&style)).ok_or(FormError::NoFont)?;
        options.font_family.clone_from(&family);
        Ok(Press { look: Look::of(&style, family), options })
    }

    fn tree(&self, svg: &str) -> Result<Tree, FormError> {
        Tree::from_str(svg, &self.options)
            .map_err(|error| FormError::Made { what: "the drawing", reason: error.to_string() })
    }
}

/// The first family of the theme that is there; else one that most systems have; else any.
fn family_of(fonts: &Database, wished: &[String]) -> Option<String> {
    let common =
        ["DejaVu Serif", "Liberation Serif", "Noto Serif", "DejaVu Sans", "Liberation Sans", "Noto Sans"];
    let families = || fonts.faces().filter_map(|face| Some((face, face.families.first()?.0.as_str())));
    let known = wished.iter().map(String::as_str).chain(common);
    // A name is written into an attribute.
    let is_plain = |name: &str| !name.contains(['"', '\'', '<', '>', '&', ',']);
    let there =
        known.into_iter().find(|name| families().any(|(_, family)| family == *name) && is_plain(name));
    let any = || families().find(|(face, name)| !face.monospaced && is_plain(name)).map(|(_, name)| name);
    there.or_else(any).map(str::to_owned)
}

/// One chart as a picture.
pub fn png(
    chosen: &mut Chosen,
    wishes: &Wishes,
    out: &mut BufWriter<std::fs::File>,
    written: &mut Written,
) -> Result<(), FormError> {
    let press = Press::of(chosen.workspace, wishes.theme.as_deref(), written)?;
    let mut planned = match chosen.dirs {
        [dir] => of_run(chosen, dir, wishes.chart.as_deref())?,
        _ => of_experiment(chosen, wishes.chart.as_deref())?,
    };
    planned.chart.size = Size::TwoThirds;
    let figure = drawn(planned, "chart", &press.look);
    let svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{0}" height="{1}" viewBox="-12 -12 {0} {1}"><rect x="-12" y="-12" width="{0}" height="{1}" fill="{2}"/>{3}</svg>"#,
        figure.width + 24.0,
        figure.height + 24.0,
        press.look.color("paper"),
        figure.svg,
    );
    let tree = press.tree(&svg)?;
    let scale = wishes.width as f32 / tree.size().width();
    let height = (tree.size().height() * scale).floor().max(1.0) as u32;
    let too_large = || FormError::Made { what: "the picture", reason: "it is too large".into() };
    let mut pixels = Pixmap::new(wishes.width, height).ok_or_else(too_large)?;
    resvg::render(&tree, Transform::from_scale(scale, scale), &mut pixels.as_mut());
    let mut encoder = png::Encoder::new(out, wishes.width, height);
    encoder.set_color(png::ColorType::Rgba);
    let failed =
        |error: png::EncodingError| FormError::Made { what: "the picture", reason: error.to_string() };
    encoder.add_text_chunk("Software".into(), MAKER.into()).map_err(failed)?;
    let mut writer = encoder.write_header().map_err(failed)?;
    // The ground covers everything, so no pixel is translucent and none was multiplied.
    writer.write_image_data(pixels.data()).map_err(failed)?;
    writer.finish().map_err(failed)?;
    written.holds.push(("pixels across".into(), wishes.width.into()));
    Ok(())
}

fn of_run(chosen: &mut Chosen, dir: &RunDir, metric: Option<&str>) -> Result<Planned, FormError> {
    let (files, summary) = chosen.whole(dir);
    let wanted = metric.unwrap_or(&summary.metric).to_owned();
    let shows = |planned: &Planned| planned.chart.series.iter().any(|line| line.origin.metric == wanted);
    let mut all = curves::planned(&files, &summary);
    let at = all.iter().position(shows).or_else(|| (metric.is_none() && !all.is_empty()).then_some(0));
    match at {
        Some(at) => Ok(all.swap_remove(at)),
        None => Err(no_metric(&summary.key(), std::slice::from_ref(&summary), &wanted)),
    }
}

fn of_experiment(chosen: &mut Chosen, metric: Option<&str>) -> Result<Planned, FormError> {
    let experiments = by_experiment(chosen);
    let [(name, places)] = experiments.as_slice() else {
        let names: Vec<&str> = experiments.iter().map(|(name, _)| name.as_str()).collect();
        return Err(FormError::Several(names.join(", ")));
    };
    let runs: Vec<RunSummary> = places
        .iter()
        .map(|place| {
            let (files, mut summary) = chosen.whole(&chosen.dirs[*place]);
            metric.into_iter().for_each(|metric| summary.remember(&files, metric));
            summary
        })
        .collect();
    let judged = judged::together(&runs);
    let ranked = ranked(judged.iter().map(Cow::as_ref));
    // The one that counts; where no run has come to it yet, another that pages draw.
    let drawn = ranked.first().map(|run| run.metric.as_str()).into_iter().chain(CURVES);
    let has_values = |name: &&str| ranked.iter().any(|run| run.curves.contains_key(*name));
    let wanted = metric.or_else(|| drawn.into_iter().find(has_values)).unwrap_or("any metric");
    let planned = experiment_page::planned_comparison(&ranked, wanted, Size::Full, "");
    planned.ok_or_else(|| no_metric(name, &runs, wanted))
}

/// Charts and tables as pages.
pub fn pdf(
    chosen: &mut Chosen,
    wishes: &Wishes,
    out: &mut impl Write,
    written: &mut Written,
) -> Result<(), FormError> {
    let press = Press::of(chosen.workspace, wishes.theme.as_deref(), written)?;
    let experiments = by_experiment(chosen);
    let names: Vec<&str> = experiments.iter().map(|(name, _)| name.as_str()).collect();
    let title = match chosen.dirs {
        [dir] => format!("{}/{}", dir.experiment(), dir.name()),
        _ => names.join(", "),
    };
    let mut pages = Pages::new(&press.look);
    pages.heading(&title, 20.0);
    let runs = crate::say::counted(chosen.dirs.len(), "run", "runs");
    let of = crate::say::counted(names.len(), "experiment", "experiments");
    pages.paragraph(&format!("{runs} of {of}, written on {} by {MAKER}.", chosen.clock.now().exact));
    if let [dir] = chosen.dirs {
        let (files, summary) = chosen.whole(dir);
        run_page::sentences(&files, &summary).iter().for_each(|sentence| pages.paragraph(sentence));
        figures(&mut pages, curves::planned(&files, &summary), &press.look, written);
        let facts = run_page::facts(&files, &summary);
        let rows = facts.into_iter().map(|fact| vec![fact.name, format!("{} {}", fact.value, fact.unit)]);
        pages.table("What it came to", &["".into(), "".into()], &rows.collect::<Vec<_>>(), &|_, _| false);
    } else {
        for (name, places) in &experiments {
            let runs: Vec<RunSummary> = places
                .iter()
                .map(|place| {
                    let (files, mut summary) = chosen.whole(&chosen.dirs[*place]);
                    wishes.metrics.iter().for_each(|metric| summary.remember(&files, metric));
                    summary
                })
                .collect();
            if experiments.len() > 1 {
                pages.heading(name, 15.0);
            }
            of_runs(&mut pages, name, &runs, wishes, &press.look, written)?;
        }
    }
    let pages = pages.done();
    let trees = pages.iter().map(|page| press.tree(page)).collect::<Result<Vec<_>, _>>()?;
    let bytes = pages::bound(&trees, &title).map_err(|reason| FormError::Made { what: "the PDF", reason })?;
    out.write_all(&bytes)?;
    written.holds.push(("pages".into(), pages.len() as u64));
    Ok(())
}

/// What an experiment's runs say together.
fn of_runs(
    pages: &mut Pages,
    name: &str,
    runs: &[RunSummary],
    wishes: &Wishes,
    look: &Look,
    written: &mut Written,
) -> Result<(), FormError> {
    let judged = judged::together(runs);
    let ranked = ranked(judged.iter().map(Cow::as_ref));
    let seeds = Seeds::of(&ranked);
    lead::best(&ranked).into_iter().for_each(|sentence| pages.paragraph(&sentence));
    for sentence in experiment_page::words::sentences(&ranked, seeds.as_ref()) {
        pages.paragraph(&sentence);
    }
    figures(pages, experiment_page::planned(&ranked, ""), look, written);
    let grid = table::grid(name, runs, &wishes.metrics)?;
    let (heads, rows) = table::cells(&grid);
    let first = grid.settings.len() + 1;
    let is_bold = |row: usize, column: usize| {
        let cell =
            column.checked_sub(first).and_then(|column| grid.rows.get(row)?.cells.get(column)?.as_ref());
        cell.is_some_and(|cell| cell.is_decided)
    };
    pages.table("Mean ± standard deviation over seeds", &heads, &rows, &is_bold);
    let notes = grid.notes.iter().filter(|_| !grid.rows.is_empty());
    notes.for_each(|note| pages.paragraph(note));
    let shown = ranked.iter().take(MOST_RUNS);
    let rows = shown.map(|run| {
        let best = run.best.map_or_else(String::new, |best| crate::say::number::measured(best.value));
        let step = run.best.map_or_else(String::new, |best| crate::say::count(best.step));
        vec![run.label.clone(), run.state.word.clone(), best, step]
    });
    let metric = ranked.first().map_or("", |run| run.metric.as_str());
    let heads = ["run".to_owned(), "state".into(), format!("best {metric}"), "at step".into()];
    pages.table("Runs, best first", &heads, &rows.collect::<Vec<_>>(), &|_, _| false);
    if ranked.len() > MOST_RUNS {
        written.left_out.push(format!("the list of the last {} runs of {name}", ranked.len() - MOST_RUNS));
    }
    Ok(())
}

fn figures(pages: &mut Pages, planned: Vec<Planned>, look: &Look, written: &mut Written) {
    if planned.len() > MOST_CHARTS {
        written.left_out.push(format!("the last {} charts", planned.len() - MOST_CHARTS));
    }
    for mut planned in planned.into_iter().take(MOST_CHARTS) {
        planned.chart.size = Size::Half;
        let id = format!("plot-{}", pages.next_number());
        pages.figure(&drawn(planned, &id, look));
    }
}
