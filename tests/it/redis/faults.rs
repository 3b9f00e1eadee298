//! Redis away, slow, full, demoted or spoiled: sends are refused with a wish to retry, nothing is let through, and service comes back by itself.

use std::time::{Duration, Instant};

use super::{PEOPLE, Stage, person};
use crate::journey::{ALL, refusal, text};
use crate::support::client::request;
use crate::support::eventually;
use crate::support::gate::Gate;
use crate::support::redis::{Redis, Reply};
use crate::support::upstream::Upstream;

/// The longest that a cached grant may still be used once the server is silent, with room for a busy machine. The promise is 400 ms.
const NOTICED: Duration = Duration::from_secs(2);

/// Strikes, asserts what callers get, heals, and asserts that service is normal again.
fn ordeal(name: &str, stage: &mut Stage, strike: impl FnOnce(&mut Stage), heal: impl FnOnce(&mut Stage)) {
    let cached = person(0);
    for _ in 0..2 {
        assert!(stage.passes(&cached));
    }
    strike(stage);
    let struck = Instant::now();
    let before = stage.scene.upstream.request_count();
    // Nobody but those in the cache passes from the first moment on.
    assert!(!stage.passes(&person(1)), "{name}: a send passed that nobody could judge");
    assert_eq!(stage.scene.upstream.request_count(), before);
    while stage.passes(&cached) {
        assert!(struck.elapsed() < NOTICED, "{name}: a cached grant is used for {:?}", struck.elapsed());
    }
    let noticed = struck.elapsed();
    let before = stage.scene.upstream.request_count();
    for n in 0..20 {
        assert!(!stage.passes(&person(n)), "{name}");
    }
    assert_eq!(stage.scene.upstream.request_count(), before, "{name}: something reached the provider");
    let media = request(stage.gate().addr(), "GET", "/v23.0/1234567890", &[], b"");
    assert_eq!(media.status, 200, "{name}: what is no send must pass");
    let asked = Instant::now();
    let refused = stage.withdraw(0);
    let answered = asked.elapsed();
    assert_eq!(refused.status, 503, "{name}: {}", refused.text());
    heal(stage);
    let healed = stage.normal_again();
    assert_eq!(stage.withdraw(0).status, 200, "{name}");
    assert_ne!(stage.gate().send(&text(&cached)).status, 200, "{name}");
    eprintln!(
        "{name}: cached grants unused after {noticed:?}, a withdrawal refused after {answered:?}, normal {healed:?} after healing"
    );
}

#[test]
fn a_killed_server_refuses_everything_until_it_is_back() {
    let mut stage = Stage::with(&["appendonly yes", "appendfsync always"]);
    ordeal("killed", &mut stage, |stage| stage.redis.kill9(), |stage| stage.redis.restart());
}

#[test]
fn a_frozen_server_refuses_everything_until_it_goes_on() {
    let mut stage = Stage::with(&[]);
    ordeal("SIGSTOP", &mut stage, |stage| stage.redis.pause(), |stage| stage.redis.resume());
}

#[test]
fn a_cut_line_refuses_everything_until_it_is_mended() {
    let mut stage = Stage::with(&[]);
    ordeal("cut", &mut stage, |stage| stage.relay.cut(), |stage| stage.relay.mend());
}

#[test]
fn a_silent_line_refuses_everything_until_it_speaks() {
    let mut stage = Stage::with(&[]);
    ordeal("stalled", &mut stage, |stage| stage.relay.stall(), |stage| stage.relay.mend());
}

#[test]
fn a_garbled_line_refuses_everything_until_it_is_clear() {
    let mut stage = Stage::with(&[]);
    ordeal("garbled", &mut stage, |stage| stage.relay.garble(), |stage| stage.relay.mend());
}

#[test]
fn a_line_slower_than_the_deadline_refuses_everything_until_it_is_fast() {
    let mut stage = Stage::with(&[]);
    let slow = |stage: &mut Stage| stage.relay.delay(Duration::from_millis(300));
    // A line this slow still takes in events, so the ordeal's write is not refused: only sends are looked at.
    let cached = person(0);
    assert!(stage.passes(&cached));
    slow(&mut stage);
    assert!(!stage.passes(&person(1)));
    eventually("cached grants are unused", || (!stage.passes(&cached)).then_some(()));
    let before = stage.scene.upstream.request_count();
    for n in 0..20 {
        assert!(!stage.passes(&person(n)));
    }
    assert_eq!(stage.scene.upstream.request_count(), before);
    stage.relay.mend();
    eprintln!("slow: normal {:?} after healing", stage.normal_again());
}

