//! What a request is: sends, a passthrough, a steering write, or unreadable.
//!
//! The invariant: nothing that the provider, lenient in ways we cannot know, could understand as a send passes unjudged; what is judged is exactly what travels;
//! what is not a send passes unharmed. Where two readers could disagree, the request is refused.
//!
//! # Edges
//!
//! How a write to each edge of the provider's API is treated; reads pass. The table in code is `edges`.
//!
//! | edge | treatment of a write | source |
//! |---|---|---|
//! | `/{id}/messages`, `/{id}/marketing_messages`, `/{id}/calls` | judged as a send | Meta, Messages, Marketing Messages and Calling references |
//! | `/{id}/messages_encrypted` | refused: opaque | Meta OpenAPI, messages_encrypted |
//! | `/messages`, `/v1/messages`... without an id | refused: other dialects | On-Premises API; 360dialog |
//! | `async_batch_requests`, `graphql` | refused: run operations that nobody judged | Meta, Marketing API, Asynchronous Batch Requests |
//! | `/{id}` | steering if it moves webhooks or notifies users, a send if it carries a message, else passed | Meta OpenAPI, `POST /{phone_number_id}` |
//! | `signups`, `welcome_message_sequences`, `schedules`, `message_campaigns`, `subscriptions` | steering | Meta, In-App Signup, Webhooks |
//! | `subscribed_apps`, `settings` | steering if a steering key is present or it deletes, else passed | Meta, webhook overrides, unsubscribing, calling settings |
//! | `webhook`, `application` | steering in other dialects (`/v1/configs/webhook`, `/v1/settings/application`) | 360dialog; On-Premises API |
//! | what lies below `/{id}/settings` and the like, `/settings?ids=` | steering, as what it is below or the edge itself | Meta, Graph API, multiple ids |
//! | `participants`, also as a key of `/{group}` | refused: adds people to a group | Meta OpenAPI, groups |
//! | media, templates, profile, registration, uploads... | passed, watched for batch, recipient and content | the references of each |
//! | `pass_thread_control` and the like | passed, watched for batch | Meta, Messenger Handover Protocol |
//! | anything else | passed if it carries no batch, recipient or content | default deny of what could be a send |

mod path;
mod edges;
mod names;
mod content;
mod fields;
mod streamed;
mod strict;
mod pass;
mod plain;
mod json;
mod walk;
mod form;
mod hidden;
mod part;
mod multipart;
mod scan;
mod file;
mod watch;
mod decide;
mod head;
mod body;
mod batch;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use http::request::Parts;

use self::content::Content;
use self::edges::Edge;
pub use self::watch::Watch;
use super::refusal::{Cause, Dialect};
use super::send::Send;
use crate::consent::DenyReason;

/// What recognising needs to know beyond the request.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Whether an id is a configured sender: Messenger and Instagram sends on any other id are not ours.
    pub is_sender: &'a dyn Fn(&str) -> bool,
    /// The path prefix under which the gate is mounted, without a slash at its end; empty for none.
    pub base_path: &'a str,
}

/// Why a request is refused before anybody is looked up. The text names what is wrong and the remedy, and repeats no value of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The reason, for the metric and the envelope.
    pub reason: DenyReason,
    /// What is wrong and what would be right.
    pub why: Cow<'static, str>,
    /// Which operation of a batch, counted from 0.
    pub operation: Option<usize>,
    /// The envelope that the caller understands.
    pub dialect: Dialect,
    /// What the answer says of it; the status where another than that of the reason fits better.
    pub cause: Cause,
}

impl Unreadable {
    /// A request that cannot be read with certainty.
    pub fn request(why: &'static str) -> Self {
        unreadable(why)
    }

    fn of_operation(self, operation: usize) -> Self {
        Self { operation: Some(operation), ..self }
    }
}

/// Says that recognising allowed a request to pass without being judged. Only this module makes one.
#[derive(Debug)]
#[must_use]
pub struct Passage {
    edge: &'static str,
}

