//! What lenient readers (PHP, HHVM) make of a request that others read otherwise, and the ordinary neighbor of each.

use super::*;

const OPS: &str = "%5B%7B%22method%22%3A%22POST%22%7D%5D";

#[test]
fn a_name_is_seen_whatever_follows_it() {
    for suffix in ["%00%ff", "%00%zz", "%00%", "%5b%5d%zz", "%ff"] {
        for (method, target, body) in [
            ("POST", format!("/?batch{suffix}={OPS}"), String::new()),
            ("POST", "/".into(), format!("batch{suffix}={OPS}")),
            ("POST", "/v23.0/me".into(), format!("batch{suffix}={OPS}")),
            ("POST", format!("/1/media?batch{suffix}={OPS}"), String::new()),
            ("POST", format!("/{SENDER}"), format!("to{suffix}=1&text{suffix}=%7B%7D")),
            ("GET", format!("{MESSAGES}?method{suffix}=post&to{suffix}=1"), String::new()),
            ("POST", "/v23.0/upload:MT".into(), format!("x=1&batch{suffix}={OPS}")),
        ] {
            let read = at(method, &target, FORM, body.as_bytes());
            assert!(
                read.starts_with("un") || read.starts_with("request"),
                "{method} {target} {body}: {read}"
            );
        }
    }
    assert_eq!(at("POST", "/1/feed", FORM, b"message=100%&x%zz=1"), "pass other");
}

/// What a fuzz target found: a read whose body is a form to whoever drops the signs before a name.
#[test]
fn a_name_is_seen_behind_signs_that_a_reader_drops() {
    for name in ["-\n[\"to\":\"\n[x", "%5B-%5Dto%5B", "*]to]"] {
        for (method, target) in [("GET", MESSAGES), ("POST", "/106540352242922"), ("POST", MESSAGES)] {
            let body = format!("{name}=15550000009&hsm=%7B%7D");
            let read = at(method, target, "", body.as_bytes());
            assert!(
                read.starts_with("un") || read.starts_with("request"),
                "{method} {target} {name}: {read}"
            );
        }
    }
}

#[test]
fn a_long_name_in_an_upload_is_cut_as_its_reader_cuts_it() {
    let (spaces, escaped, tail) = ("+".repeat(70), "%20".repeat(70), "a".repeat(80));
    for body in [
        format!("{spaces}batch={OPS}"),
        format!("{escaped}batch={OPS}"),
        format!("x=1&batch%00{tail}={OPS}"),
        format!("{}{{\"batch\":[]}}", " ".repeat(20)),
        format!("{}{{\"batch\":[]}}", "\u{1}".repeat(20)),
        format!("{}{{\"batch\":[]}}", "\u{3000}".repeat(20)),
    ] {
        assert_eq!(at("POST", "/v23.0/upload:MT", FORM, body.as_bytes()), "unrecognized_send", "{body}");
    }
}

#[test]
fn ordinary_files_upload() {
    for request in [
        &b"\xff\xfe{\0\"\0b\0a\0t\0c\0h\0"[..],
        b"\0{\0\"\0b\0a",
        b"a\0=\0x\0&\0b\0a\0t\0c\0h\0=\0[\0",
        b"\0a\0=\0x\0&\0b",
        b"\xef\xbb\xbf{\"batch\":[]}",
        b"--B\r\nContent-D",
    ] {
        assert_eq!(at("POST", "/v23.0/upload:MT", FORM, request), "unrecognized_send", "{request:?}");
    }
    for start in [
        &b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01"[..],
        b"\0\0\0\x20ftypisom\0\0\x02\0isom",
        b"RIFF\x24\x1a\0\0WEBPVP8 ",
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
        b"\0\0\0\x08wide\0\0\0\0mdat",
        b"PK\x03\x04\x14\0\x06\0\x08\0\0\0!\0\0\0",
        b"OggS\0\x02\0\0\0\0\0\0\0\0\0\0",
        b"ID3\x03\0\0\0\0\0\0\0\0\0\0\0\0",
        b"GIF89a\x01\0\x01\0\x80\0\0\xff\xff\xff",
        // The middle of a file, where an upload is resumed.
        b"\xfe\x00\x91\xff\x03\x1f\x8b\x00\xd0\x9c\x78\x00\x00\xe1\x02\x03",
        b"{\xfe\x91\xff\x03\x1f\x8b\x00\xd0\x9c\x78\x00\x00\xe1\x02\x03",
    ] {
        assert_eq!(at("POST", "/v23.0/upload:MT", FORM, start), "watched upload", "{start:?}");
    }
}

