use std::collections::BTreeSet;
use std::fs;
use std::time::Instant;

use serde_json::Value;
use tempfile::TempDir;

use super::*;
use crate::consent::{Basis, Category, DenyReason, GateRecord, Lookup, Recipient, Timestamp};
use crate::policy::{Mode, WindowKnowledge};
use crate::wire::cloud::answer::MessageId;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_123);
const SOON: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(20);
const NUMBER: &str = "+4915112345678";
const MESSAGE_ID: &str = "wamid.HBgNNDkxNTExMjM0NTY3OBUCABEYEjQ5MTUxMTIzNDU2NzgA";

/// A log in a folder of its own.
struct Fixture {
    folder: TempDir,
    metrics: Metrics,
    log: DecisionLog,
}

impl Fixture {
    fn with(queue: usize, on_full: OnFull) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sink = Sink::File(folder.path().join("decisions.ndjson"));
        Self::writing_to(sink, queue, on_full, folder)
    }

    fn writing_to(sink: Sink, queue: usize, on_full: OnFull, folder: TempDir) -> Self {
        let metrics = Metrics::new(&["acme".to_owned()]);
        let settings =
            Settings { sink, queue, on_full, recent: RECENT_DEFAULT, keep: None, hash_key: Some([7; 32]) };
        let log = DecisionLog::open(settings, metrics.clone()).unwrap();
        Self { folder, metrics, log }
    }

    fn text(&self) -> String {
        fs::read_to_string(self.folder.path().join("decisions.ndjson")).unwrap()
    }

    /// Everything recorded, after closing.
    fn lines(&self) -> Vec<Value> {
        self.log.close(LONG).unwrap();
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn dropped(&self) -> u64 {
        let page = self.metrics.render();
        let count = page.lines().find_map(|line| line.strip_prefix("optgate_decision_log_dropped_total "));
        count.unwrap().parse().unwrap()
    }
}

fn gate_record() -> GateRecord {
    GateRecord { seq: 17, window_until: NOW.as_secs_u32() + 60, ..GateRecord::default() }
}

fn fill(event: &mut Event) {
    event.judged_at(NOW);
    event.tenant = Some(0);
    event.set_sender("106540352242922");
    event.caller = Some("crm".into());
    event.readings.push(Recipient::parse(NUMBER).unwrap(), Some(Lookup::Found(gate_record())));
    event.category = Some(Category::Marketing);
    event.set_template("order_update", "en_US");
    event.listed = Some(true);
    event.verdict = Some(Verdict::Allow { basis: Basis::Consent, would_deny: None });
    event.revision = Text::plain("0123456789ab");
    event.mode = Some(Mode::Enforce);
    event.window = Some(WindowKnowledge::Learnt);
    event.set_message_id(MessageId::of(MESSAGE_ID));
}

#[tokio::test]
async fn a_full_line_has_exactly_the_documented_fields() {
    let fixture = Fixture::with(8, OnFull::Wait);
    // Its place is taken before it is judged, and the line tells when it was judged.
    let before = Timestamp::from_millis(NOW.as_millis() - 1500);
    let mut guard = fixture.log.worker().unwrap().reserve(before, SOON).await.unwrap();
    let id = guard.id();
    guard.fill(fill);
    guard.finish(Outcome::Forwarded { status: 200 });
    let lines = fixture.lines();
    let hash = fixture.log.hash();
    let expected = serde_json::json!({
        "time": "2026-09-21T14:13:20.123Z", "id": id.as_str(), "tenant": "acme", "sender": "106540352242922", "caller": "crm",
        "recipient_hash": hash.recipient(&Recipient::parse(NUMBER).unwrap()), "country": "DE", "category": "marketing",
        "template": "order_update/en_US", "category_source": "catalogue", "decision": "allow", "reason": null, "basis": "consent", "rule": null,
        "revision": "0123456789ab", "mode": "enforce", "event_seq": 17, "gate_record": hex::encode(gate_record().encode()),
        "window": "open", "outcome": "forwarded", "upstream_status": 200, "message_id": hash.message_id(MESSAGE_ID),
    });
    assert_eq!(lines, [expected]);
    let order = fixture.text();
    let places: Vec<_> = [
        "time",
        "id",
        "tenant",
        "sender",
        "caller",
        "recipient_hash",
        "country",
        "category",
        "template",
        "category_source",
        "decision",
        "reason",
        "basis",
        "rule",
        "revision",
        "mode",
        "event_seq",
        "gate_record",
        "window",
        "outcome",
        "upstream_status",
        "message_id",
    ]
    .map(|field| order.find(&format!("\"{field}\":")).unwrap())
    .to_vec();
    let found = fixture.log.recent_by_message_id(MESSAGE_ID).unwrap();
    assert_eq!(fixture.log.recent(&id), Some(found));
    assert!(places.is_sorted(), "{order}");
}

