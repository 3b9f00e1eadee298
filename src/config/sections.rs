//! What each section means: its keys, their types and limits, and what must hold between them.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use crate::admin::Scope;
use crate::consent::redact::Redacted;
use crate::policy::settings::{Groups, SenderHealth, ServiceWindow, Steering};
use crate::policy::{self, FailureStance, Mode};

use super::layer::Entry;
use super::section::{Section, Wrong};
use super::settings::{
    Admin, AdminTls, AdminToken, Audit, BareNumbers, Config, DecisionLog, Decisions, Log, LogFormat,
    LogLevel, LogSink, OnFull, Privacy, Proxy, Relay, Senders, Templates, Upstream, Webhook,
};
use super::store;
use super::tenants::{self, Compiled, Unique};
use super::token;
use super::value::{
    address, categories, certificates_file, count, listed, millis, non_empty_list, one_of, origin, owned,
    parsed, parsed_unseen, path, readable_file, seconds, size, span, switch,
};
use super::{Fingerprint, Origin, words};

const MINUTE_MS: u64 = 60_000;
const DAY_S: u64 = 86_400;
const DAY: Duration = Duration::from_secs(DAY_S);

/// The whole configuration.
pub(super) fn config(root: &Section<'_>) -> Option<Config> {
    let data_dir = root.value("data_dir", path);
    let opt_out = root.optional_table("opt_out", words::opt_out);
    let tenants = tenants::tenants(root, opt_out.as_ref().and_then(Option::as_ref));
    let proxy = root.table("proxy", proxy);
    let admin =
        root.table("admin", |section| admin(section, tenants.as_deref().map(tenants::names).as_deref()));
    let upstream = root.table("upstream", upstream);
    let store = root.table("store", |section| store::store(section, data_dir.as_deref()));
    let privacy = root.table("privacy", privacy);
    let decision_log = root.table("decision_log", decision_log);
    let audit = root.table("audit", |section| audit(section, data_dir.as_deref()));
    let decisions = root.table("decisions", |section| decisions(section, data_dir.as_deref()));
    let policy = root.table("policy", policy);
    let webhook = root.optional_table("webhook", webhook);
    let templates = root.table("templates", templates);
    let senders = root.table("senders", senders);
    let log = root.table("log", log);
    let callers =
        "remove [[callers]]: until then every caller's own Authorization travels on to the provider";
    root.refuse_later("callers", Wrong::new("is not supported yet", callers));
    check_listeners(
        root,
        [
            ("proxy", proxy.as_ref().map(|proxy| proxy.listen)),
            ("admin", admin.as_ref().map(|admin| admin.listen)),
            ("webhook", webhook.iter().flatten().map(|webhook| webhook.listen).next()),
        ],
    );
    let upstream = upstream?;
    let Compiled { tenants, webhook_urls, tokens } = tenants::compile(tenants?, upstream.token.as_ref());
    Some(Config {
        data_dir: data_dir?,
        proxy: proxy?,
        admin: admin?,
        upstream,
        store: store?,
        privacy: privacy?,
        decision_log: decision_log?,
        audit: audit?,
        decisions: decisions?,
        policy: policy?,
        webhook: webhook?,
        tenants: tenants.hearing(opt_out?.unwrap_or_default()),
        webhook_urls,
        templates: templates?,
        senders: senders?,
        tokens,
        log: log?,
        origin: Origin::default(),
        written: Fingerprint::default(),
    })
}

fn proxy(section: &Section<'_>) -> Option<Proxy> {
    let listen = section.value("listen", address);
    let workers = section.value("workers", count(0..=1024));
    let base_path = section.value("base_path", parsed(BASE_PATH, base_path));
    let max_send_body = section.value("max_send_body", size(1024..=1 << 26));
    let max_buffered_per_worker = section.value("max_buffered_per_worker", size(1024..=1 << 40));
    if max_buffered_per_worker < max_send_body.filter(|_| max_buffered_per_worker.is_some()) {
        let wrong = "is smaller than proxy.max_send_body, so that the largest sends would never have room";
        section
            .reject("max_buffered_per_worker", Wrong::new(wrong, "write at least as much as max_send_body"));
    }
    let readings =
        [("all_readings", BareNumbers::AllReadings), ("international", BareNumbers::International)];
    let bare_numbers = section.value("bare_numbers", one_of(readings));
    let drain = section.value("drain_seconds", seconds(0..=3600));
    let header_timeout = section.value("header_timeout_ms", millis(1..=10 * MINUTE_MS));
    let idle_timeout = section.value("idle_timeout_seconds", seconds(1..=DAY_S));
    let max_connections = section.value("max_connections", count(1..=10_000_000));
    Some(Proxy {
        listen: listen?,
        workers: workers?,
        base_path: base_path?,
        max_send_body: max_send_body?,
        max_buffered_per_worker: max_buffered_per_worker?,
        bare_numbers: bare_numbers?,
        drain: drain?,
        header_timeout: header_timeout?,
        idle_timeout: idle_timeout?,
        max_connections: max_connections?,
    })
}

