//! One transaction's worth of dossiers: read when first needed, changed in memory, written once.

use std::collections::{HashMap, HashSet};

use redb::{ReadableTable, Table, WriteTransaction};

use crate::consent::dossier::Dossier;
use crate::consent::event::Kind;
use crate::consent::{GateRecord, RecipientKey, TenantId};
use crate::store::learning::{self, Component, Learnt, Lesson};
use crate::store::place::Place;
use crate::store::{Outcome, StoreError};

use super::tables::{DOSSIERS, GATE, read_failed, write_failed};

/// What a tenant's own record says: inbound events have been learnt, so a missing window is a closed one.
const TENANT_HEARS: GateRecord = GateRecord { window_until: 1, ..EMPTY };
const EMPTY: GateRecord = GateRecord {
    flags: 0,
    slots: [crate::consent::record::Slot {
        state: crate::consent::record::State::Unstated,
        until: 0,
        wording: 0,
    }; 5],
    window_until: 0,
    seq: 0,
};

/// The dossiers that a transaction touches.
pub(super) struct Batch<'t> {
    dossiers: Table<'t, &'static [u8], &'static [u8]>,
    gate: Table<'t, &'static [u8], &'static [u8]>,
    held: HashMap<Place, Held, ahash::RandomState>,
    /// Tenants for which this batch holds inbound events.
    hearing: HashSet<TenantId, ahash::RandomState>,
}

#[derive(Default)]
struct Held {
    dossier: Dossier,
    changed: bool,
}

impl<'t> Batch<'t> {
    pub(super) fn of(transaction: &'t WriteTransaction) -> Result<Self, StoreError> {
        Ok(Self {
            dossiers: transaction.open_table(DOSSIERS).map_err(write_failed)?,
            gate: transaction.open_table(GATE).map_err(write_failed)?,
            held: HashMap::default(),
            hearing: HashSet::default(),
        })
    }

    /// Teaches one event to everybody it concerns.
    pub(super) fn learn(&mut self, lesson: &Lesson) -> Result<Outcome, StoreError> {
        let named = learning::named(&lesson.event);
        let mut component = self.gather(lesson.tenant, named.clone())?;
        if learning::is_too_large(&component) {
            self.put_back(lesson.tenant, component, &[]);
            return match lesson.event.kind {
                Kind::Revoke => self.learn_unlinked(lesson, &named),
                Kind::Grant | Kind::Resume | Kind::Inbound | Kind::Link | Kind::Erase => {
                    Ok(learning::TOO_MANY)
                }
            };
        }
        if lesson.event.kind == Kind::Inbound {
            self.hearing.insert(lesson.tenant);
        }
        let Learnt { outcome, changed } = learning::learn(&mut component, lesson);
        self.put_back(lesson.tenant, component, &changed);
        Ok(outcome)
    }

    fn learn_unlinked(&mut self, lesson: &Lesson, named: &[RecipientKey]) -> Result<Outcome, StoreError> {
        let mut all = None;
        for key in named {
            let mut component = self.gather(lesson.tenant, vec![key.clone()])?;
            let Learnt { outcome, changed } = learning::learn_unlinked(&mut component, key, lesson);
            self.put_back(lesson.tenant, component, &changed);
            all = all.filter(|known| *known == Outcome::Applied).or(Some(outcome));
        }
        Ok(all.unwrap_or(Outcome::Applied))
    }

    /// Takes the dossiers of some identities and of everybody they are linked to, stopping once they are too many to be one person.
    fn gather(&mut self, tenant: TenantId, mut wanted: Vec<RecipientKey>) -> Result<Component, StoreError> {
        let mut component = Component::new();
        while let Some(key) = wanted.pop() {
            if component.contains_key(&key) {
                continue;
            }
            let dossier = self.take(Place { tenant, key: key.clone() })?;
            wanted.extend(dossier.links().map(|(linked, _)| linked.clone()));
            component.insert(key, dossier);
            if learning::is_too_large(&component) {
                break;
            }
        }
        Ok(component)
    }

    fn take(&mut self, place: Place) -> Result<Dossier, StoreError> {
        if let Some(held) = self.held.get_mut(&place) {
            return Ok(std::mem::take(&mut held.dossier));
        }
        let stored = self.dossiers.get(place.bytes().as_slice()).map_err(read_failed)?;
        let dossier = match stored {
            Some(bytes) => Dossier::decode(bytes.value()).ok_or(StoreError::Unreadable)?,
            None => Dossier::default(),
        };
        self.held.insert(place, Held::default());
        Ok(dossier)
    }

    fn put_back(&mut self, tenant: TenantId, component: Component, changed: &[RecipientKey]) {
        for (key, dossier) in component {
            let changed = changed.contains(&key);
            let held = self.held.entry(Place { tenant, key }).or_default();
            held.dossier = dossier;
            held.changed |= changed;
        }
    }

    /// Writes what changed and returns the gate records that now stand.
    pub(super) fn write(
        mut self,
        heard: &HashSet<TenantId, ahash::RandomState>,
    ) -> Result<Vec<(Place, GateRecord)>, StoreError> {
        let mut changed: Vec<_> =
            std::mem::take(&mut self.held).into_iter().filter(|(_, held)| held.changed).collect();
        // In the order of the tables: neighbours share pages.
        changed.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let mut written = Vec::with_capacity(changed.len());
        for (place, held) in changed {
            let record = held.dossier.record().gate_record();
            let key = place.bytes();
            self.dossiers.insert(key.as_slice(), held.dossier.encode().as_slice()).map_err(write_failed)?;
            self.gate.insert(key.as_slice(), record.encode().as_slice()).map_err(write_failed)?;
            written.push((place, record));
        }
        for tenant in self.hearing.difference(heard) {
            let place = Place { tenant: *tenant, key: RecipientKey::Tenant };
            let record = TENANT_HEARS.encode();
            self.gate.insert(place.bytes().as_slice(), record.as_slice()).map_err(write_failed)?;
            written.push((place, TENANT_HEARS));
        }
        Ok(written)
    }
}
