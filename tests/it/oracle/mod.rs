//! Nothing slips past, proved by machine: what a deliberately lenient oracle finds in a request was judged, or nothing was forwarded.
//!
//! `OPTGATE_ORACLE_CASES=300000 cargo test --test it oracle` searches longer than the suite does. The fuzz targets in `tests/fuzz` share [`lenient`],
//! [`assertion`] and [`choices`].

pub(crate) mod assertion;
pub(crate) mod choices;
pub(crate) mod lenient;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use self::assertion::{Arrival, SENDER, Verdict, recognize, violation};
use self::choices::Choices;
use self::lenient::{Content, Finding, Request, find};

/// How many requests are tried.
fn cases() -> u32 {
    std::env::var("OPTGATE_ORACLE_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(4_000)
}

#[test]
fn whatever_the_oracle_finds_is_judged_or_nothing_is_forwarded() {
    let config = Config { cases: cases(), failure_persistence: None, ..Config::default() };
    // The suite asks the same questions every time; whoever asks for a number of cases gets new ones.
    let mut runner = match std::env::var_os("OPTGATE_ORACLE_CASES") {
        Some(_) => TestRunner::new(config),
        None => TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha)),
    };
    let outcome = runner.run(&prop::collection::vec(any::<u8>(), 0..160), |bytes| {
        let (request, arrival) = choices::request(&mut Choices::new(&bytes));
        let wrong = violation(&request, arrival);
        prop_assert!(wrong.is_none(), "{}\n{}", wrong.unwrap_or_default(), shown(&request, arrival));
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

/// A property that never meets a send proves nothing.
#[test]
fn the_requests_that_are_tried_reach_every_outcome_and_hold_sends() {
    let mut runner = TestRunner::deterministic();
    let (mut refused, mut passed, mut judged, mut batches, mut found) = (0, 0, 0, 0, 0);
    for _ in 0..2_000 {
        let tree = prop::collection::vec(any::<u8>(), 0..160).new_tree(&mut runner).unwrap();
        let (request, arrival) = choices::request(&mut Choices::new(&tree.current()));
        found += usize::from(!find(&request, SENDER).is_empty());
        match recognize(&request, arrival) {
            Verdict::NotHttp => {}
            Verdict::Refused => refused += 1,
            Verdict::Passed(_) => passed += 1,
            Verdict::Judged(sends, _) => {
                judged += 1;
                batches += usize::from(sends.iter().any(|send| send.operation.is_some()));
            }
        }
    }
    let counts = [refused, passed, judged, batches, found];
    assert!(counts.iter().zip([200, 60, 80, 10, 800]).all(|(count, least)| *count >= least), "{counts:?}");
}

fn shown(request: &Request, arrival: Arrival) -> String {
    let body = String::from_utf8_lossy(&request.body);
    format!("{} {} {:?} {arrival:?}\n{body}", request.method, request.target, request.headers)
}

fn post(target: &str, content_type: &str, body: impl AsRef<[u8]>) -> Request {
    Request {
        method: "POST".into(),
        target: target.into(),
        headers: vec![("content-type".into(), content_type.into())],
        body: body.as_ref().to_vec(),
    }
}

/// Who could be reached, and with what.
fn reached(request: &Request) -> Vec<String> {
    let shown = |finding: Finding| match finding {
        Finding::Opaque(why) => why.to_owned(),
        Finding::Send(found) => {
            let content = found.content.iter().map(|content| match content {
                Content::Template(name, language) => format!("{name}/{language}"),
                Content::SomeTemplate
                | Content::FreeForm
                | Content::Call
                | Content::Marketing
                | Content::Label(_) => format!("{content:?}"),
            });
            let at = found.operation.map_or(String::new(), |at| format!("{at}: "));
            format!("{at}{} {}", found.recipient, content.collect::<Vec<_>>().join("+"))
        }
    };
    find(request, SENDER).into_iter().map(shown).collect()
}

#[test]
fn the_oracle_finds_a_send_in_every_place_and_spelling() {
    const JSON: &str = "application/json";
    const FORM: &str = "application/x-www-form-urlencoded";
    let messages = format!("/v23.0/{SENDER}/messages");
    let utf16: Vec<u8> = "\u{feff}{\"to\":\"1\"}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (target, kind, body) in [
        (messages.clone(), JSON, b"{\"to\":\"1\"}".to_vec()),
        (messages.clone(), JSON, b"{\"to\":1}".to_vec()),
        (messages.clone(), JSON, b"\xef\xbb\xbf{'T\\u006f':'1',}".to_vec()),
        (messages.clone(), JSON, b"/* */ {to:1".to_vec()),
        (messages.clone(), JSON, utf16),
        (messages.clone(), "text/plain", b"{\"to\":\"1\"}".to_vec()),
        (messages.clone(), FORM, b"%54O%5B%5D=1".to_vec()),
        (messages.clone(), FORM, b"a;to=1".to_vec()),
        (messages.clone(), JSON, b"[{\"to\":\"1\"}]".to_vec()),
        (messages.clone(), "", b"--X\nContent-Disposition: x; name=to\n\n1\n--X--".to_vec()),
        (messages.clone(), "multipart/form-data; boundary=X", b"--X\r\nContent-Disposition: form-data; name*=''%74o\r\nContent-Transfer-Encoding: base64\r\n\r\nMQ==\r\n--X--".to_vec()),
        (format!("{messages}?to=1"), JSON, Vec::new()),
        (format!("/V1/{SENDER}/x/..//%4Dessages.json;a?to=1"), JSON, Vec::new()),
        (format!("/{SENDER}"), JSON, b"{\"recipient\":\"1\"}".to_vec()),
    ] {
        let request = post(&target, kind, body);
        let found = reached(&request);
        assert!(found.contains(&"1 FreeForm".to_owned()), "{found:?} in {request:?}");
    }
}

#[test]
fn the_oracle_hears_every_value_of_a_field_and_every_operation_of_a_batch() {
    let messages = format!("/{SENDER}/messages?to=2");
    let twice = r#"{"to":"1","TO":"3","template":{"name":"a","language":{"code":"en","code":"es"}}}"#;
    let all = reached(&post(&messages, "application/json", twice));
    assert_eq!(all, ["2 a/en+a/es", "1 a/en+a/es", "3 a/en+a/es"]);
    let inner = format!(r#"[{{"method":"POST","relative_url":"{SENDER}/calls","body":"to=7"}}]"#);
    let outer = format!(
        r#"[{{"relative_url":"me"}},{{"method":"post","relative_url":"","body":{}}}]"#,
        serde_json::json!(format!("batch={inner}"))
    );
    for request in [
        post("/", "application/x-www-form-urlencoded", format!("batch={inner}")),
        post("/v23.0/1/media", "application/json", format!("{{\"batch\":{inner}}}")),
        post("/", "application/json", format!("{{\"batch\":{}}}", serde_json::json!(inner))),
        post(&format!("/?batch={inner}"), "", ""),
    ] {
        assert_eq!(reached(&request), ["0: 7 Call"], "{request:?}");
    }
    let cookie =
        Request { headers: vec![("Cookie".into(), format!("a=b; batch={inner}"))], ..post("/", "", "") };
    assert_eq!(reached(&cookie), ["0: 7 Call"]);
    let nested = post("/", "application/json", format!("{{\"batch\":{outer}}}"));
    assert_eq!(reached(&nested), ["1: 7 Call"]);
}

#[test]
fn the_oracle_leaves_alone_what_contacts_nobody() {
    for request in [
        post("/1/messages", "application/json", r#"{"status":"read","message_id":"x"}"#),
        post("/777/messages", "application/json", r#"{"recipient":{"id":"1"},"message":{"text":"x"}}"#),
        post("/1/message_templates", "application/json", r#"{"name":"to","components":[{"text":"to=1"}]}"#),
        post("/1/messages", "application/json", r#"{"text":{"body":"a&to=1"}}"#),
        Request { headers: vec![("cookie".into(), "a=b; c=to".into())], ..post("/1/messages", "", "") },
        Request { method: "GET".into(), ..post("/1?fields=id&to=1", "", "") },
    ] {
        assert_eq!(reached(&request), [""; 0], "{request:?}");
    }
}
