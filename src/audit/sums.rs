//! What a checkpoint says about all chains of a tenant: sums over keyed hashes of their heads, in which one missing or changed chain shows.
//!
//! A multiset hash by addition (MSet-Add-Hash: Clarke, Devadas, van Dijk, Gassend, Suh, "Incremental Multiset Hash Functions", 2003): the order in which chains
//! are read does not matter, and without the key nobody finds another set with the same sums. There is one sum for every first byte of a recipient's keyed
//! hash, so that a difference says in which 256th of the recipients it lies.

use std::collections::HashSet;

use aws_lc_rs::hmac;

use crate::consent::chain::{Chain, Hash};
use crate::consent::{RecipientHash, RecipientKey};

/// How many sums there are.
pub(super) const BUCKETS: usize = 256;

/// 256 sums of 256 bits each.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Sums(Vec<[u64; 4]>);

impl Default for Sums {
    fn default() -> Self {
        Self(vec![[0; 4]; BUCKETS])
    }
}

impl Sums {
    fn add(&mut self, bucket: u8, element: &Hash) {
        if let Some(sum) = self.0.get_mut(usize::from(bucket)) {
            *sum = added(sum, &words(element));
        }
    }

    /// Adds the two's complement.
    fn subtract(&mut self, bucket: u8, element: &Hash) {
        if let Some(sum) = self.0.get_mut(usize::from(bucket)) {
            let negative = added(&words(element).map(|word| !word), &[1, 0, 0, 0]);
            *sum = added(sum, &negative);
        }
    }

    /// Where two differ.
    pub(super) fn differences<'s>(&'s self, other: &'s Self) -> impl Iterator<Item = u8> + 's {
        (0..=u8::MAX)
            .zip(self.0.iter().zip(&other.0))
            .filter(|(_, (one, other))| one != other)
            .map(|(n, _)| n)
    }

    /// All sums one after the other, little-endian.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flatten().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// Reads what [`Sums::to_bytes`] wrote.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (sums, rest) = bytes.as_chunks::<32>();
        (sums.len() == BUCKETS && rest.is_empty()).then(|| Self(sums.iter().map(words).collect()))
    }
}

fn words(element: &Hash) -> [u64; 4] {
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(element.as_chunks().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    words
}

/// Addition that wraps at 256 bits.
fn added(one: &[u64; 4], other: &[u64; 4]) -> [u64; 4] {
    let mut sum = [0; 4];
    let mut carry = false;
    for (to, (a, b)) in sum.iter_mut().zip(one.iter().zip(other)) {
        let (partial, first) = a.overflowing_add(*b);
        let (whole, second) = partial.overflowing_add(u64::from(carry));
        *to = whole;
        carry = first || second;
    }
    sum
}

/// What stood at one moment.
#[derive(Clone, Default)]
pub(super) struct Total {
    pub(super) sums: Sums,
    pub(super) recipients: u64,
    pub(super) entries: u64,
}

/// Adds up chains as they stood at several moments, in one reading of all of them.
///
/// A store may bring a chain twice, or once under a person's name and again under the hash that an erasure left: each element counts once, known again by
/// eight of its bytes. That is the only thing that grows with the number of recipients: about 16 bytes for each.
pub(super) struct Tally<'k> {
    key: &'k hmac::Key,
    /// The moments, ascending.
    moments: Vec<u32>,
    totals: Vec<Total>,
    seen: HashSet<u64, ahash::RandomState>,
}

impl<'k> Tally<'k> {
    /// Moments must ascend.
    pub(super) fn new(key: &'k hmac::Key, moments: Vec<u32>) -> Self {
        let totals = vec![Total::default(); moments.len()];
        Self { key, moments, totals, seen: HashSet::default() }
    }

    /// Adds a recipient's chain.
    pub(super) fn add(&mut self, hash: RecipientHash, chain: &Chain) {
        self.add_after(hash, chain, 0);
    }

