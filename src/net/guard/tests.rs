//! The rules one by one, on bytes alone; how hyper and the guard agree is tested over sockets in `net/tests`.

use super::fault::FramingFault::{self as Fault, *};
use super::messages::{Messages, Reading};

/// Reads all bytes at once.
fn read(bytes: impl AsRef<[u8]>) -> Reading {
    Messages::new().read(bytes.as_ref())
}

/// Reads the bytes in the given pieces as the stream does: what was not passed is read again with what follows.
fn read_in_pieces<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Reading {
    let (mut messages, mut held, mut passed) = (Messages::new(), Vec::new(), 0);
    for piece in pieces {
        held.extend_from_slice(piece);
        let reading = messages.read(&held);
        held.drain(..reading.passed);
        passed += reading.passed;
        if reading.fault.is_some() {
            return Reading { passed, fault: reading.fault };
        }
    }
    Reading { passed, fault: None }
}

fn request(fields: &str) -> String {
    format!("POST /v1/x?y=%20 HTTP/1.1\r\nHost: gate:8080\r\n{fields}\r\n")
}

fn chunked(body: &str) -> String {
    request("Transfer-Encoding: chunked\r\n") + body
}

fn kept() -> Vec<(&'static str, String)> {
    let line = |line: &str| format!("{line}\r\nHost: gate\r\n\r\n");
    vec![
        ("no body", request("")),
        ("sized", request("Content-Length: 5\r\n") + "hello"),
        ("sized zero", request("content-length:0\r\n")),
        ("leading zeros", request("Content-Length: \t 0005 \t\r\n") + "hello"),
        ("chunked", chunked("5\r\nhello\r\nB\r\nhello world\r\n0\r\n\r\n")),
        ("chunk of zeros", chunked("0005\r\nhello\r\n000\r\n\r\n")),
        ("chunk ends in data", chunked("2\r\n\r\n\r\n0\r\n\r\n")),
        ("mixed case coding", request("Transfer-Encoding:ChUnKeD\r\n") + "0\r\n\r\n"),
        ("sixteen digits", chunked("0000000000000003\r\nabc\r\n0\r\n\r\n")),
        ("HTTP/1.0", "GET / HTTP/1.0\r\nHost: gate\r\nConnection: keep-alive\r\n\r\n".to_owned()),
        ("IPv6 host", "GET / HTTP/1.1\r\nhost: [::1]:80\r\n\r\n".to_owned()),
        ("long method", line("VERSION-CONTROL / HTTP/1.1")),
        ("odd target", line("GET //a/../%00;x=1?q=/?{}|^`\"<> HTTP/1.1")),
        ("connection options", request("Connection: Keep-Alive , TE\r\nConnection: close\r\n")),
        ("expectation", request("Expect: 100-Continue\r\n")),
        ("empty value", request("X-Empty:\r\nX-Spaces:   \r\n")),
        ("high bytes and tabs", request("X: a\tb \u{fc}\r\n")),
        ("GET with a body", "GET / HTTP/1.1\r\nHost: gate\r\nContent-Length: 2\r\n\r\nab".to_owned()),
        ("100 fields", request(&"A: b\r\n".repeat(99))),
        (
            "pipelined",
            request("Content-Length: 1\r\n") + "a" + &chunked("1\r\nb\r\n0\r\n\r\n") + &request(""),
        ),
        ("16 KiB", "GET /".to_owned() + &"x".repeat(16 * 1024 - 34) + " HTTP/1.1\r\nHost: gate\r\n\r\n"),
    ]
}

