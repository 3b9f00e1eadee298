//! What an export tells about one person: their own events, and the links that none of those tells of.
//!
//! Each link comes back as what it was, declared or observed, so that the same withdrawals and grants cross it.

use std::collections::BTreeMap;

use crate::consent::dossier::{Dossier, Provenance};
use crate::consent::event::{EventAsWritten, EventId};
use crate::consent::{Actor, Event, Kind, Recipient, RecipientHash, RecipientKey, Timestamp};
use crate::store::{ConsentStore, StoreError};

/// Everything about a person. What crossed a link is told with the person whose event it is.
pub(super) async fn of_person(
    store: &ConsentStore,
    tenant: usize,
    (key, dossier): (&RecipientKey, &Dossier),
) -> Result<Vec<EventAsWritten>, StoreError> {
    let own = dossier.own_history(key).into_iter();
    let mut events: Vec<EventAsWritten> = own.map(|event| written(&event, dossier)).collect();
    let Some(recipient) = key.recipient() else { return Ok(events) };
    let untold = untold(store, tenant, (key, dossier)).await?;
    for (provenance, id) in
        [(Provenance::Declared, EventId::LINKS_DECLARED), (Provenance::Observed, EventId::LINKS_OBSERVED)]
    {
        let links = untold.iter().filter(|(_, of)| *of == provenance);
        let links: Vec<String> = links.map(|(other, _)| other.danger_string()).collect();
        if !links.is_empty() {
            let observed = (provenance == Provenance::Observed).then_some(true);
            events.push(EventAsWritten { id: Some(id.to_owned()), links, observed, ..link(&recipient) });
        }
    }
    Ok(events)
}

/// The same with the tenant's name and, beside a hash, what tells under which key that was made.
pub(super) fn marked(event: EventAsWritten, tenant: Option<&str>, hash_key: &str) -> EventAsWritten {
    let is_hash = |text: &String| text.starts_with(RecipientHash::PREFIX);
    let hashes = is_hash(&event.recipient) || event.links.iter().any(is_hash);
    EventAsWritten {
        tenant: tenant.map(str::to_owned),
        hash_key: hashes.then(|| hash_key.to_owned()),
        ..event
    }
}

fn written(event: &Event, dossier: &Dossier) -> EventAsWritten {
    let observed = provenance(event, dossier) == Provenance::Observed;
    EventAsWritten { observed: observed.then_some(true), ..event.as_written(None) }
}

/// How an event says that its links are known: as observed if every one of them is.
fn provenance(event: &Event, dossier: &Dossier) -> Provenance {
    let own = event.recipient.key();
    let mut others = event.links.iter().map(Recipient::key).filter(|key| *key != own).peekable();
    let observed = |key: RecipientKey| dossier.links().any(|known| known == (&key, Provenance::Observed));
    if others.peek().is_some() && others.all(observed) { Provenance::Observed } else { Provenance::Declared }
}

/// Links that no event tells of as what they are: of inbound events only the latest is kept, and an event may name several identities of which only some
/// were observed.
///
/// Told once, from the side that comes first.
async fn untold(
    store: &ConsentStore,
    tenant: usize,
    (key, dossier): (&RecipientKey, &Dossier),
) -> Result<Vec<(Recipient, Provenance)>, StoreError> {
    let told = links_told(key, dossier);
    let mut untold = Vec::new();
    for (other, provenance) in dossier.links().filter(|(other, _)| *other > key) {
        if told.get(other) >= Some(&provenance) {
            continue;
        }
        let others = store.dossier(tenant, other).await?.unwrap_or_default();
        if links_told(other, &others).get(key) < Some(&provenance) {
            untold.extend(other.recipient().map(|other| (other, provenance)));
        }
    }
    Ok(untold)
}

/// Whom a person's own events name, and as how known.
fn links_told(key: &RecipientKey, dossier: &Dossier) -> BTreeMap<RecipientKey, Provenance> {
    let mut told = BTreeMap::new();
    for event in dossier.history().into_iter().filter(|event| event.recipient.key() == *key) {
        let provenance = provenance(event, dossier);
        for link in &event.links {
            let known = told.entry(link.key()).or_insert(provenance);
            *known = provenance.max(*known);
        }
    }
    told
}

fn link(own: &Recipient) -> EventAsWritten {
    EventAsWritten {
        recipient: own.danger_string(),
        kind: Some(Kind::Link),
        // The same in every export, so that a repeat is one.
        occurred_at: Some(Timestamp::EPOCH),
        received_at: Some(Timestamp::EPOCH),
        actor: Some(Actor::System),
        source: Some("export".to_owned()),
        ..EventAsWritten::default()
    }
}
