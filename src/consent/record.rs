//! What follows from a recipient's events: the record that people read, and the gate record that the hot path reads.

use std::time::Duration;

use super::category::Category;
use super::event::EventId;
use super::time::Timestamp;

/// How long an inbound message keeps the customer service window open. Source: Meta, "Customer service windows".
pub const SERVICE_WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

/// How a recipient stands to one category, as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum State {
    /// Nothing was ever said.
    #[default]
    Unstated,
    /// Agreed.
    Granted,
    /// Withdrawn.
    Revoked,
    /// Asked, not yet confirmed (double opt-in).
    Pending,
}

impl State {
    /// The name in answers of the admin API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unstated => "none",
            Self::Granted => "granted",
            Self::Revoked => "revoked",
            Self::Pending => "pending",
        }
    }

    const fn code(self) -> u8 {
        match self {
            Self::Unstated => 0,
            Self::Granted => 1,
            Self::Revoked => 2,
            Self::Pending => 3,
        }
    }

    const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Unstated),
            1 => Some(Self::Granted),
            2 => Some(Self::Revoked),
            3 => Some(Self::Pending),
            _ => None,
        }
    }
}

/// How a recipient stands to one category at one moment: [`State`] with expiry applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing was ever said, or an opt-in still waits for its confirmation.
    Absent,
    /// Agreed and in force.
    Granted,
    /// Agreed once, no longer in force.
    Expired,
    /// Withdrawn.
    Revoked,
}

/// One category of a derived record, with what it rests on.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct CategoryRecord {
    /// Where the recipient stands.
    pub state: State,
    /// Since when.
    pub since: Option<Timestamp>,
    /// Until when a grant holds.
    pub until: Option<Timestamp>,
    /// The event that it rests on.
    pub event: Option<EventId>,
}

/// A recipient's derived record.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Record {
    /// By [`Category::index`].
    pub categories: [CategoryRecord; 5],
    /// When the customer service window closes or closed.
    pub window_until: Option<Timestamp>,
    /// How many events it rests on; grows with every change.
    pub seq: u32,
    /// Whether other identities of the person are known.
    pub linked: bool,
    /// Whether the person was erased and nothing has been learnt since.
    pub erased: bool,
}

impl Record {
    /// The compact form for the hot path.
    pub fn gate_record(&self) -> GateRecord {
        let mut gate = GateRecord { seq: self.seq, ..GateRecord::default() };
        gate.window_until = self.window_until.map_or(0, Timestamp::as_secs_u32);
        gate.flags = if self.linked { GateRecord::LINKED } else { 0 }
            | if self.erased { GateRecord::TOMBSTONE } else { 0 };
        for (slot, category) in gate.slots.iter_mut().zip(&self.categories) {
            slot.state = category.state;
            slot.until = category.until.map_or(0, Timestamp::as_secs_u32);
        }
        gate
    }
}

/// One category of a gate record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Slot {
    /// Where the recipient stands.
    pub state: State,
    /// When a grant ends, in seconds since the epoch; 0 is never.
    pub until: u32,
    /// Which wording it was given to, by the tenant's table; 0 is unnumbered.
    pub wording: u8,
}

/// What the hot path reads about a recipient: 40 bytes, merged over all identities of the person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct GateRecord {
    /// [`GateRecord::LINKED`] and its like.
    pub flags: u8,
    /// By [`Category::index`].
    pub slots: [Slot; 5],
    /// When the customer service window closes, in seconds since the epoch; 0 is never opened.
    pub window_until: u32,
    /// How many events stand behind it.
    pub seq: u32,
}

impl GateRecord {
    /// Other identities of the person are known.
    pub const LINKED: u8 = 1;
    /// The person was erased; what is left is the refusal.
    pub const TOMBSTONE: u8 = 2;
    /// A grant without evidence, from a legacy import.
    pub const LEGACY: u8 = 4;
    /// The size of the stored form.
    pub const BYTES: usize = 40;
    /// The first byte of the stored form.
    const VERSION: u8 = 1;

