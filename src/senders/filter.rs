//! From a message's id to bits that say that it was sent, and as which category.
//!
//! A provider's id holds the recipient's number, so only bits of a keyed hash of it are kept: about three bytes a message at the volume that the filters
//! are made for. Beyond that more strangers are taken for messages of ours; one of ours is never taken for a stranger.

use crate::consent::Category;
use crate::consent::mac::MacKey;
use crate::store::notes::{BLOCK_BYTES, Block, Filter, MARK_BITS, Mark, SENT_DAYS};

/// The bits that a filter has for each message of a day. Four marks in 24 err about as rarely as eight in 16 would, and each is work for the store.
const BITS_PER_MESSAGE: u64 = 24;
const BLOCK_BITS: u64 = BLOCK_BYTES as u64 * 8;
/// Odd constants that spread neighbouring numbers; those of splitmix64.
const SPREAD: [u64; 3] = [0x9E37_79B9_7F4A_7C15, 0xBF58_476D_1CE4_E5B9, 0x94D0_49BB_1331_11EB];

/// Which category a message was judged as; `None` where that is not known.
pub(super) type Judged = Option<Category>;

/// Makes marks.
pub(super) struct Marker {
    key: MacKey,
    blocks: u32,
}

/// A message's id as a keyed hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct IdHash([u64; 4]);

/// How many blocks the filter of a day has.
pub(super) fn blocks(messages_per_day: u64) -> u32 {
    let blocks = messages_per_day.saturating_mul(BITS_PER_MESSAGE).div_ceil(BLOCK_BITS);
    u32::try_from(blocks).unwrap_or(u32::MAX)
}

impl IdHash {
    pub(super) fn words(self) -> [u64; 4] {
        self.0
    }
}

impl Marker {
    pub(super) fn new(secret: &[u8; 32], blocks: u32) -> Self {
        Self { key: MacKey::new(secret), blocks: blocks.max(1) }
    }

    pub(super) fn hash(&self, id: &[u8]) -> IdHash {
        let tag = self.key.hash([id]);
        let (words, _) = tag.as_chunks();
        let mut words = words.iter().map(|word| u64::from_be_bytes(*word));
        IdHash(std::array::from_fn(|_| words.next().unwrap_or_default()))
    }

    /// The mark of a message in the filter of a day.
    pub(super) fn mark(&self, IdHash([place, start, step, salt]): IdHash, day: u32, judged: Judged) -> Mark {
        let variant = judged.map_or(0, |category| category.index() as u64 + 1);
        let salt = salt ^ variant.wrapping_mul(SPREAD[0]);
        let start = mixed(start ^ salt);
        // Odd, so that no bit comes twice.
        let step = mixed(step.wrapping_add(salt)) | 1;
        let bit = |n: usize| {
            let bit = start.wrapping_add(step.wrapping_mul(n as u64)) % BLOCK_BITS;
            u16::try_from(bit).unwrap_or_default()
        };
        Mark {
            filter: Filter { day, blocks: self.blocks },
            block: u32::try_from(place % u64::from(self.blocks)).unwrap_or_default(),
            bits: std::array::from_fn::<u16, MARK_BITS, _>(bit),
        }
    }

    /// The blocks that can say whether a message of some day, or of the days before it, was sent.
    pub(super) fn places(&self, hash: IdHash, day: u32) -> impl Iterator<Item = (Filter, u32)> + '_ {
        (day.saturating_sub(SENT_DAYS - 1)..=day).rev().map(move |day| {
            let mark = self.mark(hash, day, None);
            (mark.filter, mark.block)
        })
    }

    /// As which categories a message stands in a block; none if it does not.
    pub(super) fn judged(&self, hash: IdHash, block: &Block) -> Vec<Judged> {
        let all = Category::ALL.into_iter().map(Some).chain([None]);
        all.filter(|judged| self.mark(hash, 0, *judged).is_in(block)).collect()
    }
}

fn mixed(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(SPREAD[1]);
    let x = (x ^ (x >> 27)).wrapping_mul(SPREAD[2]);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const PER_DAY: u64 = 20_000;

    fn id(n: u64) -> String {
        format!("wamid.HBgLMTU1NTAwMDAwMDE{n}")
    }

    #[test]
    fn a_filter_knows_every_message_and_hardly_any_other() {
        let marker = Marker::new(&[7; 32], blocks(PER_DAY));
        let mut stored: HashMap<u32, Block> = HashMap::new();
        let category = |n: u64| Category::ALL[usize::try_from(n).unwrap() % Category::ALL.len()];
        for n in 0..PER_DAY {
            let mark = marker.mark(marker.hash(id(n).as_bytes()), 3, Some(category(n)));
            mark.set_in(stored.entry(mark.block).or_insert([0; BLOCK_BYTES]));
        }
        let judged = |n: u64| {
            let hash = marker.hash(id(n).as_bytes());
            stored.get(&marker.mark(hash, 3, None).block).map_or(vec![], |block| marker.judged(hash, block))
        };
        let mut certain = 0;
        for n in 0..PER_DAY {
            let found = judged(n);
            assert!(found.contains(&Some(category(n))), "{n}");
            certain += u64::from(found.len() == 1);
        }
        let strangers = (PER_DAY..2 * PER_DAY).filter(|n| !judged(*n).is_empty()).count();
        println!(
            "{certain} of {PER_DAY} have one category, {strangers} of as many strangers are taken for ours"
        );
        assert!(certain > PER_DAY * 97 / 100 && strangers < 600, "{certain} {strangers}");
    }

    #[test]
    fn another_key_makes_other_marks_and_the_size_follows_the_volume() {
        let [one, other] = [1, 2].map(|byte| Marker::new(&[byte; 32], 1000));
        assert_ne!(one.mark(one.hash(b"a"), 1, None), other.mark(other.hash(b"a"), 1, None));
        assert_eq!([0, 1, 32, 33, 1_000_000].map(blocks), [0, 1, 2, 2, 46_875]);
        let places: Vec<_> = one.places(one.hash(b"a"), 20).map(|(filter, _)| filter.day).collect();
        assert_eq!(places, [20, 19, 18, 17, 16, 15, 14, 13]);
    }
}
