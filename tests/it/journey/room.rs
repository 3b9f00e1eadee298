//! A worker holds only so much of its callers' bodies at a time; what streams needs no room.

use serde_json::json;

use super::*;
use crate::support::client::{Client, request};
use crate::support::{eventually, http1};

const JSON: (&str, &str) = ("Content-Type", "application/json");
const OVERLOADED: Refusal = refusal(503, 131_016, "overloaded");

/// One worker with room for a send and a half of the largest size.
fn scene() -> Scene {
    Scene::agreed_with(|gate| {
        gate.set("proxy", "workers", "1").set("proxy", "max_send_body", "\"16KiB\"").set(
            "proxy",
            "max_buffered_per_worker",
            "\"24KiB\"",
        )
    })
}

/// A text message of exactly so many bytes.
fn sized(to: &str, length: usize) -> String {
    let mut message = text(to);
    message["text"]["body"] = json!("");
    let rest = length - message.to_string().len();
    message["text"]["body"] = json!("x".repeat(rest));
    message.to_string()
}

fn send(scene: &Scene, body: &str) -> Response {
    request(scene.gate.addr(), "POST", &edge("messages"), &[JSON], body.as_bytes())
}

/// A caller who has written all but the last byte of the largest send, all of which the gate holds.
fn holding(scene: &Scene, body: &str) -> Client {
    let mut caller = scene.gate.connect();
    caller.send(&caller.head("POST", &edge("messages"), &[JSON], body.len()));
    caller.send(&body.as_bytes()[..body.len() - 1]);
    // Bob agreed to nothing, so that asking for him sends nothing.
    eventually("there is no room for another", || {
        (send(scene, &sized(BOB, 10 * 1024)).status == 503).then_some(())
    });
    caller
}

fn passes_once_there_is_room(scene: &Scene, body: &str) {
    eventually("there is room again", || match send(scene, body).status {
        200 => Some(()),
        status => {
            assert_eq!(status, 503);
            None
        }
    });
}

#[test]
fn a_send_without_room_is_refused_and_may_be_repeated() {
    let scene = scene();
    let whole = sized(ANN, 16 * 1024);
    let mut slow = holding(&scene, &whole);
    let large = sized(ANN, 10 * 1024);
    let id = OVERLOADED.assert(&send(&scene, &large));
    scene.assert_untouched();
    let event = scene.event(&id);
    assert_eq!((&event["decision"], &event["reason"]), (&json!("deny"), &json!("overloaded")), "{event}");
    let pieces: Vec<&[u8]> = large.as_bytes().chunks(1000).collect();
    let headers = [JSON, ("Transfer-Encoding", "chunked")];
    let unannounced =
        request(scene.gate.addr(), "POST", &edge("messages"), &headers, &http1::chunked(&pieces));
    OVERLOADED.assert(&unannounced);
    scene.assert_untouched();

    assert_eq!(send(&scene, &sized(ANN, 1024)).status, 200);
    slow.send(&whole.as_bytes()[whole.len() - 1..]);
    assert_eq!(slow.response().status, 200);
    for _ in 0..20 {
        passes_once_there_is_room(&scene, &whole);
    }
    let received = scene.upstream.requests();
    assert_eq!(received.len(), 22);
    assert_eq!(received[1].payload(), whole.as_bytes());
}

#[test]
fn what_streams_needs_no_room() {
    let scene = scene();
    let _slow = holding(&scene, &sized(ANN, 16 * 1024));
    let kind = ("Content-Type", "multipart/form-data; boundary=B");
    for (count, length) in (1..).zip([10 * 1024, 200 * 1024]) {
        let head = "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.pdf\"\r\n\r\n";
        let upload = format!("{head}{}\r\n--B--\r\n", "x".repeat(length));
        let response = request(scene.gate.addr(), "POST", &edge("media"), &[kind], upload.as_bytes());
        assert_eq!(response.status, 200, "{}", response.text());
        assert_eq!(scene.upstream.wait_for(count)[count - 1].payload(), upload.as_bytes());
    }
    assert_eq!(request(scene.gate.addr(), "GET", "/v23.0/1", &[], b"").status, 200);
}

#[test]
fn a_body_that_is_abandoned_gives_its_room_back() {
    let scene = scene();
    let whole = sized(ANN, 16 * 1024);
    holding(&scene, &whole).reset();
    passes_once_there_is_room(&scene, &whole);
    assert_eq!(scene.upstream.request_count(), 1);
}

#[test]
fn what_is_decided_by_its_head_needs_no_room_in_shadow_mode_even_if_its_body_is_here() {
    let scene = Scene::agreed_with(|gate| {
        gate.set("proxy", "workers", "1")
            .set("proxy", "max_send_body", "\"1KiB\"")
            .set("proxy", "max_buffered_per_worker", "\"1KiB\"")
            .set("policy", "mode", "\"shadow\"")
    });
    let body = "x".repeat(1500);
    for (count, (method, target)) in
        (1..).zip([("DELETE", "subscribed_apps"), ("POST", "messages_encrypted"), ("POST", "messages")])
    {
        let response = request(scene.gate.addr(), method, &edge(target), &[JSON], body.as_bytes());
        if target == "messages" {
            assert_eq!(
                response.status,
                413,
                "what must be read to be judged is refused: {}",
                response.text()
            );
            continue;
        }
        assert_eq!(response.status, 200, "{method} {target}: {}", response.text());
        assert_eq!(scene.upstream.wait_for(count)[count - 1].payload(), body.as_bytes());
    }
    assert_eq!(scene.upstream.request_count(), 2);
}
