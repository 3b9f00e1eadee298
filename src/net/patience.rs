//! How long a silent peer is waited for.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// Waits for something so long; `None` if it took longer. What is there already costs no look at the clock.
///
/// # Cancel safety
/// As that of what is waited for.
pub async fn within<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    match poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await {
        Poll::Ready(output) => Some(output),
        Poll::Pending => tokio::time::timeout(limit, future).await.ok(),
    }
}

/// A deadline that moves with every request and costs one look at the clock when it does: for a caller or a provider that is silent.
///
/// The timer itself is only touched when it rings: it then sees whether the caller was active meanwhile and
/// is set again for the rest. One timer per connection, made when it is first waited on.
#[derive(Debug, Default)]
pub struct Patience {
    waiting_since: Option<Instant>,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    /// The peer did what we waited for: the next wait starts anew.
    pub fn restart(&mut self) {
        self.waiting_since = None;
    }

    /// Ready when the present wait has lasted for `limit`.
    pub fn poll_exhausted(&mut self, cx: &mut Context<'_>, limit: Duration) -> Poll<()> {
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let deadline = since + limit;
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if alarm.deadline() > deadline {
            alarm.as_mut().reset(deadline);
        }
        loop {
            ready!(alarm.as_mut().poll(cx));
            if alarm.deadline() >= deadline {
                return Poll::Ready(());
            }
            alarm.as_mut().reset(deadline);
        }
    }
}
