//! An SQLite file, for tests: leaves of rows below one inner page a table, long rows on pages of their own.

use super::Cell;

pub const PAGE: usize = 512;

/// Tables by their name, the statement that made them, and their rows.
pub fn database(tables: &[(&str, &str, Vec<Vec<Cell>>)]) -> Vec<u8> {
    let mut pages: Vec<Vec<u8>> = vec![Vec::new()];
    let mut schema = Vec::new();
    for (name, sql, rows) in tables {
        let text = |text: &str| Cell::Text(text.to_owned());
        let root = tree(&mut pages, rows);
        schema.push(vec![text("table"), text(name), text(name), Cell::Integer(root as i64), text(sql)]);
    }
    let root = tree(&mut pages, &schema);
    // The schema's root is the first page: an inner one with one child.
    let mut first = vec![0; PAGE];
    first[..16].copy_from_slice(super::MAGIC);
    first[16..18].copy_from_slice(&(PAGE as u16).to_be_bytes());
    first[56..60].copy_from_slice(&[0, 0, 0, 1]);
    first[100] = 5;
    first[108..112].copy_from_slice(&(root as u32).to_be_bytes());
    pages[0] = first;
    pages.concat()
}

/// The number of the root page.
fn tree(pages: &mut Vec<Vec<u8>>, rows: &[Vec<Cell>]) -> usize {
    let mut leaves: Vec<usize> = Vec::new();
    let mut open: Vec<Vec<u8>> = Vec::new();
    let size = |cells: &[Vec<u8>]| cells.iter().map(|cell| cell.len() + 2).sum::<usize>();
    for (number, row) in rows.iter().enumerate() {
        let cell = stored(pages, number as u64 + 1, &record(row));
        if size(&open) + cell.len() + 2 > PAGE - 8 {
            leaves.push(leaf(pages, &std::mem::take(&mut open)));
        }
        open.push(cell);
    }
    leaves.push(leaf(pages, &open));
    let (last, before) = leaves.split_last().unwrap();
    let cells: Vec<Vec<u8>> =
        before.iter().map(|page| [&(*page as u32).to_be_bytes()[..], &[1]].concat()).collect();
    let mut page = laid_out(&cells, 5, 12);
    page[8..12].copy_from_slice(&(*last as u32).to_be_bytes());
    pages.push(page);
    pages.len()
}

fn leaf(pages: &mut Vec<Vec<u8>>, cells: &[Vec<u8>]) -> usize {
    pages.push(laid_out(cells, 13, 8));
    pages.len()
}

fn laid_out(cells: &[Vec<u8>], kind: u8, head: usize) -> Vec<u8> {
    let mut page = vec![0; PAGE];
    page[0] = kind;
    page[3..5].copy_from_slice(&(cells.len() as u16).to_be_bytes());
    let mut end = PAGE;
    for (place, cell) in cells.iter().enumerate() {
        end -= cell.len();
        page[end..end + cell.len()].copy_from_slice(cell);
        page[head + 2 * place..head + 2 * place + 2].copy_from_slice(&(end as u16).to_be_bytes());
    }
    page
}

fn stored(pages: &mut Vec<Vec<u8>>, number: u64, payload: &[u8]) -> Vec<u8> {
    let (most, least) = (PAGE - 35, (PAGE - 12) * 32 / 255 - 23);
    let head = [varint(payload.len() as u64), varint(number)].concat();
    if payload.len() <= most {
        return [head, payload.to_vec()].concat();
    }
    let here = least + (payload.len() - least) % (PAGE - 4);
    let (here, beyond) = payload.split_at(if here <= most { here } else { least });
    let mut next = 0_u32;
    for piece in beyond.chunks(PAGE - 4).rev() {
        let mut page = [&next.to_be_bytes()[..], piece].concat();
        page.resize(PAGE, 0);
        pages.push(page);
        next = pages.len() as u32;
    }
    [&head, here, &next.to_be_bytes()].concat()
}

fn record(row: &[Cell]) -> Vec<u8> {
    let (mut kinds, mut body) = (Vec::new(), Vec::new());
    for cell in row {
        let (kind, bytes) = match cell {
            Cell::Null => (0, Vec::new()),
            Cell::Integer(value) => (6, value.to_be_bytes().to_vec()),
            Cell::Real(value) => (7, value.to_be_bytes().to_vec()),
            Cell::Text(text) => (13 + 2 * text.len() as u64, text.as_bytes().to_vec()),
        };
        kinds.extend(varint(kind));
        body.extend(bytes);
    }
    assert!(kinds.len() < 127);
    [vec![kinds.len() as u8 + 1], kinds, body].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = vec![(value & 0x7f) as u8];
    while value > 0x7f {
        value >>= 7;
        bytes.insert(0, (value & 0x7f) as u8 | 0x80);
    }
    bytes
}
