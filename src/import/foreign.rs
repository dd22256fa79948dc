//! What every reader of a foreign format gives: one run of another program, as its source tells it. Reading
//! decides nothing about where it goes, and writes nothing.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::{Map, Value};

use super::rows::{LATEST, Rows};
pub use crate::run_dir::imported::Wish;

/// A run of another program.
#[derive(Debug, Clone, Default)]
pub struct Foreign {
    /// The program that wrote the source, as people call it.
    pub tool: &'static str,
    /// The experiment that the source names, if it names one.
    pub experiment: Option<String>,
    /// What the run is called there.
    pub name: String,
    /// Which run of its files it is, where they hold several; otherwise empty.
    pub part: String,
    /// What was read. The first says where the run lies.
    pub files: Vec<PathBuf>,
    /// By their dotted path, values as they are.
    pub settings: Map<String, Value>,
    pub tags: Vec<String>,
    pub description: String,
    pub notes: String,
    pub rows: Rows,
    /// Quantiles of histograms.
    pub distributions: Rows,
    pub texts: Vec<LoggedText>,
    pub images: Vec<LoggedImage>,
    /// Unix seconds of its first and its last sign, as far as the source tells.
    pub started: Option<f64>,
    pub newest: Option<f64>,
    /// Whether the source says that it has ended.
    pub has_ended: bool,
    /// As it was read.
    pub wish: Wish,
    /// What could not be read and what was left out, as sentences.
    pub warnings: Vec<String>,
}

/// A text that was logged at a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedText {
    pub step: u64,
    pub title: String,
    pub text: String,
}

/// A picture that was logged at a step: a PNG or JPEG as it was encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedImage {
    pub step: u64,
    pub title: String,
    pub encoded: Vec<u8>,
}

impl Wish {
    /// What takes all columns again, after some were named.
    pub const ALL: &str = "*";

    /// What is read where this was said now and `before` when the source was read the last time.
    pub fn after(&self, before: Option<&Wish>) -> Wish {
        let before = before.cloned().unwrap_or_default();
        let columns = match self.columns.as_slice() {
            [] => before.columns,
            [(all, _)] if all == Wish::ALL => Vec::new(),
            columns => columns.to_vec(),
        };
        Wish { step: self.step.clone().or(before.step), columns }
    }

    /// The columns as a person writes them.
    pub fn spelled(&self) -> String {
        let one =
            |(from, to): &(String, String)| if from == to { from.clone() } else { format!("{from}={to}") };
        self.columns.iter().map(one).collect::<Vec<_>>().join(",")
    }

    /// Rows that take in what is wished for.
    pub fn rows(&self) -> Rows {
        Rows::taking(&self.columns)
    }

    /// The first column that was asked for and is in none of the runs, and those there are. Of runs that have
    /// no values as yet nobody knows what they will have.
    pub fn missing<'a>(&self, runs: impl Iterator<Item = &'a Rows>) -> Option<(String, Vec<String>)> {
        let offered: BTreeSet<&String> = runs.flat_map(Rows::offered).collect();
        if offered.is_empty() {
            return None;
        }
        let (missing, _) = self.columns.iter().find(|(from, _)| !offered.contains(from))?;
        Some((missing.clone(), offered.into_iter().cloned().collect()))
    }
}

/// Longest text that is taken; the rest of one is cut off.
pub const LONGEST_TEXT: usize = 64 * 1024;
/// Texts of a run: more would make a page that nobody reads.
pub const MOST_TEXTS: usize = 200;
/// Pictures of a run, the newest, and of one step.
pub const MOST_IMAGES: usize = 400;
pub const MOST_IMAGES_OF_STEP: usize = 36;
/// Bytes of all of them as they are encoded.
const LARGEST_IMAGES: usize = 128 << 20;
/// Bytes of an encoded picture at the most.
pub const LARGEST_IMAGE: usize = 8 << 20;

impl Foreign {
    /// Notes a sign of life at this Unix time.
    pub fn heard(&mut self, time: f64) {
        // Clocks of boards that forgot the date say 1970; files that are damaged say anything.
        if !(1e8..LATEST).contains(&time) {
            return;
        }
        self.started = Some(self.started.map_or(time, |first| first.min(time)));
        self.newest = Some(self.newest.map_or(time, |last| last.max(time)));
    }

