//! The clauses about stores that keep recipients as keyed hashes.

use optgate::consent::redact::Redacted;
use optgate::consent::{Clock, Event, Recipient, RecipientKey, Standing};
use optgate::store::{ConsentStore, Erasure, Form, Incoming, OpenError, Outcome, Settings};

use super::bench::{ACME, Bench, described};
use super::erasing::{assert_nobody, erase};
use super::events::*;

async fn open(bench: &Bench) -> ConsentStore {
    bench.open_at(Form::Hashed, at(1_000)).await
}

pub(super) async fn hashed_recipients_are_found_and_stand_nowhere(bench: &Bench) {
    let store = open(bench).await;
    let others = (0..300).map(|n| grant(&format!("+1555000{n:04}"), 1));
    applied(&store, others).await;
    applied(&store, [grant("+5215555500011", 1), grant(ANN_ID, 1), inbound(BOB, 2), link(ANN, ANN_ID)]).await;
    applied(&store, [revoke(ANN, 5).linked_to([BOB])]).await;
    for (who, expected) in [
        ("+525555500011", Standing::Granted),
        ("+15550000007", Standing::Granted),
        (ANN, Standing::Revoked),
        (ANN_ID, Standing::Revoked),
        (BOB, Standing::Revoked),
        ("+15550000999", Standing::Absent),
    ] {
        for _ in 0..2 {
            assert_eq!(standing(&store, who).await, expected);
        }
    }
    let dossier = store.dossier(ACME, &key(ANN)).await.unwrap().unwrap();
    assert!(dossier.history().iter().all(|event| matches!(event.recipient, Recipient::Hashed(_))));
    // Under the hash that it answers with, a person is found as well.
    let hash = dossier.history()[0].recipient.key();
    assert_eq!(store.dossier(ACME, &hash).await.unwrap(), Some(dossier));
    store.close().await;
    assert_nobody(
        &bench.bytes(),
        &[ANN, BOB, ANN_ID, "+525555500011", "+5215555500011", "+15550000299"],
        &[],
    );
    assert_eq!(standing(&open(bench).await, ANN).await, Standing::Revoked);
}

pub(super) async fn a_hashed_store_links_pages_and_erases_like_any_other(bench: &Bench) {
    let store = open(bench).await;
    applied(&store, [grant(ANN, 1), grant(BOB, 1), link(ANN, ANN_ID)]).await;
    let page = store.page(ACME, None, 100).await.unwrap();
    assert_eq!(page.dossiers.len(), 3);
    assert!(page.dossiers.iter().all(|(key, _)| matches!(key, RecipientKey::Hashed(_))));
    assert_eq!(erase(&store, ANN_ID).await, Erasure::Now { at: at(1_000), identities: 2, events: 2 });
    assert_eq!(erase(&store, ANN).await, Erasure::Before { at: at(1_000) });
    apply(&store, [grant(ANN, 1)]).await.unwrap();
    assert_eq!(standing(&store, ANN).await, Standing::Revoked);
    applied(&store, [grant(ANN, 1_001)]).await;
    assert_eq!(standing(&store, ANN).await, Standing::Granted);
    assert_eq!(standing(&store, BOB).await, Standing::Granted);
}

pub(super) async fn what_a_hashed_store_exports_it_takes_in_again(bench: &Bench) {
    let store = open(bench).await;
    applied(&store, [grant(ANN, 1), grant(BOB, 1).linked_to([ANN_ID]), revoke(BOB, 3)]).await;
    erase(&store, ANN).await;
    let exported = exported(&store).await;
    let text: String =
        exported.iter().map(|event| serde_json::to_string(&event.as_written(None)).unwrap()).collect();
    assert_nobody(text.as_bytes(), &[ANN, BOB, ANN_ID], &[]);
    let again = |event: &Event| {
        let event = Event::check(event.as_written(None), NOW).unwrap();
        Incoming {
            tenant: ACME,
            event,
            provenance: optgate::consent::dossier::Provenance::Declared,
            retold: false,
        }
    };
    let told = store.apply(exported.iter().map(again).collect()).await.unwrap();
    assert!(told.iter().all(|outcome| *outcome == Outcome::Ignored("already known")), "{told:?}");
    for who in [ANN, BOB, ANN_ID] {
        assert_eq!(standing(&store, who).await, Standing::Revoked);
    }
}

/// Everybody's own events, as an export writes them.
async fn exported(store: &ConsentStore) -> Vec<Event> {
    let page = store.page(ACME, None, 1_000).await.unwrap();
    page.dossiers.iter().flat_map(|(key, dossier)| dossier.own_history(key)).collect()
}

