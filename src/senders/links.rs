//! What answers to sends tell of people: that a number and a user id are one person.
//!
//! A link is learnt only from a contact whose `input` is what the send wrote, and by a task of its own: neither a send nor the watch over senders waits for it.

use std::sync::Arc;
use std::time::Duration;

use ahash::RandomState;
use aws_lc_rs::digest;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::Inner;
use super::heard::Remembered;
use super::sent::{Asked, Written};
use crate::consent::dossier::Provenance;
use crate::consent::{Actor, Event, EventId, Kind, Recipient, RecipientKey, Timestamp};
use crate::metrics::AnswerLink;
use crate::store::{Incoming, StoreError};
use crate::wire::cloud::answer::{Contact, Taken};

/// How many links may wait for the store; of further ones it is only counted that they were lost, and the person's next message tells of them again.
const WAITING: usize = 4096;
/// How many are written at once.
const AT_ONCE: usize = 64;
/// How long a store that failed is left alone.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the end waits for the store.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// The source that such links are kept under.
const SOURCE: &str = "whatsapp:answer";

/// One person's other identities.
pub(super) struct Found {
    pub(super) tenant: usize,
    pub(super) person: Recipient,
    pub(super) others: Vec<Recipient>,
    /// Names the event: for a send by a hash of the provider's id of the message.
    pub(super) id: String,
    pub(super) at: Timestamp,
}

/// The way of links into the store.
pub(super) struct Links {
    inner: Arc<Inner>,
    /// The last ones that were told, so that a person's every message does not ask the store.
    told: Remembered,
    seeds: RandomState,
    learner: Option<(mpsc::Sender<Found>, JoinHandle<()>)>,
}

impl Links {
    /// Nothing is learnt until [`Links::start`].
    pub(super) fn new(inner: &Arc<Inner>) -> Self {
        Self {
            inner: Arc::clone(inner),
            told: Remembered::default(),
            seeds: RandomState::new(),
            learner: None,
        }
    }

    /// Learns from now on.
    pub(super) fn start(&mut self) {
        let (waiting, arriving) = mpsc::channel(WAITING);
        self.learner = Some((waiting, tokio::spawn(keep(Arc::clone(&self.inner), arriving))));
    }

    /// Takes in what an answer says of whom a send named.
    pub(super) fn learn(&mut self, asked: &Asked, taken: &Taken<'_>) {
        let (Some(id), Some((waiting, _))) = (&taken.id, &self.learner) else { return };
        let Some(others) = others(asked, &taken.contacts) else { return };
        let everybody = std::iter::once(&asked.person).chain(&others).map(Recipient::key);
        let link = self.seeds.hash_one((asked.tenant, everybody.collect::<Vec<RecipientKey>>()));
        if !self.told.is_new(link) {
            return;
        }
        let (tenant, person) = (asked.tenant, asked.person.clone());
        let found =
            Found { tenant, person, others, id: name(id.danger_reveal()), at: self.inner.clock.now() };
        if waiting.try_send(found).is_err() {
            self.told.forget(link);
            self.inner.metrics.answer_links(AnswerLink::Lost, 1);
        }
    }

    /// Writes what waits, unless the store is away.
    pub(super) async fn finish(self) {
        if let Some((waiting, learning)) = self.learner {
            drop(waiting);
            // What was not written by then is told again by the next message.
            let _ = tokio::time::timeout(LAST_WORDS, learning).await;
        }
    }
}

/// Who else the recipient of a send is; `None` if the answer says nothing new, or speaks of another recipient.
fn others(asked: &Asked, contacts: &[Contact]) -> Option<Vec<Recipient>> {
    let echoed = |contact: &&Contact| Written::of(contact.input.danger_reveal()) == asked.written;
    let mut echoes = contacts.iter().filter(echoed);
    let (Some(contact), None) = (echoes.next(), echoes.next()) else { return None };
    let mut others = contact.person.identities();
    others.retain(|other| other.key() != asked.person.key());
    // Another number is another subscriber: what the provider makes of that is no reason to let a grant cross.
    if matches!(asked.person, Recipient::Phone(_))
        && others.iter().any(|other| matches!(other, Recipient::Phone(_)))
    {
        return None;
    }
    Some(others).filter(|others| !others.is_empty())
}

/// A name made from the provider's id of a message, which holds the person's number.
fn name(id: &str) -> String {
    let hash = digest::digest(&digest::SHA256, id.as_bytes());
    format!("a-{}", hex::encode(hash.as_ref().get(..12).unwrap_or_default()))
}

