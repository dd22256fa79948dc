//! Who may read, where a token is asked for: the token in the address, once; then a cookie made from
//! it; or an `Authorization` header. All are compared as digests, in constant time.

use std::io;

use blake3::Hash;

use super::head::Head;

/// The word a reader must know. The cookie is derived from it, so a browser's store does not hold it.
#[derive(Clone)]
pub(super) struct Token {
    word: String,
    digest: Hash,
    cookie: Hash,
    /// Cookies do not know ports: two servers of one machine must not overwrite each other's.
    cookie_name: String,
}

/// What a request that needs a token came with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// A cookie or a header that is right.
    Known,
    /// The right token in the address: keep it as this cookie, and go on to the address without it.
    InAddress {
        cookie: String,
        target: String,
    },
    Nothing,
}

/// Random bytes of a token that this program makes.
const BYTES: usize = 18;
/// How long a browser keeps the cookie; a token that was made ends with its server anyway.
const COOKIE_SECONDS: u32 = 30 * 24 * 3600;

impl Token {
    /// `port` is the one listened on.
    pub fn new(word: &str, port: u16) -> Token {
        Token {
            word: word.to_owned(),
            digest: blake3::hash(word.as_bytes()),
            cookie: blake3::Hash::from(blake3::derive_key("overnight serve, cookie", word.as_bytes())),
            cookie_name: format!("overnight-{port}"),
        }
    }

    /// A token nobody can guess.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn made(port: u16) -> io::Result<Token> {
        let mut bytes = [0; BYTES];
        io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut bytes)?;
        let word: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Token::new(&word, port))
    }

    /// As it stands in an address after the question mark.
    pub fn query(&self) -> String {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-~".contains(byte);
        let encoded = self.word.bytes().map(|byte| match plain(&byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        });
        format!("token={}", encoded.collect::<String>())
    }

    pub fn shown_by(&self, head: &Head) -> Shown {
        if let Some(word) = in_address(&head.target)
            && self.is(&word)
        {
            let name = &self.cookie_name;
            let cookie = format!(
                "{name}={}; Path=/; Max-Age={COOKIE_SECONDS}; HttpOnly; SameSite=Strict",
                self.cookie.to_hex()
            );
            return Shown::InAddress { cookie, target: without_token(&head.target) };
        }
        let bearer = head.header("authorization").and_then(|value| {
            let (scheme, word) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(word.trim_start())
        });
        if bearer.is_some_and(|word| self.is(word.as_bytes())) || self.has_cookie(head) {
            return Shown::Known;
        }
        Shown::Nothing
    }

    /// Digests compare in constant time, and so tell nothing of the word by how long it takes.
    fn is(&self, word: &[u8]) -> bool {
        blake3::hash(word) == self.digest
    }

    fn has_cookie(&self, head: &Head) -> bool {
        let given = head.header("cookie").unwrap_or_default().split(';');
        let mut values = given.filter_map(|pair| {
            let (name, value) = pair.trim().split_once('=')?;
            (name == self.cookie_name).then_some(value)
        });
        values.any(|value| Hash::from_hex(value).is_ok_and(|hash| hash == self.cookie))
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Token")
    }
}

const PARAMETER: &str = "token=";

/// The value of the first `token` in the query, its encoding undone.
fn in_address(target: &str) -> Option<Vec<u8>> {
    let (_, query) = target.split_once('?')?;
    let value = query.split('&').find_map(|part| part.strip_prefix(PARAMETER))?;
    super::path::percent_decoded(value)
}

/// The same target with every `token` left out. One slash at its beginning: two would be another host.
fn without_token(target: &str) -> String {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let rest: Vec<&str> =
        query.split('&').filter(|part| !part.is_empty() && !part.starts_with(PARAMETER)).collect();
    let path = format!("/{}", path.trim_start_matches(['/', '\\']));
    match rest.is_empty() {
        true => path,
        false => format!("{path}?{}", rest.join("&")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(target: &str, headers: &str) -> Shown {
        let head = format!("GET {target} HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
        Token::new("a word & more", 8990).shown_by(&Head::parse(head.as_bytes()).unwrap())
    }

    #[test]
    fn the_address_is_cleaned_and_leads_nowhere_else() {
        for (target, cleaned) in [
            ("/?token=a%20word%20%26%20more", "/"),
            ("/runs/a/?x=1&token=a%20word%20%26%20more&y=2", "/runs/a/?x=1&y=2"),
            ("//evil.example/?token=a%20word%20%26%20more", "/evil.example/"),
            ("/\\evil.example/?token=a%20word%20%26%20more&token=b", "/evil.example/"),
        ] {
            match shown(target, "") {
                Shown::InAddress { target, cookie } => {
                    assert_eq!(target, cleaned);
                    assert!(cookie.starts_with("overnight-8990=") && !cookie.contains("word"), "{cookie}");
                    assert!(cookie.ends_with("; HttpOnly; SameSite=Strict"), "{cookie}");
                }
                other => panic!("{target}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_cookie_or_a_header_is_known_only_when_it_is_right() {
        let cookie = Token::new("a word & more", 8990).cookie.to_hex();
        for headers in [
            format!("Cookie: overnight-8990={cookie}\r\n"),
            format!("Cookie: x=1; overnight-8990={cookie}; y\r\n"),
            format!("Cookie: overnight-8990=old; overnight-8990={cookie}\r\n"),
            "Authorization: Bearer a word & more\r\n".to_owned(),
            "Authorization: bearer a word & more\r\n".to_owned(),
        ] {
            assert_eq!(shown("/", &headers), Shown::Known, "{headers}");
        }
        for headers in [
            String::new(),
            format!("Cookie: overnight-8991={cookie}\r\n"),
            format!("Cookie: overnight-8990={}\r\n", &cookie[1..]),
            format!("Cookie: overnight-8990={}\r\n", "0".repeat(64)),
            "Cookie: overnight-8990=a word & more\r\n".to_owned(),
            "Authorization: Bearer\r\n".to_owned(),
            "Authorization: Bearer a word\r\n".to_owned(),
            "Authorization: Basic a word & more\r\n".to_owned(),
        ] {
            assert_eq!(shown("/", &headers), Shown::Nothing, "{headers}");
        }
        assert_eq!(shown("/?token=", ""), Shown::Nothing);
        assert_eq!(shown("/?token=%zz", ""), Shown::Nothing);
        assert_eq!(shown("/?atoken=a%20word%20%26%20more", ""), Shown::Nothing);
    }

    #[test]
    fn a_made_token_is_long_and_never_the_same() {
        let (one, other) = (Token::made(1).unwrap(), Token::made(1).unwrap());
        assert_eq!(one.query().len(), "token=".len() + 2 * BYTES);
        assert_ne!(one.query(), other.query());
        assert!(!format!("{one:?}").contains(&one.word));
    }
}
