//! What an exported file does not say: the machine, its user, and where files lie on it.

use std::fs;

use serde_json::Value;

use crate::run_dir::Workspace;

pub struct Private {
    /// The machine's name and the user's.
    names: Vec<String>,
    /// The workspace, as it was named and as it is.
    roots: Vec<String>,
}

impl Private {
    pub fn here(workspace: &Workspace, host: String) -> Private {
        let users = ["USER", "LOGNAME"].iter().filter_map(|name| std::env::var(name).ok());
        let names = users.chain([host]).filter(|name| !name.is_empty()).collect();
        let real = fs::canonicalize(workspace.root()).unwrap_or_else(|_| workspace.root().to_owned());
        let roots = [real.as_path(), workspace.root()].map(|path| path.to_string_lossy().into_owned());
        Private { names, roots: roots.into_iter().filter(|root| root.starts_with('/')).collect() }
    }

    /// Rewrites every text in `value`, drawings' markup and classes apart from paths in them.
    pub fn leave_out(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.without(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.leave_out(item)),
            Value::Object(fields) => {
                fields.remove("json");
                for (name, field) in fields.iter_mut() {
                    match field {
                        // Markup: its tags end with slashes.
                        Value::String(text) if name == "svg" => *text = self.without_names(text),
                        _ if ["class", "id", "href"].contains(&name.as_str()) => {}
                        _ => self.leave_out(field),
                    }
                }
            }
            _ => {}
        }
    }

    fn without(&self, text: &str) -> String {
        let text = self.without_names(text);
        let is_edge = |letter: char| letter.is_whitespace() || "\"'`()[]{},;:=<>|".contains(letter);
        text.split_inclusive(is_edge)
            .map(|word| {
                let body = word.trim_end_matches(is_edge);
                match body.starts_with('/') && body.len() > 1 {
                    true => format!("{}{}", body.rsplit('/').next().unwrap_or(""), &word[body.len()..]),
                    false => word.to_owned(),
                }
            })
            .collect()
    }

    fn without_names(&self, text: &str) -> String {
        let mut text = self.roots.iter().fold(text.to_owned(), |text, root| text.replace(root, "."));
        for name in &self.names {
            let mut kept = String::with_capacity(text.len());
            let mut rest = text.as_str();
            while let Some(at) = rest.find(name.as_str()) {
                let end = at + name.len();
                let before = rest[..at].chars().next_back().or(kept.chars().next_back());
                let is_whole = !before.is_some_and(char::is_alphanumeric)
                    && !rest[end..].starts_with(char::is_alphanumeric);
                kept += &rest[..at];
                kept += if is_whole { "(left out)" } else { name };
                rest = &rest[end..];
            }
            kept += rest;
            text = kept;
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_paths_and_names_go_and_everything_else_stays() {
        let private = Private { names: vec!["ada".into(), "box7".into()], roots: vec!["/home/ada/w".into()] };
        for (text, left) in [
            ("cannot read /home/ada/w/data/x.txt: gone", "cannot read ./data/x.txt: gone"),
            ("in '/srv/sets/a.bin'", "in 'a.bin'"),
            ("ada on box7", "(left out) on (left out)"),
            ("adam, data/x, 1/2 and val/loss", "adam, data/x, 1/2 and val/loss"),
        ] {
            assert_eq!(private.without(text), left);
        }
    }
}
