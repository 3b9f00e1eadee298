//! How the queue of webhooks reaches the server: over the control lane, from whatever thread.

use std::sync::Arc;

use redis::{Cmd, Value};

use crate::store::StoreError;

use super::door::ask;
use super::writing::PATIENCE;
use super::{Redis, Shared};

/// A way to the server that outlives no store.
pub(in crate::store) struct QueueDoor(Arc<Shared>);

impl Redis {
    /// For the queue, which knows its own keys.
    pub(in crate::store) fn queue_door(&self) -> QueueDoor {
        QueueDoor(Arc::clone(&self.shared))
    }
}

impl QueueDoor {
    /// Asks one thing.
    pub(in crate::store) async fn ask(&self, command: &Cmd) -> Result<Value, StoreError> {
        if !*self.0.open.borrow() {
            return Err(StoreError::Closed);
        }
        Ok(ask(&self.0.control.connection().await?, command, PATIENCE).await?)
    }

    /// Waits until as many replicas have what was written as were asked for.
    pub(in crate::store) async fn confirm(&self) -> Result<(), StoreError> {
        match self.0.wait_replicas {
            0 => Ok(()),
            _ => self.0.writing().await?.confirm().await,
        }
    }
}
