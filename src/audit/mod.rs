//! Proving that nobody changed the record: signed checkpoints over every recipient's chain, their verification, and receipts.
//!
//! A chain ([`crate::consent::chain`]) shows every edit by somebody who does not recompute it. A checkpoint shows the others: whoever edits, removes, swaps or
//! brings back a chain that a checkpoint covers would have to forge the checkpoint's signature. What was written since the last checkpoint is not covered.
//! The key proves only against those who cannot read it: one that the store keeps guards against mistakes and against copies of the store, one in a file
//! that only the gate can read guards against those who can write the store. Knows neither HTTP nor how a store is laid out.

mod canonical;
mod checkpoint;
mod graves;
mod key;
pub mod receipt;
mod sums;
mod verify;
mod walk;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::OnceCell;

pub use checkpoint::Checkpoint;
pub use key::{PublicKey, Signer, key_id};
pub use verify::{Finding, Told, Verified};

use crate::consent::{Clock, RecipientHasher, Timestamp};
use crate::store::{ConsentStore, StoreError};
use sums::{Tally, Total};
use walk::Walk;

/// The name under which the seed stands in the store, unless a file has it.
const SECRET: &str = "audit";
/// The name of the secret under which a store hashes recipients.
const RECIPIENTS: &str = "recipients";
/// How soon a checkpoint that failed is tried again, at most.
const AGAIN: Duration = Duration::from_secs(60);

/// How checkpoints are made.
#[derive(Clone)]
pub struct Settings {
    /// The seed of the signing key; `None` keeps one in the store.
    pub seed: Option<[u8; 32]>,
    /// How often; `None` is only when asked.
    pub every: Option<Duration>,
    /// How far in the past a checkpoint of a store that several nodes write speaks: longer than any write takes and than any two nodes' clocks differ.
    pub grace: Duration,
    /// The tenants' names, in the order in which the store knows them; [`Audit::name_tenants`] adds to it.
    pub tenants: Vec<String>,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("every", &self.every)
            .field("grace", &self.grace)
            .finish_non_exhaustive()
    }
}

/// Makes and verifies checkpoints and issues receipts; cheap to clone.
#[derive(Clone, Debug)]
pub struct Audit {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: ConsentStore,
    settings: Settings,
    /// The tenants' names, by their places.
    tenants: ArcSwap<Vec<String>>,
    clock: Clock,
    signer: OnceCell<Signer>,
    hasher: OnceCell<RecipientHasher>,
}

/// A checkpoint, and whether it was made now.
#[derive(Debug)]
pub struct Made {
    /// The newest checkpoint.
    pub checkpoint: Checkpoint,
    /// Whether anything had changed since the one before.
    pub new: bool,
}

impl Audit {
    /// Of a store. Reads nothing yet.
    pub fn new(store: ConsentStore, mut settings: Settings, clock: Clock) -> Self {
        let tenants = ArcSwap::from_pointee(std::mem::take(&mut settings.tenants));
        let (signer, hasher) = (OnceCell::new(), OnceCell::new());
        Self { inner: Arc::new(Inner { store, settings, tenants, clock, signer, hasher }) }
    }

    /// Names the tenants anew: those of before at their places, and after them new ones.
    pub fn name_tenants(&self, names: Vec<String>) {
        self.inner.tenants.store(Arc::new(names));
    }

    /// The key, which a store that is away may not have told yet.
    pub async fn signer(&self) -> Result<&Signer, StoreError> {
        let Inner { store, settings, signer, .. } = &*self.inner;
        let made = signer.get_or_try_init(async || {
            let seed = match settings.seed {
                Some(seed) => seed,
                None => store.secret(SECRET).await?,
            };
            Signer::from_seed(&seed).ok_or(StoreError::Unreadable)
        });
        made.await
    }

    /// Who a recipient is without their number: the hash that an erasure leaves of them.
    async fn hasher(&self) -> Result<&RecipientHasher, StoreError> {
        let Inner { store, hasher, .. } = &*self.inner;
        hasher.get_or_try_init(async || Ok(RecipientHasher::new(&store.secret(RECIPIENTS).await?))).await
    }

