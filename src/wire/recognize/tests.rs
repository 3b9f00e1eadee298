//! The recognizer as a whole: one row per rule, then properties.

use http::request::Parts;
use proptest::prelude::*;

use super::*;
use crate::wire::send::{Label, Surface};

const SENDER: &str = "106540352242922";
const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";
const MULTIPART: &str = "multipart/form-data; boundary=B";
const MESSAGES: &str = "/v23.0/106540352242922/messages";
const TEMPLATE: &str = r#"{"name":"order_update","language":{"code":"en_US"}}"#;

/// A request as a test writes it.
struct Written<'a> {
    method: &'a str,
    target: &'a str,
    headers: &'a [(&'a str, &'a str)],
    body: &'a [u8],
    base_path: &'a str,
}

impl Default for Written<'_> {
    fn default() -> Self {
        Self {
            method: "POST",
            target: MESSAGES,
            headers: &[("content-type", JSON)],
            body: b"",
            base_path: "",
        }
    }
}

impl Written<'_> {
    fn parts(&self) -> Option<Parts> {
        let mut request = http::Request::builder().method(self.method).uri(self.target);
        for (name, value) in self.headers {
            request = request.header(*name, *value);
        }
        if !self.body.is_empty() {
            request = request.header("content-length", self.body.len());
        }
        Some(request.body(()).ok()?.into_parts().0)
    }

    /// What the request is, in a line that a table can hold.
    fn read(&self) -> String {
        let Some(parts) = self.parts() else { return "not http".into() };
        let is_sender = |id: &str| id == SENDER;
        let context = Context { is_sender: &is_sender, base_path: self.base_path };
        let moved = |target: Option<&Target>| target.map(|t| format!(" as {t}")).unwrap_or_default();
        match head(&parts, context) {
            Head::Passthrough(passage, target) => {
                format!("pass {}{}", passage.edge(), moved(target.as_ref()))
            }
            Head::Watched(passage, mut watch, target) => {
                match self
                    .body
                    .chunks(3)
                    .try_for_each(|chunk| watch.feed(chunk))
                    .and_then(|()| watch.finish())
                {
                    Ok(()) => format!("watched {}{}", passage.edge(), moved(target.as_ref())),
                    Err(found) => refused_as(&found),
                }
            }
            Head::Steering(edge) => format!("steering {edge}"),
            Head::Unreadable(found) => refused_as(&found),
            Head::Inspect(inspect) => {
                let read = match body(&inspect, &parts, self.body, context) {
                    Recognized::One(send) => shown(&send),
                    Recognized::Batch(sends) => sends.iter().map(shown).collect::<Vec<_>>().join(" and "),
                    Recognized::Passthrough(passage) => format!("pass {}", passage.edge()),
                    Recognized::Steering(edge) => format!("steering {edge}"),
                    Recognized::Unreadable(found) => return refused_as(&found),
                };
                read + &moved(inspect.target())
            }
        }
    }
}

fn refused_as(found: &Unreadable) -> String {
    assert!(
        !found.why.is_empty() && found.why.chars().next().is_some_and(char::is_lowercase),
        "{}",
        found.why
    );
    let operation = found.operation.map(|at| format!(" at {at}")).unwrap_or_default();
    format!("{}{operation}", found.reason.name())
}

/// `to|recipient: payload`, whatever of it is there.
fn shown(send: &Send<'_>) -> String {
    assert_eq!(send.sender, SENDER);
    let people = [&send.to, &send.recipient].map(|p| p.as_deref().unwrap_or("")).join("|");
    let payload = &send.payload;
    let mut words = Vec::new();
    words.extend(payload.template.as_ref().map(|t| format!("{}/{}", t.name, t.language)));
    let flags = [
        ("unnamed", payload.unnamed_template),
        ("free", payload.free_form),
        ("call", payload.call),
        ("group", send.group),
        ("marketing", send.surface == Surface::MarketingMessages),
        ("utility", payload.label == Some(Label::Utility)),
        ("authentication", payload.label == Some(Label::Authentication)),
    ];
    words.extend(flags.into_iter().filter(|(_, on)| *on).map(|(word, _)| word.to_owned()));
    let at = send.operation.map(|at| format!("{at}: ")).unwrap_or_default();
    format!("{at}{people} {}", words.join(" ")).trim_end().to_owned()
}

fn json(body: &str) -> String {
    Written { body: body.as_bytes(), ..Written::default() }.read()
}

fn at(method: &str, target: &str, kind: &str, body: &[u8]) -> String {
    Written { method, target, headers: &[("content-type", kind)], body, ..Written::default() }.read()
}

