//! Seeds together: their mean and their range, wherever the chart is looked at.

use serde_json::Value;

use super::set;
use crate::chrome::{Chrome, Scripts, with_browser};
use crate::made_up::Ending;
use crate::place::Place;

const MODEL: &str = "overnight.modelOf(document.getElementById('chart-seeds'))";
/// Steps of an epoch, and tokens of a step, of the runs of these tests.
const STEPS_OF_EPOCH: f64 = 500.0;

/// A run's validation losses over an axis, from its own files.
fn curve(place: &Place, run: usize, axis: &str) -> Vec<(f64, f64)> {
    let csv = std::fs::read_to_string(place.runs[run].metrics()).unwrap();
    let head: Vec<&str> = csv.lines().next().unwrap().split(',').collect();
    let at = |name: &str| head.iter().position(|column| *column == name).unwrap();
    let column = |name: &str, row: &str| row.split(',').nth(at(name)).unwrap().parse::<f64>().ok();
    let record: Value = serde_json::from_slice(&std::fs::read(place.runs[run].run_json()).unwrap()).unwrap();
    let tokens = ["/settings/train/batch_size", "/settings/train/accumulate", "/settings/model/context"]
        .map(|path| record.pointer(path).and_then(Value::as_f64).unwrap());
    let x = |row: &str| match axis {
        "tokens" => column("step", row).unwrap() * tokens.iter().product::<f64>(),
        "epoch" => column("step", row).unwrap() / STEPS_OF_EPOCH,
        // A joule a second, as the telemetry of these runs has it, from its first row on.
        "energy" => column("elapsed", row).unwrap(),
        name => column(name, row).unwrap(),
    };
    csv.lines().skip(1).filter_map(|row| Some((x(row), column("val/loss", row)?))).collect()
}

/// A value between the points of a curve.
fn at(curve: &[(f64, f64)], x: f64) -> f64 {
    let after = curve.iter().position(|(known, _)| *known >= x - x.abs() * 1e-9).unwrap_or(curve.len() - 1);
    let ((from, low), (to, high)) = (curve[after.max(1) - 1], curve[after.max(1)]);
    low + (high - low) * ((x - from) / (to - from)).clamp(0.0, 1.0)
}

/// Every run slower than the one before, so that seeds part on axes of time, and each a little off.
fn paced() -> Place {
    let place = Place::of(24, Ending::AllFinished);
    for (number, run) in place.runs.iter().enumerate() {
        let csv = std::fs::read_to_string(run.metrics()).unwrap();
        let (head, rows) = csv.split_once('\n').unwrap();
        let names: Vec<&str> = head.split(',').collect();
        let slowness = 1.0 + 0.05 * number as f64;
        let mut first = None;
        let (mut text, mut telemetry) = (head.to_owned() + "\n", "time,run_gpu_energy_joules\n".to_owned());
        for row in rows.lines() {
            let mut cells: Vec<String> = row.split(',').map(str::to_owned).collect();
            let elapsed =
                cells[names.iter().position(|name| *name == "elapsed").unwrap()].parse::<f64>().unwrap();
            let place_of = |wanted: &str| names.iter().position(|name| *name == wanted).unwrap();
            // All of them begin at one time, as runs on several GPUs do.
            let begin = 1_795_000_000.0;
            cells[place_of("elapsed")] = (elapsed * slowness).to_string();
            cells[place_of("time")] = (begin + elapsed * slowness).to_string();
            let start = *first.get_or_insert(begin);
            telemetry += &format!("{},{}\n", begin + elapsed * slowness, begin + elapsed * slowness - start);
            if let Ok(loss) = cells[place_of("val/loss")].parse::<f64>() {
                cells[place_of("val/loss")] = (loss + 0.003 * number as f64).to_string();
            }
            text += &(cells.join(",") + "\n");
        }
        std::fs::write(run.metrics(), text).unwrap();
        std::fs::write(run.telemetry(), telemetry).unwrap();
    }
    place.build();
    place
}

