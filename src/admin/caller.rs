//! Who made a request, which tenants they may touch, and whom the request concerned.
#![allow(dead_code, reason = "the access log is being built")]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::auth::{Scope, Scopes};
use super::problem::{Fault, Problem};
use crate::consent::Recipient;
use crate::consent::tenant::Tenants;

/// The bearer of an accepted token, during one request. Clones share what was touched.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    /// What the operator calls the token.
    pub(super) token: Arc<str>,
    pub(super) tenants: Option<Arc<[usize]>>,
    scopes: Scopes,
    touched: Arc<Mutex<Vec<Touched>>>,
}

/// A person whom a request concerned.
#[derive(Clone, Debug)]
pub(super) struct Touched {
    pub(super) tenant: Option<usize>,
    pub(super) recipient: Recipient,
}

impl Caller {
    /// The bearer of a token that is confined to tenants, or to none.
    pub(super) fn new(token: &str, tenants: Option<&[usize]>) -> Self {
        let (tenants, scopes) = (tenants.map(Arc::from), Scopes::default());
        Self { token: token.into(), tenants, scopes, touched: Arc::default() }
    }

    /// The same with the token's scopes, for an operation whose answer holds more for who may see more.
    pub(super) fn holding(self, scopes: Scopes) -> Self {
        Self { scopes, ..self }
    }

    /// Whether the token may be used for something beside what the operation asked for.
    pub(super) fn holds(&self, scope: Scope) -> bool {
        self.scopes.contains(scope)
    }

    /// Notes a person whom the request concerns, for the access log. Say it before anything can fail.
    pub(super) fn touches(&self, tenant: Option<usize>, recipient: &Recipient) {
        self.touched().push(Touched { tenant, recipient: recipient.clone() });
    }

    /// Everybody noted since this was last asked.
    pub(super) fn take_touched(&self) -> Vec<Touched> {
        std::mem::take(&mut self.touched())
    }

    fn touched(&self) -> MutexGuard<'_, Vec<Touched>> {
        // A push leaves the list whole whatever became of another thread.
        self.touched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a tenant is within the token's confines.
    pub(super) fn may_touch(&self, tenant: usize) -> bool {
        self.tenants.as_ref().is_none_or(|own| own.contains(&tenant))
    }

    /// Whether every tenant is.
    pub(super) fn is_unconfined(&self) -> bool {
        self.tenants.is_none()
    }

    /// The names that this caller may be told of.
    pub(super) fn tenant_names(&self, tenants: &Tenants) -> String {
        let own = tenants.current().filter(|(at, _)| self.may_touch(*at));
        own.map(|(_, tenant)| tenant.name.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// The place of a tenant named in a path.
    pub(super) fn tenant(&self, name: &str, tenants: &Tenants) -> Result<usize, Problem> {
        let place = tenants.position(name).ok_or_else(|| {
            let known = self.tenant_names(tenants);
            Problem::new(Fault::NotFound, format!("no such tenant; this token may use: {known}"))
        })?;
        if self.may_touch(place) {
            return Ok(place);
        }
        let known = self.tenant_names(tenants);
        Err(Problem::new(Fault::TenantForbidden, format!("this token may use: {known}")))
    }
}
