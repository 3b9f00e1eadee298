//! Tombstones against what stands beside them: whoever was erased must not be found permitting what their tombstone withdraws.
//!
//! Read before anything else, so that of an erasure that goes on meanwhile nothing is known yet. A store that keeps hashes has a tombstone in the person's own
//! place, beside which nothing can stand.

use std::collections::HashSet;

use super::Audit;
use super::walk::Read;
use crate::consent::dossier::Dossier;
use crate::consent::record::State;
use crate::consent::terms::WordingNumbers;
use crate::consent::{RecipientHash, RecipientKey};
use crate::store::{Counted, Rows, StoreError};

/// How many rows are read at a time.
const PAGE: usize = 500;

/// What it means that somebody stands beside their tombstone as if they had not been erased.
pub(super) const REVIVED: &str = "this person was erased, and their record permits what the tombstone withdraws: events were put back behind the gate's back, \
     or while the count of tombstones was lost; erase the person again";

/// The tombstones of a tenant.
pub(super) struct Graves {
    hashes: HashSet<RecipientHash, ahash::RandomState>,
    counted: Counted,
}

impl Audit {
    /// Reads the tombstones of a tenant, and what the store says how many there are.
    pub(super) async fn graves(&self, tenant: usize) -> Result<Graves, StoreError> {
        let store = &self.inner.store;
        let mut hashes = HashSet::default();
        let mut after = None;
        loop {
            let page = store.rows(tenant, Rows::Hashed, after, PAGE).await?;
            for row in page.rows {
                let erased = |bytes: &[u8]| Dossier::decode(bytes).is_some_and(|d| d.erased_at().is_some());
                if let (RecipientKey::Hashed(hash), true) =
                    (row.key, row.dossier.as_deref().is_some_and(erased))
                {
                    hashes.insert(hash);
                }
            }
            after = page.next;
            if after.is_none() {
                // Counted before they are written: asked afterwards, it covers all that were read.
                return Ok(Graves { hashes, counted: store.tombstones_counted().await? });
            }
        }
    }

    async fn decoded(&self, tenant: usize, key: &RecipientKey) -> Result<Option<Dossier>, StoreError> {
        Ok(self.inner.store.row(tenant, key).await?.as_deref().and_then(Dossier::decode))
    }
}

impl Graves {
    /// What is wrong with the store's count, if it is.
    pub(super) fn miscounted(&self) -> Option<String> {
        let found = self.hashes.len();
        let remedy = |missing: u64| {
            format!(
                "add the difference: redis-cli INCRBY 'og:erasures:{{og}}' {missing}, then look at findings of the kind tombstone"
            )
        };
        let all = u64::try_from(found).unwrap_or(u64::MAX);
        match self.counted {
            Counted::Needless => None,
            Counted::AtMost(count) if count >= all => None,
            Counted::AtMost(count) => Some(format!(
                "there are {found} tombstones and the store's count of them is {count}: it was set back; with a count of 0 nobody looks for tombstones, \
                 and an old grant brings an erased person back; {}",
                remedy(all.saturating_sub(count))
            )),
            Counted::Lost => Some(format!(
                "the store's count of tombstones is missing: it was deleted, or an older optgate made the store; until it is there every write looks for \
                 tombstones, which is slow and safe; {}",
                remedy(all)
            )),
        }
    }

    /// Whether somebody's record permits what their tombstone withdraws.
    pub(super) async fn revived(
        &self,
        audit: &Audit,
        tenant: usize,
        read: &Read,
    ) -> Result<bool, StoreError> {
        let key = &read.row.key;
        let alive = matches!(key, RecipientKey::Phone(_) | RecipientKey::UserId(_));
        if !alive || !self.hashes.contains(&read.hash) {
            return Ok(false);
        }
        // Read anew: who is being erased at this moment has both for an instant.
        let tombstone = audit.decoded(tenant, &RecipientKey::Hashed(read.hash)).await?;
        let own = audit.decoded(tenant, key).await?;
        Ok(own.zip(tombstone).is_some_and(|(own, tombstone)| permits_more(own, &tombstone)))
    }
}

/// Whether something is granted that is not once the tombstone is heard.
fn permits_more(own: Dossier, tombstone: &Dossier) -> bool {
    let granted = |dossier: &Dossier| {
        let slots = dossier.record().gate_record(&WordingNumbers::default()).slots;
        slots.map(|slot| slot.state == State::Granted)
    };
    let before = granted(&own);
    let mut heard = own;
    heard.recall(tombstone);
    before != granted(&heard)
}
