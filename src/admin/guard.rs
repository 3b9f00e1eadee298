//! What stands in front of every guarded operation: the token, its scope, `Idempotency-Key`, and the access log.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CONNECTION, HeaderName, HeaderValue, RETRY_AFTER};
use url::form_urlencoded;

use super::Control;
use super::access_log::AccessLog;
use super::auth::{Scope, Token, recognize};
use super::caller::{Caller, Mark, Upshot};
use super::explain::printable;
use super::failures::Failures;
use super::problem::{Fault, Problem};
use super::repeats::{Repeats, Turn, watched};
use super::route::Deed;
use crate::metrics::AuthFailure;

/// The header by which an answer names its request in the access log.
const REQUEST_ID: HeaderName = HeaderName::from_static("optgate-request-id");

/// What guards share, across reloads of the configuration.
#[derive(Clone, Debug)]
pub struct Guards {
    pub(super) log: AccessLog,
    failures: Arc<Failures>,
    repeats: Arc<Repeats>,
}

impl Guards {
    /// Guards that record to a log, and remember no failure and no key yet.
    pub fn new(log: AccessLog) -> Self {
        Self { log, failures: Arc::default(), repeats: Arc::default() }
    }

    /// Opens the access log anew, after log rotation has renamed it.
    pub fn reopen_log(&self) {
        self.log.reopen();
    }
}

/// The other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) SocketAddr);

/// The guard of one operation.
#[derive(Clone)]
pub(super) struct Guard {
    pub(super) tokens: Arc<[Token]>,
    pub(super) control: Arc<Control>,
    pub(super) scope: Scope,
    pub(super) name: &'static str,
    pub(super) deed: Deed,
    /// What may stand in the query.
    pub(super) query: Arc<[String]>,
}

/// Lets a request through to its handler, with its [`Caller`], or answers it.
pub(super) async fn admit(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0);
    let token = match recognize(&guard.tokens, request.headers()) {
        Ok(token) => token,
        Err(failure) => return guard.turn_away(failure, peer),
    };
    let mark = Mark { request: request_id(), token: token.name.clone(), action: guard.name, peer };
    let caller = Caller::new(&guard.control, mark, token);
    if !token.scopes.contains(guard.scope) {
        guard.control.metrics.auth_failed(AuthFailure::Scope);
        let what = format!("this request needs the scope {}", guard.scope.name());
        let answer = Problem::new(Fault::ScopeMissing, what).into_response();
        return guard.recorded(&caller, answer).await;
    }
    if let Err(problem) = guard.check_query(request.uri().query().unwrap_or_default()) {
        return guard.recorded(&caller, problem.into_response()).await;
    }
    request.extensions_mut().insert(caller.clone());
    let name = token.name.clone();
    let carried_out = tokio::spawn(async move {
        let answer = match guard.deed {
            Deed::Writes => guard.once(&name, request, next).await,
            Deed::LooksUp | Deed::Nothing => next.run(request).await,
        };
        guard.recorded(&caller, answer).await
    });
    // Of its own: what was begun ends and is recorded even if the caller hangs up meanwhile.
    carried_out.await.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => Problem::new(Fault::StoreUnavailable, "the gate is stopping; try again").into_response(),
    })
}

impl Guard {
    /// A parameter that does nothing here would do nothing in silence: a misspelled `tenant` means every tenant.
    fn check_query(&self, query: &str) -> Result<(), Problem> {
        let names = form_urlencoded::parse(query.as_bytes()).map(|(name, _)| name);
        let unknown: BTreeSet<_> =
            names.filter(|name| !self.query.iter().any(|known| known == name)).collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let known = match &*self.query {
            [] => "this operation takes none".to_owned(),
            known => format!("known are {}", known.join(", ")),
        };
        let told = unknown.iter().map(|name| format!("{}: unknown parameter; {known}", printable(name)));
        let problem = Problem::new(Fault::Unreadable, "the query has parameters that are not known");
        Err(problem.listing(told.collect()))
    }

    /// Carries a write out, or repeats what it answered first.
    async fn once(&self, token: &str, request: Request, next: Next) -> Response {
        let turn = match self.control.guards.repeats.turn(token, request.headers()) {
            Ok(turn) => turn,
            Err(problem) => return problem.into_response(),
        };
        match turn {
            Turn::Unnamed => next.run(request).await,
            Turn::First(begun) => {
                let (parts, body) = request.into_parts();
                let (body, read) = watched(&parts, body);
                let answer = next.run(Request::from_parts(parts, body)).await;
                begun.end(&read, answer).await
            }
            Turn::Repeat(before) => {
                let (parts, body) = request.into_parts();
                before.answer(&parts, body).await
            }
        }
    }

    /// Gives an answer when the access log has it.
    async fn recorded(&self, caller: &Caller, answer: Response) -> Response {
        let mut answer = match self.deed {
            Deed::Nothing => answer,
            Deed::LooksUp | Deed::Writes => match caller.record_the_rest(upshot(&answer)).await {
                Ok(()) => answer,
                Err(problem) => problem.into_response(),
            },
        };
        if let Ok(id) = HeaderValue::from_str(caller.request()) {
            answer.headers_mut().insert(REQUEST_ID, id);
        }
        answer
    }

    /// Answers who has no token.
    fn turn_away(&self, failure: AuthFailure, peer: Option<SocketAddr>) -> Response {
        let noted = peer.map_or(Ok(()), |peer| self.control.guards.failures.note(peer.ip(), Instant::now()));
        let Err(wait) = noted else {
            self.control.metrics.auth_failed(failure);
            let what = "send the header Authorization: Bearer TOKEN with a token of this gate";
            return Problem::new(Fault::TokenMissing, what).into_response();
        };
        self.control.metrics.auth_failed(AuthFailure::Limited);
        let what = "send a valid token, which is never kept waiting, or wait as Retry-After says";
        let mut answer = Problem::new(Fault::TooManyFailures, what).into_response();
        answer.headers_mut().insert(RETRY_AFTER, whole_seconds(wait));
        // Each further try costs a connection of its own.
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        answer
    }
}

fn whole_seconds(wait: Duration) -> HeaderValue {
    HeaderValue::from(wait.as_secs().saturating_add(1))
}

/// What the access log says of an answer.
fn upshot(answer: &Response<Body>) -> Upshot {
    let status = answer.status();
    let outcome = if super::repeats::is_replayed(answer.headers()) {
        "repeated"
    } else if status.is_success() {
        "done"
    } else if status == StatusCode::FORBIDDEN {
        "forbidden"
    } else if status == StatusCode::NOT_FOUND {
        "not_found"
    } else if status.is_server_error() {
        "failed"
    } else {
        "refused"
    };
    Upshot { outcome, status: Some(status.as_u16()), events: None }
}

/// 128 random bits. Without them the request goes on: its lines have all that matters.
fn request_id() -> String {
    let mut random = [0; 16];
    match getrandom::fill(&mut random) {
        Ok(()) => hex::encode(random),
        Err(_) => String::from("unknown"),
    }
}
