//! Where each piece of a model stands in its diagram. Lengths are CSS pixels from the top.

use super::fold::{Part, fold};
use crate::run_dir::records::{Layer, ModelRecord};
use crate::say::{count, counted};

/// The diagram as rows below each other.
#[derive(Debug, Default)]
pub struct Layout {
    pub rows: Vec<Row>,
    pub brackets: Vec<Bracket>,
    /// Ways around rows, for what is added to what comes out of them: from and to.
    pub detours: Vec<(u32, u32)>,
    pub height: u32,
}

/// One box of the diagram, or the head of a bracket.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub form: Form,
    pub name: String,
    /// The name in full, where `name` stands below a block's.
    pub full_name: String,
    pub kind: String,
    pub shape: String,
    /// How often it comes in the whole model.
    pub times: u64,
    /// Of one of them.
    pub parameters: u64,
    /// All of them as a part of the model's, from 0 to 1.
    pub share: f64,
    /// The first layer that it stands for, among the model's.
    pub layer: Option<usize>,
    pub top: u32,
    pub height: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A layer, or several of one name's beginning where there are too many to draw each.
    Layer,
    /// The head of a bracket around the rows of a block.
    Block,
    /// What is not drawn.
    More,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bracket {
    pub top: u32,
    pub bottom: u32,
    /// Brackets around it.
    pub depth: u32,
}

const BOX: u32 = 42;
const HEAD: u32 = 20;
/// Between boxes, where the line from one to the next is seen.
const GAP: u32 = 12;
/// Rows that are drawn; of a larger model what begins alike is drawn as one.
const MOST_ROWS: usize = 64;

/// The diagram of a model: what repeats once, and never more rows than a person would read.
pub fn layout(model: &ModelRecord) -> Layout {
    let all = total(model);
    let mut layout = Layout::default();
    let mut placing = Placing { layout: &mut layout, all, depth: 0 };
    placing.parts(&fold(&model.layers), 1, "");
    if layout.rows.len() > MOST_ROWS {
        layout = coarse(model, all);
    }
    layout.height = layout.rows.last().map_or(0, |row| row.top + row.height);
    layout.detours = detours(&layout.rows);
    layout
}

/// All rows, drawn or not: what a list of the layers shows.
pub fn listed(model: &ModelRecord) -> Vec<Row> {
    let mut layout = Layout::default();
    let mut placing = Placing { layout: &mut layout, all: total(model), depth: 0 };
    placing.parts(&fold(&model.layers), 1, "");
    layout.rows
}

/// Parameters in all: what the record says, or its layers where they say more.
fn total(model: &ModelRecord) -> u64 {
    let sum = model.layers.iter().fold(0u64, |sum, layer| sum.saturating_add(layer.parameters));
    model.parameters.max(sum)
}

pub fn shape(sizes: &[i64]) -> String {
    let size = |size: &i64| u64::try_from(*size).map_or_else(|_| "?".to_owned(), count);
    sizes.iter().map(size).collect::<Vec<_>>().join(" × ")
}

struct Placing<'a> {
    layout: &'a mut Layout,
    all: u64,
    depth: u32,
}

