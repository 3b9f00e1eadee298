//! What the provider is answered.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;

use crate::metrics::WebhookOutcome;

/// The body of an answer.
pub type Answer = Full<Bytes>;

/// The challenge, as it came.
pub(super) fn challenge(challenge: Vec<u8>) -> Response<Answer> {
    plain(StatusCode::OK, challenge.into())
}

/// What a delivery came to. Anything but 200 makes the provider deliver it again, for days.
pub(super) fn of(outcome: WebhookOutcome) -> Response<Answer> {
    let (status, text) = match outcome {
        WebhookOutcome::Relayed | WebhookOutcome::Queued | WebhookOutcome::Learnt => (StatusCode::OK, ""),
        WebhookOutcome::Forged => {
            (StatusCode::FORBIDDEN, "the signature is not one of a configured app secret")
        }
        WebhookOutcome::Unreadable => (StatusCode::BAD_REQUEST, "this is no webhook"),
        WebhookOutcome::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "a webhook has at most 3 MB"),
        WebhookOutcome::NotStored => {
            (StatusCode::SERVICE_UNAVAILABLE, "what it tells could not be stored; send it again")
        }
        WebhookOutcome::QueueFull => {
            (StatusCode::SERVICE_UNAVAILABLE, "the queue is full; send it again later")
        }
        WebhookOutcome::NoRoom => {
            (StatusCode::SERVICE_UNAVAILABLE, "too many great webhooks at once; send it again later")
        }
        WebhookOutcome::BotFailed => (StatusCode::BAD_GATEWAY, "the bot did not take it; send it again"),
    };
    plain(status, Bytes::from_static(text.as_bytes()))
}

/// A request that is neither a verification nor a delivery.
pub(super) fn not_allowed() -> Response<Answer> {
    let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, Bytes::new());
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, POST"));
    response
}

/// A verification with the wrong token.
pub(super) fn unknown() -> Response<Answer> {
    plain(StatusCode::FORBIDDEN, Bytes::from_static(b"the verify token is not [webhook] verify_token"))
}

fn plain(status: StatusCode, body: Bytes) -> Response<Answer> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    // The challenge is the caller's own text: no browser may take it for a page.
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
