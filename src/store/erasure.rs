//! Erasing a person: what a store answers, and what becomes of the dossiers. No I/O: a store gathers, calls, writes.

use crate::consent::dossier::Dossier;
use crate::consent::event::Kind;
use crate::consent::{RecipientKey, TenantId, Timestamp};

use super::naming::Naming;
use super::place::Place;

/// What became of a request to erase somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Erasure {
    /// The hash names nobody: this store keeps numbers.
    #[default]
    Unknown,
    /// Nothing was known about them. They are refused from now on, whatever older word of theirs arrives.
    Ahead {
        /// The withdrawal that is left counts from here.
        at: Timestamp,
    },
    /// They were erased before, and nothing has been learnt since.
    Before {
        /// When.
        at: Timestamp,
    },
    /// They are erased, durably and on this node.
    Now {
        /// The withdrawal that is left counts from here.
        at: Timestamp,
        /// Under how many identities they were known.
        identities: usize,
        /// How many events were taken out, those of linked identities counted once for each.
        events: usize,
    },
}

/// What a store still holds of people who were erased, where nothing reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Residue {
    /// Nothing.
    None,
    /// Unused pages of the embedded store's file, which is written anew without them soon.
    UnusedPages,
    /// The files that a Redis server keeps on its disk, until it writes them anew; it cannot be asked whether it has any.
    ServerFiles,
}

/// Whom to erase, as a store keeps them.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) place: Place,
    pub(super) at: Timestamp,
}

/// One identity of somebody who is erased: where they stood, and what stands for them from now on.
pub(super) struct Grave {
    /// Where the dossier stood.
    pub(super) place: Place,
    /// Where the tombstone stands: the same place in a store that keeps hashes.
    pub(super) tombstone_at: Place,
    pub(super) tombstone: Dossier,
    /// How many events were taken out.
    pub(super) events: usize,
}

/// Makes the tombstone of one identity; `None` for a tenant's own record, which is nobody's.
pub(super) fn bury(naming: &Naming, place: Place, dossier: Dossier, at: Timestamp) -> Option<Grave> {
    let hash = naming.hash(&place)?;
    let events = dossier.history().iter().filter(|event| event.kind != Kind::Erase).count();
    let tombstone = dossier.buried(hash, at);
    let tombstone_at = naming.tombstone(&place).unwrap_or_else(|| place.clone());
    Some(Grave { place, tombstone_at, tombstone, events })
}

/// Whether a place holds nothing about a person: nothing at all, or a tombstone where tombstones stand.
pub(super) fn is_clear(naming: &Naming, place: &Place, dossier: &Dossier) -> bool {
    dossier.is_empty() || (naming.tombstone(place).is_none() && dossier.erased_at().is_some())
}

/// The answer about somebody of whom nothing is known but perhaps a tombstone; `None` if there is none yet and they are to get one.
pub(super) fn of_nobody(naming: &Naming, wanted: &Wanted, tombstone: &Dossier) -> Option<Erasure> {
    let before = tombstone.erased_at().map(|at| Erasure::Before { at });
    before.or_else(|| (!naming.names(&wanted.place.key)).then_some(Erasure::Unknown))
}

/// The answer for some graves; `known` is whether anything was known before.
pub(super) fn of_graves(known: bool, at: Timestamp, events: impl ExactSizeIterator<Item = usize>) -> Erasure {
    let (identities, events) = (events.len(), events.sum());
    if known || events > 0 { Erasure::Now { at, identities, events } } else { Erasure::Ahead { at } }
}

/// The place of a linked identity.
pub(super) fn beside(tenant: TenantId, key: &RecipientKey) -> Place {
    Place { tenant, key: key.clone() }
}
