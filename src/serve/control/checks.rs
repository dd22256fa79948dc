//! What a change must look like before anybody reads it: its kind, its size, where it comes from.

use crate::serve::api::problem::Problem;
use crate::serve::head::Head;

/// The most bytes of a body.
pub(super) const LARGEST: usize = 64 << 10;

/// The length of the body, if this is a request as programs and our pages send it.
pub(super) fn form(head: &Head) -> Result<usize, Problem> {
    if head.target.contains('?') {
        let hint = "send the token as a bearer and the rest in the body";
        return Err(Problem::new(400, "a change has no query", hint));
    }
    // A form of a foreign page cannot send this kind without asking first, which is never allowed.
    let kind = head.header("content-type").unwrap_or_default();
    if !kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
        return Err(Problem::new(415, "a change is sent as JSON", "send Content-Type: application/json"));
    }
    let length = head.header("content-length").filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let Some(length) = length.filter(|text| !text.is_empty()) else {
        return Err(Problem::new(411, "the length of the body is not told", "send Content-Length"));
    };
    // A number too long to be read is too large as well.
    length.parse().ok().filter(|length| *length <= LARGEST).ok_or_else(|| {
        Problem::new(413, format!("the body is larger than {LARGEST} bytes"), "say less at once")
    })
}

/// Refuses what a browser sends for a page that is not ours. Programs tell neither.
pub(super) fn origin(head: &Head) -> Result<(), Problem> {
    let host = head.header("host").unwrap_or_default();
    let is_ours = |origin: &str| {
        let place = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        place.is_some_and(|place| place.eq_ignore_ascii_case(host))
    };
    let is_well = |name: &str, allowed: &dyn Fn(&str) -> bool| match head.has(name) {
        true => head.header(name).is_some_and(allowed),
        false => true,
    };
    match is_well("origin", &is_ours) && is_well("sec-fetch-site", &|site| site == "same-origin") {
        true => Ok(()),
        false => {
            Err(Problem::new(403, "this comes from a page that is not ours", "act on the report itself"))
        }
    }
}

/// The same for a request that shows a cookie, which browsers send by themselves: whence it comes has to be
/// told, as every browser does.
pub(super) fn told_origin(head: &Head) -> Result<(), Problem> {
    origin(head)?;
    match head.has("origin") {
        true => Ok(()),
        false => {
            let hint = "programs send the token as a bearer";
            Err(Problem::new(403, "a cookie came without the page that sends it", hint))
        }
    }
}

/// What makes a change one and the same, however often it is sent.
pub(super) fn key(head: &Head) -> Result<String, Problem> {
    let key = head.header("idempotency-key").filter(|key| (8..=100).contains(&key.len()));
    let key = key.filter(|key| key.bytes().all(|byte| byte.is_ascii_graphic()));
    key.map(str::to_owned).ok_or_else(|| {
        Problem::new(
            400,
            "a change needs a key of its own",
            "send Idempotency-Key, 8 to 100 ASCII characters without spaces",
        )
    })
}
