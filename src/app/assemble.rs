//! From the checked configuration to every component's settings.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use super::AppError;
use crate::admin::{self, AccessLog, AdminTls, Scopes};
use crate::audit;
use crate::config::{self, Config, RedisAddress, Topology};
use crate::consent::redact::Redacted;
use crate::consent::tenant::{Sending, Tenants};
use crate::decision_log::{self, RECENT_DEFAULT};
use crate::judge;
use crate::net::guard::GuardPatience;
use crate::net::{ClientTls, ConnectionSettings, ServerTlsFiles, TlsSettings};
use crate::proxy;
use crate::senders::{self, Senders};
use crate::store::queue::Queue;
use crate::store::{self, ConsentStore, StoreError};
use crate::templates::{self, Tokens};
use crate::upstream::{self, Origin, Token};
use crate::webhook;
use crate::wire::identify::BareNumbers;
use crate::wire::webhook::Secrets;

/// The name under which the key of the keyed hashes stands in the store.
pub(super) const HASH_KEY: &str = "privacy.hash_key";
/// The queue of webhooks of an embedded store, in the data folder.
const QUEUE_FILE: &str = "webhooks.redb";
/// How long a send waits for room in the decision log.
const LOG_PATIENCE: Duration = Duration::from_secs(1);
/// How long a caller may take over the body of a send.
const BODY_PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn store(config: &Config) -> Result<store::Settings, AppError> {
    let kind = match &config.store.kind {
        config::StoreKind::Embedded { path } => store::Kind::Embedded { path: path.clone() },
        config::StoreKind::Redis { address, ca_file, wait_replicas } => {
            let trust = ca_file.clone().map_or(store::redis::Trust::Public, store::redis::Trust::File);
            store::Kind::Redis(redis(address, trust, *wait_replicas)?)
        }
    };
    Ok(store::Settings {
        kind,
        lookup_deadline: config.store.lookup_deadline,
        cache_capacity: config.store.cache_capacity,
        tenants: config.tenants.all().iter().map(|t| t.name.clone()).collect(),
        terms: config.tenants.all().iter().map(|t| t.terms.clone()).collect(),
        form: store::Form::asked(config.privacy.hash_recipients),
        recipients_key: config.privacy.recipients_key_file.as_deref().map(recipients_key).transpose()?,
    })
}

fn redis(
    address: &RedisAddress,
    trust: store::redis::Trust,
    wait_replicas: u32,
) -> Result<store::redis::Settings, AppError> {
    let (host, port) = match (&address.topology, address.hosts.as_slice()) {
        (Topology::Single, [server]) => server.clone(),
        (Topology::Single | Topology::Cluster | Topology::Sentinel(_), _) => {
            return Err(AppError::RedisTopology);
        }
    };
    Ok(store::redis::Settings {
        host,
        port,
        tls: address.tls.then_some(trust),
        username: address.user.clone(),
        password: address.password.clone(),
        database: address.database,
        wait_replicas,
    })
}

/// The key of the keyed hashes: a file's content, hashed to the right size, or one made once and kept in the store; `None` while that is away.
pub(super) async fn hash_key(config: &Config, store: &ConsentStore) -> Result<Option<[u8; 32]>, AppError> {
    match &config.privacy.key_file {
        None => later(store.secret(HASH_KEY).await),
        Some(path) => hashed_file(path, "[privacy] key_file could not be read").map(Some),
    }
}

/// How checkpoints and receipts are signed, and how often the first are made.
pub(super) fn audit(config: &Config) -> Result<audit::Settings, AppError> {
    let seed = match &config.audit.key_file {
        None => None,
        Some(path) => Some(hashed_file(path, "[audit] key_file could not be read")?),
    };
    Ok(audit::Settings {
        seed,
        every: Some(config.audit.checkpoint_every).filter(|every| !every.is_zero()),
        grace: config.audit.grace,
        tenants: config.tenants.all().iter().map(|t| t.name.clone()).collect(),
    })
}

