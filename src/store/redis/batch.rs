//! Dossiers read from Redis, taught in memory, and written back only where nobody changed them meanwhile.

use std::collections::{BTreeSet, HashMap};

use crate::consent::dossier::Dossier;
use crate::consent::event::Kind;
use crate::consent::{RecipientKey, TenantId};
use crate::store::Outcome;
use crate::store::learning::{self, Component, Learnt, Lesson};
use crate::store::place::Place;

use super::recall::Erasures;

/// What a stored value is recognized by, as the script computes it: `sha1hex`, or nothing where nothing is stored.
pub(super) type Seen = Option<String>;

/// A dossier as it was read.
pub(super) struct Read {
    pub(super) place: Place,
    pub(super) dossier: Dossier,
    pub(super) seen: Seen,
    /// It is stored, and lacks what its tombstone says.
    pub(super) recalled: bool,
}

/// One dossier and what it was read as.
#[derive(Default)]
pub(super) struct Held {
    pub(super) dossier: Dossier,
    pub(super) seen: Seen,
    changed: bool,
}

/// The dossiers of everybody whom some lessons concern.
#[derive(Default)]
pub(super) struct Batch {
    held: HashMap<Place, Held, ahash::RandomState>,
    /// How many erasures there were before the dossiers were read.
    erasures: Erasures,
}

/// What a lesson did.
pub(super) struct Taught {
    /// Its place in the list of lessons.
    pub(super) lesson: usize,
    pub(super) outcome: Outcome,
    /// Whose dossiers it changed.
    pub(super) changed: Vec<Place>,
}

/// A dossier to be written.
pub(super) struct Change {
    pub(super) place: Place,
    pub(super) dossier: Dossier,
    pub(super) seen: Seen,
}

impl Batch {
    pub(super) fn holds(&self, place: &Place) -> bool {
        self.held.contains_key(place)
    }

    /// Empty, to be filled with dossiers that are read after so many erasures.
    pub(super) fn after(erasures: Erasures) -> Self {
        Self { erasures, ..Self::default() }
    }

    pub(super) const fn erasures(&self) -> Erasures {
        self.erasures
    }

    /// Takes in a dossier as it was read.
    pub(super) fn hold(&mut self, read: Read) {
        let Read { place, dossier, seen, recalled } = read;
        self.held.insert(place, Held { dossier, seen, changed: recalled });
    }

    /// Teaches a lesson to everybody it concerns; the batch must hold them and everybody they are linked to.
    pub(super) fn teach(&mut self, number: usize, lesson: &Lesson) -> Taught {
        let named = learning::named(&lesson.event);
        let mut component = self.gather(lesson.tenant, named.clone());
        if learning::is_too_large(&component) {
            self.put_back(lesson.tenant, component, &[]);
            return match lesson.event.kind {
                Kind::Revoke | Kind::Erase => self.teach_unlinked(number, lesson, &named),
                Kind::Grant | Kind::Resume | Kind::Inbound | Kind::Link => {
                    Taught { lesson: number, outcome: learning::TOO_MANY, changed: Vec::new() }
                }
            };
        }
        let Learnt { outcome, changed } = learning::learn(&mut component, lesson);
        self.put_back(lesson.tenant, component, &changed);
        Taught { lesson: number, outcome, changed: places(lesson.tenant, changed) }
    }

    fn teach_unlinked(&mut self, number: usize, lesson: &Lesson, named: &[RecipientKey]) -> Taught {
        let mut all: Option<Outcome> = None;
        let mut places_changed = Vec::new();
        for key in named {
            let mut component = self.gather(lesson.tenant, vec![key.clone()]);
            let Learnt { outcome, changed } = learning::learn_unlinked(&mut component, key, lesson);
            self.put_back(lesson.tenant, component, &changed);
            places_changed.extend(places(lesson.tenant, changed));
            all = all.filter(|known| *known == Outcome::Applied).or(Some(outcome));
        }
        let outcome = all.unwrap_or(Outcome::Applied);
        Taught { lesson: number, outcome, changed: places_changed }
    }

    /// Takes the dossiers of some identities and of everybody they are linked to, stopping once they are too many to be one person.
    fn gather(&mut self, tenant: TenantId, mut wanted: Vec<RecipientKey>) -> Component {
        let mut component = Component::new();
        while let Some(key) = wanted.pop() {
            if component.contains_key(&key) {
                continue;
            }
            // Somebody who was linked after the batch was read counts as new here; their stored dossier is safe, because a write is refused that did not see it.
            let held = self.held.entry(Place { tenant, key: key.clone() }).or_default();
            let dossier = std::mem::take(&mut held.dossier);
            wanted.extend(dossier.links().map(|(linked, _)| linked.clone()));
            component.insert(key, dossier);
            if learning::is_too_large(&component) {
                break;
            }
        }
        component
    }

    fn put_back(&mut self, tenant: TenantId, component: Component, changed: &[RecipientKey]) {
        for (key, dossier) in component {
            let changed = changed.contains(&key);
            let held = self.held.entry(Place { tenant, key }).or_default();
            held.dossier = dossier;
            held.changed |= changed;
        }
    }

    /// Whose dossier stays as it is, and what has to be written.
    pub(super) fn into_changes(self) -> (Vec<Place>, Vec<Change>) {
        let mut unchanged = Vec::new();
        let mut changes = Vec::with_capacity(self.held.len());
        for (place, held) in self.held {
            if held.changed {
                changes.push(Change { place, dossier: held.dossier, seen: held.seen });
            } else {
                unchanged.push(place);
            }
        }
        (unchanged, changes)
    }
}

fn places(tenant: TenantId, keys: Vec<RecipientKey>) -> Vec<Place> {
    let unique: BTreeSet<RecipientKey> = keys.into_iter().collect();
    unique.into_iter().map(|key| Place { tenant, key }).collect()
}
