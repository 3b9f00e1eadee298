//! People as webhooks name them: by number and user id, or by the user id alone where only that is known.

use super::super::ids::mixed;
use super::super::json::Object;
use super::super::recipient::Recipient;

/// Whom every profile in a webhook is named after.
const NAME: &str = "Sandbox Person";

/// Countries by calling code, for the user ids of people who are known by number; the longest code that fits counts.
const COUNTRIES: &[(&str, &str)] = &[
    ("1", "US"),
    ("7", "RU"),
    ("20", "EG"),
    ("27", "ZA"),
    ("31", "NL"),
    ("33", "FR"),
    ("34", "ES"),
    ("39", "IT"),
    ("44", "GB"),
    ("49", "DE"),
    ("52", "MX"),
    ("54", "AR"),
    ("55", "BR"),
    ("62", "ID"),
    ("90", "TR"),
    ("91", "IN"),
    ("966", "SA"),
];

/// Somebody who writes and is written to.
pub(in crate::sandbox) struct Person {
    wa_id: Option<String>,
    user_id: String,
}

impl Person {
    /// The person behind a recipient; a group is none.
    pub(in crate::sandbox) fn behind(recipient: &Recipient) -> Option<Self> {
        match recipient {
            Recipient::Phone { wa_id, .. } => {
                Some(Person { wa_id: Some(wa_id.clone()), user_id: user_id(wa_id) })
            }
            Recipient::User(id) => Some(Person { wa_id: None, user_id: id.clone() }),
            Recipient::Group(_) => None,
        }
    }

    /// What all webhooks about them have in common, whichever way they are known.
    pub(in crate::sandbox) fn key(&self) -> &str {
        &self.user_id
    }

    /// What ids of their messages are made from.
    pub(super) fn shown(&self) -> &str {
        self.wa_id.as_deref().unwrap_or(&self.user_id)
    }

    /// Their entry in `contacts`.
    pub(super) fn contact(&self) -> String {
        let profile = Object::new().text("name", NAME).finish();
        Object::new()
            .raw("profile", profile)
            .maybe("wa_id", self.wa_id.as_deref())
            .text("user_id", &self.user_id)
            .finish()
    }

    /// Names them in an object whose fields are called `number` and `user`.
    pub(super) fn named(&self, object: Object, (number, user): (&str, &str)) -> Object {
        object.maybe(number, self.wa_id.as_deref()).text(user, &self.user_id)
    }
}

/// The same for the same number in every sandbox.
fn user_id(wa_id: &str) -> String {
    let fits = |(code, _): &&(&str, &str)| wa_id.starts_with(code);
    let country = COUNTRIES.iter().filter(fits).max_by_key(|(code, _)| code.len());
    let country = country.map_or("ZZ", |(_, country)| country);
    let folded = wa_id.bytes().fold(0, |folded, byte| mixed(folded ^ u64::from(byte)));
    format!("{country}.{folded:020}")
}
