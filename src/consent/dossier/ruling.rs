//! Which event decides about a category: the rules of grants, withdrawals, resumptions and confirmations.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::Dossier;
use crate::consent::category::{Category, CategorySet};
use crate::consent::event::{Actor, Event, EventId, Kind};
use crate::consent::record::{CategoryRecord, State};
use crate::consent::time::Timestamp;

/// When a person's withdrawals were last taken back, by who withdrew and the source.
pub(super) type Resumed<'d> = BTreeMap<(Actor, &'d str), Timestamp>;

impl Dossier {
    /// How a category stands, and the event that it rests on.
    ///
    /// Granted if and only if the latest grant is later than the latest revoke, and a grant by the person's own hand with evidence is later than their latest
    /// revoke. The provider speaks for a person who withdraws, and for nobody who agrees: it says no more than that somebody used a switch. A legacy grant undoes no revoke, whoever said it, and gives way to a grant with evidence, however late it is said to be. A pending grant says
    /// something only where nothing else does.
    pub(super) fn ruling(&self, category: Category) -> Option<(State, &Event)> {
        let resumed = self.resumed(category);
        let standing_revoke =
            |e: &Event| e.kind.is_withdrawal() && e.covers(category) && !lifted(e, &resumed);
        let revoke = self.latest(standing_revoke);
        let persons_revoke = self.latest(|e| e.actor.speaks_for_person() && standing_revoke(e));
        let persons_grant = self
            .latest(|e| e.actor == Actor::Person && e.is_proven() && !e.legacy && self.grants(e, category));
        let later = |grant: Option<&Event>, revoke: Option<&Event>| {
            revoke.is_none_or(|r| grant.is_some_and(|g| g.effective_at() > r.effective_at()))
        };
        let proven = self
            .latest(|e| !e.legacy && self.grants(e, category))
            .filter(|grant| later(Some(grant), revoke) && later(persons_grant, persons_revoke));
        let legacy = || self.latest(|e| e.legacy && self.grants(e, category)).filter(|_| revoke.is_none());
        match (proven.or_else(legacy), revoke) {
            (Some(grant), _) => Some((State::Granted, grant)),
            (None, Some(revoke)) => Some((State::Revoked, revoke)),
            (None, None) => Some((State::Pending, self.latest(|e| e.is_grant_of(category))?)),
        }
    }

    pub(super) fn category_record(&self, category: Category) -> CategoryRecord {
        let Some((state, event)) = self.ruling(category) else { return CategoryRecord::default() };
        let rests = CategoryRecord {
            state,
            since: Some(event.effective_at()),
            event: Some(event.id.clone()),
            ..CategoryRecord::default()
        };
        match state {
            State::Granted => CategoryRecord {
                until: event.expires_at,
                legacy: event.legacy,
                wording: event.evidence.as_ref().and_then(|evidence| evidence.wording_version.clone()),
                ..rests
            },
            State::Unstated | State::Revoked | State::Pending => rests,
        }
    }

    /// Whether an event grants a category: one that confirms another does so only together with that one, whichever came first.
    pub(super) fn grants(&self, event: &Event, category: Category) -> bool {
        event.is_grant_of(category)
            && !event.pending
            && event.confirms.as_ref().is_none_or(|first| {
                event.actor == Actor::Person && self.asked(first, event, category).next().is_some()
            })
    }

    /// The pending grants of that name, of the same identity and no later than their confirmation. One that says the same instant confirms: the person was
    /// asked and answered within the second that the clocks tell, and nobody can answer before they are asked.
    pub(super) fn asked<'d>(
        &'d self,
        first: &EventId,
        confirmation: &'d Event,
        category: Category,
    ) -> impl Iterator<Item = &'d Event> {
        let owner = confirmation.recipient.key();
        let besides = first.besides();
        let of_that_name = self.events.get(&(owner.clone(), first.clone()));
        let renamed = self
            .events
            .range((owner.clone(), besides.clone())..)
            .take_while(move |((key, id), _)| *key == owner && id.0.starts_with(&besides.0));
        of_that_name.into_iter().chain(renamed.map(|(_, event)| event)).filter(move |asked| {
            asked.pending
                && asked.is_grant_of(category)
                && asked.effective_at() <= confirmation.effective_at()
        })
    }

    pub(super) fn latest(&self, wanted: impl Fn(&Event) -> bool) -> Option<&Event> {
        self.events
            .values()
            .filter(|e| wanted(e))
            .max_by(|a, b| a.effective_at().cmp(&b.effective_at()).then_with(|| break_tie(a, b)))
    }

    /// Until when withdrawals of a category were taken back, by who withdrew and the source.
    pub(super) fn resumed(&self, category: Category) -> Resumed<'_> {
        let mut resumed = Resumed::new();
        for event in self.events.values().filter(|event| resumes(event, category)) {
            let at = event.effective_at();
            let latest = resumed.entry((event.actor, event.source.as_str())).or_insert(at);
            *latest = at.max(*latest);
        }
        resumed
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
        categories.iter().filter(|c| self.ruling(*c).is_some_and(|(ruled, _)| ruled == state)).collect()
    }
}

/// Whether the person takes withdrawals of a category back.
pub(super) fn resumes(event: &Event, category: Category) -> bool {
    event.can_lift() && event.covers(category)
}

/// Whether the person took their own revoke back with evidence: by the same way, at the same source and later.
pub(super) fn lifted(revoke: &Event, resumed: &Resumed<'_>) -> bool {
    revoke.kind != Kind::Erase
        && revoke.actor.speaks_for_person()
        && resumed
            .get(&(revoke.actor, revoke.source.as_str()))
            .is_some_and(|until| *until > revoke.effective_at())
}

/// Orders events of one moment by what they say: of two under one name, which one kept it depends on the order in which they came.
fn break_tie(a: &Event, b: &Event) -> Ordering {
    a.content_id().cmp(&b.content_id()).then_with(|| a.id.cmp(&b.id))
}
