//! Sends to groups, judged by everybody of whom webhooks told that they are in it; in any order, on both stores.

use serde_json::{Value, json};

use super::{change, deliver, digits, preference, relaying, seconds, signature};
use crate::journey::{ALL, ANN, BOB, edge, grant, message, refusal, revoke, template, templates};
use crate::support::client::request;
use crate::support::eventually;
use crate::support::gate::{Gate, GateBuilder};
use crate::support::redis::{Redis, Reply};
use crate::support::relay::Relay;
use crate::support::upstream::{Answer, Upstream};

const GROUP: &str = "Y2FwaV9ncm91cDoxNTU1MDc4Mzg4MToxMjAzNjM0MDQ2OTQyMzM4MjAZD";
const BOBS_ID: &str = "US.20000000000000000002";

fn lifecycle(at: i64, kind: &str) -> Value {
    change(
        "group_lifecycle_update",
        json!({ "groups": [{ "timestamp": seconds(at).to_string(), "group_id": GROUP, "type": kind, "request_id": "r",
            "subject": "test", "invite_link": "https://chat.whatsapp.com/L", "join_approval_mode": "auto_approve" }] }),
    )
}

fn joined(at: i64, participants: &Value) -> Value {
    change(
        "group_participants_update",
        json!({ "groups": [{ "timestamp": seconds(at).to_string(), "group_id": GROUP, "type": "group_participants_add",
            "reason": "invite_link", "added_participants": participants }] }),
    )
}

fn left(at: i64, participants: &Value) -> Value {
    change(
        "group_participants_update",
        json!({ "groups": [{ "timestamp": seconds(at).to_string(), "group_id": GROUP, "type": "group_participants_remove",
            "request_id": "r", "initiated_by": "participant", "removed_participants": participants }] }),
    )
}

fn named(person: &str) -> Value {
    json!([{ "wa_id": digits(person) }])
}

fn bob() -> Value {
    json!([{ "wa_id": digits(BOB), "user_id": BOBS_ID }])
}

struct Stage {
    gate: Gate,
    webhook: std::net::SocketAddr,
}

impl Stage {
    fn start(gate: GateBuilder) -> Self {
        let (gate, webhook) = relaying(gate.set("policy", "groups", "\"members\""), None);
        let gate = gate.start();
        gate.put_templates(&templates());
        gate.apply(&[grant(ANN, &ALL), grant(BOB, &["utility", "service"])]);
        Self { gate, webhook }
    }

    #[track_caller]
    fn told(&self, body: &Value) {
        assert_eq!(deliver(self.webhook, body).status, 200);
    }

    fn send(&self, name: &str) -> crate::support::client::Response {
        let mut send = template(GROUP, name);
        send["recipient_type"] = json!("group");
        self.gate.send(&send)
    }

    #[track_caller]
    fn passes(&self, name: &str) {
        let response = self.send(name);
        assert_eq!(response.status, 200, "{}", response.text());
    }

    #[track_caller]
    fn refused(&self, upstream: &Upstream, name: &str) {
        let before = upstream.request_count();
        refusal(400, 131_030, "group_not_permitted").assert(&self.send(name));
        assert_eq!(upstream.request_count(), before);
    }
}

fn on_both_stores(test: impl Fn(&Stage, &Upstream)) {
    let (redis, upstream) = (Redis::start(), Upstream::start());
    for gate in [Gate::to(&upstream.url()), Gate::to(&upstream.url()).redis(&redis.url())] {
        test(&Stage::start(gate), &upstream);
    }
}

#[test]
fn a_group_gets_what_every_member_has_agreed_to() {
    on_both_stores(|stage, upstream| {
        stage.refused(upstream, "utility");
        stage.told(&lifecycle(-100, "group_create"));
        // Nobody is known to be in it.
        stage.refused(upstream, "utility");
        stage.told(&joined(-90, &named(ANN)));
        stage.passes("utility");
        stage.passes("marketing");
        stage.told(&joined(-80, &bob()));
        stage.passes("utility");
        stage.refused(upstream, "marketing");
        // What one of them says counts at once, under any identity; it is nobody's opt-out from the group.
        stage.gate.apply(&[revoke(BOBS_ID, &["utility"])]);
        stage.refused(upstream, "utility");
        stage.told(&left(-70, &named(BOB)));
        stage.passes("utility");
        stage.passes("marketing");
        stage.told(&preference(ANN, seconds(0), "stop"));
        stage.refused(upstream, "marketing");
        // Somebody joins who agreed to nothing, and one who cannot be named.
        stage.told(&joined(-60, &named("+15550000003")));
        stage.refused(upstream, "utility");
        stage.told(&left(-50, &named("+15550000003")));
        stage.passes("utility");
        stage.told(&joined(-40, &json!([{ "username": "somebody" }])));
        stage.refused(upstream, "utility");
    });
}

