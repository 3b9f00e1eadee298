//! Sends to groups, judged by everybody of whom webhooks told that they are in it; in any order, on both stores.

use serde_json::{Value, json};

use super::{change, deliver, digits, preference, relaying, seconds, signature};
use crate::journey::{ALL, ANN, BOB, edge, grant, message, refusal, revoke, template, templates};
use crate::support::client::request;
use crate::support::gate::{Gate, GateBuilder};
use crate::support::redis::Redis;
use crate::support::upstream::Upstream;

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
                "timestamp": seconds(at).to_string(), "type": "text", "text": { "body": "STOP" } }] }),
            )
        };
        // A day and more ago.
        stage.told(&wrote(BOB, -90_000));
        refusal(400, 131_047, "window_closed").assert(&text());
        assert_eq!(upstream.request_count(), before);
        stage.told(&wrote(BOB, -60));
        assert_eq!(text().status, 200);
        // He is in it; what he said there was said to the group.
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
