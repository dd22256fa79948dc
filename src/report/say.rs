//! Moments and settings as pages say them; the rest is said as everywhere ([`crate::say`]).

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde_json::Value;

use crate::say::number::as_typed;
pub use crate::say::{bytes, counted, duration, set_apart};

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

/// The value of a setting as one would type it: `3e-4`, `cosine`, `[256, 128]`.
pub fn setting(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => number.as_f64().map(as_typed).unwrap_or_default(),
        Value::Array(items) => format!("[{}]", items.iter().map(item).collect::<Vec<_>>().join(", ")),
        Value::Null => "none".into(),
        other => other.to_string(),
    }
}

/// In a list, text needs its quotes: a prompt may end in a space.
fn item(value: &Value) -> String {
    if value.is_string() { value.to_string() } else { setting(value) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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
    fn settings_read_as_one_would_type_them() {
        let values = [
            json!(0.0003),
            json!(4),
            json!("cosine"),
            json!([0.9, 0.99]),
            json!(["a b "]),
            json!(true),
            json!(null),
        ];
        assert_eq!(
            values.each_ref().map(setting),
            ["3e-4", "4", "cosine", "[0.9, 0.99]", "[\"a b \"]", "true", "none"]
        );
    }
}
