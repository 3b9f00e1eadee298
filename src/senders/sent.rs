//! How workers tell of messages that the provider took: one push into a lane of the worker's own, which nobody waits at and which wakes nobody.
//!
//! Answers that may tell of people travel as they came: what they say is read at the other end, where nobody waits for it. Of others the id travels.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use ahash::RandomState;

use crate::consent::redact::Redacted;
use crate::consent::{Category, Recipient};
use crate::wire::cloud::answer::MessageId;

/// How many messages may wait in a lane: what a worker sends between two looks, as long as that is less than 80,000 a second.
const LANE: usize = 16_384;

/// So many at one look are few, and after each [`STRETCH`] of them whoever waits for this core goes first. Of many this would cost the looking thread a turn each time.
const FEW: usize = 256;
const STRETCH: usize = 16;

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
    /// The id of the message that it made, and nothing else: a message id holds its recipient's number.
    Message(MessageId),
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
    pub asked: Option<Box<Asked>>,
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

/// What waits in a worker's lane. On cache lines of its own: its worker touches it with every send.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Lane {
    waiting: Mutex<Vec<Sent>>,
    lost: AtomicBool,
}

impl Lane {
    fn waiting(&self) -> MutexGuard<'_, Vec<Sent>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A worker's end of its lane.
#[derive(Clone, Debug)]
pub struct Recorder {
    lane: Arc<Lane>,
}

impl Recorder {
    /// Tells of a message. Never waits for more than a swap of two lists: what has no room is lost, and nobody is accused of it.
    pub fn note(&self, sent: Sent) {
        let mut waiting = self.lane.waiting();
        if waiting.len() < LANE {
            waiting.push(sent);
        } else {
            self.lane.lost.store(true, Ordering::Relaxed);
        }
    }
}

/// The other ends.
#[derive(Default)]
pub(super) struct Lanes {
    lanes: Vec<Arc<Lane>>,
    /// What a lane is swapped for, so that neither side makes room anew.
    spare: Vec<Sent>,
}

/// Makes a lane for each worker.
pub(super) fn lanes(workers: usize) -> (Vec<Recorder>, Lanes) {
    let lanes: Vec<Arc<Lane>> = std::iter::repeat_with(Arc::default).take(workers).collect();
    let recorders = lanes.iter().map(|lane| Recorder { lane: Arc::clone(lane) }).collect();
    (recorders, Lanes { lanes, spare: Vec::new() })
}

impl Lanes {
    /// Hands over everything that waits now.
    pub(super) fn take(&mut self, mut each: impl FnMut(Sent)) {
        let mut turns = FEW / STRETCH;
        for lane in &self.lanes {
            std::mem::swap(&mut *lane.waiting(), &mut self.spare);
            let are_few = self.spare.len() <= FEW;
            for (index, sent) in self.spare.drain(..).enumerate() {
                if are_few && turns > 0 && index % STRETCH == STRETCH - 1 {
                    turns -= 1;
                    std::thread::yield_now();
                }
                each(sent);
            }
        }
    }

    /// Whether anything was lost since this was last asked.
    pub(super) fn have_lost(&self) -> bool {
        // Every lane is asked: what one lost must not be told another time.
        self.lanes.iter().fold(false, |lost, lane| lane.lost.swap(false, Ordering::Relaxed) | lost)
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
        let (recorders, mut lanes) = lanes(2);
        for _ in 0..LANE {
            recorders[0].note(sent());
        }
        assert!(!lanes.have_lost());
        recorders[0].note(sent());
        recorders[1].note(sent());
        assert!(lanes.have_lost() && !lanes.have_lost());
        let mut taken = || {
            let mut count = 0;
            lanes.take(|_| count += 1);
            count
        };
        assert_eq!(taken(), LANE + 1);
        recorders[0].note(sent());
        assert_eq!((taken(), taken()), (1, 0));
        assert!(!lanes.have_lost());
    }
}
