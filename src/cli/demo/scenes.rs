//! The script: who asks for what, and what must come back.
//!
//! An answer other than the script's ends the demo, so that its headings never say what did not happen.

use http::Method;
use serde_json::{Value, json};

use super::Failure;
use super::exchange::{Answer, Door, Doors, Request};
use super::house::{ACCOUNT, SENDER, TENANT};
use super::page::Page;
use crate::consent::Clock;

/// The person whom everything is about.
const PERSON: &str = "+15550000001";
const ORDER: &str = "order_update";
const PROMOTION: &str = "promo_sale";

/// What must come back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expected {
    Done,
    Refused { code: u64 },
}

use Expected::{Done, Refused};

/// Plays every scene.
pub(super) fn play(doors: &Doors, page: &mut Page) -> Result<(), Failure> {
    let mut stage = Stage { doors, page };
    stage.page.picture(doors).map_err(Failure::System)?;
    stage.learn_templates()?;
    for (heading, acts) in scenes() {
        stage.page.heading(heading).map_err(Failure::System)?;
        for (act, expected) in acts {
            stage.exchange(&act.request(), expected)?;
        }
    }
    stage.count()
}

fn scenes() -> [(&'static str, Vec<(Act, Expected)>); 7] {
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
        ("They say STOP", vec![(Act::Stop, Done)]),
        ("The next promotion", vec![(Act::Send(PROMOTION), Refused { code: 131_050 })]),
    ]
}

/// What somebody does.
enum Act {
    /// The bot sends a template.
    Send(&'static str),
    /// The website records that the person agreed to a category.
    Grant(&'static str),
    /// The support desk records that the person wants to hear nothing more.
    Stop,
}

impl Act {
    fn request(&self) -> Request {
        match self {
            Self::Send(template) => Request::post(
                Door::Gate,
                format!("/v23.0/{SENDER}/messages"),
                json!({
                    "messaging_product": "whatsapp",
                    "to": PERSON,
                    "type": "template",
                    "template": { "name": template, "language": { "code": "en_US" } },
                }),
            ),
            Self::Grant(category) => Request::post(Door::Admin, "/v1/events", grant(category)),
            Self::Stop => Request::post(
                Door::Admin,
                "/v1/events",
                json!({
                    "tenant": TENANT,
                    "recipient": PERSON,
                    "kind": "revoke",
                    "occurred_at": Clock::System.now(),
                    "actor": "person",
                    "source": "support_desk",
                }),
            ),
        }
    }
}

fn grant(category: &str) -> Value {
    json!({
        "tenant": TENANT,
        "recipient": PERSON,
        "kind": "grant",
        "categories": [category],
        "occurred_at": Clock::System.now(),
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

/// Where the scenes are played, and the page that shows them.
struct Stage<'a> {
    doors: &'a Doors,
    page: &'a mut Page,
}

impl Stage<'_> {
    /// Shows a request, makes it, shows its answer.
    fn exchange(&mut self, request: &Request, expected: Expected) -> Result<Answer, Failure> {
        self.page.request(request).map_err(Failure::System)?;
        let answer = self.doors.ask(request)?;
        self.page.answer(&answer).map_err(Failure::System)?;
        let code = answer.body.pointer("/error/code").and_then(Value::as_u64);
        let as_written = match expected {
            Done => answer.status == 200,
            Refused { code: expected } => answer.status == 400 && code == Some(expected),
        };
        if as_written { Ok(answer) } else { Err(Failure::OffScript) }
    }

    /// Reads the provider's template list through the gate and fills the gate's catalogue with it.
    fn learn_templates(&mut self) -> Result<(), Failure> {
        self.page.preparation("Reads pass; the gate is given the template list").map_err(Failure::System)?;
        let list = Request::get(Door::Gate, format!("/v23.0/{ACCOUNT}/message_templates"));
        let list = self.exchange(&list, Done)?;
        let target = format!("/v1/templates/{ACCOUNT}");
        let put = Request { method: Method::PUT, ..Request::post(Door::Admin, target, list.body) };
        self.exchange(&put, Done).map(drop)
    }

    /// Shows what reached the provider, as the provider itself tells it.
    fn count(&mut self) -> Result<(), Failure> {
        let journal = self.doors.ask(&Request::get(Door::Provider, "/_sandbox/requests"))?;
        let entries = journal.body.as_array().map(Vec::as_slice).unwrap_or_default();
        self.page.journal(entries).map_err(Failure::System)
    }
}
