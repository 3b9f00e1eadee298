//! Every decision leaves one record, the counters add up, and nothing personal leaks.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering as Atomic};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::*;
use crate::support::client::{Client, request};
use crate::support::upstream::{Answer, Received};

const JSON: (&str, &str) = ("Content-Type", "application/json");

#[test]
fn every_decision_is_one_line_one_count_and_one_header() {
    let scene = Scene::agreed();
    let mut ids = BTreeMap::new();
    for (target, body, outcome) in [
        (edge("messages"), text(ANN), "forwarded"),
        (edge("messages"), text(BOB), "refused"),
        (edge("messages"), template(ANN, "marketing"), "forwarded"),
        (edge("calls"), call(BOB), "refused"),
        (edge("messages_encrypted"), json!({}), "refused"),
        (edge("messages"), json!({"to": 7}), "refused"),
    ] {
        let response = scene.gate.post(&target, &body);
        let id = response.header("optgate-decision-id").unwrap().to_owned();
        assert_eq!(ids.insert(id, outcome), None, "an id was given twice");
    }
    let events = scene.gate.wait_for_decisions(6);
    assert_eq!(events.len(), 6);
    for event in &events {
        assert_eq!(event["outcome"], ids[event["id"].as_str().unwrap()], "{event}");
        for field in [
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
        ] {
            assert!(event.get(field).is_some(), "{field} is missing: {event}");
        }
    }
    assert_eq!(scene.gate.count("optgate_decisions_total", &[]), 6);
    assert_eq!(scene.gate.count("optgate_decisions_total", &["decision=\"allow\"", "reason=\"consent\""]), 2);
    assert_eq!(scene.gate.count("optgate_requests_total", &[]), 6);
    let hashes: BTreeSet<_> = events
        .iter()
        .filter(|e| e["outcome"] == "forwarded")
        .map(|e| e["recipient_hash"].to_string())
        .collect();
    assert_eq!(hashes.len(), 1, "one person, one hash: {hashes:?}");
}

/// What one of the mixed requests was and how it ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Kind {
    Allowed,
    Refused,
    Failed,
    Passed,
    PassedFailed,
}

const KINDS: [Kind; 5] = [Kind::Allowed, Kind::Refused, Kind::Failed, Kind::Passed, Kind::PassedFailed];
const FAILING: &str = "make the provider fail";

/// Makes the `at`-th request on a connection of a caller and asserts what came back.
fn mixed(client: &mut Client, gate: SocketAddr, at: usize) -> Kind {
    // Of a thousand: 500 allowed, 290 refused, 200 passed, 5 that fail each way.
    let kind = match at % 1000 {
        0..5 => Kind::Failed,
        5..10 => Kind::PassedFailed,
        other if other % 2 == 0 => Kind::Allowed,
        other if other % 5 < 2 => Kind::Passed,
        _ => Kind::Refused,
    };
    let (target, body) = match kind {
        Kind::Allowed => (edge("messages"), text(ANN)),
        Kind::Refused => match at % 3 {
            0 => (edge("messages"), text(&format!("+1555000{:04}", at % 10_000))),
            1 => (edge("messages_encrypted"), json!({})),
            _ => (edge("marketing_messages"), template(BOB, "marketing")),
        },
        Kind::Failed => (edge("messages"), message(ANN, "text", json!({"body": FAILING}))),
        Kind::Passed => (edge("whatsapp_business_profile"), json!({"about": at})),
        Kind::PassedFailed => (edge("whatsapp_business_profile"), json!({"about": FAILING})),
    };
    let response = client.request("POST", &target, &[JSON], body.to_string().as_bytes());
    let expected = match kind {
        Kind::Allowed | Kind::Passed => 200,
        Kind::Refused => 400,
        Kind::Failed | Kind::PassedFailed => 504,
    };
    assert_eq!(response.status, expected, "{kind:?}: {}", response.text());
    if response.header("connection") == Some("close") {
        *client = Client::connect(gate);
    }
    kind
}