#[test]
fn a_header_names_one_boundary() {
    let body =
        b"--BB\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nx\r\n--BB--\r\n";
    for kind in [
        "multipart/form-data; xboundary=AA; boundary=BB",
        "multipart/form-data; Boundary=BB; xboundary=AA",
        "multipart/form-data; boundary-x=AA; boundary=BB",
        "multipart/form-data; boundary*=AA; boundary=BB",
        "multipart/form-data; x=boundary; y=AA; boundary=BB",
        "multipart/form-data; Boundary=xboundary; charset=utf-8",
        "multipart/form-data boundary=AA",
        "multipart/form-data, boundary=AA",
        "multipart/form-data; Boundary=BB",
        "multipart/form-data\t; boundary=BB",
        "multipart; xboundary=BB",
        ";xboundary=BB",
    ] {
        assert_eq!(at("POST", "/1/media", kind, body), "request_unreadable", "{kind}");
        assert_eq!(at("POST", MESSAGES, kind, body), "request_unreadable", "{kind}");
    }
    for kind in [
        "multipart/form-data; charset=utf-8; boundary=BB",
        "multipart/form-data; boundary=\"BB\"",
        "multipart/form-data;boundary=BB",
    ] {
        assert_eq!(at("POST", "/1/media", kind, body), "watched media", "{kind}");
    }
    let webkit = "multipart/form-data; boundary=----WebKitFormBoundaryX";
    let body = b"------WebKitFormBoundaryX\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nx\r\n------WebKitFormBoundaryX--\r\n";
    assert_eq!(at("POST", "/1/media", webkit, body), "watched media");
}

