//! The clauses about erasing a person.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use optgate::consent::{
    Category, GateRecord, Lookup, RecipientHasher, RecipientKey, Standing, Timestamp, Validity,
};
use optgate::store::{ConsentStore, Erasure, Form, Outcome};

use super::bench::{ACME, Bench, UMBRELLA};
use super::events::*;

/// When people are erased, in seconds from the start of [`Told`]'s count.
const ERASED: u64 = 1_000;

fn erased_at() -> Timestamp {
    at(ERASED)
}

async fn open(bench: &Bench) -> ConsentStore {
    bench.open_at(Form::Plain, erased_at()).await
}

pub(super) async fn erase(store: &ConsentStore, who: &str) -> Erasure {
    store.erase(ACME, &key(who)).await.unwrap()
}

/// Fails if anything of a person's own stands among the bytes, in any way of writing it.
#[track_caller]
pub(super) fn assert_nobody(bytes: &[u8], people: &[&str], texts: &[&str]) {
    let mut needles: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    for who in people {
        let digits = who.trim_start_matches('+').trim_start_matches("US.");
        // With the country's calling code and without, as text of either width and as a number.
        needles.extend([digits, &digits[1..]].map(|digits| digits.as_bytes().to_vec()));
        needles.push(digits.encode_utf16().flat_map(u16::to_le_bytes).collect());
        if let Ok(number) = digits.parse::<u64>() {
            needles.extend([number.to_le_bytes().to_vec(), number.to_be_bytes().to_vec()]);
        }
    }
    for needle in needles {
        let found = memchr::memmem::find(bytes, &needle);
        assert_eq!(found, None, "{:?} among {} bytes", String::from_utf8_lossy(&needle), bytes.len());
    }
}

/// Whose dossiers a store has.
pub(super) async fn everybody(store: &ConsentStore) -> Vec<RecipientKey> {
    let (mut keys, mut after) = (Vec::new(), None);
    loop {
        let page = store.page(ACME, after, 1000).await.unwrap();
        keys.extend(page.dossiers.into_iter().map(|(key, _)| key));
        after = page.next;
        if after.is_none() {
            return keys;
        }
    }
}

#[track_caller]
fn assert_tombstone(lookup: Lookup) {
    let Lookup::Found(record) = lookup else { panic!("{lookup:?}") };
    assert_eq!((record.flags, record.window_until), (GateRecord::TOMBSTONE, 0));
    for category in Category::ALL {
        assert_eq!(record.standing(category, &Validity::UNLIMITED, NOW), Standing::Revoked, "{category:?}");
    }
}

pub(super) async fn an_erased_person_is_refused_and_leaves_no_byte_behind(bench: &Bench) {
    let store = open(bench).await;
    for n in 0..200 {
        applied(&store, [grant(&format!("+1555888{n:04}"), 1)]).await;
    }
    applied(&store, [grant(ANN, 1), inbound(ANN, 2), link(ANN, ANN_ID), revoke(ANN, 3), grant(ANN, 4)]).await;
    assert_eq!(standing(&store, ANN).await, Standing::Granted);
    assert!(memchr::memmem::find(&bench.bytes_while_open(), b"5550000001").is_some(), "the search is blind");
    let told = erase(&store, ANN).await;
    assert_eq!(told, Erasure::Now { at: erased_at(), identities: 2, events: 6 });
    for _ in 0..2 {
        assert_tombstone(lookup(&store, ANN).await);
        assert_tombstone(lookup(&store, ANN_ID).await);
    }
    let left = store.dossier(ACME, &key(ANN)).await.unwrap().unwrap();
    assert_eq!((left.erased_at(), left.history().len(), left.links().count()), (Some(erased_at()), 1, 0));
    assert_eq!(everybody(&store).await.len(), 202);
    store.close().await;
    bench.forget_old_bytes();
    // Others agreed to the same wording: only what is Ann's own must be gone.
    assert_nobody(&bench.bytes(), &[ANN, ANN_ID], &[]);
}

