//! Bodies of a kind that nobody reads by its own rules, and names that only one reader files under a judged one. Fuzz targets found most of them.

use super::*;

/// Nodes, edges that nobody knows, and edges whose writes pass.
const PLACES: [(&str, &str); 5] = [
    ("POT", "/v23.0/10"),
    ("POST", "/106540352242922"),
    ("POST", "/1/feed"),
    ("POST", "/"),
    ("POST", "/1/message_templates"),
];

/// What a request is whose kind is not declared at all where `kind` is empty.
fn at(method: &str, target: &str, kind: &str, body: &[u8]) -> String {
    let declared = [("content-type", kind)];
    let headers = if kind.is_empty() { &[][..] } else { &declared };
    Written { method, target, headers, body, ..Written::default() }.read()
}

#[test]
fn the_lines_of_a_body_of_no_judged_kind_are_parameters() {
    for kind in ["", "text/plain", "x/y", "application/x-www-form-urlencoded; profile=x"] {
        for body in [
            "a\n?to=15550000009\ntext=x",
            "to=15550000009\r\n",
            "x\r recipient=US.1",
            "a=b\nbatch=x",
            "a\nTemplate[name]=promo",
        ] {
            for (method, target) in PLACES {
                let read = at(method, target, kind, body.as_bytes());
                assert!(
                    read.starts_with("un") || read.starts_with("request"),
                    "{kind} {target} {body:?}: {read}"
                );
            }
        }
        assert_eq!(at("POST", "/1", kind, b"x\nwebhook_configuration=x"), "steering node", "{kind}");
        assert_eq!(at("POST", "/1/groups", kind, b"x\nmembers=1"), "group_not_permitted", "{kind}");
        assert_eq!(
            at("POST", "/1/feed", kind, b"message=hi\r\nlink=https://a.example/?a=to\r\n"),
            "pass other",
            "{kind}"
        );
    }
    // Behind a line break in a form stands the rest of a value.
    assert_eq!(at("POST", "/1/feed", FORM, b"message=hi\nto=you"), "pass other");
}

#[test]
fn a_body_of_no_judged_kind_holds_neither_a_document_nor_another_encoding() {
    let utf16: Vec<u8> = "a=some&to=15550000009&text=x".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let late = [b"0123456789", utf16.as_slice()].concat();
    for kind in ["", "text/plain", "application/vnd.api+json"] {
        for body in [
            late.as_slice(),
            b"}[{\"to\":\"15550000009\"}]",
            b"# note\n{\"to\":\"15550000009\"}",
            b",\"\\u007b\\\"to\\\":1}\"",
            b"0123456789\xff&x=1",
            b"0123456789\x1b",
        ] {
            for (method, target) in PLACES {
                let read = at(method, target, kind, body);
                assert!(
                    read.starts_with("un") || read.starts_with("request"),
                    "{kind} {target} {body:?}: {read}"
                );
            }
        }
    }
    for kind in
        ["a0jsontion/s-cteutf16", "x/utf-16", "application/json; x=UTF-16", "text/plain; encoding=ucs2"]
    {
        assert_eq!(at("POST", "/v23.0/10", kind, b"x"), "request_unreadable", "{kind}");
    }
}

#[test]
fn what_some_reader_skips_before_a_document_is_skipped() {
    for space in ["\u{1680}", "\u{205f}", "\u{85}", "\u{a0}", "\u{2060}", "\u{ad}", "\u{2003}\u{3000}\u{0}"] {
        for kind in ["", FORM, "text/plain"] {
            for (method, target) in PLACES {
                let body = format!("{space}{{\"to\":\"15550000009\",\"text\":{{}}}}");
                let read = at(method, target, kind, body.as_bytes());
                assert!(
                    read.starts_with("un") || read.starts_with("request"),
                    "{kind} {target} {body:?}: {read}"
                );
            }
        }
    }
}

#[test]
fn an_operation_has_no_field_that_somebody_files_under_another_name() {
    let read = |field: &str| {
        let operation = format!(
            r#"{{"method":"POST","relative_url":"{SENDER}/messages?to=1&hsm=%7B%7D","{field}":"{SENDER}/messages?to=1"}}"#
        );
        at("POST", "/", JSON, format!(r#"{{"batch":[{operation}]}}"#).as_bytes())
    };
    for field in [
        "relative.url",
        "relative url",
        "relative-url",
        "relative_url[0]",
        "Relative_Url",
        "relative_url\u{200b}",
        "body[]",
        " method",
        "headers.",
    ] {
        assert_eq!(read(field), "request_unreadable", "{field}");
    }
    for field in ["name", "depends_on", "omit_response_on_success", "access_token"] {
        assert_eq!(read(field), "0: 1| unnamed", "{field}");
    }
    for field in ["na.me", "name[]", "language.", "Language"] {
        let body =
            format!(r#"{{"to":"1","template":{{"name":"a","language":{{"code":"en"}},"{field}":"b"}}}}"#);
        assert_eq!(json(&body), "request_unreadable", "{field}");
    }
}

#[test]
fn a_group_is_created_without_people_whatever_the_field_is_called() {
    for field in [
        "participants_ids",
        "participant_ids",
        "invite",
        "invitees",
        "initial_members",
        "user_ids",
        "Contacts_List",
        "phone-numbers",
        "wa_ids",
    ] {
        let body = format!(r#"{{"subject":"x","{field}":["15550000009"]}}"#);
        assert_eq!(at("POST", "/1/groups", JSON, body.as_bytes()), "group_not_permitted", "{field}");
    }
    for field in ["participants_ids", "add_participants", "invite"] {
        let body = format!(r#"{{"subject":"x","{field}":["15550000009"]}}"#);
        for target in ["/120363000000", "/Y2FwaV9ncm91cDox"] {
            assert_eq!(at("POST", target, JSON, body.as_bytes()), "group_not_permitted", "{target} {field}");
        }
    }
    let documented = r#"{"messaging_product":"whatsapp","subject":"x","description":"y","join_approval_mode":"auto_approve"}"#;
    assert_eq!(at("POST", "/1/groups", JSON, documented.as_bytes()), "pass groups");
    let settings = r#"{"messaging_product":"whatsapp","subject":"x","profile_picture_file":"4::a"}"#;
    assert_eq!(at("POST", "/120363000000", JSON, settings.as_bytes()), "pass node");
}

#[test]
fn the_lines_of_an_uploaded_text_are_parameters() {
    for body in ["a=b\nbatch=[]", "a\0b\r\nad_ba\u{200b}tch[]=x"] {
        for kind in ["text/plain", "Text/Plain; charset=utf-8", "text/csv"] {
            assert_eq!(
                at("POST", "/upload:MT", kind, body.as_bytes()),
                "unrecognized_send",
                "{kind} {body:?}"
            );
        }
        // A document may hold such a line.
        for kind in ["", "application/pdf", "application/octet-stream", FORM] {
            assert_eq!(at("POST", "/upload:MT", kind, body.as_bytes()), "watched upload", "{kind} {body:?}");
        }
    }
}

/// Nobody documents them: what they do is not known, so they wait until it is.
#[test]
fn a_status_or_call_action_that_is_not_documented_is_refused() {
    for (target, body) in [
        (MESSAGES, r#"{"messaging_product":"whatsapp","status":"played","message_id":"wamid"}"#),
        (
            "/1/calls",
            r#"{"messaging_product":"whatsapp","call_id":"wacid","action":"media_update","session":{"sdp":"x"}}"#,
        ),
    ] {
        assert_eq!(at("POST", target, JSON, body.as_bytes()), "request_unreadable", "{body}");
    }
}
