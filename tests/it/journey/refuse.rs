//! Every refusal that a caller can meet: its code, its envelope, its record, and nothing at the provider.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::support::client::{Client, request};
use crate::support::gate::ACCOUNT;

const JSON: (&str, &str) = ("Content-Type", "application/json");
const AMBIGUOUS: Refusal = refusal(400, 100, "recipient_ambiguous");
const UNREADABLE: Refusal = refusal(400, 100, "request_unreadable");
const UNRECOGNIZED: Refusal = refusal(400, 100, "unrecognized_send");

/// Posts, and asserts the refusal, its record and its silence towards the provider.
#[track_caller]
fn refused(scene: &Scene, target: &str, body: &Value, expected: Refusal) -> Value {
    let response = scene.gate.post(target, body);
    recorded(scene, &response, expected)
}

#[track_caller]
fn recorded(scene: &Scene, response: &Response, expected: Refusal) -> Value {
    let id = expected.assert(response);
    scene.assert_untouched();
    let event = scene.event(&id);
    assert_eq!(
        (&event["decision"], &event["reason"], &event["outcome"]),
        (&json!("deny"), &json!(expected.reason), &json!("refused")),
        "{event}"
    );
    event
}

#[test]
fn send_without_consent_is_denied_and_never_reaches_upstream() {
    let scene = Scene::start();
    scene.gate.put_templates(&templates());
    for (target, body, category) in [
        (edge("messages"), text(BOB), "service"),
        (edge("messages"), template(BOB, "marketing"), "marketing"),
        (edge("messages"), template(BOB, "utility"), "utility"),
        (edge("messages"), template(BOB, "authentication"), "authentication"),
        (edge("messages"), template(BOB, "never_heard_of"), "marketing"),
        (edge("marketing_messages"), template(BOB, "utility"), "marketing"),
    ] {
        let event = refused(&scene, &target, &body, refusal(400, 131_030, "no_consent"));
        assert_eq!(
            (&event["category"], &event["tenant"], &event["sender"]),
            (&json!(category), &json!("default"), &json!(SENDER))
        );
        let label = format!("category=\"{category}\"");
        assert!(scene.gate.count("optgate_decisions_total", &["reason=\"no_consent\"", &label]) > 0);
    }
}

#[test]
fn marketing_to_a_person_who_agreed_to_utility_only_is_denied() {
    let scene = Scene::start();
    scene.gate.put_templates(&templates());
    scene.gate.apply(&[grant(ANN, &["utility"])]);
    refused(&scene, &edge("messages"), &template(ANN, "marketing"), refusal(400, 131_030, "no_consent"));
    refused(
        &scene,
        &edge("marketing_messages"),
        &template(ANN, "utility"),
        refusal(400, 131_030, "no_consent"),
    );
    assert_eq!(scene.gate.send(&template(ANN, "utility")).status, 200);
}

#[test]
fn a_withdrawal_is_enforced_before_it_is_acknowledged() {
    let scene = Scene::start();
    scene.gate.put_templates(&templates());
    for round in 0..20 {
        let person = format!("+1555000{:04}", 1000 + round);
        scene.gate.apply(&[grant(&person, &["marketing"])]);
        assert_eq!(scene.gate.send(&template(&person, "marketing")).status, 200);
        scene.gate.apply(&[revoke(&person, &["marketing"])]);
        let response = scene.gate.send(&template(&person, "marketing"));
        refusal(400, 131_050, "consent_revoked").assert(&response);
    }
    assert_eq!(scene.upstream.request_count(), 20);
}

