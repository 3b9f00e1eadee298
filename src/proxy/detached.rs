//! What must go on though nobody waits for it any more.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// A future that runs where it is awaited, and on a task of its own from the moment nobody awaits it.
///
/// A caller who stays costs no task and no wake-up beside its own.
///
/// # Cancel safety
/// Dropped, it goes on; its result is lost.
pub(super) struct Detached<F: Future + 'static>(Option<Pin<Box<F>>>);

impl<F: Future + 'static> Detached<F> {
    pub(super) fn new(future: F) -> Self {
        Self(Some(Box::pin(future)))
    }
}

impl<F: Future + 'static> Future for Detached<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Some(running) = &mut self.0 else { return Poll::Pending };
        let output = ready!(running.as_mut().poll(cx));
        self.0 = None;
        Poll::Ready(output)
    }
}

impl<F: Future + 'static> Drop for Detached<F> {
    fn drop(&mut self) {
        if let Some(unfinished) = self.0.take() {
            // Whoever drops this runs on a worker's `LocalSet`, as everything here does; one that is being torn down drops the task at once.
            tokio::task::spawn_local(async move {
                unfinished.await;
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::poll_fn;
    use std::rc::Rc;

    use tokio::task::{LocalSet, yield_now};

    use super::*;

    /// Counts to three, a turn at a time.
    async fn counting(count: Rc<Cell<u32>>) -> u32 {
        for _ in 0..3 {
            yield_now().await;
            count.set(count.get() + 1);
        }
        count.get()
    }

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_goes_on() {
        let count = Rc::new(Cell::new(0));
        let seen = Rc::clone(&count);
        LocalSet::new()
            .run_until(async move {
                assert_eq!(Detached::new(counting(Rc::clone(&seen))).await, 3);
                let mut left = Box::pin(Detached::new(counting(Rc::clone(&seen))));
                assert!(poll_fn(|cx| Poll::Ready(left.as_mut().poll(cx).is_pending())).await);
                drop(left);
                for _ in 0..10 {
                    yield_now().await;
                }
            })
            .await;
        assert_eq!(count.get(), 6);
    }

    #[tokio::test]
    async fn what_never_began_goes_on_too_and_the_end_of_the_thread_ends_it() {
        let count = Rc::new(Cell::new(0));
        let local = LocalSet::new();
        let seen = Rc::clone(&count);
        local.run_until(async move { drop(Detached::new(counting(seen))) }).await;
        assert_eq!((count.get(), Rc::strong_count(&count)), (0, 2));
        drop(local);
        assert_eq!(Rc::strong_count(&count), 1);
    }
}
