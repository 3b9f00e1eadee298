//! Serving one connection from its first byte to its last.
//!
//! Runs on one thread: the service and its futures need not be `Send`. An HTTP/2 connection spawns its streams
//! on the current `LocalSet`.

use std::cell::Cell;
use std::convert::Infallible;
use std::error::Error;
use std::future::{Future, pending};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{Either, Empty};
use hyper::body::{Body, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until};

use super::Drain;
use super::guard::{FramingFault, GuardPatience, GuardedIo};
use super::h2_check::check_h2;
use super::inbound::Inbound;
use super::preface::{Protocol, Replayed, sniff};
use super::whole::{self, Served};

const HTTP1_BUFFER_BYTES: usize = 64 * 1024;
const HTTP2_HEAD_BYTES: u32 = 16 * 1024;
const HTTP2_STREAMS: u32 = 128;
/// Uploads over long distances: 1 MiB in flight per stream, as much again for three others.
const HTTP2_STREAM_WINDOW: u32 = 1024 * 1024;
const HTTP2_CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// Streams that are reset before they are handled, as in the rapid reset attack (CVE-2023-44487).
const HTTP2_PENDING_RESETS: usize = 20;
const HTTP2_LOCAL_RESETS: usize = 256;

/// How a connection is served.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionSettings {
    /// How long a new connection may take to say which protocol it speaks.
    pub first_bytes: Duration,
    /// How long a caller may be silent. Of HTTP/2 callers only `idle` is asked: without a new request for so long
    /// the connection is finished, and pings are sent at that interval.
    pub patience: GuardPatience,
}

impl Default for ConnectionSettings {
    fn default() -> Self {
        Self { first_bytes: Duration::from_secs(10), patience: GuardPatience::default() }
    }
}

/// How a connection ended.
#[derive(Debug)]
#[must_use]
pub enum Ending {
    /// Orderly, by either side.
    Closed,
    /// The caller said nothing that tells its protocol.
    Silent,
    /// A request broke a rule of framing.
    Refused(FramingFault),
    /// The drain's deadline came first.
    Cut,
    /// The connection or the protocol broke.
    Broken(hyper::Error),
    /// An answer could not be written to its end.
    BrokenOff(io::Error),
}

/// Serves a connection until it ends. The service only ever sees requests with one possible reading.
///
/// A request that breaks the rules of HTTP/1 framing gets a bare 400 and the end of its connection; one that
/// breaks those of HTTP/2 gets a bare 400, since other streams are not affected.
/// When the drain begins, what is in flight is finished and nothing new is taken. A connection that is accepted
/// later still gets one request answered: its caller cannot know.
///
/// # Cancel safety
/// Dropping the future cuts the connection.
pub async fn serve_connection<IO, F, A, B>(
    io: IO,
    service: F,
    settings: ConnectionSettings,
    mut drain: Drain,
) -> Ending
where
    IO: AsyncRead + AsyncWrite + Unpin + 'static,
    F: Fn(Request<Inbound>) -> A + 'static,
    A: Future<Output = Response<B>> + 'static,
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let late = drain.is_draining();
    let sniffed = tokio::select! {
        biased;
        sniffed = sniff(io, settings.first_bytes) => sniffed,
        () = drain.started(), if !late => return Ending::Closed,
    };
    let io = match sniffed {
        None => return Ending::Silent,
        Some((Protocol::Http2, io)) => return Box::pin(serve_http2(io, service, settings, drain)).await,
        Some((Protocol::Http1, io)) if late => GuardedIo::new(io, settings.patience),
        Some((Protocol::Http1, io)) => {
            match whole::serve(io, &service, settings.patience, &mut drain).await {
                Served::Ended(ending) => return ending,
                Served::Continues(io) => io,
            }
        }
    };
    // Boxed: of those whose requests arrive whole nobody needs it.
    Box::pin(serve_http1(io, service, drain)).await
}