#[rustfmt::skip]
fn broken() -> Vec<(&'static str, String, Fault)> {
    let line = |line: &str| format!("{line}\r\nHost: gate\r\n\r\n");
    let field = |field: &str| request(&format!("{field}\r\n"));
    vec![
        ("blank line first", "\r\n".to_owned() + &request(""), RequestLine),
        ("bare LF first", "\n".to_owned() + &request(""), RequestLine),
        ("TLS hello", "\u{16}\u{3}\u{1}".to_owned(), RequestLine),
        ("HTTP/0.9", "GET /\r\n\r\n".to_owned(), RequestLine),
        ("no target", line("GET HTTP/1.1"), RequestLine),
        ("two spaces", line("GET  / HTTP/1.1"), RequestLine),
        ("two spaces later", line("GET /  HTTP/1.1"), Version),
        ("space in target", line("GET /a b HTTP/1.1"), Version),
        ("tab for space", line("GET\t/ HTTP/1.1"), RequestLine),
        ("space behind", line("GET / HTTP/1.1 "), Version),
        ("lower-case method", line("Get / HTTP/1.1"), Method),
        ("odd method", line("GE(T / HTTP/1.1"), Method),
        ("CONNECT", line("CONNECT gate:80 HTTP/1.1"), Method),
        ("TRACE", line("TRACE / HTTP/1.1"), Method),
        ("absolute", line("GET http://gate/ HTTP/1.1"), Target),
        ("authority", line("GET gate:80 HTTP/1.1"), Target),
        ("asterisk", line("OPTIONS * HTTP/1.1"), Target),
        ("relative", line("GET v1/x HTTP/1.1"), Target),
        ("fragment", line("GET /a#b HTTP/1.1"), Target),
        ("not ASCII", line("GET /\u{fc} HTTP/1.1"), Target),
        ("control in target", line("GET /\u{1} HTTP/1.1"), Target),
        ("CR in target", line("GET /\rX HTTP/1.1"), Target),
        ("HTTP/1.2", line("GET / HTTP/1.2"), Version),
        ("HTTP/2.0", line("GET / HTTP/2.0"), Version),
        ("http/1.1", line("GET / http/1.1"), Version),
        ("HTTP/1.10", line("GET / HTTP/1.10"), Version),
        ("bare LF", "GET / HTTP/1.1\nHost: gate\n\n".to_owned(), LineEnd),
        ("bare LF at a field", field("X: y\nZ: a"), LineEnd),
        ("bare LF at the end", "GET / HTTP/1.1\r\nHost: gate\r\n\n".to_owned(), LineEnd),
        ("bare CR in a value", field("X: y\rZ: a"), FieldValue),
        ("bare CR in a name", field("X\r: y"), FieldName),
        ("CR CR LF", field("X: y\r"), FieldValue),
        ("folded", field("X: y\r\n z"), Folded),
        ("folded by tab", field("X: y\r\n\tz"), Folded),
        ("space before first field", "GET / HTTP/1.1\r\n Host: gate\r\n\r\n".to_owned(), Folded),
        ("space before colon", field("Transfer-Encoding : chunked"), FieldName),
        ("space in name", field("Content Length: 5"), FieldName),
        ("empty name", field(": x"), FieldName),
        ("no colon", field("Content-Length"), FieldName),
        ("name not ASCII", field("H\u{f6}st: x"), FieldName),
        ("NUL in value", field("X: a\0b"), FieldValue),
        ("DEL in value", field("X: a\u{7f}b"), FieldValue),
        ("101 fields", request(&"A: b\r\n".repeat(100)), TooManyFields),
        ("large head", request(&format!("X: {}\r\n", "y".repeat(16 * 1024))), HeadTooLarge),
        ("endless line", "G".repeat(16 * 1024 + 1), HeadTooLarge),
        ("no host", "GET / HTTP/1.1\r\nX: y\r\n\r\n".to_owned(), Host),
        ("no host in HTTP/1.0", "GET / HTTP/1.0\r\n\r\n".to_owned(), Host),
        ("two hosts", field("host: gate:8080"), Host),
        ("list of hosts", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n".to_owned(), Host),
        ("user in host", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n".to_owned(), Host),
        ("empty host", "GET / HTTP/1.1\r\nHost: \r\n\r\n".to_owned(), Host),
        ("two lengths", field("Content-Length: 5\r\nContent-Length: 6"), ContentLength),
        ("same length twice", field("Content-Length: 5\r\nContent-Length: 5"), ContentLength),
        ("list of lengths", field("Content-Length: 5, 5"), ContentLength),
        ("plus", field("Content-Length: +5"), ContentLength),
        ("minus", field("Content-Length: -1"), ContentLength),
        ("empty length", field("Content-Length:  "), ContentLength),
        ("hex length", field("Content-Length: 0x5"), ContentLength),
        ("space in length", field("Content-Length: 1 2"), ContentLength),
        ("more than 64 bits", field("Content-Length: 18446744073709551616"), ContentLength),
        ("CL then TE", field("Content-Length: 5\r\nTransfer-Encoding: chunked"), TwoLengths),
        ("TE then CL", field("Transfer-Encoding: chunked\r\nContent-Length: 0"), TwoLengths),
        ("other coding", field("Transfer-Encoding: xchunked"), TransferEncoding),
        ("gzip first", field("Transfer-Encoding: gzip, chunked"), TransferEncoding),
        ("identity behind", field("Transfer-Encoding: chunked, identity"), TransferEncoding),
        ("coding parameter", field("Transfer-Encoding: chunked;q=1"), TransferEncoding),
        ("empty coding", field("Transfer-Encoding:"), TransferEncoding),
        ("vertical tab", field("Transfer-Encoding: \u{b}chunked"), FieldValue),
        ("chunked twice", field("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), TransferEncoding),
        ("chunked in HTTP/1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(), TransferEncoding),
        ("drops fields", field("Connection: content-type, host, authorization"), Connection),
        ("empty option", field("Connection: close,"), Connection),
        ("upgrade option", field("Connection: Upgrade"), Upgrade),
        ("upgrade", field("Upgrade: websocket"), Upgrade),
        ("settings", field("HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"), Upgrade),
        ("expects more", field("Expect: 200-ok"), Expect),
        ("announced trailer", field("Trailer: Content-Length"), Trailer),
        ("no chunk size", chunked("\r\n"), ChunkSize),
        ("signed chunk", chunked("+5\r\nhello\r\n"), ChunkSize),
        ("chunk 0x", chunked("0x5\r\nhello\r\n"), ChunkSize),
        ("space before chunk size", chunked(" 5\r\nhello\r\n"), ChunkSize),
        ("space after chunk size", chunked("5 \r\nhello\r\n"), ChunkSize),
        ("extension", chunked("5;a=b\r\nhello\r\n"), ChunkSize),
        ("extension at the end", chunked("0;a=b\r\n\r\n"), ChunkSize),
        ("bare LF after chunk size", chunked("5\nhello\r\n"), ChunkSize),
        ("bare CR after chunk size", chunked("5\rXhello\r\n"), ChunkSize),
        ("seventeen digits", chunked("00000000000000005\r\nhello\r\n"), ChunkSize),
        ("data too long", chunked("4\r\nhello\r\n0\r\n\r\n"), ChunkEnd),
        ("data too short", chunked("6\r\nhello\r\n0\r\n\r\n"), ChunkEnd),
        ("bare LF after data", chunked("5\r\nhello\n0\r\n\r\n"), ChunkEnd),
        ("bare CR after data", chunked("5\r\nhello\r0\r\n\r\n"), ChunkEnd),
        ("trailer", chunked("0\r\nX: y\r\n\r\n"), Trailer),
        ("trailing length", chunked("0\r\nContent-Length: 5\r\n\r\n"), Trailer),
        ("bare LF after the last chunk", chunked("0\r\n\n"), Trailer),
        ("bare CR after the last chunk", chunked("0\r\n\rX"), Trailer),
    ]
}

#[test]
fn a_request_within_the_rules_is_passed_whole() {
    for (name, bytes) in kept() {
        assert_eq!(read(&bytes), Reading { passed: bytes.len(), fault: None }, "{name}");
    }
}

#[test]
fn a_request_that_breaks_a_rule_is_refused_by_that_rule_and_its_head_is_not_passed() {
    for (name, bytes, fault) in broken() {
        let reading = read(&bytes);
        assert_eq!(reading.fault, Some(fault), "{name}");
        let in_body = matches!(fault, ChunkSize | ChunkEnd) || bytes.contains("chunked\r\n\r\n0\r\n");
        assert_eq!(reading.passed > 0, in_body, "{name} passed {} bytes", reading.passed);
    }
}

#[test]
fn a_fault_behind_good_requests_passes_exactly_those() {
    let good = request("Content-Length: 5\r\n") + "hello" + &chunked("1\r\nx\r\n0\r\n\r\n");
    for (name, bytes, fault) in broken() {
        let alone = read(&bytes);
        let behind = read(good.clone() + &bytes);
        assert_eq!(behind.fault, Some(fault), "{name}");
        assert_eq!(behind.passed, good.len() + alone.passed, "{name}");
    }
}

#[test]
fn where_the_bytes_are_split_changes_nothing() {
    let all = kept().into_iter().chain(broken().into_iter().map(|(name, bytes, _)| (name, bytes)));
    for (name, bytes) in all.filter(|(_, bytes)| bytes.len() < 1000) {
        let whole = read(&bytes);
        let single = read_in_pieces(bytes.as_bytes().chunks(1));
        assert_eq!((single.passed, single.fault), (whole.passed, whole.fault), "{name}, byte by byte");
        for at in 1..bytes.len() {
            let (first, second) = bytes.as_bytes().split_at(at);
            assert_eq!(read_in_pieces([first, second].into_iter()), whole, "{name}, split at {at}");
        }
    }
}

#[test]
fn a_chunk_may_be_as_large_as_its_digits_say() {
    let reading = read(chunked("FFFFFFFFFFFFFFFF\r\n") + "data");
    assert_eq!(reading.fault, None);
}

#[test]
fn no_fault_quotes_the_request() {
    for (_, bytes, fault) in broken() {
        let text = format!("{fault} {fault:?}");
        assert!(!text.contains("gate") && !text.contains("authorization"), "{text} quotes {bytes:?}");
    }
}
