//! Messages that went around the gate, and categories that were billed otherwise than judged.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{change, deliver, digits, relaying, seconds};
use crate::journey::{ALL, ANN, edge, grant, template, templates, text};
use crate::support::eventually;
use crate::support::gate::{Gate, GateBuilder, SENDER};
use crate::support::redis::{Redis, Reply};
use crate::support::upstream::{Answer, Upstream};

/// Longer than statuses wait before they are compared.
const SETTLED: Duration = Duration::from_millis(2500);
const BYPASS: &str = "optgate_bypass_suspected_total";

/// A provider that gives every message an id of its own.
fn provider() -> Upstream {
    let upstream = Upstream::start();
    let next = AtomicU64::new(0);
    upstream.respond(move |_| sent(&format!("wamid.OURS{}", next.fetch_add(1, Ordering::Relaxed))));
    upstream
}

fn sent(id: &str) -> Answer {
    Answer::json(200, &json!({ "messaging_product": "whatsapp", "messages": [{ "id": id }] }).to_string())
}

fn quick(gate: GateBuilder) -> GateBuilder {
    gate.set("senders", "settle_seconds", "1")
}

fn start(gate: GateBuilder) -> (Gate, SocketAddr) {
    let (gate, webhook) = relaying(quick(gate), None);
    let gate = gate.start();
    gate.apply(&[grant(ANN, &ALL)]);
    gate.put_templates(&templates());
    (gate, webhook)
}

/// What became of a message; statuses are a few seconds younger than the gate.
fn status(id: &str, name: &str, more: &Value) -> Value {
    let mut status =
        json!({ "id": id, "status": name, "timestamp": seconds(5).to_string(), "recipient_id": digits(ANN) });
    for (key, value) in more.as_object().into_iter().flatten() {
        status[key] = value.clone();
    }
    change("messages", json!({ "statuses": [status] }))
}

#[track_caller]
fn tell(webhook: SocketAddr, body: &Value) {
    assert_eq!(deliver(webhook, body).status, 200);
}

fn id_of(response: &crate::support::client::Response) -> String {
    assert_eq!(response.status, 200, "{}", response.text());
    response.json()["messages"][0]["id"].as_str().unwrap().to_owned()
}

fn suspected(gate: &Gate) -> f64 {
    gate.metric(BYPASS, &[SENDER])
}

/// Every message of `ours` is told of and none is suspected; a stranger is, once.
fn strangers_are_found_among(gate: &Gate, webhook: SocketAddr, ours: &[String]) {
    for id in ours {
        for name in ["sent", "delivered", "read"] {
            tell(webhook, &status(id, name, &json!({})));
        }
    }
    // A message that was sent long ago may well be read now.
    for name in ["delivered", "read"] {
        tell(webhook, &status("wamid.OLD", name, &json!({})));
    }
    let mut early = status("wamid.EARLY", "sent", &json!({}));
    early["entry"][0]["changes"][0]["value"]["statuses"][0]["timestamp"] = json!(seconds(-60).to_string());
    tell(webhook, &early);
    std::thread::sleep(SETTLED);
    assert!(suspected(gate).abs() < 0.5, "{}", gate.stderr().join("\n"));
    for _ in 0..3 {
        tell(webhook, &status("wamid.STRANGE", "sent", &json!({})));
    }
    let stopped = json!({ "errors": [{ "code": 131_050, "title": "t" }] });
    tell(webhook, &status("wamid.STOPPED", "failed", &stopped));
    eventually("both strangers are suspected", || (suspected(gate) > 1.5).then_some(()));
    std::thread::sleep(SETTLED);
    assert!((suspected(gate) - 2.0).abs() < 0.1, "each once: {}", suspected(gate));
}

