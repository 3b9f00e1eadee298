//! An event as its line: persons hashed, fields in the documented order.

use std::io;
use std::sync::{Arc, OnceLock};

use aws_lc_rs::hmac;
use serde::{Serialize, Serializer};

use super::country;
use super::event::{Event, Reading, Text, Verdict};
use crate::consent::{Category, DenyReason, GateRecord, Lookup, Recipient, RecipientKey, Timestamp};
use crate::policy::{Mode, WindowKnowledge};

/// Hashes what must not be read, so that equal things still look equal on every node that shares the key.
///
/// Clones share the key. As long as it is not known there is no hash: one without a key could be reversed by trying all numbers.
#[derive(Clone, Default)]
pub struct KeyedHash(Arc<OnceLock<hmac::Key>>);

impl KeyedHash {
    /// A hash under a key.
    pub fn new(key: &[u8; 32]) -> Self {
        let hash = Self::default();
        hash.learn_key(key);
        hash
    }

    /// Takes the key that was not known before; the first one stays.
    pub fn learn_key(&self, key: &[u8; 32]) {
        // An error says that a key is there already.
        let _ = self.0.set(hmac::Key::new(hmac::HMAC_SHA256, key));
    }

    /// Whether the key is known.
    pub fn has_key(&self) -> bool {
        self.0.get().is_some()
    }

    /// How a recipient stands in the log, the same for every spelling of a number.
    pub fn recipient(&self, recipient: &Recipient) -> Option<String> {
        self.short(recipient.key().bytes())
    }

    /// How the recipient with this key stands in the log; `None` for a key that is no number and no user id.
    pub fn key(&self, key: &RecipientKey) -> Option<String> {
        match key {
            RecipientKey::Phone(_) | RecipientKey::UserId(_) => self.short(key.bytes()),
            RecipientKey::Hashed(_) | RecipientKey::Tenant => None,
        }
    }

    /// How a provider's message id stands in the log.
    pub fn message_id(&self, id: &str) -> Option<String> {
        self.short(id.as_bytes())
    }

    /// 16 bytes of the tag in hex: no two of a billion recipients are likely to share them.
    fn short(&self, bytes: &[u8]) -> Option<String> {
        let tag = hmac::sign(self.0.get()?, bytes);
        Some(hex::encode(tag.as_ref().get(..16).unwrap_or_default()))
    }
}

/// The line of an event; every field is always there.
#[derive(Serialize)]
struct Line<'a> {
    time: Timestamp,
    id: &'a str,
    tenant: Option<&'a str>,
    sender: Option<&'a str>,
    caller: Option<&'a str>,
    recipient_hash: OneOrList<Option<String>>,
    country: Option<&'a str>,
    category: Option<&'static str>,
    template: Option<&'a str>,
    category_source: Option<&'static str>,
    decision: Option<&'static str>,
    reason: Option<&'static str>,
    basis: Option<&'static str>,
    rule: Option<&'a str>,
    revision: Option<&'a str>,
    mode: Option<&'static str>,
    event_seq: OneOrList<Option<u32>>,
    gate_record: OneOrList<Option<String>>,
    window: Option<&'static str>,
    outcome: &'static str,
    upstream_status: Option<u16>,
    message_id: Option<String>,
}

/// Writes an event's line, newline included.
pub(super) fn write(
    event: &Event,
    hash: &KeyedHash,
    tenants: &[String],
    out: &mut Vec<u8>,
) -> io::Result<()> {
    let (decision, reason, basis) = verdict(event.verdict);
    let country = event.readings.iter().next().and_then(|reading| country::of(&reading.recipient));
    let line = Line {
        time: event.time,
        id: event.id.as_str(),
        tenant: event.tenant.and_then(|index| tenants.get(index)).map(String::as_str),
        sender: event.sender.as_ref().map(Text::as_str),
        caller: event.caller.as_deref(),
        recipient_hash: of_each(event, |reading| hash.recipient(&reading.recipient)),
        country: country.as_ref().map(Text::as_str),
        category: event.category.map(Category::name),
        template: event.template.as_deref(),
        category_source: event.category.map(|_| category_source(event.listed)),
        decision,
        reason: reason.map(DenyReason::name),
        basis,
        rule: event.rule.as_deref(),
        revision: event.revision.as_ref().map(Text::as_str),
        mode: event.mode.map(Mode::name),
        event_seq: of_each(event, |reading| found(reading).map(|record| record.seq)),
        gate_record: of_each(event, gate_record),
        window: window(event),
        outcome: event.outcome.name(),
        upstream_status: event.outcome.status(),
        message_id: event.message_id.as_ref().and_then(|id| hash.message_id(id.danger_reveal())),
    };
    serde_json::to_writer(&mut *out, &line)?;
    out.push(b'\n');
    Ok(())
}

/// Where the category came from.
const fn category_source(listed: Option<bool>) -> &'static str {
    match listed {
        Some(true) => "catalogue",
        Some(false) => "unlisted",
        None => "request",
    }
}

type Names = (Option<&'static str>, Option<DenyReason>, Option<&'static str>);

/// The fields `decision`, `reason` and `basis`.
fn verdict(verdict: Option<Verdict>) -> Names {
    match verdict {
        Some(Verdict::Allow { basis, would_deny }) => (Some("allow"), would_deny, Some(basis.name())),
        Some(Verdict::Deny(reason)) => (Some("deny"), Some(reason), None),
        None => (None, None, None),
    }
}

fn found(reading: &Reading) -> Option<GateRecord> {
    match reading.lookup {
        Some(Lookup::Found(record)) => Some(record),
        Some(Lookup::Absent | Lookup::Unavailable) | None => None,
    }
}

fn gate_record(reading: &Reading) -> Option<String> {
    match reading.lookup {
        Some(Lookup::Found(record)) => Some(hex::encode(record.encode())),
        // Told apart from an absent record, because a replay must judge it by the failure stance.
        Some(Lookup::Unavailable) => Some("unavailable".to_owned()),
        Some(Lookup::Absent) | None => None,
    }
}

/// Open if it is for everybody whom the send could reach; otherwise what is known of windows.
fn window(event: &Event) -> Option<&'static str> {
    let knowledge = event.window?;
    let mut records = event.readings.iter().map(found).peekable();
    let anybody = records.peek().is_some();
    if anybody && records.all(|record| record.is_some_and(|r| r.window_open(event.time))) {
        return Some("open");
    }
    Some(match knowledge {
        WindowKnowledge::Learnt => "closed",
        WindowKnowledge::NotLearnt => "unknown",
        WindowKnowledge::Unavailable => "unavailable",
    })
}

/// A field that has a value for each reading: `null` without any, plain with one, a list with several.
enum OneOrList<T> {
    None,
    One(T),
    List(Vec<T>),
}

fn of_each<T>(event: &Event, field: impl Fn(&Reading) -> T) -> OneOrList<T> {
    let mut readings = event.readings.iter();
    match (readings.next(), readings.next()) {
        (None, _) => OneOrList::None,
        (Some(only), None) => OneOrList::One(field(only)),
        (Some(_), Some(_)) => OneOrList::List(event.readings.iter().map(field).collect()),
    }
}

impl<T: Serialize> Serialize for OneOrList<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => serializer.serialize_none(),
            Self::One(value) => value.serialize(serializer),
            Self::List(values) => values.serialize(serializer),
        }
    }
}
