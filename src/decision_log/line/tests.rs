use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use serde::Serialize;
use serde_json::{Value, json};

use super::super::event::Outcome;
use super::super::id::DecisionId;
use super::*;
use crate::consent::Category;
use crate::consent::record::{Slot, State};
use crate::policy::Mode;
use crate::wire::cloud::answer::MessageId;

/// The fields of a line in their order, as a general serializer writes them.
#[derive(Serialize)]
struct Plain<'a> {
    time: String,
    id: &'a str,
    tenant: Option<&'a str>,
    sender: Option<&'a str>,
    caller: Option<&'a str>,
    recipient_hash: Value,
    country: Option<String>,
    category: Option<&'a str>,
    template: Option<&'a str>,
    category_source: Option<&'a str>,
    decision: Option<&'a str>,
    reason: Option<&'a str>,
    basis: Option<&'a str>,
    rule: Option<&'a str>,
    revision: Option<&'a str>,
    mode: Option<&'a str>,
    event_seq: Value,
    gate_record: Value,
    window: Option<&'a str>,
    outcome: &'a str,
    upstream_status: Option<u16>,
    message_id: Option<String>,
}

fn one_or_list(event: &Event, value: impl Fn(&Reading) -> Value) -> Value {
    let mut values: Vec<Value> = event.readings.iter().map(value).collect();
    match values.len() {
        0 => Value::Null,
        1 => values.remove(0),
        _ => Value::Array(values),
    }
}

fn window_of(event: &Event) -> Option<&'static str> {
    let open = |reading: &Reading| matches!(reading.lookup, Some(Lookup::Found(record)) if record.window_open(event.time));
    let all_open = event.readings.iter().next().is_some() && event.readings.iter().all(open);
    Some(match event.window? {
        _ if all_open => "open",
        WindowKnowledge::Learnt => "closed",
        WindowKnowledge::NotLearnt => "unknown",
        WindowKnowledge::Open => "open",
        WindowKnowledge::Unavailable => "unavailable",
    })
}

fn serialized(event: &Event, tenants: &[String], hash: &KeyedHash) -> String {
    let (decision, reason, basis) = match event.verdict {
        None => (None, None, None),
        Some(Verdict::Allow { basis, would_deny }) => (Some("allow"), would_deny, Some(basis.name())),
        Some(Verdict::Deny(reason)) => (Some("deny"), Some(reason), None),
    };
    let source = || match (event.template.is_some(), event.listed) {
        (_, Some(true)) => "catalogue",
        (_, Some(false)) => "unlisted",
        (_, None) => "request",
    };
    let first = event.readings.iter().next();
    let plain = Plain {
        time: event.time.to_string(),
        id: event.id.as_str(),
        tenant: event.tenant.and_then(|place| tenants.get(place)).map(String::as_str),
        sender: event.sender.as_ref().map(Text::as_str),
        caller: event.caller.as_deref(),
        recipient_hash: one_or_list(event, |reading| json!(hash.recipient(&reading.recipient))),
        country: first.and_then(|first| Some(country::of(&first.recipient)?.as_str().to_owned())),
        category: event.category.map(Category::name),
        template: event.template.as_ref().map(|template| std::str::from_utf8(template.bytes()).unwrap()),
        category_source: event.category.map(|_| source()),
        decision,
        reason: reason.map(DenyReason::name),
        basis,
        rule: event.rule.as_deref(),
        revision: event.revision.as_ref().map(Text::as_str),
        mode: event.mode.map(Mode::name),
        event_seq: one_or_list(event, |reading| match reading.lookup {
            Some(Lookup::Found(record)) => json!(record.seq),
            _ => Value::Null,
        }),
        gate_record: one_or_list(event, |reading| match reading.lookup {
            Some(Lookup::Found(record)) => json!(hex::encode(record.encode())),
            Some(Lookup::Unavailable) => json!("unavailable"),
            Some(Lookup::Remembered(_)) => json!("remembered"),
            Some(Lookup::Absent) | None => Value::Null,
        }),
        window: window_of(event),
        outcome: event.outcome.name(),
        upstream_status: event.outcome.status(),
        message_id: event.message_id.as_ref().and_then(|id| hash.short(id.danger_bytes())),
    };
    serde_json::to_string(&plain).unwrap() + "\n"
}

fn record() -> impl Strategy<Value = GateRecord> {
    let state = select(vec![State::Unstated, State::Granted, State::Revoked, State::Pending]);
    let slot = (state, any::<u32>(), any::<u8>(), any::<bool>());
    let slot = slot.prop_map(|(state, until, wording, legacy)| Slot { state, until, wording, legacy });
    (any::<u8>(), prop::array::uniform5(slot), any::<u32>(), any::<u32>())
        .prop_map(|(flags, slots, window_until, seq)| GateRecord { flags, slots, window_until, seq })
}

