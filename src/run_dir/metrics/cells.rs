//! The cells of a row, read from its bytes in one pass: reports read hundreds of megabytes of them.

/// What stands between two commas.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'a> {
    Empty,
    Number(f64),
    /// Anything else.
    Words(&'a [u8]),
}

/// The largest whole number below which all are exact in a float.
const EXACT: u64 = 1 << 53;
/// Powers of ten that are exact in a float: a whole number over one of them is rounded once, so it is the
/// nearest float to the digits (Clinger, PLDI 1990).
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

/// Takes the first cell off a line, and says whether another one follows it.
pub fn next<'a>(line: &mut &'a [u8]) -> (Cell<'a>, bool) {
    let bytes = *line;
    let (mut number, mut at) = (0u64, 0);
    let is_negative = bytes.first() == Some(&b'-');
    at += usize::from(is_negative);
    let first = at;
    let mut point = None;
    let end = loop {
        match bytes.get(at) {
            Some(digit @ b'0'..=b'9') => {
                number = number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            }
            Some(b'.') if point.is_none() => point = Some(at),
            other => break other,
        }
        at += 1;
    };
    // Of this many digits the number has not left its range, so comparing it means something.
    let digits = at - first - usize::from(point.is_some());
    if matches!(end, None | Some(b',')) && (1..=18).contains(&digits) && number < EXACT {
        *line = bytes.get(at + 1..).unwrap_or_default();
        let size = number as f64 / POWERS[point.map_or(0, |point| at - point - 1)];
        return (Cell::Number(if is_negative { -size } else { size }), end.is_some());
    }
    let comma = memchr::memchr(b',', &bytes[at..]).map(|after| at + after);
    let (cell, rest) = match comma {
        Some(comma) => (&bytes[..comma], &bytes[comma + 1..]),
        None => (bytes, &bytes[bytes.len()..]),
    };
    *line = rest;
    (read(cell), comma.is_some())
}

/// Any cell, also with spaces around it, with an exponent, with more digits, or spelt out.
fn read(cell: &[u8]) -> Cell<'_> {
    if cell.is_empty() {
        return Cell::Empty;
    }
    let number = std::str::from_utf8(cell).ok().and_then(|text| text.trim().parse().ok());
    number.map_or(Cell::Words(cell), Cell::Number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(mut line: &[u8]) -> Vec<Cell<'_>> {
        let mut cells = Vec::new();
        loop {
            let (cell, goes_on) = next(&mut line);
            cells.push(cell);
            if !goes_on {
                return cells;
            }
        }
    }

    #[test]
    fn a_line_has_one_cell_more_than_commas() {
        use Cell::*;
        assert_eq!(all(b"1,2.5,,-3"), [Number(1.0), Number(2.5), Empty, Number(-3.0)]);
        assert_eq!(all(b"1,"), [Number(1.0), Empty]);
        assert_eq!(all(b""), [Empty]);
        assert_eq!(all(b"a b,1.2.3,-,."), [Words(b"a b"), Words(b"1.2.3"), Words(b"-"), Words(b".")]);
        assert_eq!(
            all(b"inf,-inf, 7 ,+1"),
            [Number(f64::INFINITY), Number(f64::NEG_INFINITY), Number(7.0), Number(1.0)]
        );
        assert!(matches!(all(b"nan")[..], [Number(nan)] if nan.is_nan()));
        assert_eq!(all(b"5.,.5,1e-3,\xff"), [Number(5.0), Number(0.5), Number(1e-3), Words(b"\xff")]);
    }

    proptest! {
        #[test]
        fn a_number_is_read_to_the_bit(value in any::<f64>(), digits in 0usize..30) {
            for text in [format!("{value}"), format!("{value:e}"), format!("{value:.digits$}")] {
                let expected: f64 = text.parse().unwrap();
                match all(text.as_bytes())[..] {
                    [Cell::Number(read)] => {
                        prop_assert!(read.to_bits() == expected.to_bits() || read.is_nan() && expected.is_nan());
                    }
                    ref other => prop_assert!(false, "{text} became {other:?}"),
                }
            }
        }

        #[test]
        fn a_short_number_is_read_to_the_bit(number in any::<i64>(), shift in 0u32..63, places in 0usize..20) {
            let number = number >> shift;
            let digits = format!("{:0>1$}", number.unsigned_abs(), places + 1);
            let (whole, part) = digits.split_at(digits.len() - places);
            let text = format!("{}{whole}.{part}", if number < 0 { "-" } else { "" });
            let Cell::Number(read) = all(text.as_bytes())[0] else { panic!("{text} is no number") };
            prop_assert_eq!(read.to_bits(), text.parse::<f64>().unwrap().to_bits(), "{}", text);
        }
    }
}
