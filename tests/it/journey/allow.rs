//! What is permitted arrives once, as it was written, from HTTP/1.1 and HTTP/2 callers alike.

use std::collections::BTreeMap;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};

use super::*;
use crate::support::http1::{Head, chunked};
use crate::support::runtime;
use crate::support::upstream::{Answer, Received};

/// One message of every type that the Cloud API documents, with what it must be judged as.
fn every_type() -> Vec<(String, Value, &'static str)> {
    let service = |kind: &str, content: Value| (edge("messages"), message(ANN, kind, content), "service");
    let media = || json!({"id": "1013859600285441", "caption": "see"});
    let interactive = |kind: &str, action: Value| {
        service("interactive", json!({"type": kind, "body": {"text": "choose"}, "action": action}))
    };
    let mut unusual = text(ANN);
    unusual["context"] = json!({"message_id": "wamid.HBgL"});
    unusual["biz_opaque_callback_data"] = json!("track-1");
    vec![
        service("text", json!({"body": "hello", "preview_url": true})),
        service("image", media()),
        service("image", json!({"link": "https://cdn.example/a.png"})),
        service("audio", json!({"id": "1", "voice": true})),
        service("video", media()),
        service("document", json!({"id": "1", "filename": "a.pdf"})),
        service("sticker", json!({"id": "1"})),
        service(
            "location",
            json!({"latitude": 37.483_307, "longitude": -122.148_981, "name": "x", "address": "y"}),
        ),
        service(
            "contacts",
            json!([{"name": {"formatted_name": "N", "first_name": "N"}, "phones": [{"phone": "+15550000002"}]}]),
        ),
        service("reaction", json!({"message_id": "wamid.HBgL", "emoji": "\u{1f600}"})),
        interactive("button", json!({"buttons": [{"type": "reply", "reply": {"id": "a", "title": "A"}}]})),
        interactive(
            "list",
            json!({"button": "b", "sections": [{"title": "t", "rows": [{"id": "1", "title": "r"}]}]}),
        ),
        interactive(
            "cta_url",
            json!({"name": "cta_url", "parameters": {"display_text": "d", "url": "https://x.example"}}),
        ),
        interactive(
            "flow",
            json!({"name": "flow", "parameters": {"flow_id": "1", "flow_cta": "go", "flow_message_version": "3"}}),
        ),
        interactive("product", json!({"catalog_id": "1", "product_retailer_id": "2"})),
        interactive("location_request_message", json!({"name": "send_location"})),
        interactive("address_message", json!({"name": "address_message", "parameters": {"country": "IN"}})),
        (edge("messages"), unusual, "service"),
        (edge("messages"), template(ANN, "utility"), "utility"),
        (edge("messages"), template(ANN, "authentication"), "authentication"),
        (edge("messages"), template(ANN, "marketing"), "marketing"),
        (edge("messages"), template(ANN, "unknown"), "marketing"),
        (edge("marketing_messages"), template(ANN, "marketing"), "marketing"),
        (edge("calls"), call(ANN), "call"),
        (
            edge("messages"),
            message(
                ANN,
                "interactive",
                json!({"type": "call_permission_request", "action": {"name": "call_permission_request"}}),
            ),
            "call",
        ),
    ]
}

#[test]
fn every_type_of_message_arrives_once_as_it_was_written() {
    let scene = Scene::agreed();
    for (count, (target, body, category)) in (1..).zip(every_type()) {
        // Spaces and escapes of its own: what arrives are the caller's bytes, not a rewriting of them.
        let bytes = format!(" {}\n", body.to_string().replace("whatsapp", "whats\\u0061pp"));
        let headers = [("Content-Type", "application/json"), ("Authorization", "Bearer EAATESTTOKEN")];
        let response =
            crate::support::client::request(scene.gate.addr(), "POST", &target, &headers, bytes.as_bytes());
        assert_eq!(response.status, 200, "{body}: {}", response.text());
        assert_eq!(response.header("optgate-decision"), Some("allow; basis=consent"), "{body}");
        let event = scene.event(response.header("optgate-decision-id").unwrap());
        assert_eq!(
            (&event["category"], &event["outcome"], &event["upstream_status"]),
            (&json!(category), &json!("forwarded"), &json!(200)),
            "{event}"
        );
        let received = scene.upstream.requests();
        assert_eq!(received.len(), count, "{body}");
        let last = &received[count - 1];
        assert_eq!(
            (last.method(), last.target(), last.payload()),
            ("POST", target.as_str(), bytes.as_bytes())
        );
    }
}

