//! The clauses of the contract.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use optgate::consent::dossier::MAX_EVENTS;
use optgate::consent::lookup::Source;
use optgate::consent::terms::{Terms, Wording};
use optgate::consent::{Category, Clock, GateRecord, Lookup, RecipientKey, Standing, Timestamp};
use optgate::store::{ConsentStore, Outcome, Settings, StoreError};

use super::bench::{ACME, Bench, UMBRELLA, described};
use super::events::*;
use super::order::permutations;

pub(super) async fn what_was_agreed_is_found_and_the_rest_is_absent(bench: &Bench) {
    let store = bench.open().await;
    applied(&store, [grant(ANN, 1)]).await;
    assert_eq!(standing(&store, ANN).await, Standing::Granted);
    assert_eq!(lookup(&store, BOB).await, Lookup::Absent);
    assert_eq!(store.lookup(99, &key(ANN)).await.lookup, Lookup::Unavailable);
    assert!(store.health().up);
}

pub(super) async fn any_order_of_events_gives_the_same_record(bench: &Bench) {
    let store = bench.open().await;
    let events = |who: &str| [grant(who, 5), revoke(who, 10), resume(who, 20), revoke(who, 15).by_operator()];
    let orders = permutations(4);
    let mut records = BTreeSet::new();
    for (n, order) in orders.iter().enumerate() {
        let who = format!("+1555100{n:04}");
        // Half of them in one batch, half of them one by one.
        if n % 2 == 0 {
            apply(&store, order.iter().map(|i| events(&who)[*i].clone())).await.unwrap();
        } else {
            for i in order {
                apply(&store, [events(&who)[*i].clone()]).await.unwrap();
            }
        }
        let Lookup::Found(record) = lookup(&store, &who).await else { panic!("no record") };
        records.insert(record.encode());
    }
    assert_eq!((orders.len(), records.len()), (24, 1));
    assert_eq!(standing(&store, "+15551000000").await, Standing::Revoked);
}

pub(super) async fn a_repeated_event_is_already_known(bench: &Bench) {
    let store = bench.open().await;
    applied(&store, [grant(ANN, 1)]).await;
    let before = lookup(&store, ANN).await;
    let outcomes = apply(&store, [grant(ANN, 1), revoke(BOB, 1), revoke(BOB, 1)]).await.unwrap();
    assert_eq!(
        outcomes,
        [Outcome::Ignored("already known"), Outcome::Applied, Outcome::Ignored("already known")]
    );
    assert_eq!(lookup(&store, ANN).await, before);
    assert_eq!(store.dossier(ACME, &key(BOB)).await.unwrap().unwrap().history().len(), 1);
}

pub(super) async fn a_person_withdraws_under_every_identity_and_grants_cross_observed_links_only(
    bench: &Bench,
) {
    use Standing::{Absent, Granted, Revoked};
    let store = bench.open().await;
    for (n, observed, events, expected) in [
        (1, false, vec![(0, false)], [Granted, Absent]),
        (2, true, vec![(0, false)], [Granted, Granted]),
        (3, true, vec![(1, false)], [Granted, Granted]),
        (4, false, vec![(0, false), (1, true)], [Revoked, Revoked]),
        (5, false, vec![(1, false), (0, true)], [Revoked, Revoked]),
        (6, true, vec![(0, false), (1, true)], [Revoked, Revoked]),
    ] {
        let people = [format!("+155520000{n:02}"), format!("US.155520000{n:02}")];
        let tie = link(&people[0], &people[1]);
        applied(&store, [if observed { tie.observed() } else { tie }]).await;
        for (at, (who, withdraws)) in (10..).zip(&events) {
            let event = if *withdraws { revoke(&people[*who], at) } else { grant(&people[*who], at) };
            applied(&store, [event]).await;
        }
        let stand = [standing(&store, &people[0]).await, standing(&store, &people[1]).await];
        assert_eq!(stand, expected, "case {n}");
    }
}

