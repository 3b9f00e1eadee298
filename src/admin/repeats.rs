//! `Idempotency-Key`: a write that is sent again answers what it answered first. Source: draft-ietf-httpapi-idempotency-key-header-07.
//!
//! The first answers are kept in memory, by node, for a day and within bounds: what gets lost when a node restarts, or when another node is asked, is
//! only the exact words of an answer. Every write here changes nothing when it is carried out again (events have ids, made of their content where none
//! is given; a template list replaces itself; who is erased stays erased), so a repeat that finds no first answer is safe to carry out.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use aws_lc_rs::digest;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::{BodyExt, Limited};
use moka::sync::Cache;

use super::body;
use super::problem::{Fault, Problem};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const LONGEST_KEY: usize = 255;
/// How long first answers are kept.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// How many bytes of them.
const MAX_BYTES: u64 = 32 << 20;
/// Larger answers are not kept; the write is carried out again instead.
const LARGEST_ANSWER: usize = 1 << 20;
/// What an entry takes besides its answer.
const OVERHEAD: u32 = 1024;

type Digest = [u8; 32];

/// The first answers, and which first requests are still in progress.
pub(super) struct Repeats {
    first: Cache<Digest, Arc<First>>,
    in_progress: Mutex<HashSet<Digest>>,
}

/// A first request's fingerprint and answer.
struct First {
    fingerprint: Digest,
    status: StatusCode,
    content_type: Option<HeaderValue>,
    answer: Bytes,
}

impl std::fmt::Debug for Repeats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Repeats")
    }
}

impl Default for Repeats {
    fn default() -> Self {
        let weight = |_: &Digest, first: &Arc<First>| {
            OVERHEAD.saturating_add(u32::try_from(first.answer.len()).unwrap_or(u32::MAX))
        };
        let first = Cache::builder().max_capacity(MAX_BYTES).weigher(weight).time_to_live(KEPT).build();
        Self { first, in_progress: Mutex::default() }
    }
}

/// What is to be done with a request.
pub(super) enum Turn<'a> {
    /// It has no key.
    Unnamed,
    /// It is the first with its key: carry it out, then tell [`Begun::end`].
    First(Begun<'a>),
    /// There was one before it.
    Repeat(Before),
}

impl Repeats {
    /// Looks at the key of a token's request.
    ///
    /// # Errors
    /// The header is no key, or the first request with this key is not answered yet.
    pub(super) fn turn(&self, token: &str, headers: &HeaderMap) -> Result<Turn<'_>, Problem> {
        let Some(key) = key(headers)? else { return Ok(Turn::Unnamed) };
        let id = sha256(&[token.as_bytes(), b"\0", key]);
        let first = |id| self.first.get(id).map(|first| Turn::Repeat(Before(first)));
        if let Some(repeat) = first(&id) {
            return Ok(repeat);
        }
        if !self.in_progress().insert(id) {
            let what = "its answer is still being made; ask again later";
            return Err(Problem::new(Fault::KeyInProgress, what));
        }
        // It may have ended between the two looks.
        let begun = Begun { repeats: self, id };
        Ok(first(&id).unwrap_or(Turn::First(begun)))
    }

    fn in_progress(&self) -> MutexGuard<'_, HashSet<Digest>> {
        self.in_progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The one key of a request.
fn key(headers: &HeaderMap) -> Result<Option<&[u8]>, Problem> {
    let mut all = headers.get_all(KEY).iter();
    let Some(key) = all.next() else { return Ok(None) };
    let key = key.as_bytes();
    let bare = key.strip_prefix(b"\"").and_then(|key| key.strip_suffix(b"\"")).unwrap_or(key);
    let good = (1..=LONGEST_KEY).contains(&bare.len()) && bare.iter().all(u8::is_ascii_graphic);
    if good && all.next().is_none() {
        return Ok(Some(bare));
    }
    let what = "Idempotency-Key: write one key of 1 to 255 visible ASCII characters, such as a UUID";
    Err(Problem::new(Fault::Unreadable, what))
}

/// A first request that is being carried out; dropped, it may be tried again.
pub(super) struct Begun<'a> {
    repeats: &'a Repeats,
    id: Digest,
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.repeats.in_progress().remove(&self.id);
    }
}

