//! What a request is: sends, a passthrough, a steering write, or unreadable.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use http::request::Parts;

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
    /// Attempted contacts; all of them must be permitted.
    Sends(Vec<Send<'a>>),
    /// Not a send.
    Passthrough(Passage),
    /// A steering write.
    Steering(&'static str),
    /// Refused.
    Unreadable(Unreadable),
}