pub(super) async fn identities_linked_through_a_third_share_withdrawals(bench: &Bench) {
    let store = bench.open().await;
    let people: Vec<String> = (0..5).map(|n| format!("+155530000{n:02}")).collect();
    applied(&store, people.iter().map(|who| grant(who, 1))).await;
    for who in &people {
        assert_eq!(standing(&store, who).await, Standing::Granted);
    }
    applied(&store, people.windows(2).map(|pair| link(&pair[1], &pair[0]).named("tie"))).await;
    applied(&store, [revoke(&people[0], 2)]).await;
    for who in &people {
        assert_eq!(standing(&store, who).await, Standing::Revoked);
    }
    // A link that comes after the withdrawal brings it along, through an event that has its own business.
    applied(&store, [grant(BOB, 1)]).await;
    assert_eq!(standing(&store, BOB).await, Standing::Granted);
    applied(&store, [inbound(BOB, 3).linked_to([people[4].as_str()])]).await;
    assert_eq!(standing(&store, BOB).await, Standing::Revoked);
}

pub(super) async fn a_grant_after_the_persons_withdrawal_is_stored_and_ignored(bench: &Bench) {
    let store = bench.open().await;
    applied(&store, [grant(ANN, 1), revoke(ANN, 2)]).await;
    let both = [Category::Marketing, Category::Utility];
    let outcomes = apply(
        &store,
        [grant(ANN, 3).by_operator(), grant(ANN, 4).by_operator().about(&both), grant(ANN, 5).about(&both)],
    )
    .await
    .unwrap();
    let [Outcome::Ignored(whole), Outcome::Ignored(part), Outcome::Applied] = outcomes[..] else {
        panic!("{outcomes:?}")
    };
    assert!(whole.starts_with("the person withdrew; only a later act of the person"), "{whole}");
    assert!(part.starts_with("granted in part"), "{part}");
    assert_eq!(store.dossier(ACME, &key(ANN)).await.unwrap().unwrap().history().len(), 5);
}

pub(super) async fn a_grant_older_than_a_withdrawal_says_so(bench: &Bench) {
    let store = bench.open().await;
    applied(&store, [revoke(ANN, 9).by_operator()]).await;
    let [Outcome::Ignored(why)] = apply(&store, [grant(ANN, 3)]).await.unwrap()[..] else {
        panic!("applied")
    };
    assert!(why.contains("a later withdrawal stands"), "{why}");
    assert_eq!(standing(&store, ANN).await, Standing::Revoked);
}

pub(super) async fn spellings_of_one_subscriber_share_a_record(bench: &Bench) {
    let store = bench.open().await;
    for [one, other] in [["+5215555500011", "+525555500011"], ["+5511987650013", "+551187650013"]] {
        applied(&store, [grant(one, 1)]).await;
        assert_eq!(standing(&store, other).await, Standing::Granted);
        applied(&store, [revoke(other, 2)]).await;
        assert_eq!(standing(&store, one).await, Standing::Revoked);
    }
}

pub(super) async fn tenants_know_nothing_of_each_other(bench: &Bench) {
    let store = bench.open().await;
    applied(&store, [grant(ANN, 1), revoke(ANN, 1).of(UMBRELLA), link(BOB, ANN).of(UMBRELLA)]).await;
    assert_eq!(standing(&store, ANN).await, Standing::Granted);
    assert_eq!(standing_in(store.lookup(UMBRELLA, &key(ANN)).await.lookup), Standing::Revoked);
    assert_eq!(lookup(&store, BOB).await, Lookup::Absent);
    assert!(matches!(apply(&store, [grant(ANN, 1).of(2)]).await, Err(StoreError::UnknownTenant)));
}

