//! Reserving the one message that may confirm a person's stop.
//!
//! A gate record says that a stop may be confirmed, never whether it was: that stands apart, is asked about only then, and is reserved in one step, by
//! whichever node comes first. A reservation is given back only where nothing was forwarded for sure, because the rest of its request was refused or the
//! provider was not reached at all: where a forward fails later, nobody knows which bytes the provider saw, and one answer too few is better than two. It names the person by a keyed hash and is forgotten some minutes after the stop can be confirmed no more.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::timeout;

use crate::consent::dossier::{Confirmable, Dossier};
use crate::consent::{Recipient, RecipientKey, Timestamp};

use super::place::Place;
use super::{Backend, ConsentStore, StoreError};

/// How long a reservation stands. Longer than a stop can be confirmed by as much as clocks of nodes may differ.
pub(super) const STANDS: Duration = Duration::from_secs(10 * 60);
/// How long reserving may take: the bot that answers a stop can wait, and a send that could not be reserved is refused.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is asked about a confirmation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// To have it.
    Reserve,
    /// Whether it is still to be had.
    Look,
    /// That others may have it, after all.
    GiveBack,
}

/// A reservation to be made or looked for.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// The hash of whoever said the stop.
    pub(super) place: Place,
    pub(super) ask: Ask,
    pub(super) now: Timestamp,
}

impl ConsentStore {
    /// Whether the one confirmation of these recipients' stops is this caller's; of several recipients, every stop must be free to be confirmed.
    ///
    /// A store that cannot answer, or not in time, reserves nothing that the caller may use.
    ///
    /// # Cancel safety
    /// Dropped, a reservation may have been made; it is not given back.
    pub async fn confirm(&self, tenant: usize, recipients: &[RecipientKey], ask: Ask) -> bool {
        let confirmed = timeout(PATIENCE, self.confirm_all(tenant, recipients, ask)).await;
        match confirmed.unwrap_or(Err(StoreError::NotReady)) {
            Ok(free) => free,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the confirmation of a stop could not be reserved; it is refused"
                );
                false
            }
        }
    }

    /// Gives the reservation for these recipients' stops back; for whoever has it, and has not used it.
    ///
    /// # Cancel safety
    /// Dropped, or where the store cannot be reached, it may stay reserved.
    pub async fn give_back_confirmation(&self, tenant: usize, recipients: &[RecipientKey]) {
        let given = timeout(PATIENCE, self.give_back(tenant, recipients)).await;
        if let Err(error) = given.unwrap_or(Err(StoreError::NotReady)) {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the confirmation of a stop was reserved for a request that was not forwarded, and could not be given back"
            );
        }
    }

    async fn give_back(&self, tenant: usize, recipients: &[RecipientKey]) -> Result<(), StoreError> {
        let now = self.inner.clock.now();
        for key in recipients {
            let dossier = self.dossier(tenant, key).await?;
            let Some(stop) = dossier.as_ref().and_then(Dossier::confirmable) else { continue };
            let wanted = Wanted { place: self.confirmed_at(tenant, &stop.said_by)?, ask: Ask::GiveBack, now };
            match &self.inner.backend {
                Backend::Embedded(store) => store.confirm(wanted).await?,
                Backend::Redis(store) => store.confirm(wanted).await?,
            };
        }
        Ok(())
    }

    /// Where the reservation stands for whoever said a stop: under their hash.
    fn confirmed_at(&self, tenant: usize, said_by: &RecipientKey) -> Result<Place, StoreError> {
        let place = self.place(tenant, said_by)?;
        let hash = self.identity()?.naming.hash(&place).ok_or(StoreError::UnknownTenant)?;
        Ok(Place { key: Recipient::Hashed(hash).key(), ..place })
    }

    async fn confirm_all(
        &self,
        tenant: usize,
        recipients: &[RecipientKey],
        ask: Ask,
    ) -> Result<bool, StoreError> {
        let now = self.inner.clock.now();
        let mut said_by = BTreeSet::new();
        for key in recipients {
            // The events themselves: a record that was cached may be behind them.
            let dossier = self.dossier(tenant, key).await?;
            match dossier.as_ref().and_then(Dossier::confirmable) {
                Some(Confirmable { said_by: key, until }) if until > now => said_by.insert(key),
                Some(_) | None => return Ok(false),
            };
        }
        for key in said_by {
            let wanted = Wanted { place: self.confirmed_at(tenant, &key)?, ask, now };
            let free = match &self.inner.backend {
                Backend::Embedded(store) => store.confirm(wanted).await?,
                Backend::Redis(store) => store.confirm(wanted).await?,
            };
            if !free {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
