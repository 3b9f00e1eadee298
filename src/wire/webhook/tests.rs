use super::*;

const METADATA: &str = r#""messaging_product":"whatsapp","metadata":{"display_phone_number":"15550783881","phone_number_id":"106540352242922"}"#;

fn webhook(field: &str, value: &str) -> Vec<u8> {
    format!(r#"{{"object":"whatsapp_business_account","entry":[{{"id":"102290129340398","changes":[{{"field":"{field}","value":{{{METADATA},{value}}}}}]}}]}}"#)
        .into_bytes()
}

fn notices(field: &str, value: &str) -> Vec<Notice> {
    let reading = read(&webhook(field, value)).unwrap();
    assert_eq!(reading.unreadable, 0, "{value}");
    reading.notices
}

fn person(phone: &str, user: &str, parent: &str) -> Person {
    Person {
        phone: E164::from_digits(phone.as_bytes()),
        user: UserId::parse(user),
        parent: UserId::parse(parent),
    }
}

fn message(kind: &str, content: &str) -> String {
    format!(
        r#""contacts":[{{"profile":{{"name":"Ann"}},"wa_id":"16505551234","user_id":"US.1349"}}],
        "messages":[{{"from":"16505551234","id":"wamid.A","timestamp":"1731705721","type":"{kind}"{content}}}]"#
    )
}

fn texts_of(kind: &str, content: &str) -> (bool, Vec<String>) {
    match notices("messages", &message(kind, content)).remove(0).what {
        What::Inbound(inbound) => (inbound.opens_window, inbound.texts),
        other @ (What::Preference(_) | What::Status(_) | What::Moved(_)) => panic!("{other:?}"),
    }
}

#[test]
fn a_message_names_its_person_by_all_their_identities() {
    for field in ["messages", "standby"] {
        let heard = notices(field, &message("text", r#","text":{"body":"Hi"}"#));
        let what = What::Inbound(Inbound {
            id: "wamid.A".into(),
            opens_window: true,
            texts: vec!["Hi".into()],
            shown: Some("Hi".into()),
            pressed: false,
        });
        let at = Timestamp::from_secs(1_731_705_721);
        let sender = "106540352242922".to_owned();
        assert_eq!(heard, [Notice { sender, at, person: person("16505551234", "US.1349", ""), what }]);
    }
    let username = r#""contacts":[{"user_id":"US.1349","parent_user_id":"US.ENT.7"}],"messages":[{"from_user_id":"US.1349","id":"wamid.B","timestamp":"1","type":"image"}]"#;
    assert_eq!(notices("messages", username)[0].person, person("", "US.1349", "US.ENT.7"));
}

#[test]
fn every_place_where_a_button_says_stop_is_read() {
    for (kind, content, wanted) in [
        ("text", r#","text":{"body":"STOP"}"#, vec!["STOP"]),
        ("button", r#","button":{"payload":"P","text":"Stop promotions"}"#, vec!["P", "Stop promotions"]),
        (
            "interactive",
            r#","interactive":{"type":"button_reply","button_reply":{"id":"I","title":"Stop"}}"#,
            vec!["I", "Stop"],
        ),
        (
            "interactive",
            r#","interactive":{"type":"list_reply","list_reply":{"id":"L","title":"Stop"}}"#,
            vec!["L", "Stop"],
        ),
    ] {
        assert_eq!(texts_of(kind, content), (true, wanted.into_iter().map(str::to_owned).collect()));
    }
    assert_eq!(texts_of("reaction", r#","reaction":{"emoji":"x"}"#), (false, vec![]));
}

#[test]
fn what_is_said_in_a_group_opens_no_window_and_a_contact_of_another_number_is_nobody_here() {
    let in_group = r#""messages":[{"from":"16505551234","group_id":"G","id":"w","timestamp":"1","type":"text","text":{"body":"stop"}}]"#;
    let heard = notices("messages", in_group);
    assert_eq!((heard.len(), &heard[0].person), (1, &person("16505551234", "", "")));
    // A stop is a stop wherever it is said.
    assert!(matches!(&heard[0].what, What::Inbound(said) if !said.opens_window && said.texts == ["stop"]));
    let other = r#""contacts":[{"wa_id":"16505559999","user_id":"US.9"}],"messages":[{"from":"16505551234","id":"w","timestamp":"1","type":"text"}]"#;
    assert_eq!(notices("messages", other)[0].person, person("16505551234", "", ""));
}

#[test]
fn a_preference_is_the_persons_own_switch() {
    let preference = |value: &str, category: &str| {
        format!(
            r#""contacts":[{{"wa_id":"16505551234"}}],"user_preferences":[{{"wa_id":"16505551234","user_id":"US.1349","detail":"d","category":"{category}","value":"{value}","timestamp":1731705721}}]"#
        )
    };
    for (value, wish) in [("stop", Wish::Stop), ("resume", Wish::Resume)] {
        let heard = notices("user_preferences", &preference(value, "marketing_messages"));
        assert_eq!(heard[0].what, What::Preference(wish));
        assert_eq!(
            (heard[0].at, &heard[0].person),
            (Timestamp::from_secs(1_731_705_721), &person("16505551234", "US.1349", ""))
        );
    }
    for (value, category) in [("pause", "marketing_messages"), ("stop", "others")] {
        assert_eq!(read(&webhook("user_preferences", &preference(value, category))).unwrap().unreadable, 1);
    }
}

#[test]
fn a_status_tells_errors_and_the_category_that_was_billed() {
    let failed = r#""statuses":[{"id":"wamid.S","status":"failed","timestamp":"1731705721","recipient_id":"16505551234","errors":[{"code":131050,"title":"t"}]},
        {"id":"wamid.T","status":"sent","timestamp":1731705722,"recipient_id":"16505551234","pricing":{"category":"authentication-international"}},
        {"id":"wamid.G","status":"sent","timestamp":"1","recipient_type":"group","recipient_id":"G"}]"#;
    let heard = notices("messages", failed);
    let status =
        |id: &str, stage, codes, billed| What::Status(Status { id: id.to_owned(), stage, codes, billed });
    assert_eq!(heard.len(), 2);
    assert!(heard[0].what == status("wamid.S", Stage::Failed, vec![131_050], None));
    assert!(heard[1].what == status("wamid.T", Stage::Sent, vec![], Some(Category::Authentication)));
}

#[test]
fn a_person_who_moves_is_named_before_and_after() {
    let moved = |system: &str| {
        format!(
            r#""messages":[{{"from":"16505551234","id":"w","timestamp":"5","type":"system","system":{system}}}]"#
        )
    };
    let number =
        notices("messages", &moved(r#"{"type":"user_changed_number","wa_id":"16505559999","body":"b"}"#));
    assert_eq!(
        (&number[0].person, &number[0].what),
        (&person("16505551234", "", ""), &What::Moved(person("16505559999", "", "")))
    );
    let id = notices(
        "messages",
        &moved(
            r#"{"type":"user_changed_user_id","user_id":"US.2","previous_user_id":"US.1","previous_parent_user_id":"US.ENT.1"}"#,
        ),
    );
    assert_eq!(
        (&id[0].person, &id[0].what),
        (&person("", "US.1", "US.ENT.1"), &What::Moved(person("16505551234", "US.2", "")))
    );
}

#[test]
fn a_call_by_the_person_opens_the_window_and_one_by_the_business_says_nothing() {
    let call = |direction: &str, event: &str| {
        format!(
            r#""calls":[{{"id":"wacid.A","from":"16505551234","to":"15550783881","event":"{event}","timestamp":"7","direction":"{direction}"}}]"#
        )
    };
    let opened = |heard: &[Notice]| {
        heard.iter().any(|n| matches!(&n.what, What::Inbound(i) if i.opens_window && i.texts.is_empty()))
    };
    assert!(opened(&notices("calls", &call("USER_INITIATED", "connect"))));
    assert!(notices("calls", &call("BUSINESS_INITIATED", "connect")).is_empty());
    assert!(notices("calls", &call("USER_INITIATED", "terminate")).is_empty());
}

#[test]
fn one_unreadable_item_does_not_hide_the_others() {
    let value = r#""messages":[{"id":"w"},null,7,{"from":"16505551234","id":"w","timestamp":"1","type":"text","text":{"body":"stop"}},{"from":"x","id":"w","timestamp":"1","type":"text"}]"#;
    let reading = read(&webhook("messages", value)).unwrap();
    assert_eq!((reading.notices.len(), reading.unreadable), (1, 4));
}

#[test]
fn a_webhook_names_whose_bots_get_it() {
    let one = String::from_utf8(webhook("messages", r#""messages":[]"#)).unwrap();
    let two = one.replace("106540352242922", "2");
    let entry =
        |text: &str| text.split_once(r#""entry":["#).unwrap().1.strip_suffix("]}").unwrap().to_owned();
    let both = format!(
        r#"{{"entry":[{},{},{{"id":"9","changes":[{{"field":"account_alerts","value":{{}}}}]}}]}}"#,
        entry(&one),
        entry(&two)
    );
    let reading = read(both.as_bytes()).unwrap();
    assert_eq!(
        (reading.senders, reading.accounts),
        (
            vec!["106540352242922".to_owned(), "2".to_owned()],
            vec!["102290129340398".to_owned(), "9".to_owned()]
        )
    );
}

#[test]
fn what_is_no_notification_is_none_and_nothing_panics() {
    for body in ["", "[]", "{}", "7", "{\"entry\"", "\u{0}"] {
        assert_eq!(read(body.as_bytes()), None, "{body}");
    }
    for body in [r#"{"entry":7}"#, r#"{"entry":[7,[],{"changes":{}},{"changes":[{"value":[]}]}]}"#] {
        assert!(read(body.as_bytes()).unwrap().notices.is_empty(), "{body}");
    }
}

#[test]
fn only_a_signature_over_these_bytes_by_a_known_secret_is_accepted() {
    let body = webhook("messages", r#""messages":[]"#);
    let (secrets, old) = (Secrets::new(["new", "old"]), Secrets::new(["old"]));
    let signature = old.sign(&body).unwrap();
    assert!(
        secrets.accept(signature.as_bytes(), &body)
            && secrets.accept(secrets.sign(&body).unwrap().as_bytes(), &body)
    );
    assert!(!secrets.accept(Secrets::new(["other"]).sign(&body).unwrap().as_bytes(), &body));
    assert!(!secrets.accept(signature.as_bytes(), &body[1..]));
    for bad in ["", "sha256=", "sha1=00", &signature[7..], &signature[..signature.len() - 2], "sha256=zz"] {
        assert!(!secrets.accept(bad.as_bytes(), &body), "{bad}");
    }
    assert!(!Secrets::new([]).accept(signature.as_bytes(), &body));
    assert_eq!(format!("{secrets:?}"), "Secrets(2)");
}

#[test]
fn debug_shows_no_person_and_no_text() {
    let shown = format!(
        "{:?}",
        read(&webhook("messages", &message("text", r#","text":{"body":"a secret"}"#))).unwrap()
    );
    assert!(!shown.contains("secret") && !shown.contains("5551234") && !shown.contains("1349"), "{shown}");
}
