//! What the row above the charts changes: x, logarithms, the average, outliers.

use super::{WIDTHS, ends, experiment, run, set, ticks};
use crate::chrome::{Scripts, with_browser};
use crate::made_up::Ending;
use crate::place::Place;

#[test]
fn x_counts_steps_epochs_time_tokens_or_energy_where_they_are_known() {
    with_browser(Scripts::On, async |chrome| {
        for width in WIDTHS {
            let place = Place::of(2, Ending::AllFinished);
            // Half a joule a second, as the machine of a run would tell it.
            let telemetry = std::fs::read_to_string(place.runs[0].telemetry()).unwrap();
            let mut rows = telemetry.lines().enumerate();
            let mut text = format!("{},run_gpu_energy_joules\n", rows.next().unwrap().1);
            for (row, line) in rows {
                text += &format!("{line},{}\n", row * 10);
            }
            std::fs::write(place.runs[0].telemetry(), text).unwrap();
            place.build();
            chrome.look(width, "light").await;
            chrome.goto(&place.file(&place.page_of(&place.runs[0]))).await;
            let axes = "[...document.querySelectorAll('#tool-x option')].map((option) => option.value)";
            assert_eq!(chrome.texts(axes).await, ["step", "epoch", "elapsed", "time", "tokens", "energy"]);
            // 3,000 steps are 6 epochs and 1,200 seconds; a step is batch x accumulation x context tokens.
            for (axis, highest) in [("epoch", 6.0), ("elapsed", 1200.0), ("tokens", 0.0), ("energy", 600.0)] {
                set(chrome, "tool-x", axis).await;
                let (low, high) = ends(chrome, "chart-loss").await;
                assert!(low >= 0.0 && low < high * 0.02, "{axis}: {low} to {high}");
                assert!(highest == 0.0 || (high - highest).abs() < highest * 0.05, "{axis}: {low} to {high}");
                assert!(chrome.text("location.hash").await.contains(&format!("x={axis}")));
                assert!(
                    chrome.number("document.querySelectorAll('#chart-loss path.line').length").await >= 2.0
                );
                assert!(ticks(chrome, "chart-loss", 'x').await.len() >= 2, "{axis}");
            }
            set(chrome, "tool-x", "elapsed").await;
            assert!(ticks(chrome, "chart-loss", 'x').await.iter().any(|tick| tick.ends_with(" min")));
            set(chrome, "tool-x", "time").await;
            let (low, high) = ends(chrome, "chart-loss").await;
            assert!((high - low - 1200.0).abs() < 20.0 && low > 1e9, "{low} to {high}");
            let clock = ticks(chrome, "chart-loss", 'x').await;
            assert!(clock.iter().all(|tick| tick.contains(':') || tick.contains('-')), "{clock:?}");
            // A chart over time has its own x.
            let (low, high) = ends(chrome, "telemetry-cpu-percent").await;
            assert!(low == 0.0 && (high - 20.0).abs() < 1.0, "minutes: {low} to {high}");

            // Runs that do not know an axis keep what they know.
            chrome.goto(&format!("{}#?x=energy", place.file(&place.page_of(&place.runs[1])))).await;
            assert!((ends(chrome, "chart-loss").await.1 - 3000.0).abs() < 1.0);
        }
    });
}

#[test]
fn axes_become_logarithmic_and_show_every_decade() {
    with_browser(Scripts::On, async |chrome| {
        for width in WIDTHS {
            let _place = run(chrome, width).await;
            let path = "document.querySelector('#chart-loss path.lead').getAttribute('d')";
            let before = chrome.text(path).await;
            set(chrome, "tool-log-x", "").await;
            let (low, high) = ends(chrome, "chart-loss").await;
            assert_eq!((low, high), (10.0, 3000.0));
            assert_ne!(chrome.text(path).await, before);
            let shown = ticks(chrome, "chart-loss", 'x').await;
            assert!(shown.contains(&"100".to_owned()) && shown.contains(&"1,000".to_owned()), "{shown:?}");
            set(chrome, "tool-log-y", "").await;
            // As high as the decades are apart, whatever the values: equal ratios take equal room.
            let y = "overnight.modelNow(document.getElementById('chart-lr')).y";
            let halves = format!("(({{ low, high, fraction }}) => fraction(Math.sqrt(low * high)))({y})");
            assert!((chrome.number(&halves).await - 0.5).abs() < 1e-9);
            assert!(chrome.text("location.hash").await.contains("logx=1&logy=*"));
        }
    });
}

