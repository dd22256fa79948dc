//! The JSON twin of a page: what its template sees, for programs.

use serde::Serialize;

/// The page's struct as JSON, without the drawings: those are for eyes.
pub fn twin<T: Serialize>(page: &T) -> Result<Vec<u8>, serde_json::Error> {
    fn without_drawings(value: &mut serde_json::Value) {
        match value {
            serde_json::Value::Object(fields) => {
                fields.remove("svg");
                fields.remove("json");
                fields.values_mut().for_each(without_drawings);
            }
            serde_json::Value::Array(items) => items.iter_mut().for_each(without_drawings),
            _ => {}
        }
    }
    let mut value = serde_json::to_value(page)?;
    without_drawings(&mut value);
    serde_json::to_vec(&value)
}
