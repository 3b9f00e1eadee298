//! What follows from a recipient's events: the record that people read, and the gate record that the hot path reads.

use std::time::Duration;

use super::category::Category;
use super::event::EventId;
use super::terms::{Validity, WordingNumbers};
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

    /// The code of [`State::Granted`] without evidence.
    const LEGACY_GRANT: u8 = 4;

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
    /// Whether it rests on a grant without evidence.
    pub legacy: bool,
    /// The version of the wording that a grant was given to.
    pub wording: Option<String>,
}

/// A recipient's derived record.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Record {
    /// By [`Category::index`].
    pub categories: [CategoryRecord; 5],
    /// Until when one service message may confirm that the person stopped it.
    pub confirm_until: Option<Timestamp>,
    /// When the customer service window closes or closed.
    pub window_until: Option<Timestamp>,
    /// How many events it rests on; grows with every change.
    pub seq: u32,
    /// Whether other identities of the person are known.
    pub linked: bool,
    /// Whether a grant without evidence is among the events, in force or not.
    pub legacy: bool,
    /// Whether the person was erased and nothing has been learnt since.
    pub erased: bool,
}

impl Record {
    /// The compact form for the hot path, by the numbers that the tenant's wordings have in the store.
    pub fn gate_record(&self, numbers: &WordingNumbers) -> GateRecord {
        let mut gate = GateRecord { seq: self.seq, ..GateRecord::default() };
        gate.window_until = self.window_until.map_or(0, Timestamp::as_secs_u32);
        let flag = |set: bool, flag| if set { flag } else { 0 };
        gate.flags = flag(self.linked, GateRecord::LINKED)
            | flag(self.legacy, GateRecord::LEGACY)
            | flag(self.erased, GateRecord::TOMBSTONE);
        for (slot, category) in gate.slots.iter_mut().zip(&self.categories) {
            slot.state = category.state;
            slot.until = category.until.map_or(0, Timestamp::as_secs_u32);
            slot.legacy = category.legacy;
            slot.wording = numbers.of(category.wording.as_deref());
        }
        // A withdrawal has no end: the place of one says until when it may be confirmed.
        if let (Some(until), Some(slot)) = (self.confirm_until, gate.slots.get_mut(Category::Service.index()))
        {
            slot.until = until.as_secs_u32();
        }
        gate
    }
}

/// One category of a gate record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Slot {
    /// Where the recipient stands.
    pub state: State,
    /// When a grant ends, in seconds since the epoch; 0 is never. Of a withdrawal of service messages: until when one may confirm it; 0 is not at all.
    pub until: u32,
    /// Which wording it was given to, by the store's number; 0 is unnumbered.
    pub wording: u8,
    /// Whether a grant rests on no evidence.
    pub legacy: bool,
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

impl Slot {
    const fn code(self) -> u8 {
        match self.state {
            State::Granted if self.legacy => State::LEGACY_GRANT,
            State::Unstated | State::Granted | State::Revoked | State::Pending => self.state.code(),
        }
    }

    const fn from_code(code: u8) -> Option<(State, bool)> {
        match (code, State::from_code(code)) {
            (State::LEGACY_GRANT, _) => Some((State::Granted, true)),
            (_, Some(state)) => Some((state, false)),
            (_, None) => None,
        }
    }
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

    /// How the recipient stands to a category now, by the tenant's terms.
    pub fn standing(&self, category: Category, validity: &Validity, now: Timestamp) -> Standing {
        let slot = self.slots.get(category.index()).copied().unwrap_or_default();
        let now = now.as_secs_u32();
        match slot.state {
            State::Unstated | State::Pending => Standing::Absent,
            State::Revoked => Standing::Revoked,
            State::Granted if slot.until != 0 && slot.until <= now => Standing::Expired,
            State::Granted if validity.has_ended(slot, now) => Standing::Expired,
            State::Granted => Standing::Granted,
        }
    }

    /// Whether this is what was written of a record, `derived` being what follows from its events today.
    ///
    /// A wording that had no number when it was written keeps 0, which is stricter.
    pub fn follows(&self, derived: &Self) -> bool {
        let mut expected = *derived;
        for (slot, stored) in expected.slots.iter_mut().zip(&self.slots) {
            if stored.wording == 0 {
                slot.wording = 0;
            }
        }
        *self == expected
    }

