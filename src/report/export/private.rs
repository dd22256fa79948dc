//! What an exported file does not say: the machine, its user, and where files lie on it.
//!
//! Records are changed where they hold a path, a host or a person. In texts of people and programs,
//! paths are known by their form, and names only by what stands beside them or by being like no word.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::super::files::RunFiles;
use super::super::summary::RunSummary;
use crate::experiment::settings::Data;
use crate::run_dir::Workspace;
use crate::run_dir::records::{Ask, Attempt};

const ANOTHER: &str = "another machine";
const LEFT_OUT: &str = "(left out)";

pub struct Private {
    /// Folders and what stands for each, the longest first.
    folders: Vec<(String, &'static str)>,
    host: String,
    hosts: BTreeSet<String>,
    users: BTreeSet<String>,
}

impl Private {
    pub fn here(workspace: &Workspace, host: String) -> Private {
        let words = ["USER", "LOGNAME"].iter().filter_map(|name| std::env::var(name).ok());
        let real = fs::canonicalize(workspace.root()).unwrap_or_else(|_| workspace.root().to_owned());
        let home = std::env::var("HOME").unwrap_or_default();
        let folders = [(text(&real), "."), (text(workspace.root()), "."), (home, "~")];
        Private::of(folders, host, words.collect())
    }

