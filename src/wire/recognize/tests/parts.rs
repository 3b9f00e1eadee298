//! The heads of multipart parts: what clients write passes, what two readers could understand differently does not, wherever it stands.

use super::*;

const DISPOSITION: &str = "Content-Disposition: form-data; name=";

fn body(head: &[u8], value: &str) -> Vec<u8> {
    [b"--B\r\n", head, b"\r\n\r\n", value.as_bytes(), b"\r\n--B--\r\n"].concat()
}

/// A part with this head, on every path that carries one.
fn everywhere(head: &str, value: &str) -> Vec<String> {
    let send = format!("--B\r\n{DISPOSITION}\"to\"\r\n\r\n1\r\n").into_bytes();
    let part = body(head.as_bytes(), value);
    let targets = [MESSAGES, "/106540352242922", "/", "/1/media", "/1/settings"];
    targets
        .map(|target| {
            let body = if target == MESSAGES { [send.clone(), part.clone()].concat() } else { part.clone() };
            at("POST", target, MULTIPART, &body)
        })
        .to_vec()
}

/// Readers that split at `;` within quotes, join or cut lines, end the head early, or know other kinds of name, each found another part here than the gate did.
#[test]
fn a_head_that_two_readers_understand_differently_is_refused_everywhere() {
    let long = format!("X-Pad: \"{}{DISPOSITION}to; y=\"\r\n{DISPOSITION}\"file\"", "a".repeat(5112));
    let wide = format!("{DISPOSITION}\"file\"; filename=\"{}\"", "x".repeat(2048));
    for head in [
        "Content-Disposition: form-data; x=\"; name=to; y=\"; name=\"file\"",
        "Content-Disposition: form-data; filename=\"a; name=to; b.pdf\"; name=\"file\"",
        "Content-Disposition: form-data; name=\"file\"; filename=\"a; NAME=to; b.pdf\"",
        "Content-Disposition: form-data; filename=\"a\\\"; name=to; x=\\\"\"; name=\"file\"",
        "Content-Disposition: form-data; filename=\"x name=to\"; name=\"file\"",
        "Content-Disposition: form-data; filename*=utf-8''a%22%3B%20name%3Dto; name=\"file\"",
        "Content-Disposition: form-data; filename*='; name=\"file\"; filename=\"'; x\"",
        "Content-Disposition: form-data; name=\"file\"; filename=\"=?utf-8?B?YSI7IG5hbWU9dG87IHg9Ig==?=\"",
        "Content-Disposition: form-data; name=\"file\"; filename=\"=?utf-8?Q?a=22=3B_x?=\"",
        "Content-Disposition: form-data; name=\"file\"; nam\r\ne=\"to\"",
        "Content-Disposition: form-data; name=\"file\"\r\n ; name=\"to\"",
        "Content-Disposition: form-data; name=\"file\"\r\n\t; name=\"to\"",
        "Content-Disposition: form-data; x=\"\0\"\r\n \"; name=to; y=\"\r\n; name=\"file\"",
        "X: \"\rContent-Disposition: form-data; name=to\rY: \"\r\nContent-Disposition: form-data; name=\"file\"",
        "Content-Disposition: form-data; name=\"calling\"\n\n{\"sip\":{\"status\":\"ENABLED\"}}",
        "Content-Disposition: form-data; name*0=\"to\"",
        "Content-Disposition: form-data; name*=utf-8''to",
        "Content-Disposition: form-data; name=\"file\"; name=\"to\"",
        "Content-Disposition: form-data; name=\"t\\o\"",
        "Content-Disposition: form-data; name='to'",
        "Content-Disposition: form-data; NAME=to",
        "Content-Disposition: form-data; name =to",
        "Content-Disposition: form-data; name=\"\"",
        "Content-Disposition: form-data; name=\"a\"x; filename=\"b\"",
        "Content-Disposition: form-data; name=\"a",
        "Content-Disposition: form-data",
        "Content-Disposition: attachment; name=\"file\"",
        "Content-Disposition: form-data; name=\"file\"\r\nContent-Disposition: form-data; name=\"to\"",
        "Content-Disposition : form-data; name=\"file\"",
        "Content-Type: text/plain; name=\"to\"\r\nContent-Disposition: form-data; name=\"file\"",
        "Content-Disposition: form-data; name=\"file\"\r\nX-Other: 1",
        "Content-Type: text/plain",
        "",
        &long,
        &wide,
    ] {
        for read in everywhere(head, "15550000009") {
            assert!(read.starts_with("un") || read.starts_with("request_un"), "{head:?}: {read}");
        }
    }
}

#[test]
fn nothing_follows_the_closing_delimiter_of_an_upload() {
    let upload = body(format!("{DISPOSITION}\"file\"; filename=\"a\"").as_bytes(), "x");
    let hidden = b"--B\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n1\r\n--B--";
    assert_eq!(at("POST", "/1/media", MULTIPART, &upload), "watched media");
    assert_eq!(at("POST", "/1/media", MULTIPART, &[&upload[..], hidden].concat()), "unrecognized_send");
    assert_eq!(at("POST", "/1/media", MULTIPART, &upload[..40]), "unrecognized_send");
}