#[test]
fn every_category_that_was_revoked_has_its_own_code() {
    let scene = Scene::start();
    scene.gate.put_templates(&templates());
    let all_revoked = {
        let mut revoke = revoke(ANN, &[]);
        revoke.as_object_mut().unwrap().remove("categories");
        revoke
    };
    scene.gate.apply(&[grant(ANN, &ALL), all_revoked, inbound(ANN, Duration::from_secs(60))]);
    for (target, body, code) in [
        (edge("messages"), template(ANN, "marketing"), 131_050),
        (edge("marketing_messages"), template(ANN, "marketing"), 131_050),
        (edge("messages"), template(ANN, "utility"), 131_030),
        (edge("messages"), template(ANN, "authentication"), 131_030),
        (edge("messages"), text(ANN), 131_030),
        (edge("calls"), call(ANN), 138_006),
    ] {
        refused(&scene, &target, &body, refusal(400, code, "consent_revoked"));
    }
}

#[test]
fn a_call_without_permission_is_denied() {
    let scene = Scene::start();
    scene.gate.apply(&[grant(ANN, &["marketing", "service", "utility", "authentication"])]);
    let event = refused(&scene, &edge("calls"), &call(ANN), refusal(400, 138_006, "no_consent"));
    assert_eq!(event["category"], "call");
    let ask = message(
        ANN,
        "interactive",
        json!({"type": "call_permission_request", "action": {"name": "call_permission_request"}, "body": {"text": "x"}}),
    );
    refused(&scene, &edge("messages"), &ask, refusal(400, 138_006, "no_consent"));
}

#[test]
fn a_template_that_asks_to_call_is_denied_without_permission_to_call() {
    let scene = Scene::start();
    let mut listed = templates();
    let body = json!({"type": "BODY", "text": "May we call you?"});
    listed[2]["components"] = json!([body, {"type": "call_permission_request"}]);
    scene.gate.put_templates(&listed);
    scene.gate.apply(&[grant(ANN, &["utility"])]);
    let asking = template(ANN, "utility");
    let event = refused(&scene, &edge("messages"), &asking, refusal(400, 138_006, "no_consent"));
    assert_eq!(event["category"], "call");
    scene.gate.apply(&[grant(ANN, &["call"])]);
    assert_eq!(scene.gate.send(&asking).status, 200);
}

#[test]
fn a_cookie_with_the_name_of_a_parameter_is_denied() {
    let scene = Scene::agreed();
    let target = edge("messages");
    for cookie in ["to=15550000002", "a=b; %62atch[]=1", "method=post"] {
        for (method, body) in [("POST", text(ANN).to_string()), ("GET", String::new())] {
            let headers = [("Content-Type", "application/json"), ("Cookie", cookie)];
            let response = request(scene.gate.addr(), method, &target, &headers, body.as_bytes());
            recorded(&scene, &response, refusal(400, 100, "request_unreadable"));
        }
    }
    scene.assert_untouched();
}

#[test]
fn an_expired_consent_is_denied() {
    let scene = Scene::start();
    scene.gate.put_templates(&templates());
    let mut grant = grant(ANN, &["utility"]);
    grant["expires_at"] = json!(ago(DAY));
    scene.gate.apply(&[grant]);
    refused(&scene, &edge("messages"), &template(ANN, "utility"), refusal(400, 131_030, "consent_expired"));
}

#[test]
fn free_form_outside_the_window_is_denied() {
    let scene = Scene::start();
    scene.gate.apply(&[grant(ANN, &["service"]), inbound(ANN, 2 * DAY)]);
    let event = refused(&scene, &edge("messages"), &text(ANN), refusal(400, 131_047, "window_closed"));
    assert_eq!(event["window"], "closed");
}

#[test]
fn a_recipient_that_nobody_can_read_is_denied() {
    let scene = Scene::agreed();
    let expected = refusal(400, 100, "recipient_unreadable");
    for to in [
        "",
        "hello",
        "+",
        "+0",
        "12",
        "+1555000000x",
        "+15550000001;+15550000002",
        "0000000000000000000000001",
    ] {
        refused(&scene, &edge("messages"), &text(to), expected);
    }
}