impl Placing<'_> {
    /// Places parts of a block that comes so many times.
    fn parts(&mut self, parts: &[Part], around: u64, above: &str) {
        for part in parts {
            match part {
                Part::Layer { layer, index, name, times } => {
                    let row = Row {
                        form: Form::Layer,
                        name: if name.is_empty() { "(no name)".into() } else { name.clone() },
                        full_name: join(above, name),
                        kind: layer.kind.clone(),
                        shape: shape(&layer.output),
                        times: times.saturating_mul(around),
                        parameters: layer.parameters,
                        share: part_of(layer.parameters, times.saturating_mul(around), self.all),
                        layer: Some(*index),
                        ..nothing()
                    };
                    self.place(row, BOX);
                }
                Part::Block { name, times, parts, layers, parameters } => {
                    let full_name = join(above, name);
                    let row = Row {
                        form: Form::Block,
                        name: name.clone(),
                        kind: counted(*layers, "layer", "layers"),
                        times: times.saturating_mul(around),
                        parameters: *parameters,
                        share: part_of(*parameters, times.saturating_mul(around), self.all),
                        full_name,
                        ..nothing()
                    };
                    self.place(row, HEAD);
                    let Some(head) = self.layout.rows.last().cloned() else { continue };
                    self.depth += 1;
                    self.parts(parts, times.saturating_mul(around), &head.full_name);
                    self.depth -= 1;
                    let bottom = self.layout.rows.last().map_or(0, |row| row.top + row.height);
                    self.layout.brackets.push(Bracket { top: head.top, bottom, depth: self.depth });
                }
            }
        }
    }

    fn place(&mut self, row: Row, height: u32) {
        let top = self.layout.rows.last().map_or(0, |last| last.top + last.height + GAP);
        self.layout.rows.push(Row { top, height, ..row });
    }
}

/// Layers of one name's beginning as one row: the longest beginning that makes few enough of them.
fn coarse(model: &ModelRecord, all: u64) -> Layout {
    let mut layout = Layout::default();
    let groups = |words: usize| {
        let same = move |one: &Layer, other: &Layer| beginning(one, words) == beginning(other, words);
        model.layers.chunk_by(same).map(move |group| (beginning(&group[0], words), group))
    };
    let words = (1..=4).rev().find(|words| groups(*words).count() <= MOST_ROWS).unwrap_or(1);
    let mut first = 0;
    let mut placing = Placing { layout: &mut layout, all, depth: 0 };
    for (name, group) in groups(words) {
        if placing.layout.rows.len() + 1 == MOST_ROWS && first + group.len() < model.layers.len() {
            let left = model.layers.len() - first;
            let name = format!("and {}", counted(left, "further layer", "further layers"));
            placing.place(Row { form: Form::More, name, ..nothing() }, HEAD);
            break;
        }
        let parameters = group.iter().fold(0u64, |sum, layer| sum.saturating_add(layer.parameters));
        let kind = match group {
            [only] => only.kind.clone(),
            many => counted(many.len(), "layer", "layers"),
        };
        let row = Row {
            full_name: name.clone(),
            name,
            kind,
            shape: group.last().map_or_else(String::new, |last| shape(&last.output)),
            parameters,
            share: part_of(parameters, 1, all),
            layer: Some(first),
            ..nothing()
        };
        first += group.len();
        placing.place(row, BOX);
    }
    layout
}

fn beginning(layer: &Layer, words: usize) -> String {
    layer.name.split('.').take(words).collect::<Vec<_>>().join(".")
}

/// Where the input of a row is added to its output: around residual blocks, and around a norm with the
/// attention or the feed-forward net behind it, as in every transformer whose norms come first.
fn detours(rows: &[Row]) -> Vec<(u32, u32)> {
    let around =
        |first: &Row, last: &Row| (first.top.saturating_sub(GAP / 2), last.top + last.height + GAP / 2);
    let own = rows.iter().filter(|row| row.kind.contains("residual")).map(|row| around(row, row));
    let adds =
        |row: &Row| row.form == Form::Layer && ["attention", "feed-forward"].contains(&row.kind.as_str());
    let behind_norms = rows
        .windows(2)
        .filter(|pair| pair[0].kind == "norm" && pair[0].form == Form::Layer && adds(&pair[1]));
    own.chain(behind_norms.map(|pair| around(&pair[0], &pair[1]))).collect()
}

fn join(above: &str, name: &str) -> String {
    match (above, name) {
        ("", name) => name.to_owned(),
        (above, "") => above.to_owned(),
        (above, name) => format!("{above}.{name}"),
    }
}

fn part_of(parameters: u64, times: u64, all: u64) -> f64 {
    (parameters as f64 * times as f64 / all.max(1) as f64).min(1.0)
}

