//! `POST /v1/events`: one event, an array, or a stream of lines.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::{Extension, Json};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde_json::Value;
use serde_json::value::RawValue;

use super::auth::Caller;
use super::ingest::{Ingest, Listing, Settled};
use super::lines::{Line, Lines};
use super::problem::{Fault, Problem};
use super::{Control, body, explain};

/// How the events are written.
enum Format {
    Json,
    Lines,
}

impl Format {
    /// Reads the content type; its parameters say nothing here.
    fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let Some(written) = headers.get(CONTENT_TYPE) else { return Ok(Self::Json) };
        let essence = written.to_str().ok().and_then(|text| text.split(';').next()).unwrap_or_default();
        match essence.trim().to_ascii_lowercase().as_str() {
            "application/json" => Ok(Self::Json),
            "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Ok(Self::Lines),
            _ => Err(Problem::new(
                Fault::MediaType,
                "send Content-Type: application/json for an event or an array, application/x-ndjson for one event a line",
            )),
        }
    }
}

pub(super) async fn post(
    State(control): State<Arc<Control>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    match Format::of(request.headers())? {
        Format::Json => whole(&control, &caller, request.into_body()).await.map(Json),
        Format::Lines => {
            let ingest = Ingest::new(&control, &caller, Listing::NotApplied);
            stream(ingest, request.into_body()).await.map(|settled| Json(settled.into_json()))
        }
    }
}

async fn whole(control: &Control, caller: &Caller, body: Body) -> Result<Value, Problem> {
    let bytes = body::whole(body).await?;
    let mut ingest = Ingest::new(control, caller, Listing::All);
    if bytes.trim_ascii_start().first() != Some(&b'[') {
        ingest.offer(1, &bytes).await?;
        return ingest.finish().await?.into_single();
    }
    let events: Vec<&RawValue> = serde_json::from_slice(&bytes)
        .map_err(|error| Problem::new(Fault::Unreadable, explain::syntax(&error)))?;
    for (line, event) in (1..).zip(events) {
        ingest.offer(line, event.get().as_bytes()).await?;
    }
    Ok(ingest.finish().await?.into_json())
}

/// Takes lines in while they arrive; what was complete when a stream broke off is kept.
async fn stream(mut ingest: Ingest<'_>, mut body: Body) -> Result<Settled, Problem> {
    let mut lines = Lines::default();
    loop {
        match body::piece(&mut body).await {
            Ok(Some(piece)) => lines.push(&piece),
            Ok(None) => break,
            Err(why) => return Err(ingest.break_off(why).await),
        }
        while let Some((number, line)) = lines.next() {
            take(&mut ingest, number, line).await?;
        }
    }
    if let Some((number, line)) = lines.finish() {
        take(&mut ingest, number, line).await?;
    }
    ingest.finish().await
}

async fn take(ingest: &mut Ingest<'_>, number: u64, line: Line) -> Result<(), Problem> {
    match line {
        Line::Whole(written) => ingest.offer(number, &written).await,
        Line::TooLong => ingest.reject_too_long(number).await,
    }
}
