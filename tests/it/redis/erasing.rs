//! People who are erased at one gate, and gates that keep nobody's number.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::person;
use crate::journey::{ALL, grant, refusal, text};
use crate::support::eventually;
use crate::support::gate::Gate;
use crate::support::redis::Redis;
use crate::support::upstream::Upstream;

const TRIALS: usize = 60;
const PROMISED: Duration = Duration::from_millis(50);

fn path(who: &str) -> String {
    format!("/v1/tenants/default/recipients/{}", who.replace('+', "%2B"))
}

#[test]
fn who_is_erased_at_one_gate_is_refused_at_the_other_within_50_ms() {
    let (redis, upstream) = (Redis::start(), Upstream::start());
    let gate = || {
        let gate = Gate::to(&upstream.url()).redis(&redis.url()).set("proxy", "workers", "1");
        gate.set("store", "lookup_deadline_ms", "5000").start()
    };
    let (near, far) = (gate(), gate());
    let people: Vec<String> = (0..TRIALS).map(person).collect();
    near.events(&people.iter().map(|who| grant(who, &ALL)).collect::<Vec<Value>>());
    let (mut took, mut late) = (Vec::new(), 0);
    for who in &people {
        // The second time it is answered from the cache of the far gate.
        for _ in 0..2 {
            assert_eq!(far.send(&text(who)).status, 200);
        }
        let answer = near.admin("DELETE", &path(who), "", b"");
        let erased = Instant::now();
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(
            (&answer.json()["identities"], &answer.json()["residue"]),
            (&json!(1), &json!("server_files"))
        );
        refusal(400, 131_030, "consent_revoked").assert(&near.send(&text(who)));
        eventually("the far gate refuses", || {
            let refused = far.send(&text(who)).status == 400;
            late += usize::from(!refused);
            refused.then_some(())
        });
        took.push(erased.elapsed());
        refusal(400, 131_030, "consent_revoked").assert(&far.send(&text(who)));
    }
    took.sort();
    eprintln!(
        "{TRIALS} erasures refused elsewhere after p50 {:?}, worst {:?}",
        took[TRIALS / 2],
        took[TRIALS - 1]
    );
    assert!(took[TRIALS * 95 / 100] < PROMISED, "{took:?}");
    assert_eq!(
        upstream.request_count(),
        2 * TRIALS + late,
        "what was sent while it was permitted, and nothing else"
    );
}

#[test]
fn a_gate_that_is_configured_for_the_other_form_says_so_and_refuses_everybody() {
    let (redis, upstream) = (Redis::start(), Upstream::start());
    let plain =
        Gate::to(&upstream.url()).redis(&redis.url()).set("store", "lookup_deadline_ms", "5000").start();
    plain.apply(&[grant(&person(0), &ALL)]);
    let hashed =
        Gate::to(&upstream.url()).redis(&redis.url()).set("privacy", "hash_recipients", "true").launch();
    let told = eventually("the gate answers /readyz", || {
        crate::support::client::Client::try_connect(hashed.admin_addr()).ok()?;
        let answer = hashed.admin("GET", "/readyz", "", b"");
        (answer.status == 503 && answer.text().contains("hash_recipients")).then(|| answer.text())
    });
    assert!(told.contains("keeps recipients as numbers") && told.contains("empty store"), "{told}");
    refusal(503, 131_016, "store_unavailable").assert(&hashed.send(&text(&person(0))));
    assert_eq!(upstream.request_count(), 0);
    assert_eq!(plain.send(&text(&person(0))).status, 200);
}
