//! The consent event that a decision rested on, as it was known at the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use tokio::sync::Semaphore;
use utoipa::ToSchema;

use super::line::{Found, Line, RecordRead};
use crate::admin::Control;
use crate::admin::auth::Scope;
use crate::admin::caller::Caller;
use crate::admin::problem::{Fault, Problem};
use crate::consent::chain::{Content, Subject};
use crate::consent::dossier::Dossier;
use crate::consent::event::EventAsWritten;
use crate::consent::{Category, Event, EventId, Kind, Recipient, RecipientKey, Timestamp};
use crate::store::StoreError;

/// What became of the question for the consent behind a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    /// The events are in `people`.
    Shown,
    /// Nothing was known about the recipient when it was decided.
    NothingRecorded,
    /// The person has been erased since.
    Erased,
    /// The store does not hold the person, or keeps hashes only.
    NotFound,
    /// The store did not answer when it was decided.
    Unavailable,
    /// The tenant is configured no more.
    TenantGone,
    /// Nobody was looked up.
    NotAsked,
    /// The token lacks the scope `consent:read`.
    NotPermitted,
}

/// The consent behind a decision.
#[derive(Serialize, ToSchema)]
pub(super) struct Consent {
    pub(super) status: Status,
    /// The same in a sentence.
    note: &'static str,
    /// Everybody whom the send could reach and of whom something is known.
    pub(super) people: Vec<Person>,
}

/// One person's side of a decision.
#[derive(Serialize, ToSchema)]
pub(super) struct Person {
    /// `+E.164`, a BSUID, or a keyed hash where the store keeps nothing else.
    recipient: String,
    /// How they stood to the category, by the events that had been received by then.
    state: &'static str,
    /// Since when.
    since: Option<Timestamp>,
    /// Until when a grant held.
    until: Option<Timestamp>,
    /// The event that this rested on, with wording and evidence.
    pub(super) event: Option<EventShown>,
    /// Whether these events explain the record that the gate read. They do not if an event was imported with an earlier time of receipt, or erased.
    agrees: bool,
    /// Events about this category that were received only after the decision.
    later: Vec<EventShown>,
}

/// An event and its place in the person's chain.
#[derive(Serialize, ToSchema)]
pub(super) struct EventShown {
    /// Its place in the recipient's hash chain, which `optgate audit verify` checks.
    chain_position: Option<u32>,
    /// The event.
    pub(super) event: EventAsWritten,
}

impl Consent {
    const fn without_people(status: Status) -> Self {
        let note = match status {
            Status::Shown => "the events that the decision rested on",
            Status::NothingRecorded => "nothing had been recorded about the recipient when it was decided",
            Status::Erased => "the person has been erased since: the decision remains, the events are gone",
            Status::NotFound => {
                "the consent store holds nobody now to whom this decision's hash belongs: erased since, or it keeps keyed hashes only and must be asked with the recipient"
            }
            Status::Unavailable => "the consent store did not answer when it was decided",
            Status::TenantGone => "the tenant is configured no more, so its people are not looked for",
            Status::NotAsked => "nobody's consent was looked up: it was decided before",
            Status::NotPermitted => {
                "the token may not see the person's events: that needs the scope consent:read"
            }
        };
        Self { status, note, people: Vec::new() }
    }
}

/// Looks for the consent behind a decision.
///
/// # Errors
/// The recipient that was given is not the decision's, or the store does not answer.
pub(super) async fn of(
    control: &Control,
    caller: &Caller,
    line: &Line,
    given: Option<Recipient>,
) -> Result<Consent, Problem> {
    let (Some(category), [_, ..]) = (line.category, line.records.as_slice()) else {
        return Ok(Consent::without_people(Status::NotAsked));
    };
    let Some(place) = line.place else {
        let status = if line.tenant.is_some() { Status::TenantGone } else { Status::NotAsked };
        return Ok(Consent::without_people(status));
    };
    if !caller.holds(Scope::ConsentRead) {
        return Ok(Consent::without_people(Status::NotPermitted));
    }
    let none = |found| line.records.iter().all(|record| record.found == found);
    let search = match given {
        Some(recipient) => Search { keys: vec![confirmed(control, line, &recipient)?], gone: false },
        None if none(Found::None) => return Ok(Consent::without_people(Status::NothingRecorded)),
        None if none(Found::Unavailable) => return Ok(Consent::without_people(Status::Unavailable)),
        None => search(control, place, line).await.map_err(|error| unread(&error))?,
    };
    let mut people = Vec::new();
    let mut erased = search.gone;
    for key in search.keys {
        let dossier = control.store.dossier(place, &key).await.map_err(|error| unread(&error))?;
        let Some(dossier) = dossier.filter(|dossier| !dossier.is_empty()) else { continue };
        if let Some(recipient) = key.recipient() {
            caller.touches(Some(place), &recipient);
        }
        if dossier.history().iter().all(|event| event.kind == Kind::Erase) {
            erased = true;
            continue;
        }
        people.extend(person(control, line, category, (&key, &dossier)));
    }
    let status = if erased {
        Status::Erased
    } else if none(Found::None) && people.iter().all(|person: &Person| person.event.is_none()) {
        Status::NothingRecorded
    } else if people.is_empty() {
        Status::NotFound
    } else {
        Status::Shown
    };
    Ok(Consent { people, ..Consent::without_people(status) })
}