    /// Whether the customer service window is open now.
    pub fn window_open(&self, now: Timestamp) -> bool {
        self.window_until > now.as_secs_u32()
    }

    /// Whether one service message may confirm the person's stop now, unless one has: the store knows.
    pub fn confirmable(&self, now: Timestamp) -> bool {
        let service = self.slots.get(Category::Service.index()).copied().unwrap_or_default();
        service.state == State::Revoked && service.until > now.as_secs_u32()
    }

    /// Whether caching this record while invalidations may be lost could let a send through.
    pub fn permits_anything(&self) -> bool {
        self.window_until != 0 || self.slots.iter().any(|slot| slot.state == State::Granted)
    }

    /// The stored form: version, flags, five slots of state, end and wording, window, sequence; integers little-endian.
    pub fn encode(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let mut rest = put(&mut bytes, [Self::VERSION, self.flags]);
        for slot in &self.slots {
            let [a, b, c, d] = slot.until.to_le_bytes();
            rest = put(rest, [slot.code(), a, b, c, d, slot.wording]);
        }
        rest = put(rest, self.window_until.to_le_bytes());
        put(rest, self.seq.to_le_bytes());
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
            let [code, a, b, c, d, wording] = *bytes;
            let (state, legacy) = Slot::from_code(code)?;
            *slot = Slot { state, until: u32::from_le_bytes([a, b, c, d]), wording, legacy };
        }
        let (window, seq) = tail.split_first_chunk::<4>()?;
        record.window_until = u32::from_le_bytes(*window);
        record.seq = u32::from_le_bytes(*seq.first_chunk::<4>()?);
        Some(record)
    }
}

/// Writes a field in front; what is behind it.
fn put<const N: usize>(bytes: &mut [u8], field: [u8; N]) -> &mut [u8] {
    match bytes.split_first_chunk_mut() {
        Some((front, behind)) => {
            *front = field;
            behind
        }
        None => &mut [],
    }
}

/// A gate record at one moment, under the terms that it is judged by: what answers about a person say must be what sends are judged by.
#[derive(Clone, Copy, Debug)]
pub struct Judged<'a> {
    /// The record as the hot path reads it.
    pub gate: GateRecord,
    /// The tenant's terms.
    pub validity: &'a Validity,
    /// The moment.
    pub now: Timestamp,
}

impl Judged<'_> {
    /// The name of the state that a category is in, given what follows from the events alone.
    pub fn state(&self, category: Category, derived: State) -> &'static str {
        match self.gate.standing(category, self.validity, self.now) {
            Standing::Expired => "expired",
            Standing::Absent | Standing::Granted | Standing::Revoked => derived.name(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_record() -> impl Strategy<Value = GateRecord> {
        let slot = (0u8..5, any::<u32>(), any::<u8>()).prop_map(|(code, until, wording)| {
            let (state, legacy) = Slot::from_code(code).unwrap();
            Slot { state, until, wording, legacy }
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
    fn what_was_written_may_lack_a_wordings_number_and_nothing_else() {
        let slot = Slot { state: State::Granted, wording: 3, ..Slot::default() };
        let derived = GateRecord { slots: [slot; 5], seq: 1, ..GateRecord::default() };
        let mut stored = derived;
        assert!(stored.follows(&derived));
        stored.slots[2].wording = 0;
        assert!(stored.follows(&derived) && !derived.follows(&stored));
        stored.slots[2].wording = 4;
        assert!(!stored.follows(&derived));
        assert!(!GateRecord { seq: 2, ..derived }.follows(&derived));
    }

    #[test]
    fn a_grant_ends_at_its_time() {
        let mut record = GateRecord::default();
        record.slots[Category::Utility.index()] =
            Slot { state: State::Granted, until: 100, ..Slot::default() };
        assert_eq!(
            record.standing(Category::Utility, &Validity::UNLIMITED, Timestamp::from_secs(99)),
            Standing::Granted
        );
        assert_eq!(
            record.standing(Category::Utility, &Validity::UNLIMITED, Timestamp::from_secs(100)),
            Standing::Expired
        );
        assert_eq!(
            record.standing(Category::Marketing, &Validity::UNLIMITED, Timestamp::from_secs(1)),
            Standing::Absent
        );
    }
}