#[test]
fn a_server_that_pauses_its_clients_refuses_everything_meanwhile() {
    let stage = Stage::with(&[]);
    let cached = person(0);
    assert!(stage.passes(&cached));
    assert_eq!(stage.redis.command(&["CLIENT", "PAUSE", "1500", "ALL"]), Reply::Simple("OK".into()));
    let paused = Instant::now();
    assert!(!stage.passes(&person(1)));
    while stage.passes(&cached) {
        assert!(paused.elapsed() < NOTICED);
    }
    let noticed = paused.elapsed();
    let before = stage.scene.upstream.request_count();
    while paused.elapsed() < Duration::from_millis(1300) {
        assert!(!stage.passes(&person(2)));
    }
    assert_eq!(stage.scene.upstream.request_count(), before);
    let healed = stage.normal_again();
    eprintln!("CLIENT PAUSE: cached grants unused after {noticed:?}, normal {healed:?} after 1.3 s of 1.5 s");
}

#[test]
fn a_server_that_became_a_replica_is_not_read_and_takes_no_events() {
    let other = Redis::start();
    let (host, port) = (other.addr().ip().to_string(), other.addr().port().to_string());
    let stage = Stage::with(&[]);
    assert!(stage.passes(&person(0)));
    stage.redis.command(&["REPLICAOF", &host, &port]);
    let demoted = Instant::now();
    // Until the next heartbeat its data is as good as a moment ago.
    eventually("the demotion is noticed", || {
        (!stage.passes(&person(0)) && !stage.passes(&person(1))).then_some(())
    });
    let noticed = demoted.elapsed();
    let before = stage.scene.upstream.request_count();
    for n in 0..20 {
        assert!(!stage.passes(&person(n)));
    }
    assert_eq!(stage.scene.upstream.request_count(), before);
    let (status, told) = stage.readyz();
    assert_eq!(status, 503);
    assert!(told.to_string().contains("is a replica"), "{told}");
    stage.redis.command(&["REPLICAOF", "NO", "ONE"]);
    // The replica took over the other server's emptiness: what was agreed has to be told again.
    eventually("events are accepted again", || {
        let response = stage.withdraw(5);
        (response.status == 200).then_some(())
    });
    stage.everybody_agrees();
    let healed = stage.normal_again();
    eprintln!("REPLICAOF: noticed after {noticed:?}, normal {healed:?} after REPLICAOF NO ONE");
    drop(stage);
    drop(other);
}

#[test]
fn a_full_server_takes_no_events_and_goes_on_judging() {
    let stage = Stage::with(&["maxmemory-policy noeviction"]);
    assert!(stage.passes(&person(0)));
    stage.redis.command(&["CONFIG", "SET", "maxmemory", "1mb"]);
    let refused = stage.withdraw(0);
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(stage.passes(&person(1)), "what was agreed is still known");
    let (status, told) = stage.readyz();
    assert_eq!(status, 200);
    assert!(told["warnings"].to_string().contains("raise maxmemory"), "{told}");
    stage.redis.command(&["CONFIG", "SET", "maxmemory", "0"]);
    let began = Instant::now();
    eventually("events are accepted again", || {
        let answer = stage.withdraw(0);
        (answer.status == 200).then_some(())
    });
    eprintln!("OOM: events accepted {:?} after healing", began.elapsed());
    assert_ne!(stage.gate().send(&text(&person(0))).status, 200);
    assert!(!stage.readyz().1["warnings"].to_string().contains("raise maxmemory"));
}

#[test]
fn a_login_that_is_no_longer_valid_refuses_everything_until_it_is() {
    let mut stage = Stage::with(&["requirepass first"]);
    let change = |stage: &Stage, to: &str| {
        stage.redis.command(&["CONFIG", "SET", "requirepass", to]);
    };
    ordeal(
        "NOAUTH",
        &mut stage,
        |stage| {
            change(stage, "second");
            stage.relay.cut_once();
        },
        |stage| {
            stage.redis.command_as(Some("second"), &["CONFIG", "SET", "requirepass", "first"]);
        },
    );
}

#[test]
fn a_refused_login_is_told_in_readyz_with_its_remedy() {
    let redis = Redis::with(&["requirepass right"]);
    let upstream = Upstream::start();
    let gate = Gate::to(&upstream.url()).redis(&redis.url().replace("right", "wrong")).launch();
    let told = eventually("/readyz answers", || {
        let response = crate::support::client::Client::try_connect(gate.admin_addr()).ok()?;
        drop(response);
        let response = gate.admin("GET", "/readyz", "", b"");
        (response.status == 503).then(|| response.text())
    });
    assert!(told.contains("refused the login"), "{told}");
    assert!(!told.contains("wrong"), "the password is told: {told}");
    assert!(!gate.stderr().join("\n").contains("wrong"));
}

