//! A consent event: something that happened and bears on what a recipient has agreed to.
//!
//! Events are the truth; records are derived from them. The JSON shape is the one of the admin API, of import and of export.

mod members;
mod shape;
mod text;

use std::fmt;

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::category::{Category, CategorySet};
use super::evidence::Evidence;
use super::recipient::Recipient;
use super::time::Timestamp;

pub use members::Members;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The person agreed.
    Grant,
    /// The person (or the business for them) withdrew.
    Revoke,
    /// The person took their own withdrawal of the same source back, with evidence; grants nothing new.
    Resume,
    /// The person wrote or called: opens the customer service window, grants nothing.
    Inbound,
    /// Two identities are the same person.
    Link,
    /// The person asked to be forgotten: what is left of them withdraws everything.
    Erase,
}

impl Kind {
    /// Whether it says that something is not permitted any more.
    pub const fn is_withdrawal(self) -> bool {
        match self {
            Self::Revoke | Self::Erase => true,
            Self::Grant | Self::Resume | Self::Inbound | Self::Link => false,
        }
    }

    /// Whether it can end a permission: a withdrawal does, and a link may bring one along.
    pub const fn withdraws(self) -> bool {
        match self {
            Self::Revoke | Self::Link | Self::Erase => true,
            Self::Grant | Self::Resume | Self::Inbound => false,
        }
    }
}

/// Who caused an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Actor {
    /// The person.
    Person,
    /// Somebody of the business.
    Operator,
    /// A program of the business.
    System,
    /// The messaging provider; its stop counts as the person's.
    Provider,
}

impl Actor {
    /// Whether the person themselves spoke, directly or through the provider's own controls.
    pub const fn speaks_for_person(self) -> bool {
        match self {
            Self::Person | Self::Provider => true,
            Self::Operator | Self::System => false,
        }
    }
}

/// Names one event among those of its recipient; a repeat with the same id changes nothing.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(pub String);

impl EventId {
    /// What the ids of erasures begin with. An export has them; whoever writes an event of their own has to ask for the erasure instead.
    pub const ERASURE: &'static str = "erasure-";
    /// The id of an event by which an export tells links whose own event is gone, or did not show them.
    pub const LINKS_DECLARED: &'static str = "export-links";
    /// The same of links that the provider showed.
    pub const LINKS_OBSERVED: &'static str = "export-links-observed";
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventId({})", self.0)
    }
}

impl EventId {
    /// What stands between the name that an event was given and the one of its content, where the given one was taken.
    const BESIDE: &str = "~";

    /// The name of an event whose own name another event of the recipient has taken.
    ///
    /// It keeps the name that it was given in front, so that a grant which confirms that name finds it whichever of the two came first.
    #[must_use]
    pub(super) fn beside(&self, content: &Self) -> Self {
        Self(format!("{}{}{}", self.0, Self::BESIDE, content.0))
    }

    /// What every name begins with that [`EventId::beside`] made of this one.
    #[must_use]
    pub(super) fn besides(&self) -> Self {
        Self(format!("{}{}{CONTENT}", self.0, Self::BESIDE))
    }
}

/// What the names of events begin with that were given none.
const CONTENT: &str = "c-";

/// An event as a caller writes it, not yet checked.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = Event)]
#[serde(deny_unknown_fields)]
pub struct EventAsWritten {
    /// Makes a repeat harmless; without it the content does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The tenant's name; may be left out where there is one tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// `+E.164` or a BSUID.
    #[serde(default)]
    #[schema(required)]
    pub recipient: String,
    /// What happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(required, value_type = Kind)]
    pub kind: Option<Kind>,
    /// Which categories; absent means all, for kinds that may be that broad.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub categories: Option<Vec<Category>>,
    /// When the person said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(required, value_type = Timestamp)]
    pub occurred_at: Option<Timestamp>,
    /// When it first reached a consent store; set by us, honoured when an export is imported again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received_at: Option<Timestamp>,
    /// When the grant ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Who caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(required, value_type = Actor)]
    pub actor: Option<Actor>,
    /// The system or page it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(required, value_type = String)]
    pub source: Option<String>,
    /// Other identities of the same person.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<String>,
    /// How a grant or a resume came about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// Whether a grant still waits for the person's confirmation (double opt-in).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<bool>,
    /// The id of the pending grant that a grant confirms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirms: Option<String>,
    /// Whether a grant comes from records that were kept before anybody asked for evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub legacy: Option<bool>,
    /// Whether the provider showed the links on the wire: grants cross them too. Written by an export; only a token with the scope `admin` may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<bool>,
    /// Under which key the hashes in recipient and links were made. Written by an export, and what an import tells foreign hashes by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "9f86d081884c7d65")]
    pub hash_key: Option<String>,
}