const BASE_PATH: &str =
    "write \"\" or a path such as \"/whatsapp\": a slash first, none at the end, plain letters";

fn base_path(text: &str) -> Option<String> {
    let segment = |s: &str| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
        !matches!(s, "" | "." | "..") && s.bytes().all(plain)
    };
    let good = text.is_empty() || text.strip_prefix('/').is_some_and(|rest| rest.split('/').all(segment));
    good.then(|| text.to_owned())
}

/// The tenants' names are `None` if they could not be read.
fn admin(section: &Section<'_>, tenants: Option<&[&str]>) -> Option<Admin> {
    let listen = section.value("listen", address);
    let (names, digests) = (Unique::default(), Unique::default());
    let tokens = section.tables("tokens", |section| {
        let token = token(section, tenants);
        names.check(section, "name", token.as_ref().map(|token| &token.name));
        digests.check(section, "sha256", token.as_ref().map(|token| &token.sha256));
        token
    });
    let metrics_without_token = section.value("metrics_without_token", switch);
    Some(Admin {
        listen: listen?,
        tls: admin_tls(section)?,
        metrics_without_token: metrics_without_token?,
        tokens: tokens?,
    })
}

/// The outer `None` is a problem, the inner one plain HTTP.
#[allow(clippy::option_option, reason = "as everywhere in the walk")]
fn admin_tls(section: &Section<'_>) -> Option<Option<AdminTls>> {
    let cert = section.optional("tls_cert", certificates_file);
    let key = section.optional("tls_key", readable_file);
    let client_ca = section.optional("client_ca", certificates_file);
    match (cert?, key?, client_ca?) {
        (Some(cert), Some(key), client_ca) => Some(Some(AdminTls { cert, key, client_ca })),
        (None, None, None) => Some(None),
        (None, None, Some(_)) => {
            let remedy = "write tls_cert and tls_key as well";
            section.reject("client_ca", Wrong::new("of no use without TLS", remedy));
            None
        }
        (cert, _, _) => {
            let (there, missing) =
                if cert.is_some() { ("tls_cert", "tls_key") } else { ("tls_key", "tls_cert") };
            section.reject(
                there,
                Wrong::new(format!("of no use without {missing}"), format!("write {missing}")),
            );
            None
        }
    }
}

/// The access log's file in the data folder, unless `access_log` names another.
const ACCESS_LOG: &str = "access.log";

/// `-` is standard output, all else a file.
fn sink(entry: &Entry) -> Result<LogSink, Wrong> {
    path(entry).map(|path| if path.as_os_str() == "-" { LogSink::Stdout } else { LogSink::File(path) })
}

fn token(section: &Section<'_>, known: Option<&[&str]>) -> Option<AdminToken> {
    let name = section.value("name", owned);
    let sha256 = section.value("sha256", parsed_unseen(SHA256, sha256));
    let scopes = section.value("scopes", non_empty_list(one_of(Scope::ALL.map(|s| (s.name(), s)))));
    let tenants = section.optional("tenants", non_empty_list(owned));
    let mut named = tenants.iter().flatten().flatten();
    if let Some(stranger) = named.find(|name| known.is_some_and(|k| !k.contains(&name.as_str()))) {
        let right = format!("write {}", listed(known.unwrap_or_default().iter().copied()));
        section.reject("tenants", Wrong::new(format!("no tenant is called {stranger:?}"), right));
    }
    Some(AdminToken { name: name?, sha256: sha256?, scopes: scopes?, tenants: tenants? })
}

const SHA256: &str =
    "write 64 hexadecimal digits, the SHA-256 of the token, as `optgate token new` prints them";

fn sha256(text: &str) -> Option<[u8; 32]> {
    hex::decode(text).ok()?.try_into().ok()
}

