//! The only door to the provider: connections, headers, and at most one try per request.
//!
//! One [`Upstream`] belongs to one worker thread and is not shared: its connections are driven where its requests are made, without locks or hops.
//! Opening the door costs a [`Clearance`].

pub mod body;
mod connect;
pub mod headers;
pub mod origin;
mod pool;
mod reading;
mod token;

use std::io;
use std::rc::Rc;
use std::time::Duration;

use http::{Request, Response, Version};
use hyper::client::conn::http1::SendRequest;

pub use body::{Arriving, Outgoing, Progress};
pub use origin::Origin;
pub use reading::{Read, ReadFailure, Reader};
pub use token::Token;

use crate::net::ClientTls;
use crate::policy::{Clearance, Denial};

/// Where the provider is and how long it may take.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Scheme, host and port.
    pub origin: Origin,
    /// Roots and sessions; used if the origin is https.
    pub tls: ClientTls,
    /// For resolving, connecting and the TLS handshake together.
    pub connect_timeout: Duration,
    /// From the last byte of a request to the head of its answer.
    pub response_timeout: Duration,
    /// How long an unused connection is kept.
    pub idle_timeout: Duration,
    /// How many unused connections a worker keeps.
    pub max_idle: usize,
}

/// Why there is no answer. Which of the two it is decides whether the caller may try again.
#[derive(Debug)]
pub enum Failure {
    /// Not a byte of the request was written: trying again is safe.
    NotReached(io::Error),
    /// Something was written and no answer came: it may have been done.
    OutcomeUnknown(io::Error),
    /// The clearance was taken back while the connection was opened; nothing was written.
    Overruled(Denial),
}

/// One worker's door to the provider. Cheap to clone.
#[derive(Clone)]
pub struct Upstream {
    inner: Rc<Inner>,
}

struct Inner {
    settings: Settings,
    idle: pool::Idle,
}

impl Upstream {
    /// A door with no connection open yet.
    pub fn new(settings: Settings) -> Self {
        let idle = pool::Idle::new(settings.max_idle, settings.idle_timeout);
        Self { inner: Rc::new(Inner { settings, idle }) }
    }

    /// The provider's address, for the `Host` field.
    pub fn origin(&self) -> &Origin {
        &self.inner.settings.origin
    }

    /// How long the provider may be silent.
    pub fn response_timeout(&self) -> Duration {
        self.inner.settings.response_timeout
    }

    /// Forwards a cleared request, once.
    ///
    /// A connection that turns out to be closed before a byte was written is replaced; nothing is ever written twice.
    ///
    /// # Cancel safety
    /// Dropping the future aborts the exchange, and whether the provider acted on it is then unknown: run it on a task of its own for sends.
    ///
    /// # Errors
    /// [`Failure`], which tells whether the provider may have seen the request.
    pub async fn forward(
        &self,
        _spent: Clearance,
        mut request: Request<Outgoing>,
        still_cleared: impl AsyncFn() -> Result<(), Denial>,
    ) -> Result<Response<Arriving>, Failure> {
        *request.version_mut() = Version::HTTP_11;
        let progress = request.body().progress();
        loop {
            let (mut sender, reused) = match self.inner.idle.take() {
                Some(sender) => (sender, true),
                None => (self.connect_and_ask(&still_cleared).await?, false),
            };
            match self.exchange(&mut sender, request, &progress).await {
                Ok(response) => return Ok(self.lease(sender, response)),
                Err(Unsent::Returned(unsent)) if reused => request = *unsent,
                Err(Unsent::Returned(_)) => {
                    return Err(Failure::NotReached(io::Error::other(
                        "the provider closed a new connection",
                    )));
                }
                Err(Unsent::Lost(failure)) => return Err(failure),
            }
        }
    }

    /// Opening a connection takes as long as the provider likes, and somebody may say no meanwhile: the clearance is asked for again before anything is written.
    async fn connect_and_ask(
        &self,
        still_cleared: &impl AsyncFn() -> Result<(), Denial>,
    ) -> Result<SendRequest<Outgoing>, Failure> {
        let sender = self.connect().await?;
        match still_cleared().await {
            Ok(()) => Ok(sender),
            Err(denial) => {
                self.inner.idle.put(sender);
                Err(Failure::Overruled(denial))
            }
        }
    }

    async fn connect(&self) -> Result<SendRequest<Outgoing>, Failure> {
        let settings = &self.inner.settings;
        match tokio::time::timeout(settings.connect_timeout, connect::open(settings)).await {
            Ok(opened) => opened.map_err(Failure::NotReached),
            Err(_elapsed) => Err(Failure::NotReached(io::Error::new(
                io::ErrorKind::TimedOut,
                "connecting to the provider took longer than [upstream] connect_timeout_ms",
            ))),
        }
    }

    /// Writes the request and waits for the head of the answer; the clock runs only while the request makes no progress.
    async fn exchange(
        &self,
        sender: &mut SendRequest<Outgoing>,
        request: Request<Outgoing>,
        progress: &Progress,
    ) -> Result<Response<hyper::body::Incoming>, Unsent> {
        let mut answer = std::pin::pin!(sender.try_send_request(request));
        loop {
            let before = progress.count();
            match tokio::time::timeout(self.inner.settings.response_timeout, &mut answer).await {
                Ok(Ok(response)) => return Ok(response),
                Ok(Err(mut error)) => {
                    return Err(match error.take_message() {
                        Some(unsent) => Unsent::Returned(Box::new(unsent)),
                        None => Unsent::Lost(Failure::OutcomeUnknown(io::Error::other(error.into_error()))),
                    });
                }
                Err(_elapsed) if progress.count() != before || progress.waits_for_caller() => {}
                Err(_elapsed) => {
                    return Err(Unsent::Lost(Failure::OutcomeUnknown(io::Error::new(
                        io::ErrorKind::TimedOut,
                        "the provider did not answer within [upstream] response_timeout_ms",
                    ))));
                }
            }
        }
    }

    /// Hands the answer out with its connection, which comes back to the pool when the last byte was read.
    fn lease(
        &self,
        sender: SendRequest<Outgoing>,
        response: Response<hyper::body::Incoming>,
    ) -> Response<Arriving> {
        let inner = Rc::clone(&self.inner);
        response
            .map(|body| Arriving::new(body, pool::Lease::new(sender, move |sender| inner.idle.put(sender))))
    }
}

/// A request that got no answer.
enum Unsent {
    /// It came back whole: not a byte of it was written.
    Returned(Box<Request<Outgoing>>),
    /// It is gone.
    Lost(Failure),
}
