//! A consent receipt: one signed JSON that says how a person stands, on which events that rests, and where those stand in the person's chain.
//!
//! Checked offline with the public key alone. The signature is Ed25519 (RFC 8032) over the receipt without its `signature`, as canonical JSON: UTF-8, keys
//! sorted by their bytes, no white space. Which fields of ISO/IEC TS 27560 and of the Kantara receipt each field answers stands in deploy/RECEIPT.md.

use std::fmt;

use serde_json::{Map, Value, json};

use super::Audit;
use super::canonical::{canonical, canonical_without};
use super::checkpoint::Checkpoint;
use super::key::{PublicKey, Signer, is_signed, key_id};
use crate::consent::chain::{Content, GENESIS, Hash, Link, Matter, commit, head};
use crate::consent::dossier::{Dossier, Role};
use crate::consent::record::{Judged, Record};
use crate::consent::{Category, GateRecord, Lookup, Recipient, Validity};
use crate::store::StoreError;

/// What `schema_version` says.
pub const SCHEMA: &str = "optgate-consent-receipt-1";

/// Whose receipt is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Principal<'a> {
    /// The tenant, by its place.
    pub tenant: usize,
    /// The person.
    pub recipient: &'a Recipient,
}

impl Audit {
    /// A receipt for a person; `None` if nothing is known about them.
    pub async fn receipt(&self, of: Principal<'_>) -> Result<Option<Value>, StoreError> {
        let store = &self.inner.store;
        let Some(dossier) = store.dossier(of.tenant, &of.recipient.key()).await? else { return Ok(None) };
        if dossier.is_empty() {
            return Ok(None);
        }
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(StoreError::Randomness)?;
        let now = self.inner.clock.now();
        let newest = self.newest(of.tenant).await?;
        let gate = match store.lookup(of.tenant, &of.recipient.key()).await.lookup {
            Lookup::Found(gate) => gate,
            Lookup::Absent => GateRecord::default(),
            Lookup::Unavailable | Lookup::Remembered(_) => return Err(StoreError::NotReady),
        };
        let validity = store.validity(of.tenant);
        let judged = Judged { gate, validity: validity.as_deref().unwrap_or(&Validity::UNLIMITED), now };
        let mut receipt = json!({
            "schema_version": SCHEMA,
            "receipt_id": hex::encode(id),
            "issued_at": now,
            "controller": { "tenant": self.tenant(of.tenant)? },
            "principal": of.recipient.danger_string(),
        });
        if let Some(members) = receipt.as_object_mut() {
            members.extend(standing(&dossier, &judged));
            members.insert("checkpoint".to_owned(), checkpoint(&dossier, newest.as_ref()));
        }
        Ok(Some(signed(self.signer().await?, receipt)))
    }
}

fn signed(signer: &Signer, mut receipt: Value) -> Value {
    let key = json!({ "algorithm": "Ed25519", "id": key_id(signer.public()), "public": hex::encode(signer.public()) });
    if let Some(members) = receipt.as_object_mut() {
        members.insert("key".to_owned(), key);
        let signature = signer.sign(canonical(&Value::Object(members.clone())).as_bytes());
        members.insert("signature".to_owned(), signature.into());
    }
    receipt
}

/// Categories, the events that they rest on, and the chain.
fn standing(dossier: &Dossier, judged: &Judged<'_>) -> Map<String, Value> {
    let record = dossier.record();
    let mut members = Map::new();
    members.insert("categories".to_owned(), categories(&record, judged));
    members.insert("events".to_owned(), events(dossier));
    let last = dossier.chain().numbered().last();
    let chain = last.map(|(seq, entry)| json!({ "entries": seq, "head": hex::encode(entry.head) }));
    members.insert("chain".to_owned(), chain.unwrap_or(Value::Null));
    members
}

fn categories(record: &Record, judged: &Judged<'_>) -> Value {
    let of = |category: Category| {
        let own = record.categories.get(category.index()).cloned().unwrap_or_default();
        let state = judged.state(category, own.state);
        let value = json!({ "state": state, "since": own.since, "until": own.until, "event": own.event });
        (category.name().to_owned(), value)
    };
    Value::Object(Category::ALL.into_iter().map(of).collect())
}