#[test]
fn counters_add_up_under_ten_thousand_mixed_requests() {
    const REQUESTS: usize = 10_000;
    const CONNECTIONS: usize = 64;
    let scene = Scene::agreed();
    scene.upstream.respond(|received: &Received| {
        let fails = received.payload().windows(FAILING.len()).any(|w| w == FAILING.as_bytes());
        if fails { Answer::close() } else { Answer::sent() }
    });
    let (gate, next) = (scene.gate.addr(), AtomicUsize::new(0));
    let mut made: BTreeMap<Kind, usize> = BTreeMap::new();
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                scope.spawn(|| {
                    let (mut client, mut made) = (Client::connect(gate), BTreeMap::new());
                    loop {
                        let at = next.fetch_add(1, Atomic::Relaxed);
                        if at >= REQUESTS {
                            return made;
                        }
                        *made.entry(mixed(&mut client, gate, at)).or_insert(0) += 1;
                    }
                })
            })
            .collect();
        for caller in callers {
            for (kind, count) in caller.join().unwrap() {
                *made.entry(kind).or_insert(0) += count;
            }
        }
    });
    let [allowed, refused, failed, passed, passed_failed] = KINDS.map(|kind| made[&kind]);
    assert_eq!(allowed + refused + failed + passed + passed_failed, REQUESTS);

    let requests = |kind: &str| scene.gate.count("optgate_requests_total", &[&format!("kind=\"{kind}\"")]);
    let counted = ["send", "refused", "passthrough"].map(requests);
    assert_eq!(counted, [allowed + failed, refused, passed + passed_failed]);
    assert_eq!(counted.iter().sum::<usize>(), REQUESTS);
    let decided = ["allow", "deny"]
        .map(|decision| scene.gate.count("optgate_decisions_total", &[&format!("decision=\"{decision}\"")]));
    assert_eq!(decided, [allowed + failed, refused]);
    let failures = scene.gate.count("optgate_upstream_failures_total", &["kind=\"outcome_unknown\""]);
    assert_eq!(failures, failed + passed_failed);
    for none in ["optgate_aborted_total", "optgate_in_flight", "optgate_decision_log_dropped_total"] {
        assert_eq!(scene.gate.count(none, &[]), 0, "{none}");
    }
    // The provider's own count: nothing that was refused, and nothing twice.
    assert_eq!(scene.upstream.request_count(), allowed + failed + passed + passed_failed);

    let events = scene.gate.wait_for_decisions(allowed + failed + refused);
    let with = |outcome: &str| events.iter().filter(|event| event["outcome"] == outcome).count();
    assert_eq!((with("forwarded"), with("refused"), with("outcome_unknown")), (allowed, refused, failed));
    assert_eq!(events.len(), allowed + failed + refused);
    let ids: BTreeSet<_> = events.iter().map(|event| event["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), events.len());
}

#[test]
fn sigterm_finishes_what_is_in_flight_and_flushes_the_log() {
    const SENDS: usize = 40;
    let mut scene = Scene::agreed_with(|gate| gate.set("proxy", "max_send_body", "\"1KiB\""));
    for _ in 0..25 {
        scene.send_permitted();
        scene.gate.send(&text(BOB));
    }
    scene.upstream.answer(Answer::sent().held());
    let body = text(ANN).to_string();
    let mut waiting: Vec<Client> = (0..SENDS)
        .map(|_| {
            let mut client = scene.gate.connect();
            client.send(
                &[client.head("POST", &edge("messages"), &[JSON], body.len()), body.clone().into_bytes()]
                    .concat(),
            );
            client
        })
        .collect();
    let mut upload = scene.gate.connect();
    upload.send(&upload.head(
        "POST",
        "/v23.0/upload:MTph",
        &[("Content-Type", "application/octet-stream")],
        2048,
    ));
    upload.send(&[b'x'; 1024]);
    crate::support::eventually("everything has arrived", || {
        (scene.upstream.request_count() == 25 + SENDS + 1).then_some(())
    });

    scene.gate.signal("TERM");
    crate::support::eventually("nothing new is taken", || {
        Client::try_connect(scene.gate.addr()).is_err().then_some(())
    });
    upload.send(&[b'y'; 1024]);
    scene.upstream.release();
    for client in &mut waiting {
        assert_eq!(client.response().status, 200);
    }
    assert_eq!(upload.response().status, 200);
    assert_eq!(scene.gate.wait().code(), Some(0), "{:?}", scene.gate.stderr());
    let events = scene.gate.decision_log();
    let forwarded = events.iter().filter(|event| event["outcome"] == "forwarded").count();
    assert_eq!((events.len(), forwarded), (50 + SENDS, 25 + SENDS));
    assert_eq!(scene.upstream.request_count(), 25 + SENDS + 1);
}

#[test]
fn sigterm_under_load_loses_no_record() {
    let mut scene = Scene::agreed();
    let gate = scene.gate.addr();
    let answered: usize = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(move || {
                    let mut answered = 0;
                    while let Ok(mut client) = Client::try_connect(gate) {
                        let body = text(ANN).to_string();
                        let bytes =
                            [client.head("POST", &edge("messages"), &[JSON], body.len()), body.into_bytes()]
                                .concat();
                        match client.try_send(&bytes).and_then(|()| client.try_response("POST")) {
                            Ok(response) => answered += usize::from(response.status == 200),
                            Err(_) => return answered,
                        }
                    }
                    answered
                })
            })
            .collect();
        crate::support::eventually("sends are under way", || {
            (scene.upstream.request_count() > 200).then_some(())
        });
        scene.gate.signal("TERM");
        callers.into_iter().map(|caller| caller.join().unwrap()).sum()
    });
    assert_eq!(scene.gate.wait().code(), Some(0), "{:?}", scene.gate.stderr());
    let events = scene.gate.decision_log();
    assert!(events.iter().all(|event| event["outcome"] == "forwarded"));
    assert_eq!(events.len(), scene.upstream.request_count());
    assert_eq!(events.len(), answered);
}

