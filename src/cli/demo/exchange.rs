//! One request over a socket and its answer, and what of both a reader needs to see.

use std::net::SocketAddr;
use std::time::Duration;

use http::Method;
use serde_json::Value;

use super::Failure;
use crate::app::Addresses;

/// The longest that any answer takes, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(10);
/// The header field in which the gate says what it decided.
const DECISION: &str = "optgate-decision";

/// Whom a request goes to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    /// The gate, in the provider's place.
    Gate,
    /// The gate's admin API.
    Admin,
    /// The gate's webhook relay.
    Relay,
    /// The provider itself, past the gate: only to look at what it saw.
    Provider,
}

/// Where the doors are.
pub(super) struct Doors {
    agent: ureq::Agent,
    addresses: Addresses,
    relay: SocketAddr,
    provider: SocketAddr,
    admin_bearer: String,
}

impl Doors {
    /// The doors of a running house, whose gate relays webhooks.
    pub(super) fn new(
        addresses: Addresses,
        provider: SocketAddr,
        admin_token: &str,
    ) -> Result<Self, Failure> {
        let relay = addresses.webhook;
        let relay = relay.ok_or_else(|| Failure::Config("it has no [webhook]".to_owned()))?;
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            // Everything is on this machine: a proxy from the environment has no say.
            .proxy(None)
            .build();
        let admin_bearer = format!("Bearer {admin_token}");
        Ok(Self { agent: config.into(), addresses, relay, provider, admin_bearer })
    }

    /// The address behind a door.
    pub(super) fn address(&self, door: Door) -> SocketAddr {
        match door {
            Door::Gate => self.addresses.proxy,
            Door::Admin => self.addresses.admin,
            Door::Relay => self.relay,
            Door::Provider => self.provider,
        }
    }

    /// Makes a request and reads its answer.
    pub(super) fn ask(&self, request: &Request) -> Result<Answer, Failure> {
        let url = format!("http://{}{}", self.address(request.door), request.target);
        let bearer = match request.door {
            Door::Gate | Door::Relay | Door::Provider => "Bearer demo",
            Door::Admin => &self.admin_bearer,
        };
        let built = http::Request::builder()
            .method(&request.method)
            .uri(url)
            .header(http::header::AUTHORIZATION, bearer)
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(request.body.as_ref().map(Value::to_string).unwrap_or_default());
        let built = built.map_err(|error| Failure::Unanswered(error.into()))?;
        let mut response = self.agent.run(built).map_err(Failure::Unanswered)?;
        let decision =
            response.headers().get(DECISION).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let body = response.body_mut().read_to_vec().map_err(Failure::Unanswered)?;
        let body = serde_json::from_slice(&body).unwrap_or_default();
        Ok(Answer { status: response.status().as_u16(), decision, body })
    }
}

/// A request to be made.
pub(super) struct Request {
    /// Whom it goes to.
    pub(super) door: Door,
    /// Its method.
    pub(super) method: Method,
    /// Its path and query.
    pub(super) target: String,
    /// What it carries.
    pub(super) body: Option<Value>,
}

impl Request {
    /// A request without a body.
    pub(super) fn get(door: Door, target: impl Into<String>) -> Self {
        Self { door, method: Method::GET, target: target.into(), body: None }
    }

    /// A request with a JSON body.
    pub(super) fn post(door: Door, target: impl Into<String>, body: Value) -> Self {
        Self { door, method: Method::POST, target: target.into(), body: Some(body) }
    }

    /// The fields of the body that make the difference, as they stand in it.
    pub(super) fn essence(&self) -> String {
        let Some(body) = &self.body else { return String::new() };
        let fields = [
            ("to", "/to"),
            ("template", "/template/name"),
            ("text", "/text/body"),
            ("from", "/from"),
            ("text", "/text"),
            ("url", "/url"),
            ("recipient", "/recipient"),
            ("kind", "/kind"),
            ("categories", "/categories"),
            ("actor", "/actor"),
        ];
        let value = |place| body.pointer(place).filter(|value| !value.is_object());
        let shown = |(name, place)| value(place).map(|value| format!("{name}: {}", plain(value)));
        fields.into_iter().filter_map(shown).collect::<Vec<_>>().join(", ")
    }
}

/// What came back.
pub(super) struct Answer {
    /// The status.
    pub(super) status: u16,
    /// What the gate says it decided.
    pub(super) decision: Option<String>,
    /// The body; null if it is no JSON.
    pub(super) body: Value,
}

impl Answer {
    /// The fields of the body that make the difference: the error, the message's id, or what was counted.
    pub(super) fn essence(&self) -> String {
        let verbatim = ["/error/message", "/detail", "/messages/0/id"];
        if let Some(text) = verbatim.iter().find_map(|field| self.body.pointer(field)) {
            return plain(text);
        }
        if let Some(took) = self.body.pointer("/took_ms") {
            return format!("the webhook was answered 200 after {} ms", plain(took));
        }
        if let Some(templates) = self.body.pointer("/data").and_then(Value::as_array) {
            return names(templates);
        }
        if self.body.get("success").is_some() {
            return "verified".to_owned();
        }
        let counts = ["applied", "ignored", "rejected", "templates"];
        let counted = |name: &&str| self.body.get(*name).map(|count| format!("{name} {}", plain(count)));
        counts.iter().filter_map(counted).collect::<Vec<_>>().join(", ")
    }
}

/// The names in a list of templates, each once.
fn names(templates: &[Value]) -> String {
    let mut names: Vec<&str> = templates.iter().filter_map(|template| template["name"].as_str()).collect();
    names.dedup();
    names.join(", ")
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join("+"),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answered(body: Value) -> String {
        Answer { status: 200, decision: None, body }.essence()
    }

    #[test]
    fn an_answer_shows_its_error_its_message_or_its_counts() {
        assert_eq!(answered(json!({"error": {"message": "(#131030) no", "code": 131_030}})), "(#131030) no");
        assert_eq!(answered(json!({"messages": [{"id": "wamid.X"}]})), "wamid.X");
        assert_eq!(
            answered(json!({"applied": 1, "ignored": 0, "rejected": 0})),
            "applied 1, ignored 0, rejected 0"
        );
        assert_eq!(answered(json!({"data": [{"name": "a"}, {"name": "a"}, {"name": "b"}]})), "a, b");
        let told = answered(json!({"id": "wamid.X", "delivered": true, "took_ms": 1.5}));
        assert_eq!(told, "the webhook was answered 200 after 1.5 ms");
        assert_eq!(answered(Value::Null), "");
    }

    #[test]
    fn a_request_shows_whom_and_what_it_concerns() {
        let send = json!({"to": "+15550000001", "type": "template", "template": {"name": "promo_sale"}});
        assert_eq!(Request::post(Door::Gate, "/", send).essence(), "to: +15550000001, template: promo_sale");
        let text = json!({"to": "+15550000001", "text": {"body": "Hi"}});
        assert_eq!(Request::post(Door::Gate, "/", text).essence(), "to: +15550000001, text: Hi");
        let said = json!({"from": "+15550000001", "text": "STOP"});
        assert_eq!(Request::post(Door::Provider, "/", said).essence(), "from: +15550000001, text: STOP");
        let event = json!({"recipient": "+15550000001", "kind": "grant", "categories": ["call", "utility"]});
        let shown = Request::post(Door::Admin, "/", event).essence();
        assert_eq!(shown, "recipient: +15550000001, kind: grant, categories: call+utility");
    }
}
