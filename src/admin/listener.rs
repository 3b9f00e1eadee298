//! The admin listener: connections within bounds of number and patience, over TLS where it is configured.
//!
//! A caller gets so long for a handshake, for the head of a request, for each piece of a body ([`super::body`]) and for taking an answer: whoever is
//! slower on purpose holds a place for a minute at most. Knows nothing of what the requests say.

use std::future::Future;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use axum::Router;
use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::guard::Peer;
use super::patient::Patient;
use crate::net::{self, Accepted, Drain, Listener, ServerTls, ServerTlsFiles, TlsError};

/// How many callers are connected at once; more wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 1024;
/// How long a caller may take over a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a caller may take to send the head of a request, from the end of the one before.
const HEAD: Duration = Duration::from_secs(30);
/// How long a caller may take nothing of an answer.
const ANSWER: Duration = Duration::from_secs(30);
const MAX_HEAD_BYTES: usize = 32 * 1024;
const MAX_FIELDS: usize = 100;
/// How long requests in flight may take once the gate ends.
const END: Duration = Duration::from_secs(1);
/// What every TLS connection begins with: the record type of a handshake.
const TLS_HANDSHAKE: u8 = 0x16;

/// The TLS of the admin listener, which can be read anew while it is in use. Clones are the same.
#[derive(Clone, Default)]
pub struct AdminTls {
    files: Option<ServerTlsFiles>,
    current: Arc<ArcSwapOption<ServerTls>>,
}

impl AdminTls {
    /// Reads the files; none is plain HTTP.
    pub fn open(files: Option<ServerTlsFiles>) -> Result<Self, TlsError> {
        let tls = Self { files, current: Arc::default() };
        tls.read()?;
        Ok(tls)
    }

    /// Reads the files anew, for connections from now on; files that will not do leave the ones before in use.
    pub fn reload(&self) {
        if let Err(error) = self.read() {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the admin listener's TLS files were not read anew; the ones before stay in use"
            );
        }
    }

    /// Whether there is any.
    pub fn is_on(&self) -> bool {
        self.files.is_some()
    }

    fn read(&self) -> Result<(), TlsError> {
        if let Some(files) = &self.files {
            self.current.store(Some(Arc::new(ServerTls::new(files, &[b"http/1.1"])?)));
        }
        Ok(())
    }
}

/// Where the admin API is served.
pub struct Door {
    /// The bound socket.
    pub socket: TcpListener,
    /// How connections are protected.
    pub tls: AdminTls,
}

/// Serves the admin API until `shutdown`, then finishes the requests in flight.
pub async fn serve(door: Door, router: Router, shutdown: impl Future<Output = ()> + Send) -> io::Result<()> {
    let listener = Listener::register(door.socket, MAX_CONNECTIONS)?;
    let (trigger, drain) = net::drain();
    let connections = drain.clone();
    let accepting = tokio::spawn(listener.run(drain, move |accepted| {
        tokio::spawn(connection(accepted, door.tls.clone(), router.clone(), connections.clone()));
    }));
    shutdown.await;
    let _cut_or_not = trigger.drain(END).await;
    accepting.abort();
    Ok(())
}

async fn connection(accepted: Accepted, tls: AdminTls, router: Router, drain: Drain) {
    let Accepted { stream, peer, slot } = accepted;
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer));
        router.call(request)
    });
    match tls.current.load_full() {
        None if tls.is_on() => {}
        None => requests(stream, service, drain).await,
        Some(tls) => {
            if let Some(stream) = handshake(stream, &tls).await {
                requests(stream, service, drain).await;
            }
        }
    }
    drop(slot);
}

/// Speaks TLS, or says in plain words that only TLS is spoken here.
async fn handshake(
    mut stream: TcpStream,
    tls: &ServerTls,
) -> Option<tokio_rustls::server::TlsStream<TcpStream>> {
    let mut first = [0];
    let seen = timeout(HANDSHAKE, stream.peek(&mut first)).await.ok()?.ok()?;
    if seen == 1 && first != [TLS_HANDSHAKE] {
        let what = "this is an HTTPS address: write https:// in place of http://\n";
        let answer = format!(
            "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{what}",
            what.len()
        );
        // A caller who does not take the answer misses nothing else.
        let _ = timeout(HANDSHAKE, stream.write_all(answer.as_bytes())).await;
        let _ = timeout(HANDSHAKE, stream.shutdown()).await;
        linger(stream).await;
        return None;
    }
    match timeout(HANDSHAKE, tls.acceptor().accept(stream)).await {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            tracing::info!(error = %error, "a TLS handshake with the admin listener failed");
            None
        }
        Err(_) => None,
    }
}

/// Reads what a refused caller still sends, for a moment and nothing of it kept: closing before would reset the answer away.
async fn linger(mut stream: TcpStream) {
    let mut rest = tokio::io::sink();
    let _ = timeout(END, tokio::io::copy(&mut stream, &mut rest)).await;
}

async fn requests<IO, S>(stream: IO, service: S, mut drain: Drain)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = axum::response::Response, Error = std::convert::Infallible>,
{
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_FIELDS)
        .serve_connection(TokioIo::new(Patient::new(stream, ANSWER)), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        biased;
        ended = connection.as_mut() => return noted(ended),
        () = drain.started() => connection.as_mut().graceful_shutdown(),
    }
    tokio::select! {
        biased;
        ended = connection => noted(ended),
        () = drain.cut() => {}
    }
}

fn noted(ended: hyper::Result<()>) {
    if let Err(cause) = ended {
        tracing::debug!(error = %cause, "a connection to the admin listener broke");
    }
}
