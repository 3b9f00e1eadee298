//! Everything known about one recipient of one tenant: their events and their other identities, and the record that follows.
//!
//! A dossier is a set: learning the same events in any order, any number of times, gives the same record. Merging two dossiers is a join in which a revoke
//! wins, so a fan-out that was cut half-way leaves identities stricter, never milder. On top of the set lies the [`Chain`], the record of what arrived in
//! which order; it decides nothing.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::category::{Category, CategorySet};
use super::chain::{Chain, Content, Salt, Subject};
use super::event::{Actor, Event, EventId, Kind};
use super::recipient::RecipientKey;
use super::record::{CategoryRecord, Record, SERVICE_WINDOW, State};
use super::time::Timestamp;

mod confirmation;
mod erasure;
mod stored;

pub use confirmation::Confirmable;

/// How many other identities a person may have; a longer list is somebody's mistake.
pub const MAX_LINKS: usize = 32;

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
        match self.links.get(&to) {
            Some(known) if *known >= provenance => false,
            Some(_) | None => {
                self.arrivals.push(Arrival { subject: Subject::Link { to: to.clone() }, adopted: false });
                self.links.insert(to, provenance);
                true
            }
        }
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

    /// Gives a linked identity what it shares in; true if that changed anything.
    fn share_into(&self, other: &mut Self, provenance: Provenance) -> bool {
        let mut changed = false;
        for event in self.events.values() {
            let crosses = match event.kind {
                Kind::Revoke | Kind::Erase => true,
                Kind::Grant | Kind::Resume | Kind::Inbound => provenance == Provenance::Observed,
                Kind::Link => false,
            };
            changed |= crosses && other.learn(event.clone()) == Learned::New;
        }
        changed
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

    /// Granted if and only if the latest grant is later than the latest revoke, and a grant by the person's own hand with evidence is later than their latest revoke.
    ///
    /// The provider speaks for a person who withdraws, and for nobody who agrees: it says no more than that somebody used a switch.
    /// A legacy grant undoes no revoke, whoever said it, and gives way to a grant with evidence, however late it is said to be. A pending grant says something
    /// only where nothing else does.
    fn category_record(&self, category: Category) -> CategoryRecord {
        let standing_revoke =
            |e: &Event| e.kind.is_withdrawal() && e.covers(category) && !self.lifted(e, category);
        let revoke = self.latest(standing_revoke);
        let persons_revoke = self.latest(|e| standing_revoke(e) && e.actor.speaks_for_person());
        let persons_grant = self
            .latest(|e| self.grants(e, category) && e.actor == Actor::Person && e.is_proven() && !e.legacy);
        let later = |grant: Option<&Event>, revoke: Option<&Event>| {
            revoke.is_none_or(|r| grant.is_some_and(|g| g.effective_at() > r.effective_at()))
        };
        let proven = self
            .latest(|e| self.grants(e, category) && !e.legacy)
            .filter(|grant| later(Some(grant), revoke) && later(persons_grant, persons_revoke));
        let legacy = || self.latest(|e| self.grants(e, category) && e.legacy).filter(|_| revoke.is_none());
        match (proven.or_else(legacy), revoke) {
            (Some(grant), _) => CategoryRecord {
                until: grant.expires_at,
                legacy: grant.legacy,
                wording: grant.evidence.as_ref().and_then(|evidence| evidence.wording_version.clone()),
                ..Self::resting_on(State::Granted, grant)
            },
            (None, Some(revoke)) => Self::resting_on(State::Revoked, revoke),
            (None, None) => {
                let asked = self.latest(|e| e.is_grant_of(category));
                asked.map_or_else(CategoryRecord::default, |e| Self::resting_on(State::Pending, e))
            }
        }
    }

    /// Whether an event grants a category: one that confirms another does so only together with that one, whichever came first.
    fn grants(&self, event: &Event, category: Category) -> bool {
        event.is_grant_of(category)
            && !event.pending
            && event
                .confirms
                .as_ref()
                .is_none_or(|first| event.actor == Actor::Person && self.asked(first, event, category))
    }

    /// Whether the grant of that name is there, pending, of the same identity and no later than its confirmation.
    fn asked(&self, first: &EventId, confirmation: &Event, category: Category) -> bool {
        let owner = confirmation.recipient.key();
        let besides = first.besides();
        let renamed = self
            .events
            .range((owner.clone(), besides.clone())..)
            .take_while(|((key, id), _)| *key == owner && id.0.starts_with(&besides.0));
        let of_that_name = self.events.get(&(owner.clone(), first.clone()));
        of_that_name.into_iter().chain(renamed.map(|(_, event)| event)).any(|asked| {
            asked.pending
                && asked.is_grant_of(category)
                && asked.effective_at() <= confirmation.effective_at()
        })
    }

    fn resting_on(state: State, event: &Event) -> CategoryRecord {
        CategoryRecord {
            state,
            since: Some(event.effective_at()),
            event: Some(event.id.clone()),
            ..CategoryRecord::default()
        }
    }

    fn latest(&self, wanted: impl Fn(&Event) -> bool) -> Option<&Event> {
        self.events
            .values()
            .filter(|e| wanted(e))
            .max_by(|a, b| a.effective_at().cmp(&b.effective_at()).then_with(|| Self::break_tie(a, b)))
    }

    /// Orders events of one moment by what they say: of two under one name, which one kept it depends on the order in which they came.
    fn break_tie(a: &Event, b: &Event) -> Ordering {
        a.content_id().cmp(&b.content_id()).then_with(|| a.id.cmp(&b.id))
    }

    /// Whether the person took their own revoke back with evidence: by the same way, at the same source and later.
    fn lifted(&self, revoke: &Event, category: Category) -> bool {
        revoke.kind != Kind::Erase
            && revoke.actor.speaks_for_person()
            && self.events.values().any(|e| {
                e.can_lift()
                    && e.actor == revoke.actor
                    && e.covers(category)
                    && e.source == revoke.source
                    && e.effective_at() > revoke.effective_at()
            })
    }

    /// Which of a grant's categories stand granted now that it was learnt; a person's later or own revoke keeps the others from it.
    pub fn granted_of(&self, categories: CategorySet) -> CategorySet {
        self.in_state(State::Granted, categories)
    }

    /// Which of some categories stand withdrawn.
    pub fn revoked_of(&self, categories: CategorySet) -> CategorySet {
        self.in_state(State::Revoked, categories)
    }

    /// Which of a grant's categories wait for the person's confirmation.
    pub fn pending_of(&self, categories: CategorySet) -> CategorySet {
        self.in_state(State::Pending, categories)
    }

    fn in_state(&self, state: State, categories: CategorySet) -> CategorySet {
        categories.iter().filter(|c| self.category_record(*c).state == state).collect()
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
                let mut joined = other.clone();
                let linked = joined.link(key.clone(), provenance);
                if dossier.share_into(&mut joined, provenance) || linked {
                    news.push((to.clone(), joined));
                }
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