#[test]
fn a_recipient_in_a_type_that_is_no_text_is_denied() {
    let scene = Scene::agreed();
    for to in
        [json!(["+15550000001"]), json!({"phone": "+15550000001"}), json!(null), json!(true), json!(1.5)]
    {
        let mut body = text(ANN);
        body["to"] = to;
        let response = scene.gate.send(&body);
        assert_eq!(
            (response.status, &response.json()["error"]["code"]),
            (400, &json!(100)),
            "{}",
            response.text()
        );
        assert!(response.header("optgate-decision").unwrap().starts_with("deny; reason="));
        scene.assert_untouched();
    }
}

#[test]
fn digits_that_two_people_could_own_need_both_to_agree() {
    let scene = Scene::with(|gate| gate.tenant("default", SENDER, ACCOUNT, "+493012345678"));
    // In the United States or, from a German sender, a German mobile.
    let (american, german) = ("+15112345678", "+4915112345678");
    scene.gate.apply(&[grant(american, &["service"])]);
    let event = refused(&scene, &edge("messages"), &text("15112345678"), AMBIGUOUS);
    assert_eq!(event["recipient_hash"].as_array().map(Vec::len), Some(2), "{event}");
    scene.gate.apply(&[grant(german, &["service"])]);
    assert_eq!(scene.gate.send(&text("15112345678")).status, 200);
    scene.gate.apply(&[revoke(german, &["service"])]);
    AMBIGUOUS.assert(&scene.gate.send(&text("15112345678")));
    assert_eq!(scene.gate.send(&text(american)).status, 200);
    assert_eq!(scene.upstream.request_count(), 2);
}

/// A connection that ended without a word would take the caller's next send with it.
#[test]
fn who_is_refused_before_the_body_came_keeps_the_connection_or_is_told_of_its_end() {
    let scene = Scene::agreed();
    let head =
        |client: &Client, length: usize| client.head("POST", &edge("messages_encrypted"), &[JSON], length);
    let mut client = scene.gate.connect();
    client.send(&head(&client, 2));
    std::thread::sleep(Duration::from_millis(100));
    client.send(b"{}");
    let refused = client.response();
    refusal(400, 100, "opaque_payload").assert(&refused);
    assert_eq!(refused.header("connection"), None);
    scene.assert_untouched();
    let body = text(ANN).to_string();
    let allowed = client.request("POST", &edge("messages"), &[JSON], body.as_bytes());
    assert_eq!(allowed.status, 200, "{}", allowed.text());
    for (length, sent) in [(10_000_000, 1000), (200_000, 0)] {
        let mut client = scene.gate.connect();
        client.send(&head(&client, length));
        client.send(&vec![b' '; sent]);
        let refused = client.response();
        refusal(400, 100, "opaque_payload").assert(&refused);
        assert_eq!(refused.header("connection"), Some("close"), "{length}");
    }
    assert_eq!(scene.upstream.requests().len(), 1);
}

#[test]
fn encrypted_messages_are_denied_unread() {
    let scene = Scene::agreed();
    refused(
        &scene,
        &edge("messages_encrypted"),
        &json!({"encrypted": "AAAA"}),
        refusal(400, 100, "opaque_payload"),
    );
}

#[test]
fn a_write_that_steers_the_provider_is_denied() {
    let scene = Scene::agreed();
    let expected = refusal(400, 100, "steering_write");
    for (target, body) in [
        (
            format!("/v23.0/{ACCOUNT}/subscribed_apps"),
            json!({"override_callback_uri": "https://evil.example", "verify_token": "x"}),
        ),
        (edge(""), json!({"webhook_configuration": {"override_callback_uri": "https://evil.example"}})),
        (format!("/v23.0/{ACCOUNT}/welcome_message_sequences"), json!({"name": "x"})),
        (edge("settings"), json!({"calling": {"status": "ENABLED", "sip": {"status": "ENABLED"}}})),
    ] {
        refused(&scene, &target, &body, expected);
    }
    let target = format!("/v23.0/{ACCOUNT}/subscribed_apps");
    expected.assert(&request(scene.gate.addr(), "DELETE", &target, &[], b""));
    scene.assert_untouched();
    assert_eq!(scene.gate.post(&target, &json!({})).status, 200);
}

