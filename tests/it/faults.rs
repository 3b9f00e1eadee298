//! What goes wrong around the gate: framing, its own files, its addresses, its disk.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use crate::journey::{ANN, BOB, Scene, edge, grant, refusal, text};
use crate::support::client::{Client, request};
use crate::support::gate::{Gate, GateBuilder};
use crate::support::upstream::{Answer, Upstream};

const JSON: (&str, &str) = ("Content-Type", "application/json");

fn send_bytes(client: &Client, to: &str) -> Vec<u8> {
    let body = text(to).to_string();
    [client.head("POST", &edge("messages"), &[JSON], body.len()), body.into_bytes()].concat()
}

#[test]
fn a_framing_fault_ends_the_connection_after_what_came_before_it() {
    let scene = Scene::agreed();
    for bad in [
        "POST /v23.0/1/messages HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /v23.0/1/messages HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        "GET /v23.0/1 HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET /v23.0/1 HTTP/1.1\r\n\r\n",
        "GET http://a/v23.0/1 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /v23.0/1 HTTP/1.1\nHost: a\n\n",
        "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
        "TRACE /v23.0/1 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /v23.0/1 HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        "GET /v23.0/1 HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n",
        "\0\0\0\0\r\n\r\n",
    ] {
        let before = scene.upstream.request_count();
        let mut client = scene.gate.connect();
        let good = send_bytes(&client, ANN);
        client.send(&[good.as_slice(), bad.as_bytes(), &good].concat());
        assert_eq!(client.response().status, 200, "{bad:?}");
        let refused = client.response();
        assert_eq!((refused.status, refused.body.len()), (400, 0), "{bad:?}");
        assert!(client.read_to_end().is_ok_and(|rest| rest.is_empty()), "{bad:?}");
        assert_eq!(scene.upstream.request_count(), before + 1, "{bad:?}");
    }
    assert!(scene.upstream.requests().iter().all(|r| r.target() == edge("messages")));
}

#[test]
fn a_broken_chunk_within_a_send_sends_nothing() {
    let scene = Scene::agreed();
    let body = text(ANN).to_string();
    for broken in [
        format!("{:x}\r\n{body}X\r\n0\r\n\r\n", body.len()),
        format!("{:x}\n{body}\r\n0\r\n\r\n", body.len()),
        format!("zz\r\n{body}\r\n0\r\n\r\n"),
    ] {
        let mut client = scene.gate.connect();
        let mut bytes = client.head("POST", &edge("messages"), &[JSON, ("Transfer-Encoding", "chunked")], 0);
        bytes.extend(broken.bytes());
        client.send(&bytes);
        assert!(client.try_response("POST").map_or(true, |response| response.status == 400));
    }
    scene.assert_untouched();
}

#[test]
fn a_caller_that_drips_its_head_is_cut_and_others_are_served() {
    let scene =
        Scene::agreed_with(|gate| gate.set("proxy", "header_timeout_ms", "300").set("proxy", "workers", "1"));
    let started = Instant::now();
    let mut slow: Vec<Client> = (0..20).map(|_| scene.gate.connect()).collect();
    for client in &mut slow {
        client.send(b"POST /v23.0/1/messages HTTP/1.1\r\nHost: a\r\nX-");
    }
    assert_eq!(scene.send_permitted().status, 200);
    // Each drip comes well within the limit; only the whole head does not.
    while started.elapsed() < Duration::from_millis(250) {
        std::thread::sleep(Duration::from_millis(20));
        for client in &mut slow {
            let _ = client.try_send(b"a");
        }
    }
    for client in &mut slow {
        let end = client.read_to_end();
        assert!(
            end.as_ref().map_or(true, |bytes| bytes.is_empty() || bytes.starts_with(b"HTTP/1.1 4")),
            "{end:?}"
        );
    }
    assert_eq!(scene.upstream.request_count(), 1);
}

/// Launches a gate that must not start: exit code and what it says.
#[track_caller]
fn fails_to_start(builder: GateBuilder) -> (Option<i32>, String) {
    let mut gate = builder.launch();
    let status = gate.wait();
    (status.code(), gate.stderr().join("\n"))
}

fn builder() -> GateBuilder {
    Gate::to("http://127.0.0.1:9")
}

#[test]
fn a_store_that_another_gate_holds_is_said_and_nothing_is_served() {
    let upstream = Upstream::start();
    let first = Gate::to(&upstream.url()).start();
    let store = first.folder().join("data").join("store.redb");
    assert!(store.exists(), "{}", store.display());
    let (code, said) = fails_to_start(builder().set("store", "path", &format!("{store:?}")));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("store.redb") && said.contains("another process"), "{said}");
    assert_eq!(request(first.admin_addr(), "GET", "/healthz", &[], b"").status, 200);
}

#[test]
fn a_store_that_is_no_store_is_said_and_left_as_it_is() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("store.redb");
    for content in [b"this is no store".repeat(1000), vec![0; 4096]] {
        std::fs::write(&file, &content).unwrap();
        let (code, said) = fails_to_start(builder().set("store", "path", &format!("{file:?}")));
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("store.redb"), "{said}");
        assert!(!said.contains("panicked"), "{said}");
        assert_eq!(std::fs::read(&file).unwrap(), content);
    }
}

