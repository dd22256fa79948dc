//! TensorFlow's record files: length, its checksum, the bytes, theirs; each checksum a masked CRC-32C.
//!
//! A record whose checksum is wrong is skipped. Where a length is wrong, what follows is searched for the next
//! place at which a length and its checksum agree, so damage in the midst costs what it hit and no more.
//! Layout: tensorflow/core/lib/io/record_writer.h; polynomial: RFC 3720, appendix B.4.

use std::io::{self, Read};

use super::crc;

/// Longest record that is taken into memory. A summary of pictures has a few MiB.
const LONGEST: u64 = 64 << 20;
/// Length and its checksum.
const HEAD: usize = 12;

/// What was wrong with a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Damage {
    /// Records whose bytes do not have their checksum.
    pub records: u64,
    /// Bytes that belong to no record.
    pub skipped: u64,
    /// Records longer than any that is read.
    pub too_long: u64,
    /// The file ends within a record: it is still being written, or was cut off.
    pub is_cut: bool,
}

/// Gives every whole record of `file` to `take`, in their order.
///
/// # Errors
/// The file cannot be read.
pub fn each_record(file: impl Read, mut take: impl FnMut(&[u8])) -> io::Result<Damage> {
    let mut window = Window { file, bytes: Vec::new(), start: 0, is_over: false };
    let mut damage = Damage::default();
    let mut zeros_before = 0;
    loop {
        window.fill(HEAD)?;
        let ahead = window.ahead();
        if ahead.len() < HEAD {
            // Zeros behind the last record: a file that was made longer before it was written.
            damage.is_cut = ahead.iter().any(|byte| *byte != 0);
            return Ok(damage);
        }
        // A file that was made longer before it was written, by gigabytes perhaps: no record begins in zeros.
        if ahead[..HEAD] == [0; HEAD] {
            let zeros = ahead.iter().position(|byte| *byte != 0).unwrap_or(ahead.len());
            let passed = zeros - (HEAD - 1);
            window.start += passed;
            zeros_before += passed as u64;
            continue;
        }
        damage.skipped += std::mem::take(&mut zeros_before);
        let Some(length) = length(ahead) else {
            window.start += 1;
            damage.skipped += 1;
            continue;
        };
        let whole = HEAD as u64 + length + 4;
        if length > LONGEST {
            damage.too_long += 1;
            if window.skip(whole)? < whole {
                damage.is_cut = true;
                return Ok(damage);
            }
            continue;
        }
        window.fill(whole as usize)?;
        let ahead = window.ahead();
        if ahead.len() < whole as usize {
            damage.is_cut = true;
            return Ok(damage);
        }
        let (data, checksum) = ahead[HEAD..whole as usize].split_at(length as usize);
        if checksum == masked(crc32c(data)).to_le_bytes() {
            take(data);
        } else {
            damage.records += 1;
        }
        window.start += whole as usize;
    }
}

/// Whether the file begins with a record.
pub fn is_record(head: &[u8]) -> bool {
    head.len() >= HEAD && length(head).is_some()
}

/// The length that stands here, if its checksum says that it is one.
fn length(ahead: &[u8]) -> Option<u64> {
    let (bytes, checksum) = (&ahead[..8], &ahead[8..HEAD]);
    // Nobody writes records of terabytes, and asking that first makes searching quick.
    if bytes[5..] != [0, 0, 0] || checksum != masked(crc32c(bytes)).to_le_bytes() {
        return None;
    }
    bytes.try_into().ok().map(u64::from_le_bytes)
}

/// A part of the file in memory, moving forward.
struct Window<R> {
    file: R,
    bytes: Vec<u8>,
    start: usize,
    is_over: bool,
}

