use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::consent::category::CategorySet;
use crate::consent::chain::Entry;
use crate::consent::event::Actor;
use crate::consent::evidence::Evidence;
use crate::consent::recipient::Recipient;
use crate::consent::record::State;

const PHONE: &str = "+15550000001";
const USER: &str = "US.13491208655302741918";

fn event(kind: Kind, at: u64, actor: Actor) -> Event {
    let evidence = Evidence { channel: Some("website".into()), ..Evidence::default() };
    Event {
        id: EventId(format!("{kind:?}-{at}-{actor:?}")),
        recipient: Recipient::parse(PHONE).unwrap(),
        kind,
        categories: Some(CategorySet::of(Category::Marketing)),
        occurred_at: Timestamp::from_secs(at),
        received_at: Timestamp::from_secs(1_000_000),
        expires_at: None,
        actor,
        source: "website".into(),
        links: vec![],
        evidence: matches!(kind, Kind::Grant | Kind::Resume).then_some(evidence),
        pending: false,
        confirms: None,
        legacy: false,
    }
}

fn dossier(events: &[Event]) -> Dossier {
    let mut dossier = Dossier::default();
    for event in events {
        dossier.learn(event.clone());
    }
    dossier
}

fn sealed(mut dossier: Dossier) -> Dossier {
    let mut next = 0u8;
    let salt = || {
        next += 1;
        Ok::<_, ()>([next; 16])
    };
    dossier.seal(Timestamp::from_secs(1_000_000), salt).unwrap();
    dossier
}

fn state(events: &[Event]) -> State {
    dossier(events).record().categories[Category::Marketing.index()].state
}

