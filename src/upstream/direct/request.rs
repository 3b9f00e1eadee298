//! The head of a request, as it is written.

use http::Method;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::request::Parts;

use crate::wire::json_text;

/// Writes the head of a request with a body of so many bytes, over what stands there.
///
/// The types of `http` let no line break into a name, a value or a target. How the caller framed its body is of no concern here: it was read whole.
pub(super) fn write_head(head: &mut Vec<u8>, parts: &Parts, length: usize) {
    head.clear();
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    for piece in [parts.method.as_str(), " ", target, " HTTP/1.1\r\n"] {
        head.extend_from_slice(piece.as_bytes());
    }
    for (name, value) in &parts.headers {
        if *name != CONTENT_LENGTH && *name != TRANSFER_ENCODING {
            head.extend_from_slice(name.as_str().as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
    }
    // A method that has a meaning for content says that there is none (RFC 9110, section 8.6).
    if length > 0 || [Method::POST, Method::PUT, Method::PATCH].contains(&parts.method) {
        head.extend_from_slice(b"content-length: ");
        json_text::push_number(length, head);
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn head_of(request: http::request::Builder, length: usize) -> String {
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let mut head = b"left over".to_vec();
        write_head(&mut head, &parts, length);
        String::from_utf8(head).unwrap()
    }

    #[test]
    fn a_head_tells_the_length_of_what_was_read() {
        let chunked = Request::post("/v23.0/1/messages?a=b")
            .header("host", "graph.example")
            .header("transfer-encoding", "chunked")
            .header("content-length", "3")
            .header("x-a", "1")
            .header("x-a", "2");
        assert_eq!(
            head_of(chunked, 17),
            "POST /v23.0/1/messages?a=b HTTP/1.1\r\nhost: graph.example\r\nx-a: 1\r\nx-a: 2\r\ncontent-length: 17\r\n\r\n"
        );
        assert_eq!(head_of(Request::post("/x"), 0), "POST /x HTTP/1.1\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(head_of(Request::get("/x"), 0), "GET /x HTTP/1.1\r\n\r\n");
        assert_eq!(head_of(Request::delete("/x"), 2), "DELETE /x HTTP/1.1\r\ncontent-length: 2\r\n\r\n");
    }
}
