//! Tables of an SQLite file, read and nothing else: no index, no query, no lock. One page is in memory at a time.
//! Layout: sqlite.org/fileformat2.html.

pub mod wal;

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use crate::run_dir::read;

/// Bytes of a row that are put together from its pages.
const LONGEST_ROW: u64 = 1 << 20;
/// Columns of a row.
const MOST_COLUMNS: usize = 200;
const MAGIC: &[u8] = b"SQLite format 3\0";

/// A file of tables.
#[derive(Debug)]
pub struct Database {
    file: File,
    page_bytes: usize,
    /// Of these, bytes that hold anything.
    usable: usize,
    pages: u64,
    /// What was committed and does not stand in the file yet.
    log: Option<wal::Log>,
    /// Whether there is a log that cannot be read.
    pub has_unread_log: bool,
    tables: Vec<Table>,
    /// Pages of long rows that may still be read: each belongs to one row, so there are no more than the file has.
    left: u64,
    /// Bytes of the page at hand that rows may still lie on: no two rows share one, so many cells that lead to
    /// one place are damage.
    room: usize,
}

#[derive(Debug, Clone)]
struct Table {
    name: String,
    root: u32,
    columns: Vec<String>,
}

/// What stands in a cell.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
}

impl Cell {
    pub fn number(&self) -> Option<f64> {
        match self {
            Cell::Integer(value) => Some(*value as f64),
            Cell::Real(value) => Some(*value),
            Cell::Null | Cell::Text(_) => None,
        }
    }

    pub fn text(&self) -> String {
        match self {
            Cell::Null => String::new(),
            Cell::Integer(value) => value.to_string(),
            Cell::Real(value) => value.to_string(),
            Cell::Text(text) => text.clone(),
        }
    }
}

/// What could not be read of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Damage {
    pub pages: u64,
    pub rows: u64,
}

/// Whether a file begins as these do.
pub fn is_database(head: &[u8]) -> bool {
    head.starts_with(MAGIC)
}

impl Database {
    /// # Errors
    /// It cannot be read, or is no database whose text is UTF-8.
    pub fn open(path: &Path) -> io::Result<Database> {
        let mut file = read::open(path)?;
        let mut head = [0; 100];
        file.read_exact(&mut head)?;
        let wrong = |what: &str| Err(io::Error::new(io::ErrorKind::InvalidData, what.to_owned()));
        let page_bytes = match u16::from_be_bytes([head[16], head[17]]) {
            1 => 65_536,
            bytes => usize::from(bytes),
        };
        let usable = page_bytes.saturating_sub(usize::from(head[20]));
        if !is_database(&head) || !page_bytes.is_power_of_two() || usable < 480 {
            return wrong("no SQLite database, or a damaged one");
        }
        // None before the first table.
        if head[56..60] != [0, 0, 0, 1] && head[56..60] != [0; 4] {
            return wrong("an SQLite database whose text is UTF-16, which is not read");
        }
        let (log, has_unread_log) = match wal::open(path, page_bytes) {
            Ok(log) => (log, false),
            Err(_) => (None, true),
        };
        let pages = log.as_ref().map_or(file.metadata()?.len() / page_bytes as u64, |log| log.pages);
        let mut database = Database {
            file,
            page_bytes,
            usable,
            pages,
            log,
            has_unread_log,
            tables: Vec::new(),
            left: 0,
            room: 0,
        };
        let of_schema = Table { name: String::new(), root: 1, columns: Vec::new() };
        let mut tables = Vec::new();
        database.each_cells(&of_schema, |_, cells| {
            const MOST: usize = 1_000;
            if let [Cell::Text(kind), Cell::Text(name), _, Cell::Integer(root), Cell::Text(sql)] = cells
                && kind == "table"
                && tables.len() < MOST
            {
                let root = u32::try_from(*root).unwrap_or(0);
                tables.push(Table { name: name.clone(), root, columns: columns(sql) });
            }
        })?;
        database.tables = tables;
        Ok(database)
    }

    pub fn has(&self, table: &str) -> bool {
        self.tables.iter().any(|known| known.name == table)
    }