#[test]
fn the_hash_is_hmac_sha256_over_the_canonical_number() {
    let hash = KeyedHash::new(&[7; 32]);
    let of = |text: &str| hash.recipient(&Recipient::parse(text).unwrap());
    // printf 4915112345678 | openssl dgst -sha256 -mac HMAC -macopt hexkey:0707...07
    assert_eq!(of(NUMBER).as_deref(), Some("da83ccb5a83669b2e8fd5123dd513f0d"));
    assert_eq!(of("+5215555500011"), of("+525555500011"));
    assert_ne!(of("+15550000001"), of("+15550000002"));
}

#[test]
fn without_its_key_there_is_no_hash_and_the_first_key_stays() {
    let hash = KeyedHash::default();
    let number = Recipient::parse(NUMBER).unwrap();
    assert_eq!((hash.recipient(&number), hash.message_id("wamid.1"), hash.has_key()), (None, None, false));
    hash.clone().learn_key(&[7; 32]);
    hash.learn_key(&[8; 32]);
    assert_eq!(hash.recipient(&number), KeyedHash::new(&[7; 32]).recipient(&number));
}

#[tokio::test]
async fn a_refusal_with_several_readings_lists_each() {
    let fixture = Fixture::with(8, OnFull::Wait);
    let mut guard = fixture.log.worker().unwrap().reserve(NOW, SOON).await.unwrap();
    guard.fill(|event| {
        event.readings.push(Recipient::parse(NUMBER).unwrap(), Some(Lookup::Found(gate_record())));
        event.readings.push(Recipient::parse("+15550000001").unwrap(), Some(Lookup::Absent));
        event.readings.push(Recipient::parse("US.1349").unwrap(), Some(Lookup::Unavailable));
        event.verdict = Some(Verdict::Deny(DenyReason::RecipientAmbiguous));
        event.window = Some(WindowKnowledge::NotLearnt);
    });
    guard.finish(Outcome::Refused);
    let line = &fixture.lines()[0];
    assert_eq!(line["recipient_hash"].as_array().unwrap().len(), 3);
    assert_eq!(line["event_seq"], serde_json::json!([17, null, null]));
    assert_eq!(
        line["gate_record"],
        serde_json::json!([hex::encode(gate_record().encode()), null, "unavailable"])
    );
    assert_eq!((&line["decision"], &line["reason"]), (&"deny".into(), &"recipient_ambiguous".into()));
    assert_eq!((&line["window"], &line["outcome"]), (&"unknown".into(), &"refused".into()));
}

#[tokio::test]
async fn a_shadow_denial_keeps_the_reason_and_the_basis() {
    let fixture = Fixture::with(8, OnFull::Wait);
    let mut guard = fixture.log.worker().unwrap().reserve(NOW, SOON).await.unwrap();
    let would_deny = Some(DenyReason::NoConsent);
    guard.fill(|event| event.verdict = Some(Verdict::Allow { basis: Basis::Shadow, would_deny }));
    guard.finish(Outcome::OutcomeUnknown);
    let line = &fixture.lines()[0];
    assert_eq!(
        (&line["decision"], &line["reason"], &line["basis"]),
        (&"allow".into(), &"no_consent".into(), &"shadow".into())
    );
    assert_eq!(line["outcome"], "outcome_unknown");
}

