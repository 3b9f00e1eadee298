//! What is written before an event changes several keys or a person is erased, so that any node can finish what a dead one began.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::consent::dossier::Provenance;
use crate::consent::event::EventAsWritten;
use crate::consent::{Event, Recipient, TenantId, Timestamp};
use crate::store::erasure::Wanted;
use crate::store::learning::Lesson;
use crate::store::place::Place;

/// How old an intent is when its writer counts as dead.
const ABANDONED: Duration = Duration::from_secs(10);

#[derive(Serialize, Deserialize)]
struct Stored {
    tenant: u32,
    observed: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    retold: bool,
    at_ms: u64,
    event: EventAsWritten,
    /// The event's recipient is to be erased.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    erases: bool,
}

/// A fresh id, which no other writer has.
pub(super) fn id() -> Result<String, getrandom::Error> {
    Ok(format!("{:016x}{:016x}", getrandom::u64()?, getrandom::u64()?))
}

/// The stored form of a lesson that is under way.
pub(super) fn encode(lesson: &Lesson) -> Vec<u8> {
    let stored = Stored {
        tenant: lesson.tenant.0,
        observed: lesson.provenance == Provenance::Observed,
        retold: lesson.retold,
        at_ms: now_ms(),
        event: lesson.event.as_written(None),
        erases: false,
    };
    serde_json::to_vec(&stored).unwrap_or_default()
}

/// The stored form of an erasure that is under way. It has to name the person, and goes when they are gone.
pub(super) fn encode_erasure(wanted: &Wanted) -> Vec<u8> {
    let recipient = wanted.place.key.recipient();
    let event = recipient.map(|recipient| Event::erasure(recipient, wanted.at).as_written(None));
    let stored = Stored {
        tenant: wanted.place.tenant.0,
        observed: false,
        retold: false,
        at_ms: now_ms(),
        event: event.unwrap_or_default(),
        erases: true,
    };
    serde_json::to_vec(&stored).unwrap_or_default()
}

/// Everybody whom an intent to store an event names.
pub(super) fn names(bytes: &[u8]) -> Vec<Place> {
    let Ok(stored) = serde_json::from_slice::<Stored>(bytes) else { return Vec::new() };
    if stored.erases {
        return Vec::new();
    }
    let place = |text: &String| {
        let key = Recipient::parse(text)?.key();
        Some(Place { tenant: TenantId(stored.tenant), key })
    };
    std::iter::once(&stored.event.recipient).chain(&stored.event.links).filter_map(place).collect()
}

/// Whom an intent is to erase, however old it is; `None` if that is not what it is about.
pub(super) fn erasure(bytes: &[u8]) -> Option<Wanted> {
    let stored: Stored = serde_json::from_slice(bytes).ok()?;
    let event = Event::check(stored.event, Timestamp::from_secs(u64::from(u32::MAX))).ok()?;
    let place = Place { tenant: TenantId(stored.tenant), key: event.recipient.key() };
    stored.erases.then_some(Wanted { place, at: event.occurred_at })
}

/// What a stored intent asks of whoever finds it.
pub(super) enum Found {
    /// Its writer is probably still at it.
    Fresh,
    /// To be finished.
    Abandoned(Box<Lesson>),
    /// Somebody is to be erased.
    AbandonedErasure(Wanted),
    /// Not readable.
    Unreadable,
}

pub(super) fn decode(bytes: &[u8]) -> Found {
    let Ok(stored) = serde_json::from_slice::<Stored>(bytes) else { return Found::Unreadable };
    // Nodes' clocks differ: finishing early is harmless, because learning twice is.
    if now_ms().saturating_sub(stored.at_ms) < u64::try_from(ABANDONED.as_millis()).unwrap_or_default() {
        return Found::Fresh;
    }
    let Ok(event) = Event::check(stored.event, Timestamp::from_secs(u64::from(u32::MAX))) else {
        return Found::Unreadable;
    };
    if stored.erases {
        let place = Place { tenant: TenantId(stored.tenant), key: event.recipient.key() };
        return Found::AbandonedErasure(Wanted { place, at: event.occurred_at });
    }
    let provenance = if stored.observed { Provenance::Observed } else { Provenance::Declared };
    let (tenant, retold) = (TenantId(stored.tenant), stored.retold);
    Found::Abandoned(Box::new(Lesson { tenant, event, provenance, retold }))
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
