//! The head of a request: read with a limit and a deadline, parsed strictly. Only what this server
//! needs of HTTP is understood; everything else is refused here, before any file is touched.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::api::problem::Problem;

/// What a request asks for, once its head is known to be well formed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub method: Method,
    /// Path and query as they were sent, still percent-encoded; it begins with a slash.
    pub target: String,
    headers: Vec<(String, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Head,
    /// Only where changes are allowed.
    Post,
}

impl Method {
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
        }
    }
}

/// Why a request gets no page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("the request is malformed: {0}")]
    Malformed(&'static str),
    #[error("the head of the request took too long")]
    TooSlow,
    #[error("the head of the request is larger than this server reads")]
    TooLarge,
    #[error("only GET and HEAD are answered")]
    Method,
    #[error("only HTTP/1.0 and HTTP/1.1 are spoken")]
    Version,
    #[error("a request with a body is not taken")]
    Body,
    #[error("this name is not one this server answers to (allow it with `overnight serve --host NAME`)")]
    ForeignHost,
    #[error("this report asks for its token: open the address that `overnight serve` printed")]
    NoToken,
    #[error("all event streams are taken; the page looks by itself now and then")]
    TooManyStreams,
    #[error("the pages cannot be read at the moment; try again")]
    Unavailable,
}

impl Refusal {
    /// Status code and its phrase.
    pub fn status(self) -> &'static str {
        match self {
            Refusal::Malformed(_) | Refusal::Body => "400 Bad Request",
            Refusal::TooSlow => "408 Request Timeout",
            Refusal::TooLarge => "431 Request Header Fields Too Large",
            Refusal::Method => "405 Method Not Allowed",
            Refusal::Version => "505 HTTP Version Not Supported",
            Refusal::ForeignHost => "421 Misdirected Request",
            Refusal::NoToken => "401 Unauthorized",
            Refusal::TooManyStreams | Refusal::Unavailable => "503 Service Unavailable",
        }
    }
}

impl Refusal {
    /// The same for a program that asked for `path`.
    pub fn problem(self, path: &str) -> String {
        let status = self.status().split(' ').next().and_then(|status| status.parse().ok()).unwrap_or(503);
        let hint = match self {
            Refusal::NoToken => "send the token of overnight serve as: Authorization: Bearer TOKEN",
            Refusal::ForeignHost => "call it by its address, or allow the name with overnight serve --host",
            Refusal::TooSlow | Refusal::Unavailable | Refusal::TooManyStreams => "try again",
            _ => "what can be asked stands in /api/v1/openapi.json",
        };
        let json = Problem::new(status, self.to_string(), hint).json(path);
        String::from_utf8_lossy(&json).into_owned()
    }
}

impl Head {
    /// The value of a header, if it was sent exactly once; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(sent, _)| sent == name);
        match (values.next(), values.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    }

    /// Whether a header was sent at all, once or more often.
    pub fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(sent, _)| sent == name)
    }

    /// The path without the query, still percent-encoded.
    pub fn path(&self) -> &str {
        self.target.split(['?', '#']).next().unwrap_or("/")
    }

    /// Parses the whole head of a request that only reads, from the request line to the empty line.
    pub fn parse(bytes: &[u8]) -> Result<Head, Refusal> {
        match Head::parse_any(bytes)? {
            head if head.method == Method::Post => Err(Refusal::Method),
            head => Ok(head),
        }
    }

    /// The same where changes are allowed: a POST may have a body, of a length that is told.
    pub fn parse_any(bytes: &[u8]) -> Result<Head, Refusal> {
        let text = std::str::from_utf8(bytes)
            .map_err(|_| Refusal::Malformed("the head is not ASCII"))?
            .strip_suffix("\r\n\r\n")
            .ok_or(Refusal::Malformed("the head does not end"))?;
        let mut lines = text.split("\r\n");
        let (method, target) = request_line(lines.next().unwrap_or(""))?;
        let headers = lines.map(header_line).collect::<Result<Vec<_>, _>>()?;
        let head = Head { method, target, headers };
        if head.header("host").is_none() {
            return Err(Refusal::Malformed("exactly one Host header is needed"));
        }
        let has_body = head.has("content-length") && head.header("content-length") != Some("0");
        if head.has("transfer-encoding") || (has_body && head.method != Method::Post) {
            return Err(Refusal::Body);
        }
        Ok(head)
    }
}

