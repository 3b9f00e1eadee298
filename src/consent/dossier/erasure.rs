//! What is left of a person who was erased: a withdrawal of everything that names nobody.
//!
//! Knows neither where a tombstone stands nor in which order a store writes it.

use std::collections::BTreeSet;

use super::{Dossier, Learned};
use crate::consent::event::{Actor, Event, EventId, Kind};
use crate::consent::keyed::RecipientHash;
use crate::consent::recipient::{Recipient, RecipientKey};
use crate::consent::time::Timestamp;

/// What stands as the source of an erasure. No `resume` lifts it, whatever source that names.
const SOURCE: &str = "erasure";

impl Event {
    /// The withdrawal that an erasure leaves behind: it counts as the person's own, so that only a later act of theirs with evidence grants again.
    pub fn erasure(recipient: Recipient, at: Timestamp) -> Self {
        Self {
            id: EventId(format!("{}{}", EventId::ERASURE, at.as_millis())),
            recipient,
            kind: Kind::Erase,
            categories: None,
            occurred_at: at,
            received_at: at,
            expires_at: None,
            actor: Actor::Person,
            source: SOURCE.to_owned(),
            links: Vec::new(),
            evidence: None,
            pending: false,
            confirms: None,
            legacy: false,
        }
    }
}

impl Dossier {
    /// Takes out everything about the person and leaves the tombstone of the identity that has this hash.
    ///
    /// What the chain says of the person stays as hashes that lead nowhere. It withdraws as of `at`, or of the latest event if that is later by somebody else's clock: nothing that was known comes back by being sent again.
    #[must_use]
    pub fn buried(mut self, hash: RecipientHash, at: Timestamp) -> Self {
        let latest = self.events.values().map(Event::effective_at).max();
        self.erase(|_| true);
        self.learn(Event::erasure(Recipient::Hashed(hash), latest.map_or(at, |latest| latest.max(at))));
        self
    }

    /// When the person was erased, if nothing has been learnt about them since.
    pub fn erased_at(&self) -> Option<Timestamp> {
        let nothing_else = self.links.is_empty() && self.events.values().all(|e| e.kind == Kind::Erase);
        self.last_erasure().filter(|_| nothing_else)
    }

    fn last_erasure(&self) -> Option<Timestamp> {
        self.events.values().filter(|e| e.kind == Kind::Erase).map(Event::effective_at).max()
    }

    /// Lets an erased person who is heard of again start from their tombstone; true if that brought anything.
    pub fn recall(&mut self, tombstone: &Self) -> bool {
        if self.is_empty() {
            self.clone_from(tombstone);
            return !self.is_empty();
        }
        let erasures = tombstone.events.values().filter(|e| e.kind == Kind::Erase);
        erasures.fold(false, |news, event| news | (self.learn(event.clone()) == Learned::New))
    }

    /// Whether an erasure is known under the person's hash that an export tells under their name, or the other way about.
    pub(super) fn knows_erasure(&self, event: &Event) -> bool {
        let hashed = |event: &Event| matches!(event.recipient, Recipient::Hashed(_));
        event.kind == Kind::Erase
            && self.events.values().any(|known| {
                known.kind == Kind::Erase
                    && known.id == event.id
                    && known.effective_at() == event.effective_at()
                    && hashed(known) != hashed(event)
            })
    }

    /// What an export writes under a recipient's name: their own events, and under that name too the erasure of whoever came back after one.
    pub fn own_history(&self, key: &RecipientKey) -> Vec<Event> {
        let own = |event: &Event| -> Option<Event> {
            if event.recipient.key() == *key {
                return Some(event.clone());
            }
            let came_back = event.kind == Kind::Erase && matches!(event.recipient, Recipient::Hashed(_));
            came_back.then(|| Some(Event { recipient: key.recipient()?, ..event.clone() }))?
        };
        let mut told: Vec<Event> = self.history().into_iter().filter_map(own).collect();
        // An erasure that was imported under the name and heard from the tombstone too is one.
        let mut met = BTreeSet::new();
        told.retain(|event| event.kind != Kind::Erase || met.insert(event.id.clone()));
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::event::EventAsWritten;
    use crate::consent::record::State;
    use crate::consent::{Category, GateRecord, RecipientHasher, TenantId};

    const ANN: &str = "+15550000001";
    const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);

    fn hash() -> RecipientHash {
        RecipientHasher::new(&[7; 32]).hash(TenantId(1), &Recipient::parse(ANN).unwrap().key())
    }

