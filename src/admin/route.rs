//! One operation of the API: where it is, who may call it, what it does to people's data, and how it is described.

use std::sync::Arc;

use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter, on};

use super::Control;
use super::auth::Scope;
use super::openapi::Description;

/// How a request asks; the methods of our routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    Post,
    Put,
    Delete,
}

impl Verb {
    /// The method's name.
    #[cfg_attr(not(test), allow(dead_code, reason = "tests walk the table by it"))]
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }

    const fn filter(self) -> MethodFilter {
        match self {
            Self::Get => MethodFilter::GET,
            Self::Post => MethodFilter::POST,
            Self::Put => MethodFilter::PUT,
            Self::Delete => MethodFilter::DELETE,
        }
    }
}

/// What an operation does that somebody may have to answer for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// Nothing: neither a person's data nor ours is touched.
    Nothing,
    /// It looks a person up.
    LooksUp,
    /// It changes something.
    Writes,
}

/// One operation of the API.
pub(super) struct Route {
    pub(super) verb: Verb,
    pub(super) path: &'static str,
    /// Its name in the document and in the access log.
    pub(super) name: &'static str,
    /// The scope that it needs; `None` is open to everybody who reaches the listener.
    pub(super) scope: Option<Scope>,
    pub(super) deed: Deed,
    pub(super) handler: MethodRouter<Arc<Control>>,
    /// What the document says about it.
    pub(super) description: fn() -> Description,
}

/// A method and a path.
pub(super) type Place = (Verb, &'static str);

impl Route {
    /// An operation that is open to everybody and does nothing that is recorded.
    pub(super) fn new<H, T>(
        name: &'static str,
        (verb, path): Place,
        handler: H,
        description: fn() -> Description,
    ) -> Self
    where
        H: Handler<T, Arc<Control>>,
        T: 'static,
    {
        let handler = on(verb.filter(), handler);
        Self { verb, path, name, scope: None, deed: Deed::Nothing, handler, description }
    }

    /// The same for bearers of a scope only.
    pub(super) fn needs(self, scope: Scope) -> Self {
        Self { scope: Some(scope), ..self }
    }

    /// The same, recorded in the access log as looking a person up.
    pub(super) fn looks_up(self) -> Self {
        Self { deed: Deed::LooksUp, ..self }
    }

    /// The same, recorded in the access log as a write, and with `Idempotency-Key`.
    pub(super) fn writes(self) -> Self {
        Self { deed: Deed::Writes, ..self }
    }
}
