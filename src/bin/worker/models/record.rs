//! What `model.json` says of a model.

use super::Tensors;
use crate::task::Role;
use serde_json::{Map, Value, json};

/// Layers with their kinds, shapes and parameter counts; the task adds vocabulary or class names.
pub fn model_record(kind: &str, tensors: &Tensors) -> Map<String, Value> {
    let mut layers: Vec<Value> = Vec::new();
    let mut trained = 0;
    for (layer, layer_kind) in &tensors.kinds {
        let mut parameters = 0;
        let mut shapes = Map::new();
        for tensor in &tensors.list {
            let Some((of, part)) = tensor.name.rsplit_once('.') else {
                continue;
            };
            if of != layer {
                continue;
            }
            shapes.insert(part.to_owned(), json!(tensor.tensor.size()));
            if tensor.role != Role::Buffer {
                parameters += tensor.tensor.numel();
            }
        }
        trained += parameters;
        layers.push(json!({
            "name": layer,
            "kind": layer_kind,
            "shapes": shapes,
            "parameters": parameters,
        }));
    }
    let mut record = Map::new();
    record.insert("kind".to_owned(), json!(kind));
    record.insert("parameters".to_owned(), json!(trained));
    record.insert("layers".to_owned(), Value::Array(layers));
    record
}
