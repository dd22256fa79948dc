//! How wide a text will be, without a font: enough to keep labels from touching.
//!
//! The pages use the system's own typeface, so nobody knows the exact widths before the reader's
//! browser does. The table takes the wider of what common system typefaces have, so that an
//! estimate errs towards more room.

/// Width of a text in CSS pixels at a size in CSS pixels.
pub fn text_width(text: &str, size_px: f64) -> f64 {
    text.chars().map(advance).sum::<f64>() * size_px
}

/// The advance of one character in units of the text's size.
fn advance(character: char) -> f64 {
    match character {
        'i' | 'j' | 'l' | '\'' | '|' | '!' => 0.29,
        ' ' | ',' | '.' | ':' | ';' | 'I' => 0.33,
        'f' | 'r' | 't' | '(' | ')' | '[' | ']' | '/' | '\\' | '-' => 0.40,
        '0'..='9' => 0.64,
        'c' | 'k' | 's' | 'v' | 'x' | 'y' | 'z' => 0.59,
        'm' | 'M' | 'W' => 0.98,
        'w' | '%' | '@' => 0.92,
        'a'..='z' => 0.64,
        'A'..='Z' => 0.74,
        character if character.is_ascii() => 0.70,
        // Chinese, Japanese, Korean and emoji fill a square; accented Latin, Greek and Cyrillic do not.
        character if u32::from(character) < 0x1100 => 0.72,
        _ => 1.05,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wider_texts_are_estimated_wider() {
        assert!(text_width("1,000", 11.0) < text_width("10,000", 11.0));
        assert!(text_width("ill", 11.0) < text_width("WMW", 11.0));
        assert!(text_width("夜", 11.0) > text_width("e", 11.0));
    }

    #[test]
    fn the_size_scales_the_width() {
        assert!((text_width("restart", 22.0) - 2.0 * text_width("restart", 11.0)).abs() < 1e-9);
    }
}