impl<R: Read> Window<R> {
    fn ahead(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Reads on until so many bytes are ahead, or the file is over.
    fn fill(&mut self, wanted: usize) -> io::Result<()> {
        const PIECE: usize = 1 << 18;
        while self.ahead().len() < wanted && !self.is_over {
            self.bytes.drain(..self.start);
            self.start = 0;
            let missing = wanted.saturating_sub(self.bytes.len()).max(PIECE);
            let read = Read::by_ref(&mut self.file).take(missing as u64).read_to_end(&mut self.bytes)?;
            self.is_over = read == 0;
        }
        Ok(())
    }

    /// Goes on by so many bytes without keeping them; how many there were.
    fn skip(&mut self, bytes: u64) -> io::Result<u64> {
        let held = (self.ahead().len() as u64).min(bytes);
        self.start += held as usize;
        let rest = io::copy(&mut Read::by_ref(&mut self.file).take(bytes - held), &mut io::sink())?;
        Ok(held + rest)
    }
}

/// A checksum as it is stored, so that one of data that holds checksums is no problem.
pub fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C.
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc::of(bytes, &TABLE)
}

const TABLE: [u32; 256] = crc::table(0x82f6_3b78);

/// A record as TensorFlow writes it.
pub fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let sum = |bytes: &[u8]| masked(crc32c(bytes)).to_le_bytes();
    [&length[..], &sum(&length), data, &sum(data)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> (Vec<Vec<u8>>, Damage) {
        let mut records = Vec::new();
        let damage = each_record(bytes, |data| records.push(data.to_vec())).unwrap();
        (records, damage)
    }

    #[test]
    fn the_checksum_is_that_of_the_standard() {
        // RFC 3720, appendix B.4: 32 bytes of zeros, of ones, and the numbers from 0.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(&(0..32).collect::<Vec<u8>>()), 0x46dd_794e);
    }

    #[test]
    fn records_are_read_in_their_order_and_a_cut_one_is_said() {
        let file = [record(b"one"), record(b""), record(&[7; 300_000])].concat();
        let (records, damage) = read(&file);
        assert_eq!((records.len(), records[2].len(), damage), (3, 300_000, Damage::default()));
        for cut in [1, 4, 20, 299_999] {
            let (records, damage) = read(&file[..file.len() - cut]);
            assert_eq!((records.len(), damage), (2, Damage { is_cut: true, ..Damage::default() }), "{cut}");
        }
        assert_eq!(read(b""), (Vec::new(), Damage::default()));
    }

    #[test]
    fn damage_in_the_midst_costs_what_it_hit() {
        let mut file = [record(b"one"), record(b"two"), record(b"three")].concat();
        let second = record(b"one").len();
        file[second + HEAD] ^= 1;
        let (records, damage) = read(&file);
        assert_eq!((records.len(), damage.records, damage.skipped), (2, 1, 0));
        // The length itself: searched for what comes next.
        file[second] = 200;
        let (records, damage) = read(&file);
        assert_eq!(records, [b"one".to_vec(), b"three".to_vec()]);
        assert_eq!(damage.skipped, record(b"two").len() as u64);
    }

    #[test]
    fn zeros_behind_the_last_record_are_no_damage_and_those_between_two_are() {
        let zeros = vec![0; 700_000];
        let (records, damage) = read(&[record(b"one"), zeros.clone()].concat());
        assert_eq!((records.len(), damage), (1, Damage::default()));
        let (records, damage) = read(&[record(b"one"), zeros, record(b"two")].concat());
        assert_eq!((records.len(), damage.skipped), (2, 700_000));
    }

    #[test]
    fn a_false_length_takes_no_memory_and_what_follows_is_read() {
        let mut false_length = (2_u64 << 30).to_le_bytes().to_vec();
        let checksum = masked(crc32c(&false_length)).to_le_bytes();
        false_length.extend(checksum);
        let mut file = [record(b"one"), false_length].concat();
        file.extend([1; 1000]);
        let (records, damage) = read(&file);
        assert_eq!(records, [b"one".to_vec()]);
        assert_eq!((damage.too_long, damage.is_cut), (1, true));
        let mut endless = (u64::MAX).to_le_bytes().to_vec();
        endless.extend(masked(crc32c(&endless)).to_le_bytes());
        let file = [record(b"one"), endless, record(b"two")].concat();
        assert_eq!(read(&file).0.len(), 2, "a length that nothing can have is no length");
    }
}
