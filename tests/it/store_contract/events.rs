//! Events as tests write them.

use optgate::consent::dossier::Provenance;
use optgate::consent::event::EventAsWritten;
use optgate::consent::{
    Actor, Category, Event, Lookup, Recipient, RecipientKey, Standing, Timestamp, Validity,
};
use optgate::store::{ConsentStore, Incoming, Outcome, StoreError};

use super::bench::ACME;

pub(crate) const ANN: &str = "+15550000001";
pub(crate) const BOB: &str = "+15550000002";
pub(crate) const ANN_ID: &str = "US.13491208655302741918";

/// The moment at which tests judge and learn; events happen before it.
pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);
const BASE: u64 = 1_780_000_000;

/// So many seconds from the start of the count.
pub(crate) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_secs(BASE + seconds)
}

/// An event in the making; `at` counts seconds from an arbitrary start.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    written: EventAsWritten,
    tenant: usize,
    provenance: Provenance,
}

fn told(kind: &str, recipient: &str, at: u64) -> Told {
    let mut json = serde_json::json!({
        "recipient": recipient, "kind": kind, "actor": "person", "source": "website",
        "occurred_at": Timestamp::from_secs(BASE + at).to_string(), "id": format!("{kind}-{at}"),
    });
    if matches!(kind, "grant" | "resume") {
        json["evidence"] =
            serde_json::json!({"channel": "website", "wording": "I agree to a secret wording"});
    }
    if matches!(kind, "grant" | "revoke" | "resume") {
        json["categories"] = serde_json::json!(["marketing"]);
    }
    Told { written: serde_json::from_value(json).unwrap(), tenant: ACME, provenance: Provenance::Declared }
}

pub(crate) fn grant(recipient: &str, at: u64) -> Told {
    told("grant", recipient, at)
}

pub(crate) fn revoke(recipient: &str, at: u64) -> Told {
    told("revoke", recipient, at)
}

pub(crate) fn resume(recipient: &str, at: u64) -> Told {
    told("resume", recipient, at)
}

pub(crate) fn inbound(recipient: &str, at: u64) -> Told {
    told("inbound", recipient, at)
}

pub(crate) fn link(recipient: &str, to: &str) -> Told {
    told("link", recipient, 0).linked_to([to])
}

/// What an export says of an erasure.
pub(crate) fn erasure(recipient: &str, at: u64) -> Told {
    told("erase", recipient, at).named(&format!("erasure-{at}"))
}

impl Told {
    pub(crate) fn of(mut self, tenant: usize) -> Self {
        self.tenant = tenant;
        self
    }

    pub(crate) fn by_operator(mut self) -> Self {
        self.written.actor = Some(Actor::Operator);
        self
    }

    pub(crate) fn by(mut self, actor: Actor) -> Self {
        self.written.actor = Some(actor);
        self
    }

    /// Without saying how it came about; a store takes what it is given.
    pub(crate) fn unproven(mut self) -> Self {
        self.written.evidence = None;
        self
    }

    pub(crate) fn from(mut self, source: &str) -> Self {
        self.written.source = Some(source.to_owned());
        self
    }

    pub(crate) fn about(mut self, categories: &[Category]) -> Self {
        self.written.categories = Some(categories.to_vec());
        self
    }

    pub(crate) fn named(mut self, id: &str) -> Self {
        self.written.id = Some(id.to_owned());
        self
    }

    pub(crate) fn linked_to<S: Into<String>>(mut self, others: impl IntoIterator<Item = S>) -> Self {
        self.written.links = others.into_iter().map(Into::into).collect();
        self
    }

    pub(crate) fn observed(mut self) -> Self {
        self.provenance = Provenance::Observed;
        self
    }

    pub(crate) fn is(&self, kind: &str) -> bool {
        serde_json::json!(self.written.kind) == kind
    }

    /// The event in JSON, for messages of tests.
    pub(crate) fn says(&self) -> String {
        serde_json::json!(self.written).to_string()
    }

    /// The same event about somebody else.
    pub(crate) fn to(mut self, recipient: &str) -> Self {
        recipient.clone_into(&mut self.written.recipient);
        self
    }

    pub(crate) fn pending(mut self) -> Self {
        self.written.pending = Some(true);
        self
    }

    pub(crate) fn confirming(mut self, first: &str) -> Self {
        self.written.confirms = Some(first.to_owned());
        self
    }

    pub(crate) fn legacy(mut self) -> Self {
        (self.written.legacy, self.written.evidence) = (Some(true), None);
        self
    }

    pub(crate) fn worded(mut self, version: &str) -> Self {
        let evidence = self.written.evidence.as_mut().unwrap();
        evidence.wording_version = Some(version.to_owned());
        self
    }

    pub(crate) fn incoming(self) -> Incoming {
        let event = Event::check(self.written, NOW).unwrap();
        Incoming { tenant: self.tenant, event, provenance: self.provenance, retold: false }
    }
}

pub(crate) async fn apply(
    store: &ConsentStore,
    events: impl IntoIterator<Item = Told>,
) -> Result<Vec<Outcome>, StoreError> {
    store.apply(events.into_iter().map(Told::incoming).collect()).await
}

/// Applies events and panics unless every one of them is applied.
pub(crate) async fn applied(store: &ConsentStore, events: impl IntoIterator<Item = Told>) {
    let outcomes = apply(store, events).await.unwrap();
    assert!(outcomes.iter().all(|o| *o == Outcome::Applied), "{outcomes:?}");
}

pub(crate) fn key(recipient: &str) -> RecipientKey {
    Recipient::parse(recipient).unwrap().key()
}

pub(crate) async fn lookup(store: &ConsentStore, recipient: &str) -> Lookup {
    store.lookup(ACME, &key(recipient)).await.lookup
}

/// How a recipient of the first tenant stands to marketing.
pub(crate) async fn standing(store: &ConsentStore, recipient: &str) -> Standing {
    standing_in(lookup(store, recipient).await)
}

pub(crate) fn standing_in(lookup: Lookup) -> Standing {
    match lookup {
        Lookup::Found(record) => record.standing(Category::Marketing, &Validity::UNLIMITED, NOW),
        Lookup::Absent => Standing::Absent,
        Lookup::Unavailable | Lookup::Remembered(_) => panic!("the store is unavailable"),
    }
}
