//! Sends: accepted as Meta's samples show, refused in Meta's words.

use super::*;

#[tokio::test]
async fn text_is_answered_as_in_metas_sample() {
    let sandbox = started().await;
    let answer = message(
        &sandbox,
        r#"{"messaging_product":"whatsapp","recipient_type":"individual","to":"+16505551234","type":"text","text":{"preview_url":true,"body":"Hi"}}"#,
    )
    .await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        settled(answer.text()),
        r#"{"messaging_product":"whatsapp","contacts":[{"input":"+16505551234","wa_id":"16505551234"}],"messages":[{"id":"wamid.…"}]}"#
    );
    assert!(deliveries(&sandbox) == [pair("+16505551234", "service")]);
}

#[tokio::test]
async fn message_ids_are_framed_like_metas() {
    use base64::Engine as _;
    let decode = |id: &str| base64::engine::general_purpose::STANDARD.decode(&id["wamid.".len()..]).unwrap();
    let documented = decode("wamid.HBgLMTY1MDU1NTEyMzQVAgARGBI3MjE1RkNEOTAxQ0I4NzNFRDQA");
    let sandbox = started().await;
    let body = r#"{"messaging_product":"whatsapp","to":"16505551234","text":{"body":"Hi"}}"#;
    let (one, two) = (message(&sandbox, body).await.json(), message(&sandbox, body).await.json());
    let id = |answer: &Value| answer["messages"][0]["id"].as_str().unwrap().to_owned();
    assert_ne!(id(&one), id(&two));
    let ours = decode(&id(&one));
    assert_eq!(ours.len(), documented.len());
    assert_eq!(ours[..20], documented[..20]);
}

#[tokio::test]
async fn template_is_accepted_with_a_status_and_counted_by_its_category() {
    let sandbox = started().await;
    for (name, language) in
        [("order_update", "en_US"), ("promo_sale", "es"), ("otp_code", "en_US"), ("other", "en")]
    {
        let body = format!(
            r#"{{"messaging_product":"whatsapp","to":"16505551234","type":"template","template":{{"name":"{name}","language":{{"code":"{language}"}}}}}}"#
        );
        let answer = message(&sandbox, &body).await;
        assert_eq!(
            settled(answer.text()),
            r#"{"messaging_product":"whatsapp","contacts":[{"input":"16505551234","wa_id":"16505551234"}],"messages":[{"id":"wamid.…","message_status":"accepted"}]}"#
        );
    }
    let categories: Vec<String> = deliveries(&sandbox).into_iter().map(|(_, category)| category).collect();
    assert_eq!(categories, ["utility", "marketing", "authentication", "unknown"]);
}