pub(super) async fn erasing_again_changes_nothing_and_erasing_nobody_says_so(bench: &Bench) {
    let store = open(bench).await;
    let nobody = "hash:000102030405060708090a0b0c0d0e0f";
    assert_eq!(erase(&store, nobody).await, Erasure::Unknown);
    assert_eq!(lookup(&store, ANN).await, Lookup::Absent);
    applied(&store, [grant(ANN, 1), grant(BOB, 1), grant(ANN, 1).of(UMBRELLA)]).await;
    assert!(matches!(erase(&store, ANN).await, Erasure::Now { identities: 1, events: 1, .. }));
    for _ in 0..2 {
        assert_eq!(erase(&store, ANN).await, Erasure::Before { at: erased_at() });
    }
    assert_tombstone(lookup(&store, ANN).await);
    assert_eq!(standing(&store, BOB).await, Standing::Granted);
    let elsewhere = store.lookup(UMBRELLA, &key(ANN)).await.lookup;
    assert_eq!(standing_in(elsewhere), Standing::Granted, "another tenant's record is that tenant's");
}

pub(super) async fn events_from_before_an_erasure_do_not_bring_the_grant_back(bench: &Bench) {
    let store = open(bench).await;
    let before = || [grant(ANN, 1), grant(ANN, ERASED), resume(ANN, ERASED + 1)];
    apply(&store, before()).await.unwrap();
    erase(&store, ANN).await;
    for event in before() {
        apply(&store, [event]).await.unwrap();
        assert_eq!(standing(&store, ANN).await, Standing::Revoked);
    }
    let told = apply(&store, [grant(ANN, ERASED + 9).by_operator()]).await.unwrap();
    assert!(
        matches!(told[..], [Outcome::Ignored(why)] if why.starts_with("the person withdrew")),
        "{told:?}"
    );
    assert_eq!(standing(&store, ANN).await, Standing::Revoked);
    let utility = grant(ANN, 5).about(&[Category::Utility]);
    apply(&store, [utility]).await.unwrap();
    let Lookup::Found(record) = lookup(&store, ANN).await else { panic!("no record") };
    assert_eq!(record.standing(Category::Utility, &Validity::UNLIMITED, NOW), Standing::Revoked);
    store.close().await;
    assert_eq!(standing(&open(bench).await, ANN).await, Standing::Revoked);
}

pub(super) async fn only_the_persons_own_later_act_grants_after_an_erasure(bench: &Bench) {
    let store = open(bench).await;
    applied(&store, [grant(ANN, 1)]).await;
    erase(&store, ANN).await;
    applied(&store, [grant(ANN, ERASED + 1)]).await;
    let Lookup::Found(record) = lookup(&store, ANN).await else { panic!("no record") };
    assert_eq!(
        (record.standing(Category::Marketing, &Validity::UNLIMITED, NOW), record.flags),
        (Standing::Granted, 0)
    );
    assert_eq!(record.standing(Category::Utility, &Validity::UNLIMITED, NOW), Standing::Revoked);
    store.close().await;
    assert_eq!(standing(&open(bench).await, ANN).await, Standing::Granted);
}

pub(super) async fn erasing_one_identity_erases_them_all(bench: &Bench) {
    let store = open(bench).await;
    // A chain: whoever is erased first is in the middle.
    let people: Vec<String> = (0..5).map(|n| format!("+155530000{n:02}")).collect();
    applied(&store, people.iter().map(|who| grant(who, 1))).await;
    applied(&store, people.windows(2).map(|pair| link(&pair[1], &pair[0]).named("tie"))).await;
    applied(&store, [grant(BOB, 1)]).await;
    let Erasure::Now { identities, .. } = erase(&store, &people[2]).await else { panic!("nothing erased") };
    assert_eq!(identities, 5);
    for who in &people {
        assert_tombstone(lookup(&store, who).await);
    }
    assert_eq!(standing(&store, BOB).await, Standing::Granted);
    // Linked again, the withdrawal reaches whoever is linked.
    applied(&store, [link(BOB, &people[0])]).await;
    assert_eq!(standing(&store, BOB).await, Standing::Revoked);
    store.close().await;
    bench.forget_old_bytes();
    let others: Vec<&str> = people[1..].iter().map(String::as_str).collect();
    assert_nobody(&bench.bytes(), &others, &[]);
}

