//! What comes from the store after the start: template lists that other nodes replace, and whatever the store could not say at first.

use std::error::Error;
use std::time::Duration;

use super::assemble::HASH_KEY;
use crate::decision_log::KeyedHash;
use crate::store::{ConsentStore, StoreError};
use crate::templates::Catalogue;

/// How soon a store that could not be read is asked again.
const AGAIN: Duration = Duration::from_millis(100);

/// Keeps the catalogue as the store has it.
pub(super) struct Follower {
    pub(super) store: ConsentStore,
    pub(super) catalogue: Catalogue,
    pub(super) hash: KeyedHash,
}

impl Follower {
    /// Runs until the store is gone; ends at once where nobody else writes it.
    pub(super) async fn run(self) {
        let Some(mut changes) = self.store.templates_changed() else { return };
        loop {
            self.catch_up().await;
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    async fn catch_up(&self) {
        let mut told = false;
        while let Err(error) = self.read().await {
            if !told {
                tracing::warn!(
                    error = &error as &dyn Error,
                    "the template catalogue could not be read; trying again"
                );
                told = true;
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn read(&self) -> Result<(), StoreError> {
        if !self.hash.has_key() {
            self.hash.learn_key(&self.store.secret(HASH_KEY).await?);
        }
        self.catalogue.load().await
    }
}