/// The header fields that travel, by name in lower case.
fn end_to_end(head: &Head) -> BTreeMap<String, Vec<String>> {
    let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in &head.headers {
        fields.entry(name.to_ascii_lowercase()).or_default().push(value.clone());
    }
    fields
}

#[test]
fn headers_travel_except_those_of_the_connection_and_of_the_callers_own_network() {
    let scene = Scene::agreed();
    let kept = [
        ("Authorization", "Bearer EAATESTTOKEN"),
        ("Content-Type", "application/json; charset=UTF-8"),
        ("User-Agent", "bot/1.0 (x; y)"),
        ("Accept", "*/*"),
        ("Accept-Encoding", "gzip, deflate"),
        ("X-Custom", "one"),
        ("X-Custom", "two"),
        ("Cookie", "a=b; c=\"d\""),
        ("X-FB-Debug", "on"),
    ];
    let dropped = [
        ("X-Forwarded-For", "10.0.0.1"),
        ("X-Forwarded-Host", "internal.example"),
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded-Port", "81"),
        ("Forwarded", "for=10.0.0.1"),
        ("X-Real-IP", "10.0.0.1"),
        ("Connection", "keep-alive"),
        ("Keep-Alive", "timeout=5"),
        ("TE", "trailers"),
        ("Proxy-Authorization", "Basic eA=="),
    ];
    let headers: Vec<_> = kept.iter().chain(&dropped).copied().collect();
    let body = text(ANN).to_string();
    let send = crate::support::client::request(
        scene.gate.addr(),
        "POST",
        &edge("messages"),
        &headers,
        body.as_bytes(),
    );
    assert_eq!(send.status, 200, "{}", send.text());
    let read = crate::support::client::request(
        scene.gate.addr(),
        "GET",
        "/v23.0/1/phone_numbers?fields=id",
        &headers,
        b"",
    );
    assert_eq!(read.status, 200);
    let received = scene.upstream.wait_for(2);
    for (received, length) in received.iter().zip([Some(body.len()), None]) {
        let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in kept {
            expected.entry(name.to_ascii_lowercase()).or_default().push(value.to_owned());
        }
        expected.insert("host".to_owned(), vec![scene.upstream.addr().to_string()]);
        if let Some(length) = length {
            expected.insert("content-length".to_owned(), vec![length.to_string()]);
            // The gate reads what a send came to; an answer of a few hundred bytes is asked for as it is.
            expected.insert("accept-encoding".to_owned(), vec!["identity".to_owned()]);
        }
        assert_eq!(end_to_end(&received.head), expected);
    }
}

#[test]
fn an_answer_to_a_send_keeps_its_status_headers_and_body() {
    let scene = Scene::agreed();
    let body = r#"{"messaging_product":"whatsapp","contacts":[{"input":"+15550000001","wa_id":"15550000001"}],"messages":[{"id":"wamid.HBgLMTU1NTAwMDAwMDE","message_status":"accepted"}]}"#;
    let raw = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=UTF-8\r\nx-app-usage: {{\"call_count\":1}}\r\nx-fb-trace-id: abc\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: {}\r\nConnection: keep-alive\r\nDate: Sun, 22 Nov 2026 00:00:00 GMT\r\n\r\n{body}",
        body.len()
    );
    scene.upstream.answer(Answer::raw(raw));
    let response = scene.send_permitted();
    let fields = end_to_end(&response.head);
    assert_eq!((response.status, response.text().as_str()), (200, body));
    assert_eq!(fields["set-cookie"], ["a=1", "b=2"]);
    assert_eq!(
        (fields["x-app-usage"][0].as_str(), fields["x-fb-trace-id"][0].as_str(), fields["date"][0].as_str()),
        ("{\"call_count\":1}", "abc", "Sun, 22 Nov 2026 00:00:00 GMT")
    );
    let names: Vec<&str> = fields.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "content-length",
            "content-type",
            "date",
            "optgate-decision",
            "optgate-decision-id",
            "set-cookie",
            "x-app-usage",
            "x-fb-trace-id"
        ]
    );
}

