//! What the provider answered to a send. Source: Meta, "Send messages", successful response.

use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::Value;

use crate::consent::redact::Redacted;
use crate::wire::webhook::Person;
use crate::wire::webhook::json::{items, phone, text, user_id};

/// The part of an answer that is read.
#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default)]
    messages: Vec<Message<'a>>,
    #[serde(borrow, default)]
    calls: Vec<Message<'a>>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
}

/// How the id stands in nearly every answer. Within a text the quotes would be escaped, so this is found nowhere else.
static MESSAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(br#""messages":[{"id":""#));
/// And how whom it went to does. Made once, because making a finder takes ten times as long as finding with it.
static CONTACT: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(br#""contacts":[{"input":""#));

/// The provider's id of a message, kept nearly always without an allocation. It holds the recipient's number in base64, so `Debug` shows nothing of it.
#[derive(Clone)]
pub struct MessageId(Id);

#[derive(Clone)]
enum Id {
    Short([u8; Id::SHORT], u8),
    Long(Box<str>),
}

impl Id {
    /// Ids have some 60 to 80 characters.
    const SHORT: usize = 94;
}

impl MessageId {
    /// The id that reads so.
    pub fn of(text: &str) -> Self {
        let mut bytes = [0; Id::SHORT];
        match (bytes.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(place), Ok(length)) => {
                place.copy_from_slice(text.as_bytes());
                Self(Id::Short(bytes, length))
            }
            _ => Self(Id::Long(text.into())),
        }
    }

    /// The id itself. Named so that a reviewer can search for every place that looks.
    pub fn danger_bytes(&self) -> &[u8] {
        match &self.0 {
            Id::Short(bytes, length) => bytes.get(..usize::from(*length)).unwrap_or_default(),
            Id::Long(text) => text.as_bytes(),
        }
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// What an answer tells without being read whole.
#[derive(Debug, Default)]
pub struct Glance<'a> {
    /// The provider's id of the message.
    pub id: Option<Redacted<Cow<'a, str>>>,
    /// Whether it tells nothing else, as nearly every answer does; `false` says only that it has to be read.
    pub only_id: bool,
}

/// What can be seen at once.
pub fn glance(body: &[u8]) -> Glance<'_> {
    if let Some(id) = echoing(body) {
        return Glance { id: Some(Redacted::new(Cow::Borrowed(id))), only_id: true };
    }
    let id = message_id(body);
    let only_id = id.is_some() && only_echoes(body);
    Glance { id, only_id }
}

/// The id in an answer that is written as the provider writes nearly all of them, and repeats the number of its recipient: compared from its beginning, because
/// looking for the places takes several times as long.
fn echoing(body: &[u8]) -> Option<&str> {
    let input = body.strip_prefix(br#"{"messaging_product":"whatsapp","contacts":[{"input":""#)?;
    let input = input.strip_prefix(b"+").unwrap_or(input);
    let (number, rest) = input.split_at_checked(input.iter().position(|byte| !byte.is_ascii_digit())?)?;
    let repeated = rest.strip_prefix(br#"","wa_id":""#)?.strip_prefix(number)?;
    let id = repeated.strip_prefix(br#""}],"messages":[{"id":""#)?;
    plain(id.get(..memchr::memchr(b'"', id)?)?)
}

/// The id of the message or call that the provider made of a send. It holds the recipient's number in base64.
pub fn message_id(body: &[u8]) -> Option<Redacted<Cow<'_, str>>> {
    if let Some((id, _)) = text_after(body, &MESSAGE) {
        return Some(Redacted::new(Cow::Borrowed(id)));
    }
    let answer: Answer<'_> = serde_json::from_slice(body).ok()?;
    let message = answer.messages.into_iter().next().or(answer.calls.into_iter().next())?;
    Some(Redacted::new(message.id))
}

/// What an answer says of a message that was made.
#[derive(Debug, Default)]
pub struct Taken<'a> {
    /// The provider's id of it. It holds the recipient's number in base64.
    pub id: Option<Redacted<Cow<'a, str>>>,
    /// Whom the provider took each recipient for.
    pub contacts: Vec<Contact>,
}

/// Whom the provider took a recipient for.
#[derive(Debug)]
pub struct Contact {
    /// The recipient as it was written in the send.
    pub input: Redacted<String>,
    /// Who that is.
    pub person: Person,
}

/// The text that begins behind something, if nothing in it is escaped, and what follows its closing quote.
fn text_after<'a>(body: &'a [u8], something: &Finder<'_>) -> Option<(&'a str, &'a [u8])> {
    let text = body.get(something.find(body)? + something.needle().len()..)?;
    let (text, rest) = text.split_at_checked(memchr::memchr(b'"', text)?)?;
    Some((plain(text)?, rest.get(1..)?))
}

/// A text in which nothing is escaped.
fn plain(text: &[u8]) -> Option<&str> {
    // Not ended at the first that is odd: many bytes at a time are sooner looked at than one after another.
    let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
    let plain = text.iter().fold(true, |all, byte| all & is_plain(*byte));
    std::str::from_utf8(text).ok().filter(|text| plain && !text.is_empty())
}

/// Whether an answer tells nothing of its only recipient but the number that the send named. `false` says only that it has to be read.
fn only_echoes(body: &[u8]) -> bool {
    let Some((input, rest)) = text_after(body, &CONTACT) else { return false };
    let number = input.strip_prefix('+').unwrap_or(input);
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
    let rest = || rest.strip_prefix(br#","wa_id":""#)?.strip_prefix(number.as_bytes());
    is_number && rest().is_some_and(|rest| rest.starts_with(br#""}]"#))
}

/// Reads an answer whole, or as much of it as can be read.
pub fn taken(body: &[u8]) -> Taken<'_> {
    let Glance { id, only_id } = glance(body);
    if only_id {
        return Taken { id, contacts: Vec::new() };
    }
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let contact = |contact: &Value| {
        let person = Person {
            phone: phone(contact, "wa_id"),
            user: user_id(contact, "user_id"),
            parent: user_id(contact, "parent_user_id"),
        };
        Some(Contact { input: Redacted::new(text(contact, "input")?.to_owned()), person })
    };
    let contacts = items(&answer, "contacts").filter_map(contact).collect();
    Taken { id, contacts }
}

/// One operation of a batch that may have made a message.
#[derive(Debug)]
pub struct Operation {
    /// Its place in the batch.
    pub place: usize,
    /// What the provider answered to it; `None` if it gave up on it, or does not tell.
    pub answer: Option<Redacted<String>>,
}

/// The operations of a batch that may have made messages; `None` if the answer is none to a batch. Operations that failed made no message.
pub fn operations(body: &[u8]) -> Option<Vec<Operation>> {
    let answers: Vec<Option<OperationAnswer>> = serde_json::from_slice(body).ok()?;
    let operation = |(place, answer): (usize, Option<OperationAnswer>)| match answer {
        Some(OperationAnswer { code: 400.., .. }) => None,
        Some(OperationAnswer { body, .. }) => Some(Operation { place, answer: body.map(Redacted::new) }),
        None => Some(Operation { place, answer: None }),
    };
    Some(answers.into_iter().enumerate().filter_map(operation).collect())
}

#[derive(Deserialize)]
struct OperationAnswer {
    code: u16,
    #[serde(default)]
    body: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::Recipient;

    #[test]
    fn the_id_is_found_in_answers_to_sends_and_calls() {
        let sent = br#"{"messaging_product":"whatsapp","contacts":[{"input":"+1","wa_id":"1"}],"messages":[{"id":"wamid.A","message_status":"accepted"}]}"#;
        assert_eq!(message_id(sent).unwrap().danger_reveal(), "wamid.A");
        let called = br#"{"messaging_product":"whatsapp","calls":[{"id":"wacid.B"}]}"#;
        assert_eq!(message_id(called).unwrap().danger_reveal(), "wacid.B");
        for none in
            [&br#"{"success":true}"#[..], b"", b"[]", br#"{"messages":[]}"#, br#"{"messages":[{"id":1}]}"#]
        {
            assert!(message_id(none).is_none());
        }
    }

    #[test]
    fn an_answer_that_only_repeats_the_number_tells_of_nobody() {
        let contacts = |contacts: &str| {
            let body = format!(
                r#"{{"messaging_product":"whatsapp","contacts":[{contacts}],"messages":[{{"id":"wamid.A"}}]}}"#
            );
            let Taken { id, contacts } = taken(body.as_bytes());
            assert_eq!(id.unwrap().danger_reveal(), "wamid.A");
            let Glance { id, only_id } = glance(body.as_bytes());
            assert_eq!(id.unwrap().danger_reveal(), "wamid.A");
            (contacts.len(), only_id)
        };
        for repeated in [
            r#"{"input":"+15550000001","wa_id":"15550000001"}"#,
            r#"{"input":"15550000001","wa_id":"15550000001"}"#,
        ] {
            assert_eq!(contacts(repeated), (0, true), "{repeated}");
        }
        for news in [
            r#"{"input":"+5215512345678","wa_id":"525512345678"}"#,
            r#"{"input":"+15550000001","wa_id":"15550000001","user_id":"US.3"}"#,
            r#"{"input":"+1 555 000 0001","wa_id":"15550000001"}"#,
            r#"{"input":"+1555","wa_id":"15550000001"}"#,
            r#"{"wa_id":"15550000001","input":"+15550000001"}"#,
        ] {
            assert!(!contacts(news).1, "{news}");
        }
        assert_eq!(
            contacts(r#"{"input":"+15550000001","wa_id":"15550000001","user_id":"US.3"}"#),
            (1, false)
        );
        let spaced =
            br#"{"messages": [{"message_status":"\"messages\":[{\"id\":\"no\"","id":"wamid.\u0041"}]}"#;
        assert_eq!(message_id(spaced).unwrap().danger_reveal(), "wamid.A");
    }

    #[test]
    fn an_answer_in_the_usual_shape_says_the_same_as_one_that_is_looked_through() {
        let usual = r#"{"messaging_product":"whatsapp","contacts":[{"input":"+15550000001","wa_id":"15550000001"}],"messages":[{"id":"wamid.A","message_status":"accepted"}]}"#;
        assert_eq!(echoing(usual.as_bytes()), Some("wamid.A"));
        // Whatever is cut off or put in another's place: never another id, and never taken for an echo where it is none.
        for at in 0..usual.len() {
            for other in ["", "\"", "\\", "7", "+", "\u{e9}", " "] {
                let (before, after) = usual.split_at(at);
                for body in [before.to_owned() + other, format!("{before}{other}{}", &after[1..])] {
                    let body = body.as_bytes();
                    let id = message_id(body).map(|id| id.danger_reveal().to_string());
                    if let Some(echoed) = echoing(body) {
                        assert_eq!((Some(echoed), only_echoes(body)), (id.as_deref(), true), "{at} {other}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_message_id_of_any_length_is_kept_whole_and_not_shown() {
        for length in [0, 1, 93, 94, 95, 255, 256, 600] {
            let text = "w".repeat(length);
            let id = MessageId::of(&text);
            assert!(
                id.clone().danger_bytes() == text.as_bytes() && !format!("{id:?}").contains('w'),
                "{length}"
            );
        }
    }

    #[test]
    fn an_answer_says_whom_the_provider_took_each_recipient_for() {
        let body = br#"{"messaging_product":"whatsapp","contacts":[
            {"input":"+52 55 1234 5678","wa_id":"5215512345678","user_id":"MX.1","parent_user_id":"MX.ENT.2"},
            {"input":"US.3","wa_id":"","user_id":"US.3"},{"wa_id":"15550000001"},7],"messages":[{"id":"wamid.A"}]}"#;
        let Taken { id, contacts } = taken(body);
        assert_eq!(id.unwrap().danger_reveal(), "wamid.A");
        let told: Vec<(String, Vec<String>)> = contacts
            .iter()
            .map(|c| {
                let identities = c.person.identities();
                (c.input.danger_reveal().clone(), identities.iter().map(Recipient::danger_string).collect())
            })
            .collect();
        let expected =
            [("+52 55 1234 5678", vec!["+5215512345678", "MX.1", "MX.ENT.2"]), ("US.3", vec!["US.3"])];
        assert_eq!(
            told,
            expected.map(|(input, all)| (input.to_owned(), all.into_iter().map(String::from).collect()))
        );
        for nothing in [&b""[..], b"[]", b"{", br#"{"contacts":{}}"#, b"\x1f\x8b\x08"] {
            let Taken { id, contacts } = taken(nothing);
            assert!(id.is_none() && contacts.is_empty());
        }
    }

    #[test]
    fn a_batch_tells_of_each_operation_that_went_well() {
        let told = |body: &str| {
            operations(body.as_bytes()).map(|operations| {
                let answer = |o: &Operation| (o.place, o.answer.as_ref().map(|a| a.danger_reveal().clone()));
                operations.iter().map(answer).collect::<Vec<_>>()
            })
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            told(r#"[{"code":200,"body":"{}"},{"code":400,"body":"{\"error\":{}}"},null,{"code":200}]"#),
            Some(vec![(0, some("{}")), (2, None), (3, None)])
        );
        assert_eq!((told("not an answer"), told("{}"), told("[]")), (None, None, Some(vec![])));
    }
}
