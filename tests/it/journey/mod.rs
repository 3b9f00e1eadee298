//! The journey of a request through the real gate: real binary, real sockets, a recording upstream.
//!
//! What every file here needs: a scene to play in, consent and messages as people write them, and what a refusal must look like.

mod allow;
mod once;
mod passthrough;
mod readers;
mod record;
mod refuse;
mod room;
mod shadow;
mod tls;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use optgate::consent::{Clock, Timestamp};
use serde_json::{Value, json};

use crate::support::client::Response;
use crate::support::gate::{Gate, GateBuilder, SENDER};
use crate::support::upstream::Upstream;

/// Agreed to everything, on [`Scene::agreed`].
pub(crate) const ANN: &str = "+15550000001";
/// Nobody knows anything of him unless a test says so.
pub(crate) const BOB: &str = "+15550000002";

/// Every category by its name on the wire.
pub(crate) const ALL: [&str; 5] = ["authentication", "call", "marketing", "service", "utility"];

/// A gate and the provider behind it. The gate ends first.
pub(crate) struct Scene {
    pub(crate) gate: Gate,
    pub(crate) upstream: Upstream,
}

impl Scene {
    #[track_caller]
    pub(crate) fn start() -> Self {
        Self::with(|gate| gate)
    }

    /// A scene whose gate is configured further.
    #[track_caller]
    pub(crate) fn with(configure: impl FnOnce(GateBuilder) -> GateBuilder) -> Self {
        let upstream = Upstream::start();
        let gate = configure(Gate::to(&upstream.url())).start();
        Self { gate, upstream }
    }

    /// A scene in which [`ANN`] agreed to everything and the usual templates are known.
    #[track_caller]
    pub(crate) fn agreed() -> Self {
        Self::agreed_with(|gate| gate)
    }

    #[track_caller]
    pub(crate) fn agreed_with(configure: impl FnOnce(GateBuilder) -> GateBuilder) -> Self {
        let scene = Self::with(configure);
        scene.gate.apply(&[grant(ANN, &ALL)]);
        scene.gate.put_templates(&templates());
        scene
    }

    /// Sends to [`ANN`] free-form text, which is permitted in a scene that is [`agreed`](Scene::agreed).
    #[track_caller]
    pub(crate) fn send_permitted(&self) -> Response {
        self.gate.send(&text(ANN))
    }

    /// Nothing at all has reached the provider, not even a connection's first byte.
    #[track_caller]
    pub(crate) fn assert_untouched(&self) {
        assert_eq!(self.upstream.request_count(), 0, "the upstream saw {:?}", self.upstream.requests());
        assert!(self.upstream.raw_connections().iter().all(Vec::is_empty));
    }

    /// Waits for the event of this decision in the log.
    #[track_caller]
    pub(crate) fn event(&self, id: &str) -> Value {
        crate::support::eventually(&format!("decision {id} is logged"), || {
            self.gate.decision_log().into_iter().find(|event| event["id"] == id)
        })
    }
}

/// How a refusal must look to its caller.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) code: u32,
    pub(crate) reason: &'static str,
}

pub(crate) const fn refusal(status: u16, code: u32, reason: &'static str) -> Refusal {
    Refusal { status, code, reason }
}

impl Refusal {
    /// Asserts the whole wire contract of a refusal and gives its decision id.
    #[track_caller]
    pub(crate) fn assert(self, response: &Response) -> String {
        let id = self.assert_envelope(response);
        let told = response.header("optgate-decision");
        assert_eq!(told, Some(format!("deny; reason={}", self.reason).as_str()), "{}", response.text());
        id
    }

