//! Why a program gets no answer: problem details by RFC 9457, which name the thing, the place and the way
//! out.

use schemars::JsonSchema;
use serde::Serialize;

use crate::report::catalog::Key;

/// A refusal.
#[derive(Debug, Clone)]
pub(in crate::serve) struct Problem {
    pub status: u16,
    pub detail: String,
    pub hint: String,
    pub parameter: Option<String>,
    /// All that is wrong with a text that was sent.
    pub mistakes: Box<[Mistake]>,
    /// What else is told in the head of the answer.
    pub headers: Vec<(&'static str, String)>,
}

/// One mistake in a text that was sent.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(in crate::serve) struct Mistake {
    /// The dotted path of the setting that is wrong; null for the text as a whole.
    pub key: Option<String>,
    /// The line it stands in, from 1.
    pub line: Option<usize>,
    pub message: String,
    /// The way out.
    pub hint: Option<String>,
}

/// Problem details (RFC 9457).
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(super) struct Told<'a> {
    /// Nothing is known of it but the status: `about:blank`.
    r#type: &'a str,
    /// The status in words.
    title: &'a str,
    status: u16,
    /// What is wrong.
    detail: &'a str,
    /// The path that was asked for.
    instance: &'a str,
    /// What to do about it.
    hint: &'a str,
    /// The parameter that is wrong, where one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<&'a str>,
    /// All that is wrong with the text that was sent, where one was.
    #[serde(skip_serializing_if = "Option::is_none")]
    problems: Option<&'a [Mistake]>,
}

pub(in crate::serve) const CONTENT_TYPE: &str = "application/problem+json";
const DESCRIBED: &str = "what can be asked stands in /api/v1/openapi.json";

impl Problem {
    pub fn new(status: u16, detail: impl Into<String>, hint: impl Into<String>) -> Problem {
        let headers = match status {
            401 => vec![("WWW-Authenticate", "Bearer".to_owned())],
            503 => vec![("Retry-After", "5".to_owned())],
            _ => Vec::new(),
        };
        let (detail, hint) = (detail.into(), hint.into());
        Problem { status, detail, hint, parameter: None, mistakes: Box::default(), headers }
    }

    pub fn too_often(detail: &str, seconds: u64) -> Problem {
        let mut problem = Problem::new(429, detail, format!("try again in {seconds} seconds"));
        problem.headers.push(("Retry-After", seconds.to_string()));
        problem
    }

    /// There is something at the address, and it is asked for in another way.
    pub fn method(allow: &'static str) -> Problem {
        let mut problem = Problem::new(405, format!("only {allow} is answered here"), DESCRIBED);
        problem.headers.push(("Allow", allow.to_owned()));
        problem
    }

    pub fn no_such_path(path: &str) -> Problem {
        Problem::new(404, format!("nothing is answered at {path}"), DESCRIBED)
    }

    pub fn no_such_run((experiment, run): &Key) -> Problem {
        let detail = format!("the report knows no run {run} of an experiment {experiment}");
        Problem::new(404, detail, "see /api/v1/runs; one that was just queued appears with the next build")
    }

    pub fn parameter(name: &str, detail: impl Into<String>) -> Problem {
        Problem { parameter: Some(name.to_owned()), ..Problem::new(400, detail, DESCRIBED) }
    }

    pub fn unknown_parameter(name: &str, known: &[&str]) -> Problem {
        let hint = match known {
            [] => "this address has no parameters".to_owned(),
            known => format!("there are {}", known.join(", ")),
        };
        let detail = format!("there is no parameter {name} here");
        Problem { parameter: Some(name.to_owned()), ..Problem::new(400, detail, hint) }
    }

    pub fn not_built() -> Problem {
        let hint = "build it with: overnight report, or let overnight run or serve do so";
        Problem::new(503, "the report is not built yet", hint)
    }

    pub fn unavailable(detail: impl Into<String>) -> Problem {
        Problem::new(503, detail, "try again; overnight doctor looks at the machine")
    }

    /// As it is sent to who asked for `path`.
    pub fn json(&self, path: &str) -> Vec<u8> {
        let told = Told {
            r#type: "about:blank",
            title: title(self.status),
            status: self.status,
            detail: &self.detail,
            instance: path,
            hint: &self.hint,
            parameter: self.parameter.as_deref(),
            problems: Some(&*self.mistakes).filter(|mistakes| !mistakes.is_empty()),
        };
        serde_json::to_vec(&told).unwrap_or_else(|_| b"{}".to_vec())
    }
}

pub(in crate::serve) fn title(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        505 => "HTTP Version Not Supported",
        _ => "Service Unavailable",
    }
}
