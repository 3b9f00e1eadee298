//! How workers tell of messages that the provider took: one push into a lane of the worker's own, which nobody waits at and which wakes nobody.
//!
//! Answers travel as they came: what they say is read at the other end, where nobody waits for it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use ahash::RandomState;

use crate::consent::redact::Redacted;
use crate::consent::{Category, Recipient};

/// How many messages may wait in a lane: as many as a worker sends between two looks, many times over.
const LANE: usize = 8192;

/// Who sent a message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Who {
    /// A sender whose pulse has this number.
    Number(u32),
    /// A sender that has no pulse yet.
    Named(Box<str>),
    /// Nobody can tell.
    #[default]
    Nobody,
}

/// A recipient as a send wrote it, as a hash: an answer that repeats it can be known by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written(u64);

impl Written {
    /// The hash of a text, which holds within this process.
    pub fn of(text: &str) -> Self {
        static SEEDS: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        Self(SEEDS.hash_one(text))
    }
}

/// Whom a send names, where it names one person and once.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The sender's tenant, by place.
    pub tenant: usize,
    /// The person.
    pub person: Recipient,
    /// The same as the send wrote it.
    pub written: Written,
}

/// What the provider said.
#[derive(Debug)]
pub enum Told {
    /// Its answer to a send.
    Answer(Redacted<Box<[u8]>>),
    /// Its answer to what may have been no send.
    Perhaps(Redacted<Box<[u8]>>),
    /// Nothing that was read: it may have made a message whose id nobody here knows.
    Nothing,
}

/// A message, or what may be one.
#[derive(Debug)]
pub struct Sent {
    /// Who sent it.
    pub who: Who,
    /// As what it was judged.
    pub category: Option<Category>,
    /// Whom it names.
    pub asked: Option<Asked>,
    /// What the provider said.
    pub told: Told,
}

/// How many messages there were of one sender and category.
#[derive(Debug, Default)]
pub(super) struct Count {
    pub(super) sent: u64,
    /// Those whose ids will not be known.
    pub(super) unknown: u64,
}

/// The counts of what was taken at once.
pub(super) type Kinds = HashMap<(Who, Option<Category>), Count, RandomState>;

impl Count {
    pub(super) fn add(&mut self, known: bool) {
        self.sent += 1;
        self.unknown += u64::from(!known);
    }
}

/// A worker's end of its lane.
#[derive(Clone, Debug)]
pub struct Recorder {
    lane: SyncSender<Sent>,
    lost: Arc<AtomicBool>,
}

impl Recorder {
    /// Tells of a message. Never waits: what has no room is lost, and nobody is accused of it.
    pub fn note(&self, sent: Sent) {
        match self.lane.try_send(sent) {
            // The other end is gone only when the gate ends.
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(_)) => self.lost.store(true, Ordering::Relaxed),
        }
    }
}

/// The other ends.
pub(super) struct Lanes {
    /// Never contended: it has one owner, and lets that be moved between threads.
    lanes: Mutex<Vec<Receiver<Sent>>>,
    lost: Arc<AtomicBool>,
}

/// Makes a lane for each worker.
pub(super) fn lanes(workers: usize) -> (Vec<Recorder>, Lanes) {
    let lost = Arc::new(AtomicBool::new(false));
    let (recorders, lanes) = (0..workers)
        .map(|_| {
            let (lane, end) = sync_channel(LANE);
            (Recorder { lane, lost: Arc::clone(&lost) }, end)
        })
        .unzip();
    (recorders, Lanes { lanes: Mutex::new(lanes), lost })
}

impl Lanes {
    /// Everything that waits now.
    pub(super) fn take(&self) -> Vec<Sent> {
        let lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.iter().flat_map(|lane| lane.try_iter().take(LANE)).collect()
    }

    /// Whether anything was lost since this was last asked.
    pub(super) fn have_lost(&self) -> bool {
        self.lost.swap(false, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent() -> Sent {
        Sent { who: Who::Number(1), category: None, asked: None, told: Told::Nothing }
    }

    #[test]
    fn what_has_no_room_is_lost_and_said_to_be() {
        let (recorders, lanes) = lanes(2);
        for _ in 0..LANE {
            recorders[0].note(sent());
        }
        assert!(!lanes.have_lost());
        recorders[0].note(sent());
        recorders[1].note(sent());
        assert!(lanes.have_lost() && !lanes.have_lost());
        assert_eq!(lanes.take().len(), LANE + 1);
        recorders[0].note(sent());
        assert_eq!((lanes.take().len(), lanes.have_lost()), (1, false));
    }
}
