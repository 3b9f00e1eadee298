//! Two gates on one Redis: what is withdrawn at one is refused at the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::person;
use crate::journey::{ALL, edge, grant, refusal, revoke, template, templates, text};
use crate::support::client::Client;
use crate::support::eventually;
use crate::support::gate::Gate;
use crate::support::redis::Redis;
use crate::support::relay::Relay;
use crate::support::upstream::Upstream;

const TRIALS: usize = 300;
const PROMISED: Duration = Duration::from_millis(50);
/// Whom the load is sent to, beside the people of the trials.
const CROWD: usize = 5_000;

/// Two nodes and what they share.
struct Pair {
    near: Gate,
    far: Gate,
    upstream: Upstream,
    _redis: Redis,
}

impl Pair {
    fn start() -> Self {
        let redis = Redis::start();
        let upstream = Upstream::start();
        // Sends of the load must not fail for want of processors; what is measured is how fast news travels.
        let gate = || {
            let gate = Gate::to(&upstream.url()).redis(&redis.url()).set("proxy", "workers", "1");
            gate.set("store", "lookup_deadline_ms", "5000").start()
        };
        Self { near: gate(), far: gate(), upstream, _redis: redis }
    }
}

/// How long withdrawals take from their acknowledgement at one gate to the refusal at the other, sorted.
fn trials(pair: &Pair) -> Vec<Duration> {
    let people: Vec<String> = (0..TRIALS).map(person).collect();
    pair.near.events(&people.iter().map(|who| grant(who, &ALL)).collect::<Vec<Value>>());
    let mut took: Vec<Duration> = people.iter().map(|who| trial(pair, who)).collect();
    took.sort();
    took
}

fn trial(pair: &Pair, who: &str) -> Duration {
    // The second time it is answered from the cache of the far gate.
    for _ in 0..2 {
        assert_eq!(pair.far.send(&text(who)).status, 200);
    }
    let withdrawal = revoke(who, &ALL);
    pair.near.apply(&[withdrawal]);
    let acknowledged = Instant::now();
    refusal(400, 131_030, "consent_revoked").assert(&pair.near.send(&text(who)));
    eventually("the far gate refuses", || (pair.far.send(&text(who)).status == 400).then_some(()));
    acknowledged.elapsed()
}

fn p99(sorted: &[Duration]) -> Duration {
    sorted[sorted.len() * 99 / 100]
}

fn tell(what: &str, sorted: &[Duration]) {
    let (median, last) = (sorted[sorted.len() / 2], sorted[sorted.len() - 1]);
    eprintln!(
        "{what}: {} withdrawals refused elsewhere after p50 {median:?}, p99 {:?}, worst {last:?}",
        sorted.len(),
        p99(sorted)
    );
}

#[test]
fn a_withdrawal_at_one_gate_is_refused_at_the_other_within_50_ms() {
    let pair = Pair::start();
    let took = trials(&pair);
    tell("quiet", &took);
    assert!(p99(&took) < PROMISED, "{:?}", p99(&took));
    let measured = eventually("the canary was heard", || {
        Some(pair.far.metric("optgate_propagation_seconds_count", &[])).filter(|n| *n > 0.0)
    });
    eprintln!("{measured} canaries, {} s in all", pair.far.metric("optgate_propagation_seconds_sum", &[]));
}

#[test]
fn a_withdrawal_is_refused_within_50_ms_at_a_gate_under_load() {
    let pair = Pair::start();
    let crowd: Vec<Value> = (0..CROWD).map(|n| grant(&person(1_000_000 + n), &ALL)).collect();
    pair.near.events(&crowd);
    let done = Arc::new(AtomicBool::new(false));
    let sent = Arc::new(AtomicUsize::new(0));
    pair.upstream.keep_at_most(0);
    let began = Instant::now();
    let load: Vec<_> = (0..4)
        .map(|n| {
            let (done, sent, to) = (done.clone(), sent.clone(), pair.far.addr());
            std::thread::spawn(move || {
                let mut client = Client::connect(to);
                let headers = [("Content-Type", "application/json")];
                for turn in (n..).step_by(4) {
                    let body = text(&person(1_000_000 + turn % CROWD)).to_string();
                    assert_eq!(
                        client.request("POST", &edge("messages"), &headers, body.as_bytes()).status,
                        200
                    );
                    sent.fetch_add(1, Ordering::Relaxed);
                    if done.load(Ordering::Relaxed) {
                        break;
                    }
                }
            })
        })
        .collect();
    let took = trials(&pair);
    done.store(true, Ordering::Relaxed);
    for thread in load {
        thread.join().unwrap();
    }
    let sent = sent.load(Ordering::Relaxed);
    let rate = f64::from(u32::try_from(sent).unwrap()) / began.elapsed().as_secs_f64();
    tell(&format!("under {rate:.0} sends/s"), &took);
    assert!(sent > 10 * TRIALS, "no load: {sent}");
    assert!(p99(&took) < PROMISED, "{:?}", p99(&took));
}

#[test]
fn templates_put_at_one_gate_are_known_at_the_other() {
    let pair = Pair::start();
    pair.near.apply(&[grant(&person(0), &["utility"])]);
    refusal(400, 131_030, "no_consent").assert(&pair.far.send(&template(&person(0), "utility")));
    pair.near.put_templates(&templates());
    eventually("the other gate knows the template", || {
        (pair.far.send(&template(&person(0), "utility")).status == 200).then_some(())
    });
}

#[test]
fn both_gates_hash_a_person_alike_and_share_the_tenants_numbers() {
    let pair = Pair::start();
    pair.near.apply(&[grant(&person(0), &ALL)]);
    assert_eq!(pair.near.send(&text(&person(0))).status, 200);
    assert_eq!(pair.far.send(&text(&person(0))).status, 200);
    let hash = |gate: &Gate| gate.wait_for_decisions(1)[0]["recipient_hash"].clone();
    assert!(hash(&pair.near).is_string());
    assert_eq!(hash(&pair.near), hash(&pair.far));
}

#[test]
fn a_batch_that_is_being_judged_does_not_outlive_a_withdrawal() {
    let redis = Redis::start();
    let line = Relay::start(redis.addr());
    let upstream = Upstream::start();
    let gate =
        Gate::to(&upstream.url()).redis(&format!("redis://{}", line.addr())).set("proxy", "workers", "1");
    let gate = gate.start();
    let people: Vec<String> = (0..50).map(person).collect();
    gate.apply(&people.iter().map(|who| grant(who, &ALL)).collect::<Vec<Value>>());
    // A send before it opens the connection to the provider: what follows must not lean on the question that a new connection asks.
    assert_eq!(gate.send(&text(&people[49])).status, 200);
    line.delay(Duration::from_millis(3));
    let operations: Vec<Value> = people
        .iter()
        .map(|who| {
            let to = who.replace('+', "%2B");
            let body =
                format!("messaging_product=whatsapp&to={to}&type=text&text=%7B%22body%22%3A%22hi%22%7D");
            json!({"method": "POST", "relative_url": edge("messages").trim_start_matches('/'), "body": body})
        })
        .collect();
    let batch = std::thread::scope(|scope| {
        let sending = scope.spawn(|| gate.post("/", &json!({ "batch": operations })));
        std::thread::sleep(Duration::from_millis(60));
        gate.apply(&[revoke(&people[0], &ALL)]);
        assert!(!sending.is_finished(), "the withdrawal came too late to show anything");
        sending.join().unwrap()
    });
    refusal(400, 131_030, "consent_revoked").assert(&batch);
    assert_eq!(upstream.request_count(), 1);
}
