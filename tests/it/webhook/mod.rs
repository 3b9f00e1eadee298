//! The webhook relay through the real gate: signed payloads as Meta documents them, a bot behind it, sends in front of it.

mod answers;
mod bypass;
mod groups;
mod health;
mod confirmation;
mod documented;
mod learn;
mod nodes;
mod numbers;
mod queue;
mod relay;
mod sandbox;
mod sdk;
mod templates;
mod words;

use std::net::SocketAddr;

use aws_lc_rs::hmac;
use optgate::consent::Clock;
use serde_json::{Value, json};

use crate::journey::{ALL, ANN, grant, templates};
use crate::support::client::{Response, request};
use crate::support::free_addr;
use crate::support::gate::{ACCOUNT, Gate, GateBuilder, SENDER};
use crate::support::redis::Redis;
use crate::support::upstream::Upstream;

const SECRET: &str = "an app secret";
const VERIFY_TOKEN: &str = "let me+in";

/// A gate that relays webhooks, the provider behind it, and a bot.
struct Scene {
    gate: Gate,
    upstream: Upstream,
    bot: Upstream,
    webhook: SocketAddr,
}

impl Scene {
    /// [`ANN`] has agreed to everything.
    #[track_caller]
    fn start() -> Self {
        Self::with(|gate| gate)
    }

    /// The same on a Redis.
    #[track_caller]
    fn on(redis: &Redis) -> Self {
        Self::with(|gate| gate.redis(&redis.url()))
    }

    #[track_caller]
    fn with(kind: impl FnOnce(GateBuilder) -> GateBuilder) -> Self {
        let (upstream, bot) = (Upstream::start(), Upstream::start());
        let (gate, webhook) = relaying(kind(Gate::to(&upstream.url())), Some(&bot));
        let gate = gate.start();
        gate.apply(&[grant(ANN, &ALL)]);
        gate.put_templates(&templates());
        Self { gate, upstream, bot, webhook }
    }

    /// Delivers a webhook the way the provider does.
    #[track_caller]
    fn deliver(&self, body: &Value) -> Response {
        deliver(self.webhook, body)
    }

    /// Delivers a webhook that must be taken.
    #[track_caller]
    fn told(&self, body: &Value) {
        let response = self.deliver(body);
        assert_eq!(response.status, 200, "{}", response.text());
    }
}

/// Adds a relay to a gate.
fn relaying(gate: GateBuilder, bot: Option<&Upstream>) -> (GateBuilder, SocketAddr) {
    relaying_to(gate, bot.map(|bot| format!("{}/hook?bot=1", bot.url())).as_deref())
}

fn relaying_to(gate: GateBuilder, bot: Option<&str>) -> (GateBuilder, SocketAddr) {
    let webhook = free_addr();
    let url = bot.map(|bot| format!("webhook_url = {bot:?}\n")).unwrap_or_default();
    let tenants = format!(
        "[[tenants]]\nname = \"default\"\n[[tenants.senders]]\nphone_number_id = {SENDER:?}\naccount = {ACCOUNT:?}\nphone = \"+15550783881\"\n{url}"
    );
    let gate = gate
        .set("webhook", "listen", &format!("\"{webhook}\""))
        .set("webhook", "verify_token", &format!("{VERIFY_TOKEN:?}"))
        .set("webhook", "app_secrets", &format!("[\"one that is gone soon\", {SECRET:?}]"))
        .without_tenants()
        .extra(&tenants);
    (gate, webhook)
}

/// The signature of a body as the provider writes it.
pub(crate) fn signature(secret: &str, body: &[u8]) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), body);
    format!("sha256={}", hex::encode(tag.as_ref()))
}

fn deliver(to: SocketAddr, body: &Value) -> Response {
    let body = body.to_string().into_bytes();
    let signature = signature(SECRET, &body);
    request(
        to,
        "POST",
        "/any/path",
        &[("Content-Type", "application/json"), ("X-Hub-Signature-256", &signature)],
        &body,
    )
}

/// A webhook with one change.
fn change(field: &str, mut value: Value) -> Value {
    value["messaging_product"] = json!("whatsapp");
    value["metadata"] = json!({ "display_phone_number": "15550783881", "phone_number_id": SENDER });
    json!({ "object": "whatsapp_business_account", "entry": [{ "id": ACCOUNT, "changes": [{ "field": field, "value": value }] }] })
}

/// So many seconds from now, as the provider writes times.
fn seconds(from_now: i64) -> i64 {
    i64::from(Clock::System.now().as_secs_u32()) + from_now
}

fn digits(person: &str) -> &str {
    person.trim_start_matches('+')
}

/// What a person wrote.
fn message(person: &str, at: i64, text: &str) -> Value {
    change(
        "messages",
        json!({
            "contacts": [{ "profile": { "name": "Ann" }, "wa_id": digits(person) }],
            "messages": [{ "from": digits(person), "id": format!("wamid.{person}{at}{text}"), "timestamp": at.to_string(), "type": "text", "text": { "body": text } }]
        }),
    )
}

/// The person's own switch for marketing messages.
fn preference(person: &str, at: i64, value: &str) -> Value {
    change(
        "user_preferences",
        json!({
            "contacts": [{ "wa_id": digits(person) }],
            "user_preferences": [{ "wa_id": digits(person), "detail": format!("User requested to {value} marketing messages"),
                "category": "marketing_messages", "value": value, "timestamp": at }]
        }),
    )
}

/// A message that failed.
fn failed(person: &str, at: i64, code: u32) -> Value {
    change(
        "messages",
        json!({ "statuses": [{ "id": format!("wamid.s{at}"), "status": "failed", "timestamp": at.to_string(), "recipient_id": digits(person),
            "errors": [{ "code": code, "title": "title" }] }] }),
    )
}
