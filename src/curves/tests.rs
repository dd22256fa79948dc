use super::made::{Draws, curve, power, said_of};
use super::*;

fn texts(said: &[Said]) -> Vec<&str> {
    said.iter().map(|one| one.text.as_str()).collect()
}

fn kinds(said: &[Said]) -> Vec<Kind> {
    said.iter().map(|one| one.kind).collect()
}

fn mark(step: f64, what: Happened) -> Mark {
    Mark { from: step, to: step, what }
}

#[test]
fn plain_noisy_convergent_curves_raise_no_alarm() {
    let mut false_alarms: Vec<String> = Vec::new();
    let mut made = 0;
    for seed in 0..100u64 {
        for (count, sigma) in [(50, 0.01), (200, 0.03), (1000, 0.05), (3000, 0.2)] {
            for is_long_tailed in [false, true] {
                let mut draws = Draws::new(seed * 8 + u64::from(is_long_tailed));
                let mut drawn = || if is_long_tailed { draws.long_tailed() } else { draws.normal() };
                let train = curve("train/loss", count, 10.0, |t| power(t) + sigma * drawn());
                let val =
                    curve("val/loss", 20 + count / 50, 50.0, |t| power(t) + 0.05 + sigma * 0.3 * drawn());
                let accuracy = curve("val/accuracy", 20 + count / 50, 50.0, |t| {
                    1.0 - power(t) / 6.0 + sigma * 0.1 * drawn()
                });
                // Of uneven speed, as on a machine that does other things as well.
                let rate = curve("tokens_per_second", count, 10.0, |_| 60_000.0 * (1.0 + 0.05 * drawn()));
                let said = said_of("val/loss", vec![train, val, accuracy, rate], Vec::new());
                made += 1;
                let harmless = [Kind::Course, Kind::OtherCourse, Kind::StillImproving, Kind::Plateau];
                let alarms = said.iter().filter(|one| !harmless.contains(&one.kind));
                false_alarms
                    .extend(alarms.map(|one| format!("{seed} {count} {is_long_tailed}: {}", one.text)));
            }
        }
    }
    println!("{} false alarms in {made} runs", false_alarms.len());
    assert!(false_alarms.is_empty(), "{} of {made}: {false_alarms:#?}", false_alarms.len());
}

#[test]
fn wandering_noise_and_flat_curves_raise_no_alarm_either() {
    let mut false_alarms: Vec<String> = Vec::new();
    for seed in 0..200u64 {
        let mut draws = Draws::new(1000 + seed);
        let mut wander = 0.0;
        // Correlated from row to row, as running averages and slow drifts of weights make it.
        let train = curve("train/loss", 800, 10.0, |t| {
            wander = 0.8 * wander + 0.02 * draws.normal();
            power(t) + wander
        });
        let mut wander = 0.0;
        let val = curve("val/loss", 40, 200.0, |t| {
            wander = 0.6 * wander + 0.008 * draws.normal();
            power(t) + wander
        });
        let flat = curve("train/accuracy", 400, 10.0, |_| 0.1 + 0.02 * draws.normal());
        let of_two_speeds = curve("images_per_second", 800, 10.0, |_| {
            if draws.even() < 0.3 { 900.0 } else { 1000.0 + 20.0 * draws.normal() }
        });
        let said = said_of("val/loss", vec![train, val, flat, of_two_speeds], Vec::new());
        let harmless = [Kind::Course, Kind::OtherCourse, Kind::StillImproving, Kind::Plateau];
        let alarms = said.iter().filter(|one| !harmless.contains(&one.kind));
        false_alarms.extend(alarms.map(|one| format!("{seed}: {}", one.text)));
    }
    assert!(false_alarms.is_empty(), "{} in 200: {false_alarms:#?}", false_alarms.len());
}

/// A loss with something added to it, by the share of the run that is over.
fn loss(seed: u64, count: usize, sigma: f64, added: impl Fn(f64) -> f64) -> Curve {
    let mut draws = Draws::new(seed);
    curve("train/loss", count, 10.0, |t| power(t) + added(t) + sigma * draws.normal())
}

