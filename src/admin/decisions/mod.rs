//! `GET /v1/decisions/{id}`: one decision of this node, and from it to the consent event, the template and the policy that let it pass, or to what refused it.
//!
//! The log names a person by a keyed hash only, and nothing is kept that leads from the hash to the number: who it was is found by hashing those whom the
//! consent store knows. So after an erasure the decision is still there and leads to nobody.

mod category;
mod consent;
mod line;
mod words;

use std::sync::Arc;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::Control;
use super::caller::Caller;
use super::openapi::Description;
use super::problem::{Fault, Problem};
use crate::consent::{Recipient, Timestamp};
use crate::decision_log::DecisionId;
use category::CategoryShown;
use consent::Consent;
use line::{Line, RecordRead};

/// A decision and what it rested on.
#[derive(Serialize, ToSchema)]
pub(super) struct Explained {
    /// Every field of the decision log.
    #[serde(flatten)]
    decision: Map<String, Value>,
    /// What it rested on.
    explanation: Explanation,
}

/// What a decision rested on.
#[derive(Serialize, ToSchema)]
struct Explanation {
    /// What happened and why, in a sentence or two.
    why: String,
    /// What to do next; absent where nothing is wrong.
    remedy: Option<String>,
    /// What the send was judged as; absent if it was refused before that.
    category: Option<CategoryShown>,
    /// The consent event behind it, with its wording and evidence.
    consent: Consent,
    /// The record that was read of everybody whom the send could reach.
    records: Vec<RecordRead>,
    /// The policy that decided.
    policy: Option<PolicyShown>,
}

/// A policy by its revision.
#[derive(Serialize, ToSchema)]
struct PolicyShown {
    /// The digest that names it.
    #[schema(example = "5f70bf18a086")]
    revision: String,
    /// Since when it was in force; absent if this node no longer knows.
    since: Option<Timestamp>,
    /// Every setting; absent if this node no longer knows.
    #[schema(value_type = Option<Object>)]
    settings: Option<Value>,
}

/// The query.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    recipient: Option<String>,
}

/// By what a decision is named.
enum Name {
    Id(DecisionId),
    Message(String),
}

pub(super) fn described() -> Description {
    let text = ObjectBuilder::new().schema_type(Type::String);
    Description::of("One decision and what it rested on")
        .at_length(
            "From a forwarded message to the consent event with its wording and evidence, the template's category and the policy that let it pass; or to what \
             refused it, with the remedy. Decisions of this node only, as long as `[decisions]` keeps them. The person's events are shown to tokens that also \
             have the scope `consent:read`.",
        )
        .in_path(
            "id",
            (
                "The decision id (header optgate-decision-id, or fbtrace_id of a refusal), or the provider's message id, wamid...",
                "01JH2V8Q4ZK6Y3W9F0T7M5N1RB",
            ),
        )
        .in_query(
            "recipient",
            "The recipient, +E.164 or a BSUID, if you know it: finds the events without looking through the store, and is compared with the decision's own",
            text,
        )
        .answers::<Explained>(200, "The decision")
        .faults(&[Fault::Unreadable, Fault::Invalid, Fault::NotFound, Fault::StoreUnavailable])
}

pub(super) async fn show(
    State(control): State<Arc<Control>>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Explained>, Problem> {
    let name = path.ok().and_then(|Path(text)| name(text)).ok_or_else(|| {
        Problem::new(
            Fault::Unreadable,
            "that is neither a decision id nor a message id: copy it from the header optgate-decision-id, from fbtrace_id, or from messages[].id of the answer",
        )
    })?;
    let recipient = query.map_err(|_| unreadable_query())?.0.recipient;
    let recipient = recipient.map(|text| Recipient::parse(&text).ok_or_else(unreadable_query)).transpose()?;
    let decision = find(&control, name).await.filter(|found| may_see(&caller, &control, found));
    let decision = decision.ok_or_else(|| not_kept(&control))?;
    let line = Line::read(&decision, &control.tenants);
    for hash in line.records.iter().filter_map(|record| record.recipient_hash.as_deref()) {
        caller.touches_hash(line.place, hash);
    }
    let consent = consent::of(&control, &caller, &line, recipient).await?;
    let explanation = Explanation {
        why: words::why(&line, &consent),
        remedy: words::remedy(&line),
        category: category::of(&control, &line),
        consent,
        policy: line.revision.as_deref().map(|revision| policy(&control, revision, line.time)),
        records: line.records,
    };
    Ok(Json(Explained { decision, explanation }))
}

fn name(text: String) -> Option<Name> {
    match DecisionId::parse(&text) {
        Some(id) => Some(Name::Id(id)),
        None => (text.starts_with("wamid.") && text.len() <= 512).then_some(Name::Message(text)),
    }
}

fn unreadable_query() -> Problem {
    Problem::new(
        Fault::Unreadable,
        "the query takes recipient alone: +E.164 (its + written as %2B) or a BSUID, percent-encoded",
    )
}

/// Files are read on a thread that may wait for them.
async fn find(control: &Control, name: Name) -> Option<Map<String, Value>> {
    let log = control.log.clone();
    let search = move || match name {
        Name::Id(id) => log.find(&id),
        Name::Message(id) => log.find_by_message_id(&id),
    };
    let line = tokio::task::spawn_blocking(search).await.ok().flatten()?;
    serde_json::from_str(&line).ok()
}

/// Whether a decision is about a tenant of the caller's; one about no tenant is for the unconfined alone.
fn may_see(caller: &Caller, control: &Control, decision: &Map<String, Value>) -> bool {
    let tenant = decision.get("tenant").and_then(Value::as_str);
    let place = tenant.and_then(|name| control.tenants.position(name));
    caller.is_unconfined() || place.is_some_and(|place| caller.may_touch(place))
}

fn not_kept(control: &Control) -> Problem {
    let detail = match control.log.keep() {
        None => "no such decision among the last ones of this node, and [decisions] keep is \"0\"; ask the node that decided, or search its decision log".to_owned(),
        Some(keep) => format!(
            "no such decision on this node, which keeps its own for {} within {} MiB; ask the node that decided, or search its decision log",
            words::span(keep.time),
            keep.max_bytes >> 20
        ),
    };
    Problem::new(Fault::NotFound, detail)
}

fn policy(control: &Control, revision: &str, at: Timestamp) -> PolicyShown {
    let known = control.log.policy(revision, at);
    PolicyShown {
        revision: revision.to_owned(),
        since: known.as_ref().map(|known| known.since),
        settings: known.map(|known| known.settings),
    }
}
