//! What the server is asked for: the least of rights, TLS, replicas, and what becomes of an emptied database.

use std::path::Path;
use std::time::Instant;

use serde_json::json;

use super::{Stage, person};
use crate::journey::{ALL, grant, inbound, refusal, revoke, template, templates, text};
use crate::support::eventually;
use crate::support::gate::Gate;
use crate::support::redis::{Redis, Reply};
use crate::support::upstream::Upstream;

/// The line of the operator's guide.
fn documented_acl(password: &str) -> Vec<String> {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/OPERATING.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let line = guide.lines().find(|line| line.trim_start().starts_with("ACL SETUSER optgate")).unwrap();
    line.replace("PASSWORD", password).split_whitespace().map(ToOwned::to_owned).collect()
}

#[test]
fn the_documented_user_may_do_everything_that_the_gate_needs_and_no_more() {
    let redis = Redis::with(&["appendonly yes"]);
    assert_eq!(redis.command(&documented_acl("s3cret")), Reply::Simple("OK".into()));
    let upstream = Upstream::start();
    let gate = Gate::to(&upstream.url()).redis(&format!("redis://optgate:s3cret@{}", redis.addr())).start();
    gate.put_templates(&templates());
    let mut linked = grant(&person(0), &ALL);
    linked["links"] = json!([person(1)]);
    gate.apply(&[linked, grant(&person(2), &ALL), inbound(&person(2), std::time::Duration::from_secs(60))]);
    assert_eq!(gate.send(&template(&person(0), "utility")).status, 200);
    gate.apply(&[revoke(&person(1), &ALL)]);
    refusal(400, 131_030, "consent_revoked").assert(&gate.send(&template(&person(0), "utility")));
    eventually("a canary is heard", || {
        (gate.metric("optgate_propagation_seconds_count", &[]) > 0.0).then_some(())
    });
    assert_eq!(gate.admin("POST", "/v1/audit/checkpoints", "", b"").status, 200);
    let verified = gate.admin("GET", "/v1/audit/verify", "", b"").text();
    assert!(verified.ends_with("{\"done\":{\"findings\":0}}\n"), "{verified}");
    let ready = gate.admin("GET", "/readyz", "", b"").json();
    assert_eq!(ready["warnings"], json!([]), "{ready}");
    drop(gate);
    assert_eq!(redis.command(&["ACL", "LOG"]), Reply::Array(vec![]), "a command was refused");
    let may = |words: &[&str]| {
        let answer = redis.command(&[&["ACL", "DRYRUN", "optgate"], words].concat());
        answer == Reply::Simple("OK".into())
    };
    assert!(may(&["GET", "og:c:{1.1}"]));
    for refused in [
        &["GET", "other"][..],
        &["SWAPDB", "0", "1"],
        &["FLUSHALL"],
        &["KEYS", "*"],
        &["CONFIG", "SET", "save", ""],
        &["DEL", "og:c:{1.1}"],
    ] {
        assert!(!may(refused), "{refused:?}");
    }
}

#[test]
fn a_user_who_may_too_little_is_told_so() {
    let redis = Redis::start();
    redis.command(&["ACL", "SETUSER", "optgate", "on", ">s3cret", "~og:*", "-@all", "+get", "+role"]);
    let gate =
        Gate::to("http://127.0.0.1:1").redis(&format!("redis://optgate:s3cret@{}", redis.addr())).launch();
    let told = eventually("the gate answers /readyz", || {
        crate::support::client::Client::try_connect(gate.admin_addr()).ok()?;
        let answer = gate.admin("GET", "/readyz", "", b"");
        (answer.status == 503).then(|| answer.text())
    });
    assert!(told.contains("give it the ACL line"), "{told}");
}

#[test]
fn an_encrypted_server_is_trusted_only_if_the_right_authority_signed() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let signed = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(file("cert.pem"), signed.cert.pem()).unwrap();
    std::fs::write(file("key.pem"), signed.signing_key.serialize_pem()).unwrap();
    let port = crate::support::free_addr().port();
    let lines = [
        format!("tls-port {port}"),
        format!("tls-cert-file {}", file("cert.pem")),
        format!("tls-key-file {}", file("key.pem")),
        format!("tls-ca-cert-file {}", file("cert.pem")),
        "tls-auth-clients no".to_owned(),
    ];
    let _redis = Redis::with(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    let upstream = Upstream::start();
    let url = format!("rediss://localhost:{port}");
    let trusting =
        Gate::to(&upstream.url()).redis(&url).set("store", "ca_file", &format!("{:?}", file("cert.pem")));
    let gate = trusting.start();
    gate.apply(&[grant(&person(0), &ALL)]);
    assert_eq!(gate.send(&text(&person(0))).status, 200);
    let wary = Gate::to(&upstream.url()).redis(&url).launch();
    eventually("the other gate answers /readyz", || {
        crate::support::client::Client::try_connect(wary.admin_addr()).ok()?;
        (wary.admin("GET", "/readyz", "", b"").status == 503).then_some(())
    });
    refusal(503, 131_016, "store_unavailable").assert(&wary.send(&text(&person(0))));
}

#[test]
fn an_event_is_acknowledged_only_when_the_replicas_have_it() {
    let redis = Redis::start();
    let gate = Gate::to("http://127.0.0.1:1").redis(&redis.url()).set("store", "wait_replicas", "1").start();
    let tell = || {
        gate.admin("POST", "/v1/events", "application/json", grant(&person(0), &ALL).to_string().as_bytes())
    };
    let refused = tell();
    assert_eq!(refused.status, 503, "{}", refused.text());
    let warnings = gate.admin("GET", "/readyz", "", b"").text();
    assert!(warnings.contains("wait_replicas"), "{warnings}");
    let replica = Redis::with(&[&format!("replicaof {} {}", redis.addr().ip(), redis.addr().port())]);
    let began = Instant::now();
    eventually("events are acknowledged", || (tell().status == 200).then_some(()));
    eprintln!("acknowledged {:?} after a replica came", began.elapsed());
    let digits = person(0).trim_start_matches('+').to_owned();
    let there = replica.command(&["GET", &format!("og:c:{{1.{digits}}}")]);
    assert!(matches!(there, Reply::Bulk(Some(_))), "{there:?}");
}

#[test]
fn an_emptied_database_empties_the_cache_and_keeps_the_tenants_apart() {
    let stage = Stage::with(&[]);
    let upstream = Upstream::start();
    for _ in 0..2 {
        assert!(stage.passes(&person(0)));
    }
    stage.redis.command(&["FLUSHALL"]);
    eventually("the cached grant is forgotten", || {
        let response = stage.gate().send(&text(&person(0)));
        (response.status == 400).then(|| refusal(400, 131_030, "no_consent").assert(&response))
    });
    eventually("the tenant has its number again", || {
        (stage.redis.command(&["HGET", "og:tenants:{og}", "default"]) == Reply::Bulk(Some(b"1".to_vec())))
            .then_some(())
    });
    // A gate that comes now with another tenant gives it another number.
    let other =
        Gate::to(&upstream.url()).redis(&stage.redis.url()).tenant("other", "1", "2", "+15550000009").start();
    assert_eq!(stage.redis.command(&["HGET", "og:tenants:{og}", "other"]), Reply::Bulk(Some(b"2".to_vec())));
    drop(other);
    stage.everybody_agrees();
    assert!(stage.passes(&person(0)));
}
