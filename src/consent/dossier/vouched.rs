//! How far a link that the provider shows may be trusted: one number has one user id at a time, and one user id one number.
//!
//! A number that suddenly stands beside another user id is somebody else's by now, for all that is known: what was agreed for it is not the newcomer's. Ids are
//! made anew when a person changes their number, which the provider tells (Meta, "Business-scoped user IDs"; the webhook `user_changed_user_id`); where it
//! did, the id is the same person's.

use std::collections::BTreeMap;

use super::{Dossier, Provenance};
use crate::consent::event::{Actor, Event, Kind};
use crate::consent::recipient::RecipientKey;

/// As what to note a link that the provider shows in an event, between its recipient and one of its links: as observed, so that grants cross it, unless one of
/// the two is known to be somebody else's.
///
/// Only stricter the more is known, so that whoever stands in doubt may be shown again once the doubt is explained.
pub fn vouched(dossiers: &BTreeMap<RecipientKey, Dossier>, event: &Event, to: &RecipientKey) -> Provenance {
    let own = event.recipient.key();
    let shown = Shown { dossiers, event };
    if shown.has_another_id(&own, to) || shown.has_another_number(&own, to) {
        Provenance::Declared
    } else {
        Provenance::Observed
    }
}

struct Shown<'a> {
    dossiers: &'a BTreeMap<RecipientKey, Dossier>,
    event: &'a Event,
}

impl Shown<'_> {
    fn observed<'s>(&'s self, of: &RecipientKey) -> impl Iterator<Item = &'s RecipientKey> {
        let links = self.dossiers.get(of).into_iter().flat_map(Dossier::links);
        links.filter(|(_, provenance)| *provenance == Provenance::Observed).map(|(key, _)| key)
    }

    /// Whether the recipient is known under ids of which the event names none, and the provider has not told that one of them became this one.
    fn has_another_id(&self, own: &RecipientKey, to: &RecipientKey) -> bool {
        let mut known = self.observed(own).filter(|known| rival_ids(own, known, to)).peekable();
        known.peek().is_some() && !known.any(|known| names(self.event, known) || self.became(known, to))
    }

    /// Whether the id is known to be another number's.
    fn has_another_number(&self, own: &RecipientKey, to: &RecipientKey) -> bool {
        self.observed(to).any(|known| match (own, known) {
            (RecipientKey::Phone(own), RecipientKey::Phone(known)) => own != known,
            // Of hashes nobody can tell which is a number's.
            (RecipientKey::Hashed(_), known) => known != own && !names(self.event, known),
            _ => false,
        })
    }

    /// Whether the provider told of both that they are one person's, one after the other.
    fn became(&self, one: &RecipientKey, other: &RecipientKey) -> bool {
        let events = self.dossiers.values().flat_map(|dossier| dossier.events.values());
        let mut told = events.filter(|e| e.kind == Kind::Link && e.actor == Actor::Provider);
        told.any(|event| names(event, one) && names(event, other))
    }
}

/// Whether `known`, which is linked to `own`, may be what `to` would stand in place of.
fn rival_ids(own: &RecipientKey, known: &RecipientKey, to: &RecipientKey) -> bool {
    match (own, known, to) {
        (RecipientKey::Phone(_), RecipientKey::UserId(_), RecipientKey::UserId(_))
        | (RecipientKey::Hashed(_), _, _) => true,
        (RecipientKey::UserId(_), RecipientKey::UserId(known), RecipientKey::UserId(to)) => {
            known.is_parent() == to.is_parent()
        }
        _ => false,
    }
}

fn names(event: &Event, key: &RecipientKey) -> bool {
    event.recipient.key() == *key || event.links.iter().any(|link| link.key() == *key)
}
