//! Who would be contacted, and the key under which what they agreed to is kept.

use std::fmt;
use std::sync::Arc;

use super::keyed::RecipientHash;
use super::phone::E164;

/// A business-scoped user id (BSUID) or parent BSUID, kept byte for byte.
///
/// Never turned into digits: stripped of its letters it would look like somebody's number. Source: Meta, "Business-scoped user IDs".
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(Arc<str>);

impl UserId {
    /// Reads `CC.` and 1 to 128 ASCII letters or digits, `CC` being two capital letters; a parent id carries `ENT.` in between.
    pub fn parse(text: &str) -> Option<Self> {
        let (country, rest) = text.split_at_checked(2)?;
        let rest = rest.strip_prefix('.')?;
        let id = rest.strip_prefix("ENT.").unwrap_or(rest);
        let country_ok = country.bytes().all(|b| b.is_ascii_uppercase());
        let id_ok = (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric());
        (country_ok && id_ok).then(|| Self(text.into()))
    }

    /// Whether it names the person for all businesses that are linked, and not for one.
    pub fn is_parent(&self) -> bool {
        self.0.split('.').nth(1) == Some("ENT")
    }

    /// The id as the provider writes it. For storing and answering, never for logs.
    pub fn danger_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserId([redacted])")
    }
}

/// Whom a send would reach.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Recipient {
    /// A phone number.
    Phone(E164),
    /// A user id.
    UserId(UserId),
    /// Somebody of whom a store keeps no more than a keyed hash: how people are named in a store that hashes recipients, and in its exports.
    Hashed(RecipientHash),
}

impl Recipient {
    /// Reads `+E.164`, a BSUID or `hash:...`, the forms of the admin API.
    pub fn parse(text: &str) -> Option<Self> {
        E164::parse(text)
            .map(Self::Phone)
            .or_else(|| UserId::parse(text).map(Self::UserId))
            .or_else(|| RecipientHash::parse(text).map(Self::Hashed))
    }

    /// The key that all spellings of this recipient share.
    pub fn key(&self) -> RecipientKey {
        match self {
            Self::Phone(number) => RecipientKey::Phone(number.canonical()),
            Self::UserId(id) => RecipientKey::UserId(id.clone()),
            Self::Hashed(hash) => RecipientKey::Hashed(*hash),
        }
    }

    /// The recipient as the admin API writes it. For answers about the person and for storing, never for logs.
    pub fn danger_string(&self) -> String {
        match self {
            Self::Phone(number) => number.danger_international(),
            Self::UserId(id) => id.danger_str().to_owned(),
            Self::Hashed(hash) => hash.danger_string(),
        }
    }
}

/// Where a recipient's record stands in the store, within a tenant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecipientKey {
    /// A canonical number (see [`E164::canonical`]).
    Phone(E164),
    /// A user id.
    UserId(UserId),
    /// A keyed hash of one of the above.
    Hashed(RecipientHash),
    /// No person: the record of the tenant itself, whose window says that inbound events have ever been learnt for it.
    Tenant,
}

impl RecipientKey {
    /// The bytes of the key: digits, the user id, `#` and the hash, or `*` for the tenant. The four never meet.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Phone(number) => number.bytes(),
            Self::UserId(id) => id.danger_str().as_bytes(),
            Self::Hashed(hash) => hash.key_bytes(),
            Self::Tenant => b"*",
        }
    }

    /// Reads what [`RecipientKey::bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes == b"*" {
            return Some(Self::Tenant);
        }
        E164::from_digits(bytes)
            .map(Self::Phone)
            .or_else(|| RecipientHash::from_key_bytes(bytes).map(Self::Hashed))
            .or_else(|| UserId::parse(std::str::from_utf8(bytes).ok()?).map(Self::UserId))
    }

    /// The recipient in the canonical spelling, for the person's own data; `None` for the tenant's record.
    pub fn recipient(&self) -> Option<Recipient> {
        match self {
            Self::Phone(number) => Some(Recipient::Phone(*number)),
            Self::UserId(id) => Some(Recipient::UserId(id.clone())),
            Self::Hashed(hash) => Some(Recipient::Hashed(*hash)),
            Self::Tenant => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "hash:35303030303530303030353030303035";

    #[test]
    fn user_ids_are_kept_byte_for_byte() {
        for good in ["US.13491208655302741918", "US.ENT.11815799212886844830", "DE.aB9"] {
            assert_eq!(Recipient::parse(good).unwrap().danger_string(), good);
        }
        for bad in [
            "us.1349",
            "USA.1",
            "US.",
            "US.12 3",
            "US.ENT.",
            "US.1.2",
            "@someone",
            "15550000001",
            "US.1\u{662}",
        ] {
            assert!(Recipient::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn keys_round_trip_through_their_bytes() {
        for text in ["+15550000001", "+525555500011", "US.13491208655302741918", HASH] {
            let key = Recipient::parse(text).unwrap().key();
            assert_eq!(RecipientKey::from_bytes(key.bytes()), Some(key.clone()));
        }
        assert_eq!(RecipientKey::from_bytes(RecipientKey::Tenant.bytes()), Some(RecipientKey::Tenant));
        for bad in [&b"+1"[..], b"#", b"#short", b"#one byte too long.", HASH.as_bytes()] {
            assert_eq!(RecipientKey::from_bytes(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn debug_hides_the_person() {
        let shown = format!("{:?}", ["+15550000001", "US.987654321", HASH].map(Recipient::parse));
        for secret in ["5550", "98765", "5000", "3530", "53, 48"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}
