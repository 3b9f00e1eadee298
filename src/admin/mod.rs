//! The control plane: the admin API over consent, templates, checks and decisions, and the pages that monitoring reads.
//!
//! Every route stands in one table with the scope that it needs; a token is asked for before anything else of a request is read.
//!
//! To add an operation: write its handler; beside it a `fn described() -> Description` that says what it takes, answers and refuses (the types that it
//! reads and writes derive `utoipa::ToSchema`); then one line in `routes`, with its name, place, handler and description, `.needs(Scope::..)`, and
//! `.looks_up()` if it shows a person's data or `.writes()` if it changes anything. A handler that touches a person says so to its `Caller`
//! (`caller.touches(Some(tenant), &recipient)`) before it can fail, so that the access log names them.
//! The document, the token's check, the access log and `Idempotency-Key` follow from that line; tests walk the table.
//!
//! Knows neither how a send is recognized nor where consent is kept.

mod admin_token;
mod audit;
mod auth;
mod body;
mod caller;
mod check;
mod decisions;
mod events;
mod explain;
mod history;
mod export;
mod ingest;
mod lines;
mod openapi;
mod problem;
mod recipients;
mod reloading;
mod route;
mod status;
mod tally;
mod templates;

use std::future::Future;
use std::io;
use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use tokio::net::TcpListener;

pub use admin_token::{FILE as ADMIN_TOKEN_FILE, ensure_admin_token};
pub use auth::{Scope, Scopes, Token};
pub use reloading::{Desk, Reloads};
pub use status::{Phase, Readiness};

use crate::audit::Audit;
use crate::consent::Clock;
use crate::consent::tenant::Tenants;
use crate::decision_log::DecisionLog;
use crate::judge::Judge;
use crate::metrics::Metrics;
use crate::store::ConsentStore;
use crate::templates::Catalogue;
use auth::Guard;
use problem::{Fault, Problem};
use route::Route;
use route::Verb::{Get, Post, Put};

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
    /// Checkpoints and receipts.
    pub audit: Audit,
    /// The configured tenants, in the order in which the store knows them.
    pub tenants: Arc<Tenants>,
    /// What time it is.
    pub clock: Clock,
    /// Whether the gate as a whole is starting, serving or draining.
    pub readiness: Readiness,
    /// What the last reload of the configuration left to say.
    pub reloads: Reloads,
}

/// The whole API: the one place that names path, method and scope.
fn routes() -> Vec<Route> {
    vec![
        Route::new("writeEvents", (Post, "/v1/events"), events::post, events::described)
            .needs(Scope::ConsentWrite)
            .writes(),
        Route::new("showRecipient", (Get, RECIPIENT), recipients::show, recipients::described)
            .needs(Scope::ConsentRead)
            .looks_up(),
        Route::new("showHistory", (Get, HISTORY), history::show, history::described)
            .needs(Scope::ConsentRead)
            .looks_up(),
        Route::new("issueReceipt", (Get, RECEIPT), audit::receipt, audit::describe_receipt)
            .needs(Scope::ConsentRead)
            .looks_up(),
        Route::new("auditKey", (Get, "/v1/audit/key"), audit::key, audit::describe_key)
            .needs(Scope::ConsentRead),
        Route::new(
            "makeCheckpoint",
            (Post, "/v1/audit/checkpoints"),
            audit::checkpoint,
            audit::describe_checkpoint,
        )
        .needs(Scope::Admin)
        .writes(),
        Route::new("verifyAudit", (Get, "/v1/audit/verify"), audit::verify, audit::describe_verify)
            .needs(Scope::Admin)
            .looks_up(),
        Route::new("export", (Get, "/v1/export"), export::stream, export::described)
            .needs(Scope::ConsentRead)
            .looks_up(),
        Route::new("check", (Post, "/v1/check"), check::post, check::described)
            .needs(Scope::ConsentRead)
            .looks_up(),
        Route::new(
            "replaceTemplates",
            (Put, "/v1/templates/{account}"),
            templates::replace,
            templates::replacing,
        )
        .needs(Scope::TemplatesWrite)
        .writes(),
        Route::new("listTemplates", (Get, "/v1/templates"), templates::list, templates::listing)
            .needs(Scope::TemplatesWrite),
        Route::new("showDecision", (Get, "/v1/decisions/{id}"), decisions::show, decisions::described)
            .needs(Scope::DecisionsRead)
            .looks_up(),
        Route::new("healthz", (Get, "/healthz"), status::healthz, status::describe_healthz),
        Route::new("readyz", (Get, "/readyz"), status::readyz, status::describe_readyz),
        Route::new("metrics", (Get, "/metrics"), status::metrics, status::describe_metrics),
        Route::new("openapi", (Get, "/openapi.json"), status::openapi, status::describe_openapi),
    ]
}

/// One person of one tenant.
const RECIPIENT: &str = "/v1/tenants/{tenant}/recipients/{recipient}";

/// What was learnt about them.
const HISTORY: &str = "/v1/tenants/{tenant}/recipients/{recipient}/history";
/// The proof of how they stand.
const RECEIPT: &str = "/v1/tenants/{tenant}/recipients/{recipient}/receipt";

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