#[tokio::test]
async fn every_message_type_is_accepted() {
    let sandbox = started().await;
    let bodies = [
        r#""type":"image","image":{"link":"https://example.com/a.png"}"#,
        r#""type":"video","video":{"id":"1"}"#,
        r#""type":"audio","audio":{"id":"1","voice":true}"#,
        r#""type":"document","document":{"id":1234}"#,
        r#""type":"sticker","sticker":{"id":"1"}"#,
        r#""type":"location","location":{"latitude":37.4,"longitude":-122.1}"#,
        r#""type":"contacts","contacts":[{"name":{"formatted_name":"A"}}]"#,
        r#""type":"reaction","reaction":{"message_id":"wamid.A","emoji":""}"#,
        r#""type":"interactive","interactive":{"type":"button","body":{"text":"?"},"action":{"buttons":[]}}"#,
        r#""type":"pin","pin":{"type":"pin","message_id":"wamid.A","expiration_days":7}"#,
        r#""text":{"body":"no type"}"#,
        r#""type":"text","category":"utility","text":{"body":"direct send"}"#,
    ];
    for body in bodies {
        let body = format!(r#"{{"messaging_product":"whatsapp","to":"16505551234",{body}}}"#);
        assert_eq!(message(&sandbox, &body).await.status, 200, "{body}");
    }
    assert_eq!(sandbox.journal().sends(), bodies.len() as u64);
    assert!(deliveries(&sandbox).last() == Some(&pair("16505551234", "utility")));
}

#[tokio::test]
async fn missing_product_is_refused_with_metas_envelope() {
    let sandbox = started().await;
    let answer = message(&sandbox, r#"{"to":"16505551234","type":"text","text":{"body":"Hi"}}"#).await;
    assert_eq!(answer.status, 400);
    assert_eq!(
        settled(answer.text()),
        r#"{"error":{"message":"(#100) The parameter messaging_product is required.","type":"OAuthException","code":100,"fbtrace_id":"A…"}}"#
    );
}

#[tokio::test]
async fn each_missing_or_wrong_field_is_named() {
    let sandbox = started().await;
    let rows = [
        (r#""type":"text","text":{"body":"a"}"#, 100, "(#100) The parameter to is required."),
        (r#""to":"16505551234""#, 100, "(#100) The parameter text is required."),
        (r#""to":"16505551234","text":{}"#, 100, "(#100) The parameter text['body'] is required."),
        (r#""to":"16505551234","type":"cut off"#, 100, "(#100) Invalid parameter"),
        (r#""to":"16505551234","type":"image""#, 100, "(#100) The parameter image is required."),
        (
            r#""to":"16505551234","type":"template","template":{"language":{"code":"en"}}"#,
            100,
            "(#100) The parameter template['name'] is required.",
        ),
        (
            r#""to":"16505551234","type":"template","template":{"name":"a"}"#,
            100,
            "(#100) The parameter template['language']['code'] is required.",
        ),
        (
            r#""to":"16505551234","type":"location","location":{"latitude":1}"#,
            100,
            "(#100) The parameter location['longitude'] is required.",
        ),
        (r#""to":"16505551234","type":"system","system":{}"#, 131_051, "(#131051) Unsupported message type"),
        (r#""to":"0016505551234","text":{"body":"a"}"#, 100, "(#100) Invalid parameter"),
        (r#""to":["16505551234"],"text":{"body":"a"}"#, 100, "(#100) The parameter to is required."),
        (r#""status":"read""#, 100, "(#100) The parameter message_id is required."),
        (r#""status":"read","message_id":"nonsense""#, 131_009, "(#131009) Parameter value is not valid"),
    ];
    for (fields, code, text) in rows {
        let answer = message(&sandbox, &format!(r#"{{"messaging_product":"whatsapp",{fields}}}"#)).await;
        assert_eq!(answer.error(), (400, code, text.to_owned()), "{fields}");
    }
    let unknown = r#"{"messaging_product":"whatsapp","to":"16505551234","type":"fax"}"#;
    let (_, code, text) = message(&sandbox, unknown).await.error();
    assert!(code == 100 && text.starts_with("(#100) Param type must be one of {AUDIO, "), "{text}");
}

#[tokio::test]
async fn read_receipt_and_typing_indicator_succeed_and_are_no_send() {
    let sandbox = started().await;
    let body = r#"{"messaging_product":"whatsapp","status":"read","message_id":"wamid.HBgLMTY1MDU1NTEyMzQVAgARGBI3MjE1RkNEOTAxQ0I4NzNFRDQA","typing_indicator":{"type":"text"}}"#;
    let answer = message(&sandbox, body).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, r#"{"success":true}"#));
    assert_eq!((sandbox.journal().requests(), sandbox.journal().sends()), (1, 0));
}

#[tokio::test]
async fn recipients_are_resolved_as_whatsapp_does() {
    let sandbox = started().await;
    let rows = [
        ("+52 55 1234 5678", "5215512345678"),
        ("5215512345678", "5215512345678"),
        ("+54 11 2345-6789", "5491123456789"),
        ("+55 11 98765-4321", "5511987654321"),
        ("551187654321", "5511987654321"),
        ("+55 31 98765-4321", "553187654321"),
        ("551132654321", "551132654321"),
        ("+1 (631) 555-1234", "16315551234"),
    ];
    for (to, wa_id) in rows {
        let body = format!(r#"{{"messaging_product":"whatsapp","to":"{to}","text":{{"body":"a"}}}}"#);
        let contact = message(&sandbox, &body).await.json()["contacts"][0].clone();
        assert_eq!((contact["input"].as_str(), contact["wa_id"].as_str()), (Some(to), Some(wa_id)));
    }
}

#[tokio::test]
async fn user_ids_and_groups_are_echoed() {
    let sandbox = started().await;
    let rows = [
        (
            r#""recipient":"US.13491208655302741918""#,
            r#"{"input":"US.13491208655302741918","user_id":"US.13491208655302741918"}"#,
        ),
        (r#""recipient_type":"group","to":"Y2FwaQ==""#, r#"{"input":"Y2FwaQ==","wa_id":"Y2FwaQ=="}"#),
    ];
    for (to, contact) in rows {
        let body = format!(r#"{{"messaging_product":"whatsapp",{to},"text":{{"body":"a"}}}}"#);
        let answer = message(&sandbox, &body).await;
        assert!(answer.text().contains(&format!(r#""contacts":[{contact}]"#)), "{}", answer.text());
    }
    assert_eq!(sandbox.journal().sends(), 2);
}

#[tokio::test]
async fn recipient_suffix_chooses_the_error() {
    let sandbox = started().await;
    let rows = [
        ("+12099131026", 400, 131_026, "(#131026) Message undeliverable"),
        ("4915199130429", 429, 130_429, "(#130429) Rate limit hit"),
        ("+1 20 99 000 190", 401, 190, "(#190) Access token has expired"),
        ("12099131030", 400, 131_030, "(#131030) Recipient phone number not in allowed list"),
    ];
    for (to, status, code, text) in rows {
        let body = format!(r#"{{"messaging_product":"whatsapp","to":"{to}","text":{{"body":"a"}}}}"#);
        assert_eq!(message(&sandbox, &body).await.error(), (status, code, text.to_owned()));
    }
    // No code of this number is in the table.
    let ordinary = r#"{"messaging_product":"whatsapp","to":"12099999999","text":{"body":"a"}}"#;
    assert_eq!(message(&sandbox, ordinary).await.status, 200);
    assert_eq!(sandbox.journal().sends(), rows.len() as u64 + 1);
}

#[tokio::test]
async fn rate_limit_envelope_has_metas_field_order() {
    let sandbox = started().await;
    let body = r#"{"messaging_product":"whatsapp","to":"12099131047","text":{"body":"a"}}"#;
    let answer = message(&sandbox, body).await;
    assert_eq!(
        settled(answer.text()),
        r#"{"error":{"message":"(#131047) Re-engagement message","type":"OAuthException","code":131047,"error_data":{"messaging_product":"whatsapp","details":"Message failed to send because more than 24 hours have passed since the customer last replied to this number."},"fbtrace_id":"A…"}}"#
    );
}

#[tokio::test]
async fn form_multipart_query_and_override_are_read_as_graph_reads_them() {
    let sandbox = started().await;
    let form = "messaging_product=whatsapp&to=%2B16505551234&type=text&text=%7B%22body%22%3A%22a+b%22%7D";
    let multipart = "--X\r\nContent-Disposition: form-data; name=\"messaging_product\"\r\n\r\nwhatsapp\r\n--X\r\nContent-Disposition: form-data; name=\"to\"\r\n\r\n+16505551234\r\n--X\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\n{\"body\":\"a\"}\r\n--X--\r\n";
    let path = format!("/{NUMBER}/messages");
    let of_type = |kind: &str, body: &str| {
        let body = Full::from(body.to_owned());
        request(Method::POST, &path).header("content-type", kind).body(body).expect("a request")
    };
    let requests = [
        of_type("application/x-www-form-urlencoded", form),
        of_type("multipart/form-data; boundary=X", multipart),
        bare(Method::POST, &format!("{path}?{form}")),
        of_type(
            "application/x-www-form-urlencoded",
            "messaging_product=whatsapp&to=%2B16505551234&text[body]=a",
        ),
        bare(Method::GET, &format!("{path}/?{form}&method=post")),
        of_type("text/plain", r#"{"messaging_product":"whatsapp","to":"+16505551234","text":{"body":"a"}}"#),
        json(
            &format!("//v19.0/{NUMBER}/%6dessages"),
            r#"{"messaging_product":"whatsapp","to":"+16505551234","text":{"body":"a"}}"#,
        ),
    ];
    let count = requests.len();
    for request in requests {
        let answer = ask(&sandbox, request).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert!(deliveries(&sandbox) == vec![pair("+16505551234", "service"); count]);
}

#[tokio::test]
async fn marketing_endpoint_takes_templates_only() {
    let sandbox = started().await;
    let target = format!("/v23.0/{NUMBER}/marketing_messages");
    let template = r#"{"messaging_product":"whatsapp","to":"16505551234","type":"template","template":{"name":"order_update","language":{"code":"en_US"}}}"#;
    assert_eq!(ask(&sandbox, json(&target, template)).await.status, 200);
    assert!(deliveries(&sandbox) == [pair("16505551234", "marketing")]);
    let text = r#"{"messaging_product":"whatsapp","to":"16505551234","text":{"body":"a"}}"#;
    assert_eq!(ask(&sandbox, json(&target, text)).await.error().1, 134_100);
}

#[tokio::test]
async fn encrypted_message_is_accepted_without_a_recipient() {
    let sandbox = started().await;
    let target = format!("/v23.0/{NUMBER}/messages_encrypted");
    let answer = ask(&sandbox, json(&target, r#"{"messaging_product":"whatsapp","payload":"eyJ"}"#)).await;
    assert_eq!(settled(answer.text()), r#"{"messaging_product":"whatsapp","messages":[{"id":"wamid.…"}]}"#);
    assert!(deliveries(&sandbox) == [pair("", "encrypted")]);
}

#[tokio::test]
async fn only_connect_rings_somebody() {
    let sandbox = started().await;
    let target = format!("/v23.0/{NUMBER}/calls");
    let connect = r#"{"messaging_product":"whatsapp","to":"16505551234","action":"connect","session":{"sdp_type":"offer","sdp":"v=0"}}"#;
    let answer = ask(&sandbox, json(&target, connect)).await;
    assert_eq!(settled(answer.text()), r#"{"messaging_product":"whatsapp","calls":[{"id":"wacid.…"}]}"#);
    for action in ["pre_accept", "accept", "reject", "terminate"] {
        let body = format!(r#"{{"messaging_product":"whatsapp","call_id":"wacid.A","action":"{action}"}}"#);
        assert_eq!(ask(&sandbox, json(&target, &body)).await.text(), r#"{"success":true}"#);
    }
    assert!(deliveries(&sandbox) == [pair("16505551234", "call")]);
    let permissions = bare(Method::GET, &format!("/v23.0/{NUMBER}/call_permissions?user_wa_id=16505551234"));
    assert_eq!(ask(&sandbox, permissions).await.json()["permission"]["status"], "temporary");
}

#[tokio::test]
async fn batch_answers_every_operation_in_order() {
    let sandbox = started().await;
    let message = "messaging_product=whatsapp&to=%2B16505551234&type=text&text=%7B%22body%22%3A%22a%22%7D";
    let operations = serde_json::json!([
        {"method": "POST", "relative_url": format!("v23.0/{NUMBER}/messages"), "body": message},
        {"method": "POST", "relative_url": format!("/{NUMBER}/messages"), "body": "to=1"},
        {"method": "GET", "relative_url": format!("{NUMBER}?fields=verified_name")},
        {"method": "GET", "relative_url": "me", "omit_response_on_success": true},
    ])
    .to_string();
    let quoted: String =
        percent_encoding::utf8_percent_encode(&operations, percent_encoding::NON_ALPHANUMERIC).collect();
    let multipart =
        format!("--X\r\nContent-Disposition: form-data; name=\"batch\"\r\n\r\n{operations}\r\n--X--\r\n");
    let post = |target: &str, kind: &str, body: String| {
        request(Method::POST, target).header("content-type", kind).body(Full::from(body)).expect("a request")
    };
    let requests = [
        post("/", "application/x-www-form-urlencoded", format!("batch={quoted}")),
        post("/", "multipart/form-data; boundary=X", multipart),
        post("/v23.0", "application/json", format!(r#"{{"batch":{operations}}}"#)),
        bare(Method::POST, &format!("/me?batch={quoted}")),
    ];
    for request in requests {
        let answer = ask(&sandbox, request).await;
        let results = answer.json();
        assert_eq!(results[0]["code"], 200, "{}", answer.text());
        assert!(results[0]["body"].as_str().unwrap().contains(r#""wa_id":"16505551234""#));
        assert_eq!(results[0]["headers"][0]["name"], "Content-Type");
        assert_eq!(results[1]["code"], 400);
        assert!(results[2]["body"].as_str().unwrap().starts_with(r#"{"verified_name":"#));
        assert!(results[3].is_null());
    }
    let all = deliveries(&sandbox);
    assert_eq!(all.iter().filter(|delivery| **delivery == pair("+16505551234", "service")).count(), 4);
}

#[tokio::test]
async fn batch_of_more_than_fifty_is_refused_whole() {
    let sandbox = started().await;
    let operation =
        format!(r#"{{"method":"POST","relative_url":"{NUMBER}/messages","body":"to=16505551234"}}"#);
    let body = format!(r#"{{"batch":[{}]}}"#, vec![operation; 51].join(","));
    assert_eq!(ask(&sandbox, json("/", &body)).await.error().0, 400);
    assert_eq!(sandbox.journal().sends(), 0);
}

#[tokio::test]
async fn messages_of_another_product_are_answered_and_not_counted() {
    let sandbox = started().await;
    let answer =
        ask(&sandbox, json("/v23.0/me/messages", r#"{"recipient":{"id":"77"},"message":{"text":"a"}}"#))
            .await;
    assert_eq!(answer.json()["recipient_id"], "77");
    assert_eq!(sandbox.journal().sends(), 0);
}
