//! Tombstones of people who are heard of again, for writers.
//!
//! A tombstone stands in another slot than the dossier that it speaks about, so no script sees both. A counter that grows with every erasure, before its
//! first tombstone, tells a writer whether to look for them, and whether one may have come while it wrote.

use redis::Value;
use redis::aio::MultiplexedConnection;

use crate::consent::dossier::Dossier;
use crate::store::StoreError;
use crate::store::naming::Naming;

use super::batch::Read;
use super::door::{ask, ask_all};
use super::keys;
use super::writing::{PATIENCE, stored};

/// How many erasures there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Erasures(u64);

impl Erasures {
    pub(super) const NONE: Self = Self(0);

    /// Asks for the number.
    pub(super) async fn count(
        connection: &MultiplexedConnection,
        naming: &Naming,
    ) -> Result<Self, StoreError> {
        if naming.buries_in_place() {
            return Ok(Self::NONE);
        }
        let mut get = redis::cmd("GET");
        get.arg(keys::ERASURES);
        Self::of(ask(connection, &get, PATIENCE).await?)
    }

    /// Counts one more, before its first tombstone is written.
    pub(super) async fn announce(
        connection: &MultiplexedConnection,
        naming: &Naming,
    ) -> Result<(), StoreError> {
        if !naming.buries_in_place() {
            let mut count = redis::cmd("INCR");
            count.arg(keys::ERASURES);
            ask(connection, &count, PATIENCE).await?;
        }
        Ok(())
    }

    /// From the answer to GET.
    pub(super) fn of(answer: Value) -> Result<Self, StoreError> {
        let Some(bytes) = stored(answer)? else { return Ok(Self::NONE) };
        let count = std::str::from_utf8(&bytes).ok().and_then(|text| text.parse().ok());
        count.map(Self).ok_or(StoreError::Unreadable)
    }
}

/// Lets everybody who has a tombstone elsewhere start from it.
pub(super) async fn tombstones(
    connection: &MultiplexedConnection,
    naming: &Naming,
    found: &mut [Read],
) -> Result<(), StoreError> {
    let mut gets = redis::pipe();
    let mut asked = Vec::new();
    for read in found {
        if let Some(tombstone) = naming.tombstone(&read.place) {
            gets.cmd("GET").arg(keys::dossier(&tombstone));
            asked.push(read);
        }
    }
    if asked.is_empty() {
        return Ok(());
    }
    for (read, answer) in asked.into_iter().zip(ask_all(connection, &gets, PATIENCE).await?) {
        if let Some(bytes) = stored(answer)? {
            let news = read.dossier.recall(&Dossier::decode(&bytes).ok_or(StoreError::Unreadable)?);
            read.recalled = news && read.seen.is_some();
        }
    }
    Ok(())
}