pub(super) async fn tenants_keep_their_records_when_the_configuration_is_reordered(bench: &Bench) {
    let store = bench.open().await;
    applied(&store, [grant(ANN, 1), revoke(ANN, 1).of(UMBRELLA)]).await;
    store.close().await;
    let mut settings = bench.settings();
    settings.tenants = ["new", "umbrella", "acme"].map(String::from).to_vec();
    let store = ConsentStore::open(settings, Clock::System).await.unwrap();
    assert_eq!(store.lookup(0, &key(ANN)).await.lookup, Lookup::Absent);
    assert_eq!(standing_in(store.lookup(1, &key(ANN)).await.lookup), Standing::Revoked);
    assert_eq!(standing_in(store.lookup(2, &key(ANN)).await.lookup), Standing::Granted);
}

/// Every order of events, each said twice.
fn orders<T: Clone>(events: &[T]) -> Vec<Vec<T>> {
    if events.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for at in 0..events.len() {
        let mut rest = events.to_vec();
        let first = rest.remove(at);
        all.extend(
            orders(&rest).into_iter().map(|rest| [&[first.clone(), first.clone()], &rest[..]].concat()),
        );
    }
    all
}

pub(super) async fn a_pending_grant_waits_for_its_confirmation_in_any_order(bench: &Bench) {
    use Standing::{Absent, Granted, Revoked};
    let store = bench.open().await;
    let mut n = 0;
    for (events, expected) in [
        (vec![grant("", 1).pending()], Absent),
        (vec![grant("", 2).confirming("grant-1")], Absent),
        (vec![grant("", 1).pending(), grant("", 2).confirming("grant-1")], Granted),
        (vec![grant("", 1).pending(), grant("", 2).confirming("grant-7")], Absent),
        (vec![grant("", 1).pending(), revoke("", 2), grant("", 3).confirming("grant-1")], Granted),
        (vec![grant("", 1).pending(), grant("", 2).confirming("grant-1"), revoke("", 3)], Revoked),
        (vec![revoke("", 1), grant("", 2).pending()], Revoked),
        (vec![grant("", 1), grant("", 2).pending()], Granted),
        // Asked and answered in one instant, under two names or one; a withdrawal of that instant wins.
        (vec![grant("", 2).named("a").pending(), grant("", 2).named("b").confirming("a")], Granted),
        (vec![grant("", 2).named("a").pending(), grant("", 2).named("a").confirming("a")], Granted),
        (
            vec![
                grant("", 2).named("a").pending(),
                grant("", 2).named("b").confirming("a"),
                revoke("", 2).by_operator(),
            ],
            Revoked,
        ),
        // Another event took the name of the pending one.
        (
            vec![resume("", 1).named("grant-2"), grant("", 2).pending(), grant("", 3).confirming("grant-2")],
            Granted,
        ),
    ] {
        let mut first: Option<Lookup> = None;
        for order in orders(&events) {
            n += 1;
            let who = format!("+1555300{n:04}");
            for event in order {
                apply(&store, [event.to(&who)]).await.unwrap();
            }
            let found = lookup(&store, &who).await;
            assert_eq!(standing_in(found), expected, "case of {} events", events.len());
            assert_eq!(*first.get_or_insert(found), found, "another order, another record");
        }
    }
}

pub(super) async fn a_legacy_grant_is_marked_undoes_no_withdrawal_and_ends_when_the_tenant_says(
    bench: &Bench,
) {
    let until = Timestamp::from_secs(u64::from(NOW.as_secs_u32()) + 100);
    let terms = vec![Terms { legacy_until: Some(until), ..Terms::default() }];
    let store = ConsentStore::open(Settings { terms, ..bench.settings() }, Clock::System).await.unwrap();
    applied(&store, [grant(ANN, 1).legacy()]).await;
    apply(&store, [revoke(BOB, 1), grant(BOB, 2).legacy()]).await.unwrap();
    assert_eq!(standing(&store, ANN).await, Standing::Granted);
    assert_eq!(standing(&store, BOB).await, Standing::Revoked);
    let validity = store.validity(ACME).unwrap();
    assert!(store.validity(UMBRELLA).is_none());
    let stand = |lookup, at| match lookup {
        Lookup::Found(record) => record.standing(Category::Marketing, &validity, at),
        Lookup::Absent | Lookup::Unavailable | Lookup::Remembered(_) => panic!("no record"),
    };
    assert_eq!(stand(lookup(&store, ANN).await, NOW), Standing::Granted);
    assert_eq!(stand(lookup(&store, ANN).await, until), Standing::Expired);
    for who in [ANN, BOB] {
        let Lookup::Found(record) = lookup(&store, who).await else { panic!("no record") };
        assert_ne!(record.flags & GateRecord::LEGACY, 0, "{who}");
    }
    // Evidence that comes later takes its place; the mark stays.
    applied(&store, [grant(ANN, 3)]).await;
    let found = lookup(&store, ANN).await;
    assert_eq!(stand(found, until), Standing::Granted);
    let Lookup::Found(record) = found else { panic!("no record") };
    assert_ne!(record.flags & GateRecord::LEGACY, 0);
}