#[test]
fn a_compressed_write_is_denied_as_a_media_type_that_is_not_judged() {
    let scene = Scene::agreed();
    let body = text(ANN).to_string();
    for encoding in ["gzip", "deflate", "br", "zstd", "gzip, identity", "x"] {
        let headers = [("Content-Type", "application/json"), ("Content-Encoding", encoding)];
        let response = request(scene.gate.addr(), "POST", &edge("messages"), &headers, body.as_bytes());
        refusal(415, 100, "request_unreadable").assert(&response);
    }
    scene.assert_untouched();
}

#[test]
fn a_group_is_denied() {
    let scene = Scene::agreed();
    let mut body = text("Y2FwaV9ncm91cDoxNTU1MDAwMDAwMQ");
    body["recipient_type"] = json!("group");
    refused(&scene, &edge("messages"), &body, refusal(400, 131_030, "group_not_permitted"));
}

#[test]
fn a_sender_of_no_tenant_is_denied() {
    let scene = Scene::agreed();
    let event = refused(
        &scene,
        "/v23.0/999999999999999/messages",
        &text(ANN),
        refusal(403, 10, "caller_not_permitted"),
    );
    assert_eq!(event["tenant"], json!(null));
    assert!(
        scene
            .gate
            .metric("optgate_decisions_total", &["tenant=\"unknown\"", "reason=\"caller_not_permitted\""])
            >= 1.0
    );
}

#[test]
fn consent_of_one_tenant_is_none_for_another() {
    let scene = Scene::with(|gate| {
        gate.tenant("acme", "1000001", "2000001", "+15550783881").tenant(
            "other",
            "1000002",
            "2000002",
            "+15550783882",
        )
    });
    scene.gate.apply(&[of_tenant("acme", grant(ANN, &ALL))]);
    refused(&scene, "/v23.0/1000002/messages", &text(ANN), refusal(400, 131_030, "no_consent"));
    assert_eq!(scene.gate.post("/v23.0/1000001/messages", &text(ANN)).status, 200);
}

#[test]
fn the_kill_switch_stops_what_is_permitted() {
    let scene = Scene::agreed_with(|gate| gate.set("policy", "kill_switch", "[\"marketing\", \"call\"]"));
    let expected = refusal(400, 131_030, "kill_switch");
    refused(&scene, &edge("messages"), &template(ANN, "marketing"), expected);
    refused(&scene, &edge("calls"), &call(ANN), expected);
    assert_eq!(scene.gate.send(&template(ANN, "utility")).status, 200);
}

#[test]
fn a_body_over_the_limit_is_denied_in_the_envelope() {
    let scene = Scene::agreed_with(|gate| gate.set("proxy", "max_send_body", "\"1KiB\""));
    let mut body = text(ANN);
    body["text"]["body"] = json!("x".repeat(2000));
    let body = body.to_string();
    let expected = refusal(413, 100, "request_unreadable");
    let sized = request(scene.gate.addr(), "POST", &edge("messages"), &[JSON], body.as_bytes());
    recorded(&scene, &sized, expected);
    let pieces: Vec<&[u8]> = body.as_bytes().chunks(100).collect();
    let chunked = crate::support::http1::chunked(&pieces);
    let headers = [JSON, ("Transfer-Encoding", "chunked")];
    recorded(&scene, &request(scene.gate.addr(), "POST", &edge("messages"), &headers, &chunked), expected);
    // The announcement is enough: the caller need not write a body that nobody will read.
    let mut client = scene.gate.connect();
    client.send(&client.head("POST", &edge("messages"), &[JSON, ("Content-Length", "1000000000")], 0));
    recorded(&scene, &client.response(), expected);
}