#[test]
fn an_upstreams_own_error_to_a_send_passes_as_it_is() {
    let scene = Scene::agreed();
    let error = r#"{"error":{"message":"(#131056) pair rate limit","type":"OAuthException","code":131056,"fbtrace_id":"A_b"}}"#;
    for status in [400, 401, 403, 404, 429, 500, 503] {
        scene.upstream.answer(Answer::json(status, error));
        let response = scene.send_permitted();
        assert_eq!((response.status, response.text().as_str()), (status, error));
        assert_eq!(response.header("optgate-decision"), Some("allow; basis=consent"));
        let event = scene.event(response.header("optgate-decision-id").unwrap());
        assert_eq!((&event["outcome"], &event["upstream_status"]), (&json!("forwarded"), &json!(status)));
    }
    assert_eq!(scene.upstream.request_count(), 7);
}

#[test]
fn a_chunked_and_a_large_answer_to_a_send_pass_whole() {
    let scene = Scene::agreed();
    let pieces = chunked(&[b"{\"messages\":", b"[{\"id\":\"wamid.A\"}]}"]);
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    scene.upstream.answer_once(Answer::raw([head.as_slice(), &pieces].concat()));
    assert_eq!(scene.send_permitted().json()["messages"][0]["id"], "wamid.A");
    scene.upstream.answer_once(Answer::stream(1_000_000));
    assert_eq!(scene.send_permitted().body.len(), 1_000_000);
    scene.upstream.answer_once(Answer::raw("HTTP/1.1 204 No Content\r\n\r\n"));
    assert_eq!(scene.send_permitted().status, 204);
    assert_eq!(scene.upstream.request_count(), 3);
}

#[test]
fn a_chunked_send_arrives_whole() {
    let scene = Scene::agreed();
    let body = text(ANN).to_string();
    let pieces: Vec<&[u8]> = body.as_bytes().chunks(7).collect();
    let headers = [("Content-Type", "application/json"), ("Transfer-Encoding", "chunked")];
    let response = crate::support::client::request(
        scene.gate.addr(),
        "POST",
        &edge("messages"),
        &headers,
        &chunked(&pieces),
    );
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(scene.upstream.wait_for(1)[0].payload(), body.as_bytes());
}

#[test]
fn connections_are_kept_on_both_sides() {
    let scene = Scene::agreed_with(|gate| gate.set("proxy", "workers", "1"));
    let mut client = scene.gate.connect();
    for at in 0..50 {
        let body = text(ANN).to_string();
        let response = if at % 2 == 0 {
            client.request(
                "POST",
                &edge("messages"),
                &[("Content-Type", "application/json")],
                body.as_bytes(),
            )
        } else {
            client.request("GET", "/v23.0/1", &[], b"")
        };
        assert_eq!(response.status, 200);
    }
    assert_eq!((scene.upstream.request_count(), scene.upstream.connection_count()), (50, 1));
}

#[test]
fn a_provider_that_closes_after_its_answer_does_not_close_the_callers_connection() {
    let scene = Scene::agreed_with(|gate| gate.set("proxy", "workers", "1"));
    let body = r#"{"messages":[{"id":"wamid.A"}]}"#;
    let raw = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    scene.upstream.answer(Answer::raw(raw).then_close());
    let mut client = scene.gate.connect();
    for _ in 0..20 {
        let response = client.request(
            "POST",
            &edge("messages"),
            &[("Content-Type", "application/json")],
            text(ANN).to_string().as_bytes(),
        );
        assert_eq!((response.status, response.header("connection")), (200, None), "{}", response.text());
    }
    assert_eq!((scene.upstream.request_count(), scene.upstream.connection_count()), (20, 20));
}

