//! Pages and their JSON twins, written side by side.

use serde::Serialize;

use super::theme::Theme;
use super::{Report, ReportError};

impl Report {
    /// A page and its JSON twin beside it, as the index of a folder.
    pub(super) fn publish_page<T: Serialize>(
        &self,
        theme: &Theme,
        template: &str,
        folder: &str,
        page: &T,
        written: &mut Vec<String>,
    ) -> Result<(), ReportError> {
        let stem = if folder.is_empty() { "index".to_owned() } else { format!("{folder}/index") };
        self.publish_files(theme, template, &stem, page, written)
    }

    /// A page and its JSON twin, under this name but for its end.
    pub(super) fn publish_files<T: Serialize>(
        &self,
        theme: &Theme,
        template: &str,
        stem: &str,
        page: &T,
        written: &mut Vec<String>,
    ) -> Result<(), ReportError> {
        let html = theme.render(template, page)?;
        let twin = twin(page).map_err(|error| ReportError::Twin { page: stem.to_owned(), error })?;
        // The twin first: whoever is told of the page finds both.
        for (end, bytes) in [("json", twin.as_slice()), ("html", html.as_bytes())] {
            let name = format!("{stem}.{end}");
            if self.site.publish(&name, bytes)? {
                written.push(name);
            }
        }
        Ok(())
    }
}

/// The page's struct as JSON, without the drawings: those are for eyes.
fn twin<T: Serialize>(page: &T) -> Result<Vec<u8>, serde_json::Error> {
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
