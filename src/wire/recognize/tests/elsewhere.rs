//! Sends and steering writes in places where another router, server or version could look for them.

use super::*;

#[test]
fn a_header_that_another_server_obeys_is_refused() {
    for (name, value) in [
        ("content_type", FORM),
        ("content_length", "5"),
        ("transfer_encoding", "chunked"),
        ("content-encoding_", "x"),
        ("x-original-url", MESSAGES),
        ("x_rewrite_url", MESSAGES),
    ] {
        for (method, target) in [("GET", "/v23.0/1"), ("POST", "/1/message_templates"), ("POST", "/1/feed")] {
            let headers = [("content-type", JSON), (name, value)];
            let body = if method == "GET" { &b""[..] } else { br#"{"name":"x"}"# };
            let read = Written { method, target, headers: &headers, body, ..Written::default() }.read();
            assert_eq!(
                read == "request_unreadable",
                name != "content-encoding_",
                "{method} {target} {name}: {read}"
            );
        }
    }
    for name in ["x-method", "method-override", "http-method-override", "http_method_override"] {
        let headers = [(name, "POST")];
        let written =
            Written { method: "GET", target: "/1/signups", headers: &headers, ..Written::default() };
        assert_eq!(written.read(), "steering signups", "{name}");
    }
    let empty = [("content-type", JSON), ("content-encoding", "")];
    assert_eq!(Written { headers: &empty, body: br#"{"to":"1"}"#, ..Written::default() }.read(), "1| free");
}

#[test]
fn steering_is_seen_behind_every_way_to_name_its_node() {
    let sip = r#"{"calling":{"sip":{"status":"ENABLED"}}}"#;
    let hook = r#"{"webhook_configuration":{"override_callback_uri":"https://e.example"}}"#;
    for (target, body, edge) in [
        ("/v23.0/?id=1", hook, "root as /v23.0?id=1"),
        ("/", r#"{"id":"1","webhook_configuration":{}}"#, "root"),
        ("/v23.0/settings?ids=1", sip, "settings"),
        ("/subscribed_apps?ids=1", r#"{"override_callback_uri":"https://e.example"}"#, "subscribed_apps"),
        ("/1/settings.json", sip, "settings"),
        ("/1/settings/calling", r#"{"sip":{"status":"ENABLED"}}"#, "below_steering"),
        ("/latest/1/settings", sip, "below_steering"),
        ("/1/settings", r#"{"settings":{"calling":{"sip":{"status":"ENABLED"}}}}"#, "settings"),
    ] {
        assert_eq!(at("POST", target, JSON, body.as_bytes()), format!("steering {edge}"), "{target} {body}");
    }
    let operation =
        r#"{"batch":[{"method":"POST","relative_url":"?id=1","body":"webhook_configuration=%7B%7D"}]}"#;
    assert_eq!(at("POST", "/", JSON, operation.as_bytes()), "steering root");
    for target in ["/1/settings", "/settings?ids=1", "/1/settings.json"] {
        assert_eq!(at("POST", target, JSON, br#"{"calling":{"status":"ENABLED"}}"#), "pass settings");
    }
}

#[test]
fn messages_inside_of_others_are_refused() {
    let nested = r#"{"messages":[{"messaging_product":"whatsapp","to":"1","text":{}}]}"#;
    assert_eq!(at("POST", "/v23.0/106540352242922", JSON, nested.as_bytes()), "unrecognized_send");
    for (target, body, expected) in [
        ("/1/bulk_messages", nested, "unrecognized_send"),
        (
            "/1/calls",
            r#"{"action":"accept","call_id":"x","calls":[{"action":"connect","to":"1"}]}"#,
            "request_unreadable",
        ),
        (MESSAGES, r#"{"status":"read","message_id":"x","messages":[{"to":"1"}]}"#, "request_unreadable"),
        ("/120363000000", r#"{"participants":[{"user":"1"}]}"#, "group_not_permitted"),
        ("/Y2FwaV9ncm91cDox", r#"{"participants":[{"user":"1"}]}"#, "group_not_permitted"),
        ("/graphql", r#"{"doc_id":"1"}"#, "unrecognized_send"),
        (
            "/me/pass_thread_control",
            r#"{"recipient":{"id":"1"},"target_app_id":1}"#,
            "pass pass_thread_control",
        ),
        ("/123/events", r#"{"name":"x","location":"Berlin"}"#, "pass other"),
        ("/123", r#"{"about":"x","location":{"city":"B"}}"#, "pass node"),
        ("/123/feed", r#"{"type":"location","location":{}}"#, "unrecognized_send"),
        ("/123/adcreatives", r#"{"object_story_spec":{"link_data":{"type":"x"}}}"#, "pass other"),
    ] {
        assert_eq!(at("POST", target, JSON, body.as_bytes()), expected, "{target} {body}");
    }
}

#[test]
fn a_request_to_call_needs_the_consent_to_be_called_wherever_it_stands() {
    let template =
        r#"{"name":"a","language":{"code":"en"},"components":[{"type":"CALL_PERMISSION_REQUEST"}]}"#;
    for (body, expected) in [
        (r#"{"to":"1","type":"call_permission_request","call_permission_request":{}}"#.to_owned(), "1| free call"),
        (
            r#"{"to":"1","type":"interactive","interactive":{"type":"button","action":{"buttons":[{"type":"call_permission_request"}]}}}"#.into(),
            "1| free call",
        ),
        (format!(r#"{{"to":"1","type":"template","template":{template}}}"#), "1| a/en call"),
    ] {
        assert_eq!(json(&body), expected, "{body}");
    }
    let form = format!("to=1&type=template&template={template}");
    assert_eq!(at("POST", MESSAGES, FORM, form.as_bytes()), "1| a/en call");
}

#[test]
fn an_operation_says_what_it_does_in_the_documented_names_only() {
    let read =
        |operation: &str| at("POST", "/", JSON, format!(r#"{{"batch":[{{{operation}}}]}}"#).as_bytes());
    for other in ["url", "uri", "post_body", "params", "data", "query", "http_method", "Url", "HTTP_METHOD"] {
        let operation = format!(r#""method":"GET","relative_url":"me","{other}":"x""#);
        assert_eq!(read(&operation), "request_unreadable", "{other}");
    }
    for (operation, expected) in [
        (r#""method":"POST","relative_url":"1/feed","body":"x=1&{result=a:$.v}""#, "request_unreadable at 0"),
        (r#""method":"POST","relative_url":"1/media","body":"{result=a:$.v}""#, "request_unreadable at 0"),
        (r#""method":"POST","relative_url":"1/feed","body":"message={result=a:$.v}""#, "pass batch"),
        (r#""method":"GET","relative_url":"me/search?q=a b""#, "pass batch"),
        (r#""method":"GET","name":"a","relative_url":"me""#, "pass batch"),
        (
            r#""method":"POST","relative_url":"106540352242922/messages ","body":"to=1""#,
            "request_unreadable at 0",
        ),
    ] {
        assert_eq!(read(operation), expected, "{operation}");
    }
}
