//! The model of a run: its diagram, and the list of its layers with their tensors.

use super::super::chart::architecture::{self, Form, Row};
use super::super::model::{LayerRow, ModelBlock, TensorRow};
use super::super::say;
use crate::run_dir::records::{Layer, ModelRecord};
use crate::say::count;

/// Layers beyond these are not listed; the diagram draws them together.
const MOST_LISTED: usize = 400;

pub fn block(model: &ModelRecord) -> ModelBlock {
    let rows = architecture::listed(model);
    let shown: Vec<LayerRow> = rows.iter().take(MOST_LISTED).map(|row| layer(model, row)).collect();
    let linked = shown.iter().filter_map(|row| row.number).max().map_or(0, |last| last + 1);
    let layers = say::counted(model.layers.len(), "layer", "layers");
    let parameters = format!("{} parameters", count(model.parameters));
    let size = |list: &Option<Vec<String>>| list.as_ref().map(|list| count(list.len() as u64));
    let (input, output) = match (size(&model.vocabulary), size(&model.classes)) {
        (Some(tokens), _) => {
            (format!("tokens, of {tokens} kinds"), format!("the next token, of {tokens} kinds"))
        }
        (None, Some(classes)) => ("image".to_owned(), format!("class, of {classes}")),
        (None, None) => (String::new(), String::new()),
    };
    ModelBlock {
        summary: match model.layers.is_empty() {
            true => format!("{}, {parameters}; nothing is known of its layers", model.kind),
            false => format!("{}, {parameters} in {layers}", model.kind),
        },
        input,
        output,
        svg: architecture::draw(model, linked),
        more: rows.len() - shown.len(),
        layers: shown,
    }
}

fn layer(model: &ModelRecord, row: &Row) -> LayerRow {
    let layer = row.layer.filter(|_| row.form == Form::Layer).and_then(|number| model.layers.get(number));
    LayerRow {
        number: row.layer,
        name: row.full_name.clone(),
        kind: row.kind.clone(),
        shape: row.shape.clone(),
        share: architecture::share_in_words(row),
        tensors: layer.map(tensors).unwrap_or_default(),
    }
}

fn tensors(layer: &Layer) -> Vec<TensorRow> {
    let row = |(name, sizes): &(String, Vec<i64>)| {
        let numbers = sizes.iter().try_fold(1u64, |all, size| all.checked_mul(u64::try_from(*size).ok()?));
        TensorRow {
            name: name.clone(),
            shape: if sizes.is_empty() { "one number".into() } else { architecture::shape(sizes) },
            numbers: numbers.map_or_else(|| "?".to_owned(), count),
        }
    };
    layer.tensors.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(name: &str, tensors: Vec<(String, Vec<i64>)>) -> Layer {
        Layer { name: name.into(), kind: "linear".into(), output: vec![4], tensors, parameters: 8 }
    }

    #[test]
    fn a_model_of_somebody_else_is_listed_as_far_as_it_goes() {
        let weight = ("weight".to_owned(), vec![4, 2]);
        let odd = vec![weight, ("scale".to_owned(), vec![]), ("?".to_owned(), vec![-1, 3])];
        let layers = (0..1000).map(|number| layer(&format!("x{number}"), odd.clone())).collect();
        let mut model =
            ModelRecord { kind: "mamba".into(), parameters: 8000, layers, vocabulary: None, classes: None };
        let listed = block(&model);
        assert_eq!((listed.layers.len(), listed.more), (400, 600));
        let numbers: Vec<&str> = listed.layers[0].tensors.iter().map(|row| row.numbers.as_str()).collect();
        assert_eq!(numbers, ["8", "1", "?"]);
        assert_eq!(listed.summary, "mamba, 8,000 parameters in 1,000 layers");
        assert!((listed.input.as_str(), listed.output.as_str()) == ("", ""));
        model.layers.clear();
        assert_eq!(block(&model).summary, "mamba, 8,000 parameters; nothing is known of its layers");
    }

    #[test]
    fn what_goes_in_and_comes_out_is_said_where_it_is_known() {
        let words = |count: usize| Some(vec!["x".to_owned(); count]);
        let model = |vocabulary, classes| {
            let layers = vec![layer("fc", Vec::new())];
            block(&ModelRecord { kind: "x".into(), parameters: 8, layers, vocabulary, classes })
        };
        assert_eq!(model(words(65), None).input, "tokens, of 65 kinds");
        assert_eq!(model(None, words(10)).output, "class, of 10");
    }
}
