//! Where the boxes of a graph stand: in layers from left to right, as few lines crossing as a few sweeps
//! can bring about (Sugiyama, Tagawa and Toda 1981). Knows nothing of runs.

use std::collections::BTreeMap;

/// A graph to be laid out: boxes of equal height, and which leads to which.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// Width of each box.
    pub widths: Vec<f64>,
    pub edges: Vec<(usize, usize)>,
}

/// Room in and between boxes, in CSS pixels.
pub const BOX_HEIGHT: f64 = 44.0;
const GAP: f64 = 16.0;
const BETWEEN_LAYERS: f64 = 120.0;
const BETWEEN_PARTS: f64 = 36.0;
/// How often the order in the layers is bettered.
const SWEEPS: usize = 6;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layout {
    pub width: f64,
    pub height: f64,
    /// Left upper corner of each box.
    pub places: Vec<(f64, f64)>,
    /// The layer of each box, from zero.
    pub layers: Vec<usize>,
    /// Whether an edge, by its number, leads back: what goes round in a circle has one.
    pub back: Vec<bool>,
}

/// Lays out any graph: with circles, edges to itself, boxes that nothing leads to; numbers that are not
/// there are left out.
pub fn layout(graph: &Graph) -> Layout {
    let count = graph.widths.len();
    let is_real = |&(from, to): &(usize, usize)| from < count && to < count && from != to;
    let back = back_edges(count, &graph.edges);
    let forward: Vec<(usize, usize)> = graph
        .edges
        .iter()
        .zip(&back)
        .filter(|(edge, is_back)| is_real(edge) && !**is_back)
        .map(|(edge, _)| *edge)
        .collect();
    let layers = layers(count, &forward);
    let parts = parts(count, &graph.edges);
    let mut lefts: Vec<f64> = Vec::new();
    let mut left = 0.0;
    for layer in 0..=layers.iter().copied().max().unwrap_or(0) {
        lefts.push(left);
        let of_layer = (0..count).filter(|node| layers[*node] == layer);
        left += of_layer.map(|node| graph.widths[node]).fold(0.0, f64::max) + BETWEEN_LAYERS;
    }
    let mut places = vec![(0.0, 0.0); count];
    let mut top = 0.0;
    for part in parts {
        let columns = ordered(&part, &layers, &forward);
        let tallest = columns.values().map(Vec::len).max().unwrap_or(0);
        let height_of = |boxes: usize| boxes as f64 * (BOX_HEIGHT + GAP) - GAP;
        for (layer, column) in &columns {
            // Each layer stands in the middle of its part.
            let begin = top + (height_of(tallest) - height_of(column.len())) / 2.0;
            for (row, &node) in column.iter().enumerate() {
                places[node] = (lefts[*layer], begin + row as f64 * (BOX_HEIGHT + GAP));
            }
        }
        top += height_of(tallest) + BETWEEN_PARTS;
    }
    let width = (0..count).map(|node| places[node].0 + graph.widths[node]).fold(0.0, f64::max);
    Layout { width, height: (top - BETWEEN_PARTS).max(0.0), places, layers, back }
}

/// Edges that lead to a box from which one came: found by walking along, without recursion.
fn back_edges(count: usize, edges: &[(usize, usize)]) -> Vec<bool> {
    #[derive(Clone, Copy, PartialEq)]
    enum Seen {
        Never,
        OnTheWay,
        Done,
    }
    let mut leaving: Vec<Vec<usize>> = vec![Vec::new(); count];
    for (number, (from, _)) in edges.iter().enumerate().filter(|(_, (from, to))| *from < count && *to < count)
    {
        leaving[*from].push(number);
    }
    let mut is_back = vec![false; edges.len()];
    let mut seen = vec![Seen::Never; count];
    for root in 0..count {
        let mut way = vec![(root, 0)];
        if seen[root] != Seen::Never {
            continue;
        }
        seen[root] = Seen::OnTheWay;
        while let Some((node, next)) = way.last_mut() {
            let Some(&edge) = leaving[*node].get(*next) else {
                seen[*node] = Seen::Done;
                way.pop();
                continue;
            };
            *next += 1;
            let to = edges[edge].1;
            match seen[to] {
                Seen::OnTheWay => is_back[edge] = true,
                Seen::Never => {
                    seen[to] = Seen::OnTheWay;
                    way.push((to, 0));
                }
                Seen::Done => {}
            }
        }
    }
    is_back
}

/// The longest way to each box: everything stands right of what leads to it.
fn layers(count: usize, forward: &[(usize, usize)]) -> Vec<usize> {
    let mut leaving: Vec<Vec<usize>> = vec![Vec::new(); count];
    let mut open = vec![0usize; count];
    for &(from, to) in forward {
        leaving[from].push(to);
        open[to] += 1;
    }
    let mut layers = vec![0; count];
    let mut ready: Vec<usize> = (0..count).filter(|node| open[*node] == 0).collect();
    while let Some(node) = ready.pop() {
        for &to in &leaving[node] {
            layers[to] = layers[to].max(layers[node] + 1);
            open[to] -= 1;
            if open[to] == 0 {
                ready.push(to);
            }
        }
    }
    layers
}

/// Boxes that hang together, in the order of their first ones.
fn parts(count: usize, edges: &[(usize, usize)]) -> Vec<Vec<usize>> {
    let mut part: Vec<usize> = (0..count).collect();
    fn root(part: &mut [usize], mut node: usize) -> usize {
        while part[node] != node {
            part[node] = part[part[node]];
            node = part[node];
        }
        node
    }
    for &(from, to) in edges.iter().filter(|(from, to)| *from < count && *to < count) {
        let (one, other) = (root(&mut part, from), root(&mut part, to));
        part[one.max(other)] = one.min(other);
    }
    let mut parts: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for node in 0..count {
        parts.entry(root(&mut part, node)).or_default().push(node);
    }
    parts.into_values().collect()
}

