//! The relay's thread: one runtime, one listener, connections to the bots.

use std::io;
use std::net::TcpListener;
use std::rc::Rc;

use tokio::sync::oneshot;
use tokio::task::LocalSet;

use super::worker::Running;
use crate::net::{ConnectionSettings, Drain, Ending, Listener, serve_connection};
use crate::webhook::{self, Ground, Relay};

/// Everything that the relay's thread is given.
pub(super) struct Seat {
    pub(super) socket: TcpListener,
    pub(super) connection: ConnectionSettings,
    pub(super) max_connections: usize,
    pub(super) settings: webhook::Settings,
    pub(super) ground: Ground,
    pub(super) drain: Drain,
}

/// Starts the thread.
pub(super) fn spawn(seat: Seat) -> io::Result<Running> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (end, ended) = oneshot::channel();
    let thread = std::thread::Builder::new().name("webhook".to_owned()).spawn(move || {
        LocalSet::new().block_on(&runtime, async move {
            if let Err(cause) = accept(seat).await {
                tracing::error!(error = %cause, "the webhook relay cannot listen");
            }
            // Webhooks in flight are finished until the drain is over.
            let _ = ended.await;
        });
    })?;
    Ok(Running { thread, end })
}

/// Takes connections until the drain begins.
async fn accept(seat: Seat) -> io::Result<()> {
    let Seat { socket, connection, max_connections, settings, ground, drain } = seat;
    let listener = Listener::register(socket, max_connections)?;
    let relay = Rc::new(Relay::new(settings, ground));
    let connections = drain.clone();
    tokio::task::spawn_local(webhook::deliver_queued(Rc::clone(&relay), drain.clone()));
    listener
        .run(drain, move |accepted| {
            let (relay, drain) = (Rc::clone(&relay), connections.clone());
            tokio::task::spawn_local(async move {
                let service = move |request| webhook::handle(Rc::clone(&relay), request);
                match serve_connection(accepted.stream, service, connection, drain).await {
                    Ending::Closed | Ending::Silent | Ending::Cut | Ending::Refused(_) => {}
                    Ending::Broken(cause) => {
                        tracing::debug!(error = %cause, "a connection to the webhook relay broke");
                    }
                    Ending::BrokenOff(cause) => {
                        tracing::debug!(error = %cause, "an answer of the webhook relay broke off");
                    }
                }
                drop(accepted.slot);
            });
        })
        .await;
    Ok(())
}
