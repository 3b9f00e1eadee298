//! Which events say how a person stands, and what each of them says: for whoever has to show it.

use std::collections::BTreeMap;

use super::Dossier;
use super::ruling::{lifted, resumes};
use crate::consent::category::Category;
use crate::consent::chain::Subject;
use crate::consent::event::{Event, Kind};

/// What an event has to do with how a category stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The category rests on it.
    InForce,
    /// A pending grant that the person has not confirmed, later than what is in force.
    Waiting,
    /// A pending grant that the one in force confirms.
    Confirmed,
    /// A withdrawal that the person took back; what was agreed before stands again.
    Lifted,
    /// What took it back.
    Lifts,
}

impl Role {
    /// The name in receipts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InForce => "in_force",
            Self::Waiting => "waiting",
            Self::Confirmed => "confirmed",
            Self::Lifted => "lifted",
            Self::Lifts => "lifts",
        }
    }
}

/// What events have to do with categories; an event may have several parts in one.
pub type Basis = BTreeMap<Subject, Vec<(Category, Role)>>;

impl Dossier {
    /// The events without which nobody could tell why the categories stand as they do.
    pub fn basis(&self) -> Basis {
        let mut basis = Basis::new();
        for category in Category::ALL {
            for (event, role) in self.parts_in(category) {
                let subject = Subject::Event { owner: event.recipient.key(), id: event.id.clone() };
                basis.entry(subject).or_default().push((category, role));
            }
        }
        basis
    }

    fn parts_in(&self, category: Category) -> Vec<(&Event, Role)> {
        let in_force = self.ruling(category).map(|(_, event)| event);
        let confirmed = in_force.and_then(|event| Some((event, event.confirms.as_ref()?)));
        let confirmed: Vec<&Event> =
            confirmed.map(|(event, first)| self.asked(first, event, category).collect()).unwrap_or_default();
        // What came before the event in force changes nothing any more.
        let counts =
            |event: &Event| in_force.is_none_or(|force| event.effective_at() >= force.effective_at());
        let resumed = self.resumed(category);
        let is_lifted = |event: &Event| {
            event.kind == Kind::Revoke && event.covers(category) && counts(event) && lifted(event, &resumed)
        };
        let lifts = |event: &Event| {
            let of_its_source = |revoke: &Event| {
                is_lifted(revoke)
                    && (revoke.actor, &revoke.source) == (event.actor, &event.source)
                    && event.effective_at() > revoke.effective_at()
            };
            resumes(event, category) && self.events.values().any(of_its_source)
        };
        let part = |event: &Event| {
            let same = |other: &&Event| std::ptr::eq(*other, event);
            if in_force.iter().any(same) {
                Some(if event.pending { Role::Waiting } else { Role::InForce })
            } else if confirmed.iter().any(same) {
                Some(Role::Confirmed)
            } else if event.pending && event.is_grant_of(category) && counts(event) {
                Some(Role::Waiting)
            } else if is_lifted(event) {
                Some(Role::Lifted)
            } else {
                lifts(event).then_some(Role::Lifts)
            }
        };
        self.events.values().filter_map(|event| Some((event, part(event)?))).collect()
    }
}