    /// Gives the wanted columns of every row of a table to `take`, in the order of its row numbers. A column that
    /// the table lacks is null; one that stands for the row number has it.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn each_row<const N: usize>(
        &mut self,
        table: &str,
        wanted: [&str; N],
        mut take: impl FnMut([&Cell; N]),
    ) -> io::Result<Damage> {
        let Some(table) = self.tables.iter().find(|known| known.name == table).cloned() else {
            return Ok(Damage::default());
        };
        let places = wanted.map(|name| table.columns.iter().position(|column| column == name));
        self.each_cells(&table, |number, cells| {
            let number = Cell::Integer(number);
            let cell = |place: Option<usize>| match place.and_then(|place| cells.get(place)) {
                // `INTEGER PRIMARY KEY` is stored as the number of the row.
                Some(Cell::Null) if place == Some(0) => &number,
                Some(cell) => cell,
                None => &Cell::Null,
            };
            take(places.map(cell));
        })
    }

    fn each_cells(&mut self, table: &Table, mut take: impl FnMut(i64, &[Cell])) -> io::Result<Damage> {
        let mut damage = Damage::default();
        self.left = self.pages;
        let (mut ahead, mut seen) = (vec![table.root], HashSet::new());
        while let Some(number) = ahead.pop() {
            // A page that is its own child would never end.
            if !seen.insert(number) {
                damage.pages += 1;
                continue;
            }
            let Some(page) = self.page(number)? else {
                damage.pages += 1;
                continue;
            };
            let start = if number == 1 { 100 } else { 0 };
            match page.get(start) {
                Some(5) => {
                    let before = ahead.len();
                    ahead.extend(children(&page, start).unwrap_or_else(|| {
                        damage.pages += 1;
                        Vec::new()
                    }));
                    ahead[before..].reverse();
                }
                Some(13) => {
                    let Some(places) = cell_places(&page, start, 8) else {
                        damage.pages += 1;
                        continue;
                    };
                    self.room = self.usable;
                    for at in places {
                        let row = self.row(&page, at)?;
                        match row.and_then(|(number, payload)| Some((number, cells(&payload)?))) {
                            Some((number, cells)) => take(number, &cells),
                            None => damage.rows += 1,
                        }
                    }
                }
                _ => damage.pages += 1,
            }
        }
        Ok(damage)
    }

    /// Nothing where there is no such page.
    fn page(&mut self, number: u32) -> io::Result<Option<Vec<u8>>> {
        if number == 0 || u64::from(number) > self.pages {
            return Ok(None);
        }
        if let Some(logged) =
            self.log.as_mut().map(|log| log.page(number, self.page_bytes)).transpose()?.flatten()
        {
            return Ok(logged);
        }
        self.file.seek(SeekFrom::Start(u64::from(number - 1) * self.page_bytes as u64))?;
        let mut page = vec![0; self.page_bytes];
        match self.file.read_exact(&mut page) {
            Ok(()) => Ok(Some(page)),
            // Cut off since its length was asked.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The number of a row, and its bytes from all pages on which they lie.
    fn row(&mut self, page: &[u8], at: usize) -> io::Result<Option<(i64, Vec<u8>)>> {
        let mut rest = page.get(at..self.usable).unwrap_or_default();
        let (Some(length), Some(number)) = (varint(&mut rest), varint(&mut rest)) else { return Ok(None) };
        if length > LONGEST_ROW {
            return Ok(None);
        }
        let (length, most) = (length as usize, self.usable - 35);
        let least = (self.usable - 12) * 32 / 255 - 23;
        let here = match length {
            short if short <= most => short,
            long => {
                Some(least + (long - least) % (self.usable - 4)).filter(|here| *here <= most).unwrap_or(least)
            }
        };
        let Some(room) = self.room.checked_sub(here) else { return Ok(None) };
        self.room = room;
        if here == length {
            return Ok(rest.get(..length).map(|payload| (number as i64, payload.to_vec())));
        }
        let Some((payload, next)) = rest.split_at_checked(here) else { return Ok(None) };
        let (mut payload, mut next) = (payload.to_vec(), word(next, 0));
        while payload.len() < length {
            let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
            self.left = left;
            let Some(page) = self.page(next.unwrap_or(0))? else { return Ok(None) };
            let piece = &page[4..self.usable];
            payload.extend(&piece[..piece.len().min(length - payload.len())]);
            next = word(&page, 0);
        }
        Ok(Some((number as i64, payload)))
    }
}

fn children(page: &[u8], start: usize) -> Option<Vec<u32>> {
    let mut children = Vec::new();
    for at in cell_places(page, start, 12)? {
        children.push(word(page, at)?);
    }
    children.push(word(page, start + 8)?);
    Some(children)
}

/// Where the cells of a page begin.
fn cell_places(page: &[u8], start: usize, head: usize) -> Option<Vec<usize>> {
    let count = usize::from(u16::from_be_bytes(page.get(start + 3..start + 5)?.try_into().ok()?));
    let places = page.get(start + head..start + head + 2 * count)?;
    Some(places.chunks_exact(2).map(|place| usize::from(u16::from_be_bytes([place[0], place[1]]))).collect())
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// Seven bits a byte, the highest first; a ninth has eight.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for place in 0..9 {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        if place == 8 {
            return Some(value << 8 | u64::from(*byte));
        }
        value = value << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            break;
        }
    }
    Some(value)
}

