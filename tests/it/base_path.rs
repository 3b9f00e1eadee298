//! The gate mounted under a prefix, as platforms that share a host do: below it everything is judged as at the root, outside of it nothing is served.

use serde_json::{Value, json};

use crate::journey::{ANN, BOB, Scene, edge, grant, refusal, text};
use crate::support::client::request;
use crate::support::gate::{ACCOUNT, SENDER};

const BASE: &str = "/wa/acme";

fn mounted() -> Scene {
    let scene = Scene::with(|gate| gate.set("proxy", "base_path", &format!("\"{BASE}\"")));
    scene.gate.apply(&[grant(ANN, &["service"])]);
    scene
}

fn operation(relative_url: &str, to: &str) -> Value {
    let body = format!(
        "messaging_product=whatsapp&to={}&type=text&text=%7B%22body%22%3A%22x%22%7D",
        to.replace('+', "%2B")
    );
    json!({"method": "POST", "relative_url": relative_url, "body": body})
}

#[test]
fn sends_and_reads_below_the_prefix_reach_the_provider_without_it() {
    let scene = mounted();
    let send = text(ANN).to_string();
    let json_type = [("Content-Type", "application/json")];
    for (at, (method, target, headers, body, arrives)) in [
        ("POST", edge("messages"), &json_type[..], send.as_str(), edge("messages")),
        (
            "POST",
            format!("/{SENDER}/messages/?x=%2b"),
            &json_type,
            &send,
            format!("/{SENDER}/messages?x=%2b"),
        ),
        ("POST", edge("MESSAGES"), &json_type, &send, edge("messages")),
        ("GET", "/v23.0/1?fields=a%2Cb".to_owned(), &[], "", "/v23.0/1?fields=a%2Cb".to_owned()),
        (
            "DELETE",
            format!("/v23.0/{ACCOUNT}/message_templates?name=t"),
            &[],
            "",
            format!("/v23.0/{ACCOUNT}/message_templates?name=t"),
        ),
        ("POST", edge("register"), &json_type, "{\"pin\":\"012345\"}", edge("register")),
        ("GET", String::new(), &[], "", "/".to_owned()),
        ("GET", "/?ids=1,2".to_owned(), &[], "", "/?ids=1,2".to_owned()),
    ]
    .into_iter()
    .enumerate()
    {
        let written = format!("{BASE}{target}");
        let response = request(scene.gate.addr(), method, &written, headers, body.as_bytes());
        assert_eq!(response.status, 200, "{method} {written}: {}", response.text());
        let received = &scene.upstream.wait_for(at + 1)[at];
        assert_eq!((received.target(), received.payload()), (arrives.as_str(), body.as_bytes()), "{written}");
    }
}

#[test]
fn a_send_below_the_prefix_is_judged() {
    let scene = mounted();
    for target in
        [edge("messages"), format!("/{SENDER}/messages"), format!("//v23.0/{SENDER}/mess%61ges/"), edge("")]
    {
        let target = format!("{BASE}{}", target.trim_end_matches('/'));
        refusal(400, 131_030, "no_consent").assert(&scene.gate.post(&target, &text(BOB)));
    }
    for prefix in ["//wa///acme", "/%77a/acme", "/wa/acm%65"] {
        let target = format!("{prefix}{}", edge("messages"));
        refusal(400, 131_030, "no_consent").assert(&scene.gate.post(&target, &text(BOB)));
    }
    scene.assert_untouched();
}

