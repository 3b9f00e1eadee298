//! From the bytes of a head to a request.

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Uri, Version};
use memchr::memchr;

use crate::net::guard::trim;

/// Most requests have no more fields.
const FIELDS: usize = 12;

/// Reads a whole head that the guard has found beyond doubt. `None` if it cannot be handed on from here: it asks for a head alone, or for a target that is no
/// URI. Names and values are no copies of the bytes where that can be helped.
pub(super) fn parse(head: &Bytes) -> Option<Request<()>> {
    let mut lines = Lines { head, at: 0 };
    let mut request = Request::new(());
    let (line, start) = lines.next()?;
    let method_end = memchr(b' ', line)?;
    let target_end = method_end + 1 + memchr(b' ', line.get(method_end + 1..)?)?;
    let method = Method::from_bytes(line.get(..method_end)?).ok()?;
    // The answer to it announces a length of what never comes.
    if method == Method::HEAD {
        return None;
    }
    *request.method_mut() = method;
    *request.uri_mut() =
        Uri::from_maybe_shared(head.slice(start + method_end + 1..start + target_end)).ok()?;
    *request.version_mut() = Version::HTTP_11;
    let mut fields = HeaderMap::with_capacity(FIELDS);
    while let Some((line, start)) = lines.next().filter(|(line, _)| !line.is_empty()) {
        let name_end = memchr(b':', line)?;
        let name = HeaderName::from_bytes(line.get(..name_end)?).ok()?;
        let after = line.get(name_end + 1..)?;
        let value = trim(after);
        let value_start = start + name_end + 1 + (after.len() - after.trim_ascii_start().len());
        let value = if value.is_empty() {
            HeaderValue::from_static("")
        } else {
            HeaderValue::from_maybe_shared(head.slice(value_start..value_start + value.len())).ok()?
        };
        fields.try_append(name, value).ok()?;
    }
    *request.headers_mut() = fields;
    Some(request)
}

/// The lines of a head without their ends, and where they start.
struct Lines<'h> {
    head: &'h [u8],
    at: usize,
}

impl<'h> Lines<'h> {
    fn next(&mut self) -> Option<(&'h [u8], usize)> {
        let start = self.at;
        let rest = self.head.get(start..)?;
        let end = memchr(b'\n', rest)?;
        self.at = start + end + 1;
        Some((rest.get(..end)?.strip_suffix(b"\r")?, start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_head_is_read() {
        let head = "POST /v1/x?y=%20&z HTTP/1.1\r\nHost: gate:8080\r\nX-Odd:\r\nX-ODD: \t a b \t\r\nx-high: \u{fc}\r\n\r\n";
        let request = parse(&Bytes::from(head)).unwrap();
        assert_eq!((request.method(), request.version()), (&Method::POST, Version::HTTP_11));
        assert_eq!(request.uri().path_and_query().unwrap(), "/v1/x?y=%20&z");
        assert_eq!(request.headers()["host"], "gate:8080");
        let odd: Vec<_> = request.headers().get_all("x-odd").iter().collect();
        assert_eq!(odd, ["", "a b"]);
        assert_eq!(request.headers()["x-high"].as_bytes(), "\u{fc}".as_bytes());
    }

    #[test]
    fn what_asks_for_a_head_alone_or_for_no_uri_is_left_to_others() {
        for line in ["HEAD / HTTP/1.1", "GET /a\\b\u{7f} HTTP/1.1", "GET", "GET /"] {
            assert!(parse(&Bytes::from(format!("{line}\r\nHost: gate\r\n\r\n"))).is_none(), "{line}");
        }
    }
}
