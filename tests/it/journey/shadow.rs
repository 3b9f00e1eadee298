//! Shadow mode: everything is forwarded, and what would have been refused is said and recorded.

use serde_json::{Value, json};

use super::*;

fn shadow() -> Scene {
    let scene = Scene::with(|gate| gate.set("policy", "mode", "\"shadow\""));
    scene.gate.put_templates(&templates());
    scene
}

#[track_caller]
fn forwarded_with(scene: &Scene, target: &str, body: &Value, decision: &str) -> Value {
    let before = scene.upstream.request_count();
    let response = scene.gate.post(target, body);
    assert_eq!(
        (response.status, response.header("optgate-decision")),
        (200, Some(decision)),
        "{}",
        response.text()
    );
    let received = scene.upstream.wait_for(before + 1);
    assert_eq!((received.len(), received[before].payload()), (before + 1, body.to_string().as_bytes()));
    scene.event(response.header("optgate-decision-id").unwrap())
}

#[test]
fn readyz_warns_of_shadow_mode_and_of_nothing_where_the_senders_number_is_configured() {
    let warnings = |scene: &Scene| scene.gate.admin("GET", "/readyz", "", b"").json()["warnings"].clone();
    let told = warnings(&shadow());
    let told: Vec<&str> = told.as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(told.len() == 1 && told[0].contains("shadow") && told[0].contains("\"enforce\""), "{told:?}");
    assert_eq!(warnings(&Scene::start()), json!([]));
}

#[test]
fn what_would_have_been_refused_is_forwarded_and_recorded() {
    let scene = shadow();
    scene.gate.apply(&[revoke(ANN, &["marketing"])]);
    let mut group = text("Y2FwaV9ncm91cDoxNTU1");
    group["recipient_type"] = json!("group");
    for (target, body, reason) in [
        (edge("messages"), text(BOB), "no_consent"),
        (edge("messages"), template(ANN, "marketing"), "consent_revoked"),
        (edge("messages"), text("nobody"), "recipient_unreadable"),
        (edge("messages"), group, "group_not_permitted"),
        (edge("calls"), call(BOB), "no_consent"),
        ("/v23.0/424242/messages".to_owned(), text(BOB), "caller_not_permitted"),
        (edge("messages_encrypted"), json!({"encrypted": "AAAA"}), "opaque_payload"),
        (edge("settings"), json!({"calling": {"sip": {"status": "ENABLED"}}}), "steering_write"),
        (edge("media"), json!({"batch": [{}]}), "unrecognized_send"),
    ] {
        let event = forwarded_with(&scene, &target, &body, &format!("shadow-deny; reason={reason}"));
        assert_eq!(
            (&event["mode"], &event["reason"], &event["outcome"]),
            (&json!("shadow"), &json!(reason), &json!("forwarded")),
            "{event}"
        );
    }
    assert!(scene.gate.metric("optgate_decisions_total", &["mode=\"shadow\"", "decision=\"allow\""]) >= 9.0);
    assert_eq!(scene.gate.count("optgate_requests_total", &["kind=\"refused\""]), 0);
}

#[test]
fn what_is_permitted_says_so_in_shadow_mode_too() {
    let scene = shadow();
    scene.gate.apply(&[grant(ANN, &["utility"])]);
    let event = forwarded_with(&scene, &edge("messages"), &template(ANN, "utility"), "allow; basis=consent");
    assert_eq!((&event["decision"], &event["basis"]), (&json!("allow"), &json!("consent")));
}

#[test]
fn the_kill_switch_holds_in_shadow_mode() {
    let scene =
        Scene::with(|gate| gate.set("policy", "mode", "\"shadow\"").set("policy", "kill_switch", "true"));
    let response = scene.gate.send(&text(ANN));
    refusal(400, 131_030, "kill_switch").assert(&response);
    scene.assert_untouched();
}
