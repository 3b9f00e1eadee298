//! Saying what is wrong with a JSON document without repeating any of it.
//!
//! serde's own messages quote the input, and the input is people's numbers. Each field is tried by itself instead, so every field at fault is named together
//! with what would be right.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::error::Category as Cause;
use serde_json::value::RawValue;

use crate::consent::event::Members;
use crate::consent::evidence::Evidence;

/// The longest field name that is repeated in an error; ours are shorter.
const MAX_NAME: usize = 40;
/// How many unknown fields are named.
const MAX_UNKNOWN: usize = 20;

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

/// A document that did not read.
pub(super) struct Unread<T> {
    /// Everything that keeps it from being read, each with the field at fault.
    pub(super) problems: Vec<String>,
    /// What is left of it without the fields at fault; nothing where it has no fields at all.
    pub(super) rest: Option<T>,
}

impl<T> Unread<T> {
    fn whole(problem: String) -> Self {
        Self { problems: vec![problem], rest: None }
    }
}

/// What keeps a document from being read, and what is wrong with the rest of it, without what follows only from a field's absence there.
pub(super) fn beside(mut problems: Vec<String>, of_the_rest: Vec<String>) -> Vec<String> {
    let at_fault: Vec<String> = problems.iter().flat_map(|p| fields_of(p)).map(str::to_owned).collect();
    // Of a grant that may be a legacy one nobody knows whether it needs evidence.
    let hangs_on = |field: &str, at: &str| at == "legacy" && contains("evidence", field);
    let is_told = |field: &str| {
        at_fault.iter().any(|at| contains(at, field) || contains(field, at) || hangs_on(field, at))
    };
    problems.extend(of_the_rest.into_iter().filter(|problem| !fields_of(problem).any(is_told)));
    problems
}

/// What rules ask of an event beside what it needs to be one at all: a field that is missing is told once, and evidence by its fields.
pub(super) fn once(mut of_rules: Vec<String>, mut of_shape: Vec<String>) -> Vec<String> {
    let told = |problems: &[String], field: &str| problems.iter().any(|p| fields_of(p).any(|f| f == field));
    of_rules.retain(|problem| !fields_of(problem).any(|field| told(&of_shape, field)));
    let parts =
        |field: &str| of_rules.iter().flat_map(|p| fields_of(p)).any(|f| f != field && contains(field, f));
    of_shape.retain(|problem| !fields_of(problem).any(parts));
    of_rules.append(&mut of_shape);
    of_rules
}

/// The fields that a problem is about: they stand before its colon.
fn fields_of(problem: &str) -> impl Iterator<Item = &str> {
    problem.split_once(':').map_or("", |(fields, _)| fields).split(", ")
}

/// Whether a field is another one or holds it.
fn contains(field: &str, other: &str) -> bool {
    other.strip_prefix(field).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Reads a document all of whose fields are optional, or says everything that is wrong with it.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8], fields: &Fields) -> Result<T, Unread<T>> {
    // serde would take a list for an object whose fields stand in order.
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        return Err(Unread::whole("a list stands where one object belongs".to_owned()));
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

fn explain<T: DeserializeOwned>(bytes: &[u8], fields: &Fields, error: &serde_json::Error) -> Unread<T> {
    match std::str::from_utf8(bytes).ok().and_then(|text| sift::<T>(text, fields)) {
        Some(Sifted { problems, kept }) if !problems.is_empty() => {
            Unread { problems, rest: serde_json::from_str(&kept).ok() }
        }
        Some(_) | None => Unread::whole(syntax(error)),
    }
}

/// An object whose fields were tried one by one.
struct Sifted {
    problems: Vec<String>,
    /// The object's text without the fields at fault.
    kept: String,
}

/// Tries every field of an object; `None` if it is none.
fn sift<T: DeserializeOwned>(text: &str, fields: &Fields) -> Option<Sifted> {
    let Members(members) = serde_json::from_str(text).ok()?;
    let mut standing: BTreeMap<&str, Vec<&RawValue>> = BTreeMap::new();
    for (name, value) in &members {
        standing.entry(name).or_default().push(value);
    }
    let (mut problems, mut kept, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    for (name, values) in standing {
        let Some((_, takes)) = fields.iter().find(|(known, _)| *known == name) else {
            unknown.push(printable(name));
            continue;
        };
        let [value] = values[..] else {
            problems.push(format!("{name}: stands twice; write it once"));
            continue;
        };
        if alone::<T>(name, value).is_ok() {
            kept.push(format!("\"{name}\":{}", value.get()));
        } else if let Some(deeper) = inside(name, value) {
            problems.extend(deeper.problems.into_iter().map(|problem| format!("{name}.{problem}")));
            kept.push(format!("\"{name}\":{}", deeper.kept));
        } else {
            problems.push(format!("{name}: takes {takes}"));
        }
    }
    unknown.sort_unstable();
    unknown.dedup();
    let known = fields.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let told = unknown.iter().take(MAX_UNKNOWN);
    problems.extend(told.map(|name| format!("{name}: unknown field; known are {known}")));
    if unknown.len() > MAX_UNKNOWN {
        problems.push(format!("{} more fields are unknown", unknown.len() - MAX_UNKNOWN));
    }
    Some(Sifted { problems, kept: format!("{{{}}}", kept.join(",")) })
}

/// Tries one field by itself.
fn alone<T: DeserializeOwned>(name: &str, value: &RawValue) -> Result<T, serde_json::Error> {
    serde_json::from_str(&format!("{{\"{name}\":{}}}", value.get()))
}

/// What is wrong inside of an event's evidence; of no other field is anything inside.
fn inside(name: &str, value: &RawValue) -> Option<Sifted> {
    (name == "evidence").then(|| sift::<Evidence>(value.get(), EVIDENCE)).flatten()
}

/// A field's name if it looks like one; it could be a number or a token that slipped into the wrong place.
pub(super) fn printable(name: &str) -> &str {
    let looks_like_one = name.len() <= MAX_NAME && name.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_');
    if looks_like_one { name } else { "(a name that is not repeated here)" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::event::EventAsWritten;

    fn problems(json: &str) -> Vec<String> {
        read::<EventAsWritten>(json.as_bytes(), EVENT).err().unwrap().problems
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
            (r#"{"kind":"grant","kind":"grant"}"#, "kind: stands twice"),
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
        let event: EventAsWritten = read(whole.as_bytes(), EVENT).ok().unwrap();
        let again = serde_json::to_value(&event).unwrap();
        for (object, fields) in [(&again, EVENT), (&again["evidence"], EVIDENCE)] {
            let written: Vec<&str> = object.as_object().unwrap().keys().map(String::as_str).collect();
            let mut known: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
            known.sort_unstable();
            assert_eq!(written, known);
        }
    }
}