#[test]
fn a_body_of_exactly_the_limit_is_judged() {
    let scene = Scene::agreed_with(|gate| gate.set("proxy", "max_send_body", "\"1KiB\""));
    for (length, status) in [(1024, 200), (1025, 413)] {
        let mut body = text(ANN).to_string().into_bytes();
        body.resize(length, b' ');
        assert_eq!(request(scene.gate.addr(), "POST", &edge("messages"), &[JSON], &body).status, status);
    }
    assert_eq!(scene.upstream.request_count(), 1);
}

#[test]
fn json_with_two_readings_is_denied() {
    let scene = Scene::agreed();
    for body in [
        r#"{"messaging_product":"whatsapp","to":"+15550000001","to":"+15550000002","type":"text","text":{"body":"x"}}"#,
        r#"{"messaging_product":"whatsapp","to":"+15550000001","\u0074o":"+15550000002","type":"text","text":{"body":"x"}}"#,
        r#"{"messaging_product":"whatsapp","to":"+15550000001","To":"+15550000002","type":"text","text":{"body":"x"}}"#,
        r#"{"messaging_product":"whatsapp","to":"+15550000001","type":"text","text":{"body":"x"}} {"#,
        "\u{feff}{\"messaging_product\":\"whatsapp\",\"to\":\"+15550000001\",\"type\":\"text\",\"text\":{\"body\":\"x\"}}",
        r#"[{"messaging_product":"whatsapp","to":"+15550000001","type":"text","text":{"body":"x"}}]"#,
        r#"{"messaging_product":"whatsapp","to":"+15550000001","type":"text","text":{"body":"x"}"#,
        "",
        "null",
        "\"+15550000001\"",
    ] {
        let response = request(scene.gate.addr(), "POST", &edge("messages"), &[JSON], body.as_bytes());
        recorded(&scene, &response, UNREADABLE);
    }
    let mut not_utf8 = text(ANN).to_string().into_bytes();
    let at = not_utf8.windows(5).position(|w| w == b"hello").unwrap();
    not_utf8[at] = 0xff;
    recorded(&scene, &request(scene.gate.addr(), "POST", &edge("messages"), &[JSON], &not_utf8), UNREADABLE);
}

#[test]
fn a_send_to_two_recipients_needs_both() {
    let scene = Scene::agreed();
    let mut body = text(ANN);
    body["recipient"] = json!("US.13491208655302741918");
    let response = scene.gate.send(&body);
    assert_eq!(response.status, 400, "{}", response.text());
    scene.assert_untouched();
}