fn unread(error: &StoreError) -> Problem {
    tracing::warn!(error = error as &dyn std::error::Error, "the consent behind a decision was not read");
    Problem::new(Fault::StoreUnavailable, "the consent behind the decision could not be read; try again")
}

/// The key of a recipient who was given, if the decision is about them.
fn confirmed(control: &Control, line: &Line, recipient: &Recipient) -> Result<RecipientKey, Problem> {
    let hash = control.log.hash().recipient(recipient);
    if hash.is_some() && line.records.iter().any(|record| record.recipient_hash == hash) {
        return Ok(recipient.key());
    }
    Err(Problem::new(Fault::Invalid, "recipient: the decision is about somebody else"))
}

/// Whom a decision's hashes belong to.
struct Search {
    keys: Vec<RecipientKey>,
    /// Nobody any more, in a store that knows people by their numbers.
    gone: bool,
}

/// Finds whom the decision's hashes belong to by hashing everybody whom the tenant knows.
async fn search(control: &Control, place: usize, line: &Line) -> Result<Search, StoreError> {
    /// One at a time: each looks at everybody.
    static SEARCHING: Semaphore = Semaphore::const_new(1);
    let found = line.records.iter().filter(|record| record.found == Found::Record);
    let wanted: Vec<String> = found.filter_map(|record| record.recipient_hash.clone()).collect();
    let (hash, limit) = (control.log.hash().clone(), wanted.len());
    let plain = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&plain);
    let is_wanted = move |key: &RecipientKey| {
        let hash = hash.key(key);
        if hash.is_some() {
            seen.store(true, Ordering::Relaxed);
        }
        hash.is_some_and(|hash| wanted.contains(&hash))
    };
    // The semaphore is never closed.
    let _turn = SEARCHING.acquire().await;
    let keys = control.store.find(place, limit, is_wanted).await?;
    let gone = keys.is_empty() && plain.load(Ordering::Relaxed);
    Ok(Search { keys, gone })
}

/// One person's side of the decision.
fn person(
    control: &Control,
    line: &Line,
    category: Category,
    (key, dossier): (&RecipientKey, &Dossier),
) -> Option<Person> {
    let recipient = key.recipient()?;
    let hash = control.log.hash().recipient(&recipient);
    let read = line.records.iter().find(|record| record.recipient_hash == hash);
    let known = as_known_at(dossier, line.time);
    let record = known.record().categories.get(category.index()).cloned().unwrap_or_default();
    let event = match line.basis.as_deref() {
        Some("window") => latest_inbound(&known),
        Some(_) | None => record.event.as_ref().and_then(|id| named(&known, id, category)),
    };
    let later = |event: &&Event| event.received_at > line.time && concerns(event, category);
    Some(Person {
        recipient: recipient.danger_string(),
        state: record.state.name(),
        since: record.since,
        until: record.until,
        event: event.map(|event| shown(dossier, event)),
        agrees: read.is_none_or(|read: &RecordRead| read.state(category) == record.state),
        later: dossier.history().into_iter().filter(later).map(|event| shown(dossier, event)).collect(),
    })
}

/// The dossier without what was received later.
fn as_known_at(dossier: &Dossier, at: Timestamp) -> Dossier {
    let mut known = Dossier::default();
    for event in dossier.history().into_iter().filter(|event| event.received_at <= at) {
        known.learn(event.clone());
    }
    for (to, provenance) in dossier.links() {
        known.link(to.clone(), provenance);
    }
    known
}

fn concerns(event: &Event, category: Category) -> bool {
    match event.kind {
        Kind::Grant | Kind::Revoke | Kind::Resume => event.covers(category),
        Kind::Inbound => category == Category::Service,
        Kind::Erase => true,
        Kind::Link => false,
    }
}

fn latest_inbound(known: &Dossier) -> Option<&Event> {
    known.history().into_iter().rfind(|event| event.kind == Kind::Inbound)
}

fn named<'a>(known: &'a Dossier, id: &EventId, category: Category) -> Option<&'a Event> {
    known.history().into_iter().rfind(|event| event.id == *id && concerns(event, category))
}

fn shown(dossier: &Dossier, event: &Event) -> EventShown {
    let wanted = Subject::Event { owner: event.recipient.key(), id: event.id.clone() };
    let is_it = |content: &Content| match content {
        Content::Known { subject, .. } => *subject == wanted,
        Content::Erased { .. } => false,
    };
    EventShown {
        chain_position: dossier
            .chain()
            .numbered()
            .find(|(_, entry)| is_it(&entry.content))
            .map(|(place, _)| place),
        event: event.as_written(None),
    }
}