#[test]
fn a_store_that_was_damaged_is_said() {
    let upstream = Upstream::start();
    let mut gate = Gate::to(&upstream.url()).start();
    gate.apply(&(0..50).map(|at| grant(&format!("+1555000{at:04}"), &["service"])).collect::<Vec<_>>());
    gate.stop();
    let store = gate.folder().join("data").join("store.redb");
    let mut bytes = std::fs::read(&store).unwrap();
    // Not the first sectors alone: those hold two copies of which one is enough.
    let pages = bytes.len();
    for byte in &mut bytes[..pages / 2] {
        *byte ^= 0x5a;
    }
    std::fs::write(&store, &bytes).unwrap();
    let (code, said) = fails_to_start(builder().set("store", "path", &format!("{store:?}")));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("store.redb") && !said.contains("panicked"), "{said}");
}

#[test]
fn a_data_folder_that_cannot_be_made_is_said() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("a-file");
    std::fs::write(&file, "in the way").unwrap();
    let inside = file.join("data");
    let (code, said) =
        fails_to_start(builder().environment("OPTGATE__DATA_DIR", &inside.display().to_string()));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("data_dir"), "{said}");
}

#[test]
fn an_address_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    for key in ["OPTGATE_PROXY__LISTEN", "OPTGATE_ADMIN__LISTEN"] {
        let (code, said) = fails_to_start(builder().environment(key, &addr));
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(&addr), "{key}: {said}");
    }
}

#[test]
fn a_decision_log_that_cannot_be_opened_is_said() {
    let (code, said) = fails_to_start(builder().set("decision_log", "file", "\"/nowhere/decisions.log\""));
    assert_ne!(code, Some(0), "{said}");
    assert!(said.contains("decision_log"), "{said}");
}

/// What cannot be recorded is not sent: the queue takes three, the disk takes nothing.
#[test]
fn a_full_disk_stops_sends_instead_of_losing_their_records() {
    let scene = Scene::agreed_with(|gate| {
        gate.set("decision_log", "file", "\"/dev/full\"")
            .set("decision_log", "queue", "3")
            .set("proxy", "workers", "1")
    });
    for _ in 0..3 {
        assert_eq!(scene.send_permitted().status, 200);
    }
    let expected = refusal(503, 131_016, "overloaded");
    let (gate, edge_of) = (scene.gate.addr(), edge("messages"));
    std::thread::scope(|scope| {
        for to in [ANN, ANN, ANN, BOB, BOB] {
            let edge_of = &edge_of;
            scope.spawn(move || {
                let response = request(gate, "POST", edge_of, &[JSON], text(to).to_string().as_bytes());
                expected.assert(&response);
            });
        }
    });
    assert_eq!(scene.upstream.request_count(), 3);
    // What leaves no record anyway still passes.
    assert_eq!(request(gate, "GET", "/v23.0/1", &[], b"").status, 200);
    let refused = scene.gate.count("optgate_decisions_total", &["reason=\"overloaded\""]);
    assert_eq!(refused, 5);
    assert!(
        scene.gate.stderr().iter().any(|line| line.contains("decision log cannot be written")),
        "{:?}",
        scene.gate.stderr()
    );
    // Its log would wait for the disk.
    drop(scene.gate.kill9());
}

#[test]
fn a_full_disk_stops_shadowed_sends_as_well() {
    let scene = Scene::agreed_with(|gate| {
        gate.set("decision_log", "file", "\"/dev/full\"")
            .set("decision_log", "queue", "1")
            .set("proxy", "workers", "1")
            .set("policy", "mode", "\"shadow\"")
    });
    assert_eq!(scene.gate.send(&text(BOB)).status, 200);
    for body in [text(BOB), json!({"to": 7})] {
        refusal(503, 131_016, "overloaded").assert(&scene.gate.send(&body));
    }
    assert_eq!(scene.upstream.request_count(), 1);
    drop(scene.gate.kill9());
}

#[test]
fn a_log_that_may_drop_lets_sends_go_on_and_counts() {
    let scene = Scene::agreed_with(|gate| {
        gate.set("decision_log", "file", "\"/dev/full\"")
            .set("decision_log", "queue", "1")
            .set("decision_log", "on_full", "\"drop\"")
            .set("proxy", "workers", "1")
    });
    for _ in 0..10 {
        assert_eq!(scene.send_permitted().status, 200);
    }
    crate::support::eventually("nine are counted as dropped", || {
        (scene.gate.metric("optgate_decision_log_dropped_total", &[]) >= 9.0).then_some(())
    });
    let told = crate::support::eventually("the fault is reported", || {
        scene.gate.stderr().into_iter().find(|line| line.contains("decision log cannot be written"))
    });
    assert!(told.contains("go on") && !told.contains("wait"), "{told}");
    drop(scene.gate.kill9());
}

#[test]
fn a_decision_log_in_a_file_is_appended_to() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("decisions.ndjson");
    let upstream = Upstream::start();
    upstream.answer(Answer::sent());
    for round in 1..=2 {
        let mut gate = Gate::to(&upstream.url()).set("decision_log", "file", &format!("{file:?}")).start();
        gate.apply(&[grant(ANN, &["service"])]);
        assert_eq!(gate.send(&text(ANN)).status, 200);
        assert_eq!(gate.send(&text(BOB)).status, 400);
        assert_eq!(gate.stop().code(), Some(0));
        assert_eq!(std::fs::read_to_string(&file).unwrap().lines().count(), 2 * round);
        assert!(gate.stdout().is_empty());
    }
}

#[test]
fn consent_outlives_the_gate() {
    let upstream = Upstream::start();
    let gate = Gate::to(&upstream.url()).start();
    gate.apply(&[grant(ANN, &["service"])]);
    let folder = gate.kill9();
    let gate = Gate::to(&upstream.url()).in_folder(folder).start();
    assert_eq!(gate.send(&text(ANN)).status, 200);
    refusal(400, 131_030, "no_consent").assert(&gate.send(&text(BOB)));
    assert_eq!(upstream.request_count(), 1);
}
