//! `/v1/audit/...` and receipts: proof for others of what the record says.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http_body::Frame;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::mpsc;
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::Control;
use super::caller::Caller;
use super::openapi::{AnyObject, Description};
use super::problem::{Fault, Problem};
use super::recipients::{nothing_known, unreadable_recipient};
use crate::audit::receipt::Principal;
use crate::audit::{Told, key_id};
use crate::consent::{Recipient, Timestamp};
use crate::store::StoreError;

const NDJSON: &str = "application/x-ndjson";
/// How many lines may wait for a slow reader.
const AHEAD: usize = 64;

/// Which tenant; all that the token may touch if left out.
#[derive(Deserialize)]
pub(super) struct Asked {
    tenant: Option<String>,
}

/// The public key of checkpoints and receipts.
#[derive(Serialize, ToSchema)]
pub(super) struct Key {
    /// `Ed25519`.
    #[schema(example = "Ed25519")]
    algorithm: &'static str,
    /// The first 8 bytes of the key's SHA-256, in hexadecimal digits.
    id: String,
    /// The key, in hexadecimal digits.
    public: String,
}

/// A checkpoint of each tenant.
#[derive(Serialize, ToSchema)]
pub(super) struct Checkpoints {
    /// One for each tenant that was asked for.
    checkpoints: Vec<CheckpointMade>,
}

/// What a checkpoint states.
#[derive(Serialize, ToSchema)]
struct CheckpointMade {
    /// The tenant's name.
    tenant: String,
    /// The moment that it speaks about.
    at: Timestamp,
    /// How many recipients had a history.
    recipients: u64,
    /// How many entries the histories had.
    entries: u64,
    /// Its SHA-256, in hexadecimal digits.
    hash: String,
    /// Whether it was made now; else nothing has changed since.
    new: bool,
}

pub(super) fn describe_key() -> Description {
    Description::of("The public key of checkpoints and receipts")
        .answers::<Key>(200, "The key")
        .faults(&[Fault::StoreUnavailable])
}

pub(super) async fn key(State(control): State<Arc<Control>>) -> Result<Json<Key>, Problem> {
    let signer = control.audit.signer().await.map_err(|error| unavailable(&error))?;
    let public = hex::encode(signer.public());
    Ok(Json(Key { algorithm: "Ed25519", id: key_id(signer.public()), public }))
}

fn of_tenant(description: Description) -> Description {
    let text = ObjectBuilder::new().schema_type(Type::String);
    description
        .in_query("tenant", "The tenant's name; every tenant of the token if left out", text)
        .faults(&[Fault::Unreadable, Fault::NotFound, Fault::TenantForbidden, Fault::StoreUnavailable])
}

pub(super) fn describe_checkpoint() -> Description {
    of_tenant(Description::of("Sign what every history is now"))
        .answers::<Checkpoints>(200, "The newest checkpoints")
}

