//! `GET /v1/export`: every event, one a line, as `POST /v1/events` takes them.
//!
//! A page of people is read when the one before it has been taken, so that a slow reader costs no memory. The last line says that it is the last: whoever
//! does not find it was cut off.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http_body::Frame;
use serde::Deserialize;
use tokio::sync::mpsc;
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::Control;
use super::caller::Caller;
use super::exported;
use super::openapi::Description;
use super::problem::{Fault, Problem};
use crate::consent::RecipientKey;
use crate::consent::dossier::Dossier;
use crate::consent::event::EventAsWritten;
use crate::store::{ConsentStore, StoreError};

/// How many people are read at once.
const PAGE: usize = 200;
/// How many pages wait for the reader.
const AHEAD: usize = 2;
/// How the last line begins; an import passes over it.
const END: &[u8] = b"{\"export\":";

/// Whether a line is the end of an export.
pub(super) fn is_end(line: &[u8]) -> bool {
    line.starts_with(END)
}

/// What may stand in the query.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Options {
    /// The one tenant whose events are wanted.
    tenant: Option<String>,
}

/// One event a line, and a last line `{"export":"complete","events":n}`.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only its schema is used")]
struct ExportedLines(String);

pub(super) fn described() -> Description {
    Description::of("Every consent event")
        .at_length(
            "One event a line, as `POST /v1/events` takes them, streamed, tombstones of erased people first. Beside hashes stands under which key they \
             were made (`hash_key`), so that another store does not take them for its own. The last line is `{\"export\":\"complete\",\"events\":n}`; \
             an answer without it was cut off.",
        )
        .in_query("tenant", "Only this tenant; without it all that the token may touch", ObjectBuilder::new().schema_type(Type::String))
        .answers_as::<ExportedLines>(200, "The events", "application/x-ndjson")
        .faults(&[Fault::Unreadable, Fault::NotFound, Fault::TenantForbidden, Fault::StoreUnavailable])
}

pub(super) async fn stream(
    State(control): State<Arc<Control>>,
    Extension(caller): Extension<Caller>,
    options: Result<Query<Options>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(Options { tenant }) = options
        .map_err(|_| Problem::new(Fault::Unreadable, "the query takes tenant=NAME and nothing else"))?;
    let tenants = match tenant {
        Some(name) => vec![caller.tenant(&name, &control.tenants)?],
        None => (0..control.tenants.all().len()).filter(|place| caller.may_touch(*place)).collect(),
    };
    for tenant in &tenants {
        caller.touches_all_of(*tenant);
    }
    let (pages, reader) = mpsc::channel(AHEAD);
    let mut export = Export { control, pages, events: 0 };
    // The first page tells whether the store answers, while an error can still be one.
    let store = export.control.store.clone();
    for tenant in &tenants {
        store.page(*tenant, None, 1).await.map_err(|error| unavailable(&error))?;
    }
    tokio::spawn(async move {
        if let Err(error) = export.all(tenants).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "an export was cut off");
            // A body that fails ends the connection in the middle. Where nobody reads any more there is nobody to tell.
            let _ = export.pages.send(Err(error)).await;
        }
    });
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], Body::new(Pages(reader))).into_response())
}

fn unavailable(error: &StoreError) -> Problem {
    tracing::warn!(error = error as &dyn std::error::Error, "an export did not begin");
    Problem::new(Fault::StoreUnavailable, "the consent store could not be read; try again")
}

/// The body of the answer.
struct Pages(mpsc::Receiver<Result<Bytes, StoreError>>);

impl http_body::Body for Pages {
    type Data = Bytes;
    type Error = StoreError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StoreError>>> {
        self.0.poll_recv(context).map(|page| page.map(|page| page.map(Frame::data)))
    }
}

/// An export under way.
struct Export {
    control: Arc<Control>,
    pages: mpsc::Sender<Result<Bytes, StoreError>>,
    events: u64,
}

impl Export {
    /// Ends early, and without its last line, if the reader has gone.
    async fn all(&mut self, tenants: Vec<usize>) -> Result<(), StoreError> {
        let store = self.control.store.clone();
        for tenant in tenants {
            let mut after = None;
            loop {
                let page = store.page(tenant, after, PAGE).await?;
                let lines = self.lines(&store, tenant, &page.dossiers).await?;
                if !lines.is_empty() && self.pages.send(Ok(lines.into())).await.is_err() {
                    return Ok(());
                }
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        let end = format!("{{\"export\":\"complete\",\"events\":{}}}\n", self.events);
        // Who has gone needs no end.
        let _ = self.pages.send(Ok(end.into())).await;
        Ok(())
    }

    async fn lines(
        &mut self,
        store: &ConsentStore,
        tenant: usize,
        dossiers: &[(RecipientKey, Dossier)],
    ) -> Result<Vec<u8>, StoreError> {
        let control = Arc::clone(&self.control);
        let name = control.tenants.all().get(tenant).map(|tenant| tenant.name.as_str());
        let hash_key = store.hash_key(tenant)?;
        let mut lines = Vec::new();
        for (key, dossier) in dossiers {
            for event in exported::of_person(store, tenant, (key, dossier)).await? {
                self.write(&exported::marked(event, name, &hash_key), &mut lines);
            }
        }
        Ok(lines)
    }

    fn write(&mut self, event: &EventAsWritten, lines: &mut Vec<u8>) {
        if serde_json::to_writer(&mut *lines, event).is_ok() {
            lines.push(b'\n');
            self.events = self.events.saturating_add(1);
        }
    }
}
