//! Delivering queued webhooks: those that came first first, again and again with longer pauses, for as long as the provider would.
//!
//! The provider itself delivers side by side and in no order; so a webhook that its bot refuses does not hold up those behind it.

use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;

use super::Relay;
use crate::metrics::Delivery;
use crate::net::Drain;
use crate::store::StoreError;
use crate::store::queue::{KEPT, Parcel, Put, Queue};

/// How many webhooks are on their way to bots at once.
const AT_ONCE: usize = 64;
/// How many are taken from the queue in one step.
const TAKEN_AT_ONCE: usize = 32;
/// How often the queue is asked for what another node left or what is due again.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How often the queue is counted for the metrics.
const COUNT_EVERY: Duration = Duration::from_secs(5);
/// How often failures are logged; all of them are counted.
const COMPLAIN_EVERY: Duration = Duration::from_secs(10);
/// The pause after the first failure; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);

/// A webhook as it is queued: its field lines, an empty line, its body.
pub(super) fn pack(headers: &HeaderMap, body: &[u8]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(body.len().saturating_add(1024));
    for (name, value) in headers {
        for part in [name.as_str().as_bytes(), b":", value.as_bytes(), b"\n"] {
            packed.extend_from_slice(part);
        }
    }
    packed.push(b'\n');
    packed.extend_from_slice(body);
    packed
}

/// What [`pack`] made; a value of a field line has no line feed in it.
fn unpack(packed: Vec<u8>) -> Option<(HeaderMap, Bytes)> {
    let mut packed = Bytes::from(packed);
    let mut headers = HeaderMap::new();
    loop {
        let end = packed.iter().position(|byte| *byte == b'\n')?;
        let line = packed.split_to(end.saturating_add(1));
        let line = line.strip_suffix(b"\n")?;
        if line.is_empty() {
            return Some((headers, packed));
        }
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = line.split_at_checked(colon)?;
        let name = HeaderName::from_bytes(name).ok()?;
        headers.append(name, HeaderValue::from_bytes(value.get(1..)?).ok()?);
    }
}

impl Relay {
    /// Queues a webhook for the bot of each lane.
    pub(super) async fn queue_for(
        &self,
        queue: &Queue,
        lanes: &[&String],
        packed: &[u8],
    ) -> Result<Put, StoreError> {
        for lane in lanes {
            if queue.put(lane, packed.to_vec()).await? == Put::Full {
                return Ok(Put::Full);
            }
        }
        self.queued.notify_one();
        Ok(Put::Queued)
    }

    /// Whether it is time to log another failure: a bot that is away fails a thousand times.
    fn may_complain(&self) -> bool {
        let now = Instant::now();
        let silent = self.complained.get().is_none_or(|last| now.duration_since(last) >= COMPLAIN_EVERY);
        if silent {
            self.complained.set(Some(now));
        }
        silent
    }

    /// How one delivery went, or why it did not.
    async fn hand_over(&self, lane: &str, content: Vec<u8>) -> Result<(), String> {
        let bot = self.settings.bots.get(lane).ok_or("no webhook_url is configured for its sender")?;
        let (headers, body) = unpack(content).ok_or("what was queued cannot be read")?;
        self.bots.deliver(bot, headers, body).await.map_err(|failure| failure.to_string())
    }
}