/// The boxes of each layer from top to bottom: again and again each is moved to the middle of those that
/// it hangs on, of the layer before and of the one behind in turn.
fn ordered(part: &[usize], layers: &[usize], forward: &[(usize, usize)]) -> BTreeMap<usize, Vec<usize>> {
    let mut columns: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for &node in part {
        columns.entry(layers[node]).or_default().push(node);
    }
    let mut beside: BTreeMap<usize, (Vec<usize>, Vec<usize>)> = BTreeMap::new();
    for &(from, to) in forward {
        beside.entry(to).or_default().0.push(from);
        beside.entry(from).or_default().1.push(to);
    }
    let mut rank: BTreeMap<usize, f64> = BTreeMap::new();
    for column in columns.values() {
        rank.extend(column.iter().enumerate().map(|(row, &node)| (node, middled(row, column.len()))));
    }
    for sweep in 0..SWEEPS {
        for column in columns.values_mut() {
            let wish = |node: &usize| {
                let empty = (Vec::new(), Vec::new());
                let (before, behind) = beside.get(node).unwrap_or(&empty);
                let others = if sweep % 2 == 0 { before } else { behind };
                let known = others.iter().filter_map(|other| rank.get(other));
                let sum: f64 = known.sum();
                if others.is_empty() { rank[node] } else { sum / others.len() as f64 }
            };
            let wishes: BTreeMap<usize, f64> = column.iter().map(|node| (*node, wish(node))).collect();
            column.sort_by(|one, other| wishes[one].total_cmp(&wishes[other]));
            let length = column.len();
            rank.extend(column.iter().enumerate().map(|(row, &node)| (node, middled(row, length))));
        }
    }
    columns
}

/// A row's place seen from the middle of its column.
fn middled(row: usize, length: usize) -> f64 {
    row as f64 - (length as f64 - 1.0) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(count: usize, edges: &[(usize, usize)]) -> Graph {
        Graph { widths: vec![100.0; count], edges: edges.to_vec() }
    }

    #[track_caller]
    fn assert_apart(graph: &Graph, layout: &Layout) {
        for one in 0..graph.widths.len() {
            let (x, y) = layout.places[one];
            assert!(x >= 0.0 && y >= 0.0 && x + graph.widths[one] <= layout.width + 0.1, "{one} at {x}, {y}");
            assert!(y + BOX_HEIGHT <= layout.height + 0.1, "{one} at {x}, {y} of {}", layout.height);
            for other in 0..one {
                let (left, top) = layout.places[other];
                let beside = x + graph.widths[one] <= left || left + graph.widths[other] <= x;
                assert!(beside || (y - top).abs() >= BOX_HEIGHT, "{one} lies on {other}");
            }
        }
    }

    #[test]
    fn everything_stands_right_of_what_leads_to_it() {
        let diamond = graph(5, &[(0, 1), (1, 2), (0, 2), (2, 3), (4, 3)]);
        let layout = layout(&diamond);
        assert_eq!(layout.layers, [0, 1, 2, 3, 0]);
        assert_apart(&diamond, &layout);
        assert!(layout.places[1].0 - layout.places[0].0 >= 100.0 + BETWEEN_LAYERS);
    }

    #[test]
    fn circles_end_and_have_one_edge_that_leads_back() {
        let circle = graph(4, &[(0, 1), (1, 2), (2, 0), (2, 3), (3, 3)]);
        let layout = layout(&circle);
        assert_eq!(layout.back, [false, false, true, false, true]);
        assert_eq!(layout.layers, [0, 1, 2, 3]);
        assert_apart(&circle, &layout);
    }

    #[test]
    fn a_wide_fan_stands_around_its_middle() {
        let edges: Vec<(usize, usize)> =
            (1..=200).map(|node| (0, node)).chain((1..=200).map(|node| (node, 201))).collect();
        let fan = graph(202, &edges);
        let layout = layout(&fan);
        assert_apart(&fan, &layout);
        assert_eq!(layout.height, 200.0 * (BOX_HEIGHT + GAP) - GAP);
        let middle = (layout.height - BOX_HEIGHT) / 2.0;
        assert_eq!((layout.places[0].1, layout.places[201].1), (middle, middle));
    }

    #[test]
    fn lines_that_need_not_cross_do_not() {
        // Queued in the wrong order: 0 leads to the last, 2 to the first.
        let crossed = graph(6, &[(0, 5), (1, 4), (2, 3), (0, 4)]);
        let layout = layout(&crossed);
        let row = |node: usize| layout.places[node].1;
        let pairs = [(0, 5), (1, 4)];
        let [(a, b), (c, d)] = pairs;
        assert!((row(a) - row(c)) * (row(b) - row(d)) > 0.0, "{layout:?}");
    }

    #[test]
    fn parts_stand_below_each_other_and_wide_boxes_have_their_room() {
        let mut two = graph(4, &[(0, 1), (2, 3)]);
        two.widths[0] = 400.0;
        let layout = layout(&two);
        assert_apart(&two, &layout);
        assert!(layout.places[2].1 > layout.places[0].1);
        assert_eq!(layout.places[1].0, 400.0 + BETWEEN_LAYERS);
    }

    #[test]
    fn nothing_and_what_cannot_be_are_laid_out_too() {
        assert_eq!(layout(&Graph::default()), Layout::default());
        let layout = layout(&graph(1, &[(0, 9), (7, 0)]));
        assert_eq!(layout.places, [(0.0, 0.0)]);
    }
}
