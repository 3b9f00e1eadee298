//! What the program runs on: checked, typed, plain data, one struct a section.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::Uri;

use crate::admin::Scope;
use crate::consent::redact::Redacted;
use crate::consent::tenant::Tenants;
use crate::policy;
use crate::upstream::Token;

use super::redis_url::RedisAddress;
use super::{Fingerprint, Origin};

/// A whole, valid configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where optgate keeps its own files.
    pub data_dir: PathBuf,
    /// The data plane.
    pub proxy: Proxy,
    /// The control plane.
    pub admin: Admin,
    /// The provider.
    pub upstream: Upstream,
    /// Where consent is kept.
    pub store: Store,
    /// Keyed hashes.
    pub privacy: Privacy,
    /// Proof that nobody changed the record.
    pub audit: Audit,
    /// The record of every decision.
    pub decision_log: DecisionLog,
    /// Decisions kept for explaining; `None` keeps none.
    pub decisions: Option<Decisions>,
    /// What the operator wants, ready to be put in force.
    pub policy: policy::Settings,
    /// The relay of the provider's webhooks, if there is one.
    pub webhook: Option<Webhook>,
    /// Who sends.
    pub tenants: Tenants,
    /// Where a sender's webhooks are relayed to, by phone number id.
    pub webhook_urls: BTreeMap<String, Uri>,
    /// The template catalogue.
    pub templates: Templates,
    /// The tokens with which the gate itself reads from the provider, by phone number id.
    pub tokens: BTreeMap<String, Token>,
    /// The watch over the numbers that send.
    pub senders: Senders,
    /// The program's own log.
    pub log: Log,
    /// Where all of it came from.
    pub origin: Origin,
    /// What every key was given.
    pub written: Fingerprint,
}

/// `[proxy]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// Where callers connect.
    pub listen: SocketAddr,
    /// Worker threads; 0 is one for each core.
    pub workers: usize,
    /// The path under which callers see the provider's root; empty, or `/x` without a slash at its end.
    pub base_path: String,
    /// The largest body of a send, in bytes.
    pub max_send_body: u64,
    /// The bodies that one worker holds at a time, in bytes; never below `max_send_body`.
    pub max_buffered_per_worker: u64,
    /// How digits without `+` are read.
    pub bare_numbers: BareNumbers,
    /// How long requests in flight may take after a signal to stop.
    pub drain: Duration,
    /// How long a caller may take to send a request's head.
    pub header_timeout: Duration,
    /// How long an idle connection of a caller is kept.
    pub idle_timeout: Duration,
    /// How many callers' connections are open at once, over all workers.
    pub max_connections: usize,
}

/// How digits without `+` are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BareNumbers {
    /// Every subscriber whom the provider could reach must be permitted.
    AllReadings,
    /// They are international numbers.
    International,
}

/// `[admin]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// Where the admin API listens.
    pub listen: SocketAddr,
    /// TLS; `None` is plain HTTP.
    pub tls: Option<AdminTls>,
    /// Whether the page of metrics is open to everybody who reaches the listener.
    pub metrics_without_token: bool,
    /// Who may call it; empty makes one token on first start.
    pub tokens: Vec<AdminToken>,
}

/// The files of the admin listener's TLS, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminTls {
    /// The certificate chain, leaf first.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authorities of which every caller must show a certificate.
    pub client_ca: Option<PathBuf>,
}

/// `[[admin.tokens]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminToken {
    /// Its name in the audit trail.
    pub name: String,
    /// SHA-256 of the token.
    pub sha256: [u8; 32],
    /// What it may do; never empty.
    pub scopes: Vec<Scope>,
    /// The tenants that it may touch; `None` is all of them.
    pub tenants: Option<Vec<String>>,
}

/// `[upstream]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Scheme, host and port; no path, no query.
    pub url: Uri,
    /// Roots of trust in place of the bundled ones, in PEM.
    pub ca_file: Option<PathBuf>,
    /// How long connecting may take, TLS included.
    pub connect_timeout: Duration,
    /// How long the provider may take to begin its answer.
    pub response_timeout: Duration,
    /// How long an unused connection is kept.
    pub idle_timeout: Duration,
    /// How many unused connections each worker keeps.
    pub max_idle_per_worker: usize,
    /// The token with which the gate itself reads, for senders that name no other.
    pub token: Option<Token>,
}