#[test]
fn the_latest_word_counts_and_the_revoke_wins_a_tie() {
    type Row = (&'static [(Kind, u64, Actor)], State);
    use Actor::{Operator, Person, Provider, System};
    use Kind::{Grant, Resume, Revoke};
    let table: &[Row] = &[
        (&[], State::Unstated),
        (&[(Grant, 10, Person)], State::Granted),
        (&[(Grant, 10, Operator)], State::Granted),
        (&[(Revoke, 10, Person)], State::Revoked),
        (&[(Grant, 10, Person), (Revoke, 20, Person)], State::Revoked),
        (&[(Grant, 20, Person), (Revoke, 10, Person)], State::Granted),
        (&[(Grant, 10, Person), (Revoke, 10, Person)], State::Revoked),
        // An operator cannot undo what the person said, only the person can.
        (&[(Revoke, 10, Person), (Grant, 20, Operator)], State::Revoked),
        (&[(Revoke, 10, Provider), (Grant, 20, Operator)], State::Revoked),
        (&[(Revoke, 10, Operator), (Grant, 20, Operator)], State::Granted),
        (&[(Revoke, 10, Person), (Grant, 20, Person), (Grant, 30, Operator)], State::Granted),
        (&[(Revoke, 10, Person), (Grant, 20, Person), (Revoke, 30, Operator)], State::Revoked),
        // A resume lifts the person's revoke and lets the earlier grant stand, but grants nothing by itself.
        (&[(Grant, 5, Person), (Revoke, 10, Person), (Resume, 20, Person)], State::Granted),
        (&[(Revoke, 10, Person), (Resume, 20, Person)], State::Unstated),
        (&[(Grant, 5, Person), (Revoke, 10, Person), (Resume, 10, Person)], State::Revoked),
        (&[(Grant, 5, Person), (Resume, 10, Person), (Revoke, 20, Person)], State::Revoked),
        (&[(Grant, 5, Person), (Revoke, 10, Operator), (Resume, 20, Person)], State::Revoked),
        (&[(Grant, 5, Person), (Revoke, 10, Person), (Resume, 20, Operator)], State::Revoked),
        (&[(Grant, 5, Person), (Revoke, 10, Person), (Resume, 20, System)], State::Revoked),
        // The provider withdraws for the person and takes back what it said itself; it agrees to nothing for them.
        (&[(Grant, 5, Person), (Revoke, 10, Provider), (Resume, 20, Provider)], State::Granted),
        (&[(Grant, 5, Person), (Revoke, 10, Person), (Resume, 20, Provider)], State::Revoked),
        (&[(Grant, 5, Person), (Revoke, 10, Provider), (Resume, 20, Person)], State::Revoked),
        (&[(Revoke, 10, Person), (Grant, 20, Provider)], State::Revoked),
        (&[(Revoke, 10, Provider), (Grant, 20, Provider)], State::Revoked),
        (&[(Revoke, 10, Provider), (Grant, 20, Person)], State::Granted),
        (&[(Revoke, 10, Operator), (Grant, 20, Provider)], State::Granted),
    ];
    for (events, expected) in table {
        let events: Vec<Event> = events.iter().map(|(k, t, a)| event(*k, *t, *a)).collect();
        assert_eq!(state(&events), *expected, "{events:?}");
    }
}

#[test]
fn a_revoke_under_a_used_id_is_not_lost() {
    let grant = Event { id: EventId("crm-17".into()), ..event(Kind::Grant, 10, Actor::Person) };
    let revoke = Event { id: EventId("crm-17".into()), ..event(Kind::Revoke, 20, Actor::Person) };
    for order in [[grant.clone(), revoke.clone()], [revoke.clone(), grant.clone()]] {
        assert_eq!(state(&order), State::Revoked);
    }
    let mut twice = dossier(&[grant, revoke.clone()]);
    assert_eq!(twice.learn(revoke), Learned::Repeat);
    assert_eq!(twice.history().len(), 2);
}

#[test]
fn a_resume_lifts_only_revokes_of_its_own_source() {
    let mut resume = event(Kind::Resume, 20, Actor::Provider);
    resume.source = "user_preferences".into();
    assert_eq!(
        state(&[event(Kind::Grant, 5, Actor::Person), event(Kind::Revoke, 10, Actor::Person), resume]),
        State::Revoked
    );
}

#[test]
fn a_resume_without_evidence_lifts_nothing() {
    for evidence in [None, Some(Evidence::default())] {
        let resume = Event { evidence, ..event(Kind::Resume, 20, Actor::Person) };
        let events = [event(Kind::Grant, 5, Actor::Person), event(Kind::Revoke, 10, Actor::Person), resume];
        assert_eq!(state(&events), State::Revoked);
    }
}

#[test]
fn a_revoke_without_categories_means_all() {
    let revoke = Event { categories: None, ..event(Kind::Revoke, 10, Actor::Person) };
    let record = dossier(&[revoke]).record();
    assert!(record.categories.iter().all(|c| c.state == State::Revoked));
}

fn pending(id: &str, at: u64) -> Event {
    Event { id: EventId(id.into()), pending: true, ..event(Kind::Grant, at, Actor::Person) }
}

fn confirming(first: &str, at: u64) -> Event {
    let id = EventId(format!("confirms-{first}-{at}"));
    Event { id, confirms: Some(EventId(first.into())), ..event(Kind::Grant, at, Actor::Person) }
}

fn legacy(at: u64) -> Event {
    Event { legacy: true, evidence: None, ..event(Kind::Grant, at, Actor::Operator) }
}

#[test]
fn a_pending_grant_waits_for_the_person_and_overrides_nothing() {
    use Actor::{Operator, Person};
    use Kind::{Grant, Revoke};
    let utility = Some(CategorySet::of(Category::Utility));
    let table = [
        (vec![pending("a", 10)], State::Pending),
        (vec![pending("a", 10), confirming("a", 20)], State::Granted),
        (vec![pending("a", 10), confirming("a", 10)], State::Granted),
        // A confirmation of nothing, of something else, or before anybody asked grants nothing.
        (vec![confirming("a", 20)], State::Pending),
        (vec![pending("a", 10), confirming("b", 20)], State::Pending),
        (vec![pending("a", 10), confirming("a~c-", 20)], State::Pending),
        (vec![pending("a", 10), confirming("a", 5)], State::Pending),
        (vec![Event { categories: utility, ..pending("a", 10) }, confirming("a", 20)], State::Pending),
        (vec![event(Grant, 10, Person), confirming(&event(Grant, 10, Person).id.0, 20)], State::Granted),
        (vec![pending("a", 10), Event { actor: Operator, ..confirming("a", 20) }], State::Pending),
        (vec![pending("a", 10), Event { actor: Actor::Provider, ..confirming("a", 20) }], State::Pending),
        // A grant that is not pending confirms by itself; a pending one never takes a grant back.
        (vec![pending("a", 10), event(Grant, 20, Person)], State::Granted),
        (vec![event(Grant, 10, Person), pending("a", 20)], State::Granted),
        // Nor a revoke.
        (vec![event(Revoke, 10, Person), pending("a", 20)], State::Revoked),
        (vec![event(Revoke, 10, Operator), pending("a", 20)], State::Revoked),
        (vec![pending("a", 10), event(Revoke, 20, Person)], State::Revoked),
        (vec![pending("a", 10), event(Revoke, 20, Person), confirming("a", 15)], State::Revoked),
        (vec![pending("a", 10), event(Revoke, 20, Person), confirming("a", 30)], State::Granted),
        (vec![event(Revoke, 10, Person), pending("a", 20), confirming("a", 30)], State::Granted),
        (
            vec![
                event(Revoke, 10, Person),
                pending("a", 20),
                Event { actor: Operator, ..confirming("a", 30) },
            ],
            State::Revoked,
        ),
    ];
    for (events, expected) in table {
        assert_eq!(state(&events), expected, "{events:?}");
        assert_eq!(
            state(&events.iter().rev().cloned().collect::<Vec<_>>()),
            expected,
            "reversed: {events:?}"
        );
    }
}

#[test]
fn a_confirmation_of_the_same_instant_confirms_and_an_earlier_one_does_not_in_any_order() {
    for (asked, said, expected) in
        [(10, 10, State::Granted), (10, 11, State::Granted), (11, 10, State::Pending)]
    {
        let (first, second) = (pending("first", asked), confirming("first", said));
        let mut equal = confirming("first", said);
        // However the sender names it: under the name of what it confirms as well.
        equal.id = EventId("first".to_owned());
        for confirmation in [second, equal] {
            let orders = [[first.clone(), confirmation.clone()], [confirmation, first.clone()]];
            for order in orders {
                assert_eq!(state(&order), expected, "asked at {asked}, said at {said}");
            }
        }
        // A withdrawal of that very instant wins over both.
        let revoke = event(Kind::Revoke, said.max(asked), Actor::Person);
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let all = [first.clone(), confirming("first", said), revoke.clone()];
            assert_eq!(state(&order.map(|n: usize| all[n].clone())), State::Revoked);
        }
    }
}

