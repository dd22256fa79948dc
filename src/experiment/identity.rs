//! How a run is known: what differs from the defaults, its hash, and the name made of them.

use serde_json::{Map, Value};

use super::alert::Alert;
use super::settings::Settings;

/// Every value of the settings by its dotted path, in order. Lists are values; sections are not.
pub fn flat(settings: &Settings) -> Map<String, Value> {
    let mut flat = Map::new();
    let value = serde_json::to_value(settings).unwrap_or_default();
    flatten("", &value, &mut flat);
    flat
}

fn flatten(path: &str, value: &Value, flat: &mut Map<String, Value>) {
    match value {
        Value::Object(object) => {
            for (key, below) in object {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                flatten(&path, below, flat);
            }
        }
        other => {
            flat.insert(path.to_owned(), other.clone());
        }
    }
}

/// What differs from the defaults: dotted path, value, and the default (none where there is no value by default).
pub fn differing(settings: &Settings) -> Vec<(String, Value, Option<Value>)> {
    let defaults = flat(&settings.defaults_of_same_kinds());
    flat(settings)
        .into_iter()
        .filter(|(path, value)| defaults.get(path) != Some(value))
        .map(|(path, value)| {
            let default = defaults.get(&path).cloned();
            (path, value, default)
        })
        .collect()
}

/// The hash of a run: of its kinds, its seed and all that differs from the defaults, without the
/// resources it is given; and of the alerts that change what it computes. 64 hex digits.
pub fn hash(settings: &Settings, alerts: &[Alert]) -> String {
    let (all, defaults) = (flat(settings), flat(&settings.defaults_of_same_kinds()));
    let mut values: Vec<(String, Value)> = all
        .iter()
        .filter(|(path, value)| defaults.get(*path) != Some(value) && !path.starts_with("resources."))
        .map(|(path, value)| (path.clone(), value.clone()))
        .collect();
    let always = ["data.kind", "model.kind", "train.optimizer.kind", "train.schedule.kind", "train.seed"];
    for path in always {
        if let Some(value) = all.get(path)
            && values.iter().all(|(known, _)| known != path)
        {
            values.push((path.to_owned(), value.clone()));
        }
    }
    let deciding: Vec<String> = alerts.iter().filter_map(Alert::identity).collect();
    if !deciding.is_empty() {
        values.push(("alerts".to_owned(), deciding.into()));
    }
    values.sort_by(|a, b| a.0.cmp(&b.0));
    let mut hasher = blake3::Hasher::new_derive_key("overnight run identity, protocol 1");
    for (path, value) in values {
        hasher.update(path.as_bytes()).update(b"=").update(value.to_string().as_bytes()).update(b"\n");
    }
    hasher.finalize().to_hex().to_string()
}

/// The directory's name: what varies, shortened, the seed, and eight digits of the hash.
pub fn run_name(varied: &Map<String, Value>, seed: u64, hash: &str) -> String {
    let mut name = String::new();
    for (path, value) in varied.iter().filter(|(path, _)| path.as_str() != "train.seed") {
        let key = path.rsplit('.').next().unwrap_or(path);
        name.push_str(&plain(&format!("{key}{}", short(value))));
        name.push('-');
    }
    name.truncate(120);
    format!("{}s{seed}-{}", name.trim_start_matches(['-', '.']), &hash[..8])
}

/// A value as short as it can be said: `3e-4`, `256x128`, `cosine`.
pub fn short(value: &Value) -> String {
    match value {
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => short_number(float),
            _ => number.to_string(),
        },
        Value::String(word) => word.clone(),
        Value::Bool(yes) => (if *yes { "yes" } else { "no" }).to_owned(),
        Value::Array(list) => list.iter().map(short).collect::<Vec<_>>().join("x"),
        other => other.to_string(),
    }
}

fn short_number(value: f64) -> String {
    let plain = format!("{value}");
    let scientific = format!("{value:e}");
    if scientific.len() < plain.len() { scientific } else { plain }
}

/// Only what a name may hold.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_dir::scan::sample_record;

    #[test]
    fn resources_do_not_change_who_a_run_is_and_everything_else_does() {
        let settings = sample_record("x", "y").settings;
        let hash = |settings: &Settings| hash(settings, &[]);
        let mut other = settings.clone();
        other.resources.threads = Some(7);
        assert_eq!(hash(&settings), hash(&other));
        other.train.seed += 1;
        assert_ne!(hash(&settings), hash(&other));
        other = settings.clone();
        other.train.clip = 0.5;
        assert_ne!(hash(&settings), hash(&other));
    }

    #[test]
    fn alerts_that_only_watch_do_not_change_who_a_run_is_and_a_lowered_rate_does() {
        let settings = sample_record("x", "y").settings;
        let rule = |action: &str| -> Alert {
            serde_json::from_value(serde_json::json!({ "when": "val/loss > 5", "do": action })).unwrap()
        };
        let plain = hash(&settings, &[]);
        for action in ["warn", "pause", "stop"] {
            assert_eq!(hash(&settings, &[rule(action)]), plain, "{action}");
        }
        let lowered = hash(&settings, &[rule("reduce-lr")]);
        assert_ne!(lowered, plain);
        assert_eq!(hash(&settings, &[rule("warn"), rule("reduce-lr")]), lowered);
    }

    #[test]
    fn a_default_that_is_written_out_is_no_difference() {
        let mut settings = sample_record("x", "y").settings;
        assert_eq!(differing(&settings), []);
        settings.train.log_every = 5;
        assert_eq!(differing(&settings), [("train.log_every".into(), 5.into(), Some(10.into()))]);
    }

    #[test]
    fn names_say_what_varies() {
        let mut varied = Map::new();
        varied.insert("train.optimizer.lr".into(), 3e-4.into());
        varied.insert("model.layers".into(), 4.into());
        varied.insert("model.hidden".into(), vec![256, 128].into());
        varied.insert("data.path".into(), "../some where".into());
        let name = run_name(&varied, 2, "1f3a9c07aaaa");
        assert_eq!(name, "lr3e-4-layers4-hidden256x128-path..-some-where-s2-1f3a9c07");
        assert!(crate::run_dir::is_plain_name(&name));
        assert_eq!(run_name(&Map::new(), 1337, "1f3a9c07aaaa"), "s1337-1f3a9c07");
    }
}
