//! After a stop that withdraws everything one confirmation passes and no second one, whoever sends them at once.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::{deliver, message, relaying, seconds};
use crate::journey::{ALL, ANN, BOB, edge, grant, refusal, template, templates, text};
use crate::support::eventually;
use crate::support::gate::{Gate, GateBuilder, SENDER};
use crate::support::redis::Redis;
use crate::support::upstream::Upstream;

const EVERYTHING: &str = "[tenants.opt_out]\nscope = \"everything\"";
const AT_ONCE: usize = 50;

/// A gate where a stop withdraws everything; [`ANN`] and [`BOB`] have agreed to everything.
fn started(gate: GateBuilder) -> (Gate, SocketAddr) {
    let (gate, webhook) = relaying(gate, None);
    let gate = gate.extra(EVERYTHING).start();
    gate.put_templates(&templates());
    gate.apply(&[grant(ANN, &ALL), grant(BOB, &ALL)]);
    (gate, webhook)
}

fn told(webhook: SocketAddr, body: &Value) {
    assert_eq!(deliver(webhook, body).status, 200);
}

fn decision(gate: &Gate, send: &Value) -> String {
    gate.send(send).header("optgate-decision").unwrap_or_default().to_owned()
}

const ALLOWED: &str = "allow; basis=confirmation";
const REFUSED: &str = "deny; reason=consent_revoked";

/// Sends one message through every gate many times at once; returns how many passed.
fn at_once(gates: &[&Gate], send: &Value) -> usize {
    std::thread::scope(|scope| {
        let sent: Vec<_> = (0..AT_ONCE)
            .map(|n| {
                let gate = gates[n % gates.len()];
                scope.spawn(move || gate.send(send))
            })
            .collect();
        let passed = sent.into_iter().map(|sent| sent.join().unwrap()).filter(|response| {
            if response.status != 200 {
                refusal(400, 131_030, "consent_revoked").assert(response);
            }
            response.status == 200
        });
        passed.count()
    })
}

#[test]
fn of_fifty_confirmations_at_once_one_gate_lets_one_pass() {
    let upstream = Upstream::start();
    let (gate, webhook) = started(Gate::to(&upstream.url()));
    told(webhook, &message(ANN, seconds(0), "STOP"));
    assert_eq!(at_once(&[&gate], &text(ANN)), 1);
    assert_eq!(upstream.request_count(), 1);
    // A template is no answer to a stop, and somebody else's stop is not answered by it either.
    told(webhook, &message(BOB, seconds(0), "STOP"));
    assert_eq!(decision(&gate, &template(BOB, "utility")), REFUSED);
    assert_eq!(decision(&gate, &text(BOB)), ALLOWED);
    assert_eq!(upstream.request_count(), 2);
}

#[test]
fn of_fifty_confirmations_at_once_two_gates_on_one_redis_let_one_pass() {
    let (redis, upstream) = (Redis::start(), Upstream::start());
    // Fifty threads of a test on a busy machine are slow to answer; what is measured is not how slow.
    let patient = |gate: GateBuilder| gate.set("store", "lookup_deadline_ms", "10000");
    let gate = || started(patient(Gate::to(&upstream.url()).redis(&redis.url())));
    let ((near, webhook), (far, _)) = (gate(), gate());
    told(webhook, &message(ANN, seconds(0), "STOP"));
    eventually("the far gate refuses", || {
        (decision(&far, &template(ANN, "utility")) == REFUSED).then_some(())
    });
    assert_eq!(at_once(&[&near, &far], &text(ANN)), 1);
    assert_eq!(upstream.request_count(), 1);
}

#[test]
fn a_confirmation_is_previewed_without_being_used_up_and_survives_a_crash() {
    let upstream = Upstream::start();
    let (gate, webhook) = started(Gate::to(&upstream.url()));
    told(webhook, &message(ANN, seconds(0), "STOP"));
    let asked =
        || gate.check(&json!({ "sender": SENDER, "to": ANN, "category": "service" }))["basis"].clone();
    assert_eq!((asked(), asked()), (json!("confirmation"), json!("confirmation")));
    assert_eq!(decision(&gate, &text(ANN)), ALLOWED);
    assert_eq!(asked(), json!(null));
    let folder = gate.kill9();
    let (gate, _) = relaying(Gate::to(&upstream.url()).in_folder(folder), None);
    let gate = gate.extra(EVERYTHING).start();
    assert_eq!((decision(&gate, &text(ANN)), upstream.request_count()), (REFUSED.to_owned(), 1));
}

