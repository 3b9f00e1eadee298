//! Every event that the relay learns from, as Meta documents it: forged ones first, then all of them shuffled, repeated and days late, on both stores.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Scene, change, digits, relaying, seconds, signature};
use crate::journey::{ALL, ago, grant, template, templates, text};
use crate::support::client::request;
use crate::support::gate::Gate;
use crate::support::redis::Redis;
use crate::support::upstream::Upstream;

const DAY: i64 = 24 * 60 * 60;

/// Somebody in the test: what happened to them, when, and how a text and templates of both kinds then fare.
struct Story {
    person: &'static str,
    told: Vec<Value>,
    passes: [bool; 3],
}

fn contact(person: &str) -> Value {
    json!([{ "profile": { "name": "Sheena Nelson" }, "wa_id": digits(person) }])
}

/// A message with a context, a referral and everything else that Meta's samples have beside it.
fn said(field: &str, person: &str, at: i64, content: &Value) -> Value {
    let mut message = json!({ "from": digits(person), "id": format!("wamid.{field}{person}{at}{content}"), "timestamp": at.to_string(),
        "context": { "from": "15550783881", "id": "wamid.HBgLMTY0NjcwNDM1OTUVAgARGBI" } });
    message.as_object_mut().unwrap().extend(content.as_object().unwrap().clone());
    change(field, json!({ "contacts": contact(person), "messages": [message] }))
}

fn word(person: &str, at: i64, word: &str) -> Value {
    said("messages", person, at, &json!({ "type": "text", "text": { "body": word } }))
}

fn switched(person: &str, at: i64, value: &str) -> Value {
    change(
        "user_preferences",
        json!({ "contacts": contact(person), "user_preferences": [{ "wa_id": digits(person), "detail": format!("User requested to {value} marketing messages"),
            "category": "marketing_messages", "value": value, "timestamp": at }] }),
    )
}

fn failed(person: &str, at: i64, code: u32, title: &str) -> Value {
    change(
        "messages",
        json!({ "statuses": [{ "id": format!("wamid.f{person}{at}"), "status": "failed", "timestamp": at.to_string(), "recipient_id": digits(person),
            "errors": [{ "code": code, "title": title, "message": title, "error_data": { "details": title }, "href": "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/" }] }] }),
    )
}

/// A message with every identity of the person beside it.
fn with_ids(person: &str, at: i64, id: &str) -> Value {
    let mut told = word(person, at, "Hello");
    let value = &mut told["entry"][0]["changes"][0]["value"];
    value["contacts"][0]["user_id"] = json!(id);
    value["contacts"][0]["parent_user_id"] = json!(format!("US.ENT.{}", &id[3..]));
    value["messages"][0]["from_user_id"] = json!(id);
    told
}

fn switched_by_id(id: &str, at: i64, value: &str) -> Value {
    change(
        "user_preferences",
        json!({ "contacts": [{ "user_id": id }], "user_preferences": [{ "wa_id": "", "user_id": id, "detail": "User requested to stop marketing messages",
            "category": "marketing_messages", "value": value, "timestamp": at }] }),
    )
}

fn moved_id(person: &str, at: i64, from: &str, to: &str) -> Value {
    change(
        "messages",
        json!({ "messages": [{ "from": digits(person), "id": format!("wamid.i{to}"), "timestamp": at.to_string(), "type": "system",
            "system": { "type": "user_changed_user_id", "user_id": to, "previous_user_id": from, "body": "User A changed" } }] }),
    )
}

/// Before anything that is told here.
fn agreed_long_ago(person: &str) -> Value {
    let mut granted = grant(person, &ALL);
    granted["occurred_at"] = json!(ago(Duration::from_secs(30 * 24 * 60 * 60)));
    granted
}