#[test]
fn a_person_has_so_many_events_and_every_withdrawal() {
    let mut full = Dossier::default();
    let numbered = |kind, at: u64| Event { id: EventId(format!("e-{at}")), ..event(kind, at, Actor::Person) };
    for at in 0..MAX_EVENTS as u64 {
        assert!(!full.is_full_for(&numbered(Kind::Grant, at)));
        full.learn(numbered(Kind::Grant, at));
    }
    let beyond = MAX_EVENTS as u64 + 1;
    for (kind, refused) in [
        (Kind::Grant, true),
        (Kind::Resume, true),
        (Kind::Link, true),
        (Kind::Revoke, false),
        (Kind::Inbound, false),
        (Kind::Erase, false),
    ] {
        assert_eq!(full.is_full_for(&numbered(kind, beyond)), refused, "{kind:?}");
    }
    assert!(!full.is_full_for(&numbered(Kind::Grant, 7)), "a repeat is one");
}

#[test]
fn a_confirmation_finds_what_it_confirms_though_another_event_took_the_name() {
    let taken = Event { id: EventId("a".into()), ..event(Kind::Resume, 5, Actor::Person) };
    for events in [
        [taken.clone(), pending("a", 10), confirming("a", 20)],
        [pending("a", 10), taken.clone(), confirming("a", 20)],
        [confirming("a", 20), taken, pending("a", 10)],
    ] {
        assert_eq!(state(&events), State::Granted, "{events:?}");
    }
}

