//! The stored form of a dossier.
//!
//! Version 2 is one byte `2`, then sections, each a tag and what belongs to it; numbers are little-endian:
//!
//! | tag | section |
//! |---|---|
//! | 1 | an entry of the chain that covers an event: mark, time (u32), head (32), salt (16), text |
//! | 2 | an entry that covers a link: the same |
//! | 3 | an entry whose text and salt were erased: mark, time, head, commitment (32) |
//! | 4 | an event without an entry (`inbound`): text |
//! | 5 | a link without an entry: text |
//!
//! A text is its length (u32) and JSON: an event in the shape of the admin API, or a link. Texts are written once and then carried along byte for byte: entries
//! commit to them. Version 1, written before there were chains, is one JSON document; its events and links have no entries until the dossier is next written.

use serde::{Deserialize, Serialize};

use super::{Arrival, Dossier, Provenance};
use crate::consent::chain::{Chain, Content, Entry, Hash, Matter, Subject};
use crate::consent::event::{Event, EventAsWritten, Kind};
use crate::consent::recipient::Recipient;
use crate::consent::time::Timestamp;

const VERSION: u8 = 2;
/// What an entry takes beside its text.
const ENTRY_BYTES: usize = 64;
const EVENT: u8 = 1;
const LINK: u8 = 2;
const ERASED: u8 = 3;
const LOOSE_EVENT: u8 = 4;
const LOOSE_LINK: u8 = 5;

/// A link as a text.
#[derive(Serialize, Deserialize)]
struct LinkAsWritten {
    link: String,
    observed: bool,
}

/// The first version.
#[derive(Deserialize)]
struct First {
    v: u8,
    events: Vec<EventAsWritten>,
    #[serde(default)]
    links: Vec<(String, bool)>,
}

impl Dossier {
    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        let texts = self.chain.entries().iter().map(|entry| match &entry.content {
            Content::Known { text, .. } => text.len(),
            Content::Erased { .. } => 0,
        });
        let size = texts.fold(0usize, |size, text| size.saturating_add(text).saturating_add(ENTRY_BYTES));
        let mut bytes = Vec::with_capacity(size.saturating_add(1));
        bytes.push(VERSION);
        for entry in self.chain.entries() {
            put_entry(&mut bytes, entry);
        }
        let loose_events = self.events.iter().filter(|(_, event)| event.kind == Kind::Inbound);
        for ((owner, id), _) in loose_events {
            let subject = Subject::Event { owner: owner.clone(), id: id.clone() };
            put_loose(&mut bytes, &subject, &text(self, &subject));
        }
        for Arrival { subject, .. } in &self.arrivals {
            put_loose(&mut bytes, subject, &text(self, subject));
        }
        bytes
    }

    /// Reads the stored form, of this version or the first; `None` for anything else.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        match bytes.split_first()? {
            (&VERSION, sections) => decode_sections(sections),
            (b'{', _) => decode_first(bytes),
            _ => None,
        }
    }

    /// Whether this is the stored form of the first version, whose events have no entries of a chain.
    pub fn is_first_version(bytes: &[u8]) -> bool {
        bytes.first() == Some(&b'{')
    }

    /// Takes in something that was stored; returns what an entry that covers it names.
    fn restore(&mut self, matter: Matter, text: &str) -> Option<Subject> {
        match matter {
            Matter::Event => self.restore_event(serde_json::from_str(text).ok()?),
            Matter::Link => {
                let LinkAsWritten { link, observed } = serde_json::from_str(text).ok()?;
                self.restore_link(&link, observed)
            }
        }
    }

    fn restore_event(&mut self, written: EventAsWritten) -> Option<Subject> {
        let far_future = Timestamp::from_secs(u64::from(u32::MAX));
        let event = Event::restore(written, far_future).ok()?;
        let (owner, id) = (event.recipient.key(), event.id.clone());
        self.events.insert((owner.clone(), id.clone()), event);
        Some(Subject::Event { owner, id })
    }

    fn restore_link(&mut self, to: &str, observed: bool) -> Option<Subject> {
        let to = Recipient::parse(to)?.key();
        let provenance = if observed { Provenance::Observed } else { Provenance::Declared };
        let known = self.links.entry(to.clone()).or_insert(provenance);
        *known = provenance.max(*known);
        Some(Subject::Link { to })
    }

    /// Notes that something stood in the store without an entry; `inbound` events do.
    fn adopt(&mut self, subject: Subject) {
        if self.event(&subject).is_none_or(|event| event.kind != Kind::Inbound) {
            self.arrivals.push(Arrival { subject, adopted: true });
        }
    }
}

