//! What stands in front of the operations: the access log, idempotency keys, and patience with those who have no token.

use super::*;

impl Plane {
    fn access_log(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.folder.path().join("access.log")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    async fn keyed(&self, key: &str, (path, body): (&str, &str)) -> Reply {
        let verb = if path.contains("templates") { "PUT" } else { "POST" };
        let request = Request::builder().method(verb).uri(path).header(HOST, "admin");
        let request = request.header(AUTHORIZATION, format!("Bearer {ROOT}")).header(CONTENT_TYPE, JSON);
        let request =
            request.header("Idempotency-Key", key).body(Full::new(Bytes::copy_from_slice(body.as_bytes())));
        self.send(request.unwrap()).await
    }
}

#[tokio::test]
async fn every_look_up_and_write_leaves_a_line_that_names_nobody() {
    let plane = plane().await;
    let written = plane.call("POST", "/v1/events", ROOT, grant(NUMBER, "utility")).await;
    plane.get(PATH).await;
    plane.get(&PATH.replace("0001", "0002")).await.problem(404);
    let check = format!(r#"{{"sender":"{SENDER}","to":"{NUMBER}"}}"#);
    plane.call("POST", "/v1/check", ROOT, check).await;
    plane.get("/v1/decisions/7ZZZZZZZZZZZZZZZZZZZZZZZZZ").await.problem(404);
    plane.call("POST", "/v1/events", ROOT, event("nobody", "revoke", "")).await.problem(422);
    plane.call("PUT", &format!("/v1/templates/{ACCOUNT}"), ROOT, r#"{"data":[]}"#).await;
    plane.get("/v1/templates").await;
    let lines = plane.access_log();
    let told: Vec<_> =
        lines.iter().map(|l| (l["action"].as_str().unwrap(), l["outcome"].as_str().unwrap())).collect();
    assert_eq!(
        told,
        [
            ("writeEvents", "done"),
            ("showRecipient", "done"),
            ("showRecipient", "not_found"),
            ("check", "done"),
            ("showDecision", "not_found"),
            ("writeEvents", "refused"),
            ("replaceTemplates", "done"),
        ]
    );
    let hash =
        plane.control.log.hash().recipient(&crate::consent::Recipient::parse(NUMBER).unwrap()).unwrap();
    for at in [0, 1, 3] {
        assert_eq!(
            (&lines[at]["recipient_hash"], &lines[at]["tenant"]),
            (&hash.as_str().into(), &"acme".into()),
            "{at}"
        );
    }
    assert_eq!(lines[0]["applied"], 1);
    assert_eq!((&lines[5]["rejected"], &lines[5]["recipient_hash"]), (&1.into(), &Value::Null));
    assert_eq!((&lines[0]["status"], &lines[5]["status"]), (&200.into(), &422.into()));
    assert_eq!(lines[0]["request"].as_str(), written.headers["optgate-request-id"].to_str().ok());
    for line in &lines {
        assert_eq!((&line["token"], &line["peer"]), (&ROOT.into(), &"127.0.0.1".into()));
        assert_eq!(line["time"], NOW.to_string());
    }
}

/// Who asks, with which token, for what; the action, status and outcome of its line, and whom it names.
type Asked<'a> = (&'a str, &'a str, &'a str, String, &'a str, u16, &'a str, Option<&'a str>);

#[tokio::test]
async fn exports_histories_receipts_and_erasures_are_logged_under_the_tokens_name() {
    let crm = Token { name: "crm".into(), ..token("a-secret-of-the-crm", &[Scope::Admin], None) };
    let reader = Token { name: "reader".into(), ..token("a-readers", &[Scope::ConsentRead], Some(vec![1])) };
    let plane = Plane::start(&["acme", "globex"], vec![crm, reader]).await;
    plane
        .tell(&[grant(NUMBER, "utility").replacen('{', r#"{"tenant":"acme","links":["US.1349"],"#, 1)])
        .await;
    let [history, receipt] = ["history", "receipt"].map(|what| format!("{PATH}/{what}"));
    let stranger = |path: &str| path.replace("0001", "0002");
    let secret = "a-secret-of-the-crm";
    let asked: [Asked<'_>; 13] = [
        ("crm", secret, "GET", history.clone(), "showHistory", 200, "done", Some(NUMBER)),
        ("crm", secret, "GET", stranger(&history), "showHistory", 404, "not_found", Some("+15550000002")),
        ("crm", secret, "GET", receipt.clone(), "issueReceipt", 200, "done", Some(NUMBER)),
        ("crm", secret, "GET", stranger(&receipt), "issueReceipt", 404, "not_found", Some("+15550000002")),
        ("crm", secret, "GET", "/v1/export?tenant=acme".into(), "export", 200, "done", None),
        ("crm", secret, "GET", "/v1/export?tenant=nobody".into(), "export", 404, "not_found", None),
        ("reader", "a-readers", "GET", history.clone(), "showHistory", 403, "forbidden", None),
        ("reader", "a-readers", "GET", receipt.clone(), "issueReceipt", 403, "forbidden", None),
        ("reader", "a-readers", "GET", "/v1/export?tenant=acme".into(), "export", 403, "forbidden", None),
        ("reader", "a-readers", "DELETE", PATH.into(), "eraseRecipient", 403, "forbidden", None),
        ("crm", secret, "DELETE", stranger(PATH), "eraseRecipient", 200, "done", Some("+15550000002")),
        ("crm", secret, "DELETE", PATH.into(), "eraseRecipient", 200, "done", Some(NUMBER)),
        ("crm", secret, "GET", "/v1/audit/verify?tenant=acme".into(), "verifyAudit", 200, "done", None),
    ];
    for (name, secret, verb, path, action, status, outcome, concerns) in asked {
        let before = plane.access_log().len();
        let reply = plane.call(verb, &path, secret, "").await;
        assert_eq!(reply.status, status, "{path}: {}", reply.text);
        let lines = plane.access_log();
        let [line] = &lines[before..] else { panic!("{path}: {lines:?}") };
        let told = [&line["token"], &line["action"], &line["outcome"]].map(|value| value.as_str().unwrap());
        assert_eq!(told, [name, action, outcome], "{path}");
        assert_eq!(line["status"], status);
        assert_eq!(line["request"].as_str(), reply.headers["optgate-request-id"].to_str().ok());
        let hash = concerns.and_then(|who| {
            plane.control.log.hash().recipient(&crate::consent::Recipient::parse(who).unwrap())
        });
        assert_eq!(line["recipient_hash"].as_str(), hash.as_deref(), "{path}");
        if status == 200 {
            assert_eq!(line["tenant"], "acme", "{path}");
        }
    }
    let text = std::fs::read_to_string(plane.folder.path().join("access.log")).unwrap();
    for private in ["555000000", "US.1349", secret, "a-readers", "I agree"] {
        assert!(!text.contains(private), "{private}: {text}");
    }
}

#[tokio::test]
async fn who_a_rejected_event_is_about_stands_in_the_log() {
    let plane = plane().await;
    // Half of it does not even read.
    let bad = format!(r#"{{"recipient":"{NUMBER}","kind":"grant","actor":7}}"#);
    plane.call("POST", "/v1/events", ROOT, bad.clone()).await.problem(422);
    let lines = format!("{bad}\n{}", event("+15550000002", "revoke", ""));
    let reply = plane.write("POST", "/v1/events", ROOT, (NDJSON, lines.into())).await;
    assert_eq!((&reply.json["applied"], &reply.json["rejected"]), (&1.into(), &1.into()), "{}", reply.text);
    let log = plane.access_log();
    let hash =
        |number| plane.control.log.hash().recipient(&crate::consent::Recipient::parse(number).unwrap());
    assert_eq!(
        (log[0]["recipient_hash"].as_str(), &log[0]["tenant"], &log[0]["status"], &log[0]["outcome"]),
        (hash(NUMBER).as_deref(), &"acme".into(), &422.into(), &"refused".into())
    );
    assert_eq!((&log[0]["applied"], &log[0]["rejected"]), (&0.into(), &1.into()));
    assert_eq!(log[1]["recipient_hash"], serde_json::json!([hash("+15550000002"), hash(NUMBER)]));
}

#[tokio::test]
async fn who_hangs_up_is_in_the_log_all_the_same() {
    use tokio::io::AsyncWriteExt;
    let plane = plane().await;
    let body = grant(NUMBER, "utility");
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {ROOT}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(plane.address).await.unwrap();
    stream.write_all((head + &body).as_bytes()).await.unwrap();
    drop(stream);
    let patience = std::time::Duration::from_secs(10);
    let line = tokio::time::timeout(patience, async {
        loop {
            if let Some(line) = plane.access_log().pop() {
                return line;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    });
    let line = line.await.expect("a line that tells of the write");
    assert_eq!((&line["applied"], &line["status"], &line["token"]), (&1.into(), &200.into(), &ROOT.into()));
}

#[tokio::test]
async fn a_parameter_that_is_not_known_is_refused_by_every_operation() {
    let plane = plane().await;
    for route in routes().into_iter().filter(|route| route.scope.is_some()) {
        let path = route.path.replace("{tenant}", "acme").replace("{recipient}", "%2B15550000001");
        let path = path.replace("{account}", ACCOUNT).replace("{sender}", SENDER).replace("{id}", "7");
        let asked = format!("{path}?tenannt=15550000001&%2B15550000001=7");
        let reply = plane.call(route.verb.name(), &asked, ROOT, "{}").await;
        let says = reply.problem(400);
        assert!(says.contains("tenannt: unknown parameter"), "{}: {says}", route.name);
        assert!(!says.contains("5550000001"), "{}: {says}", route.name);
        for known in (route.description)().query_names() {
            assert!(says.contains(known.as_str()), "{}: {says}", route.name);
        }
    }
    let page = plane.get(&format!("{PATH}/history?limits=5")).await.problem(400);
    assert!(page.contains("limits: unknown parameter; known are limit, after"), "{page}");
}

#[tokio::test]
async fn the_access_log_holds_no_number_and_no_token() {
    let named = Token { name: "crm".into(), ..token("a-secret-of-the-crm", &[Scope::Admin], None) };
    let plane = Plane::start(&["acme"], vec![named]).await;
    let secret = "a-secret-of-the-crm";
    plane.call("POST", "/v1/events", secret, grant(NUMBER, "utility")).await;
    plane.call("POST", "/v1/events", secret, event("15550000001", "revoke", "")).await;
    plane.call("GET", PATH, secret, "").await;
    plane.call("GET", "/v1/tenants/acme/recipients/15550000001", secret, "").await;
    plane.call("GET", "/v1/decisions/15550000001", secret, "").await;
    plane.call("POST", "/v1/check", secret, format!(r#"{{"sender":"{SENDER}","to":"15550000001"}}"#)).await;
    let text = std::fs::read_to_string(plane.folder.path().join("access.log")).unwrap();
    assert_eq!(text.lines().count(), 6, "{text}");
    assert!(
        !text.contains("5550000001") && !text.contains(secret) && text.contains(r#""token":"crm""#),
        "{text}"
    );
}

#[tokio::test]
async fn a_batch_names_everybody_by_tenant_in_lines_of_bounded_length() {
    let plane = Plane::start(&["acme", "globex"], vec![]).await;
    let event = |n: usize| {
        let tenant = if n < 250 { "acme" } else { "globex" };
        event(&format!("+1555{n:07}"), "revoke", &format!(r#","tenant":"{tenant}""#))
    };
    let lines: Vec<String> = (0..251).map(event).collect();
    let reply = plane.write("POST", "/v1/events", ROOT, (NDJSON, lines.join("\n").into())).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let log = plane.access_log();
    let people = |line: &Value| line["recipient_hash"].as_array().map_or(1, Vec::len);
    let told: Vec<_> = log.iter().map(|l| (l["tenant"].as_str().unwrap(), people(l))).collect();
    assert_eq!(told, [("acme", 100), ("acme", 100), ("acme", 50), ("globex", 1)]);
    assert!(log.iter().all(|line| line["request"] == log[0]["request"]));
}

#[tokio::test]
async fn without_its_line_no_answer_is_given() {
    let plane = plane().await;
    plane.call("POST", "/v1/events", ROOT, grant(NUMBER, "utility")).await;
    let full = AccessLog::open(decision_log::Sink::File("/dev/full".into())).unwrap();
    let mut control = plane.control.clone();
    control.guards = Guards::new(full);
    let socket = crate::net::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let settings = Settings { tokens: vec![token(ROOT, &[Scope::Admin], None)], guard_metrics: false };
    let door = Door { socket, tls: AdminTls::default() };
    tokio::spawn(serve(door, router(control, settings), std::future::pending()));
    let mute = Plane { address, ..plane };
    for (verb, path, body) in [("GET", PATH, String::new()), ("POST", "/v1/events", grant(NUMBER, "call"))] {
        let says = mute.call(verb, path, ROOT, body).await.problem(503);
        assert!(says.contains("access-log-unavailable") && !says.contains("granted"), "{says}");
    }
    assert_eq!(mute.get("/v1/templates").await.status, 200, "it concerns nobody");
}

#[tokio::test]
async fn the_access_log_follows_log_rotation() {
    let plane = plane().await;
    plane.get(PATH).await;
    let path = plane.folder.path().join("access.log");
    std::fs::rename(&path, path.with_extension("1")).unwrap();
    plane.control.guards.reopen_log();
    plane.get(PATH).await;
    assert_eq!(plane.access_log().len(), 1);
}

#[tokio::test]
async fn a_repeat_answers_what_the_first_answered_and_is_carried_out_once() {
    let plane = plane().await;
    let body = grant(NUMBER, "utility");
    let first = plane.keyed("a-key", ("/v1/events", &body)).await;
    assert_eq!(first.json["applied"], 1);
    // Without the key it would be ignored as known.
    for key in ["a-key", "\"a-key\""] {
        let again = plane.keyed(key, ("/v1/events", &body)).await;
        assert_eq!((again.status, &again.text), (first.status, &first.text));
        assert_eq!(again.headers["idempotent-replayed"], "true");
        assert_eq!(again.headers[CONTENT_TYPE], JSON);
    }
    assert_eq!(plane.keyed("another-key", ("/v1/events", &body)).await.json["ignored"], 1);
    assert_eq!(plane.access_log()[1]["outcome"], "repeated");
    let rejected = event(NUMBER, "grant", "");
    let first = plane.keyed("third-key", ("/v1/events", &rejected)).await;
    first.problem(422);
    let again = plane.keyed("third-key", ("/v1/events", &rejected)).await;
    assert_eq!(again.text, first.text);
    again.problem(422);
}

#[tokio::test]
async fn a_key_belongs_to_one_request_of_one_token() {
    let plane = Plane::start(&["acme"], vec![token("other", &[Scope::Admin], None)]).await;
    plane.keyed("a-key", ("/v1/events", &grant(NUMBER, "utility"))).await;
    let list = (&*format!("/v1/templates/{ACCOUNT}"), r#"{"data":[]}"#);
    for reused in [("/v1/events", &*grant(NUMBER, "call")), list] {
        let says = plane.keyed("a-key", reused).await.problem(422);
        assert!(says.contains("idempotency-key-reused"), "{says}");
    }
    let of_other = Request::post("/v1/events").header(HOST, "a").header(AUTHORIZATION, "Bearer other");
    let of_other = of_other.header("Idempotency-Key", "a-key").body(grant(NUMBER, "call").into()).unwrap();
    assert_eq!(plane.send(of_other).await.json["applied"], 1);
    for bad in ["", "\"\"", "two words", &"x".repeat(256)] {
        plane.keyed(bad, ("/v1/events", &grant(NUMBER, "call"))).await.problem(400);
    }
}

#[tokio::test]
async fn while_the_first_is_in_progress_a_repeat_waits() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let plane = plane().await;
    let body = grant(NUMBER, "utility");
    let (head, tail) = body.split_at(20);
    let mut slow = TcpStream::connect(plane.address).await.unwrap();
    let begin = format!(
        "POST /v1/events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {ROOT}\r\nContent-Type: {JSON}\r\nIdempotency-Key: a-key\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{head}",
        body.len()
    );
    slow.write_all(begin.as_bytes()).await.unwrap();
    let mut meanwhile = plane.keyed("a-key", ("/v1/events", &body)).await;
    // The first may not have been taken up yet when the second arrives; then that one is carried out, and the next is told.
    for _ in 0..100 {
        if meanwhile.status == 409 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        meanwhile = plane.keyed("a-key", ("/v1/events", &body)).await;
    }
    let says = meanwhile.problem(409);
    assert!(says.contains("in-progress") && meanwhile.headers.contains_key("retry-after"), "{says}");
    slow.write_all(tail.as_bytes()).await.unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains(r#""applied":1"#), "{answer}");
    assert_eq!(plane.keyed("a-key", ("/v1/events", &body)).await.json["applied"], 1);
}

#[tokio::test]
async fn a_first_request_that_broke_off_may_be_tried_again() {
    use tokio::io::AsyncWriteExt;
    let plane = plane().await;
    let mut cut = TcpStream::connect(plane.address).await.unwrap();
    let begin = format!(
        "POST /v1/events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {ROOT}\r\nContent-Type: {JSON}\r\nIdempotency-Key: a-key\r\nContent-Length: 500\r\n\r\n{{"
    );
    cut.write_all(begin.as_bytes()).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    drop(cut);
    let body = grant(NUMBER, "utility");
    let mut reply = plane.keyed("a-key", ("/v1/events", &body)).await;
    for _ in 0..100 {
        if reply.status != 409 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        reply = plane.keyed("a-key", ("/v1/events", &body)).await;
    }
    assert_eq!(reply.json["applied"], 1, "{}", reply.text);
}

#[tokio::test]
async fn who_keeps_failing_is_slowed_down_and_who_has_a_token_is_not() {
    let plane = plane().await;
    for _ in 0..30 {
        plane.call("GET", "/v1/templates", "a-guess", "").await.problem(401);
    }
    let mut limited = plane.call("GET", "/v1/templates", "a-guess", "").await;
    for _ in 0..20 {
        if limited.status == 429 {
            break;
        }
        limited = plane.call("GET", "/v1/templates", "a-guess", "").await;
    }
    limited.problem(429);
    assert_eq!(limited.headers["connection"], "close");
    assert!(limited.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() >= 1);
    assert_eq!(plane.get("/v1/templates").await.status, 200, "the same address, with a token");
    plane.call("POST", "/v1/events", "a-guess", grant(NUMBER, "utility")).await.problem(429);
    plane.get(PATH).await.problem(404);
    let page = plane.control.metrics.render();
    assert!(!page.contains(r#"optgate_admin_auth_failures_total{reason="rate_limited"} 0"#), "{page}");
    assert!(!page.contains(r#"optgate_admin_auth_failures_total{reason="unknown_token"} 0"#), "{page}");
    assert!(page.contains(r#"optgate_admin_auth_failures_total{reason="missing"} 0"#), "{page}");
}

#[tokio::test]
async fn metrics_ask_for_a_token_where_they_are_told_to() {
    let reader = token("prometheus", &[Scope::MetricsRead], None);
    let plane = Plane::guarding_metrics(vec![reader, token("crm", &[Scope::ConsentRead], None)]).await;
    let bare = Request::builder().uri("/metrics").header(HOST, "a").body(Full::default()).unwrap();
    plane.send(bare).await.problem(401);
    plane.call("GET", "/metrics", "crm", "").await.problem(403);
    assert!(plane.call("GET", "/metrics", "prometheus", "").await.text.ends_with("# EOF\n"));
    plane.call("GET", PATH, "prometheus", "").await.problem(403);
}

#[tokio::test]
async fn only_health_metrics_and_the_document_are_open() {
    let open: Vec<&str> =
        routes().iter().filter(|route| route.scope.is_none()).map(|route| route.name).collect();
    assert_eq!(open, ["healthz", "readyz", METRICS, "openapi"]);
    let plane = plane().await;
    for route in routes() {
        let path = route.path.replace(['{', '}'], "");
        let bare =
            Request::builder().method(route.verb.name()).uri(path).header(HOST, "a").body(Full::default());
        let reply = plane.send(bare.unwrap()).await;
        assert_eq!(reply.status == 401, route.scope.is_some(), "{}: {}", route.name, reply.text);
    }
}