#[test]
fn a_legacy_grant_undoes_no_revoke_and_gives_way_to_evidence() {
    use Actor::{Operator, Person};
    use Kind::{Grant, Resume, Revoke};
    let persons = Event { actor: Person, ..legacy(20) };
    for (events, expected) in [
        (vec![legacy(20)], State::Granted),
        (vec![event(Revoke, 10, Person), legacy(20)], State::Revoked),
        (vec![event(Revoke, 10, Person), persons.clone()], State::Revoked),
        (vec![event(Revoke, 10, Operator), persons], State::Revoked),
        (vec![legacy(20), event(Revoke, 30, Operator)], State::Revoked),
        (vec![legacy(5), event(Revoke, 10, Person), event(Resume, 20, Person)], State::Granted),
        (vec![legacy(20), pending("a", 30)], State::Granted),
        (vec![event(Revoke, 10, Person), legacy(20), event(Grant, 30, Person)], State::Granted),
    ] {
        assert_eq!(state(&events), expected, "{events:?}");
    }
    let proven = event(Kind::Grant, 10, Actor::Person);
    let record = dossier(&[legacy(20), proven.clone()]).record();
    assert_eq!(record.categories[Category::Marketing.index()].event, Some(proven.id));
}

#[test]
fn an_inbound_message_opens_the_window_for_a_day_and_grants_nothing() {
    let events = [50, 70, 60].map(|at| event(Kind::Inbound, at, Actor::Person));
    let learnt = dossier(&events);
    assert_eq!(learnt.record().window_until, Some(Timestamp::from_secs(70 + 86_400)));
    assert_eq!(learnt.history().len(), 1);
    assert!(learnt.record().categories.iter().all(|c| c.state == State::Unstated));
}

#[test]
fn an_event_from_a_wrong_clock_opens_no_window_for_years() {
    let mut inbound = event(Kind::Inbound, 4_000_000_000, Actor::Person);
    inbound.received_at = Timestamp::from_secs(100);
    assert_eq!(dossier(&[inbound]).record().window_until, Some(Timestamp::from_secs(100 + 86_400)));
}

fn component(provenance: Provenance, events: &[(&str, Event)]) -> BTreeMap<RecipientKey, Dossier> {
    let [phone, user] = [PHONE, USER].map(|r| Recipient::parse(r).unwrap());
    let mut all = BTreeMap::from([(phone.key(), Dossier::default()), (user.key(), Dossier::default())]);
    all.get_mut(&phone.key()).unwrap().link(user.key(), provenance);
    for (owner, event) in events {
        let recipient = Recipient::parse(owner).unwrap();
        all.get_mut(&recipient.key()).unwrap().learn(Event { recipient, ..event.clone() });
    }
    settle(&mut all);
    all
}

fn states(all: &BTreeMap<RecipientKey, Dossier>) -> [State; 2] {
    [PHONE, USER].map(|r| {
        all[&Recipient::parse(r).unwrap().key()].record().categories[Category::Marketing.index()].state
    })
}

#[test]
fn withdrawals_cross_every_link_both_ways_and_grants_only_observed_ones() {
    let grant = event(Kind::Grant, 10, Actor::Person);
    let revoke = event(Kind::Revoke, 20, Actor::Person);
    use Provenance::{Declared, Observed};
    use State::{Granted, Revoked, Unstated};
    for (provenance, events, expected) in [
        (Declared, vec![(PHONE, grant.clone())], [Granted, Unstated]),
        (Observed, vec![(PHONE, grant.clone())], [Granted, Granted]),
        (Observed, vec![(USER, grant.clone())], [Granted, Granted]),
        (Declared, vec![(PHONE, grant.clone()), (USER, revoke.clone())], [Revoked, Revoked]),
        (Declared, vec![(USER, grant.clone()), (PHONE, revoke.clone())], [Revoked, Revoked]),
        (Observed, vec![(PHONE, grant), (USER, revoke)], [Revoked, Revoked]),
    ] {
        assert_eq!(states(&component(provenance, &events)), expected, "{provenance:?} {events:?}");
    }
}