/// Compares what the chart holds of its bands with the files: on `axis`, by its own name or another one.
async fn compare(chrome: &Chrome, place: &Place, axis: &str) {
    assert_eq!(chrome.text(&format!("{MODEL}.axis")).await, axis);
    let bands = chrome
        .value(&format!(
            "{MODEL}.lines.filter(({{ band }}) => band).map(({{ band, series }}) => ({{ ...band,
                members: series.members.map(({{ runKey }}) => runKey) }}))"
        ))
        .await;
    let bands = bands.as_array().unwrap();
    assert_eq!(bands.len(), 3, "{axis}");
    for band in bands {
        let of = |name: &str| -> Vec<f64> { serde_json::from_value(band[name].clone()).unwrap() };
        let members: Vec<Vec<(f64, f64)>> = band["members"]
            .as_array()
            .unwrap()
            .iter()
            .map(|key| {
                let name = key.as_str().unwrap().strip_prefix("depth/").unwrap();
                curve(place, place.runs.iter().position(|run| run.name() == name).unwrap(), axis)
            })
            .collect();
        assert_eq!(members.len(), 2, "{axis}");
        let (x, mean, low, high) = (of("x"), of("y"), of("low"), of("high"));
        assert!(x.len() >= 10, "{axis}: {x:?}");
        // Clocks are read between knots, which are a thousandth of the axis off at the most.
        let reach = (x[x.len() - 1] - x[0]) * 2e-3;
        for (at_x, ((mean, low), high)) in x.iter().zip(mean.iter().zip(&low).zip(&high)) {
            let near = |offset: f64| -> Vec<f64> {
                members.iter().map(|member| at(member, at_x + offset)).collect()
            };
            let values = near(0.0);
            let slack = near(-reach)
                .iter()
                .zip(&near(reach))
                .map(|(one, other)| (one - other).abs())
                .fold(1e-4, f64::max);
            let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
            let highest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let wanted = [values.iter().sum::<f64>() / 2.0, lowest, highest];
            for (found, wanted) in [mean, low, high].into_iter().zip(wanted) {
                assert!((found - wanted).abs() <= slack, "{axis} at {at_x}: {found}, not {wanted}");
            }
        }
    }
    // What is drawn is what is held: each corner of an area lies on an edge of its band.
    let off = format!(
        "(() => {{
            const model = {MODEL};
            const plot = document.querySelector('#chart-seeds svg.plot');
            const [, , width, height] = plot.getAttribute('viewBox').split(' ').map(Number);
            const drawn = [...plot.querySelectorAll('path.spread')];
            const bands = model.lines.filter(({{ band }}) => band);
            if (drawn.length !== bands.length) return 1e9;
            return Math.max(...drawn.flatMap((path, at) => {{
                const {{ x, low, high }} = bands[at].band;
                const corners = [low, high].flatMap((edge) => [...x].map((value, point) =>
                    [model.x.fraction(value) * width, (1 - model.y.fraction(edge[point])) * height]));
                return path.getAttribute('d').slice(1, -1).split('L').map((pair) => {{
                    const [across, down] = pair.split(' ').map(Number);
                    return Math.min(...corners.map(([x, y]) => Math.abs(x - across) + Math.abs(y - down)));
                }});
            }}));
        }})()"
    );
    let off = chrome.number(&off).await;
    assert!(off <= 2.0, "{axis}: {off} units of the canvas off");
}

