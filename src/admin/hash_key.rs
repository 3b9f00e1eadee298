//! `GET /v1/export/key`: the key of the store's hashes, for another store that is to take in an export of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;

use super::Control;
use super::caller::Caller;
use super::openapi::Description;
use super::problem::{Fault, Problem};
use crate::store::StoreError;

/// The key under which a store hashes people.
#[derive(Serialize, ToSchema)]
pub(super) struct HashKey {
    /// 64 hexadecimal digits, as `[privacy] recipients_key_file` holds them. Whoever has them and an export can try numbers against its hashes.
    recipients_key: String,
    /// What exports state as `hash_key` beside hashes, by tenant.
    hash_keys: BTreeMap<String, String>,
}

pub(super) fn described() -> Description {
    Description::of("The key of the hashes that the store keeps")
        .at_length(
            "For the `[privacy] recipients_key_file` of another store, so that it understands the hashes in an export of this one: erased people stay \
             blocked there. Keep it secret. Needs a token that is restricted to no tenant.",
        )
        .answers::<HashKey>(200, "The key")
        .faults(&[Fault::TenantForbidden, Fault::StoreUnavailable])
}

pub(super) async fn show(
    State(control): State<Arc<Control>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<HashKey>, Problem> {
    let tenants = control.tenants.all();
    if !(0..tenants.len()).all(|tenant| caller.may_touch(tenant)) {
        let why = "the key is the same for every tenant; use a token that is restricted to none";
        return Err(Problem::new(Fault::TenantForbidden, why));
    }
    let key = control.store.recipients_key().await.map_err(|error| unavailable(&error))?;
    let mut hash_keys = BTreeMap::new();
    for (place, tenant) in tenants.iter().enumerate() {
        let of_tenant = control.store.hash_key(place).map_err(|error| unavailable(&error))?;
        hash_keys.insert(tenant.name.clone(), of_tenant);
        caller.touches_all_of(place);
    }
    Ok(Json(HashKey { recipients_key: hex::encode(key.danger_reveal()), hash_keys }))
}

fn unavailable(error: &StoreError) -> Problem {
    tracing::warn!(error = error as &dyn std::error::Error, "the key of the hashes was not read");
    Problem::new(Fault::StoreUnavailable, "the consent store could not be read; try again")
}
