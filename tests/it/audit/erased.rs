//! Erasing a person leaves the proof of everybody's record as it was.

use std::time::Duration;

use optgate::audit::{Audit, Finding, Settings, Told};
use optgate::consent::dossier::Provenance;
use optgate::consent::event::EventAsWritten;
use optgate::consent::{Clock, Event, Recipient};
use optgate::store::{ConsentStore, Incoming};
use serde_json::Value;

use crate::journey::{ALL, grant, revoke};
use crate::store_contract::bench::{ACME, Bench};

const ANN: &str = "+15550000001";
const BEN: &str = "+15550000002";

fn incoming(mut event: Value) -> Incoming {
    event.as_object_mut().unwrap().remove("tenant");
    let written: EventAsWritten = serde_json::from_value(event).unwrap();
    let event = Event::check(written, Clock::System.now()).unwrap();
    Incoming { tenant: ACME, event, provenance: Provenance::Declared }
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

#[test]
fn erasing_a_person_returning_and_erasing_again_raise_no_false_alarm() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for bench in [Bench::embedded(), Bench::redis()] {
        runtime.block_on(async {
            let store = bench.open().await;
            let settings = Settings {
                seed: None,
                every: None,
                grace: Duration::from_secs(1),
                tenants: vec!["acme".into(), "umbrella".into()],
            };
            let audit = Audit::new(store.clone(), settings, Clock::System);
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