fn bump(from: f64, to: f64, height: f64) -> impl Fn(f64) -> f64 {
    move |t| if t >= from && t < to { height * (to - t) / (to - from) } else { 0.0 }
}

fn only(said: &[Said], kind: Kind) -> String {
    said.iter().filter(|one| one.kind == kind).map(|one| one.text.as_str()).collect::<Vec<_>>().join(" | ")
}

#[test]
fn what_is_there_is_seen_in_every_draw_of_the_noise() {
    let mut missed: Vec<String> = Vec::new();
    let mut look = |what: &str, seed: u64, said: &[Said], kind: Kind| {
        if !kinds(said).contains(&kind) {
            missed.push(format!("{what} {seed}: {:?}", texts(said)));
        }
    };
    for seed in 0..50 {
        let spike = loss(seed, 1000, 0.05, bump(0.4, 0.43, 1.5));
        look("spike", seed, &said_of("train/loss", vec![spike], vec![]), Kind::Spikes);
        let diverging = loss(seed, 1000, 0.05, |t| (t - 0.6).max(0.0) * 20.0);
        look("divergence", seed, &said_of("train/loss", vec![diverging], vec![]), Kind::Diverged);
        let mut draws = Draws::new(seed);
        let train = loss(seed, 1000, 0.05, |t| -0.5 * t);
        let val =
            curve("val/loss", 30, 333.0, |t| power(t) + (t - 0.4).max(0.0) * 0.5 + 0.01 * draws.normal());
        look("over-fitting", seed, &said_of("val/loss", vec![train, val], vec![]), Kind::Overfitting);
        let standing = loss(seed, 1000, 0.01, |t| power(t.min(0.5)) - power(t));
        look("plateau", seed, &said_of("train/loss", vec![standing], vec![]), Kind::Plateau);
        let resting = loss(seed, 1000, 0.01, |t| {
            let (level, after) = (power(0.2), (t - 0.6).max(0.0));
            if t < 0.2 { 0.0 } else { level - after - power(t) }
        });
        look("rest", seed, &said_of("train/loss", vec![resting], vec![]), Kind::Rest);
        let falling = loss(seed, 1000, 0.02, |t| -t);
        look("improving", seed, &said_of("train/loss", vec![falling], vec![]), Kind::StillImproving);
        let slow = curve("tokens_per_second", 500, 10.0, |t| {
            (if t > 0.5 { 30_000.0 } else { 60_000.0 }) * (1.0 + 0.1 * draws.normal())
        });
        look("slowdown", seed, &said_of("val/loss", vec![slow], vec![]), Kind::Slowdown);
    }
    assert!(missed.is_empty(), "{}: {missed:#?}", missed.len());
}

#[test]
fn a_spike_is_told_with_what_came_right_before_and_nothing_else() {
    let resumed = mark(4000.0, Happened::Resumed);
    let long_before = mark(1000.0, Happened::LearningRate { from: 1e-3, to: 3e-3 });
    let spike = || vec![loss(1, 1000, 0.02, bump(0.401, 0.42, 1.5))];
    let said = said_of("val/loss", spike(), vec![long_before.clone(), resumed]);
    insta::assert_snapshot!(only(&said, Kind::Spikes), @"Training loss spiked at step 4,010, right after the resume at step 4,000, from about 1.635 to 3.149, and was back by step 4,170.");
    let said = said_of("val/loss", spike(), vec![long_before]);
    insta::assert_snapshot!(only(&said, Kind::Spikes), @"Training loss spiked at step 4,010 from about 1.635 to 3.149, and was back by step 4,170.");
    let throttled =
        Mark { from: 3900.0, to: 4500.0, what: Happened::Throttled("at its power limit".to_owned()) };
    let raised = mark(4010.0, Happened::LearningRate { from: 1e-3, to: 3e-3 });
    let said = said_of("val/loss", spike(), vec![throttled, raised]);
    insta::assert_snapshot!(only(&said, Kind::Spikes), @"Training loss spiked at step 4,010, while the GPU's clocks were held down (at its power limit) and right after the learning rate went from 0.001 to 0.003 at step 4,010, from about 1.635 to 3.149, and was back by step 4,170.");
    let two = loss(2, 1000, 0.02, |t| bump(0.3, 0.31, 1.0)(t) + bump(0.7, 0.71, 2.0)(t));
    insta::assert_snapshot!(only(&said_of("val/loss", vec![two], vec![]), Kind::Spikes), @"Training loss spiked twice (at step 3,000, 7,000), highest at step 7,000 from about 1.546 to 3.567, and was back by step 7,090.");
}

