//! One connection to the provider for bodies that stream, driven by whoever waits for what comes over it.
//!
//! A task of its own would be woken for every answer and then wake the one that waits: two turns of the scheduler where one does.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::SendRequest;

use super::body::Outgoing;
use super::pool::Waits;
use crate::net::Patience;

/// What hyper does on a connection; ready when the connection has ended.
pub(super) type Driver = Pin<Box<dyn Future<Output = hyper::Result<()>>>>;

/// A connection on which hyper speaks.
pub(super) struct Link {
    sender: SendRequest<Outgoing>,
    /// `None` once the connection has ended. How it ends is told to the request that was on it; an idle one that ends is no event.
    driver: Option<Driver>,
    patience: Patience,
}

impl Link {
    pub(super) fn new(sender: SendRequest<Outgoing>, driver: Driver) -> Self {
        Self { sender, driver: Some(driver), patience: Patience::default() }
    }

    /// Moves what can be moved in both directions. Whoever waits for something from this connection calls it before each look.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        if let Some(driver) = &mut self.driver
            && driver.as_mut().poll(cx).is_ready()
        {
            self.driver = None;
        }
    }

    /// Writes a request and waits for the head of its answer; `None` if there was no progress for so long.
    ///
    /// # Cancel safety
    /// Dropped, the request may have been written in part: drop the connection with it.
    pub(super) async fn exchange(
        &mut self,
        request: Request<Outgoing>,
        longest: Duration,
    ) -> Option<Result<Response<Incoming>, TrySendError<Request<Outgoing>>>> {
        let progress = request.body().progress();
        let mut seen = 0;
        let mut answer = pin!(self.sender.try_send_request(request));
        let (driver, patience) = (&mut self.driver, &mut self.patience);
        patience.restart();
        std::future::poll_fn(move |cx| {
            if let Some(running) = driver
                && running.as_mut().poll(cx).is_ready()
            {
                *driver = None;
            }
            // It comes from the driver and from nowhere else: to be woken for it would be to be woken twice.
            if let Poll::Ready(answer) = answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return Poll::Ready(Some(answer));
            }
            // The clock runs only while the request makes no progress for which the provider is waited for.
            if progress.count() != seen || progress.waits_for_caller() {
                seen = progress.count();
                patience.restart();
            }
            patience.poll_exhausted(cx, longest).map(|()| None)
        })
        .await
    }
}

impl Waits for Link {
    fn is_ready(&mut self) -> bool {
        // Nobody is to be woken: whoever uses the connection drives it again.
        self.drive(&mut Context::from_waker(Waker::noop()));
        self.driver.is_some() && self.sender.is_ready()
    }
}
