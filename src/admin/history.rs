//! `GET /v1/tenants/{tenant}/recipients/{recipient}/history`: everything that was learnt about a person, in the order of arrival, with its place in the chain.

use std::sync::Arc;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::Control;
use super::caller::Caller;
use super::openapi::Description;
use super::problem::{Fault, Problem};
use super::recipients::{dossier_of, unreadable_recipient};
use crate::consent::chain::{Content, Entry, Subject};
use crate::consent::dossier::Dossier;
use crate::consent::event::EventAsWritten;
use crate::consent::{Kind, Recipient, Timestamp};

/// How many entries a page has when nothing is said.
const USUAL: usize = 100;
/// How many it may have.
const MOST: usize = 1000;

/// A page of what was learnt about a person.
#[derive(Serialize, ToSchema)]
pub(super) struct History {
    /// `+E.164` or a BSUID.
    #[schema(example = "+15550000001")]
    recipient: String,
    /// The tenant's name.
    #[schema(example = "acme")]
    tenant: String,
    /// The entries, oldest first; behind the last of them the latest message from the person, which has no place in the chain.
    entries: Vec<HistoryEntry>,
    /// What `after` must be for the next page; null at the end.
    next: Option<u32>,
}

/// One thing that was learnt. Of an erased one only its place and its hashes are left.
#[derive(Serialize, ToSchema)]
struct HistoryEntry {
    /// Its place in the person's chain, counted from 1.
    seq: Option<u32>,
    /// When it was written.
    at: Option<Timestamp>,
    /// It stood in the store before there were chains.
    adopted: bool,
    /// The salted SHA-256 of the event, in hexadecimal digits.
    commitment: Option<String>,
    /// The SHA-256 over this entry and the head before, in hexadecimal digits.
    head: Option<String>,
    /// The event, with its evidence, as it is stored.
    #[schema(value_type = Option<EventAsWritten>)]
    event: Option<Box<RawValue>>,
    /// Another identity of the person, where that is what was learnt.
    #[schema(value_type = Option<Object>)]
    link: Option<Box<RawValue>>,
}

/// Which page.
#[derive(Deserialize)]
pub(super) struct Asked {
    limit: Option<usize>,
    after: Option<u32>,
}

pub(super) fn described() -> Description {
    let number = |most: usize| {
        let most = u32::try_from(most).map_or(f64::MAX, f64::from);
        ObjectBuilder::new().schema_type(Type::Integer).maximum(Some(most))
    };
    Description::of("Everything that was learnt about a person")
        .at_length("In the order of arrival, each with its evidence and its place in the hash chain. An event that a linked identity shares stands in both histories.")
        .in_path("tenant", ("The tenant's name", "default"))
        .in_path("recipient", ("+E.164, its + written as %2B, or a BSUID", "+15550000001"))
        .in_query("limit", "How many entries, from 1 to 1000; 100 if left out", number(MOST).minimum(Some(1)))
        .in_query("after", "The place in the chain after which the page begins", number(usize::MAX).minimum(Some(0)))
        .answers::<History>(200, "A page")
        .faults(&[Fault::Unreadable, Fault::NotFound, Fault::TenantForbidden, Fault::StoreUnavailable])
}

pub(super) async fn show(
    State(control): State<Arc<Control>>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<(String, String)>, PathRejection>,
    query: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<History>, Problem> {
    let Path((tenant, recipient)) = path.map_err(|_| unreadable_recipient())?;
    let place = caller.tenant(&tenant, &control.tenants)?;
    let tenant = control.tenants.name_of(place);
    let recipient = Recipient::parse(&recipient).ok_or_else(unreadable_recipient)?;
    caller.touches(Some(place), &recipient);
    let Ok(Query(Asked { limit, after })) = query else { return Err(unreadable_page()) };
    let limit = limit.unwrap_or(USUAL);
    if limit == 0 || limit > MOST {
        return Err(unreadable_page());
    }
    let dossier = dossier_of(&control, (place, &recipient)).await?;
    let (entries, next) = page(&dossier, after.unwrap_or_default(), limit);
    Ok(Json(History { recipient: recipient.danger_string(), tenant, entries, next }))
}

fn unreadable_page() -> Problem {
    Problem::new(
        Fault::Unreadable,
        "limit, after: write whole numbers, limit from 1 to 1000 and after as next of the page before",
    )
}

fn page(dossier: &Dossier, after: u32, limit: usize) -> (Vec<HistoryEntry>, Option<u32>) {
    let mut rest = dossier.chain().numbered().filter(|(seq, _)| *seq > after).peekable();
    let mut entries = Vec::new();
    let mut last = None;
    while entries.len() < limit
        && let Some((seq, entry)) = rest.next()
    {
        entries.push(chained(seq, entry));
        last = Some(seq);
    }
    if rest.peek().is_some() {
        return (entries, last);
    }
    entries.extend(unchained(dossier));
    (entries, None)
}

fn chained(seq: u32, entry: &Entry) -> HistoryEntry {
    let (mut event, mut link) = (None, None);
    if let Content::Known { subject, text, .. } = &entry.content {
        let text = RawValue::from_string(text.to_string()).ok();
        match subject {
            Subject::Event { .. } => event = text,
            Subject::Link { .. } => link = text,
        }
    }
    HistoryEntry {
        seq: Some(seq),
        at: Some(Timestamp::from_secs(u64::from(entry.at))),
        adopted: entry.adopted,
        commitment: Some(hex::encode(entry.content.commitment())),
        head: Some(hex::encode(entry.head)),
        event,
        link,
    }
}

/// The latest `inbound` event of each identity, and whatever was last written before there were chains.
fn unchained(dossier: &Dossier) -> impl Iterator<Item = HistoryEntry> + '_ {
    let first_version = dossier.chain().entries().is_empty() && dossier.unchained() > 0;
    let loose =
        dossier.history().into_iter().filter(move |event| first_version || event.kind == Kind::Inbound);
    loose.map(|event| HistoryEntry {
        seq: None,
        at: None,
        adopted: false,
        commitment: None,
        head: None,
        event: serde_json::value::to_raw_value(&event.as_written(None)).ok(),
        link: None,
    })
}
