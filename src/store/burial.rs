//! Tombstones that arrive from another store, where the number of the person may be known here.
//!
//! A hash does not lead to a number, so everybody's is hashed and compared. An export tells its tombstones first: an empty store has nobody to look at.

use std::collections::{BTreeMap, HashMap};

use crate::consent::dossier::Provenance;
use crate::consent::event::Kind;
use crate::consent::{Event, RecipientHash, RecipientKey};

use super::learning::Lesson;
use super::naming::Naming;
use super::place::Place;
use super::{ConsentStore, StoreError};

/// By whose hash.
type Erasures = HashMap<RecipientHash, Event, ahash::RandomState>;

/// A tombstone that an event brings.
pub(super) struct Arrived {
    /// The event's place among those that came together.
    pub(super) number: usize,
    /// The tenant, by its place.
    tenant: usize,
    hash: RecipientHash,
    event: Event,
}

impl Arrived {
    /// Of an event, if it brings one to a store that keeps numbers.
    pub(super) fn of(naming: &Naming, (number, tenant): (usize, usize), event: &Event) -> Option<Self> {
        if event.kind != Kind::Erase || naming.buries_in_place() {
            return None;
        }
        let RecipientKey::Hashed(hash) = event.recipient.key() else { return None };
        Some(Self { number, tenant, hash, event: event.clone() })
    }
}

impl ConsentStore {
    /// Withdraws from everybody whose number is known here and whose tombstone has arrived.
    pub(super) async fn withdraw_from(&self, arrived: Vec<Arrived>) -> Result<(), StoreError> {
        let mut tenants = BTreeMap::<usize, Erasures>::new();
        for Arrived { tenant, hash, event, .. } in arrived {
            tenants.entry(tenant).or_default().insert(hash, event);
        }
        for (tenant, erasures) in tenants {
            let lessons = self.of_those_known(tenant, erasures).await?;
            let known: Vec<RecipientKey> =
                lessons.iter().map(|lesson| lesson.event.recipient.key()).collect();
            if !lessons.is_empty() {
                self.learn(lessons).await?;
            }
            // Whoever is in a group refuses for it from now on, without a name.
            self.hide_members(tenant, known).await?;
        }
        Ok(())
    }

    /// The erasures under the names of those who are known.
    async fn of_those_known(&self, place: usize, erasures: Erasures) -> Result<Vec<Lesson>, StoreError> {
        let (naming, tenant) = (self.identity()?.naming.clone(), self.tenant(place)?);
        let erased = move |key: &RecipientKey| match key {
            RecipientKey::Phone(_) | RecipientKey::UserId(_) => {
                erasures.get(&naming.hash(&Place { tenant, key: key.clone() })?).cloned()
            }
            RecipientKey::Hashed(_) | RecipientKey::Tenant => None,
        };
        let is_erased = {
            let erased = erased.clone();
            move |key: &RecipientKey| erased(key).is_some()
        };
        let known = self.find(place, usize::MAX, is_erased).await?;
        let lesson = |key: &RecipientKey| {
            let event = Event { recipient: key.recipient()?, links: Vec::new(), ..erased(key)? };
            Some(Lesson { tenant, event, provenance: Provenance::Declared, retold: false })
        };
        Ok(known.iter().filter_map(lesson).collect())
    }
}