    /// Adds the chain of somebody who came back after an erasure: it goes on where the tombstone's ends, and takes its place from there on.
    pub(super) fn add_returned(&mut self, hash: RecipientHash, chain: &Chain, tombstone: &Chain) {
        let entries = tombstone.entries();
        let goes_on = !entries.is_empty()
            && chain.entries().len() > entries.len()
            && chain.entries().iter().zip(entries).all(|(one, other)| one.head == other.head);
        if !goes_on {
            return self.add(hash, chain);
        }
        let (Some((seq, last)), Some(next)) =
            (tombstone.numbered().last(), chain.entries().get(entries.len()))
        else {
            return;
        };
        let element = self.element(hash, seq, &last.head);
        if self.seen.contains(&fingerprint(&element)) {
            let from = self.first_at(next.at);
            for total in self.totals.get_mut(from..).into_iter().flatten() {
                total.sums.subtract(bucket(hash), &element);
                total.recipients = total.recipients.wrapping_sub(1);
                total.entries = total.entries.wrapping_sub(u64::from(seq));
            }
            self.add_after(hash, chain, seq);
        } else {
            self.add(hash, chain);
        }
    }

    fn add_after(&mut self, hash: RecipientHash, chain: &Chain, after: u32) {
        let mut entries = chain.numbered().peekable();
        while let Some((seq, entry)) = entries.next() {
            let from = self.first_at(entry.at);
            let to = entries.peek().map_or(self.moments.len(), |(_, next)| self.first_at(next.at));
            if seq <= after || from >= to {
                continue;
            }
            let element = self.element(hash, seq, &entry.head);
            if !self.seen.insert(fingerprint(&element)) {
                continue;
            }
            for total in self.totals.get_mut(from..to).into_iter().flatten() {
                total.sums.add(bucket(hash), &element);
                total.recipients = total.recipients.wrapping_add(1);
                total.entries = total.entries.wrapping_add(u64::from(seq));
            }
        }
    }

    /// The first moment at which what was written at a time is there.
    fn first_at(&self, at: u32) -> usize {
        self.moments.partition_point(|moment| *moment < at)
    }

    fn element(&self, hash: RecipientHash, seq: u32, head: &Hash) -> Hash {
        let mut context = hmac::Context::with_key(self.key);
        context.update(RecipientKey::Hashed(hash).bytes());
        context.update(head);
        context.update(&seq.to_be_bytes());
        context.sign().as_ref().try_into().unwrap_or_default()
    }

    /// What stood at each moment.
    pub(super) fn finish(self) -> Vec<Total> {
        self.totals
    }
}

/// The first byte of the hash, behind its mark.
fn bucket(hash: RecipientHash) -> u8 {
    RecipientKey::Hashed(hash).bytes().get(1).copied().unwrap_or_default()
}