#[test]
fn the_order_and_number_of_deliveries_do_not_matter_and_forgeries_change_nothing() {
    let all = [
        lifecycle(-1000, "group_create"),
        joined(-900, &named(ANN)),
        joined(-800, &bob()),
        left(-700, &bob()),
        joined(-600, &named("+15550000003")),
        left(-500, &named("+15550000003")),
    ];
    on_both_stores(|stage, upstream| {
        for body in &all {
            let body = body.to_string();
            let headers = [("X-Hub-Signature-256", &*signature("another secret", body.as_bytes()))];
            assert_eq!(request(stage.webhook, "POST", "/", &headers, body.as_bytes()).status, 403);
        }
        stage.refused(upstream, "utility");
        for n in [5, 1, 3, 0, 4, 2, 2, 4, 0, 3, 1, 5] {
            stage.told(&all[n]);
        }
        stage.passes("marketing");
        // One who left and is told to have joined once more in between is still gone; one who comes back is not.
        stage.told(&joined(-750, &bob()));
        stage.passes("marketing");
        stage.told(&joined(-300, &bob()));
        stage.refused(upstream, "marketing");
        stage.told(&lifecycle(-200, "group_delete"));
        stage.refused(upstream, "utility");
    });
}

#[test]
fn a_message_to_the_group_opens_its_window_and_shows_who_is_in_it() {
    on_both_stores(|stage, upstream| {
        let text = || {
            let mut send = message(GROUP, "text", json!({ "body": "Hi" }));
            send["recipient_type"] = json!("group");
            stage.gate.send(&send)
        };
        stage.told(&lifecycle(-100, "group_create"));
        stage.told(&joined(-90, &named(ANN)));
        let before = upstream.request_count();
        refusal(400, 131_047, "window_closed").assert(&text());
        let wrote = |person: &str, at: i64| {
            change(
                "messages",
                json!({ "messages": [{ "from": digits(person), "group_id": GROUP, "id": format!("wamid.{at}"),
                "timestamp": seconds(at).to_string(), "type": "text", "text": { "body": "Hello" } }] }),
            )
        };
        // A day and more ago.
        stage.told(&wrote(BOB, -90_000));
        refusal(400, 131_047, "window_closed").assert(&text());
        assert_eq!(upstream.request_count(), before);
        stage.told(&wrote(BOB, -60));
        assert_eq!(text().status, 200);
        // He is in it.
        stage.passes("utility");
        stage.refused(upstream, "marketing");
        stage.told(&wrote("+15550000003", -50));
        refusal(400, 131_030, "group_not_permitted").assert(&text());
    });
}

#[test]
fn a_member_who_is_erased_stays_one_without_a_name_until_they_leave() {
    on_both_stores(|stage, upstream| {
        stage.told(&lifecycle(-100, "group_create"));
        stage.told(&joined(-90, &named(ANN)));
        stage.told(&joined(-80, &bob()));
        stage.passes("utility");
        let erased = stage.gate.admin("DELETE", "/v1/tenants/default/recipients/+15550000002", "", b"");
        assert_eq!(erased.status, 200, "{}", erased.text());
        stage.refused(upstream, "utility");
        stage.told(&left(-70, &bob()));
        stage.passes("utility");
    });
}

#[test]
fn what_one_gate_learns_of_a_group_the_other_judges_by() {
    let (redis, upstream) = (Redis::start(), Upstream::start());
    let gate = || Stage::start(Gate::to(&upstream.url()).redis(&redis.url()));
    let (near, far) = (gate(), gate());
    near.told(&lifecycle(-100, "group_create"));
    near.told(&joined(-90, &named(ANN)));
    far.passes("marketing");
    near.told(&joined(-80, &bob()));
    far.refused(&upstream, "marketing");
    // The members are kept, so a restart knows them.
    let folder = far.gate.kill9();
    let (gate, _) = relaying(
        Gate::to(&upstream.url())
            .redis(&redis.url())
            .set("policy", "groups", "\"members\"")
            .in_folder(folder),
        None,
    );
    let far = Stage { gate: gate.start(), ..near };
    far.passes("utility");
    let mut to_person = template(ANN, "utility");
    to_person["recipient_type"] = json!("group");
    assert_eq!(far.gate.post(&edge("messages"), &to_person).status, 400);
}

