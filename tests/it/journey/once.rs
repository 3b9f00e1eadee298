//! At most once: whatever the provider, the connection or the caller does, a permitted send is written once and its end is recorded.

use std::net::TcpListener;

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;

use super::*;
use crate::support::client::request;
use crate::support::free_addr;
use crate::support::upstream::Answer;

const NOT_REACHED: Refusal = refusal(503, 131_016, "upstream_not_reached");
const UNKNOWN: Refusal = refusal(504, 135_000, "outcome_unknown");
const JSON: (&str, &str) = ("Content-Type", "application/json");

/// A scene with one worker, so that connections are reused for certain, and a provider that is soon given up.
fn impatient() -> Scene {
    Scene::agreed_with(|gate| gate.set("proxy", "workers", "1").set("upstream", "response_timeout_ms", "300"))
}

#[track_caller]
fn assert_outcome(scene: &Scene, id: &str, outcome: &str) {
    let event = scene.event(id);
    assert_eq!((&event["decision"], &event["outcome"]), (&json!("allow"), &json!(outcome)), "{event}");
}

/// One failure of the provider, on a new connection and on a kept one: the same answer, and one request seen.
#[track_caller]
fn fails_once(answer: &Answer, expected: Refusal) {
    let scene = impatient();
    for kept in [false, true] {
        if kept {
            assert_eq!(scene.send_permitted().status, 200);
        }
        let before = scene.upstream.request_count();
        scene.upstream.answer_once(answer.clone());
        let response = scene.send_permitted();
        let id = expected.assert_envelope(&response);
        assert_eq!(response.header("optgate-decision"), Some("failed"));
        assert_outcome(&scene, &id, "outcome_unknown");
        assert_eq!(scene.upstream.request_count(), before + 1, "kept: {kept}");
    }
    // The next send is not touched by the failure before it.
    assert_eq!(scene.send_permitted().status, 200);
    assert_eq!(scene.upstream.request_count(), 4);
    assert_eq!(scene.gate.count("optgate_upstream_failures_total", &["kind=\"outcome_unknown\""]), 2);
}

#[test]
fn an_upstream_that_resets_before_it_answers_is_asked_once() {
    fails_once(&Answer::reset(), UNKNOWN);
}

#[test]
fn an_upstream_that_closes_before_it_answers_is_asked_once() {
    fails_once(&Answer::close(), UNKNOWN);
}

#[test]
fn an_upstream_that_stays_silent_is_asked_once() {
    fails_once(&Answer::silent(), UNKNOWN);
}

#[test]
fn an_upstream_that_answers_nonsense_is_asked_once() {
    fails_once(&Answer::raw("SSH-2.0-OpenSSH_9.9\r\n\r\n").then_close(), UNKNOWN);
}

#[test]
fn half_a_head_is_no_answer() {
    fails_once(&Answer::sent().cut_after(30), UNKNOWN);
    fails_once(&Answer::sent().cut_after(30).then_hang(), UNKNOWN);
}

#[test]
fn half_a_body_is_no_answer() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"messages\":";
    fails_once(&Answer::raw(head).then_close(), UNKNOWN);
    fails_once(&Answer::raw(head).then_reset(), UNKNOWN);
    fails_once(&Answer::raw(head).then_hang(), UNKNOWN);
}

#[test]
fn an_upstream_that_refuses_connections_is_not_reached() {
    let gate = Gate::to(&format!("http://{}", free_addr())).start();
    gate.apply(&[grant(ANN, &["service"])]);
    for _ in 0..3 {
        let response = gate.send(&text(ANN));
        let id = NOT_REACHED.assert_envelope(&response);
        let event = crate::support::eventually("the send is logged", || {
            gate.decision_log().into_iter().find(|e| e["id"] == id)
        });
        assert_eq!(
            (&event["decision"], &event["outcome"], &event["upstream_status"]),
            (&json!("allow"), &json!("upstream_not_reached"), &json!(null))
        );
    }
    NOT_REACHED.assert_envelope(&request(gate.addr(), "GET", "/v23.0/1", &[], b""));
}

#[test]
fn an_upstream_that_never_accepts_is_not_reached() {
    // A full backlog: the system neither accepts nor refuses.
    let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    listener.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let addr = listener.local_addr().unwrap().as_socket().unwrap();
    let _fill: Vec<_> =
        (0..2).map(|_| std::net::TcpStream::connect_timeout(&addr, Duration::from_millis(200))).collect();
    let gate = Gate::to(&format!("http://{addr}")).set("upstream", "connect_timeout_ms", "300").start();
    gate.apply(&[grant(ANN, &["service"])]);
    NOT_REACHED.assert_envelope(&gate.send(&text(ANN)));
}