/// The events without which nobody could tell why the categories stand as they do, each with its part in that, as they were committed to.
fn events(dossier: &Dossier) -> Value {
    let basis = dossier.basis();
    let mut before = GENESIS;
    let mut events = Vec::new();
    for (seq, entry) in dossier.chain().numbered() {
        if let Content::Known { subject, text, salt } = &entry.content
            && let Some(parts) = basis.get(subject)
        {
            events.push(json!({
                "standing": parts_of(parts),
                "event": serde_json::from_str::<Value>(text).unwrap_or_default(),
                "text": text,
                "entry": {
                    "seq": seq, "at": entry.at, "adopted": entry.adopted, "salt": hex::encode(salt),
                    "commitment": hex::encode(entry.content.commitment()),
                    "previous_head": hex::encode(before), "head": hex::encode(entry.head),
                },
            }));
        }
        before = entry.head;
    }
    Value::Array(events)
}

/// By category, what an event has to do with it.
fn parts_of(parts: &[(Category, Role)]) -> Value {
    Value::Object(
        parts.iter().map(|(category, role)| (category.name().to_owned(), role.name().into())).collect(),
    )
}

/// The newest checkpoint and which entry of this chain it covers.
fn checkpoint(dossier: &Dossier, newest: Option<&Checkpoint>) -> Value {
    let Some(newest) = newest else { return Value::Null };
    let covered = dossier.chain().head_at(newest.moment()).map(|(seq, _)| seq);
    json!({ "at": newest.at(), "hash": newest.hash(), "covers_entries": covered.unwrap_or_default() })
}

/// A receipt that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The key that signed it.
    pub key_id: String,
    /// Whether that key was given by whoever checks; else it is only the one that stands in the receipt, which anybody could have put there.
    pub key_known: bool,
    /// How many events it rests on.
    pub events: usize,
}

/// Why a receipt is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// A member is missing or has another form.
    Form(&'static str),
    /// It names another version of the schema.
    Schema,
    /// It was signed with another key than the one given.
    OtherKey,
    /// It was changed after it was signed, or never signed.
    Signature,
    /// An event is not the one that its entry commits to.
    Event(usize),
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form(member) => {
                write!(f, "this is no consent receipt: {member} is missing or has another form")
            }
            Self::Schema => write!(f, "schema_version is not {SCHEMA}; a newer optgate may read it"),
            Self::OtherKey => f.write_str("it was signed with another key than the one given"),
            Self::Signature => {
                f.write_str("the signature does not hold: the receipt was changed after it was signed")
            }
            Self::Event(n) => write!(f, "events[{n}] is not what its entry of the chain commits to"),
        }
    }
}

impl std::error::Error for Doubt {}

/// Checks a receipt without any gate; `key` is the public key that the checker trusts, if there is one.
///
/// # Errors
/// The first reason not to believe it.
pub fn check(receipt: &Value, key: Option<&PublicKey>) -> Result<Checked, Doubt> {
    if text(receipt, "/schema_version").ok_or(Doubt::Form("schema_version"))? != SCHEMA {
        return Err(Doubt::Schema);
    }
    let public: PublicKey = bytes(receipt, "/key/public").ok_or(Doubt::Form("key.public"))?;
    if key.is_some_and(|key| *key != public) {
        return Err(Doubt::OtherKey);
    }
    let signature = text(receipt, "/signature").ok_or(Doubt::Form("signature"))?;
    if !is_signed(&public, canonical_without(receipt, "signature").as_bytes(), signature) {
        return Err(Doubt::Signature);
    }
    let events = receipt.get("events").and_then(Value::as_array).ok_or(Doubt::Form("events"))?;
    for (n, event) in events.iter().enumerate() {
        if !follows(event).ok_or(Doubt::Form("events"))? {
            return Err(Doubt::Event(n));
        }
    }
    Ok(Checked { key_id: key_id(&public), key_known: key.is_some(), events: events.len() })
}

/// Whether an event is its text, and its entry commits to that.
fn follows(event: &Value) -> Option<bool> {
    let statement = text(event, "/text")?;
    let number = |pointer| event.pointer(pointer).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
    let salt = bytes(event, "/entry/salt")?;
    let [stated, before, after]: [Hash; 3] = [
        bytes(event, "/entry/commitment")?,
        bytes(event, "/entry/previous_head")?,
        bytes(event, "/entry/head")?,
    ];
    let link = Link {
        seq: number("/entry/seq")?,
        at: number("/entry/at")?,
        adopted: event.pointer("/entry/adopted")?.as_bool()?,
        commitment: commit(Matter::Event, &salt, statement),
    };
    let same = serde_json::from_str::<Value>(statement).ok().as_ref() == event.get("event");
    Some(same && stated == link.commitment && after == head(&before, &link))
}

