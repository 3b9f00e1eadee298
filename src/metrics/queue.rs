//! What is counted about the queue of webhooks.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::metrics::MetricType;

use super::Metrics;
use super::page::{Page, counter};

label! {
    /// What became of an attempt to deliver a queued webhook.
    Delivery {
        /// The bot took it.
        Delivered = "delivered",
        /// The bot did not take it; it is tried again.
        PutOff = "retried",
        /// It was tried long enough: it is a dead letter.
        GivenUp = "dead",
    }
}

/// The cells.
#[derive(Debug, Default)]
pub(super) struct QueueCells {
    deliveries: [AtomicU64; Delivery::ALL.len()],
    waiting: AtomicU64,
    dead: AtomicU64,
    bytes: AtomicU64,
    oldest_ms: AtomicU64,
}

impl Metrics {
    /// Counts one attempt to deliver a queued webhook.
    pub fn delivery(&self, delivery: Delivery) {
        if let Some(count) = self.0.queue.deliveries.get(delivery.index()) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How full the queue of webhooks is: how many wait and are dead letters, what they take, and how long the oldest has waited.
    pub fn queue_fill(&self, waiting: u64, dead: u64, bytes: u64, oldest: Duration) {
        let queue = &self.0.queue;
        queue.waiting.store(waiting, Ordering::Relaxed);
        queue.dead.store(dead, Ordering::Relaxed);
        queue.bytes.store(bytes, Ordering::Relaxed);
        queue.oldest_ms.store(u64::try_from(oldest.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl Page<'_, '_> {
    pub(super) fn webhook_queue(&mut self) -> fmt::Result {
        let queue = &self.hub.queue;
        let help = "Attempts to deliver queued webhooks to bots, by what became of them.";
        let mut family = self.family("optgate_webhook_deliveries", help, MetricType::Counter)?;
        for (delivery, count) in Delivery::ALL.iter().zip(&queue.deliveries) {
            counter(&mut family, &[("outcome", delivery.name())], count.load(Ordering::Relaxed))?;
        }
        let help = "Webhooks that wait in the queue for their bots, shared queues counted by every node.";
        self.gauge("optgate_webhook_queue_waiting", help, &queue.waiting.load(Ordering::Relaxed))?;
        let help = "Webhooks that no bot took in time; optgate webhooks dead-letters lists them.";
        self.gauge("optgate_webhook_dead_letters", help, &queue.dead.load(Ordering::Relaxed))?;
        let help = "What queued webhooks and dead letters take, in bytes.";
        self.gauge("optgate_webhook_queue_bytes", help, &queue.bytes.load(Ordering::Relaxed))?;
        let oldest = Duration::from_millis(queue.oldest_ms.load(Ordering::Relaxed)).as_secs_f64();
        self.gauge("optgate_webhook_queue_oldest_seconds", "How long the oldest has waited.", &oldest)
    }
}
