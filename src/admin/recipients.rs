//! `GET /v1/tenants/{tenant}/recipients/{recipient}`: what a person agreed to.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::{Extension, Json};
use serde_json::{Map, Value, json};

use super::Control;
use super::auth::Caller;
use super::problem::{Fault, Problem};
use crate::consent::dossier::Dossier;
use crate::consent::{Category, Kind, Recipient, Standing, Timestamp};

pub(super) async fn show(
    State(control): State<Arc<Control>>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Json<Value>, Problem> {
    let Path((tenant, recipient)) = path.map_err(|_| unreadable_recipient())?;
    let place = caller.tenant(&tenant, &control.tenants)?;
    let recipient = Recipient::parse(&recipient).ok_or_else(unreadable_recipient)?;
    let dossier = control.store.dossier(place, &recipient.key()).await.map_err(|error| {
        tracing::warn!(error = &error as &dyn std::error::Error, "a dossier was not read");
        Problem::new(Fault::StoreUnavailable, "the recipient's record could not be read; try again")
    })?;
    match dossier.filter(|dossier| !dossier.is_empty()) {
        Some(dossier) => Ok(Json(record(&tenant, &recipient, &dossier, control.clock.now()))),
        None => Err(Problem::new(Fault::NotFound, "nothing is known about this recipient for this tenant")),
    }
}

fn unreadable_recipient() -> Problem {
    Problem::new(
        Fault::Unreadable,
        "the recipient in the path is not readable: write +E.164 (such as %2B15550000001) or a BSUID, percent-encoded",
    )
}

/// The record as the API writes it, with expiry applied as the hot path applies it.
fn record(tenant: &str, recipient: &Recipient, dossier: &Dossier, now: Timestamp) -> Value {
    let record = dossier.record();
    let gate = record.gate_record();
    let of_category = |category: Category| {
        let own = record.categories.get(category.index()).cloned().unwrap_or_default();
        let state = match gate.standing(category, now) {
            Standing::Expired => "expired",
            Standing::Absent | Standing::Granted | Standing::Revoked => own.state.name(),
        };
        let value = json!({ "state": state, "since": own.since, "until": own.until, "event": own.event });
        (category.name().to_owned(), value)
    };
    let links: Vec<String> =
        dossier.links().filter_map(|(key, _)| Some(key.recipient()?.danger_string())).collect();
    let without_evidence = |kind, evidence: bool| kind == Kind::Grant && !evidence;
    json!({
        "recipient": recipient.danger_string(),
        "tenant": tenant,
        "categories": Category::ALL.into_iter().map(of_category).collect::<Map<_, _>>(),
        "window_until": record.window_until,
        "links": links,
        "legacy": dossier.history().iter().any(|e| without_evidence(e.kind, e.evidence.is_some())),
    })
}