#[test]
fn a_resume_does_not_cross_a_declared_link() {
    let events = [
        (PHONE, event(Kind::Grant, 5, Actor::Person)),
        (PHONE, event(Kind::Revoke, 10, Actor::Person)),
        (USER, event(Kind::Resume, 20, Actor::Person)),
    ];
    assert_eq!(states(&component(Provenance::Declared, &events))[0], State::Revoked);
}

fn known(entries: &[Entry]) -> Vec<bool> {
    entries.iter().map(|entry| matches!(entry.content, Content::Known { .. })).collect()
}

#[test]
fn the_chain_holds_events_and_links_in_order_of_arrival_and_no_repeat() {
    let mut dossier = sealed(dossier(&[event(Kind::Revoke, 20, Actor::Person)]));
    dossier.learn(event(Kind::Grant, 10, Actor::Person));
    dossier.learn(event(Kind::Revoke, 20, Actor::Person));
    dossier.learn(event(Kind::Inbound, 30, Actor::Person));
    let user = Recipient::parse(USER).unwrap().key();
    dossier.link(user.clone(), Provenance::Declared);
    dossier.link(user.clone(), Provenance::Declared);
    dossier.link(user, Provenance::Observed);
    let dossier = sealed(dossier);
    let covers = |entry: &Entry| match &entry.content {
        Content::Known { subject: Subject::Event { id, .. }, .. } => id.0.clone(),
        Content::Known { subject: Subject::Link { to }, .. } => {
            String::from_utf8(to.bytes().to_vec()).unwrap()
        }
        Content::Erased { .. } => "erased".to_owned(),
    };
    let covered: Vec<String> = dossier.chain().entries().iter().map(covers).collect();
    assert_eq!(covered, ["Revoke-20-Person", "Grant-10-Person", USER, USER]);
}

#[test]
fn a_failing_salt_loses_nothing() {
    let mut dossier = dossier(&[event(Kind::Grant, 10, Actor::Person)]);
    assert_eq!(dossier.seal(Timestamp::EPOCH, || Err("no randomness")), Err("no randomness"));
    assert_eq!(sealed(dossier).chain().entries().len(), 1);
}

#[test]
fn a_dossier_that_was_not_sealed_is_stored_whole_all_the_same() {
    let dossier = dossier(&[event(Kind::Grant, 10, Actor::Person), event(Kind::Inbound, 10, Actor::Person)]);
    let read = Dossier::decode(&dossier.encode()).unwrap();
    assert_eq!(read.history(), dossier.history());
    assert_eq!(read.unchained(), 1);
}

#[test]
fn the_first_version_is_read_and_its_events_get_marked_entries_at_the_next_write() {
    let first = r#"{"v":1,"events":[
        {"id":"a","recipient":"+15550000001","kind":"grant","categories":["marketing"],"occurred_at":"1970-01-01T00:00:10Z","received_at":"1970-01-01T00:00:11Z",
         "actor":"person","source":"website","evidence":{"channel":"website"}},
        {"id":"b","recipient":"+15550000001","kind":"inbound","occurred_at":"1970-01-01T00:00:20Z","received_at":"1970-01-01T00:00:20Z","actor":"person","source":"webhook"}],
        "links":[["US.13491208655302741918",true]]}"#;
    let read = Dossier::decode(first.as_bytes()).unwrap();
    assert_eq!(read.unchained(), 2);
    let sealed = sealed(read.clone());
    assert_eq!((sealed.record(), sealed.history()), (read.record(), read.history()));
    assert!(sealed.chain().entries().iter().all(|entry| entry.adopted));
    assert_eq!(sealed.chain().entries().len(), 2);
    let later = Dossier::decode(&sealed.encode()).unwrap();
    assert_eq!(later, sealed);
}

#[test]
fn an_edited_text_is_a_fault_of_its_entry() {
    let stored =
        sealed(dossier(&[event(Kind::Grant, 10, Actor::Person), event(Kind::Revoke, 20, Actor::Person)]));
    let mut bytes = stored.encode();
    let at = bytes.windows(6).position(|bytes| bytes == b"revoke").unwrap();
    bytes[at..at + 6].copy_from_slice(b"resume");
    let edited = Dossier::decode(&bytes).unwrap();
    assert_eq!(edited.record().categories[Category::Marketing.index()].state, State::Granted);
    assert_eq!(edited.chain().faults(), [2]);
}