#[test]
fn a_batch_may_be_posted_to_the_prefix_and_repeat_it_in_each_operation() {
    let scene = mounted();
    let below = format!("{}{}", &BASE[1..], edge("messages"));
    let plain = format!("{SENDER}/messages");
    for target in [BASE.to_owned(), format!("{BASE}/"), format!("{BASE}/v23.0/me")] {
        for url in [&plain, &below, &format!("/{below}")] {
            let batch = |to| json!({"batch": [{"method": "GET", "relative_url": "me"}, operation(url, to)]});
            let before = scene.upstream.request_count();
            let response = scene.gate.post(&target, &batch(BOB));
            refusal(400, 131_030, "no_consent").assert(&response);
            assert!(response.text().contains("operation 1 of the batch"), "{}", response.text());
            assert_eq!(scene.upstream.request_count(), before, "{target} {url}");
        }
        let mixed = json!({"batch": [operation(&plain, ANN), operation(&below, BOB)]});
        let response = scene.gate.post(&target, &mixed);
        refusal(400, 131_030, "no_consent").assert(&response);
        assert!(response.text().contains("operation 1 of the batch"), "{}", response.text());
    }
    assert_eq!(scene.upstream.request_count(), 0);
    let permitted = json!({"batch": [{"method": "GET", "relative_url": "me"}, operation(&plain, ANN)]});
    assert_eq!(scene.gate.post(BASE, &permitted).status, 200);
    let received = &scene.upstream.wait_for(1)[0];
    assert_eq!((received.target(), received.payload()), ("/", permitted.to_string().as_bytes()));
}

#[test]
fn nothing_outside_of_the_prefix_is_served() {
    let scene = mounted();
    let send = text(ANN).to_string();
    for (target, reason) in [
        (edge("messages"), "unrecognized_send"),
        (format!("/WA/ACME{}", edge("messages")), "unrecognized_send"),
        (format!("/wa{}", edge("messages")), "unrecognized_send"),
        (format!("/wa/acmes{}", edge("messages")), "unrecognized_send"),
        (format!("/x/wa/acme{}", edge("messages")), "unrecognized_send"),
        (format!("/v23.0/wa/acme/{SENDER}/messages"), "unrecognized_send"),
        (format!("/wa/other/../acme{}", edge("messages")), "request_unreadable"),
        (format!("/wa/acme/..{}", edge("messages")), "request_unreadable"),
        (format!("/wa/acme/%2e%2e{}", edge("messages")), "request_unreadable"),
        (format!("/wa/./acme{}", edge("messages")), "request_unreadable"),
        (format!("/wa%2facme{}", edge("messages")), "request_unreadable"),
        (format!("/wa%2Facme{}", edge("messages")), "request_unreadable"),
        (format!("/wa%5cacme{}", edge("messages")), "request_unreadable"),
        (format!("/wa;x/acme{}", edge("messages")), "request_unreadable"),
        (format!("/wa/acme%00{}", edge("messages")), "request_unreadable"),
        (format!("/wa/%2561cme{}", edge("messages")), "request_unreadable"),
        ("/".to_owned(), "unrecognized_send"),
        ("/wa".to_owned(), "unrecognized_send"),
    ] {
        for (method, body) in [("POST", send.as_str()), ("GET", "")] {
            let headers = [("Content-Type", "application/json")];
            let response = request(scene.gate.addr(), method, &target, &headers, body.as_bytes());
            refusal(400, 100, reason).assert(&response);
        }
    }
    scene.assert_untouched();
}

#[test]
fn what_the_policy_lets_pass_loses_the_prefix_as_well() {
    let steering = Scene::with(|gate| {
        gate.set("proxy", "base_path", &format!("\"{BASE}\"")).set("policy", "steering", "\"pass\"")
    });
    let target = format!("/v23.0/{ACCOUNT}/subscriptions");
    assert_eq!(steering.gate.post(&format!("{BASE}{target}"), &json!({"object": "x"})).status, 200);
    assert_eq!(steering.upstream.wait_for(1)[0].target(), target);
    let shadow = Scene::with(|gate| {
        gate.set("proxy", "base_path", &format!("\"{BASE}\"")).set("policy", "mode", "\"shadow\"")
    });
    for (at, body) in [json!({"encrypted": "AAAA"}), text(BOB)].into_iter().enumerate() {
        let target = edge(["messages_encrypted", "messages"][at]);
        assert_eq!(shadow.gate.post(&format!("{BASE}{target}"), &body).status, 200);
        assert_eq!(shadow.upstream.wait_for(at + 1)[at].target(), target);
    }
}
