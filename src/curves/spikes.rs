//! Spikes: a metric that jumps the wrong way and comes back, with what happened right before.

use super::course::{Cell, Course};
use super::robust::quantile;
use super::trends::beside;
use super::{Mark, step, title};
use crate::say::measured;

/// Cells before, whose middle a spike is measured from. Loss falls, so they lie above what is normal.
const BEFORE: usize = 25;
/// Cells that must have been seen before anything can stand out from them.
const LEAST_BEFORE: usize = 8;
/// The distance of the quartiles of a normal distribution in its standard deviations.
const QUARTILES_TO_SIGMA: f64 = 1.349;
/// Standard deviations by which a spike stands out at least. Noise of a normal distribution does so
/// once in 10^15 values.
const SIGMAS: f64 = 8.0;
/// Losses of single batches have longer tails than that. So the height is also measured in what the
/// worst fiftieth of the curve's own values stand out by, times this and the logarithm of their number:
/// the highest of n values of an exponential tail grows so.
const OWN_TAIL: f64 = 2.6;
const WORST_SHARE: f64 = 0.98;
/// Lower than this share of the range of the curve's middle parts nobody would call it a spike.
const LEAST_HEIGHT: f64 = 0.1;
/// What stays away for more than this share of the curve is no spike.
const LONGEST: f64 = 0.15;
/// It is back when it lies within this share of the height above where it was.
const BACK: f64 = 0.15;

/// One spike, in badness.
#[derive(Clone, Copy, Debug)]
pub struct Spike {
    pub begin: f64,
    pub peak: f64,
    pub height: f64,
    pub base: f64,
    /// Where it was back; none at the curve's end.
    pub back: Option<f64>,
}

/// "Training loss spiked at step 410, right after the resume at step 400, from about 1.7 to 3.1, and was
/// back by step 460."
pub fn sentence(course: &Course, marks: &[Mark]) -> Option<String> {
    let spikes = find(&course.cells(), course.noise);
    let highest = spikes.iter().max_by(|a, b| a.height.total_cmp(&b.height))?;
    let name = title(&course.name);
    let told = |spike: &Spike| {
        let back = match spike.back {
            Some(back) => format!(", and was back by step {}", step(back)),
            None => String::from(", shortly before the last row"),
        };
        format!(
            "at step {}{} from about {} to {}{back}",
            step(spike.peak),
            beside(marks, spike.begin, course),
            measured(course.value(spike.base)),
            measured(course.value(spike.base + spike.height))
        )
    };
    Some(match spikes.as_slice() {
        [one] => format!("{name} spiked {}.", told(one)),
        many => {
            let all: Vec<String> = many.iter().take(4).map(|spike| step(spike.peak)).collect();
            let more = if many.len() > all.len() { " and later" } else { "" };
            let times = if many.len() == 2 { "twice".to_owned() } else { format!("{} times", many.len()) };
            format!("{name} spiked {times} (at step {}{more}), highest {}.", all.join(", "), told(highest))
        }
    })
}

/// The spikes of a curve, in order.
pub fn find(cells: &[Cell], noise: f64) -> Vec<Spike> {
    if cells.len() < 2 * LEAST_BEFORE {
        return Vec::new();
    }
    let standouts = standouts(cells);
    let seen: Vec<f64> = standouts.iter().flatten().map(|(out, _)| *out).collect();
    let own_tail = quantile(&seen, WORST_SHARE).max(0.0);
    let tail = OWN_TAIL * own_tail * ((seen.len() as f64).ln() / 50f64.ln()).max(1.0);
    let middles: Vec<f64> = cells.iter().map(|cell| cell.middle).collect();
    let range = quantile(&middles, 0.9) - quantile(&middles, 0.1);
    let least = tail.max(LEAST_HEIGHT * range).max(SIGMAS * noise);
    let longest = ((cells.len() as f64 * LONGEST) as usize).max(3);
    let mut spikes = Vec::new();
    let mut index = 0;
    while index < cells.len() {
        let found = standouts[index].filter(|(out, sigma)| *out > least.max(SIGMAS * sigma) && *out > 0.0);
        let Some((out, spread)) = found else {
            index += 1;
            continue;
        };
        let base = cells[index].worst - out;
        let within = &cells[index..(index + longest).min(cells.len())];
        let peak = within.iter().take_while(|cell| cell.worst > base + out * BACK);
        let Some(peak) = peak.max_by(|a, b| a.worst.total_cmp(&b.worst)) else { break };
        let height = peak.worst - base;
        let near = base + (BACK * height).max(2.0 * spread.max(noise));
        let back = within.iter().enumerate().find(|(_, cell)| cell.x > peak.x && cell.middle <= near);
        match back {
            Some((length, cell)) => {
                let begin = cells[index].worst_x;
                spikes.push(Spike { begin, peak: peak.worst_x, height, base, back: Some(cell.x) });
                index += length.max(1);
            }
            // A single last value may be the beginning of anything.
            None => index += within.len(),
        }
    }
    spikes
}

/// For each cell by how much its worst value stands out from the middle of those before it, with their
/// spread; none for the first ones.
fn standouts(cells: &[Cell]) -> Vec<Option<(f64, f64)>> {
    let mut sorted: Vec<f64> = Vec::with_capacity(BEFORE + 1);
    let mut out = Vec::with_capacity(cells.len());
    for (index, cell) in cells.iter().enumerate() {
        out.push((sorted.len() >= LEAST_BEFORE).then(|| {
            let middle = sorted[sorted.len() / 2];
            let quartiles = sorted[sorted.len() * 3 / 4] - sorted[sorted.len() / 4];
            (cell.worst - middle, quartiles / QUARTILES_TO_SIGMA)
        }));
        if sorted.len() == BEFORE {
            let oldest = cells[index - BEFORE].middle;
            let place = sorted.partition_point(|value| *value < oldest);
            sorted.remove(place);
        }
        let place = sorted.partition_point(|value| *value < cell.middle);
        sorted.insert(place, cell.middle);
    }
    out
}