#[test]
fn json_that_a_form_reader_could_take_for_a_send_is_refused() {
    let text = |text: &str| format!(r#"{{"to":"1","text":{{"body":"{text}"}}}}"#);
    for hidden in [
        "x&to=%2B15550000009&text=%7B%7D&z=",
        "x&to=15550000009",
        "x&recipient%00%ff=US.13491208655302741918&z=",
        &format!("x&batch={OPS}&z="),
    ] {
        assert_eq!(json(&text(hidden)), "request_unreadable", "{hidden}");
        let body = format!(r#"{{"name":"{hidden}"}}"#);
        for target in ["/106540352242922", "/1/feed"] {
            let read = at("POST", target, JSON, body.as_bytes());
            assert!(read.starts_with("un") || read.starts_with("request"), "{target} {body}: {read}");
        }
    }
    for plain in [
        "https://a.example/?from=x&to=y",
        "https://a.example/?from=2026-01-01&to=2026-01-31&batch=7",
        "https://g.example/d/x?orgId=1&from=1700000000000&to=1700003600000",
        "https://fly.example/?from=23-11-2026&to=25-11-2026",
        "https://pay.example/?amount=5&to=1234567890",
        "https://pay.example/?amount=5&recipient=1234567&batch=[1]",
        "a&b &text=x",
        "\\u0026to=15550000009",
    ] {
        assert_eq!(json(&text(plain)), "1| free", "{plain}");
    }
    let receipt = r#"{"status":"read","message_id":"x&to=15550000009&text=1"}"#;
    assert_eq!(json(receipt), "request_unreadable");
    assert_eq!(at("POST", "/", "text/plain", br#"{"a":"&batch=[{'a':1}]&b="}"#), "request_unreadable");
    assert_eq!(at("POST", "/1", JSON, br#"{"pin":"x&webhook_configuration=1"}"#), "steering node");
    let twice = format!(r#"{{"batch":[],"x":"&batch={OPS}"}}"#);
    assert_eq!(at("POST", "/", JSON, twice.as_bytes()), "unrecognized_send");
    let forms = br#"{"batch":[{"method":"POST","relative_url":"106540352242922/messages","body":"messaging_product=whatsapp&to=15550000009&text=%7B%7D"}]}"#;
    assert_eq!(at("POST", "/", JSON, forms), "0: 15550000009| free");
    assert_eq!(at("POST", "/106540352242922", JSON, forms), "unrecognized_send");
}

#[test]
fn an_operation_is_read_as_the_form_that_is_documented() {
    let operation = |headers: &str, body: &str| {
        format!(
            r#"{{"batch":[{{"method":"POST","relative_url":"106540352242922/messages","headers":["{headers}"],"body":{}}}]}}"#,
            serde_json::to_string(body).unwrap()
        )
    };
    let hidden = r#"{"to":"1","text":{"body":"x&to=2&text=%7B%7D&z="}}"#;
    for (headers, body, expected) in [
        ("Content-Type: application/json", hidden, "request_unreadable at 0"),
        ("Content-Type: text/plain", "to=1", "request_unreadable at 0"),
        ("Content-Type: application/json", r#"{"to":"1"}"#, "0: 1| free"),
    ] {
        assert_eq!(at("POST", "/", JSON, operation(headers, body).as_bytes()), expected, "{body}");
    }
    for (url, expected) in [
        ("106540352242922/messages?{result=a:$.x}", "request_unreadable at 0"),
        ("106540352242922/messages?x={result=a:$.x}", "request_unreadable at 0"),
        ("?{result=a:$.x}", "request_unreadable at 0"),
        ("?ids={result=a:$.data.*.id}", "pass batch"),
    ] {
        let body = format!(r#"{{"batch":[{{"method":"GET","relative_url":"{url}"}}]}}"#);
        assert_eq!(at("POST", "/", JSON, body.as_bytes()), expected, "{url}");
    }
}

#[test]
fn a_steering_key_is_seen_in_every_spelling() {
    for (target, body) in [
        ("/1/settings", "calling[sip][status]=ENABLED"),
        ("/1/settings", "calling%5Bsip%5D=1"),
        ("/1/settings", "payload.encryption=1"),
        ("/1/settings", "payload[encryption=1"),
        ("/1/subscribed_apps", "override.callback.uri=x"),
        ("/1/subscribed_apps", "override+callback+uri=x"),
        ("/1", "webhook[configuration=x"),
        ("/1", "webhook.configuration=x"),
        ("/1", "override_callback_uri%00%ff=x"),
    ] {
        let read = at("POST", target, FORM, body.as_bytes());
        assert!(read.starts_with("steering"), "{target} {body}: {read}");
    }
    assert_eq!(at("POST", "/1/settings", FORM, b"calling[status]=ENABLED"), "pass settings");
}

#[test]
fn a_part_of_an_upload_has_one_name_that_can_be_read() {
    let upload = |head: &str| {
        format!("--B\r\nContent-Disposition: form-data; {head}\r\n\r\nx\r\n--B--\r\n").into_bytes()
    };
    for head in [
        "name*0=\"bat\"; name*1=\"ch\"",
        "name=\"file\"; name*0=\"bat\"; name*1=\"ch\"",
        "n\0a\0m\0e\0=\0b\0",
        "name=\"=?utf-8?B?YmF0Y2g=?=\"",
        "name=\"\"",
        "filename=\"a\\\" name=to\"; name=\"file\"",
        "filename=\"x",
    ] {
        assert_eq!(at("POST", "/1/media", MULTIPART, &upload(head)), "unrecognized_send", "{head}");
    }
    for head in ["name=\"file\"; filename=\"invoice name=text v2.pdf\"", "name=file; filename*=UTF-8''a.pdf"]
    {
        assert_eq!(at("POST", "/1/media", MULTIPART, &upload(head)), "watched media", "{head}");
    }
}

#[test]
fn other_ways_to_contact_somebody_are_refused() {
    let overridden = [("content-type", JSON), ("x_http_method_override", "POST")];
    let written = Written { method: "GET", target: "/1/signups", headers: &overridden, ..Written::default() };
    assert_eq!(written.read(), "steering signups");
    for body in [r#"{"subject":"x","participants":["1"]}"#, r#"{"subject":"x","recipients":[]}"#] {
        assert_eq!(at("POST", "/1/groups", JSON, body.as_bytes()), "group_not_permitted", "{body}");
    }
    assert_eq!(at("POST", "/1/groups", JSON, br#"{"subject":"x"}"#), "pass groups");
    assert_eq!(
        at("POST", "/WABA/message_campaigns", JSON, br#"{"recipients":[]}"#),
        "steering message_campaigns"
    );
    assert_eq!(at("POST", "/v23.0/contacts", JSON, br#"{"contacts":["1"]}"#), "unrecognized_send");
    for (interactive, expected) in [
        (r#"{"type":"button","action":{"name":"call_permission_request"}}"#, "1| free call"),
        (r#"{"type":"call_permission_request","action":{"name":"call_permission_request"}}"#, "1| call"),
        (r#"{"type":"button","action":{"buttons":[]}}"#, "1| free"),
        ("{\"type\":\"call_permission\u{200b}_request\"}", "request_unreadable"),
        (r#"{"type":"Call_Permission_Request"}"#, "request_unreadable"),
    ] {
        let body = format!(r#"{{"to":"1","type":"interactive","interactive":{interactive}}}"#);
        assert_eq!(json(&body), expected, "{body}");
    }
}

#[test]
fn a_cookie_that_could_be_a_parameter_is_refused() {
    let with = |method, target, cookie: &str| {
        let headers = [("content-type", JSON), ("cookie", "a=b"), ("cookie", cookie)];
        let body = if method == "POST" { &br#"{"to":"1"}"#[..] } else { b"" };
        Written { method, target, headers: &headers, body, ..Written::default() }.read()
    };
    for cookie in ["to=2", "x=1; batch=[]", "x=1;%42atch[]=1", "TYPE=template", "_method", "template.=x"] {
        for (method, target) in [("POST", MESSAGES), ("GET", "/v23.0/1"), ("DELETE", "/1/media")] {
            assert_eq!(with(method, target, cookie), "request_unreadable", "{method} {target} {cookie}");
        }
    }
    for (target, cookie) in
        [("/1", "webhook.configuration=x"), ("/1/groups", "members=1"), ("/1/settings", "calling=sip")]
    {
        assert_eq!(with("GET", target, cookie), "request_unreadable", "{target} {cookie}");
    }
    for cookie in ["", "datr=to; sb=batch", "to_=1; my-batches=[]", "members=1", "x=\"a; b\""] {
        assert_eq!(with("POST", MESSAGES, cookie), "1| free", "{cookie}");
        assert_eq!(with("GET", "/1", cookie), "pass node", "{cookie}");
    }
    let operation =
        r#"{"batch":[{"method":"GET","relative_url":"me","headers":["Cookie: a=b; method=post"]}]}"#;
    assert_eq!(at("POST", "/", JSON, operation.as_bytes()), "request_unreadable at 0");
}

#[test]
fn every_multiplexer_is_refused_wherever_it_stands() {
    for name in ["asyncbatch", "adbatch", "AsyncBatch", "async.batch", "my_batch[]"] {
        let part = format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n[]\r\n--B--\r\n");
        let operation = format!(
            "{{\"batch\":[{{\"method\":\"POST\",\"relative_url\":\"/\",\"body\":\"{name}={OPS}\"}}]}}"
        );
        let beside = format!("{{\"batch\":[{{\"relative_url\":\"me\",\"{name}\":[]}}]}}");
        for (method, target, kind, body) in [
            ("POST", "/v23.0".to_owned(), FORM, format!("{name}={OPS}")),
            ("POST", "/".into(), JSON, format!("{{\"{name}\":[]}}")),
            ("POST", "/".into(), JSON, format!("{{\"a\":\"x&{name}={OPS}\"}}")),
            ("POST", format!("/?{name}={OPS}"), JSON, String::new()),
            ("GET", format!("/?method=post&{name}={OPS}"), JSON, String::new()),
            ("POST", "/".into(), MULTIPART, part.clone()),
            ("POST", "/1/media".into(), MULTIPART, part),
            ("POST", "/1/feed".into(), FORM, format!("{name}={OPS}")),
            ("POST", "/upload:MT".into(), FORM, format!("x=1&{name}={OPS}")),
            ("POST", MESSAGES.into(), JSON, format!("{{\"to\":\"1\",\"{name}\":[]}}")),
            ("POST", "/".into(), JSON, operation.clone()),
            ("POST", "/".into(), JSON, beside),
        ] {
            let read = at(method, &target, kind, body.as_bytes());
            assert!(
                read.starts_with("un") || read.starts_with("request"),
                "{method} {target} {body}: {read}"
            );
        }
    }
    assert_eq!(at("POST", "/act_1/async_batch_requests", JSON, b"{}"), "unrecognized_send");
    assert_eq!(at("GET", "/act_1/async_batch_requests", JSON, b""), "pass foreign_messages");
    assert_eq!(at("POST", "/77/items_batch", JSON, br#"{"requests":[]}"#), "pass other");
}

#[test]
fn a_form_hidden_in_json_is_refused_beside_what_is_allowed() {
    let ops = r#"[{\"method\":\"POST\"}]"#;
    let reads = "%5B%7B%22method%22%3A%22GET%22%2C%22relative_url%22%3A%22me%22%7D%5D";
    let beside = |text: &str| format!(r#"{{"a":"x&{text}&b="}}"#);
    for (target, body) in [
        (format!("/?batch={reads}"), beside(&format!("batch={ops}"))),
        ("/".into(), beside(r#"batch={\"0\":{}}"#)),
        ("/1/message_templates".into(), beside(&format!("batch={ops}"))),
        (format!("/{SENDER}?batch={reads}"), beside("to=%2B15550000009")),
        (
            format!("/{SENDER}"),
            r#"{"batch":[{"method":"GET","relative_url":"me"}],"x":"a&webhook_configuration=%7B%7D&b="}"#
                .into(),
        ),
    ] {
        let read = at("POST", &target, JSON, body.as_bytes());
        assert!(read.starts_with("un") || read.starts_with("request"), "{target} {body}: {read}");
    }
    for hidden in [
        r#"template=%7B\"name\":\"promo\"%7D"#,
        "recipient=DE.aBcDeFgHiJ12",
        "to=20112233",
        "recipient_type=group",
    ] {
        let body = format!(r#"{{"to":"1","template":{TEMPLATE},"context":{{"x":"a&{hidden}&b="}}}}"#);
        assert_eq!(json(&body), "request_unreadable", "{body}");
    }
    let template = r#"{"name":"a","components":[{"text":"https://x/?a=1&to=%2B15550000009&batch=[1]"}]}"#;
    assert_eq!(at("POST", "/1/message_templates", JSON, template.as_bytes()), "pass message_templates");
}

/// What a fuzz target found: lines of a read's body that a reader of `text/plain` forms takes for parameters.
#[test]
fn a_read_of_a_sending_edge_carries_no_body_that_nobody_judges() {
    for kind in ["", "text/plain", "a/multipart"] {
        for body in ["a\n?to=15550000009\ntext=x", "x", "\u{0}"] {
            let read = at("GET", MESSAGES, kind, body.as_bytes());
            assert_ne!(read, "pass messages", "{kind} {body}");
        }
        assert_eq!(at("GET", MESSAGES, kind, b""), "pass messages", "{kind}");
    }
    assert_eq!(at("GET", "/v23.0/1", "text/plain", b"x"), "pass node");
}
