//! The admin API across reloads of the configuration: which one is in force, and what there is to say of the last attempt.

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::Request;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;

use super::{Control, Settings, router};

/// The API in force. A request is answered to its end by the one that it began with.
#[derive(Clone)]
pub struct Desk(Arc<ArcSwap<Router>>);

impl Desk {
    /// The first API.
    pub fn open(control: Control, settings: Settings) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(router(control, settings))))
    }

    /// Puts another in its place: other tenants, and none but these tokens from now on.
    pub fn reopen(&self, control: Control, settings: Settings) {
        self.0.store(Arc::new(router(control, settings)));
    }

    /// What to serve: a router that asks for the API in force with each request.
    pub fn router(&self) -> Router {
        let desk = Arc::clone(&self.0);
        Router::new().fallback(move |request: Request| {
            let router = Router::clone(&desk.load());
            async move { TowerToHyperService::new(router).call(request).await }
        })
    }
}

/// What the last attempt to reload the configuration left to say, for `/readyz`. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Reloads(Arc<ArcSwap<Vec<String>>>);

impl Reloads {
    /// Replaces what there was to say.
    pub fn say(&self, warnings: Vec<String>) {
        self.0.store(Arc::new(warnings));
    }

    /// What there is to say now.
    pub(super) fn warnings(&self) -> Vec<String> {
        self.0.load().to_vec()
    }
}