/// What must appear nowhere, in the forms in which it could.
fn secrets(number: &str, others: &[&str]) -> Vec<String> {
    let digits = number.trim_start_matches('+');
    let mut all = vec![
        digits.to_owned(),
        digits[1..].to_owned(),
        digits[digits.len() - 7..].to_owned(),
        hex::encode(digits),
    ];
    for text in [number, digits].iter().chain(others) {
        all.extend([
            STANDARD.encode(text),
            STANDARD_NO_PAD.encode(text),
            URL_SAFE_NO_PAD.encode(text),
            hex::encode(text),
        ]);
        all.push(aws_sha256(text));
    }
    all.extend(others.iter().map(|&text| text.to_owned()));
    all
}

/// An unkeyed hash of a number is as good as the number: there are few numbers.
fn aws_sha256(text: &str) -> String {
    crate::support::gate::sha256(text.as_bytes())
}

#[test]
fn numbers_tokens_and_texts_appear_nowhere() {
    let (number, stranger) = ("+15557319246", "+15558246137");
    let (token, words, user) =
        ("EAAQsecretTOKENxyzzy42", "the quick brown secret jumps", "US.77777777771234567");
    let mut scene = Scene::with(|gate| {
        gate.environment("RUST_LOG", "trace").set("log", "level", "\"trace\"").set(
            "upstream",
            "response_timeout_ms",
            "300",
        )
    });
    scene.gate.apply(&[grant(number, &ALL), grant(user, &["service"])]);
    let headers = [JSON, ("Authorization", &*format!("Bearer {token}"))];
    let answer = json!({"contacts": [{"input": number, "wa_id": &number[1..]}], "messages": [{"id": format!("wamid.{}", STANDARD.encode(number))}]});
    scene.upstream.answer(Answer::json(200, &answer.to_string()));
    let mut printed = Vec::new();
    let mut ask = |scene: &Scene, method: &str, target: &str, body: &Value| {
        let response = request(scene.gate.addr(), method, target, &headers, body.to_string().as_bytes());
        let own = response.header("optgate-decision").is_none_or(|d| !d.starts_with("allow"));
        if own && response.status >= 400 {
            printed.push(format!("{:?} {}", response.headers(), response.text()));
        }
        response.status
    };
    let said = |to: &str| message(to, "text", json!({"body": words}));
    assert_eq!(ask(&scene, "POST", &edge("messages"), &said(number)), 200);
    let mut to_user = said("");
    to_user.as_object_mut().unwrap().remove("to");
    to_user["recipient"] = json!(user);
    ask(&scene, "POST", &edge("messages"), &to_user);
    for (target, body) in [
        (edge("messages"), said(stranger)),
        (edge("messages"), said(&format!("{number}x"))),
        (edge("messages"), said(&number.replace("+1", ""))),
        (edge("messages"), json!({"to": [number], "text": {"body": words}})),
        (edge("messages"), json!({"messaging_product": words, "to": number})),
        (edge("messages"), json!({"messaging_product": "whatsapp", "to": number, words: {"body": number}})),
        (edge("messages"), message(number, "template", json!({"name": words, "language": {"code": number}}))),
        (edge("messages"), json!({"messaging_product": "whatsapp", "to": number, "recipient_type": words})),
        ("/v23.0/424242/messages".to_owned(), said(number)),
        (format!("/v23.0/{words}/messages").replace(' ', "%20"), said(number)),
        (format!("{}?to={}&access_token={token}", edge("messages"), &number[1..]), said(number)),
        (edge("messages_encrypted"), said(number)),
        (edge("media"), said(number)),
        (
            "/".to_owned(),
            json!({"batch": [{"method": "POST", "relative_url": "1/messages", "body": format!("to={number}&text={words}")}]}),
        ),
    ] {
        assert!(ask(&scene, "POST", &target, &body) >= 400, "{target} {body}");
    }
    // Failures of the provider and of framing have texts of their own.
    for answer in
        [Answer::reset(), Answer::silent(), Answer::raw(format!("{words} {number}\r\n\r\n")).then_close()]
    {
        scene.upstream.answer_once(answer.clone());
        assert_eq!(ask(&scene, "POST", &edge("messages"), &said(number)), 504);
        scene.upstream.answer_once(answer);
        assert_eq!(
            ask(&scene, "POST", &edge("whatsapp_business_profile"), &json!({"about": words, "n": number})),
            504
        );
    }
    let mut odd = scene.gate.connect();
    odd.send(format!("POST /{number} HTTP/1.1\r\nHost: a\r\n {words}: {token}\r\n\r\n").as_bytes());
    printed.push(String::from_utf8_lossy(&odd.read_to_end().unwrap()).into_owned());
    printed.push(scene.gate.admin("GET", "/metrics", "text/plain", b"").text());
    printed.push(
        scene
            .gate
            .admin(
                "POST",
                "/v1/events",
                "application/json",
                json!({"recipient": stranger, "kind": words}).to_string().as_bytes(),
            )
            .text(),
    );
    assert_eq!(scene.gate.stop().code(), Some(0));
    let logged = scene.gate.stdout();
    assert!(logged.len() >= 15, "{logged:?}");
    printed.extend(logged);
    printed.extend(scene.gate.stderr());
    let secrets =
        [secrets(number, &[token, words, user]), secrets(stranger, &[]), vec![words.replace(' ', "%20")]]
            .concat();
    for line in printed {
        let found = secrets.iter().find(|secret| line.contains(secret.as_str()));
        assert_eq!(found, None, "in: {line}");
    }
}