/// Whatever the shape, a send to somebody who never agreed is refused: with one reason or another, but always.
#[test]
fn no_shape_of_a_send_to_a_stranger_passes() {
    const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
    const MULTIPART: (&str, &str) = ("Content-Type", "multipart/form-data; boundary=B");
    let scene = Scene::agreed();
    let form = "messaging_product=whatsapp&to=%2B15550000002&type=text&text=%7B%22body%22%3A%22x%22%7D";
    let part = |name: &str, value: &str| {
        format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let multipart = part("messaging_product", "whatsapp")
        + &part("to", BOB)
        + &part("type", "text")
        + &part("text", "{\"body\":\"x\"}")
        + "--B--\r\n";
    let operation =
        json!([{"method": "POST", "relative_url": format!("{SENDER}/messages"), "body": form}]).to_string();
    let encoded: String = operation.bytes().map(|b| format!("%{b:02X}")).collect();
    let json_text = text(BOB).to_string();
    let messages = edge("messages");
    let with_query = |query: &str| format!("{messages}?{query}");
    // Method, target, header fields, body.
    type Case<'a> = (&'a str, String, Vec<(&'a str, &'a str)>, String);
    let cases: Vec<Case<'_>> = vec![
        ("POST", messages.clone(), vec![FORM], form.to_owned()),
        ("POST", messages.clone(), vec![MULTIPART], multipart.clone()),
        ("POST", with_query(form), vec![], String::new()),
        ("GET", with_query(form), vec![], String::new()),
        ("DELETE", with_query(form), vec![], String::new()),
        ("PUT", messages.clone(), vec![JSON], json_text.clone()),
        ("PATCH", messages.clone(), vec![JSON], json_text.clone()),
        ("GET", with_query("method=post"), vec![JSON], json_text.clone()),
        ("GET", messages.clone(), vec![JSON], json_text.clone()),
        ("GET", messages.clone(), vec![JSON, ("X-HTTP-Method-Override", "POST")], json_text.clone()),
        ("POST", with_query("method=get"), vec![JSON], json_text.clone()),
        ("POST", with_query("to=%2B15550000001"), vec![JSON], json_text.clone()),
        ("POST", messages.clone(), vec![], json_text.clone()),
        ("POST", messages.clone(), vec![("Content-Type", "text/plain")], json_text.clone()),
        (
            "POST",
            messages.clone(),
            vec![("Content-Type", "application/json; charset=utf-16")],
            json_text.clone(),
        ),
        ("POST", messages.clone(), vec![JSON, ("Content-Encoding", "gzip")], json_text.clone()),
        ("POST", messages.clone(), vec![JSON, ("Content-Encoding", "br")], json_text.clone()),
        ("POST", format!("/v23.0/{SENDER}/messages/"), vec![JSON], json_text.clone()),
        ("POST", format!("//v23.0//{SENDER}//messages"), vec![JSON], json_text.clone()),
        ("POST", format!("/v23.0/{SENDER}/%6dessages"), vec![JSON], json_text.clone()),
        ("POST", format!("/v23.0/{SENDER}/MESSAGES"), vec![JSON], json_text.clone()),
        ("POST", format!("/V23.0/{SENDER}/messages"), vec![JSON], json_text.clone()),
        ("POST", format!("/{SENDER}/messages"), vec![JSON], json_text.clone()),
        ("POST", format!("/v23.0/{SENDER}%2Fmessages"), vec![JSON], json_text.clone()),
        ("POST", format!("/v23.0/x/../{SENDER}/messages"), vec![JSON], json_text.clone()),
        ("POST", format!("/v23.0/{SENDER};a=b/messages"), vec![JSON], json_text.clone()),
        ("POST", format!("/v23.0/{SENDER}/messages.json"), vec![JSON], json_text.clone()),
        ("POST", format!("/v23.0/{SENDER}/messages%00"), vec![JSON], json_text.clone()),
        ("POST", "/v1/messages".to_owned(), vec![JSON], json_text.clone()),
        ("POST", "/messages".to_owned(), vec![JSON], json_text.clone()),
        ("POST", "/v23.0/me/messages".to_owned(), vec![JSON], json_text.clone()),
        ("POST", format!("/v23.0/{SENDER}"), vec![JSON], json_text.clone()),
        ("POST", format!("/v23.0/{SENDER}/media"), vec![JSON], json_text.clone()),
        ("POST", format!("/v23.0/{SENDER}/something_new"), vec![JSON], json_text.clone()),
        ("POST", "/".to_owned(), vec![FORM], format!("batch={encoded}")),
        ("POST", "/v23.0".to_owned(), vec![FORM], format!("include_headers=false&batch={encoded}")),
        (
            "POST",
            "/".to_owned(),
            vec![JSON],
            json!({"batch": serde_json::from_str::<Value>(&operation).unwrap()}).to_string(),
        ),
        ("POST", "/".to_owned(), vec![MULTIPART], part("batch", &operation) + "--B--\r\n"),
        ("POST", format!("/?batch={encoded}"), vec![], String::new()),
        ("GET", format!("/?batch={encoded}"), vec![], String::new()),
        ("POST", format!("/{SENDER}/media?batch={encoded}"), vec![], String::new()),
        (
            "POST",
            format!("/v23.0/{SENDER}/media"),
            vec![MULTIPART],
            part("file", "x") + &part("batch", &operation) + "--B--\r\n",
        ),
    ];
    for (method, target, headers, body) in &cases {
        let response = request(scene.gate.addr(), method, target, headers, body.as_bytes());
        assert!(response.status >= 400, "{method} {target} {headers:?}: {}", response.text());
        let decision = response.header("optgate-decision");
        assert!(
            decision.is_some_and(|d| d.starts_with("deny; reason=")),
            "{method} {target} {headers:?}: {response:?}"
        );
        // On-premises paths are answered in the envelope of on-premises clients.
        let answer = response.json();
        assert!(
            answer["error"]["error_data"]["details"].is_string()
                || answer["errors"][0]["details"].is_string()
        );
        scene.assert_untouched();
    }
    let events = scene.gate.wait_for_decisions(cases.len());
    assert_eq!(events.len(), cases.len());
    assert_eq!(scene.gate.count("optgate_requests_total", &["kind=\"refused\""]), cases.len());
}

