//! What the writer thread is asked to do.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::groups::Change;
use crate::consent::TenantId;
use crate::consent::terms::Terms;
use crate::store::confirming::Wanted;
use crate::store::erasure;
use crate::store::learning::Lesson;
use crate::store::notes::Notes;
use crate::store::rows::Checkpoints;
use crate::store::wordings::AllNumbers;
use crate::store::{Erasure, Outcome, StoreError};

/// Tenants by their names, and their terms.
pub(super) type Named = (Vec<String>, Arc<[Terms]>);
/// The tenants' numbers, and those of their wordings.
pub(super) type Numbered = (Vec<TenantId>, AllNumbers);

/// An account, its template list as it should stand, and as it is to be.
pub(super) type Swapped = (String, Option<Vec<u8>>, Vec<u8>);

/// One thing for the writer to do.
pub(super) enum Job {
    /// Learn events.
    Apply(Ask<Vec<Lesson>, Vec<Outcome>>),
    /// Erase somebody.
    Erase(Ask<erasure::Wanted, Erasure>),
    /// Keep an account's template list in place of the one before, if that is still there.
    Templates(Ask<Swapped, bool>),
    /// Keep a checkpoint.
    Checkpoint(Ask<Checkpoints, ()>),
    /// Keep notes about senders.
    Note(Ask<Notes, ()>),
    /// Change what is known of groups.
    Group(Ask<Change, ()>),
    /// Reserve the confirmation of a stop.
    Confirm(Ask<Wanted, bool>),
    /// Give tenants, and the wordings that they list, their numbers.
    Number(Ask<Named, Numbered>),
    /// Find or make a secret.
    Secret(Ask<String, [u8; 32]>),
    /// Look what else there is to do.
    Wake,
    /// Write what came before, then let go of the file.
    Close(oneshot::Sender<()>),
}

/// An input, the output that the transaction gives it, and who waits for that to be durable.
pub(super) struct Ask<I, O> {
    pub(super) input: I,
    pub(super) output: O,
    waiting: oneshot::Sender<Result<O, StoreError>>,
}

impl<I, O: Default> Ask<I, O> {
    pub(super) fn new(input: I) -> (Self, oneshot::Receiver<Result<O, StoreError>>) {
        let (waiting, answer) = oneshot::channel();
        (Self { input, output: O::default(), waiting }, answer)
    }

    /// Whoever asked may have gone; what they asked for is done all the same.
    fn answer(self, result: Result<(), StoreError>) {
        let _ = self.waiting.send(result.map(|()| self.output));
    }
}

impl Job {
    /// How much of a transaction it fills, in events.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Apply(ask) => ask.input.len(),
            Self::Erase(_)
            | Self::Templates(_)
            | Self::Note(_)
            | Self::Group(_)
            | Self::Number(_)
            | Self::Checkpoint(_)
            | Self::Confirm(_)
            | Self::Secret(_)
            | Self::Close(_) => 1,
            Self::Wake => 0,
        }
    }

    /// Tells whoever waits that it is done, or why not.
    pub(super) fn answer(self, result: Result<(), StoreError>) {
        match self {
            Self::Apply(ask) => ask.answer(result),
            Self::Erase(ask) => ask.answer(result),
            Self::Templates(ask) => ask.answer(result),
            Self::Checkpoint(ask) => ask.answer(result),
            Self::Note(ask) => ask.answer(result),
            Self::Group(ask) => ask.answer(result),
            Self::Confirm(ask) => ask.answer(result),
            Self::Number(ask) => ask.answer(result),
            Self::Secret(ask) => ask.answer(result),
            Self::Wake => {}
            Self::Close(waiting) => {
                let _ = waiting.send(());
            }
        }
    }
}
