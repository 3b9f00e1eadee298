//! Who gets in, and what everybody else is told.

use super::*;

#[tokio::test]
async fn without_a_valid_token_nothing_is_answered_and_nothing_is_told() {
    let plane = plane().await;
    for route in routes().iter().filter(|route| route.scope.is_some()) {
        let path = route.path.replace(['{', '}'], "");
        let reply = plane.call(route.verb.name(), &path, "some-wrong-secret", "").await;
        let says = reply.problem(401);
        assert_eq!(reply.headers["www-authenticate"], "Bearer");
        assert!(!says.contains("some-wrong-secret") && !says.contains(ROOT), "{says}");
    }
    let bare = Request::builder().uri("/v1/templates").header(HOST, "admin").body(Full::default()).unwrap();
    plane.send(bare).await.problem(401);
}

#[tokio::test]
async fn a_token_without_the_scope_is_told_which_one_it_needs() {
    for route in routes() {
        let Some(needed) = route.scope else { continue };
        let others: Vec<Scope> =
            Scope::ALL.into_iter().filter(|s| *s != needed && *s != Scope::Admin).collect();
        let plane = Plane::start(&["acme"], vec![token("others", &others, None)]).await;
        let path = route.path.replace(['{', '}'], "");
        let says = plane.call(route.verb.name(), &path, "others", "").await.problem(403);
        assert!(says.contains(needed.name()), "{says}");
    }
}

#[tokio::test]
async fn a_confined_token_touches_its_own_tenants_only() {
    let confined = token("globex-secret", &[Scope::Admin], Some(vec![1]));
    let plane = Plane::start(&["acme", "globex"], vec![confined]).await;
    let call = async |method, path: &str, body: String| plane.call(method, path, "globex-secret", body).await;

    let to = |tenant: &str| grant(NUMBER, "utility").replacen('{', &format!(r#"{{"tenant":"{tenant}","#), 1);
    let says = call("POST", "/v1/events", to("acme")).await.problem(422);
    assert!(says.contains("not permitted") && says.contains("globex") && !says.contains("acme"), "{says}");
    let says = call("POST", "/v1/events", to("nobody")).await.problem(422);
    assert!(says.contains("write one of: globex"), "{says}");
    assert_eq!(call("POST", "/v1/events", to("globex")).await.json["applied"], 1);

    call("GET", PATH, String::new()).await.problem(403);
    let own = PATH.replace("acme", "globex");
    assert_eq!(call("GET", &own, String::new()).await.status, 200);
    call("POST", "/v1/check", format!(r#"{{"sender":"{SENDER}","to":"{NUMBER}"}}"#)).await.problem(403);
    assert_eq!(call("POST", "/v1/check", format!(r#"{{"sender":"1","to":"{NUMBER}"}}"#)).await.status, 200);
    let list = r#"{"data":[{"name":"a","language":"en","category":"UTILITY","status":"APPROVED"}]}"#;
    call("PUT", &format!("/v1/templates/{ACCOUNT}"), list.to_owned()).await.problem(403);
    assert_eq!(call("PUT", "/v1/templates/1", list.to_owned()).await.status, 200);
    plane.call("PUT", &format!("/v1/templates/{ACCOUNT}"), ROOT, list).await;
    let listed = call("GET", "/v1/templates", String::new()).await;
    assert_eq!(listed.json["accounts"].as_array().unwrap().len(), 1, "{}", listed.text);
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems() {
    let plane = plane().await;
    plane.get("/v1/nothing").await.problem(404);
    plane.get("/").await.problem(404);
    let reply = plane.get("/v1/events").await;
    reply.problem(405);
    assert!(reply.headers["allow"].to_str().unwrap().contains("POST"));
}

#[tokio::test]
async fn the_description_is_open_to_everybody() {
    let plane = plane().await;
    let reply = plane
        .send(Request::builder().uri("/openapi.json").header(HOST, "a").body(Full::default()).unwrap())
        .await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.headers["content-type"], "application/json");
    assert_eq!(reply.text, *openapi::DOCUMENT);
}

#[tokio::test]
async fn monitoring_needs_no_token_and_learns_what_is_not_ready() {
    let plane = plane().await;
    let open = async |path: &str| {
        plane.send(Request::builder().uri(path).header(HOST, "a").body(Full::default()).unwrap()).await
    };
    assert_eq!(open("/healthz").await.json["status"], "alive");
    let metrics = open("/metrics").await;
    assert!(
        metrics.text.contains("optgate_store_up 1") && metrics.text.ends_with("# EOF\n"),
        "{}",
        metrics.text
    );
    assert_eq!(open("/readyz").await.status, 200);
    plane.control.readiness.enter(Phase::Draining);
    let reply = open("/readyz").await;
    assert!(reply.status == 503 && reply.text.contains("draining"), "{}", reply.text);
    plane.control.readiness.enter(Phase::Serving);
    plane.control.store.close().await;
    let reply = open("/readyz").await;
    assert!(reply.status == 503 && reply.text.contains("consent store"), "{}", reply.text);
    assert!(open("/metrics").await.text.contains("optgate_store_up 0"));
    assert_eq!(open("/healthz").await.status, 200);
}
