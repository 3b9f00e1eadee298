//! The admin API over real sockets, on the real embedded store.

mod access;
mod erasing;
mod events;
mod guard;
mod reading;

use std::net::SocketAddr;

use aws_lc_rs::digest;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpStream;

use super::*;
use crate::consent::tenant::{Sender, Tenant};
use crate::consent::{Pulse, Timestamp};
use crate::policy::{Policy, Settings as PolicySettings};
use crate::store::{Kind, Settings as StoreSettings};
use crate::wire::identify::BareNumbers;
use crate::{decision_log, judge, senders};

const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);
const NUMBER: &str = "+15550000001";
const PATH: &str = "/v1/tenants/acme/recipients/%2B15550000001";
const SENDER: &str = "106540352242922";
const ACCOUNT: &str = "102290129340398";
const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";
/// Every scope, every tenant.
const ROOT: &str = "root-secret";

/// A running control plane in a folder of its own.
struct Plane {
    address: SocketAddr,
    control: Control,
    folder: TempDir,
}

struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    json: Value,
    text: String,
}

fn token(secret: &str, scopes: &[Scope], tenants: Option<Vec<usize>>) -> Token {
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(digest::digest(&digest::SHA256, secret.as_bytes()).as_ref());
    Token { name: secret.to_owned(), sha256, scopes: scopes.iter().copied().collect(), tenants }
}

fn tenants(names: &[&str]) -> Tenants {
    let tenant = |name: &&str| Tenant::named(*name);
    let sender = |(place, _): (usize, _)| Sender {
        phone_number_id: if place == 0 { SENDER.to_owned() } else { format!("{place}") },
        account: Some(if place == 0 { ACCOUNT.to_owned() } else { format!("{place}") }),
        phone: None,
        tenant: place,
        pulse: Pulse::default(),
    };
    Tenants::new(names.iter().map(tenant).collect(), names.iter().enumerate().map(sender).collect())
}

/// The plane of the tenant `acme`.
async fn plane() -> Plane {
    Plane::start(&["acme"], vec![]).await
}

impl Plane {
    async fn start(names: &[&str], tokens: Vec<Token>) -> Self {
        Self::with(names, Settings { tokens, guard_metrics: false }).await
    }

    async fn guarding_metrics(tokens: Vec<Token>) -> Self {
        Self::with(&["acme"], Settings { tokens, guard_metrics: true }).await
    }

