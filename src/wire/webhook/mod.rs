//! The provider's webhooks: whether one is genuine, and what it says about people.
//!
//! Owns the JSON of the provider's notifications and their signature. Knows neither consent records nor where a webhook is relayed to. Source: Meta, "Webhooks",
//! "Create a webhook endpoint", and the references of the fields `messages`, `standby`, `calls` and `user_preferences`.

pub(in crate::wire) mod groups;
mod handshake;
pub(in crate::wire) mod json;
mod messages;
mod news;
mod signature;
mod templates;

use serde_json::Value;

use crate::consent::words::Wish;
use crate::consent::{Category, E164, Recipient, Timestamp, UserId};

pub use groups::{GroupNews, GroupNotice};
pub use handshake::{Handshake, handshake};
pub use news::{AccountEvent, AccountNews, News, NumberEvent, Tiding};
pub use signature::{HEADER as SIGNATURE_HEADER, Secrets};
pub use templates::{TemplateNews, TemplateNotice};

use json::{items, own_number, text};

/// The identities of one person that stand side by side in a notification.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    /// The number.
    pub phone: Option<E164>,
    /// The id within this business.
    pub user: Option<UserId>,
    /// The id within all businesses that are linked to this one.
    pub parent: Option<UserId>,
}

impl Person {
    /// Every identity, the number first.
    pub fn identities(&self) -> Vec<Recipient> {
        let user_ids = [&self.user, &self.parent].into_iter().flatten().cloned().map(Recipient::UserId);
        self.phone.map(Recipient::Phone).into_iter().chain(user_ids).collect()
    }
}

/// One thing that a webhook tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The phone number id that it was told to.
    pub sender: String,
    /// When it happened, by the provider's clock.
    pub at: Timestamp,
    /// Whom it is about.
    pub person: Person,
    /// What happened.
    pub what: What,
}

/// What can happen.
#[derive(Clone, PartialEq, Eq)]
pub enum What {
    /// The person wrote or called.
    Inbound(Inbound),
    /// The person used the provider's own switch for marketing messages.
    Preference(Wish),
    /// A message that was sent came to something.
    Status(Status),
    /// The person goes by other identities from now on; the former ones are the notice's.
    Moved(Person),
}

/// A message or call from a person.
#[derive(Clone, PartialEq, Eq)]
pub struct Inbound {
    /// The provider's id of it.
    pub id: String,
    /// Whether it opens the customer service window: reactions, edits and notes by the system do not.
    pub opens_window: bool,
    /// Each text that may be the whole of what the person said: the message, or the payload and title of the button pressed.
    pub texts: Vec<String>,
    /// The one among them that the person wrote or saw. The id of a button is the business's own, and nobody's word.
    pub shown: Option<String>,
    /// Whether the texts are those of a button.
    pub pressed: bool,
}

/// How far a message that was sent has come.
#[derive(Clone, PartialEq, Eq)]
pub struct Status {
    /// The provider's id of the message.
    pub id: String,
    /// Where it is now.
    pub stage: Stage,
    /// The errors' codes.
    pub codes: Vec<u64>,
    /// The category that was billed.
    pub billed: Option<Category>,
}

/// Where a message is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The provider has sent it on: its first stage.
    Sent,
    /// It is on the person's device.
    Delivered,
    /// The person saw it.
    Read,
    /// It will not arrive.
    Failed,
    /// Anything else.
    Other,
}

impl Stage {
    /// Every stage.
    pub const ALL: [Self; 5] = [Self::Sent, Self::Delivered, Self::Read, Self::Failed, Self::Other];
}

/// What a genuine webhook holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// What is to be learnt, in the order told.
    pub notices: Vec<Notice>,
    /// The same about accounts' templates.
    pub templates: Vec<TemplateNotice>,
    /// The phone number ids that it was told to, each once: their bots get it.
    pub senders: Vec<String>,
    /// The senders' own numbers, each as it stands beside the phone number id.
    pub phones: Vec<(String, E164)>,
    /// The accounts that it was told to, each once.
    pub accounts: Vec<String>,
    /// What is told about numbers and accounts.
    pub news: Vec<News>,
    /// What is told about groups.
    pub groups: Vec<GroupNotice>,
    /// How many items of known fields could not be read.
    pub unreadable: u32,
}

impl std::fmt::Debug for What {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Inbound(_) => "Inbound",
            Self::Preference(_) => "Preference",
            Self::Status(_) => "Status",
            Self::Moved(_) => "Moved",
        })
    }
}

/// Reads the bytes of a webhook; `None` if they are no notification at all.
pub fn read(body: &[u8]) -> Option<Reading> {
    let payload: Value = serde_json::from_slice(body).ok()?;
    let mut reading = Reading::default();
    for entry in items(&payload, "entry") {
        let account = text(entry, "id");
        note(&mut reading.accounts, account);
        for change in items(entry, "changes") {
            let Some(value) = change.get("value") else { continue };
            let field = text(change, "field").unwrap_or_default();
            reading.news.extend(news::read(entry, field, value));
            match (field, account) {
                (field, Some(account)) if templates::is_about(field) => {
                    let told_by = (account, templates::moment(entry, "time"));
                    templates::read(field, told_by, value, &mut reading);
                }
                (field, _) => read_change(field, value, &mut reading),
            }
        }
    }
    payload.get("entry").map(|_| reading)
}

fn read_change(field: &str, value: &Value, reading: &mut Reading) {
    let Some(metadata) = value.get("metadata") else { return };
    let sender = text(metadata, "phone_number_id");
    note(&mut reading.senders, sender);
    let Some(sender) = sender else { return };
    if let Some(phone) = own_number(metadata).map(|phone| (sender.to_owned(), phone))
        && !reading.phones.contains(&phone)
    {
        reading.phones.push(phone);
    }
    match field {
        "messages" | "standby" => messages::read(sender, value, reading),
        "calls" => messages::read_calls(sender, value, reading),
        "user_preferences" => messages::read_preferences(sender, value, reading),
        "group_lifecycle_update" | "group_participants_update" => groups::read(sender, value, reading),
        _ => {}
    }
}

fn note(known: &mut Vec<String>, id: Option<&str>) {
    if let Some(id) = id.filter(|id| !known.iter().any(|k| k == id)) {
        known.push(id.to_owned());
    }
}

#[cfg(test)]
mod tests;
