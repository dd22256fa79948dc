//! What an endpoint is: its address, what may be asked, and who answers.

use schemars::{Schema, SchemaGenerator};

use super::call::{Call, Reply};
use super::problem::Problem;
use crate::serve::control::role::Action;
use crate::serve::path::percent_decoded;

/// One endpoint.
pub(super) struct Route {
    /// With a name in braces for each part that the request chooses.
    pub path: &'static str,
    /// Unlike that of any other, for programs that are generated.
    pub name: &'static str,
    pub summary: &'static str,
    /// Of its address and its query.
    pub parameters: &'static [Parameter],
    /// What may be answered beside 200, 304 and 400.
    pub refusals: &'static [u16],
    pub access: Access,
    /// What is answered: the kind of file, and its schema.
    pub content: &'static [(&'static str, Described)],
    pub answer: fn(&Call) -> Result<Reply, Problem>,
}

/// Whom an endpoint answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::serve) enum Access {
    /// Whoever may read the report.
    Reader,
    /// The same, but where people are named those whose role allows this.
    RoleWhereNamed(Action),
    /// Only people whose role allows this.
    Role(Action),
}

/// Makes the schema of an answer.
pub(in crate::serve) type Described = fn(&mut SchemaGenerator) -> Schema;

/// Something that a request may say.
pub(in crate::serve) struct Parameter {
    pub name: &'static str,
    pub place: Place,
    pub kind: Kind,
    pub description: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::serve) enum Place {
    Path,
    Query,
}

#[derive(Debug, Clone, Copy)]
pub(in crate::serve) enum Kind {
    Text,
    Number {
        least: u64,
        most: u64,
        default: Option<u64>,
    },
    /// May be said several times, so many at the most.
    Texts {
        most: usize,
    },
    /// The same of these words; in an address one of them.
    Words(&'static [&'static str]),
}

/// The parameters that name a run.
pub(in crate::serve) const EXPERIMENT: Parameter = Parameter {
    name: "experiment",
    place: Place::Path,
    kind: Kind::Text,
    description: "The experiment's name, percent-encoded.",
};
pub(in crate::serve) const RUN: Parameter = Parameter {
    name: "run",
    place: Place::Path,
    kind: Kind::Text,
    description: "The run's name, percent-encoded.",
};
/// Those of a list that comes in pages.
pub(super) const LIMIT: Parameter = Parameter {
    name: "limit",
    place: Place::Query,
    kind: Kind::Number { least: 1, most: 500, default: Some(100) },
    description: "How many are told at the most.",
};
pub(super) const CURSOR: Parameter = Parameter {
    name: "cursor",
    place: Place::Query,
    kind: Kind::Text,
    description: "Where to go on: `next` of the answer before.",
};
/// Those of what happened at steps.
pub(super) const FROM: Parameter = Parameter {
    name: "from",
    place: Place::Query,
    kind: Kind::Number { least: 0, most: LARGEST, default: Some(0) },
    description: "The first step that is wanted.",
};
pub(super) const TO: Parameter = Parameter {
    name: "to",
    place: Place::Query,
    kind: Kind::Number { least: 0, most: LARGEST, default: None },
    description: "The last step that is wanted.",
};

/// The largest whole number that programs of every language read exactly.
pub(super) const LARGEST: u64 = 1 << 53;

/// The route of a path that is still percent-encoded, and the names in it.
pub(super) fn find<'r>(routes: &'r [Route], path: &str) -> Option<(&'r Route, Vec<String>)> {
    routes.iter().find_map(|route| Some((route, names(route.path, path)?)))
}

/// What a path has in place of the names of a pattern, if it is of that pattern.
pub(in crate::serve) fn names(pattern: &str, path: &str) -> Option<Vec<String>> {
    let (mut wanted, mut given) = (pattern.split('/'), path.split('/'));
    let mut names = Vec::new();
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(names),
            (Some(wanted), Some(given)) if wanted.starts_with('{') => {
                let name = String::from_utf8(percent_decoded(given)?).ok()?;
                names.push(Some(name).filter(|name| !name.is_empty())?);
            }
            (Some(wanted), Some(given)) if wanted == given => {}
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_found_by_its_parts_alone_and_names_are_decoded_once() {
        let pattern = "/api/v1/runs/{experiment}/{run}";
        let of = |path| names(pattern, path);
        assert_eq!(of("/api/v1/runs/a/b"), Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(of("/api/v1/runs/a%2fb/%252e"), Some(vec!["a/b".to_owned(), "%2e".to_owned()]));
        for path in [
            "/api/v1/runs/a",
            "/api/v1/runs/a/",
            "/api/v1/runs//b",
            "/api/v1/runs/a/b/",
            "/api/v1/runs/a/b/c",
            "/api/v1/runs/a/%",
            "/api/v1/runs/a/%ff",
            "/API/v1/runs/a/b",
        ] {
            assert_eq!(of(path), None, "{path}");
        }
    }
}
