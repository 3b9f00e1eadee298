//! The sandbox's webhooks through the real gate: each kind is taken and learnt from, and nothing from a forged one.

use std::net::SocketAddr;
use std::time::Duration;

use optgate::sandbox::{Sandbox, Settings, Subscription};
use serde_json::{Value, json};

use super::{SECRET, VERIFY_TOKEN, relaying, signature};
use crate::journey::{ALL, ANN, BOB, grant, refusal, template as send_of, text};
use crate::support::client::{Response, request};
use crate::support::gate::{ACCOUNT, Gate, SENDER};
use crate::support::upstream::Upstream;
use crate::support::{eventually, runtime};

const ORDER: &str = "order_update";
const PROMOTION: &str = "promo_sale";
/// Longer than statuses wait before they are compared.
const SETTLED: Duration = Duration::from_millis(2500);

/// The sandbox, a gate in front of it that relays its webhooks, and a bot behind.
struct Town {
    sandbox: Sandbox,
    gate: Gate,
    bot: Upstream,
    webhook: SocketAddr,
}

impl Town {
    /// [`ANN`] has agreed to everything.
    fn start() -> Self {
        let town = Self::signing_with(SECRET);
        town.gate.apply(&[grant(ANN, &ALL)]);
        town
    }

    fn signing_with(app_secret: &str) -> Self {
        let settings = Settings { redelivery: Duration::from_millis(20), ..Settings::default() };
        let sandbox = runtime().block_on(Sandbox::start(settings)).unwrap();
        let bot = Upstream::start();
        let gate = Gate::to(&sandbox.url()).set("senders", "settle_seconds", "1");
        let (gate, webhook) = relaying(gate, Some(&bot));
        let gate = gate.start();
        let list = request(
            gate.addr(),
            "GET",
            &format!("/v23.0/{ACCOUNT}/message_templates"),
            &[("Authorization", "Bearer any")],
            b"",
        );
        let put = gate.admin("PUT", &format!("/v1/templates/{ACCOUNT}"), "application/json", &list.body);
        assert_eq!(put.status, 200, "{}", put.text());
        let town = Self { sandbox, gate, bot, webhook };
        town.subscribe(app_secret, VERIFY_TOKEN).unwrap();
        town
    }

    fn subscribe(&self, app_secret: &str, verify_token: &str) -> Result<(), String> {
        let subscription = Subscription {
            url: format!("http://{}/hook?of=meta", self.webhook).parse().unwrap(),
            app_secret: app_secret.to_owned(),
            verify_token: verify_token.to_owned(),
        };
        runtime().block_on(self.sandbox.subscribe(subscription)).map_err(|unverified| unverified.to_string())
    }

    fn ask(&self, endpoint: &str, body: &Value) -> Response {
        let target = format!("/_sandbox/{endpoint}");
        request(self.sandbox.address(), "POST", &target, &[], body.to_string().as_bytes())
    }

    /// Asks for something that the gate must take.
    #[track_caller]
    fn told(&self, endpoint: &str, body: &Value) {
        let answer = self.ask(endpoint, body);
        assert_eq!((answer.status, &answer.json()["delivered"]), (200, &json!(true)), "{}", answer.text());
    }

    #[track_caller]
    fn says(&self, person: &str, words: &str) {
        self.told("say", &json!({ "from": person, "text": words }));
    }

    fn send(&self, person: &str, name: &str) -> Response {
        let mut message = send_of(person, name);
        message["template"]["language"]["code"] = json!("en_US");
        self.gate.send(&message)
    }

    /// Waits until nothing is on its way, and gives the counts.
    fn quiet(&self) -> Value {
        eventually("every webhook has arrived", || {
            let state = request(self.sandbox.address(), "GET", "/_sandbox/webhook", &[], b"").json();
            (state["waiting"] == 0).then_some(state)
        })
    }

    /// What is summed up of the sender's last days.
    fn summary(&self) -> Value {
        let target = format!("/v1/senders/{SENDER}");
        self.gate.admin("GET", &target, "application/json", b"").json()["messages"][0].clone()
    }
}

