//! How an event enters the dossiers of everybody it concerns, whichever store holds them. No I/O: a store gathers, calls, writes.

use std::collections::BTreeMap;

use crate::consent::dossier::{Dossier, Learned, MAX_LINKS, Provenance, settle, vouched};
use crate::consent::event::Kind;
use crate::consent::{CategorySet, Event, Recipient, RecipientKey, TenantId};

use super::Outcome;

/// Dossiers that links connect, by key.
pub(super) type Component = BTreeMap<RecipientKey, Dossier>;

/// An event with its tenant's number in the store.
pub(super) struct Lesson {
    pub(super) tenant: TenantId,
    pub(super) event: Event,
    pub(super) provenance: Provenance,
    /// Whether an export tells it.
    pub(super) retold: bool,
}

/// What an event did to a component.
pub(super) struct Learnt {
    pub(super) outcome: Outcome,
    /// Whose dossiers changed.
    pub(super) changed: Vec<RecipientKey>,
}

const KNOWN: Outcome = Outcome::Ignored("already known");
const WITHDRAWN: Outcome =
    Outcome::Ignored("the person withdrew; only a later act of the person with evidence grants again");
const WITHDRAWN_IN_PART: Outcome = Outcome::Ignored(
    "granted in part: the person withdrew from its other categories; only a later act of the person with evidence grants those again",
);
const SUPERSEDED: Outcome =
    Outcome::Ignored("a later withdrawal stands; a grant counts when it is later than every withdrawal");
const UNASKED: Outcome = Outcome::Ignored(
    "stored, and grants nothing yet: the pending grant that it confirms is not known, names other categories, or is later than it",
);
const NOT_THEIRS: Outcome = Outcome::Ignored(
    "stored, and lifts nothing: only the person takes a withdrawal back, with evidence, or the provider its own",
);
const STILL_WITHDRAWN: Outcome = Outcome::Ignored(
    "stored, and a withdrawal stands: a resume lifts those of the same source and actor that are older than it",
);
/// The answer to an event, other than a revoke, whose links would make a person of too many identities.
pub(super) const TOO_MANY: Outcome = Outcome::Ignored(
    "nothing was stored: with these links the person would have more than 33 identities; send the event without links, or correct them",
);

const FULL: Outcome = Outcome::Ignored(
    "nothing was stored: 1000 events of this person are kept already, and only withdrawals are taken in beyond that; a program that tells the same act again should give it the same id",
);

