//! A worker thread: one runtime, one listener, one door to the provider.

use std::io;
use std::net::TcpListener;
use std::rc::Rc;
use std::thread::JoinHandle;

use tokio::sync::oneshot;
use tokio::task::LocalSet;

use crate::decision_log::WorkerLog;
use crate::judge::Judge;
use crate::metrics::WorkerMetrics;
use crate::net::{Accepted, ConnectionSettings, Drain, Ending, Listener, serve_connection};
use crate::proxy::{self, Budget, Worker};
use crate::senders::Recorder;
use crate::store::Sentry;
use crate::upstream::{self, Upstream};

/// Everything that a worker thread is given.
pub(super) struct Seat {
    pub(super) socket: TcpListener,
    pub(super) settings: proxy::Settings,
    pub(super) connection: ConnectionSettings,
    pub(super) max_connections: usize,
    pub(super) judge: Judge,
    pub(super) upstream: upstream::Settings,
    pub(super) log: WorkerLog,
    pub(super) metrics: WorkerMetrics,
    pub(super) recorder: Recorder,
    pub(super) drain: Drain,
    /// Stands among the worker's tasks, so that a withdrawal can wait for what was permitted before it.
    pub(super) sentry: Sentry,
}

/// A running thread that serves.
pub(super) struct Running {
    pub(super) thread: JoinHandle<()>,
    pub(super) end: oneshot::Sender<()>,
}

impl Running {
    /// Stops the runtime and waits for the thread. Call it when the drain is over.
    pub(super) fn end(self) {
        drop(self.end);
        if self.thread.join().is_err() {
            tracing::error!("a worker thread panicked");
        }
    }
}

/// Starts a worker thread.
pub(super) fn spawn(index: usize, seat: Seat) -> io::Result<Running> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (end, ended) = oneshot::channel();
    let thread = std::thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
        LocalSet::new().block_on(&runtime, async move {
            if let Err(cause) = accept(seat).await {
                tracing::error!(worker.index = index, error = %cause, "a worker cannot listen");
            }
            // Connections and forwards in flight run on until the drain is over.
            let _ = ended.await;
        });
    })?;
    Ok(Running { thread, end })
}

/// Takes connections until the drain begins.
async fn accept(seat: Seat) -> io::Result<()> {
    let Seat {
        socket,
        settings,
        connection,
        max_connections,
        judge,
        upstream,
        log,
        metrics,
        recorder,
        drain,
        sentry,
    } = seat;
    tokio::task::spawn_local(sentry.stand());
    let listener = Listener::register(socket, max_connections)?;
    let worker = Rc::new(Worker {
        budget: Budget::of(settings.max_buffered),
        settings,
        judge,
        upstream: Upstream::new(upstream),
        log,
        metrics,
        recorder,
        drain: drain.clone(),
    });
    let sweeping = worker.upstream.clone();
    tokio::task::spawn_local(async move { sweeping.sweep().await });
    let connections = drain.clone();
    listener
        .run(drain, move |accepted| {
            tokio::task::spawn_local(serve(Rc::clone(&worker), accepted, connection, connections.clone()));
        })
        .await;
    Ok(())
}

/// Serves one connection to its end.
async fn serve(worker: Rc<Worker>, accepted: Accepted, settings: ConnectionSettings, drain: Drain) {
    let Accepted { stream, slot, .. } = accepted;
    let service = move |request| proxy::handle(Rc::clone(&worker), request);
    match serve_connection(stream, service, settings, drain).await {
        Ending::Closed | Ending::Silent | Ending::Cut => {}
        Ending::Refused(fault) => {
            tracing::info!(framing.fault = fault.as_str(), "a connection broke a rule of framing");
        }
        Ending::Broken(cause) => tracing::debug!(error = %cause, "a connection broke"),
        Ending::BrokenOff(cause) => tracing::debug!(error = %cause, "an answer broke off"),
    }
    drop(slot);
}