    pub fn add_text(&mut self, step: u64, title: &str, text: &str) {
        let mut end = text.len().min(LONGEST_TEXT);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let text = text[..end].to_owned();
        self.texts.retain(|known| (known.step, known.title.as_str()) != (step, title));
        if self.texts.len() == MOST_TEXTS {
            self.texts.remove(0);
            self.warn(format!("of its texts the newest {MOST_TEXTS} are kept"));
        }
        self.texts.push(LoggedText { step, title: title.to_owned(), text });
    }

    pub fn add_image(&mut self, step: u64, title: &str, encoded: &[u8]) {
        if encoded.len() > LARGEST_IMAGE {
            self.warn(format!("a picture of step {step} was left out: it has {} bytes", encoded.len()));
            return;
        }
        self.images.retain(|known| (known.step, known.title.as_str()) != (step, title));
        if self.images.iter().filter(|known| known.step == step).count() >= MOST_IMAGES_OF_STEP {
            self.warn(format!("of a step's pictures the first {MOST_IMAGES_OF_STEP} are shown"));
            return;
        }
        let is_full = |images: &[LoggedImage]| {
            let bytes: usize = images.iter().map(|known| known.encoded.len()).sum();
            images.len() >= MOST_IMAGES || bytes + encoded.len() > LARGEST_IMAGES
        };
        // A step goes whole, with the one that was logged first.
        while let Some(oldest) = self.images.first().map(|known| known.step).filter(|_| is_full(&self.images))
        {
            if oldest == step {
                self.warn(format!("pictures of step {step} were left out: they are too large together"));
                return;
            }
            self.images.retain(|known| known.step != oldest);
            self.warn(format!("of its pictures the newest {MOST_IMAGES} are kept"));
        }
        self.images.push(LoggedImage { step, title: title.to_owned(), encoded: encoded.to_vec() });
    }

    /// Adds a sentence, once.
    pub fn warn(&mut self, sentence: impl Into<String>) {
        const MOST: usize = 50;
        let sentence = sentence.into();
        if self.warnings.len() < MOST && !self.warnings.contains(&sentence) {
            self.warnings.push(sentence);
        }
    }