fn nothing() -> Row {
    Row {
        form: Form::Layer,
        name: String::new(),
        full_name: String::new(),
        kind: String::new(),
        shape: String::new(),
        times: 1,
        parameters: 0,
        share: 0.0,
        layer: None,
        top: 0,
        height: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fold::tests::{cnn, gpt, layer, resnet};
    use super::*;

    fn model(kind: &str, layers: Vec<Layer>) -> ModelRecord {
        let parameters = layers.iter().map(|layer| layer.parameters).sum();
        ModelRecord { kind: kind.into(), parameters, layers, vocabulary: None, classes: None }
    }

    fn is_in_order(layout: &Layout) -> bool {
        layout.rows.windows(2).all(|pair| pair[0].top + pair[0].height < pair[1].top)
    }

    #[test]
    fn a_gpt_is_eight_boxes_and_a_bracket_with_all_of_its_parameters() {
        let layout = layout(&model("gpt", gpt(6)));
        let names: Vec<&str> = layout.rows.iter().map(|row| row.name.as_str()).collect();
        let expected = ["transformer.wte", "transformer.wpe", "transformer.h.0 … 5", "ln_1", "attn", "ln_2"];
        assert_eq!(names[..6], expected);
        assert_eq!((names.len(), layout.brackets.len(), layout.detours.len()), (9, 1, 2));
        let shares =
            layout.rows.iter().filter(|row| row.form == Form::Layer).map(|row| row.share).sum::<f64>();
        assert!((shares - 1.0).abs() < 1e-9, "{shares}");
        assert_eq!(
            (layout.rows[2].times, layout.rows[4].full_name.as_str()),
            (6, "transformer.h.0 … 5.attn")
        );
        assert!(is_in_order(&layout));
        let bracket = layout.brackets[0];
        assert_eq!((bracket.top, bracket.bottom), (layout.rows[2].top, layout.rows[6].top + BOX));
    }

    #[test]
    fn a_small_net_has_a_box_for_each_layer_and_residual_blocks_a_way_around() {
        let small = layout(&model("cnn", cnn()));
        let shapes: Vec<&str> = small.rows.iter().map(|row| row.shape.as_str()).collect();
        assert_eq!(shapes, ["16 × 12 × 12", "32 × 6 × 6", "128", "5"]);
        assert!(small.detours.is_empty() && small.brackets.is_empty());
        let resnet = layout(&model("resnet18", resnet()));
        assert_eq!((resnet.rows.len(), resnet.detours.len()), (10, 7));
        assert!(is_in_order(&resnet));
    }

    #[test]
    fn hundreds_of_layers_become_few_rows() {
        // No two alike, so nothing folds.
        let many = |name: fn(i64) -> String| {
            let layers =
                (1..=700).map(|number| layer(&name(number), "linear", &[number], &[("w", &[number])]));
            model("of-somebody-else", layers.collect())
        };
        for (name, rows, last) in [
            ((|number| format!("stage{}.x{number}", number / 100)) as fn(i64) -> String, 8, "stage7"),
            (|number| format!("x{number}"), 64, "and 637 further layers"),
            (|number| format!("a.b.c.d.e.{number}"), 1, "a.b.c.d"),
        ] {
            let model = many(name);
            let layout = layout(&model);
            assert_eq!((layout.rows.len(), layout.rows.last().unwrap().name.as_str()), (rows, last));
            assert!(is_in_order(&layout));
            assert_eq!(listed(&model).len(), 700);
        }
    }

    #[test]
    fn a_model_that_says_little_or_nonsense_is_laid_out() {
        assert_eq!(layout(&model("unknown", Vec::new())).height, 0);
        let odd = Layer { parameters: u64::MAX, output: vec![-1, i64::MAX], ..layer("", "", &[], &[]) };
        let mut model = model("unknown", vec![]);
        model.layers = vec![odd.clone(), odd];
        let layout = layout(&model);
        assert_eq!(layout.rows[0].shape, "? × 9,223,372,036,854,775,807");
        assert!(layout.rows.iter().all(|row| (0.0..=1.0).contains(&row.share)));
    }
}
