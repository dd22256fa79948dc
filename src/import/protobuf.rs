//! Protocol buffers as far as event files need them: the fields of a message, one after the other, borrowed.
//! What is damaged ends the message: the fields before it are kept.
//! Encoding: protobuf.dev/programming-guides/encoding.

/// The value of a field by its wire type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Wire<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

impl<'a> Wire<'a> {
    pub fn bytes(self) -> &'a [u8] {
        match self {
            Wire::Bytes(bytes) => bytes,
            _ => &[],
        }
    }

    pub fn text(self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    pub fn integer(self) -> u64 {
        match self {
            Wire::Varint(value) | Wire::Fixed64(value) => value,
            Wire::Fixed32(value) => u64::from(value),
            Wire::Bytes(_) => 0,
        }
    }

    pub fn double(self) -> f64 {
        match self {
            Wire::Fixed64(bits) => f64::from_bits(bits),
            Wire::Fixed32(bits) => f64::from(f32::from_bits(bits)),
            Wire::Varint(_) | Wire::Bytes(_) => f64::NAN,
        }
    }
}

/// The fields of a message: number and value.
pub fn fields(message: &[u8]) -> Fields<'_> {
    Fields { rest: message }
}

/// The last field of this number, which is the one that counts.
pub fn field(message: &[u8], number: u64) -> Option<Wire<'_>> {
    fields(message).filter(|(known, _)| *known == number).map(|(_, value)| value).last()
}

pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, Wire<'a>);

    fn next(&mut self) -> Option<(u64, Wire<'a>)> {
        let field = self.read();
        if field.is_none() {
            self.rest = &[];
        }
        field
    }
}

impl<'a> Fields<'a> {
    fn read(&mut self) -> Option<(u64, Wire<'a>)> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Wire::Varint(self.varint()?),
            1 => Wire::Fixed64(u64::from_le_bytes(self.take(8)?.try_into().ok()?)),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Wire::Bytes(self.take(length)?)
            }
            5 => Wire::Fixed32(u32::from_le_bytes(self.take(4)?.try_into().ok()?)),
            // Groups have not been written for twenty years.
            _ => return None,
        };
        Some((tag >> 3, value))
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for place in 0..10 {
            let byte = *self.take(1)?.first()?;
            value |= u64::from(byte & 0x7f).checked_shl(7 * place).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

/// A message, for tests.
#[cfg(test)]
pub(super) mod written {
    pub fn varint(mut value: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        while value > 0x7f {
            bytes.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        bytes.push(value as u8);
        bytes
    }

    pub fn integer(number: u64, value: u64) -> Vec<u8> {
        [varint(number << 3), varint(value)].concat()
    }

    pub fn double(number: u64, value: f64) -> Vec<u8> {
        [varint(number << 3 | 1), value.to_le_bytes().to_vec()].concat()
    }

    pub fn float(number: u64, value: f32) -> Vec<u8> {
        [varint(number << 3 | 5), value.to_le_bytes().to_vec()].concat()
    }

    pub fn bytes(number: u64, value: &[u8]) -> Vec<u8> {
        [varint(number << 3 | 2), varint(value.len() as u64), value.to_vec()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_every_kind_are_read_and_the_last_counts() {
        let message = [
            written::integer(1, 300),
            written::double(2, 1.5),
            written::float(3, 0.5),
            written::bytes(4, b"text"),
            written::integer(1, u64::MAX),
        ]
        .concat();
        assert_eq!(fields(&message).count(), 5);
        assert_eq!(field(&message, 1), Some(Wire::Varint(u64::MAX)));
        assert_eq!(field(&message, 2).map(Wire::double), Some(1.5));
        assert_eq!(field(&message, 3).map(Wire::double), Some(0.5));
        assert_eq!(field(&message, 4).map(Wire::text), Some("text".to_owned()));
        assert_eq!(field(&message, 9), None);
    }

    #[test]
    fn what_is_cut_off_or_made_of_nonsense_ends_the_message() {
        let message = [written::integer(1, 1), written::bytes(2, &[0; 100])].concat();
        for end in 3..message.len() {
            assert_eq!(fields(&message[..end]).count(), 1, "{end}");
        }
        assert_eq!(fields(&[0xff; 40]).count(), 0);
        assert_eq!(fields(&[0x0b]).count(), 0, "a group");
        assert_eq!(fields(&[0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]).count(), 0);
    }
}
