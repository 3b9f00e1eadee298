//! Where webhooks go: the verification that Meta asks of a callback URL, and one signed delivery.

use std::fmt;
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use bytes::Bytes;
use http::{Request, Response, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::net::{ClientTls, TlsError, TlsSettings};

/// How long the endpoint may take over one request.
const PATIENCE: Duration = Duration::from_secs(10);
const LONGEST_CHALLENGE: usize = 4096;

/// What is configured in an app's dashboard about its webhooks.
#[derive(Clone)]
pub struct Subscription {
    /// Where webhooks are posted to.
    pub url: Uri,
    /// The secret that signs them.
    pub app_secret: String,
    /// What the endpoint must know to be verified.
    pub verify_token: String,
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("host", &self.url.host()).finish_non_exhaustive()
    }
}

/// Why an endpoint gets no webhooks.
#[derive(Debug)]
pub enum Unverified {
    /// TLS could not be set up.
    Tls(TlsError),
    /// It gave no answer, and why.
    Unanswered(String),
    /// It answered something else than 200.
    Refused(u16),
    /// It answered 200 with something else than the challenge.
    NotTheChallenge,
}

impl fmt::Display for Unverified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tls(_) => f.write_str("TLS could not be set up"),
            Self::Unanswered(why) => write!(f, "no answer: {why}"),
            Self::Refused(status) => write!(
                f,
                "it answered {status} to the verification: is its verify token the one that it was asked with?"
            ),
            Self::NotTheChallenge => {
                f.write_str("it did not answer with the challenge: it is no webhook endpoint")
            }
        }
    }
}

impl std::error::Error for Unverified {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Tls(cause) => Some(cause),
            Self::Unanswered(_) | Self::Refused(_) | Self::NotTheChallenge => None,
        }
    }
}

/// How one delivery went.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    /// The status, or why there is none.
    pub(super) answer: Result<u16, String>,
    pub(super) took: Duration,
}

impl Attempt {
    /// Meta repeats whatever was not answered 200.
    pub(super) fn is_taken(&self) -> bool {
        self.answer == Ok(200)
    }

    /// What went wrong, for people.
    pub(super) fn trouble(&self) -> String {
        match &self.answer {
            Ok(403) => "it answered 403: is the app secret one of those that it accepts?".to_owned(),
            Ok(status) => format!("it answered {status}"),
            Err(why) => format!("no answer: {why}"),
        }
    }
}

/// A subscription and the connections to its endpoint.
pub(super) struct Endpoint {
    subscription: Subscription,
    key: hmac::Key,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl Endpoint {
    pub(super) fn new(subscription: Subscription) -> Result<Self, TlsError> {
        let mut sockets = HttpConnector::new();
        sockets.set_nodelay(true);
        sockets.enforce_http(false);
        // The connector names the protocols itself.
        let mut tls = (*ClientTls::new(&TlsSettings::default())?.config()).clone();
        tls.alpn_protocols.clear();
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(sockets);
        let key = hmac::Key::new(hmac::HMAC_SHA256, subscription.app_secret.as_bytes());
        Ok(Self { subscription, key, client: Client::builder(TokioExecutor::new()).build(connector) })
    }

    pub(super) fn url(&self) -> &Uri {
        &self.subscription.url
    }

    /// Asks it to repeat a challenge, as Meta does before it sends anything there.
    pub(super) async fn verify(&self, challenge: &str) -> Result<(), Unverified> {
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let url = self.url().to_string();
        let joint = if self.url().query().is_some() { '&' } else { '?' };
        let url = format!(
            "{url}{joint}hub.mode=subscribe&hub.challenge={challenge}&hub.verify_token={}",
            encoded(&self.subscription.verify_token)
        );
        let request = Request::get(url).body(Full::default());
        let request = request.map_err(|error| Unverified::Unanswered(error.to_string()))?;
        let response = self.call(request).await.map_err(Unverified::Unanswered)?;
        if response.status() != 200 {
            return Err(Unverified::Refused(response.status().as_u16()));
        }
        let body = tokio::time::timeout(PATIENCE, Limited::new(response, LONGEST_CHALLENGE).collect()).await;
        let body = body.ok().and_then(Result::ok).map(http_body_util::Collected::to_bytes);
        match body {
            Some(body) if body.trim_ascii() == challenge.as_bytes() => Ok(()),
            Some(_) | None => Err(Unverified::NotTheChallenge),
        }
    }

    /// Posts a webhook, signed over exactly these bytes.
    pub(super) async fn deliver(&self, body: &Bytes) -> Attempt {
        let begun = Instant::now();
        let signature = hex::encode(hmac::sign(&self.key, body).as_ref());
        let request = Request::post(self.url().clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, "facebookexternalua")
            .header("x-hub-signature-256", format!("sha256={signature}"))
            .body(Full::new(body.clone()));
        let answer = match request {
            Ok(request) => self.call(request).await.map(|response| response.status().as_u16()),
            Err(error) => Err(error.to_string()),
        };
        Attempt { answer, took: begun.elapsed() }
    }

    async fn call(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, String> {
        match tokio::time::timeout(PATIENCE, self.client.request(request)).await {
            Err(_) => Err(format!("none within {} s", PATIENCE.as_secs())),
            Ok(Err(error)) => Err(innermost(&error)),
            Ok(Ok(response)) => Ok(response),
        }
    }
}

fn innermost(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .last()
        .map(ToString::to_string)
        .unwrap_or_default()
}
