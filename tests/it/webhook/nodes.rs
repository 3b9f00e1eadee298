//! Two gates on one Redis: a STOP that one relays is refused by the other.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::{deliver, message, relaying, seconds};
use crate::journey::{ALL, grant, template, templates};
use crate::support::eventually;
use crate::support::gate::Gate;
use crate::support::redis::Redis;
use crate::support::upstream::Upstream;

const TRIALS: usize = 200;
const PROMISED: Duration = Duration::from_millis(50);

#[test]
fn a_stop_relayed_by_one_gate_is_refused_by_the_other_within_50_ms() {
    let (redis, upstream) = (Redis::start(), Upstream::start());
    let gate = || Gate::to(&upstream.url()).redis(&redis.url()).set("proxy", "workers", "1");
    let (near, webhook) = relaying(gate(), None);
    let (far, _) = relaying(gate(), None);
    let (near, far) = (near.start(), far.start());
    near.put_templates(&templates());
    let person = |n: usize| format!("+1555020{n:04}");
    near.events(&(0..TRIALS).map(|n| grant(&person(n), &ALL)).collect::<Vec<Value>>());
    eventually("the far gate knows the templates", || {
        (far.send(&template(&person(0), "utility")).status == 200).then_some(())
    });
    let mut took: Vec<Duration> = (0..TRIALS)
        .map(|n| {
            let send = template(&person(n), "utility");
            // The second time it is answered from the cache of the far gate.
            for _ in 0..2 {
                assert_eq!(far.send(&send).status, 200);
            }
            assert_eq!(deliver(webhook, &message(&person(n), seconds(0), "STOP")).status, 200);
            let answered = Instant::now();
            eventually("the far gate refuses", || (far.send(&send).status == 400).then_some(()));
            answered.elapsed()
        })
        .collect();
    took.sort();
    let p99 = took[TRIALS * 99 / 100];
    eprintln!(
        "{TRIALS} stops refused elsewhere after p50 {:?}, p99 {p99:?}, worst {:?}",
        took[TRIALS / 2],
        took[TRIALS - 1]
    );
    assert!(p99 < PROMISED, "{p99:?}");
}
