//! The framing of W&B's `run-*.wandb`: a head of seven bytes, then blocks of 32 KiB of records as LevelDB's log
//! has them, whole or in a first, middle and last piece, each with a CRC-32 of its type and bytes.
//! Layout: github.com/google/leveldb/blob/main/doc/log_format.md; the head and the plain CRC-32 are W&B's own.

use std::io::{self, Read};

use super::crc;

const BLOCK: usize = 32 << 10;
/// Checksum, length, type.
const HEAD: usize = 7;
/// Longest record that is put together from its pieces.
const LONGEST: usize = 64 << 20;

/// What was wrong with a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Damage {
    /// Pieces that do not have their checksum, or whose length leads out of their block.
    pub pieces: u64,
    /// Records that lack a piece, or are longer than any.
    pub records: u64,
    /// The file ends within a record: it is still being written, or was cut off.
    pub is_cut: bool,
}

/// Whether a file begins as W&B's do.
pub fn is_log(head: &[u8]) -> bool {
    head.starts_with(b":W&B\xe1\xbe")
}

/// Gives every whole record to `take`, in their order. No more than one of them is in memory.
///
/// # Errors
/// The file cannot be read.
pub fn each_record(mut file: impl Read, mut take: impl FnMut(&[u8])) -> io::Result<Damage> {
    let mut damage = Damage::default();
    let mut whole: Option<Vec<u8>> = None;
    let mut block = Vec::with_capacity(BLOCK);
    let mut is_first = true;
    loop {
        block.clear();
        Read::by_ref(&mut file).take(BLOCK as u64).read_to_end(&mut block)?;
        if block.is_empty() {
            damage.is_cut |= whole.is_some();
            return Ok(damage);
        }
        // The head of the file belongs to the first block.
        let mut at = if is_first { HEAD.min(block.len()) } else { 0 };
        is_first = false;
        let is_last = block.len() < BLOCK;
        while let Some(head) = block.get(at..at + HEAD) {
            let length = usize::from(u16::from_le_bytes([head[4], head[5]]));
            // A block that was made and not yet written.
            if head == [0; HEAD] {
                break;
            }
            let Some(piece) = block.get(at + HEAD..at + HEAD + length) else {
                damage.is_cut |= is_last;
                damage.pieces += u64::from(!is_last);
                damage.records += u64::from(!is_last && whole.take().is_some());
                at = block.len();
                break;
            };
            let kind = head[6];
            let is_sound = crc32(&block[at + 6..at + HEAD + length]).to_le_bytes() == head[..4];
            at += HEAD + length;
            if !is_sound {
                damage.pieces += 1;
                damage.records += u64::from(whole.take().is_some());
                continue;
            }
            match (kind, whole.as_mut()) {
                (1, _) => {
                    damage.records += u64::from(whole.take().is_some());
                    take(piece);
                }
                (2, _) => {
                    damage.records += u64::from(whole.is_some());
                    whole = Some(piece.to_vec());
                }
                (3 | 4, Some(begun)) if begun.len() + length <= LONGEST => {
                    begun.extend(piece);
                    if kind == 4 {
                        take(begun);
                        whole = None;
                    }
                }
                (3, None) => {}
                _ => {
                    damage.records += 1;
                    whole = None;
                }
            }
        }
        damage.is_cut |= is_last && block[at..].iter().any(|byte| *byte != 0);
    }
}

/// CRC-32 as in zip and PNG.
pub fn crc32(bytes: &[u8]) -> u32 {
    crc::of(bytes, &TABLE)
}

const TABLE: [u32; 256] = crc::table(0xedb8_8320);