#[tokio::test]
async fn nothing_personal_reaches_the_file() {
    let fixture = Fixture::with(64, OnFull::Wait);
    let worker = fixture.log.worker().unwrap();
    for recipient in [NUMBER, "+5215555500011", "US.13491208655302741918"] {
        let mut guard = worker.reserve(NOW, SOON).await.unwrap();
        guard.fill(|event| {
            fill(event);
            event.readings = Readings::default();
            event.readings.push(Recipient::parse(recipient).unwrap(), None);
            event.set_sender("+4915112345678");
            event.set_template("Dear Ann, your code is 998877", "en");
        });
        guard.finish(Outcome::Refused);
    }
    assert_eq!(fixture.lines().len(), 3);
    let text = fixture.text();
    for secret in ["15112345678", "5555500011", "13491208655302741918", "wamid", "HBgN", "Ann", "998877"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

#[tokio::test]
async fn a_guard_that_is_dropped_records_an_aborted_send() {
    let fixture = Fixture::with(8, OnFull::Wait);
    drop(fixture.log.worker().unwrap().reserve(NOW, SOON).await.unwrap());
    let lines = fixture.lines();
    assert_eq!(
        (lines.len(), &lines[0]["outcome"], &lines[0]["decision"]),
        (1, &"aborted".into(), &Value::Null)
    );
}

#[tokio::test]
async fn a_full_queue_makes_sends_wait_then_refuses_them_and_loses_nothing() {
    let fixture = Fixture::with(3, OnFull::Wait);
    let worker = fixture.log.worker().unwrap();
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(worker.reserve(NOW, SOON).await.unwrap());
    }
    let asked = Instant::now();
    assert!(worker.reserve(NOW, SOON).await.is_err());
    assert!(asked.elapsed() >= SOON);
    let waiting = tokio::spawn(worker.reserve(NOW, LONG));
    tokio::task::yield_now().await;
    held.pop().unwrap().finish(Outcome::Refused);
    waiting.await.unwrap().unwrap().finish(Outcome::Refused);
    drop(held);
    assert_eq!((fixture.lines().len(), fixture.dropped()), (4, 0));
}

#[tokio::test]
async fn where_slots_are_short_nobody_waits_for_the_long_rest() {
    let fixture = Fixture::with(64, OnFull::Wait);
    let worker = fixture.log.worker().unwrap();
    // Most are held by sends that take their time, so that the others never are enough to wake the writing thread.
    let mut slow = Vec::new();
    for _ in 0..40 {
        slow.push(worker.reserve(NOW, SOON).await.unwrap());
    }
    // Twenty rests of 16 ms are 320 ms, of 64 ms they would be 1,280 ms. A busy machine gets other chances.
    let mut took = Vec::new();
    while took.len() < 5 && took.last().is_none_or(|took| *took > Duration::from_secs(1)) {
        let asked = Instant::now();
        for _ in 0..24 * 20 {
            worker.reserve(NOW, LONG).await.unwrap().finish(Outcome::Refused);
        }
        took.push(asked.elapsed());
    }
    assert!(took.last().is_some_and(|took| *took < Duration::from_secs(1)), "{took:?}");
    drop(slow);
}

#[tokio::test]
async fn a_full_queue_that_may_drop_counts_what_it_drops() {
    let fixture = Fixture::with(2, OnFull::Drop);
    let worker = fixture.log.worker().unwrap();
    let mut guards = Vec::new();
    for _ in 0..5 {
        guards.push(worker.reserve(NOW, SOON).await.unwrap());
    }
    // Last in, first out: those without a slot end while the queue is still full.
    while let Some(guard) = guards.pop() {
        guard.finish(Outcome::Refused);
    }
    assert_eq!((fixture.lines().len(), fixture.dropped()), (2, 3));
}

#[tokio::test]
async fn a_full_disk_makes_sends_wait_and_closing_says_what_was_lost() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Fixture::writing_to(Sink::File("/dev/full".into()), 2, OnFull::Wait, folder);
    let worker = fixture.log.worker().unwrap();
    for _ in 0..2 {
        worker.reserve(NOW, SOON).await.unwrap().finish(Outcome::Refused);
    }
    assert!(worker.reserve(NOW, SOON).await.is_err());
    assert_eq!(fixture.log.close(Duration::from_millis(300)).unwrap_err().kind(), io::ErrorKind::TimedOut);
}

