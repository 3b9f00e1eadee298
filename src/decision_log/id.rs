//! Decision ids: sortable by time, unique without a lock or a system call.

use std::cell::Cell;
use std::{fmt, io};

use crate::consent::Timestamp;

/// Crockford's base 32: no I, L, O or U, so that an id survives being read out.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The name of one decision, as a ULID: 48 bits of milliseconds and 80 random bits in 26 characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DecisionId([u8; Self::LEN]);

impl DecisionId {
    /// How many characters an id has.
    pub const LEN: usize = 26;

    fn from_bits(bits: u128) -> Self {
        let mut text = [b'0'; Self::LEN];
        let mut rest = bits;
        for place in text.iter_mut().rev() {
            let digit = usize::try_from(rest & 31).unwrap_or_default();
            *place = ALPHABET.get(digit).copied().unwrap_or(b'0');
            rest >>= 5;
        }
        Self(text)
    }

    /// Reads an id as it was written, in any letter case.
    pub fn parse(text: &str) -> Option<Self> {
        let mut id: [u8; Self::LEN] = text.as_bytes().try_into().ok()?;
        id.make_ascii_uppercase();
        // 26 characters hold 130 bits; a first character past 7 would need more than the 128 there are.
        let fits = id.first().is_some_and(|first| (b'0'..=b'7').contains(first));
        (fits && id.iter().all(|c| ALPHABET.contains(c))).then_some(Self(id))
    }

    /// The moment in its first ten characters.
    pub fn time(&self) -> Timestamp {
        let digit = |c: &u8| ALPHABET.iter().position(|known| known == c).unwrap_or_default();
        let millis = self.0.iter().take(10).fold(0, |bits, c| bits << 5 | digit(c) as u64);
        Timestamp::from_millis(millis)
    }

    /// The 26 characters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    pub(super) fn bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl fmt::Display for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Makes one worker's ids. The generator is xoroshiro128+ (Blackman and Vigna 2018): fast, and not for secrets.
#[derive(Debug)]
pub(super) struct IdSource {
    state: Cell<[u64; 2]>,
}

impl IdSource {
    pub(super) fn seeded() -> io::Result<Self> {
        let seed = getrandom::u64()
            .and_then(|a| Ok([a, getrandom::u64()?]))
            .map_err(|error| io::Error::other(error.to_string()))?;
        // All zero is the one state that the generator never leaves.
        Ok(Self { state: Cell::new(if seed == [0, 0] { [1, 2] } else { seed }) })
    }

    pub(super) fn next(&self, now: Timestamp) -> DecisionId {
        let random = u128::from(self.random()) << 64 | u128::from(self.random());
        DecisionId::from_bits(u128::from(now.as_millis()) << 80 | random >> 48)
    }

    fn random(&self) -> u64 {
        let [a, b] = self.state.get();
        let mixed = a ^ b;
        self.state.set([a.rotate_left(24) ^ mixed ^ (mixed << 16), mixed.rotate_left(37)]);
        a.wrapping_add(b)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_sort_by_time_and_read_back() {
        let source = IdSource::seeded().unwrap();
        let early = source.next(Timestamp::from_millis(1_790_000_000_000));
        let late = source.next(Timestamp::from_millis(1_790_000_000_001));
        assert!(early < late && early.as_str().len() == 26);
        assert_eq!(DecisionId::parse(&early.to_string().to_lowercase()), Some(early));
    }

    #[test]
    fn the_time_stands_in_the_first_ten_characters_as_the_ulid_specification_says() {
        let id = IdSource::seeded().unwrap().next(Timestamp::from_millis(1_469_918_176_385));
        assert_eq!(&id.as_str()[..10], "01ARYZ6S41");
        assert_eq!(id.time(), Timestamp::from_millis(1_469_918_176_385));
    }

    #[test]
    fn two_workers_in_the_same_millisecond_never_meet() {
        let workers = [IdSource::seeded().unwrap(), IdSource::seeded().unwrap()];
        let ids: HashSet<_> = (0..20_000).map(|n| workers[n % 2].next(Timestamp::from_secs(1))).collect();
        assert_eq!(ids.len(), 20_000);
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for bad in [
            "",
            "01ARYZ6S41",
            "81ARYZ6S4100000000000000000",
            "01ARYZ6S41000000000000000U",
            "01ARYZ6S4100000000000000é",
        ] {
            assert_eq!(DecisionId::parse(bad), None, "{bad}");
        }
    }
}
