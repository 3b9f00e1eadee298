//! Handing a webhook on to a bot: the same bytes, the same signature, once for each time the provider delivers it.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, Uri, header};
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::Relay;
use crate::net::ClientTls;
use crate::wire::webhook::Reading;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a bot may take; the provider waits no longer than some ten seconds.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Fields that belong to the provider's connection, not to the webhook. Source: RFC 9110, section 7.6.1.
const OF_THE_CONNECTION: [header::HeaderName; 9] = [
    header::HOST,
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::CONTENT_LENGTH,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
    header::PROXY_AUTHORIZATION,
    header::EXPECT,
];

/// Why a bot has not taken a webhook.
#[derive(Debug)]
pub(super) enum Failure {
    /// It gave no answer.
    Unanswered(hyper_util::client::legacy::Error),
    /// It took too long.
    Late,
    /// It answered something else than 2xx.
    Refused(StatusCode),
    /// The request could not be made.
    Unsendable(http::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unanswered(cause) => {
                let innermost =
                    std::iter::successors(Some(cause as &dyn std::error::Error), |e| e.source()).last();
                write!(f, "no answer: {}", innermost.map(ToString::to_string).unwrap_or_default())
            }
            Self::Late => write!(f, "no answer within {} s", RESPONSE_TIMEOUT.as_secs()),
            Self::Refused(status) => write!(f, "it answered {}", status.as_u16()),
            Self::Unsendable(cause) => write!(f, "the request could not be made: {cause}"),
        }
    }
}

/// Connections to the bots.
pub(super) struct Bots(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl Bots {
    pub(super) fn new(tls: &ClientTls) -> Self {
        let mut sockets = HttpConnector::new();
        sockets.set_connect_timeout(Some(CONNECT_TIMEOUT));
        sockets.set_nodelay(true);
        sockets.enforce_http(false);
        // The connector names the protocols itself.
        let mut config = (*tls.config()).clone();
        config.alpn_protocols.clear();
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_or_http()
            .enable_http1()
            .wrap_connector(sockets);
        Self(Client::builder(TokioExecutor::new()).pool_idle_timeout(IDLE_TIMEOUT).build(connector))
    }

    /// Calls a bot and waits for its answer, of which only the status counts.
    pub(super) async fn deliver(&self, bot: &Uri, headers: HeaderMap, body: Bytes) -> Result<(), Failure> {
        let mut request = Request::post(bot.clone()).body(Full::new(body)).map_err(Failure::Unsendable)?;
        *request.headers_mut() = headers;
        let answer = tokio::time::timeout(RESPONSE_TIMEOUT, self.0.request(request)).await;
        let response = answer.map_err(|_| Failure::Late)?.map_err(Failure::Unanswered)?;
        if response.status().is_success() { Ok(()) } else { Err(Failure::Refused(response.status())) }
    }
}

/// The field lines that a bot gets.
pub(super) fn of_the_webhook(headers: &HeaderMap) -> HeaderMap {
    let mut kept = headers.clone();
    let named = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    for name in named.flat_map(|names| names.split(',')) {
        kept.remove(name.trim());
    }
    for name in OF_THE_CONNECTION {
        kept.remove(name);
    }
    kept
}

/// Where a webhook goes: a sender whose bot it is, and that bot.
pub(super) type Lane<'a> = (&'a String, &'a Uri);

impl Relay {
    /// The bots of the senders that a webhook was told to, each once; of the accounts' senders, if it was told to no sender.
    pub(super) fn lanes_of(&self, reading: &Reading) -> Vec<Lane<'_>> {
        let lane = |id: &str| self.settings.bots.get_key_value(id);
        if !reading.senders.is_empty() {
            return unique(reading.senders.iter().filter_map(|id| lane(id)));
        }
        let tenants = self.judge.tenants();
        let concerned = tenants.senders().filter(|sender| match &sender.account {
            Some(account) => reading.accounts.contains(account),
            None => true,
        });
        unique(concerned.filter_map(|sender| lane(&sender.phone_number_id)))
    }
}

fn unique<'a>(all: impl Iterator<Item = Lane<'a>>) -> Vec<Lane<'a>> {
    let mut unique: Vec<Lane<'_>> = Vec::new();
    for (id, bot) in all {
        if !unique.iter().any(|(_, known)| *known == bot) {
            unique.push((id, bot));
        }
    }
    unique
}
