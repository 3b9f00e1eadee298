//! From the bytes of a head to a request.

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Uri, Version};

use crate::net::guard::{Known, Noted};

/// Most requests have no more fields.
const FIELDS: usize = 12;

/// Makes a request of a whole head that the guard has found beyond doubt, of the parts that it noted. `None` if it cannot be handed on from here: it asks for a
/// head alone, or for a target that is no URI. Names and values are no copies of the bytes where that can be helped.
pub(super) fn make(head: &Bytes, noted: &Noted) -> Option<Request<()>> {
    let method = Method::from_bytes(head.get(noted.method.clone())?).ok()?;
    // The answer to it announces a length of what never comes.
    if method == Method::HEAD {
        return None;
    }
    let target = noted.target.clone();
    head.get(target.clone())?;
    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = Uri::from_maybe_shared(head.slice(target)).ok()?;
    *request.version_mut() = Version::HTTP_11;
    let mut fields = HeaderMap::with_capacity(FIELDS);
    for field in &noted.fields {
        let name = match field.known.map(Known::header) {
            Some(name) => name,
            None => HeaderName::from_bytes(head.get(field.name())?).ok()?,
        };
        let value = match head.get(field.value())? {
            [] => HeaderValue::from_static(""),
            _ => HeaderValue::from_maybe_shared(head.slice(field.value())).ok()?,
        };
        fields.try_append(name, value).ok()?;
    }
    *request.headers_mut() = fields;
    Some(request)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::guard::Head;

    fn parse(head: &Bytes) -> Option<Request<()>> {
        let mut read = Head::noting();
        let whole = read.read(head).unwrap().unwrap().0;
        assert_eq!(whole, head.len());
        make(head, read.noted().unwrap())
    }

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
        for line in ["HEAD / HTTP/1.1", "GET /a<b HTTP/1.1", "POST /a`b HTTP/1.1"] {
            assert!(parse(&Bytes::from(format!("{line}\r\nHost: gate\r\n\r\n"))).is_none(), "{line}");
        }
    }
}
