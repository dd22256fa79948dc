//! The `overnight.toml` that `overnight init` writes: made of the schema and the defaults, so that it
//! cannot say what is not so. A line with one `#` is a setting with its default; one with two is prose.

use serde_json::Value;

use super::WorkspaceSettings;
use super::schema::schema;

const HEAD: &str = "\
What holds for every batch of this workspace. Every line shows the default: take the # away from one
and change it. The command line stands above this file; `overnight schema workspace` describes it.";

/// What several of may be written, each under a [[name]] of its own.
const EXAMPLES: &[(&str, &str)] = &[(
    "hooks",
    "[[hooks]]\non = [\"run-failed\", \"batch-finished\"]\nwebhook = \"https://ntfy.sh/a-topic-of-yours\"\n\
     form = \"ntfy\"\nheaders = { Authorization = \"Bearer ${NTFY_TOKEN}\" }\n\n[[hooks]]\n\
     on = [\"batch-finished\"]\ncommand = 'cp -r reports \"$HOME/morning\"'\ntimeout_seconds = 60",
)];

/// Columns of a line of prose.
const WIDTH: usize = 96;

/// The text of the file.
pub fn template() -> String {
    let schema = schema();
    let defaults = toml::Table::try_from(WorkspaceSettings::default()).unwrap_or_default();
    let mut text = prose(HEAD);
    for (name, section) in schema["properties"].as_object().into_iter().flatten() {
        text.push('\n');
        text += &prose(section["description"].as_str().unwrap_or_default());
        if let Some((_, example)) = EXAMPLES.iter().find(|(known, _)| known == name) {
            text += &example
                .lines()
                .map(|line| format!("##   {line}").trim_end().to_owned() + "\n")
                .collect::<String>();
            continue;
        }
        text += &format!("# [{name}]\n");
        let described = described(&schema, section);
        for (key, value) in defaults.get(name).and_then(|section| section.as_table()).into_iter().flatten() {
            // The line itself says the default.
            let description = described[key]["description"].as_str().unwrap_or_default();
            text += &prose(description.split(" Default: ").next().unwrap_or_default());
            text += &format!("# {key} = {value}\n");
        }
    }
    text
}

/// The properties of a section, which the schema keeps under `$defs`.
fn described<'a>(schema: &'a Value, section: &Value) -> &'a Value {
    let reference = section["$ref"].as_str().unwrap_or_default();
    let name = reference.rsplit('/').next().unwrap_or_default();
    &schema["$defs"][name]["properties"]
}

/// As lines of comment, broken between words.
fn prose(text: &str) -> String {
    let mut lines = String::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines += &format!("## {line}\n");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line += word;
    }
    lines + &format!("## {line}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn every_line_shows_the_default() {
        let template = template();
        assert!(template.lines().all(|line| line.is_empty() || line.starts_with('#')), "{template}");
        let uncommented: Vec<&str> = template
            .lines()
            .map(|line| line.strip_prefix('#').map_or(line, |line| line.strip_prefix(' ').unwrap_or(line)))
            .collect();
        let settings: Vec<&&str> =
            uncommented.iter().filter(|line| line.contains(" = ") && !line.starts_with('#')).collect();
        assert!(settings.len() >= 10, "{settings:?}");
        let read = WorkspaceSettings::from_text(Path::new("overnight.toml"), &uncommented.join("\n"));
        assert_eq!(read.map_err(|rejected| rejected.to_string()), Ok(WorkspaceSettings::default()));
        // All of them are there, and not merely those that happen to be.
        let written: toml::Table = uncommented.join("\n").parse().unwrap();
        assert_eq!(written, toml::Table::try_from(WorkspaceSettings::default()).unwrap());
    }

    #[test]
    fn the_examples_are_good() {
        for (_, example) in EXAMPLES {
            let read = WorkspaceSettings::from_text(Path::new("overnight.toml"), example);
            read.map_err(|rejected| rejected.to_string()).unwrap();
        }
    }
}
