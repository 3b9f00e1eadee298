//! `POST /v1/events`: one event, an array, or a stream of lines.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::{Extension, Json};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use utoipa::openapi::schema::{AnyOfBuilder, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::caller::Caller;
use super::ingest::{Ingest, Manner};
use super::lines::{Line, Lines};
use super::openapi::Description;
use super::problem::{Fault, Problem};
use super::tally::{Ingested, Listing, Tally};
use super::{Control, body, explain, export};
use crate::consent::event::EventAsWritten;

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

/// One event or many.
#[derive(ToSchema)]
#[schema(as = Events)]
#[serde(untagged)]
#[allow(dead_code, reason = "only its schema is used: the items are read one by one")]
enum EventsAsWritten {
    One(Box<EventAsWritten>),
    Many(Vec<AnyEvent>),
}

/// An event among others, which does not keep them from being taken in if it is none: described as an event, and anything else is taken too.
struct AnyEvent;

impl PartialSchema for AnyEvent {
    fn schema() -> RefOr<Schema> {
        let anything = ObjectBuilder::new().schema_type(SchemaType::AnyValue);
        let event = Ref::from_schema_name(EventAsWritten::name());
        AnyOfBuilder::new()
            .item(event)
            .item(anything)
            .description(Some("An event; what is none is rejected by itself, by its place."))
            .into()
    }
}

impl ToSchema for AnyEvent {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((EventAsWritten::name().into_owned(), EventAsWritten::schema()));
        EventAsWritten::schemas(schemas);
    }
}

pub(super) fn described() -> Description {
    let example = json!({
        "recipient": "+15550000001", "kind": "grant", "categories": ["marketing", "utility"],
        "occurred_at": "2026-01-31T09:30:00Z", "actor": "person", "source": "website",
        "evidence": { "channel": "website", "user_action": "checked_box", "name_and_logo_shown": true, "number_confirmed": true,
            "categories_shown": ["marketing", "utility"], "business_named": "Acme",
            "wording": "I agree to receive offers and order updates from Acme on WhatsApp", "wording_version": "2026-01", "locale": "en" },
    });
    Description::of("Write consent events")
        .at_length(
            "One event, an array, or one event a line (`application/x-ndjson`), without limit and streamed. A single event that is rejected is a 422, \
             and so is an array of which every event is; else each is applied, ignored or rejected by itself, and of lines always. The answer comes when the events are stored and enforced on this node. \
             An event's `id`, or without one its content, makes a repeat harmless.",
        )
        .in_query("dry_run", "Check everything and store nothing; the answer counts what is `valid`", ObjectBuilder::new().schema_type(Type::Boolean))
        .in_query("tenant", "The tenant of events that name none", ObjectBuilder::new().schema_type(Type::String))
        .takes::<EventsAsWritten>(example.clone())
        .takes_as::<AnyEvent>("application/x-ndjson", Some(example))
        .answers::<Ingested>(200, "What became of them; of lines, results lists those that were not applied")
        .faults(&[
            Fault::MediaType,
            Fault::BodyTooLarge,
            Fault::BodyTimeout,
            Fault::Unreadable,
            Fault::Invalid,
            Fault::StoreUnavailable,
        ])
}

/// What may stand in the query.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Options {
    /// Check everything and store nothing.
    dry_run: bool,
    /// The tenant of events that name none.
    tenant: Option<String>,
}

pub(super) async fn post(
    State(control): State<Arc<Control>>,
    Extension(caller): Extension<Caller>,
    options: Result<Query<Options>, QueryRejection>,
    request: Request,
) -> Result<Json<Ingested>, Problem> {
    let Query(Options { dry_run, tenant }) = options.map_err(|_| {
        Problem::new(Fault::Unreadable, "the query takes dry_run=true or false and tenant=NAME, nothing else")
    })?;
    let manner = |listing| Manner { listing, dry_run, tenant, single: false };
    match Format::of(request.headers())? {
        Format::Json => whole((&control, &caller, manner(Listing::All)), request.into_body()).await.map(Json),
        Format::Lines => {
            let ingest = Ingest::new(&control, &caller, manner(Listing::NotApplied));
            stream(ingest, request.into_body()).await.map(|settled| Json(settled.into_answer()))
        }
    }
}

async fn whole(
    (control, caller, manner): (&Control, &Caller, Manner),
    body: Body,
) -> Result<Ingested, Problem> {
    let bytes = body::whole(body).await?;
    let single = bytes.trim_ascii_start().first() != Some(&b'[');
    let mut ingest = Ingest::new(control, caller, Manner { single, ..manner });
    if single {
        ingest.offer(1, &bytes).await?;
        return ingest.finish().await?.into_single();
    }
    let events: Vec<&RawValue> = serde_json::from_slice(&bytes)
        .map_err(|error| Problem::new(Fault::Unreadable, explain::syntax(&error)))?;
    for (line, event) in (1..).zip(events) {
        ingest.offer(line, event.get().as_bytes()).await?;
    }
    ingest.finish().await?.into_list()
}

/// Takes lines in while they arrive; what was complete when a stream broke off is kept.
async fn stream(mut ingest: Ingest<'_>, mut body: Body) -> Result<Tally, Problem> {
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
        // Where an export is imported, its end is no event.
        Line::Whole(written) if export::is_end(&written) => Ok(()),
        Line::Whole(written) => ingest.offer(number, &written).await,
        Line::TooLong => ingest.reject_too_long(number).await,
    }
}