/// A key as `optgate consent key` prints it.
fn recipients_key(path: &Path) -> Result<Redacted<[u8; 32]>, AppError> {
    const WRONG: &str = "[privacy] recipients_key_file could not be read: it must hold 64 hexadecimal digits, as `openssl rand -hex 32` makes them";
    let content = std::fs::read(path).map_err(|e| AppError::Files(WRONG, e))?;
    let mut key = [0; 32];
    hex::decode_to_slice(content.trim_ascii(), &mut key)
        .map_err(|_| AppError::Files(WRONG, std::io::ErrorKind::InvalidData.into()))?;
    Ok(Redacted::new(key))
}

fn hashed_file(path: &Path, wrong: &'static str) -> Result<[u8; 32], AppError> {
    let content = std::fs::read(path).map_err(|e| AppError::Files(wrong, e))?;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, content.trim_ascii());
    Ok(digest.as_ref().first_chunk().copied().unwrap_or_default())
}

/// What a store that is away cannot say yet is no reason not to start.
pub(super) fn later<T>(asked: Result<T, StoreError>) -> Result<Option<T>, AppError> {
    match asked {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.may_pass() => Ok(None),
        Err(error) => Err(AppError::Setup(error)),
    }
}

pub(super) fn worker_count(config: &Config) -> usize {
    match config.proxy.workers {
        0 => available_parallelism().map_or(1, std::num::NonZero::get),
        workers => workers,
    }
}

pub(super) fn decision_log(config: &Config, hash_key: Option<[u8; 32]>) -> decision_log::Settings {
    decision_log::Settings {
        sink: match &config.decision_log.sink {
            config::LogSink::Stdout => decision_log::Sink::Stdout,
            config::LogSink::File(path) => decision_log::Sink::File(path.clone()),
        },
        queue: config.decision_log.queue,
        on_full: match config.decision_log.on_full {
            config::OnFull::Wait => decision_log::OnFull::Wait,
            config::OnFull::Drop => decision_log::OnFull::Drop,
        },
        recent: RECENT_DEFAULT,
        keep: config.decisions.clone().map(|kept| decision_log::Keep {
            dir: kept.dir,
            time: kept.keep,
            max_bytes: kept.max_bytes,
        }),
        hash_key,
    }
}

pub(super) fn judge(config: &Config, tenants: Arc<Tenants>, senders: Senders) -> judge::Settings {
    judge::Settings {
        tenants,
        bare_numbers: match config.proxy.bare_numbers {
            config::BareNumbers::AllReadings => BareNumbers::AllReadings,
            config::BareNumbers::International => BareNumbers::International,
        },
        relay: config.webhook.is_some(),
        senders,
    }
}

/// How senders are watched.
pub(super) fn senders(config: &Config) -> senders::Settings {
    senders::Settings {
        messages_per_day: config.senders.messages_per_day,
        settle: config.senders.settle,
        poll_every: config.senders.poll_every,
        read_nationally: config.proxy.bare_numbers == config::BareNumbers::AllReadings,
        tokens: config.tokens.clone(),
        usual_token: config.upstream.token.clone(),
    }
}

/// The access log.
pub(super) fn access_log(config: &Config) -> Result<AccessLog, AppError> {
    let sink = match &config.audit.access_log {
        config::LogSink::Stdout => decision_log::Sink::Stdout,
        config::LogSink::File(path) => decision_log::Sink::File(path.clone()),
    };
    AccessLog::open(sink)
        .map_err(|e| AppError::Files("[audit] access_log could not be opened for appending", e))
}

/// The admin listener's TLS.
pub(super) fn admin_tls(config: &Config) -> Result<AdminTls, AppError> {
    let files = config.admin.tls.as_ref().map(|tls| ServerTlsFiles {
        certificate: tls.cert.clone(),
        key: tls.key.clone(),
        client_ca: tls.client_ca.clone(),
    });
    AdminTls::open(files).map_err(AppError::AdminTls)
}

