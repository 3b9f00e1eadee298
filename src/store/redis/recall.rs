//! Tombstones of people who are heard of again, for writers.
//!
//! A tombstone stands in another slot than the dossier that it speaks about, so no script sees both. A counter that grows with every erasure, before its
//! first tombstone, tells a writer whether to look for them, and whether one may have come while it wrote.

use redis::Value;
use redis::aio::MultiplexedConnection;

use crate::consent::dossier::Dossier;
use crate::store::naming::Naming;
use crate::store::{Counted, StoreError};

use super::batch::Read;
use super::door::{ask, ask_all};
use super::keys;
use super::writing::{PATIENCE, stored};

/// What is known of tombstones that stand elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Erasures {
    /// None do: they take people's own places.
    #[default]
    InPlace,
    /// So many were announced; never fewer than there are.
    Counted(u64),
    /// The counter, which is made with the store, has gone: there may be any number.
    Lost,
}

impl Erasures {
    /// Asks for the number.
    pub(super) async fn count(
        connection: &MultiplexedConnection,
        naming: &Naming,
    ) -> Result<Self, StoreError> {
        if naming.buries_in_place() {
            return Ok(Self::InPlace);
        }
        let mut get = redis::cmd("GET");
        get.arg(keys::ERASURES);
        Self::of(ask(connection, &get, PATIENCE).await?)
    }

    /// Counts more tombstones, before the first of them is written.
    pub(super) async fn announce(
        connection: &MultiplexedConnection,
        naming: &Naming,
        tombstones: usize,
    ) -> Result<(), StoreError> {
        if !naming.buries_in_place() {
            let mut count = redis::cmd("INCRBY");
            count.arg(keys::ERASURES).arg(tombstones);
            ask(connection, &count, PATIENCE).await?;
        }
        Ok(())
    }

    /// From the answer to GET.
    fn of(answer: Value) -> Result<Self, StoreError> {
        let Some(bytes) = stored(answer)? else { return Ok(Self::Lost) };
        let count = std::str::from_utf8(&bytes).ok().and_then(|text| text.parse().ok());
        count.map(Self::Counted).ok_or(StoreError::Unreadable)
    }

    /// What whoever looks for tampering compares with the tombstones that there are.
    pub(super) const fn counted(self) -> Counted {
        match self {
            Self::InPlace => Counted::Needless,
            Self::Counted(count) => Counted::AtMost(count),
            Self::Lost => Counted::Lost,
        }
    }

    /// Whether somebody who looks unknown may have a tombstone elsewhere.
    pub(super) fn may_be(self) -> bool {
        match self {
            Self::InPlace | Self::Counted(0) => false,
            Self::Counted(_) | Self::Lost => true,
        }
    }

    /// Whether there may be more tombstones than before, going by the counter's value now.
    pub(super) fn have_grown(self, counter: Value) -> Result<bool, StoreError> {
        match self {
            Self::InPlace => Ok(false),
            Self::Counted(_) | Self::Lost => Ok(Self::of(counter)? != self),
        }
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
