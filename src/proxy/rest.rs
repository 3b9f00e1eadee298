//! What a refused caller still writes: its connection takes the next request only behind that.

use std::time::Duration;

use http::header::{self, HeaderValue};
use http::request::Parts;
use http::{Response, Version};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

use super::Worker;
use super::answer::Answer;
use crate::net::Inbound;

/// How long it may take to come. A caller that writes the head alone gets its answer then.
const PATIENCE: Duration = Duration::from_secs(1);

/// A body that is read for nothing but the connection's sake may be as long as this.
const SHORT: u64 = 64 * 1024;

/// Reads what is left of a refused request if that is short. Where it is not, the caller is told that its connection ends: it would lose its next request
/// otherwise, which may be a good one.
pub(super) async fn read(
    worker: &Worker,
    refusal: Response<Answer>,
    parts: &Parts,
    body: Inbound,
) -> Response<Answer> {
    let Inbound::Unread(body) = body else { return refusal };
    if body.is_end_stream() || parts.version == Version::HTTP_2 {
        return refusal;
    }
    // Who waits for a `100 Continue` does not write it, and need not now.
    let is_written = !parts.headers.contains_key(header::EXPECT);
    let is_short = body.size_hint().upper().is_some_and(|length| length <= SHORT);
    if is_written && is_short {
        let patience = PATIENCE.min(worker.settings.body_patience);
        let read = tokio::time::timeout(patience, to_its_end(body)).await;
        if matches!(read, Ok(true)) {
            return refusal;
        }
    }
    closing(refusal, parts.version)
}

/// Tells a caller that its connection ends with this answer.
pub(super) fn closing(mut refusal: Response<Answer>, version: Version) -> Response<Answer> {
    if version != Version::HTTP_2 {
        refusal.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    refusal
}

/// Whether the body came whole.
async fn to_its_end(mut body: Incoming) -> bool {
    while let Some(frame) = body.frame().await {
        if frame.is_err() {
            return false;
        }
    }
    true
}
