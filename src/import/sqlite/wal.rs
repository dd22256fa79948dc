//! SQLite's write-ahead log, `NAME-wal`: pages that are newer than those of the file, as far as they were committed.
//! Layout: sqlite.org/fileformat2.html, section 4.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::word;
use crate::run_dir::read;

const HEAD: usize = 32;
const HEAD_OF_FRAME: usize = 24;
/// Checksums count words with the lowest byte first; with the magic one above, with the highest.
const MAGIC: u32 = 0x377f_0682;

/// The pages of a log.
#[derive(Debug)]
pub struct Log {
    file: File,
    /// Those of this log: a log that was begun anew over this one has others.
    salts: [u8; 8],
    /// Where the newest frame of each page begins.
    frames: HashMap<u32, u64>,
    /// Pages of the database as the last commit left it.
    pub pages: u64,
}

/// Where the log of a database lies.
pub fn beside(database: &Path) -> PathBuf {
    let mut name = database.file_name().unwrap_or_default().to_owned();
    name.push("-wal");
    database.with_file_name(name)
}

/// The log of a database with pages of this size. Nothing where there is none, or nothing in it was committed.
///
/// # Errors
/// It cannot be read, or is damaged from its beginning.
pub fn open(database: &Path, page_bytes: usize) -> io::Result<Option<Log>> {
    let path = beside(database);
    let file = match path.symlink_metadata() {
        Ok(metadata) if metadata.is_file() && metadata.len() > 0 => read::open(&path)?,
        _ => return Ok(None),
    };
    let mut reader = BufReader::new(file);
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, "its write-ahead log is damaged");
    let mut head = [0; HEAD];
    reader.read_exact(&mut head).map_err(|_| damaged())?;
    let magic = word(&head, 0).unwrap_or(0);
    let mut sum = Sum { is_big: magic == MAGIC + 1, sums: [0, 0] };
    sum.add(&head[..24]);
    if magic & !1 != MAGIC || word(&head, 8) != Some(page_bytes as u32) || !sum.is(&head[24..]) {
        return Err(damaged());
    }
    let mut salts = [0; 8];
    salts.copy_from_slice(&head[16..24]);
    let (mut frames, mut begun, mut pages) = (HashMap::new(), Vec::new(), 0);
    let mut frame = vec![0; HEAD_OF_FRAME + page_bytes];
    let mut at = HEAD as u64;
    // What stands behind the first that does not fit is of a log before this one, or half written.
    while reader.read_exact(&mut frame).is_ok() {
        sum.add(&frame[..8]);
        sum.add(&frame[HEAD_OF_FRAME..]);
        let (Some(page), Some(committed)) = (word(&frame, 0), word(&frame, 4)) else { break };
        if frame[8..16] != salts || !sum.is(&frame[16..HEAD_OF_FRAME]) {
            break;
        }
        begun.push((page, at));
        at += frame.len() as u64;
        if committed > 0 {
            frames.extend(begun.drain(..));
            pages = u64::from(committed);
        }
    }
    let log = Log { file: reader.into_inner(), salts, frames, pages };
    Ok(Some(log).filter(|log| log.pages > 0))
}

impl Log {
    /// A page, where the log has it. Nothing in it where another log was begun over this one meanwhile.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn page(&mut self, number: u32, page_bytes: usize) -> io::Result<Option<Option<Vec<u8>>>> {
        let Some(at) = self.frames.get(&number) else { return Ok(None) };
        self.file.seek(SeekFrom::Start(*at))?;
        let mut frame = vec![0; HEAD_OF_FRAME + page_bytes];
        match self.file.read_exact(&mut frame) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Some(None)),
            read => read?,
        }
        let is_still = word(&frame, 0) == Some(number) && frame[8..16] == self.salts;
        Ok(Some(is_still.then(|| frame.split_off(HEAD_OF_FRAME))))
    }
}

/// The checksum over all that came so far, by pairs of words.
struct Sum {
    is_big: bool,
    sums: [u32; 2],
}

impl Sum {
    fn add(&mut self, bytes: &[u8]) {
        let word =
            |bytes: [u8; 4]| if self.is_big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) };
        for pair in bytes.chunks_exact(8) {
            let first = word([pair[0], pair[1], pair[2], pair[3]]);
            let second = word([pair[4], pair[5], pair[6], pair[7]]);
            self.sums[0] = self.sums[0].wrapping_add(first).wrapping_add(self.sums[1]);
            self.sums[1] = self.sums[1].wrapping_add(second).wrapping_add(self.sums[0]);
        }
    }

    fn is(&self, stored: &[u8]) -> bool {
        [word(stored, 0), word(stored, 4)] == self.sums.map(Some)
    }
}

/// A page with its number.
#[cfg(test)]
type Numbered<'a> = (u32, &'a [u8]);

/// A log of these commits, each of pages by their number, of a database that has so many pages after it.
#[cfg(test)]
pub fn written(commits: &[(&[Numbered], u32)], is_big: bool) -> Vec<u8> {
    let page_bytes = commits[0].0[0].1.len() as u32;
    let mut log: Vec<u8> = [MAGIC + u32::from(is_big), 3_007_000, page_bytes, 0, 7, 9]
        .into_iter()
        .flat_map(u32::to_be_bytes)
        .collect();
    let mut sum = Sum { is_big, sums: [0, 0] };
    sum.add(&log);
    log.extend(sum.sums.into_iter().flat_map(u32::to_be_bytes));
    for (pages, count) in commits {
        for (place, (number, page)) in pages.iter().enumerate() {
            let committed = if place + 1 == pages.len() { *count } else { 0 };
            let head: Vec<u8> = [*number, committed].into_iter().flat_map(u32::to_be_bytes).collect();
            sum.add(&head);
            sum.add(page);
            let rest = [7, 9, sum.sums[0], sum.sums[1]].into_iter().flat_map(u32::to_be_bytes);
            log.extend(head.into_iter().chain(rest).chain(page.iter().copied()));
        }
    }
    log
}