/// `[store]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// Which store, and where.
    pub kind: StoreKind,
    /// How long a lookup may take before it counts as unavailable.
    pub lookup_deadline: Duration,
    /// How many gate records are cached, absent ones included.
    pub cache_capacity: u64,
}

/// Which consent store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// A file of this node.
    Embedded {
        /// The file.
        path: PathBuf,
    },
    /// Redis, shared by all nodes.
    Redis {
        /// Where it is.
        address: RedisAddress,
        /// The only certificate authorities that the server's certificate may be signed by, with `rediss://`; the public ones if none is named.
        ca_file: Option<PathBuf>,
        /// How many replicas must have a write before it is acknowledged.
        wait_replicas: u32,
    },
}

/// `[audit]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// The file with the signing key; `None` makes one and keeps it in the store.
    pub key_file: Option<PathBuf>,
    /// How often checkpoints are made; zero is only when asked.
    pub checkpoint_every: Duration,
    /// How far in the past they speak.
    pub grace: Duration,
    /// Where the access log goes.
    pub access_log: LogSink,
}

/// `[privacy]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Privacy {
    /// The key of the keyed hashes; `None` makes one and keeps it in the store.
    pub key_file: Option<PathBuf>,
    /// Whether the store keeps recipients as keyed hashes only.
    pub hash_recipients: bool,
    /// The key of the hashes that a store keeps; `None` makes one with the store.
    pub recipients_key_file: Option<PathBuf>,
}

/// `[decision_log]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecisionLog {
    /// Where it goes.
    pub sink: LogSink,
    /// What a full queue does.
    pub on_full: OnFull,
    /// How many events may wait to be written.
    pub queue: usize,
}

/// `[decisions]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decisions {
    /// How long they are kept.
    pub keep: Duration,
    /// In how much space.
    pub max_bytes: u64,
    /// In which folder.
    pub dir: PathBuf,
}

/// Where the decision log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogSink {
    /// Standard output.
    Stdout,
    /// A file, appended to.
    File(PathBuf),
}

/// What happens to a send whose decision cannot be queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFull {
    /// It waits, and is refused if that takes too long.
    Wait,
    /// It goes on, and the lost event is counted.
    Drop,
}

/// `[webhook]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Where the provider connects.
    pub listen: SocketAddr,
    /// What the provider repeats when a subscription is verified.
    pub verify_token: Redacted<String>,
    /// Secrets of the apps whose signatures are accepted; never empty.
    pub app_secrets: Vec<Redacted<String>>,
    /// When the provider gets its answer.
    pub relay: Relay,
    /// How much may wait in the queue, dead letters included.
    pub queue_max_bytes: u64,
}

/// `[senders]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Senders {
    /// How often the provider is asked how each number is doing; zero is never.
    pub poll_every: Duration,
    /// For how many messages a day it is remembered that they were sent; 0 remembers none.
    pub messages_per_day: u64,
    /// How long a status waits for all nodes to tell of their messages.
    pub settle: Duration,
}

/// `[templates]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Templates {
    /// How often an account's whole list is read; zero is never.
    pub sync_every: Duration,
    /// After how long without being read again what was read counts as unknown; zero is never.
    pub stale_after: Duration,
    /// How long a send waits while a template that is not known is looked up.
    pub lookup_wait: Duration,
    /// How soon a reading that failed is tried again, the first time.
    pub retry: Duration,
}

/// When the provider gets the answer to a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relay {
    /// When the bot has answered, with the bot's answer.
    Wait,
    /// At once; the bot gets it from a queue.
    Queue,
}

/// `[log]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The least important level that is written.
    pub level: LogLevel,
    /// How a line looks.
    pub format: LogFormat,
}

/// How important a line of the program log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Something does not work.
    Error,
    /// Something needs attention.
    Warn,
    /// What an operator wants to know.
    Info,
    /// What a developer wants to know.
    Debug,
    /// Everything.
    Trace,
}

/// How a line of the program log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}
