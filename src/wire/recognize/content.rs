//! How a body is encoded, as far as its head tells.

use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};

/// The encoding that a body declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// `application/json` in UTF-8.
    Json,
    /// `application/x-www-form-urlencoded` in UTF-8.
    Form,
    /// `multipart/form-data` with its boundary.
    Multipart(Box<str>),
    /// Anything else, or nothing.
    Other,
}

/// Reads `Content-Type`.
///
/// # Errors
///
/// What readers could disagree about.
pub(super) fn of(headers: &HeaderMap) -> Result<Content, &'static str> {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let Some(value) = values.next() else { return Ok(Content::Other) };
    if values.next().is_some() {
        return Err("the request has two Content-Type headers; send one");
    }
    if value == "application/json" {
        return Ok(Content::Json);
    }
    value.to_str().map_or(Err("the Content-Type header is not ASCII"), read)
}

const ODD: &str = "the Content-Type header cannot be read with certainty";

const CHARSET: &str = "the body's charset is not utf-8; send UTF-8";

const MULTIPART: &str = "multipart/form-data";

fn read(header: &str) -> Result<Content, &'static str> {
    let (essence, mut parameters) = split(header);
    if essence.contains([' ', '\t', ',', '"', '=']) || is_loosely_multipart(header, essence) {
        return Err(ODD);
    }
    if names_encoding(essence) {
        return Err(CHARSET);
    }
    let (mut charset, mut boundary) = (None, None);
    let mut others = false;
    while let Some((name, value, rest)) = next_parameter(parameters)? {
        parameters = rest;
        let twice = match name {
            _ if name.eq_ignore_ascii_case("charset") => charset.replace(value).is_some(),
            _ if name.eq_ignore_ascii_case("boundary") => boundary.replace(value).is_some(),
            _ if names_encoding(name) || names_encoding(value) => return Err(CHARSET),
            _ => {
                others = true;
                false
            }
        };
        if twice {
            return Err("a parameter of the Content-Type header stands twice");
        }
    }
    if charset.is_some_and(|charset| !is_utf8(charset)) {
        return Err(CHARSET);
    }
    match (essence, boundary) {
        (MULTIPART, _) => boundary
            .filter(|b| !others && is_found_first(header, b))
            .filter(|b| is_boundary(b))
            .map(|b| Content::Multipart(b.into()))
            .ok_or("the multipart boundary is missing or odd; use letters, digits and dashes"),
        (_, Some(_)) => Err("the Content-Type header declares a boundary, but is not multipart/form-data"),
        _ if essence.eq_ignore_ascii_case("application/json") => Ok(Content::Json),
        // A form has no parameters of its own: what they announce, somebody could read.
        _ if essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") && !others => {
            Ok(Content::Form)
        }
        _ => Ok(Content::Other),
    }
}

fn split(value: &str) -> (&str, &str) {
    let (essence, parameters) = value.split_once(';').unwrap_or((value, ""));
    (essence.trim_matches([' ', '\t']), parameters)
}

/// Whether some reader takes the body for multipart where others do not.
///
/// HHVM compares only as many characters as stand before the `;`, so a prefix is enough, and then looks for the word `boundary` in lower case; where it finds
/// anything else than it expects, it decodes the whole body as a form.
fn is_loosely_multipart(header: &str, essence: &str) -> bool {
    let starts = MULTIPART.get(..essence.len()).is_some_and(|start| start.eq_ignore_ascii_case(essence));
    let bounded = header.as_bytes().windows(8).any(|word| word.eq_ignore_ascii_case(b"boundary"));
    let plainly = header.strip_prefix(MULTIPART).is_some_and(|rest| rest.starts_with(';'));
    // PHP takes the space behind a boundary for a part of it.
    let spaced = header.contains('\t') || header.contains(" ;") || header.ends_with(' ');
    (starts || bounded) && (!plainly || spaced || !header.contains("boundary="))
}

fn is_utf8(charset: &str) -> bool {
    charset.eq_ignore_ascii_case("utf-8") || charset.eq_ignore_ascii_case("utf8")
}

/// Whether some reader could find another encoding of text announced here, wherever it looks for one.
fn names_encoding(text: &str) -> bool {
    const NAMES: [&str; 3] = ["utf", "ucs", "unicode"];
    let holds = |name: &str| {
        text.as_bytes().windows(name.len()).any(|word| word.eq_ignore_ascii_case(name.as_bytes()))
    };
    !is_utf8(text) && NAMES.into_iter().any(holds)
}

/// A parameter's name and value, and what follows it.
type Parameter<'a> = (&'a str, &'a str, &'a str);

/// The next parameter; quotes are taken off, and what they could hide is refused.
fn next_parameter(text: &str) -> Result<Option<Parameter<'_>>, &'static str> {
    let text = text.trim_matches([' ', '\t', ';']);
    if text.is_empty() {
        return Ok(None);
    }
    let (name, rest) = text.split_once('=').ok_or(ODD)?;
    let (value, rest) = match rest.strip_prefix('"') {
        Some(quoted) => {
            quoted.split_once('"').filter(|(value, _)| !value.contains(['\\', ';', ','])).ok_or(ODD)?
        }
        None => rest.split_once(';').unwrap_or((rest, "")),
    };
    let rest = rest.trim_start_matches([' ', '\t']);
    let value = value.trim_end_matches([' ', '\t']);
    let odd = value.contains(['"', ','])
        || name.trim() != name
        || name.is_empty()
        || name.contains(['"', ',', ' ']);
    if odd { Err(ODD) } else { Ok(Some((name, value, rest))) }
}

