//! What all nodes share about the numbers that send: moments, texts, sums by day, and which messages were sent. None of it decides about consent.

use super::{Backend, ConsentStore, StoreError};

/// How many days a sum is kept, today included.
pub const SUM_DAYS: u32 = 28;
/// How many days it is known that a message was sent, today included.
pub const SENT_DAYS: u32 = 8;
/// The bytes of one block of a [`Filter`].
pub const BLOCK_BYTES: usize = 64;
/// The bits that one message sets.
pub const MARK_BITS: usize = 4;

/// One block of a filter.
pub type Block = [u8; BLOCK_BYTES];

/// The messages of one day: a set of bits that can say "never seen" with certainty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Filter {
    /// The day, counted from 1970.
    pub day: u32,
    /// How many blocks it has. Filters of other sizes are other filters.
    pub blocks: u32,
}

/// One message in a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The filter.
    pub filter: Filter,
    /// Which block, below [`Filter::blocks`].
    pub block: u32,
    /// Which bits of it.
    pub bits: [u16; MARK_BITS],
}

/// What is to be kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// The day of now, counted from 1970: what is too old then goes.
    pub today: u32,
    /// Numbers by name, which only grow: the greater of this one and the kept one stays.
    pub raised: Vec<(String, u64)>,
    /// Texts by name, each in place of the one before.
    pub texts: Vec<(String, Vec<u8>)>,
    /// How much sums grow, by day and name.
    pub sums: Vec<(u32, String, u64)>,
    /// Messages that were sent.
    pub sent: Vec<Mark>,
}

impl Notes {
    /// Whether there is nothing to keep.
    pub fn is_empty(&self) -> bool {
        self.raised.is_empty() && self.texts.is_empty() && self.sums.is_empty() && self.sent.is_empty()
    }
}

/// What is kept, but for sums and filters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The numbers, by name.
    pub numbers: Vec<(String, u64)>,
    /// The texts, by name.
    pub texts: Vec<(String, Vec<u8>)>,
}

/// A sum: its day, its name and how much it is.
pub type Sum = (u32, String, u64);

impl Mark {
    /// Whether a block holds it.
    pub fn is_in(&self, block: &Block) -> bool {
        self.bits.iter().all(|bit| {
            let byte = block.get(usize::from(bit / 8)).copied().unwrap_or_default();
            // As Redis counts them: the first bit is the highest of the first byte.
            byte & (0x80 >> (bit % 8)) != 0
        })
    }

    /// Puts it into a block.
    pub fn set_in(&self, block: &mut Block) {
        for bit in self.bits {
            if let Some(byte) = block.get_mut(usize::from(bit / 8)) {
                *byte |= 0x80 >> (bit % 8);
            }
        }
    }
}

impl ConsentStore {
    /// Keeps notes. They may be kept in part if this fails; all but the sums may be repeated without harm.
    pub async fn note(&self, notes: Notes) -> Result<(), StoreError> {
        match &self.inner.backend {
            Backend::Embedded(store) => store.note(notes).await,
            Backend::Redis(store) => store.note(&notes).await,
        }
    }

    /// Every number and text that is kept.
    pub async fn notes(&self) -> Result<Known, StoreError> {
        match &self.inner.backend {
            Backend::Embedded(store) => store.notes().await,
            Backend::Redis(store) => store.notes().await,
        }
    }

    /// Every sum of the days since `from`, until `today`.
    pub async fn sums(&self, from: u32, today: u32) -> Result<Vec<Sum>, StoreError> {
        match &self.inner.backend {
            Backend::Embedded(store) => store.sums(from, today).await,
            Backend::Redis(store) => store.sums(from, today).await,
        }
    }

    /// Blocks of filters, in the order asked for; one that nothing was put into is empty.
    pub async fn sent(&self, asked: Vec<(Filter, u32)>) -> Result<Vec<Block>, StoreError> {
        match &self.inner.backend {
            Backend::Embedded(store) => store.sent(asked).await,
            Backend::Redis(store) => store.sent(&asked).await,
        }
    }
}
