//! What webhooks say, in the order and the words of Meta's references.

use std::time::SystemTime;

use super::super::json::{Object, list};
use super::Accepted;
use super::person::Person;

/// The business's number as webhooks show it; every number of the sandbox is this one.
const DISPLAY_NUMBER: &str = "15550783881";

/// The number that a webhook is told to, and its account.
#[derive(Clone, Copy)]
pub(in crate::sandbox) struct Line<'a> {
    pub(in crate::sandbox) account: &'a str,
    pub(in crate::sandbox) number: &'a str,
}

/// How far a message has come.
#[derive(Clone, Copy)]
pub(super) enum Stage {
    Sent,
    Delivered,
    Read,
    Failed,
}

/// Seconds since 1970.
pub(in crate::sandbox) fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A webhook with one change that concerns an account, `at` so many seconds since 1970.
pub(super) fn of_account(account: &str, at: u64, (field, value): (&str, &str)) -> String {
    let change = Object::new().raw("value", value).text("field", field).finish();
    let entry = Object::new().text("id", account).raw("time", at).raw("changes", list([change]));
    notification(&entry.finish())
}

/// A webhook with one change that concerns a number; `value` holds what is said besides.
fn of_number(line: Line<'_>, field: &str, value: impl FnOnce(Object) -> Object) -> String {
    let metadata =
        Object::new().text("display_phone_number", DISPLAY_NUMBER).text("phone_number_id", line.number);
    let begun = Object::new().text("messaging_product", "whatsapp").raw("metadata", metadata.finish());
    let change = Object::new().raw("value", value(begun).finish()).text("field", field).finish();
    let entry = Object::new().text("id", line.account).raw("changes", list([change]));
    notification(&entry.finish())
}

fn notification(entry: &str) -> String {
    Object::new().text("object", "whatsapp_business_account").raw("entry", list([entry.to_owned()])).finish()
}

/// What became of a message.
pub(super) fn status(account: &str, message: &Accepted, stage: Stage) -> String {
    let line = Line { account, number: &message.sender };
    // A status that failed names nobody among the contacts.
    let contact = match stage {
        Stage::Sent | Stage::Delivered | Stage::Read => message.person().map(|person| person.contact()),
        Stage::Failed => None,
    };
    let told = list([one_status(message, stage)]);
    of_number(line, "messages", |value| {
        let value = match contact {
            Some(contact) => value.raw("contacts", list([contact])),
            None => value,
        };
        value.raw("statuses", told)
    })
}

fn one_status(message: &Accepted, stage: Stage) -> String {
    let name = match stage {
        Stage::Sent => "sent",
        Stage::Delivered => "delivered",
        Stage::Read => "read",
        Stage::Failed => "failed",
    };
    let status =
        Object::new().text("id", &message.id).text("status", name).text("timestamp", &now().to_string());
    let status = match message.person() {
        Some(person) => person.named(status, ("recipient_id", "recipient_user_id")),
        None => status.text("recipient_id", message.recipient.key()).text("recipient_type", "group"),
    };
    let status = match stage {
        // Meta bills what was sent, and repeats it once more at most.
        Stage::Sent | Stage::Delivered => status.raw("pricing", pricing(&message.billed)),
        Stage::Read => status,
        Stage::Failed => match &message.failure {
            Some(failure) => status.raw("errors", list([failure.in_a_status()])),
            None => status,
        },
    };
    status.maybe("biz_opaque_callback_data", message.callback_data.as_deref()).finish()
}

fn pricing(category: &str) -> String {
    let (billable, kind) = match category {
        "service" => (false, "free_customer_service"),
        _ => (true, "regular"),
    };
    Object::new()
        .raw("billable", billable)
        .text("pricing_model", "PMP")
        .text("type", kind)
        .text("category", category)
        .finish()
}

/// A message from a person: its id, its type, and the object that the type names.
pub(super) struct Inbound<'a> {
    pub(super) id: &'a str,
    pub(super) at: u64,
    pub(super) kind: &'a str,
    pub(super) content: &'a str,
}

/// What a person wrote or pressed.
pub(super) fn inbound(line: Line<'_>, person: &Person, message: &Inbound<'_>) -> String {
    let said = person
        .named(Object::new(), ("from", "from_user_id"))
        .text("id", message.id)
        .text("timestamp", &message.at.to_string())
        .text("type", message.kind)
        .raw(message.kind, message.content)
        .finish();
    of_number(line, "messages", |value| {
        value.raw("contacts", list([person.contact()])).raw("messages", list([said]))
    })
}

/// The switch in a person's own app: `wish` is `stop` or `resume`.
pub(super) fn preference(line: Line<'_>, person: &Person, (wish, at): (&str, u64)) -> String {
    let preference = person
        .named(Object::new(), ("wa_id", "user_id"))
        .text("detail", &format!("User requested to {wish} marketing messages"))
        .text("category", "marketing_messages")
        .text("value", wish)
        .raw("timestamp", at)
        .finish();
    of_number(line, "user_preferences", |value| {
        value.raw("contacts", list([person.contact()])).raw("user_preferences", list([preference]))
    })
}

/// Meta writes everything beyond ASCII as `\uXXXX`, and signs it so.
pub(super) fn escaped(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            out.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_ascii_is_escaped_and_means_the_same() {
        let json = r#"{"text":"¡Olé 👋!"}"#;
        let out = escaped(json);
        assert_eq!(out, r#"{"text":"\u00a1Ol\u00e9 \ud83d\udc4b!"}"#);
        let read = |json: &str| serde_json::from_str::<serde_json::Value>(json).unwrap();
        assert_eq!(read(&out), read(json));
    }
}
