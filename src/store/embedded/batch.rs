//! One transaction's worth of dossiers: read when first needed, changed in memory, written once.

use std::collections::{HashMap, HashSet};

use redb::{ReadableTable, Table, WriteTransaction};

use crate::consent::dossier::Dossier;
use crate::consent::event::Kind;
use crate::consent::{GateRecord, RecipientKey, TenantId, Timestamp};
use crate::store::erasure::{self, Wanted};
use crate::store::learning::{self, Component, Learnt, Lesson};
use crate::store::naming::Naming;
use crate::store::place::Place;
use crate::store::stamps::Stamps;
use crate::store::wordings::Wordings;
use crate::store::{Erasure, Outcome, StoreError};

use super::row::Row;
use super::tables::{DOSSIERS, GATE, dossier_of, read_failed, write_failed};

/// Some of the tenants.
pub(super) type Tenants = HashSet<TenantId, ahash::RandomState>;

/// The dossiers that a transaction touches.
pub(super) struct Batch<'t> {
    dossiers: Table<'t, u64, &'static [u8]>,
    gate: Table<'t, &'static [u8], &'static [u8]>,
    held: HashMap<Place, Held, ahash::RandomState>,
    naming: &'t Naming,
    /// Tenants for which this batch holds inbound events.
    hearing: Tenants,
    wordings: &'t Wordings,
}

#[derive(Default)]
struct Held {
    dossier: Dossier,
    /// Its number; `None` if it is not stored yet.
    number: Option<u64>,
    changed: bool,
}

