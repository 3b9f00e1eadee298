//! Erasing a person leaves the proof of everybody's record as it was.

use std::time::Duration;

use optgate::audit::{Audit, Finding, Settings, Told};
use optgate::consent::dossier::Provenance;
use optgate::consent::event::EventAsWritten;
use optgate::consent::{Clock, Event, Recipient, Timestamp};
use optgate::store::{ConsentStore, Incoming};
use serde_json::Value;

use super::raw::{Desk, Row};
use super::{kinds, verify};
use crate::journey::{ALL, grant, revoke};
use crate::store_contract::bench::{ACME, Bench};
use crate::support::redis::Reply;

const ANN: &str = "+15550000001";
const BEN: &str = "+15550000002";
const COUNT: &str = "og:erasures:{og}";

fn incoming(mut event: Value) -> Incoming {
    event.as_object_mut().unwrap().remove("tenant");
    let written: EventAsWritten = serde_json::from_value(event).unwrap();
    let event = Event::check(written, Clock::System.now()).unwrap();
    Incoming { tenant: ACME, event, provenance: Provenance::Declared, retold: false }
}

/// Grants that are younger than any erasure so far.
fn anew(recipient: &str) -> Value {
    let mut grant = grant(recipient, &ALL);
    grant["occurred_at"] = serde_json::to_value(Clock::System.now()).unwrap();
    grant
}

async fn findings(audit: &Audit) -> Vec<Finding> {
    let (told, mut heard) = tokio::sync::mpsc::channel(1000);
    let verified = audit.verify(ACME, &told).await.unwrap();
    drop(told);
    let mut findings = Vec::new();
    while let Some(told) = heard.recv().await {
        if let Told::Finding(finding) = told {
            findings.push(finding);
        }
    }
    assert_eq!(verified.findings, u64::try_from(findings.len()).unwrap());
    findings
}

/// A checkpoint that covers everything until now, after which the record is found whole.
async fn checkpoint(audit: &Audit) {
    tokio::time::sleep(Duration::from_millis(2100)).await;
    audit.checkpoint(ACME).await.unwrap();
    assert_eq!(findings(audit).await, []);
}

async fn erase(store: &ConsentStore, recipient: &str) {
    store.erase(ACME, &Recipient::parse(recipient).unwrap().key()).await.unwrap();
}

fn settings() -> Settings {
    let tenants = vec!["acme".into(), "umbrella".into()];
    Settings { seed: None, every: None, grace: Duration::from_secs(1), tenants }
}

#[test]
fn erasing_a_person_returning_and_erasing_again_raise_no_false_alarm() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for bench in [Bench::embedded(), Bench::redis()] {
        runtime.block_on(async {
            let store = bench.open().await;
            let audit = Audit::new(store.clone(), settings(), Clock::System);
            let mut linked = grant(ANN, &ALL);
            linked["links"] = serde_json::json!(["US.13491208655302741918"]);
            let events = [linked, revoke(ANN, &["call"]), grant(BEN, &ALL), grant("+15550000003", &ALL)];
            store.apply(events.map(incoming).into()).await.unwrap();
            checkpoint(&audit).await;
            erase(&store, ANN).await;
            assert_eq!(findings(&audit).await, [], "just erased");
            checkpoint(&audit).await;
            store.apply(vec![incoming(anew(ANN))]).await.unwrap();
            assert_eq!(findings(&audit).await, [], "just returned");
            checkpoint(&audit).await;
            erase(&store, ANN).await;
            assert_eq!(findings(&audit).await, [], "erased again");
            checkpoint(&audit).await;
            store.close().await;
        });
    }
}

#[test]
fn a_count_of_tombstones_that_was_lost_or_set_back_is_found() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let bench = Bench::redis();
    let Bench::Server(server) = &bench else { unreachable!() };
    runtime.block_on(async {
        let store = bench.open().await;
        let audit = Audit::new(store.clone(), settings(), Clock::System);
        assert_eq!(server.command(&["GET", COUNT]), Reply::Bulk(Some(b"0".to_vec())), "made with the store");
        store.apply([ANN, BEN].map(|who| incoming(grant(who, &ALL))).into()).await.unwrap();
        assert_eq!(findings(&audit).await, []);
        erase(&store, ANN).await;
        erase(&store, BEN).await;
        erase(&store, "+15550000009").await;
        assert_eq!(findings(&audit).await, []);
        let Reply::Bulk(Some(count)) = server.command(&["GET", COUNT]) else { panic!("no count") };
        for (change, told) in [
            (&["DEL", COUNT][..], "is missing"),
            (&["SET", COUNT, "0"], "the store's count of them is 0"),
            (&["SET", COUNT, "2"], "INCRBY 'og:erasures:{og}' 1"),
        ] {
            server.command(change);
            let found = findings(&audit).await;
            let [finding] = &found[..] else { panic!("{found:?}") };
            assert!(finding.kind == "tombstones" && finding.text.contains(told), "{finding:?}");
            assert_eq!(finding.recipient, None);
        }
        server.command(&[b"SET", COUNT.as_bytes(), &count]);
        assert_eq!(findings(&audit).await, []);
        store.close().await;
    });
}