#[test]
fn erasing_a_person_leaves_a_chain_that_can_be_followed_and_no_word_of_theirs() {
    let mut whole =
        dossier(&[event(Kind::Grant, 10, Actor::Person), event(Kind::Inbound, 20, Actor::Person)]);
    let other = Recipient::parse(USER).unwrap();
    whole.learn(Event { recipient: other.clone(), ..event(Kind::Revoke, 30, Actor::Person) });
    whole.link(other.key(), Provenance::Declared);
    let whole = sealed(whole);
    let mut erased = whole.clone();
    let owner = Recipient::parse(PHONE).unwrap().key();
    erased.erase(|covers| matches!(covers, Subject::Event { owner: of, .. } if *of == owner));
    let bytes = erased.encode();
    assert!(!bytes.windows(10).any(|bytes| bytes == b"5550000001"));
    assert_eq!(known(erased.chain().entries()), [false, true, true]);
    let read = Dossier::decode(&bytes).unwrap();
    assert!(read.chain().faults().is_empty());
    assert_eq!(read.chain().head_at(u32::MAX), whole.chain().head_at(u32::MAX));
    assert_eq!((read.history().len(), read.links().count(), read.unchained()), (1, 1, 0));
}

/// Events that name, confirm and collide with each other: of three names each of which several may bear.
fn any_event() -> impl Strategy<Value = Event> {
    let kinds =
        prop::sample::select(vec![Kind::Grant, Kind::Grant, Kind::Revoke, Kind::Resume, Kind::Inbound]);
    let actors = prop::sample::select(vec![
        Actor::Person,
        Actor::Person,
        Actor::Operator,
        Actor::Provider,
        Actor::System,
    ]);
    let shapes = prop::sample::select(vec![Shape::Full, Shape::Pending, Shape::Confirms, Shape::Legacy]);
    let name = || prop::sample::select(vec!["a", "b", "c"]);
    let origins = (prop::bool::weighted(0.8), prop::sample::select(vec!["website", "website", "whatsapp"]));
    (kinds, 1u64..6, actors, shapes, prop::option::of(name()), name(), origins).prop_map(
        |(k, t, a, shape, own, first, (proven, source))| {
            let mut event = shaped(event(k, t, a), shape, first);
            event.source = source.to_owned();
            if k == Kind::Resume && !proven {
                (event.evidence, event.id.0) = (None, format!("{}-unproven", event.id.0));
            }
            if let Some(own) = own {
                event.id = EventId(own.into());
            }
            event
        },
    )
}

#[derive(Clone, Copy, Debug)]
enum Shape {
    Full,
    Pending,
    Confirms,
    Legacy,
}

/// A grant of another shape; other events stay as they are.
fn shaped(event: Event, shape: Shape, first: &str) -> Event {
    if event.kind != Kind::Grant {
        return event;
    }
    let id = EventId(format!("{}-{shape:?}-{first}", event.id.0));
    match shape {
        Shape::Full => event,
        Shape::Pending => Event { id, pending: true, ..event },
        // Nobody else can confirm: such an event never gets as far as a dossier.
        Shape::Confirms => Event { id, confirms: Some(EventId(first.into())), actor: Actor::Person, ..event },
        Shape::Legacy => Event { id, legacy: true, evidence: None, ..event },
    }
}

/// What a dossier says, without the names that events under one name may bear and how often an inbound event was kept under two.
fn said(dossier: &Dossier) -> Record {
    let mut record = Record { seq: 0, ..dossier.record() };
    record.categories.iter_mut().for_each(|category| category.event = None);
    record
}