#[test]
fn what_became_of_each_message_is_heard_counted_and_relayed() {
    let town = Town::start();
    town.says(ANN, "Hi");
    let sends = [town.send(ANN, ORDER), town.send(ANN, PROMOTION), town.gate.send(&text(ANN))];
    assert!(sends.iter().all(|response| response.status == 200), "{sends:?}");
    let state = town.quiet();
    assert_eq!((&state["delivered"], &state["failed_attempts"]), (&json!(10), &json!(0)), "{state}");
    eventually("all are summed up", || (town.summary()["sent"] == 3).then_some(()));
    std::thread::sleep(SETTLED);
    let count = |name: &str| town.gate.count(name, &[]);
    assert_eq!(
        [count("optgate_bypass_suspected_total"), count("optgate_category_mismatch_total")],
        [0, 0],
        "the ids and categories are those of the answers"
    );
    for webhook in town.bot.requests() {
        assert_eq!(webhook.header("x-hub-signature-256"), Some(&*signature(SECRET, webhook.payload())));
    }
    assert_eq!(town.bot.request_count(), 10);
}

#[test]
fn a_message_that_the_gate_never_saw_is_suspected() {
    let town = Town::start();
    // Twice the time to settle and a second: until then it may be of a message from before the gate started.
    std::thread::sleep(Duration::from_secs(4));
    let body = json!({ "messaging_product": "whatsapp", "to": ANN, "text": { "body": "Around the gate" } });
    let around = request(
        town.sandbox.address(),
        "POST",
        &format!("/{SENDER}/messages"),
        &[("Authorization", "Bearer any"), ("Content-Type", "application/json")],
        body.to_string().as_bytes(),
    );
    assert_eq!(around.status, 200);
    eventually("it is suspected", || {
        (town.gate.count("optgate_bypass_suspected_total", &[SENDER]) == 1).then_some(())
    });
}

#[test]
fn designated_numbers_fail_after_they_were_accepted() {
    let town = Town::start();
    let (stopped, unreachable) = ("+12098131050", "+12098131026");
    town.gate.apply(&[grant(stopped, &ALL), grant(unreachable, &ALL)]);
    for person in [stopped, unreachable] {
        assert_eq!(town.send(person, PROMOTION).status, 200);
    }
    town.quiet();
    refusal(400, 131_050, "consent_revoked").assert(&town.send(stopped, PROMOTION));
    assert_eq!(town.send(unreachable, PROMOTION).status, 200);
    eventually("both are told apart", || {
        let summary = town.summary();
        let of = |code: u64| summary["failures"].as_array()?.iter().find(|f| f["code"] == code).cloned();
        (of(131_050)?["count"] == 1 && of(131_026)?["count"] == 2).then_some(())
    });
}

#[test]
fn what_people_write_and_press_opens_the_window_stops_and_resumes() {
    let town = Town::start();
    assert_eq!(town.gate.send(&text(BOB)).status, 400);
    town.says(BOB, "¿Dónde está mi pedido? 👀");
    assert_eq!(town.gate.send(&text(BOB)).status, 200);
    for (way, pressed) in [
        ("text", json!("STOP")),
        ("button", json!({ "text": "Stop promotions", "payload": "OFF-17" })),
        ("reply", json!({ "title": "Unsubscribe", "id": "x" })),
        ("list", json!({ "title": "Stop", "id": "y", "description": "No more" })),
    ] {
        let at = |back: i64| json!(super::seconds(back));
        town.told("say", &json!({ "from": ANN, way: pressed, "at": at(0) }));
        refusal(400, 131_050, "consent_revoked").assert(&town.send(ANN, PROMOTION));
        // A stop wins over a resume of the same second.
        town.told("say", &json!({ "from": ANN, "text": "START", "at": at(2) }));
        assert_eq!(town.send(ANN, PROMOTION).status, 200, "{way}");
        std::thread::sleep(Duration::from_millis(2100));
    }
}

#[test]
fn a_person_who_is_known_by_user_id_alone_stops_under_their_number_too() {
    let town = Town::start();
    town.says(ANN, "Hi");
    let heard = town.bot.wait_for(1);
    let body: Value = serde_json::from_slice(heard[0].payload()).unwrap();
    let contact = body["entry"][0]["changes"][0]["value"]["contacts"][0].clone();
    assert_eq!(contact["wa_id"], "15550000001");
    let user_id = contact["user_id"].as_str().unwrap();
    assert!(user_id.starts_with("US."), "{contact}");
    town.says(user_id, "STOP");
    refusal(400, 131_050, "consent_revoked").assert(&town.send(ANN, PROMOTION));
}

