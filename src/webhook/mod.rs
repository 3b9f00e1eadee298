//! The webhook relay: it stands where the provider sends its webhooks, learns from the genuine ones, and hands them on to the bots.
//!
//! Learning comes first and does not depend on the bot: a STOP is in force before anybody else hears of it. What cannot be stored is not acknowledged, so that
//! the provider sends it again. Knows no JSON of the provider's (that is `wire`'s) and no rules of consent.

mod answer;
mod forward;
mod handler;
mod learn;
mod queue;
mod room;
mod templates;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Instant;

use http::Uri;
use tokio::sync::Notify;

use crate::consent::Clock;
use crate::judge::Judge;
use crate::metrics::Metrics;
use crate::net::ClientTls;
use crate::senders::Senders;
use crate::store::ConsentStore;
use crate::store::queue::Queue;
use crate::templates::Catalogue;
use crate::wire::webhook::Secrets;

pub use answer::Answer;
pub use handler::handle;
pub use queue::deliver_queued;

use forward::Bots;

/// What the relay is told.
#[derive(Clone)]
pub struct Settings {
    /// What the provider repeats when it verifies the endpoint.
    pub verify_token: String,
    /// Whose signatures are accepted.
    pub secrets: Secrets,
    /// Where a sender's webhooks go, by phone number id.
    pub bots: BTreeMap<String, Uri>,
    /// Roots and sessions for bots behind https.
    pub tls: ClientTls,
}

/// One thread's relay.
pub struct Relay {
    settings: Settings,
    bots: Bots,
    store: ConsentStore,
    /// Knows the tenants of today.
    judge: Judge,
    senders: Senders,
    catalogue: Catalogue,
    metrics: Metrics,
    clock: Clock,
    /// Where webhooks wait for their bots, if they do.
    queue: Option<Queue>,
    /// What is held of bodies.
    room: room::Room,
    /// Something was queued here.
    queued: Notify,
    /// When a failure to deliver from the queue was last logged.
    complained: Cell<Option<Instant>>,
}

/// What a relay stands on.
pub struct Ground {
    /// Where consent is kept.
    pub store: ConsentStore,
    /// The judge of sends, which knows the tenants.
    pub judge: Judge,
    /// What is known of the numbers that send.
    pub senders: Senders,
    /// The template catalogue.
    pub catalogue: Catalogue,
    /// Where webhooks are counted.
    pub metrics: Metrics,
    /// What time it is.
    pub clock: Clock,
    /// Where webhooks wait for their bots; without it the provider waits for the bots.
    pub queue: Option<Queue>,
}

impl Relay {
    /// A relay with no connection to a bot open yet. Its futures run on one thread.
    pub fn new(settings: Settings, ground: Ground) -> Self {
        let Ground { store, judge, catalogue, senders, metrics, clock, queue } = ground;
        let bots = Bots::new(&settings.tls);
        Self {
            settings,
            bots,
            store,
            judge,
            catalogue,
            senders,
            metrics,
            clock,
            queue,
            room: room::Room::default(),
            queued: Notify::new(),
            complained: Cell::new(None),
        }
    }
}
