use super::*;

fn opened(bytes: &[u8]) -> io::Result<Database> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    Database::open(file.path())
}

fn rows(bytes: &[u8]) -> (Vec<(String, Cell)>, Damage) {
    let mut found = Vec::new();
    let mut database = opened(bytes).unwrap();
    let damage = database.each_row("logged", ["name", "value"], |[name, value]| {
        found.push((name.text(), value.clone()));
    });
    (found, damage.unwrap())
}

const SQL: &str = "CREATE TABLE logged (\n id INTEGER NOT NULL,\n \"name\" VARCHAR(250),\n value FLOAT, CHECK (id IN (0, 1)), CONSTRAINT pk PRIMARY KEY (id))";

fn logged(count: usize, name: impl Fn(usize) -> String) -> Vec<u8> {
    let row = |at: usize| vec![Cell::Null, Cell::Text(name(at)), Cell::Real(at as f64 / 2.0)];
    written::database(&[("logged", SQL, (0..count).map(row).collect())])
}

#[test]
fn rows_of_many_pages_and_long_ones_are_read_in_order() {
    assert_eq!(columns(SQL), ["id", "name", "value"]);
    let (found, damage) = rows(&logged(300, |at| "x".repeat(if at == 7 { 5000 } else { at % 40 })));
    assert_eq!((found.len(), damage), (300, Damage::default()));
    assert_eq!((found[7].0.len(), found[299].1.number()), (5000, Some(149.5)));
    let mut database = opened(&logged(3, |_| String::new())).unwrap();
    let mut numbers = Vec::new();
    database
        .each_row("logged", ["id", "other"], |[id, other]| numbers.push((id.number(), other.clone())))
        .unwrap();
    assert_eq!(numbers[2], (Some(3.0), Cell::Null));
    assert!(database.has("logged") && !database.has("other"));
}

#[test]
fn integers_of_every_length_and_the_longest_number_are_read() {
    assert_eq!(
        cells(&[8, 1, 2, 5, 8, 9, 0, 14, 0xff, 1, 0, 0, 0, 0, 0, 0, 7, b'x']),
        Some(vec![
            Cell::Integer(-1),
            Cell::Integer(256),
            Cell::Integer(7),
            Cell::Integer(0),
            Cell::Integer(1),
            Cell::Null,
            Cell::Null,
        ])
    );
    assert_eq!(varint(&mut &[0xff; 9][..]), Some(u64::MAX));
    assert_eq!(varint(&mut &[0xff; 8][..]), None);
    assert_eq!(cells(&[3, 7, 7, 0]), None);
    assert_eq!(cells(&[9]), None);
}

#[test]
fn a_file_with_any_byte_changed_or_cut_off_ends_and_says_so() {
    let whole = logged(20, |at| "x".repeat(if at == 7 { 900 } else { 5 }));
    let places = (0..whole.len()).filter(|at| at % written::PAGE < 16 || at % 23 == 0);
    for at in places {
        for byte in [0xff, whole[at] ^ 1] {
            let mut damaged = whole.clone();
            damaged[at] = byte;
            if let Ok(mut database) = opened(&damaged) {
                let mut count = 0;
                database.each_row("logged", ["name"], |_| count += 1).unwrap();
                assert!(count <= MOST_CELLS, "{at}: {count}");
            }
        }
    }
    let (found, damage) = rows(&whole[..whole.len() - written::PAGE * 3]);
    assert!(found.len() < 20 || damage != Damage::default());
    for nothing in [&b""[..], b"SQLite format 3\0", &[0; 200]] {
        assert!(opened(nothing).is_err());
    }
}

/// The rows of a file whose last page of rows says that it has `count` cells, all of them at the first's place.
fn crowded(count: u16) -> (usize, Damage) {
    let mut file = logged(5, |_| "x".repeat(60));
    let is_leaf = |page: &usize| file[page * written::PAGE] == 13;
    let leaf = (1..file.len() / written::PAGE).find(is_leaf).unwrap() * written::PAGE;
    let first = [file[leaf + 8], file[leaf + 9]];
    file[leaf + 3..leaf + 5].copy_from_slice(&count.to_be_bytes());
    for place in (0..usize::from(count)).take(100) {
        file[leaf + 8 + 2 * place..leaf + 10 + 2 * place].copy_from_slice(&first);
    }
    let (found, damage) = rows(&file);
    (found.len(), damage)
}

