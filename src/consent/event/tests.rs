use super::shape::CLOCK_SKEW;
use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);

fn written(json: &str) -> EventAsWritten {
    serde_json::from_str(json).unwrap()
}

const GRANT: &str = r#"{"recipient":"+15550000001","kind":"grant","categories":["marketing"],"occurred_at":"2026-01-31T09:30:00Z",
    "actor":"person","source":"website","evidence":{"channel":"website","wording":"I agree"}}"#;

#[test]
fn a_full_grant_is_accepted_and_prints_as_it_came() {
    let event = Event::check(written(GRANT), NOW).unwrap();
    let again = Event::check(event.as_written(None), NOW).unwrap();
    assert_eq!(event, again);
}

#[test]
fn every_problem_is_named_and_no_value_is_repeated() {
    let problems = Event::check(written(r#"{"recipient":"15550000001","kind":"grant","links":["x"]}"#), NOW)
        .unwrap_err();
    for field in ["recipient", "links", "occurred_at", "actor", "source", "categories", "evidence"] {
        assert!(problems.iter().any(|p| p.starts_with(&format!("{field}:"))), "{field}: {problems:?}");
    }
    assert!(!problems.join(" ").contains("15550000001 "));
}

#[test]
fn the_same_content_has_the_same_id_and_another_content_another() {
    let one = Event::check(written(GRANT), NOW).unwrap();
    let later = Event::check(written(GRANT), NOW.plus(CLOCK_SKEW)).unwrap();
    let other = Event::check(written(&GRANT.replace("marketing", "utility")), NOW).unwrap();
    assert_eq!(one.id, later.id);
    assert_ne!(one.id, other.id);
}

#[test]
fn a_grant_needs_evidence_and_a_revoke_needs_none() {
    let bare = GRANT.replace(r#""evidence":{"channel":"website","wording":"I agree"}"#, r#""evidence":{}"#);
    assert!(Event::check(written(&bare), NOW).is_err());
    let revoke = r#"{"recipient":"US.1","kind":"revoke","occurred_at":"2026-01-31T09:30:00Z","actor":"operator","source":"crm"}"#;
    assert_eq!(Event::check(written(revoke), NOW).unwrap().categories, None);
}

#[test]
fn what_a_grant_stands_on_is_told_apart_and_printed_as_it_came() {
    let with = |fields: &str| written(&GRANT.replace(r#""actor""#, &format!(r#"{fields},"actor""#)));
    for fields in [r#""pending":true"#, r#""confirms":"e1""#, r#""legacy":true"#] {
        let event = Event::check(with(fields), NOW).unwrap();
        assert!(serde_json::to_string(&event.as_written(None)).unwrap().contains(fields), "{fields}");
        assert_ne!(event.id, Event::check(written(GRANT), NOW).unwrap().id, "{fields}");
    }
    let plain = Event::check(with(r#""pending":false,"legacy":false"#), NOW).unwrap();
    assert_eq!(plain, Event::check(written(GRANT), NOW).unwrap());
    for (fields, at_fault) in [
        (r#""pending":true,"confirms":"e1""#, "pending, confirms:"),
        (r#""pending":true,"legacy":true"#, "legacy:"),
        (r#""confirms":"e1","legacy":true"#, "legacy:"),
        (r#""confirms":" ""#, "confirms:"),
    ] {
        let problems = Event::check(with(fields), NOW).unwrap_err();
        assert!(problems.len() == 1 && problems[0].starts_with(at_fault), "{fields}: {problems:?}");
    }
}

#[test]
fn only_a_legacy_grant_may_be_without_evidence_and_only_a_grant_may_be_one() {
    let bare = r#"{"recipient":"US.1","kind":"grant","categories":["utility"],"occurred_at":"2026-01-31T09:30:00Z","actor":"operator","source":"crm"}"#;
    assert!(Event::check(written(bare), NOW).is_err());
    assert!(
        Event::check(written(&bare.replace(r#""actor""#, r#""legacy":true,"actor""#)), NOW).unwrap().legacy
    );
    let revoke = bare.replace("grant", "revoke");
    for field in ["pending", "legacy"] {
        let marked = revoke.replace(r#""actor""#, &format!(r#""{field}":true,"actor""#));
        let problems = Event::check(written(&marked), NOW).unwrap_err();
        assert!(problems.len() == 1 && problems[0].starts_with(field), "{problems:?}");
    }
    let confirming = revoke.replace(r#""actor""#, r#""confirms":"e1","actor""#);
    assert!(Event::check(written(&confirming), NOW).is_err());
}

#[test]
fn only_the_person_or_the_provider_for_them_opens_a_window() {
    let inbound = r#"{"recipient":"US.1","kind":"inbound","occurred_at":"2026-01-31T09:30:00Z","actor":"person","source":"bot"}"#;
    for (actor, taken) in [("person", true), ("provider", true), ("operator", false), ("system", false)] {
        let told = Event::check(written(&inbound.replace("\"person\"", &format!("{actor:?}"))), NOW);
        assert_eq!(told.is_ok(), taken, "{actor}");
        if let Err(problems) = told {
            assert!(problems.len() == 1 && problems[0].starts_with("actor: "), "{problems:?}");
        }
    }
}

#[test]
fn text_that_shows_nothing_is_missing() {
    let unseen = GRANT.replace(r#""source":"website""#, r#""source":"\u200b\ufeff""#);
    let problems = Event::check(written(&unseen), NOW).unwrap_err();
    assert!(problems.len() == 1 && problems[0].starts_with("source: "), "{problems:?}");
    let unseen = GRANT.replace(r#""channel":"website","wording":"I agree""#, r#""wording":"\u200b""#);
    let problems = Event::check(written(&unseen), NOW).unwrap_err();
    assert!(problems.len() == 1 && problems[0].starts_with("evidence: "), "{problems:?}");
    for actor in ["operator", "provider"] {
        let confirming =
            GRANT.replace(r#""actor":"person""#, &format!(r#""confirms":"e1","actor":{actor:?}"#));
        let problems = Event::check(written(&confirming), NOW).unwrap_err();
        assert!(problems.len() == 1 && problems[0].contains("only the person confirms"), "{problems:?}");
    }
}

#[test]
fn an_event_cannot_be_received_before_it_happened() {
    let early = GRANT.replace(r#""actor""#, r#""received_at":"2024-01-01T00:00:00Z","actor""#);
    assert_eq!(Event::check(written(&early), NOW).unwrap().received_at, NOW);
    let exported = GRANT.replace(r#""actor""#, r#""received_at":"2026-02-01T00:00:00Z","actor""#);
    assert_ne!(Event::check(written(&exported), NOW).unwrap().received_at, NOW);
}

#[test]
fn a_number_with_a_trunk_prefix_or_of_no_length_is_nobody() {
    for number in [
        "+4407911123456",
        "+49017012345679",
        "+541115555500012",
        "+520445555500011",
        "+55011987650013",
        "+1555000",
    ] {
        assert!(Event::check(written(&GRANT.replace("+15550000001", number)), NOW).is_err(), "{number}");
    }
    for number in [
        "+447911123456",
        "+4917012345679",
        "+541155500012",
        "+5491155500012",
        "+5215555500011",
        "+390612345678",
        "+2250712345678",
    ] {
        assert!(Event::check(written(&GRANT.replace("+15550000001", number)), NOW).is_ok(), "{number}");
    }
}

#[test]
fn unknown_fields_are_errors() {
    assert!(
        serde_json::from_str::<EventAsWritten>(r#"{"recipient":"+15550000001","category":"utility"}"#)
            .is_err()
    );
}

#[test]
fn debug_shows_no_person() {
    let event = Event::check(written(GRANT), NOW).unwrap();
    let shown = format!("{event:?} {:?} {:?}", written(GRANT), event.evidence);
    assert!(!shown.contains("5550000") && !shown.contains("I agree"), "{shown}");
}