#[test]
fn each_kind_has_its_sentence() {
    let mut draws = Draws::new(5);
    let train = loss(3, 1000, 0.05, |t| -0.5 * t);
    let val = curve("val/loss", 40, 250.0, |t| power(t) + (t - 0.4).max(0.0) * 0.5 + 0.01 * draws.normal());
    let rate =
        curve("tokens_per_second", 500, 20.0, |t| if (0.5..0.8).contains(&t) { 31_000.0 } else { 62_000.0 });
    let throttled =
        Mark { from: 5000.0, to: 8000.0, what: Happened::Throttled("at its power limit".to_owned()) };
    let said = said_of("val/loss", vec![train, val, rate], vec![throttled]);
    insta::assert_snapshot!(texts(&said).join("\n"), @r"
    Validation loss fell from 2.490 to 1.625 at step 4,250, its best, and ended at 1.800 at step 10,000.
    Training loss fell from 4.864 to about 1.025 at step 10,000, the middle of its last 50 values; the last one is 0.9637.
    Tokens per second went from 62,000 to 62,000, between 31,000 and 62,000.
    Over-fitting since step 4,250: validation loss rose from 1.627 to 1.763 while training loss fell from 1.417 to 1.025.
    From step 5,020 to step 8,000 it trained at 50 % of its usual pace, 31,000 instead of 62,000 tokens per second; the GPU's clocks were held down then (at its power limit).
    ");
    let diverging = loss(4, 1000, 0.05, |t| (t - 0.6).max(0.0) * 20.0);
    let said = said_of("train/loss", vec![diverging], vec![mark(6000.0, Happened::Resumed)]);
    insta::assert_snapshot!(texts(&said).join("\n"), @r"
    Training loss rose from 4.876 to about 9.044 at step 10,000, the middle of its last 50 values; the last one is 9.507.
    Training loss diverged: since step 6,060, right after the resume at step 6,000, it rose from 1.544 to 8.781.
    ");
    let resting =
        loss(5, 1000, 0.01, |t| if t < 0.2 { 0.0 } else { power(0.2) - (t - 0.6).max(0.0) - power(t) });
    insta::assert_snapshot!(texts(&said_of("train/loss", vec![resting], vec![])).join("\n"), @r"
    Training loss fell from 4.802 to about 1.398 at step 10,000, the middle of its last 50 values; the last one is 1.386.
    Training loss rested from step 2,010 to step 6,000 near 1.771 and then went on to improve.
    Training loss still improved at the end: the middle of the last quarter of the steps is 1.497, of the quarter before 1.746.
    ");
    let standing = loss(6, 1000, 0.01, |t| power(t.min(0.5)) - power(t));
    insta::assert_snapshot!(texts(&said_of("train/loss", vec![standing], vec![])).join("\n"), @r"
    Training loss fell from 4.793 to about 1.598 at step 10,000, the middle of its last 50 values; the last one is 1.604.
    Training loss stood still from step 4,760 on, within its noise, near 1.596.
    ");
    let mut accuracy = loss(7, 30, 0.003, |_| 0.0);
    accuracy.name = "val/accuracy".to_owned();
    accuracy.points.iter_mut().for_each(|point| point.1 = 1.6 - 0.5 * point.1);
    insta::assert_snapshot!(texts(&said_of("val/accuracy", vec![accuracy], vec![])).join("\n"), @r"
    Validation accuracy rose from 0.4217 to 0.8500 at step 290, its best, and ended at 0.8489 at step 300.
    Validation accuracy still improved at the end: the middle of the last quarter of the steps is 0.8395, of the quarter before 0.8190.
    ");
}

#[test]
fn odd_curves_are_told_as_they_are() {
    let of = |values: &[f64]| {
        let points = values.iter().enumerate().map(|(index, y)| ((index * 10) as f64, *y));
        let curve = Curve { name: "val/loss".to_owned(), points: points.collect() };
        texts(&said_of("val/loss", vec![curve], vec![])).join(" ")
    };
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    let told = [
        of(&[]),
        of(&[2.3]),
        of(&[nan]),
        of(&[2.3; 50]),
        of(&[2.3, 2.1]),
        of(&[2.3, 2.4]),
        of(&[2.3, 2.1, 2.2]),
        of(&[2.3, nan, 2.1, inf, 2.0]),
        of(&[2.3, 2.2, nan, nan]),
        of(&[1e300, -1e300, 1e300, -1e300, 1e-300, 0.0, 1e300, 1e-300]),
        of(&[5e-324; 3]),
    ];
    insta::assert_snapshot!(told.join("\n"), @r"

    Validation loss has one value, 2.300 at step 0.
    Validation loss has no finite value.
    Validation loss stayed at 2.300 from step 0 to step 490.
    Validation loss fell from 2.300 to 2.100 at step 10, its best and last value.
    Validation loss was best at its start, 2.300 at step 0, and ended at 2.400 at step 10.
    Validation loss fell from 2.300 to 2.100 at step 10, its best, and ended at 2.200 at step 20.
    Validation loss fell from 2.300 to 2 at step 40, its best and last value. Validation loss was not finite in 2 rows, first at step 10 (nan).
    Validation loss fell from 2.300 to 2.200 at step 10, its best and last value. Validation loss is nan from step 20 on.
    Validation loss fell from 1e300 to -1e300 at step 10, its best, and ended at 1e-300 at step 70.
    Validation loss stayed at 4.941e-324 from step 0 to step 20.
    ");
}

#[test]
fn any_values_are_survived() {
    let strange = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN, 5e-324, -0.0, 1e300, 1.0];
    for seed in 0..300 {
        let mut draws = Draws::new(seed);
        let mut any = |name: &str| {
            let count = (draws.even() * 120.0) as usize;
            curve(name, count, 1.0, |_| strange[(draws.even() * strange.len() as f64) as usize])
        };
        let curves =
            ["val/loss", "train/loss", "val/accuracy", "train/accuracy", "lr", "tokens_per_second", "other"]
                .map(&mut any);
        for one in said_of("val/loss", curves.to_vec(), vec![mark(3.0, Happened::Resumed)]) {
            assert!(!one.text.is_empty());
        }
    }
}

#[test]
fn a_million_points_are_folded_and_their_spike_is_still_seen() {
    let said = said_of("val/loss", vec![loss(9, 1_000_000, 0.05, bump(0.4, 0.41, 2.0))], vec![]);
    assert!(only(&said, Kind::Spikes).contains("step 4,00"), "{:?}", texts(&said));
}

#[test]
fn of_thousands_of_metrics_those_that_readers_know_are_told() {
    let said = |kind, metric: &str| Said { kind, about: vec![metric.to_owned()], text: metric.to_owned() };
    let mut all = vec![said(Kind::Course, "own/score"), said(Kind::OtherCourse, "val/loss")];
    all.extend((0..5000).map(|number| said(Kind::NotFinite, &format!("layer{number}/norm"))));
    all.push(said(Kind::Spikes, "train/loss"));
    let (told, left_out) = foremost(&all, "own/score", 4);
    assert_eq!(told, ["own/score", "layer0/norm", "layer1/norm", "train/loss"], "most important first");
    assert_eq!(left_out, 4998);
    assert_eq!(foremost(&all[..3], "own/score", 4), (vec!["own/score", "layer0/norm"], 0));
    assert_eq!(foremost(&[], "own/score", 4), (Vec::new(), 0));
}
