//! A local stand-in for Meta's Graph and WhatsApp Cloud API.
//!
//! Owns a listener, what Meta would remember (templates, media, blocked users) and a journal of everything that arrived. It serves
//! `optgate demo`, people who try the gate, and the test-suite as the upstream. It shares no parsing code with `wire/` and imports
//! nothing from this crate but how TLS is set up: two readings of the same bytes that were written apart can disagree, and a test can see it.
//!
//! It reads as leniently as Graph might (form, multipart, query, batch, `method=`, any spelling of the path), because a stand-in that
//! understood less than Meta would hide a send that slipped through the gate. It never contacts anybody, and it is no place for real
//! tokens: the journal keeps every header and body it was sent.
//!
//! # Errors on demand
//!
//! A recipient whose digits end in `99` and a six-digit error code is answered with that error: `+1 20 99 131 026` with 131026,
//! `+49 151 99 130 429` with 130429, `+1 20 99 000 190` with 190. A code that is not in the table (see `errors`) is an ordinary
//! number. With `98` in place of `99` the message is accepted, and a webhook says that it failed with the code.
//!
//! # Webhooks
//!
//! Told where ([`Sandbox::subscribe`], `POST /_sandbox/webhook`), it verifies the endpoint and sends what Meta would: signed over the bytes, repeated
//! until answered 200, in order for each person (see `webhook`). Of every accepted message it says sent, delivered and read, with the category billed;
//! of a marketing message to somebody who stopped them in their app, that it failed with 131050. What people do is asked for: `POST /_sandbox/say` and
//! `/_sandbox/preference`. Changes of templates tell themselves.
//!
//! # Control endpoints, for tests only
//!
//! `GET /_sandbox` explains them: `/_sandbox/requests`, `/_sandbox/count`, `/_sandbox/faults`, `/_sandbox/say` and others. No path of Graph begins so.
//! They are neither journalled nor subject to faults. `/_sandbox/media/{id}` stands for Meta's download host and is journalled like any other request.

mod accounts;
mod arrival;
mod batch;
mod calls;
mod control;
mod errors;
mod faults;
mod ids;
mod journal;
mod json;
mod media;
mod messages;
mod multipart;
mod parameters;
mod recipient;
mod route;
mod server;
mod templates;
#[cfg(test)]
mod tests;
mod usage;
mod webhook;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use faults::{Action, Fault, Faults};
pub use journal::{Body, Delivery, Entry, Journal};
pub use webhook::{Subscription, Unverified};

/// What a sandbox is started with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// How long every answer is held back. Needs a runtime with its timer enabled unless it is zero.
    pub latency: Duration,
    /// The phone number that the account lists; any other numeric id is answered too.
    pub phone_number_id: String,
    /// The account that webhooks name; any other numeric id is answered too.
    pub account: String,
    /// How long a webhook that was not answered 200 waits before it is sent again; every further pause is twice as long.
    pub redelivery: Duration,
    /// How many requests the journal keeps before it drops the oldest.
    pub journal_entries: usize,
    /// How many bytes of uploaded media are kept; a file beyond that is generated from its id and length when downloaded.
    pub media_memory: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            latency: Duration::ZERO,
            phone_number_id: "106540352242922".to_owned(),
            account: "102290129340398".to_owned(),
            redelivery: Duration::from_secs(1),
            journal_entries: 100_000,
            media_memory: 64 << 20,
        }
    }
}

/// A running sandbox; dropping it closes the listener and every connection.
pub struct Sandbox {
    address: SocketAddr,
    world: Arc<route::World>,
    task: JoinHandle<()>,
}

impl Sandbox {
    /// Binds the listener and serves from the current tokio runtime.
    ///
    /// # Errors
    ///
    /// When the address cannot be bound, or the system gives no randomness for message ids.
    pub async fn start(settings: Settings) -> io::Result<Sandbox> {
        let listener = TcpListener::bind(settings.listen).await?;
        let address = listener.local_addr()?;
        let world = Arc::new(route::World::new(settings)?);
        let task = tokio::spawn(server::serve(listener, Arc::clone(&world)));
        Ok(Sandbox { address, world, task })
    }

    /// The address it listens on, with the port that was really taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base URL to use instead of `https://graph.facebook.com`, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything that has arrived.
    pub fn journal(&self) -> Arc<Journal> {
        Arc::clone(&self.world.journal)
    }

    /// The faults a test may set.
    pub fn faults(&self) -> Arc<Faults> {
        Arc::clone(&self.world.faults)
    }

    /// Verifies a webhook endpoint as Meta does, and sends webhooks there from then on. Needs a runtime with its timer enabled.
    ///
    /// # Errors
    ///
    /// When the endpoint does not repeat the challenge; then nothing has changed.
    pub async fn subscribe(&self, subscription: Subscription) -> Result<(), Unverified> {
        self.world.subscribe(subscription).await
    }

    /// Stops serving; when it returns, the port is free and every connection is closed.
    pub async fn stop(mut self) {
        self.task.abort();
        // The task was cancelled on purpose: its outcome says nothing.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.task.abort();
    }
}