fn listing(wordings: &[(&str, Option<u64>)]) -> Vec<Terms> {
    let wording = |(version, at): &(&str, Option<u64>)| Wording {
        version: (*version).to_owned(),
        expires_older_at: at.map(Timestamp::from_secs),
        ends_at: None,
    };
    vec![Terms { wordings: wordings.iter().map(wording).collect(), legacy_until: None }]
}

/// How people of the first tenant stand to marketing a moment from now, by its terms.
async fn judged(store: &ConsentStore, people: &[&str], at: Timestamp) -> Vec<Standing> {
    let validity = store.validity(ACME).unwrap();
    let mut all = Vec::new();
    for who in people {
        let Lookup::Found(record) = lookup(store, who).await else { panic!("no record of {who}") };
        all.push(record.standing(Category::Marketing, &validity, at));
    }
    all
}

pub(super) async fn wordings_keep_their_numbers_however_the_table_is_written(bench: &Bench) {
    use Standing::{Expired, Granted};
    let open = async |terms| {
        ConsentStore::open(Settings { terms, ..bench.settings() }, Clock::System).await.unwrap()
    };
    let people = ["+15550000011", "+15550000012", "+15550000013"];
    let (before, after) = (NOW, Timestamp::from_secs(u64::from(NOW.as_secs_u32()) + 10));
    let end = Some(u64::from(after.as_secs_u32()));

    let store = open(listing(&[("v1", None), ("v2", None)])).await;
    applied(&store, [grant(people[0], 1).worded("v1"), grant(people[1], 1).worded("v2")]).await;
    store.close().await;
    // A version in front of the others, and a new one at the end; what is stored keeps its meaning.
    let store = open(listing(&[("v0", None), ("v1", None), ("v2", end), ("v3", None)])).await;
    applied(&store, [grant(people[2], 1).worded("v3")]).await;
    assert_eq!(judged(&store, &people, before).await, [Granted; 3]);
    assert_eq!(judged(&store, &people, after).await, [Expired, Granted, Granted]);
    store.close().await;
    // A version that is no longer listed counts as old, and has its number still when it comes back.
    let store = open(listing(&[("v3", end)])).await;
    assert_eq!(judged(&store, &people, after).await, [Expired, Expired, Granted]);
    store.close().await;
    let store = open(listing(&[("v4", None), ("v3", None), ("v1", end), ("v2", None)])).await;
    assert_eq!(judged(&store, &people, after).await, [Granted, Granted, Expired]);
}

pub(super) async fn a_grant_to_an_unlisted_wording_ends_with_the_older_ones(bench: &Bench) {
    let end = Timestamp::from_secs(u64::from(NOW.as_secs_u32()) + 10);
    let terms = listing(&[("v1", None), ("v2", Some(u64::from(end.as_secs_u32())))]);
    let store = ConsentStore::open(Settings { terms, ..bench.settings() }, Clock::System).await.unwrap();
    applied(&store, [grant(ANN, 1).worded("v9"), grant(BOB, 1)]).await;
    assert_eq!(judged(&store, &[ANN, BOB], NOW).await, [Standing::Granted; 2]);
    assert_eq!(judged(&store, &[ANN, BOB], end).await, [Standing::Expired; 2]);
}

