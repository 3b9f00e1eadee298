//! Saying what is wrong with a JSON document without repeating any of it.
//!
//! serde's own messages quote the input, and the input is people's numbers. Each field is tried by itself instead, so every field at fault is named together
//! with what would be right.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::error::Category as Cause;
use serde_json::value::RawValue;

/// The longest field name that is repeated in an error; ours are shorter.
const MAX_NAME: usize = 40;

/// The fields of a document, each with what it takes.
pub(super) type Fields = [(&'static str, &'static str)];

/// The fields of an event.
pub(super) const EVENT: &Fields = &[
    ("id", "text"),
    ("tenant", "the name of a tenant"),
    ("recipient", "text, +E.164 or a BSUID"),
    ("kind", "grant, revoke, resume, inbound or link"),
    ("categories", CATEGORIES),
    ("occurred_at", TIME),
    ("received_at", TIME),
    ("expires_at", TIME),
    ("actor", "person, operator, system or provider"),
    ("source", "text"),
    ("links", "a list of +E.164 numbers or BSUIDs"),
    (
        "evidence",
        "an object; its text fields take text, name_and_logo_shown and number_confirmed true or false, categories_shown a list of categories",
    ),
    ("pending", "true or false"),
    ("confirms", "text, the id of the pending grant that this one confirms"),
    ("legacy", "true or false"),
    ("observed", "true or false"),
    ("hash_key", "text, as an export writes it"),
];

/// The fields of an event's evidence.
pub(super) const EVIDENCE: &Fields = &[
    ("channel", "text"),
    ("user_action", "text"),
    ("name_and_logo_shown", "true or false"),
    ("number_confirmed", "true or false"),
    ("categories_shown", CATEGORIES),
    ("business_named", "text"),
    ("wording", "text"),
    ("wording_version", "text"),
    ("locale", "text"),
    ("url", "text"),
    ("reference", "text"),
];

const CATEGORIES: &str = "a list of authentication, call, marketing, service, utility";
const TIME: &str = "a time in RFC 3339 with an offset, such as 2026-01-31T09:30:00Z";

/// Reads a document all of whose fields are optional, or says everything that is wrong with it.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8], fields: &Fields) -> Result<T, Vec<String>> {
    // serde would take a list for an object whose fields stand in order.
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        return Err(vec!["a list stands where one object belongs".to_owned()]);
    }
    let read = match std::str::from_utf8(bytes) {
        // Looked at once as a whole, not again text by text.
        Ok(text) => serde_json::from_str(text),
        Err(_) => serde_json::from_slice(bytes),
    };
    read.map_err(|error| explain::<T>(bytes, fields, &error))
}

/// Where a document stops being JSON, in words of ours.
pub(super) fn syntax(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        Cause::Eof => "the JSON ends too early",
        Cause::Syntax | Cause::Io => "this is not JSON",
        Cause::Data => "this is not what belongs here (a field twice, or a value of another type)",
    };
    format!("{what}, at line {} column {}", error.line(), error.column())
}

fn explain<T: DeserializeOwned>(bytes: &[u8], fields: &Fields, error: &serde_json::Error) -> Vec<String> {
    let Ok(written) = serde_json::from_slice::<BTreeMap<String, &RawValue>>(bytes) else {
        return vec![syntax(error)];
    };
    let mut problems = Vec::new();
    for (name, value) in &written {
        match fields.iter().find(|(known, _)| known == name) {
            None => problems.push(format!("{}: unknown field; known are {}", printable(name), names(fields))),
            Some((_, takes)) if alone::<T>(name, value).is_err() => {
                problems.extend(inside(name, value, takes));
            }
            Some(_) => {}
        }
    }
    if problems.is_empty() { vec![syntax(error)] } else { problems }
}

/// Tries one field by itself.
fn alone<T: DeserializeOwned>(name: &str, value: &RawValue) -> Result<T, serde_json::Error> {
    serde_json::from_str(&format!("{{\"{name}\":{}}}", value.get()))
}