#[test]
fn a_message_that_the_gate_never_forwarded_is_suspected_and_its_own_are_not() {
    let upstream = provider();
    let (gate, webhook) = start(Gate::to(&upstream.url()));
    let ours: Vec<String> = (0..20).map(|_| id_of(&gate.send(&template(ANN, "utility")))).collect();
    strangers_are_found_among(&gate, webhook, &ours);
    let forged = super::super::support::client::request(
        webhook,
        "POST",
        "/",
        &[("X-Hub-Signature-256", "sha256=00")],
        status("wamid.FORGED", "sent", &json!({})).to_string().as_bytes(),
    );
    assert_eq!(forged.status, 403);
    let listed = gate.admin("GET", &format!("/v1/senders/{SENDER}"), "application/json", b"").json();
    assert_eq!(listed["sender"]["relay"], "live", "{listed}");
    assert_eq!(listed["messages"][0]["sent"], 22, "{listed}");
    assert!(gate.metric("optgate_sender_last_webhook_timestamp_seconds", &[SENDER]) > 1e9);
    let printed = [gate.stderr(), gate.stdout()].concat().join("\n");
    assert!(printed.contains("somebody sends around the gate"), "{printed}");
    for secret in ["wamid.STRANGE", digits(ANN)] {
        assert!(!printed.contains(secret), "{secret}");
    }
}

#[test]
fn what_one_gate_forwarded_is_known_to_the_relay_of_another() {
    let (redis, upstream) = (Redis::start(), provider());
    let (near, webhook) = start(Gate::to(&upstream.url()).redis(&redis.url()));
    let (far, _) = start(Gate::to(&upstream.url()).redis(&redis.url()));
    // The far gate's start is a gap of its own: what it sends now is younger.
    let ours: Vec<String> = (0..20).map(|_| id_of(&far.send(&template(ANN, "utility")))).collect();
    eventually("the near gate knows of the far one's start", || {
        let numbers = near.admin("GET", "/v1/senders", "application/json", b"").json();
        numbers["senders"][0]["last_send"].is_string().then_some(())
    });
    strangers_are_found_among(&near, webhook, &ours);
}

#[test]
fn what_many_sends_left_in_redis_is_not_written_in_one_go() {
    let (redis, upstream) = (Redis::start(), provider());
    let (gate, _) = start(Gate::to(&upstream.url()).redis(&redis.url()));
    let (mut known, mut grew) = (0, None);
    eventually("the messages of less than a second are written", || {
        for _ in 0..16 {
            assert_eq!(gate.send(&template(ANN, "utility")).status, 200);
        }
        let bits = bits_of_messages(&redis);
        let before = (bits > known).then(|| grew.replace(Instant::now())).flatten();
        known = bits;
        // Two calls of one writing come within a few milliseconds.
        let apart = before.map(|before: Instant| before.elapsed().as_millis());
        apart.filter(|ms| (150..900).contains(ms))
    });
}

fn bits_of_messages(redis: &Redis) -> i64 {
    let Reply::Array(days) = redis.command(&["KEYS", "og:sent:*"]) else { panic!("no keys") };
    let bits = |day: Reply| {
        let Reply::Bulk(Some(key)) = day else { panic!("{day:?}") };
        let told = redis.command(&[b"BITCOUNT", key.as_slice()]);
        let Reply::Integer(bits) = told else { panic!("{told:?}") };
        bits
    };
    days.into_iter().map(bits).sum()
}

#[test]
fn a_gate_that_was_killed_suspects_nobody_of_what_it_had_sent() {
    let upstream = provider();
    let (gate, _) = start(Gate::to(&upstream.url()));
    let ours = id_of(&gate.send(&template(ANN, "utility")));
    let folder = gate.kill9();
    let (gate, webhook) = start(Gate::to(&upstream.url()).in_folder(folder));
    let mut told = status(&ours, "sent", &json!({}));
    told["entry"][0]["changes"][0]["value"]["statuses"][0]["timestamp"] = json!(seconds(-1).to_string());
    tell(webhook, &told);
    std::thread::sleep(SETTLED);
    assert!(suspected(&gate).abs() < 0.5);
}

