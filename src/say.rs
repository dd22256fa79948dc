//! Durations, sizes, counts and signals as a person says them: the same words in the terminal, in
//! logs and on pages. What only pages say (moments, settings) is in `report::say`.

pub mod number;

pub use number::measured;

/// `0.4 s`, `41 s`, `3 min 20 s`, `1 h 12 min`, `2 d 3 h`: two units at most.
pub fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "unknown".into();
    }
    let whole = seconds.round() as u64;
    let (days, hours, minutes) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60);
    match whole {
        0..60 if seconds < 9.95 && seconds > 0.0 => format!("{seconds:.1} s"),
        0..60 => format!("{whole} s"),
        60..600 if !whole.is_multiple_of(60) => format!("{minutes} min {} s", whole % 60),
        60..3600 => format!("{minutes} min"),
        3600..86_400 if minutes > 0 => format!("{hours} h {minutes} min"),
        3600..86_400 => format!("{hours} h"),
        _ if hours > 0 => format!("{days} d {hours} h"),
        _ => format!("{days} d"),
    }
}

/// `512 B`, `171 MiB`, `1.2 GiB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 || value >= 99.5 {
        format!("{value:.0} {}", UNITS[unit])
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

/// A whole number with its thousands apart: `412,110`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of things with its word: `1 run`, `34 runs`.
pub fn counted(number: usize, one: &str, many: &str) -> String {
    format!("{} {}", count(number as u64), if number == 1 { one } else { many })
}

/// An amount of energy: in kilowatt-hours, as bills have it, and small ones in joules.
pub fn energy(joules: f64) -> String {
    let (value, unit) = energy_in(joules);
    format!("{value} {unit}")
}

/// The same as its number and its unit.
pub fn energy_in(joules: f64) -> (String, &'static str) {
    let kwh = joules / 3.6e6;
    match () {
        () if !joules.is_finite() => ("unknown".to_owned(), "kWh"),
        () if joules < 3600.0 => (format!("{joules:.0}"), "J"),
        () if kwh < 0.1 => (format!("{kwh:.3}"), "kWh"),
        () if kwh < 10.0 => (format!("{kwh:.2}"), "kWh"),
        () => (format!("{kwh:.0}"), "kWh"),
    }
}

/// A signal by its name and number, `SIGKILL (9)`; by its number where the name says nothing to most.
pub fn signal(number: i32) -> String {
    let name = match number {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        _ => return format!("signal {number}"),
    };
    format!("{name} ({number})")
}

/// Whether a sign shows nothing and changes what is around it: marks of direction, and such as have no width.
pub fn is_hidden(sign: char) -> bool {
    matches!(
        sign,
        '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'
    )
}

/// What comes from files and may be printed to a terminal: control characters are shown, not obeyed.
pub fn plain(text: &str) -> String {
    let is_obeyed = |c: char| c.is_control() && c != '\t' || turns_text(c);
    text.chars().map(|c| if is_obeyed(c) { '\u{fffd}' } else { c }).collect()
}

/// A name to stand within a sentence: it turns no word but its own. Marks that would turn the text after
/// them are shown, not obeyed; a name in a script that is written from right to left is set apart
/// (Unicode Standard Annex 9, isolates).
pub fn set_apart(name: &str) -> String {
    let name: String = name.chars().map(|c| if turns_text(c) { '\u{fffd}' } else { c }).collect();
    if name.chars().any(is_right_to_left) { format!("\u{2068}{name}\u{2069}") } else { name }
}

/// Embeddings, overrides and isolates of the direction of text.
fn turns_text(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Letters of blocks that Unicode keeps for scripts from right to left, and their mark.
fn is_right_to_left(c: char) -> bool {
    matches!(c, '\u{590}'..='\u{8ff}' | '\u{200f}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefe}'
        | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
}

/// The same of several lines, which stay lines.
pub fn plain_lines(text: &str) -> String {
    text.split('\n').map(plain).collect::<Vec<_>>().join("\n")
}

/// A value with the digits that are meant.
pub fn value(number: f64) -> String {
    match number.abs() {
        _ if !number.is_finite() => crate::run_dir::number::spelled(number),
        size if size != 0.0 && !(1e-3..1e6).contains(&size) => format!("{number:.3e}"),
        size if size >= 100.0 => format!("{number:.1}"),
        _ => format!("{number:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_that_turn_text_are_shown_and_names_from_right_to_left_stand_apart() {
        assert_eq!(plain("a\u{202e}b\u{1b}[2J\tc"), "a\u{fffd}b\u{fffd}[2J\tc");
        assert_eq!(set_apart("lr3e-4 学習率 🧪"), "lr3e-4 学習率 🧪");
        assert_eq!(set_apart("\u{2069}\u{202e}txet"), "\u{fffd}\u{fffd}txet");
        assert_eq!(set_apart("ניסוי-s1"), "\u{2068}ניסוי-s1\u{2069}");
    }

    #[test]
    fn durations_have_two_units_at_most() {
        let said = [0.0, 0.4, 41.0, 59.6, 200.0, 660.0, 3600.0, 4330.0, 86_400.0, 183_600.0, f64::NAN, -1.0]
            .map(duration);
        assert_eq!(
            said,
            [
                "0 s",
                "0.4 s",
                "41 s",
                "1 min",
                "3 min 20 s",
                "11 min",
                "1 h",
                "1 h 12 min",
                "1 d",
                "2 d 3 h",
                "unknown",
                "unknown"
            ]
        );
    }

    #[test]
    fn sizes_are_said_in_binary_units() {
        assert_eq!(
            [0, 999, 1_500, 179_306_496, 1_288_490_189].map(bytes),
            ["0 B", "999 B", "1.5 KiB", "171 MiB", "1.2 GiB"]
        );
    }

    #[test]
    fn thousands_stand_apart() {
        assert_eq!(
            [0, 999, 1_000, 412_110, 14_300_000].map(count),
            ["0", "999", "1,000", "412,110", "14,300,000"]
        );
        assert_eq!([counted(1, "run", "runs"), counted(2000, "run", "runs")], ["1 run", "2,000 runs"]);
    }

    #[test]
    fn signals_have_their_names() {
        assert_eq!([signal(9), signal(64)], ["SIGKILL (9)", "signal 64"]);
    }

    #[test]
    fn energy_is_said_as_bills_have_it() {
        let said = [0.0, 812.4, 3600.0, 1.512e6, 4.5e7, f64::NAN].map(energy);
        assert_eq!(said, ["0 J", "812 J", "0.001 kWh", "0.42 kWh", "12 kWh", "unknown kWh"]);
    }

    #[test]
    fn values_have_the_digits_that_are_meant() {
        assert_eq!([value(1.47123), value(3e-4), value(f64::NAN)], ["1.4712", "3.000e-4", "nan"]);
    }
}
