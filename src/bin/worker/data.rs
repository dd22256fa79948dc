//! Data as tensors that lie on the device for the whole run. A batch is gathered there by number; what
//! the files hold and how it is split is the library's part.

mod images;
mod text;

pub use images::ImageData;
pub use text::TextData;

/// `count` numbers below `of`, evenly spread from the first to the last: a fixed choice that looks at
/// the whole of what it is chosen from.
pub fn spread(count: i64, of: i64) -> Vec<i64> {
    let (gaps, last) = ((count - 1).max(1), of - 1);
    (0..count).map(|place| (i128::from(place) * i128::from(last) / i128::from(gaps)) as i64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_goes_from_the_first_to_the_last() {
        assert_eq!(spread(5, 9), [0, 2, 4, 6, 8]);
        assert_eq!(spread(3, 3), [0, 1, 2]);
        assert_eq!(spread(4, 2), [0, 0, 0, 1]);
        assert_eq!(spread(1, 7), [0]);
    }
}