pub(super) async fn checkpoint(
    State(control): State<Arc<Control>>,
    Extension(caller): Extension<Caller>,
    query: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Checkpoints>, Problem> {
    let mut checkpoints = Vec::new();
    for tenant in tenants(&control, &caller, query)? {
        let made = control.audit.checkpoint(tenant).await.map_err(|error| unavailable(&error))?;
        let checkpoint = made.checkpoint;
        checkpoints.push(CheckpointMade {
            tenant: checkpoint.tenant().to_owned(),
            at: checkpoint.at(),
            recipients: checkpoint.recipients(),
            entries: checkpoint.entries(),
            hash: checkpoint.hash(),
            new: made.new,
        });
    }
    Ok(Json(Checkpoints { checkpoints }))
}

pub(super) fn describe_verify() -> Description {
    of_tenant(Description::of("Look for signs that somebody changed the record behind the gate's back"))
        .at_length(
            "Recomputes every chain and compares with every checkpoint. One JSON object a line: `progress` while it reads, `finding` for every sign of tampering, \
             `verified` at the end of each tenant, and at last `done`; an answer without `done`, or with `failed`, is not whole. Findings name people by keyed hashes only.",
        )
        .answers_as::<String>(200, "Progress, findings and a summary for each tenant", NDJSON)
}

pub(super) async fn verify(
    State(control): State<Arc<Control>>,
    Extension(caller): Extension<Caller>,
    query: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Problem> {
    let tenants = tenants(&control, &caller, query)?;
    let (told, lines) = mpsc::channel(AHEAD);
    tokio::spawn(async move {
        tokio::select! {
            () = verify_all(&control, tenants, &told) => {}
            // Nobody reads any more.
            () = told.closed() => {}
        }
    });
    Ok(([(CONTENT_TYPE, NDJSON)], Body::new(Lines(lines))).into_response())
}

async fn verify_all(control: &Control, tenants: Vec<usize>, told: &mpsc::Sender<Told>) {
    let mut findings = 0u64;
    for tenant in tenants {
        let verified = match control.audit.verify(tenant, told).await {
            Ok(verified) => verified,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a verification of the record ended early"
                );
                let why = "the consent store could not be read to the end; try again";
                let _ = told.send(Told::Failed(why)).await;
                return;
            }
        };
        findings = findings.saturating_add(verified.findings);
        let _ = told.send(Told::Verified(verified)).await;
    }
    let _ = told.send(Told::Done { findings }).await;
}

/// A body of what is told, a line each, as it comes.
struct Lines(mpsc::Receiver<Told>);

impl http_body::Body for Lines {
    type Data = Bytes;
    type Error = serde_json::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, serde_json::Error>>> {
        let line = |told| serde_json::to_string(&told).map(|text| Frame::data(Bytes::from(text + "\n")));
        self.0.poll_recv(context).map(|told| told.map(line))
    }
}

pub(super) fn describe_receipt() -> Description {
    Description::of("A signed receipt of how a person stands and what that rests on")
        .at_length(
            "Its fields are described in deploy/RECEIPT.md. The signature is Ed25519 over the receipt without `signature`, as JSON with sorted keys and no white space.",
        )
        .in_path("tenant", ("The tenant's name", "default"))
        .in_path("recipient", ("+E.164, its + written as %2B, or a BSUID", "+15550000001"))
        .answers::<AnyObject>(200, "The receipt")
        .faults(&[Fault::Unreadable, Fault::NotFound, Fault::TenantForbidden, Fault::StoreUnavailable])
}

pub(super) async fn receipt(
    State(control): State<Arc<Control>>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Json<Value>, Problem> {
    let Path((tenant, recipient)) = path.map_err(|_| unreadable_recipient())?;
    let place = caller.tenant(&tenant, &control.tenants)?;
    let recipient = Recipient::parse(&recipient).ok_or_else(unreadable_recipient)?;
    caller.touches(Some(place), &recipient);
    let asked = Principal { tenant: place, recipient: &recipient };
    let receipt = control.audit.receipt(asked).await.map_err(|error| unavailable(&error))?;
    receipt.map(Json).ok_or_else(nothing_known)
}

/// The tenants that a request is about.
fn tenants(
    control: &Control,
    caller: &Caller,
    query: Result<Query<Asked>, QueryRejection>,
) -> Result<Vec<usize>, Problem> {
    let unreadable = |_| Problem::new(Fault::Unreadable, "tenant: write it once, as the tenant's name");
    let Query(Asked { tenant }) = query.map_err(unreadable)?;
    let tenants: Vec<usize> = match tenant {
        Some(name) => vec![caller.tenant(&name, &control.tenants)?],
        None => (0..control.tenants.all().len()).filter(|place| caller.may_touch(*place)).collect(),
    };
    for tenant in &tenants {
        caller.touches_all_of(*tenant);
    }
    Ok(tenants)
}

fn unavailable(error: &StoreError) -> Problem {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        "the consent store was not read or written for the audit"
    );
    Problem::new(Fault::StoreUnavailable, "the consent store could not be read or written; try again")
}
