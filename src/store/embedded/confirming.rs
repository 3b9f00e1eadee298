//! The reservation of a confirmation in the file: made by the one writer, durable before anybody is told.

use redb::{ReadableTable, WriteTransaction};

use crate::consent::Timestamp;
use crate::store::StoreError;
use crate::store::confirming::{Ask, STANDS, Wanted};

use super::Embedded;
use super::jobs::Job;
use super::tables::{CONFIRMED, read_failed};

impl Embedded {
    /// Whether the confirmation is free, and with [`Ask::Reserve`] from now on this caller's.
    pub(in crate::store) async fn confirm(&self, wanted: Wanted) -> Result<bool, StoreError> {
        match wanted.ask {
            Ask::Reserve | Ask::GiveBack => self.ask(wanted, Job::Confirm).await,
            Ask::Look => {
                self.read(move |snapshot| {
                    let confirmed = snapshot.transaction.open_table(CONFIRMED).map_err(read_failed)?;
                    is_free(&confirmed, &wanted).map_err(read_failed)
                })
                .await
            }
        }
    }
}

/// Reserves it unless it is reserved, or gives it back, and forgets what stands no longer.
pub(super) fn reserve(transaction: &WriteTransaction, wanted: &Wanted) -> Result<bool, redb::Error> {
    let mut confirmed = transaction.open_table(CONFIRMED)?;
    confirmed.retain(|_, until| stands(until, wanted.now))?;
    if wanted.ask == Ask::GiveBack {
        confirmed.remove(wanted.place.bytes().as_slice())?;
        return Ok(true);
    }
    let free = is_free(&confirmed, wanted)?;
    if free {
        let until = wanted.now.plus(STANDS).as_secs_u32();
        confirmed.insert(wanted.place.bytes().as_slice(), until)?;
    }
    Ok(free)
}

fn is_free(
    confirmed: &impl ReadableTable<&'static [u8], u32>,
    wanted: &Wanted,
) -> Result<bool, redb::StorageError> {
    let reserved = confirmed.get(wanted.place.bytes().as_slice())?;
    Ok(reserved.is_none_or(|until| !stands(until.value(), wanted.now)))
}

fn stands(until: u32, now: Timestamp) -> bool {
    until > now.as_secs_u32()
}
