//! A request as an endpoint gets it, checked against its route, and what the endpoint gives back.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::problem::Problem;
use super::route::{Kind, Parameter, Place, Route};
use super::{Api, JSON};
use crate::report::catalog::{self, Listed};
use crate::run_dir::RunDir;
use crate::serve::answer::{self, Answer, Asked};
use crate::serve::path::{self, percent_decoded};
use std::sync::Arc;

/// A request that its route allows.
pub(super) struct Call<'a> {
    pub api: &'a Api,
    pub values: Values,
    pub asked: &'a Asked<'a>,
}

/// What is answered where nothing is wrong.
pub(super) enum Reply {
    Now {
        content_type: &'static str,
        body: Vec<u8>,
    },
    /// A file as it is, streamed.
    File(Answer),
    /// JSON that takes work, of a version that is known before.
    Later {
        version: String,
        make: Box<dyn FnOnce() -> Result<Vec<u8>, Problem>>,
    },
}

/// The most characters of one parameter: two names of files with a slash between them.
pub(super) const LONGEST: usize = 600;

impl Reply {
    pub fn json(value: &impl Serialize) -> Result<Reply, Problem> {
        let body = serde_json::to_vec(value).map_err(|error| Problem::unavailable(error.to_string()))?;
        Ok(Reply::Now { content_type: JSON, body })
    }
}

impl Call<'_> {
    /// The run that the address names.
    pub fn run(&self) -> Result<(Arc<Listed>, RunDir), Problem> {
        let (experiment, run) = (self.values.text("experiment"), self.values.text("run"));
        let key = (experiment.unwrap_or_default().to_owned(), run.unwrap_or_default().to_owned());
        let runs = self.api.index.runs()?;
        let listed = runs.get(&key).ok_or_else(|| Problem::no_such_run(&key))?;
        let dir = self.api.workspace.run(&listed.experiment, &listed.run);
        Ok((listed.clone(), dir))
    }

    /// A file below the directory of a run, in the range that is asked for.
    pub fn file(&self, dir: &RunDir, relative: &Path, content_type: &str) -> Result<Reply, Problem> {
        let missing = || {
            let detail = format!("there is no {} in {}/{}", relative.display(), dir.experiment(), dir.name());
            Problem::new(404, detail, "it may be still to come, or gone already")
        };
        let file = path::open_plain(dir.path(), relative).ok_or_else(missing)?;
        let name = format!("{}-{}-{}", dir.experiment(), dir.name(), relative.display());
        let plain = |char: char| if char.is_ascii_alphanumeric() || ".-".contains(char) { char } else { '_' };
        let name: String = name.chars().map(plain).collect();
        let headers = vec![
            ("Content-Type", content_type.to_owned()),
            ("Accept-Ranges", "bytes".to_owned()),
            ("Content-Disposition", format!("attachment; filename=\"{name}\"")),
        ];
        let streamed = answer::stream(file, self.asked, headers);
        streamed.map(Reply::File).map_err(|error| Problem::unavailable(error.to_string()))
    }

    pub fn facts(&self) -> Result<catalog::Facts, Problem> {
        let (listed, _) = self.run()?;
        let key = || (listed.experiment.clone(), listed.run.clone());
        catalog::facts(&self.api.workspace, &listed).ok_or_else(|| Problem::no_such_run(&key()))
    }
}

/// What a request says, by the names of its route's parameters.
#[derive(Debug, Default)]
pub(super) struct Values {
    texts: BTreeMap<&'static str, Vec<String>>,
    numbers: BTreeMap<&'static str, u64>,
}

