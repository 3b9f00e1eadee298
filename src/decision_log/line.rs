//! An event as its line: persons hashed, fields in the documented order.

use std::io::Write as _;
use std::sync::{Arc, OnceLock};

use aws_lc_rs::hmac;

use super::country;
use super::event::{Event, Reading, Text, Verdict};
use crate::consent::{Category, DenyReason, GateRecord, Lookup, Recipient, RecipientKey, Timestamp};
use crate::policy::{Mode, WindowKnowledge};
use crate::wire::json_text;

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

    fn short(&self, bytes: &[u8]) -> Option<String> {
        self.tag(bytes).map(hex::encode)
    }

    /// 16 bytes of the tag: no two of a billion recipients are likely to share them.
    fn tag(&self, bytes: &[u8]) -> Option<[u8; 16]> {
        hmac::sign(self.0.get()?, bytes).as_ref().first_chunk().copied()
    }
}

/// Writes lines. By hand, because every decision gets one: a third of what a general serializer takes.
pub(super) struct Lines {
    hash: KeyedHash,
    /// The last second that was written, and how.
    second: (u64, String),
}

impl Lines {
    pub(super) fn new(hash: KeyedHash) -> Self {
        Self { hash, second: (0, Timestamp::EPOCH.to_string()) }
    }

    /// Writes an event's line, newline included; every field is always there.
    pub(super) fn write(&mut self, event: &Event, tenants: &[String], out: &mut Vec<u8>) {
        let (decision, reason, basis) = verdict(event.verdict);
        let tenant = event.tenant.and_then(|index| tenants.get(index)).map(String::as_str);
        let country = event.readings.iter().next().and_then(|reading| country::of(&reading.recipient));
        out.extend_from_slice(b"{\"time\":\"");
        self.time(event.time, out);
        out.extend_from_slice(b"\",\"id\":\"");
        out.extend_from_slice(event.id.as_str().as_bytes());
        out.push(b'"');
        text("tenant", tenant, out);
        text("sender", event.sender.as_ref().map(Text::as_str), out);
        text("caller", event.caller.as_deref(), out);
        each("recipient_hash", event, out, |reading, out| self.recipient(reading, out));
        text("country", country.as_ref().map(Text::as_str), out);
        text("category", event.category.map(Category::name), out);
        text("template", event.template.as_deref(), out);
        text("category_source", event.category.map(|_| category_source(event.listed)), out);
        text("decision", decision, out);
        text("reason", reason.map(DenyReason::name), out);
        text("basis", basis, out);
        text("rule", event.rule.as_deref(), out);
        text("revision", event.revision.as_ref().map(Text::as_str), out);
        text("mode", event.mode.map(Mode::name), out);
        each("event_seq", event, out, |reading, out| number(found(reading).map(|record| record.seq), out));
        each("gate_record", event, out, gate_record);
        text("window", window(event), out);
        text("outcome", Some(event.outcome.name()), out);
        key("upstream_status", out);
        number(event.outcome.status().map(u32::from), out);
        key("message_id", out);
        let message_id = event.message_id.as_ref().map(|id| id.danger_reveal().as_bytes());
        hex(message_id.and_then(|id| self.hash.tag(id)), out);
        out.extend_from_slice(b"}\n");
    }

    /// RFC 3339. Only the fraction differs from one event to the next, nearly always.
    fn time(&mut self, time: Timestamp, out: &mut Vec<u8>) {
        let (second, millis) = (time.as_millis() / 1000, time.as_millis() % 1000);
        if self.second.0 != second {
            self.second = (second, Timestamp::from_secs(second).to_string());
        }
        let whole = self.second.1.trim_end_matches('Z').as_bytes();
        out.extend_from_slice(whole);
        if millis > 0 {
            let digit = |place: u64| b'0' + u8::try_from(millis / place % 10).unwrap_or_default();
            let digits = [digit(100), digit(10), digit(1)];
            out.push(b'.');
            let kept = digits.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1);
            out.extend_from_slice(digits.get(..kept).unwrap_or_default());
        }
        out.push(b'Z');
    }

    fn recipient(&self, reading: &Reading, out: &mut Vec<u8>) {
        hex(self.hash.tag(reading.recipient.key().bytes()), out);
    }
}

/// Begins a field that is not the first.
fn key(name: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

/// A field with text.
fn text(name: &str, value: Option<&str>, out: &mut Vec<u8>) {
    key(name, out);
    match value {
        None => null(out),
        // Names from the configuration may hold anything.
        Some(text) => {
            out.push(b'"');
            json_text::push(text, out);
            out.push(b'"');
        }
    }
}

/// A field that has a value for each reading: `null` without any, plain with one, a list with several.
fn each(name: &str, event: &Event, out: &mut Vec<u8>, mut write: impl FnMut(&Reading, &mut Vec<u8>)) {
    key(name, out);
    let mut readings = event.readings.iter();
    match (readings.next(), readings.next()) {
        (None, _) => null(out),
        (Some(only), None) => write(only, out),
        (Some(first), Some(second)) => {
            out.push(b'[');
            write(first, out);
            for reading in std::iter::once(second).chain(readings) {
                out.push(b',');
                write(reading, out);
            }
            out.push(b']');
        }
    }
}

fn null(out: &mut Vec<u8>) {
    out.extend_from_slice(b"null");
}

fn number(value: Option<u32>, out: &mut Vec<u8>) {
    match value {
        None => null(out),
        // Writing to memory does not fail.
        Some(value) => drop(write!(out, "{value}")),
    }
}

/// Bytes as text of lower-case hexadecimal digits.
fn hex<const N: usize>(bytes: Option<[u8; N]>, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0');
    let Some(bytes) = bytes else { return null(out) };
    out.push(b'"');
    out.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
    out.push(b'"');
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
        Some(Lookup::Absent | Lookup::Unavailable | Lookup::Remembered(_)) | None => None,
    }
}

fn gate_record(reading: &Reading, out: &mut Vec<u8>) {
    match reading.lookup {
        Some(Lookup::Found(record)) => hex(Some(record.encode()), out),
        // Told apart from an absent record, because a replay must judge it by the failure stance.
        Some(Lookup::Unavailable) => out.extend_from_slice(b"\"unavailable\""),
        // So is one of which only the withdrawals counted.
        Some(Lookup::Remembered(_)) => out.extend_from_slice(b"\"remembered\""),
        Some(Lookup::Absent) | None => null(out),
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
        WindowKnowledge::Open => "open",
        WindowKnowledge::Unavailable => "unavailable",
    })
}
