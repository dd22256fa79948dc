//! What the scripts of a page need of its charts, taken out of the page where it is much: the page is shown
//! first, then asks for it. It comes as a script, since a page from a file may load nothing else.

use std::fs;
use std::io;

use super::model::{ExperimentPage, IndexPage};
use super::site::Site;

/// Bytes that stay within a page: one request less, and less than what the page itself weighs.
const WITHIN: usize = 48 << 10;
/// The script's name in the folder of the page.
const FILE: &str = "charts.js";

/// A page with texts that only its script reads.
pub trait Charted {
    /// The id of the element that holds each, and the text, in the order of the page; none is empty.
    fn texts(&mut self) -> Vec<(String, &mut String)>;
    /// Where the page says which script has them.
    fn address(&mut self) -> &mut Option<String>;
}

impl Charted for ExperimentPage {
    fn texts(&mut self) -> Vec<(String, &mut String)> {
        let seeds = self.seeds.iter_mut().filter_map(|seeds| seeds.figure.as_mut());
        let figures = self.figures.iter_mut().chain(seeds);
        let figures = figures.map(|figure| (figure.id.clone(), &mut figure.drawing.json));
        let sweep = self.sweep.iter_mut().map(|sweep| ("sweep-data".to_owned(), &mut sweep.data));
        let clocks = [("clocks".to_owned(), &mut self.clocks)].into_iter();
        let beyond = self.beyond.iter_mut().map(|beyond| ("sweep-rows".to_owned(), &mut beyond.json));
        clocks.chain(figures).chain(sweep).chain(beyond).filter(holds_something).collect()
    }

    fn address(&mut self) -> &mut Option<String> {
        &mut self.aside
    }
}

impl Charted for IndexPage {
    fn texts(&mut self) -> Vec<(String, &mut String)> {
        let figures = self.boards.iter_mut().map(|board| &mut board.figure);
        let texts = figures.map(|figure| (figure.id.clone(), &mut figure.drawing.json));
        let clocks = [("clocks".to_owned(), &mut self.clocks)].into_iter();
        clocks.chain(texts).filter(holds_something).collect()
    }

    fn address(&mut self) -> &mut Option<String> {
        &mut self.aside
    }
}

fn holds_something((_, text): &(String, &mut String)) -> bool {
    !text.is_empty() && *text != "{}"
}

/// Takes the texts out of the page where they are much; returns the script that has them. In their place
/// stands its version, so that a page whose charts changed is another page.
pub fn taken(page: &mut impl Charted) -> Option<String> {
    let mut texts = page.texts();
    if texts.iter().map(|(_, text)| text.len()).sum::<usize>() <= WITHIN {
        return None;
    }
    let mut script = String::from("window.overnightAside = {\n");
    for (id, text) in &texts {
        script += &format!("{}:{},\n", quoted(id), quoted(text));
    }
    script += "};\n";
    let version = blake3::hash(script.as_bytes()).to_hex()[..12].to_owned();
    for (_, text) in &mut texts {
        **text = format!("@{version}");
    }
    *page.address() = Some(format!("{FILE}?{version}"));
    Some(script)
}

/// Brings the script beside a page up to date, or removes one that no page asks for any more.
///
/// # Errors
/// The script cannot be written.
pub fn publish(site: &Site, folder: &str, script: Option<&str>, written: &mut Vec<String>) -> io::Result<()> {
    let below = if folder.is_empty() { FILE.to_owned() } else { format!("{folder}/{FILE}") };
    match script {
        Some(script) => {
            if site.publish(&below, script.as_bytes())? {
                written.push(below);
            }
        }
        // It may not be there, and left behind it does no harm.
        None => drop(fs::remove_file(site.root().join(below))),
    }
    Ok(())
}

/// A text of a script. Not as its numbers and lists: browsers read JSON faster, and chart by chart.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('\'');
    for part in text.split_inclusive(['\\', '\'', '\n', '\r']) {
        let special = part.chars().next_back().filter(|last| "\\'\n\r".contains(*last));
        quoted += &part[..part.len() - special.map_or(0, char::len_utf8)];
        quoted += match special {
            Some('\\') => "\\\\",
            Some('\'') => "\\'",
            Some('\n') => "\\n",
            Some(_) => "\\r",
            None => "",
        };
    }
    quoted.push('\'');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Page {
        text: String,
        address: Option<String>,
    }

    impl Charted for Page {
        fn texts(&mut self) -> Vec<(String, &mut String)> {
            vec![("chart-a".to_owned(), &mut self.text)]
        }

        fn address(&mut self) -> &mut Option<String> {
            &mut self.address
        }
    }

    #[test]
    fn a_little_stays_in_the_page_and_much_lies_beside_it() {
        let mut small = Page { text: "x".repeat(WITHIN), address: None };
        assert_eq!((taken(&mut small), small.address), (None, None));
        let mut large = Page { text: "x".repeat(WITHIN + 1), address: None };
        let script = taken(&mut large).unwrap();
        assert!(script.contains(&format!("'chart-a':'{}',", "x".repeat(WITHIN + 1))));
        assert_eq!(large.address, Some(format!("charts.js?{}", &large.text[1..])));
        assert!(large.text.starts_with('@') && large.text.len() < 20, "{}", large.text);
    }

    #[test]
    fn names_of_all_kinds_are_texts_of_a_script() {
        assert_eq!(quoted(r#"{"a":"it's \"b\"\n"}"#), r#"'{"a":"it\'s \\"b\\"\\n"}'"#);
        assert_eq!(quoted("\r\n'"), r"'\r\n\''");
        assert_eq!(quoted(""), "''");
    }
}
