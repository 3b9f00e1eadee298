//! The fields that are about people: messages and statuses, calls, preferences.

use serde_json::Value;

use super::groups;
use super::json::{items, phone, text, time, user_id};
use super::{Inbound, Notice, Person, Reading, Stage, Status, What};
use crate::consent::words::Wish;
use crate::consent::{Category, Timestamp};

/// Types of message that a person sends, and by which the provider opens the customer service window. A reaction, an edit and a note by the system are none.
const OPENS_WINDOW: &[&str] = &[
    "text",
    "image",
    "video",
    "audio",
    "document",
    "sticker",
    "location",
    "contacts",
    "button",
    "interactive",
    "order",
    "unsupported",
];

/// `messages` and `standby`: what people wrote, and what became of what was written to them.
pub(super) fn read(sender: &str, value: &Value, reading: &mut Reading) {
    for message in items(value, "messages") {
        // What is said in a group is said to the group.
        if message.get("group_id").is_some() {
            groups::read_message(sender, message, reading);
            take(sender, said_to_a_group(message, value), reading);
            continue;
        }
        let notice = match text(message, "type") {
            Some("system") if !tells_of_a_move(message) => continue,
            Some("system") => moved(message),
            Some(_) | None => inbound(message, value),
        };
        take(sender, notice, reading);
    }
    for status in items(value, "statuses") {
        if text(status, "recipient_type") == Some("group") {
            continue;
        }
        take(sender, of_status(status, value), reading);
    }
}

/// `calls`: a person's call opens the window as a message does.
pub(super) fn read_calls(sender: &str, value: &Value, reading: &mut Reading) {
    for call in items(value, "calls") {
        let by_person = text(call, "direction").is_none_or(|direction| direction == "USER_INITIATED");
        if by_person && text(call, "event") == Some("connect") {
            let what = |id: &str| Inbound {
                id: id.to_owned(),
                opens_window: true,
                texts: Vec::new(),
                shown: None,
                pressed: false,
            };
            take(sender, told(call, value, |call| Some(What::Inbound(what(text(call, "id")?)))), reading);
        }
    }
}

/// `user_preferences`: the switch in the person's own app.
pub(super) fn read_preferences(sender: &str, value: &Value, reading: &mut Reading) {
    for preference in items(value, "user_preferences") {
        // The provider names one category; another one means something that is not known here.
        let wish = match (text(preference, "category"), text(preference, "value")) {
            (Some("marketing_messages"), Some("stop")) => Some(Wish::Stop),
            (Some("marketing_messages"), Some("resume")) => Some(Wish::Resume),
            _ => None,
        };
        let who = Person {
            phone: phone(preference, "wa_id"),
            user: user_id(preference, "user_id"),
            parent: user_id(preference, "parent_user_id"),
        };
        let known = (time(preference, "timestamp"), wish, !who.identities().is_empty());
        let notice = match known {
            (Some(at), Some(wish), true) => Some((at, joined(who, value), What::Preference(wish))),
            _ => None,
        };
        take(sender, notice, reading);
    }
}

type Told = Option<(Timestamp, Person, What)>;

fn take(sender: &str, told: Told, reading: &mut Reading) {
    match told {
        Some((at, person, what)) => {
            reading.notices.push(Notice { sender: sender.to_owned(), at, person, what });
        }
        None => reading.unreadable = reading.unreadable.saturating_add(1),
    }
}

/// Something that a person did, with the time and the person as all such items name them.
fn told(item: &Value, value: &Value, what: impl Fn(&Value) -> Option<What>) -> Told {
    let who = Person {
        phone: phone(item, "from"),
        user: user_id(item, "from_user_id"),
        parent: user_id(item, "from_parent_user_id"),
    };
    let person = joined(who, value);
    (!person.identities().is_empty()).then_some(())?;
    Some((time(item, "timestamp")?, person, what(item)?))
}

fn inbound(message: &Value, value: &Value) -> Told {
    told(message, value, |message| {
        let opens_window = text(message, "type").is_some_and(|kind| OPENS_WINDOW.contains(&kind));
        Some(What::Inbound(Inbound {
            id: text(message, "id")?.to_owned(),
            opens_window,
            texts: texts(message),
            shown: shown(message),
            pressed: matches!(text(message, "type"), Some("button" | "interactive")),
        }))
    })
}

/// What is said in a group is said to the business too: it may stop, as any word may. It opens no window but the group's and takes nothing back, since it need
/// not have been meant for the business.
fn said_to_a_group(message: &Value, value: &Value) -> Told {
    let (at, person, what) = inbound(message, value)?;
    let What::Inbound(inbound) = what else { return None };
    Some((at, person, What::Inbound(Inbound { opens_window: false, shown: None, ..inbound })))
}

