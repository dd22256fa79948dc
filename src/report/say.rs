//! Times, durations, sizes and settings as a person would say them.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde_json::Value;

/// Where and when the reader is: pages give times in the machine's zone.
#[derive(Clone, Debug)]
pub struct Clock {
    zone: TimeZone,
    /// Unix seconds.
    pub now: f64,
}

/// A moment, for a `<time>` element.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Moment {
    /// "23:10", with the day before it when that is another day.
    pub text: String,
    /// To the second, with the day.
    pub exact: String,
    /// As the `datetime` attribute wants it.
    pub iso: String,
}

impl Clock {
    pub fn here(now: f64) -> Clock {
        Clock { zone: TimeZone::system(), now }
    }

    /// A clock of a fixed zone, so many seconds ahead of UTC.
    pub fn ahead_of_utc(seconds: i32, now: f64) -> Clock {
        let offset = jiff::tz::Offset::from_seconds(seconds).unwrap_or(jiff::tz::Offset::UTC);
        Clock { zone: TimeZone::fixed(offset), now }
    }

    /// Unix seconds as a moment; times outside of the calendar are an empty one.
    pub fn moment(&self, seconds: f64) -> Moment {
        let (Some(then), Some(now)) = (self.zoned(seconds), self.zoned(self.now)) else {
            return Moment::default();
        };
        let form = match () {
            () if then.date() == now.date() => "%H:%M",
            () if then.year() == now.year() => "%-d %b %H:%M",
            () => "%-d %b %Y %H:%M",
        };
        Moment {
            text: then.strftime(form).to_string(),
            exact: then.strftime("%Y-%m-%d %H:%M:%S %:z").to_string(),
            iso: then.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
        }
    }

    /// Now to the second, for the page's header.
    pub fn now(&self) -> Moment {
        let mut moment = self.moment(self.now);
        if let Some(now) = self.zoned(self.now) {
            moment.text = now.strftime("%H:%M:%S").to_string();
        }
        moment
    }

    /// Seconds that local time is ahead of UTC at a moment.
    pub fn offset_seconds(&self, seconds: f64) -> i32 {
        self.zoned(seconds).map_or(0, |then| then.offset().seconds())
    }

    fn zoned(&self, seconds: f64) -> Option<jiff::Zoned> {
        let timestamp = Timestamp::from_millisecond((seconds * 1e3) as i64).ok()?;
        seconds.is_finite().then(|| timestamp.to_zoned(self.zone.clone()))
    }
}

/// "41 s", "3 min 20 s", "1 h 12 min", "2 d 3 h".
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

/// "512 B", "171 MiB", "1.2 GiB".
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

/// A number of things with its word: "1 run", "34 runs".
pub fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{} {}", super::chart::number::count(count as u64), if count == 1 { one } else { many })
}

/// The value of a setting as one would type it: `3e-4`, `cosine`, `[256, 128]`.
pub fn setting(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => number.as_f64().map(typed).unwrap_or_default(),
        Value::Array(items) => format!("[{}]", items.iter().map(setting).collect::<Vec<_>>().join(", ")),
        Value::Null => "none".into(),
        other => other.to_string(),
    }
}

fn typed(value: f64) -> String {
    if value != 0.0 && (value.abs() < 1e-2 || value.abs() >= 1e7) {
        format!("{value:e}")
    } else {
        format!("{value}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn durations_have_two_units_at_most() {
        let said =
            [0.0, 0.4, 41.0, 59.6, 200.0, 660.0, 3600.0, 4330.0, 86_400.0, 183_600.0, f64::NAN].map(duration);
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
                "unknown"
            ]
        );
    }

    #[test]
    fn another_day_is_named() {
        let clock = Clock::ahead_of_utc(7200, 1_795_212_000.0);
        let before = clock.moment(1_795_212_000.0 - 3600.0);
        assert_eq!(
            (before.text.as_str(), before.iso.as_str()),
            ("20 Nov 23:00", "2026-11-20T23:00:00+02:00")
        );
        assert_eq!(clock.moment(1_795_212_000.0).text, "00:00");
        assert_eq!(clock.moment(0.0).text, "1 Jan 1970 02:00");
        assert_eq!(clock.now().text, "00:00:00");
        assert_eq!(clock.moment(f64::NAN), Moment::default());
        assert_eq!(clock.moment(1e300), Moment::default());
    }

    #[test]
    fn sizes_are_said_in_binary_units() {
        assert_eq!(
            [0, 999, 1_500, 179_306_496, 1_288_490_189].map(bytes),
            ["0 B", "999 B", "1.5 KiB", "171 MiB", "1.2 GiB"]
        );
    }

    #[test]
    fn settings_read_as_one_would_type_them() {
        let values = [json!(0.0003), json!(4), json!("cosine"), json!([0.9, 0.99]), json!(true), json!(null)];
        assert_eq!(values.each_ref().map(setting), ["3e-4", "4", "cosine", "[0.9, 0.99]", "true", "none"]);
    }
}
