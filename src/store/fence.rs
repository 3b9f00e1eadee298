//! The fence behind a withdrawal: it is acknowledged only once every thread that forwards sends has passed a point at which nothing judged before can still leave.
//!
//! A send that was permitted a moment before the withdrawal is handed from task to task of its thread before its first byte is written. Each thread's sentry
//! stands in the same line of ready tasks, so that after a few turns everything that stood before it has been polled.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::yield_now;
use tokio::time::timeout;

/// From the decision to the first byte there are three turns: the task that forwards, the connection's task, and its socket.
const TURNS: usize = 4;
/// A thread that does not turn for so long forwards nothing either.
const PATIENCE: Duration = Duration::from_secs(2);

type Question = oneshot::Sender<()>;

/// The writer's side.
#[derive(Clone, Debug)]
pub struct Fence(Arc<[mpsc::UnboundedSender<Question>]>);

/// One thread's side.
#[derive(Debug)]
pub struct Sentry(mpsc::UnboundedReceiver<Question>);

impl Fence {
    /// A fence around so many threads, and the sentry of each.
    pub fn around(threads: usize) -> (Self, Vec<Sentry>) {
        let (asks, sentries): (Vec<_>, Vec<_>) = std::iter::repeat_with(mpsc::unbounded_channel)
            .take(threads)
            .map(|(ask, asked)| (ask, Sentry(asked)))
            .unzip();
        (Self(asks.into()), sentries)
    }

    /// Waits until every thread has passed. A thread that has ended has nothing left to pass.
    pub(super) async fn passed(&self) {
        let ask = |thread: &mpsc::UnboundedSender<Question>| {
            let (answer, answered) = oneshot::channel();
            thread.send(answer).ok().map(|()| answered)
        };
        let asked: Vec<_> = self.0.iter().filter_map(ask).collect();
        for answered in asked {
            if timeout(PATIENCE, answered).await.is_err() {
                tracing::warn!("a worker did not turn for {} s", PATIENCE.as_secs());
            }
        }
    }
}

impl Sentry {
    /// Answers until the fence is gone. Runs among the tasks of its thread.
    pub async fn stand(mut self) {
        while let Some(answer) = self.0.recv().await {
            for _ in 0..TURNS {
                yield_now().await;
            }
            // Nobody waits any more for what took too long.
            let _ = answer.send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::task::LocalSet;

    use super::*;

    #[tokio::test]
    async fn what_stood_before_the_sentry_has_run_when_the_fence_is_passed() {
        let (fence, mut sentries) = Fence::around(1);
        let left = Arc::new(AtomicUsize::new(0));
        let thread = LocalSet::new();
        thread.spawn_local(sentries.remove(0).stand());
        for _ in 0..100 {
            let left = Arc::clone(&left);
            thread.spawn_local(async move {
                // Decided, handed to the forwarding task, handed to the connection.
                let first = tokio::task::spawn_local(async move {
                    let second =
                        tokio::task::spawn_local(async move { left.fetch_add(1, Ordering::Relaxed) });
                    second.await
                });
                first.await
            });
        }
        thread.run_until(fence.passed()).await;
        assert_eq!(left.load(Ordering::Relaxed), 100);
    }

    #[tokio::test]
    async fn a_thread_that_has_ended_holds_nobody_up() {
        let (fence, sentries) = Fence::around(3);
        drop(sentries);
        timeout(Duration::from_millis(100), fence.passed()).await.unwrap();
    }
}
