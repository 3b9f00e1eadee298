//! What clients in the field send, byte for byte: old versions and none, chunked bodies, every way to write a number, batches.
//!
//! Each variant is played twice: for somebody who agreed it arrives as it was sent, for somebody who did not nothing arrives.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::{FRIEND, FRIEND_ID, LEAVER, STRANGER, STRANGER_ID, Stage, body, sends};
use crate::journey::{edge, template, text};
use crate::support::client::{Response, request};
use crate::support::gate::SENDER;

const JSON: (&str, &str) = ("Content-Type", "application/json");
const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
const MULTIPART: (&str, &str) = ("Content-Type", "multipart/form-data; boundary=X");
const BEARER: (&str, &str) = ("Authorization", "Bearer EAAMADEUP");
const CHUNKED: (&str, &str) = ("Transfer-Encoding", "chunked");

/// A request as a client writes it.
struct Written {
    target: String,
    headers: Vec<(&'static str, &'static str)>,
    body: String,
}

impl Written {
    fn json(target: impl Into<String>, body: &Value) -> Self {
        Self { target: target.into(), headers: vec![BEARER, JSON], body: body.to_string() }
    }

    fn post(&self, stage: &Stage) -> Response {
        request(stage.gate.addr(), "POST", &self.target, &self.headers, self.body.as_bytes())
    }
}

/// The request arrives as it was sent, once, and the sandbox finds exactly these sends in it.
#[track_caller]
fn arrives(stage: &Stage, written: &Written, expected: &[(&str, &str)]) {
    arrives_as(stage, written, &written.body, expected);
}

/// The same for a body whose framing may change on the way.
#[track_caller]
fn arrives_as(stage: &Stage, written: &Written, payload: &str, expected: &[(&str, &str)]) {
    let before = stage.journal().requests();
    let response = written.post(stage);
    assert_eq!(response.status, 200, "{}: {}", written.target, response.text());
    assert_eq!(
        response.header("optgate-decision").map(|d| d.starts_with("allow; ")),
        Some(true),
        "{}",
        written.target
    );
    assert_eq!(stage.journal().requests(), before + 1, "{}", written.target);
    let entry = stage.journal().entries().pop().unwrap();
    assert_eq!(entry.target, written.target);
    assert_eq!(String::from_utf8_lossy(body(&entry)), payload, "{}", written.target);
    assert_eq!(sends(&entry), expected, "{}", written.target);
    let token = entry.headers.get("authorization").map(|value| value.to_str().unwrap());
    assert_eq!(token, written.headers.contains(&BEARER).then_some(BEARER.1), "{}", written.target);
}

/// The request is refused for want of consent, and nothing arrives.
#[track_caller]
fn is_refused(stage: &Stage, written: &Written) -> String {
    let before = stage.journal().requests();
    let response = written.post(stage);
    assert_eq!(response.status, 400, "{}: {}", written.target, response.text());
    let error = &response.json()["error"];
    assert_eq!(error["code"], 131_030, "{}: {error}", written.target);
    assert_eq!(response.header("optgate-decision"), Some("deny; reason=no_consent"), "{}", written.target);
    assert_eq!(stage.journal().requests(), before, "{}", written.target);
    error["error_data"]["details"].as_str().unwrap().to_owned()
}

#[test]
fn every_version_from_14_to_25_and_none_is_judged_alike() {
    let stage = Stage::set();
    let versions = (14..=25).map(|major| format!("/v{major}.0")).chain([String::new()]);
    for version in versions {
        let target = format!("{version}/{SENDER}/messages");
        arrives(&stage, &Written::json(&target, &text(FRIEND)), &[(FRIEND, "service")]);
        arrives(&stage, &Written::json(&target, &template(LEAVER, "order_update")), &[(LEAVER, "utility")]);
        is_refused(&stage, &Written::json(&target, &text(STRANGER)));
    }
}

#[test]
fn chunked_bodies_are_judged_however_they_are_cut() {
    let stage = Stage::set();
    for size in [1, 7, 64, 4096] {
        let chunked = |message: &Value| Written {
            target: edge("messages"),
            headers: vec![BEARER, JSON, CHUNKED],
            body: in_chunks(&message.to_string(), size),
        };
        arrives_as(&stage, &chunked(&text(FRIEND)), &text(FRIEND).to_string(), &[(FRIEND, "service")]);
        is_refused(&stage, &chunked(&text(STRANGER)));
    }
}

fn in_chunks(text: &str, size: usize) -> String {
    let chunk = |piece: &[u8]| format!("{:x}\r\n{}\r\n", piece.len(), String::from_utf8_lossy(piece));
    text.as_bytes().chunks(size).map(chunk).collect::<String>() + "0\r\n\r\n"
}

