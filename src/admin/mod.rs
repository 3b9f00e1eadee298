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

mod access_log;
mod admin_token;
mod audit;
mod auth;
mod body;
mod caller;
mod check;
mod dead_letters;
mod decisions;
mod erase;
mod events;
mod explain;
mod history;
mod export;
mod exported;
mod hash_key;
mod failures;
mod guard;
mod ingest;
mod lines;
mod listener;
mod openapi;
mod page;
mod patient;
mod problem;
mod recipients;
mod reloading;
mod repeats;
mod route;
mod scope;
mod senders;
mod status;
mod tally;
mod templates;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;

pub use access_log::AccessLog;
pub use admin_token::{FILE as ADMIN_TOKEN_FILE, ensure_admin_token};
pub use auth::{Scope, Scopes, Token};
pub use guard::Guards;
pub use listener::{AdminTls, Door, serve};
pub use reloading::{Desk, Reloads};
pub use status::{EXPOSED, Phase, Readiness};

use crate::audit::Audit;
use crate::consent::Clock;
use crate::consent::tenant::Tenants;
use crate::decision_log::DecisionLog;
use crate::judge::Judge;
use crate::metrics::Metrics;
use crate::senders::Senders;
use crate::store::ConsentStore;
use crate::store::queue::Queue;
use crate::templates::Catalogue;
use guard::Guard;
use problem::{Fault, Problem};
use route::Route;
use route::Verb::{Delete, Get, Post, Put};

/// Who may call.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The accepted tokens.
    pub tokens: Vec<Token>,
    /// Whether the page of metrics asks for a token of the scope `metrics:read`.
    pub guard_metrics: bool,
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
    /// What is known of the numbers that send.
    pub senders: Senders,
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
    /// Whether others can listen to what is said to the listener: it is not loopback and has no TLS.
    pub exposed: bool,
    /// The listener's TLS.
    pub tls: AdminTls,
    /// What stands in front of the operations and outlives a reload.
    pub guards: Guards,
    /// What the last reload of the configuration left to say.
    pub reloads: Reloads,
    /// Where webhooks wait for their bots, if they do.
    pub queue: Option<Queue>,
}

impl Control {
    /// Opens the logs anew, which log rotation has renamed, and reads the certificates anew.
    pub fn reopen_files(&self) {
        self.log.reopen();
        self.guards.reopen_log();
        self.tls.reload();
    }
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
        Route::new("eraseRecipient", (Delete, RECIPIENT), erase::erase, erase::described)
            .needs(Scope::ConsentErase)
            .writes(),
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
        Route::new("exportKey", (Get, "/v1/export/key"), hash_key::show, hash_key::described)
            .needs(Scope::Admin)
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
        Route::new("listDeadLetters", (Get, DEAD_LETTERS), dead_letters::list, dead_letters::listing)
            .needs(Scope::Admin),
        Route::new("dropDeadLetter", (Delete, DEAD_LETTER), dead_letters::remove, dead_letters::dropping)
            .needs(Scope::Admin)
            .writes(),
        Route::new(
            "retryDeadLetter",
            (Post, "/v1/webhooks/dead-letters/{id}/retry"),
            dead_letters::retry,
            dead_letters::retrying,
        )
        .needs(Scope::Admin)
        .writes(),
        Route::new("listSenders", (Get, "/v1/senders"), senders::list, senders::listing)
            .needs(Scope::DecisionsRead),
        Route::new("showSender", (Get, "/v1/senders/{sender}"), senders::show, senders::showing)
            .needs(Scope::DecisionsRead),
        Route::new("showDecision", (Get, "/v1/decisions/{id}"), decisions::show, decisions::described)
            .needs(Scope::DecisionsRead)
            .looks_up(),
        Route::new("healthz", (Get, "/healthz"), status::healthz, status::describe_healthz),
        Route::new("readyz", (Get, "/readyz"), status::readyz, status::describe_readyz),
        Route::new(METRICS, (Get, "/metrics"), status::metrics, status::describe_metrics),
        Route::new("openapi", (Get, "/openapi.json"), status::openapi, status::describe_openapi),
    ]
}

/// Webhooks that no bot took.
const DEAD_LETTERS: &str = "/v1/webhooks/dead-letters";
/// One of them.
const DEAD_LETTER: &str = "/v1/webhooks/dead-letters/{id}";
/// The one operation that is open or not as the operator wants.
const METRICS: &str = "metrics";
/// One person of one tenant.
const RECIPIENT: &str = "/v1/tenants/{tenant}/recipients/{recipient}";

/// What was learnt about them.
const HISTORY: &str = "/v1/tenants/{tenant}/recipients/{recipient}/history";
/// The proof of how they stand.
const RECEIPT: &str = "/v1/tenants/{tenant}/recipients/{recipient}/receipt";

/// The router of the admin API. A reload builds another ([`Desk`]): what must outlive one stands in [`Control`].
pub fn router(control: Control, settings: Settings) -> Router {
    let control = Arc::new(control);
    let tokens: Arc<[Token]> = settings.tokens.into();
    let mut router = Router::new();
    for Route { path, name, scope, deed, handler, description, .. } in routes() {
        let query: Arc<[String]> = description().query_names().into();
        let scope = scope.or((settings.guard_metrics && name == METRICS).then_some(Scope::MetricsRead));
        let handler = match scope {
            Some(scope) => {
                let (tokens, control) = (Arc::clone(&tokens), Arc::clone(&control));
                let guard = Guard { tokens, control, scope, name, deed, query };
                handler.route_layer(from_fn_with_state(guard, guard::admit))
            }
            None => handler,
        };
        router = router.route(path, handler);
    }
    router
        .method_not_allowed_fallback(async || {
            Problem::new(Fault::MethodNotAllowed, "the Allow header names what this path takes")
        })
        .fallback(async || Problem::new(Fault::NotFound, "no such path; GET /openapi.json lists them"))
        .with_state(control)
}

#[cfg(test)]
mod tests;
