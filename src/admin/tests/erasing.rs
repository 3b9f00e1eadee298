//! Forgetting people.

use super::*;

#[tokio::test]
async fn who_is_erased_leaves_a_refusal_and_is_named_nowhere() {
    let plane = plane().await;
    plane.call("DELETE", PATH, ROOT, "").await.problem(404);
    let linked = grant(NUMBER, "marketing").replacen('{', r#"{"links":["US.1349"],"#, 1);
    plane.tell(&[linked, grant(NUMBER, "utility")]).await;
    let reply = plane.call("DELETE", PATH, ROOT, "").await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!((&reply.json["identities"], &reply.json["events"]), (&Value::from(2), &Value::from(2)));
    assert_eq!(reply.json["residue"], "none");
    assert!(!reply.text.contains("555000000") && !reply.text.contains("1349"), "{}", reply.text);
    let again = plane.call("DELETE", PATH, ROOT, "").await;
    assert_eq!((again.status.as_u16(), &again.json["identities"]), (200, &Value::from(0)));
    assert_eq!(again.json["erased_at"], reply.json["erased_at"]);
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
