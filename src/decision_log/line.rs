//! An event as its line: persons hashed, fields in the documented order.

use std::sync::{Arc, OnceLock};

use super::country;
use super::event::{Event, Reading, Template, Text, Verdict};
use crate::consent::mac::MacKey;
use crate::consent::{Basis, DenyReason, GateRecord, Lookup, Recipient, RecipientKey, Timestamp};
use crate::policy::WindowKnowledge;
use crate::wire::json_text;

/// Hashes what must not be read, so that equal things still look equal on every node that shares the key.
///
/// Clones share the key. As long as it is not known there is no hash: one without a key could be reversed by trying all numbers.
#[derive(Clone, Default)]
pub struct KeyedHash(Arc<OnceLock<MacKey>>);

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
        let _ = self.0.set(MacKey::new(key));
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
        self.0.get()?.hash([bytes]).first_chunk().copied()
    }
}

/// More than nearly every line has.
const LINE: usize = 1024;

/// Writes lines. By hand, because every decision gets one: less than a third of what a general serializer takes.
pub(super) struct Lines {
    hash: KeyedHash,
    /// The last second that was written, and how, without its `Z`.
    second: (u64, String),
}

impl Lines {
    pub(super) fn new(hash: KeyedHash) -> Self {
        Self { hash, second: (0, whole_second(0)) }
    }

    /// Writes an event's line, newline included; every field is always there.
    pub(super) fn write(&mut self, event: &Event, tenants: &[String], out: &mut Vec<u8>) {
        out.reserve(LINE);
        let (decision, reason, basis) = verdict(event.verdict);
        let tenant = event.tenant.and_then(|index| tenants.get(index)).map(String::as_str);
        let country = event.readings.iter().next().and_then(|reading| country::of(&reading.recipient));
        out.extend_from_slice(b"{\"time\":\"");
        self.time(event.time, out);
        out.extend_from_slice(b"\",\"id\":\"");
        out.extend_from_slice(event.id.bytes());
        out.push(b'"');
        text(b",\"tenant\":", tenant, out);
        name(b",\"sender\":", event.sender.as_ref().map(Text::bytes), out);
        text(b",\"caller\":", event.caller.as_deref(), out);
        out.extend_from_slice(b",\"recipient_hash\":");
        each(event, out, |reading, out| hex(self.hash.tag(reading.recipient.key().bytes()), out));
        name(b",\"country\":", country.as_ref().map(Text::bytes), out);
        name(b",\"category\":", event.category.map(|category| category.name().as_bytes()), out);
        name(b",\"template\":", event.template.as_ref().map(Template::bytes), out);
        name(b",\"category_source\":", event.category.map(|_| category_source(event.listed)), out);
        name(b",\"decision\":", decision, out);
        name(b",\"reason\":", reason.map(|reason| reason.name().as_bytes()), out);
        name(b",\"basis\":", basis.map(|basis| basis.name().as_bytes()), out);
        text(b",\"rule\":", event.rule.as_deref(), out);
        name(b",\"revision\":", event.revision.as_ref().map(Text::bytes), out);
        name(b",\"mode\":", event.mode.map(|mode| mode.name().as_bytes()), out);
        out.extend_from_slice(b",\"event_seq\":");
        each(event, out, |reading, out| number(found(reading).map(|record| record.seq), out));
        out.extend_from_slice(b",\"gate_record\":");
        each(event, out, gate_record);
        name(b",\"window\":", window(event), out);
        name(b",\"outcome\":", Some(event.outcome.name().as_bytes()), out);
        out.extend_from_slice(b",\"upstream_status\":");
        number(event.outcome.status().map(u32::from), out);
        out.extend_from_slice(b",\"message_id\":");
        hex(event.message_id.as_ref().and_then(|id| self.hash.tag(id.danger_bytes())), out);
        out.extend_from_slice(b"}\n");
    }

