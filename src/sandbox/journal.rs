//! What arrived, in order and exactly as it arrived.
//!
//! Bounded in entries and in bytes: when either bound is met, the oldest entries go. Entries hold numbers, tokens and message texts on
//! purpose: what `{:?}` prints of them holds none.

use std::collections::VecDeque;
use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, Method};
use tokio::sync::Notify;

use super::json::{Object, list, quoted};

/// A body up to this size is kept whole; of a larger one the length and the SHA-256 are kept.
pub(super) const WHOLE_BODY: usize = 1 << 20;
const ALL_BODIES: usize = 256 << 20;

/// The body of one request.
#[derive(Clone)]
pub enum Body {
    /// Every byte of it.
    Whole(Bytes),
    /// Its length and digest, because it was too large to keep.
    Digest {
        /// How many bytes arrived.
        length: u64,
        /// SHA-256 of them.
        sha256: [u8; 32],
    },
}

/// One send as the sandbox understood it.
#[derive(Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The recipient as it was written; empty where it is encrypted.
    pub to: String,
    /// `utility`, `marketing`, `authentication`, `service`, `call`, `encrypted`, or `unknown` for a template that is not listed.
    pub category: String,
}

/// One request.
#[derive(Clone)]
pub struct Entry {
    /// Counts from 1 and never repeats, not even after a clear.
    pub number: u64,
    /// When its head had arrived.
    pub at: SystemTime,
    /// The method on the request line.
    pub method: Method,
    /// The target on the request line.
    pub target: String,
    /// The header fields; names in lower case, in order of first appearance.
    pub headers: HeaderMap,
    /// The body without its framing.
    pub body: Body,
    /// Whether the body arrived to its end.
    pub complete: bool,
    /// Every send it asked for, whether it was accepted or not; several in a batch.
    pub sends: Vec<Delivery>,
    /// The status it was answered with; `None` when no answer was due or a fault ate it.
    pub status: Option<u16>,
}

/// The journal of one sandbox.
pub struct Journal {
    capacity: usize,
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Default)]
struct State {
    entries: VecDeque<Arc<Entry>>,
    bytes: usize,
    last: u64,
    requests: u64,
    sends: u64,
}

impl Journal {
    pub(super) fn new(capacity: usize) -> Self {
        Journal { capacity, state: Mutex::default(), arrived: Notify::new() }
    }

    /// Adds an entry and gives it its number.
    pub(super) fn push(&self, mut entry: Entry) {
        let mut state = self.state();
        state.last += 1;
        entry.number = state.last;
        state.requests += 1;
        state.sends += entry.sends.len() as u64;
        state.bytes += kept(&entry);
        state.entries.push_back(Arc::new(entry));
        while state.entries.len() > self.capacity || state.bytes > ALL_BODIES {
            let Some(oldest) = state.entries.pop_front() else { break };
            state.bytes -= kept(&oldest);
        }
        drop(state);
        self.arrived.notify_waiters();
    }

    /// Waits until this many requests have arrived since the start or the last clear.
    pub async fn reached(&self, requests: u64) {
        loop {
            // Listens before it looks: what arrives in between wakes it.
            let mut arrived = pin!(self.arrived.notified());
            arrived.as_mut().enable();
            if self.requests() >= requests {
                return;
            }
            arrived.await;
        }
    }

    /// Every entry that is still kept, oldest first.
    pub fn entries(&self) -> Vec<Arc<Entry>> {
        self.since(0)
    }

    /// The entries after the one with this number.
    pub fn since(&self, number: u64) -> Vec<Arc<Entry>> {
        let state = self.state();
        let first = state.entries.partition_point(|entry| entry.number <= number);
        state.entries.range(first..).cloned().collect()
    }

    /// How many requests arrived since the start or the last clear, dropped ones included.
    pub fn requests(&self) -> u64 {
        self.state().requests
    }

    /// How many sends they asked for, accepted or not.
    pub fn sends(&self) -> u64 {
        self.state().sends
    }

    /// Both counts at one moment.
    pub(super) fn counts(&self) -> (u64, u64) {
        let state = self.state();
        (state.requests, state.sends)
    }

    /// Forgets everything and counts from zero again.
    pub fn clear(&self) {
        let mut state = self.state();
        *state = State { last: state.last, ..State::default() };
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// How the control endpoint shows it.
    pub(super) fn json(&self) -> String {
        let at = time::OffsetDateTime::from(self.at)
            .format(&time::format_description::well_known::Rfc3339)
            .unwrap_or_default();
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| list([quoted(name.as_str()), quoted(&latin1(value.as_bytes()))]));
        let entry = Object::new()
            .raw("number", self.number)
            .text("at", &at)
            .text("method", self.method.as_str())
            .text("target", &self.target)
            .raw("headers", list(headers));
        let status = self.status.map_or("null".to_owned(), |status| status.to_string());
        body(entry, &self.body)
            .raw("complete", self.complete)
            .raw("sends", list(self.sends.iter().map(Delivery::json)))
            .raw("status", status)
            .finish()
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("number", &self.number)
            .field("method", &self.method)
            .field("complete", &self.complete)
            .field("sends", &self.sends)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").field("category", &self.category).finish_non_exhaustive()
    }
}

impl Delivery {
    fn json(&self) -> String {
        Object::new().text("to", &self.to).text("category", &self.category).finish()
    }
}

fn body(entry: Object, body: &Body) -> Object {
    match body {
        Body::Whole(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => entry.text("body", text),
            Err(_) => entry.text("body_base64", &STANDARD.encode(bytes)),
        },
        Body::Digest { length, sha256 } => {
            entry.text("body_sha256", &hex::encode(sha256)).raw("body_len", length)
        }
    }
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

fn kept(entry: &Entry) -> usize {
    match &entry.body {
        Body::Whole(bytes) => bytes.len(),
        Body::Digest { .. } => 0,
    }
}
