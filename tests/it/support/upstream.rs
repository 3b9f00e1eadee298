//! A recording upstream: keeps every byte it receives and answers, or fails, as the test says.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::http1::{Body, Head};
use super::{eventually, runtime};
use answer::{Then, When};
use certificate::Certificate;

pub(crate) use answer::{Answer, filler};

mod answer;
mod certificate;

/// The server; it ends with the test.
pub(crate) struct Upstream {
    addr: SocketAddr,
    shared: Arc<Shared>,
    tasks: AbortHandle,
    certificate: Option<Certificate>,
}

/// One request, byte for byte.
#[derive(Debug, Clone, Default)]
pub(crate) struct Received {
    /// Which connection brought it, counted from 0.
    pub(crate) connection: usize,
    pub(crate) head: Head,
    /// The body as it stood on the wire, chunk framing included.
    pub(crate) raw_body: Vec<u8>,
    payload: Vec<u8>,
    /// How long the body without chunk framing is, kept or not.
    pub(crate) length: u64,
    /// Its SHA-256 in hex, once it is complete.
    pub(crate) sha256: String,
    /// Whether its last byte came.
    pub(crate) complete: bool,
}

impl Received {
    pub(crate) fn method(&self) -> &str {
        self.head.word(0)
    }

    pub(crate) fn target(&self) -> &str {
        self.head.word(1)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }

    /// The body without chunk framing, as far as [`Upstream::keep_at_most`] kept it.
    pub(crate) fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Head and body exactly as received.
    pub(crate) fn raw(&self) -> Vec<u8> {
        [self.head.raw.as_slice(), &self.raw_body].concat()
    }
}

type Respond = dyn Fn(&Received) -> Answer + Send + Sync;

struct Shared {
    state: Mutex<State>,
    open: AtomicUsize,
    released: watch::Sender<bool>,
}