    fn event(kind: &str, actor: &str, secs: u64) -> Event {
        let json = serde_json::json!({
            "recipient": ANN, "kind": kind, "actor": actor, "source": "erasure", "occurred_at": Timestamp::from_secs(secs), "id": format!("{kind}-{secs}"),
            "categories": ["marketing"], "evidence": (kind == "grant").then(|| serde_json::json!({"channel": "website", "wording": "I agree"})),
        });
        Event::check(serde_json::from_value::<EventAsWritten>(json).unwrap(), NOW).unwrap()
    }

    fn of(events: &[Event]) -> Dossier {
        let mut dossier = Dossier::default();
        for event in events {
            dossier.learn(event.clone());
        }
        dossier
    }

    fn marketing(dossier: &Dossier) -> State {
        dossier.record().categories[Category::Marketing.index()].state
    }

    #[test]
    fn a_tombstone_withdraws_everything_and_names_nobody() {
        let mut person = of(&[event("grant", "person", 1_780_000_000)]);
        person
            .link(Recipient::parse("US.1349").unwrap().key(), crate::consent::dossier::Provenance::Declared);
        let tombstone = person.buried(hash(), NOW);
        let gate = tombstone.record().gate_record(&crate::consent::terms::WordingNumbers::default());
        assert!(gate.slots.iter().all(|slot| slot.state == State::Revoked));
        assert_eq!((gate.flags, gate.permits_anything()), (GateRecord::TOMBSTONE, false));
        assert_eq!(tombstone.erased_at(), Some(NOW));
        let stored = tombstone.encode();
        let text = String::from_utf8_lossy(&stored);
        assert!(!text.contains("5550000") && !text.contains("1349") && !text.contains("I agree"), "{text}");
        assert_eq!(Dossier::decode(&stored).unwrap().record(), tombstone.record());
    }

    #[test]
    fn after_an_erasure_only_a_later_act_of_the_person_grants() {
        let erased_at = Timestamp::from_secs(1_785_000_000);
        let before = event("grant", "person", 1_780_000_000);
        let tombstone = of(std::slice::from_ref(&before)).buried(hash(), erased_at);
        for (what, expected) in [
            (before, State::Revoked),
            (event("resume", "person", 1_786_000_000), State::Revoked),
            (event("grant", "operator", 1_786_000_000), State::Revoked),
            (event("grant", "person", 1_786_000_000), State::Granted),
        ] {
            let mut back = Dossier::default();
            assert!(back.recall(&tombstone));
            back.learn(what.clone());
            assert_eq!(marketing(&back), expected, "{what:?}");
            assert_eq!(back.record().gate_record(&crate::consent::terms::WordingNumbers::default()).flags, 0);
            // A tombstone that is found later says no less.
            let mut late = of(&[what]);
            assert!(late.recall(&tombstone) && !late.recall(&tombstone));
            assert_eq!(marketing(&late), expected);
        }
    }

    #[test]
    fn what_was_received_by_a_faster_clock_does_not_come_back() {
        let early = Timestamp::from_secs(1_770_000_000);
        let grant = event("grant", "person", 1_780_000_000);
        let mut back = of(std::slice::from_ref(&grant)).buried(hash(), early);
        back.learn(grant);
        assert_eq!(marketing(&back), State::Revoked);
    }

    #[test]
    fn an_erasure_is_exported_under_the_name_that_came_back_and_imported_again() {
        let key = Recipient::parse(ANN).unwrap().key();
        let mut back = of(&[]).buried(hash(), NOW);
        back.learn(event("grant", "operator", 1_780_000_000));
        let exported: Vec<Event> = back.own_history(&key);
        assert_eq!(exported.len(), 2);
        let imported: Vec<Event> =
            exported.iter().map(|e| Event::check(e.as_written(None), NOW).unwrap()).collect();
        assert_eq!(imported, exported);
        assert_eq!(marketing(&of(&imported)), State::Revoked);
        // Whoever has it under the hash learns nothing from it under the name, nor the other way about.
        let before = back.clone();
        for event in imported {
            back.learn(event);
        }
        assert_eq!(back, before);
        let named = of(&exported.into_iter().filter(|event| event.kind == Kind::Erase).collect::<Vec<_>>());
        assert!(!named.clone().recall(&of(&[]).buried(hash(), NOW)));
        let mine = r#"{"recipient":"+15550000001","kind":"erase","occurred_at":"2026-01-31T09:30:00Z","actor":"person","source":"crm"}"#;
        let problems = Event::check(serde_json::from_str(mine).unwrap(), NOW).unwrap_err();
        assert!(problems[0].contains("use DELETE"), "{problems:?}");
    }
}
