//! The only door to the provider: connections, headers, and at most one try per request.
//!
//! One [`Upstream`] belongs to one worker thread and is not shared: its connections are driven where its requests are made, without locks or hops.
//! Opening the door costs a [`Clearance`].

pub mod body;
mod connect;
mod direct;
pub mod headers;
mod link;
pub mod origin;
mod pool;
mod reading;
mod stream;
mod token;

use std::io;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response, Version};

use direct::Line;
use link::Link;

pub use body::{Arriving, Outgoing, Progress};
pub use origin::Origin;
pub use reading::{Read, ReadFailure, Reader};
pub use token::Token;

use crate::net::ClientTls;
use crate::net::pulse::in_step;
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
    /// How many unused connections a worker keeps, of those for sends and of those for what streams.
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
    /// For requests that were read whole.
    lines: pool::Idle<Box<Line>>,
    /// For those that stream.
    links: pool::Idle<Box<Link>>,
}

impl Upstream {
    /// A door with no connection open yet.
    pub fn new(settings: Settings) -> Self {
        let lines = pool::Idle::new(settings.max_idle, settings.idle_timeout);
        let links = pool::Idle::new(settings.max_idle, settings.idle_timeout);
        Self { inner: Rc::new(Inner { settings, lines, links }) }
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
        (parts, body): (Box<Parts>, Outgoing),
        still_cleared: impl AsyncFn() -> Result<(), Denial>,
    ) -> Result<Response<Arriving>, Failure> {
        match body {
            Outgoing::Judged(body) => self.forward_whole((parts, body), &still_cleared).await,
            // Rare and large: kept out of the future that every send carries.
            body @ Outgoing::Streamed { .. } => {
                let mut request = Request::from_parts(*parts, body);
                *request.version_mut() = Version::HTTP_11;
                Box::pin(self.forward_streamed(request, &still_cleared)).await
            }
        }
    }

    async fn forward_whole(
        &self,
        (parts, body): (Box<Parts>, Option<Bytes>),
        still_cleared: &impl AsyncFn() -> Result<(), Denial>,
    ) -> Result<Response<Arriving>, Failure> {
        let mut line = match self.inner.lines.take() {
            Some(line) => line,
            None => Box::pin(self.open_line(still_cleared)).await?,
        };
        let longest = self.inner.settings.response_timeout;
        let begun = line.exchange(&parts, body.as_ref(), longest).await.map_err(Failure::OutcomeUnknown)?;
        let home = Rc::clone(&self.inner);
        Ok(begun.response.map(|()| Arriving::over_line(begun.framing, begun.keeps, line, home)))
    }

    async fn forward_streamed(
        &self,
        mut request: Request<Outgoing>,
        still_cleared: &impl AsyncFn() -> Result<(), Denial>,
    ) -> Result<Response<Arriving>, Failure> {
        loop {
            let (mut link, reused) = match self.inner.links.take() {
                Some(link) => (link, true),
                None => (self.open_link(still_cleared).await?, false),
            };
            match self.exchange(&mut link, request).await {
                Ok(response) => {
                    let home = Rc::clone(&self.inner);
                    return Ok(response.map(|body| Arriving::over_link(body, link, home)));
                }
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
    async fn open_line(
        &self,
        still_cleared: &impl AsyncFn() -> Result<(), Denial>,
    ) -> Result<Box<Line>, Failure> {
        let line = Box::new(Line::new(self.in_time(connect::open(&self.inner.settings)).await?));
        match still_cleared().await {
            Ok(()) => Ok(line),
            Err(denial) => {
                self.inner.lines.put(line);
                Err(Failure::Overruled(denial))
            }
        }
    }

    /// As [`open_line`](Self::open_line).
    async fn open_link(
        &self,
        still_cleared: &impl AsyncFn() -> Result<(), Denial>,
    ) -> Result<Box<Link>, Failure> {
        let link = Box::new(self.in_time(connect::link(&self.inner.settings)).await?);
        match still_cleared().await {
            Ok(()) => Ok(link),
            Err(denial) => {
                self.inner.links.put(link);
                Err(Failure::Overruled(denial))
            }
        }
    }

    async fn in_time<C>(&self, opening: impl Future<Output = io::Result<C>>) -> Result<C, Failure> {
        match tokio::time::timeout(self.inner.settings.connect_timeout, opening).await {
            Ok(opened) => opened.map_err(Failure::NotReached),
            Err(_elapsed) => Err(Failure::NotReached(io::Error::new(
                io::ErrorKind::TimedOut,
                "connecting to the provider took longer than [upstream] connect_timeout_ms",
            ))),
        }
    }

    /// Lets go of connections that the provider closed or that were unused for too long, for as long as it is polled.
    ///
    /// # Cancel safety
    /// Dropped, such connections are still never used again, only closed later.
    pub async fn sweep(&self) {
        let mut turns = in_step(SWEEP_EVERY);
        loop {
            turns.tick().await;
            self.inner.lines.sweep();
            self.inner.links.sweep();
        }
    }

    /// Writes the request and waits for the head of the answer.
    async fn exchange(
        &self,
        link: &mut Link,
        request: Request<Outgoing>,
    ) -> Result<Response<hyper::body::Incoming>, Unsent> {
        match link.exchange(request, self.inner.settings.response_timeout).await {
            Some(Ok(response)) => Ok(response),
            Some(Err(mut error)) => Err(match error.take_message() {
                Some(unsent) => Unsent::Returned(Box::new(unsent)),
                None => Unsent::Lost(Failure::OutcomeUnknown(io::Error::other(error.into_error()))),
            }),
            None => Err(Unsent::Lost(Failure::OutcomeUnknown(io::Error::new(
                io::ErrorKind::TimedOut,
                "the provider did not answer within [upstream] response_timeout_ms",
            )))),
        }
    }
}

/// Between two sweeps of unused connections.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// A request that got no answer.
enum Unsent {
    /// It came back whole: not a byte of it was written.
    Returned(Box<Request<Outgoing>>),
    /// It is gone.
    Lost(Failure),
}