struct State {
    requests: Vec<Received>,
    /// Every byte of each connection.
    connections: Vec<Vec<u8>>,
    resumed: usize,
    /// How many bytes of each body and of each connection are kept.
    keep: usize,
    next: VecDeque<Answer>,
    respond: Arc<Respond>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Upstream {
    /// Starts a server that answers every request as Meta answers a send.
    pub(crate) fn start() -> Self {
        Self::launch(None)
    }

    /// The same behind TLS, with a certificate for `127.0.0.1` and `localhost` by a CA of its own.
    pub(crate) fn start_tls() -> Self {
        Self::launch(Some(Certificate::new()))
    }

    fn launch(certificate: Option<Certificate>) -> Self {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                requests: Vec::new(),
                connections: Vec::new(),
                resumed: 0,
                keep: usize::MAX,
                next: VecDeque::new(),
                respond: Arc::new(|_| Answer::sent()),
            }),
            open: AtomicUsize::new(0),
            released: watch::channel(false).0,
        });
        let listener = runtime().block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let addr = listener.local_addr().unwrap();
        let acceptor = certificate.as_ref().map(|c| TlsAcceptor::from(c.server_config()));
        let tasks = runtime().spawn(accept(listener, acceptor, Arc::clone(&shared))).abort_handle();
        Self { addr, shared, tasks, certificate }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What belongs into the gate's `[upstream] url`.
    pub(crate) fn url(&self) -> String {
        format!("{}://{}", if self.certificate.is_some() { "https" } else { "http" }, self.addr)
    }

    /// The CA that a caller must trust.
    pub(crate) fn ca_file(&self) -> &Path {
        self.certificate.as_ref().expect("started with start_tls").ca_file()
    }

    /// Answers every request so from now on.
    pub(crate) fn answer(&self, answer: Answer) {
        self.respond(move |_| answer.clone());
    }

    /// Answers one more request so; several wait in line, before what [`Upstream::answer`] says.
    pub(crate) fn answer_once(&self, answer: Answer) {
        self.shared.lock().next.push_back(answer);
    }

    /// Answers every request as a function of it (for an answer at the head: without its body).
    pub(crate) fn respond(&self, respond: impl Fn(&Received) -> Answer + Send + Sync + 'static) {
        self.shared.lock().respond = Arc::new(respond);
    }

    /// Keeps only the first bytes of each body and each connection; length and digest still cover all of a body.
    pub(crate) fn keep_at_most(&self, bytes: usize) {
        self.shared.lock().keep = bytes;
    }

    /// Lets held answers go, those of later requests too.
    pub(crate) fn release(&self) {
        self.shared.released.send_replace(true);
    }

    /// Every request so far whose head is complete, in order.
    pub(crate) fn requests(&self) -> Vec<Received> {
        self.shared.lock().requests.clone()
    }

    pub(crate) fn request_count(&self) -> usize {
        self.shared.lock().requests.len()
    }

    /// Waits until `count` requests are complete and gives all of them.
    #[track_caller]
    pub(crate) fn wait_for(&self, count: usize) -> Vec<Received> {
        eventually(&format!("the upstream has {count} whole requests"), || {
            let requests = self.requests();
            (requests.iter().filter(|r| r.complete).count() >= count).then_some(requests)
        })
    }

    /// Connections accepted so far.
    pub(crate) fn connection_count(&self) -> usize {
        self.shared.lock().connections.len()
    }

    /// Connections that are open now.
    pub(crate) fn open_connections(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// TLS connections that resumed an earlier session.
    pub(crate) fn resumed_count(&self) -> usize {
        self.shared.lock().resumed
    }

    /// Every byte of each connection, also what was no whole request.
    pub(crate) fn raw_connections(&self) -> Vec<Vec<u8>> {
        self.shared.lock().connections.clone()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.tasks.abort();
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    // Dropped with this task, and every connection with it.
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let id = {
            let mut state = shared.lock();
            state.connections.push(Vec::new());
            state.connections.len() - 1
        };
        let (tls, open) = (tls.clone(), Open::count(Arc::clone(&shared)));
        connections.spawn(async move {
            let shared = Arc::clone(&open.0);
            match tls {
                None => Connection { stream, id, shared, ahead: Vec::new() }.serve().await,
                Some(tls) => {
                    let Ok(stream) = tls.accept(stream).await else { return };
                    let resumed = stream.get_ref().1.handshake_kind()
                        == Some(tokio_rustls::rustls::HandshakeKind::Resumed);
                    shared.lock().resumed += usize::from(resumed);
                    Connection { stream, id, shared, ahead: Vec::new() }.serve().await;
                }
            }
        });
    }
}

/// Counts a connection as long as it is open.
struct Open(Arc<Shared>);