#[test]
fn an_upstream_that_does_not_answer_the_tls_handshake_is_not_reached() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let gate = Gate::to(&format!("https://{}", silent.local_addr().unwrap()))
        .set("upstream", "connect_timeout_ms", "300")
        .start();
    gate.apply(&[grant(ANN, &["service"])]);
    NOT_REACHED.assert_envelope(&gate.send(&text(ANN)));
}

#[test]
fn a_connection_that_the_upstream_closed_between_sends_is_replaced() {
    let scene = impatient();
    let rounds = 100;
    scene.upstream.answer(Answer::sent().then_close());
    for round in 1..=rounds {
        let response = scene.send_permitted();
        assert_eq!(response.status, 200, "round {round}: {}", response.text());
        assert_eq!(scene.upstream.request_count(), round);
        // The connection's end has been sent, not merely planned.
        crate::support::eventually("the upstream has closed", || {
            (scene.upstream.open_connections() == 0).then_some(())
        });
    }
    assert_eq!(scene.upstream.connection_count(), rounds);
}

#[test]
fn a_connection_that_the_upstream_reset_between_sends_is_replaced() {
    let scene = impatient();
    scene.upstream.answer(Answer::sent().then_reset());
    for round in 1..=50 {
        let response = scene.send_permitted();
        assert_eq!(response.status, 200, "round {round}: {}", response.text());
        assert_eq!(scene.upstream.request_count(), round);
        crate::support::eventually("the upstream has reset", || {
            (scene.upstream.open_connections() == 0).then_some(())
        });
        // And the gate's side of it knows, which a busy system tells a moment later.
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Such an answer was read by its chunks; a caller who read it by its length would wait for what never comes, or take the next answer for the rest of this one.
#[test]
fn an_answer_with_a_length_beside_its_chunks_arrives_whole() {
    let scene = Scene::agreed();
    for length in [1, 60] {
        let head =
            format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: {length}\r\n\r\n");
        scene.upstream.answer(Answer::raw(head + "2\r\n{}\r\n0\r\n\r\n"));
        let response = scene.gate.send(&text(ANN));
        assert_eq!((response.status, response.text().as_str()), (200, "{}"), "length {length}");
    }
}

/// How a caller leaves.
#[derive(Clone, Copy, Debug)]
enum Leaving {
    Fin,
    Rst,
}

#[test]
fn a_send_whose_caller_leaves_is_forwarded_once_and_recorded() {
    let scene = Scene::agreed();
    let body = text(ANN).to_string();
    for round in 0..60 {
        let leaving = if round % 2 == 0 { Leaving::Fin } else { Leaving::Rst };
        let mut client = scene.gate.connect();
        client.send(
            &[client.head("POST", &edge("messages"), &[JSON], body.len()), body.clone().into_bytes()]
                .concat(),
        );
        if round % 3 == 0 {
            // After the decision, while the provider works on it.
            scene.upstream.answer_once(Answer::sent().after(Duration::from_millis(30)));
            scene.upstream.wait_for(scene.gate.decision_log().len());
        }
        match leaving {
            Leaving::Fin => drop(client),
            Leaving::Rst => client.reset(),
        }
    }
    // A request that its caller's RST overtook was never read: it is neither forwarded nor recorded. All others are, once.
    let forwarded = crate::support::eventually("every forward is recorded", || {
        let idle = scene.gate.count("optgate_in_flight", &[]) == 0;
        let events = scene.gate.decision_log();
        (idle && events.len() == scene.upstream.request_count() && events.len() >= 30).then_some(events)
    });
    assert!(forwarded.iter().all(|event| event["outcome"] == "forwarded"), "{forwarded:?}");
    assert!(forwarded.len() <= 60);
    assert!(scene.upstream.requests().iter().all(|r| r.complete && r.payload() == body.as_bytes()));
}

/// The provider holds its answer until the caller is gone for certain.
#[test]
fn a_forward_in_the_air_survives_fin_and_rst() {
    for leaving in [Leaving::Fin, Leaving::Rst] {
        let scene = Scene::agreed();
        scene.upstream.answer(Answer::sent().held());
        let body = text(ANN).to_string();
        let mut client = scene.gate.connect();
        client.send(
            &[client.head("POST", &edge("messages"), &[JSON], body.len()), body.clone().into_bytes()]
                .concat(),
        );
        scene.upstream.wait_for(1);
        match leaving {
            Leaving::Fin => drop(client),
            Leaving::Rst => client.reset(),
        }
        // Another caller's request shows that the gate goes on, and gives the loss time to be noticed.
        assert_eq!(scene.gate.send(&text(BOB)).status, 400);
        scene.upstream.release();
        let events = scene.gate.wait_for_decisions(2);
        let forwarded: Vec<_> = events.iter().filter(|e| e["outcome"] == "forwarded").collect();
        assert_eq!(
            (forwarded.len(), &forwarded[0]["upstream_status"]),
            (1, &json!(200)),
            "{leaving:?}: {events:?}"
        );
        assert_eq!(scene.upstream.request_count(), 1);
    }
}

#[test]
fn a_caller_that_leaves_within_its_body_has_sent_nothing() {
    let scene = Scene::agreed();
    let body = text(ANN).to_string();
    for round in 0..10 {
        let mut client = scene.gate.connect();
        client.send(&client.head("POST", &edge("messages"), &[JSON], body.len() + 1));
        client.send(body.as_bytes());
        if round % 2 == 0 { drop(client) } else { client.reset() }
    }
    crate::support::eventually("nothing is in flight", || {
        (scene.gate.count("optgate_in_flight", &[]) == 0).then_some(())
    });
    assert_eq!(scene.gate.send(&text(BOB)).status, 400);
    scene.assert_untouched();
    assert!(scene.gate.decision_log().iter().all(|event| event["decision"] == "deny"));
}

#[test]
fn a_caller_that_closes_its_sending_half_still_gets_its_answer() {
    let scene = Scene::agreed();
    scene.upstream.answer(Answer::sent().after(Duration::from_millis(50)));
    let body = text(ANN).to_string();
    let mut client = scene.gate.connect();
    client.send(&[client.head("POST", &edge("messages"), &[JSON], body.len()), body.into_bytes()].concat());
    client.finish_writing();
    assert_eq!(client.response().status, 200);
    assert_eq!(scene.upstream.request_count(), 1);
}

#[test]
fn a_passthrough_that_fails_is_asked_once_too() {
    let scene = impatient();
    for answer in [Answer::reset(), Answer::close(), Answer::silent(), Answer::sent().cut_after(20)] {
        let before = scene.upstream.request_count();
        scene.upstream.answer_once(answer);
        let response = request(scene.gate.addr(), "POST", &edge("whatsapp_business_profile"), &[JSON], b"{}");
        UNKNOWN.assert_envelope(&response);
        assert_eq!(scene.upstream.request_count(), before + 1);
    }
}

/// An HTTP/2 caller that gives one stream up keeps its connection.
#[test]
fn a_forward_survives_the_reset_of_its_stream() {
    let scene = Scene::agreed();
    scene.upstream.answer(Answer::sent().held());
    crate::support::runtime().block_on(async {
        let stream = tokio::net::TcpStream::connect(scene.gate.addr()).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        let driver = tokio::spawn(connection);
        let request = || {
            http::Request::post(format!("http://{}{}", scene.gate.addr(), edge("messages")))
                .header("content-type", "application/json")
                .body(Full::new(Bytes::from(text(ANN).to_string())))
                .unwrap()
        };
        let given_up = tokio::spawn(sender.send_request(request()));
        tokio::task::block_in_place(|| scene.upstream.wait_for(1));
        given_up.abort();
        let second = sender.send_request(request());
        scene.upstream.release();
        assert_eq!(second.await.unwrap().status(), 200);
        driver.abort();
    });
    let events = scene.gate.wait_for_decisions(2);
    assert!(events.iter().all(|event| event["outcome"] == "forwarded"), "{events:?}");
    assert_eq!(scene.upstream.request_count(), 2);
}

/// A drain has an end, and what it cuts is recorded as what it is.
#[test]
fn a_forward_that_outlasts_the_drain_is_recorded_as_unknown() {
    let mut scene = Scene::agreed_with(|gate| gate.set("proxy", "drain_seconds", "1"));
    scene.upstream.answer(Answer::silent());
    let body = text(ANN).to_string();
    let mut client = scene.gate.connect();
    client.send(&[client.head("POST", &edge("messages"), &[JSON], body.len()), body.into_bytes()].concat());
    scene.upstream.wait_for(1);
    let asked = std::time::Instant::now();
    assert_eq!(scene.gate.stop().code(), Some(0), "{:?}", scene.gate.stderr());
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    let events = scene.gate.decision_log();
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(
        (&events[0]["decision"], &events[0]["outcome"]),
        (&json!("allow"), &json!("outcome_unknown")),
        "{events:?}"
    );
    assert_eq!(scene.upstream.request_count(), 1);
}

#[test]
fn a_long_answer_that_stalls_is_given_up_and_its_caller_is_told_no_lie() {
    let scene = impatient();
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n";
    scene.upstream.answer_once(
        Answer::raw(format!("{head}{}", "x".repeat(9000))).cut_after(head.len() + 5000).then_hang(),
    );
    let mut caller = scene.gate.connect();
    let body = text(ANN).to_string();
    caller.send(&caller.head("POST", &edge("messages"), &[JSON], body.len()));
    caller.send(body.as_bytes());
    let started = std::time::Instant::now();
    let heard = caller.read_to_end().unwrap();
    assert!(started.elapsed() < Duration::from_secs(5), "the answer was waited for");
    let told = heard.windows(4).position(|four| four == b"\r\n\r\n").map(|end| heard.len() - end - 4);
    assert_eq!(told, Some(5000), "as much as came, and no end");
    assert_eq!(scene.upstream.request_count(), 1);
}
