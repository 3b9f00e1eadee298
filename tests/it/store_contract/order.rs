//! In whatever order events come, and however often: what follows from them is the same, and only the person undoes what they withdrew.

use std::collections::BTreeSet;

use optgate::consent::dossier::Dossier;
use optgate::consent::terms::WordingNumbers;
use optgate::consent::{Actor, GateRecord, Lookup, Standing};
use optgate::store::Outcome;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

use super::bench::{ACME, Bench};
use super::events::*;

/// How many sets of events are tried, each in all of its orders.
const SETS: usize = 24;
/// How many events a set has.
const EVENTS: usize = 4;

type Maker = fn(&str, u64) -> Told;

/// An event of any kind, actor and source; names collide, confirm and repeat each other.
fn any_event() -> impl Strategy<Value = Told> {
    let kinds = select(vec![grant as Maker, grant, revoke, revoke, resume, inbound]);
    let actors = select(vec![Actor::Person, Actor::Person, Actor::Provider, Actor::Operator, Actor::System]);
    let sources = select(vec!["website", "website", "whatsapp"]);
    (kinds, 1u64..6, actors, sources, 0u8..8).prop_map(|(make, at, actor, source, shape)| {
        let event = make("", at).from(source);
        match (event.is("grant"), event.is("inbound")) {
            (true, _) => match shape {
                0 => event.named("a").pending(),
                1 => event.named("b").confirming("a"),
                2 => event.legacy().by(actor),
                3 => event.named("a").by(actor),
                4.. => event.named(&format!("grant-{at}-{source}-{actor:?}")).by(actor),
            },
            // A business opens no window.
            (_, true) => event,
            (false, false) if shape == 0 => event.named("a").by(actor),
            (false, false) if shape == 1 => event.named("unproven").unproven().by(actor),
            (false, false) => {
                let name = format!("other-{at}-{source}-{actor:?}-{}", event.is("resume"));
                event.named(&name).by(actor)
            }
        }
    })
}

/// What follows from events by the words of consent alone, without a store.
fn follows(events: &[Told]) -> GateRecord {
    let mut dossier = Dossier::default();
    for event in events {
        dossier.learn(event.clone().to(ANN).incoming().event);
    }
    uncounted(dossier.record().gate_record(&WordingNumbers::default()))
}

/// Of messages under one name it depends on their order how many are kept; it says nothing.
fn uncounted(record: GateRecord) -> GateRecord {
    GateRecord { seq: 0, ..record }
}

/// Every order of so many things.
pub(super) fn permutations(n: usize) -> Vec<Vec<usize>> {
    if n == 0 {
        return vec![vec![]];
    }
    let insert = |order: Vec<usize>| {
        (0..n).map(move |at| {
            let mut longer = order.clone();
            longer.insert(at, n - 1);
            longer
        })
    };
    permutations(n - 1).into_iter().flat_map(insert).collect()
}

pub(super) async fn random_events_in_every_order_and_twice_give_the_record_that_follows(bench: &Bench) {
    let store = bench.open().await;
    let mut runner = TestRunner::new(Config::default());
    let sets = prop::collection::vec(any_event(), EVENTS);
    let mut seen = BTreeSet::new();
    for set in 0..SETS {
        let events = sets.new_tree(&mut runner).unwrap().current();
        let expected = follows(&events);
        for (n, order) in permutations(EVENTS).iter().enumerate() {
            let who = format!("+15554{:06}", set * 100 + n);
            // Once in this order and once backwards; half of the orders in one batch, half one by one.
            let told = order.iter().chain(order.iter().rev()).map(|i| events[*i].clone().to(&who));
            if n % 2 == 0 {
                apply(&store, told).await.unwrap();
            } else {
                for event in told {
                    apply(&store, [event]).await.unwrap();
                }
            }
            let Lookup::Found(found) = store.lookup(ACME, &key(&who)).await.lookup else {
                panic!("no record")
            };
            let found = uncounted(found);
            assert_eq!(
                found,
                expected,
                "order {order:?} of {:?}",
                events.iter().map(Told::says).collect::<Vec<_>>()
            );
            seen.insert(found.encode());
        }
    }
    assert!(seen.len() > 3, "the sets are all alike");
}

pub(super) async fn nobody_but_the_person_takes_a_withdrawal_back(bench: &Bench) {
    use Actor::{Operator, Person, Provider, System};
    use Standing::{Granted, Revoked};
    let store = bench.open().await;
    for (n, (by, undone, expected)) in [
        (Person, resume("", 3), Granted),
        (Person, resume("", 3).unproven(), Revoked),
        (Person, resume("", 3).by(Operator), Revoked),
        (Person, resume("", 3).by(System), Revoked),
        (Person, resume("", 3).by(Provider), Revoked),
        (Person, resume("", 3).from("elsewhere"), Revoked),
        (Person, resume("", 1), Revoked),
        (Person, grant("", 3).by(Operator), Revoked),
        (Person, grant("", 3).by(System), Revoked),
        (Person, grant("", 3).by(Provider), Revoked),
        (Person, grant("", 3).legacy(), Revoked),
        (Person, grant("", 3), Granted),
        (Provider, resume("", 3).by(Provider), Granted),
        (Provider, resume("", 3).by(Provider).unproven(), Revoked),
        (Provider, grant("", 3).by(Provider), Revoked),
        (Provider, grant("", 3), Granted),
        (Operator, grant("", 3).by(System), Granted),
    ]
    .into_iter()
    .enumerate()
    {
        let says = undone.says();
        for (m, order) in permutations(3).iter().enumerate() {
            let who = format!("+15555{:06}", n * 10 + m);
            let events = [grant("", 0).named("first"), revoke("", 2).by(by), undone.clone().named("undone")];
            let mut outcomes = Vec::new();
            for event in order {
                outcomes.extend(apply(&store, [events[*event].clone().to(&who)]).await.unwrap());
            }
            let stands = standing(&store, &who).await;
            assert_eq!(stands, expected, "{says} after a withdrawal by {by:?}, order {order:?}");
            // Where it came last it is told what it did.
            let ignored = matches!(outcomes[2], Outcome::Ignored(_));
            assert!(order[2] != 2 || ignored == (expected == Revoked), "{says}: {outcomes:?}");
        }
    }
}
