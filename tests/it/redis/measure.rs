//! Figures, printed: what a recipient costs in either store. How fast events go in measures benches/side_by_side/import.py. Run with `cargo test --test it redis::measure -- --ignored --nocapture`.

use optgate::consent::dossier::Provenance;
use optgate::consent::event::EventAsWritten;
use optgate::consent::{Clock, Event};
use optgate::store::{ConsentStore, Incoming};

use crate::journey::{ALL, grant};
use crate::store_contract::bench::{ACME, redis_settings, settings};
use crate::support::redis::{Redis, Reply};

const RECIPIENTS: u32 = 1_000_000;
const BATCH: u32 = 20_000;

fn number(n: u32) -> String {
    format!("1555{n:07}")
}

/// A grant with whole evidence, as a shop would record it.
fn incoming(n: u32) -> Incoming {
    let mut written = grant(&format!("+{}", number(n)), &ALL);
    written.as_object_mut().unwrap().remove("tenant");
    let written: EventAsWritten = serde_json::from_value(written).unwrap();
    let event = Event::check(written, Clock::System.now()).unwrap();
    Incoming { tenant: ACME, event, provenance: Provenance::Declared, retold: false }
}

fn used_memory(redis: &Redis) -> i64 {
    let Reply::Bulk(Some(info)) = redis.command(&["INFO", "memory"]) else { panic!("no INFO") };
    let info = String::from_utf8(info).unwrap();
    info.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap().trim().parse().unwrap()
}

/// Fills in a copy of a value under a million keys, and gives how many bytes each of them took.
fn bytes_for_each(redis: &Redis, prefix: &str, value: &[u8]) -> f64 {
    let before = used_memory(redis);
    let fill = "for n = ARGV[3], ARGV[4] do redis.call('SET', ARGV[1] .. string.format('%011d', n + 15550000000) .. '}', ARGV[2]) end";
    for first in (0..RECIPIENTS).step_by(100_000) {
        let (from, to) = (first.to_string(), (first + 99_999).to_string());
        redis.command(&[
            b"EVAL",
            fill.as_bytes(),
            b"0",
            prefix.as_bytes(),
            value,
            from.as_bytes(),
            to.as_bytes(),
        ]);
    }
    let more = u32::try_from(used_memory(redis) - before).unwrap();
    f64::from(more) / f64::from(RECIPIENTS)
}

#[test]
#[ignore = "a measurement: a minute and more than a gigabyte of memory"]
fn bytes_per_recipient_at_a_million() {
    let redis = Redis::start();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let store = ConsentStore::open(redis_settings(redis.addr()), Clock::System).await.unwrap();
        store.apply(vec![incoming(7)]).await.unwrap();
        store.close().await;
    });
    let get = |kind: &str| {
        let Reply::Bulk(Some(value)) = redis.command(&["GET", &format!("og:{kind}:{{1.{}}}", number(7))])
        else {
            panic!("no value")
        };
        value
    };
    let (gate, dossier) = (get("c"), get("r"));
    let gate_bytes = bytes_for_each(&redis, "og:c:{1.", &gate);
    let dossier_bytes = bytes_for_each(&redis, "og:r:{1.", &dossier);
    eprintln!(
        "{RECIPIENTS} recipients: {gate_bytes:.0} bytes each for the gate record ({} bytes of value), {dossier_bytes:.0} for the history ({} bytes of value)",
        gate.len(),
        dossier.len()
    );
}

#[test]
#[ignore = "a measurement: minutes, and two gigabytes of disk"]
fn bytes_per_recipient_at_a_million_in_the_embedded_store() {
    use redb::{ReadableDatabase, ReadableTable, ReadableTableMetadata};
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("consent.redb");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let store = ConsentStore::open(settings(&file), Clock::System).await.unwrap();
        for first in (0..RECIPIENTS).step_by(20_000) {
            store.apply((first..first + BATCH).map(incoming).collect()).await.unwrap();
        }
        store.close().await;
    });
    let database = redb::Database::open(&file).unwrap();
    let transaction = database.begin_read().unwrap();
    let gate = transaction.open_table(redb::TableDefinition::<&[u8], &[u8]>::new("gate")).unwrap();
    let dossiers = transaction.open_table(redb::TableDefinition::<u64, &[u8]>::new("dossiers")).unwrap();
    let each = |stats: redb::TableStats| {
        let all = stats.stored_bytes() + stats.metadata_bytes() + stats.fragmented_bytes();
        (all / u64::from(RECIPIENTS), stats.stored_bytes() / u64::from(RECIPIENTS))
    };
    let value = dossiers.first().unwrap().unwrap().1.value().len();
    eprintln!(
        "{RECIPIENTS} recipients: (with the tree, without) {:?} bytes each for the gate record, {:?} for the history ({value} bytes of value), file {} bytes each",
        each(gate.stats().unwrap()),
        each(dossiers.stats().unwrap()),
        std::fs::metadata(&file).unwrap().len() / u64::from(RECIPIENTS)
    );
}