    /// Adds settings below `path`, flat: what is nested gets dotted paths.
    pub fn add_settings(&mut self, path: &str, value: Value) {
        const MOST: usize = 2_000;
        match value {
            Value::Object(fields) if !fields.is_empty() => {
                for (name, field) in fields {
                    let below = if path.is_empty() { name } else { format!("{path}.{name}") };
                    self.add_settings(&below, field);
                }
            }
            _ if path.is_empty() => {}
            _ if self.settings.len() >= MOST => self.warn(format!("settings beyond {MOST} were left out")),
            leaf => {
                self.settings.insert(path.to_owned(), leaf);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn settings_are_flat_and_keep_lists_whole() {
        let mut run = Foreign::default();
        run.add_settings("", json!({"lr": 0.1, "model": {"hidden": [2, 3], "none": {}}}));
        let shown: Vec<String> = run.settings.iter().map(|(path, value)| format!("{path}={value}")).collect();
        assert_eq!(shown, ["lr=0.1", "model.hidden=[2,3]", "model.none={}"]);
    }

    #[test]
    fn texts_and_pictures_are_the_newest_and_one_of_a_step_replaces_its_like() {
        let mut run = Foreign::default();
        for step in 0..300 {
            run.add_text(step, "sample", "old");
            run.add_text(step, "sample", &"ä".repeat(LONGEST_TEXT));
            run.add_image(step, "digits", &[1]);
        }
        assert_eq!((run.texts.len(), run.texts[0].step), (MOST_TEXTS, 100));
        assert!(run.texts.iter().all(|text| text.text.len() <= LONGEST_TEXT && text.text != "old"));
        assert_eq!((run.images.len(), run.images[0].step), (300, 0));
        assert_eq!(run.warnings, ["of its texts the newest 200 are kept"]);
        run.add_image(1, "digits", &vec![0; LARGEST_IMAGE + 1]);
        assert_eq!(run.warnings.len(), 2);
    }

    #[test]
    fn of_the_pictures_whole_steps_go_and_a_step_has_so_many() {
        let mut run = Foreign::default();
        for step in 0..20 {
            for place in 0..MOST_IMAGES_OF_STEP + 4 {
                run.add_image(step, &format!("digits/{place}"), &[1]);
            }
        }
        let of = |step| run.images.iter().filter(|image| image.step == step).count();
        assert_eq!((of(0), of(9), of(19)), (0, MOST_IMAGES_OF_STEP, MOST_IMAGES_OF_STEP));
        assert!(run.images.len() <= MOST_IMAGES && run.warnings.len() == 2, "{:?}", run.warnings);
        let mut large = Foreign::default();
        for step in 0..40 {
            large.add_image(step, "digits", &vec![0; LARGEST_IMAGE]);
        }
        assert_eq!(large.images.len(), LARGEST_IMAGES / LARGEST_IMAGE);
    }

    #[test]
    fn a_column_that_no_run_has_is_missing_and_nothing_is_said_before_there_are_values() {
        let wish = |names: &[&str]| {
            let columns = names.iter().map(|name| ((*name).to_owned(), "x".to_owned())).collect();
            Wish { columns, ..Wish::default() }
        };
        let missing = |names: &[&str]| {
            let wish = wish(names);
            let (mut one, mut other) = (wish.rows(), wish.rows());
            assert_eq!(wish.missing([&one, &other].into_iter()), None);
            one.put(1.0, "loss", 3.0);
            other.put(1.0, "lr", 0.1);
            wish.missing([&one, &other].into_iter())
        };
        assert_eq!(missing(&["lr", "loss"]), None);
        assert_eq!(missing(&[]), None);
        let known = vec!["loss".to_owned(), "lr".to_owned()];
        assert_eq!(missing(&["lr", "nope"]), Some(("nope".to_owned(), known)));
    }

    #[test]
    fn what_is_not_said_again_is_as_it_was_said_before() {
        let wish = |step: Option<&str>, columns: &[(&str, &str)]| Wish {
            step: step.map(str::to_owned),
            columns: columns.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect(),
        };
        let before = wish(Some("tick"), &[("a", "b"), ("c", "c")]);
        assert_eq!(wish(None, &[]).after(None), Wish::default());
        assert_eq!(wish(None, &[]).after(Some(&before)), before);
        assert_eq!(wish(Some("n"), &[("d", "d")]).after(Some(&before)), wish(Some("n"), &[("d", "d")]));
        assert_eq!(wish(None, &[("*", "*")]).after(Some(&before)), wish(Some("tick"), &[]));
        assert_eq!(before.spelled(), "a=b,c");
    }

    #[test]
    fn the_beginning_of_all_time_is_no_sign() {
        let mut run = Foreign::default();
        for time in [0.0, f64::NAN, 1.7e9, 1.6e9, 1e300, f64::INFINITY] {
            run.heard(time);
        }
        assert_eq!((run.started, run.newest), (Some(1.6e9), Some(1.7e9)));
    }

    #[test]
    fn a_picture_replaces_its_like_of_the_same_step() {
        let mut run = Foreign::default();
        for (step, title, byte) in [(1, "a", 1), (1, "b", 2), (2, "a", 3), (1, "a", 4)] {
            run.add_image(step, title, &[byte]);
        }
        assert_eq!(run.images.iter().map(|image| image.encoded[0]).collect::<Vec<_>>(), [2, 3, 4]);
    }

    #[test]
    fn what_is_said_and_set_has_an_end() {
        let mut run = Foreign::default();
        for place in 0..2_002 {
            run.add_settings(&format!("s{place}"), json!(1));
        }
        assert_eq!((run.settings.len(), run.warnings.len()), (2_000, 1));
        assert_eq!(run.warnings[0], "settings beyond 2000 were left out");
        for place in 0..100 {
            run.warn(format!("{place}"));
        }
        assert_eq!(run.warnings.len(), 50);
    }
}