/// The average that TensorBoard draws, in its own words: `last` keeps the weight, divided by what it
/// has gathered.
fn averaged(values: &[f64], weight: f64) -> Vec<f64> {
    let (mut last, mut count) = (0.0, 0);
    let mut average = |value: &f64| {
        last = last * weight + (1.0 - weight) * value;
        count += 1;
        last / (1.0 - weight.powi(count))
    };
    values.iter().map(&mut average).collect()
}

#[test]
fn the_average_is_tensorboards_and_the_values_stand_faint_behind() {
    with_browser(Scripts::On, async |chrome| {
        for width in WIDTHS {
            let place = run(chrome, width).await;
            set(chrome, "tool-smooth", "30").await;
            let weight = chrome.number("overnight.view.smoothing").await;
            assert!((weight - 0.8741).abs() < 1e-4, "{weight}");
            let csv = std::fs::read_to_string(place.runs[0].metrics()).unwrap();
            let place_of = |name: &str| {
                csv.lines().next().unwrap().split(',').position(|column| column == name).unwrap()
            };
            let column = place_of("train/loss");
            let values: Vec<f64> =
                csv.lines().skip(1).map(|row| row.split(',').nth(column).unwrap().parse().unwrap()).collect();
            let wanted = averaged(&values, weight);
            let line = "overnight.modelNow(document.getElementById('chart-loss')).lines.find(({ series }) => series.metric === 'train/loss')";
            let drawn: Vec<f64> =
                serde_json::from_value(chrome.value(&format!("[...{line}.y]")).await).unwrap();
            assert_eq!(drawn.len(), wanted.len());
            let off = drawn.iter().zip(&wanted).map(|(one, other)| (one - other).abs()).fold(0.0, f64::max);
            assert!(off < 1e-4, "off by {off}");
            for figure in ["chart-loss", "chart-lr", "chart-tokens"] {
                assert!(
                    chrome.number(&format!("document.querySelectorAll('#{figure} path.faint').length")).await
                        >= 1.0,
                    "{figure}"
                );
            }
            set(chrome, "tool-smooth", "0").await;
            assert_eq!(chrome.text("document.querySelector('#tools output').textContent").await, "off");
            assert_eq!(chrome.number("document.querySelectorAll('path.faint').length").await, 0.0);
            chrome.run("document.getElementById('reset').click()").await;
            chrome.until("the values again", "document.querySelectorAll('path.faint').length > 0").await;
        }
    });
}

#[test]
fn a_slow_run_over_time_does_not_cut_the_first_values_of_a_quick_one() {
    with_browser(Scripts::On, async |chrome| {
        let place = Place::of(2, Ending::AllFinished);
        for (run, slowness) in place.runs.iter().zip([1.0, 8.0]) {
            let csv = std::fs::read_to_string(run.metrics()).unwrap();
            let (header, rows) = csv.split_once('\n').unwrap();
            let elapsed = header.split(',').position(|name| name == "elapsed").unwrap();
            let loss = header.split(',').position(|name| name == "val/loss").unwrap();
            let mut slower = header.to_owned() + "\n";
            for (number, row) in rows.lines().enumerate() {
                let mut cells: Vec<String> = row.split(',').map(str::to_owned).collect();
                cells[elapsed] = (cells[elapsed].parse::<f64>().unwrap() * slowness).to_string();
                if let Ok(value) = cells[loss].parse::<f64>() {
                    // The quick run lies above the slow one, so that leaving it out would show.
                    cells[loss] = if number < 20 { 50.0 } else { value + 8.0 - slowness }.to_string();
                }
                slower += &(cells.join(",") + "\n");
            }
            std::fs::write(run.metrics(), slower).unwrap();
        }
        place.build();
        chrome.look(1440, "light").await;
        chrome.goto(&place.file("experiments/depth/index.html")).await;
        // What is told is the same whatever x counts: each line leaves its own first quarter out.
        let range = "(({ low, high }) => [low, high])(overnight.modelNow(overnight.figures().find((figure) => overnight.chartOf(figure).y.range === 'telling')).y)";
        chrome.run("overnight.setView({ smoothing: 0 })").await;
        super::settled(chrome).await;
        let over_steps = chrome.value(range).await;
        chrome.run("overnight.setView({ smoothing: 0, x: 'elapsed' })").await;
        super::settled(chrome).await;
        assert_eq!(chrome.value(range).await, over_steps);
        assert!(over_steps[1].as_f64().unwrap() < 20.0, "what came first is left out: {over_steps}");
    });
}