pub(super) async fn tombstones_of_a_plain_store_are_exported_and_taken_in_again(bench: &Bench) {
    let store = bench.open_at(Form::Plain, at(1_000)).await;
    applied(&store, [grant(ANN, 1), grant(BOB, 1)]).await;
    erase(&store, ANN).await;
    erase(&store, BOB).await;
    apply(&store, [grant(BOB, 2).by_operator()]).await.unwrap();
    let mut exported = exported(&store).await;
    // Whatever stands in front: an import has no order.
    exported.reverse();
    let again: Vec<Event> =
        exported.iter().map(|event| Event::check(event.as_written(None), NOW).unwrap()).collect();
    assert_eq!(again, exported);
    let provenance = optgate::consent::dossier::Provenance::Declared;
    let incoming = |event| Incoming { tenant: ACME, event, provenance, retold: false };
    store.apply(again.into_iter().map(incoming).collect()).await.unwrap();
    apply(&store, [grant(ANN, 1)]).await.unwrap();
    for who in [ANN, BOB] {
        assert_eq!(standing(&store, who).await, Standing::Revoked, "{who}");
    }
}

pub(super) async fn a_hash_names_nobody_in_a_plain_store(bench: &Bench) {
    let store = bench.open().await;
    let hash = "hash:000102030405060708090a0b0c0d0e0f";
    for event in [revoke(hash, 1), grant(ANN, 1).linked_to([hash])] {
        let told = apply(&store, [grant(BOB, 1), event, grant(BOB, 1)]).await.unwrap();
        let [first, Outcome::Ignored(why), Outcome::Ignored("already known")] = told[..] else {
            panic!("{told:?}")
        };
        assert!(why.contains("write +E.164") && first != Outcome::Ignored(why), "{told:?}");
    }
    assert_eq!(store.dossier(ACME, &key(hash)).await.unwrap(), None);
    assert_eq!(standing(&store, ANN).await, Standing::Absent);
}

pub(super) async fn a_filled_store_keeps_the_form_it_was_made_with(bench: &Bench) {
    for (kept, other) in [(Form::Plain, Form::Hashed), (Form::Hashed, Form::Plain)] {
        let bench = bench.another();
        let store = bench.open_at(kept, NOW).await;
        applied(&store, [grant(ANN, 1)]).await;
        store.close().await;
        let told = refused(&bench, other).await;
        assert!(told.contains("hash_recipients") && told.contains("empty store"), "{told}");
        assert_eq!(standing(&bench.open_at(kept, NOW).await, ANN).await, Standing::Granted);
    }
}

/// Why a store cannot be used in a form: an embedded one does not open, Redis is up again as soon as the configuration is right.
async fn refused(bench: &Bench, form: Form) -> String {
    let settings = Settings { form, ..bench.settings() };
    match ConsentStore::open(settings, Clock::System).await {
        Err(error) => {
            assert!(matches!(error, OpenError::OtherForm { .. }), "{error:?}");
            described(&error)
        }
        Ok(store) => {
            let health = store.health();
            assert!(!health.up);
            assert_eq!(store.lookup(ACME, &key(ANN)).await.lookup, optgate::consent::Lookup::Unavailable);
            assert!(apply(&store, [grant(ANN, 2)]).await.is_err());
            store.close().await;
            health.warnings.join("\n")
        }
    }
}

pub(super) async fn a_store_has_the_configured_key_from_its_first_start_and_keeps_it(bench: &Bench) {
    let key = |byte: u8| Some(Redacted::new([byte; 32]));
    let with = |recipients_key| Settings { recipients_key, ..bench.settings() };
    let open = |settings| ConsentStore::open(settings, Clock::System);
    let store = open(with(key(7))).await.unwrap();
    assert_eq!(*store.recipients_key().await.unwrap().danger_reveal(), [7; 32]);
    let hash_key = store.hash_key(ACME).unwrap();
    applied(&store, [grant(ANN, 1)]).await;
    store.close().await;
    let told = match open(with(key(8))).await {
        Err(error) => described(&error),
        Ok(store) => {
            let health = store.health();
            assert!(!health.up && apply(&store, [grant(ANN, 2)]).await.is_err());
            store.close().await;
            health.warnings.join("\n")
        }
    };
    assert!(told.contains("recipients_key_file") && told.contains("put the former key back"), "{told}");
    for recipients_key in [key(7), None] {
        let store = open(with(recipients_key)).await.unwrap();
        assert_eq!(store.hash_key(ACME).unwrap(), hash_key);
        assert_eq!(standing(&store, ANN).await, Standing::Granted);
        store.close().await;
    }
}
