//! What is not a send: templates, numbers, tokens, unknown objects.

use super::*;

async fn listed(sandbox: &Sandbox, query: &str) -> Value {
    ask(sandbox, bare(Method::GET, &format!("/v23.0/{ACCOUNT}/message_templates{query}"))).await.json()
}

fn names(list: &Value) -> Vec<String> {
    let row =
        |row: &Value| format!("{}/{}", row["name"].as_str().unwrap(), row["language"].as_str().unwrap());
    list["data"].as_array().unwrap().iter().map(row).collect()
}

#[tokio::test]
async fn template_list_shows_the_fields_that_were_asked_for() {
    let sandbox = started().await;
    let target = format!(
        "/v23.0/{ACCOUNT}/message_templates?fields=name,language,category,status&name=promo_sale&language=es"
    );
    let answer = ask(&sandbox, bare(Method::GET, &target)).await;
    assert_eq!(
        answer.text(),
        r#"{"data":[{"name":"promo_sale","language":"es","category":"MARKETING","status":"APPROVED","id":"1387372356726604"}],"paging":{"cursors":{"before":"MAZDZD","after":"MAZDZD"}}}"#
    );
    let unknown = bare(Method::GET, &format!("/{ACCOUNT}/message_templates?fields=nonsense"));
    assert_eq!(ask(&sandbox, unknown).await.error().1, 100);
}

#[tokio::test]
async fn following_next_visits_every_template_once() {
    let sandbox = started().await;
    let mut target = format!("/v23.0/{ACCOUNT}/message_templates?limit=2&fields=name,language");
    let mut seen = Vec::new();
    loop {
        let page = ask(&sandbox, bare(Method::GET, &target)).await.json();
        seen.extend(names(&page));
        let Some(next) = page["paging"]["next"].as_str() else { break };
        target = next.strip_prefix("http://localhost").expect("an absolute URL of this host").to_owned();
    }
    assert_eq!(
        seen,
        ["hello_world/en_US", "order_update/en_US", "promo_sale/en_US", "promo_sale/es", "otp_code/en_US"]
    );
}

#[tokio::test]
async fn fields_that_no_template_uses_are_left_out_and_a_summary_counts_all_pages() {
    let sandbox = started().await;
    let fields = "fields=name,message_send_ttl_seconds,previous_category,degrees_of_freedom_spec";
    let page =
        listed(&sandbox, &format!("?limit=1&{fields}&summary=total_count,are_translations_complete")).await;
    assert_eq!(page["data"], serde_json::json!([{"name": "hello_world", "id": "1387372356726601"}]));
    assert_eq!(page["summary"], serde_json::json!({"total_count": 5, "are_translations_complete": true}));
    assert!(page["paging"]["next"].as_str().unwrap().contains("&summary="));
    let odd = bare(Method::GET, &format!("/{ACCOUNT}/message_templates?summary=nonsense"));
    assert_eq!(ask(&sandbox, odd).await.error().1, 100);
}

