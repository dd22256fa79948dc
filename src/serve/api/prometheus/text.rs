//! Numbers as Prometheus reads them: its text format 0.0.4, or OpenMetrics 1.0.0.

use std::fmt::Write;

use super::families::{Family, Kind};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Plain,
    OpenMetrics,
}

pub(super) const PLAIN: &str = "text/plain; version=0.0.4; charset=utf-8";
pub(super) const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

impl Format {
    /// What an `Accept` header prefers of the two; the plain one where it says nothing.
    pub fn asked(accept: &str) -> Format {
        let quality = |wanted: &[&str]| {
            let entries = accept.split(',').filter_map(|entry| {
                let mut parts = entry.split(';').map(str::trim);
                let kind = parts.next()?.to_ascii_lowercase();
                let quality = parts.find_map(|part| part.strip_prefix("q="));
                let quality = quality.map_or(1.0, |value| value.trim().parse().unwrap_or(0.0));
                wanted.contains(&kind.as_str()).then_some(quality)
            });
            entries.fold(0.0, f64::max)
        };
        let open = quality(&["application/openmetrics-text"]);
        let plain = quality(&["text/plain", "text/*", "*/*"]);
        if open > 0.0 && open >= plain { Format::OpenMetrics } else { Format::Plain }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Format::Plain => PLAIN,
            Format::OpenMetrics => OPEN_METRICS,
        }
    }
}

/// What is being told. Samples of one family must follow each other.
pub(super) struct Exposition {
    format: Format,
    text: String,
    family: &'static str,
}

impl Exposition {
    pub fn new(format: Format) -> Exposition {
        Exposition { format, text: String::new(), family: "" }
    }

    pub fn one(&mut self, family: &Family, labels: &[(&str, &str)], value: f64) {
        if self.family != family.name {
            self.family = family.name;
            let kind = match (family.kind, self.format) {
                (Kind::Gauge, _) => "gauge",
                (Kind::Counter, Format::Plain) => "counter",
                // A counter there ends in `_total`, which those who gave it its name do not know.
                (Kind::Counter, Format::OpenMetrics) => "unknown",
            };
            let _ = writeln!(self.text, "# HELP {} {}", family.name, escaped(family.help, Quotes::AsTheyAre));
            let _ = writeln!(self.text, "# TYPE {} {kind}", family.name);
        }
        self.text.push_str(family.name);
        for (place, (name, label)) in labels.iter().enumerate() {
            self.text.push(if place == 0 { '{' } else { ',' });
            let _ = write!(self.text, "{name}=\"{}\"", escaped(label, Quotes::Escaped));
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {}", spelled(value));
    }

    pub fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Quotes {
    Escaped,
    AsTheyAre,
}

fn escaped(text: &str, quotes: Quotes) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '"' if quotes == Quotes::Escaped => escaped.push_str("\\\""),
            char => escaped.push(char),
        }
    }
    escaped
}

fn spelled(value: f64) -> String {
    match value {
        value if value.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_what_the_client_prefers() {
        let open =
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
        for (accept, format) in [
            (open, Format::OpenMetrics),
            ("application/openmetrics-text", Format::OpenMetrics),
            ("application/openmetrics-text;q=0, text/plain", Format::Plain),
            ("application/openmetrics-text;q=0.2, text/plain;q=0.9", Format::Plain),
            ("", Format::Plain),
            ("*/*", Format::Plain),
            ("application/json;q=nonsense", Format::Plain),
        ] {
            assert_eq!(Format::asked(accept), format, "{accept}");
        }
    }

    #[test]
    fn labels_are_escaped_and_numbers_that_are_none_are_spelled() {
        const FAMILY: Family = Family { name: "a", kind: Kind::Counter, help: "b\\\n\"c\"" };
        let told = |format| {
            let mut text = Exposition::new(format);
            text.one(&FAMILY, &[("x", "a\"b\\c\nd"), ("y", "ä")], f64::NAN);
            text.one(&FAMILY, &[], f64::NEG_INFINITY);
            text.finish()
        };
        let samples = "a{x=\"a\\\"b\\\\c\\nd\",y=\"ä\"} NaN\na -Inf\n";
        assert_eq!(told(Format::Plain), format!("# HELP a b\\\\\\n\"c\"\n# TYPE a counter\n{samples}"));
        let open = format!("# HELP a b\\\\\\n\"c\"\n# TYPE a unknown\n{samples}# EOF\n");
        assert_eq!(told(Format::OpenMetrics), open);
    }
}