fn text_at(message: &Value, path: &[&str]) -> Option<String> {
    let field = path.iter().try_fold(message, |value, key| value.get(key));
    field.and_then(Value::as_str).map(str::to_owned)
}

/// What the person wrote or saw, by the type of the message alone.
fn shown(message: &Value) -> Option<String> {
    match text(message, "type")? {
        "text" => text_at(message, &["text", "body"]),
        "button" => text_at(message, &["button", "text"]),
        "interactive" => text_at(message, &["interactive", "button_reply", "title"])
            .or_else(|| text_at(message, &["interactive", "list_reply", "title"])),
        _ => None,
    }
}

/// What a message may wholly say: its text, or the button that was pressed.
fn texts(message: &Value) -> Vec<String> {
    let places: [&[&str]; 7] = [
        &["text", "body"],
        &["button", "payload"],
        &["button", "text"],
        &["interactive", "button_reply", "id"],
        &["interactive", "button_reply", "title"],
        &["interactive", "list_reply", "id"],
        &["interactive", "list_reply", "title"],
    ];
    places.into_iter().filter_map(|path| text_at(message, path)).collect()
}

/// Other notes by the system say nothing about consent.
fn tells_of_a_move(message: &Value) -> bool {
    let kind = message.get("system").and_then(|system| text(system, "type"));
    matches!(kind, Some("user_changed_number" | "user_changed_user_id"))
}

/// A note by the system that a person goes by another number or id.
fn moved(message: &Value) -> Told {
    let system = message.get("system")?;
    let (former, now) = match text(system, "type")? {
        "user_changed_number" => {
            let now = phone(system, "wa_id").or_else(|| phone(system, "new_wa_id"));
            let former = Person { phone: phone(message, "from"), ..Person::default() };
            (former, Person { phone: now, ..Person::default() })
        }
        "user_changed_user_id" => {
            let former = Person {
                user: user_id(system, "previous_user_id"),
                parent: user_id(system, "previous_parent_user_id"),
                phone: None,
            };
            let now = Person {
                user: user_id(system, "user_id"),
                parent: user_id(system, "parent_user_id"),
                phone: phone(message, "from"),
            };
            (former, now)
        }
        _ => return None,
    };
    let known = !former.identities().is_empty() && !now.identities().is_empty();
    known.then_some(())?;
    Some((time(message, "timestamp")?, former, What::Moved(now)))
}

fn of_status(status: &Value, value: &Value) -> Told {
    let who = Person {
        phone: phone(status, "recipient_id"),
        user: user_id(status, "recipient_user_id"),
        parent: user_id(status, "recipient_parent_user_id"),
    };
    let billed = status.get("pricing").and_then(|pricing| text(pricing, "category"));
    let what = Status {
        id: text(status, "id")?.to_owned(),
        stage: stage(text(status, "status")?),
        codes: items(status, "errors").filter_map(|error| error.get("code")?.as_u64()).collect(),
        billed: billed.and_then(billed_category),
    };
    Some((time(status, "timestamp")?, joined(who, value), What::Status(what)))
}

fn stage(name: &str) -> Stage {
    match name {
        "sent" => Stage::Sent,
        "delivered" => Stage::Delivered,
        "read" | "played" => Stage::Read,
        "failed" => Stage::Failed,
        _ => Stage::Other,
    }
}

/// The provider's names of what it bills. Source: Meta, "Pricing".
fn billed_category(name: &str) -> Option<Category> {
    match name {
        "authentication" | "authentication-international" | "authentication_international" => {
            Some(Category::Authentication)
        }
        "marketing" | "marketing_lite" => Some(Category::Marketing),
        "utility" => Some(Category::Utility),
        "service" => Some(Category::Service),
        _ => None,
    }
}

/// Adds what the list of contacts says about the same person. A contact is theirs if it shares an identity with them.
fn joined(mut person: Person, value: &Value) -> Person {
    for contact in items(value, "contacts") {
        let (number, user, parent) =
            (phone(contact, "wa_id"), user_id(contact, "user_id"), user_id(contact, "parent_user_id"));
        let same_number =
            number.is_some() && number.map(|n| n.canonical()) == person.phone.map(|p| p.canonical());
        let same_user = user.is_some() && user == person.user;
        // One identity that differs makes it somebody else, whatever they share.
        let contradicts = (number.is_some() && person.phone.is_some() && !same_number)
            || (user.is_some() && person.user.is_some() && !same_user);
        if (same_number || same_user) && !contradicts {
            person.phone = person.phone.or(number);
            person.user = person.user.or(user);
            person.parent = person.parent.or(parent);
        }
    }
    person
}