/// Whether it is a withdrawal of the person's own or an act that can undo one: everything else must leave it as it is.
fn is_own(event: &Event) -> bool {
    let own = event.actor == Actor::Person && event.evidence.is_some();
    match event.kind {
        // What somebody else asked, the person confirms.
        Kind::Grant => event.pending || (own && !event.legacy),
        // The provider takes back what it told of itself.
        Kind::Resume => event.actor.speaks_for_person() && event.evidence.is_some(),
        Kind::Revoke => event.actor.speaks_for_person(),
        Kind::Inbound | Kind::Link | Kind::Erase => true,
    }
}

proptest! {
    #[test]
    fn nothing_but_the_persons_own_acts_undoes_what_they_withdrew(events in prop::collection::vec(any_event(), 0..9)) {
        let own: Vec<Event> = events.iter().filter(|event| is_own(event)).cloned().collect();
        // Withdrawn by what they and the provider said: whatever anybody else adds, nothing is granted.
        if state(&own) == State::Revoked {
            prop_assert_eq!(state(&events), State::Revoked, "{:?}", events);
        }
    }

    #[test]
    fn any_order_and_any_repeats_give_the_same_dossier(
        events in prop::collection::vec(any_event(), 0..7).prop_flat_map(|e| (Just(e.clone()), Just([e.clone(), e].concat()).prop_shuffle()))
    ) {
        let (once, shuffled) = (dossier(&events.0), dossier(&events.1));
        prop_assert_eq!(said(&once), said(&shuffled));
        let named: BTreeSet<&EventId> = events.0.iter().map(|event| &event.id).collect();
        let told_apart: BTreeSet<_> = events.0.iter().map(|event| (&event.id, event.content_id())).collect();
        if named.len() == told_apart.len() {
            prop_assert_eq!(once.record(), shuffled.record());
            prop_assert_eq!(once.history(), shuffled.history());
            // The order of arrival is in the chains alone.
            prop_assert_eq!(sealed(once).chain().entries().len(), sealed(shuffled).chain().entries().len());
        }
    }

    #[test]
    fn what_is_stored_is_read_back_and_its_chain_has_no_fault(events in prop::collection::vec(any_event(), 0..7), links in 0..3) {
        let mut stored = dossier(&events);
        for n in 0..links {
            stored.link(Recipient::parse(&format!("US.{n}")).unwrap().key(), Provenance::Declared);
        }
        let stored = sealed(stored);
        prop_assert!(stored.chain().faults().is_empty());
        prop_assert_eq!(stored.unchained(), 0);
        prop_assert_eq!(Dossier::decode(&stored.encode()), Some(stored));
    }

    #[test]
    fn nothing_stored_makes_reading_panic(events in prop::collection::vec(any_event(), 0..3), cut in 0usize..2000, flip in 0usize..2000) {
        let mut bytes = sealed(dossier(&events)).encode();
        let flip = flip % bytes.len();
        bytes[flip] ^= 1;
        let _ = Dossier::decode(&bytes);
        bytes.truncate(cut);
        let _ = Dossier::decode(&bytes);
    }

    #[test]
    fn a_chain_only_grows(first in prop::collection::vec(any_event(), 0..4), then in prop::collection::vec(any_event(), 0..4)) {
        let before = sealed(dossier(&first));
        let mut after = before.clone();
        for event in then {
            after.learn(event);
        }
        let after = sealed(after);
        prop_assert!(after.chain().entries().starts_with(before.chain().entries()));
        prop_assert!(after.chain().faults().is_empty());
    }

    #[test]
    fn a_half_done_fan_out_is_only_stricter(events in prop::collection::vec((prop::sample::select(vec![PHONE, USER]), any_event()), 0..6)) {
        let settled = states(&component(Provenance::Declared, &events));
        let alone = component(Provenance::Declared, &[]).into_iter().map(|(key, mut d)| {
            for (owner, e) in &events {
                let recipient = Recipient::parse(owner).unwrap();
                if recipient.key() == key { d.learn(Event { recipient, ..e.clone() }); }
            }
            (key, d)
        }).collect::<BTreeMap<_, _>>();
        for (before, after) in states(&alone).into_iter().zip(settled) {
            prop_assert!(after == before || after == State::Revoked, "{before:?} {after:?}");
        }
    }
}
