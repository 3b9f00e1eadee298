//! Events in: single, arrays, streams; what is kept and what is told of the rest.

use std::fmt::Write;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::consent::{Lookup, Recipient};

async fn stream(plane: &Plane, lines: String) -> Reply {
    plane.write("POST", "/v1/events", ROOT, (NDJSON, lines.into())).await
}

#[tokio::test]
async fn an_event_is_enforced_when_it_is_acknowledged_and_a_repeat_changes_nothing() {
    let plane = plane().await;
    let reply = plane.call("POST", "/v1/events", ROOT, grant(NUMBER, "marketing")).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(reply.json["results"], serde_json::json!([{ "line": 1, "result": "applied" }]));
    let key = Recipient::parse(NUMBER).unwrap().key();
    assert!(matches!(plane.control.store.lookup(0, &key).await.lookup, Lookup::Found(_)));
    let again = plane.call("POST", "/v1/events", ROOT, grant(NUMBER, "marketing")).await;
    assert_eq!((again.status.as_u16(), &again.json["ignored"]), (200, &Value::from(1)), "{}", again.text);
    assert!(!again.json["results"][0]["reasons"][0].as_str().unwrap().is_empty());
}

#[tokio::test]
async fn a_single_rejected_event_is_a_problem_that_names_every_fault_and_no_value() {
    let plane = plane().await;
    let bad = r#"{"tenant":"nobody","recipient":"15550000001","kind":"grant"}"#;
    let reply = plane.call("POST", "/v1/events", ROOT, bad).await;
    let says = reply.problem(422);
    let problems: Vec<&str> =
        reply.json["problems"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    for field in ["tenant", "recipient", "categories", "occurred_at", "actor", "source", "evidence"] {
        assert!(problems.iter().any(|p| p.starts_with(&format!("{field}:"))), "{field}: {problems:?}");
    }
    assert!(says.contains("acme") && !says.contains("15550000001 ") && !says.contains("nobody"), "{says}");
    let key = Recipient::parse(NUMBER).unwrap().key();
    assert!(plane.control.store.dossier(0, &key).await.unwrap().is_none());
}

/// What an event is rejected for, alone and among lines.
async fn rejected_for(plane: &Plane, event: &str) -> Vec<String> {
    let alone = plane.call("POST", "/v1/events", ROOT, event.to_owned()).await;
    alone.problem(422);
    let of = |value: &Value| -> Vec<String> {
        value.as_array().unwrap().iter().map(|reason| reason.as_str().unwrap().to_owned()).collect()
    };
    let line = stream(plane, event.replace('\n', "")).await;
    assert_eq!(of(&line.json["results"][0]["reasons"]), of(&alone.json["problems"]));
    of(&alone.json["problems"])
}

#[tokio::test]
async fn what_does_not_read_hides_nothing_else_that_is_wrong() {
    let plane = plane().await;
    let found = rejected_for(
        &plane,
        r#"{"tenant":"nobody","recipient":"15550000001","kind":"opt-in","categories":["utility"],"occurred_at":"yesterday","occurred_at":"today",
        "expires_at":7,"actor":"person","pending":"no","confirms":"","phone":"+15550000001",
        "evidence":{"channel":"website","user_action":5,"name_and_logo_shown":"yes","chanel":"x","categories_shown":["utility"],"wording":"I agree"}}"#,
    )
    .await;
    let fields: Vec<&str> = found.iter().map(|problem| problem.split_once(':').unwrap().0).collect();
    let expected = [
        "evidence.name_and_logo_shown",
        "evidence.user_action",
        "evidence.chanel",
        "expires_at",
        "kind",
        "occurred_at",
        "pending",
        "phone",
        // The tenant is not known, so its rules are not; the rest is.
        "tenant",
        "recipient",
        "source",
        "confirms",
    ];
    assert_eq!(fields, expected, "{found:#?}");

    // With its tenant the rules that what was read breaks are named as well, and none about what was not read.
    let found = rejected_for(
        &plane,
        r#"{"recipient":"+15550000001","kind":"grant","categories":["utility","offers"],"occurred_at":"31.01.2026 09:30","actor":"operator","source":"crm",
        "evidence":{"channel":"website","user_action":true,"name_and_logo_shown":false,"number_confirmed":"x","categories_shown":["utility"],"wording":"I agree"}}"#,
    )
    .await;
    let fields: Vec<&str> = found.iter().map(|problem| problem.split_once(':').unwrap().0).collect();
    let expected = [
        "categories",
        "evidence.number_confirmed",
        "evidence.user_action",
        "occurred_at",
        "actor",
        "evidence.name_and_logo_shown",
        "evidence.business_named",
    ];
    assert_eq!(fields, expected, "{found:#?}");
}