pub(super) async fn terms_that_are_changed_while_the_store_is_open_hold_at_once(bench: &Bench) {
    let store = bench.open().await;
    assert!(store.validity(ACME).is_none());
    let names = bench.settings().tenants;
    let end = Timestamp::from_secs(u64::from(NOW.as_secs_u32()) + 10);
    let terms = listing(&[("v1", None), ("v2", Some(u64::from(end.as_secs_u32())))]);
    store.name_tenants(names.clone(), terms).await.unwrap();
    applied(&store, [grant(ANN, 1).worded("v1"), grant(BOB, 1).worded("v2")]).await;
    assert_eq!(judged(&store, &[ANN, BOB], end).await, [Standing::Expired, Standing::Granted]);
    store.name_tenants(names, Vec::new()).await.unwrap();
    assert!(store.validity(ACME).is_none());
}

pub(super) async fn a_cached_absence_gives_way_to_a_grant(bench: &Bench) {
    let store = bench.open().await;
    assert_eq!(store.lookup(ACME, &key(ANN)).await.source, Source::Store);
    let cached = store.lookup(ACME, &key(ANN)).await;
    assert_eq!((cached.lookup, cached.source), (Lookup::Absent, Source::Cache));
    applied(&store, [grant(ANN, 1)]).await;
    assert_eq!(standing(&store, ANN).await, Standing::Granted);
}

pub(super) async fn a_cached_grant_gives_way_to_a_withdrawal(bench: &Bench) {
    let store = bench.open().await;
    applied(&store, [grant(ANN, 1), link(BOB, ANN)]).await;
    for _ in 0..2 {
        assert_eq!(standing(&store, ANN).await, Standing::Granted);
    }
    assert_eq!(store.lookup(ACME, &key(ANN)).await.source, Source::Cache);
    applied(&store, [revoke(BOB, 2)]).await;
    assert_eq!(standing(&store, ANN).await, Standing::Revoked);
}

/// Counts what a writer has begun and what was acknowledged to it: odd is granted, even is withdrawn.
#[derive(Default)]
struct Progress {
    begun: AtomicU64,
    acknowledged: AtomicU64,
    /// How many lookups fell between two writes, where only one answer is right.
    checked: AtomicU64,
}

/// How many such lookups every write must see before the next begins.
const CHECKS: u64 = 5;