#[test]
fn a_value_that_is_no_record_refuses_only_its_recipient() {
    let stage = Stage::with(&[]);
    let digits = |n: usize| person(n).trim_start_matches('+').to_owned();
    let gate_key = |n: usize| format!("og:c:{{1.{}}}", digits(n));
    // Another type at the key.
    stage.redis.command(&["DEL", &gate_key(0)]);
    stage.redis.command(&["LPUSH", &gate_key(0), "x"]);
    // A value that was cut.
    let Reply::Bulk(Some(whole)) = stage.redis.command(&["GET", &gate_key(1)]) else { panic!("no record") };
    stage.redis.command(&[b"SET", gate_key(1).as_bytes(), &whole[..39]]);
    // A value of another version.
    let mut other = whole.clone();
    other[0] = 9;
    stage.redis.command(&[b"SET", gate_key(2).as_bytes(), &other]);
    for n in 0..3 {
        assert!(!stage.passes(&person(n)), "person {n}");
    }
    assert_eq!(stage.scene.upstream.request_count(), 0);
    assert!(stage.passes(&person(3)));
    // Whole again, it is used at once.
    stage.redis.command(&[b"SET", gate_key(1).as_bytes(), &whole]);
    eventually("the mended record is used", || stage.passes(&person(1)).then_some(()));
}

#[test]
fn a_dossier_that_cannot_be_read_is_not_overwritten() {
    let stage = Stage::with(&[]);
    let key = format!("og:r:{{1.{}}}", person(0).trim_start_matches('+'));
    for spoiled in ["no dossier", ""] {
        stage.redis.command(&["SET", &key, spoiled]);
        let refused = stage.withdraw(0);
        assert_eq!(refused.status, 503, "{}", refused.text());
        assert_eq!(stage.redis.command(&["GET", &key]), Reply::Bulk(Some(spoiled.into())));
    }
}

#[test]
fn a_gate_starts_without_redis_and_needs_no_restart_when_it_comes() {
    let mut redis = Redis::with(&["appendonly yes"]);
    let upstream = Upstream::start();
    {
        let gate = Gate::to(&upstream.url()).redis(&redis.url()).start();
        gate.apply(&[crate::journey::grant(&person(0), &ALL)]);
        gate.put_templates(&crate::journey::templates());
    }
    redis.kill9();
    let began = Instant::now();
    let gate = Gate::to(&upstream.url()).redis(&redis.url()).launch();
    let told = eventually("the gate answers /readyz", || {
        crate::support::client::Client::try_connect(gate.admin_addr()).ok()?;
        let response = gate.admin("GET", "/readyz", "", b"");
        (response.status == 503).then(|| response.text())
    });
    assert!(told.contains("Redis cannot be reached"), "{told}");
    eprintln!("start without Redis: listening after {:?}", began.elapsed());
    refusal(503, 131_016, "store_unavailable").assert(&gate.send(&text(&person(0))));
    let template = crate::journey::template(&person(0), "utility");
    refusal(503, 131_016, "store_unavailable").assert(&gate.send(&template));
    assert_eq!(request(gate.addr(), "GET", "/v23.0/1234567890", &[], b"").status, 200);
    assert_eq!(upstream.request_count(), 1, "only what is no send");
    gate.wait_for_decisions(2);
    redis.restart();
    let back = Instant::now();
    eventually("sends are judged", || {
        let response = gate.send(&template);
        // Never a refusal for a template that is known to the store but not yet to the gate.
        if response.status != 200 {
            refusal(503, 131_016, "store_unavailable").assert(&response);
        }
        (response.status == 200).then_some(())
    });
    eprintln!("start without Redis: judging {:?} after Redis came", back.elapsed());
    eventually("/readyz", || (gate.admin("GET", "/readyz", "", b"").status == 200).then_some(()));
    let hashed = |gate: &Gate| gate.decision_log().iter().any(|event| event["recipient_hash"].is_string());
    eventually("people are hashed again", || {
        (gate.send(&template).status == 200 && hashed(&gate)).then_some(())
    });
    assert!(gate.decision_log()[0]["recipient_hash"].is_null(), "no hash without the shared key");
}

#[test]
fn an_eviction_policy_and_missing_persistence_are_told() {
    let stage = Stage::with(&["maxmemory-policy allkeys-lru"]);
    let told = eventually("the server was looked at", || {
        let told = stage.readyz().1["warnings"].to_string();
        told.contains("noeviction").then_some(told)
    });
    assert!(told.contains("nothing on disk"), "{told}");
    let log = stage.gate().stderr().join("\n");
    assert!(log.contains("maxmemory-policy is allkeys-lru"), "{log}");
    assert!(PEOPLE > 1 && stage.passes(&person(1)), "a warning refuses nobody");
}

#[test]
fn clusters_and_sentinels_are_refused_with_the_way_out() {
    for url in ["redis+cluster://127.0.0.1:1,127.0.0.1:2", "redis+sentinel://127.0.0.1:1/main"] {
        let mut gate = Gate::to("http://127.0.0.1:1").redis(url).launch();
        assert!(!gate.wait().success());
        assert!(gate.stderr().join("\n").contains("not supported yet; write redis://"));
    }
}
