//! What a grant must show before it lets a send through, and when what it granted ends.

use serde_json::{Value, json};

use super::*;
use crate::support::gate::ACCOUNT;
use crate::support::redis::Redis;

const NO_CONSENT: Refusal = refusal(400, 131_030, "no_consent");
const EXPIRED: Refusal = refusal(400, 131_030, "consent_expired");

/// A scene of one tenant with these keys, on the embedded store.
fn scene(keys: &str) -> Scene {
    scene_on(keys, |gate| gate)
}

fn scene_on(keys: &str, configure: impl FnOnce(GateBuilder) -> GateBuilder) -> Scene {
    // What follows a tenant's header would belong to its sender.
    let (own, tables) =
        keys.split_once("[[").map_or((keys, String::new()), |(own, rest)| (own, format!("[[{rest}")));
    let tenant = format!(
        "[[tenants]]\nname = \"default\"\n{own}\n{tables}\n[[tenants.senders]]\nphone_number_id = {SENDER:?}\naccount = {ACCOUNT:?}\nphone = \"+15550783881\"\n"
    );
    let scene = Scene::with(|gate| configure(gate.without_tenants().extra(&tenant)));
    scene.gate.put_templates(&templates());
    scene
}

fn post(scene: &Scene, event: &Value) -> Response {
    scene.gate.admin("POST", "/v1/events", "application/json", event.to_string().as_bytes())
}

fn send(scene: &Scene, to: &str) -> Response {
    scene.gate.send(&template(to, "marketing"))
}

#[track_caller]
fn refused(scene: &Scene, to: &str, expected: Refusal) {
    let before = scene.upstream.request_count();
    expected.assert(&send(scene, to));
    assert_eq!(scene.upstream.request_count(), before, "a refused send reached the upstream");
}

#[track_caller]
fn permitted(scene: &Scene, to: &str) {
    let response = send(scene, to);
    assert_eq!(response.status, 200, "{}", response.text());
}

fn shown(scene: &Scene, who: &str) -> Value {
    let target = format!("/v1/tenants/default/recipients/{}", who.replace('+', "%2B"));
    scene.gate.admin("GET", &target, "application/json", b"").json()
}

fn marketing(who: &str) -> Value {
    grant(who, &["marketing"])
}

#[test]
fn a_grant_that_breaks_three_rules_is_told_all_three_and_stores_nothing() {
    for rules in ["strict", "general"] {
        let scene = scene(&format!("opt_in_rules = {rules:?}"));
        let mut event = marketing(ANN);
        for field in ["user_action", "number_confirmed", "business_named"] {
            event["evidence"].as_object_mut().unwrap().remove(field);
        }
        // Who writes it excuses nothing, and under the strict rules only the person agrees.
        for actor in ["person", "operator", "system", "provider"] {
            event["actor"] = json!(actor);
            let response = post(&scene, &event);
            let told = response.text();
            assert_eq!(response.status, 422, "{told}");
            for field in ["user_action", "number_confirmed", "business_named"] {
                assert!(told.contains(&format!("evidence.{field}: ")), "{rules}: {told}");
            }
            let by_another = rules == "strict" && actor != "person";
            assert_eq!(told.contains("actor: "), by_another, "{told}");
            let broken = response.json()["results"][0]["reasons"].as_array().unwrap().len();
            assert_eq!(broken, if by_another { 4 } else { 3 }, "{told}");
            assert!(!told.contains("5550000"), "{told}");
        }
        let unknown =
            scene.gate.admin("GET", "/v1/tenants/default/recipients/%2B15550000001", "application/json", b"");
        assert_eq!(unknown.status, 404, "{}", unknown.text());
        refused(&scene, ANN, NO_CONSENT);
        scene.assert_untouched();
        scene.gate.apply(&[marketing(ANN)]);
        permitted(&scene, ANN);
    }
}

#[test]
fn each_tenant_is_held_to_its_own_rules() {
    let both = "opt_in_rules = \"general\"\nrequired_fields = [\"locale\"]\n[[tenants]]\nname = \"strict\"";
    let scene = scene(both);
    let mut event = marketing(ANN);
    event["evidence"]["channel"] = json!("whatsapp");
    scene.gate.apply(std::slice::from_ref(&event));
    event["tenant"] = json!("strict");
    assert!(post(&scene, &event).text().contains("[third_party_channel]"));
    event["tenant"] = json!("default");
    event["evidence"].as_object_mut().unwrap().remove("locale");
    assert!(post(&scene, &event).text().contains("evidence.locale: missing"));
}