fn upstream(section: &Section<'_>) -> Option<Upstream> {
    let url = section.value("url", origin);
    let ca_file = section.optional("ca_file", certificates_file);
    let connect_timeout = section.value("connect_timeout_ms", millis(1..=10 * MINUTE_MS));
    let response_timeout = section.value("response_timeout_ms", millis(1..=60 * MINUTE_MS));
    let idle_timeout = section.value("idle_timeout_seconds", seconds(1..=DAY_S));
    let max_idle_per_worker = section.value("max_idle_per_worker", count(0..=1_000_000));
    let token = token::token(section);
    Some(Upstream {
        url: url?,
        ca_file: ca_file?,
        connect_timeout: connect_timeout?,
        response_timeout: response_timeout?,
        idle_timeout: idle_timeout?,
        max_idle_per_worker: max_idle_per_worker?,
        token: token?,
    })
}

fn audit(section: &Section<'_>, data_dir: Option<&Path>) -> Option<Audit> {
    let access_log = section.optional("access_log", sink);
    let key_file = section.optional("key_file", readable_file);
    let checkpoint_every = section.value("checkpoint_every_seconds", seconds(0..=30 * DAY_S));
    let grace = section.value("grace_seconds", seconds(1..=3600));
    let in_data_dir = || Some(LogSink::File(data_dir?.join(ACCESS_LOG)));
    Some(Audit {
        key_file: key_file?,
        checkpoint_every: checkpoint_every?,
        grace: grace?,
        access_log: access_log?.map_or_else(in_data_dir, Some)?,
    })
}

fn privacy(section: &Section<'_>) -> Option<Privacy> {
    let key_file = section.optional("key_file", readable_file);
    let hash_recipients = section.value("hash_recipients", switch);
    let recipients_key_file = section.optional("recipients_key_file", readable_file);
    Some(Privacy {
        key_file: key_file?,
        hash_recipients: hash_recipients?,
        recipients_key_file: recipients_key_file?,
    })
}

fn decision_log(section: &Section<'_>) -> Option<DecisionLog> {
    let sink = section.value("file", sink);
    let on_full = section.value("on_full", one_of([("wait", OnFull::Wait), ("drop", OnFull::Drop)]));
    let queue = section.value("queue", count(1..=1 << 24));
    Some(DecisionLog { sink: sink?, on_full: on_full?, queue: queue? })
}

/// The folder of kept decisions in the data folder, unless `dir` names another.
const DECISIONS: &str = "decisions";

/// `Some(None)` keeps none. The data folder is `None` if it could not be read.
#[allow(clippy::option_option, reason = "the outer one is whether the walk can go on, as everywhere here")]
fn decisions(section: &Section<'_>, data_dir: Option<&Path>) -> Option<Option<Decisions>> {
    let keep = section.value("keep", span(Duration::from_secs(1)..=Duration::from_secs(400 * DAY_S)));
    let max_bytes = section.value("max_bytes", size(2 << 20..=1 << 40));
    let dir = section.optional("dir", path);
    let (keep, max_bytes) = (keep?, max_bytes?);
    let dir = dir?.or_else(|| Some(data_dir?.join(DECISIONS)))?;
    Some((!keep.is_zero()).then_some(Decisions { keep, max_bytes, dir }))
}

fn policy(section: &Section<'_>) -> Option<policy::Settings> {
    let mode = section.value("mode", one_of([("enforce", Mode::Enforce), ("shadow", Mode::Shadow)]));
    let failure_stance = failure_stance(section);
    let steering =
        section.value("steering", one_of([("refuse", Steering::Refuse), ("pass", Steering::Pass)]));
    let groups = section.value(
        "groups",
        one_of([("refuse", Groups::Refuse), ("members", Groups::Members), ("permit", Groups::Permit)]),
    );
    let windows = [("auto", ServiceWindow::Auto), ("required", ServiceWindow::Required)];
    let service_window = section.value("service_window", one_of(windows));
    let brakes = [SenderHealth::Refuse, SenderHealth::Warn, SenderHealth::Off].map(|b| (b.name(), b));
    let sender_health = section.value("sender_health", one_of(brakes));
    let kill_switch = section.value("kill_switch", categories);
    Some(policy::Settings {
        mode: mode?,
        failure_stance: failure_stance?,
        steering: steering?,
        groups: groups?,
        service_window: service_window?,
        sender_health: sender_health?,
        kill_switch: kill_switch?,
    })
}