    /// RFC 3339. Only the fraction differs from one event to the next, nearly always.
    fn time(&mut self, time: Timestamp, out: &mut Vec<u8>) {
        let (second, millis) = (time.as_millis() / 1000, time.as_millis() % 1000);
        if self.second.0 != second {
            self.second = (second, whole_second(second));
        }
        out.extend_from_slice(self.second.1.as_bytes());
        if millis > 0 {
            let digit = |place: u64| b'0' + u8::try_from(millis / place % 10).unwrap_or_default();
            let digits = [digit(100), digit(10), digit(1)];
            out.push(b'.');
            let kept = digits.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1);
            out.extend_from_slice(digits.get(..kept).unwrap_or_default());
        }
        out.push(b'Z');
    }
}

fn whole_second(second: u64) -> String {
    Timestamp::from_secs(second).to_string().trim_end_matches('Z').to_owned()
}

/// A field with text from the configuration, which may hold anything. A key comes with all that stands around it: one copy.
#[inline]
fn text(key: &[u8], value: Option<&str>, out: &mut Vec<u8>) {
    out.extend_from_slice(key);
    match value {
        None => null(out),
        Some(text) => {
            out.push(b'"');
            json_text::push(text, out);
            out.push(b'"');
        }
    }
}

/// A field with text in which nothing is to be escaped: a name of our own, or what [`Text`] and a template's name may hold.
#[inline]
fn name(key: &[u8], value: Option<&[u8]>, out: &mut Vec<u8>) {
    out.extend_from_slice(key);
    match value {
        None => null(out),
        Some(name) => {
            out.push(b'"');
            out.extend_from_slice(name);
            out.push(b'"');
        }
    }
}

/// A value for each reading: `null` without any, plain with one, a list with several.
#[inline]
fn each(event: &Event, out: &mut Vec<u8>, mut write: impl FnMut(&Reading, &mut Vec<u8>)) {
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
        Some(value) => out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes()),
    }
}

/// Bytes as text of lower-case hexadecimal digits.
#[inline]
fn hex<const N: usize>(bytes: Option<[u8; N]>, out: &mut Vec<u8>) {
    let Some(bytes) = bytes else { return null(out) };
    // Arithmetic instead of a table: the compiler makes many digits at once of it.
    let digit = |nibble: u8| b'0' + nibble + (b'a' - b'9' - 1) * u8::from(nibble > 9);
    let mut digits = [[0; 2]; N];
    for (pair, byte) in digits.iter_mut().zip(bytes) {
        *pair = [digit(byte >> 4), digit(byte & 15)];
    }
    out.push(b'"');
    out.extend_from_slice(digits.as_flattened());
    out.push(b'"');
}

/// Where the category came from.
const fn category_source(listed: Option<bool>) -> &'static [u8] {
    match listed {
        Some(true) => b"catalogue",
        Some(false) => b"unlisted",
        None => b"request",
    }
}

type Names = (Option<&'static [u8]>, Option<DenyReason>, Option<Basis>);

/// The fields `decision`, `reason` and `basis`.
fn verdict(verdict: Option<Verdict>) -> Names {
    match verdict {
        Some(Verdict::Allow { basis, would_deny }) => (Some(b"allow"), would_deny, Some(basis)),
        Some(Verdict::Deny(reason)) => (Some(b"deny"), Some(reason), None),
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
fn window(event: &Event) -> Option<&'static [u8]> {
    let knowledge = event.window?;
    let mut records = event.readings.iter().map(found).peekable();
    let anybody = records.peek().is_some();
    if anybody && records.all(|record| record.is_some_and(|r| r.window_open(event.time))) {
        return Some(b"open");
    }
    Some(match knowledge {
        WindowKnowledge::Learnt => b"closed",
        WindowKnowledge::NotLearnt => b"unknown",
        WindowKnowledge::Open => b"open",
        WindowKnowledge::Unavailable => b"unavailable",
    })
}

#[cfg(test)]
mod tests;
