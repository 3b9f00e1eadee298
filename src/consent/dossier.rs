//! Everything known about one recipient of one tenant: their events and their other identities, and the record that follows.
//!
//! A dossier is a set: learning the same events in any order, any number of times, gives the same record. Merging two dossiers is a join in which a revoke
//! wins, so a fan-out that was cut half-way leaves identities stricter, never milder. On top of the set lies the [`Chain`], the record of what arrived in
//! which order; it decides nothing.

use std::collections::BTreeMap;

use super::category::Category;
use super::chain::{Chain, Content, Salt, Subject};
use super::event::{Event, EventId, Kind};
use super::recipient::RecipientKey;
use super::record::{Record, SERVICE_WINDOW};
use super::time::Timestamp;

mod basis;
mod confirmation;
mod erasure;
mod ruling;
mod stored;
mod vouched;

pub use basis::{Basis, Role};
pub use confirmation::Confirmable;
pub use vouched::vouched;

/// How many other identities a person may have; a longer list is somebody's mistake.
pub const MAX_LINKS: usize = 32;

/// How many events of a person are taken in, withdrawals aside: every write of a person reads and writes them all, and a longer history is a program that
/// tells the same again and again under new ids.
pub const MAX_EVENTS: usize = 1_000;

/// How we know that two identities are one person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Provenance {
    /// Somebody told us through an event: withdrawals are shared, grants are not.
    Declared,
    /// The provider showed us on the wire: grants are shared too.
    Observed,
}

/// What learning an event changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learned {
    /// It is new.
    New,
    /// It was known, or says less than what is known.
    Repeat,
}

/// Everything known about one recipient of one tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dossier {
    /// By whose event it is and its id: links bring in events of other identities.
    events: BTreeMap<(RecipientKey, EventId), Event>,
    links: BTreeMap<RecipientKey, Provenance>,
    chain: Chain,
    /// What was learnt and is not in the chain yet.
    arrivals: Vec<Arrival>,
}

/// Something that the chain does not cover yet.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Arrival {
    subject: Subject,
    /// Whether it stood in the store without an entry.
    adopted: bool,
}

impl Dossier {
    /// Adds an event of this recipient or of a linked identity.
    ///
    /// An id that another event has taken does not make this one a repeat: a withdrawal would be lost. It is kept under a name of its own.
    pub fn learn(&mut self, mut event: Event) -> Learned {
        if self.knows_erasure(&event) {
            return Learned::Repeat;
        }
        let mut key = (event.recipient.key(), event.id.clone());
        if let Some(known) = self.events.get(&key) {
            if known.content_id() == event.content_id() {
                return Learned::Repeat;
            }
            event.id = event.id.beside(&event.content_id());
            key.1 = event.id.clone();
            if self.events.contains_key(&key) {
                return Learned::Repeat;
            }
        }
        if event.kind == Kind::Inbound && !self.keep_latest_inbound(&event) {
            return Learned::Repeat;
        }
        if event.kind != Kind::Inbound {
            let (owner, id) = key.clone();
            self.arrivals.push(Arrival { subject: Subject::Event { owner, id }, adopted: false });
        }
        self.events.insert(key, event);
        Learned::New
    }

    /// Whether an event is one too many. Withdrawals never are, nor is a repeat, nor a message from the person, of which only the latest is kept.
    pub fn is_full_for(&self, event: &Event) -> bool {
        let bounded = match event.kind {
            Kind::Grant | Kind::Resume | Kind::Link => true,
            Kind::Revoke | Kind::Inbound | Kind::Erase => false,
        };
        let known = || self.events.contains_key(&(event.recipient.key(), event.id.clone()));
        bounded && self.events.len() >= MAX_EVENTS && !known()
    }

    /// Only the latest inbound event of an identity says anything; the others are dropped, else a talkative person's dossier grows for ever.
    fn keep_latest_inbound(&mut self, event: &Event) -> bool {
        let owner = event.recipient.key();
        let rank = |e: &Event| (e.effective_at(), e.id.clone());
        let of_owner = |e: &Event| e.kind == Kind::Inbound && e.recipient.key() == owner;
        if self.events.values().any(|e| of_owner(e) && rank(e) >= rank(event)) {
            return false;
        }
        self.events.retain(|_, e| !of_owner(e));
        true
    }

    /// Notes another identity of the person; false if it was known at least as well.
    pub fn link(&mut self, to: RecipientKey, provenance: Provenance) -> bool {
        if self.knows_link(&to, provenance) {
            return false;
        }
        self.arrivals.push(Arrival { subject: Subject::Link { to: to.clone() }, adopted: false });
        self.links.insert(to, provenance);
        true
    }

    /// Whether another identity of the person is known at least as well.
    pub fn knows_link(&self, to: &RecipientKey, provenance: Provenance) -> bool {
        self.links.get(to).is_some_and(|known| *known >= provenance)
    }

    /// The other identities of the person.
    pub fn links(&self) -> impl Iterator<Item = (&RecipientKey, Provenance)> {
        self.links.iter().map(|(key, provenance)| (key, *provenance))
    }

