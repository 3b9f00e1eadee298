use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

use super::Answer;
use super::front::Front;
use super::place::Place;
use crate::consent::lookup::Source;
use crate::consent::record::State as CategoryState;
use crate::consent::{Category, Clock, GateRecord, Lookup, Recipient, TenantId, Timestamp};

const PATIENCE: Duration = Duration::from_secs(10);

fn place() -> Place {
    Place { tenant: TenantId(1), key: Recipient::parse("+15550000001").unwrap().key() }
}

fn record(states: &[(Category, CategoryState)]) -> GateRecord {
    let mut record = GateRecord::default();
    for (category, state) in states {
        record.slots[category.index()].state = *state;
    }
    record
}

fn granted() -> GateRecord {
    record(&[(Category::Utility, CategoryState::Granted)])
}

fn withdrawn() -> GateRecord {
    record(&[(Category::Marketing, CategoryState::Revoked)])
}

fn live() -> Front {
    let front = Front::new(1000, None, Clock::System);
    front.link.go_live();
    front
}

async fn ask(front: &Front, store: Lookup) -> Answer {
    front.fetch(&place(), PATIENCE, || std::future::ready(store)).await
}

/// A store that says when it was asked and answers when it is told to.
#[derive(Default)]
struct SlowStore {
    asked: Notify,
    times: AtomicU32,
    answer: Notify,
}

impl SlowStore {
    async fn lookup(&self, says: Lookup) -> Lookup {
        self.times.fetch_add(1, SeqCst);
        self.asked.notify_one();
        self.answer.notified().await;
        says
    }
}

#[tokio::test]
async fn what_was_fetched_is_answered_from_memory() {
    let front = live();
    for says in [Lookup::Found(granted()), Lookup::Absent] {
        front.cache.remove(&place());
        assert_eq!(front.cached(&place()), None);
        assert_eq!(ask(&front, says).await, Answer { lookup: says, source: Source::Store });
        assert_eq!(front.cached(&place()), Some(says));
    }
}

#[tokio::test]
async fn a_failed_fetch_is_not_remembered() {
    let front = live();
    assert_eq!(ask(&front, Lookup::Unavailable).await.lookup, Lookup::Unavailable);
    assert_eq!(front.cached(&place()), None);
}

#[tokio::test]
async fn a_fetch_that_a_change_overtook_does_not_fill_the_cache() {
    let (front, store) = (live(), SlowStore::default());
    let place = place();
    let fetch = front.fetch(&place, PATIENCE, || store.lookup(Lookup::Found(granted())));
    let change = async {
        store.asked.notified().await;
        front.written(&place, withdrawn());
        store.answer.notify_one();
    };
    let (_, ()) = tokio::join!(fetch, change);
    assert_eq!(front.cached(&place), Some(Lookup::Found(withdrawn())));
}

#[tokio::test]
async fn nobody_joins_a_fetch_that_a_change_overtook() {
    let (front, store) = (live(), SlowStore::default());
    let place = place();
    let fetch = front.fetch(&place, PATIENCE, || store.lookup(Lookup::Absent));
    let after = async {
        store.asked.notified().await;
        front.written(&place, granted());
        let answer = ask(&front, Lookup::Found(granted())).await;
        store.answer.notify_one();
        answer
    };
    let (_, after) = tokio::join!(fetch, after);
    assert_eq!(after.lookup, Lookup::Found(granted()));
    assert_eq!(front.cached(&place), Some(Lookup::Found(granted())));
}

#[tokio::test]
async fn a_gap_in_the_stream_counts_as_a_change_of_everything() {
    let (front, store) = (live(), SlowStore::default());
    let place = place();
    let fetch = front.fetch(&place, PATIENCE, || store.lookup(Lookup::Found(granted())));
    let gap = async {
        store.asked.notified().await;
        front.link.go_down();
        front.link.go_live();
        let fresh = ask(&front, Lookup::Found(withdrawn())).await;
        store.answer.notify_one();
        fresh
    };
    let (_, fresh) = tokio::join!(fetch, gap);
    assert_eq!(fresh, Answer { lookup: Lookup::Found(withdrawn()), source: Source::Store });
    assert_eq!(front.cached(&place), Some(Lookup::Found(withdrawn())));
}

#[tokio::test]
async fn those_who_miss_meanwhile_share_one_fetch() {
    let (front, store) = (live(), SlowStore::default());
    let place = place();
    let fetch = || front.fetch(&place, PATIENCE, || store.lookup(Lookup::Found(granted())));
    let answer = async {
        store.asked.notified().await;
        store.answer.notify_one();
    };
    let (one, two, three, ()) = tokio::join!(fetch(), fetch(), fetch(), answer);
    assert!([one, two, three].iter().all(|a| a.lookup == Lookup::Found(granted())));
    assert_eq!(store.times.load(SeqCst), 1);
}