    /// Asserts the envelope alone; for failures, which are no decisions.
    #[track_caller]
    pub(crate) fn assert_envelope(self, response: &Response) -> String {
        let body = response.text();
        assert_eq!(response.status, self.status, "{body}");
        assert_eq!(response.header("content-type"), Some("application/json; charset=UTF-8"));
        let error = &response.json()["error"];
        assert_eq!(error["code"], self.code, "{body}");
        assert_eq!(error["type"], "OAuthException", "{body}");
        let retry_wanted = self.status == 503;
        assert_eq!(error["is_transient"], retry_wanted, "{body}");
        assert_eq!(response.header("retry-after").is_some(), retry_wanted, "{:?}", response.headers());
        let message = error["message"].as_str().unwrap();
        assert!(message.starts_with(&format!("(#{}) ", self.code)), "{body}");
        assert_eq!(error["error_data"]["messaging_product"], "whatsapp", "{body}");
        let details = error["error_data"]["details"].as_str().unwrap();
        assert!(details.starts_with("optgate: ") && details.contains(self.reason), "{body}");
        let id = response
            .header("optgate-decision-id")
            .unwrap_or_else(|| panic!("no id: {:?}", response.headers()));
        assert_eq!(error["fbtrace_id"], id);
        assert_eq!(id.len(), 26, "{id}");
        id.to_owned()
    }
}

/// A moment so long ago, as events write it.
pub(crate) fn ago(duration: Duration) -> String {
    let now = Clock::System.now();
    Timestamp::from_secs(u64::from(now.as_secs_u32()) - duration.as_secs()).to_string()
}

pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn event(kind: &str, recipient: &str) -> Value {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    json!({
        "id": format!("e{}", NEXT.fetch_add(1, Ordering::Relaxed)),
        "tenant": "default",
        "recipient": recipient,
        "kind": kind,
        "actor": "person",
        "source": "website",
        "occurred_at": ago(2 * DAY),
    })
}

/// A person's grant, two days ago, with whole evidence.
pub(crate) fn grant(recipient: &str, categories: &[&str]) -> Value {
    let mut grant = event("grant", recipient);
    grant["categories"] = json!(categories);
    grant["evidence"] = json!({
        "channel": "website", "user_action": "checked_box", "name_and_logo_shown": true, "number_confirmed": true,
        "categories_shown": categories, "business_named": "Acme", "wording_version": "2026-01", "locale": "en",
        "wording": "I agree to receive messages from Acme on WhatsApp", "url": "https://acme.example/checkout",
    });
    grant
}

/// A person's withdrawal, one day ago.
pub(crate) fn revoke(recipient: &str, categories: &[&str]) -> Value {
    let mut revoke = event("revoke", recipient);
    revoke["categories"] = json!(categories);
    revoke["occurred_at"] = json!(ago(DAY));
    revoke
}

/// The person wrote, so long ago.
pub(crate) fn inbound(recipient: &str, since: Duration) -> Value {
    let mut inbound = event("inbound", recipient);
    inbound["occurred_at"] = json!(ago(since));
    inbound
}

/// The same event for another tenant.
pub(crate) fn of_tenant(tenant: &str, mut event: Value) -> Value {
    event["tenant"] = json!(tenant);
    event
}

/// A catalogue with a template of each category, named after it.
pub(crate) fn templates() -> Value {
    let template = |name: &str| {
        json!({"name": name, "language": "en_US", "status": "APPROVED", "category": name.to_uppercase(), "id": "1",
               "components": [{"type": "BODY", "text": "x"}]})
    };
    json!([template("authentication"), template("marketing"), template("utility")])
}

/// A message of some type with its content.
pub(crate) fn message(to: &str, kind: &str, content: Value) -> Value {
    let mut message =
        json!({"messaging_product": "whatsapp", "recipient_type": "individual", "to": to, "type": kind});
    message[kind] = content;
    message
}

pub(crate) fn text(to: &str) -> Value {
    message(to, "text", json!({"preview_url": false, "body": "hello"}))
}

pub(crate) fn template(to: &str, name: &str) -> Value {
    message(to, "template", json!({"name": name, "language": {"code": "en_US"}}))
}

pub(crate) fn call(to: &str) -> Value {
    json!({"messaging_product": "whatsapp", "to": to, "action": "connect", "session": {"sdp_type": "offer", "sdp": "v=0"}})
}

/// The path of an edge below the usual sender.
pub(crate) fn edge(name: &str) -> String {
    format!("/v23.0/{SENDER}/{name}")
}