impl Begun<'_> {
    /// Keeps the answer if it is one that a repeat would get again: of a request that was read to its end and did not meet a fault of ours.
    pub(super) async fn end(self, read: &Reading, answer: Response) -> Response {
        let Some(fingerprint) = read.fingerprint().filter(|_| !answer.status().is_server_error()) else {
            return answer;
        };
        let small = answer.body().size_hint().upper().is_some_and(|size| size <= LARGEST_ANSWER as u64);
        if !small {
            return answer;
        }
        let (parts, body) = answer.into_parts();
        let Ok(whole) = Limited::new(body, LARGEST_ANSWER).collect().await else {
            return Problem::new(Fault::RecordUnavailable, "the answer broke off; repeat the request")
                .into_response();
        };
        let answer = whole.to_bytes();
        let first = First {
            fingerprint,
            status: parts.status,
            content_type: parts.headers.get(CONTENT_TYPE).cloned(),
            answer: answer.clone(),
        };
        self.repeats.first.insert(self.id, Arc::new(first));
        Response::from_parts(parts, Body::from(answer))
    }
}

/// A first request that was answered.
pub(super) struct Before(Arc<First>);

impl Before {
    /// Answers a repeat, whose body is read to see that it is one.
    pub(super) async fn answer(&self, parts: &Parts, mut body: Body) -> Response {
        let mut reading = fingerprint_of_head(parts);
        loop {
            match body::piece(&mut body).await {
                Ok(Some(piece)) => reading.update(&piece),
                Ok(None) => break,
                Err(problem) => return problem.into_response(),
            }
        }
        if finished(reading) != self.0.fingerprint {
            let what = "send a new key with a new request, and an old key only with exactly the request that it came with";
            return Problem::new(Fault::KeyReused, what).into_response();
        }
        let mut answer = (self.0.status, self.0.answer.clone()).into_response();
        answer.headers_mut().remove(CONTENT_TYPE);
        if let Some(content_type) = &self.0.content_type {
            answer.headers_mut().insert(CONTENT_TYPE, content_type.clone());
        }
        answer.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        answer
    }
}

/// A body that is fingerprinted while its handler reads it.
pub(super) struct Read {
    body: Body,
    reading: Reading,
}

/// What has been read of a body.
#[derive(Clone)]
pub(super) struct Reading(Arc<Mutex<Progress>>);

struct Progress {
    so_far: digest::Context,
    whole: Option<Digest>,
}

impl Reading {
    /// The fingerprint, once the body was read to its end.
    fn fingerprint(&self) -> Option<Digest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).whole
    }
}

/// Wraps a request's body, to be read by its handler.
pub(super) fn watched(parts: &Parts, body: Body) -> (Body, Reading) {
    let progress = Progress { so_far: fingerprint_of_head(parts), whole: None };
    let reading = Reading(Arc::new(Mutex::new(progress)));
    (Body::new(Read { body, reading: reading.clone() }), reading)
}

impl http_body::Body for Read {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        let mut progress = self.reading.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(piece) = frame.data_ref() {
                    progress.so_far.update(piece);
                }
            }
            Poll::Ready(None) => progress.whole = Some(finished(progress.so_far.clone())),
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
        drop(progress);
        polled
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What a request is besides its body: a key that comes with another operation is reused as well.
fn fingerprint_of_head(parts: &Parts) -> digest::Context {
    let mut context = digest::Context::new(&digest::SHA256);
    let target = parts.uri.path_and_query().map(http::uri::PathAndQuery::as_str).unwrap_or_default();
    let content_type = parts.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    for part in [parts.method.as_str().as_bytes(), target.as_bytes(), content_type] {
        context.update(part);
        context.update(b"\0");
    }
    context
}

fn sha256(parts: &[&[u8]]) -> Digest {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part);
    }
    finished(context)
}

fn finished(context: digest::Context) -> Digest {
    context.finish().as_ref().first_chunk().copied().unwrap_or_default()
}

/// Whether an answer is a repeated one.
pub(super) fn is_replayed(headers: &HeaderMap) -> bool {
    headers.contains_key(REPLAYED)
}
