//! Webhooks that wait for their bots: kept durably, shared by the nodes of one Redis, handed out once at a time.
//!
//! Owns order, leases, size and the dead letters. What is kept is sealed: no body stands readable in a file, a dump or a backup. Erasing a person does
//! not reach in here: a body is one signed whole, on its way to whoever it is addressed to, and gone when it was delivered or, at the latest, when
//! [`KEPT`] has passed twice. Knows neither what a webhook says nor how it is delivered.

mod file;
mod redis;
mod seal;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OnceCell;

use super::{Backend, ConsentStore, StoreError};
use crate::consent::Timestamp;

use file::QueueFile;
use redis::SharedQueue;
use seal::Seal;

/// How long a webhook is tried, and then how long a dead letter is kept. The provider itself gives up after as long. Source: Meta, "Webhooks".
pub const KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How long whoever takes a parcel has it for themselves; a node that died has let go of it by then.
pub(super) const LEASE: Duration = Duration::from_secs(30);
/// What a parcel takes beside its content.
const OVERHEAD: u64 = 256;
/// The name of the secret that bodies are sealed with.
const SECRET: &str = "webhooks";

/// A queue; cheap to clone.
#[derive(Clone)]
pub struct Queue {
    inner: Arc<Inner>,
}

struct Inner {
    backend: Kept,
    /// Where the secret is.
    store: ConsentStore,
    /// Known once the store was reached.
    seal: OnceCell<Seal>,
    max_bytes: u64,
}

enum Kept {
    File(QueueFile),
    Shared(SharedQueue),
}

/// A webhook on its way to one bot.
#[derive(Clone, PartialEq, Eq)]
pub struct Parcel {
    /// Its name in the queue.
    pub id: String,
    /// The phone number id whose bot is to get it.
    pub lane: String,
    /// When it came.
    pub queued_at: Timestamp,
    /// How often it was tried in vain.
    pub attempts: u32,
    /// What is to be delivered.
    pub content: Vec<u8>,
}

/// Its content is what people wrote.
impl std::fmt::Debug for Parcel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parcel").field("id", &self.id).field("lane", &self.lane).finish_non_exhaustive()
    }
}

/// A webhook that no bot took in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its name in the queue.
    pub id: String,
    /// The phone number id whose bot did not take it.
    pub lane: String,
    /// When it came.
    pub queued_at: Timestamp,
    /// When it was given up.
    pub died_at: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
    /// How long it is, sealed.
    pub bytes: u64,
    /// What the last attempt failed with.
    pub why: String,
}

/// How full a queue is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fill {
    /// How many parcels wait or are being delivered.
    pub waiting: u64,
    /// How many are dead letters.
    pub dead: u64,
    /// What all of them take.
    pub bytes: u64,
    /// When the oldest that waits came.
    pub oldest: Option<Timestamp>,
}

/// Whether there was room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is kept durably.
    Queued,
    /// The queue holds as much as it may.
    Full,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}

impl ConsentStore {
    /// Opens the queue of this store: its own file beside an embedded store's (`file`), keys of its own in Redis. It takes at most `max_bytes`.
    pub async fn queue(&self, file: &Path, max_bytes: u64) -> Result<Queue, StoreError> {
        let backend = match &self.inner.backend {
            Backend::Embedded(_) => {
                Kept::File(QueueFile::open(file.to_owned(), self.inner.clock.clone()).await?)
            }
            Backend::Redis(store) => Kept::Shared(SharedQueue::of(store)),
        };
        let (store, seal) = (self.clone(), OnceCell::new());
        Ok(Queue { inner: Arc::new(Inner { backend, store, seal, max_bytes }) })
    }
}

impl Queue {
    async fn seal(&self) -> Result<&Seal, StoreError> {
        let inner = &self.inner;
        inner.seal.get_or_try_init(async || Ok(Seal::new(&inner.store.secret(SECRET).await?))).await
    }

    /// Keeps a parcel; returns once that is as durable as the store is.
    ///
    /// # Cancel safety
    /// Dropped, it may be kept all the same.
    pub async fn put(&self, lane: &str, content: Vec<u8>) -> Result<Put, StoreError> {
        let sealed = self.seal().await?.close(lane, content)?;
        let max = self.inner.max_bytes.saturating_sub(OVERHEAD);
        match &self.inner.backend {
            Kept::File(queue) => queue.put(lane, sealed, max).await,
            Kept::Shared(queue) => queue.put(lane, &sealed, max).await,
        }
    }

    /// Takes at most `limit` parcels that are due, those that have waited longest first; nobody else gets them for as long as a delivery may take.
    ///
    /// # Cancel safety
    /// Dropped, what was taken comes back when its lease is over.
    pub async fn take(&self, limit: usize) -> Result<Vec<Parcel>, StoreError> {
        let seal = self.seal().await?;
        let mut parcels = match &self.inner.backend {
            Kept::File(queue) => queue.take(limit).await?,
            Kept::Shared(queue) => queue.take(limit).await?,
        };
        for parcel in &mut parcels {
            parcel.content = seal.open(&parcel.lane, std::mem::take(&mut parcel.content))?;
        }
        Ok(parcels)
    }

    /// Forgets a parcel that was delivered.
    pub async fn remove(&self, id: &str) -> Result<(), StoreError> {
        match &self.inner.backend {
            Kept::File(queue) => queue.remove(id).await,
            Kept::Shared(queue) => queue.remove(id).await,
        }
    }

    /// Puts a parcel back that could not be delivered, to be tried after a while.
    pub async fn put_off(&self, id: &str, after: Duration, why: &str) -> Result<(), StoreError> {
        match &self.inner.backend {
            Kept::File(queue) => queue.put_off(id, after, why).await,
            Kept::Shared(queue) => queue.put_off(id, after, why).await,
        }
    }

    /// Gives a parcel up: it becomes a dead letter.
    pub async fn give_up(&self, id: &str, why: &str) -> Result<(), StoreError> {
        match &self.inner.backend {
            Kept::File(queue) => queue.give_up(id, why).await,
            Kept::Shared(queue) => queue.give_up(id, why).await,
        }
    }

    /// At most `limit` dead letters, the oldest first, those after `after` in that order.
    pub async fn dead(&self, after: usize, limit: usize) -> Result<Vec<DeadLetter>, StoreError> {
        match &self.inner.backend {
            Kept::File(queue) => queue.dead(after, limit).await,
            Kept::Shared(queue) => queue.dead(after, limit).await,
        }
    }

    /// Forgets a dead letter; false if there is none of that name.
    pub async fn drop_dead(&self, id: &str) -> Result<bool, StoreError> {
        match &self.inner.backend {
            Kept::File(queue) => queue.drop_dead(id).await,
            Kept::Shared(queue) => queue.drop_dead(id).await,
        }
    }

    /// Has a dead letter tried anew, as if it had just come; false if there is none of that name.
    pub async fn revive(&self, id: &str) -> Result<bool, StoreError> {
        match &self.inner.backend {
            Kept::File(queue) => queue.revive(id).await,
            Kept::Shared(queue) => queue.revive(id).await,
        }
    }

    /// How full it is. Dead letters that are older than [`KEPT`] are forgotten by the way.
    pub async fn fill(&self) -> Result<Fill, StoreError> {
        match &self.inner.backend {
            Kept::File(queue) => queue.fill().await,
            Kept::Shared(queue) => queue.fill().await,
        }
    }
}
