//! A recipient's chain: what arrived for them, in the order of arrival, each entry hashed over the one before.
//!
//! An entry commits to the very text that is stored (a salted SHA-256), and its head commits to everything before it. Without text and salt, which an erasure
//! takes away, commitment and head say nothing about the person and can still be followed. The chain alone stops nobody who can write the store and knows
//! this file: signed checkpoints over the heads do ([`crate::audit`]). Knows neither what a text means nor where randomness comes from.

use aws_lc_rs::digest::{Context, SHA256};

use super::event::EventId;
use super::recipient::RecipientKey;
use super::time::Timestamp;

/// A SHA-256.
pub type Hash = [u8; 32];
/// What is hashed along with a text, so that nobody can guess the text from its commitment.
pub type Salt = [u8; 16];

/// What the first head stands on.
pub const GENESIS: Hash = [0; 32];

const HEAD_DOMAIN: &[u8] = b"optgate head 1\0";

/// What an entry's text describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Matter {
    /// A consent event.
    Event,
    /// A link to another identity of the person.
    Link,
}

impl Matter {
    const fn domain(self) -> &'static [u8] {
        match self {
            Self::Event => b"optgate event 1\0",
            Self::Link => b"optgate link 1\0",
        }
    }
}

/// Which event or link an entry covers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// An event of this recipient or of a linked identity.
    Event {
        /// Whose event it is.
        owner: RecipientKey,
        /// Its name among theirs.
        id: EventId,
    },
    /// A link to another identity.
    Link {
        /// The other identity.
        to: RecipientKey,
    },
}

impl Subject {
    /// What the text describes.
    pub const fn matter(&self) -> Matter {
        match self {
            Self::Event { .. } => Matter::Event,
            Self::Link { .. } => Matter::Link,
        }
    }
}

/// What is left of what an entry covers.
#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    /// All of it.
    Known {
        /// What the text describes.
        subject: Subject,
        /// The text as it was hashed and is stored, byte for byte, so that any later version can hash it again.
        text: Box<str>,
        /// What it was hashed with.
        salt: Salt,
    },
    /// The person was erased.
    Erased {
        /// What it was hashed to.
        commitment: Hash,
    },
}

impl Content {
    /// Whether text and salt are gone.
    pub const fn is_erased(&self) -> bool {
        matches!(self, Self::Erased { .. })
    }

    /// The salted hash of the text.
    pub fn commitment(&self) -> Hash {
        match self {
            Self::Known { subject, text, salt } => commit(subject.matter(), salt, text),
            Self::Erased { commitment } => *commitment,
        }
    }
}

/// The text is about a person.
impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Known { .. } => "Known([redacted])",
            Self::Erased { .. } => "Erased",
        })
    }
}

/// One link of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When it was written, by the writer's clock in whole seconds since the epoch; never earlier than the entry before.
    pub at: u32,
    /// Whether what it covers stood in the store before it was chained.
    pub adopted: bool,
    /// What it covers.
    pub content: Content,
    /// The hash over this entry and everything before it.
    pub head: Hash,
}

impl Entry {
    /// What the head must be on top of `before`; `seq` is the entry's place in the chain, counted from 1.
    pub fn expected_head(&self, before: &Hash, seq: u32) -> Hash {
        head(before, &Link { seq, at: self.at, adopted: self.adopted, commitment: self.content.commitment() })
    }
}

/// What a head is hashed over, besides the head before.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// The place in the chain, counted from 1.
    pub seq: u32,
    /// As in [`Entry::at`].
    pub at: u32,
    /// As in [`Entry::adopted`].
    pub adopted: bool,
    /// The salted hash of the text.
    pub commitment: Hash,
}

/// The salted hash of a text.
pub fn commit(matter: Matter, salt: &Salt, text: &str) -> Hash {
    hash(&[matter.domain(), salt, text.as_bytes()])
}

/// The hash over a link and the head before it; integers are big-endian.
pub fn head(before: &Hash, link: &Link) -> Hash {
    hash(&[
        HEAD_DOMAIN,
        before,
        &link.seq.to_be_bytes(),
        &link.at.to_be_bytes(),
        &[u8::from(link.adopted)],
        &link.commitment,
    ])
}

fn hash(parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    let mut hash = [0; 32];
    for (to, from) in hash.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    hash
}

/// The entries of one recipient.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    entries: Vec<Entry>,
}

impl Chain {
    /// Entries as they were stored; whether they fit together is [`Chain::faults`]' business.
    pub(super) const fn of(entries: Vec<Entry>) -> Self {
        Self { entries }
    }

    /// The entries, oldest first.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entries with their places, counted from 1, oldest first.
    pub fn numbered(&self) -> impl DoubleEndedIterator<Item = (u32, &Entry)> + Clone {
        self.entries
            .iter()
            .enumerate()
            .map(|(n, entry)| (u32::try_from(n).map_or(u32::MAX, |n| n.saturating_add(1)), entry))
    }

    /// The last place and head, as of a moment: entries that were written later are left out. `None` if there was nothing yet.
    pub fn head_at(&self, at: u32) -> Option<(u32, &Hash)> {
        self.numbered().rfind(|(_, entry)| entry.at <= at).map(|(seq, entry)| (seq, &entry.head))
    }