    async fn walk(&self, tenant: usize) -> Result<Walk<'_>, StoreError> {
        Walk::of(&self.inner.store, self.hasher().await?, tenant)
    }

    fn tenant(&self, tenant: usize) -> Result<String, StoreError> {
        self.inner.tenants.load().get(tenant).cloned().ok_or(StoreError::UnknownTenant)
    }

    /// The checkpoints of a tenant as they are stored, oldest first.
    async fn stored(&self, tenant: usize) -> Result<Vec<(u32, Vec<u8>)>, StoreError> {
        let mut stored = self.inner.store.checkpoints(tenant).await?;
        stored.sort_unstable_by_key(|(at, _)| *at);
        Ok(stored)
    }

    /// The newest checkpoint of a tenant that this key signed.
    pub(crate) async fn newest(&self, tenant: usize) -> Result<Option<Checkpoint>, StoreError> {
        let (signer, store) = (self.signer().await?, &self.inner.store);
        let stored = self.stored(tenant).await?;
        let read = stored.iter().rev().filter_map(|(_, bytes)| Checkpoint::decode(bytes));
        let newest = read.into_iter().find(|checkpoint| checkpoint.is_signed_by(signer));
        if let Some(newest) = &newest {
            store.stamp_after(newest.moment());
        }
        Ok(newest)
    }

    /// The moment that a checkpoint made now speaks about: whatever was stamped until then can be read, and nothing is stamped so any more.
    async fn moment(&self, tenant: usize) -> Result<u32, StoreError> {
        let Inner { store, settings, clock, .. } = &*self.inner;
        let newest = self.newest(tenant).await?.map_or(0, |newest| newest.moment());
        let now = clock.now().as_secs_u32();
        let past = now.saturating_sub(u32::try_from(settings.grace.as_secs()).unwrap_or(u32::MAX));
        store.stamp_after(past);
        if !store.settled().await? {
            return Ok(past);
        }
        // Behind the newest one, though the clock be set back or both fall into one second; and behind what was stamped ahead of the clock because of another.
        let next = now.max(newest.saturating_add(1)).max(store.last_stamp());
        store.stamp_after(next);
        // Again, for what was stamped in between.
        store.settled().await?;
        Ok(next)
    }

    /// States what stands, or stood a moment ago where several nodes write, signs it and keeps it; gives the one before if nothing has changed since.
    ///
    /// Reads every recipient of the tenant, in memory that grows by some 16 bytes for each.
    pub async fn checkpoint(&self, tenant: usize) -> Result<Made, StoreError> {
        let signer = self.signer().await?;
        let at = self.moment(tenant).await?;
        let mut tally = Tally::new(signer.multiset(), vec![at]);
        let mut walk = self.walk(tenant).await?;
        while let Some(rows) = walk.next(&mut tally).await? {
            drop(rows);
        }
        let total = tally.finish().pop().unwrap_or_default();
        let newest = self.newest(tenant).await?;
        match newest {
            Some(newest) if newest.says(&total) || newest.moment() >= at => {
                Ok(Made { checkpoint: newest, new: false })
            }
            newest => {
                let checkpoint = self.keep(tenant, (at, total), newest.as_ref()).await?;
                Ok(Made { checkpoint, new: true })
            }
        }
    }

    async fn keep(
        &self,
        tenant: usize,
        (at, total): (u32, Total),
        newest: Option<&Checkpoint>,
    ) -> Result<Checkpoint, StoreError> {
        let name = self.tenant(tenant)?;
        let checkpoint = Checkpoint::sign(self.signer().await?, &name, at, total, newest);
        let mut moments: Vec<u32> = self.stored(tenant).await?.into_iter().map(|(at, _)| at).collect();
        moments.push(at);
        moments.sort_unstable();
        let kept = checkpoint::kept(&moments);
        moments.retain(|moment| !kept.contains(moment));
        self.inner.store.put_checkpoint(tenant, (at, checkpoint.encode()), moments).await?;
        tracing::info!(
            tenant = name,
            checkpoint.at = %checkpoint.at(),
            checkpoint.hash = checkpoint.hash(),
            checkpoint.recipients = checkpoint.recipients(),
            checkpoint.entries = checkpoint.entries(),
            "audit checkpoint"
        );
        Ok(checkpoint)
    }

    /// Makes checkpoints as often as was asked for, for as long as the store is open; of several nodes mostly one does the work.
    pub async fn run(self) {
        // Also learns, before much is written, up to where the checkpoints speak; a store that is away is asked again with the next one.
        for tenant in 0..self.inner.tenants.load().len() {
            let _ = self.newest(tenant).await;
        }
        let Some(every) = self.inner.settings.every else { return };
        loop {
            tokio::time::sleep(every.min(AGAIN)).await;
            let tenants = self.inner.tenants.load().len();
            for tenant in 0..tenants {
                match self.checkpoint_if_due(tenant, every).await {
                    Ok(()) => {}
                    Err(StoreError::Closed) => return,
                    Err(error) => {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "an audit checkpoint could not be made; trying again"
                        );
                    }
                }
            }
        }
    }

    async fn checkpoint_if_due(&self, tenant: usize, every: Duration) -> Result<(), StoreError> {
        let last = self.newest(tenant).await?.map_or(Timestamp::EPOCH, |newest| newest.at());
        let age = self.inner.clock.now().since(last);
        if age >= every.saturating_add(self.inner.settings.grace) {
            self.checkpoint(tenant).await?;
        }
        Ok(())
    }
}
