//! Sheets of A4 that are filled from top to bottom, and the PDF that holds them.

use std::collections::HashMap;

use pdf_writer::{Content, Finish, Name, Pdf, Rect, Ref, TextStr};
use resvg::usvg::Tree;
use svg2pdf::ConversionOptions;

use super::super::super::chart::text_width::text_width;
use super::super::bare::Look;
use super::figure::{Drawn, words};

/// A4 and its margin, in points.
const WIDTH: f64 = 595.0;
const HEIGHT: f64 = 842.0;
const MARGIN: f64 = 56.0;
const BODY: f64 = WIDTH - 2.0 * MARGIN;
const TEXT: f64 = 10.0;
const CELL: f64 = 8.5;
const LINE: f64 = 14.0;
/// Between two columns.
const APART: f64 = 12.0;

pub struct Pages<'a> {
    look: &'a Look,
    done: Vec<String>,
    page: String,
    /// Where the next thing begins.
    y: f64,
    figures: usize,
}

impl<'a> Pages<'a> {
    pub fn new(look: &'a Look) -> Pages<'a> {
        Pages { look, done: Vec::new(), page: String::new(), y: MARGIN, figures: 0 }
    }

    pub fn next_number(&mut self) -> usize {
        self.figures += 1;
        self.figures
    }

    pub fn heading(&mut self, text: &str, size: f64) {
        // Not at the foot of a page, away from what it is about.
        self.room(size + 80.0);
        for line in wrapped(text, size, BODY) {
            self.y += size * 1.25;
            self.put(MARGIN, size, &line, "ink", "font-weight=\"bold\"");
        }
        self.y += 4.0;
    }

    pub fn paragraph(&mut self, text: &str) {
        for line in wrapped(text, TEXT, BODY) {
            self.room(LINE);
            self.y += LINE;
            self.put(MARGIN, TEXT, &line, "ink", "");
        }
        self.y += 3.0;
    }

    pub fn figure(&mut self, figure: &Drawn) {
        let scale = (BODY / figure.width).min(1.0);
        let height = figure.height * scale;
        self.room(height + 12.0);
        self.y += 12.0;
        self.page += &format!(
            r#"<g transform="translate({MARGIN} {:.1}) scale({scale:.4})">{}</g>"#,
            self.y, figure.svg
        );
        self.y += height;
    }

    /// A table with rules above, below and under its heads; words to the left, numbers to the right.
    pub fn table(
        &mut self,
        title: &str,
        heads: &[String],
        rows: &[Vec<String>],
        is_bold: &dyn Fn(usize, usize) -> bool,
    ) {
        if rows.is_empty() {
            return;
        }
        self.heading(title, 11.0);
        let widths = widths(heads, rows);
        let is_number = |column: usize| {
            rows.iter().all(|row| {
                row.get(column).is_none_or(|cell| !cell.starts_with(|sign: char| sign.is_alphabetic()))
            })
        };
        let right: Vec<bool> = (0..heads.len()).map(is_number).collect();
        self.rule(1.2);
        self.row(heads, &widths, &right, &|_| false);
        self.rule(0.6);
        for (place, row) in rows.iter().enumerate() {
            if self.room(LINE) {
                self.row(heads, &widths, &right, &|_| false);
                self.rule(0.6);
            }
            self.row(row, &widths, &right, &|column| is_bold(place, column));
        }
        self.rule(1.2);
        self.y += 6.0;
    }

    /// Each page as an SVG.
    pub fn done(mut self) -> Vec<String> {
        self.turn();
        self.done
    }

    fn row(&mut self, cells: &[String], widths: &[f64], right: &[bool], is_bold: &dyn Fn(usize) -> bool) {
        self.y += LINE;
        let mut x = MARGIN;
        for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
            let text = cut(cell, CELL, *width);
            let is_right = right.get(column).copied().unwrap_or(false);
            let (at, anchor) =
                if is_right { (x + width, "text-anchor=\"end\"") } else { (x, "text-anchor=\"start\"") };
            let weight = if is_bold(column) { "font-weight=\"bold\"" } else { "" };
            self.put(at, CELL, &text, "ink", &format!("{anchor} {weight}"));
            x += width + APART;
        }
    }

    fn rule(&mut self, width: f64) {
        self.y += 4.0;
        self.page += &format!(
            r#"<line x1="{MARGIN}" y1="{0:.1}" x2="{1}" y2="{0:.1}" stroke="{2}" stroke-width="{width}"/>"#,
            self.y,
            WIDTH - MARGIN,
            self.look.color("ink"),
        );
    }

    fn put(&mut self, x: f64, size: f64, text: &str, color: &str, more: &str) {
        let line = words(x, self.y, size, text, self.look.color(color), self.look, more);
        self.page += &line;
    }

    /// Turns the page where so much does not fit; whether it did.
    fn room(&mut self, height: f64) -> bool {
        let turns = self.y + height > HEIGHT - MARGIN && !self.page.is_empty();
        if turns {
            self.turn();
        }
        turns
    }