    fn of<const N: usize>(
        folders: [(String, &'static str); N],
        host: String,
        users: BTreeSet<String>,
    ) -> Private {
        let folders = folders.map(|(path, sign)| (path.trim_end_matches('/').to_owned(), sign));
        let mut folders: Vec<_> =
            folders.into_iter().filter(|(path, _)| path.len() > 1 && path.starts_with('/')).collect();
        folders.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
        Private { folders, hosts: BTreeSet::from([host.clone()]), host, users }
    }

    /// Changes what was read of a run, before anything is made of it.
    pub fn leave_out_of(&mut self, files: &mut RunFiles) {
        for line in &mut files.seen.attempts {
            let Attempt::Start(start) = line else { continue };
            self.hosts.insert(start.host.clone());
            // Its own machine is named on no page that is sent; of a run that another one holds it is.
            if start.host != self.host {
                start.host = ANOTHER.into();
            }
        }
        for request in &mut files.seen.requests {
            let who = std::mem::take(&mut request.who);
            self.users.insert(who.rsplit(':').next().unwrap_or_default().to_owned());
            if let Ask::Note { text } = &mut request.ask {
                *text = self.in_words(text);
            }
        }
        if let Some(environment) = &mut files.environment {
            self.hosts.insert(std::mem::take(&mut environment.host));
            environment.git_diff.clear();
            environment.data.iter_mut().for_each(|file| file.path = self.in_path(&file.path));
            environment.stamps.iter_mut().for_each(|stamp| stamp.path = self.in_path(&stamp.path));
        }
        if let Ok(record) = &mut files.seen.record {
            self.in_data(&mut record.settings.data);
            if let Some(imported) = &mut record.imported {
                imported.source = self.in_path(&imported.source);
                imported
                    .settings
                    .values_mut()
                    .for_each(|value| each_text(value, &|text| self.in_words(text)));
            }
            for text in [&mut record.description, &mut record.notes].into_iter().chain(&mut record.tags) {
                *text = self.in_words(text);
            }
            let of_data = record.varied.iter_mut().filter(|(path, _)| path.starts_with("data."));
            of_data.for_each(|(_, value)| each_text(value, &|text| self.in_path(text)));
        }
        for text in [&mut files.log, &mut files.stderr] {
            *text = self.in_words(text);
        }
    }

    /// Changes what programs said of the run.
    pub fn leave_out_of_words(&self, summary: &mut RunSummary) {
        let failure = summary
            .failure
            .iter_mut()
            .flat_map(|failure| [&mut failure.message, &mut failure.log, &mut failure.cause]);
        let alerts = summary.alerts.iter_mut().map(|told| &mut told.message);
        for text in failure.chain(alerts).chain(summary.state.detail.as_mut()) {
            *text = self.in_words(text);
        }
    }

    fn in_data(&self, data: &mut Data) {
        let Ok(mut value) = serde_json::to_value(&*data) else { return };
        each_text(&mut value, &|text| self.in_path(text));
        // Only texts changed, and any text is a path.
        if let Ok(changed) = serde_json::from_value(value) {
            *data = changed;
        }
    }

    /// A path: from the workspace or the home on, else its last part.
    fn in_path(&self, path: &str) -> String {
        for (folder, sign) in &self.folders {
            match path.strip_prefix(folder.as_str()) {
                Some("") => return (*sign).to_owned(),
                Some(rest) if rest.starts_with('/') => return format!("{sign}{rest}"),
                _ => {}
            }
        }
        match path.strip_prefix('/') {
            Some(rest) if !rest.is_empty() => {
                rest.trim_end_matches('/').rsplit('/').next().unwrap_or("").to_owned()
            }
            _ => path.to_owned(),
        }
    }

    /// A text of people or programs.
    pub fn in_words(&self, text: &str) -> String {
        let is_edge = |letter: char| letter.is_whitespace() || "\"'`“”()[]{},;:=<>|".contains(letter);
        // The name of a folder may hold such a letter, so known ones are looked for in the whole.
        let text = self.known_folders(text);
        let cut = |word: &'_ str| word.trim_end_matches(is_edge).len();
        let words: Vec<(&str, &str)> =
            text.split_inclusive(is_edge).map(|word| word.split_at(cut(word))).collect();
        let mut said = String::with_capacity(text.len());
        for (place, (word, edge)) in words.iter().enumerate() {
            let before = place.checked_sub(1).map_or("", |place| words[place].0);
            said += &self.in_word(word, before);
            said += edge;
        }
        said
    }

    /// Replaces known folders wherever a path begins with one.
    fn known_folders(&self, text: &str) -> String {
        let is_of_path = |letter: char| letter.is_alphanumeric() || "/._-~".contains(letter);
        self.folders.iter().fold(text.to_owned(), |text, (folder, sign)| {
            let mut said = String::with_capacity(text.len());
            let mut rest = text.as_str();
            while let Some(at) = rest.find(folder.as_str()) {
                let (before, after) = (&rest[..at], &rest[at + folder.len()..]);
                let begins = !before.chars().next_back().or(said.chars().next_back()).is_some_and(is_of_path);
                let ends =
                    !after.starts_with(|letter: char| letter != '/' && letter != '.' && is_of_path(letter));
                said += before;
                said += if begins && ends { sign } else { folder };
                rest = after;
            }
            said + rest
        })
    }

    fn in_word(&self, word: &str, before: &str) -> String {
        let body = word.trim_end_matches(['.', '!', '?']);
        let stop = &word[body.len()..];
        if body.starts_with('/') && body.len() > 1 && !body.starts_with("//") {
            return self.in_path(body) + stop;
        }
        if let Some((user, host)) = body.split_once('@')
            && (!user.is_empty() && self.users.contains(user)
                || !host.is_empty() && self.hosts.contains(host))
        {
            return format!("{LEFT_OUT}{stop}");
        }
        // A machine may be called like any word, and then only stands where one is spoken of.
        let is_told = ["host", "hostname", "machine"].contains(&before.to_lowercase().as_str());
        let is_like_no_word = body.contains(|letter: char| letter.is_ascii_digit() || letter == '-');
        match !body.is_empty() && self.hosts.contains(body) && (is_told || is_like_no_word) {
            true => format!("{LEFT_OUT}{stop}"),
            false => word.to_owned(),
        }
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn each_text(value: &mut Value, change: &dyn Fn(&str) -> String) {
    match value {
        Value::String(text) => *text = change(text),
        Value::Array(items) => items.iter_mut().for_each(|item| each_text(item, change)),
        Value::Object(fields) => fields.values_mut().for_each(|field| each_text(field, change)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn private(host: &str) -> Private {
        let folders = [("/home/ada/my work/w".into(), "."), ("/home/ada".into(), "~")];
        Private::of(folders, host.into(), BTreeSet::from(["ada".to_owned()]))
    }

    #[test]
    fn paths_become_names_and_everything_else_stays() {
        for (text, left) in [
            ("cannot read /home/ada/my work/w/data/x.txt: gone", "cannot read ./data/x.txt: gone"),
            ("in '/srv/sets/a.bin'.", "in 'a.bin'."),
            ("see /home/ada/notes.txt and /home/adam/notes.txt", "see ~/notes.txt and notes.txt"),
            ("/home/ada", "~"),
            ("adam, data/x, 1/2, a / b and val/loss", "adam, data/x, 1/2, a / b and val/loss"),
            ("// a comment, https://example.org/a/b", "// a comment, https://example.org/a/b"),
        ] {
            assert_eq!(private("box").in_words(text), left);
        }
    }

    #[test]
    fn a_name_goes_where_it_is_one_and_stays_where_it_is_a_word() {
        for (host, text, left) in [
            ("ada-01", "ada-01: ada-012 answered ada-01.", "(left out): ada-012 answered (left out)."),
            ("run", "the run ended on host run, a run", "the run ended on host (left out), a run"),
            ("lr", "lr = 0.1, lr1e-3, ada@lr: lr", "lr = 0.1, lr1e-3, (left out): lr"),
            ("box", "ada was here; ada@elsewhere", "ada was here; (left out)"),
        ] {
            assert_eq!(private(host).in_words(text), left);
        }
    }

    #[test]
    fn data_is_named_from_the_workspace_or_by_its_last_part() {
        for (path, left) in [
            ("../src/**/*.rs", "../src/**/*.rs"),
            ("/home/ada/my work/w/data/*.txt", "./data/*.txt"),
            ("/srv/a set/x.idx", "x.idx"),
            ("/home/ada/my work/website", "~/my work/website"),
            ("/", "/"),
            ("need:samples/*.json", "need:samples/*.json"),
        ] {
            assert_eq!(private("lr").in_path(path), left);
        }
    }
}