pub(super) async fn a_withdrawal_that_named_too_many_leaves_nothing_of_the_erased_with_the_others(
    bench: &Bench,
) {
    let store = open(bench).await;
    let others: Vec<String> = (0..40).map(|n| format!("+155550000{n:02}")).collect();
    applied(&store, [revoke(ANN, 2).linked_to(others.clone())]).await;
    for who in [ANN, &others[7]] {
        assert!(matches!(erase(&store, who).await, Erasure::Now { identities: 1, .. }));
    }
    assert_eq!(standing(&store, &others[8]).await, Standing::Revoked);
    store.close().await;
    bench.forget_old_bytes();
    assert_nobody(&bench.bytes(), &[ANN, &others[7]], &[]);
}

pub(super) async fn whoever_came_back_can_be_erased_again(bench: &Bench) {
    let store = open(bench).await;
    for again in 1..4 {
        apply(&store, [grant(ANN, 1), grant(ANN, ERASED + again)]).await.unwrap();
        assert_eq!(standing(&store, ANN).await, Standing::Granted);
        assert!(matches!(erase(&store, ANN).await, Erasure::Now { events: 2, .. }));
        assert_tombstone(lookup(&store, ANN).await);
    }
    // It withdraws as of the latest that was known, so that this very event does not come back.
    apply(&store, [grant(ANN, ERASED + 3)]).await.unwrap();
    assert_eq!(standing(&store, ANN).await, Standing::Revoked);
}

pub(super) async fn no_reader_sees_a_grant_once_its_erasure_is_acknowledged(bench: &Bench) {
    let store = open(bench).await;
    let people: Arc<Vec<String>> = Arc::new((0..40).map(|n| format!("+155540000{n:02}")).collect());
    applied(&store, people.iter().map(|who| grant(who, 1))).await;
    let (erased, done) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (store, people, erased, done) = (store.clone(), people.clone(), erased.clone(), done.clone());
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                let (mut before, mut after) = (0, 0);
                while !done.load(SeqCst) {
                    for (n, who) in (0u64..).zip(people.iter()) {
                        let gone = n < erased.load(SeqCst);
                        match runtime.block_on(standing(&store, who)) {
                            Standing::Granted => assert!(!gone, "a grant after its erasure"),
                            Standing::Revoked => after += 1,
                            other @ (Standing::Absent | Standing::Expired) => {
                                panic!("{other:?}: the refusal has no reason")
                            }
                        }
                        before += u64::from(!gone);
                    }
                }
                (before, after)
            })
        })
        .collect();
    for (n, who) in (1..).zip(people.iter()) {
        erase(&store, who).await;
        erased.store(n, SeqCst);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    done.store(true, SeqCst);
    for reader in readers {
        let (before, after) = reader.join().unwrap();
        assert!(before > 0 && after > 0, "nobody looked while people were erased: {before} {after}");
    }
}

pub(super) async fn events_that_arrive_during_an_erasure_lose_no_withdrawal(bench: &Bench) {
    let store = open(bench).await;
    for round in 0..30 {
        let [who, other] = [0, 1].map(|n| format!("+1555700{round:03}{n}"));
        applied(&store, [grant(&who, 1), link(&other, &who)]).await;
        let old = (0..4).map(|n| grant(&who, 2).by_operator().named(&format!("import-{n}")));
        let imports = old.map(|event| {
            let store = store.clone();
            tokio::spawn(async move { apply(&store, [event]).await.unwrap() })
        });
        let imports: Vec<_> = imports.collect();
        let told = erase(&store, &other).await;
        assert!(matches!(told, Erasure::Now { .. }), "{told:?}");
        for import in imports {
            import.await.unwrap();
        }
        assert_eq!(standing(&store, &who).await, Standing::Revoked, "round {round}");
        assert_eq!(standing(&store, &other).await, Standing::Revoked, "round {round}");
    }
}

pub(super) async fn an_erasure_survives_the_store_being_opened_again(bench: &Bench) {
    let store = open(bench).await;
    applied(&store, [grant(ANN, 1), grant(BOB, 2)]).await;
    erase(&store, ANN).await;
    store.close().await;
    let store = open(bench).await;
    assert_tombstone(lookup(&store, ANN).await);
    assert_eq!(standing(&store, BOB).await, Standing::Granted);
    assert_eq!(erase(&store, ANN).await, Erasure::Before { at: erased_at() });
    let keys = everybody(&store).await;
    // Tombstones come first: whoever takes an export in knows whom they concern.
    assert!(matches!(keys[..], [RecipientKey::Hashed(_), RecipientKey::Phone(_)]), "{keys:?}");
}