/// What the head alone tells.
#[derive(Debug)]
pub enum Head {
    /// Not a send: streams through untouched, to this target if it differs from the caller's spelling.
    Passthrough(Passage, Option<Target>),
    /// A write that is passed but whose part or field names are watched while it streams.
    Watched(Passage, Watch, Option<Target>),
    /// The body decides: buffer it (up to the limit) and call [`body`].
    Inspect(Inspect),
    /// A write that could move webhooks or make the provider send by itself.
    Steering(&'static str),
    /// Refused.
    Unreadable(Unreadable),
}

/// The canonical target to forward where the caller's own spelling was not canonical.
pub type Target = http::uri::PathAndQuery;

/// What a body turned out to be.
#[derive(Debug)]
pub enum Recognized<'a> {
    /// One attempted contact.
    One(Send<'a>),
    /// A batch: all of its attempted contacts must be permitted, each names its operation.
    Batch(Vec<Send<'a>>),
    /// Not a send.
    Passthrough(Passage),
    /// A steering write.
    Steering(&'static str),
    /// Refused.
    Unreadable(Unreadable),
}

impl Passage {
    fn of(edge: &'static str) -> Self {
        Self { edge }
    }

    /// The edge that was passed: a closed set, fit for a metric label.
    pub fn edge(&self) -> &'static str {
        self.edge
    }
}

/// What a request does, after every way to say so in its head was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    Read,
    Delete,
    Write,
}

/// What waits for its body.
#[derive(Debug)]
pub struct Inspect {
    edge: &'static Edge,
    content: Content,
    effect: Effect,
    target: Option<Target>,
}

impl Inspect {
    /// The canonical target to forward, where the caller's own spelling was not canonical.
    pub fn target(&self) -> Option<&Target> {
        self.target.as_ref()
    }

    /// The envelope that the caller understands.
    pub fn dialect(&self) -> Dialect {
        if self.edge.treatment == edges::Treatment::Receipt { Dialect::OnPremises } else { Dialect::Cloud }
    }

    fn path<'a>(&'a self, parts: &'a Parts) -> &'a str {
        self.target.as_ref().map_or_else(|| parts.uri.path(), Target::path)
    }
}

fn refused(reason: DenyReason, why: &'static str) -> Unreadable {
    let cause = Cause::Denied(reason);
    Unreadable { reason, why: Cow::Borrowed(why), operation: None, dialect: Dialect::Cloud, cause }
}

fn adds_members() -> Unreadable {
    refused(
        DenyReason::GroupNotPermitted,
        "adding people to a group contacts them; share the invite link with people who agreed",
    )
}

fn unreadable(why: &'static str) -> Unreadable {
    refused(DenyReason::RequestUnreadable, why)
}

fn unrecognized(why: &'static str) -> Unreadable {
    refused(DenyReason::UnrecognizedSend, why)
}

/// The phone number id in a path, for the log; `None` where the path names none.
pub fn sender_of(parts: &Parts) -> Option<&str> {
    parts.uri.path().split('/').find(|segment| edges::is_number(segment))
}

/// The canonical target of a request that is forwarded without having been judged; `None` where the caller's own spelling travels.
pub fn target_of(parts: &Parts, context: Context<'_>) -> Option<Target> {
    head::target(parts, context).ok().flatten()
}

/// Judges what the head alone tells. Cheap, and allocates nothing for an ordinary send.
pub fn head(parts: &Parts, context: Context<'_>) -> Head {
    head::read(parts, context).unwrap_or_else(Head::Unreadable)
}

/// Judges a body that [`head`] asked for.
pub fn body<'a>(
    inspect: &'a Inspect,
    parts: &'a Parts,
    body: &'a [u8],
    context: Context<'_>,
) -> Recognized<'a> {
    body::read(&body::Request { inspect, parts, body, context, nested: false })
        .unwrap_or_else(Recognized::Unreadable)
}