/// Everybody has agreed to everything, so the window decides about a text.
fn stories() -> Vec<Story> {
    let now = seconds(-60);
    let story = |person, told, passes| Story { person, told, passes };
    let button =
        json!({ "type": "button", "button": { "payload": "Stop promotions", "text": "Stop promotions" } });
    let list = json!({ "type": "interactive", "interactive": { "type": "list_reply", "list_reply": { "id": "opt_out", "title": "Unsubscribe", "description": "No more" } } });
    let call = |person: &str| {
        change(
            "calls",
            json!({ "contacts": contact(person), "calls": [{ "id": "wacid.HBg", "to": "15550783881", "from": digits(person), "event": "connect", "timestamp": now.to_string(),
                "direction": "USER_INITIATED", "session": { "sdp": "v=0", "sdp_type": "offer" } }] }),
        )
    };
    let moved = |from: &str, to: &str| {
        change(
            "messages",
            json!({ "messages": [{ "from": digits(from), "id": format!("wamid.m{to}"), "timestamp": (now - 10).to_string(), "type": "system",
                "system": { "type": "user_changed_number", "wa_id": digits(to), "body": "User A changed from ‎X to Y" } }] }),
        )
    };
    vec![
        story("+15550300001", vec![word("+15550300001", now, "Hello")], [true, true, true]),
        story("+15550300002", vec![call("+15550300002")], [true, true, true]),
        // Days late: the stop counts, the window that it opened is long closed.
        story("+15550300003", vec![word("+15550300003", now - 3 * DAY, "STOP")], [false, false, false]),
        story(
            "+15550300004",
            vec![
                word("+15550300004", now - 2 * DAY, "stop"),
                word("+15550300004", now - 3 * DAY, "start"),
                word("+15550300004", now, "Hello?"),
            ],
            [true, false, false],
        ),
        story(
            "+15550300005",
            vec![word("+15550300005", now - DAY, "stop"), word("+15550300005", now, "START")],
            [true, true, true],
        ),
        story("+15550300006", vec![said("messages", "+15550300006", now, &button)], [true, false, false]),
        story("+15550300007", vec![said("messages", "+15550300007", now, &list)], [true, false, false]),
        story(
            "+15550300008",
            vec![said(
                "standby",
                "+15550300008",
                now,
                &json!({ "type": "text", "text": { "body": "Baja" } }),
            )],
            [true, false, false],
        ),
        story(
            "+15550300009",
            vec![switched("+15550300009", now, "stop"), switched("+15550300009", now - 5 * DAY, "resume")],
            [false, true, false],
        ),
        story(
            "+15550300010",
            vec![switched("+15550300010", now, "resume"), switched("+15550300010", now - 5 * DAY, "stop")],
            [false, true, true],
        ),
        story(
            "+15550300011",
            vec![failed("+15550300011", now, 131_050, "User has stopped marketing messages")],
            [false, true, false],
        ),
        story(
            "+15550300012",
            vec![
                failed("+15550300012", now, 131_026, "Message undeliverable"),
                failed("+15550300012", now + 1, 130_403, "Message blocked"),
            ],
            [false, true, true],
        ),
        // They are known by their user id from a message, and use the switch under that alone.
        story(
            "+15550300015",
            vec![with_ids("+15550300015", now - DAY - 60, "US.15"), switched_by_id("US.15", now, "stop")],
            [false, true, false],
        ),
        // A withdrawal under an id that was theirs before.
        story(
            "+15550300016",
            vec![moved_id("+15550300016", now - 20, "US.16", "US.17"), switched_by_id("US.16", now, "stop")],
            [false, true, false],
        ),
        // Withdrawals follow the person to another number, whichever is heard of first.
        story(
            "+15550300014",
            vec![word("+15550300013", now, "STOP"), moved("+15550300013", "+15550300014")],
            [false, false, false],
        ),
    ]
}

/// What passes, each asked of the gate itself without sending anything.
fn passes(scene: &Scene, person: &str) -> [bool; 3] {
    [text(person), template(person, "utility"), template(person, "marketing")]
        .map(|send| scene.gate.send(&send).status == 200)
}

/// Steps through all of a list from some place on, with a stride that has no common divisor with its length.
fn shuffled(all: &[Value], turn: usize) -> Vec<&Value> {
    let stride = (2..all.len())
        .filter(|stride| (2..=*stride).all(|d| !stride.is_multiple_of(d) || !all.len().is_multiple_of(d)));
    let stride = stride.cycle().nth(turn).unwrap();
    (0..all.len()).map(|n| &all[(turn * 7 + n * stride) % all.len()]).collect()
}

#[test]
fn what_meta_documents_is_learnt_in_any_order_and_number_and_nothing_from_forgeries() {
    let redis = Redis::start();
    for (turn, on_redis) in [(0, false), (1, true), (2, false), (3, true)] {
        let (upstream, bot) = (Upstream::start(), Upstream::start());
        redis.command(&["FLUSHALL"]);
        let gate = Gate::to(&upstream.url());
        let gate = if on_redis { gate.redis(&redis.url()) } else { gate };
        let (gate, webhook) = relaying(gate, Some(&bot));
        let scene = Scene { gate: gate.start(), upstream, bot, webhook };
        scene.gate.put_templates(&templates());
        let stories = stories();
        scene.gate.apply(&stories.iter().map(|story| agreed_long_ago(story.person)).collect::<Vec<_>>());
        let all: Vec<Value> = stories.iter().flat_map(|story| story.told.clone()).collect();
        for body in &all {
            let body = body.to_string();
            let headers = [("X-Hub-Signature-256", &*signature("another secret", body.as_bytes()))];
            assert_eq!(request(scene.webhook, "POST", "/", &headers, body.as_bytes()).status, 403);
        }
        for Story { person, .. } in &stories {
            assert_eq!(passes(&scene, person), [false, true, true], "{person} after forgeries");
        }
        assert_eq!(scene.bot.request_count(), 0);
        let order = shuffled(&all, turn);
        for body in order.iter().chain(order.iter().rev().step_by(2)) {
            scene.told(body);
        }
        for Story { person, passes: expected, .. } in &stories {
            assert_eq!(passes(&scene, person), *expected, "{person} in turn {turn}");
        }
    }
}
