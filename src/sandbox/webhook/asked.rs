//! What the control endpoints ask to be told: something that a person does, or any change at all.

use serde_json::Value;

use super::super::json::Object;
use super::super::parameters::scalar;
use super::super::recipient::Recipient;
use super::super::route::World;
use super::payload::{Inbound, Line};
use super::person::Person;
use super::{Told, now, parcel, payload};

/// Something was told; `id` is the message's, if it is one.
pub(super) struct Asked {
    pub(super) id: Option<String>,
    pub(super) told: Told,
}

type Answer = Result<Asked, &'static str>;

const NO_ENDPOINT: &str = "no webhook endpoint: POST /_sandbox/webhook first, or start with --webhook-url";

/// The body of a control request.
pub(super) struct Asking<'a> {
    value: Value,
    world: &'a World,
}

impl<'a> Asking<'a> {
    pub(super) fn read(body: &[u8], world: &'a World) -> Result<Self, &'static str> {
        let value: Value = serde_json::from_slice(body).map_err(|_| "the body is not JSON")?;
        Ok(Self { value, world })
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.value.get(name).and_then(scalar)
    }

    fn at(&self) -> u64 {
        self.value.get("at").and_then(Value::as_u64).unwrap_or_else(now)
    }

    fn from(&self) -> Result<Person, &'static str> {
        let from = self.text("from").ok_or("from is missing: a phone number or a user id")?;
        let recipient = Recipient::resolve(from, false).ok();
        recipient.as_ref().and_then(Person::behind).ok_or("from is neither a phone number nor a user id")
    }

    /// Tells it, in the order of what concerns `key`.
    fn tell(&self, key: &str, (field, body): (&str, &str), id: Option<String>) -> Answer {
        let courier = self.world.webhooks.courier().ok_or(NO_ENDPOINT)?;
        Ok(Asked { id, told: courier.send_and_tell(key, parcel(field, body)) })
    }

    /// Calls `tell` with the number that `to` names, or the sandbox's own.
    fn on_line<T>(&self, tell: impl FnOnce(Line<'_>) -> T) -> T {
        let settings = &self.world.settings;
        let number = self.text("to").unwrap_or_else(|| settings.phone_number_id.clone());
        tell(Line { account: &settings.account, number: &number })
    }

    /// `POST /_sandbox/say`: a person writes, or presses a button or an item of a list.
    pub(super) fn say(&self) -> Answer {
        let person = self.from()?;
        let (kind, content) = self.said()?;
        let id = self.world.ids.message(person.shown());
        let message = Inbound { id: &id, at: self.at(), kind, content: &content };
        let body = self.on_line(|line| payload::inbound(line, &person, &message));
        self.tell(person.key(), ("messages", &body), Some(id))
    }

    /// The type of the message and the object of that name.
    fn said(&self) -> Result<(&'static str, String), &'static str> {
        if let Some(text) = self.text("text") {
            return Ok(("text", Object::new().text("body", &text).finish()));
        }
        let member =
            |name: &str, field: &str| self.value.get(name).and_then(|o| o.get(field)).and_then(scalar);
        let reply = |name: &str, kind: &str| {
            let title = member(name, "title")?;
            let id = member(name, "id").unwrap_or_else(|| title.clone());
            let reply = Object::new().text("id", &id).text("title", &title);
            let reply = reply.maybe("description", member(name, "description").as_deref()).finish();
            Some(("interactive", Object::new().text("type", kind).raw(kind, reply).finish()))
        };
        let button = || {
            let text = member("button", "text")?;
            let payload = member("button", "payload").unwrap_or_else(|| text.clone());
            Some(("button", Object::new().text("payload", &payload).text("text", &text).finish()))
        };
        let said =
            button().or_else(|| reply("reply", "button_reply")).or_else(|| reply("list", "list_reply"));
        said.ok_or("nothing is said: text, button.text, reply.title or list.title")
    }

    /// `POST /_sandbox/preference`: the switch in a person's own app.
    pub(super) fn preference(&self) -> Answer {
        let person = self.from()?;
        let wish = self.text("value").filter(|wish| matches!(wish.as_str(), "stop" | "resume"));
        let wish = wish.ok_or("value is neither stop nor resume")?;
        let body = self.on_line(|line| payload::preference(line, &person, (&wish, self.at())));
        let asked = self.tell(person.key(), ("user_preferences", &body), None)?;
        self.world.webhooks.switch(&person, &wish);
        Ok(asked)
    }

    /// `POST /_sandbox/change`: any other change, as it stands.
    pub(super) fn change(&self) -> Answer {
        let field = self.text("field").ok_or("field is missing")?;
        let value = self.value.get("value").filter(|value| value.is_object());
        let value = value.ok_or("value is no object")?.to_string();
        let body = payload::of_account(&self.world.settings.account, self.at(), (&field, &value));
        self.tell(&field, (&field, &body), None)
    }
}