#[cfg(unix)]
#[tokio::test]
async fn what_a_full_disk_held_up_is_written_once_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("decisions.ndjson");
    std::os::unix::fs::symlink("/dev/full", &path).unwrap();
    let fixture = Fixture::writing_to(Sink::File(path.clone()), 2, OnFull::Wait, folder);
    let worker = fixture.log.worker().unwrap();
    for _ in 0..2 {
        worker.reserve(NOW, SOON).await.unwrap().finish(Outcome::Refused);
    }
    assert!(worker.reserve(NOW, SOON).await.is_err());
    fs::remove_file(&path).unwrap();
    fixture.log.reopen();
    worker.reserve(NOW, LONG).await.unwrap().finish(Outcome::Refused);
    assert_eq!((fixture.lines().len(), fixture.dropped()), (3, 0));
}

#[tokio::test]
async fn a_file_that_cannot_be_reopened_stays_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let [here, there] = ["here", "there"].map(|name| folder.path().join(name));
    fs::create_dir(&here).unwrap();
    let fixture = Fixture::writing_to(Sink::File(here.join("log")), 8, OnFull::Wait, folder);
    fs::rename(&here, &there).unwrap();
    fixture.log.reopen();
    drop(fixture.log.worker().unwrap().reserve(NOW, SOON).await.unwrap());
    fixture.log.close(LONG).unwrap();
    assert_eq!(fs::read_to_string(there.join("log")).unwrap().lines().count(), 1);
}

#[tokio::test]
async fn after_rotation_lines_go_to_the_new_file() {
    let fixture = Fixture::with(8, OnFull::Wait);
    let worker = fixture.log.worker().unwrap();
    let first = worker.reserve(NOW, SOON).await.unwrap();
    let id = first.id();
    first.finish(Outcome::Refused);
    until(|| fixture.log.recent(&id).is_some());
    let [current, old] =
        ["decisions.ndjson", "decisions.ndjson.1"].map(|name| fixture.folder.path().join(name));
    fs::rename(&current, &old).unwrap();
    fixture.log.reopen();
    until(|| current.exists());
    drop(worker.reserve(NOW, SOON).await.unwrap());
    assert_eq!(fixture.lines().len(), 1);
    assert!(fs::read_to_string(old).unwrap().contains(id.as_str()));
}

#[tokio::test]
async fn a_line_that_a_dead_process_cut_short_does_not_swallow_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("decisions.ndjson");
    fs::write(&path, "{\"time\":\"2026").unwrap();
    let fixture = Fixture::writing_to(Sink::File(path), 8, OnFull::Wait, folder);
    drop(fixture.log.worker().unwrap().reserve(NOW, SOON).await.unwrap());
    fixture.log.close(LONG).unwrap();
    let text = fixture.text();
    let last = text.lines().nth(1).unwrap();
    assert!(serde_json::from_str::<Value>(last).is_ok() && text.ends_with("}\n"), "{text}");
}

#[tokio::test]
async fn a_recent_decision_is_found_by_its_id() {
    let fixture = Fixture::with(64, OnFull::Wait);
    let worker = fixture.log.worker().unwrap();
    let mut ids = Vec::new();
    for _ in 0..50 {
        let guard = worker.reserve(NOW, SOON).await.unwrap();
        ids.push(guard.id());
    }
    fixture.log.close(LONG).unwrap();
    for id in &ids {
        let line: Value = serde_json::from_str(&fixture.log.recent(id).unwrap()).unwrap();
        assert_eq!(line["id"], id.as_str());
    }
}