#[tokio::test]
async fn what_is_missing_is_told_once() {
    let plane = plane().await;
    let fields = |found: &[String]| -> Vec<String> {
        found.iter().map(|problem| problem.split_once(':').unwrap().0.to_owned()).collect()
    };
    let bare = rejected_for(&plane, r#"{"recipient":"+15550000001","kind":"grant"}"#).await;
    let expected = [
        "evidence.channel",
        "evidence.user_action",
        "evidence.name_and_logo_shown",
        "evidence.number_confirmed",
        "evidence.business_named",
        "evidence.wording",
        "occurred_at",
        "actor",
        "source",
        "categories",
    ];
    assert_eq!(fields(&bare), expected, "{bare:#?}");
    // By an operator it is no opt-in, which is another fault than none at all.
    let operator =
        rejected_for(&plane, r#"{"recipient":"+15550000001","kind":"grant","actor":"operator"}"#).await;
    assert!(operator.iter().any(|problem| problem.contains("[person_acted]")), "{operator:#?}");
}

#[tokio::test]
async fn a_check_is_told_everything_that_is_wrong_with_it() {
    let plane = plane().await;
    let reply = plane.call("POST", "/v1/check", ROOT, r#"{"sender":5,"category":"x","template":"a"}"#).await;
    reply.problem(422);
    let found: Vec<_> =
        reply.json["problems"].as_array().unwrap().iter().map(|p| p.as_str().unwrap()).collect();
    for field in ["sender: takes", "category: takes", "to: missing", "language: template and language"] {
        assert_eq!(
            found.iter().filter(|problem| problem.starts_with(field)).count(),
            1,
            "{field}: {found:#?}"
        );
    }
    assert_eq!(found.len(), 4, "{found:#?}");
}

#[tokio::test]
async fn a_number_that_is_none_is_told_beside_everything_else() {
    let plane = plane().await;
    let found = rejected_for(
        &plane,
        r#"{"recipient":"+4407911123456","kind":"revoke","links":["+1"],"occurred_at":"2026-01-31T09:30:00Z","actor":"person"}"#,
    )
    .await;
    for field in ["recipient:", "links:", "source:"] {
        assert_eq!(found.iter().filter(|problem| problem.starts_with(field)).count(), 1, "{field} {found:?}");
    }
}

#[tokio::test]
async fn a_grant_that_may_be_a_legacy_one_is_not_asked_for_evidence() {
    let plane = plane().await;
    let found = rejected_for(
        &plane,
        r#"{"recipient":"+15550000001","kind":"grant","categories":["utility"],"occurred_at":"2026-01-31T09:30:00Z","actor":"person","source":"crm","legacy":"ja"}"#,
    )
    .await;
    assert_eq!(found, ["legacy: takes true or false"]);
}

#[tokio::test]
async fn an_array_is_taken_item_by_item() {
    let plane = plane().await;
    let items = [
        grant(NUMBER, "utility"),
        "7".to_owned(),
        event("US.1349", "erase", ""),
        event(NUMBER, "revoke", ""),
    ];
    let reply = plane.call("POST", "/v1/events", ROOT, format!(" [{}]", items.join(","))).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let results: Vec<_> =
        reply.json["results"].as_array().unwrap().iter().map(|r| r["result"].as_str().unwrap()).collect();
    assert_eq!(results, ["applied", "rejected", "rejected", "applied"]);
    assert_eq!(plane.call("POST", "/v1/events", ROOT, "[]").await.json["applied"], 0);
}

#[tokio::test]
async fn an_array_of_which_nothing_is_taken_in_is_a_problem_that_lists_everything() {
    let plane = plane().await;
    let bad = [
        event("15550000001", "revoke", ""),
        "7".to_owned(),
        event(NUMBER, "inbound", "").replace("person", "system"),
    ];
    for path in ["/v1/events", "/v1/events?dry_run=true"] {
        let reply = plane.call("POST", path, ROOT, format!("[{}]", bad.join(","))).await;
        let says = reply.problem(422);
        let problems: Vec<&str> =
            reply.json["problems"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        for (problem, begins) in problems.iter().zip(["line 1: recipient: ", "line 2: ", "line 3: actor: "]) {
            assert!(problem.starts_with(begins), "{problems:?}");
        }
        assert_eq!(
            (problems.len(), &reply.json["rejected"], &reply.json["applied"]),
            (3, &3.into(), &0.into()),
            "{says}"
        );
        assert_eq!(reply.json["results"].as_array().unwrap().len(), 3);
        assert!(!says.contains("15550000001 "), "{says}");
    }
    assert_eq!(plane.get(PATH).await.status, 404);
    // One that is taken in, or is known already, makes it a success with rejections.
    let some = |first: String| format!("[{first},{}]", bad.join(","));
    for (path, counted) in
        [("/v1/events?dry_run=true", "valid"), ("/v1/events", "applied"), ("/v1/events", "ignored")]
    {
        let reply = plane.call("POST", path, ROOT, some(grant(NUMBER, "utility"))).await;
        assert_eq!((reply.status.as_u16(), &reply.json["rejected"]), (200, &3.into()), "{}", reply.text);
        assert_eq!(reply.json[counted], 1, "{}", reply.text);
    }
}

#[tokio::test]
async fn where_there_are_several_tenants_an_event_must_name_its_own() {
    let plane = Plane::start(&["acme", "globex"], vec![]).await;
    let says = plane.call("POST", "/v1/events", ROOT, grant(NUMBER, "utility")).await.problem(422);
    assert!(says.contains("tenant: missing") && says.contains("acme, globex"), "{says}");
    let named = grant(NUMBER, "utility").replacen('{', r#"{"tenant":"globex","#, 1);
    assert_eq!(plane.call("POST", "/v1/events", ROOT, named).await.json["applied"], 1);
    assert_eq!(plane.get(PATH).await.status, 404);
    assert_eq!(plane.get(&PATH.replace("acme", "globex")).await.status, 200);
}

#[tokio::test]
async fn what_is_no_event_is_refused_without_repeating_it() {
    let plane = plane().await;
    for (kind, body, status) in [
        (JSON, "+15550000077", 422),
        (JSON, "", 422),
        (JSON, r#"{"recipient":15550000077}"#, 422),
        (JSON, r#"{"15550000077":1}"#, 422),
        (JSON, r#"["+15550000077""#, 400),
        ("text/plain", "+15550000077", 415),
        ("application/x-www-form-urlencoded", "recipient=15550000077", 415),
    ] {
        let reply = plane.write("POST", "/v1/events", ROOT, (kind, Bytes::from(body))).await;
        let says = reply.problem(status);
        assert!(!says.contains("5550000077"), "{body}: {says}");
    }
    let huge = Bytes::from(vec![b' '; body::MAX_WHOLE + 1]);
    plane.write("POST", "/v1/events", ROOT, (JSON, huge)).await.problem(413);
}

#[tokio::test]
async fn a_stream_keeps_its_good_lines_and_names_its_bad_ones() {
    let plane = plane().await;
    let mut lines = String::new();
    for n in 1..=50_000 {
        match n % 10_000 {
            0 => lines.push_str("{\"recipient\":\"+15550077777\""),
            5 => lines.push_str(&grant("15550077777", "utility")),
            7 => {}
            _ => write!(lines, "{}", event(&format!("+1555{n:07}"), "inbound", "")).unwrap(),
        }
        lines.push('\n');
    }
    write!(lines, "{}", "x".repeat(lines::MAX_LINE + 1)).unwrap();
    let reply = stream(&plane, lines).await;
    assert_eq!(reply.status, 200, "{}", &reply.text[..200]);
    assert_eq!((&reply.json["applied"], &reply.json["rejected"]), (&Value::from(49_985), &Value::from(11)));
    let bad: Vec<u64> =
        reply.json["results"].as_array().unwrap().iter().map(|r| r["line"].as_u64().unwrap()).collect();
    assert_eq!(bad, [5, 10_000, 10_005, 20_000, 20_005, 30_000, 30_005, 40_000, 40_005, 50_000, 50_001]);
    assert!(reply.json["results"].as_array().unwrap().iter().all(|r| r["result"] == "rejected"));
    assert!(
        reply.json.get("results_truncated").is_none() && !reply.text.contains("15550077777"),
        "{}",
        reply.text
    );
    let last = Recipient::parse("+15550049999").unwrap().key();
    assert!(matches!(plane.control.store.lookup(0, &last).await.lookup, Lookup::Found(_)));
}

#[tokio::test]
async fn the_list_of_a_stream_of_nothing_but_bad_lines_is_bounded() {
    let plane = plane().await;
    let reply = stream(&plane, "{}\n".repeat(10_001)).await;
    assert_eq!(reply.json["rejected"], 10_001);
    assert_eq!(reply.json["results"].as_array().unwrap().len(), 10_000);
    assert_eq!(reply.json["results_truncated"], true);
}

#[tokio::test]
async fn what_was_whole_when_a_stream_broke_off_is_kept() {
    let plane = plane().await;
    let (line, cut) = (grant(NUMBER, "utility"), grant("+15550000002", "utility"));
    let text = format!("{line}\n{}", &cut[..cut.len() - 1]);
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {ROOT}\r\nContent-Type: {NDJSON}\r\nContent-Length: {}\r\n\r\n{text}",
        text.len() + 2
    );
    let mut stream = TcpStream::connect(plane.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert_eq!(plane.get(PATH).await.json["categories"]["utility"]["state"], "granted");
    assert_eq!(plane.get(&PATH.replace("0001", "0002")).await.status, 404);
}

#[tokio::test]
async fn a_failing_store_is_told_with_what_was_settled_before() {
    let plane = plane().await;
    plane.control.store.close().await;
    let reply = stream(&plane, format!("{}\n", grant(NUMBER, "utility"))).await;
    let says = reply.problem(503);
    assert!(reply.headers.contains_key("retry-after") && !says.contains(NUMBER), "{says}");
    assert_eq!(
        (&reply.json["applied"], &reply.json["settled_through_line"]),
        (&Value::from(0), &Value::from(0))
    );
}

#[tokio::test]
async fn an_actor_that_claims_to_be_the_provider_makes_no_link_an_observed_one() {
    let plane = plane().await;
    let linked = event(NUMBER, "link", r#","links":["US.1349"]"#).replace("\"person\"", "\"provider\"");
    plane.tell(&[linked, grant(NUMBER, "utility")]).await;
    let other = plane.get("/v1/tenants/acme/recipients/US.1349").await;
    assert_eq!(other.json["categories"]["utility"]["state"], "none", "{}", other.text);
    plane.tell(&[event(NUMBER, "revoke", "")]).await;
    let other = plane.get("/v1/tenants/acme/recipients/US.1349").await;
    assert_eq!(other.json["categories"]["utility"]["state"], "revoked", "{}", other.text);
}