/// What each client writes before its own file, to the letter.
#[test]
fn the_part_heads_of_every_client_pass() {
    for head in [
        // curl -F, PHP's curl, requests, undici, axios, form-data, Go, reqwest.
        "Content-Disposition: form-data; name=\"file\"; filename=\"a b.png\"\r\nContent-Type: image/png",
        "Content-Disposition: form-data; name=\"file\"; filename=\"a\\\"b.png\"\r\nContent-Type: image/png",
        "Content-Disposition: form-data; name=\"file\"; filename=\"a%22b.png\"\r\nContent-Type: image/png",
        "Content-Disposition: form-data; name=\"file\"; filename=\"C:\\\\tmp\\\\name.png\"\r\nContent-Type: image/png",
        "Content-Disposition: form-data; name=\"file\"; filename=\"C:\\tmp\\name.png\"\r\nContent-Type: image/png",
        "Content-Disposition: form-data; name=\"file\"; filename=\"r\u{e4}ch name.png\"\r\nContent-Type: image/png",
        "Content-Disposition: form-data; name=\"file\"; filename=\"it's name=last.pdf\"\r\nContent-Type: application/pdf",
        "Content-Disposition: form-data; name=\"file\"; filename=\"a;b.pdf\"\r\nContent-Type: application/pdf",
        "Content-Disposition: form-data; name=\"file\"; filename*=utf-8''r%C3%A4ch.png\r\nContent-Type: image/png",
        "Content-Disposition: form-data; name=\"file\"; filename=\"blob\"\r\nContent-Type: application/octet-stream",
        "Content-Disposition: form-data; name=\"file\"\r\nContent-Type: application/octet-stream",
        // aiohttp.
        "Content-Type: image/png\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.png\"; filename*=utf-8''a.png",
        "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 1\r\nContent-Disposition: form-data; name=\"type\"",
        // OkHttp, Guzzle, Spring.
        "Content-Disposition: form-data; name=\"file\"; filename=\"a.png\"\r\nContent-Type: image/png\r\nContent-Length: 1",
        "Content-Disposition: form-data; name=\"messaging_product\"\r\nContent-Length: 8",
        // Apache HttpClient, Ruby, Retrofit, Dart.
        "Content-Disposition: form-data; name=\"file\"; filename=\"a.png\"\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: binary",
        "Content-Disposition: form-data; name=\"file\"; filename=\"a.png\"\r\nContent-Length: 1\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: binary",
        "content-disposition: form-data; name=\"file\"; filename=\"a.png\"\r\ncontent-type: image/png",
        "Content-ID: <x>\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"",
        // .NET.
        "Content-Type: image/png\r\nContent-Disposition: form-data; name=file; filename=a.png; filename*=utf-8''a.png",
        "Content-Type: image/png\r\nContent-Disposition: form-data; name=file; filename=\"=?utf-8?B?w6QucG5n?=\"; filename*=utf-8''%C3%A4.png",
    ] {
        for (target, expected) in [("/1/media", "watched media"), ("/1/feed", "pass other")] {
            let upload = body(head.as_bytes(), "\u{0}\u{1}");
            assert_eq!(at("POST", target, MULTIPART, &upload), expected, "{head}");
        }
    }
    let latin1 =
        b"Content-Disposition: form-data; name=\"file\"; filename=\"r\xe4ch.png\"\r\nContent-Type: image/png";
    assert_eq!(at("POST", "/1/media", MULTIPART, &body(latin1, "x")), "watched media");
}

#[test]
fn a_field_is_read_where_its_text_is_what_travels() {
    let send = |lines: &str, value: &str| {
        let body = format!("--B\r\n{DISPOSITION}\"to\"{lines}\r\n\r\n{value}\r\n--B--\r\n");
        at("POST", MESSAGES, MULTIPART, body.as_bytes())
    };
    for lines in [
        "",
        "\r\nContent-Type: text/plain; charset=ISO-8859-1\r\nContent-Transfer-Encoding: 8bit",
        "\r\nContent-Type: text/plain;charset=UTF-8\r\nContent-Length: 1",
        "\r\nContent-Transfer-Encoding: binary",
        "; ",
    ] {
        assert_eq!(send(lines, "1"), "1| free", "{lines}");
    }
    for (lines, value) in [
        ("\r\nContent-Type: text/plain; charset=ISO-8859-1", "\u{e9}"),
        ("\r\nContent-Transfer-Encoding: base64", "MQ=="),
        ("\r\nContent-Type: text/plain; charset=utf-7", "1"),
        ("\r\nContent-Type: image/png", "1"),
        ("; filename*=utf-8''x", "1"),
    ] {
        assert_eq!(send(lines, value), "request_unreadable", "{lines}");
    }
    let batch = format!(
        "--B\r\n{DISPOSITION}\"batch\"\r\nContent-Type: text/plain; charset=ISO-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\n[{{\"method\":\"GET\",\"relative_url\":\"me\"}}]\r\n--B--\r\n"
    );
    assert_eq!(at("POST", "/", MULTIPART, batch.as_bytes()), "pass batch");
}

/// Reading a head costs the same for every byte of it.
#[test]
fn a_long_head_is_refused_before_it_is_read() {
    let head = format!("X: \"{}\"\r\n{DISPOSITION}\"file\"", "name ".repeat(200_000));
    let started = std::time::Instant::now();
    assert_eq!(at("POST", "/1/feed", MULTIPART, &body(head.as_bytes(), "x")), "unrecognized_send");
    assert!(started.elapsed() < std::time::Duration::from_millis(500), "{:?}", started.elapsed());
}