/// The cells of a row; nothing where they do not fit into it.
fn cells(payload: &[u8]) -> Option<Vec<Cell>> {
    let mut head = payload;
    let length = usize::try_from(varint(&mut head)?).ok()?;
    let used = payload.len() - head.len();
    let (mut kinds, mut body) = (payload.get(used..length)?, payload.get(length..)?);
    let mut cells = Vec::new();
    while !kinds.is_empty() && cells.len() < MOST_COLUMNS {
        let kind = varint(&mut kinds)?;
        let bytes = match kind {
            1..=4 => kind as usize,
            5 => 6,
            6 | 7 => 8,
            12.. => usize::try_from((kind - 12) / 2).ok()?,
            _ => 0,
        };
        let (cell, rest) = body.split_at_checked(bytes)?;
        body = rest;
        cells.push(match kind {
            1..=6 => Cell::Integer(signed(cell)),
            7 => Cell::Real(f64::from_be_bytes(cell.try_into().ok()?)),
            8 | 9 => Cell::Integer(kind as i64 - 8),
            // A blob has no place in what is read here.
            13.. if kind % 2 == 1 => Cell::Text(String::from_utf8_lossy(cell).into_owned()),
            _ => Cell::Null,
        });
    }
    Some(cells)
}

fn signed(bytes: &[u8]) -> i64 {
    let sign = if bytes.first().is_some_and(|byte| byte & 0x80 != 0) { -1 } else { 0 };
    bytes.iter().fold(sign, |value, byte| value << 8 | i64::from(*byte))
}

/// The names of a table's columns, from the statement that made it.
fn columns(sql: &str) -> Vec<String> {
    const RULES: [&str; 5] = ["CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"];
    let Some(start) = sql.find('(') else { return Vec::new() };
    let (mut depth, mut parts, mut quote) = (0_usize, vec![String::new()], None);
    for letter in sql[start + 1..].chars() {
        match (letter, quote) {
            (_, Some(end)) if letter == end => quote = None,
            (_, Some(_)) => {}
            ('\'' | '"' | '`', None) => quote = Some(letter),
            ('(', None) => depth += 1,
            (')', None) if depth == 0 => break,
            (')', None) => depth -= 1,
            (',', None) if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(part) = parts.last_mut() {
            part.push(letter);
        }
    }
    let first = |part: &String| part.split_whitespace().next().unwrap_or_default().to_owned();
    let names = parts.iter().map(first).filter(|name| !RULES.contains(&name.to_uppercase().as_str()));
    names.map(|name| name.trim_matches(['"', '`', '[', ']']).to_owned()).collect()
}

#[cfg(test)]
pub(super) mod written;

#[cfg(test)]
mod tests;
