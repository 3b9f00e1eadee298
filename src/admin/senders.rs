//! `GET /v1/senders` and `GET /v1/senders/{sender}`: the numbers that send, and how they are doing.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::{Extension, Json};
use http::Uri;
use serde::Serialize;
use utoipa::ToSchema;

use super::Control;
use super::caller::Caller;
use super::openapi::Description;
use super::page::Page;
use super::problem::{Fault, Problem};
use crate::senders::{SenderDetail, SenderReport};

/// A page of the senders.
#[derive(Serialize, ToSchema)]
pub(super) struct SenderList {
    senders: Vec<SenderReport>,
    /// Where the next page is; `null` on the last.
    #[schema(example = "/v1/senders?limit=100&after=MTA2NTQwMzUyMjQyOTIy")]
    next: Option<String>,
}

pub(super) fn listing() -> Description {
    let operation =
        Description::of("The numbers that send: whether their webhooks come, and how they are rated")
            .answers::<SenderList>(200, "A page of senders, in the order of their ids");
    Page::described(operation)
}

pub(super) fn showing() -> Description {
    Description::of("One sender, with what its messages came to")
        .at_length(
            "The failures that may be owed to how a consent was obtained are told by the source of the consent: who stops marketing or cannot be reached, and by \
             which form, shop or import they came.",
        )
        .in_path("sender", ("The provider's phone number id", "106540352242922"))
        .answers::<SenderDetail>(200, "The sender")
        .faults(&[Fault::Unreadable, Fault::NotFound, Fault::StoreUnavailable])
}

pub(super) async fn list(
    State(control): State<Arc<Control>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Json<SenderList>, Problem> {
    let page = Page::read(&uri)?;
    let after = page.after.as_deref().unwrap_or_default();
    let may_see = |report: &SenderReport| {
        control.senders.tenant_of(&report.sender).is_some_and(|tenant| caller.may_touch(tenant))
    };
    let mut rest = control
        .senders
        .report()
        .into_iter()
        .filter(|report| report.sender.as_str() > after && may_see(report));
    let senders: Vec<SenderReport> = rest.by_ref().take(page.limit).collect();
    let last = senders.last().filter(|_| rest.next().is_some());
    let next = last.map(|last| page.next("/v1/senders", &last.sender));
    Ok(Json(SenderList { senders, next }))
}

pub(super) async fn show(
    State(control): State<Arc<Control>>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<SenderDetail>, Problem> {
    let Path(sender) = path.map_err(|_| {
        Problem::new(Fault::Unreadable, "the sender in the path is a phone number id: digits")
    })?;
    let unknown = || Problem::new(Fault::NotFound, "no such sender; GET /v1/senders lists them");
    let tenant = control.senders.tenant_of(&sender).filter(|tenant| caller.may_touch(*tenant));
    tenant.ok_or_else(unknown)?;
    let detail = control.senders.detail(&sender).await.map_err(|error| {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "what a sender's messages came to was not read"
        );
        Problem::new(Fault::StoreUnavailable, "what its messages came to cannot be read now")
    })?;
    detail.map(Json).ok_or_else(unknown)
}