impl Open {
    fn count(shared: Arc<Shared>) -> Self {
        shared.open.fetch_add(1, Ordering::SeqCst);
        Self(shared)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A stream whose end can be an RST.
trait Wire: AsyncRead + AsyncWrite + Unpin {
    fn tcp(&self) -> &TcpStream;
}

impl Wire for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Wire for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// A body on its way in.
struct Reading {
    framing: Body,
    digest: Context,
}

fn keep_first(limit: usize, kept: &mut Vec<u8>, more: &[u8]) {
    let room = limit.saturating_sub(kept.len()).min(more.len());
    kept.extend_from_slice(&more[..room]);
}

struct Connection<S> {
    stream: S,
    id: usize,
    shared: Arc<Shared>,
    /// Received behind the last request.
    ahead: Vec<u8>,
}

impl<S: Wire> Connection<S> {
    /// Serves until an end comes; a broken connection just ends.
    async fn serve(mut self) {
        while self.serve_one().await.is_ok_and(|then| then == Then::KeepAlive) {}
    }

    async fn serve_one(&mut self) -> std::io::Result<Then> {
        let head = loop {
            if let Some(head) = Head::read(&self.ahead) {
                self.ahead.drain(..head.raw.len());
                break head;
            }
            self.fill().await?;
        };
        let mut body = Reading { framing: head.request_body(), digest: Context::new(&SHA256) };
        let expects_continue = head.header("expect").is_some();
        let request = self.record(Received {
            connection: self.id,
            head,
            complete: body.framing.is_done(),
            ..Default::default()
        });
        let early = self.plan(request, When::Head);
        if early.is_none() {
            if expects_continue {
                self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
            }
            self.read_body(request, &mut body).await?;
        }
        let answer = early.or_else(|| self.plan(request, When::Request));
        let then = self.act(&answer.unwrap_or_else(Answer::sent)).await?;
        // An answer at the head keeps the connection only if the body still comes to its end.
        self.read_body(request, &mut body).await?;
        Ok(then)
    }

    fn record(&self, received: Received) -> usize {
        let mut state = self.shared.lock();
        state.requests.push(received);
        state.requests.len() - 1
    }

    /// The answer to a request if its time has come.
    fn plan(&self, request: usize, now: When) -> Option<Answer> {
        let mut state = self.shared.lock();
        if let Some(next) = state.next.front() {
            return if next.when == now { state.next.pop_front() } else { None };
        }
        let respond = Arc::clone(&state.respond);
        let received = state.requests[request].clone();
        drop(state);
        Some(respond(&received)).filter(|answer| answer.when == now)
    }

    async fn read_body(&mut self, request: usize, body: &mut Reading) -> std::io::Result<()> {
        while !body.framing.is_done() {
            if self.ahead.is_empty() {
                self.fill().await?;
            }
            let fed = body.framing.feed(&self.ahead).map_err(std::io::Error::other)?;
            body.digest.update(&fed.payload);
            let mut state = self.shared.lock();
            let keep = state.keep;
            let received = &mut state.requests[request];
            keep_first(keep, &mut received.raw_body, &self.ahead[..fed.used]);
            keep_first(keep, &mut received.payload, &fed.payload);
            received.length += fed.payload.len() as u64;
            if body.framing.is_done() {
                received.sha256 = hex::encode(body.digest.clone().finish());
                received.complete = true;
            }
            drop(state);
            self.ahead.drain(..fed.used);
        }
        Ok(())
    }

    async fn fill(&mut self) -> std::io::Result<()> {
        let mut buffer = vec![0; 64 * 1024];
        let n = self.stream.read(&mut buffer).await?;
        if n == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        self.ahead.extend_from_slice(&buffer[..n]);
        let mut state = self.shared.lock();
        let keep = state.keep;
        keep_first(keep, &mut state.connections[self.id], &buffer[..n]);
        Ok(())
    }

    async fn act(&mut self, answer: &Answer) -> std::io::Result<Then> {
        if answer.held {
            let mut released = self.shared.released.subscribe();
            released.wait_for(|released| *released).await.map_err(std::io::Error::other)?;
        }
        sleep(answer.delay).await;
        self.stream.write_all(&answer.bytes).await?;
        let mut written = 0;
        while written < answer.fill {
            let piece: Vec<u8> = (written..answer.fill.min(written + 64 * 1024)).map(filler).collect();
            self.stream.write_all(&piece).await?;
            written += piece.len() as u64;
        }
        self.stream.flush().await?;
        match answer.then {
            Then::KeepAlive => {}
            Then::Close => self.stream.shutdown().await?,
            Then::Reset => {
                // On another processor the reset could overtake the answer, also on the loopback device.
                sleep(Duration::from_millis(2)).await;
                SockRef::from(self.stream.tcp()).set_linger(Some(Duration::ZERO))?;
            }
            // Reading on would notice the peer's end; a hanging server notices nothing.
            Then::Hang => std::future::pending().await,
        }
        Ok(answer.then)
    }
}

#[cfg(test)]
mod tests;
