//! Records, checks, templates and decisions out.

use std::time::Duration;

use super::*;
use crate::consent::{Category, Recipient};
use crate::decision_log::Outcome;

#[tokio::test]
async fn a_record_shows_where_a_person_stands_now() {
    let plane = plane().await;
    let until = r#"{"expires_at":"2026-03-01T00:00:00Z","#;
    plane
        .tell(&[
            grant(NUMBER, "marketing"),
            grant(NUMBER, "utility").replacen('{', until, 1),
            event(NUMBER, "revoke", r#","categories":["marketing"],"id":"stop-1""#),
            grant(NUMBER, "call").replacen('{', r#"{"links":["US.1349"],"id":"g-3","#, 1),
            event(NUMBER, "inbound", ""),
        ])
        .await;
    let reply = plane.get(PATH).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let record = &reply.json;
    assert_eq!((&record["recipient"], &record["tenant"]), (&Value::from(NUMBER), &Value::from("acme")));
    let categories = &record["categories"];
    for (category, state) in [
        ("marketing", "revoked"),
        ("utility", "expired"),
        ("call", "granted"),
        ("service", "none"),
        ("authentication", "none"),
    ] {
        assert_eq!(categories[category]["state"], state, "{category}");
    }
    assert_eq!(categories["marketing"]["event"], "stop-1");
    assert_eq!(categories["marketing"]["since"], "2026-02-01T09:30:00Z");
    assert_eq!(categories["utility"]["until"], "2026-03-01T00:00:00Z");
    assert_eq!(categories["call"]["event"], "g-3");
    assert_eq!(record["window_until"], "2026-02-02T09:30:00Z");
    assert_eq!((&record["links"], &record["legacy"]), (&serde_json::json!(["US.1349"]), &Value::from(false)));
}

#[tokio::test]
async fn nobody_and_the_unreadable_are_problems_that_repeat_nothing() {
    let plane = plane().await;
    for (path, status) in [
        (PATH, 404),
        ("/v1/tenants/nobody/recipients/%2B15550000001", 404),
        ("/v1/tenants/acme/recipients/15550000001", 400),
        ("/v1/tenants/acme/recipients/%2B1555000000%FF", 400),
        ("/v1/tenants/acme/recipients/*", 400),
    ] {
        let says = plane.get(path).await.problem(status);
        assert!(!says.replace("%2B15550000001", "").contains("555000000"), "{says}");
    }
    plane.control.store.close().await;
    plane.get(PATH).await.problem(503);
}

#[tokio::test]
async fn a_check_shows_what_a_send_would_get() {
    let plane = plane().await;
    plane.tell(&[grant(NUMBER, "utility"), event(NUMBER, "revoke", r#","categories":["marketing"]"#)]).await;
    let list =
        r#"{"data":[{"name":"order_update","language":"en_US","category":"UTILITY","status":"APPROVED"}]}"#;
    assert_eq!(plane.call("PUT", &format!("/v1/templates/{ACCOUNT}"), ROOT, list).await.json["templates"], 1);
    let utility = r#","template":"order_update","language":"en_US""#;
    for (to, more, decision, reason, category) in [
        ("+15550000001", utility, "allow", None, "utility"),
        ("15550000001", utility, "allow", None, "utility"),
        ("+15550000002", utility, "deny", Some("no_consent"), "utility"),
        (
            "+15550000001",
            r#","template":"order_update","language":"de""#,
            "deny",
            Some("consent_revoked"),
            "marketing",
        ),
        ("+15550000001", r#","category":"marketing""#, "deny", Some("consent_revoked"), "marketing"),
        ("+15550000001", "", "deny", Some("no_consent"), "service"),
        ("+15550000001", r#","category":"call""#, "deny", Some("no_consent"), "call"),
        ("nobody", utility, "deny", Some("recipient_unreadable"), "utility"),
    ] {
        let body = format!(r#"{{"sender":"{SENDER}","to":"{to}"{more}}}"#);
        let reply = plane.call("POST", "/v1/check", ROOT, body.clone()).await;
        let seen = &reply.json;
        assert_eq!(seen["decision"], decision, "{body}: {}", reply.text);
        assert_eq!(seen["reason"].as_str(), reason, "{body}");
        assert_eq!(seen["category"], category, "{body}");
        assert_eq!(seen["revision"], plane.control.judge.policy().revision());
        assert_eq!(
            seen["refusal"]["error"]["is_transient"].as_bool(),
            reason.map(|_| false),
            "{body}: {}",
            reply.text
        );
        assert_eq!(seen["basis"].is_null(), reason.is_some());
    }
    let unknown = format!(r#"{{"sender":"999","to":"{NUMBER}"}}"#);
    assert_eq!(plane.call("POST", "/v1/check", ROOT, unknown).await.json["reason"], "caller_not_permitted");
}

#[tokio::test]
async fn a_check_that_cannot_be_made_says_why() {
    let plane = plane().await;
    for (body, says) in [
        ("{}", "sender: missing"),
        ("{}", "to: missing"),
        (r#"{"sender":"1","to":"+15550000001","template":"a"}"#, "language:"),
        (
            r#"{"sender":"1","to":"+15550000001","template":"a","language":"en","category":"utility"}"#,
            "category:",
        ),
        (r#"{"sender":"1","to":"+15550000001","category":"promotion"}"#, "category: takes"),
        (r#"{"sender":"1","to":15550000001,"tenant":"acme"}"#, "to: takes"),
        (r#"{"sender":"1","to":15550000001,"tenant":"acme"}"#, "tenant: unknown field"),
        ("nonsense +15550000001", "not JSON"),
    ] {
        let answer = plane.call("POST", "/v1/check", ROOT, body).await.problem(422);
        assert!(answer.contains(says) && !answer.contains("5550000001"), "{body}: {answer}");
    }
}

#[tokio::test]
async fn a_list_replaces_the_one_before_and_a_bad_one_changes_nothing() {
    let plane = plane().await;
    let path = format!("/v1/templates/{ACCOUNT}");
    let list = |items: &str| format!(r#"{{"data":[{items}]}}"#);
    let one =
        r#"{"id":"1","name":"order_update","language":"en-US","category":"UTILITY","status":"APPROVED"}"#;
    assert_eq!(plane.call("PUT", &path, ROOT, list(one)).await.status, 200);
    let bad = r#"{"name":"x","category":"UTILITY","language":7},{"language":"de","category":"UTILITY"}"#;
    let reply = plane.call("PUT", &path, ROOT, list(bad)).await;
    reply.problem(422);
    assert!(reply.json["problems"].as_array().unwrap().len() >= 2, "{}", reply.text);
    plane.call("PUT", &path, ROOT, "nonsense").await.problem(422);
    let twice = r#"{"name":"order_update","language":"en","category":"MARKETING","category":"UTILITY"}"#;
    let told = plane.call("PUT", &path, ROOT, list(twice)).await.problem(422);
    assert!(told.contains("\\\"category\\\" stands twice"), "{told}");
    plane.call("PUT", "/v1/templates/a%2Fb", ROOT, list(one)).await.problem(400);
    let listed = plane.get("/v1/templates").await;
    let expected = serde_json::json!([{ "account": ACCOUNT, "replaced_at": NOW.to_string(), "synced_at": null, "templates": [
        { "name": "order_update", "language": "en_US", "category": "utility", "correct_category": null, "announced": null, "status": "APPROVED",
          "quality": null, "source": "operator", "as_of": NOW.to_string(), "stale": false, "asks_to_call": false }] }]);
    assert_eq!(listed.json["accounts"], expected);
    plane.call("PUT", &path, ROOT, list("")).await;
    assert_eq!(plane.get("/v1/templates").await.json["accounts"][0]["templates"], serde_json::json!([]));
    plane.control.store.close().await;
    plane.call("PUT", &path, ROOT, list(one)).await.problem(503);
    assert_eq!(plane.get("/v1/templates").await.json["accounts"][0]["templates"], serde_json::json!([]));
}

#[tokio::test]
async fn a_recent_decision_is_found_by_its_id_and_only_by_its_tenant() {
    let tokens = vec![
        token("acme-secret", &[Scope::DecisionsRead], Some(vec![0])),
        token("globex-secret", &[Scope::DecisionsRead], Some(vec![1])),
    ];
    let plane = Plane::start(&["acme", "globex"], tokens).await;
    let mut guard = plane.control.log.worker().unwrap().reserve(NOW, Duration::from_secs(5)).await.unwrap();
    let id = guard.id();
    guard.fill(|event| {
        event.tenant = Some(0);
        event.readings.push(Recipient::parse(NUMBER).unwrap(), None);
        event.category = Some(Category::Utility);
    });
    guard.finish(Outcome::Forwarded { status: 200 });
    let path = format!("/v1/decisions/{id}");
    let mut reply = plane.call("GET", &path, "acme-secret", "").await;
    // The line is written by another thread, a few milliseconds after the decision ended.
    for _ in 0..200 {
        if reply.status == 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        reply = plane.call("GET", &path, "acme-secret", "").await;
    }
    assert_eq!(reply.json["id"], id.as_str(), "{}", reply.text);
    assert!(reply.json["category"] == "utility" && !reply.text.contains("5550000001"));
    plane.call("GET", &path, "globex-secret", "").await.problem(404);
    plane.get("/v1/decisions/7ZZZZZZZZZZZZZZZZZZZZZZZZZ").await.problem(404);
    plane.get("/v1/decisions/15550000001").await.problem(400);
}

#[tokio::test]
async fn the_catalogue_comes_in_pages() {
    let plane = plane().await;
    for account in ["10", "20", "30"] {
        plane.call("PUT", &format!("/v1/templates/{account}"), ROOT, r#"{"data":[]}"#).await;
    }
    let mut path = "/v1/templates?limit=2".to_owned();
    let mut pages = Vec::new();
    loop {
        let reply = plane.get(&path).await;
        let accounts = reply.json["accounts"].as_array().unwrap().iter();
        pages.push(accounts.map(|list| list["account"].as_str().unwrap().to_owned()).collect::<Vec<_>>());
        match reply.json["next"].as_str() {
            Some(next) => next.clone_into(&mut path),
            None => break,
        }
    }
    assert_eq!(pages, [vec!["10", "20"], vec!["30"]]);
    plane.get("/v1/templates?limit=none").await.problem(422);
}

#[tokio::test]
async fn a_body_that_is_not_what_belongs_there_is_refused_with_its_place() {
    let plane = plane().await;
    let templates = format!("/v1/templates/{ACCOUNT}");
    let event = grant(NUMBER, "utility");
    let check = format!(r#"{{"sender":"{SENDER}","to":"{NUMBER}"}}"#);
    for (verb, path, good) in [
        ("POST", "/v1/events", event),
        ("POST", "/v1/check", check),
        ("PUT", &templates, r#"{"data":[]}"#.to_owned()),
    ] {
        for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", "a"] {
            plane.write(verb, path, ROOT, (kind, good.clone().into())).await.problem(415);
        }
        let bad = [
            good.clone() + "}",
            good.clone() + "\u{0}",
            good.trim_end_matches('}').to_owned(),
            String::new(),
        ];
        for bad in bad.into_iter().map(Bytes::from).chain([Bytes::from_static(b"{\"a\":\"\xff\"}")]) {
            let says = plane.call(verb, path, ROOT, bad.clone()).await.problem(422);
            assert!(says.contains("column") && !says.contains("5550000001"), "{path} {bad:?}: {says}");
        }
        let reply = plane.write(verb, path, ROOT, ("application/json; charset=utf-8", good.into())).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text);
    }
}