fn reading() -> impl Strategy<Value = Reading> {
    let recipient = prop_oneof![
        "\\+[1-9][0-9]{6,14}",
        "\\+(44|49|52|549|55|77|1)[0-9]{8,10}",
        "[A-Z]{2}\\.(ENT\\.)?[A-Za-z0-9]{1,40}",
        "hash:[0-9a-f]{32}",
    ];
    let recipient = recipient.prop_map(|text| Recipient::parse(&text).unwrap());
    let lookup = prop_oneof![
        4 => record().prop_map(Lookup::Found),
        1 => Just(Lookup::Absent),
        1 => Just(Lookup::Unavailable),
        1 => record().prop_map(Lookup::Remembered),
    ];
    (recipient, of(lookup)).prop_map(|(recipient, lookup)| Reading { recipient, lookup })
}

fn verdict_of_any_kind() -> impl Strategy<Value = Verdict> {
    let reason = || select(DenyReason::ALL);
    prop_oneof![
        reason().prop_map(Verdict::Deny),
        (select(Basis::ALL), of(reason()))
            .prop_map(|(basis, would_deny)| Verdict::Allow { basis, would_deny }),
    ]
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        any::<u16>().prop_map(|status| Outcome::Forwarded { status }),
        Just(Outcome::Refused),
        Just(Outcome::Aborted),
        Just(Outcome::UpstreamNotReached),
        Just(Outcome::OutcomeUnknown),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    // Until the year 9999, the last second of which is written for all that follows.
    let millis = prop_oneof![0..253_402_300_799_000_u64, 1_790_000_000_000..1_790_000_003_000_u64];
    let window = vec![
        WindowKnowledge::Learnt,
        WindowKnowledge::NotLearnt,
        WindowKnowledge::Open,
        WindowKnowledge::Unavailable,
    ];
    let who = (
        any::<u128>(),
        millis,
        of(0..3_usize),
        of("[0-9]{1,31}"),
        of(".{0,40}"),
        prop::collection::vec(reading(), 0..4),
    );
    let what = (
        of(select(Category::ALL.to_vec())),
        of(("[a-z_0-9]{1,80}", "[a-z]{2}_[A-Z]{2}")),
        of(any::<bool>()),
        of(verdict_of_any_kind()),
    );
    let how = (
        of(".{0,40}"),
        of("[0-9a-f]{12}"),
        of(select(vec![Mode::Enforce, Mode::Shadow])),
        of(select(window)),
        of("wamid\\.[A-Za-z0-9=]{1,120}"),
        outcome(),
    );
    (who, what, how).prop_map(|(who, what, how)| {
        let (id, millis, tenant, sender, caller, readings) = who;
        let (category, template, listed, verdict) = what;
        let (rule, revision, mode, window, message_id, outcome) = how;
        let id = DecisionId::parse(&format!("{:026}", id % 10_u128.pow(25))).unwrap();
        let mut event = Event::new(id, Timestamp::from_millis(millis));
        event.tenant = tenant;
        if let Some(sender) = sender {
            event.set_sender(&sender);
        }
        event.caller = caller.map(Into::into);
        for Reading { recipient, lookup } in readings {
            event.readings.push(recipient, lookup);
        }
        event.category = category;
        if let Some((name, language)) = template {
            event.set_template(&name, &language);
        }
        (event.listed, event.verdict, event.rule) = (listed, verdict, rule.map(Into::into));
        event.revision = revision.and_then(|revision| Text::plain(&revision));
        (event.mode, event.window, event.outcome) = (mode, window, outcome);
        if let Some(id) = message_id {
            event.set_message_id(MessageId::of(&id));
        }
        event
    })
}

proptest! {
    #[test]
    fn a_line_is_what_a_general_serializer_writes_of_the_same_event(
        events in prop::collection::vec(event(), 1..8),
        has_key in any::<bool>(),
    ) {
        let tenants = ["acme".to_owned(), "Zürich \"AG\" \\ \u{1}".to_owned()];
        let hash = if has_key { KeyedHash::new(&[7; 32]) } else { KeyedHash::default() };
        // One writer for all, which remembers the second of the one before.
        let mut lines = Lines::new(hash.clone());
        let mut written = Vec::new();
        for event in &events {
            lines.write(event, &tenants, &mut written);
        }
        let expected: String = events.iter().map(|event| serialized(event, &tenants, &hash)).collect();
        prop_assert_eq!(String::from_utf8(written).unwrap(), expected);
    }
}
