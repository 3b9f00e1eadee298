//! Wiring: opens the components in order, runs them, and drains them when asked to end.
//!
//! One control runtime runs the store, the admin API and signals; each worker thread runs a data plane of its own.

mod assemble;
mod following;
mod relay;
mod reload;
mod watching;
mod worker;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::admin::{
    self, Control, Desk, Door, EXPOSED, Guards, Phase, Readiness, Reloads, ensure_admin_token,
};
use crate::audit::Audit;
use crate::config::Config;
use crate::consent::{Clock, plan};
use crate::decision_log::DecisionLog;
use crate::judge::Judge;
use crate::metrics::Metrics;
use crate::net::{self, BindError, Drained, TlsError};
use crate::policy::{self, Mode, Policy};
use crate::senders::{self, Poller};
use crate::store::{ConsentStore, Fence, OpenError, StoreError};
use crate::templates::{self, Catalogue, Provider};
use crate::upstream::Reader;
use crate::upstream::origin::NotAnOrigin;
use crate::webhook;

/// How long the decision log may take to write what is queued, once everything has drained.
const LOG_FLUSH: Duration = Duration::from_secs(10);

/// How long what is known of senders may take to be written at the end.
const KEEPING: Duration = Duration::from_secs(2);

/// Why the gate could not start or run.
#[derive(Debug)]
pub enum AppError {
    /// A file or folder of our own.
    Files(&'static str, io::Error),
    /// The consent store could not be opened.
    Store(OpenError),
    /// The consent store answered at first, then failed.
    Setup(StoreError),
    /// An address could not be listened on.
    Bind(BindError),
    /// The provider's address.
    Origin(NotAnOrigin),
    /// TLS towards the provider.
    Tls(TlsError),
    /// TLS of the admin listener.
    AdminTls(TlsError),
    /// A Sentinel group or a Cluster is configured.
    RedisTopology,
    /// The queue of webhooks could not be opened.
    Queue(StoreError),
    /// The system refused a thread, a socket or a signal handler.
    System(io::Error),
}

impl fmt::Display for AppError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files(what, _) => f.write_str(what),
            Self::Store(_) => f.write_str("the consent store could not be opened"),
            Self::Setup(_) => f.write_str("the consent store could not be read"),
            Self::Bind(_) => f.write_str("could not listen"),
            Self::Origin(_) => f.write_str("[upstream] url"),
            Self::RedisTopology => f.write_str(
                "[store] url: redis+sentinel:// and redis+cluster:// are not supported yet; write redis:// or rediss:// with the primary's own address",
            ),
            Self::Queue(_) => f.write_str("the queue of webhooks could not be opened: check webhooks.redb in data_dir"),
            Self::Tls(_) => f.write_str("TLS towards the provider could not be set up"),
            Self::AdminTls(_) => f.write_str("[admin] TLS could not be set up"),
            Self::System(_) => f.write_str("the system refused what the gate needs to run"),
        }
    }
}

impl std::error::Error for AppError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Files(_, source) | Self::System(source) => Some(source),
            Self::Store(source) => Some(source),
            Self::Setup(source) | Self::Queue(source) => Some(source),
            Self::Bind(source) => Some(source),
            Self::Tls(source) | Self::AdminTls(source) => Some(source),
            Self::Origin(source) => Some(source),
            Self::RedisTopology => None,
        }
    }
}

/// Where a running gate listens.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// The data plane.
    pub proxy: SocketAddr,
    /// The admin API.
    pub admin: SocketAddr,
    /// The webhook relay, if there is one.
    pub webhook: Option<SocketAddr>,
}

/// Runs the gate until SIGTERM or SIGINT, then finishes what is in flight.
pub fn serve(config: Config) -> Result<(), AppError> {
    control_runtime()?.block_on(run(config, net::asked_to_end(), |_| {}))
}

/// A runtime for everything that is not the data plane.
pub fn control_runtime() -> Result<tokio::runtime::Runtime, AppError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("control")
        .enable_all()
        .build()
        .map_err(AppError::System)
}