    /// Adds an entry, stamped no earlier than the one before.
    pub(super) fn push(&mut self, at: Timestamp, adopted: bool, content: Content) {
        let last = self.entries.last();
        let before = last.map_or(GENESIS, |entry| entry.head);
        let at = last.map_or(0, |entry| entry.at).max(at.as_secs_u32());
        let seq = u32::try_from(self.entries.len()).unwrap_or(u32::MAX).saturating_add(1);
        let head = head(&before, &Link { seq, at, adopted, commitment: content.commitment() });
        self.entries.push(Entry { at, adopted, content, head });
    }

    /// Takes text and salt of some entries away; their commitments stay.
    pub(super) fn erase(&mut self, mut which: impl FnMut(&Subject) -> bool) {
        for entry in &mut self.entries {
            let gone = match &entry.content {
                Content::Known { subject, .. } => which(subject),
                Content::Erased { .. } => false,
            };
            if gone {
                entry.content = Content::Erased { commitment: entry.content.commitment() };
            }
        }
    }

    /// The places of entries whose head does not follow from what they hold and the head before, or that are older than the one before.
    pub fn faults(&self) -> Vec<u32> {
        let mut before = (GENESIS, 0);
        let mut faults = Vec::new();
        for (seq, entry) in self.numbered() {
            let (head, at) = before;
            if entry.expected_head(&head, seq) != entry.head || entry.at < at {
                faults.push(seq);
            }
            // Judged on the stored head, so that one edited entry is one fault.
            before = (entry.head, entry.at);
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::Recipient;

    fn subject(id: &str) -> Subject {
        let owner = Recipient::parse("+15550000001").unwrap().key();
        Subject::Event { owner, id: EventId(id.to_owned()) }
    }

    fn text(text: &str) -> Content {
        Content::Known { subject: subject(text), text: text.into(), salt: [7; 16] }
    }

    fn salted(salt: u8) -> Content {
        Content::Known { subject: subject("a"), text: "a".into(), salt: [salt; 16] }
    }

    fn link() -> Content {
        let to = Recipient::parse("US.1").unwrap().key();
        Content::Known { subject: Subject::Link { to }, text: "a".into(), salt: [7; 16] }
    }

    fn three() -> Chain {
        let mut chain = Chain::default();
        for (at, what) in [(10, "a"), (30, "b"), (20, "c")] {
            chain.push(Timestamp::from_secs(at), false, text(what));
        }
        chain
    }

    #[test]
    fn a_chain_that_was_only_pushed_to_has_no_fault_and_never_goes_back_in_time() {
        let chain = three();
        assert!(chain.faults().is_empty());
        assert_eq!(chain.entries().iter().map(|entry| entry.at).collect::<Vec<_>>(), [10, 30, 30]);
    }

    #[test]
    fn the_head_is_the_hash_that_the_documentation_describes() {
        let chain = three();
        let commitment = hash(&[b"optgate event 1\0", &[7; 16], b"a"]);
        let head = hash(&[b"optgate head 1\0", &[0; 32], &[0, 0, 0, 1], &[0, 0, 0, 10], &[0], &commitment]);
        assert_eq!(chain.entries()[0].head, head);
    }

    #[test]
    fn every_kind_of_tampering_is_a_fault_at_its_place() {
        type Tamper = fn(&mut Vec<Entry>);
        let table: &[(&str, Tamper, &[u32])] = &[
            ("a text edited", |e| e[1].content = text("B"), &[2]),
            ("a salt edited", |e| e[0].content = salted(8), &[1]),
            ("an event made a link", |e| e[0].content = link(), &[1]),
            ("a time edited", |e| e[2].at += 1, &[3]),
            ("a time set back", |e| e[2].at = 5, &[3]),
            ("a mark set", |e| e[0].adopted = true, &[1]),
            ("the first removed", |e| drop(e.remove(0)), &[1, 2]),
            ("one in the middle removed", |e| drop(e.remove(1)), &[2]),
            ("two swapped", |e| e.swap(0, 1), &[1, 2, 3]),
            ("one repeated", |e| e.push(e[2].clone()), &[4]),
            ("a head edited", |e| e[0].head[0] ^= 1, &[1, 2]),
            ("nothing", |_| {}, &[]),
        ];
        for (what, tamper, faults) in table {
            let mut entries = three().entries;
            tamper(&mut entries);
            assert_eq!(Chain::of(entries).faults(), *faults, "{what}");
        }
    }

    #[test]
    fn erasing_keeps_commitments_and_heads_and_nothing_of_the_text() {
        let whole = three();
        let mut erased = whole.clone();
        erased.erase(|covers| *covers != subject("b"));
        assert!(erased.faults().is_empty());
        for (before, after) in whole.entries().iter().zip(erased.entries()) {
            assert_eq!(before.content.commitment(), after.content.commitment());
            assert_eq!(before.head, after.head);
        }
        let known = |entry: &Entry| matches!(entry.content, Content::Known { .. });
        assert_eq!(erased.entries().iter().map(known).collect::<Vec<_>>(), [false, true, false]);
    }

    #[test]
    fn the_head_as_of_a_moment_leaves_out_what_came_later() {
        let chain = three();
        assert_eq!(chain.head_at(9), None);
        assert_eq!(chain.head_at(29).map(|(seq, _)| seq), Some(1));
        assert_eq!(chain.head_at(30).map(|(seq, _)| seq), Some(3));
    }
}