/// The admin tokens; `first` makes one where none is configured.
pub(super) fn tokens(
    config: &Config,
    tenants: &Tenants,
    first: impl FnOnce() -> io::Result<admin::Token>,
) -> Result<admin::Settings, AppError> {
    let configured = config.admin.tokens.iter().map(|t| token(tenants, t)).collect::<Vec<_>>();
    let tokens = if configured.is_empty() {
        vec![first().map_err(|e| AppError::Files("admin.token could not be made in data_dir", e))?]
    } else {
        configured
    };
    Ok(admin::Settings { tokens, guard_metrics: !config.admin.metrics_without_token })
}

fn token(tenants: &Tenants, written: &config::AdminToken) -> admin::Token {
    admin::Token {
        name: written.name.clone(),
        sha256: written.sha256,
        scopes: written.scopes.iter().copied().collect::<Scopes>(),
        tenants: written
            .tenants
            .as_ref()
            .map(|names| names.iter().filter_map(|name| tenants.position(name)).collect()),
    }
}

pub(super) fn upstream(config: &Config) -> Result<upstream::Settings, AppError> {
    let upstream = &config.upstream;
    Ok(upstream::Settings {
        origin: Origin::try_from(&upstream.url).map_err(AppError::Origin)?,
        tls: ClientTls::new(&TlsSettings { ca_file: upstream.ca_file.clone() }).map_err(AppError::Tls)?,
        connect_timeout: upstream.connect_timeout,
        response_timeout: upstream.response_timeout,
        idle_timeout: upstream.idle_timeout,
        max_idle: upstream.max_idle_per_worker,
    })
}

/// How the template catalogue is kept.
pub(super) fn templates(config: &Config) -> templates::Settings {
    let written = &config.templates;
    let unless_zero = |span: Duration| Some(span).filter(|span| !span.is_zero());
    templates::Settings {
        sync_every: unless_zero(written.sync_every),
        stale_after: unless_zero(written.stale_after),
        lookup_wait: written.lookup_wait,
        retry: written.retry,
    }
}

/// The token for each account whose templates can be read; where several senders of an account name one, that of the last by its id.
pub(super) fn template_tokens(config: &Config) -> Tokens {
    let of_account = |(id, token): (&String, &Token)| match config.tenants.sending(id) {
        Sending::Known(sender) => Some((sender.account.clone()?, token.clone())),
        Sending::Default | Sending::Unknown => None,
    };
    config.tokens.iter().filter_map(of_account).collect()
}

/// The webhook relay, if one is configured.
pub(super) fn relay(config: &Config) -> Result<Option<webhook::Settings>, AppError> {
    let Some(hook) = &config.webhook else { return Ok(None) };
    let secrets = hook.app_secrets.iter().map(|secret| secret.danger_reveal().as_str());
    Ok(Some(webhook::Settings {
        verify_token: hook.verify_token.danger_reveal().clone(),
        secrets: Secrets::new(secrets),
        bots: config.webhook_urls.clone(),
        tls: ClientTls::new(&TlsSettings { ca_file: config.upstream.ca_file.clone() })
            .map_err(AppError::Tls)?,
    }))
}

/// Where webhooks wait for their bots, if they are to.
pub(super) async fn queue(config: &Config, store: &ConsentStore) -> Result<Option<Queue>, AppError> {
    match &config.webhook {
        Some(hook) if hook.relay == config::Relay::Queue => {
            let file = config.data_dir.join(QUEUE_FILE);
            store.queue(&file, hook.queue_max_bytes).await.map(Some).map_err(AppError::Queue)
        }
        Some(_) | None => Ok(None),
    }
}

pub(super) fn proxy(config: &Config) -> proxy::Settings {
    proxy::Settings {
        max_send_body: usize::try_from(config.proxy.max_send_body).unwrap_or(usize::MAX),
        max_buffered: usize::try_from(config.proxy.max_buffered_per_worker).unwrap_or(usize::MAX),
        base_path: config.proxy.base_path.clone(),
        log_patience: LOG_PATIENCE,
        body_patience: BODY_PATIENCE,
    }
}

pub(super) fn connection(config: &Config) -> ConnectionSettings {
    let patience = GuardPatience {
        idle: config.proxy.idle_timeout,
        head: config.proxy.header_timeout,
        ..GuardPatience::default()
    };
    ConnectionSettings { first_bytes: config.proxy.header_timeout, patience }
}