#[test]
fn a_json_send_is_read_whatever_its_order_and_type() {
    for (body, expected) in [
        (
            format!(r#"{{"messaging_product":"whatsapp","to":"1","type":"template","template":{TEMPLATE}}}"#),
            "1| order_update/en_US",
        ),
        (
            format!(r#"{{"template":{TEMPLATE},"to":"1","messaging_product":"whatsapp"}}"#),
            "1| order_update/en_US",
        ),
        (format!(r#"{{"to":"1","type":"text","template":{TEMPLATE}}}"#), "1| order_update/en_US free"),
        (format!(r#"{{"to":"1","type":"TEMPLATE","template":{TEMPLATE}}}"#), "1| order_update/en_US"),
        (format!(r#"{{"to":"1","template":{TEMPLATE},"image":{{"id":"1"}}}}"#), "1| order_update/en_US free"),
        (r#"{"to":"1"}"#.into(), "1| free"),
        (r#"{"to":"1","text":{"body":"hi"},"context":{"to":"2"}}"#.into(), "1| free"),
        (r#"{"to":"1","type":"hologram"}"#.into(), "1| free"),
        (r#"{"to":"1","hologram":{}}"#.into(), "1| free"),
        (r#"{"to":"1","recipient":"US.2","text":{}}"#.into(), "1|US.2 free"),
        (r#"{"recipient":"US.2","reaction":{"emoji":""}}"#.into(), "|US.2 free"),
        (r#"{"to":"g","recipient_type":"group","pin":{}}"#.into(), "g| free group"),
        (r#"{"to":"g","recipient_type":"GROUP","text":{}}"#.into(), "g| free group"),
        (r#"{"to":"1","hsm":{"element_name":"a"}}"#.into(), "1| unnamed"),
        (r#"{"to":"1","template":{"id":"900","language":{"code":"en"}}}"#.into(), "1| unnamed"),
        (r#"{"to":"1","template":{"name":"a","id":"900","language":{"code":"en"}}}"#.into(), "1| unnamed"),
        (
            r#"{"to":"1","template":{"name":"a","language":{"code":"en","policy":"fallback"}}}"#.into(),
            "1| unnamed",
        ),
        (
            r#"{"to":"1","template":{"name":"a","language":{"code":"en","policy":"deterministic"}}}"#.into(),
            "1| a/en",
        ),
        (r#"{"to":"1","template":{"language":{"code":"en"}}}"#.into(), "1| unnamed"),
        (r#"{"to":"1","template":{"name":"a"}}"#.into(), "1| unnamed"),
        (r#"{"to":"1","text":{},"category":"utility"}"#.into(), "1| free utility"),
        (r#"{"to":"1","text":{},"category":"authentication"}"#.into(), "1| free authentication"),
        (r#"{"to":"1","type":"interactive","interactive":{"type":"button"}}"#.into(), "1| free"),
        (
            r#"{"to":"1","type":"interactive","interactive":{"type":"call_permission_request"}}"#.into(),
            "1| call",
        ),
        (r#"{"to":"1","text":{},"status":"read","message_id":"wamid"}"#.into(), "1| free"),
        (r#"{"\u0074o":"\u0031","text":{"body":"\/ \ud83d\ude00"}}"#.into(), "1| free"),
        (" \r\n\t{\"to\":\"1\"}\n".into(), "1| free"),
        (r#"{"to":"1","text":{},"method":"get"}"#.into(), "1| free"),
    ] {
        assert_eq!(json(&body), expected, "{body}");
    }
}

#[test]
fn what_two_readers_could_understand_differently_is_refused() {
    let nested = format!(r#"{{"to":"1","x":{}{}}}"#, "[".repeat(200), "]".repeat(200));
    for body in [
        r#"{"to":"1","to":"1"}"#,
        r#"{"to":"1","\u0074o":"2"}"#,
        r#"{"to":"1","To":"2"}"#,
        r#"{"to":"1","to ":"2"}"#,
        r#"{"to":"1","to[]":"2"}"#,
        r#"{"to":"1","recipient.type":"group"}"#,
        r#"{"to":"1","ｔｏ":"2"}"#,
        r#"{"to":"1","é":"2"}"#,
        r#"{"to":1}"#,
        r#"{"to":["1"]}"#,
        r#"{"to":null,"recipient":"US.1"}"#,
        r#"{"to":"1","type":["text"]}"#,
        r#"{"to":"1","type":"template"}"#,
        r#"{"to":"1","type":"hsm","unknown":{}}"#,
        r#"{"to":"1","template":"{}"}"#,
        r#"{"to":"1","template":[]}"#,
        r#"{"to":"1","template":null}"#,
        r#"{"to":"1","template":{"name":"a","name":"b","language":{"code":"en"}}}"#,
        r#"{"to":"1","template":{"name":"a","Name":"b","language":{"code":"en"}}}"#,
        r#"{"to":"1","template":{"name":"a","language":{"code":"en"},"language":{"code":"es"}}}"#,
        r#"{"to":"1","template":{"name":"a","language":{"code":"en","code":"es"}}}"#,
        r#"{"to":"1","template":{"name":"a","language":"en"}}"#,
        r#"{"to":"1","template":{"name":"A","language":{"code":"en"}}}"#,
        r#"{"to":"1","template":{"name":"a ","language":{"code":"en"}}}"#,
        r#"{"to":"1","template":{"name":"a","language":{"code":"e n"}}}"#,
        r#"{"to":"1","template":{"name":900,"language":{"code":"en"}}}"#,
        r#"{"to":"1","interactive":{"type":"button","type":"call_permission_request"}}"#,
        r#"{"to":"1","interactive":"x"}"#,
        r#"{"to":"1","category":"UTILITY"}"#,
        r#"{"to":"1","category":"marketing"}"#,
        r#"{"to":"1","recipient_type":"people"}"#,
        r#"{"to":"1","messaging_product":"messenger"}"#,
        r#"{"to":"1","messaging_product":"WhatsApp"}"#,
        r#"{"to":"1","batch":[]}"#,
        r#"{"to":"1","x":NaN}"#,
        r#"{"to":"1","x":"\ud800"}"#,
        r#"{"to":"1",}"#,
        r#"{"to":"1"}x"#,
        r#"{"to":"1"}{"to":"2"}"#,
        "{\"to\":\"1\"}\0",
        "\u{feff}{\"to\":\"1\"}",
        "{\"to\":\"1\n\"}",
        "{\"to\":\"1\"} // x",
        r#"[{"to":"1"}]"#,
        r#""to""#,
        "null",
        "{}",
        "",
        r#"{"text":{}}"#,
        r#"{"status":"delivered","message_id":"x"}"#,
        &nested,
    ] {
        assert_eq!(json(body), "request_unreadable", "{body}");
    }
    assert_eq!(at("POST", MESSAGES, JSON, b"{\"to\":\"1\",\"x\":\"\xe9\"}"), "request_unreadable");
}

#[test]
fn receipts_call_control_and_other_products_pass() {
    for (target, body, expected) in [
        (
            MESSAGES,
            r#"{"messaging_product":"whatsapp","status":"read","message_id":"wamid"}"#,
            "pass read_receipt",
        ),
        (
            MESSAGES,
            r#"{"status":"read","message_id":"wamid","typing_indicator":{"type":"text"}}"#,
            "pass read_receipt",
        ),
        ("/1/calls", r#"{"call_id":"wacid","action":"terminate"}"#, "pass call_control"),
        (
            "/1/calls",
            r#"{"call_id":"wacid","action":"pre_accept","session":{"sdp":"x"}}"#,
            "pass call_control",
        ),
        ("/777/messages", r#"{"recipient":{"id":"9"},"message":{"text":"hi"}}"#, "pass other_product"),
        (
            "/me/messages",
            r#"{"recipient":{"id":"9"},"messaging_type":"RESPONSE","message":{}}"#,
            "pass other_product",
        ),
        (MESSAGES, r#"{"recipient":{"id":"9"},"message":{"text":"hi"}}"#, "request_unreadable"),
        ("/777/messages", r#"{"recipient":{"id":"9"},"messaging_product":"whatsapp"}"#, "request_unreadable"),
        ("/777/messages", r#"{"recipient":{"id":"9"},"to":"1"}"#, "request_unreadable"),
        ("/777/messages", r#"{"recipient":{"id":"9"},"text":{}}"#, "request_unreadable"),
        ("/me/messages", r#"{"to":"1","text":{}}"#, "unrecognized_send"),
    ] {
        assert_eq!(at("POST", target, JSON, body.as_bytes()), expected, "{target} {body}");
    }
}

#[test]
fn a_send_is_read_from_query_form_and_multipart_alike() {
    let query = format!(
        "{MESSAGES}?messaging_product=whatsapp&%74o=%2B1&type=template&template=%7B%22name%22:%22a%22,%22language%22:%7B%22code%22:%22en%22%7D%7D"
    );
    let form: &[u8] = b"to=%2B1&type=template&template=%7B%22name%22%3A%22a%22%2C%22language%22%3A%7B%22code%22%3A%22en%22%7D%7D";
    let multipart = b"--B\r\nContent-Disposition: form-data; name=\"to\"\r\n\r\n+1\r\n--B\r\nContent-Disposition: form-data; name=template\r\nContent-Type: application/json\r\n\r\n{\"name\":\"a\",\"language\":{\"code\":\"en\"}}\r\n--B--\r\n";
    assert_eq!(at("POST", &query, JSON, b""), "+1| a/en");
    assert_eq!(at("GET", &query, JSON, b""), "+1| a/en");
    assert_eq!(at("POST", MESSAGES, FORM, form), "+1| a/en");
    assert_eq!(at("POST", MESSAGES, MULTIPART, multipart), "+1| a/en");
    assert_eq!(
        at(
            "POST",
            &format!("{MESSAGES}?access_token=x&appsecret_proof=y&fields=id&debug=all"),
            JSON,
            br#"{"to":"1"}"#
        ),
        "1| free"
    );
    assert_eq!(at("POST", &format!("{MESSAGES}?type=text"), JSON, br#"{"to":"1"}"#), "1| free");
    for (target, kind, body) in [
        (format!("{MESSAGES}?to=1"), JSON, &br#"{"to":"1"}"#[..]),
        (format!("{MESSAGES}?To=2"), JSON, br#"{"to":"1"}"#),
        (format!("{MESSAGES}?x=1;to=2"), JSON, br#"{"to":"1"}"#),
        (format!("{MESSAGES}?to=1&to=1"), JSON, b""),
        (format!("{MESSAGES}?batch=[]"), JSON, br#"{"to":"1"}"#),
        (MESSAGES.into(), FORM, b"to=1&template[name]=a"),
        (MESSAGES.into(), FORM, b"to=1&template={'name':'a'}"),
        (MESSAGES.into(), FORM, br#"{"to":"1"}"#),
        (MESSAGES.into(), FORM, b"to=1&x=%zz"),
        (MESSAGES.into(), FORM, b"to=1&x=%ff"),
        (MESSAGES.into(), "text/plain", br#"{"to":"1"}"#),
        (MESSAGES.into(), "application/json; charset=utf-16", br#"{"to":"1"}"#),
        (MESSAGES.into(), JSON, &multipart[..]),
        (MESSAGES.into(), MULTIPART, br#"{"to":"1"}"#),
        (MESSAGES.into(), MULTIPART, b"--B\nContent-Disposition: form-data; name=\"to\"\n\n1\n--B--\n"),
        (MESSAGES.into(), MULTIPART, b"--B\r\nContent-Disposition: form-data; name=\"to\"; name=\"x\"\r\n\r\n1\r\n--B--\r\n"),
        (MESSAGES.into(), MULTIPART, b"--B\r\nContent-Disposition: form-data; name=\"to\"\r\nContent-Transfer-Encoding: base64\r\n\r\nMQ==\r\n--B--\r\n"),
        (MESSAGES.into(), MULTIPART, b"--B\r\nContent-Disposition: form-data; name=\"to\"; filename=\"x\"\r\n\r\n1\r\n--B--\r\n"),
        (MESSAGES.into(), MULTIPART, b"--B\r\nContent-Disposition: form-data; name=\"to\"\r\n\r\n1\r\n--B--\r\n--B\r\n"),
    ] {
        assert_eq!(at("POST", &target, kind, body), "request_unreadable", "{target} {kind}");
    }
}

#[test]
fn content_types_that_readers_disagree_about_are_refused() {
    let body = br#"{"to":"1"}"#;
    for headers in [
        &[][..],
        &[("content-type", JSON), ("content-type", "text/plain")],
        &[("content-type", JSON), ("content-encoding", "gzip")],
        &[("content-type", "multipart/form-data")],
    ] {
        let read = Written { headers, body, ..Written::default() }.read();
        assert_eq!(read, "request_unreadable", "{headers:?}");
    }
    let encoded = [("content-type", JSON), ("content-encoding", "gzip")];
    let parts = Written { headers: &encoded, body, ..Written::default() }.parts().unwrap();
    let Head::Unreadable(found) = head(&parts, Context { is_sender: &|_| true, base_path: "" }) else {
        panic!("a compressed body is refused")
    };
    assert_eq!(found.cause, crate::wire::refusal::Cause::Encoded);
    let identity = [("content-type", "application/json; charset=UTF-8"), ("content-encoding", "identity")];
    assert_eq!(Written { headers: &identity, body, ..Written::default() }.read(), "1| free");
}

#[test]
fn every_spelling_of_a_path_is_judged_and_travels_in_one() {
    for (target, expected) in [
        ("/106540352242922/messages", "1| free"),
        ("/v999.9/106540352242922/messages", "1| free"),
        ("/v23.0/106540352242922/messages/?x=%2b1", "1| free as /v23.0/106540352242922/messages?x=%2b1"),
        ("//v23.0//106540352242922//messages", "1| free as /v23.0/106540352242922/messages"),
        ("/V23.0/106540352242922/MESSAGES", "1| free as /v23.0/106540352242922/messages"),
        ("/v23.0/106540352242922/mess%61ges", "1| free as /v23.0/106540352242922/messages"),
        ("/v23.0/106540352242922/marketing_messages", "1| free marketing"),
        ("/v23.0/106540352242922/calls", "1| call"),
        ("/v23.0/106540352242922", "1| free"),
        ("/v23.0/106540352242922/messages_encrypted", "opaque_payload"),
        ("/v1/messages", "unrecognized_send"),
        ("/messages", "unrecognized_send"),
        ("/v23.0/106540352242922/messages.json", "unrecognized_send"),
        ("/v23.0/106540352242922/messages/x", "unrecognized_send"),
        ("/v23.0/106540352242922/media/../messages", "request_unreadable"),
        ("/v23.0/106540352242922/mess%2561ges", "request_unreadable"),
        ("/v23.0/106540352242922/calls%2f", "request_unreadable"),
        ("/v23.0/106540352242922/messages;x=1", "request_unreadable"),
        ("http://graph.facebook.com/v23.0/106540352242922/messages", "request_unreadable"),
    ] {
        assert_eq!(at("POST", target, JSON, br#"{"to":"1"}"#), expected, "{target}");
    }
}

#[test]
fn a_header_may_turn_a_write_into_the_end_of_a_subscription() {
    for (header, method) in [("x-http-method-override", "DELETE"), ("x-http-method", "delete")] {
        let headers = [("content-type", JSON), (header, method)];
        let read = Written { target: "/v23.0/1/subscribed_apps", headers: &headers, ..Written::default() };
        assert_eq!(read.read(), "steering subscribed_apps", "{header}");
    }
}

#[test]
fn a_mount_point_is_taken_off_and_nothing_outside_of_it_is_served() {
    let batch = br#"{"batch":[{"method":"POST","relative_url":"wa/acme/v23.0/106540352242922/messages","body":"to=1"}]}"#;
    for (target, body, expected) in [
        (
            "/wa/acme/v23.0/106540352242922/messages?x=1",
            &br#"{"to":"1"}"#[..],
            "1| free as /v23.0/106540352242922/messages?x=1",
        ),
        ("/wa/acme", batch, "0: 1| free as /"),
        ("/wa/acmes/106540352242922/messages", br#"{"to":"1"}"#, "unrecognized_send"),
        ("/106540352242922/messages", br#"{"to":"1"}"#, "unrecognized_send"),
    ] {
        let written = Written { target, body, base_path: "/wa/acme", ..Written::default() };
        assert_eq!(written.read(), expected, "{target}");
    }
}

#[test]
fn reads_pass_unless_they_could_be_writes() {
    for (method, target, expected) in [
        ("GET", "/v23.0/106540352242922?fields=id,verified_name", "pass node"),
        ("GET", "/v23.0/1/message_templates?name=messages&limit=5", "pass message_templates"),
        ("GET", "/v23.0/1/call_permissions?user_wa_id=15550000002", "pass other"),
        ("HEAD", "/v23.0/1", "pass node"),
        ("OPTIONS", MESSAGES, "pass messages"),
        ("GET", "/v23.0/106540352242922/messages?limit=5", "pass messages"),
        ("GET", "/v23.0/1?method=get", "pass node"),
        ("DELETE", "/v23.0/1037543291543636?phone_number_id=106540352242922", "pass node"),
        ("DELETE", "/v23.0/106540352242922/messages", "pass messages"),
        ("GET", "/v23.0/1/subscriptions?method=post", "steering subscriptions"),
        ("GET", "/v23.0/1/feed?_method=POST&to=1", "unrecognized_send"),
        ("GET", "/v23.0/106540352242922/messages?method=post&to=1", "1| free"),
        ("GET", "/v23.0/106540352242922/messages?to=1", "1| free"),
        ("TRACE", MESSAGES, "request_unreadable"),
    ] {
        assert_eq!(at(method, target, JSON, b""), expected, "{method} {target}");
    }
    let mut parts = Written { method: "GET", target: "/1/signups", ..Written::default() }.parts().unwrap();
    parts.version = http::Version::HTTP_2;
    let is_sender = |_: &str| false;
    let context = Context { is_sender: &is_sender, base_path: "" };
    let Head::Inspect(inspect) = head(&parts, context) else { panic!("over HTTP/2 a body could follow") };
    assert!(matches!(body(&inspect, &parts, b"", context), Recognized::Passthrough(_)));
    assert!(matches!(body(&inspect, &parts, b"method=post", context), Recognized::Unreadable(_)));
    parts.uri = "/1/call_permissions?recipient=US.1".parse().unwrap();
    let Head::Inspect(inspect) = head(&parts, context) else { panic!("over HTTP/2 a body could follow") };
    assert!(matches!(body(&inspect, &parts, b"", context), Recognized::Passthrough(_)));
    let overridden = [("x-http-method-override", "POST")];
    let written = Written { method: "GET", target: "/1/signups", headers: &overridden, ..Written::default() };
    assert_eq!(written.read(), "steering signups");
    assert_eq!(at("GET", "/1", JSON, br#"{"method":"post","webhook_configuration":{}}"#), "steering node");
}

#[test]
fn writes_pass_unless_they_carry_a_send_or_steer() {
    for (method, target, kind, body, expected) in [
        ("POST", "/1/deregister", JSON, &b""[..], "pass deregister"),
        ("POST", "/1/register", JSON, br#"{"messaging_product":"whatsapp","pin":"212834"}"#, "pass register"),
        ("POST", "/1", JSON, br#"{"pin":"212834"}"#, "pass node"),
        (
            "POST",
            "/app/uploads?file_name=a.jpg&file_length=9&file_type=image/jpeg",
            JSON,
            b"",
            "pass uploads",
        ),
        (
            "POST",
            "/1/message_templates",
            JSON,
            br#"{"name":"a","category":"UTILITY","components":[{"text":"x"}]}"#,
            "pass message_templates",
        ),
        (
            "POST",
            "/1/whatsapp_business_profile",
            JSON,
            br#"{"messaging_product":"whatsapp","about":"x"}"#,
            "pass whatsapp_business_profile",
        ),
        ("POST", "/1/request_code?code_method=SMS&language=en", JSON, b"", "pass request_code"),
        ("POST", "/1/block_users", JSON, br#"{"block_users":[{"user":"+1"}]}"#, "pass block_users"),
        ("POST", "/1/settings", JSON, br#"{"calling":{"status":"ENABLED"}}"#, "pass settings"),
        ("POST", "/1/message_samples", JSON, br#"{"to":"1","text":{}}"#, "pass message_samples"),
        ("PUT", "/v1/messages/gBEG", JSON, br#"{"status":"read"}"#, "pass receipt"),
        (
            "POST",
            "/v1/contacts",
            JSON,
            br#"{"blocking":"wait","contacts":["+1"]}"#,
            "pass on_premises_contacts",
        ),
        ("POST", "/1/feed", FORM, b"message=hello&link=x", "pass other"),
        ("POST", "/1/message_templates", FORM, br#"{"name":"a"}"#, "pass message_templates"),
        ("POST", "/1/subscribed_apps", JSON, b"", "pass subscribed_apps"),
        ("PUT", "/v1/messages/gBEG", JSON, br#"{"status":"read","to":"1"}"#, "unrecognized_send"),
        ("POST", "/1/feed", FORM, b"message=hello&to=1", "unrecognized_send"),
        ("POST", "/1/feed", JSON, br#"{"Text":{}}"#, "unrecognized_send"),
        ("POST", "/1/feed", "text/plain", b"to=1", "unrecognized_send"),
        ("POST", "/1/feed", JSON, b"\x1f\x8b\x08", "unrecognized_send"),
        ("POST", "/1/media?to=1", JSON, b"", "unrecognized_send"),
        ("POST", "/1/message_templates", JSON, br#"{"batch":[]}"#, "unrecognized_send"),
        ("POST", "/1/message_samples", JSON, br#"{"batch":[]}"#, "unrecognized_send"),
        ("POST", "/1/settings", JSON, br#"{"calling":{"sip":{"status":"ENABLED"}}}"#, "steering settings"),
        (
            "POST",
            "/1/settings",
            JSON,
            br#"{"calling":{"s\u0069p":{"status":"ENABLED"}}}"#,
            "steering settings",
        ),
        ("POST", "/1/settings", FORM, b"calling=%7B%22sip%22%3A1%7D", "steering settings"),
        ("POST", "/1/settings", JSON, br#"{"payload_encryption":{}}"#, "steering settings"),
        ("POST", "/1/subscribed_apps?override_callback_uri=x", JSON, b"", "steering subscribed_apps"),
        ("POST", "/1/subscribed_apps", FORM, b"override%5Fcallback_uri=x", "steering subscribed_apps"),
        ("DELETE", "/1/subscribed_apps", JSON, b"", "steering subscribed_apps"),
        ("GET", "/1/subscribed_apps?method=delete", JSON, b"", "steering subscribed_apps"),
        ("POST", "/1/subscribed_apps?method=DELETE", JSON, b"", "steering subscribed_apps"),
        ("POST", "/1/subscribed_apps", FORM, b"access_token=x&_method=delete", "steering subscribed_apps"),
        ("POST", "/1/subscribed_apps", JSON, br#"{"method":"d\u0065lete"}"#, "steering subscribed_apps"),
        ("POST", "/1/subscribed_apps", FORM, b"method=post", "pass subscribed_apps"),
        ("GET", "/1/subscribed_apps", JSON, b"", "pass subscribed_apps"),
        ("GET", "/v1/messages?to=1", JSON, b"", "unrecognized_send"),
        ("GET", "/v1/messages?after=1", JSON, b"", "pass foreign_messages"),
        ("POST", "/app/subscriptions", FORM, b"object=whatsapp_business_account", "steering subscriptions"),
        ("DELETE", "/app/subscriptions", JSON, b"", "steering subscriptions"),
        ("POST", "/1", JSON, br#"{"webhook_configuration":{"override_callback_uri":"x"}}"#, "steering node"),
        ("POST", "/1", JSON, br#"{"whatsapp_business_api_data":{}}"#, "steering node"),
        ("POST", "/777/messages", MULTIPART, b"--B\r\nContent-Disposition: form-data; name=\"recipient\"\r\n\r\n{\"id\":\"9\"}\r\n--B\r\nContent-Disposition: form-data; name=\"filedata\"; filename=\"a.png\"\r\nContent-Type: image/png\r\n\r\n\x89\r\n--B--\r\n", "pass other_product"),
        ("POST", "/1/welcome_message_sequences", JSON, b"{}", "steering welcome_message_sequences"),
        ("DELETE", "/1/signups/2", JSON, b"", "steering signups"),
        ("POST", "/g/participants", JSON, b"{}", "group_not_permitted"),
        ("DELETE", "/g/participants", JSON, b"", "pass participants"),
        ("DELETE", "/g/participants", JSON, br#"{"participants":[{"user":"1"}]}"#, "pass participants"),
        ("DELETE", "/g/participants", JSON, br#"{"method":"post","participants":[]}"#, "group_not_permitted"),
        ("POST", "/1/feed", FORM, b"x=1&%C2,%A0b%61tch=[]", "request_unreadable"),
        ("POST", "/1/feed?%FFto=1", JSON, b"", "unrecognized_send"),
        ("POST", "/1/feed", MULTIPART, b"--B\r\nContent-Disposition: form-data; name=\"b\\atch\"\r\n\r\n[]\r\n--B--\r\n", "unrecognized_send"),
        ("POST", "/1", FORM, b"\x01\x02\x03\x04\x05\x06\x07\x0e\0{\"to\":\"1\"}", "unrecognized_send"),
        ("POST", "/1", FORM, b"// x\n{\"to\":\"1\"}", "unrecognized_send"),
        ("POST", "/1", FORM, b"\xc2\xa0\x0b{'to':'1'}", "unrecognized_send"),
    ] {
        assert_eq!(
            at(method, target, kind, body),
            expected,
            "{method} {target} {}",
            String::from_utf8_lossy(body)
        );
    }
}

#[test]
fn uploads_stream_and_are_watched() {
    let part = |name: &str, content: &str| {
        format!("--B\r\nContent-Disposition: form-data; {name}\r\n\r\n{content}\r\n")
    };
    let upload = |parts: &[String]| [parts.concat().as_bytes(), b"--B--\r\n"].concat();
    let file = part(
        "name=\"file\"; filename=\"to.jpg\"\r\nContent-Type: image/jpeg",
        "\u{0}--C name=\"to\"\r\n\r\n--",
    );
    let product = part("name=\"messaging_product\"", "whatsapp");
    for (parts, expected) in [
        (vec![product.clone(), file.clone()], "watched media"),
        (vec![file.clone(), part("name=\"type\"", "image/jpeg")], "watched media"),
        (vec![part("name=file; filename=image", "x")], "watched media"),
        (vec![file.clone(), part("name=\"batch\"", "[]")], "unrecognized_send"),
        (vec![file.clone(), part("name=\"to\"", "1")], "unrecognized_send"),
        (vec![file.clone(), part("NAME='Text'", "{}")], "unrecognized_send"),
        (vec![file.clone(), part("name*=utf-8''b%61tch", "[]")], "unrecognized_send"),
        (vec![part("name=\"x\"", "--B\nContent-Disposition: form-data; name=to\n\n1")], "unrecognized_send"),
        (vec!["{\"batch\":[]}".into()], "unrecognized_send"),
        (vec![part(&format!("name=\"{}\"", "x".repeat(9000)), "")], "unrecognized_send"),
    ] {
        assert_eq!(at("POST", "/1/media", MULTIPART, &upload(&parts)), expected, "{parts:?}");
    }
    for (body, expected) in [
        (&b"\x89PNG\r\n\x1a\n\0\0to=1&to=2"[..], "watched upload"),
        (b"%PDF-1.4", "watched upload"),
        (b"a=b&b%61tch=[]", "unrecognized_send"),
        (b"{\"batch\":[]}", "unrecognized_send"),
        (b"--\x83\n; name=\"batch\"\r\n\r\n[{}]", "unrecognized_send"),
        (b"{\xff\xd8 the rest of a file", "watched upload"),
        (b"{\xff {\"batch\":[{\"method\":\"POST\"}]}", "unrecognized_send"),
        (&[&b"\xef\xbb\xbf"[..], &[b' '; 99], b"{\"a\":\"=\",\"batch\":[{}]}"].concat(), "unrecognized_send"),
        (
            &[&b" \xff\xfe"[..], &[b'\n'; 13], b"\xef\xbb\xbf {\"a\":\"=\",\"batch\":[{}]}"].concat(),
            "unrecognized_send",
        ),
        (
            &[&b"\xff\xfe"[..], &b"\x28\x20".repeat(9), b"{\0\"\0b\0a\0t\0c\0h\0\"\0:\0"].concat(),
            "unrecognized_send",
        ),
        (&[&b"\xef\xbb\xbf"[..], &[b' '; 14], b"--BB"].concat(), "unrecognized_send"),
        (b"\xef\xbb\xbf a file", "watched upload"),
        (&[&b"a=1&"[..], &[b'+'; 99], b"batch=[]"].concat(), "unrecognized_send"),
        (&[&b"a=1&"[..], "%20".repeat(99).as_bytes(), b"%62atch=[]"].concat(), "unrecognized_send"),
        (&[&b"a=1&batch["[..], &[b'x'; 99], b"]=[]"].concat(), "unrecognized_send"),
        (&[&b"a=1&"[..], &[b'x'; 99], b"batch=[]"].concat(), "unrecognized_send"),
        (&[&b"a=1&"[..], &[b'x'; 99], b"batches=[]"].concat(), "watched upload"),
    ] {
        assert_eq!(at("POST", "/upload:MTp?sig=x", FORM, body), expected);
    }
}

#[test]
fn each_operation_of_a_batch_is_judged_as_if_alone() {
    let send = |to: &str| {
        format!(
            r#"{{"method":"post","relative_url":"/v23.0/106540352242922/messages","body":"to={to}&text=%7B%7D"}}"#
        )
    };
    let read = r#"{"method":"GET","relative_url":"106540352242922?fields=id"}"#.to_owned();
    let of = |relative_url: &str, rest: &str| {
        format!(r#"{{"method":"POST","relative_url":"{relative_url}"{rest}}}"#)
    };
    for (operations, expected) in [
        (vec![read.clone(), read.clone()], "pass batch"),
        (vec![read.clone(), send("1"), send("2")], "1: 1| free and 2: 2| free"),
        (vec![of("106540352242922/messages?to=1", "")], "0: 1| free"),
        (
            vec![of(
                "106540352242922/messages",
                r#","headers":["Content-Type: application/json"],"body":"{\"to\":\"1\"}""#,
            )],
            "0: 1| free",
        ),
        (
            vec![of(
                "106540352242922/messages",
                r#","headers":{"Content-Type":"application/json"},"body":"{\"to\":\"1\"}""#,
            )],
            "0: 1| free",
        ),
        (vec![of("1/signups", "")], "steering signups"),
        (vec![send("1"), of("1/signups", "")], "request_unreadable at 1"),
        (
            vec![read.clone(), of("106540352242922/messages", r#","body":"{\"to\":\"1\"}""#)],
            "request_unreadable at 1",
        ),
        (vec![of("106540352242922/messages", r#","body":"to={result=a:$.b}""#)], "request_unreadable at 0"),
        (
            vec![of(
                "106540352242922/messages",
                r#","body":"to=1&text=%7B%22body%22%3A%22%257Bresult%3Da%22%7D""#,
            )],
            "request_unreadable at 0",
        ),
        (vec![of("1/media/../messages", "")], "request_unreadable at 0"),
        (vec![of("https://graph.facebook.com/106540352242922/messages?to=1", "")], "request_unreadable at 0"),
        (vec![of("?batch=[]", "")], "unrecognized_send at 0"),
        (vec![of("", r#","body":"batch=[]""#)], "unrecognized_send at 0"),
        (vec![r#"{"relative_url":"1","body":"a","body":"b"}"#.into()], "request_unreadable"),
        (vec![r#"{"relative_url":"1","Body":"a"}"#.into()], "request_unreadable"),
        (vec![r#"{"relative_url":"1","to":"1"}"#.into()], "request_unreadable"),
        (vec![r#"{"method":"POST"}"#.into()], "request_unreadable at 0"),
        (vec![read.clone(); 51], "request_unreadable"),
    ] {
        let batch = format!("[{}]", operations.join(","));
        let encoded =
            percent_encoding::utf8_percent_encode(&batch, percent_encoding::NON_ALPHANUMERIC).to_string();
        let part =
            format!("--B\r\nContent-Disposition: form-data; name=\"batch\"\r\n\r\n{batch}\r\n--B--\r\n");
        for (target, kind, body) in [
            ("/", FORM, format!("access_token=x&batch={encoded}")),
            ("/v23.0/me", JSON, format!(r#"{{"batch":{batch},"include_headers":false}}"#)),
            ("/v23.0", JSON, format!(r#"{{"batch":{}}}"#, serde_json::to_string(&batch).unwrap())),
            ("/v23.0/anything", MULTIPART, part),
            (&*format!("/?batch={encoded}"), JSON, String::new()),
        ] {
            assert_eq!(at("POST", target, kind, body.as_bytes()), expected, "{target} {kind} {batch}");
        }
    }
    for (target, kind, body) in [
        ("/", FORM, "batch=[]&batch=[]"),
        ("/", FORM, "batch[]=[]"),
        ("/?batch=[]", FORM, "batch=[]"),
        ("/?batch=[]", FORM, r#"{"batch":[{"method":"POST","relative_url":"1/messages","body":"to=1"}]}"#),
        ("/", "text/plain", "batch=[]"),
        ("/", FORM, "batch=[{method:'POST'}]"),
    ] {
        assert_eq!(at("POST", target, kind, body.as_bytes()), "request_unreadable", "{target} {body}");
    }
    assert_eq!(at("POST", "/", FORM, b"batch=[]&to=1"), "unrecognized_send");
}

#[test]
fn dialects_and_senders_are_told_from_the_path() {
    let of = |target| Written { target, ..Written::default() }.parts().unwrap();
    assert_eq!(sender_of(&of(MESSAGES)), Some(SENDER));
    assert_eq!(sender_of(&of("/v1/messages")), None);
    let is_sender = |_: &str| false;
    let context = Context { is_sender: &is_sender, base_path: "" };
    for (target, dialect) in [("/v1/messages", Dialect::OnPremises), ("/v23.0/messages", Dialect::Cloud)] {
        let Head::Unreadable(found) = head(&of(target), context) else { panic!("{target} is refused") };
        assert_eq!(found.dialect, dialect, "{target}");
    }
}

/// Bytes that matter to some reader.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(br#"{}[]":,\&=%;+-_ toTO1BEbatch/.'u0074"#.to_vec()), 0..8)
}

proptest! {
    #[test]
    fn nothing_makes_recognizing_panic(body in prop::collection::vec(any::<u8>(), 0..200), target in "/[!-~]{0,40}", kind in 0..4_usize) {
        let kinds = [JSON, FORM, MULTIPART, "x"];
        at("POST", &target, kinds[kind], &body);
        at("POST", MESSAGES, kinds[kind], &body);
        at("POST", "/1/media", kinds[kind], &body);
    }

    /// Wherever a byte is changed: the send is judged, with its recipient or the one that it now names, or refused. It never passes.
    #[test]
    fn a_changed_send_never_passes_unjudged(at_byte in 0..1000_usize, cut in 0..4_usize, insert in noise(), kind in 0..3_usize) {
        let (kind, whole) = [
            (JSON, format!(r#"{{"messaging_product":"whatsapp","to":"15550000001","type":"template","template":{TEMPLATE}}}"#)),
            (FORM, format!("messaging_product=whatsapp&to=15550000001&type=template&template={TEMPLATE}")),
            (MULTIPART, format!("--B\r\nContent-Disposition: form-data; name=\"to\"\r\n\r\n15550000001\r\n--B\r\nContent-Disposition: form-data; name=\"template\"\r\n\r\n{TEMPLATE}\r\n--B--\r\n")),
        ][kind].clone();
        let mut body = whole.into_bytes();
        let start = at_byte % body.len();
        let end = (start + cut).min(body.len());
        body.splice(start..end, insert);
        let read = at("POST", MESSAGES, kind, &body);
        prop_assert!(!read.starts_with("pass") && !read.starts_with("watched"), "{read} {}", String::from_utf8_lossy(&body));
    }

    /// A watch finds a part wherever chunks happen to be cut.
    #[test]
    fn a_watch_does_not_depend_on_chunks(chunk in 1..40_usize, fill in 0..60_usize) {
        let body = format!("--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n{}\r\n--B\r\nContent-Disposition: form-data; name=\"to\"\r\n\r\n1\r\n--B--\r\n", "-".repeat(fill));
        let mut watch = Watch::multipart("B", false);
        prop_assert!(body.as_bytes().chunks(chunk).try_for_each(|part| watch.feed(part)).is_err());
    }
}

mod elsewhere;
mod lenient;
mod parts;
mod unjudged;
