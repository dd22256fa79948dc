//! One `Range` of bytes (RFC 9110, section 14). Several ranges, other units and anything malformed
//! are answered with the whole file, which every client must understand.

/// Which part of a file of known length is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Whole,
    /// From `first` to `last`, both included.
    Bytes {
        first: u64,
        last: u64,
    },
    /// The range is well formed and no byte of the file is in it.
    Unsatisfiable,
}

/// Reads a `Range` header for a file of `length` bytes.
pub(super) fn requested(header: &str, length: u64) -> Part {
    let Some((unit, range)) = header.split_once('=') else {
        return Part::Whole;
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") || range.contains(',') {
        return Part::Whole;
    }
    let Some((first, last)) = range.trim().split_once('-') else {
        return Part::Whole;
    };
    match (number(first), number(last)) {
        (Some(Number::Absent), Some(Number::Is(suffix))) => match suffix.min(length) {
            0 => Part::Unsatisfiable,
            count => Part::Bytes { first: length - count, last: length - 1 },
        },
        (Some(Number::Is(first)), Some(last)) => {
            let last = match last {
                Number::Is(last) if last < first => return Part::Whole,
                Number::Is(last) => last,
                Number::Absent => u64::MAX,
            };
            match first < length {
                true => Part::Bytes { first, last: last.min(length - 1) },
                false => Part::Unsatisfiable,
            }
        }
        _ => Part::Whole,
    }
}

enum Number {
    Absent,
    Is(u64),
}

/// Digits alone; a number too large to hold is larger than any file.
fn number(text: &str) -> Option<Number> {
    match text {
        "" => Some(Number::Absent),
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(Number::Is(digits.parse().unwrap_or(u64::MAX)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_range_is_read_as_the_standard_says() {
        let bytes = |first, last| Part::Bytes { first, last };
        for (header, length, expected) in [
            ("bytes=0-0", 10, bytes(0, 0)),
            ("bytes=2-5", 10, bytes(2, 5)),
            ("bytes=2-", 10, bytes(2, 9)),
            ("bytes=9-100", 10, bytes(9, 9)),
            ("bytes=-3", 10, bytes(7, 9)),
            ("bytes=-30", 10, bytes(0, 9)),
            ("BYTES=0-1", 10, bytes(0, 1)),
            ("bytes=0-99999999999999999999999", 10, bytes(0, 9)),
            ("bytes=10-", 10, Part::Unsatisfiable),
            ("bytes=99999999999999999999999-", 10, Part::Unsatisfiable),
            ("bytes=-0", 10, Part::Unsatisfiable),
            ("bytes=0-", 0, Part::Unsatisfiable),
            ("bytes=-5", 0, Part::Unsatisfiable),
            ("bytes=5-2", 10, Part::Whole),
            ("bytes=0-1,3-4", 10, Part::Whole),
            ("bytes=-", 10, Part::Whole),
            ("bytes=a-b", 10, Part::Whole),
            ("bytes=+1-2", 10, Part::Whole),
            ("bytes=1", 10, Part::Whole),
            ("rows=1-2", 10, Part::Whole),
            ("", 10, Part::Whole),
        ] {
            assert_eq!(requested(header, length), expected, "{header} of {length}");
        }
    }
}
