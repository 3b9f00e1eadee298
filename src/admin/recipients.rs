//! `GET /v1/tenants/{tenant}/recipients/{recipient}`: what a person agreed to.

use std::collections::BTreeMap;
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
use crate::consent::dossier::Dossier;
use crate::consent::record::Judged;
use crate::consent::{Category, EventId, GateRecord, Lookup, Recipient, Timestamp, Validity};

/// How a person stands to one tenant.
#[derive(Serialize, ToSchema)]
pub(super) struct Record {
    /// `+E.164` or a BSUID.
    #[schema(example = "+15550000001")]
    recipient: String,
    /// The tenant's name.
    #[schema(example = "acme")]
    tenant: String,
    /// By category.
    categories: BTreeMap<&'static str, CategoryState>,
    /// Until when the customer service window is open.
    window_until: Option<Timestamp>,
    /// Other identities of the same person.
    links: Vec<String>,
    /// A grant without evidence is among the events.
    legacy: bool,
}

/// How a person stands to one category.
#[derive(Serialize, ToSchema)]
struct CategoryState {
    /// `granted`, `revoked`, `expired`, `pending` or `none`.
    #[schema(example = "granted")]
    state: &'static str,
    /// Since when.
    since: Option<Timestamp>,
    /// Until when a grant holds.
    until: Option<Timestamp>,
    /// The event that it rests on.
    #[schema(value_type = Option<String>)]
    event: Option<EventId>,
}

pub(super) fn described() -> Description {
    Description::of("What a person agreed to")
        .in_path("tenant", ("The tenant's name", "default"))
        .in_path("recipient", ("+E.164, its + written as %2B, or a BSUID", "+15550000001"))
        .answers::<Record>(200, "How the person stands")
        .faults(&[Fault::Unreadable, Fault::NotFound, Fault::TenantForbidden, Fault::StoreUnavailable])
}

pub(super) async fn show(
    State(control): State<Arc<Control>>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Json<Record>, Problem> {
    let Path((tenant, recipient)) = path.map_err(|_| unreadable_recipient())?;
    let place = caller.tenant(&tenant, &control.tenants)?;
    let tenant = control.tenants.name_of(place);
    let recipient = Recipient::parse(&recipient).ok_or_else(unreadable_recipient)?;
    caller.touches(Some(place), &recipient);
    let dossier = dossier_of(&control, (place, &recipient)).await?;
    // What sends are judged by may be stricter than what would follow from the events by the configuration of today.
    let gate = match control.store.lookup(place, &recipient.key()).await.lookup {
        Lookup::Found(gate) => gate,
        Lookup::Absent => GateRecord::default(),
        Lookup::Unavailable | Lookup::Remembered(_) => return Err(unread()),
    };
    let validity = control.store.validity(place);
    let validity = validity.as_deref().unwrap_or(&Validity::UNLIMITED);
    let judged = Judged { gate, validity, now: control.clock.now() };
    Ok(Json(record(&tenant, &recipient, &dossier, &judged)))
}

fn unread() -> Problem {
    Problem::new(Fault::StoreUnavailable, "the recipient's record could not be read; try again")
}

/// Everything known about a person; a problem if that is nothing.
pub(super) async fn dossier_of(control: &Control, of: (usize, &Recipient)) -> Result<Dossier, Problem> {
    let dossier = control.store.dossier(of.0, &of.1.key()).await.map_err(|error| {
        tracing::warn!(error = &error as &dyn std::error::Error, "a dossier was not read");
        unread()
    })?;
    dossier.filter(|dossier| !dossier.is_empty()).ok_or_else(nothing_known)
}

pub(super) fn nothing_known() -> Problem {
    Problem::new(Fault::NotFound, "nothing is known about this recipient for this tenant")
}

pub(super) fn unreadable_recipient() -> Problem {
    Problem::new(
        Fault::Unreadable,
        "the recipient in the path is not readable: write +E.164 (such as %2B15550000001) or a BSUID, percent-encoded",
    )
}

/// The record as the API writes it, with expiry applied as the hot path applies it.
fn record(tenant: &str, recipient: &Recipient, dossier: &Dossier, judged: &Judged<'_>) -> Record {
    let record = dossier.record();
    let of_category = |category: Category| {
        let own = record.categories.get(category.index()).cloned().unwrap_or_default();
        let state = judged.state(category, own.state);
        let state = CategoryState { state, since: own.since, until: own.until, event: own.event };
        (category.name(), state)
    };
    Record {
        recipient: recipient.danger_string(),
        tenant: tenant.to_owned(),
        categories: Category::ALL.into_iter().map(of_category).collect(),
        window_until: record.window_until,
        links: dossier.links().filter_map(|(key, _)| Some(key.recipient()?.danger_string())).collect(),
        legacy: record.legacy,
    }
}
