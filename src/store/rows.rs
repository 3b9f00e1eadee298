//! Rows as they are stored, and the checkpoints over them: for whoever looks for what somebody changed behind the store's back.

use crate::consent::{RecipientKey, TenantId};

use super::place::Place;
use super::{At, Backend, ConsentStore, Cursor, StoreError};

/// Which rows of a tenant are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// All that have a dossier; an embedded store brings gate records without one as well.
    All,
    /// Those of people who stand under a keyed hash.
    Hashed,
    /// All that have a gate record, where that is kept apart from the dossier; an embedded store has brought them among [`Rows::All`].
    Gates,
}

/// One recipient's row, byte for byte.
#[derive(Clone)]
pub struct StoredRow {
    /// Under which key it stands.
    pub key: RecipientKey,
    /// The dossier, if there is one.
    pub dossier: Option<Vec<u8>>,
    /// The gate record, if there is one.
    pub gate: Option<Vec<u8>>,
}

impl std::fmt::Debug for StoredRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredRow").field("key", &self.key).finish_non_exhaustive()
    }
}

/// Some rows, and where to go on.
#[derive(Debug)]
pub struct RowPage {
    /// The rows. An embedded store brings each once; Redis may bring one again while others are written.
    pub rows: Vec<StoredRow>,
    /// What to ask for next; `None` is the end.
    pub next: Option<Cursor>,
}

/// What a store's own count says about how many tombstones it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// It keeps none: it looks for a tombstone whenever it writes.
    Needless,
    /// Over all tenants there are at most so many.
    AtMost(u64),
    /// The count, which is made with the store, has gone.
    Lost,
}

impl ConsentStore {
    /// What the store's own count says about its tombstones.
    pub async fn tombstones_counted(&self) -> Result<Counted, StoreError> {
        match &self.inner.backend {
            Backend::Embedded(_) => Ok(Counted::Needless),
            Backend::Redis(store) => store.tombstones_counted().await,
        }
    }

    /// The number that the store gave a tenant.
    pub fn tenant_number(&self, tenant: usize) -> Result<TenantId, StoreError> {
        self.tenant(tenant)
    }

    /// The first `limit` rows of a tenant, or the next ones after a page. Nothing is decoded, so that damaged rows are seen too.
    pub async fn rows(
        &self,
        tenant: usize,
        which: Rows,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<RowPage, StoreError> {
        let tenant = self.tenant(tenant)?;
        match &self.inner.backend {
            Backend::Embedded(store) => {
                let after = after.and_then(|Cursor(at)| match at {
                    At::Key(key) => Some(key),
                    At::Scan(_) => None,
                });
                let (rows, next) = store.rows((tenant, which), after, limit).await?;
                Ok(RowPage { rows, next: next.map(|key| Cursor(At::Key(key))) })
            }
            Backend::Redis(store) => {
                let after = after.and_then(|Cursor(at)| match at {
                    At::Key(_) => None,
                    At::Scan(position) => Some(position),
                });
                let (rows, next) = store.rows((tenant, which), after.unwrap_or_default(), limit).await?;
                Ok(RowPage { rows, next: next.map(|position| Cursor(At::Scan(position))) })
            }
        }
    }

    /// The dossier that stands under exactly this key, byte for byte.
    pub async fn row(&self, tenant: usize, key: &RecipientKey) -> Result<Option<Vec<u8>>, StoreError> {
        let place = Place { tenant: self.tenant(tenant)?, key: key.clone() };
        match &self.inner.backend {
            Backend::Embedded(store) => store.row(place).await,
            Backend::Redis(store) => store.row(place).await,
        }
    }

    /// The checkpoints that are kept for a tenant, each with its moment, in no order.
    pub async fn checkpoints(&self, tenant: usize) -> Result<Vec<(u32, Vec<u8>)>, StoreError> {
        let tenant = self.tenant(tenant)?;
        match &self.inner.backend {
            Backend::Embedded(store) => store.checkpoints(tenant).await,
            Backend::Redis(store) => store.checkpoints(tenant).await,
        }
    }

    /// Stamps everything from now on later than a moment that a checkpoint speaks about, though the clock be set back.
    pub fn stamp_after(&self, moment: u32) {
        self.inner.front.floor.raise(moment);
    }

    /// The latest moment at which this node stamped anything, in seconds: ahead of the clock where a checkpoint spoke about the present second.
    pub fn last_stamp(&self) -> u32 {
        self.inner.front.floor.stamped()
    }

    /// Returns once everything that this node stamped before is there to be read; false if other nodes, or writes that are on their way, may yet add to it.
    pub async fn settled(&self) -> Result<bool, StoreError> {
        match &self.inner.backend {
            Backend::Embedded(store) => store.settled().await.map(|()| true),
            Backend::Redis(_) => Ok(false),
        }
    }

    /// Keeps a checkpoint and drops those of other moments.
    pub async fn put_checkpoint(
        &self,
        tenant: usize,
        checkpoint: (u32, Vec<u8>),
        dropped: Vec<u32>,
    ) -> Result<(), StoreError> {
        let change = Checkpoints { tenant: self.tenant(tenant)?, kept: checkpoint, dropped };
        match &self.inner.backend {
            Backend::Embedded(store) => store.put_checkpoint(change).await,
            Backend::Redis(store) => store.put_checkpoint(change).await,
        }
    }
}

/// A change of the checkpoints of a tenant.
pub(super) struct Checkpoints {
    pub(super) tenant: TenantId,
    pub(super) kept: (u32, Vec<u8>),
    pub(super) dropped: Vec<u32>,
}