#[test]
fn a_stop_is_confirmed_within_five_minutes_and_a_repeated_one_no_second_time() {
    let upstream = Upstream::start();
    let (gate, webhook) = started(Gate::to(&upstream.url()));
    // It was delivered late.
    told(webhook, &message(ANN, seconds(-301), "STOP"));
    assert_eq!(decision(&gate, &text(ANN)), REFUSED);
    told(webhook, &message(BOB, seconds(-20), "Basta"));
    assert_eq!(decision(&gate, &text(BOB)), ALLOWED);
    told(webhook, &message(BOB, seconds(-10), "STOP!!!"));
    assert_eq!(decision(&gate, &text(BOB)), REFUSED);
    assert_eq!(upstream.request_count(), 1);
    // A resume lifts it whole.
    told(webhook, &message(BOB, seconds(-5), "start"));
    assert_eq!(decision(&gate, &template(BOB, "marketing")), "allow; basis=consent");
}

#[test]
fn a_withdrawal_that_was_no_word_is_not_confirmed() {
    let upstream = Upstream::start();
    let (gate, webhook) = started(Gate::to(&upstream.url()));
    told(webhook, &message(ANN, seconds(0), "STOP"));
    gate.apply(&[crate::journey::revoke(ANN, &["service"])]);
    assert_eq!(decision(&gate, &text(ANN)), REFUSED);
    assert_eq!(upstream.request_count(), 0);
}

#[test]
fn one_confirmation_serves_all_identities_of_a_person() {
    let upstream = Upstream::start();
    let (gate, webhook) = started(Gate::to(&upstream.url()));
    let mut stop = message(ANN, seconds(0), "STOP");
    stop["entry"][0]["changes"][0]["value"]["contacts"][0]["user_id"] = json!("US.1349");
    told(webhook, &stop);
    let by_id = json!({ "messaging_product": "whatsapp", "recipient": "US.1349", "type": "text", "text": { "body": "Bye" } });
    assert_eq!(decision(&gate, &by_id), ALLOWED);
    assert_eq!((decision(&gate, &text(ANN)), decision(&gate, &by_id)), (REFUSED.into(), REFUSED.into()));
    assert_eq!(upstream.request_count(), 1);
}

/// A batch of free-form messages.
fn batch(people: &[&str]) -> Value {
    let operation = |to: &&str| {
        json!({ "method": "POST", "relative_url": edge("messages").trim_start_matches('/'),
        "body": format!("messaging_product=whatsapp&to=%2B{}&type=text&text=%7B%22body%22%3A%22Bye%22%7D", &to[1..]) })
    };
    json!({ "batch": people.iter().map(operation).collect::<Vec<_>>() })
}

#[test]
fn a_batch_that_is_refused_leaves_the_confirmation_to_others() {
    let (redis, upstream) = (Redis::start(), Upstream::start());
    for gate in [Gate::to(&upstream.url()), Gate::to(&upstream.url()).redis(&redis.url())] {
        let (gate, webhook) = started(gate);
        let before = upstream.request_count();
        told(webhook, &message(ANN, seconds(0), "STOP"));
        // Nobody but her agreed to anything, and twice is once too often.
        for refused in [batch(&[ANN, "+15550000009"]), batch(&[ANN, ANN])] {
            let response = gate.post("/", &refused);
            assert_eq!(response.status, 400, "{}", response.text());
        }
        assert_eq!(upstream.request_count(), before);
        assert_eq!(gate.post("/", &batch(&[ANN])).status, 200);
        assert_eq!(upstream.request_count(), before + 1);
        for _ in 0..2 {
            assert_eq!(decision(&gate, &text(ANN)), REFUSED);
        }
        assert_eq!(gate.post("/", &batch(&[ANN])).status, 400);
        assert_eq!(upstream.request_count(), before + 1);
    }
}

#[test]
fn a_confirmation_that_did_not_reach_the_provider_may_be_tried_again_and_passes_once() {
    let redis = Redis::start();
    for on_redis in [false, true] {
        // Nobody listens there yet.
        let addr = crate::support::free_addr();
        let gate = Gate::to(&format!("http://{addr}"));
        let gate = if on_redis { gate.redis(&redis.url()) } else { gate };
        let (gate, webhook) = started(gate);
        told(webhook, &message(ANN, seconds(0), "STOP"));
        for _ in 0..3 {
            let unreached = gate.send(&text(ANN));
            assert_eq!(unreached.status, 503, "{}", unreached.text());
        }
        let listener = std::net::TcpListener::bind(addr).unwrap();
        let answering = std::thread::spawn(move || answer_one(&listener));
        let answers: Vec<String> = (0..3).map(|_| decision(&gate, &text(ANN))).collect();
        assert_eq!(answers, [ALLOWED, REFUSED, REFUSED]);
        assert!(answering.join().unwrap().starts_with("POST /v23.0/"));
    }
}

/// Answers the first request of the first connection as the provider does; returns it.
fn answer_one(listener: &std::net::TcpListener) -> String {
    use std::io::{Read, Write};
    let (mut stream, _) = listener.accept().unwrap();
    let mut request = vec![0; 16384];
    let read = stream.read(&mut request).unwrap();
    let body = r#"{"messages":[{"id":"wamid.A"}]}"#;
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length";
    stream.write_all(format!("{head}: {}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
    String::from_utf8_lossy(&request[..read]).into_owned()
}