/// Reads until the empty line that ends a head, and tells what was read beyond it. `Ok(None)`: the client left
/// without a word. What is refused is in `head` as far as it came, so that it can be told who asked.
pub(super) async fn read(
    stream: &mut (impl AsyncRead + Unpin),
    head: &mut Vec<u8>,
    limit_bytes: usize,
    deadline: Duration,
) -> Result<Option<Vec<u8>>, Refusal> {
    let reading = async {
        let mut part = [0u8; 2048];
        loop {
            let count = match stream.read(&mut part).await {
                Ok(0) | Err(_) => return Ok(None),
                Ok(count) => count,
            };
            // The end may straddle two reads, so the search begins a little before the new part.
            let from = head.len().saturating_sub(3);
            head.extend_from_slice(&part[..count]);
            if let Some(at) = memchr::memmem::find(&head[from..], b"\r\n\r\n") {
                let beyond = head.split_off(from + at + 4);
                return match head.len() <= limit_bytes {
                    true => Ok(Some(beyond)),
                    false => Err(Refusal::TooLarge),
                };
            }
            if head.len() > limit_bytes {
                return Err(Refusal::TooLarge);
            }
        }
    };
    tokio::time::timeout(deadline, reading).await.unwrap_or(Err(Refusal::TooSlow))
}

fn request_line(line: &str) -> Result<(Method, String), Refusal> {
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Refusal::Malformed("the request line has not three words"));
    };
    if method.is_empty() || !method.bytes().all(is_token) {
        return Err(Refusal::Malformed("the method is not a word"));
    }
    match version {
        "HTTP/1.1" | "HTTP/1.0" => {}
        other if other.starts_with("HTTP/") => return Err(Refusal::Version),
        _ => return Err(Refusal::Malformed("the request line names no HTTP version")),
    }
    let method = match method {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        _ => return Err(Refusal::Method),
    };
    // Absolute targets are for proxies; here they could smuggle in another host's name.
    if !target.starts_with('/') || !target.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Refusal::Malformed("the target is not a path"));
    }
    Ok((method, target.to_owned()))
}

fn header_line(line: &str) -> Result<(String, String), Refusal> {
    let (name, value) = line.split_once(':').ok_or(Refusal::Malformed("a header has no colon"))?;
    // This also refuses folded lines and a space before the colon, both ways of smuggling.
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(Refusal::Malformed("a header's name is not a word"));
    }
    let value = value.trim_matches([' ', '\t']);
    if value.chars().any(|char| char.is_control() && char != '\t') {
        return Err(Refusal::Malformed("a header's value has control characters"));
    }
    Ok((name.to_ascii_lowercase(), value.to_owned()))
}

/// RFC 9110, section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Head, Refusal> {
        Head::parse(text.as_bytes())
    }

    #[test]
    fn a_plain_request_is_understood() {
        let head = parse("GET /a%20b?x=1 HTTP/1.1\r\nHost: localhost\r\nRANGE:  bytes=0-1 \r\n\r\n").unwrap();
        assert_eq!(head.method, Method::Get);
        assert_eq!(head.path(), "/a%20b");
        assert_eq!(head.header("range"), Some("bytes=0-1"));
        assert_eq!(head.header("if-range"), None);
    }

    #[test]
    fn a_header_sent_twice_counts_as_absent() {
        let head = parse("GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=0-1\r\nRange: bytes=2-3\r\n\r\n");
        assert_eq!(head.unwrap().header("range"), None);
    }

    #[test]
    fn each_way_of_being_malformed_is_refused() {
        for (text, status) in [
            ("GET / HTTP/1.1\r\n\r\n", "400"),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400"),
            ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
            ("GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
            ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
            ("GET /\u{e4} HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
            ("GET / SPDY/1\r\nHost: a\r\n\r\n", "400"),
            ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", "505"),
            ("POST / HTTP/1.1\r\nHost: a\r\n\r\n", "405"),
            ("get / HTTP/1.1\r\nHost: a\r\n\r\n", "405"),
            ("GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", "400"),
            ("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", "400"),
            ("GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", "400"),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", "400"),
            ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", "400"),
            ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "400"),
            ("\r\n\r\n", "400"),
        ] {
            let refusal = parse(text).expect_err(text);
            assert_eq!(&refusal.status()[..3], status, "{text:?}");
        }
    }

    #[tokio::test]
    async fn the_end_of_a_head_is_found_across_reads_and_the_limit_holds() {
        let deadline = Duration::from_secs(5);
        let mut torn = tokio_chain(b"GET / HTTP/1.1\r\nHost: a\r", b"\n\r\nrest");
        let mut head = Vec::new();
        let beyond = read(&mut torn, &mut head, 100, deadline).await.unwrap().unwrap();
        assert_eq!(beyond, b"rest");
        assert_eq!(head, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");

        let mut endless = tokio::io::repeat(b'x');
        assert_eq!(read(&mut endless, &mut Vec::new(), 100, deadline).await, Err(Refusal::TooLarge));
        assert_eq!(read(&mut &b"GET"[..], &mut Vec::new(), 100, deadline).await, Ok(None));
    }

    fn tokio_chain(first: &'static [u8], second: &'static [u8]) -> impl AsyncRead + Unpin {
        first.chain(second)
    }
}