/// One word for all categories, or a table in which a category that is not named stays closed.
fn failure_stance(section: &Section<'_>) -> Option<[FailureStance; 5]> {
    let words = || one_of([("closed", FailureStance::Closed), ("open", FailureStance::Open)]);
    if !section.holds_table("failure_stance") {
        return section.value("failure_stance", words()).map(|stance| [stance; 5]);
    }
    section.table("failure_stance", |table| {
        let named = crate::consent::Category::ALL.map(|c| table.optional(c.name(), words()));
        let mut stances = [FailureStance::Closed; 5];
        for (stance, named) in stances.iter_mut().zip(named) {
            *stance = named?.unwrap_or_default();
        }
        Some(stances)
    })
}

fn templates(section: &Section<'_>) -> Option<Templates> {
    let sync_every = section.value("sync_every", span(Duration::from_secs(1)..=7 * DAY));
    let stale_after = section.value("stale_after", span(Duration::from_secs(1)..=400 * DAY));
    let lookup_wait = section.value("lookup_wait_ms", millis(0..=MINUTE_MS));
    let retry = section.value("retry_ms", millis(10..=60 * MINUTE_MS));
    let (sync_every, stale_after) = (sync_every?, stale_after?);
    if !stale_after.is_zero() && stale_after <= sync_every {
        let wrong = "is no longer than templates.sync_every, so that lists would be too old before they are read again";
        section.reject("stale_after", Wrong::new(wrong, "write several times sync_every"));
    }
    Some(Templates { sync_every, stale_after, lookup_wait: lookup_wait?, retry: retry? })
}

fn senders(section: &Section<'_>) -> Option<Senders> {
    let poll_every = section.value("poll_seconds", seconds(0..=DAY_S));
    let messages_per_day = section.value("messages_per_day", count(0..=100_000_000));
    let settle = section.value("settle_seconds", seconds(1..=3600));
    Some(Senders {
        poll_every: poll_every?,
        messages_per_day: u64::try_from(messages_per_day?).unwrap_or(u64::MAX),
        settle: settle?,
    })
}

/// What may wait unless something else is written: days of a busy number's webhooks, and no danger to a server's memory.
const QUEUE_MAX_BYTES: u64 = 256 << 20;

fn webhook(section: &Section<'_>) -> Option<Webhook> {
    let secret = |entry: &Entry| owned(entry).map(Redacted::new);
    let listen = section.value("listen", address);
    let verify_token = section.value("verify_token", secret);
    let app_secrets = section.value("app_secrets", non_empty_list(secret));
    let relay = section.optional("relay", one_of([("wait", Relay::Wait), ("queue", Relay::Queue)]));
    let queue_max_bytes = section.optional("queue_max_bytes", size(4 << 20..=1 << 40));
    Some(Webhook {
        listen: listen?,
        verify_token: verify_token?,
        app_secrets: app_secrets?,
        relay: relay?.unwrap_or(Relay::Wait),
        queue_max_bytes: queue_max_bytes?.unwrap_or(QUEUE_MAX_BYTES),
    })
}

fn log(section: &Section<'_>) -> Option<Log> {
    let levels = [
        ("error", LogLevel::Error),
        ("warn", LogLevel::Warn),
        ("info", LogLevel::Info),
        ("debug", LogLevel::Debug),
        ("trace", LogLevel::Trace),
    ];
    let level = section.value("level", one_of(levels));
    let format = section.value("format", one_of([("text", LogFormat::Text), ("json", LogFormat::Json)]));
    Some(Log { level: level?, format: format? })
}

/// Two listeners on one port: the second would fail to bind after the first was bound.
fn check_listeners(root: &Section<'_>, listeners: [(&'static str, Option<SocketAddr>); 3]) {
    let known: Vec<_> = listeners.into_iter().filter_map(|(name, at)| Some((name, at?))).collect();
    for (at, (name, address)) in known.iter().enumerate() {
        let taken = known.iter().take(at).find(|(_, other)| collide(*address, *other));
        if let Some((other, _)) = taken {
            let wrong = format!("{address} is already taken by {other}.listen");
            root.reject_in(name, "listen", Wrong::new(wrong, "give each listener a port of its own"));
        }
    }
}

fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let same_host = one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && same_host
}
