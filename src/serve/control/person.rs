//! Who asks: a token of 256 random bits, of which `overnight.toml` keeps a hash alone.
//!
//! The hash is a fast one without salt: slow hashes and salts protect words that people choose, and nobody
//! can try 2^256 random ones.

use std::io::{self, Read};

use blake3::Hash;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::role::Role;

/// Somebody who may act, as `overnight.toml` names them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// As it stands in records, after `web:`.
    pub name: String,
    /// `viewer`, `assistant` or `owner`.
    pub role: Role,
    /// As `overnight serve --add-person` writes it.
    pub token_hash: String,
}

/// A token nobody can guess.
///
/// # Errors
/// The system gives no random bytes.
pub fn token() -> io::Result<String> {
    let mut bytes = [0; 32];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What is kept of it.
pub fn token_hash(token: &str) -> String {
    digest(token).to_hex().to_string()
}

/// Whether a hash could be one of ours.
pub fn is_hash(text: &str) -> bool {
    Hash::from_hex(text).is_ok()
}

/// Whose token this is. All people are compared, whoever it is, as digests: equality of blake3's `Hash` is
/// `constant_time_eq`'s, so how long it takes tells nothing of how much was right.
pub(super) fn of<'p>(people: impl Iterator<Item = (usize, &'p Person)>, token: &str) -> Option<usize> {
    let digest = digest(token);
    let mut found = None;
    for (place, person) in people {
        if Hash::from_hex(&person.token_hash).is_ok_and(|hash| hash == digest) {
            found = Some(place);
        }
    }
    found
}

fn digest(token: &str) -> Hash {
    Hash::from(blake3::derive_key("overnight serve, token of a person", token.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_its_hash_alone_and_never_made_twice() {
        let (one, other) = (token().unwrap(), token().unwrap());
        assert_eq!(one.len(), 64);
        assert_ne!(one, other);
        assert!(is_hash(&token_hash(&one)) && !token_hash(&one).contains(&one));
        assert!(!is_hash("") && !is_hash(&one[1..]) && !is_hash(&"g".repeat(64)));
        let person = Person { name: "ada".into(), role: Role::Owner, token_hash: token_hash(&one) };
        let found = |token: &str| of([(0, &person)].into_iter(), token).is_some();
        assert!(found(&one));
        // Its hash, which the file tells, is not the token.
        for wrong in [&other, &person.token_hash, "", &one[1..]] {
            assert!(!found(wrong), "{wrong}");
        }
    }
}
