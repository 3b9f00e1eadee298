//! What is no send passes byte for byte, in both directions, in constant memory and at the caller's own pace.

use std::io::Read as _;
use std::net::SocketAddr;
use std::time::Instant;

use serde_json::json;

use super::*;
use crate::support::client::{Client, request};
use crate::support::gate::ACCOUNT;
use crate::support::http1::chunked;
use crate::support::upstream::{Answer, Received, filler};

/// Ends with an odd byte count and holds every byte value, CR LF and what looks like a boundary included.
fn all_bytes() -> Vec<u8> {
    (0..=255u8).chain(*b"\r\n--\r\n--NOT\r\n").chain((0..=255).rev()).collect()
}

/// How a file of each kind that the provider's uploads take begins.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
const JPEG: &[u8] = b"\xff\xd8\xff\xe0\0\x10JFIF\0";
const MP4: &[u8] = b"\0\0\0\x18ftypmp42\0\0\0\0";
const PDF: &[u8] = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n";

fn file(start: &[u8]) -> Vec<u8> {
    [start, &all_bytes()].concat()
}

fn multipart(boundary: &str, file: &[u8]) -> Vec<u8> {
    let field = |name: &str, value: &str| {
        format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let head = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a b.png\"\r\nContent-Type: image/png\r\n\r\n"
    );
    let tail = format!("\r\n--{boundary}--\r\n");
    [
        field("messaging_product", "whatsapp").as_bytes(),
        field("type", "image/png").as_bytes(),
        head.as_bytes(),
        file,
        tail.as_bytes(),
    ]
    .concat()
}