#[test]
fn a_legacy_grant_enters_only_behind_the_switch_and_ends_when_it_should() {
    let mut legacy = marketing(ANN);
    legacy.as_object_mut().unwrap().remove("evidence");
    legacy["legacy"] = json!(true);
    let closed = scene("");
    let response = post(&closed, &legacy);
    assert_eq!(response.status, 422);
    assert!(response.text().contains("legacy_imports = true"), "{}", response.text());
    refused(&closed, ANN, NO_CONSENT);
    closed.assert_untouched();

    let open = scene("legacy_imports = true\nlegacy_until = \"2200-01-01T00:00:00Z\"");
    open.gate.apply(&[revoke(BOB, &["marketing"])]);
    let mut for_bob = legacy.clone();
    (for_bob["recipient"], for_bob["id"], for_bob["occurred_at"]) =
        (json!(BOB), json!("late"), json!(ago(Duration::from_secs(60))));
    assert_eq!(post(&open, &for_bob).json()["ignored"], 1);
    refused(&open, BOB, refusal(400, 131_050, "consent_revoked"));
    open.gate.apply(std::slice::from_ref(&legacy));
    permitted(&open, ANN);
    assert_eq!(shown(&open, ANN)["legacy"], true);
    assert_eq!(open.gate.count("optgate_legacy_grants_total", &["tenant=\"default\""]), 1);
    // One that is not marked must keep the rules all the same.
    legacy.as_object_mut().unwrap().remove("legacy");
    assert_eq!(post(&open, &legacy).status, 422);

    let over = scene("legacy_imports = true\nlegacy_until = \"2026-01-01T00:00:00Z\"");
    legacy["legacy"] = json!(true);
    over.gate.apply(&[legacy]);
    refused(&over, ANN, EXPIRED);
    assert_eq!(shown(&over, ANN)["categories"]["marketing"]["state"], "expired");
    over.assert_untouched();
}

#[test]
fn with_double_opt_in_a_send_waits_for_the_confirmation() {
    let redis = Redis::start();
    let keys = "double_opt_in = true\nopt_in_rules = \"general\"";
    for scene in [scene(keys), scene_on(keys, |gate| gate.redis(&redis.url()))] {
        let first = marketing(ANN);
        scene.gate.apply(std::slice::from_ref(&first));
        refused(&scene, ANN, NO_CONSENT);
        assert_eq!(shown(&scene, ANN)["categories"]["marketing"]["state"], "pending");
        // A second grant that names nothing waits as well, whoever wrote it.
        let mut operators = marketing(ANN);
        operators["actor"] = json!("operator");
        scene.gate.apply(&[operators]);
        refused(&scene, ANN, NO_CONSENT);
        let mut second = marketing(ANN);
        (second["confirms"], second["actor"]) = (json!("somebody else's"), json!("operator"));
        assert!(post(&scene, &second).text().contains("only the person confirms"));
        second["actor"] = json!("person");
        assert_eq!(post(&scene, &second).json()["ignored"], 1);
        refused(&scene, ANN, NO_CONSENT);
        scene.assert_untouched();
        (second["confirms"], second["id"], second["occurred_at"]) =
            (first["id"].clone(), json!("confirmation"), json!(ago(DAY)));
        scene.gate.apply(&[second]);
        permitted(&scene, ANN);
    }
}

#[test]
fn a_new_wording_ends_older_grants_at_its_time_on_every_store() {
    let redis = Redis::start();
    let wordings = "[[tenants.wordings]]\nversion = \"2025-12\"\n[[tenants.wordings]]\nversion = \"2026-01\"\n\
                    expires_older_at = \"2026-01-15T00:00:00Z\"\n[[tenants.wordings]]\nversion = \"2200-01\"\n\
                    expires_older_at = \"2200-01-01T00:00:00Z\"";
    for scene in [scene(wordings), scene_on(wordings, |gate| gate.redis(&redis.url()))] {
        let to = |who: &str, version: Value| {
            let mut event = marketing(who);
            event["evidence"]["wording_version"] = version;
            event
        };
        let (unstated, unlisted) = ("+15550000003", "+15550000004");
        scene.gate.apply(&[
            to(ANN, json!("2026-01")),
            to(BOB, json!("2025-12")),
            to(unstated, Value::Null),
            to(unlisted, json!("2019")),
        ]);
        for old in [BOB, unstated, unlisted] {
            refused(&scene, old, EXPIRED);
            assert_eq!(shown(&scene, old)["categories"]["marketing"]["state"], "expired");
        }
        scene.assert_untouched();
        permitted(&scene, ANN);
        // The person agrees to the new words.
        let mut again = to(BOB, json!("2026-01"));
        again["occurred_at"] = json!(ago(DAY));
        scene.gate.apply(&[again]);
        permitted(&scene, BOB);
    }
}