#[tokio::test]
async fn after_closing_nothing_is_accepted_and_what_ends_late_is_counted() {
    let fixture = Fixture::with(8, OnFull::Wait);
    let worker = fixture.log.worker().unwrap();
    let late = worker.reserve(NOW, SOON).await.unwrap();
    fixture.log.close(LONG).unwrap();
    drop(late);
    assert!(worker.reserve(NOW, SOON).await.is_err());
    assert_eq!(fixture.dropped(), 1);
    fixture.log.close(LONG).unwrap();
}

#[tokio::test]
async fn an_event_after_a_long_silence_is_written_at_once() {
    let fixture = Fixture::with(8, OnFull::Wait);
    let worker = fixture.log.worker().unwrap();
    drop(worker.reserve(NOW, SOON).await.unwrap());
    until(|| fixture.log.shared.is_asleep());
    let guard = worker.reserve(NOW, SOON).await.unwrap();
    let id = guard.id();
    drop(guard);
    until(|| fixture.log.recent(&id).is_some());
}

#[test]
fn a_million_events_of_two_workers_are_all_recorded() {
    // A tenth of them without optimization, so that the suite stays quick.
    const EACH: usize = if cfg!(debug_assertions) { 50_000 } else { 500_000 };
    let fixture = Fixture::with(1 << 14, OnFull::Wait);
    let begun = Instant::now();
    let ids: BTreeSet<DecisionId> = thread::scope(|scope| {
        let workers = [(); 2].map(|()| scope.spawn(|| record(&fixture.log.worker().unwrap(), EACH).0));
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    fixture.log.close(LONG * 10).unwrap();
    println!("{} events a second, end to end", 2000 * EACH as u128 / begun.elapsed().as_millis());
    let recorded = fixture.text().lines().count();
    assert_eq!((recorded, ids.len(), fixture.dropped()), (2 * EACH, 2 * EACH, 0));
}

/// Prints what an event costs its worker in bursts between which the queue runs empty, as it is while sends take their time.
#[test]
fn bursts_are_recorded_in_order() {
    const BURST: usize = 200;
    let fixture = Fixture::with(1 << 14, OnFull::Wait);
    let worker = fixture.log.worker().unwrap();
    let mut costs = Vec::new();
    let mut ids = Vec::new();
    for _ in 0..100 {
        let (burst, took) = record(&worker, BURST);
        costs.push(took.as_nanos() / BURST as u128);
        until(|| burst.last().is_some_and(|id| fixture.log.recent(id).is_some()));
        ids.extend(burst);
    }
    costs.sort_unstable();
    println!("{} ns an event on its worker (median of {} bursts)", costs[costs.len() / 2], costs.len());
    let recorded: Vec<_> =
        fixture.lines().iter().map(|line| line["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(recorded, ids.iter().map(DecisionId::to_string).collect::<Vec<_>>());
}

/// Records events one after another; returns their ids and how long it took.
fn record(worker: &WorkerLog, events: usize) -> (Vec<DecisionId>, Duration) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let recipient = Recipient::parse(NUMBER).unwrap();
    let mut ids = Vec::with_capacity(events);
    let took = runtime.block_on(async {
        let begun = Instant::now();
        for _ in 0..events {
            let mut guard = worker.reserve(NOW, LONG * 10).await.unwrap();
            guard.fill(|event| {
                event.set_sender("106540352242922");
                event.readings.push(recipient.clone(), Some(Lookup::Found(gate_record())));
            });
            ids.push(guard.id());
            guard.finish(Outcome::Refused);
        }
        begun.elapsed()
    });
    (ids, took)
}

fn until(done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < LONG, "it never came to be");
        thread::yield_now();
    }
}