/// Every request of this file that passes: method, target, content type, body.
fn passing() -> Vec<(&'static str, String, &'static str, Vec<u8>)> {
    let json = "application/json";
    let sender = |edge_name: &str| edge(edge_name);
    let account = |edge_name: &str| format!("/v23.0/{ACCOUNT}/{edge_name}");
    vec![
        ("POST", sender("media"), "multipart/form-data; boundary=XyZ", multipart("XyZ", &all_bytes())),
        ("POST", account("message_templates"), json, json!({"name": "t", "language": "en_US", "category": "MARKETING", "components": [{"type": "BODY", "text": "hi {{1}}", "example": {"body_text": [["x"]]}}]}).to_string().into_bytes()),
        ("POST", sender("whatsapp_business_profile"), json, br#"{"messaging_product":"whatsapp","about":"caf\u00e9 \ud83d\ude00","websites":["https://a.example"]}"#.to_vec()),
        ("POST", sender("messages"), json, br#"{ "messaging_product":"whatsapp", "status":"read", "message_id":"wamid.HBgLMTU1NTAwMDAwMDE" }"#.to_vec()),
        ("POST", sender("messages"), json, br#"{"messaging_product":"whatsapp","status":"read","message_id":"wamid.X","typing_indicator":{"type":"text"}}"#.to_vec()),
        ("POST", sender("register"), json, br#"{"messaging_product":"whatsapp","pin":"012345"}"#.to_vec()),
        ("POST", sender("something_new"), json, br#"{"unknown":{"deep":[1,2.50,12345678901234567890123456789.000,-0,null]}}"#.to_vec()),
        ("POST", sender("something_new"), json, br#"{"escaped":"\u0000\/\ud83d\ude00"}"#.to_vec()),
        ("POST", sender("something_new"), json, br#"{"again":1,"again":2}"#.to_vec()),
        ("POST", sender("block_users"), json, br#"{"messaging_product":"whatsapp","block_users":[{"user":"+15550000009"}]}"#.to_vec()),
        ("POST", "/v23.0/app/uploads?file_length=3&file_type=image/png".to_owned(), "", Vec::new()),
        ("POST", "/v23.0/upload:MTphdHRhY2htZW50OmE=?sig=ARZqkGCA_u".to_owned(), "application/octet-stream", file(PNG)),
        ("POST", "/v23.0/upload:MTph".to_owned(), "application/x-www-form-urlencoded", file(JPEG)),
        ("POST", "/v23.0/upload:MTph".to_owned(), "video/mp4", file(MP4)),
        ("POST", "/v23.0/upload:MTph".to_owned(), "", file(PDF)),
        ("POST", sender("deregister"), "", Vec::new()),
        ("POST", sender("calls"), json, br#"{"messaging_product":"whatsapp","call_id":"wacid.A","action":"terminate"}"#.to_vec()),
        ("GET", "/v23.0/1013859600285441?phone_number_id=1&fields=a%2Cb,c&x=%C3%A9&&empty=".to_owned(), "", Vec::new()),
        ("GET", account("message_templates?limit=3&after=QVFIUm"), "", Vec::new()),
        ("DELETE", account("message_templates?name=t&hsm_id=1"), "", Vec::new()),
        ("DELETE", "/v23.0/1013859600285441".to_owned(), "", Vec::new()),
        ("POST", "/v23.0/1234567890/assets".to_owned(), "multipart/form-data; boundary=\"a.b\"", multipart("a.b", b"{\"version\":\"7.1\"}")),
        ("PUT", "/v23.0/1/unknown_edge".to_owned(), json, b"{}".to_vec()),
    ]
}

#[test]
fn requests_that_are_no_sends_arrive_byte_for_byte_sized_and_chunked() {
    let scene = Scene::start();
    let mut count = 0;
    for (method, target, content_type, body) in passing() {
        for in_chunks in [false, true] {
            if in_chunks && body.is_empty() {
                continue;
            }
            let mut headers = vec![("Authorization", "Bearer EAATESTTOKEN"), ("X-Odd", "a,  b")];
            if !content_type.is_empty() {
                headers.push(("Content-Type", content_type));
            }
            let pieces: Vec<&[u8]> = body.chunks(97).collect();
            let framed = if in_chunks { chunked(&pieces) } else { body.clone() };
            if in_chunks {
                headers.push(("Transfer-Encoding", "chunked"));
            }
            let response = request(scene.gate.addr(), method, &target, &headers, &framed);
            assert_eq!(
                response.status,
                200,
                "{method} {target} {:?}: {}",
                String::from_utf8_lossy(&body),
                response.text()
            );
            assert_eq!(response.header("optgate-decision"), None, "{method} {target}");
            count += 1;
            let received = scene.upstream.wait_for(count);
            let last: &Received = &received[count - 1];
            assert_eq!((last.method(), last.target()), (method, target.as_str()));
            assert_eq!(last.payload(), body.as_slice(), "{method} {target}");
            for (name, value) in headers.iter().filter(|(name, _)| *name != "Transfer-Encoding") {
                assert_eq!(last.head.all(name).collect::<Vec<_>>(), [*value], "{method} {target}");
            }
        }
    }
    assert_eq!(scene.upstream.request_count(), count);
    let passed = scene.gate.count("optgate_requests_total", &["kind=\"passthrough\""]);
    assert_eq!(passed, count);
    assert!(scene.gate.decision_log().is_empty());
}

#[test]
fn an_empty_post_and_a_get_stay_without_a_body() {
    let scene = Scene::start();
    request(scene.gate.addr(), "POST", &edge("deregister"), &[], b"");
    request(scene.gate.addr(), "GET", "/v23.0/1", &[], b"");
    request(scene.gate.addr(), "DELETE", "/v23.0/1", &[], b"");
    let received = scene.upstream.wait_for(3);
    let lengths: Vec<_> = received.iter().map(|r| r.header("content-length")).collect();
    assert_eq!(lengths, [Some("0"), None, None]);
    assert!(received.iter().all(|r| r.header("transfer-encoding").is_none() && r.raw_body.is_empty()));
}

#[test]
fn answers_come_back_byte_for_byte() {
    let scene = Scene::start();
    let date = "Date: Sun, 22 Nov 2026 00:00:00 GMT";
    let body = all_bytes();
    let sized = format!("Content-Length: {}", body.len());
    let pieces: Vec<&[u8]> = body.chunks(61).collect();
    let framed = chunked(&pieces);
    let odd_json = br#"{"a":1e400,"a":12345678901234567890.10,"error":"\ud83d"}"#.to_vec();
    let odd_length = format!("Content-Length: {}", odd_json.len());
    // Method, status, fields, the body on the wire, and without its framing.
    type Case<'a> = (&'a str, u16, Vec<&'a str>, &'a [u8], &'a [u8]);
    let cases: Vec<Case<'_>> = vec![
        (
            "GET",
            200,
            vec![
                "Content-Type: image/png",
                &sized,
                "ETag: \"x\"",
                "Cache-Control: no-store",
                "X-App-Usage: {}",
            ],
            &body,
            &body,
        ),
        ("GET", 200, vec!["Content-Type: image/png", "Transfer-Encoding: chunked"], &framed, &body),
        (
            "POST",
            200,
            vec!["Content-Type: text/javascript; charset=UTF-8", &odd_length],
            &odd_json,
            &odd_json,
        ),
        ("GET", 204, vec![], b"", b""),
        ("GET", 304, vec!["ETag: \"x\""], b"", b""),
        ("HEAD", 200, vec!["Content-Length: 12345", "Content-Type: image/png"], b"", b""),
        ("GET", 206, vec!["Content-Range: bytes 0-527/999", &sized], &body, &body),
        ("GET", 302, vec!["Location: https://lookaside.example/a?b=c&d", "Content-Length: 0"], b"", b""),
        ("GET", 404, vec!["Content-Type: application/json", &odd_length], &odd_json, &odd_json),
        (
            "POST",
            400,
            vec!["WWW-Authenticate: OAuth \"Facebook Platform\" \"invalid_token\"", &odd_length],
            &odd_json,
            &odd_json,
        ),
        ("GET", 500, vec!["Content-Length: 0"], b"", b""),
        ("GET", 599, vec!["Content-Encoding: gzip", &sized], &body, &body),
    ];
    for (method, status, fields, wire, payload) in cases {
        let head = format!("HTTP/1.1 {status} As It Is\r\n{date}\r\n{}\r\n\r\n", fields.join("\r\n"))
            .replace("\r\n\r\n\r\n", "\r\n\r\n");
        scene.upstream.answer(Answer::raw([head.as_bytes(), wire].concat()));
        let response = request(scene.gate.addr(), method, "/v23.0/1/media", &[], b"");
        assert_eq!((response.status, response.body.as_slice()), (status, payload), "{method} {status}");
        let mut told: Vec<String> =
            response.headers().iter().map(|(n, v)| format!("{}: {v}", n.to_lowercase())).collect();
        let mut sent: Vec<String> = fields.iter().chain([&date]).map(|f| lower_name(f)).collect();
        told.sort();
        sent.sort();
        assert_eq!(told, sent, "{method} {status}");
    }
}

fn lower_name(field: &str) -> String {
    let (name, value) = field.split_once(':').unwrap();
    format!("{}:{value}", name.to_lowercase())
}

#[test]
fn an_answer_that_ends_with_its_connection_passes_whole() {
    let scene = Scene::start();
    scene
        .upstream
        .answer(Answer::raw([b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &all_bytes()].concat()).then_close());
    assert_eq!(request(scene.gate.addr(), "GET", "/v23.0/1", &[], b"").body, all_bytes());
}

#[test]
fn a_download_that_breaks_off_is_not_taken_for_a_whole_one() {
    let scene = Scene::start();
    let whole =
        Answer::raw([b"HTTP/1.1 200 OK\r\nContent-Length: 525\r\n\r\n".as_slice(), &all_bytes()].concat());
    scene.upstream.answer(whole.cut_after(300));
    let mut client = scene.gate.connect();
    client.send(&client.head("GET", "/v23.0/1", &[], 0));
    assert_eq!(client.try_response("GET").unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
}

const LARGE: u64 = 100 * 1024 * 1024;
/// The most that the gate may hold while a large body passes.
const BOUND: u64 = 80 * 1024 * 1024;

/// The largest resident memory that the process has had, in bytes.
fn peak_memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() * 1024
}

/// The digest of `start` and `length` bytes of [`filler`], made piece by piece.
fn filler_sha256(start: &[u8], length: u64) -> String {
    let mut digest = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    digest.update(start);
    let piece: Vec<u8> = (0..251).map(filler).collect();
    let mut left = usize::try_from(length).unwrap();
    while left > 0 {
        let now = left.min(piece.len());
        digest.update(&piece[..now]);
        left -= now;
    }
    hex::encode(digest.finish())
}

/// Writes `start` and `length` bytes of [`filler`], in chunks if asked to.
fn upload(client: &mut Client, start: &[u8], length: u64, in_chunks: bool) {
    if in_chunks {
        client.send(&[format!("{:x}\r\n", start.len()).as_bytes(), start, b"\r\n"].concat());
    } else {
        client.send(start);
    }
    let piece: Vec<u8> = (0..251 * 1024).map(filler).collect();
    let mut left = usize::try_from(length).unwrap();
    while left > 0 {
        let now = &piece[..left.min(piece.len())];
        if in_chunks {
            client.send(format!("{:x}\r\n", now.len()).as_bytes());
            client.send(now);
            client.send(b"\r\n");
        } else {
            client.send(now);
        }
        left -= now.len();
    }
    if in_chunks {
        client.send(b"0\r\n\r\n");
    }
}

#[test]
fn a_hundred_megabytes_go_up_and_down_in_constant_memory() {
    let scene = Scene::start();
    scene.upstream.keep_at_most(1024);
    let (total, expected) = (LARGE + PNG.len() as u64, filler_sha256(PNG, LARGE));
    let target = "/v23.0/upload:MTphdHRhY2g=";
    for (at, in_chunks) in [false, true].into_iter().enumerate() {
        let mut client = scene.gate.connect();
        let length = total.to_string();
        let framing =
            if in_chunks { ("Transfer-Encoding", "chunked") } else { ("Content-Length", length.as_str()) };
        client.send(&client.head(
            "POST",
            target,
            &[("Content-Type", "application/octet-stream"), framing],
            0,
        ));
        upload(&mut client, PNG, LARGE, in_chunks);
        assert_eq!(client.response().status, 200);
        let received = &scene.upstream.wait_for(at + 1)[at];
        assert_eq!((received.length, &received.sha256), (total, &expected));
    }
    scene.upstream.answer(Answer::stream(LARGE));
    assert_eq!(download_sha256(scene.gate.addr()), (LARGE, filler_sha256(b"", LARGE)));
    let peak = peak_memory(scene.gate.pid());
    assert!(peak < BOUND, "the gate held {} MiB", peak >> 20);
}

fn download_sha256(gate: SocketAddr) -> (u64, String) {
    let mut stream = std::net::TcpStream::connect(gate).unwrap();
    stream.set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
    std::io::Write::write_all(
        &mut stream,
        format!("GET /v23.0/1 HTTP/1.1\r\nHost: {gate}\r\nConnection: close\r\n\r\n").as_bytes(),
    )
    .unwrap();
    let mut digest = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    let (mut ahead, mut buffer, mut length) = (Vec::new(), vec![0; 256 * 1024], 0);
    let mut in_body = false;
    loop {
        let n = stream.read(&mut buffer).unwrap();
        if n == 0 {
            return (length, hex::encode(digest.finish()));
        }
        let mut piece = &buffer[..n];
        if !in_body {
            ahead.extend_from_slice(piece);
            let Some(end) = ahead.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
            in_body = true;
            piece = &ahead[end + 4..];
        }
        digest.update(piece);
        length += piece.len() as u64;
    }
}

#[test]
fn a_large_watched_upload_streams_in_constant_memory() {
    let scene = Scene::start();
    scene.upstream.keep_at_most(1024);
    let body_start = "--B\r\nContent-Disposition: form-data; name=\"messaging_product\"\r\n\r\nwhatsapp\r\n--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\nContent-Type: video/mp4\r\n\r\n";
    let end = "\r\n--B--\r\n";
    let total = (body_start.len() + end.len()) as u64 + LARGE / 2;
    let mut client = scene.gate.connect();
    client.send(&client.head(
        "POST",
        &edge("media"),
        &[("Content-Type", "multipart/form-data; boundary=B"), ("Content-Length", &total.to_string())],
        0,
    ));
    upload(&mut client, body_start.as_bytes(), LARGE / 2, false);
    client.send(end.as_bytes());
    assert_eq!(client.response().status, 200);
    assert_eq!(scene.upstream.wait_for(1)[0].length, total);
    let peak = peak_memory(scene.gate.pid());
    assert!(peak < BOUND, "the gate held {} MiB", peak >> 20);
}

/// A body too long to be held is watched while it passes; a send at its very end stops it before its end.
#[test]
fn a_send_hidden_at_the_end_of_a_long_upload_never_completes() {
    let scene = Scene::with(|gate| gate.set("proxy", "max_send_body", "\"1KiB\""));
    let start = [
        b"--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n".as_slice(),
        &[b'x'; 5000],
        b"\r\n",
    ]
    .concat();
    let hidden =
        b"--B\r\nContent-Disposition: form-data; name=\"batch\"\r\n\r\n[{\"method\":\"POST\"}]\r\n--B--\r\n";
    let body = [start.as_slice(), hidden].concat();
    // The head of the last part ends with the body: nothing follows that would tell that it is complete.
    let cut = b"--B\r\nContent-Disposition: form-data; name=\"batch\"";
    let cut_body = [start.as_slice(), cut].concat();
    for body in [&body, &cut_body] {
        for in_chunks in [false, true] {
            let framed = if in_chunks { chunked(&[&body[..3000], &body[3000..]]) } else { body.clone() };
            let mut headers = vec![("Content-Type", "multipart/form-data; boundary=B")];
            if in_chunks {
                headers.push(("Transfer-Encoding", "chunked"));
            }
            let response = request(scene.gate.addr(), "POST", &edge("media"), &headers, &framed);
            let id = refusal(400, 100, "unrecognized_send").assert(&response);
            assert_eq!(scene.event(&id)["outcome"], "refused");
        }
    }
    let complete = scene.upstream.requests().iter().filter(|r| r.complete).count();
    assert_eq!(complete, 0);
    let count = |kind: &str| scene.gate.count("optgate_requests_total", &[&format!("kind=\"{kind}\"")]);
    assert_eq!((count("refused"), count("passthrough")), (4, 0));
    assert_eq!(scene.gate.count("optgate_upstream_failures_total", &[]), 0);
}

#[test]
fn an_upload_slower_than_the_response_timeout_is_not_cut() {
    let scene = Scene::with(|gate| {
        gate.set("upstream", "response_timeout_ms", "300").set("proxy", "max_send_body", "\"1KiB\"")
    });
    let mut client = scene.gate.connect();
    let headers = [("Content-Type", "application/octet-stream"), ("Content-Length", "3000")];
    client.send(&client.head("POST", "/v23.0/upload:MTph", &headers, 0));
    let started = Instant::now();
    for piece in [b"0123456789".repeat(100), b"abcdefghij".repeat(100), b"KLMNOPQRST".repeat(100)] {
        // The pace of a caller on a bad line, each pause longer than the provider may take.
        std::thread::sleep(Duration::from_millis(450));
        client.send(&piece);
    }
    assert_eq!(client.response().status, 200);
    assert!(started.elapsed() > Duration::from_secs(1));
    assert_eq!(scene.upstream.wait_for(1)[0].length, 3000);
}

#[test]
fn a_provider_that_stays_silent_after_an_upload_is_given_up() {
    let scene = Scene::with(|gate| gate.set("upstream", "response_timeout_ms", "200"));
    scene.upstream.answer(Answer::silent());
    let response = request(
        scene.gate.addr(),
        "POST",
        "/v23.0/upload:MTph",
        &[("Content-Type", "application/octet-stream")],
        b"abc",
    );
    refusal(504, 135_000, "outcome_unknown").assert_envelope(&response);
    assert_eq!(scene.upstream.request_count(), 1);
}

#[test]
fn a_caller_that_expects_100_continue_gets_it_before_its_body() {
    let scene = Scene::agreed();
    let body = text(ANN).to_string();
    for (target, content_type, body) in [
        (edge("messages"), "application/json", body.as_bytes()),
        ("/v23.0/upload:MTph".to_owned(), "application/octet-stream", b"abc".as_slice()),
    ] {
        let mut client = scene.gate.connect();
        client.send(&client.head(
            "POST",
            &target,
            &[("Content-Type", content_type), ("Expect", "100-continue")],
            body.len(),
        ));
        let interim = client.read_head().unwrap();
        assert_eq!(interim.word(1), "100");
        client.send(body);
        assert_eq!(client.response().status, 200);
    }
    let received = scene.upstream.wait_for(2);
    assert!(received.iter().all(|r| r.header("expect").is_none()));
}

#[test]
fn a_refused_caller_that_expects_100_continue_need_not_send_its_body() {
    let scene = Scene::start();
    let mut client = scene.gate.connect();
    client.send(&client.head(
        "POST",
        &edge("messages_encrypted"),
        &[("Content-Type", "application/json"), ("Expect", "100-continue")],
        100_000,
    ));
    let response = client.response();
    refusal(400, 100, "opaque_payload").assert(&response);
    assert!(response.informational.is_empty());
    scene.assert_untouched();
}

#[test]
fn an_answer_before_the_end_of_an_upload_passes() {
    let scene = Scene::with(|gate| gate.set("proxy", "max_send_body", "\"1KiB\""));
    scene.upstream.answer(Answer::json(413, "{\"error\":{\"code\":1}}").at_head());
    let mut client = scene.gate.connect();
    client.send(&client.head(
        "POST",
        "/v23.0/upload:MTph",
        &[("Content-Type", "application/octet-stream")],
        5000,
    ));
    client.send(b"the first bytes");
    let response = client.response();
    assert_eq!((response.status, response.text().as_str()), (413, "{\"error\":{\"code\":1}}"));
}

#[test]
fn the_path_below_a_base_path_is_the_providers() {
    let scene = Scene::with(|gate| gate.set("proxy", "base_path", "\"/whatsapp\""));
    scene.gate.apply(&[grant(ANN, &["service"])]);
    assert_eq!(scene.gate.post(&format!("/whatsapp{}", edge("messages")), &text(ANN)).status, 200);
    refusal(400, 131_030, "no_consent")
        .assert(&scene.gate.post(&format!("/whatsapp{}", edge("messages")), &text(BOB)));
    assert_eq!(request(scene.gate.addr(), "GET", "/whatsapp/v23.0/1?a=b", &[], b"").status, 200);
    let targets: Vec<_> = scene.upstream.wait_for(2).iter().map(|r| r.target().to_owned()).collect();
    assert_eq!(targets, [edge("messages"), "/v23.0/1?a=b".to_owned()]);
}