#[test]
fn pipelined_sends_are_answered_in_order() {
    let scene = Scene::agreed();
    scene
        .upstream
        .respond(|received: &Received| Answer::json(200, std::str::from_utf8(received.payload()).unwrap()));
    let mut client = scene.gate.connect();
    let mut all = Vec::new();
    for at in 0..10 {
        let body = message(if at % 3 == 1 { BOB } else { ANN }, "text", json!({"body": at})).to_string();
        all.extend(client.head(
            "POST",
            &edge("messages"),
            &[("Content-Type", "application/json")],
            body.len(),
        ));
        all.extend(body.bytes());
    }
    client.send(&all);
    for at in 0..10 {
        let response = client.response();
        if at % 3 == 1 {
            refusal(400, 131_030, "no_consent").assert(&response);
        } else {
            assert_eq!(response.json()["text"]["body"], at);
        }
    }
    assert_eq!(scene.upstream.request_count(), 7);
}

/// The table of service sends: window by grant.
#[test]
fn free_form_follows_the_table_of_service_sends() {
    let fresh = Duration::from_secs(3600);
    // In a tenant that has never heard from anybody, no window is known.
    let unheard = Scene::start();
    unheard.gate.apply(&[
        grant("+15550000011", &["service"]),
        grant("+15550000012", &["service"]),
        revoke("+15550000012", &["service"]),
    ]);
    let heard = Scene::start();
    heard.gate.apply(&[
        inbound("+15550000020", fresh),
        inbound("+15550000021", fresh),
        grant("+15550000021", &["service"]),
        inbound("+15550000022", fresh),
        grant("+15550000022", &["service"]),
        revoke("+15550000022", &["service"]),
        inbound("+15550000023", fresh),
        revoke("+15550000023", &["service"]),
        inbound("+15550000024", fresh),
        revoke("+15550000024", &["marketing"]),
        inbound("+15550000030", 2 * DAY),
        inbound("+15550000031", 2 * DAY),
        grant("+15550000031", &["service"]),
        inbound("+15550000032", 2 * DAY),
        grant("+15550000032", &["service"]),
        revoke("+15550000032", &["service"]),
    ]);
    for (scene, to, answer) in [
        (&unheard, "+15550000010", "deny; reason=no_consent"),
        (&unheard, "+15550000011", "allow; basis=consent"),
        (&unheard, "+15550000012", "deny; reason=consent_revoked"),
        (&heard, "+15550000020", "allow; basis=window"),
        (&heard, "+15550000021", "allow; basis=window"),
        (&heard, "+15550000022", "deny; reason=consent_revoked"),
        (&heard, "+15550000023", "deny; reason=consent_revoked"),
        (&heard, "+15550000024", "allow; basis=window"),
        (&heard, "+15550000030", "deny; reason=no_consent"),
        (&heard, "+15550000031", "deny; reason=window_closed"),
        (&heard, "+15550000032", "deny; reason=consent_revoked"),
    ] {
        let before = scene.upstream.request_count();
        let response = scene.gate.send(&text(to));
        assert_eq!(response.header("optgate-decision"), Some(answer), "{to}: {}", response.text());
        let forwarded = scene.upstream.request_count() - before;
        assert_eq!(forwarded, usize::from(answer.starts_with("allow")), "{to}");
    }
}

#[test]
fn a_required_window_is_required_even_where_none_is_known() {
    let scene = Scene::agreed_with(|gate| gate.set("policy", "service_window", "\"required\""));
    refusal(400, 131_047, "window_closed").assert(&scene.send_permitted());
    scene.assert_untouched();
    scene.gate.apply(&[inbound(ANN, Duration::from_secs(10))]);
    assert_eq!(scene.send_permitted().header("optgate-decision"), Some("allow; basis=window"));
}

#[test]
fn without_tenants_every_sender_belongs_to_the_default_one() {
    let scene = Scene::with(GateBuilder::without_tenants);
    scene.gate.apply(&[grant(ANN, &["service"])]);
    let response = scene.gate.post("/v23.0/777777777777777/messages", &text(ANN));
    assert_eq!(response.header("optgate-decision"), Some("allow; basis=consent"), "{}", response.text());
    assert_eq!(scene.upstream.request_count(), 1);
}