fn fingerprint(element: &Hash) -> u64 {
    element.first_chunk().copied().map_or(0, u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::dossier::{Dossier, Provenance};
    use crate::consent::{Recipient, RecipientHasher, TenantId, Timestamp};

    fn key() -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &[1; 32])
    }

    fn hash(number: &str) -> RecipientHash {
        RecipientHasher::new(&[2; 32]).hash(TenantId(1), &Recipient::parse(number).unwrap().key())
    }

    /// A dossier with an entry at each of these times.
    fn grown(mut dossier: Dossier, times: &[u32]) -> Dossier {
        for at in times {
            dossier.link(Recipient::parse(&format!("US.{at}")).unwrap().key(), Provenance::Declared);
            dossier.seal(Timestamp::from_secs(u64::from(*at)), || Ok::<_, ()>([3; 16])).unwrap();
        }
        dossier
    }

    fn of(times: &[u32]) -> Dossier {
        grown(Dossier::default(), times)
    }

    fn totals(moments: &[u32], add: impl Fn(&mut Tally<'_>)) -> Vec<(Vec<u8>, u64, u64)> {
        let key = key();
        let mut tally = Tally::new(&key, moments.to_vec());
        add(&mut tally);
        tally.finish().into_iter().map(|t| (t.sums.to_bytes(), t.recipients, t.entries)).collect()
    }

    const ANN: &str = "+15550000001";
    const BEN: &str = "+15550000002";

    #[test]
    fn sums_wrap_and_what_is_subtracted_is_gone() {
        let mut sums = Sums::default();
        sums.add(7, &[0xff; 32]);
        sums.add(7, &[0xff; 32]);
        assert_eq!(sums.0[7], [u64::MAX - 1, u64::MAX, u64::MAX, u64::MAX]);
        sums.subtract(7, &[0xff; 32]);
        sums.subtract(7, &[0xff; 32]);
        assert!(sums == Sums::default());
        sums.subtract(0, &[1; 32]);
        let read = Sums::from_bytes(&sums.to_bytes()).unwrap();
        assert_eq!(read.differences(&Sums::default()).collect::<Vec<_>>(), [0]);
        assert!(Sums::from_bytes(&[0; 31]).is_none() && Sums::from_bytes(&[0; 257 * 32]).is_none());
    }

    #[test]
    fn neither_the_order_of_recipients_nor_a_repeat_nor_what_comes_later_matters() {
        let (ann, ben) = (of(&[10, 20]), of(&[15]));
        let once = totals(&[12, 30], |tally| {
            tally.add(hash(ANN), ann.chain());
            tally.add(hash(BEN), ben.chain());
        });
        assert_eq!((once[0].1, once[0].2, once[1].1, once[1].2), (1, 1, 2, 3));
        let again = totals(&[12, 30], |tally| {
            tally.add(hash(BEN), grown(ben.clone(), &[40]).chain());
            tally.add(hash(ANN), ann.chain());
            tally.add(hash(ANN), grown(ann.clone(), &[31, 50]).chain());
        });
        assert_eq!(once, again);
    }

    #[test]
    fn another_person_head_or_length_is_another_sum() {
        let sum =
            |number: &str, dossier: &Dossier| totals(&[30], |tally| tally.add(hash(number), dossier.chain()));
        let base = sum(ANN, &of(&[10, 20]));
        for (what, other) in [
            ("another person", sum(BEN, &of(&[10, 20]))),
            ("shorter", sum(ANN, &of(&[10]))),
            ("another time", sum(ANN, &of(&[10, 21]))),
            ("nobody", totals(&[30], |_| {})),
        ] {
            assert_ne!(base[0].0, other[0].0, "{what}");
        }
    }

    /// A person is erased, comes back, and is erased again: whatever stands in the store, every moment keeps its sums.
    #[test]
    fn erasures_and_returns_leave_the_sums_of_earlier_moments_unchanged() {
        let moments = [12, 22, 32, 42];
        let alive = of(&[10]);
        let tombstone = {
            let mut erased = alive.clone();
            erased.erase(|_| true);
            grown(erased, &[20])
        };
        let back = grown(tombstone.clone(), &[30]);
        let buried = {
            let mut erased = back.clone();
            erased.erase(|_| true);
            grown(erased, &[40])
        };
        let add_back = |tally: &mut Tally<'_>| {
            tally.add(hash(ANN), tombstone.chain());
            tally.add_returned(hash(ANN), back.chain(), tombstone.chain());
        };
        let first = totals(&moments, |tally| tally.add(hash(ANN), alive.chain()));
        let second = totals(&moments, |tally| tally.add(hash(ANN), tombstone.chain()));
        let third = totals(&moments, add_back);
        let fourth = totals(&moments, |tally| tally.add(hash(ANN), buried.chain()));
        assert_eq!(first[..1], second[..1]);
        assert_eq!(second[..2], third[..2]);
        assert_eq!(third[..3], fourth[..3]);
        assert_eq!((third[2].1, third[2].2), (1, 3));
        // In the middle of an erasure both may be met.
        let both = totals(&moments, |tally| {
            tally.add(hash(ANN), alive.chain());
            tally.add(hash(ANN), tombstone.chain());
        });
        assert_eq!(both[..1], first[..1]);
        // A tombstone that is gone takes nothing with it.
        let alone = totals(&moments, |tally| tally.add_returned(hash(ANN), back.chain(), tombstone.chain()));
        assert_eq!(alone, third);
    }
}