/// Whether a reader that searches the header for the word `boundary` and takes what follows the next `=`, as PHP does, finds this one.
fn is_found_first(header: &str, boundary: &str) -> bool {
    let words = header.as_bytes().windows(8).filter(|word| word.eq_ignore_ascii_case(b"boundary")).count();
    // Once more within the value (`----WebKitFormBoundary`) does no harm behind a name that is found before it.
    let is_lower = header
        .find("boundary")
        .is_some_and(|at| header.get(at + 8..).is_some_and(|rest| rest.starts_with('=')));
    words == 1 || (words == 2 && is_lower && !boundary.contains('='))
}

/// RFC 2046 section 5.1.1 without spaces and signs that readers treat differently.
fn is_boundary(text: &str) -> bool {
    (1..=70).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_=+.'/:".contains(&b))
}

/// Whether the body is declared as text, of whatever kind.
pub(super) fn is_text(headers: &HeaderMap) -> bool {
    let says = |value: &http::HeaderValue| {
        value.as_bytes().windows(4).any(|word| word.eq_ignore_ascii_case(b"text"))
    };
    headers.get_all(CONTENT_TYPE).iter().any(says)
}

/// Whether the body is compressed, or says so.
pub(super) fn is_encoded(headers: &HeaderMap) -> bool {
    let codes = |value: &http::HeaderValue| {
        let coding = value.as_bytes().trim_ascii();
        !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity")
    };
    headers.get_all(CONTENT_ENCODING).iter().any(codes)
}

/// Whether a body may follow: over HTTP/2 only a length of 0 says that none does.
pub(super) fn may_follow(parts: &http::request::Parts) -> bool {
    is_declared(parts)
        || (parts.version == http::Version::HTTP_2 && !parts.headers.contains_key(CONTENT_LENGTH))
}

/// Whether the head says that a body follows.
pub(super) fn is_declared(parts: &http::request::Parts) -> bool {
    match parts.headers.get(CONTENT_LENGTH) {
        Some(length) => length != "0",
        None => parts.headers.contains_key(TRANSFER_ENCODING),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_one(value: &str) -> Result<Content, &'static str> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, value.parse().unwrap());
        of(&headers)
    }

    #[test]
    fn the_three_encodings_are_read_in_any_letter_case() {
        for (value, content) in [
            ("application/json", Content::Json),
            ("Application/JSON; charset=UTF-8", Content::Json),
            ("APPLICATION/JSON ; Charset=\"UTF-8\"; x=y", Content::Json),
            ("application/x-www-form-urlencoded", Content::Form),
            ("multipart/form-data; boundary=X-1", Content::Multipart("X-1".into())),
            ("multipart/form-data; boundary=\"X 1\"", Content::Other),
            ("text/plain", Content::Other),
            ("application/vnd.api+json", Content::Other),
            ("application/json; encoding=UTF-8", Content::Json),
            ("application/x-www-form-urlencoded; charset=utf-8", Content::Form),
            ("application/x-www-form-urlencoded; profile=json", Content::Other),
        ] {
            if value.contains("X 1") {
                assert!(read_one(value).is_err());
            } else {
                assert_eq!(read_one(value), Ok(content), "{value}");
            }
        }
    }

    #[test]
    fn what_readers_disagree_about_is_refused() {
        for value in [
            "application/json; charset=utf-16",
            "application/json; encoding=UTF-16LE",
            "x/ucs-2",
            "text/plain; unicode=1",
            "application/json; boundary=x",
            "multipart/form-data",
            "multipart/form-data; boundary=a; boundary=b",
            "multipart/form-data; boundary=\"a\\\"b\"",
            "application/json; charset=utf-8; charset=utf-16",
            "multipart/mixed; boundary=BOUND",
            "",
            ";",
            "m;xboundary=BB",
            ";xboundary=BB",
            "multipart; xboundary=BB",
            "Multipart/form-dat",
            "multipart/form-data-x; xboundary=BB",
            "text/plain; x=\"BOUNDARY\"",
            "multipart/form-data; Boundary=BB",
            "multipart/form-data\t; boundary=BB",
            "multipart/form-data ; boundary=BB",
            "multipart/form-data; boundary=BB ; charset=utf-8",
            "multipart/form-data;\tboundary=BB",
            "Multipart/Form-Data; boundary=BB",
        ] {
            assert!(read_one(value).is_err(), "{value}");
        }
        let mut headers = HeaderMap::new();
        headers.append(CONTENT_TYPE, "text/plain".parse().unwrap());
        headers.append(CONTENT_TYPE, "application/json".parse().unwrap());
        assert!(of(&headers).is_err());
    }
}
