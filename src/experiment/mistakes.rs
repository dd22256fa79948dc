//! All mistakes of a file at once: what is wrong is left out, and what remains is read again.

use serde::de::DeserializeOwned;
use toml::Value;

use super::diagnostic::{Problem, indexed};
use super::parse::{FileKind, read_of};

/// Of one section; nobody reads more, and each costs a reading of the rest.
const MOST: usize = 50;

/// Reads `value`, which stands at the dotted `path`, as if what is wrong in it were not there. Everything
/// wrong is added to `found`; None where nothing could be made of the rest.
pub fn read_all<T: DeserializeOwned>(
    kind: FileKind,
    path: &str,
    mut value: Value,
    found: &mut Vec<Problem>,
) -> Option<T> {
    for index in 0..MOST {
        match read_of(kind, path, value.clone()) {
            Ok(read) => return Some(read),
            Err(problem) => {
                let within = problem.path.strip_prefix(path).unwrap_or_default().trim_start_matches('.');
                let goes_on = remove(&mut value, within);
                // What is missing once a mistake is left out is no mistake of its own.
                let follows = index > 0 && problem.reason.contains("missing field");
                if !follows {
                    found.push(problem);
                }
                if !goes_on {
                    return None;
                }
            }
        }
    }
    None
}

/// Takes away the deepest key that `path` names; of a list of values all of it.
fn remove(value: &mut Value, path: &str) -> bool {
    let Value::Table(table) = value else { return false };
    let (first, below) = path.split_once('.').unwrap_or((path, ""));
    let (name, index) = indexed(first);
    let inner = match (table.get_mut(name), index) {
        (Some(Value::Array(items)), Some(index)) => items.get_mut(index),
        (inner, _) => inner,
    };
    let is_removed = !below.is_empty() && inner.is_some_and(|inner| remove(inner, below));
    is_removed || table.remove(name).is_some()
}

/// Whether a problem with values would be one without the mistakes that were `found` before: it is about
/// something that the file `gives`, and about none of the settings that could not be read.
pub fn stands_apart(problem: &Problem, found: &[Problem], gives: impl Fn(&str) -> bool) -> bool {
    let is_within = |path: &str, other: &str| {
        path.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    let touches = |known: &Problem| {
        !known.path.is_empty()
            && (is_within(&problem.path, &known.path) || is_within(&known.path, &problem.path))
    };
    found.is_empty() || (gives(&problem.path) && !found.iter().any(touches))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::settings::{Checkpoint, Sample};

    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Needed {
        #[expect(dead_code, reason = "only whether it can be read counts")]
        name: String,
    }

    fn paths<T: DeserializeOwned>(text: &str) -> (bool, Vec<String>) {
        let mut found = Vec::new();
        let value = Value::Table(toml::from_str(text).unwrap());
        let read: Option<T> = read_all(FileKind::Experiment, "section", value, &mut found);
        (read.is_some(), found.into_iter().map(|problem| problem.path).collect())
    }

    #[test]
    fn what_is_wrong_is_left_out_and_the_rest_is_read_again() {
        let (is_read, found) = paths::<Checkpoint>("evry = 3\nkeep = \"two\"\nbest = 3\n");
        assert!(is_read);
        assert_eq!(found, ["section.evry", "section.keep", "section.best"]);
        assert_eq!(
            paths::<Needed>("name = 3\nmore = 1\n"),
            (false, vec!["section.name".into(), "section.more".into()])
        );
        assert_eq!(paths::<Needed>(""), (false, vec!["section".into()]));
        let (is_read, found) = paths::<Sample>("prompts = [\"a\", 3, 4]\ntokens = -1\n");
        assert!(is_read);
        assert_eq!(found, ["section.prompts[1]", "section.tokens"]);
    }

    #[test]
    fn a_thousand_mistakes_end_somewhere() {
        let text: String = (0..1000).map(|index| format!("wrong{index} = 1\n")).collect();
        let (is_read, found) = paths::<Checkpoint>(&text);
        assert!(!is_read);
        assert_eq!(found.len(), MOST);
    }

    #[test]
    fn what_only_follows_from_a_mistake_is_none_of_its_own() {
        let problem = |path: &str| Problem::new(path, "", "");
        let gives = |path: &str| path != "model.heads";
        let found = [problem("model.width"), problem("")];
        assert!(stands_apart(&problem("model.heads"), &[], gives));
        assert!(!stands_apart(&problem("model.heads"), &found, gives), "the file does not say it");
        assert!(!stands_apart(&problem("model.width"), &found, gives));
        assert!(!stands_apart(&problem("model"), &found, gives));
        assert!(stands_apart(&problem("model.widths"), &found, gives));
        assert!(stands_apart(&problem("train.steps"), &found, gives));
    }
}