#[test]
fn the_switch_in_a_persons_app_stops_marketing_until_it_is_turned_back() {
    let town = Town::start();
    town.told("preference", &json!({ "from": ANN, "value": "stop", "at": super::seconds(-5) }));
    refusal(400, 131_050, "consent_revoked").assert(&town.send(ANN, PROMOTION));
    assert_eq!(town.send(ANN, ORDER).status, 200);
    town.told("preference", &json!({ "from": ANN, "value": "resume" }));
    assert_eq!(town.send(ANN, PROMOTION).status, 200);
}

#[test]
fn changes_of_templates_reach_the_catalogue_in_both_shapes() {
    let town = Town::start();
    town.gate.apply(&[grant(BOB, &["utility"])]);
    assert_eq!(town.send(BOB, ORDER).status, 200);
    let shown = || {
        let lists = town.gate.admin("GET", "/v1/templates", "application/json", b"").json();
        let all = lists["accounts"][0]["templates"].as_array().unwrap().clone();
        all.into_iter().find(|template| template["name"] == ORDER).unwrap()
    };
    let put = |more: &Value| {
        let mut body = json!({ "name": ORDER, "language": "en_US", "category": "UTILITY" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(town.ask("templates", &body).status, 200);
        town.quiet();
    };
    put(&json!({ "correct_category": "MARKETING" }));
    assert_eq!(shown()["announced"]["category"], "marketing", "{}", shown());
    refusal(400, 131_030, "no_consent").assert(&town.send(BOB, ORDER));
    put(&json!({ "category": "MARKETING", "status": "PAUSED" }));
    assert_eq!((&shown()["category"], &shown()["status"]), (&json!("marketing"), &json!("PAUSED")));
    refusal(400, 131_030, "no_consent").assert(&town.send(BOB, ORDER));
    put(&json!({ "category": "MARKETING", "status": "APPROVED", "quiet": true }));
    assert_eq!(shown()["status"], "PAUSED", "nothing was told");
}

#[test]
fn any_other_change_is_told_as_it_stands() {
    let town = Town::start();
    let value =
        json!({ "display_phone_number": "15550783881", "event": "FLAGGED", "current_limit": "TIER_10K" });
    town.told("change", &json!({ "field": "phone_number_quality_update", "value": value }));
    refusal(400, 131_030, "sender_health").assert(&town.send(ANN, PROMOTION));
}

#[test]
fn nothing_is_learnt_from_webhooks_under_another_secret() {
    let town = Town::signing_with("not the app's secret");
    town.gate.apply(&[grant(ANN, &ALL)]);
    for (endpoint, body) in [
        ("say", json!({ "from": ANN, "text": "STOP" })),
        ("preference", json!({ "from": ANN, "value": "stop" })),
        (
            "change",
            json!({ "field": "phone_number_quality_update", "value": { "display_phone_number": "15550783881", "event": "FLAGGED" } }),
        ),
    ] {
        let answer = town.ask(endpoint, &body);
        assert_eq!(answer.status, 502, "{}", answer.text());
        assert!(answer.text().contains("403: is the app secret"), "{}", answer.text());
    }
    assert_eq!(town.send(ANN, PROMOTION).status, 200);
    assert_eq!(town.gate.send(&text(BOB)).status, 400);
    assert_eq!(town.bot.request_count(), 0);
    assert!(town.gate.count("optgate_webhooks_total", &["forged"]) >= 3);
    assert_eq!(town.gate.count("optgate_webhooks_total", &["relayed"]), 0);
}

#[test]
fn an_endpoint_that_does_not_know_the_verify_token_is_refused_and_the_one_before_stays() {
    let town = Town::start();
    let refused = town.subscribe(SECRET, "another token").unwrap_err();
    assert!(refused.contains("it answered 40") && refused.contains("verify token"), "{refused}");
    town.says(ANN, "STOP");
    refusal(400, 131_050, "consent_revoked").assert(&town.send(ANN, PROMOTION));
}