/// A checked event, ready to be stored.
#[derive(Clone, PartialEq, Eq)]
pub struct Event {
    /// Its name among the recipient's events.
    pub id: EventId,
    /// Whom it concerns.
    pub recipient: Recipient,
    /// What happened.
    pub kind: Kind,
    /// Which categories; `None` means all, future ones included.
    pub categories: Option<CategorySet>,
    /// When the person said it.
    pub occurred_at: Timestamp,
    /// When we learnt of it.
    pub received_at: Timestamp,
    /// When a grant ends by itself.
    pub expires_at: Option<Timestamp>,
    /// Who caused it.
    pub actor: Actor,
    /// Where it came from; a resume lifts only revokes of the same source.
    pub source: String,
    /// Other identities of the same person.
    pub links: Vec<Recipient>,
    /// How a grant or a resume came about.
    pub evidence: Option<Evidence>,
    /// A grant that grants nothing until the person confirms it (double opt-in).
    pub pending: bool,
    /// The pending grant that this one confirms; it grants only together with that one.
    pub confirms: Option<EventId>,
    /// A grant from records that were kept before anybody asked for evidence; marked so for ever.
    pub legacy: bool,
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .field("categories", &self.categories)
            .field("occurred_at", &self.occurred_at)
            .field("actor", &self.actor)
            .finish_non_exhaustive()
    }
}

impl EventAsWritten {
    /// The kind that it names; what has evidence and names none is held for a grant, so that all that is wrong with it is told at once.
    pub fn presumed_kind(&self) -> Option<Kind> {
        self.kind.or_else(|| self.evidence.is_some().then_some(Kind::Grant))
    }
}