pub(super) async fn whoever_is_unknown_is_blocked_by_their_erasure(bench: &Bench) {
    for form in [Form::Plain, Form::Hashed] {
        let bench = bench.another();
        let store = bench.open_at(form, erased_at()).await;
        for who in [ANN, ANN_ID] {
            assert_eq!(erase(&store, who).await, Erasure::Ahead { at: erased_at() });
            assert_tombstone(lookup(&store, who).await);
            assert_eq!(erase(&store, who).await, Erasure::Before { at: erased_at() });
        }
        apply(&store, [grant(ANN, 1), grant(ANN_ID, 2), grant(BOB, 1)]).await.unwrap();
        for (who, expected) in
            [(ANN, Standing::Revoked), (ANN_ID, Standing::Revoked), (BOB, Standing::Granted)]
        {
            assert_eq!(standing(&store, who).await, expected, "{form:?}");
        }
        applied(&store, [grant(ANN, ERASED + 1)]).await;
        assert_eq!(standing(&store, ANN).await, Standing::Granted, "{form:?}");
        store.close().await;
        assert_eq!(standing(&bench.open_at(form, erased_at()).await, ANN_ID).await, Standing::Revoked);
        if let Form::Plain = form {
            let other = bench.another();
            let store = other.open_at(form, erased_at()).await;
            erase(&store, BOB).await;
            store.close().await;
            other.forget_old_bytes();
            assert_nobody(&other.bytes(), &[BOB], &[]);
        }
    }
}

pub(super) async fn grants_and_an_erasure_of_somebody_unknown_meet_in_any_order(bench: &Bench) {
    let store = open(bench).await;
    for round in 0..30 {
        let who = format!("+1555600{round:04}");
        let imports = (0..3).map(|n| {
            let (store, event) = (store.clone(), grant(&who, 2).named(&format!("import-{n}")));
            tokio::spawn(async move { apply(&store, [event]).await.unwrap() })
        });
        let imports: Vec<_> = imports.collect();
        assert!(!matches!(erase(&store, &who).await, Erasure::Unknown | Erasure::Before { .. }));
        for import in imports {
            import.await.unwrap();
        }
        assert_eq!(standing(&store, &who).await, Standing::Revoked, "round {round}");
    }
}

pub(super) async fn losing_the_count_of_tombstones_revives_nobody(bench: &Bench) {
    let store = open(bench).await;
    applied(&store, [grant(ANN, 1), grant(BOB, 1)]).await;
    erase(&store, ANN).await;
    bench.lose_the_count();
    apply(&store, [grant(ANN, 1), grant(BOB, 2)]).await.unwrap();
    assert_eq!(standing(&store, ANN).await, Standing::Revoked);
    assert_eq!(standing(&store, BOB).await, Standing::Granted);
    store.close().await;
    let store = open(bench).await;
    apply(&store, [grant(ANN, 2)]).await.unwrap();
    assert_eq!(standing(&store, ANN).await, Standing::Revoked);
}

pub(super) async fn a_tombstone_from_elsewhere_withdraws_from_who_is_known_here(bench: &Bench) {
    let store = open(bench).await;
    applied(&store, [grant(ANN, 1), grant(BOB, 1), grant(ANN_ID, ERASED + 5)]).await;
    let hasher = RecipientHasher::new(&store.secret("recipients").await.unwrap());
    let number = store.tenant_number(ACME).unwrap();
    let tombstone = |who: &str| erasure(&hasher.hash(number, &key(who)).danger_string(), ERASED);
    let tombstones = [ANN, ANN_ID].map(tombstone);
    applied(&store, tombstones.clone()).await;
    assert_eq!(standing(&store, ANN).await, Standing::Revoked);
    assert_eq!(standing(&store, ANN_ID).await, Standing::Granted, "the person agreed later");
    assert_eq!(standing(&store, BOB).await, Standing::Granted);
    assert!(apply(&store, tombstones).await.unwrap().iter().all(|o| matches!(o, Outcome::Ignored(_))));
    store.close().await;
    assert_eq!(standing(&open(bench).await, ANN).await, Standing::Revoked);
}