    /// The events, oldest first.
    pub fn history(&self) -> Vec<&Event> {
        let mut events: Vec<&Event> = self.events.values().collect();
        events.sort_by(|a, b| (a.effective_at(), a.kind, &a.id).cmp(&(b.effective_at(), b.kind, &b.id)));
        events
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.links.is_empty()
    }

    /// What a linked identity shares in and does not have as it stands here.
    fn news_for<'d>(&'d self, other: &'d Self, provenance: Provenance) -> impl Iterator<Item = &'d Event> {
        let crosses = move |event: &Event| match event.kind {
            // Whoever gave a number up withdrew from nothing: what ended is what was agreed for the number, not for the person under another.
            Kind::Revoke => provenance == Provenance::Observed || !event.ends_a_number(),
            Kind::Erase => true,
            Kind::Grant | Kind::Resume | Kind::Inbound => provenance == Provenance::Observed,
            Kind::Link => false,
        };
        let news = self.events.iter().filter(move |(_, event)| crosses(event));
        news.filter(|(key, event)| other.events.get(key) != Some(event)).map(|(_, event)| event)
    }

    /// What a linked identity becomes by what it shares in; `None` if that changes nothing.
    fn shared_with(&self, (key, other): (&RecipientKey, &Self), provenance: Provenance) -> Option<Self> {
        let linked = other.knows_link(key, provenance);
        let mut news = self.news_for(other, provenance).peekable();
        // Nearly always there is nothing, and a dossier is dear to copy.
        if linked && news.peek().is_none() {
            return None;
        }
        let mut joined = other.clone();
        let mut changed = joined.link(key.clone(), provenance);
        for event in news {
            changed |= joined.learn(event.clone()) == Learned::New;
        }
        changed.then_some(joined)
    }

    /// The record that follows from the events.
    pub fn record(&self) -> Record {
        let inbound = self.events.values().filter(|e| e.kind == Kind::Inbound).map(Event::effective_at).max();
        Record {
            categories: Category::ALL.map(|c| self.category_record(c)),
            confirm_until: self.confirmable().map(|stop| stop.until),
            window_until: inbound.map(|at| at.plus(SERVICE_WINDOW)),
            seq: u32::try_from(self.events.len().saturating_add(self.links.len())).unwrap_or(u32::MAX),
            linked: !self.links.is_empty(),
            legacy: self.events.values().any(|e| e.legacy),
            erased: self.erased_at().is_some(),
        }
    }

    /// What arrived, in order; what was learnt since the last [`Dossier::seal`] is not in it yet.
    pub const fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The event that an entry covers.
    pub fn event(&self, subject: &Subject) -> Option<&Event> {
        match subject {
            Subject::Event { owner, id } => self.events.get(&(owner.clone(), id.clone())),
            Subject::Link { .. } => None,
        }
    }

    /// How many events and links no entry covers, though they were in the store. `inbound` events have no entries: only the latest is kept.
    pub fn unchained(&self) -> usize {
        self.arrivals.iter().filter(|arrival| arrival.adopted).count()
    }

    /// Gives everything that was learnt an entry of the chain, in the order of arrival; to be called before every write.
    ///
    /// # Errors
    /// Whatever `salt` fails with; nothing was given an entry then.
    pub fn seal<E>(&mut self, at: Timestamp, mut salt: impl FnMut() -> Result<Salt, E>) -> Result<(), E> {
        let salts = self.arrivals.iter().map(|_| salt()).collect::<Result<Vec<_>, E>>()?;
        for (Arrival { subject, adopted }, salt) in std::mem::take(&mut self.arrivals).into_iter().zip(salts)
        {
            let text = stored::text(self, &subject).into();
            self.chain.push(at, adopted, Content::Known { subject, text, salt });
        }
        Ok(())
    }

    /// Takes events and links out for good. Their entries keep place, commitment and head, which say nothing about the person, so that the chain can still be
    /// followed.
    pub fn erase(&mut self, mut which: impl FnMut(&Subject) -> bool) {
        self.events.retain(|(owner, id), _| !which(&Subject::Event { owner: owner.clone(), id: id.clone() }));
        self.links.retain(|to, _| !which(&Subject::Link { to: to.clone() }));
        self.arrivals.retain(|arrival| !which(&arrival.subject));
        self.chain.erase(which);
    }
}

/// Lets linked dossiers share what crosses their links until nothing changes; returns the keys that changed.
///
/// `dossiers` must hold the whole connected component. Links become mutual.
pub fn settle(dossiers: &mut BTreeMap<RecipientKey, Dossier>) -> Vec<RecipientKey> {
    let mut changed = Vec::new();
    loop {
        let mut news = Vec::new();
        for (key, dossier) in dossiers.iter() {
            for (to, provenance) in dossier.links() {
                let Some(other) = dossiers.get(to) else { continue };
                news.extend(dossier.shared_with((key, other), provenance).map(|joined| (to.clone(), joined)));
            }
        }
        if news.is_empty() {
            changed.sort();
            changed.dedup();
            return changed;
        }
        // Several neighbours may have news for one dossier; the rounds that follow bring what this one overwrote.
        for (key, joined) in news {
            changed.push(key.clone());
            dossiers.insert(key, joined);
        }
    }
}

#[cfg(test)]
mod tests;