#[tokio::test]
async fn a_fetch_that_is_given_up_leaves_the_others_to_ask_themselves() {
    let (front, store) = (live(), SlowStore::default());
    let place = place();
    let (give_up, given_up) = oneshot::channel::<()>();
    let leader = async {
        tokio::select! {
            biased;
            _ = given_up => {}
            _ = front.fetch(&place, PATIENCE, || store.lookup(Lookup::Absent)) => panic!("nobody answered"),
        }
    };
    let follower = front.fetch(&place, PATIENCE, || store.lookup(Lookup::Absent));
    let director = async {
        store.asked.notified().await;
        give_up.send(()).unwrap();
        store.asked.notified().await;
        store.answer.notify_one();
    };
    let ((), answer, ()) = tokio::join!(leader, follower, director);
    assert_eq!(answer.lookup, Lookup::Absent);
    assert_eq!(store.times.load(SeqCst), 2);
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_unavailable_at_the_deadline() {
    let (front, store) = (live(), SlowStore::default());
    let answer = front.fetch(&place(), Duration::from_millis(20), || store.lookup(Lookup::Absent)).await;
    assert_eq!(answer, Answer { lookup: Lookup::Unavailable, source: Source::Store });
}

#[tokio::test]
async fn while_the_link_is_down_the_store_is_asked_and_only_withdrawals_are_remembered() {
    let both =
        record(&[(Category::Marketing, CategoryState::Revoked), (Category::Utility, CategoryState::Granted)]);
    let stop = GateRecord { window_until: u32::MAX, ..withdrawn() }; // what somebody wrote opens a window too
    for (known, stands) in
        [(granted(), false), (withdrawn(), true), (GateRecord::default(), false), (both, true), (stop, true)]
    {
        let front = live();
        ask(&front, Lookup::Found(known)).await;
        front.link.go_down();
        assert_eq!(front.cached(&place()), None);
        assert_eq!(ask(&front, Lookup::Absent).await.lookup, Lookup::Absent, "the store's word goes first");
        let expected = if stands { Lookup::Remembered(known) } else { Lookup::Unavailable };
        assert_eq!(ask(&front, Lookup::Unavailable).await.lookup, expected, "{known:?}");
    }
}

#[tokio::test]
async fn nothing_fetched_while_the_link_is_down_is_remembered() {
    let front = Front::new(1000, None, Clock::System);
    ask(&front, Lookup::Found(granted())).await;
    front.link.go_live();
    assert_eq!(front.cached(&place()), None);
}

#[tokio::test]
async fn a_permission_grows_too_old_and_a_refusal_does_not() {
    let clock = Clock::manual(Timestamp::from_secs(1000));
    let front = Front::new(1000, Some(Duration::from_secs(30)), clock.clone());
    front.link.go_live();
    for (known, at, stands) in [
        (granted(), 1030, true),
        (granted(), 1031, false),
        (granted(), 999, false), // the clock was set back: nobody knows how old it is
        (withdrawn(), 9999, true),
    ] {
        clock.set(Timestamp::from_secs(1000));
        front.cache.remove(&place());
        ask(&front, Lookup::Found(known)).await;
        clock.set(Timestamp::from_secs(at));
        assert_eq!(front.cached(&place()).is_some(), stands, "{known:?} at {at}");
    }
}

/// A front whose grants live for 30 s, and its clock at the second 1000.
fn ageing() -> (Front, Clock) {
    let clock = Clock::manual(Timestamp::from_secs(1000));
    let front = Front::new(1000, Some(Duration::from_secs(30)), clock.clone());
    front.link.go_live();
    (front, clock)
}

#[tokio::test]
async fn what_is_used_and_ageing_is_read_again_before_it_is_too_old() {
    let (front, clock) = ageing();
    let at = |second: u64| clock.set(Timestamp::from_secs(second));
    ask(&front, Lookup::Found(granted())).await;
    for (second, due) in [(1020, 0), (1021, 1), (1030, 1)] {
        at(second);
        assert!((0..3).all(|_| front.cached(&place()).is_some()));
        assert_eq!(front.renewals.take(9).len(), due, "at {second}");
        assert_eq!(front.renewing(&place()).is_some(), due == 1, "at {second}");
    }
    let renewal = front.renewing(&place()).unwrap();
    assert!(front.renewing(&place()).is_none(), "one reads it");
    // Its time begins anew when it was asked for.
    at(1040);
    front.renewed(&place(), renewal, granted());
    at(1060);
    assert_eq!(front.cached(&place()), Some(Lookup::Found(granted())));
    at(1061);
    assert_eq!(front.cached(&place()), None);
    assert!(front.renewing(&place()).is_none(), "what is too old is asked for by who needs it");
}

#[tokio::test]
async fn a_change_counts_and_not_what_was_read_again_before_it() {
    let (front, clock) = ageing();
    ask(&front, Lookup::Found(granted())).await;
    clock.set(Timestamp::from_secs(1025));
    let renewal = front.renewing(&place()).unwrap();
    front.forget(&place());
    front.renewed(&place(), renewal, granted());
    assert_eq!(front.cached(&place()), None);
}

#[tokio::test]
async fn nothing_is_read_again_that_may_not_be_used() {
    let (front, clock) = ageing();
    ask(&front, Lookup::Found(withdrawn())).await;
    clock.set(Timestamp::from_secs(1025));
    assert!(front.cached(&place()).is_some() && front.renewals.take(9).is_empty());
    assert!(front.renewing(&place()).is_none(), "a refusal does not grow old");
    front.cache.remove(&place());
    ask(&front, Lookup::Found(granted())).await;
    clock.set(Timestamp::from_secs(1050));
    assert!(front.cached(&place()).is_some());
    front.link.go_down();
    assert!(front.renewing(&place()).is_none(), "nobody tells of changes");
    front.link.go_live();
    assert!(front.renewing(&place()).is_none(), "changes may have been missed since it was read");
}

#[tokio::test]
async fn no_send_waits_for_what_is_read_again() {
    let (front, clock) = ageing();
    ask(&front, Lookup::Found(granted())).await;
    clock.set(Timestamp::from_secs(1025));
    let renewal = front.renewing(&place()).unwrap();
    front.cache.remove(&place());
    // It asks itself, and what was asked for before it does not take its place.
    assert_eq!(ask(&front, Lookup::Found(withdrawn())).await.lookup, Lookup::Found(withdrawn()));
    front.renewed(&place(), renewal, granted());
    assert_eq!(front.cached(&place()), Some(Lookup::Found(withdrawn())));
}