#[test]
fn numbers_are_one_person_however_they_are_written() {
    let stage = Stage::set();
    for spelling in ["+1555000000#", "1555000000#", "+1 (555) 000-000#", "+1-555-000-000#", "1 555 000 000#"]
    {
        let (friend, stranger) = (spelling.replace('#', "1"), spelling.replace('#', "2"));
        arrives(&stage, &Written::json(edge("messages"), &text(&friend)), &[(&friend, "service")]);
        is_refused(&stage, &Written::json(edge("messages"), &text(&stranger)));
    }
}

#[test]
fn user_ids_in_recipient_are_judged_without_to_and_beside_it() {
    let stage = Stage::set();
    let written = |to: Option<&str>, user_id: &str| {
        let mut message = text("");
        let fields = message.as_object_mut().unwrap();
        fields.remove("to");
        fields.extend(to.map(|to| ("to".to_owned(), json!(to))));
        fields.insert("recipient".to_owned(), json!(user_id));
        Written::json(edge("messages"), &message)
    };
    arrives(&stage, &written(None, FRIEND_ID), &[(FRIEND_ID, "service")]);
    // The sandbox lets `to` win, as Meta does.
    arrives(&stage, &written(Some(FRIEND), FRIEND_ID), &[(FRIEND, "service")]);
    is_refused(&stage, &written(None, STRANGER_ID));
    is_refused(&stage, &written(Some(FRIEND), STRANGER_ID));
    is_refused(&stage, &written(Some(STRANGER), FRIEND_ID));
}

#[test]
fn the_token_travels_on_from_where_the_caller_put_it() {
    let stage = Stage::set();
    let in_query = |to: &str| Written {
        target: format!("{}?access_token=EAAMADEUP", edge("messages")),
        headers: vec![JSON],
        body: text(to).to_string(),
    };
    let in_form = |to: &str| Written {
        target: edge("messages"),
        headers: vec![FORM],
        body: format!("access_token=EAAMADEUP&{}", as_form(&text(to))),
    };
    arrives(&stage, &in_query(FRIEND), &[(FRIEND, "service")]);
    arrives(&stage, &in_form(FRIEND), &[(FRIEND, "service")]);
    is_refused(&stage, &in_query(STRANGER));
    is_refused(&stage, &in_form(STRANGER));
}

#[test]
fn batches_at_the_root_are_judged_operation_by_operation() {
    let stage = Stage::set();
    let permitted = [operation(&text(FRIEND)), reading(), operation(&template(LEAVER, "order_update"))];
    let expected = [(FRIEND, "service"), (LEAVER, "utility")];
    let forbidden = [operation(&text(FRIEND)), reading(), operation(&text(STRANGER))];
    let all = batches(&json!(permitted)).into_iter().zip(batches(&json!(forbidden)));
    for (permitted, forbidden) in all {
        arrives(&stage, &permitted, &expected);
        let details = is_refused(&stage, &forbidden);
        assert!(details.contains("operation 2 of the batch"), "{}: {details}", forbidden.target);
    }
    stage.assert_nothing_reached(&[STRANGER]);
}

/// A batch in every form and place that clients use.
fn batches(operations: &Value) -> Vec<Written> {
    let operations = operations.to_string();
    let form = format!("access_token=EAAMADEUP&include_headers=false&batch={}", encoded(&operations));
    let multipart = part("access_token", "EAAMADEUP") + &part("batch", &operations) + "--X--\r\n";
    vec![
        Written { target: "/".into(), headers: vec![FORM], body: form.clone() },
        Written { target: "/v23.0".into(), headers: vec![FORM], body: form },
        Written { target: "/".into(), headers: vec![MULTIPART], body: multipart },
        Written {
            target: "/".into(),
            headers: vec![BEARER, JSON],
            body: format!(r#"{{"batch":{operations}}}"#),
        },
        Written {
            target: "/".into(),
            headers: vec![BEARER, JSON],
            body: json!({ "batch": operations }).to_string(),
        },
        Written {
            target: format!("/?batch={}", encoded(&operations)),
            headers: vec![BEARER],
            body: String::new(),
        },
    ]
}

fn operation(message: &Value) -> Value {
    json!({"method": "POST", "relative_url": format!("v23.0/{SENDER}/messages"), "body": as_form(message)})
}

fn reading() -> Value {
    json!({"method": "GET", "relative_url": format!("{SENDER}?fields=display_phone_number")})
}

fn part(name: &str, value: &str) -> String {
    format!("--X\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
}

/// A message as forms carry it: what is no text is JSON.
fn as_form(message: &Value) -> String {
    let pair = |(name, value): (&String, &Value)| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("{name}={}", encoded(&text))
    };
    message.as_object().unwrap().iter().map(pair).collect::<Vec<_>>().join("&")
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
