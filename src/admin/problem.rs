//! Errors of the admin API: `application/problem+json` (RFC 9457), every problem listed, no value of the request repeated.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// What kind of thing went wrong; the last part of a problem's `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    TokenMissing,
    ScopeMissing,
    TenantForbidden,
    NotFound,
    MethodNotAllowed,
    BodyTimeout,
    BodyTooLarge,
    MediaType,
    Unreadable,
    Invalid,
    KeyReused,
    KeyInProgress,
    TooManyFailures,
    RecordUnavailable,
    StoreUnavailable,
}

impl Fault {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::TokenMissing => StatusCode::UNAUTHORIZED,
            Self::ScopeMissing | Self::TenantForbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Unreadable => StatusCode::BAD_REQUEST,
            Self::Invalid | Self::KeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::KeyInProgress => StatusCode::CONFLICT,
            Self::TooManyFailures => StatusCode::TOO_MANY_REQUESTS,
            Self::RecordUnavailable | Self::StoreUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::TokenMissing => "token-missing",
            Self::ScopeMissing => "scope-missing",
            Self::TenantForbidden => "tenant-forbidden",
            Self::NotFound => "not-found",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::BodyTimeout => "body-timeout",
            Self::BodyTooLarge => "body-too-large",
            Self::MediaType => "media-type",
            Self::Unreadable => "unreadable",
            Self::Invalid => "invalid",
            Self::KeyReused => "idempotency-key-reused",
            Self::KeyInProgress => "idempotency-key-in-progress",
            Self::TooManyFailures => "too-many-failures",
            Self::RecordUnavailable => "access-log-unavailable",
            Self::StoreUnavailable => "store-unavailable",
        }
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::TokenMissing => "No valid token",
            Self::ScopeMissing => "The token lacks a scope",
            Self::TenantForbidden => "The token is not permitted for this tenant",
            Self::NotFound => "Not found",
            Self::MethodNotAllowed => "Method not allowed",
            Self::BodyTimeout => "The body did not arrive in time",
            Self::BodyTooLarge => "The body is too large",
            Self::MediaType => "Unsupported content type",
            Self::Unreadable => "The request cannot be read",
            Self::Invalid => "The request was read and is not valid",
            Self::KeyReused => "The idempotency key belongs to another request",
            Self::KeyInProgress => "The first request with this idempotency key is still in progress",
            Self::TooManyFailures => "Too many requests without a valid token",
            Self::RecordUnavailable => "The access log cannot be written",
            Self::StoreUnavailable => "The consent store is unavailable",
        }
    }

    /// Headers that the status asks for.
    fn headers(self) -> Option<(HeaderName, HeaderValue)> {
        match self {
            Self::TokenMissing => Some((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            Self::KeyInProgress
            | Self::TooManyFailures
            | Self::RecordUnavailable
            | Self::StoreUnavailable => Some((RETRY_AFTER, HeaderValue::from_static("1"))),
            Self::ScopeMissing
            | Self::TenantForbidden
            | Self::NotFound
            | Self::MethodNotAllowed
            | Self::BodyTimeout
            | Self::BodyTooLarge
            | Self::MediaType
            | Self::Unreadable
            | Self::Invalid
            | Self::KeyReused => None,
        }
    }
}

/// One error answer.
#[derive(Debug)]
pub(super) struct Problem {
    fault: Fault,
    detail: Cow<'static, str>,
    problems: Vec<String>,
    extra: Map<String, Value>,
}

impl Problem {
    /// A problem that one sentence explains: what is wrong and what would be right.
    pub(super) fn new(fault: Fault, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { fault, detail: detail.into(), problems: Vec::new(), extra: Map::new() }
    }

    /// The same with every single fault listed.
    pub(super) fn listing(mut self, problems: Vec<String>) -> Self {
        self.problems = problems;
        self
    }

    /// The same with a further member, such as what was applied before the fault.
    pub(super) fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.extra.insert(member.to_owned(), value.into());
        self
    }
}

/// A problem as it is written (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct ProblemBody {
    /// Names the kind of problem.
    #[serde(rename = "type")]
    #[schema(example = "urn:optgate:problem:invalid")]
    kind: String,
    /// The kind of problem in words.
    #[schema(example = "The request was read and is not valid")]
    title: &'static str,
    /// The status of the answer.
    #[schema(example = 422)]
    status: u16,
    /// What is wrong and what would be right.
    #[schema(example = "the event was rejected and nothing was stored", value_type = String)]
    detail: Cow<'static, str>,
    /// Every single fault, where there may be several.
    #[schema(example = json!(["actor: missing; write person, operator, system or provider"]))]
    problems: Vec<String>,
    /// Further members, such as what was applied before the fault.
    #[serde(flatten)]
    #[schema(ignore)]
    extra: Map<String, Value>,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self { fault, detail, problems, extra } = self;
        let status = fault.status();
        let kind = format!("urn:optgate:problem:{}", fault.name());
        let body =
            ProblemBody { kind, title: fault.title(), status: status.as_u16(), detail, problems, extra };
        let mut headers = HeaderMap::from_iter(fault.headers());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        // Plain data always becomes JSON; the status alone would still say enough.
        let text = serde_json::to_string(&body).unwrap_or_default();
        (status, headers, text).into_response()
    }
}