/// What is wrong with one field; an event's evidence is looked into.
fn inside(name: &str, value: &RawValue, takes: &str) -> Vec<String> {
    let deeper = match name {
        "evidence" => read::<crate::consent::evidence::Evidence>(value.get().as_bytes(), EVIDENCE).err(),
        _ => None,
    };
    let is_object = value.get().starts_with('{');
    match deeper {
        Some(deeper) if is_object => deeper.into_iter().map(|p| format!("{name}.{p}")).collect(),
        Some(_) | None => vec![format!("{name}: takes {takes}")],
    }
}

/// A field's name if it looks like one; it could be a number or a token that slipped into the wrong place.
fn printable(name: &str) -> &str {
    let looks_like_one = name.len() <= MAX_NAME && name.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_');
    if looks_like_one { name } else { "(a name that is not repeated here)" }
}

fn names(fields: &Fields) -> String {
    fields.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::event::EventAsWritten;

    fn problems(json: &str) -> Vec<String> {
        read::<EventAsWritten>(json.as_bytes(), EVENT).unwrap_err()
    }

    #[test]
    fn every_field_at_fault_is_named_and_no_value_is_repeated() {
        let found = problems(
            r#"{"recipient":15550000001,"kind":"+15550000001","occurred_at":"15550000001","links":"+15550000001","15550000001":1,"phone_number":"+15550000001",
                "evidence":{"wording":15550000001,"15550000001":true,"number_confirmed":"15550000001"}}"#,
        );
        for field in [
            "recipient:",
            "kind:",
            "occurred_at:",
            "links:",
            "phone_number:",
            "evidence.wording:",
            "evidence.number_confirmed:",
            "(a name",
            "evidence.(a name",
        ] {
            assert!(found.iter().any(|p| p.starts_with(field)), "{field} {found:?}");
        }
        assert!(!found.join(" ").contains("5550000001"), "{found:?}");
        assert_eq!(found.len(), 9);
    }

    #[test]
    fn what_is_no_object_is_told_by_its_place() {
        for (json, says) in [
            ("{", "ends too early"),
            ("nonsense 15550000001", "not JSON"),
            ("[]", "one object"),
            (r#""+15550000001""#, "not what belongs here"),
            (r#"{"kind":"grant","kind":"grant"}"#, "a field twice"),
            (r#"{"evidence":"+15550000001"}"#, "evidence: takes an object"),
            ("\u{feff}{}", "not JSON"),
        ] {
            let found = problems(json);
            assert!(
                found.len() == 1 && found[0].contains(says) && !found[0].contains("555"),
                "{json}: {found:?}"
            );
        }
    }

    #[test]
    fn every_field_of_an_event_is_known_here() {
        let whole = r#"{"id":"a","tenant":"t","recipient":"+15550000001","kind":"grant","categories":["call"],"occurred_at":"2026-01-31T09:30:00Z",
            "received_at":"2026-01-31T09:30:00Z","expires_at":"2026-01-31T09:30:00Z","actor":"person","source":"s","links":["US.1"],
            "evidence":{"channel":"c","user_action":"u","name_and_logo_shown":true,"number_confirmed":true,"categories_shown":[],"business_named":"b",
            "wording":"w","wording_version":"1","locale":"en","url":"u","reference":"r"},"pending":true,"confirms":"b","legacy":true,
            "observed":true,"hash_key":"k"}"#;
        let event: EventAsWritten = read(whole.as_bytes(), EVENT).unwrap();
        let again = serde_json::to_value(&event).unwrap();
        for (object, fields) in [(&again, EVENT), (&again["evidence"], EVIDENCE)] {
            let written: Vec<&str> = object.as_object().unwrap().keys().map(String::as_str).collect();
            let mut known: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
            known.sort_unstable();
            assert_eq!(written, known);
        }
    }
}
