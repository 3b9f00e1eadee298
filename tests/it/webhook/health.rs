//! How numbers are doing: told by webhooks, asked for, kept, shown, and what marketing from a bad one comes to.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::{change, deliver, digits, relaying, seconds};
use crate::journey::{ALL, ANN, BOB, grant, refusal, template, templates};
use crate::support::eventually;
use crate::support::gate::{ACCOUNT, Gate, GateBuilder, SENDER, optgate};
use crate::support::redis::Redis;
use crate::support::upstream::{Answer, Upstream};

fn start(gate: GateBuilder) -> (Gate, SocketAddr) {
    let (gate, webhook) = relaying(gate.set("senders", "settle_seconds", "1"), None);
    let gate = gate.start();
    gate.apply(&[grant(ANN, &ALL), grant(BOB, &ALL)]);
    gate.put_templates(&templates());
    (gate, webhook)
}

/// A webhook about the account, as Meta writes it: without metadata.
fn of_account(field: &str, at: i64, value: &Value) -> Value {
    json!({ "object": "whatsapp_business_account",
        "entry": [{ "id": ACCOUNT, "time": at, "changes": [{ "field": field, "value": value }] }] })
}

fn quality(event: &str, at: i64) -> Value {
    of_account(
        "phone_number_quality_update",
        at,
        &json!({ "display_phone_number": "15550783881", "event": event, "current_limit": "TIER_10K" }),
    )
}

#[track_caller]
fn tell(webhook: SocketAddr, body: &Value) {
    assert_eq!(deliver(webhook, body).status, 200);
}

fn sender(gate: &Gate) -> Value {
    gate.admin("GET", "/v1/senders", "application/json", b"").json()["senders"][0].clone()
}

#[test]
fn a_flagged_number_sends_no_marketing_until_it_is_unflagged() {
    let upstream = Upstream::start();
    let (gate, webhook) = start(Gate::to(&upstream.url()));
    tell(webhook, &quality("FLAGGED", seconds(-30)));
    let refused = gate.send(&template(ANN, "marketing"));
    refusal(400, 131_030, "sender_health").assert(&refused);
    assert!(refused.text().contains("optgate senders"), "{}", refused.text());
    assert_eq!(upstream.request_count(), 0);
    assert_eq!(gate.send(&template(ANN, "utility")).status, 200);
    let shown = sender(&gate);
    assert_eq!(
        (&shown["quality"], &shown["status"], &shown["messaging_limit"]),
        (&json!("red"), &json!("FLAGGED"), &json!("TIER_10K")),
        "{shown}"
    );
    assert!(gate.metric("optgate_sender_quality", &[SENDER, "red"]) > 0.5);
    tell(webhook, &quality("UNFLAGGED", seconds(-20)));
    // Late and repeated.
    tell(webhook, &quality("FLAGGED", seconds(-30)));
    assert_eq!(gate.send(&template(ANN, "marketing")).status, 200);
    let other = of_account(
        "phone_number_quality_update",
        seconds(0),
        &json!({ "display_phone_number": "15550000000", "event": "FLAGGED" }),
    );
    tell(webhook, &other);
    assert_eq!(gate.send(&template(ANN, "marketing")).status, 200);
    let forged = crate::support::client::request(
        webhook,
        "POST",
        "/",
        &[("X-Hub-Signature-256", "sha256=00")],
        quality("FLAGGED", seconds(0)).to_string().as_bytes(),
    );
    assert_eq!((forged.status, gate.send(&template(ANN, "marketing")).status), (403, 200));
}

