//! `optgate explain`: one decision, and from it to what it rested on.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::Value;

use super::args::{ExplainArgs, Global};
use super::client::{Client, segment};
use super::failure::Failure;
use super::output::{print, print_json, shown, table};

/// Fields of an event that are shown under it rather than beside it.
const EVIDENCE: &str = "evidence";

pub(super) fn run(args: &ExplainArgs, global: &Global) -> Result<ExitCode, Failure> {
    let mut path = format!("/v1/decisions/{}", segment(&args.id));
    if let Some(recipient) = &args.recipient {
        path = format!("{path}?recipient={}", segment(recipient));
    }
    let decision = Client::new(global)?.get(&path)?;
    if global.json { print_json(&decision) } else { print(&told(&decision)) }?;
    Ok(ExitCode::SUCCESS)
}

/// The decision as a person reads it: the sentence first, what it rested on, then every field.
fn told(decision: &Value) -> String {
    let nothing = Value::Null;
    let explanation = decision.get("explanation").unwrap_or(&nothing);
    let mut text = format!("{}\n", shown(explanation, "why"));
    if let Some(remedy) = explanation.get("remedy").and_then(Value::as_str) {
        let _ = writeln!(text, "What to do: {remedy}");
    }
    if let Some(note) = explanation.pointer("/category/note").and_then(Value::as_str) {
        let _ = writeln!(text, "\nCategory: {note}");
    }
    let consent = explanation.get("consent").unwrap_or(&nothing);
    let _ = writeln!(text, "\nConsent: {}", shown(consent, "note"));
    for person in consent.get("people").and_then(Value::as_array).into_iter().flatten() {
        text += &of_person(person);
    }
    if let Some(policy) = explanation.get("policy").filter(|policy| !policy.is_null()) {
        text += &of_policy(policy);
    }
    let fields = decision.as_object().into_iter().flatten().filter(|(name, _)| *name != "explanation");
    let rows: Vec<_> = fields.map(|(name, _)| [name.clone(), shown(decision, name)]).collect();
    text + "\n" + &table(["FIELD", "VALUE"], &rows)
}

fn of_person(person: &Value) -> String {
    let mut text = format!(
        "  {} was {} since {}, until {}\n",
        shown(person, "recipient"),
        shown(person, "state"),
        shown(person, "since"),
        shown(person, "until")
    );
    if let Some(event) = person.get("event").filter(|event| !event.is_null()) {
        text += &of_event(event);
    }
    if person.get("agrees") == Some(&Value::Bool(false)) {
        text += "  These events do not explain the record that was read then.\n";
    }
    let later = person.get("later").and_then(Value::as_array).into_iter().flatten();
    for event in later {
        text += "  Received only after the decision:\n";
        text += &of_event(event);
    }
    text
}

fn of_event(shown_event: &Value) -> String {
    let nothing = Value::Null;
    let event = shown_event.get("event").unwrap_or(&nothing);
    let fields = event.as_object().into_iter().flatten().filter(|(name, _)| *name != EVIDENCE);
    let mut rows: Vec<_> = fields.map(|(name, _)| [format!("    {name}"), shown(event, name)]).collect();
    let evidence = event.get(EVIDENCE).and_then(Value::as_object);
    for name in evidence.into_iter().flat_map(|evidence| evidence.keys()) {
        rows.push([format!("    evidence.{name}"), shown(event.get(EVIDENCE).unwrap_or(&nothing), name)]);
    }
    if shown_event.get("chain_position").is_some_and(|place| !place.is_null()) {
        rows.push(["    place in the chain".to_owned(), shown(shown_event, "chain_position")]);
    }
    table(["    EVENT", ""], &rows)
}

fn of_policy(policy: &Value) -> String {
    let mut text =
        format!("\nPolicy {}, in force since {}\n", shown(policy, "revision"), shown(policy, "since"));
    let settings = policy.get("settings").and_then(Value::as_object).into_iter().flatten();
    for (name, value) in settings {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let _ = writeln!(text, "  {name} = {value}");
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_sentence_comes_first_then_what_it_rested_on_then_every_field() {
        let decision = json!({"id": "01J", "decision": "allow", "explanation": {
            "why": "Allowed, because.", "remedy": null,
            "category": {"note": "the template x is utility"},
            "consent": {"status": "shown", "note": "the events", "people": [{
                "recipient": "+15550000001", "state": "granted", "since": "2026-01-31T09:30:00Z", "until": null, "agrees": true, "later": [],
                "event": {"chain_position": 3, "event": {"id": "e1", "evidence": {"wording": "I agree"}}}}]},
            "records": [], "policy": {"revision": "ab", "since": null, "settings": {"mode": "enforce"}}}});
        let text = told(&decision);
        let order = [
            "Allowed, because.",
            "Category: the template",
            "+15550000001 was granted",
            "evidence.wording",
            "I agree",
            "place in the chain",
            "Policy ab",
            "mode = enforce",
            "FIELD",
        ];
        let places =
            order.map(|part| text.find(part).unwrap_or_else(|| panic!("{part} is missing in {text}")));
        assert!(places.is_sorted() && !text.contains("explanation"), "{text}");
    }
}
