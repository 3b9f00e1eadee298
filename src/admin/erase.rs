//! `DELETE /v1/tenants/{tenant}/recipients/{recipient}`: forgetting a person.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;

use super::Control;
use super::caller::Caller;
use super::openapi::Description;
use super::problem::{Fault, Problem};
use super::recipients::{nothing_known, unreadable_recipient};
use crate::consent::{Recipient, Timestamp};
use crate::store::{Erasure, Residue};

/// What was erased. Names nobody.
#[derive(Serialize, ToSchema)]
pub(super) struct Forgotten {
    /// The tenant's name.
    #[schema(example = "acme")]
    tenant: String,
    /// Since when what is left of the person refuses everything.
    erased_at: Timestamp,
    /// What they were before: `known`, `erased`, or `unknown` if nothing was known about them.
    #[schema(example = "known")]
    was: &'static str,
    /// Under how many identities they were known; 0 if they had been erased before, or were unknown.
    identities: usize,
    /// How many events were taken out.
    events: usize,
    /// Where bytes of erased people may still be found by who searches for them: `none`, `unused_pages` of the store's file until it is written anew,
    /// which happens by itself, or `server_files`, those that Redis keeps on its disk until it writes them anew.
    #[schema(example = "none")]
    residue: &'static str,
}

pub(super) fn described() -> Description {
    Description::of("Forget a person, under every identity that is linked, and go on refusing them")
        .in_path("tenant", ("The tenant's name", "default"))
        .in_path("recipient", ("+E.164, its + written as %2B, or a BSUID", "+15550000001"))
        .at_length("Whoever is unknown is refused from now on as well: what they agreed to earlier does not count if it is imported later.")
        .answers::<Forgotten>(200, "They are erased, or were before")
        .faults(&[Fault::Unreadable, Fault::NotFound, Fault::TenantForbidden, Fault::StoreUnavailable])
}

pub(super) async fn erase(
    State(control): State<Arc<Control>>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Json<Forgotten>, Problem> {
    let Path((tenant, recipient)) = path.map_err(|_| unreadable_recipient())?;
    let place = caller.tenant(&tenant, &control.tenants)?;
    let tenant = control.tenants.name_of(place);
    let recipient = Recipient::parse(&recipient).ok_or_else(unreadable_recipient)?;
    caller.touches(Some(place), &recipient);
    let erasure = control.store.erase(place, &recipient.key()).await.map_err(|error| {
        tracing::warn!(error = &error as &dyn std::error::Error, "a person was not erased");
        let what = "the person may be erased in part and is refused where they are; erase them again, which finishes it";
        Problem::new(Fault::StoreUnavailable, what)
    })?;
    let residue = match control.store.residue() {
        Residue::None => "none",
        Residue::UnusedPages => "unused_pages",
        Residue::ServerFiles => "server_files",
    };
    let (was, erased_at, identities, events) = match erasure {
        Erasure::Unknown => return Err(nothing_known()),
        Erasure::Ahead { at } => ("unknown", at, 0, 0),
        Erasure::Before { at } => ("erased", at, 0, 0),
        Erasure::Now { at, identities, events } => ("known", at, identities, events),
    };
    Ok(Json(Forgotten { tenant, erased_at, was, identities, events, residue }))
}