#[tokio::test]
async fn created_template_is_pending_then_listed_then_deleted() {
    let sandbox = started().await;
    let target = format!("/v23.0/{ACCOUNT}/message_templates");
    let body = r#"{"name":"spring_news","language":"de","category":"MARKETING","components":[{"type":"BODY","text":"Hallo"}]}"#;
    let created = ask(&sandbox, json(&target, body)).await;
    let id = created.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(created.text(), format!(r#"{{"id":"{id}","status":"PENDING","category":"MARKETING"}}"#));
    assert_eq!(ask(&sandbox, json(&target, body)).await.json()["error"]["error_subcode"], 2_388_024);
    let shown = listed(&sandbox, "?name=spring_news").await;
    assert_eq!(shown["data"][0]["status"], "APPROVED");
    assert_eq!(shown["data"][0]["components"][0]["text"], "Hallo");
    assert_eq!(
        ask(&sandbox, bare(Method::GET, &format!("/{id}?fields=name"))).await.json()["name"],
        "spring_news"
    );
    let elsewhere = ask(&sandbox, bare(Method::GET, "/v23.0/999/message_templates?name=spring_news")).await;
    assert_eq!(elsewhere.text(), r#"{"data":[]}"#);
    let deleted = ask(&sandbox, bare(Method::DELETE, &format!("{target}?name=spring_news"))).await;
    assert_eq!(deleted.text(), r#"{"success":true}"#);
    assert!(names(&listed(&sandbox, "?name=spring_news").await).is_empty());
}

#[tokio::test]
async fn template_without_a_required_field_or_with_a_wrong_one_is_refused() {
    let sandbox = started().await;
    let target = format!("/v23.0/{ACCOUNT}/message_templates");
    for body in [
        r#"{"language":"de","category":"MARKETING","components":[]}"#,
        r#"{"name":"a","language":"de","category":"SPAM","components":[]}"#,
        r#"{"name":"A B","language":"de","category":"UTILITY","components":[]}"#,
    ] {
        assert_eq!(ask(&sandbox, json(&target, body)).await.error().0, 400);
    }
}

#[tokio::test]
async fn phone_number_answers_the_fields_in_the_order_asked() {
    let sandbox = started().await;
    let fields = "quality_rating,throughput,webhook_configuration,health_status{can_send_message,entities}";
    let answer = ask(
        &sandbox,
        bare(
            Method::GET,
            &format!("/v23.0/{NUMBER}?fields={fields}").replace('{', "%7B").replace('}', "%7D"),
        ),
    )
    .await;
    assert!(
        answer.text().starts_with(
            r#"{"quality_rating":"GREEN","throughput":{"level":"STANDARD"},"webhook_configuration":"#
        ),
        "{}",
        answer.text()
    );
    assert_eq!(answer.json()["id"], NUMBER);
    let numbers = ask(&sandbox, bare(Method::GET, &format!("/v23.0/{ACCOUNT}/phone_numbers"))).await;
    assert_eq!(numbers.json()["data"][0]["id"], NUMBER);
}

#[tokio::test]
async fn registration_profile_and_blocking_answer_as_documented() {
    let sandbox = started().await;
    let post = |edge: &str, body: &str| json(&format!("/v23.0/{NUMBER}/{edge}"), body);
    for (edge, body) in [
        ("register", r#"{"messaging_product":"whatsapp","pin":"212834"}"#),
        ("deregister", ""),
        ("request_code?code_method=SMS&language=en_US", ""),
        ("verify_code", r#"{"code":"123830"}"#),
        ("whatsapp_business_profile", r#"{"messaging_product":"whatsapp","about":"Open"}"#),
        ("settings", r#"{"calling":{"status":"ENABLED"}}"#),
        ("subscribed_apps", ""),
    ] {
        assert_eq!(ask(&sandbox, post(edge, body)).await.text(), r#"{"success":true}"#, "{edge}");
    }
    let profile =
        ask(&sandbox, bare(Method::GET, &format!("/v23.0/{NUMBER}/whatsapp_business_profile?fields=about")))
            .await;
    assert_eq!(profile.text(), r#"{"data":[{"about":"Open","messaging_product":"whatsapp"}]}"#);
    let blocked =
        post("block_users", r#"{"messaging_product":"whatsapp","block_users":[{"user":"+16505551234"}]}"#);
    assert_eq!(
        ask(&sandbox, blocked).await.text(),
        r#"{"messaging_product":"whatsapp","block_users":{"added_users":[{"input":"+16505551234","wa_id":"16505551234"}]}}"#
    );
    let list = ask(&sandbox, bare(Method::GET, &format!("/v23.0/{NUMBER}/block_users"))).await;
    assert_eq!(list.text(), r#"{"data":[{"messaging_product":"whatsapp","wa_id":"16505551234"}]}"#);
    assert_eq!(sandbox.journal().sends(), 0);
}

#[tokio::test]
async fn request_without_a_token_is_refused_and_still_counted() {
    let sandbox = started().await;
    let body = r#"{"messaging_product":"whatsapp","to":"16505551234","text":{"body":"a"}}"#;
    for value in [None, Some("Bearer "), Some("Basic YTpi"), Some("EAAT")] {
        let mut request = json(&format!("/v23.0/{NUMBER}/messages"), body);
        match value {
            Some(value) => request.headers_mut().insert("authorization", value.parse().unwrap()),
            None => request.headers_mut().remove("authorization"),
        };
        let (status, code, _) = ask(&sandbox, request).await.error();
        assert_eq!((status, code), (401, 190));
    }
    let mut by_query = json(&format!("/v23.0/{NUMBER}/messages?access_token=EAAT"), body);
    by_query.headers_mut().remove("authorization");
    assert_eq!(ask(&sandbox, by_query).await.status, 200);
    assert_eq!((sandbox.journal().requests(), sandbox.journal().sends()), (5, 5));
    let mut template = json(
        &format!("/{ACCOUNT}/message_templates"),
        r#"{"name":"a","language":"de","category":"UTILITY","components":[]}"#,
    );
    template.headers_mut().remove("authorization");
    assert_eq!(ask(&sandbox, template).await.error().1, 190);
    assert_eq!(listed(&sandbox, "?name=a&language=de").await["data"].as_array().unwrap().len(), 0);
}

#[tokio::test]
async fn unknown_object_is_refused_with_subcode_33() {
    let sandbox = started().await;
    let answer = ask(&sandbox, json(&format!("/v23.0/{NUMBER}/nonsense"), "{}")).await;
    let text = answer.text();
    assert_eq!(answer.status, 400);
    assert!(
        text.starts_with(&format!(
            r#"{{"error":{{"message":"Unsupported post request. Object with ID '{NUMBER}' does not exist, "#
        )),
        "{text}"
    );
    assert!(
        text.contains(r#""type":"GraphMethodException","code":100,"error_subcode":33,"fbtrace_id":"A"#),
        "{text}"
    );
}

#[tokio::test]
async fn answers_carry_metas_headers() {
    let sandbox = started().await;
    let answer = ask(&sandbox, bare(Method::GET, &format!("/v19.0/{NUMBER}"))).await;
    assert_eq!(answer.headers["content-type"], "application/json; charset=UTF-8");
    assert_eq!(answer.headers["facebook-api-version"], "v19.0");
    for name in ["x-fb-trace-id", "x-fb-request-id", "x-fb-rev"] {
        assert!(answer.headers.contains_key(name), "{name}");
    }
}

#[tokio::test]
async fn an_account_has_an_allowance_and_is_told_how_much_is_used() {
    let sandbox = started().await;
    let limits = json("/_sandbox/limits", r#"{"calls_per_hour":2,"regain_minutes":7}"#);
    assert_eq!(ask(&sandbox, limits).await.status, 200);
    let list = || bare(Method::GET, &format!("/v23.0/{ACCOUNT}/message_templates"));
    let usage = |answer: &Answer| -> Value {
        serde_json::from_slice(answer.headers["x-business-use-case-usage"].as_bytes()).unwrap()
    };
    for (percent, regain, status) in [(50, 0, 200), (100, 0, 200), (150, 7, 400)] {
        let answer = ask(&sandbox, list()).await;
        assert_eq!(answer.status, status);
        let told = &usage(&answer)[ACCOUNT][0];
        assert_eq!(
            (&told["call_count"], &told["estimated_time_to_regain_access"]),
            (&percent.into(), &regain.into())
        );
    }
    assert_eq!(ask(&sandbox, list()).await.error().1, 80_008);
    let other = ask(&sandbox, bare(Method::GET, "/v23.0/7/message_templates")).await;
    assert_eq!(other.status, 200, "another account has its own");
    assert_eq!(ask(&sandbox, json("/_sandbox/limits", "{}")).await.status, 400);
}

#[tokio::test]
async fn templates_change_as_a_test_says_and_faults_strike_the_edge_that_they_name() {
    let sandbox = started().await;
    let template = r#"{"name":"hello_world","language":"en_US","category":"utility","correct_category":"MARKETING","status":"PAUSED"}"#;
    assert_eq!(ask(&sandbox, json("/_sandbox/templates", template)).await.status, 200);
    let list = listed(&sandbox, "?name=hello_world&fields=category,correct_category,status").await;
    let row = &list["data"][0];
    assert_eq!(
        (&row["category"], &row["correct_category"], &row["status"]),
        (&"UTILITY".into(), &"MARKETING".into(), &"PAUSED".into())
    );
    let away = bare(Method::DELETE, "/_sandbox/templates?name=hello_world");
    assert_eq!(ask(&sandbox, away).await.status, 200);
    assert!(names(&listed(&sandbox, "?name=hello_world").await).is_empty());
    let fault = r#"{"action":"error","code":80007,"edge":"message_templates"}"#;
    assert_eq!(ask(&sandbox, json("/_sandbox/faults", fault)).await.status, 200);
    let list = bare(Method::GET, &format!("/v23.0/{ACCOUNT}/message_templates?limit=1"));
    assert_eq!(ask(&sandbox, list).await.error().1, 80_007);
    let number = bare(Method::GET, "/v23.0/106540352242922?fields=id");
    assert_eq!(ask(&sandbox, number).await.status, 200);
}
