//! `/v1/webhooks/dead-letters`: webhooks that no bot took in time, to be looked at, tried anew or dropped.
//!
//! Shows what failed and never what was to be delivered.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use http::Uri;
use serde::Serialize;
use utoipa::ToSchema;

use super::Control;
use super::openapi::Description;
use super::page::Page;
use super::problem::{Fault, Problem};
use crate::consent::Timestamp;
use crate::store::StoreError;
use crate::store::queue::{self, Queue};

const PATH: &str = "/v1/webhooks/dead-letters";

/// A page of dead letters.
#[derive(Serialize, ToSchema)]
pub(super) struct DeadLetters {
    dead_letters: Vec<DeadLetter>,
    /// Where the next page is; `null` on the last.
    #[schema(example = "/v1/webhooks/dead-letters?limit=100&after=MTAw")]
    next: Option<String>,
}

/// A webhook that no bot took in time.
#[derive(Serialize, ToSchema)]
struct DeadLetter {
    #[schema(example = "000000000000002a")]
    id: String,
    /// The phone number id whose bot did not take it.
    #[schema(example = "106540352242922")]
    sender: String,
    queued_at: Timestamp,
    died_at: Timestamp,
    /// How often it was tried.
    attempts: u32,
    /// What it takes in the queue.
    bytes: u64,
    /// What the last attempt failed with.
    #[schema(example = "it answered 500")]
    error: String,
}

/// What became of one.
#[derive(Serialize, ToSchema)]
pub(super) struct Settled {
    id: String,
}

pub(super) fn listing() -> Description {
    let operation = Description::of("Webhooks that no bot took in time")
        .at_length("With `[webhook] relay = \"queue\"`: the oldest first. What stands in them is not shown.")
        .answers::<DeadLetters>(200, "A page of dead letters")
        .faults(&[Fault::NotFound, Fault::StoreUnavailable]);
    Page::described(operation)
}

fn of_one(summary: &str, done: &str) -> Description {
    Description::of(summary)
        .in_path("id", ("The dead letter's id", "000000000000002a"))
        .answers::<Settled>(200, done)
        .faults(&[Fault::Unreadable, Fault::NotFound, Fault::StoreUnavailable])
}

pub(super) fn retrying() -> Description {
    of_one("Try a dead letter anew, for seven days", "It is in the queue again")
}

pub(super) fn dropping() -> Description {
    of_one("Drop a dead letter", "It is gone for good")
}

pub(super) async fn list(
    State(control): State<Arc<Control>>,
    uri: Uri,
) -> Result<Json<DeadLetters>, Problem> {
    let page = Page::read(&uri)?;
    let unreadable = |_| Problem::new(Fault::Invalid, "after: take it from next of the page before");
    let from: usize = page.after.as_deref().map_or(Ok(0), str::parse).map_err(unreadable)?;
    let queue = queue(&control)?;
    let mut dead = queue.dead(from, page.limit.saturating_add(1)).await.map_err(|e| unavailable(&e))?;
    let more = dead.len() > page.limit;
    dead.truncate(page.limit);
    let next = more.then(|| page.next(PATH, &from.saturating_add(page.limit).to_string()));
    Ok(Json(DeadLetters { dead_letters: dead.into_iter().map(shown).collect(), next }))
}

pub(super) async fn retry(
    State(control): State<Arc<Control>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<Settled>, Problem> {
    let id = named(path)?;
    let revived = queue(&control)?.revive(&id).await.map_err(|e| unavailable(&e))?;
    if revived { Ok(Json(Settled { id })) } else { Err(unknown()) }
}

pub(super) async fn remove(
    State(control): State<Arc<Control>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<Settled>, Problem> {
    let id = named(path)?;
    let dropped = queue(&control)?.drop_dead(&id).await.map_err(|e| unavailable(&e))?;
    if dropped { Ok(Json(Settled { id })) } else { Err(unknown()) }
}

fn named(path: Result<Path<String>, PathRejection>) -> Result<String, Problem> {
    let unreadable = |_| Problem::new(Fault::Unreadable, "the path names the id of a dead letter");
    path.map(|Path(id)| id).map_err(unreadable)
}

fn queue(control: &Control) -> Result<&Queue, Problem> {
    let without =
        || Problem::new(Fault::NotFound, "webhooks are not queued: [webhook] relay is not \"queue\"");
    control.queue.as_ref().ok_or_else(without)
}

fn unknown() -> Problem {
    Problem::new(Fault::NotFound, "no dead letter has this id; it may have been retried or dropped meanwhile")
}

fn unavailable(error: &StoreError) -> Problem {
    tracing::warn!(error = error as &dyn std::error::Error, "the queue of webhooks did not answer");
    Problem::new(Fault::StoreUnavailable, "the queue did not answer and nothing is known to have changed")
}

fn shown(letter: queue::DeadLetter) -> DeadLetter {
    let queue::DeadLetter { id, lane, queued_at, died_at, attempts, bytes, why } = letter;
    DeadLetter { id, sender: lane, queued_at, died_at, attempts, bytes, error: why }
}
