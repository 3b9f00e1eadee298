//! An event as JSON: the same text, byte for byte, as [`EventAsWritten`](super::EventAsWritten) gives, at a third of the price.
//!
//! An import makes this text twice for each event, for its name and for the store.

use super::{Actor, Event, Kind};
use crate::consent::category::{Category, CategorySet};
use crate::consent::evidence::Evidence;
use crate::consent::recipient::Recipient;

/// What most texts are shorter than.
const USUAL: usize = 1024;

/// What a text leaves out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// Nothing.
    Whole,
    /// The event's name, its moment of arrival and the identities.
    Said,
}

impl Event {
    /// The text that is stored.
    pub(in crate::consent) fn text(&self) -> String {
        String::from_utf8(self.json(Extent::Whole)).unwrap_or_default()
    }

    /// The text of what was said, by which two events are the same: without its name, its moment of arrival and the identities.
    pub(super) fn content(&self) -> Vec<u8> {
        self.json(Extent::Said)
    }

    /// The order of the fields is the shape's.
    fn json(&self, extent: Extent) -> Vec<u8> {
        // Every field by its name, so that a new one cannot be forgotten here.
        let Self {
            id,
            recipient,
            kind,
            categories,
            occurred_at,
            received_at,
            expires_at,
            actor,
            source,
            links,
            evidence,
            pending,
            confirms,
            legacy,
        } = self;
        let whole = extent == Extent::Whole;
        let mut object = Object::within(Vec::with_capacity(USUAL));
        object.texts("id", whole.then_some(&id.0));
        object.text("recipient", if whole { recipient.danger_string() } else { String::new() });
        object.text("kind", kind.word());
        object.categories("categories", categories.map(CategorySet::iter));
        object.text("occurred_at", occurred_at.to_string());
        object.texts("received_at", whole.then(|| received_at.to_string()));
        object.texts("expires_at", expires_at.map(|at| at.to_string()));
        object.text("actor", actor.word());
        object.text("source", source);
        if whole && !links.is_empty() {
            object.list("links", links.iter().map(Recipient::danger_string));
        }
        if let Some(evidence) = evidence {
            object.name("evidence");
            object.0 = evidence.write(Object::within(std::mem::take(&mut object.0))).end();
        }
        object.flag("pending", pending.then_some(true));
        object.texts("confirms", confirms.as_ref().map(|id| &id.0));
        object.flag("legacy", legacy.then_some(true));
        object.end()
    }
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Grant => "grant",
            Self::Revoke => "revoke",
            Self::Resume => "resume",
            Self::Inbound => "inbound",
            Self::Link => "link",
            Self::Erase => "erase",
        }
    }
}

impl Actor {
    const fn word(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Operator => "operator",
            Self::System => "system",
            Self::Provider => "provider",
        }
    }
}

impl Evidence {
    fn write(&self, mut object: Object) -> Object {
        let Self {
            channel,
            user_action,
            name_and_logo_shown,
            number_confirmed,
            categories_shown,
            business_named,
            wording,
            wording_version,
            locale,
            url,
            reference,
        } = self;
        object.texts("channel", channel.as_ref());
        object.texts("user_action", user_action.as_ref());
        object.flag("name_and_logo_shown", *name_and_logo_shown);
        object.flag("number_confirmed", *number_confirmed);
        object.categories("categories_shown", categories_shown.as_ref().map(|shown| shown.iter().copied()));
        object.texts("business_named", business_named.as_ref());
        object.texts("wording", wording.as_ref());
        object.texts("wording_version", wording_version.as_ref());
        object.texts("locale", locale.as_ref());
        object.texts("url", url.as_ref());
        object.texts("reference", reference.as_ref());
        object
    }
}

/// A JSON object that is being written. Names are ours and need no escapes.
struct Object(Vec<u8>);

impl Object {
    fn within(mut bytes: Vec<u8>) -> Self {
        bytes.push(b'{');
        Self(bytes)
    }

    fn end(mut self) -> Vec<u8> {
        self.0.push(b'}');
        self.0
    }

    fn name(&mut self, name: &str) {
        let separator: &[u8] = if self.0.last() == Some(&b'{') { b"\"" } else { b",\"" };
        self.0.extend_from_slice(separator);
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
    }

    fn text(&mut self, name: &str, text: impl AsRef<str>) {
        self.name(name);
        put_text(&mut self.0, text.as_ref());
    }

    fn texts(&mut self, name: &str, text: Option<impl AsRef<str>>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    fn flag(&mut self, name: &str, flag: Option<bool>) {
        if let Some(flag) = flag {
            self.name(name);
            self.0.extend_from_slice(if flag { b"true" } else { b"false" });
        }
    }

    fn list(&mut self, name: &str, items: impl Iterator<Item = impl AsRef<str>>) {
        self.name(name);
        self.0.push(b'[');
        for (n, item) in items.enumerate() {
            if n > 0 {
                self.0.push(b',');
            }
            put_text(&mut self.0, item.as_ref());
        }
        self.0.push(b']');
    }

    fn categories(&mut self, name: &str, categories: Option<impl Iterator<Item = Category>>) {
        if let Some(categories) = categories {
            self.list(name, categories.map(Category::name));
        }
    }
}

/// Most texts need no escapes, and are copied whole.
fn put_text(bytes: &mut Vec<u8>, text: &str) {
    let needs_escape = |b: u8| b < b' ' || b == b'"' || b == b'\\';
    // Without a way out of the loop many bytes are looked at together.
    let escapes = text.bytes().fold(false, |any, b| any | needs_escape(b));
    if escapes {
        // Plain data that is written to memory always becomes JSON.
        let _ = serde_json::to_writer(bytes, text);
    } else {
        bytes.push(b'"');
        bytes.extend_from_slice(text.as_bytes());
        bytes.push(b'"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::event::EventAsWritten;
    use crate::consent::time::Timestamp;
    use proptest::prelude::*;

    /// Every field of evidence, with texts of all kinds.
    fn evidence(texts: &[String], flag: Option<bool>) -> Evidence {
        let mut texts = texts.iter().cloned().map(|text| Some(text).filter(|text| !text.is_empty()));
        let mut next = || texts.next().flatten();
        Evidence {
            channel: next(),
            user_action: next(),
            name_and_logo_shown: flag,
            number_confirmed: flag.map(|flag| !flag),
            categories_shown: flag.map(|flag| if flag { Category::ALL.to_vec() } else { Vec::new() }),
            business_named: next(),
            wording: next(),
            wording_version: next(),
            locale: next(),
            url: next(),
            reference: next(),
        }
    }

    proptest! {
        #[test]
        fn evidence_is_written_as_its_shape(
            texts in proptest::collection::vec("(?s).{0,40}", 8),
            flag in proptest::option::of(any::<bool>()),
        ) {
            let evidence = evidence(&texts, flag);
            let written = evidence.write(Object::within(Vec::new())).end();
            prop_assert_eq!(String::from_utf8(written).unwrap(), serde_json::to_string(&evidence).unwrap());
        }
    }

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
