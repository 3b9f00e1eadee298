//! An event as JSON without copying it first: the same text, byte for byte, as [`EventAsWritten`] gives.
//!
//! An import makes this text twice for each event, for its name and for the store.

use serde::{Serialize, Serializer};

use super::{Actor, CategorySet, Event, Evidence, Kind};
use crate::consent::recipient::Recipient;
use crate::consent::time::Timestamp;

/// What most texts are shorter than.
const USUAL: usize = 1024;

/// Borrows what an event written without a tenant says; the order of the fields is the shape's.
#[derive(Serialize)]
struct Text<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    recipient: String,
    kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "in_order")]
    categories: Option<CategorySet>,
    occurred_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    received_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    actor: Actor,
    source: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    links: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<&'a Evidence>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pending: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    confirms: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    legacy: Option<bool>,
}

#[allow(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "serde gives it so")]
fn in_order<S: Serializer>(set: &Option<CategorySet>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(set.iter().flat_map(|set| set.iter()))
}

impl Event {
    /// The text that is stored.
    pub(in crate::consent) fn text(&self) -> String {
        let links = self.links.iter().map(Recipient::danger_string).collect();
        let text = self.borrowed(self.recipient.danger_string(), links);
        String::from_utf8(json(&text)).unwrap_or_default()
    }

    /// The text of what was said, by which two events are the same: without its name, its moment of arrival and the identities.
    pub(super) fn content(&self) -> Vec<u8> {
        json(&Text { id: None, received_at: None, ..self.borrowed(String::new(), Vec::new()) })
    }

    fn borrowed(&self, recipient: String, links: Vec<String>) -> Text<'_> {
        // Every field by its name, so that a new one cannot be forgotten here.
        let Self {
            id,
            recipient: _,
            kind,
            categories,
            occurred_at,
            received_at,
            expires_at,
            actor,
            source,
            links: _,
            evidence,
            pending,
            confirms,
            legacy,
        } = self;
        Text {
            id: Some(&id.0),
            recipient,
            kind: *kind,
            categories: *categories,
            occurred_at: *occurred_at,
            received_at: Some(*received_at),
            expires_at: *expires_at,
            actor: *actor,
            source,
            links,
            evidence: evidence.as_ref(),
            pending: pending.then_some(true),
            confirms: confirms.as_ref().map(|id| id.0.as_str()),
            legacy: legacy.then_some(true),
        }
    }
}

fn json(text: &Text<'_>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(USUAL);
    // Plain data that is written to memory always becomes JSON.
    let _ = serde_json::to_writer(&mut bytes, text);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::event::EventAsWritten;

    #[test]
    fn the_text_is_that_of_the_shape() {
        let evidence = serde_json::json!({"channel": "website", "wording": "I \"agree\"\n", "number_confirmed": true, "categories_shown": ["call"]});
        for event in [
            serde_json::json!({"id": "a", "recipient": "+15550000001", "kind": "grant", "categories": ["utility", "call"], "expires_at": "2027-01-01T00:00:00Z",
                "links": ["US.1349"], "evidence": evidence, "pending": true}),
            serde_json::json!({"recipient": "US.1349", "kind": "grant", "categories": ["utility"], "evidence": evidence, "confirms": "a", "received_at": "2026-02-01T00:00:00Z"}),
            serde_json::json!({"recipient": "+525555500021", "kind": "revoke"}),
            serde_json::json!({"recipient": "+15550000001", "kind": "link", "links": ["US.1349", "+15550000002"]}),
        ] {
            let mut event = event;
            event["occurred_at"] = "2026-01-31T09:30:00Z".into();
            event["actor"] = "person".into();
            event["source"] = "web".into();
            let written: EventAsWritten = serde_json::from_value(event).unwrap();
            let mut event = Event::check(written, Timestamp::from_secs(1_790_000_000)).unwrap();
            for legacy in [false, true] {
                event.legacy = legacy;
                let shape = event.as_written(None);
                assert_eq!(event.text(), serde_json::to_string(&shape).unwrap());
                let bare = EventAsWritten {
                    id: None,
                    received_at: None,
                    recipient: String::new(),
                    links: Vec::new(),
                    ..shape
                };
                assert_eq!(event.content(), serde_json::to_vec(&bare).unwrap());
            }
        }
    }
}