/// A file of these records as W&B writes it.
#[cfg(test)]
pub(super) fn written(records: &[Vec<u8>]) -> Vec<u8> {
    let mut file = b":W&B\xe1\xbe\0".to_vec();
    for record in records {
        let (mut rest, mut is_first) = (&record[..], true);
        loop {
            let room = BLOCK - file.len() % BLOCK;
            if room < HEAD {
                file.extend(vec![0; room]);
                continue;
            }
            let (piece, after) = rest.split_at(rest.len().min(room - HEAD));
            let kind = match (is_first, after.is_empty()) {
                (true, true) => 1,
                (true, false) => 2,
                (false, false) => 3,
                (false, true) => 4,
            };
            let summed = [&[kind], piece].concat();
            file.extend(crc32(&summed).to_le_bytes());
            file.extend((piece.len() as u16).to_le_bytes());
            file.extend(summed);
            (rest, is_first) = (after, false);
            if rest.is_empty() {
                break;
            }
        }
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: &[u8]) -> (Vec<usize>, Damage) {
        let mut lengths = Vec::new();
        let damage = each_record(file, |record| lengths.push(record.len())).unwrap();
        (lengths, damage)
    }

    #[test]
    fn records_over_several_blocks_are_put_together_and_a_cut_one_is_said() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        let file = written(&[vec![1; 10], vec![2; 100_000], vec![3; 32_700], vec![4; 5]]);
        assert_eq!(read(&file), (vec![10, 100_000, 32_700, 5], Damage::default()));
        for cut in [1, 8, 11] {
            let (lengths, damage) = read(&file[..file.len() - cut]);
            assert_eq!((lengths.len(), damage), (3, Damage { is_cut: true, ..Damage::default() }), "{cut}");
        }
        let (lengths, damage) = read(&file[..70_000]);
        assert_eq!((lengths, damage.is_cut), (vec![10], true));
        assert_eq!(read(b""), (Vec::new(), Damage::default()));
    }

    #[test]
    fn damage_in_the_midst_costs_what_it_hit_and_a_false_length_its_block() {
        let mut file = written(&[vec![1; 10], vec![2; 10], vec![3; 10], vec![4; 40_000], vec![5; 10]]);
        file[7 + 17 + 7] ^= 1;
        assert_eq!(read(&file), (vec![10, 10, 40_000, 10], Damage { pieces: 1, ..Damage::default() }));
        file[7 + 17 + 4..7 + 17 + 6].copy_from_slice(&[0xff, 0xff]);
        let (lengths, damage) = read(&file);
        assert_eq!((lengths, damage.pieces), (vec![10, 10], 1));
    }

    #[test]
    fn a_record_that_lacks_a_piece_is_counted_and_costs_no_other() {
        let file = written(&[vec![1; 10], vec![2; 70_000], vec![3; 5]]);
        for damage in [
            // A length that leads out of the block, and a checksum that does not hold.
            |file: &mut [u8]| file[BLOCK + 4..BLOCK + 6].copy_from_slice(&[0xff, 0xff]),
            |file: &mut [u8]| file[BLOCK + 100] ^= 1,
        ] {
            let mut file = file.clone();
            damage(&mut file);
            let expected = Damage { pieces: 1, records: 2, is_cut: false };
            assert_eq!(read(&file), (vec![10, 5], expected), "its beginning, and its end");
        }
        let cut = Damage { is_cut: true, ..Damage::default() };
        assert_eq!(read(&file[..2 * BLOCK]), (vec![10], cut), "between two blocks");
    }

    #[test]
    fn pieces_that_do_not_belong_together_are_no_record() {
        let file = |kinds: &[u8]| {
            let mut file = b":W&B\xe1\xbe\0".to_vec();
            for kind in kinds {
                let summed = [*kind, 7, 7];
                file.extend([&crc32(&summed).to_le_bytes()[..], &[2, 0], &summed].concat());
            }
            file
        };
        for (kinds, lengths, records) in [
            (&[2, 3, 4][..], vec![6], 0),
            (&[2, 1], vec![2], 1),
            (&[2, 2, 4], vec![4], 1),
            (&[4, 1], vec![2], 1),
            (&[3, 1], vec![2], 0),
            (&[2, 9, 4, 1], vec![2], 2),
        ] {
            let damage = Damage { records, ..Damage::default() };
            assert_eq!(read(&file(kinds)), (lengths, damage), "{kinds:?}");
        }
    }

    #[test]
    fn a_record_that_never_ends_takes_no_memory_beyond_the_longest() {
        let mut file = written(&[vec![7; BLOCK - 14 - 10]]);
        file[13] = 2;
        let sum = crc32(&file[13..]).to_le_bytes();
        file[7..11].copy_from_slice(&sum);
        file.resize(BLOCK, 0);
        let mut middle = vec![3];
        middle.extend(vec![7; BLOCK - HEAD]);
        let length = (BLOCK - HEAD) as u16;
        let block = [&crc32(&middle).to_le_bytes()[..], &length.to_le_bytes(), &middle].concat();
        let endless = file.as_slice().chain(Blocks { block, at: 0, left: 2_100 });
        let damage = each_record(endless, |_| {}).unwrap();
        assert_eq!((damage.records, damage.is_cut), (1, false));
    }

    struct Blocks {
        block: Vec<u8>,
        at: usize,
        left: usize,
    }

    impl Read for Blocks {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            if self.left == 0 {
                return Ok(0);
            }
            let ahead = &self.block[self.at..];
            let count = ahead.len().min(into.len());
            into[..count].copy_from_slice(&ahead[..count]);
            self.at = (self.at + count) % self.block.len();
            self.left -= usize::from(self.at == 0);
            Ok(count)
        }
    }
}
