//! Connections that wait for the next request.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A connection that waits.
pub(super) trait Waits {
    /// Whether it takes a request now. One that does not, at a moment when nothing is on it, never will.
    fn is_ready(&mut self) -> bool;
}

/// Boxed, a connection moves from the pool to its answer as a pointer.
impl<C: Waits> Waits for Box<C> {
    fn is_ready(&mut self) -> bool {
        (**self).is_ready()
    }
}

/// A worker's unused connections; the one used last goes first, so that the others can grow old and close.
///
/// Nobody drives a connection while it waits: that the provider closed it is seen when it is taken, or when the pool is swept.
pub(super) struct Idle<C> {
    waiting: RefCell<VecDeque<(Instant, C)>>,
    most: usize,
    longest: Duration,
}

impl<C: Waits> Idle<C> {
    pub(super) fn new(most: usize, longest: Duration) -> Self {
        Self { waiting: RefCell::new(VecDeque::new()), most, longest }
    }

    /// A connection that is ready for a request now.
    pub(super) fn take(&self) -> Option<C> {
        let mut waiting = self.waiting.borrow_mut();
        loop {
            let (since, mut link) = waiting.pop_back()?;
            if since.elapsed() > self.longest {
                // Those before it have waited for even longer.
                waiting.clear();
                return None;
            }
            if link.is_ready() {
                return Some(link);
            }
        }
    }

    /// Keeps a connection for the next request, unless there are enough.
    pub(super) fn put(&self, link: C) {
        let mut waiting = self.waiting.borrow_mut();
        waiting.push_back((Instant::now(), link));
        if waiting.len() > self.most {
            waiting.pop_front();
        }
    }

    /// Lets go of what was unused for too long or was closed by the provider.
    pub(super) fn sweep(&self) {
        let longest = self.longest;
        self.waiting.borrow_mut().retain_mut(|(since, link)| since.elapsed() <= longest && link.is_ready());
    }
}