#[test]
fn the_rating_survives_a_restart_and_reaches_every_gate() {
    let upstream = Upstream::start();
    let (mut gate, webhook) = start(Gate::to(&upstream.url()));
    tell(webhook, &quality("FLAGGED", seconds(0)));
    gate.signal("TERM");
    gate.wait();
    let (gate, _) = start(Gate::to(&upstream.url()).in_folder(gate.kill9()));
    eventually("the rating is read back", || {
        (gate.send(&template(ANN, "marketing")).status == 400).then_some(())
    });

    let redis = Redis::start();
    let (_near, webhook) = start(Gate::to(&upstream.url()).redis(&redis.url()));
    let (far, _) = start(Gate::to(&upstream.url()).redis(&redis.url()));
    tell(webhook, &quality("FLAGGED", seconds(0)));
    eventually("the far gate knows it", || {
        (far.send(&template(ANN, "marketing")).header("optgate-decision")
            == Some("deny; reason=sender_health"))
        .then_some(())
    });
}

#[test]
fn the_policy_says_what_a_bad_rating_means() {
    let upstream = Upstream::start();
    for brake in ["warn", "off"] {
        let (gate, webhook) =
            start(Gate::to(&upstream.url()).set("policy", "sender_health", &format!("\"{brake}\"")));
        tell(webhook, &quality("FLAGGED", seconds(0)));
        assert_eq!(gate.send(&template(ANN, "marketing")).status, 200);
        let warned = || gate.metric("optgate_sender_health_warnings_total", &[SENDER]);
        eventually("the send is seen", || sender(&gate)["last_marketing"].is_string().then_some(()));
        assert!((warned() - if brake == "warn" { 1.0 } else { 0.0 }).abs() < 0.1, "{brake}");
    }
    let (gate, webhook) = start(Gate::to(&upstream.url()).set("policy", "mode", "\"shadow\""));
    tell(webhook, &quality("FLAGGED", seconds(0)));
    let passed = gate.send(&template(ANN, "marketing"));
    assert_eq!(passed.header("optgate-decision"), Some("shadow-deny; reason=sender_health"));
}

#[test]
fn the_provider_is_asked_with_the_gates_own_token() {
    let upstream = Upstream::start();
    let rating = Arc::new(Mutex::new("RED"));
    let told = Arc::clone(&rating);
    upstream.respond(move |received| match received.method() {
        "GET" => Answer::json(
            200,
            &json!({ "quality_rating": *told.lock().unwrap(), "status": "CONNECTED", "id": SENDER,
                "whatsapp_business_manager_messaging_limit": "TIER_2K",
                "health_status": { "can_send_message": "LIMITED", "entities": [
                    { "entity_type": "BUSINESS", "id": "1", "can_send_message": "LIMITED",
                      "errors": [{ "error_code": 141_010, "error_description": "d", "possible_solution": "s" }] }] } })
            .to_string(),
        ),
        _ => Answer::sent(),
    });
    let (gate, _) = start(
        Gate::to(&upstream.url())
            .set("senders", "poll_seconds", "1")
            .set("templates", "sync_every", "\"0\"")
            .set("upstream", "token", "\"EAASECRET\""),
    );
    eventually("marketing is refused", || {
        (gate.send(&template(ANN, "marketing")).header("optgate-decision")
            == Some("deny; reason=sender_health"))
        .then_some(())
    });
    let asked: Vec<_> = upstream
        .requests()
        .into_iter()
        .filter(|request| request.method() == "GET" && request.target().starts_with(&format!("/{SENDER}?")))
        .collect();
    assert_eq!(asked[0].header("authorization"), Some("Bearer EAASECRET"));
    assert!(
        asked[0].target().contains("fields=display_phone_number,quality_rating,status,health_status"),
        "{}",
        asked[0].target()
    );
    let shown = sender(&gate);
    assert_eq!(
        (&shown["can_send"], &shown["obstacles"], &shown["messaging_limit"]),
        (&json!("LIMITED"), &json!(["BUSINESS LIMITED 141010"]), &json!("TIER_2K")),
        "{shown}"
    );
    *rating.lock().unwrap() = "GREEN";
    eventually("marketing passes again", || {
        (gate.send(&template(ANN, "marketing")).status == 200).then_some(())
    });
    assert!(gate.metric("optgate_sender_polls_total", &[SENDER, "ok"]) >= 2.0);
    assert!(!gate.stderr().join("\n").contains("EAASECRET"));
}