/// Delivers what is queued, this node's and what other nodes queued, until the drain begins; then finishes what is on its way.
pub async fn deliver_queued(relay: Rc<Relay>, mut drain: Drain) {
    let Some(queue) = relay.queue.clone() else { return };
    let room = std::sync::Arc::new(Semaphore::new(AT_ONCE));
    let counting = tokio::task::spawn_local(count(Rc::clone(&relay), queue.clone()));
    let mut ending = drain.clone();
    loop {
        let first = tokio::select! {
            biased;
            () = ending.started() => break,
            permit = std::sync::Arc::clone(&room).acquire_owned() => permit,
        };
        let Ok(first) = first else { break };
        let mut permits = vec![first];
        while permits.len() < TAKEN_AT_ONCE
            && let Ok(permit) = std::sync::Arc::clone(&room).try_acquire_owned()
        {
            permits.push(permit);
        }
        let taken = queue.take(permits.len()).await.unwrap_or_else(|error| {
            if relay.may_complain() {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the queue of webhooks cannot be read"
                );
            }
            Vec::new()
        });
        let idle = taken.is_empty();
        for (parcel, permit) in taken.into_iter().zip(permits) {
            tokio::task::spawn_local(deliver(Rc::clone(&relay), queue.clone(), parcel, permit));
        }
        if idle {
            tokio::select! {
                () = drain.started() => break,
                () = relay.queued.notified() => {}
                () = sleep(LOOK_EVERY) => {}
            }
        }
    }
    counting.abort();
    // The drain lasts until everything that was taken has its outcome, so that no bot gets it a second time from somebody else.
    let _ = room.acquire_many(u32::try_from(AT_ONCE).unwrap_or(u32::MAX)).await;
}

async fn deliver(relay: Rc<Relay>, queue: Queue, parcel: Parcel, permit: OwnedSemaphorePermit) {
    let Parcel { id, lane, queued_at, attempts, content } = parcel;
    let settled = match relay.hand_over(&lane, content).await {
        Ok(()) => {
            relay.metrics.delivery(Delivery::Delivered);
            queue.remove(&id).await
        }
        Err(why) => {
            let pause = pause(attempts);
            if relay.clock.now().plus(pause).since(queued_at) >= KEPT {
                tracing::warn!(
                    webhook.id = id,
                    sender = lane,
                    error = why,
                    "a webhook was given up; it is a dead letter now"
                );
                relay.metrics.delivery(Delivery::GivenUp);
                queue.give_up(&id, &why).await
            } else {
                if relay.may_complain() {
                    tracing::warn!(
                        webhook.id = id,
                        sender = lane,
                        error = why,
                        retry_ms = pause.as_millis(),
                        "a bot did not take a queued webhook; it gets it again, and others may wait as well"
                    );
                }
                relay.metrics.delivery(Delivery::PutOff);
                queue.put_off(&id, pause, &why).await
            }
        }
    };
    if let Err(error) = settled {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "the outcome of a delivery was not kept; the webhook will be delivered again"
        );
    }
    drop(permit);
}

/// Twice as long each time, and between half of that and all of it, so that what failed together is not tried together.
fn pause(attempts: u32) -> Duration {
    let whole = FIRST_PAUSE.saturating_mul(1 << attempts.min(16)).min(LONGEST_PAUSE);
    let random = getrandom::u32().unwrap_or_default();
    whole.mul_f64(0.5 + f64::from(random) / f64::from(u32::MAX) / 2.0)
}

async fn count(relay: Rc<Relay>, queue: Queue) {
    loop {
        if let Ok(fill) = queue.fill().await {
            let oldest = fill.oldest.map_or(Duration::ZERO, |oldest| relay.clock.now().since(oldest));
            relay.metrics.queue_fill(fill.waiting, fill.dead, fill.bytes, oldest);
        }
        sleep(COUNT_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_unpacked() {
        let mut headers = HeaderMap::new();
        for (name, value) in
            [("x-hub-signature-256", "sha256=ab:cd"), ("x-trace", ""), ("x-two", "1"), ("x-two", "2")]
        {
            headers.append(name, HeaderValue::from_static(value));
        }
        for body in [&b""[..], b"\n\n{}\n", b"a:b\n"] {
            let (unpacked, rest) = unpack(pack(&headers, body)).unwrap();
            assert_eq!((unpacked, &rest[..]), (headers.clone(), body));
        }
        assert!(unpack(b"no end".to_vec()).is_none() && unpack(b"no colon\n\n".to_vec()).is_none());
    }

    #[test]
    fn pauses_grow_to_an_hour() {
        for (attempts, longest) in [(0, 1), (1, 2), (5, 32), (11, 2048), (12, 3600), (u32::MAX, 3600)] {
            let longest = Duration::from_secs(longest);
            let pause = pause(attempts);
            assert!(pause <= longest && pause >= longest / 2, "{attempts}: {pause:?}");
        }
    }
}