    async fn with(names: &[&str], mut settings: Settings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::manual(NOW);
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let store_settings = StoreSettings {
            kind: Kind::Embedded { path: folder.path().join("consent.redb") },
            lookup_deadline: StoreSettings::LOOKUP_DEADLINE,
            cache_capacity: 1000,
            terms: Vec::new(),
            tenants: names.clone(),
            form: crate::store::Form::Plain,
            recipients_key: None,
        };
        let store = ConsentStore::open(store_settings, clock.clone()).await.unwrap();
        let tenants = Arc::new(tenants(&names.iter().map(String::as_str).collect::<Vec<_>>()));
        let catalogue = Catalogue::new(store.clone(), clock.clone(), crate::templates::Settings::default());
        catalogue.load().await.unwrap();
        let policy = Policy::new(PolicySettings::default());
        let metrics = Metrics::new(&names);
        let ground = senders::Ground {
            store: store.clone(),
            metrics: metrics.clone(),
            clock: clock.clone(),
            tenants: tenants.clone(),
        };
        let watch = senders::Settings {
            messages_per_day: 1000,
            settle: std::time::Duration::from_secs(1),
            read_nationally: false,
            poll_every: std::time::Duration::ZERO,
            tokens: std::collections::BTreeMap::new(),
            usual_token: None,
        };
        let (senders, _, _) = senders::open(watch, ground, 1);
        let judge_settings = judge::Settings {
            tenants: tenants.clone(),
            bare_numbers: BareNumbers::International,
            relay: false,
            senders: senders.clone(),
        };
        let judge = Judge::new(judge_settings, policy, store.clone(), catalogue.clone(), clock.clone());
        let log_settings = decision_log::Settings {
            sink: decision_log::Sink::File(folder.path().join("decisions")),
            queue: 8,
            on_full: decision_log::OnFull::Wait,
            recent: 8,
            keep: None,
            hash_key: Some([7; 32]),
        };
        let log = DecisionLog::open(log_settings, metrics.clone()).unwrap();
        let readiness = Readiness::default();
        readiness.enter(Phase::Serving);
        let access = AccessLog::open(decision_log::Sink::File(folder.path().join("access.log"))).unwrap();
        let guards = Guards::new(access);
        let audit_settings = crate::audit::Settings {
            seed: None,
            every: None,
            grace: std::time::Duration::from_secs(1),
            tenants: names.clone(),
        };
        let audit = Audit::new(store.clone(), audit_settings, clock.clone());
        let control = Control {
            store,
            catalogue,
            judge,
            senders,
            metrics,
            log,
            audit,
            tenants,
            clock,
            readiness,
            exposed: false,
            tls: AdminTls::default(),
            guards,
            reloads: Reloads::default(),
            queue: None,
        };
        settings.tokens.push(token(ROOT, &[Scope::Admin], None));
        let socket = crate::net::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        let router = router(control.clone(), settings);
        let door = Door { socket, tls: AdminTls::default() };
        tokio::spawn(serve(door, router, std::future::pending()));
        Self { address, control, folder }
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Reply {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let response = sender.send_request(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Reply { status: parts.status, headers: parts.headers, json, text }
    }

    async fn get(&self, path: &str) -> Reply {
        self.call("GET", path, ROOT, "").await
    }

    async fn call(&self, method: &str, path: &str, secret: &str, body: impl Into<Bytes>) -> Reply {
        self.write(method, path, secret, (JSON, body.into())).await
    }

    async fn write(&self, method: &str, path: &str, secret: &str, (kind, body): (&str, Bytes)) -> Reply {
        let request = Request::builder().method(method).uri(path).header(HOST, "admin");
        let request = request.header(AUTHORIZATION, format!("Bearer {secret}")).header(CONTENT_TYPE, kind);
        self.send(request.body(Full::new(body)).unwrap()).await
    }

    /// Stores events and insists that all of them were applied.
    async fn tell(&self, events: &[String]) {
        let reply = self.call("POST", "/v1/events", ROOT, format!("[{}]", events.join(","))).await;
        assert_eq!(reply.json["applied"], events.len(), "{}", reply.text);
    }
}

impl Reply {
    /// Asserts that this is a problem of RFC 9457 with a status, and gives everything it says.
    fn problem(&self, status: u16) -> String {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        assert_eq!(self.headers[CONTENT_TYPE], "application/problem+json");
        assert_eq!(self.json["status"], status);
        for member in ["type", "title", "detail"] {
            assert!(
                self.json[member].as_str().is_some_and(|text| !text.is_empty()),
                "{member}: {}",
                self.text
            );
        }
        assert!(self.json["problems"].is_array());
        self.text.clone()
    }
}

fn grant(recipient: &str, category: &str) -> String {
    format!(
        r#"{{"recipient":"{recipient}","kind":"grant","categories":["{category}"],"occurred_at":"2026-01-31T09:30:00Z","actor":"person","source":"website",
        "evidence":{{"channel":"website","user_action":"checked_box","name_and_logo_shown":true,"number_confirmed":true,"categories_shown":["{category}"],
        "business_named":"Acme","wording":"I agree","wording_version":"1","locale":"en"}}}}"#
    )
    .replace('\n', "")
}

fn event(recipient: &str, kind: &str, more: &str) -> String {
    format!(
        r#"{{"recipient":"{recipient}","kind":"{kind}","occurred_at":"2026-02-01T09:30:00Z","actor":"person","source":"website"{more}}}"#
    )
}