fn text<'v>(value: &'v Value, pointer: &str) -> Option<&'v str> {
    value.pointer(pointer)?.as_str()
}

fn bytes<const N: usize>(value: &Value, pointer: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text(value, pointer)?, &mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::event::EventAsWritten;
    use crate::consent::terms::WordingNumbers;
    use crate::consent::{Event, Timestamp};

    const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);

    fn dossier() -> Dossier {
        let mut dossier = Dossier::default();
        for (id, kind, at) in [("a", "grant", 10), ("b", "revoke", 20), ("c", "grant", 30)] {
            let evidence = json!({ "channel": "website", "wording": "I agree", "locale": "en", "url": "https://acme.example" });
            let mut written = json!({
                "id": id, "recipient": "+15550000001", "kind": kind, "categories": ["marketing"], "actor": "person", "source": "website",
                "occurred_at": Timestamp::from_secs(at), "received_at": Timestamp::from_secs(at + 1),
            });
            if kind == "grant" {
                written["evidence"] = evidence;
            }
            let written: EventAsWritten = serde_json::from_value(written).unwrap();
            dossier.learn(Event::check(written, NOW).unwrap());
        }
        dossier.seal(NOW, || Ok::<_, ()>([9; 16])).unwrap();
        dossier
    }

    fn receipt(signer: &Signer) -> Value {
        let mut receipt = json!({ "schema_version": SCHEMA, "principal": "+15550000001" });
        let gate = dossier().record().gate_record(&WordingNumbers::default());
        let judged = Judged { gate, validity: &Validity::UNLIMITED, now: NOW };
        receipt.as_object_mut().unwrap().extend(standing(&dossier(), &judged));
        signed(signer, receipt)
    }

    #[test]
    fn a_receipt_states_what_the_record_rests_on_and_is_believed() {
        let signer = Signer::from_seed(&[1; 32]).unwrap();
        let receipt = receipt(&signer);
        assert_eq!(receipt["categories"]["marketing"]["state"], "granted");
        assert_eq!(receipt["categories"]["utility"]["state"], "none");
        assert_eq!(receipt["events"].as_array().unwrap().len(), 1);
        assert_eq!(receipt["events"][0]["event"]["evidence"]["wording"], "I agree");
        assert_eq!(receipt["chain"]["entries"], 3);
        let checked = check(&receipt, Some(signer.public())).unwrap();
        assert!(checked.key_known && checked.events == 1);
        assert!(!check(&receipt, None).unwrap().key_known);
        // Printing and reading it again, keys in another order, changes nothing.
        let again: Value = serde_json::from_str(&serde_json::to_string_pretty(&receipt).unwrap()).unwrap();
        assert!(check(&again, None).is_ok());
    }

    fn told(id: &str, kind: &str, at: u64, more: Value) -> Event {
        let mut written = json!({
            "id": id, "recipient": "+15550000001", "kind": kind, "categories": ["marketing"], "actor": "person", "source": "website",
            "occurred_at": Timestamp::from_secs(at), "received_at": Timestamp::from_secs(at + 1),
        });
        if matches!(kind, "grant" | "resume") {
            written["evidence"] = json!({ "channel": "website", "wording": "I agree" });
        }
        let Value::Object(more) = more else { panic!("no object") };
        written.as_object_mut().unwrap().extend(more);
        let written: EventAsWritten = serde_json::from_value(written).unwrap();
        Event::check(written, NOW).unwrap()
    }

    /// The events of a receipt, each with what it has to do with marketing.
    fn parts(events: Vec<Event>) -> Vec<(String, String)> {
        let mut dossier = Dossier::default();
        for event in events {
            dossier.learn(event);
        }
        dossier.seal(NOW, || Ok::<_, ()>([9; 16])).unwrap();
        let events = super::events(&dossier);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let part = |event: &Value| (text(&event["event"]["id"]), text(&event["standing"]["marketing"]));
        events.as_array().unwrap().iter().map(part).collect()
    }

    #[test]
    fn a_receipt_holds_what_was_lifted_and_what_was_confirmed_with_the_part_of_each() {
        let (grant, revoke) = (told("grant", "grant", 10, json!({})), told("stop", "revoke", 20, json!({})));
        let resume = told("resume", "resume", 30, json!({}));
        let pending = told("asked", "grant", 40, json!({"pending": true}));
        let confirmation = told("said", "grant", 50, json!({"confirms": "asked"}));
        let first = |n| {
            vec![grant.clone(), revoke.clone(), resume.clone(), pending.clone(), confirmation.clone()][..n]
                .to_vec()
        };
        for (events, expected) in [
            (first(1), vec![("grant", "in_force")]),
            (first(2), vec![("stop", "in_force")]),
            (first(3), vec![("grant", "in_force"), ("stop", "lifted"), ("resume", "lifts")]),
            (
                first(4),
                vec![("grant", "in_force"), ("stop", "lifted"), ("resume", "lifts"), ("asked", "waiting")],
            ),
            // What was lifted before the person agreed anew changes nothing any more.
            (first(5), vec![("asked", "confirmed"), ("said", "in_force")]),
            (vec![pending.clone()], vec![("asked", "waiting")]),
            (vec![revoke.clone(), resume.clone()], vec![("stop", "lifted"), ("resume", "lifts")]),
            (
                vec![told("other", "revoke", 20, json!({"source": "phone"})), resume],
                vec![("other", "in_force")],
            ),
        ] {
            let told: Vec<_> = parts(events);
            let told: Vec<_> = told.iter().map(|(id, part)| (id.as_str(), part.as_str())).collect();
            assert_eq!(told, expected);
        }
    }

    #[test]
    fn every_change_is_noticed() {
        let signer = Signer::from_seed(&[1; 32]).unwrap();
        let other = Signer::from_seed(&[2; 32]).unwrap();
        let good = receipt(&signer);
        type Change = fn(&mut Value);
        let table: &[(&str, Change, Doubt)] = &[
            ("state", |r| r["categories"]["utility"]["state"] = "granted".into(), Doubt::Signature),
            ("wording", |r| r["events"][0]["event"]["evidence"]["wording"] = "Yes".into(), Doubt::Signature),
            ("principal", |r| r["principal"] = "+15550000002".into(), Doubt::Signature),
            ("added", |r| r["more"] = true.into(), Doubt::Signature),
            ("schema", |r| r["schema_version"] = "x".into(), Doubt::Schema),
            ("no signature", |r| r["signature"] = Value::Null, Doubt::Form("signature")),
            ("no key", |r| r["key"] = Value::Null, Doubt::Form("key.public")),
            ("no events", |r| r["events"] = Value::Null, Doubt::Signature),
        ];
        for (what, change, doubt) in table {
            let mut changed = good.clone();
            change(&mut changed);
            assert_eq!(check(&changed, None), Err(doubt.clone()), "{what}");
        }
        assert_eq!(check(&good, Some(other.public())), Err(Doubt::OtherKey));
        assert_eq!(check(&Value::Null, None), Err(Doubt::Form("schema_version")));
    }

    /// Somebody who holds the key still cannot make an entry say something else.
    #[test]
    fn an_event_that_its_entry_does_not_commit_to_is_noticed_though_signed() {
        let signer = Signer::from_seed(&[1; 32]).unwrap();
        type Change = fn(&mut Value);
        let table: &[Change] = &[
            |e| e["text"] = e["text"].as_str().unwrap().replace("agree", "Agree").into(),
            |e| e["event"]["source"] = "app".into(),
            |e| e["entry"]["seq"] = 2.into(),
            |e| e["entry"]["at"] = 7.into(),
            |e| e["entry"]["adopted"] = true.into(),
            |e| e["entry"]["salt"] = "00".repeat(16).into(),
            |e| e["entry"]["previous_head"] = "00".repeat(32).into(),
        ];
        for change in table {
            let mut changed = receipt(&signer);
            change(&mut changed["events"][0]);
            let members = changed.as_object_mut().unwrap();
            members.remove("signature");
            members.remove("key");
            assert_eq!(check(&signed(&signer, changed), None), Err(Doubt::Event(0)));
        }
    }
}