#[test]
fn who_stands_beside_their_tombstone_as_if_never_erased_is_found() {
    for mut desk in Desk::both() {
        let ann = ANN.trim_start_matches('+');
        desk.gate().apply(&[grant(ANN, &ALL), grant(BEN, &ALL)]);
        let mut before = Row::default();
        desk.tamper(|raw| before = raw.row(ann));
        let path = format!("/v1/tenants/default/recipients/%2B{ann}");
        assert_eq!(desk.gate().admin("DELETE", &path, "", b"").status, 200);
        assert_eq!(verify(desk.gate()).0, Vec::<Value>::new());
        desk.tamper(|raw| raw.put(ann, &before));
        let (findings, _, code) = verify(desk.gate());
        assert_eq!((kinds(&findings), findings.len(), code), (vec!["tombstone"], 1, 1));
        assert!(findings[0]["text"].as_str().unwrap().contains("erase the person again"));
        assert!(findings[0]["recipient"].as_str().unwrap().starts_with("hash:"));
        // The next word about the person hears the tombstone again; erasing again ends it for good.
        desk.gate().apply(&[revoke(ANN, &["call"])]);
        assert_eq!(verify(desk.gate()).0, Vec::<Value>::new());
        assert_eq!(desk.gate().admin("DELETE", &path, "", b"").status, 200);
        assert_eq!(verify(desk.gate()).0, Vec::<Value>::new());
    }
}

/// Sets the clock back by an hour after a checkpoint: what is written then belongs behind it all the same.
#[test]
fn a_clock_that_is_set_back_raises_no_false_alarm() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for bench in [Bench::embedded(), Bench::redis()] {
        runtime.block_on(async {
            let noon = Clock::System.now();
            let hour = Duration::from_secs(3600);
            let (clock, later) = (Clock::manual(noon), noon.plus(Duration::from_secs(10)));
            let settings = || Settings {
                seed: None,
                every: None,
                grace: Duration::from_secs(1),
                tenants: vec!["acme".into(), "umbrella".into()],
            };
            let store = ConsentStore::open(bench.settings(), clock.clone()).await.unwrap();
            let audit = Audit::new(store.clone(), settings(), clock.clone());
            store.apply([grant(ANN, &ALL), grant(BEN, &ALL)].map(incoming).into()).await.unwrap();
            clock.set(later);
            let made = audit.checkpoint(ACME).await.unwrap();
            assert!(made.new && made.checkpoint.recipients() == 2);
            clock.set(Timestamp::from_secs(u64::from(noon.as_secs_u32()) - hour.as_secs()));
            store
                .apply([revoke(ANN, &["call"]), grant("+15550000003", &ALL)].map(incoming).into())
                .await
                .unwrap();
            erase(&store, BEN).await;
            assert_eq!(findings(&audit).await, [], "written after the clock was set back");
            store.close().await;

            // And after a restart with that clock.
            let store = ConsentStore::open(bench.settings(), clock.clone()).await.unwrap();
            let audit = Audit::new(store.clone(), settings(), clock.clone());
            audit.clone().run().await;
            store.apply(vec![incoming(grant("+15550000004", &ALL))]).await.unwrap();
            assert_eq!(findings(&audit).await, [], "written after a restart");
            clock.set(later.plus(hour));
            assert!(audit.checkpoint(ACME).await.unwrap().new);
            assert_eq!(findings(&audit).await, []);
            store.close().await;
        });
    }
}

/// A checkpoint of a store with one writer covers what was acknowledged before it, without any wait.
#[test]
fn a_checkpoint_of_the_embedded_store_covers_everything_until_now_while_it_is_written() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let bench = Bench::embedded();
        let store = bench.open().await;
        let tenants = vec!["acme".into(), "umbrella".into()];
        let settings = Settings { seed: None, every: None, grace: Duration::from_secs(60), tenants };
        let audit = Audit::new(store.clone(), settings, Clock::System);
        let writer = tokio::spawn({
            let store = store.clone();
            async move {
                for n in 0..200 {
                    let people = (0..20).map(|m| incoming(grant(&format!("+1555{:07}", n * 20 + m), &ALL)));
                    store.apply(people.collect()).await.unwrap();
                }
            }
        });
        let mut covered = Vec::new();
        while !writer.is_finished() {
            let made = audit.checkpoint(ACME).await.unwrap();
            covered.push(made.checkpoint.recipients());
            assert_eq!(findings(&audit).await, [], "after {covered:?}");
        }
        writer.await.unwrap();
        assert_eq!(audit.checkpoint(ACME).await.unwrap().checkpoint.recipients(), 4000);
        assert_eq!(findings(&audit).await, []);
        assert!(covered.len() > 2 && covered.is_sorted(), "{covered:?}");
        store.close().await;
    });
}
