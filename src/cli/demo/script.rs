//! The script: who does what, and what must come back.

use serde_json::{Value, json};

use super::exchange::{Door, Request};
use super::house::{SENDER, TENANT};
use crate::consent::{Clock, Timestamp};

/// The person whom everything is about.
const PERSON: &str = "+15550000001";
const ORDER: &str = "order_update";
const PROMOTION: &str = "promo_sale";
const STOP: &str = "STOP";

/// What must come back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    Done,
    Refused { code: u64 },
}

use Expected::{Done, Refused};

/// A heading, and what happens below it.
type Scene = (&'static str, Vec<(Act, Expected)>);

pub(super) fn scenes() -> [Scene; 10] {
    [
        (
            "An order update to somebody who agreed to nothing",
            vec![(Act::Send(ORDER), Refused { code: 131_030 })],
        ),
        ("They agree to order updates, on your website", vec![(Act::Grant("utility"), Done)]),
        ("The same order update again", vec![(Act::Send(ORDER), Done)]),
        ("A promotion, to which they did not agree", vec![(Act::Send(PROMOTION), Refused { code: 131_030 })]),
        (
            "They agree to promotions too, and the promotion is delivered",
            vec![(Act::Grant("marketing"), Done), (Act::Send(PROMOTION), Done)],
        ),
        ("They write STOP; WhatsApp tells it to the gate by webhook", vec![(Act::Say(STOP), Done)]),
        ("The next promotion", vec![(Act::Send(PROMOTION), Refused { code: 131_050 })]),
        (
            "One message may confirm a stop, and none after it",
            vec![
                (Act::Write("You will not hear from us again."), Done),
                (Act::Write("Are you sure?"), Refused { code: 131_030 }),
            ],
        ),
        (
            "They write START: what they had agreed to stands again",
            vec![(Act::Say("START"), Done), (Act::Send(PROMOTION), Done)],
        ),
        (
            "They ask something, and may be answered for a day",
            vec![(Act::Say("Where is my order?"), Done), (Act::Write("It is on its way."), Done)],
        ),
    ]
}

/// What somebody does.
pub(super) enum Act {
    /// The bot sends a template.
    Send(&'static str),
    /// The bot writes.
    Write(&'static str),
    /// The website records that the person agreed to a category.
    Grant(&'static str),
    /// The person writes.
    Say(&'static str),
}

impl Act {
    pub(super) fn request(&self) -> Request {
        match self {
            Self::Send(template) => message(&json!({
                "type": "template",
                "template": { "name": template, "language": { "code": "en_US" } },
            })),
            Self::Write(words) => message(&json!({ "type": "text", "text": { "body": words } })),
            Self::Grant(category) => Request::post(Door::Admin, "/v1/events", grant(category)),
            Self::Say(words) => {
                Request::post(Door::Provider, "/_sandbox/say", json!({ "from": PERSON, "text": words }))
            }
        }
    }

    /// Whether it is the stop.
    pub(super) fn is_stop(&self) -> bool {
        matches!(self, Self::Say(STOP))
    }
}

fn message(content: &Value) -> Request {
    let mut body = json!({ "messaging_product": "whatsapp", "to": PERSON });
    if let (Some(body), Some(content)) = (body.as_object_mut(), content.as_object()) {
        body.extend(content.clone());
    }
    Request::post(Door::Gate, format!("/v23.0/{SENDER}/messages"), body)
}

fn grant(category: &str) -> Value {
    json!({
        "tenant": TENANT,
        "recipient": PERSON,
        "kind": "grant",
        "categories": [category],
        "occurred_at": a_minute_ago(),
        "actor": "person",
        "source": "website",
        "evidence": {
            "channel": "website",
            "user_action": "checked_box",
            "name_and_logo_shown": true,
            "number_confirmed": true,
            "categories_shown": [category],
            "business_named": "Acme",
            "wording": "I agree to receive messages of this kind from Acme on WhatsApp",
            "wording_version": "2026-01",
            "locale": "en",
            "url": "https://acme.example/checkout",
        },
    })
}

/// The website tells of it a little later. A STOP comes with the second in which it was written: in the second of a grant, it would count as older.
fn a_minute_ago() -> Timestamp {
    Timestamp::from_millis(Clock::System.now().as_millis().saturating_sub(60_000))
}
