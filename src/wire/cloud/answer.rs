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

/// How the id stands in nearly every answer. Within a text the quotes would be escaped, so this is found nowhere else.
const MESSAGE: &[u8] = br#""messages":[{"id":""#;

/// The id of the message or call that the provider made of a send. It holds the recipient's number in base64.
pub fn message_id(body: &[u8]) -> Option<Redacted<String>> {
    if let Some(id) = usual_message_id(body) {
        return Some(Redacted::new(id.to_owned()));
    }
    let answer: Answer<'_> = serde_json::from_slice(body).ok()?;
    let message = answer.messages.into_iter().next().or(answer.calls.into_iter().next())?;
    Some(Redacted::new(message.id.into_owned()))
}

/// The id where it stands as it usually does, which every send pays for finding.
fn usual_message_id(body: &[u8]) -> Option<&str> {
    let start = memchr::memmem::find(body, MESSAGE)? + MESSAGE.len();
    let id = body.get(start..)?;
    let id = id.get(..memchr::memchr(b'"', id)?)?;
    let plain = id.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'\\');
    std::str::from_utf8(id).ok().filter(|id| plain && !id.is_empty())
}

/// The ids in the answer to a request that held several sends, and whether every operation that went well told one.
///
/// Operations that failed made no message; one that the provider gave up on, or that does not tell, may have made one.
pub fn message_ids(body: &[u8]) -> (Vec<Redacted<String>>, bool) {
    let Ok(operations) = serde_json::from_slice::<Vec<Option<Operation>>>(body) else {
        let id = message_id(body);
        return (id.into_iter().collect(), false);
    };
    let mut ids = Vec::new();
    let mut complete = true;
    for operation in operations {
        match operation {
            Some(Operation { code: 400.., .. }) => {}
            Some(Operation { body, .. }) => match body.as_deref().map(str::as_bytes).and_then(message_id) {
                Some(id) => ids.push(id),
                None => complete = false,
            },
            None => complete = false,
        }
    }
    (ids, complete)
}

/// One operation of a batch.
#[derive(Deserialize)]
struct Operation {
    code: u16,
    #[serde(default)]
    body: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_found_in_answers_to_sends_and_calls() {
        let sent = br#"{"messaging_product":"whatsapp","contacts":[{"input":"+1","wa_id":"1"}],"messages":[{"id":"wamid.A","message_status":"accepted"}]}"#;
        assert_eq!(message_id(sent).unwrap().danger_reveal(), "wamid.A");
        let spaced =
            br#"{"messages": [{"message_status":"\"messages\":[{\"id\":\"no\"","id":"wamid.\u0041"}]}"#;
        assert_eq!(message_id(spaced).unwrap().danger_reveal(), "wamid.A");
        let called = br#"{"messaging_product":"whatsapp","calls":[{"id":"wacid.B"}]}"#;
        assert_eq!(message_id(called).unwrap().danger_reveal(), "wacid.B");
        for none in
            [&br#"{"success":true}"#[..], b"", b"[]", br#"{"messages":[]}"#, br#"{"messages":[{"id":1}]}"#]
        {
            assert!(message_id(none).is_none());
        }
    }

    #[test]
    fn a_batch_tells_an_id_for_each_operation_that_went_well() {
        let told = |body: &str| {
            let (ids, complete) = message_ids(body.as_bytes());
            (ids.iter().map(|id| id.danger_reveal().clone()).collect::<Vec<_>>(), complete)
        };
        let sent = |id: &str| {
            format!(r#"{{"code":200,"headers":[],"body":"{{\"messages\":[{{\"id\":\"{id}\"}}]}}"}}"#)
        };
        let failed = r#"{"code":400,"body":"{\"error\":{}}"}"#;
        assert_eq!(
            told(&format!("[{},{failed},{}]", sent("A"), sent("B"))),
            (vec!["A".into(), "B".into()], true)
        );
        assert_eq!(told(&format!("[{},null]", sent("A"))), (vec!["A".into()], false));
        assert_eq!(told(r#"[{"code":200,"body":"{\"success\":true}"}]"#), (vec![], false));
        assert_eq!(told("not an answer"), (vec![], false));
    }
}
