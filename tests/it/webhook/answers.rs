//! What the provider's answers to sends tell of people: which identities are one person's.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::{deliver, message, relaying, seconds};
use crate::journey::{ALL, ANN, BOB, edge, grant, refusal, template, templates, text};
use crate::support::eventually;
use crate::support::gate::{Gate, GateBuilder};
use crate::support::redis::Redis;
use crate::support::upstream::{Answer, Received, Upstream};

const ANNS_ID: &str = "US.13491208655302741918";
const ANNS_PARENT: &str = "US.ENT.11815799212886844830";
const BOBS_ID: &str = "US.20000000000000000002";

/// A provider that answers as Meta does and says who each recipient is, by `known`.
fn provider(known: impl Fn(&str) -> Value + Send + Sync + 'static) -> Upstream {
    let upstream = Upstream::start();
    upstream.respond(move |received: &Received| {
        let sent: Value = serde_json::from_slice(received.payload()).unwrap_or_default();
        let input = sent["to"].as_str().or(sent["recipient"].as_str()).unwrap_or_default();
        Answer::json(200, &answer(&known(input)).to_string())
    });
    upstream
}

fn answer(contact: &Value) -> Value {
    json!({ "messaging_product": "whatsapp", "contacts": [contact], "messages": [{ "id": format!("wamid.{contact}") }] })
}

fn ann(input: &str) -> Value {
    json!({ "input": input, "wa_id": "15550000001", "user_id": ANNS_ID, "parent_user_id": ANNS_PARENT })
}

fn to_user(id: &str, template: &str) -> Value {
    let mut send = self::template(ANN, template);
    send.as_object_mut().unwrap().remove("to");
    send["recipient"] = json!(id);
    send
}

fn start(gate: GateBuilder) -> (Gate, SocketAddr) {
    let (gate, webhook) = relaying(gate, None);
    let gate = gate.start();
    gate.apply(&[grant(ANN, &ALL)]);
    gate.put_templates(&templates());
    (gate, webhook)
}

fn linked(gate: &Gate, count: usize) {
    eventually("the link is learnt", || {
        (gate.count("optgate_answer_links_total", &["learnt"]) >= count).then_some(())
    });
}

fn on_both_stores(upstream: &Upstream, test: impl Fn(&Gate, SocketAddr)) {
    let redis = Redis::start();
    for gate in [Gate::to(&upstream.url()), Gate::to(&upstream.url()).redis(&redis.url())] {
        let (gate, webhook) = start(gate);
        test(&gate, webhook);
    }
}

#[test]
fn an_answer_links_a_number_to_its_user_ids_and_grants_and_stops_cross() {
    let upstream = provider(ann);
    on_both_stores(&upstream, |gate, webhook| {
        let before = upstream.request_count();
        refusal(400, 131_030, "no_consent").assert(&gate.send(&to_user(ANNS_ID, "utility")));
        assert_eq!(upstream.request_count(), before);
        assert_eq!(gate.send(&template(ANN, "utility")).status, 200);
        linked(gate, 1);
        // The provider has shown that they are one person: what the number agreed to counts for the ids.
        for id in [ANNS_ID, ANNS_PARENT] {
            assert_eq!(gate.send(&to_user(id, "utility")).status, 200, "{id}");
        }
        let stop = json!({ "object": "whatsapp_business_account", "entry": [{ "id": crate::support::gate::ACCOUNT, "changes": [{ "field": "user_preferences", "value": {
            "messaging_product": "whatsapp", "metadata": { "phone_number_id": crate::support::gate::SENDER },
            "user_preferences": [{ "user_id": ANNS_ID, "category": "marketing_messages", "value": "stop", "timestamp": seconds(0) }] } }] }] });
        assert_eq!(deliver(webhook, &stop).status, 200);
        let before = upstream.request_count();
        refusal(400, 131_050, "consent_revoked").assert(&gate.send(&template(ANN, "marketing")));
        refusal(400, 131_050, "consent_revoked").assert(&gate.send(&to_user(ANNS_PARENT, "marketing")));
        assert_eq!(upstream.request_count(), before);
    });
}

