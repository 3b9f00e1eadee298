//! The sandbox over real sockets, compared with the samples in Meta's documentation.

mod connections;
mod management;
mod media;
mod sends;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use super::{Delivery, Sandbox, Settings};

const NUMBER: &str = "106540352242922";
const ACCOUNT: &str = "102290129340398";

async fn started() -> Sandbox {
    Sandbox::start(Settings::default()).await.expect("a free port")
}

/// One keep-alive connection.
struct Client(SendRequest<Full<Bytes>>);

impl Client {
    async fn to(sandbox: &Sandbox) -> Client {
        let stream = TcpStream::connect(sandbox.address()).await.expect("the sandbox listens");
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("a connection");
        tokio::spawn(connection);
        Client(sender)
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> hyper::Result<Response<Incoming>> {
        self.0.ready().await?;
        self.0.send_request(request).await
    }

    async fn ask(&mut self, request: Request<Full<Bytes>>) -> Answer {
        let response = self.send(request).await.expect("an answer");
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("a whole answer").to_bytes();
        Answer { status: head.status, headers: head.headers, body }
    }
}

struct Answer {
    status: StatusCode,
    headers: http::HeaderMap,
    body: Bytes,
}

impl Answer {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    fn error(&self) -> (u16, u64, String) {
        let error = &self.json()["error"];
        let message = error["message"].as_str().expect("a message").to_owned();
        (self.status.as_u16(), error["code"].as_u64().expect("a code"), message)
    }
}

fn request(method: Method, target: &str) -> http::request::Builder {
    Request::builder()
        .method(method)
        .uri(target)
        .header("host", "localhost")
        .header("authorization", "Bearer EAAT")
}

fn json(target: &str, body: &str) -> Request<Full<Bytes>> {
    let body = Full::from(body.to_owned());
    request(Method::POST, target).header("content-type", "application/json").body(body).expect("a request")
}

fn bare(method: Method, target: &str) -> Request<Full<Bytes>> {
    request(method, target).body(Full::default()).expect("a request")
}

/// Asks one thing on a connection of its own.
async fn ask(sandbox: &Sandbox, request: Request<Full<Bytes>>) -> Answer {
    Client::to(sandbox).await.ask(request).await
}

/// Sends JSON to the number's `messages`.
async fn message(sandbox: &Sandbox, body: &str) -> Answer {
    ask(sandbox, json(&format!("/v23.0/{NUMBER}/messages"), body)).await
}

fn deliveries(sandbox: &Sandbox) -> Vec<(String, String)> {
    let pair = |delivery: &Delivery| (delivery.to.clone(), delivery.category.clone());
    sandbox
        .journal()
        .entries()
        .iter()
        .flat_map(|entry| entry.sends.iter().map(pair).collect::<Vec<_>>())
        .collect()
}

fn pair(to: &str, category: &str) -> (String, String) {
    (to.to_owned(), category.to_owned())
}

/// Puts a fixed text in place of what differs in every answer: message ids and trace ids.
fn settled(text: &str) -> String {
    let mut out = text.to_owned();
    for start in ["\"wamid.", "\"wacid.", "\"fbtrace_id\":\"A"] {
        if let Some(at) = out.find(start) {
            let from = at + start.len();
            let to = from + out[from..].find('"').expect("the string ends");
            out.replace_range(from..to, "…");
        }
    }
    out
}