impl fmt::Debug for EventAsWritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventAsWritten").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl Event {
    /// Whether the event speaks about a category.
    pub fn covers(&self, category: Category) -> bool {
        self.categories.is_none_or(|set| set.contains(category))
    }

    /// Whether it says how it came about.
    pub(super) fn is_proven(&self) -> bool {
        self.evidence.as_ref().is_some_and(|evidence| !evidence.is_empty())
    }

    /// Whether it is a resume that can take a withdrawal back: by the person, or by the provider what it told of itself, with evidence.
    pub fn can_lift(&self) -> bool {
        self.kind == Kind::Resume && self.actor.speaks_for_person() && self.is_proven()
    }

    /// Whether it is a grant of a category, pending or not.
    pub(super) fn is_grant_of(&self, category: Category) -> bool {
        self.kind == Kind::Grant && self.covers(category)
    }

    /// The source of the end of what was agreed for a number that somebody gave up.
    pub const MOVED: &'static str = "whatsapp:moved";

    /// Whether the provider tells that whoever had agreed has this number no more.
    pub fn ends_a_number(&self) -> bool {
        self.kind == Kind::Revoke && self.actor == Actor::Provider && self.source == Self::MOVED
    }

    /// Whether an export wrote it to tell of links; somebody whose links are known learns nothing by it.
    pub fn retells_links(&self) -> bool {
        self.kind == Kind::Link && [EventId::LINKS_DECLARED, EventId::LINKS_OBSERVED].contains(&&*self.id.0)
    }

    /// When it took effect: never later than we learnt of it, so that a wrong clock cannot open a window for years.
    pub fn effective_at(&self) -> Timestamp {
        self.occurred_at.min(self.received_at)
    }

    /// Checks a written event; `now` is the moment of its arrival.
    ///
    /// # Errors
    /// Every broken rule, each with the field at fault and what would be right; the offending values are not repeated.
    pub fn check(mut written: EventAsWritten, now: Timestamp) -> Result<Self, Vec<String>> {
        // An event cannot have been received before it happened; a time that says so would move a withdrawal behind the grant that it ends.
        let received_first = |received| written.occurred_at.is_some_and(|at| received < at && at <= now);
        written.received_at = written.received_at.filter(|at| !received_first(*at));
        let mut problems = shape::check_arrival(&written);
        match Self::restore(written, now) {
            Ok(event) if problems.is_empty() => Ok(event),
            Ok(_) => Err(problems),
            Err(of_shape) => {
                problems.extend(of_shape);
                Err(problems)
            }
        }
    }

    /// Reads an event that was checked before it was stored; `now` bounds when it can have been received.
    pub(super) fn restore(written: EventAsWritten, now: Timestamp) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        let recipient = Recipient::parse(&written.recipient);
        if recipient.is_none() {
            problems.push(
                "recipient: write +E.164 (such as +15550000001) or a BSUID (such as US.1349...)".to_owned(),
            );
        }
        let links: Vec<Recipient> = written.links.iter().filter_map(|l| Recipient::parse(l)).collect();
        if links.len() != written.links.len() {
            problems.push("links: every entry must be +E.164 or a BSUID".to_owned());
        }
        let missing = |field: &str, what: &str| format!("{field}: missing; write {what}");
        if written.kind.is_none() {
            problems.push(missing("kind", "grant, revoke, resume, inbound or link"));
        }
        if written.occurred_at.is_none() {
            problems.push(missing("occurred_at", "when the person said it, such as 2026-01-31T09:30:00Z"));
        }
        if written.actor.is_none() {
            problems.push(missing("actor", "person, operator, system or provider"));
        }
        if written.source.as_deref().is_none_or(|s| s.trim().is_empty()) {
            problems.push(missing("source", "the system or page it came from, such as website"));
        }
        if let Some(kind) = written.presumed_kind() {
            shape::check_kind(kind, &written, now, &mut problems);
        }
        match (recipient, written.kind, written.occurred_at, written.actor) {
            (Some(recipient), Some(kind), Some(occurred_at), Some(actor)) if problems.is_empty() => {
                let mut event = Self {
                    id: EventId(written.id.unwrap_or_default()),
                    recipient,
                    kind,
                    categories: written.categories.map(|c| c.into_iter().collect()),
                    occurred_at,
                    received_at: written.received_at.unwrap_or(now).min(now),
                    expires_at: written.expires_at,
                    actor,
                    source: written.source.unwrap_or_default(),
                    links,
                    evidence: written.evidence,
                    pending: written.pending.unwrap_or_default(),
                    confirms: written.confirms.map(EventId),
                    legacy: written.legacy.unwrap_or_default(),
                };
                if event.id.0.is_empty() {
                    event.id = event.content_id();
                }
                Ok(event)
            }
            _ => Err(problems),
        }
    }

    /// The event as the admin API and an export write it. Holds the person's number: for their own data only.
    pub fn as_written(&self, tenant: Option<&str>) -> EventAsWritten {
        EventAsWritten {
            id: Some(self.id.0.clone()),
            tenant: tenant.map(str::to_owned),
            recipient: self.recipient.danger_string(),
            kind: Some(self.kind),
            categories: self.categories.map(|set| set.iter().collect()),
            occurred_at: Some(self.occurred_at),
            received_at: Some(self.received_at),
            expires_at: self.expires_at,
            actor: Some(self.actor),
            source: Some(self.source.clone()),
            links: self.links.iter().map(Recipient::danger_string).collect(),
            evidence: self.evidence.clone(),
            pending: self.pending.then_some(true),
            confirms: self.confirms.as_ref().map(|id| id.0.clone()),
            legacy: self.legacy.then_some(true),
            observed: None,
            hash_key: None,
        }
    }

    /// A name from the content, so that the same event sent twice without an id is one event.
    ///
    /// The recipient is left out: ids are unique per recipient only, and must not let anybody guess a number.
    pub(super) fn content_id(&self) -> EventId {
        let hash = digest::digest(&digest::SHA256, &self.content());
        EventId(format!("{CONTENT}{}", hex::encode(hash.as_ref().get(..12).unwrap_or_default())))
    }
}

#[cfg(test)]
mod tests;
