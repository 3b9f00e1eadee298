//! Forgetting people.

use super::*;

#[tokio::test]
async fn who_is_erased_leaves_a_refusal_and_is_named_nowhere() {
    let plane = plane().await;
    let stranger = plane.call("DELETE", &PATH.replace("0001", "0009"), ROOT, "").await;
    assert_eq!((&stranger.json["was"], &stranger.json["identities"]), (&"unknown".into(), &Value::from(0)));
    assert_eq!(plane.get(&PATH.replace("0001", "0009")).await.json["categories"]["call"]["state"], "revoked");
    let linked = grant(NUMBER, "marketing").replacen('{', r#"{"links":["US.1349"],"#, 1);
    plane.tell(&[linked, grant(NUMBER, "utility")]).await;
    let reply = plane.call("DELETE", PATH, ROOT, "").await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!((&reply.json["identities"], &reply.json["events"]), (&Value::from(2), &Value::from(2)));
    assert_eq!((&reply.json["residue"], &reply.json["was"]), (&"none".into(), &"known".into()));
    assert!(!reply.text.contains("555000000") && !reply.text.contains("1349"), "{}", reply.text);
    let again = plane.call("DELETE", PATH, ROOT, "").await;
    assert_eq!((again.status.as_u16(), &again.json["identities"]), (200, &Value::from(0)));
    assert_eq!((&again.json["erased_at"], &again.json["was"]), (&reply.json["erased_at"], &"erased".into()));
    let left = plane.get(PATH).await;
    assert_eq!(left.json["categories"]["marketing"]["state"], "revoked");
    assert_eq!((&left.json["links"], &left.json["window_until"]), (&serde_json::json!([]), &Value::Null));
    for path in ["/v1/tenants/nobody/recipients/%2B15550000001", "/v1/tenants/acme/recipients/15550000001"] {
        assert!(plane.call("DELETE", path, ROOT, "").await.status.is_client_error());
    }
}

#[tokio::test]
async fn only_the_scope_for_it_may_erase() {
    let reader = token("reader", &[Scope::ConsentRead, Scope::ConsentWrite], None);
    let eraser = token("eraser", &[Scope::ConsentErase], None);
    let plane = Plane::start(&["acme"], vec![reader, eraser]).await;
    plane.tell(&[grant(NUMBER, "marketing")]).await;
    plane.call("DELETE", PATH, "reader", "").await.problem(403);
    assert_eq!(plane.get(PATH).await.json["categories"]["marketing"]["state"], "granted");
    assert_eq!(plane.call("DELETE", PATH, "eraser", "").await.status, 200);
}

#[tokio::test]
async fn the_key_of_the_hashes_is_for_unconfined_administrators_alone() {
    let confined = token("confined", &[Scope::Admin], Some(vec![0]));
    let reader = token("reader", &[Scope::ConsentRead], None);
    let plane = Plane::start(&["acme", "globex"], vec![confined, reader]).await;
    let reply = plane.call("GET", "/v1/export/key", ROOT, "").await;
    let key = reply.json["recipients_key"].as_str().unwrap();
    assert!(reply.status == 200 && key.len() == 64 && key.bytes().all(|b| b.is_ascii_hexdigit()));
    assert_ne!(reply.json["hash_keys"]["acme"], reply.json["hash_keys"]["globex"]);
    for bearer in ["confined", "reader"] {
        let refused = plane.call("GET", "/v1/export/key", bearer, "").await;
        assert!(refused.status == 403 && !refused.text.contains(key), "{bearer}: {}", refused.text);
    }
}

#[tokio::test]
async fn only_an_administrator_may_say_that_a_link_was_observed() {
    let writer = token("writer", &[Scope::ConsentWrite], None);
    let plane = Plane::start(&["acme"], vec![writer]).await;
    plane.tell(&[grant("US.1349", "marketing")]).await;
    let link = event(NUMBER, "link", r#","links":["US.1349"],"observed":true"#);
    let refused = plane.call("POST", "/v1/events", "writer", link.clone()).await;
    assert!(refused.status == 422 && refused.text.contains("needs the scope admin"), "{}", refused.text);
    assert_eq!(plane.call("POST", "/v1/events", ROOT, link).await.status, 200);
    assert_eq!(plane.get(PATH).await.json["categories"]["marketing"]["state"], "granted", "grants cross it");
}