#[test]
fn nothing_is_learnt_from_an_answer_that_speaks_of_another_recipient() {
    let upstream = provider(|input| ann(input.trim_start_matches('+')));
    on_both_stores(&upstream, |gate, _| {
        assert_eq!(gate.send(&template(ANN, "utility")).status, 200);
        // A recipient that is written twice, and an answer that names two.
        let mut both = template(ANN, "utility");
        both["recipient"] = json!(BOBS_ID);
        gate.apply(&[grant(BOBS_ID, &ALL)]);
        assert_eq!(gate.send(&both).status, 200);
        let two = json!([{ "input": ANN, "user_id": ANNS_ID }, { "input": ANN, "user_id": BOBS_ID }]);
        let mut answered = answer(&ann(ANN));
        answered["contacts"] = two;
        upstream.answer_once(Answer::json(200, &answered.to_string()));
        assert_eq!(gate.send(&template(ANN, "utility")).status, 200);
        // What is learnt after them shows that they were looked at.
        upstream
            .answer_once(Answer::json(200, &answer(&json!({ "input": ANN, "user_id": "US.7" })).to_string()));
        assert_eq!(gate.send(&template(ANN, "utility")).status, 200);
        linked(gate, 1);
        let before = upstream.request_count();
        refusal(400, 131_030, "no_consent").assert(&gate.send(&to_user(ANNS_ID, "utility")));
        assert_eq!(upstream.request_count(), before);
        let links =
            gate.admin("GET", "/v1/tenants/default/recipients/+15550000001", "application/json", b"").json();
        assert_eq!(links["links"], json!(["US.7"]), "{links}");
    });
}

#[test]
fn what_is_known_already_is_not_written_again() {
    let upstream = provider(ann);
    on_both_stores(&upstream, |gate, webhook| {
        let mut hello = message(ANN, seconds(0), "Hello");
        let contact = &mut hello["entry"][0]["changes"][0]["value"]["contacts"][0];
        (contact["user_id"], contact["parent_user_id"]) = (json!(ANNS_ID), json!(ANNS_PARENT));
        assert_eq!(deliver(webhook, &hello).status, 200);
        for _ in 0..5 {
            assert_eq!(gate.send(&text(ANN)).status, 200);
        }
        eventually("the link is known", || {
            (gate.count("optgate_answer_links_total", &["known"]) == 1).then_some(())
        });
        assert_eq!(gate.count("optgate_answer_links_total", &["learnt"]), 0);
    });
}

#[test]
fn each_answer_of_a_batch_speaks_of_its_own_recipient() {
    let upstream = Upstream::start();
    let bob = json!({ "input": BOB, "wa_id": "15550000002", "user_id": BOBS_ID });
    let operation = |contact: &Value| json!({ "code": 200, "body": answer(contact).to_string() });
    // The third speaks of somebody to whom its operation did not write.
    let answers = json!([
        operation(&ann(ANN)),
        operation(&bob),
        operation(&json!({ "input": ANN, "user_id": "US.9" }))
    ]);
    upstream.answer(Answer::json(200, &answers.to_string()));
    let (gate, _) = start(Gate::to(&upstream.url()));
    gate.apply(&[grant(BOB, &ALL)]);
    let operation = |to: &str| {
        json!({ "method": "POST", "relative_url": edge("messages").trim_start_matches('/'),
        "body": format!("messaging_product=whatsapp&to=%2B{}&type=template&template={}", &to[1..], "%7B%22name%22%3A%22utility%22%2C%22language%22%3A%7B%22code%22%3A%22en_US%22%7D%7D") })
    };
    let response = gate.post("/", &json!({ "batch": [operation(ANN), operation(BOB), operation(BOB)] }));
    assert_eq!(response.status, 200, "{}", response.text());
    linked(&gate, 2);
    upstream.answer(Answer::sent());
    for (id, status) in [(ANNS_ID, 200), (BOBS_ID, 200), ("US.9", 400)] {
        assert_eq!(gate.send(&to_user(id, "utility")).status, status, "{id}");
    }
}