#[test]
fn outliers_are_left_out_on_request() {
    with_browser(Scripts::On, async |chrome| {
        for width in WIDTHS {
            let place = Place::of(1, Ending::AllFinished);
            let csv = std::fs::read_to_string(place.runs[0].metrics()).unwrap();
            let mut rows: Vec<String> = csv.lines().map(str::to_owned).collect();
            rows[0] += ",wild";
            for (number, row) in rows.iter_mut().enumerate().skip(1) {
                *row += &format!(
                    ",{}",
                    if number % 250 == 7 { 1e6 } else { 1.0 + f64::from(number as u32 % 10) }
                );
            }
            std::fs::write(place.runs[0].metrics(), rows.join("\n") + "\n").unwrap();
            place.build();
            chrome.look(width, "light").await;
            chrome.goto(&place.file(&place.page_of(&place.runs[0]))).await;
            let high = "overnight.modelNow(document.getElementById('other-0') || document.getElementById('chart-other-0')).y.high";
            chrome.run("overnight.setView({ zoom: { low: 10, high: 2990 } })").await;
            super::settled(chrome).await;
            assert!(chrome.number(high).await >= 1e6, "zoomed, everything shows");
            set(chrome, "tool-outliers", "").await;
            assert!(chrome.number(high).await <= 20.0);
            assert!(chrome.text("location.hash").await.contains("outliers=1"));
            // What a chart leaves out by itself is asked for the same way.
            chrome.run("overnight.reset()").await;
            assert!(chrome.number(high).await <= 20.0, "spikes do not flatten the rest");
            set(chrome, "tool-whole", "").await;
            assert!(chrome.number(high).await >= 1e6, "the whole range");
            assert!(chrome.text("location.hash").await.contains("whole=1"));
            set(chrome, "tool-outliers", "").await;
            assert!(!chrome.text("location.hash").await.contains("whole=1"), "one excludes the other");
        }
    });
}

#[test]
fn an_address_that_makes_no_sense_harms_nothing() {
    with_browser(Scripts::On, async |chrome| {
        let place = experiment(chrome, 2, 1440).await;
        let page = place.file("experiments/depth/index.html");
        for nonsense in [
            "#?x=<b>&zoom=5,1&smooth=7",
            "#?zoom=nan,inf&time=,&logy=no-such&hide=",
            "#?zoom=1e308,1e309",
            "#?%%%&x",
            "#chart-val-loss",
        ] {
            chrome.goto("about:blank").await;
            chrome.goto(&format!("{page}{nonsense}")).await;
            assert_eq!(chrome.complaints().await, Vec::<String>::new(), "{nonsense}");
            assert!(
                chrome.number("document.querySelectorAll('#chart-val-loss path.line').length").await >= 2.0,
                "{nonsense}"
            );
        }
        // What others keep in the address stays there.
        chrome.goto("about:blank").await;
        chrome.goto(&format!("{page}#?runs=a,b&x=epoch")).await;
        set(chrome, "tool-x", "step").await;
        assert_eq!(chrome.text("location.hash").await, "#runs=a,b");
    });
}
