//! The way of one webhook: verify, learn, hand on.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response};

use super::answer::{self, Answer};
use super::forward::of_the_webhook;
use super::queue::pack;
use super::{Relay, learn, templates};
use crate::metrics::WebhookOutcome;
use crate::net::Inbound;
use crate::store::queue::Put;
use crate::wire::webhook::{self, Handshake, Reading, SIGNATURE_HEADER};

/// How long the provider may take over a body.
const BODY_PATIENCE: Duration = Duration::from_secs(30);

/// Answers one request of the provider's.
///
/// # Cancel safety
/// What was learnt stays learnt; the bot may have been called or not. The provider delivers again what was not answered.
pub async fn handle(relay: Rc<Relay>, request: Request<Inbound>) -> Response<Answer> {
    let (parts, body) = request.into_parts();
    match parts.method {
        Method::GET => {
            match webhook::handshake(parts.uri.query().unwrap_or_default(), &relay.settings.verify_token) {
                Handshake::Known(challenge) => answer::challenge(challenge),
                Handshake::Unknown => answer::unknown(),
            }
        }
        Method::POST => {
            let outcome = deliver(&relay, &parts, body).await;
            relay.metrics.webhook(outcome);
            answer::of(outcome)
        }
        _ => answer::not_allowed(),
    }
}

async fn deliver(relay: &Relay, parts: &Parts, body: Inbound) -> WebhookOutcome {
    // Held until it is handed on.
    let (body, _held) = match tokio::time::timeout(BODY_PATIENCE, relay.room.read(body)).await {
        Ok(Ok(read)) => read,
        Ok(Err(outcome)) => return outcome,
        Err(_elapsed) => return WebhookOutcome::Unreadable,
    };
    if !is_genuine(relay, parts, &body) {
        return WebhookOutcome::Forged;
    }
    let Some(reading) = webhook::read(&body) else { return WebhookOutcome::Unreadable };
    relay.metrics.webhook_items_unreadable(reading.unreadable);
    relay.senders.heard(&reading);
    let learnt = match learn::learn(relay, &reading).await {
        Ok(()) => templates::learn(relay, &reading).await,
        Err(error) => Err(error),
    };
    if let Err(error) = learnt {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "what a webhook tells could not be stored; the provider will send it again"
        );
        return WebhookOutcome::NotStored;
    }
    hand_on(relay, parts, body, &reading).await
}

/// Exactly one signature, and a right one.
fn is_genuine(relay: &Relay, parts: &Parts, body: &Bytes) -> bool {
    let mut signatures = parts.headers.get_all(SIGNATURE_HEADER).iter();
    match (signatures.next(), signatures.next()) {
        (Some(only), None) => relay.settings.secrets.accept(only.as_bytes(), body),
        _ => false,
    }
}

async fn hand_on(relay: &Relay, parts: &Parts, body: Bytes, reading: &Reading) -> WebhookOutcome {
    let lanes = relay.lanes_of(reading);
    if lanes.is_empty() {
        return WebhookOutcome::Learnt;
    }
    let headers = of_the_webhook(&parts.headers);
    if let Some(queue) = &relay.queue {
        let lanes: Vec<&String> = lanes.into_iter().map(|(id, _)| id).collect();
        return match relay.queue_for(queue, &lanes, &pack(&headers, &body)).await {
            Ok(Put::Queued) => WebhookOutcome::Queued,
            Ok(Put::Full) => {
                tracing::warn!(
                    "the queue of webhooks holds [webhook] queue_max_bytes; the provider will send again"
                );
                WebhookOutcome::QueueFull
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a webhook could not be queued; the provider will send it again"
                );
                WebhookOutcome::NotStored
            }
        };
    }
    for (_, bot) in lanes {
        if let Err(failure) = relay.bots.deliver(bot, headers.clone(), body.clone()).await {
            tracing::warn!(bot = bot.host().unwrap_or_default(), error = %failure, "a bot did not take a webhook; the provider will send it again");
            return WebhookOutcome::BotFailed;
        }
    }
    WebhookOutcome::Relayed
}