#[test]
fn cells_that_lead_to_one_place_are_no_more_rows_than_a_page_has_room_for() {
    assert_eq!(crowded(5), (5, Damage::default()));
    let (found, damage) = crowded(100);
    assert!(found < 10 && damage == Damage { pages: 0, rows: 100 - found as u64 }, "{found} {damage:?}");
}

#[test]
fn a_page_that_has_no_room_for_its_cells_is_told() {
    assert_eq!(crowded(u16::MAX), (0, Damage { pages: 1, rows: 0 }));
}

#[test]
fn what_begins_otherwise_is_no_database_and_words_in_quotes_name_no_column_twice() {
    let whole = logged(1, |_| String::new());
    assert!(is_database(&whole) && !is_database(b"SQLite format 4\0") && !is_database(b""));
    let sql =
        "CREATE TABLE t (\"a,b\" TEXT DEFAULT 'x,(y', [c] INT, `d` REAL DEFAULT (1), PRIMARY KEY (\"a,b\"))";
    assert_eq!(columns(sql), ["a,b", "c", "d"]);
    let many = [&[0x81, 0x4f][..], &[8; 205]].concat();
    assert_eq!(cells(&many).map(|cells| cells.len()), Some(MOST_COLUMNS));
}

#[test]
fn a_row_longer_than_any_is_damage_and_costs_no_other() {
    let (found, damage) =
        rows(&logged(3, |at| "x".repeat(if at == 1 { LONGEST_ROW as usize + 1 } else { 5 })));
    assert_eq!((found.len(), damage), (2, Damage { pages: 0, rows: 1 }));
}

/// Far more than the pages of that file have room for.
const MOST_CELLS: usize = 10_000;

/// A database with a log beside it, and how many rows are read.
fn rows_with_log(bytes: &[u8], log: &[u8]) -> (usize, Damage) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    std::fs::write(&path, bytes).unwrap();
    std::fs::write(wal::beside(&path), log).unwrap();
    let mut count = 0;
    let damage = Database::open(&path).unwrap().each_row("logged", ["name"], |_| count += 1);
    (count, damage.unwrap())
}

#[test]
fn of_a_log_what_was_committed_counts_and_nothing_behind_what_does_not_fit() {
    let (old, new) = (logged(3, |_| "x".repeat(60)), logged(40, |_| "x".repeat(60)));
    let pages: Vec<(u32, &[u8])> = (1..).zip(new.chunks(written::PAGE)).collect();
    let before: Vec<(u32, &[u8])> = (1..).zip(old.chunks(written::PAGE)).collect();
    let count = |pages: &[(u32, &[u8])]| pages.len() as u32;
    for is_big in [false, true] {
        let both = wal::written(&[(&before, count(&before)), (&pages, count(&pages))], is_big);
        assert_eq!(rows_with_log(&old, &both), (40, Damage::default()));
        // Cut off before its last frame, which commits; a bit that is another; a frame of an older log.
        let first = 32 + before.len() * (24 + written::PAGE);
        assert_eq!(rows_with_log(&old, &both[..both.len() - 1]).0, 3);
        for at in [first + 3, first + 12, first + 17, first + 100] {
            let mut damaged = both.clone();
            damaged[at] ^= 1;
            assert_eq!(rows_with_log(&old, &damaged).0, 3, "{at}");
        }
        let begun = wal::written(&[(&pages, 0)], is_big);
        assert_eq!(rows_with_log(&old, &begun).0, 3, "nothing was committed");
        let mut damaged = both;
        damaged[9] ^= 1;
        assert_eq!(rows_with_log(&old, &damaged).0, 3);
    }
    for nothing in [&b""[..], b"x"] {
        assert_eq!(rows_with_log(&old, nothing).0, 3);
    }
}