pub(super) async fn no_reader_sees_a_grant_once_its_withdrawal_is_acknowledged(bench: &Bench) {
    let store = bench.open().await;
    let people: Vec<String> = (0..6).map(|n| format!("+155540000{n:02}")).collect();
    let progress: Arc<Vec<Progress>> = Arc::new(people.iter().map(|_| Progress::default()).collect());
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (store, people, progress, done) =
                (store.clone(), people.clone(), progress.clone(), done.clone());
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(watch(&store, &people, &progress, &done));
            })
        })
        .collect();
    let writers: Vec<_> = (0..people.len())
        .map(|n| {
            let (store, who, progress) = (store.clone(), people[n].clone(), progress.clone());
            tokio::spawn(async move {
                for at in 1..=60 {
                    progress[n].begun.store(at, SeqCst);
                    let event = if at % 2 == 1 { grant(&who, at) } else { revoke(&who, at) };
                    applied(&store, [event]).await;
                    progress[n].acknowledged.store(at, SeqCst);
                    let since = Instant::now();
                    while progress[n].checked.load(SeqCst) < at * CHECKS {
                        assert!(since.elapsed() < Duration::from_secs(30), "the readers have stopped");
                        tokio::task::yield_now().await;
                    }
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    done.store(true, SeqCst);
    for reader in readers {
        reader.join().unwrap();
    }
}

/// Looks everybody up again and again.
async fn watch(store: &ConsentStore, people: &[String], progress: &[Progress], done: &AtomicBool) {
    while !done.load(SeqCst) {
        for (who, progress) in people.iter().zip(progress) {
            let acknowledged = progress.acknowledged.load(SeqCst);
            let lookup = lookup(store, who).await;
            if acknowledged == 0 || progress.begun.load(SeqCst) != acknowledged {
                continue;
            }
            let right = if acknowledged % 2 == 1 { Standing::Granted } else { Standing::Revoked };
            assert_eq!(standing_in(lookup), right, "after write {acknowledged}");
            progress.checked.fetch_add(1, SeqCst);
        }
    }
}

pub(super) async fn an_inbound_message_opens_the_window_and_marks_the_tenant(bench: &Bench) {
    let store = bench.open().await;
    let tenant = |t| store.lookup(t, &RecipientKey::Tenant);
    assert_eq!(tenant(ACME).await.lookup, Lookup::Absent);
    applied(&store, [inbound(ANN, 9_999_000)]).await;
    let Lookup::Found(ann) = lookup(&store, ANN).await else { panic!("no record") };
    assert!(ann.window_open(NOW));
    assert_eq!(standing(&store, ANN).await, Standing::Absent);
    let Lookup::Found(heard) = tenant(ACME).await.lookup else { panic!("no record of the tenant") };
    assert!(heard.window_until != 0);
    assert_eq!(tenant(UMBRELLA).await.lookup, Lookup::Absent);
    assert_eq!(apply(&store, [inbound(ANN, 9_998_000)]).await.unwrap(), [Outcome::Ignored("already known")]);
    let page = store.page(ACME, None, 10).await.unwrap();
    assert_eq!(page.dossiers.len(), 1, "the tenant's record is nobody's dossier");
}

pub(super) async fn too_many_links_are_refused_but_never_a_withdrawal(bench: &Bench) {
    let store = bench.open().await;
    let others: Vec<String> = (0..40).map(|n| format!("+155550000{n:02}")).collect();
    applied(&store, others.iter().chain([&ANN.to_owned()]).map(|who| grant(who, 1))).await;
    let too_many = |event: Told| event.linked_to(others.clone());
    let outcomes = apply(&store, [too_many(grant(BOB, 2)), too_many(inbound(BOB, 2))]).await.unwrap();
    assert!(
        outcomes.iter().all(|o| matches!(o, Outcome::Ignored(why) if why.contains("nothing was stored")))
    );
    assert_eq!(lookup(&store, BOB).await, Lookup::Absent);
    applied(&store, [too_many(revoke(ANN, 2))]).await;
    for who in others.iter().chain([&ANN.to_owned()]) {
        assert_eq!(standing(&store, who).await, Standing::Revoked);
    }
    // As many as one person may have are linked.
    applied(&store, [link(BOB, &others[0]).linked_to(others[..32].to_vec())]).await;
    assert_eq!(standing(&store, BOB).await, Standing::Revoked);
    let outcome = apply(&store, [link(BOB, &others[33]).named("one more")]).await.unwrap();
    assert!(matches!(outcome[..], [Outcome::Ignored(_)]), "{outcome:?}");
}

pub(super) async fn a_lookup_that_is_too_late_is_unavailable(bench: &Bench) {
    let mut settings = bench.settings();
    settings.lookup_deadline = Duration::ZERO;
    let store = ConsentStore::open(settings, Clock::System).await.unwrap();
    applied(&store, [grant(ANN, 1)]).await;
    let begun = Instant::now();
    let answer = store.lookup(ACME, &key(ANN)).await;
    assert_eq!((answer.lookup, answer.source), (Lookup::Unavailable, Source::Store));
    assert!(begun.elapsed() < Duration::from_secs(1));
}

pub(super) async fn bytes_that_are_no_record_are_unavailable(bench: &Bench) {
    let store = bench.open().await;
    applied(&store, [grant(ANN, 1), revoke(BOB, 1)]).await;
    store.close().await;
    for bytes in [&b""[..], b"no record", &[9; 40]] {
        bench.spoil_gate_record(1, &key(ANN), bytes);
        let store = bench.open().await;
        for _ in 0..2 {
            assert_eq!(lookup(&store, ANN).await, Lookup::Unavailable);
        }
        assert_eq!(standing(&store, BOB).await, Standing::Revoked);
        store.close().await;
    }
}

pub(super) async fn secrets_are_made_once_and_survive(bench: &Bench) {
    let store = bench.open().await;
    let (one, same, other) = tokio::join!(store.secret("hash"), store.secret("hash"), store.secret("audit"));
    let one = one.unwrap();
    assert!(one == same.unwrap() && one != other.unwrap() && one != [0; 32]);
    store.close().await;
    assert_eq!(bench.open().await.secret("hash").await.unwrap(), one);
}

pub(super) async fn templates_survive_and_replace_each_other(bench: &Bench) {
    let store = bench.open().await;
    let swap = async |account: &str, before: Option<&str>, list: &str| {
        let before = before.map(|list| list.as_bytes().to_vec());
        store.swap_templates(account, before, list.as_bytes().to_vec()).await.unwrap()
    };
    assert!(swap("102290129340398", None, "first").await);
    assert!(swap("202290129340398", None, "other").await);
    assert!(swap("102290129340398", Some("first"), "second").await);
    // Whoever did not see what stands there writes nothing.
    assert!(!swap("102290129340398", None, "third").await);
    assert!(!swap("102290129340398", Some("first"), "third").await);
    assert!(!swap("302290129340398", Some(""), "third").await);
    assert_eq!(store.template_list("102290129340398").await.unwrap().as_deref(), Some(&b"second"[..]));
    assert_eq!(store.template_list("302290129340398").await.unwrap(), None);
    store.close().await;
    let kept = bench.open().await.templates().await.unwrap();
    assert_eq!(
        kept,
        [("102290129340398".into(), b"second".to_vec()), ("202290129340398".into(), b"other".to_vec())]
    );
}

pub(super) async fn pages_hold_every_dossier_once(bench: &Bench) {
    let store = bench.open().await;
    let people: Vec<String> =
        (0..25).map(|n| format!("+155560000{n:02}")).chain([ANN_ID.to_owned()]).collect();
    applied(&store, people.iter().map(|who| grant(who, 1))).await;
    applied(&store, [grant(BOB, 1).of(UMBRELLA)]).await;
    for limit in [1, 7, 100] {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = store.page(ACME, after, limit).await.unwrap();
            assert!(page.dossiers.len() <= limit);
            assert!(page.dossiers.iter().all(|(_, dossier)| dossier.history().len() == 1));
            seen.extend(page.dossiers.into_iter().map(|(key, _)| key));
            let Some(next) = page.next else { break };
            after = Some(next);
        }
        assert_eq!(seen.len(), people.len());
        assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), people.iter().map(|who| key(who)).collect());
    }
}

pub(super) async fn whoever_is_wanted_is_found_among_a_tenants_people(bench: &Bench) {
    let store = bench.open().await;
    let people: Vec<String> = (0..2500).map(|n| format!("+155570{n:05}")).collect();
    applied(&store, people.iter().map(|who| grant(who, 1))).await;
    applied(&store, [grant(BOB, 1).of(UMBRELLA)]).await;
    let wanted: BTreeSet<RecipientKey> = [0, 1234, 2499].map(|n| key(&people[n])).into();
    let found = |tenant, limit| {
        let (store, wanted) = (store.clone(), wanted.clone());
        async move { store.find(tenant, limit, move |key| wanted.contains(key)).await.unwrap() }
    };
    assert_eq!(found(ACME, 10).await.into_iter().collect::<BTreeSet<_>>(), wanted);
    assert_eq!((found(ACME, 2).await.len(), found(UMBRELLA, 10).await.len()), (2, 0));
    let nobody = store.find(ACME, 10, |_| false).await.unwrap();
    assert!(nobody.is_empty());
}

pub(super) async fn tenants_that_come_later_get_numbers_and_the_others_keep_theirs(bench: &Bench) {
    let store = bench.open().await;
    applied(&store, [grant(ANN, 1)]).await;
    let names = ["acme", "umbrella", "initech"].map(String::from).to_vec();
    store.name_tenants(names.clone(), Vec::new()).await.unwrap();
    store.name_tenants(names, Vec::new()).await.unwrap();
    assert_eq!(standing(&store, ANN).await, Standing::Granted);
    assert_eq!(store.lookup(2, &key(ANN)).await.lookup, Lookup::Absent);
    applied(&store, [revoke(ANN, 2).of(2)]).await;
    assert_eq!(standing(&store, ANN).await, Standing::Granted);
    store.close().await;
    let mut settings = bench.settings();
    settings.tenants = ["initech", "acme"].map(String::from).to_vec();
    let store = ConsentStore::open(settings, Clock::System).await.unwrap();
    assert_eq!(standing_in(store.lookup(0, &key(ANN)).await.lookup), Standing::Revoked);
    assert_eq!(standing_in(store.lookup(1, &key(ANN)).await.lookup), Standing::Granted);
}

pub(super) async fn a_closed_store_answers_nothing_and_keeps_everything(bench: &Bench) {
    let store = bench.open().await;
    applied(&store, [grant(ANN, 1)]).await;
    let late = store.clone();
    store.close().await;
    late.close().await;
    assert_eq!(late.lookup(ACME, &key(ANN)).await.lookup, Lookup::Unavailable);
    assert!(matches!(apply(&late, [revoke(ANN, 2)]).await, Err(StoreError::Closed)));
    assert!(matches!(late.dossier(ACME, &key(ANN)).await, Err(StoreError::Closed)));
    assert!(!late.health().up);
    assert_eq!(standing(&bench.open().await, ANN).await, Standing::Granted);
}

pub(super) async fn errors_and_debug_output_name_nobody(bench: &Bench) {
    let store = bench.open().await;
    let incoming = grant(ANN, 1).linked_to([ANN_ID]).incoming();
    let shown = format!("{incoming:?} {store:?} {:?}", bench.settings());
    store.apply(vec![incoming]).await.unwrap();
    let answer = store.lookup(ACME, &key(ANN)).await;
    let error = store.dossier(7, &key(ANN)).await.unwrap_err();
    let shown = format!("{shown} {answer:?} {error:?} {}", described(&error));
    for secret in ["5550000", "1349120", "secret wording"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

pub(super) async fn a_person_of_many_events_costs_no_more_than_their_share(bench: &Bench) {
    let store = bench.open().await;
    let mut took = Vec::new();
    for (who, count) in [("+15550000300", 300u64), ("+15550003000", 3_000)] {
        let began = Instant::now();
        // As an import brings them, grants and withdrawals in turn.
        for first in (0..count).step_by(500) {
            let events = (first..count.min(first + 500)).map(|n| match n % 3 {
                0 => revoke(who, n).named(&format!("e-{n}")),
                _ => grant(who, n).named(&format!("e-{n}")),
            });
            apply(&store, events).await.unwrap();
        }
        took.push(began.elapsed());
        let dossier = store.dossier(ACME, &key(who)).await.unwrap().unwrap();
        let withdrawals = dossier.history().iter().filter(|event| event.kind.is_withdrawal()).count();
        assert_eq!(withdrawals as u64, count / 3, "every withdrawal is taken in");
        assert!(dossier.history().len() <= MAX_EVENTS + withdrawals);
    }
    let ratio = took[1].as_secs_f64() / took[0].as_secs_f64();
    eprintln!(
        "300 events of one person: {:?}, 3000: {:?}, ratio {ratio:.1} where 10 is linear",
        took[0], took[1]
    );
    // Quadratic would be 100.
    assert!(ratio < 60.0, "{took:?}");
    let told = apply(&store, [grant("+15550003000", 9_000), revoke("+15550003000", 9_001)]).await.unwrap();
    let [Outcome::Ignored(why), Outcome::Applied] = told[..] else { panic!("{told:?}") };
    assert!(why.contains("1000 events") && why.contains("the same id"), "{why}");
    assert_eq!(standing(&store, "+15550003000").await, Standing::Revoked);
}