#[test]
fn an_orderly_restart_forgets_no_message() {
    let upstream = provider();
    let (mut gate, _) = start(Gate::to(&upstream.url()));
    let ours: Vec<String> = (0..5).map(|_| id_of(&gate.send(&template(ANN, "marketing")))).collect();
    gate.signal("TERM");
    gate.wait();
    let folder = gate.kill9();
    let (gate, webhook) = start(Gate::to(&upstream.url()).in_folder(folder));
    strangers_are_found_among(&gate, webhook, &ours);
    assert!(gate.metric("optgate_sender_last_marketing_timestamp_seconds", &[SENDER]) > 1e9);
}

#[test]
fn where_an_id_was_not_learnt_nobody_is_suspected() {
    let upstream = provider();
    let (gate, webhook) = start(Gate::to(&upstream.url()));
    // Longer than what is read.
    let body = format!(r#"{{"messages":[{{"id":"wamid.UNSEEN"}}],"filler":"{}"}}"#, "x".repeat(5000));
    upstream.answer_once(Answer::raw(chunked(&[&body[..3000], &body[3000..]])));
    assert_eq!(id_of(&gate.send(&text_template())), "wamid.UNSEEN");
    eventually("the loss is counted", || {
        (gate.metric("optgate_message_ids_lost_total", &[]) > 0.5).then_some(())
    });
    let mut told = status("wamid.UNSEEN", "sent", &json!({}));
    told["entry"][0]["changes"][0]["value"]["statuses"][0]["timestamp"] = json!(seconds(0).to_string());
    tell(webhook, &told);
    std::thread::sleep(SETTLED);
    assert!(suspected(&gate).abs() < 0.5);
}

/// A response that does not say how long it is.
fn chunked(pieces: &[&str]) -> String {
    let pieces: String = pieces.iter().map(|piece| format!("{:x}\r\n{piece}\r\n", piece.len())).collect();
    format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{pieces}0\r\n\r\n")
}

#[test]
fn an_answer_in_chunks_is_read_as_one_with_a_length_is() {
    let upstream = Upstream::start();
    let next = AtomicU64::new(0);
    upstream.respond(move |_| {
        let id = format!(r#"wamid.OURS{}"}}]}}"#, next.fetch_add(1, Ordering::Relaxed));
        Answer::raw(chunked(&[r#"{"messages":[{"id":""#, &id]))
    });
    let (gate, webhook) = start(Gate::to(&upstream.url()));
    let ours: Vec<String> = (0..5).map(|_| id_of(&gate.send(&template(ANN, "utility")))).collect();
    strangers_are_found_among(&gate, webhook, &ours);
    assert_eq!(gate.count("optgate_message_ids_lost_total", &[]), 0);
    // By a hash: the id holds the recipient's number.
    let decisions = gate.wait_for_decisions(5);
    let recorded: std::collections::BTreeSet<&str> =
        decisions.iter().filter_map(|d| d["message_id"].as_str()).collect();
    assert_eq!(recorded.len(), 5, "{decisions:?}");
}

#[test]
fn nobody_is_suspected_where_a_provider_compresses_though_it_was_asked_not_to() {
    let upstream = provider();
    let (gate, webhook) = start(Gate::to(&upstream.url()));
    upstream.answer_once(Answer::raw(
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x0b\x08\x00",
    ));
    assert_eq!(gate.send(&text_template()).status, 200);
    eventually("the loss is counted", || {
        (gate.metric("optgate_message_ids_lost_total", &[]) > 0.5).then_some(())
    });
    let mut told = status("wamid.COMPRESSED", "sent", &json!({}));
    told["entry"][0]["changes"][0]["value"]["statuses"][0]["timestamp"] = json!(seconds(0).to_string());
    tell(webhook, &told);
    std::thread::sleep(SETTLED);
    assert!(suspected(&gate).abs() < 0.5);
}

fn text_template() -> Value {
    template(ANN, "utility")
}

#[test]
fn the_messages_of_a_batch_are_known_too() {
    for count in [30, 1] {
        each_message_of_a_batch_is_known_and_recorded(count);
    }
}

fn each_message_of_a_batch_is_known_and_recorded(count: usize) {
    let upstream = Upstream::start();
    let operation = |id: &str| json!({ "code": 200, "headers": [], "body": json!({ "messages": [{ "id": id }] }).to_string() });
    let ids: Vec<String> = (0..count).map(|n| format!("wamid.BATCH{n}{}", "x".repeat(100))).collect();
    let answer: Vec<Value> = ids.iter().map(|id| operation(id)).collect();
    upstream.answer(Answer::json(200, &json!(answer).to_string()));
    let (gate, webhook) = start(Gate::to(&upstream.url()));
    let send = json!({ "method": "POST", "relative_url": edge("messages").trim_start_matches('/'),
        "body": format!("messaging_product=whatsapp&to=%2B15550000001&type=template&template={}", "%7B%22name%22%3A%22utility%22%2C%22language%22%3A%7B%22code%22%3A%22en_US%22%7D%7D") });
    let batch = json!({ "batch": vec![send; ids.len()] });
    let response = gate.post("/", &batch);
    assert_eq!(response.status, 200, "{}", response.text());
    strangers_are_found_among(&gate, webhook, &ids);
    assert_eq!(gate.count("optgate_message_ids_lost_total", &[]), 0);
    // Each decision can be found by its message.
    let decisions = gate.wait_for_decisions(count);
    let recorded: std::collections::BTreeSet<&str> =
        decisions.iter().filter_map(|decision| decision["message_id"].as_str()).collect();
    assert_eq!(recorded.len(), count, "{decisions:?}");
}

#[test]
fn a_sender_that_is_not_configured_is_watched_where_none_has_to_be() {
    let upstream = provider();
    let webhook = crate::support::free_addr();
    let gate = quick(Gate::to(&upstream.url()))
        .set("webhook", "listen", &format!("\"{webhook}\""))
        .set("webhook", "verify_token", "\"v\"")
        .set("webhook", "app_secrets", &format!("[{:?}]", super::SECRET))
        .without_tenants()
        .start();
    gate.apply(&[grant(ANN, &ALL)]);
    let ours: Vec<String> = (0..5).map(|_| id_of(&gate.send(&template(ANN, "marketing")))).collect();
    strangers_are_found_among(&gate, webhook, &ours);
    let listed = gate.admin("GET", "/v1/senders", "application/json", b"").json();
    assert_eq!(
        (&listed["senders"][0]["sender"], &listed["senders"][0]["tenant"]),
        (&json!(SENDER), &json!("default"))
    );
}

#[test]
fn what_is_billed_as_another_category_is_counted_once() {
    let mismatch = "optgate_category_mismatch_total";
    let upstream = provider();
    let (gate, webhook) = start(Gate::to(&upstream.url()));
    tell(webhook, &super::message(ANN, seconds(0), "Hi"));
    let utility = id_of(&gate.send(&template(ANN, "utility")));
    let marketing = id_of(&gate.send(&template(ANN, "marketing")));
    let free = id_of(&gate.send(&text(ANN)));
    let billed = |category: &str| json!({ "pricing": { "billable": true, "pricing_model": "PMP", "category": category } });
    for _ in 0..2 {
        tell(webhook, &status(&utility, "sent", &billed("marketing")));
        tell(webhook, &status(&marketing, "sent", &billed("marketing_lite")));
        tell(webhook, &status(&free, "delivered", &billed("service")));
    }
    eventually("the mismatch is counted", || {
        (gate.metric(mismatch, &["judged=\"utility\"", "billed=\"marketing\""]) > 0.5).then_some(())
    });
    std::thread::sleep(SETTLED);
    assert!((gate.metric(mismatch, &[]) - 1.0).abs() < 0.1, "{:?}", gate.metrics());
}
