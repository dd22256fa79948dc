//! A small random forest (Breiman, Machine Learning 45, 2001) that is only asked which columns it needs.

use super::draws::Draws;
use super::mean;

/// Deeper trees learn single runs by heart.
const DEPTH: usize = 8;
/// A leaf has at least so many rows.
const LEAF: usize = 2;

/// What is split on.
#[derive(Clone, Debug)]
pub struct Feature {
    pub values: Vec<f64>,
    /// Whether values are kinds, of which one is told from the others, instead of amounts.
    pub is_kind: bool,
}

enum Tree {
    Leaf(f64),
    Split { feature: usize, at: f64, yes: Box<Tree>, no: Box<Tree> },
}

/// By how much worse the forest predicts rows it has not seen when one feature is shuffled among them,
/// as a share of the variance of `targets`: permutation importance. Near zero for what does not matter,
/// near two for what alone decides. `rows` may hold a row more than once: it counts as seen in all its
/// copies.
pub fn importance(
    features: &[Feature],
    targets: &[f64],
    rows: &[usize],
    trees: usize,
    draws: &mut Draws,
) -> Vec<f64> {
    let mut worse = vec![0.0; features.len()];
    let mut judged = 0usize;
    let spread = {
        let drawn: Vec<f64> = rows.iter().map(|row| targets[*row]).collect();
        let middle = mean(&drawn);
        mean(&drawn.iter().map(|value| (value - middle).powi(2)).collect::<Vec<_>>())
    };
    if spread <= 0.0 || rows.is_empty() {
        return worse;
    }
    for _ in 0..trees {
        let sample: Vec<usize> = (0..rows.len()).map(|_| rows[draws.below(rows.len())]).collect();
        let unseen: Vec<usize> = rows.iter().copied().filter(|row| !sample.contains(row)).collect();
        if unseen.is_empty() {
            continue;
        }
        let tree = grow(features, targets, sample, DEPTH, draws);
        let error = |moved: Option<(usize, &[usize])>| {
            let of_row = |(place, row): (usize, &usize)| {
                let value = |feature: usize| match moved {
                    Some((shuffled, order)) if shuffled == feature => features[feature].values[order[place]],
                    _ => features[feature].values[*row],
                };
                (predict(&tree, features, value) - targets[*row]).powi(2)
            };
            unseen.iter().enumerate().map(of_row).sum::<f64>()
        };
        let as_is = error(None);
        let mut order = unseen.clone();
        for (feature, worse) in worse.iter_mut().enumerate() {
            draws.shuffle(&mut order);
            *worse += error(Some((feature, &order))) - as_is;
        }
        judged += unseen.len();
    }
    worse.iter().map(|worse| worse / judged.max(1) as f64 / spread).collect()
}

fn predict(tree: &Tree, features: &[Feature], value: impl Fn(usize) -> f64) -> f64 {
    let mut tree = tree;
    loop {
        match tree {
            Tree::Leaf(mean) => return *mean,
            Tree::Split { feature, at, yes, no } => {
                tree = if goes(&features[*feature], value(*feature), *at) { yes } else { no };
            }
        }
    }
}

fn goes(feature: &Feature, value: f64, at: f64) -> bool {
    if feature.is_kind { value == at } else { value <= at }
}

/// Each split looks at a third of the features, and at one at least, as is usual for numbers.
fn grow(features: &[Feature], targets: &[f64], rows: Vec<usize>, depth: usize, draws: &mut Draws) -> Tree {
    let of_rows: Vec<f64> = rows.iter().map(|row| targets[*row]).collect();
    let leaf = Tree::Leaf(mean(&of_rows));
    if depth == 0 || rows.len() < 2 * LEAF || of_rows.iter().all(|value| *value == of_rows[0]) {
        return leaf;
    }
    let mut tried: Vec<usize> = (0..features.len()).collect();
    draws.shuffle(&mut tried);
    // With few features a third of them is none that matters, and trees end where they begin.
    tried.truncate(features.len().div_ceil(3).max(2));
    let splits =
        tried.into_iter().filter_map(|feature| best_split(&features[feature], feature, targets, &rows));
    let best = splits.max_by(|a, b| a.gain.total_cmp(&b.gain));
    let Some(Split { feature, at, .. }) = best.filter(|split| split.gain > 0.0) else { return leaf };
    let (yes, no): (Vec<usize>, Vec<usize>) =
        rows.into_iter().partition(|row| goes(&features[feature], features[feature].values[*row], at));
    let yes = Box::new(grow(features, targets, yes, depth - 1, draws));
    let no = Box::new(grow(features, targets, no, depth - 1, draws));
    Tree::Split { feature, at, yes, no }
}

struct Split {
    feature: usize,
    at: f64,
    /// By how much it lowers the sum of squares.
    gain: f64,
}

fn best_split(feature: &Feature, number: usize, targets: &[f64], rows: &[usize]) -> Option<Split> {
    let mut pairs: Vec<(f64, f64)> = rows.iter().map(|row| (feature.values[*row], targets[*row])).collect();
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let all: f64 = pairs.iter().map(|(_, target)| target).sum();
    let count = pairs.len() as f64;
    let gain =
        |sum: f64, many: f64| sum * sum / many + (all - sum).powi(2) / (count - many) - all * all / count;
    let mut best: Option<Split> = None;
    let (mut sum, mut many) = (0.0, 0usize);
    for index in 0..pairs.len() - 1 {
        let (value, target) = pairs[index];
        if feature.is_kind && index > 0 && pairs[index - 1].0 != value {
            (sum, many) = (0.0, 0);
        }
        sum += target;
        many += 1;
        let next = pairs[index + 1].0;
        if next == value || many < LEAF || pairs.len() - many < LEAF {
            continue;
        }
        let at = if feature.is_kind { value } else { value + (next - value) / 2.0 };
        let gain = gain(sum, many as f64);
        if best.as_ref().is_none_or(|known| gain > known.gain) {
            best = Some(Split { feature: number, at, gain });
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_decides_is_needed_and_what_does_not_is_not() {
        let mut draws = Draws::new(7);
        let mut column = |kinds: usize| -> Vec<f64> { (0..120).map(|_| draws.below(kinds) as f64).collect() };
        let (decides, kind, idle) = (column(5), column(4), column(6));
        let targets: Vec<f64> =
            decides.iter().zip(&kind).map(|(a, b)| a * a + if *b == 2.0 { 6.0 } else { 0.0 }).collect();
        let features = [(decides, false), (kind, true), (idle, false)]
            .map(|(values, is_kind)| Feature { values, is_kind });
        let rows: Vec<usize> = (0..120).collect();
        let found = importance(&features, &targets, &rows, 60, &mut Draws::new(1));
        assert!(found[0] > found[1] && found[1] > 0.05 && found[2].abs() < 0.05, "{found:?}");
        assert_eq!(found, importance(&features, &targets, &rows, 60, &mut Draws::new(1)));
    }

    #[test]
    fn nothing_to_learn_needs_nothing() {
        let feature = Feature { values: vec![1.0, 2.0, 3.0, 4.0], is_kind: false };
        let rows = [0, 1, 2, 3];
        assert_eq!(importance(&[feature], &[5.0; 4], &rows, 10, &mut Draws::new(1)), [0.0]);
        assert!(importance(&[], &[1.0, 2.0], &[0, 1], 10, &mut Draws::new(1)).is_empty());
    }
}