#[test]
fn every_spelling_of_a_number_is_the_same_person() {
    let scene = Scene::agreed();
    for to in [ANN, "15550000001", "+1 (555) 000-0001", "1-555-000-0001"] {
        let response = scene.gate.send(&text(to));
        assert_eq!(response.status, 200, "{to:?}: {}", response.text());
    }
    scene.gate.apply(&[revoke(ANN, &ALL)]);
    for to in [ANN, "15550000001", "+1 (555) 000-0001"] {
        refusal(400, 131_030, "consent_revoked").assert(&scene.gate.send(&text(to)));
    }
}

/// One HTTP/2 connection with prior knowledge, as some platforms make it inside their own network.
async fn over_http2(
    gate: std::net::SocketAddr,
    requests: Vec<(&'static str, String, Bytes)>,
) -> Vec<(u16, http::HeaderMap, Bytes)> {
    let stream = tokio::net::TcpStream::connect(gate).await.unwrap();
    let (sender, connection) = hyper::client::conn::http2::handshake::<_, _, Full<Bytes>>(
        TokioExecutor::new(),
        TokioIo::new(stream),
    )
    .await
    .unwrap();
    let driver = tokio::spawn(connection);
    let answers = requests.into_iter().map(|(method, target, body)| {
        let mut sender = sender.clone();
        let request = http::Request::builder()
            .method(method)
            .uri(format!("http://{gate}{target}"))
            .header("content-type", "application/json")
            .header("authorization", "Bearer EAATESTTOKEN")
            .header("x-forwarded-for", "10.0.0.1")
            .body(Full::new(body))
            .unwrap();
        tokio::spawn(async move {
            sender.ready().await.unwrap();
            let (parts, body) = sender.send_request(request).await.unwrap().into_parts();
            (parts.status.as_u16(), parts.headers, body.collect().await.unwrap().to_bytes())
        })
    });
    let mut all = Vec::new();
    for answer in answers.collect::<Vec<_>>() {
        all.push(tokio::time::timeout(crate::support::PATIENCE, answer).await.unwrap().unwrap());
    }
    driver.abort();
    all
}

#[test]
fn callers_on_http2_get_the_same() {
    let scene = Scene::agreed();
    scene
        .upstream
        .respond(|received| Answer::json(200, std::str::from_utf8(received.payload()).unwrap_or("{}")));
    let mut requests: Vec<_> = (0..20)
        .map(|at| {
            (
                "POST",
                edge("messages"),
                Bytes::from(
                    message(if at % 2 == 0 { ANN } else { BOB }, "text", json!({"body": at})).to_string(),
                ),
            )
        })
        .collect();
    requests.push(("GET", "/v23.0/1?fields=id".to_owned(), Bytes::new()));
    requests.push(("POST", edge("media"), Bytes::from_static(b"{\"a\":1}")));
    let sent = requests.clone();
    let answers = runtime().block_on(over_http2(scene.gate.addr(), requests));
    for (at, (status, headers, body)) in answers.iter().enumerate() {
        match at {
            0..20 if at % 2 == 1 => {
                assert_eq!(
                    (*status, headers["optgate-decision"].to_str().unwrap()),
                    (400, "deny; reason=no_consent")
                );
                let id = headers["optgate-decision-id"].to_str().unwrap();
                assert_eq!(serde_json::from_slice::<Value>(body).unwrap()["error"]["fbtrace_id"], id);
            }
            0..20 => {
                assert_eq!(
                    (*status, body, headers["optgate-decision"].to_str().unwrap()),
                    (200, &sent[at].2, "allow; basis=consent")
                );
            }
            _ => assert_eq!((*status, body), (200, &sent[at].2)),
        }
    }
    let received = scene.upstream.wait_for(12);
    assert_eq!(received.len(), 12);
    for received in received {
        assert_eq!(received.header("host"), Some(scene.upstream.addr().to_string().as_str()));
        assert_eq!(received.header("authorization"), Some("Bearer EAATESTTOKEN"));
        assert_eq!(received.header("x-forwarded-for"), None);
        assert_eq!(received.head.word(2), "HTTP/1.1");
    }
}