    fn turn(&mut self) {
        if self.page.is_empty() {
            return;
        }
        let number = (self.done.len() + 1).to_string();
        let foot = words(
            WIDTH / 2.0,
            HEIGHT - MARGIN / 2.0,
            8.0,
            &number,
            self.look.color("soft"),
            self.look,
            "text-anchor=\"middle\"",
        );
        self.done.push(format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}">{}{foot}</svg>"#,
            self.page
        ));
        self.page.clear();
        self.y = MARGIN;
    }
}

/// Widths that all cells fit into, or the widest columns cut until the page is wide enough.
fn widths(heads: &[String], rows: &[Vec<String>]) -> Vec<f64> {
    let column = |at: usize| {
        let cells =
            std::iter::once(heads).chain(rows.iter().map(Vec::as_slice)).filter_map(|row| row.get(at));
        cells.map(|cell| text_width(cell, CELL)).fold(0.0, f64::max)
    };
    let wanted: Vec<f64> = (0..heads.len()).map(column).collect();
    let room = (BODY - APART * heads.len().saturating_sub(1) as f64).max(BODY / 2.0);
    let with = |most: f64| -> f64 { wanted.iter().map(|width| width.min(most)).sum() };
    let (mut low, mut high) = (0.0, BODY);
    for _ in 0..40 {
        let middle = (low + high) / 2.0;
        if with(middle) <= room { low = middle } else { high = middle }
    }
    wanted.into_iter().map(|width| width.min(low)).collect()
}

/// What fits, with a sign where something is missing.
fn cut(text: &str, size: f64, width: f64) -> String {
    if text_width(text, size) <= width + 0.1 {
        return text.to_owned();
    }
    let mut kept = String::new();
    for sign in text.chars() {
        kept.push(sign);
        if text_width(&kept, size) + size > width {
            kept.pop();
            break;
        }
    }
    kept + "…"
}

fn wrapped(text: &str, size: f64, width: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if text_width(line, size) + text_width(word, size) + size / 3.0 <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(cut(word, size, width)),
        }
    }
    lines
}

/// Pages as one PDF, with what is embedded in each.
pub fn bound(pages: &[Tree], title: &str) -> Result<Vec<u8>, String> {
    let mut next = Ref::new(1);
    let (catalog, tree, info) = (next.bump(), next.bump(), next.bump());
    let mut pdf = Pdf::new();
    // At the beginning, where it is seen who made the file.
    pdf.document_info(info).producer(TextStr(super::MAKER)).title(TextStr(title));
    pdf.catalog(catalog).pages(tree);
    let mut kids = Vec::new();
    for page in pages {
        let (chunk, drawing) =
            svg2pdf::to_chunk(page, ConversionOptions::default()).map_err(|error| error.to_string())?;
        let mut renamed = HashMap::new();
        let chunk = chunk.renumber(|old| *renamed.entry(old).or_insert_with(|| next.bump()));
        let drawing = renamed.get(&drawing).copied().unwrap_or(drawing);
        let (id, content) = (next.bump(), next.bump());
        kids.push(id);
        let mut made = pdf.page(id);
        made.media_box(Rect::new(0.0, 0.0, WIDTH as f32, HEIGHT as f32)).parent(tree).contents(content);
        made.resources().x_objects().pair(Name(b"page"), drawing);
        made.finish();
        // A drawing is one unit wide and high.
        let mut draw = Content::new();
        draw.transform([WIDTH as f32, 0.0, 0.0, HEIGHT as f32, 0.0, 0.0]).x_object(Name(b"page"));
        pdf.stream(content, &draw.finish());
        pdf.extend(&chunk);
    }
    pdf.pages(tree).count(kids.len() as i32).kids(kids);
    Ok(pdf.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words_and_a_word_too_long_is_cut() {
        let lines = wrapped("one two three four five six", 10.0, 60.0);
        assert!(lines.len() > 1 && lines.iter().all(|line| text_width(line, 10.0) <= 60.0), "{lines:?}");
        assert_eq!(lines.join(" "), "one two three four five six");
        let long = wrapped(&"w".repeat(100), 10.0, 60.0);
        assert!(long.len() == 1 && long[0].ends_with('…') && text_width(&long[0], 10.0) < 80.0);
        assert!(wrapped("", 10.0, 60.0).is_empty());
    }

    #[test]
    fn a_table_that_is_too_wide_takes_from_its_widest_column() {
        let heads = ["a".to_owned(), "b".into()];
        let rows = [vec!["short".to_owned(), "x".repeat(500)]];
        let widths = widths(&heads, &rows);
        assert!((widths[0] - text_width("short", CELL)).abs() < 0.5, "{widths:?}");
        assert!(widths.iter().sum::<f64>() + APART <= BODY + 0.1);
    }

    #[test]
    fn what_does_not_fit_goes_to_the_next_page_with_the_heads_of_its_table() {
        let look = Look::of(":root { --ink: #000 }", "Serif".into());
        let mut pages = Pages::new(&look);
        let rows: Vec<Vec<String>> = (0..120).map(|row| vec![row.to_string()]).collect();
        pages.table("Title", &["only head".into()], &rows, &|_, _| false);
        let pages = pages.done();
        assert_eq!(pages.len(), 3);
        assert!(pages.iter().all(|page| page.contains("only head")));
        assert!(pages[2].contains(">119<"));
    }
}
