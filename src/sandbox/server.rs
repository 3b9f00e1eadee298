//! The listener, its connections, and the way of one request through the sandbox.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::arrival::{Arrival, content_type};
use super::control;
use super::errors::GraphError;
use super::faults::{Action, Sabotage, Wire};
use super::journal::Delivery;
use super::media::Content;
use super::parameters::Parameters;
use super::route::{self, Call, Outcome, World, effective, is_version, segments};
use super::webhook::{self, Accepted};

const DEFAULT_VERSION: &str = "v26.0";

/// Accepts connections until the task is cancelled, which cancels them too.
pub(super) async fn serve(listener: TcpListener, world: Arc<World>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => { connections.spawn(connection(stream, Arc::clone(&world))); }
                // Out of file descriptors, or the peer is gone already: when a connection ends there is room again.
                Err(_) => { connections.join_next().await; }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, world: Arc<World>) {
    // Without it answers wait for acknowledgements; failing to set it costs only time.
    let _ = stream.set_nodelay(true);
    let sabotage = Sabotage::default();
    let wire = TokioIo::new(Wire::new(stream, sabotage.clone()));
    let service = service_fn(|request| handle(request, Arc::clone(&world), sabotage.clone()));
    // A peer that breaks off is in the journal if it sent anything; there is nobody to tell.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(wire, service).await;
}

/// No answer is given: the connection ends.
#[derive(Debug)]
struct Abandoned;

impl fmt::Display for Abandoned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no answer is given")
    }
}

impl std::error::Error for Abandoned {}

async fn handle(
    request: Request<Incoming>,
    world: Arc<World>,
    sabotage: Sabotage,
) -> Result<Response<Content>, Abandoned> {
    let (head, body) = request.into_parts();
    if control::owns(head.uri.path()) {
        return controlled(&head, body, &world).await;
    }
    let mut arrival = Arrival::new(&head, &world.media, Arc::clone(&world.journal));
    arrival.receive(body).await.map_err(|_| Abandoned)?;
    let (mut response, sends, accepted) = respond(&head, &mut arrival, &world);
    let fault = world.faults.strike(head.uri.path());
    match fault.and_then(|fault| injected(fault.action)) {
        Some(error) => response = json(&head, &world, Err(error)),
        // An answer that gets lost was a message all the same.
        None => world.webhooks.tell_of(accepted),
    }
    let answered = fault
        .is_none_or(|fault| matches!(fault.action, Action::Answer | Action::Status(_) | Action::Error(_)));
    arrival.record(sends, answered.then(|| response.status().as_u16()));
    wait(world.settings.latency).await;
    match fault {
        None => Ok(response),
        Some(fault) => {
            wait(fault.delay).await;
            sabotage.arrange(fault.action);
            match fault.action {
                Action::Close | Action::Reset => Err(Abandoned),
                Action::Answer
                | Action::Status(_)
                | Action::Error(_)
                | Action::HalfHead
                | Action::HalfBody => Ok(response),
            }
        }
    }
}

type Responded = (Response<Content>, Vec<Delivery>, Vec<Accepted>);

/// The error that a fault answers with.
fn injected(action: Action) -> Option<GraphError> {
    match action {
        Action::Status(status) => Some(GraphError::injected(status)),
        Action::Error(code) => GraphError::listed(code),
        Action::Answer | Action::Close | Action::HalfHead | Action::HalfBody | Action::Reset => None,
    }
}