fn wrote(person: &str, at: i64, text: &str) -> Value {
    change(
        "messages",
        json!({ "messages": [{ "from": digits(person), "group_id": GROUP, "id": format!("wamid.{person}{at}"),
            "timestamp": seconds(at).to_string(), "type": "text", "text": { "body": text } }] }),
    )
}

#[test]
fn a_stop_that_is_written_in_a_group_counts_and_nothing_there_takes_it_back_or_opens_a_window_of_their_own() {
    on_both_stores(|stage, upstream| {
        stage.told(&lifecycle(-100, "group_create"));
        stage.told(&joined(-90, &named(ANN)));
        stage.passes("marketing");
        stage.told(&wrote(ANN, -80, "We have got to STOP this bill"));
        stage.passes("marketing");
        stage.told(&wrote(ANN, -70, "STOP"));
        stage.refused(upstream, "marketing");
        let before = upstream.request_count();
        refusal(400, 131_050, "consent_revoked").assert(&stage.gate.send(&template(ANN, "marketing")));
        stage.told(&wrote(ANN, -60, "START"));
        refusal(400, 131_050, "consent_revoked").assert(&stage.gate.send(&template(ANN, "marketing")));
        refusal(400, 131_047, "window_closed").assert(&stage.gate.send(&message(
            ANN,
            "text",
            json!({ "body": "Hi" }),
        )));
        assert_eq!(upstream.request_count(), before);
    });
}

#[test]
fn a_window_that_must_be_open_is_opened_by_whoever_writes_to_the_group() {
    let upstream = Upstream::start();
    let stage = Stage::start(Gate::to(&upstream.url()).set("policy", "service_window", "\"required\""));
    let text = || {
        let mut send = message(GROUP, "text", json!({ "body": "Hi" }));
        send["recipient_type"] = json!("group");
        stage.gate.send(&send)
    };
    stage.told(&lifecycle(-100, "group_create"));
    stage.told(&joined(-90, &named(ANN)));
    refusal(400, 131_047, "window_closed").assert(&text());
    assert_eq!(upstream.request_count(), 0);
    stage.told(&wrote(ANN, -60, "Hello"));
    assert_eq!(text().status, 200);
}

#[test]
fn an_imported_erasure_leaves_a_member_without_a_name() {
    let upstream = Upstream::start();
    let (redis, key) = (Redis::start(), "42".repeat(32));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, key).unwrap();
    let keyed = |gate: GateBuilder| {
        gate.set("privacy", "recipients_key_file", &format!("{:?}", file.display().to_string()))
    };
    let elsewhere = Stage::start(keyed(Gate::to(&upstream.url())));
    let erased = elsewhere.gate.admin("DELETE", "/v1/tenants/default/recipients/+15550000002", "", b"");
    assert_eq!(erased.status, 200, "{}", erased.text());
    let export = elsewhere.gate.admin("GET", "/v1/export", "application/json", b"");
    let told: Vec<u8> = export
        .body
        .split_inclusive(|b| *b == b'\n')
        .filter(|line| String::from_utf8_lossy(line).contains("\"erase\""))
        .flatten()
        .copied()
        .collect();
    assert!(!told.is_empty(), "{}", export.text());
    for on_redis in [false, true] {
        let gate = keyed(Gate::to(&upstream.url()));
        let stage = Stage::start(if on_redis { gate.redis(&redis.url()) } else { gate });
        stage.told(&lifecycle(-100, "group_create"));
        stage.told(&joined(-90, &named(ANN)));
        stage.told(&joined(-80, &bob()));
        stage.passes("utility");
        let taken = stage.gate.admin("POST", "/v1/events", "application/x-ndjson", &told);
        assert_eq!(taken.json()["applied"], 1, "{}", taken.text());
        stage.refused(&upstream, "utility");
        if on_redis {
            let Reply::Array(groups) = redis.command(&["KEYS", "og:group:*"]) else { panic!("no keys") };
            let [Reply::Bulk(Some(group))] = &groups[..] else { panic!("{groups:?}") };
            let member = |name: &str| redis.command(&[b"HEXISTS", &group[..], name.as_bytes()]);
            assert!(matches!(member("15550000001"), Reply::Integer(1)));
            assert!(matches!(member("15550000002"), Reply::Integer(0)), "the number is still there");
        }
        stage.told(&left(-70, &bob()));
        stage.passes("utility");
    }
}