    /// How the recipient stands to a category now.
    pub fn standing(&self, category: Category, now: Timestamp) -> Standing {
        let slot = self.slots.get(category.index()).copied().unwrap_or_default();
        match slot.state {
            State::Unstated | State::Pending => Standing::Absent,
            State::Revoked => Standing::Revoked,
            State::Granted if slot.until != 0 && slot.until <= now.as_secs_u32() => Standing::Expired,
            State::Granted => Standing::Granted,
        }
    }

    /// Whether the customer service window is open now.
    pub fn window_open(&self, now: Timestamp) -> bool {
        self.window_until > now.as_secs_u32()
    }

    /// Whether caching this record while invalidations may be lost could let a send through.
    pub fn permits_anything(&self) -> bool {
        self.window_until != 0 || self.slots.iter().any(|slot| slot.state == State::Granted)
    }

    /// The stored form: version, flags, five slots of state, end and wording, window, sequence; integers little-endian.
    pub fn encode(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let fields = [Self::VERSION, self.flags].into_iter();
        let slots = self.slots.iter().flat_map(|slot| {
            let [a, b, c, d] = slot.until.to_le_bytes();
            [slot.state.code(), a, b, c, d, slot.wording]
        });
        let tail = self.window_until.to_le_bytes().into_iter().chain(self.seq.to_le_bytes());
        for (to, from) in bytes.iter_mut().zip(fields.chain(slots).chain(tail)) {
            *to = from;
        }
        bytes
    }

    /// Reads the stored form; `None` for anything that is not exactly one record of a known version.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (&[version, flags], rest) = bytes.split_first_chunk::<2>()?;
        if version != Self::VERSION || bytes.len() != Self::BYTES {
            return None;
        }
        let mut record = Self { flags, ..Self::default() };
        let (slots, tail) = rest.split_at_checked(30)?;
        for (slot, bytes) in record.slots.iter_mut().zip(slots.as_chunks::<6>().0) {
            let [state, a, b, c, d, wording] = *bytes;
            *slot =
                Slot { state: State::from_code(state)?, until: u32::from_le_bytes([a, b, c, d]), wording };
        }
        let (window, seq) = tail.split_first_chunk::<4>()?;
        record.window_until = u32::from_le_bytes(*window);
        record.seq = u32::from_le_bytes(*seq.first_chunk::<4>()?);
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_record() -> impl Strategy<Value = GateRecord> {
        let slot = (0u8..4, any::<u32>(), any::<u8>()).prop_map(|(state, until, wording)| Slot {
            state: State::from_code(state).unwrap(),
            until,
            wording,
        });
        (any::<u8>(), prop::array::uniform5(slot), any::<u32>(), any::<u32>())
            .prop_map(|(flags, slots, window_until, seq)| GateRecord { flags, slots, window_until, seq })
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(record in any_record()) {
            prop_assert_eq!(GateRecord::decode(&record.encode()), Some(record));
        }

        #[test]
        fn nothing_makes_decoding_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = GateRecord::decode(&bytes);
        }
    }

    #[test]
    fn a_truncated_longer_or_unknown_record_is_refused() {
        let bytes = GateRecord::default().encode();
        assert!(GateRecord::decode(&bytes[..39]).is_none());
        assert!(GateRecord::decode(&[&bytes[..], &[0]].concat()).is_none());
        let mut other = bytes;
        other[0] = 2;
        assert!(GateRecord::decode(&other).is_none());
        other = bytes;
        other[2] = 9;
        assert!(GateRecord::decode(&other).is_none());
    }

    #[test]
    fn a_grant_ends_at_its_time() {
        let mut record = GateRecord::default();
        record.slots[Category::Utility.index()] = Slot { state: State::Granted, until: 100, wording: 0 };
        assert_eq!(record.standing(Category::Utility, Timestamp::from_secs(99)), Standing::Granted);
        assert_eq!(record.standing(Category::Utility, Timestamp::from_secs(100)), Standing::Expired);
        assert_eq!(record.standing(Category::Marketing, Timestamp::from_secs(1)), Standing::Absent);
    }
}
