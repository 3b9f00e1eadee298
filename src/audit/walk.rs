//! One reading of all recipients of a tenant, adding up their chains.
//!
//! Writes go on meanwhile. A store may bring a recipient twice, and an erasure moves one from their own name to the hash that is left: hashes are read a
//! second time at the end, so that nobody is missed between the two.

use std::collections::BTreeMap;

use crate::consent::chain::{Content, Subject};
use crate::consent::dossier::Dossier;
use crate::consent::{Recipient, RecipientHash, RecipientHasher, RecipientKey, TenantId};
use crate::store::{ConsentStore, Cursor, Rows, StoreError, StoredRow};

use super::sums::Tally;

/// How many rows are read at a time.
const PAGE: usize = 500;

/// A row, and what could be made of it.
pub(super) struct Read {
    pub(super) hash: RecipientHash,
    pub(super) row: StoredRow,
    /// `None` if it cannot be read.
    pub(super) dossier: Option<Dossier>,
}

/// Where the reading stands.
pub(super) struct Walk<'s> {
    store: &'s ConsentStore,
    hasher: &'s RecipientHasher,
    tenant: usize,
    number: TenantId,
    passes: std::vec::IntoIter<Rows>,
    pass: Option<Rows>,
    after: Option<Cursor>,
    /// People who came back after an erasure: their tombstones must have been counted before them.
    returned: BTreeMap<RecipientKey, (RecipientHash, Dossier)>,
}

impl<'s> Walk<'s> {
    pub(super) fn of(
        store: &'s ConsentStore,
        hasher: &'s RecipientHasher,
        tenant: usize,
    ) -> Result<Self, StoreError> {
        let number = store.tenant_number(tenant)?;
        let mut passes = vec![Rows::All, Rows::Hashed].into_iter();
        let pass = passes.next();
        Ok(Self { store, hasher, tenant, number, passes, pass, after: None, returned: BTreeMap::new() })
    }

    /// Some more rows, their chains added up; `None` is the end.
    pub(super) async fn next(&mut self, tally: &mut Tally<'_>) -> Result<Option<Vec<Read>>, StoreError> {
        let Some(pass) = self.pass else { return Ok(None) };
        let page = self.store.rows(self.tenant, pass, self.after.take(), PAGE).await?;
        let mut rows = Vec::with_capacity(page.rows.len());
        for row in page.rows {
            let hash = self.hasher.hash(self.number, &row.key);
            let dossier = row.dossier.as_deref().and_then(Dossier::decode);
            if let Some(dossier) = &dossier {
                self.count(hash, &row.key, dossier, tally);
            }
            // The second pass only counts: nearly everybody was met in the first.
            if pass == Rows::All {
                rows.push(Read { hash, row, dossier });
            }
        }
        self.after = page.next;
        if self.after.is_none() {
            self.pass = self.passes.next();
            if self.pass.is_none() {
                self.count_returned(tally).await?;
            }
        }
        Ok(Some(rows))
    }

    fn count(&mut self, hash: RecipientHash, key: &RecipientKey, dossier: &Dossier, tally: &mut Tally<'_>) {
        let has_tombstone = !matches!(key, RecipientKey::Hashed(_)) && came_back(dossier);
        if has_tombstone {
            self.returned.insert(key.clone(), (hash, dossier.clone()));
        } else {
            tally.add(hash, dossier.chain());
        }
    }

    async fn count_returned(&mut self, tally: &mut Tally<'_>) -> Result<(), StoreError> {
        for (hash, dossier) in std::mem::take(&mut self.returned).into_values() {
            let row = self.store.row(self.tenant, &RecipientKey::Hashed(hash)).await?;
            let tombstone = row.as_deref().and_then(Dossier::decode);
            match tombstone {
                Some(tombstone) => tally.add_returned(hash, dossier.chain(), tombstone.chain()),
                None => tally.add(hash, dossier.chain()),
            }
        }
        Ok(())
    }
}

/// Whether an erasure is among the entries, as in the dossier of somebody who is heard of again.
fn came_back(dossier: &Dossier) -> bool {
    let of_erasure = |subject: &Subject| {
        dossier.event(subject).is_some_and(|event| matches!(event.recipient, Recipient::Hashed(_)))
    };
    dossier.chain().entries().iter().any(|entry| match &entry.content {
        Content::Known { subject, .. } => of_erasure(subject),
        Content::Erased { .. } => true,
    })
}
