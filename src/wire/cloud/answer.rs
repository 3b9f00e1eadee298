//! What the provider answered to a send. Source: Meta, "Send messages", successful response.

use std::borrow::Cow;

use serde::Deserialize;

use crate::consent::redact::Redacted;

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

/// The id of the message or call that the provider made of a send. It holds the recipient's number in base64.
pub fn message_id(body: &[u8]) -> Option<Redacted<String>> {
    let answer: Answer<'_> = serde_json::from_slice(body).ok()?;
    let message = answer.messages.into_iter().next().or(answer.calls.into_iter().next())?;
    Some(Redacted::new(message.id.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
