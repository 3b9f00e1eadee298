//! The names of fields that decide something here, or that nearly every caller sends: told at once, in any letter case.

use http::HeaderName;
use http::header;

/// A field of this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::net) enum Known {
    Accept,
    AcceptEncoding,
    Authorization,
    Connection,
    ContentLength,
    ContentType,
    Expect,
    Host,
    Http2Settings,
    Trailer,
    TransferEncoding,
    Upgrade,
    UserAgent,
}

impl Known {
    /// Which one has this name. Exactly these letters: a name that has one is a token.
    pub(super) fn of(name: &[u8]) -> Option<Self> {
        let known = match name.len() {
            4 => Self::Host,
            6 if starts(name, b'a') => Self::Accept,
            6 => Self::Expect,
            7 if starts(name, b'u') => Self::Upgrade,
            7 => Self::Trailer,
            10 if starts(name, b'c') => Self::Connection,
            10 => Self::UserAgent,
            12 => Self::ContentType,
            13 => Self::Authorization,
            14 if starts(name, b'c') => Self::ContentLength,
            14 => Self::Http2Settings,
            15 => Self::AcceptEncoding,
            17 => Self::TransferEncoding,
            _ => return None,
        };
        known.is_named(name).then_some(known)
    }

    /// The name as the types of `http` have it.
    pub(in crate::net) fn header(self) -> HeaderName {
        match self {
            Self::Accept => header::ACCEPT,
            Self::AcceptEncoding => header::ACCEPT_ENCODING,
            Self::Authorization => header::AUTHORIZATION,
            Self::Connection => header::CONNECTION,
            Self::ContentLength => header::CONTENT_LENGTH,
            Self::ContentType => header::CONTENT_TYPE,
            Self::Expect => header::EXPECT,
            Self::Host => header::HOST,
            Self::Http2Settings => HeaderName::from_static("http2-settings"),
            Self::Trailer => header::TRAILER,
            Self::TransferEncoding => header::TRANSFER_ENCODING,
            Self::Upgrade => header::UPGRADE,
            Self::UserAgent => header::USER_AGENT,
        }
    }

    fn is_named(self, name: &[u8]) -> bool {
        match self {
            Self::Accept => is(name, b"accept"),
            Self::AcceptEncoding => is(name, b"accept-encoding"),
            Self::Authorization => is(name, b"authorization"),
            Self::Connection => is(name, b"connection"),
            Self::ContentLength => is(name, b"content-length"),
            Self::ContentType => is(name, b"content-type"),
            Self::Expect => is(name, b"expect"),
            Self::Host => is(name, b"host"),
            Self::Http2Settings => is(name, b"http2-settings"),
            Self::Trailer => is(name, b"trailer"),
            Self::TransferEncoding => is(name, b"transfer-encoding"),
            Self::Upgrade => is(name, b"upgrade"),
            Self::UserAgent => is(name, b"user-agent"),
        }
    }
}

fn starts(name: &[u8], with: u8) -> bool {
    name.first().is_some_and(|first| first.eq_ignore_ascii_case(&with))
}

/// Whether the bytes are this name, which is written in lower case. All of them are looked at, with a length that is known when it is compiled: several at once.
fn is<const LENGTH: usize>(name: &[u8], known: &[u8; LENGTH]) -> bool {
    let Ok(name) = <&[u8; LENGTH]>::try_from(name) else { return false };
    name.iter().zip(known).fold(0, |differs, (byte, known)| {
        // Upper case differs from lower by this bit alone, and only letters have a case.
        let case = if known.is_ascii_lowercase() { 0x20 } else { 0 };
        differs | ((byte | case) ^ known)
    }) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Known; 13] = [
        Known::Accept,
        Known::AcceptEncoding,
        Known::Authorization,
        Known::Connection,
        Known::ContentLength,
        Known::ContentType,
        Known::Expect,
        Known::Host,
        Known::Http2Settings,
        Known::Trailer,
        Known::TransferEncoding,
        Known::Upgrade,
        Known::UserAgent,
    ];

    #[test]
    fn a_name_is_known_in_any_letter_case() {
        for known in ALL {
            let name = known.header();
            assert_eq!(Known::of(name.as_str().as_bytes()), Some(known));
            assert_eq!(Known::of(name.as_str().to_ascii_uppercase().as_bytes()), Some(known));
        }
    }

    #[test]
    fn what_differs_in_one_byte_is_not_known() {
        for known in ALL {
            let name = known.header();
            let name = name.as_str().as_bytes();
            for at in 0..name.len() {
                for byte in 0..=u8::MAX {
                    let mut other = name.to_vec();
                    other[at] = byte;
                    let same = byte.eq_ignore_ascii_case(&name[at]);
                    assert_eq!(Known::of(&other), same.then_some(known), "{}", other.escape_ascii());
                }
            }
            assert_eq!(Known::of(&name[1..]), None);
            assert_eq!(Known::of(&[name, b"s"].concat()), None);
        }
    }
}