async fn serve_http1<IO, F, A, B>(io: GuardedIo<IO>, service: F, mut drain: Drain) -> Ending
where
    IO: AsyncRead + AsyncWrite + Unpin + 'static,
    F: Fn(Request<Inbound>) -> A + 'static,
    A: Future<Output = Response<B>> + 'static,
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let late = drain.is_draining();
    let fault = io.fault();
    let connection = http1::Builder::new()
        .keep_alive(!late)
        // A caller that shuts down its sending half still waits for its answer, and a FIN must not cancel a
        // forward half way. The price is that a caller who is gone is noticed only when it is written to.
        .half_close(true)
        .max_buf_size(HTTP1_BUFFER_BYTES)
        // The guard keeps time, for less than a boxed timer per request.
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(io), service_fn(move |request| answered(service(arriving(request)))));
    let ending = if late {
        until_cut(connection, &mut drain).await
    } else {
        // The guard ends idle connections.
        until_drained(connection, http1::Connection::graceful_shutdown, &mut drain, pending()).await
    };
    match (fault.get(), ending) {
        (Some(&fault), Ending::Closed | Ending::Broken(_)) => Ending::Refused(fault),
        (_, ending) => ending,
    }
}

/// As hyper hands it on, its body is on its way.
fn arriving(request: Request<Incoming>) -> Request<Inbound> {
    request.map(Inbound::Unread)
}

async fn answered<B>(answer: impl Future<Output = Response<B>>) -> Result<Response<B>, Infallible> {
    Ok(answer.await)
}

async fn serve_http2<IO, F, A, B>(
    io: Replayed<IO>,
    service: F,
    settings: ConnectionSettings,
    mut drain: Drain,
) -> Ending
where
    IO: AsyncRead + AsyncWrite + Unpin + 'static,
    F: Fn(Request<Inbound>) -> A + 'static,
    A: Future<Output = Response<B>> + 'static,
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let last_request = Rc::new(Cell::new(Instant::now()));
    let seen = Rc::clone(&last_request);
    let checked = service_fn(move |request: Request<Incoming>| {
        seen.set(Instant::now());
        let (head, body) = request.into_parts();
        let answer = check_h2(&head).map(|()| service(arriving(Request::from_parts(head, body))));
        answered(async move {
            match answer {
                Ok(answer) => answer.await.map(Either::Left),
                Err(_) => bare_refusal().map(Either::Right),
            }
        })
    });
    let connection = http2::Builder::new(LocalExec)
        .timer(TokioTimer::new())
        .max_concurrent_streams(HTTP2_STREAMS)
        .max_header_list_size(HTTP2_HEAD_BYTES)
        .initial_stream_window_size(HTTP2_STREAM_WINDOW)
        .initial_connection_window_size(HTTP2_CONNECTION_WINDOW)
        .max_pending_accept_reset_streams(HTTP2_PENDING_RESETS)
        .max_local_error_reset_streams(HTTP2_LOCAL_RESETS)
        .keep_alive_interval(settings.patience.idle)
        .serve_connection(TokioIo::new(io), checked);
    let idle = until_idle(&last_request, settings.patience.idle);
    until_drained(connection, http2::Connection::graceful_shutdown, &mut drain, idle).await
}

/// Waits until no request has come for so long. Streams that are still open then are finished.
async fn until_idle(last_request: &Cell<Instant>, limit: Duration) {
    while last_request.get().elapsed() < limit {
        sleep_until(last_request.get() + limit).await;
    }
}

fn bare_refusal() -> Response<Empty<Bytes>> {
    let mut refusal = Response::new(Empty::new());
    *refusal.status_mut() = StatusCode::BAD_REQUEST;
    refusal
}

async fn until_drained<C>(
    connection: C,
    finish: fn(Pin<&mut C>),
    drain: &mut Drain,
    idle: impl Future<Output = ()>,
) -> Ending
where
    C: Future<Output = hyper::Result<()>>,
{
    let mut connection = pin!(connection);
    tokio::select! {
        biased;
        ended = connection.as_mut() => return ending(ended),
        () = drain.started() => finish(connection.as_mut()),
        () = idle => finish(connection.as_mut()),
    }
    until_cut(connection, drain).await
}

async fn until_cut(connection: impl Future<Output = hyper::Result<()>>, drain: &mut Drain) -> Ending {
    tokio::select! {
        biased;
        ended = connection => ending(ended),
        () = drain.cut() => Ending::Cut,
    }
}

fn ending(ended: hyper::Result<()>) -> Ending {
    match ended {
        Ok(()) => Ending::Closed,
        Err(fault) => Ending::Broken(fault),
    }
}

/// Spawns HTTP/2 streams on the thread of their connection.
#[derive(Clone, Copy, Debug)]
pub struct LocalExec;

impl<F> hyper::rt::Executor<F> for LocalExec
where
    F: Future + 'static,
{
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move {
            future.await;
        });
    }
}