#[test]
fn a_provider_that_does_not_tell_changes_nothing_and_is_asked_less_often() {
    let upstream = Upstream::start();
    let limit = r#"{"error":{"message":"(#80008) Rate limit","type":"OAuthException","code":80008}}"#;
    upstream.respond(move |received| match received.method() {
        "GET" => Answer::json(400, limit),
        _ => Answer::sent(),
    });
    let (gate, webhook) = start(
        Gate::to(&upstream.url())
            .set("senders", "poll_seconds", "1")
            .set("templates", "sync_every", "\"0\"")
            .set("upstream", "token", "\"EAASECRET\""),
    );
    tell(webhook, &quality("FLAGGED", seconds(0)));
    eventually("it was asked", || {
        (gate.metric("optgate_sender_polls_total", &[SENDER, "rate_limited"]) > 0.5).then_some(())
    });
    std::thread::sleep(std::time::Duration::from_secs(4));
    let asked = upstream.requests().iter().filter(|r| r.target().starts_with(&format!("/{SENDER}?"))).count();
    assert!((1..=3).contains(&asked), "{asked}");
    refusal(400, 131_030, "sender_health").assert(&gate.send(&template(ANN, "marketing")));
}

#[test]
fn what_happens_to_the_account_is_shown_and_counted() {
    let upstream = Upstream::start();
    let (gate, webhook) = start(Gate::to(&upstream.url()));
    let restricted = json!({ "event": "ACCOUNT_RESTRICTION", "restriction_info": [
        { "restriction_type": "RESTRICTED_BIZ_INITIATED_MESSAGING", "expiration": seconds(86_400) }] });
    tell(webhook, &of_account("account_update", seconds(-10), &restricted));
    tell(webhook, &of_account("account_alerts", seconds(-5), &json!({ "alert_type": "OBA_APPROVED" })));
    let limit =
        json!({ "max_daily_conversations_per_business": "TIER_100K", "max_phone_numbers_per_business": 25 });
    tell(webhook, &of_account("business_capability_update", seconds(0), &limit));
    let shown = sender(&gate);
    assert_eq!(shown["account_state"]["event"], "restriction", "{shown}");
    assert_eq!(shown["account_state"]["words"], "ACCOUNT_RESTRICTION RESTRICTED_BIZ_INITIATED_MESSAGING");
    assert_eq!(shown["messaging_limit"], "TIER_100K");
    for event in ["restriction", "alert"] {
        assert!(gate.metric("optgate_account_events_total", &[event]) > 0.5, "{event}");
    }
}

#[test]
fn nothing_about_numbers_and_accounts_is_learnt_from_forgeries_and_late_ones_change_nothing() {
    let upstream = Upstream::start();
    let (gate, webhook) = start(Gate::to(&upstream.url()));
    let capability = |tier: &str, at: i64| {
        of_account(
            "business_capability_update",
            seconds(at),
            &json!({ "max_daily_conversations_per_business": tier }),
        )
    };
    let violation = |at: i64| {
        of_account(
            "account_update",
            seconds(at),
            &json!({ "event": "ACCOUNT_VIOLATION", "violation_info": { "violation_type": "SPAM" } }),
        )
    };
    let restored = json!({ "event": "DISABLED_UPDATE", "ban_info": { "waba_ban_state": "REINSTATE" } });
    let all = [
        quality("FLAGGED", seconds(-500_000)),
        capability("TIER_2K", -500_000),
        violation(-500_000),
        quality("THROUGHPUT_UPGRADE", seconds(-100)),
        quality("UNFLAGGED", seconds(-200)),
        capability("TIER_100K", -10),
        of_account("account_update", seconds(-20), &restored),
        of_account("account_alerts", seconds(-5), &json!({ "alert_type": "OBA_APPROVED" })),
    ];
    let before = sender(&gate);
    for body in &all {
        let body = body.to_string();
        let signature = super::signature("another secret", body.as_bytes());
        let headers = [("X-Hub-Signature-256", &*signature)];
        let forged = crate::support::client::request(webhook, "POST", "/", &headers, body.as_bytes());
        assert_eq!(forged.status, 403);
    }
    assert_eq!(sender(&gate), before);
    assert_eq!(gate.count("optgate_account_events_total", &[]), 0);
    for order in [
        [0, 1, 2, 3, 4, 5, 6, 7],
        [7, 6, 5, 4, 3, 2, 1, 0],
        [3, 0, 7, 2, 5, 1, 6, 4],
        [5, 4, 6, 1, 0, 2, 3, 7],
    ] {
        for n in order {
            tell(webhook, &all[n]);
        }
        let shown = sender(&gate);
        let told = [&shown["status"], &shown["messaging_limit"], &shown["account_state"]["event"]];
        // The number's own limit was told with its throughput.
        assert_eq!(told, ["CONNECTED", "TIER_10K", "reinstated"], "{order:?}: {shown}");
        assert_eq!(gate.send(&template(ANN, "marketing")).status, 200, "{order:?}");
    }
}