#[test]
fn seeds_have_their_mean_and_range_zoomed_and_on_every_axis() {
    with_browser(Scripts::On, async |chrome| {
        let place = paced();
        for width in super::WIDTHS {
            chrome.look(width, "light").await;
            chrome.goto("about:blank").await;
            chrome.goto(&place.file("experiments/depth/index.html")).await;
            chrome.until("the row of switches", "document.getElementById('tool-x') !== null").await;
            assert_eq!(
                chrome.number("document.querySelectorAll('#chart-seeds path.spread').length").await,
                3.0
            );
            for axis in ["epoch", "elapsed", "tokens", "energy", "time"] {
                set(chrome, "tool-x", axis).await;
                compare(chrome, &place, axis).await;
            }
            chrome.run("overnight.setView({ x: 'step', zoom: { low: 900, high: 2100 } })").await;
            super::settled(chrome).await;
            compare(chrome, &place, "step").await;
            // The range is that of the areas too.
            let inside = format!(
                "(({{ lines, y }}) => lines.filter(({{ band }}) => band).every(({{ band }}) => [...band.x].every((x, at) =>
                    x < 900 || x > 2100 || (y.fraction(band.low[at]) >= 0 && y.fraction(band.high[at]) <= 1))))({MODEL})"
            );
            assert!(chrome.is(&inside).await, "{width}");
            set(chrome, "tool-log-y", "").await;
            compare(chrome, &place, "step").await;
        }
        assert_eq!(chrome.complaints().await, Vec::<String>::new());
    });
}

#[test]
fn seeds_that_ran_one_after_the_other_never_meet_on_the_clock() {
    with_browser(Scripts::On, async |chrome| {
        let place = Place::of(24, Ending::AllFinished);
        place.build();
        chrome.look(1440, "light").await;
        chrome.goto(&format!("{}#?x=time", place.file("experiments/depth/index.html"))).await;
        chrome.until("the row of switches", "document.getElementById('tool-x') !== null").await;
        assert_eq!(chrome.text(&format!("{MODEL}.axis")).await, "step");
        let others = "overnight.modelOf(document.getElementById('chart-val-loss')).axis";
        assert_eq!(chrome.text(others).await, "time");
        assert_eq!(chrome.number("document.querySelectorAll('#chart-seeds path.spread').length").await, 3.0);
    });
}

#[test]
fn an_area_whose_members_are_too_many_stays_when_zoomed_and_is_saved_with_its_chart() {
    with_browser(Scripts::On, async |chrome| {
        let place = Place::of(24, Ending::AllFinished);
        place.build();
        chrome.look(1440, "light").await;
        chrome.goto(&place.file("experiments/depth/index.html")).await;
        // As the server tells of hundreds of seeds: edges in place of members.
        chrome
            .run(
                "const figure = document.getElementById('chart-seeds');
                 const { lines } = overnight.modelOf(figure);
                 const chart = JSON.parse(overnight.held(figure.id, figure.dataset.chart));
                 for (const series of chart.series) {
                     const { band } = lines.find((line) => line.series.id === series.id);
                     if (band) series.edges = [[...band.x].flatMap((x, at) => [x, band.low[at], band.high[at]])];
                     delete series.members;
                     delete series.band;
                 }
                 figure.dataset.chart = JSON.stringify(chart);",
            )
            .await;
        chrome.run("overnight.setView({ zoom: { low: 900, high: 2100 } })").await;
        chrome.until("the zoom", "document.getElementById('chart-seeds').dataset.view === 'own'").await;
        let areas = "document.querySelectorAll('#chart-seeds path.spread').length";
        assert_eq!(chrome.number(areas).await, 3.0);
        let saved = |form: &str, sign: &str| format!("overnight.{form}({MODEL}).split('{sign}').length - 1");
        assert_eq!(chrome.number(&saved("toTikz", "fill opacity=0.14")).await, 3.0);
        assert_eq!(chrome.number(&saved("toTikz", ")} -- cycle;")).await, 3.0);
        assert_eq!(chrome.number(&saved("toSvg", "fill-opacity=\"0.14\"")).await, 3.0);
        // Of other axes the server has told no edges.
        set(chrome, "tool-x", "epoch").await;
        assert_eq!(chrome.text(&format!("{MODEL}.axis")).await, "step");
        assert_eq!(chrome.complaints().await, Vec::<String>::new());
    });
}