#[test]
fn other_dialects_of_a_send_are_told_apart() {
    let scene = Scene::agreed();
    refused(&scene, "/messages", &text(ANN), UNRECOGNIZED);
    refused(&scene, &edge("something_new"), &text(ANN), UNRECOGNIZED);
}

#[test]
fn a_label_of_the_caller_never_makes_a_category_milder() {
    let scene = Scene::start();
    scene.gate.put_templates(&templates());
    scene.gate.apply(&[grant(ANN, &["utility", "service"])]);
    let mut labelled = template(ANN, "marketing");
    labelled["category"] = json!("utility");
    refused(&scene, &edge("messages"), &labelled, refusal(400, 131_030, "no_consent"));
    labelled["category"] = json!("MARKETING_LITE");
    refused(&scene, &edge("messages"), &labelled, UNREADABLE);
    let mut disguised = text(ANN);
    disguised["template"] = json!({"name": "marketing", "language": {"code": "en_US"}});
    refused(&scene, &edge("messages"), &disguised, refusal(400, 131_030, "no_consent"));
}

/// One batch, as a form; each operation posts one message.
fn batch(recipients: &[&str]) -> String {
    let operation = |to: &&str| {
        let body = format!(
            "messaging_product=whatsapp&to=%2B{}&type=text&text=%7B%22body%22%3A%22x%22%7D",
            &to[1..]
        );
        json!({"method": "POST", "relative_url": format!("v23.0/{SENDER}/messages"), "body": body})
    };
    let operations: Vec<Value> = recipients.iter().map(operation).collect();
    let encoded: String = json!(operations).to_string().bytes().map(|b| format!("%{b:02X}")).collect();
    format!("batch={encoded}")
}

#[test]
fn one_refused_operation_refuses_its_batch() {
    const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
    let scene = Scene::agreed();
    let response = request(scene.gate.addr(), "POST", "/", &[FORM], batch(&[ANN, BOB, ANN]).as_bytes());
    let id = refusal(400, 131_030, "no_consent").assert(&response);
    assert!(response.text().contains("operation 1"), "{}", response.text());
    scene.assert_untouched();
    let events = scene.gate.wait_for_decisions(2);
    assert!(events.iter().all(|event| event["outcome"] == "refused"), "{events:?}");
    assert!(events.iter().any(|event| event["id"] == id));

    let permitted = request(scene.gate.addr(), "POST", "/", &[FORM], batch(&[ANN, ANN]).as_bytes());
    assert_eq!(permitted.header("optgate-decision"), Some("allow; basis=consent"), "{}", permitted.text());
    let received = scene.upstream.wait_for(1);
    assert_eq!((received.len(), received[0].payload()), (1, batch(&[ANN, ANN]).as_bytes()));
    let forwarded = scene.gate.wait_for_decisions(4);
    assert_eq!(forwarded.iter().filter(|event| event["outcome"] == "forwarded").count(), 2);
}