#[test]
fn stops_are_shown_with_the_source_of_the_consent_that_caused_them() {
    let upstream = Upstream::start();
    let (gate, webhook) = start(Gate::to(&upstream.url()));
    let mut imported = grant("+15550000003", &ALL);
    imported["source"] = json!("import:fair-2026");
    imported["evidence"]["wording_version"] = json!("2026-02");
    gate.apply(&[imported]);
    let failed = |id: &str, person: &str, code: u64| {
        change(
            "messages",
            json!({ "statuses": [{ "id": id, "status": "failed", "timestamp": seconds(0).to_string(), "recipient_id": digits(person),
                "errors": [{ "code": code, "title": "t" }] }] }),
        )
    };
    for (id, person, code) in [
        ("wamid.1", "+15550000003", 131_050),
        ("wamid.2", "+15550000003", 131_026),
        ("wamid.3", ANN, 131_050),
        ("wamid.3", ANN, 131_050),
        ("wamid.4", "+15550000009", 131_026),
        ("wamid.5", ANN, 131_000),
    ] {
        tell(webhook, &failed(id, person, code));
    }
    let detail = || {
        gate.admin("GET", &format!("/v1/senders/{SENDER}"), "application/json", b"").json()["messages"][0]
            .clone()
    };
    eventually("all are summed up", || (detail()["failed"] == 5).then_some(()));
    let told = detail();
    let count = |code: u64, source: &str| {
        let failures = told["failures"].as_array().unwrap();
        let found = failures.iter().find(|f| f["code"] == code && f["source"] == source);
        found.map(|f| (f["count"].clone(), f["channel"].clone(), f["wording_version"].clone()))
    };
    assert_eq!(
        count(131_050, "import:fair-2026"),
        Some((json!(1), json!("website"), json!("2026-02"))),
        "{told}"
    );
    assert_eq!(
        count(131_050, "website").map(|found| found.0),
        Some(json!(1)),
        "repeated deliveries count once"
    );
    assert_eq!(count(131_026, "unknown").map(|found| found.0), Some(json!(1)));
    assert!(gate.metric("optgate_sender_statuses_total", &[SENDER, "failed_131050"]) > 1.5);
    let mut command = optgate();
    command.args(["senders", SENDER, "--admin", &format!("http://{}", gate.admin_addr())]);
    command.env("OPTGATE_TOKEN", "integration-tests");
    let printed = String::from_utf8(command.output().unwrap().stdout).unwrap();
    for part in ["last 7 days: 0 sent, 5 failed", "import:fair-2026", "relay: live"] {
        assert!(printed.contains(part), "{part}: {printed}");
    }
    let missing = gate.admin("GET", "/v1/senders/1", "application/json", b"");
    assert_eq!(missing.status, 404);
}