/// Runs the gate until `end` is over; `ready` is told where it listens once it does.
pub async fn run(
    config: Config,
    end: impl Future<Output = io::Result<()>>,
    ready: impl FnOnce(Addresses),
) -> Result<(), AppError> {
    std::fs::create_dir_all(&config.data_dir)
        .map_err(|e| AppError::Files("data_dir could not be made", e))?;
    plan::warm_up();
    let clock = Clock::System;
    let store =
        ConsentStore::open(assemble::store(&config)?, clock.clone()).await.map_err(AppError::Store)?;
    let hash_key = assemble::hash_key(&config, &store).await?;
    let catalogue = Catalogue::new(store.clone(), clock.clone(), assemble::templates(&config));
    assemble::later(catalogue.load().await)?;

    let workers = assemble::worker_count(&config);
    let tenants = Arc::new(config.tenants.clone());
    let names: Vec<String> = tenants.all().iter().map(|t| t.name.clone()).collect();
    let metrics = Metrics::new(&names);
    let log = DecisionLog::open(assemble::decision_log(&config, hash_key), metrics.clone()).map_err(|e| {
        AppError::Files("[decision_log] file or [decisions] dir could not be opened for writing", e)
    })?;
    store.report_to(metrics.clone());
    let follower =
        following::Follower { store: store.clone(), catalogue: catalogue.clone(), hash: log.hash().clone() };
    tokio::spawn(follower.run());
    let audit = Audit::new(store.clone(), assemble::audit(&config)?, clock.clone());
    tokio::spawn(audit.clone().run());
    let upstream = assemble::upstream(&config)?;
    let ground = senders::Ground {
        store: store.clone(),
        metrics: metrics.clone(),
        clock: clock.clone(),
        tenants: Arc::clone(&tenants),
    };
    let (senders, recorders, mut keeper) = senders::open(assemble::senders(&config), ground, workers);
    senders.brake(config.policy.sender_health);
    keeper.recall().await;
    for warning in senders.warnings() {
        tracing::warn!("{warning}");
    }
    let (keeping_ends, keeping_end) = tokio::sync::oneshot::channel();
    let keeping = tokio::spawn(keeper.run(keeping_end));
    senders.look_groups_up(Reader::new(upstream.clone()), tokio::runtime::Handle::current());
    let polling =
        Poller::new(&senders, Reader::new(upstream.clone())).map(|poller| tokio::spawn(poller.run()));
    let judge = Judge::new(
        assemble::judge(&config, Arc::clone(&tenants), senders.clone()),
        Policy::new(config.policy.clone()),
        store.clone(),
        catalogue.clone(),
        clock.clone(),
    );

    log.note_policy(&judge.policy(), clock.now());
    let tokens = assemble::tokens(&config, &tenants, || ensure_admin_token(&config.data_dir))?;
    let provider = Provider::new(
        Reader::new(upstream.clone()),
        clock.clone(),
        config.templates.retry,
        assemble::template_tokens(&config),
    );
    let cataloguing = tokio::spawn(templates::keep(catalogue.clone(), provider, metrics.clone()));
    let sockets = net::bind_shared(config.proxy.listen, workers).map_err(AppError::Bind)?;
    let admin_socket = net::bind(config.admin.listen).map_err(AppError::Bind)?;
    let admin_tls = assemble::admin_tls(&config)?;
    let guards = Guards::new(assemble::access_log(&config)?);
    let relay = assemble::relay(&config)?;
    let queue = assemble::queue(&config, &store).await?;
    let relay_socket = config.webhook.as_ref().map(|hook| net::bind(hook.listen)).transpose();
    let relay_socket = relay_socket.map_err(AppError::Bind)?;
    let addresses = Addresses {
        proxy: sockets
            .first()
            .map_or(Ok(config.proxy.listen), std::net::TcpListener::local_addr)
            .map_err(AppError::System)?,
        admin: admin_socket.local_addr().map_err(AppError::System)?,
        webhook: relay_socket
            .as_ref()
            .map(std::net::TcpListener::local_addr)
            .transpose()
            .map_err(AppError::System)?,
    };

    let (trigger, drain) = net::drain();
    let readiness = Readiness::default();
    let mut threads = Vec::new();
    let (fence, sentries) = Fence::around(sockets.len());
    for (index, ((socket, sentry), recorder)) in sockets.into_iter().zip(sentries).zip(recorders).enumerate()
    {
        let seat = worker::Seat {
            socket,
            settings: assemble::proxy(&config),
            connection: assemble::connection(&config),
            max_connections: (config.proxy.max_connections / workers).max(1),
            judge: judge.clone(),
            upstream: upstream.clone(),
            log: log.worker().map_err(AppError::System)?,
            metrics: metrics.worker(),
            recorder,
            drain: drain.clone(),
            sentry,
        };
        threads.push(worker::spawn(index, seat).map_err(AppError::System)?);
    }
    store.stand_behind(fence);
    if let (Some(settings), Some(socket)) = (relay, relay_socket) {
        let ground = webhook::Ground {
            store: store.clone(),
            judge: judge.clone(),
            senders: senders.clone(),
            catalogue: catalogue.clone(),
            metrics: metrics.clone(),
            clock: clock.clone(),
            queue: queue.clone(),
        };
        let seat = relay::Seat {
            socket,
            connection: assemble::connection(&config),
            max_connections: config.proxy.max_connections,
            settings,
            ground,
            drain: drain.clone(),
        };
        threads.push(relay::spawn(seat).map_err(AppError::System)?);
    }
    drop(drain);

    let control = Control {
        store: store.clone(),
        catalogue,
        judge,
        senders,
        metrics: metrics.clone(),
        log: log.clone(),
        audit,
        tenants,
        clock,
        readiness: readiness.clone(),
        exposed: !admin_tls.is_on() && !addresses.admin.ip().is_loopback(),
        tls: admin_tls.clone(),
        guards,
        reloads: Reloads::default(),
        queue,
    };
    if control.exposed {
        tracing::warn!(admin.listen = %addresses.admin, "{EXPOSED}");
    }
    let desk = Desk::open(control.clone(), tokens);
    let door = Door { socket: admin_socket, tls: admin_tls };
    let (admin_end, admin_ended) = tokio::sync::oneshot::channel::<()>();
    let admin = tokio::spawn(admin::serve(door, desk.router(), async move {
        // A dropped sender ends the admin API as well.
        let _ = admin_ended.await;
    }));
    let hangups = signal(SignalKind::hangup()).map_err(AppError::System)?;
    let reloading = tokio::spawn(reload::Reloader::new(config.clone(), control, desk).run(hangups));
    warn_of_shadow(&config.policy);
    readiness.enter(Phase::Serving);
    if let Some(webhook) = addresses.webhook {
        tracing::info!(webhook.listen = %webhook, "relaying webhooks");
    }
    tracing::info!(proxy.listen = %addresses.proxy, admin.listen = %addresses.admin, workers, upstream = %config.upstream.url, "serving");
    ready(addresses);

    end.await.map_err(AppError::System)?;
    readiness.enter(Phase::Draining);
    tracing::info!(drain.limit_ms = config.proxy.drain.as_millis(), "draining");
    match trigger.drain(config.proxy.drain).await {
        Drained::Finished => {}
        Drained::Cut => tracing::warn!("the drain's time was over; what was left was cut"),
    }
    for thread in threads {
        thread.end();
    }
    reloading.abort();
    cataloguing.abort();
    if let Some(polling) = polling {
        polling.abort();
    }
    // Nothing is sent any more: what the workers told is written before the store is let go of.
    drop(keeping_ends);
    let _ = tokio::time::timeout(KEEPING, keeping).await;
    drop(admin_end);
    let _ = tokio::time::timeout(Duration::from_secs(1), admin).await;
    let flushed = log.close(LOG_FLUSH);
    store.close().await;
    flushed.map_err(|e| AppError::Files("the decision log could not be written to its end", e))?;
    tracing::info!("ended");
    Ok(())
}

/// An operator who watches must know that nobody is refused.
fn warn_of_shadow(policy: &policy::Settings) {
    if policy.mode == Mode::Shadow {
        tracing::warn!(
            policy.mode = Mode::Shadow.name(),
            "[policy] mode is shadow: refusals are only recorded, every send is forwarded"
        );
    }
}
