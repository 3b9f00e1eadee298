//! Connections that wait for the next request.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use hyper::client::conn::http1::SendRequest;

use super::body::Outgoing;

/// A worker's unused connections; the one used last goes first, so that the others can grow old and close.
pub(super) struct Idle {
    waiting: RefCell<VecDeque<(Instant, SendRequest<Outgoing>)>>,
    most: usize,
    longest: Duration,
}

impl Idle {
    pub(super) fn new(most: usize, longest: Duration) -> Self {
        Self { waiting: RefCell::new(VecDeque::new()), most, longest }
    }

    /// A connection that is ready for a request now.
    pub(super) fn take(&self) -> Option<SendRequest<Outgoing>> {
        let mut waiting = self.waiting.borrow_mut();
        while waiting.front().is_some_and(|(since, _)| since.elapsed() > self.longest) {
            waiting.pop_front();
        }
        waiting.retain(|(_, sender)| !sender.is_closed());
        let at = waiting.iter().rposition(|(_, sender)| sender.is_ready())?;
        waiting.remove(at).map(|(_, sender)| sender)
    }

    /// Keeps a connection for the next request, unless it is closed or there are enough.
    pub(super) fn put(&self, sender: SendRequest<Outgoing>) {
        let mut waiting = self.waiting.borrow_mut();
        if !sender.is_closed() {
            waiting.push_back((Instant::now(), sender));
        }
        if waiting.len() > self.most {
            waiting.pop_front();
        }
    }
}

/// A connection in use. Dropped unreleased, it is closed: its answer was not read to the end.
pub(super) struct Lease {
    sender: SendRequest<Outgoing>,
    back: Box<dyn FnOnce(SendRequest<Outgoing>)>,
}

impl Lease {
    pub(super) fn new(
        sender: SendRequest<Outgoing>,
        back: impl FnOnce(SendRequest<Outgoing>) + 'static,
    ) -> Self {
        Self { sender, back: Box::new(back) }
    }

    /// Gives the connection back.
    pub(super) fn release(self) {
        (self.back)(self.sender);
    }
}
