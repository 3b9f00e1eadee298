//! The control plane: the admin API over consent, templates, checks and decisions, and the pages that monitoring reads.
//!
//! Every route stands in one table with the scope that it needs; a token is asked for before anything else of a request is read.
//! Knows neither how a send is recognized nor where consent is kept.

mod admin_token;
mod auth;
mod body;
mod check;
mod decisions;
mod events;
mod explain;
mod ingest;
mod lines;
mod problem;
mod recipients;
mod reloading;
mod status;
mod templates;

use std::future::Future;
use std::io;
use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, get, post, put};
use tokio::net::TcpListener;

pub use admin_token::{FILE as ADMIN_TOKEN_FILE, ensure_admin_token};
pub use auth::{Scope, Scopes, Token};
pub use reloading::{Desk, Reloads};
pub use status::{Phase, Readiness};

use crate::consent::Clock;
use crate::consent::tenant::Tenants;
use crate::decision_log::DecisionLog;
use crate::judge::Judge;
use crate::metrics::Metrics;
use crate::store::ConsentStore;
use crate::templates::Catalogue;
use auth::Guard;
use problem::{Fault, Problem};

/// Who may call.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The accepted tokens.
    pub tokens: Vec<Token>,
}

/// What the control plane controls.
#[derive(Clone)]
pub struct Control {
    /// Where consent is kept.
    pub store: ConsentStore,
    /// The template catalogue.
    pub catalogue: Catalogue,
    /// The judge that the proxy asks as well, so that a check shows what would happen.
    pub judge: Judge,
    /// The page of metrics.
    pub metrics: Metrics,
    /// The recent decisions.
    pub log: DecisionLog,
    /// The configured tenants, in the order in which the store knows them.
    pub tenants: Arc<Tenants>,
    /// What time it is.
    pub clock: Clock,
    /// Whether the gate as a whole is starting, serving or draining.
    pub readiness: Readiness,
    /// What the last reload of the configuration left to say.
    pub reloads: Reloads,
}

/// One operation of the API.
struct Route {
    /// The method, as OpenAPI writes it.
    #[cfg_attr(not(test), allow(dead_code, reason = "the test of openapi.json compares by it"))]
    verb: &'static str,
    path: &'static str,
    /// The scope that it needs; `None` is open to everybody who reaches the listener.
    scope: Option<Scope>,
    handler: MethodRouter<Arc<Control>>,
}

/// The whole API.
fn routes() -> Vec<Route> {
    let route = |verb, path, scope, handler| Route { verb, path, scope, handler };
    vec![
        route("post", "/v1/events", Some(Scope::ConsentWrite), post(events::post)),
        route(
            "get",
            "/v1/tenants/{tenant}/recipients/{recipient}",
            Some(Scope::ConsentRead),
            get(recipients::show),
        ),
        route("post", "/v1/check", Some(Scope::ConsentRead), post(check::post)),
        route("put", "/v1/templates/{account}", Some(Scope::TemplatesWrite), put(templates::replace)),
        route("get", "/v1/templates", Some(Scope::TemplatesWrite), get(templates::list)),
        route("get", "/v1/decisions/{id}", Some(Scope::DecisionsRead), get(decisions::show)),
        route("get", "/healthz", None, get(status::healthz)),
        route("get", "/readyz", None, get(status::readyz)),
        route("get", "/metrics", None, get(status::metrics)),
        route("get", "/openapi.json", None, get(status::openapi)),
    ]
}

/// The router of the admin API. A reload builds another ([`Desk`]): what must outlive one stands in [`Control`].
pub fn router(control: Control, settings: Settings) -> Router {
    let tokens: Arc<[Token]> = settings.tokens.into();
    let mut router = Router::new();
    for Route { path, scope, handler, .. } in routes() {
        let guard = scope.map(|scope| Guard { tokens: Arc::clone(&tokens), scope });
        let handler = match guard {
            Some(guard) => handler.route_layer(from_fn_with_state(guard, auth::admit)),
            None => handler,
        };
        router = router.route(path, handler);
    }
    router
        .method_not_allowed_fallback(async || {
            Problem::new(Fault::MethodNotAllowed, "the Allow header names what this path takes")
        })
        .fallback(async || Problem::new(Fault::NotFound, "no such path; GET /openapi.json lists them"))
        .with_state(Arc::new(control))
}

/// Serves the admin API until `shutdown`, then finishes the requests in flight.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    axum::serve(listener, router).with_graceful_shutdown(shutdown).await
}

#[cfg(test)]
mod tests;