impl<'t> Batch<'t> {
    pub(super) fn of(
        transaction: &'t WriteTransaction,
        naming: &'t Naming,
        wordings: &'t Wordings,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            dossiers: transaction.open_table(DOSSIERS).map_err(write_failed)?,
            gate: transaction.open_table(GATE).map_err(write_failed)?,
            held: HashMap::default(),
            naming,
            hearing: HashSet::default(),
            wordings,
        })
    }

    /// Teaches one event to everybody it concerns.
    pub(super) fn learn(&mut self, lesson: &Lesson) -> Result<Outcome, StoreError> {
        let named = learning::named(&lesson.event);
        let mut component = self.gather(lesson.tenant, named.clone())?;
        if learning::is_too_large(&component) {
            self.put_back(lesson.tenant, component, &[]);
            return match lesson.event.kind {
                Kind::Revoke | Kind::Erase => self.learn_unlinked(lesson, &named),
                Kind::Grant | Kind::Resume | Kind::Inbound | Kind::Link => Ok(learning::TOO_MANY),
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
            let dossier = self.take(&Place { tenant, key: key.clone() })?;
            wanted.extend(dossier.links().map(|(linked, _)| linked.clone()));
            component.insert(key, dossier);
            if learning::is_too_large(&component) {
                break;
            }
        }
        Ok(component)
    }

    /// Takes a dossier out, with what its tombstone says: whoever was erased starts from there, and one that lacks it lost it.
    fn take(&mut self, place: &Place) -> Result<Dossier, StoreError> {
        let mut dossier = self.take_own(place)?;
        if let Some(grave) = self.naming.tombstone(place) {
            let tombstone = self.take_own(&grave)?;
            let stored = !dossier.is_empty();
            let lacked = dossier.recall(&tombstone) && stored;
            self.give_back(grave, tombstone, false);
            if let Some(held) = self.held.get_mut(place) {
                held.changed |= lacked;
            }
        }
        Ok(dossier)
    }

    fn take_own(&mut self, place: &Place) -> Result<Dossier, StoreError> {
        if let Some(held) = self.held.get_mut(place) {
            return Ok(std::mem::take(&mut held.dossier));
        }
        let (dossier, number) = self.read(place)?;
        self.held.insert(place.clone(), Held { number, ..Held::default() });
        Ok(dossier)
    }

    fn give_back(&mut self, place: Place, dossier: Dossier, changed: bool) {
        let held = self.held.entry(place).or_default();
        held.dossier = dossier;
        held.changed |= changed;
    }

    /// Takes a person out, under every identity that is linked, and leaves tombstones.
    pub(super) fn erase(&mut self, wanted: &Wanted) -> Result<Erasure, StoreError> {
        let tenant = wanted.place.tenant;
        let mut graves = Vec::new();
        let mut seen = HashSet::<_, ahash::RandomState>::from_iter([wanted.place.clone()]);
        let mut left = vec![wanted.place.clone()];
        while let Some(place) = left.pop() {
            let dossier = self.take_own(&place)?;
            if erasure::is_clear(self.naming, &place, &dossier) {
                self.give_back(place, dossier, false);
                continue;
            }
            let linked = dossier.links().map(|(key, _)| erasure::beside(tenant, key));
            left.extend(linked.filter(|linked| seen.insert(linked.clone())));
            graves.extend(erasure::bury(self.naming, place, dossier, wanted.at));
        }
        let known = !graves.is_empty();
        if !known {
            let tombstone = self.tombstone(&wanted.place)?;
            if let Some(told) = erasure::of_nobody(self.naming, wanted, &tombstone) {
                return Ok(told);
            }
            graves.extend(erasure::bury(self.naming, wanted.place.clone(), tombstone, wanted.at));
        }
        let answer = erasure::of_graves(known, wanted.at, graves.iter().map(|grave| grave.events));
        for grave in graves {
            // The tombstone that stood there is part of the dossier that followed it.
            self.take_own(&grave.tombstone_at)?;
            self.give_back(grave.place, Dossier::default(), true);
            self.give_back(grave.tombstone_at, grave.tombstone, true);
        }
        Ok(answer)
    }

    /// What stands where the tombstone of a person would.
    fn tombstone(&mut self, place: &Place) -> Result<Dossier, StoreError> {
        let place = self.naming.tombstone(place).unwrap_or_else(|| place.clone());
        let tombstone = self.take_own(&place)?;
        self.give_back(place, tombstone.clone(), false);
        Ok(tombstone)
    }

    fn read(&self, place: &Place) -> Result<(Dossier, Option<u64>), StoreError> {
        let row = self.gate.get(place.bytes().as_slice()).map_err(read_failed)?;
        let Some(row) = row else { return Ok((Dossier::default(), None)) };
        let number = Row::decode(row.value()).and_then(|row| row.dossier);
        let dossier = dossier_of(&self.dossiers, row.value())?;
        Ok((dossier.unwrap_or_default(), number))
    }

    fn put_back(&mut self, tenant: TenantId, component: Component, changed: &[RecipientKey]) {
        for (key, dossier) in component {
            let changed = changed.contains(&key);
            self.give_back(Place { tenant, key }, dossier, changed);
        }
    }

    /// Seals and writes what changed and returns the gate records that now stand; `heard` are the tenants whose own record is written already.
    pub(super) fn write(
        mut self,
        heard: &Tenants,
        stamps: &mut Stamps,
    ) -> Result<Vec<(Place, GateRecord)>, StoreError> {
        let mut changed: Vec<_> =
            std::mem::take(&mut self.held).into_iter().filter(|(_, held)| held.changed).collect();
        // In the order of the tables: neighbours share pages.
        changed.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let mut next = self
            .dossiers
            .last()
            .map_err(read_failed)?
            .map_or(0, |(number, _)| number.value().saturating_add(1));
        let mut written = Vec::with_capacity(changed.len());
        let mut dossiers = Vec::with_capacity(changed.len());
        for (place, mut held) in changed {
            if held.dossier.is_empty() {
                self.remove(&place, held.number)?;
                // The cache goes on refusing under the name that the store no longer has.
                let refusal =
                    self.naming.hash(&place).map(|hash| Dossier::default().buried(hash, Timestamp::EPOCH));
                written.extend(refusal.map(|refusal| {
                    let gate = self.wordings.gate_record(place.tenant, &refusal);
                    (place, gate)
                }));
                continue;
            }
            stamps.seal(&mut held.dossier)?;
            let number = held.number.unwrap_or(next);
            next = next.max(number.saturating_add(1));
            let gate = self.wordings.gate_record(place.tenant, &held.dossier);
            self.put_row(&place, Row { gate, dossier: Some(number) })?;
            dossiers.push((number, held.dossier));
            written.push((place, gate));
        }
        for tenant in std::mem::take(&mut self.hearing).difference(heard) {
            let place = Place { tenant: *tenant, key: RecipientKey::Tenant };
            // Any window at all says that inbound events are learnt, so that a person without one has a closed one.
            let gate = GateRecord { window_until: 1, ..GateRecord::default() };
            self.put_row(&place, Row { gate, dossier: None })?;
            written.push((place, gate));
        }
        self.put_dossiers(dossiers)?;
        Ok(written)
    }

    fn remove(&mut self, place: &Place, number: Option<u64>) -> Result<(), StoreError> {
        self.gate.remove(place.bytes().as_slice()).map_err(write_failed)?;
        if let Some(number) = number {
            self.dossiers.remove(number).map_err(write_failed)?;
        }
        Ok(())
    }

    fn put_row(&mut self, place: &Place, row: Row) -> Result<(), StoreError> {
        self.gate.insert(place.bytes().as_slice(), row.encode().as_slice()).map(drop).map_err(write_failed)
    }

    fn put_dossiers(&mut self, mut dossiers: Vec<(u64, Dossier)>) -> Result<(), StoreError> {
        dossiers.sort_unstable_by_key(|(number, _)| *number);
        for (number, dossier) in dossiers {
            self.dossiers.insert(number, dossier.encode().as_slice()).map_err(write_failed)?;
        }
        Ok(())
    }
}
