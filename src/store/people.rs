//! What the store does for people: taking in what they said, showing it, and erasing it. Here recipients become keys.

use crate::consent::dossier::{Dossier, Provenance};
use crate::consent::redact::Redacted;
use crate::consent::{Event, RecipientKey};

use super::burial::Arrived;
use super::erasure::{self, Erasure, Residue};
use super::learning::Lesson;
use super::place::Place;
use super::{Backend, ConsentStore, Incoming, Outcome, StoreError, naming};

impl ConsentStore {
    /// Stores events and returns what became of each, in order, once they are durable and this node enforces them.
    ///
    /// Withdrawals reach every linked identity in the same step. If an error is returned nothing is acknowledged; repeating the events is harmless.
    ///
    /// # Cancel safety
    /// Dropping the future does not take the events back.
    pub async fn apply(&self, incoming: Vec<Incoming>) -> Result<Vec<Outcome>, StoreError> {
        let withdraws = incoming.iter().any(|incoming| incoming.event.kind.withdraws());
        let identity = self.identity()?;
        let mut events = Vec::with_capacity(incoming.len());
        let (mut objections, mut buried) = (Vec::new(), Vec::new());
        for (n, Incoming { tenant, event, provenance, retold }) in incoming.into_iter().enumerate() {
            buried.extend(Arrived::of(&identity.naming, (n, tenant), &event));
            let tenant = identity.tenants.get(tenant).copied().ok_or(StoreError::UnknownTenant)?;
            if let Some(why) = identity.naming.objection(&event) {
                objections.push((n, Outcome::Ignored(why)));
            } else {
                let event = identity.naming.event(tenant, event);
                events.push(Lesson { tenant, event, provenance, retold });
            }
        }
        let mut outcomes = self.learn(events).await?;
        // In ascending order, so that each stands where its event stood.
        for (n, outcome) in objections {
            outcomes.insert(n, outcome);
        }
        buried.retain(|arrived| outcomes.get(arrived.number) == Some(&Outcome::Applied));
        self.withdraw_from(buried).await?;
        if withdraws {
            self.pass_fence().await;
        }
        Ok(outcomes)
    }

    pub(super) async fn learn(&self, lessons: Vec<Lesson>) -> Result<Vec<Outcome>, StoreError> {
        match &self.inner.backend {
            Backend::Embedded(store) => store.apply(lessons).await,
            Backend::Redis(store) => store.apply(lessons).await,
        }
    }

    /// Why this store cannot take an event of a tenant in, if it cannot: [`ConsentStore::apply`] would ignore it, or store what names nobody.
    ///
    /// `hash_key` is what the event states about the key under which its hashes were made.
    pub fn objection(&self, tenant: usize, event: &Event, hash_key: Option<&str>) -> Option<&'static str> {
        let (identity, tenant) = (self.identity().ok()?, self.tenant(tenant).ok()?);
        let naming = &identity.naming;
        naming.objection(event).or_else(|| naming.foreign(tenant, event, hash_key))
    }

    /// What tells whether hashes of a tenant were made by this store or one with the same key.
    pub fn hash_key(&self, tenant: usize) -> Result<String, StoreError> {
        Ok(self.identity()?.naming.hash_key(self.tenant(tenant)?))
    }

    /// The key of the hashes, for a store that is to understand them. Whoever has it can try numbers.
    pub async fn recipients_key(&self) -> Result<Redacted<[u8; 32]>, StoreError> {
        self.secret(naming::SECRET).await.map(Redacted::new)
    }

    /// Everything known about a recipient; of somebody who was erased, their tombstone.
    pub async fn dossier(&self, tenant: usize, key: &RecipientKey) -> Result<Option<Dossier>, StoreError> {
        let place = self.place(tenant, key)?;
        let tombstone = self.identity()?.naming.tombstone(&place);
        match (self.stored_dossier(place).await?, tombstone) {
            (None, Some(tombstone)) => self.stored_dossier(tombstone).await,
            (found, _) => Ok(found),
        }
    }

    /// Whether the provider has shown already that somebody has all of these other identities.
    pub async fn are_linked(
        &self,
        tenant: usize,
        key: &RecipientKey,
        others: &[RecipientKey],
    ) -> Result<bool, StoreError> {
        let Some(dossier) = self.stored_dossier(self.place(tenant, key)?).await? else { return Ok(false) };
        let mut linked = true;
        for other in others {
            let other = self.place(tenant, other)?.key;
            linked &= dossier.links().any(|(key, known)| *key == other && known == Provenance::Observed);
        }
        Ok(linked)
    }

    async fn stored_dossier(&self, place: Place) -> Result<Option<Dossier>, StoreError> {
        match &self.inner.backend {
            Backend::Embedded(store) => store.dossier(place).await,
            Backend::Redis(store) => store.dossier(place).await,
        }
    }

    /// Takes out everything about a person, under every identity that is linked to this one, and leaves tombstones that refuse.
    ///
    /// Returns once that is durable and this node refuses them. Repeating it is harmless, and finishes what an error or a crash cut short.
    ///
    /// # Cancel safety
    /// Dropping the future does not take the erasure back.
    pub async fn erase(&self, tenant: usize, key: &RecipientKey) -> Result<Erasure, StoreError> {
        self.hide_in_groups(tenant, key).await?;
        let wanted = erasure::Wanted { place: self.place(tenant, key)?, at: self.inner.clock.now() };
        let erased = match &self.inner.backend {
            Backend::Embedded(store) => store.erase(wanted).await?,
            Backend::Redis(store) => store.erase(wanted).await?,
        };
        self.pass_fence().await;
        Ok(erased)
    }

    /// What is left of people who were erased, out of anybody's reach but still to be found by who searches the bytes.
    pub fn residue(&self) -> Residue {
        match &self.inner.backend {
            Backend::Embedded(store) if store.is_clean() => Residue::None,
            Backend::Embedded(_) => Residue::UnusedPages,
            Backend::Redis(_) => Residue::ServerFiles,
        }
    }
}
