//! Rows as they are stored, and the checkpoints over them.

use std::ops::Bound;

use redb::WriteTransaction;

use crate::consent::{GateRecord, RecipientKey, TenantId};
use crate::store::StoreError;
use crate::store::place::Place;
use crate::store::rows::{Checkpoints, Rows, StoredRow};

use super::Embedded;
use super::jobs::Job;
use super::row::Row;
use super::tables::{CHECKPOINTS, DOSSIERS, Snapshot, read_failed, write_failed};

/// What keyed hashes begin with; they stand together, before numbers and user ids.
const HASHED: &[u8] = b"#";

/// Rows and where to go on; `None` is the end.
type Found = (Vec<StoredRow>, Option<RecipientKey>);

impl Embedded {
    pub(in crate::store) async fn rows(
        &self,
        which: (TenantId, Rows),
        after: Option<RecipientKey>,
        limit: usize,
    ) -> Result<Found, StoreError> {
        self.read(move |snapshot| snapshot.rows(which, after, limit)).await
    }

    pub(in crate::store) async fn row(&self, place: Place) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(move |snapshot| {
            let row = snapshot.row(&place).map_err(read_failed)?;
            row.map_or(Ok(None), |row| snapshot.raw_dossier(row.value()))
        })
        .await
    }

    pub(in crate::store) async fn checkpoints(
        &self,
        tenant: TenantId,
    ) -> Result<Vec<(u32, Vec<u8>)>, StoreError> {
        self.read(move |snapshot| snapshot.checkpoints(tenant)).await
    }

    pub(in crate::store) async fn put_checkpoint(&self, change: Checkpoints) -> Result<(), StoreError> {
        self.ask(change, Job::Checkpoint).await
    }
}

impl Snapshot {
    fn rows(
        &self,
        (tenant, which): (TenantId, Rows),
        after: Option<RecipientKey>,
        limit: usize,
    ) -> Result<Found, StoreError> {
        // The table of gate records is the table of rows: nothing is left for a second reading.
        if which == Rows::Gates {
            return Ok((Vec::new(), None));
        }
        let start = match after {
            Some(key) => Bound::Excluded(Place { tenant, key }.bytes()),
            None => Bound::Included(tenant.0.to_be_bytes().to_vec()),
        };
        let start = start.as_ref().map(Vec::as_slice);
        let mut rows = Vec::new();
        let mut last = None;
        for row in self.gate.range::<&[u8]>((start, Bound::Unbounded)).map_err(read_failed)? {
            let (key, row) = row.map_err(read_failed)?;
            let place = Place::from_bytes(key.value()).ok_or(StoreError::Unreadable)?;
            if place.tenant != tenant
                || (which == Rows::Hashed
                    && place.key.bytes() > HASHED
                    && !place.key.bytes().starts_with(HASHED))
            {
                return Ok((rows, None));
            }
            if rows.len() >= limit {
                return Ok((rows, last));
            }
            last = Some(place.key.clone());
            if place.key != RecipientKey::Tenant {
                rows.push(self.stored_row(place.key, row.value())?);
            }
        }
        Ok((rows, None))
    }

    fn stored_row(&self, key: RecipientKey, row: &[u8]) -> Result<StoredRow, StoreError> {
        let gate = row.get(..GateRecord::BYTES).map(<[u8]>::to_vec);
        Ok(StoredRow { key, dossier: self.raw_dossier(row)?, gate })
    }

    fn raw_dossier(&self, row: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(number) = Row::decode(row).and_then(|row| row.dossier) else { return Ok(None) };
        let dossiers = self.transaction.open_table(DOSSIERS).map_err(read_failed)?;
        let stored = dossiers.get(number).map_err(read_failed)?;
        Ok(stored.map(|stored| stored.value().to_vec()))
    }

    fn checkpoints(&self, tenant: TenantId) -> Result<Vec<(u32, Vec<u8>)>, StoreError> {
        let table = self.transaction.open_table(CHECKPOINTS).map_err(read_failed)?;
        let of_tenant = table.range((tenant.0, 0)..=(tenant.0, u32::MAX)).map_err(read_failed)?;
        let checkpoints =
            of_tenant.map(|row| row.map(|(key, bytes)| (key.value().1, bytes.value().to_vec())));
        checkpoints.collect::<Result<_, _>>().map_err(read_failed)
    }
}

/// Keeps a checkpoint within a transaction.
pub(super) fn put_checkpoint(transaction: &WriteTransaction, change: &Checkpoints) -> Result<(), StoreError> {
    let Checkpoints { tenant, kept: (at, checkpoint), dropped } = change;
    let mut table = transaction.open_table(CHECKPOINTS).map_err(write_failed)?;
    table.insert((tenant.0, *at), checkpoint.as_slice()).map_err(write_failed)?;
    for at in dropped {
        table.remove((tenant.0, *at)).map_err(write_failed)?;
    }
    Ok(())
}