impl Values {
    /// Reads names from the path and the rest from the query. What the route does not know is refused, so
    /// that a word mistyped is not taken for none.
    pub fn read(route: &Route, names: &[String], query: &str) -> Result<Values, Problem> {
        let mut values = Values::default();
        let in_path = route.parameters.iter().filter(|parameter| parameter.place == Place::Path);
        for (parameter, name) in in_path.zip(names) {
            match parameter.kind {
                Kind::Text | Kind::Texts { .. } => {
                    values.texts.insert(parameter.name, vec![name.clone()]);
                }
                Kind::Number { .. } | Kind::Words(_) => values.take(parameter, name.clone())?,
            }
        }
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, text) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, text) = (decoded(name)?, decoded(text)?);
            let known = route.parameters.iter().filter(|parameter| parameter.place == Place::Query);
            let parameter = known.clone().find(|parameter| parameter.name == name).ok_or_else(|| {
                Problem::unknown_parameter(&name, &known.map(|parameter| parameter.name).collect::<Vec<_>>())
            })?;
            values.take(parameter, text)?;
        }
        for parameter in route.parameters {
            if let Kind::Number { default: Some(default), .. } = parameter.kind {
                values.numbers.entry(parameter.name).or_insert(default);
            }
        }
        Ok(values)
    }

    fn take(&mut self, parameter: &Parameter, text: String) -> Result<(), Problem> {
        let name = parameter.name;
        let said = self.texts.entry(name).or_default();
        let most = match parameter.kind {
            Kind::Text | Kind::Number { .. } => 1,
            Kind::Texts { most } => most,
            Kind::Words(words) => words.len(),
        };
        if said.len() == most {
            let times = crate::say::counted(most, "time", "times");
            return Err(Problem::parameter(name, format!("{name} may be said {times} at the most")));
        }
        if text.is_empty() || text.chars().count() > LONGEST {
            return Err(Problem::parameter(name, format!("{name} has 1 to {LONGEST} characters")));
        }
        match parameter.kind {
            Kind::Number { least, most, .. } => {
                let number = Some(&text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
                let number = number.and_then(|text| text.parse().ok());
                let number = number.filter(|number| (least..=most).contains(number));
                let number = number.ok_or_else(|| {
                    Problem::parameter(name, format!("{name} is a whole number from {least} to {most}"))
                })?;
                self.numbers.insert(name, number);
            }
            Kind::Words(words) if !words.contains(&text.as_str()) => {
                return Err(Problem::parameter(name, format!("{name} is one of {}", words.join(", "))));
            }
            Kind::Text | Kind::Texts { .. } | Kind::Words(_) => {}
        }
        said.push(text);
        Ok(())
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.all(name).first().map(String::as_str)
    }

    pub fn all(&self, name: &str) -> &[String] {
        self.texts.get(name).map_or(&[], Vec::as_slice)
    }

    pub fn number(&self, name: &str) -> Option<u64> {
        self.numbers.get(name).copied()
    }

    /// How many are wanted of a list.
    pub fn limit(&self) -> usize {
        self.number("limit").map_or(usize::MAX, |limit| limit as usize)
    }

    /// The steps that are wanted, both ends included.
    pub fn steps(&self) -> (u64, u64) {
        (self.number("from").unwrap_or(0), self.number("to").unwrap_or(u64::MAX))
    }
}

/// A part of a query, as forms write it.
fn decoded(text: &str) -> Result<String, Problem> {
    let bytes = percent_decoded(&text.replace('+', " "));
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| Problem::new(400, "the query is not percent-encoded UTF-8", "write % itself as %25"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::api::{ROUTES, route};

    fn read(query: &str) -> Result<Values, String> {
        let (route, names) = route::find(ROUTES, "/api/v1/runs/a/b/metrics").unwrap();
        Values::read(route, &names, query).map_err(|problem| problem.detail)
    }

    #[test]
    fn what_is_said_is_read_and_the_rest_is_as_described() {
        let values = read("column=train%2Floss&column=a+b&from=5&points=20").unwrap();
        assert_eq!(values.all("column"), ["train/loss", "a b"]);
        assert_eq!((values.text("run"), values.number("points")), (Some("b"), Some(20)));
        assert_eq!(values.steps(), (5, u64::MAX));
        assert_eq!(read("").unwrap().number("points"), Some(1000));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_its_name() {
        for (query, says) in [
            ("point=20", "point"),
            ("points=9", "from 10"),
            ("points=+20", "whole number"),
            ("points=1e3", "whole number"),
            ("points=99999999999999999999999", "whole number"),
            ("points=20&points=30", "1 time "),
            ("from=-1", "whole number"),
            ("from", "characters"),
            (&format!("column={}", "x".repeat(LONGEST + 1)), "characters"),
            ("column=%ff", "UTF-8"),
            ("column=%", "UTF-8"),
            ("experiment=x", "experiment"),
        ] {
            let error = read(query).expect_err(query);
            assert!(error.contains(says), "{query}: {error}");
        }
    }
}
