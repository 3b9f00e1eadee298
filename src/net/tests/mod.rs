//! Connections over real sockets: a client that speaks raw bytes, hyper behind the guard, a service that records.

mod drain;
mod http1;
mod http2;
mod listener;
mod reference;
mod tls;
mod whole;

use std::cell::RefCell;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Either, Full};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

use super::{
    Accepted, ConnectionSettings, Drain, DrainTrigger, Ending, Inbound, Listener, bind, serve_connection,
};

/// A request that reached the service whole, or whose body broke.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    method: String,
    target: String,
    body: Option<Vec<u8>>,
}

/// What the service saw and how connections ended.
#[derive(Clone, Default)]
struct Record {
    seen: Rc<RefCell<Vec<Seen>>>,
    endings: Rc<RefCell<Vec<Ending>>>,
}

impl Record {
    fn seen(&self) -> Vec<Seen> {
        self.seen.borrow().clone()
    }

    /// Bodies that reached the service whole.
    fn bodies(&self) -> Vec<Vec<u8>> {
        self.seen.borrow().iter().filter_map(|seen| seen.body.clone()).collect()
    }
}

/// Echoes: `/stream` while it arrives, `/slow` after a moment, `/deaf` without reading, anything else once it is
/// whole.
async fn echo(record: Record, request: Request<Inbound>) -> Response<Either<Full<Bytes>, Inbound>> {
    let (head, body) = request.into_parts();
    match head.uri.path() {
        "/stream" => return Response::new(Either::Right(body)),
        "/deaf" => return Response::new(Either::Left(Full::from("deaf"))),
        "/slow" => tokio::time::sleep(Duration::from_millis(400)).await,
        _ => {}
    }
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).ok();
    record.seen.borrow_mut().push(Seen {
        method: head.method.to_string(),
        target: head.uri.to_string(),
        body: body.as_ref().map(|body| body.to_vec()),
    });
    let mut response = Response::new(Either::Left(Full::from(body.clone().unwrap_or_default())));
    if body.is_none() {
        *response.status_mut() = http::StatusCode::BAD_REQUEST;
    }
    response
}

async fn serve<IO>(io: IO, record: Record, settings: ConnectionSettings, drain: Drain)
where
    IO: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + 'static,
{
    let service = {
        let record = record.clone();
        move |request| echo(record.clone(), request)
    };
    let ending = serve_connection(io, service, settings, drain).await;
    record.endings.borrow_mut().push(ending);
}

/// A running server.
struct Stand {
    addr: SocketAddr,
    record: Record,
    trigger: Option<DrainTrigger>,
}

impl Stand {
    fn start(settings: ConnectionSettings) -> Self {
        let (trigger, drain) = super::drain();
        let record = Record::default();
        let listener = Listener::register(bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap(), 1000).unwrap();
        let addr = listener.local_addr().unwrap();
        let serving = record.clone();
        let connections = drain.clone();
        tokio::task::spawn_local(listener.run(drain, move |Accepted { stream, slot, .. }| {
            let (record, drain) = (serving.clone(), connections.clone());
            tokio::task::spawn_local(async move {
                serve(stream, record, settings, drain).await;
                drop(slot);
            });
        }));
        Self { addr, record, trigger: Some(trigger) }
    }

    async fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.addr).await.unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// Sends the pieces one after the other, closes the sending half, and reads all that comes back.
    async fn exchange(&self, pieces: &[&[u8]]) -> String {
        let mut stream = self.connect().await;
        for piece in pieces {
            if stream.write_all(piece).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        let _refused_already = stream.shutdown().await;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    async fn ending(&self) -> Ending {
        loop {
            if let Some(ending) = self.record.endings.borrow_mut().pop() {
                return ending;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// Runs a test with a server of default settings.
async fn with_stand<F: Future<Output = ()>>(test: impl FnOnce(Stand) -> F) {
    with_settings(ConnectionSettings::default(), test).await;
}

async fn with_settings<F: Future<Output = ()>>(settings: ConnectionSettings, test: impl FnOnce(Stand) -> F) {
    let test = async move { test(Stand::start(settings)).await };
    let local = LocalSet::new();
    tokio::time::timeout(Duration::from_secs(60), local.run_until(test)).await.expect("the test hangs");
}

fn statuses(answer: &str) -> Vec<&str> {
    answer.match_indices("HTTP/1.").filter_map(|(at, _)| answer.get(at + 9..at + 12)).collect()
}

fn post(target: &str, body: &str) -> String {
    format!("POST {target} HTTP/1.1\r\nHost: gate\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// Every byte value, often enough to span several reads.
fn all_bytes(length: usize) -> Vec<u8> {
    (0..=255u8).cycle().take(length).collect()
}