#[test]
fn a_tenants_grants_expire_after_its_time() {
    let scene = scene("grants_expire_after = \"1d\"");
    scene.gate.apply(&[marketing(ANN)]);
    refused(&scene, ANN, EXPIRED);
    scene.assert_untouched();
    let mut fresh = marketing(ANN);
    fresh["occurred_at"] = json!(ago(Duration::from_secs(3600)));
    scene.gate.apply(&[fresh]);
    permitted(&scene, ANN);
}

/// What the person withdrew comes back by an act of theirs with evidence, whatever else is written.
#[test]
fn a_resume_needs_evidence_and_nobody_else_may_write_it() {
    let redis = Redis::start();
    for scene in [scene(""), scene_on("", |gate| gate.redis(&redis.url()))] {
        const REVOKED: Refusal = refusal(400, 131_050, "consent_revoked");
        scene.gate.apply(&[marketing(ANN), revoke(ANN, &["marketing"])]);
        refused(&scene, ANN, REVOKED);
        let resume = |actor: &str, evidence: Value| {
            let mut resume = revoke(ANN, &["marketing"]);
            (resume["kind"], resume["actor"]) = (json!("resume"), json!(actor));
            resume["occurred_at"] = json!(ago(Duration::from_secs(60)));
            resume["id"] = json!(format!("{actor}-{evidence}"));
            if !evidence.is_null() {
                resume["evidence"] = evidence;
            }
            resume
        };
        let asked = json!({"channel": "phone", "user_action": "said_yes", "reference": "call 4711"});
        let nothing = json!({"channel": "phone", "user_action": "said_yes", "wording": "\u{200b}"});
        for (actor, evidence) in [("person", Value::Null), ("person", nothing), ("provider", Value::Null)] {
            let response = post(&scene, &resume(actor, evidence));
            assert_eq!(response.status, 422, "{}", response.text());
            assert!(response.text().contains("asked_to_resume"), "{}", response.text());
            refused(&scene, ANN, REVOKED);
        }
        for (actor, evidence) in
            [("operator", asked.clone()), ("system", Value::Null), ("provider", asked.clone())]
        {
            let response = post(&scene, &resume(actor, evidence));
            assert_eq!(
                (response.status, &response.json()["ignored"]),
                (200, &json!(1)),
                "{}",
                response.text()
            );
            refused(&scene, ANN, REVOKED);
        }
        scene.assert_untouched();
        scene.gate.apply(&[resume("person", asked)]);
        permitted(&scene, ANN);
        let target = "/v1/tenants/default/recipients/%2B15550000001/history";
        let history = scene.gate.admin("GET", target, "application/json", b"").text();
        assert!(history.contains("call 4711"), "the evidence is kept: {history}");
    }
}

#[test]
fn an_operators_grant_after_a_withdrawal_is_ignored_or_by_strict_rules_refused() {
    for (rules, status, counted) in [("general", 200, "ignored"), ("strict", 422, "rejected")] {
        let scene = scene(&format!("opt_in_rules = {rules:?}"));
        scene.gate.apply(&[revoke(ANN, &["marketing"])]);
        let mut event = marketing(ANN);
        (event["actor"], event["occurred_at"]) = (json!("operator"), json!(ago(Duration::from_secs(60))));
        let response = post(&scene, &event);
        assert_eq!((response.status, &response.json()[counted]), (status, &json!(1)), "{}", response.text());
        refused(&scene, ANN, refusal(400, 131_050, "consent_revoked"));
        scene.assert_untouched();
        event["actor"] = json!("person");
        scene.gate.apply(&[event]);
        permitted(&scene, ANN);
    }
}

#[test]
fn what_a_program_of_the_business_does_opens_no_window() {
    let scene = scene("");
    for actor in ["system", "operator"] {
        let mut inbound = inbound(ANN, Duration::from_secs(60));
        inbound["actor"] = json!(actor);
        let response = post(&scene, &inbound);
        assert!(response.status == 422 && response.text().contains("\"actor: "), "{}", response.text());
    }
    NO_CONSENT.assert(&scene.gate.send(&text(ANN)));
    scene.assert_untouched();
    scene.gate.apply(&[inbound(ANN, Duration::from_secs(60))]);
    assert_eq!(scene.gate.send(&text(ANN)).status, 200);
}