/// The provider, which lists ANN and BOB as members of one group and takes every send.
fn listing(upstream: &Upstream, participants: &Value, count: usize) {
    let listed = json!({ "messaging_product": "whatsapp", "id": GROUP, "participants": participants,
        "total_participant_count": count })
    .to_string();
    upstream.respond(move |received| match received.method() {
        "GET" if received.target().starts_with(&format!("/{GROUP}?")) => Answer::json(200, &listed),
        "GET" => Answer::json(200, "{\"data\":[]}"),
        _ => Answer::sent(),
    });
}

fn asking(upstream: &Upstream) -> GateBuilder {
    Gate::to(&upstream.url()).set("senders", "poll_seconds", "0").set("templates", "sync_every", "\"0\"").set(
        "upstream",
        "token",
        "\"EAASECRET\"",
    )
}

fn listings(upstream: &Upstream) -> usize {
    upstream.requests().iter().filter(|received| received.target().contains("participants")).count()
}

#[test]
fn who_is_in_a_group_that_was_made_before_is_asked_for_once_and_kept_true_by_webhooks() {
    let redis = Redis::start();
    for on_redis in [false, true] {
        let upstream = Upstream::start();
        listing(
            &upstream,
            &json!([{ "wa_id": digits(ANN) }, { "wa_id": digits(BOB), "user_id": BOBS_ID }, { "wa_id": "15550783881" }]),
            2,
        );
        let gate = asking(&upstream);
        let stage = Stage::start(if on_redis { gate.redis(&redis.url()) } else { gate });
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| stage.passes("utility"));
            }
        });
        assert_eq!(listings(&upstream), 1, "one look-up serves everybody");
        let sends = || upstream.requests().iter().filter(|received| received.method() == "POST").count();
        let before = sends();
        refusal(400, 131_030, "group_not_permitted").assert(&stage.send("marketing"));
        stage.told(&joined(5, &named("+15550000003")));
        refusal(400, 131_030, "group_not_permitted").assert(&stage.send("utility"));
        assert_eq!(sends(), before);
        stage.told(&left(6, &named("+15550000003")));
        stage.passes("utility");
        assert_eq!(listings(&upstream), 1);
        let asked =
            upstream.requests().into_iter().find(|received| received.target().contains("participants"));
        assert_eq!(asked.unwrap().header("authorization"), Some("Bearer EAASECRET"));
    }
}

#[test]
fn a_list_that_leaves_somebody_out_or_cannot_be_had_permits_nothing_and_is_not_asked_for_again_and_again() {
    let upstream = Upstream::start();
    listing(&upstream, &json!([{ "wa_id": digits(ANN) }]), 2);
    let stage = Stage::start(asking(&upstream));
    for _ in 0..3 {
        refusal(400, 131_030, "group_not_permitted").assert(&stage.send("utility"));
    }
    assert_eq!(
        (listings(&upstream), upstream.requests().iter().filter(|r| r.method() == "POST").count()),
        (1, 0)
    );
    let without = Upstream::start();
    let stage = Stage::start(Gate::to(&without.url()));
    stage.refused(&without, "utility");
    assert_eq!(listings(&without), 0, "nobody is asked without a token");
}

#[test]
fn a_group_that_somebody_joins_while_the_connection_is_opened_gets_nothing() {
    let upstream = Upstream::start_tls();
    let relay = Relay::start(upstream.addr());
    relay.stall();
    let gate = Gate::to(&format!("https://{}", relay.addr())).ca_file(upstream.ca_file());
    let stage = Stage::start(gate.set("proxy", "workers", "1"));
    stage.told(&lifecycle(-100, "group_create"));
    stage.told(&joined(-90, &named(ANN)));
    let body = encoded(&template(GROUP, "utility"));
    let operation =
        json!({ "method": "POST", "relative_url": edge("messages").trim_start_matches('/'), "body": body });
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| stage.gate.post("/", &json!({ "batch": [operation, operation] })));
        eventually("the sends are permitted and wait for their connection", || {
            (stage.gate.metric("optgate_decisions_total", &["decision=\"allow\""]) > 1.0).then_some(())
        });
        stage.told(&joined(-80, &named("+15550000003")));
        relay.mend();
        let response = sending.join().unwrap();
        assert_eq!(
            response.header("optgate-decision"),
            Some("deny; reason=group_not_permitted"),
            "{}",
            response.text()
        );
    });
    assert_eq!(upstream.request_count(), 0);
}

/// A message to a group as an operation of a batch writes it.
fn encoded(send: &Value) -> String {
    let template = send["template"].to_string();
    let plain = |byte: u8| byte.is_ascii_alphanumeric();
    let escaped: String = template
        .bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect();
    format!("messaging_product=whatsapp&recipient_type=group&to={GROUP}&type=template&template={escaped}")
}