/// Everybody an event names, its recipient first.
pub(super) fn named(event: &Event) -> Vec<RecipientKey> {
    let own = event.recipient.key();
    let mut keys = vec![own];
    for link in &event.links {
        let key = link.key();
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys
}

/// Whether a component has more members than one person may have.
pub(super) fn is_too_large(component: &Component) -> bool {
    component.len() > MAX_LINKS.saturating_add(1)
}

/// Teaches an event to its recipient's dossier, links those it names, and lets the whole component share what crosses links.
///
/// `component` must hold everybody named and everybody they are linked to.
pub(super) fn learn(component: &mut Component, lesson: &Lesson) -> Learnt {
    let event = &lesson.event;
    let own = event.recipient.key();
    let links = links(component, lesson);
    let dossier = component.entry(own.clone()).or_default();
    if dossier.is_full_for(event) {
        return Learnt { outcome: FULL, changed: Vec::new() };
    }
    // An export that comes back would else be an event more of whoever lost the event that told of a link, and so would be every answer to a send.
    // What an export tells of them in an event of its own is in the history that it came from.
    let is_answer = event.kind == Kind::Link && lesson.provenance == Provenance::Observed && !lesson.retold;
    let tells_links = event.retells_links() || is_answer;
    let retold = tells_links && links.iter().all(|(to, provenance)| dossier.knows_link(to, *provenance));
    let mut news = !retold && dossier.learn(event.clone()) == Learned::New;
    for (to, provenance) in links {
        news |= dossier.link(to, provenance);
    }
    let mut changed = settle(component);
    if news {
        changed.push(own.clone());
    }
    let outcome = match component.get(&own) {
        Some(dossier) if !changed.is_empty() => outcome(dossier, event),
        Some(_) | None => KNOWN,
    };
    Learnt { outcome, changed }
}

/// Whom an event links to its recipient, and how that is known: what an export tells was weighed by whoever heard it first.
fn links(component: &Component, lesson: &Lesson) -> Vec<(RecipientKey, Provenance)> {
    let event = &lesson.event;
    let own = event.recipient.key();
    let others = event.links.iter().map(Recipient::key).filter(|key| *key != own);
    let weigh = |to: RecipientKey| {
        let provenance = match lesson.provenance {
            Provenance::Observed if !lesson.retold => vouched(component, event, &to),
            known @ (Provenance::Observed | Provenance::Declared) => known,
        };
        (to, provenance)
    };
    others.map(weigh).collect()
}

/// Teaches a revoke to one of the identities that it names, without linking them: how a revoke that names too many still stops every one of them.
///
/// Each learns it as their own and as naming nobody else: who is erased later is not left over in the dossiers of the others.
pub(super) fn learn_unlinked(component: &mut Component, named: &RecipientKey, lesson: &Lesson) -> Learnt {
    let recipient = named.recipient().unwrap_or_else(|| lesson.event.recipient.clone());
    let own = Event { recipient, links: Vec::new(), ..lesson.event.clone() };
    let news = component.entry(named.clone()).or_default().learn(own) == Learned::New;
    let mut changed = settle(component);
    if news {
        changed.push(named.clone());
    }
    let outcome = if changed.is_empty() { KNOWN } else { Outcome::Applied };
    Learnt { outcome, changed }
}

/// What to say about an event that brought something new.
fn outcome(dossier: &Dossier, event: &Event) -> Outcome {
    match event.kind {
        Kind::Grant => outcome_of_grant(dossier, event),
        Kind::Resume => outcome_of_resume(dossier, event),
        Kind::Revoke | Kind::Inbound | Kind::Link | Kind::Erase => Outcome::Applied,
    }
}

fn outcome_of_resume(dossier: &Dossier, event: &Event) -> Outcome {
    if !event.can_lift() {
        NOT_THEIRS
    } else if dossier.revoked_of(event.categories.unwrap_or(CategorySet::ALL)).is_empty() {
        Outcome::Applied
    } else {
        STILL_WITHDRAWN
    }
}

fn outcome_of_grant(dossier: &Dossier, event: &Event) -> Outcome {
    let asked = event.categories.unwrap_or(CategorySet::ALL);
    let granted = dossier.granted_of(asked);
    // Nearly every grant ends here; what follows is only to explain the others.
    if granted == asked {
        return Outcome::Applied;
    }
    let waiting = dossier.pending_of(asked);
    let by_person =
        || dossier.history().iter().any(|e| e.kind.is_withdrawal() && e.actor.speaks_for_person());
    if event.pending && granted.union(waiting) == asked {
        Outcome::Applied
    } else if granted.union(waiting) == asked {
        UNASKED
    } else if !by_person() {
        SUPERSEDED
    } else if granted.is_empty() {
        WITHDRAWN
    } else {
        WITHDRAWN_IN_PART
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::Timestamp;
    use crate::consent::event::EventAsWritten;

    fn lesson(json: &serde_json::Value, provenance: Provenance) -> Lesson {
        let written: EventAsWritten = serde_json::from_value(json.clone()).unwrap();
        let event = Event::check(written, Timestamp::from_secs(1_790_000_000)).unwrap();
        Lesson { tenant: TenantId(1), event, provenance, retold: true }
    }

    fn linking(id: &str, kind: &str, links: &[&str]) -> serde_json::Value {
        serde_json::json!({
            "id": id, "recipient": "+15550000001", "kind": kind, "occurred_at": "2026-01-31T09:30:00Z",
            "actor": "person", "source": "export", "links": links,
        })
    }

    #[test]
    fn what_an_export_says_of_links_is_no_news_to_whoever_knows_them() {
        let mut component = Component::new();
        let [two, three] = ["+15550000002", "+15550000003"];
        learn(&mut component, &lesson(&linking("hello", "inbound", &[two]), Provenance::Observed));
        for (id, links, provenance, expected) in [
            ("export-links", &[two][..], Provenance::Declared, KNOWN),
            ("export-links-observed", &[two], Provenance::Observed, KNOWN),
            ("export-links", &[two, three], Provenance::Declared, Outcome::Applied),
            ("export-links", &[two, three], Provenance::Declared, KNOWN),
            ("export-links-observed", &[three], Provenance::Observed, Outcome::Applied),
            ("export-links-observed", &[three], Provenance::Observed, KNOWN),
            // Nobody else's event is passed over.
            ("of-a-crm", &[two], Provenance::Declared, Outcome::Applied),
        ] {
            let before = component.clone();
            let learnt = learn(&mut component, &lesson(&linking(id, "link", links), provenance));
            assert_eq!(learnt.outcome, expected, "{id} {links:?}");
            assert_eq!(component == before, expected == KNOWN, "{id} {links:?}");
        }
        let withdrawal = lesson(&linking("export-links", "revoke", &[two]), Provenance::Declared);
        assert_eq!(learn(&mut component, &withdrawal).outcome, Outcome::Applied);
    }

    #[test]
    fn an_export_that_tells_of_a_link_twice_loses_neither() {
        let [two, three] = ["+15550000002", "US.1349"];
        let told = [linking("a", "inbound", &[two, three]), linking("b", "link", &[two])];
        let everybody = ["+15550000001", two, three, "+15550000003", "+15550000004"];
        let known = everybody.map(|person| (Recipient::parse(person).unwrap().key(), Dossier::default()));
        let mut component = Component::from(known);
        for event in &told {
            assert_eq!(learn(&mut component, &lesson(event, Provenance::Observed)).outcome, Outcome::Applied);
        }
        let own = Recipient::parse("+15550000001").unwrap().key();
        assert_eq!(component[&own].history().len(), 2);
        // Whoever exported it took the link for shown, whatever is known here of the id already.
        let other = serde_json::json!({"id": "c", "recipient": "+15550000003", "kind": "link", "occurred_at": "2026-01-31T09:30:00Z",
            "actor": "provider", "source": "export", "links": [three]});
        learn(&mut component, &lesson(&other, Provenance::Observed));
        let key = Recipient::parse(three).unwrap().key();
        assert!(
            component[&Recipient::parse("+15550000003").unwrap().key()]
                .knows_link(&key, Provenance::Observed)
        );
        // The same from the wire is weighed.
        let fresh = Lesson {
            retold: false,
            ..lesson(
                &serde_json::json!({"id": "d", "recipient": "+15550000004", "kind": "link",
            "occurred_at": "2026-01-31T09:30:00Z", "actor": "provider", "source": "export", "links": [three]}),
                Provenance::Observed,
            )
        };
        learn(&mut component, &fresh);
        assert!(
            !component[&Recipient::parse("+15550000004").unwrap().key()]
                .knows_link(&key, Provenance::Observed)
        );
    }
}