async fn keep(inner: Arc<Inner>, mut arriving: mpsc::Receiver<Found>) {
    let mut batch = Vec::new();
    while arriving.recv_many(&mut batch, AT_ONCE).await > 0 {
        while let Err(error) = write(&inner, &batch).await {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "links that answers to sends tell of are not stored yet; trying again"
            );
            tokio::time::sleep(PAUSE).await;
        }
        batch.clear();
    }
}

async fn write(inner: &Inner, batch: &[Found]) -> Result<(), StoreError> {
    let mut news = Vec::new();
    for found in batch {
        let others: Vec<RecipientKey> = found.others.iter().map(Recipient::key).collect();
        if !inner.store.are_linked(found.tenant, &found.person.key(), &others).await? {
            news.push(found.incoming());
        }
    }
    let (new, known) = (news.len() as u64, (batch.len() - news.len()) as u64);
    if !news.is_empty() {
        inner.store.apply(news).await?;
    }
    inner.metrics.answer_links(AnswerLink::Learnt, new);
    inner.metrics.answer_links(AnswerLink::Known, known);
    Ok(())
}

impl Found {
    pub(super) fn incoming(&self) -> Incoming {
        let event = Event {
            id: EventId(self.id.clone()),
            recipient: self.person.clone(),
            kind: Kind::Link,
            categories: None,
            occurred_at: self.at,
            received_at: self.at,
            expires_at: None,
            actor: Actor::Provider,
            source: SOURCE.to_owned(),
            links: self.others.clone(),
            evidence: None,
            pending: false,
            confirms: None,
            legacy: false,
        };
        Incoming { tenant: self.tenant, event, provenance: Provenance::Observed, retold: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::cloud::answer::taken;

    /// The other identities that an answer with these contacts tells of somebody who was written so.
    fn told(written: &str, contacts: &str) -> Option<Vec<String>> {
        let body = format!(r#"{{"contacts":{contacts},"messages":[{{"id":"wamid.A"}}]}}"#);
        let person = Recipient::parse(&written.replace(' ', "")).unwrap();
        let asked = Asked { tenant: 0, person, written: Written::of(written) };
        others(&asked, &taken(body.as_bytes()).contacts)
            .map(|others| others.iter().map(Recipient::danger_string).collect())
    }

    #[test]
    fn only_a_contact_that_repeats_what_was_written_says_who_else_that_is() {
        let all = |identities: &[&str]| Some(identities.iter().map(|&i| i.to_owned()).collect::<Vec<_>>());
        for (written, contacts, expected) in [
            ("+15550000001", r#"[{"input":"+15550000001","wa_id":"15550000001"}]"#, None),
            (
                "+15550000001",
                r#"[{"input":"+15550000001","wa_id":"15550000001","user_id":"US.1"}]"#,
                all(&["US.1"]),
            ),
            (
                "+1 555 0000001",
                r#"[{"input":"+1 555 0000001","wa_id":"15550000001","user_id":"US.1","parent_user_id":"US.ENT.2"}]"#,
                all(&["US.1", "US.ENT.2"]),
            ),
            ("US.1", r#"[{"input":"US.1","user_id":"US.1"}]"#, None),
            ("US.1", r#"[{"input":"US.1","wa_id":"15550000001","user_id":"US.1"}]"#, all(&["+15550000001"])),
            ("+15550000001", r#"[{"input":"+15550000001","wa_id":"15550000009","user_id":"US.9"}]"#, None),
            // One subscriber has one key, however the digits are written.
            ("+525512345678", r#"[{"input":"+525512345678","wa_id":"5215512345678"}]"#, None),
            // Another spelling, another person, nobody, or two at once.
            ("+15550000001", r#"[{"input":"15550000001","wa_id":"15550000001","user_id":"US.1"}]"#, None),
            ("+15550000001", r#"[{"input":"+15550000002","wa_id":"15550000002","user_id":"US.2"}]"#, None),
            ("+15550000001", r#"[{"wa_id":"15550000001","user_id":"US.1"}]"#, None),
            (
                "+15550000001",
                r#"[{"input":"+15550000001","user_id":"US.1"},{"input":"+15550000001","user_id":"US.2"}]"#,
                None,
            ),
        ] {
            assert_eq!(told(written, contacts), expected, "{written} {contacts}");
        }
    }
}