async fn wait(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

async fn controlled(head: &Parts, body: Incoming, world: &World) -> Result<Response<Content>, Abandoned> {
    let body = http_body_util::Limited::new(body, 64 << 10);
    let body = http_body_util::BodyExt::collect(body).await.map_err(|_| Abandoned)?.to_bytes();
    let answer = if webhook::control::owns(head.uri.path()) {
        webhook::control::answer(head, &body, world).await
    } else {
        control::answer(head, &body, world)
    };
    let mut response = Response::new(Content::Whole(Bytes::from(answer.body)));
    *response.status_mut() = answer.status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    Ok(response)
}

/// The answer to a request that has arrived whole, the sends it asked for, and those that were accepted.
fn respond(head: &Parts, arrival: &mut Arrival, world: &World) -> Responded {
    if let Some(id) = head.uri.path().strip_prefix("/_sandbox/media/") {
        return (download(head, id, world), Vec::new(), Vec::new());
    }
    let base = base(head, world);
    let outcome = match call(head, arrival, &base) {
        Ok(call) => route::answer(call, world),
        Err(error) => Outcome::from(Err(error)),
    };
    (json(head, world, outcome.reply), outcome.sends, outcome.accepted)
}

/// Reads a request as a call to Graph.
fn call<'a>(head: &Parts, arrival: &mut Arrival, base: &'a str) -> Result<Call<'a>, GraphError> {
    let mut parameters = Parameters::default();
    parameters.absorb_form(head.uri.query().unwrap_or_default());
    let mut upload = arrival.upload();
    if let Some(upload) = &mut upload {
        for (name, value) in upload.fields() {
            parameters.set(name, value.into());
        }
    } else {
        let body = arrival.body().ok_or_else(GraphError::too_large)?;
        parameters.absorb_body(content_type(&head.headers), body)?;
    }
    Ok(Call {
        method: effective(&head.method, &parameters),
        path: head.uri.path().to_owned(),
        token: token(head).or_else(|| parameters.text("access_token")),
        parameters,
        base,
        upload,
    })
}

/// The token of an `Authorization: Bearer` or `OAuth`.
fn token(head: &Parts) -> Option<String> {
    let value = head.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.trim().split_once(' ')?;
    let known = scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("oauth");
    (known && !token.trim().is_empty()).then(|| token.trim().to_owned())
}

/// Where the caller reached the sandbox: absolute URLs in answers lead there.
fn base(head: &Parts, world: &World) -> String {
    let host = head.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    format!("http://{}", host.map_or_else(|| world.settings.listen.to_string(), str::to_owned))
}

fn download(head: &Parts, id: &str, world: &World) -> Response<Content> {
    if token(head).is_none() {
        return json(head, world, Err(GraphError::bad_token()));
    }
    match world.media.download(id).filter(|_| head.method == Method::GET) {
        None => json(head, world, Err(GraphError::unknown_object(head.method.as_str(), id))),
        Some((mime_type, content)) => {
            let mut response = Response::new(content);
            let mime_type = HeaderValue::try_from(mime_type)
                .unwrap_or_else(|_| HeaderValue::from_static("application/octet-stream"));
            response.headers_mut().insert(header::CONTENT_TYPE, mime_type);
            response
        }
    }
}

/// An answer of Graph, with the headers it always carries.
fn json(head: &Parts, world: &World, reply: Result<String, GraphError>) -> Response<Content> {
    let trace = world.ids.trace();
    let (status, body) = match reply {
        Ok(body) => (200, body),
        Err(error) => (error.status, error.body(&trace)),
    };
    let mut response = Response::new(Content::Whole(Bytes::from(body)));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=UTF-8"));
    let request_id = world.ids.trace();
    let usage = world.usage.header(&segments(head.uri.path()));
    if let Some(usage) = usage.and_then(|usage| HeaderValue::from_str(&usage).ok()) {
        headers.insert("x-business-use-case-usage", usage);
    }
    for (name, value) in [
        ("facebook-api-version", version(head)),
        ("x-fb-request-id", &request_id),
        ("x-fb-trace-id", &trace),
        ("x-fb-rev", "1029384756"),
    ] {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
    response
}

fn version(head: &Parts) -> &str {
    let first = head.uri.path().split('/').find(|segment| !segment.is_empty());
    first.filter(|segment| is_version(segment)).unwrap_or(DEFAULT_VERSION)
}