/// What is hashed and stored of an event or a link of a dossier.
pub(super) fn text(dossier: &Dossier, subject: &Subject) -> String {
    let text = match subject {
        Subject::Event { .. } => return dossier.event(subject).map(Event::text).unwrap_or_default(),
        Subject::Link { to } => {
            let link = to.recipient().map(|recipient| recipient.danger_string()).unwrap_or_default();
            let observed = dossier.links.get(to) == Some(&Provenance::Observed);
            serde_json::to_string(&LinkAsWritten { link, observed })
        }
    };
    text.unwrap_or_default()
}

fn put_entry(bytes: &mut Vec<u8>, entry: &Entry) {
    let tag = match &entry.content {
        Content::Known { subject: Subject::Event { .. }, .. } => EVENT,
        Content::Known { subject: Subject::Link { .. }, .. } => LINK,
        Content::Erased { .. } => ERASED,
    };
    bytes.extend([tag, u8::from(entry.adopted)]);
    bytes.extend(entry.at.to_le_bytes());
    bytes.extend_from_slice(&entry.head);
    match &entry.content {
        Content::Known { text, salt, .. } => {
            bytes.extend_from_slice(salt);
            put_text(bytes, text);
        }
        Content::Erased { commitment } => bytes.extend(commitment),
    }
}

fn put_loose(bytes: &mut Vec<u8>, subject: &Subject, text: &str) {
    bytes.push(match subject {
        Subject::Event { .. } => LOOSE_EVENT,
        Subject::Link { .. } => LOOSE_LINK,
    });
    put_text(bytes, text);
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

fn decode_sections(mut rest: &[u8]) -> Option<Dossier> {
    let mut dossier = Dossier::default();
    let mut entries = Vec::new();
    while let Some((tag, section)) = rest.split_first() {
        rest = section;
        match *tag {
            EVENT => entries.push(entry(&mut rest, |rest| known(&mut dossier, Matter::Event, rest))?),
            LINK => entries.push(entry(&mut rest, |rest| known(&mut dossier, Matter::Link, rest))?),
            ERASED => entries.push(entry(&mut rest, erased)?),
            LOOSE_EVENT => loose(&mut dossier, Matter::Event, &mut rest)?,
            LOOSE_LINK => loose(&mut dossier, Matter::Link, &mut rest)?,
            _ => return None,
        }
    }
    dossier.chain = Chain::of(entries);
    Some(dossier)
}

fn entry(rest: &mut &[u8], content: impl FnOnce(&mut &[u8]) -> Option<Content>) -> Option<Entry> {
    let [mark] = take(rest)?;
    let adopted = match mark {
        0 => false,
        1 => true,
        _ => return None,
    };
    let at = u32::from_le_bytes(take(rest)?);
    let head: Hash = take(rest)?;
    Some(Entry { at, adopted, content: content(rest)?, head })
}

fn known(dossier: &mut Dossier, matter: Matter, rest: &mut &[u8]) -> Option<Content> {
    let salt = take(rest)?;
    let text = take_text(rest)?;
    let subject = dossier.restore(matter, text)?;
    Some(Content::Known { subject, text: text.into(), salt })
}

fn erased(rest: &mut &[u8]) -> Option<Content> {
    Some(Content::Erased { commitment: take(rest)? })
}

fn loose(dossier: &mut Dossier, matter: Matter, rest: &mut &[u8]) -> Option<()> {
    let subject = dossier.restore(matter, take_text(rest)?)?;
    dossier.adopt(subject);
    Some(())
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, left) = rest.split_first_chunk()?;
    *rest = left;
    Some(*taken)
}

fn take_text<'b>(rest: &mut &'b [u8]) -> Option<&'b str> {
    let length = usize::try_from(u32::from_le_bytes(take(rest)?)).ok()?;
    let (text, left) = rest.split_at_checked(length)?;
    *rest = left;
    std::str::from_utf8(text).ok()
}

fn decode_first(bytes: &[u8]) -> Option<Dossier> {
    let stored: First = serde_json::from_slice(bytes).ok().filter(|stored: &First| stored.v == 1)?;
    let mut dossier = Dossier::default();
    for written in stored.events {
        let subject = dossier.restore_event(written)?;
        dossier.adopt(subject);
    }
    for (to, observed) in stored.links {
        let subject = dossier.restore_link(&to, observed)?;
        dossier.adopt(subject);
    }
    Some(dossier)
}
