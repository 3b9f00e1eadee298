//! `GET /v1/decisions/{id}`: one recent decision.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::{Extension, Json};
use serde_json::Value;

use super::Control;
use super::caller::Caller;
use super::openapi::{AnyObject, Description};
use super::problem::{Fault, Problem};
use crate::decision_log::DecisionId;

pub(super) fn described() -> Description {
    Description::of("One recent decision")
        .in_path(
            "id",
            (
                "The decision id: header optgate-decision-id, or fbtrace_id of a refusal",
                "01JH2V8Q4ZK6Y3W9F0T7M5N1RB",
            ),
        )
        .answers::<AnyObject>(200, "The decision as the decision log has it")
        .faults(&[Fault::Unreadable, Fault::NotFound])
}

pub(super) async fn show(
    State(control): State<Arc<Control>>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, Problem> {
    let id = path.ok().and_then(|Path(text)| DecisionId::parse(&text)).ok_or_else(|| {
        Problem::new(
            Fault::Unreadable,
            "that is no decision id: copy it from the header optgate-decision-id or from fbtrace_id",
        )
    })?;
    let decision = control.log.recent(&id).and_then(|line| serde_json::from_str::<Value>(&line).ok());
    match decision.filter(|decision| may_see(&caller, &control, decision)) {
        Some(decision) => {
            note(&caller, &control, &decision);
            Ok(Json(decision))
        }
        None => Err(Problem::new(
            Fault::NotFound,
            "no such decision among the recent ones of this node; older ones stand in the decision log",
        )),
    }
}

/// Notes whom the decision is about, as it names them itself.
fn note(caller: &Caller, control: &Control, decision: &Value) {
    let tenant =
        decision.get("tenant").and_then(Value::as_str).and_then(|name| control.tenants.position(name));
    let hashes = decision.get("recipient_hash");
    let several = hashes.and_then(Value::as_array).into_iter().flatten();
    for hash in several.chain(hashes).filter_map(Value::as_str) {
        caller.touches_hash(tenant, hash);
    }
}

/// Whether a decision is about a tenant of the caller's; one about no tenant is for the unconfined alone.
fn may_see(caller: &Caller, control: &Control, decision: &Value) -> bool {
    let tenant = decision.get("tenant").and_then(Value::as_str);
    let place = tenant.and_then(|name| control.tenants.position(name));
    caller.is_unconfined() || place.is_some_and(|place| caller.may_touch(place))
}
