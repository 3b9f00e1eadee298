//! Reading from the provider with the gate's own token: template lists and the like.
//!
//! It can only GET paths that the gate itself makes, which contacts nobody, so it costs no clearance. It follows no redirect: the token goes to the
//! configured origin and nowhere else. Knows nothing of what is read.

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::{Settings, Token};

/// The largest answer that is read.
const MAX_ANSWER: usize = 16 << 20;

impl Token {
    async fn header(&self) -> Result<HeaderValue, ReadFailure> {
        let text = match self {
            Self::Held(token) => token.danger_reveal().clone(),
            Self::File(path) => tokio::fs::read_to_string(path).await.map_err(ReadFailure::TokenFile)?,
        };
        let mut value =
            HeaderValue::try_from(format!("Bearer {}", text.trim())).map_err(|_| ReadFailure::NoToken)?;
        if text.trim().is_empty() {
            return Err(ReadFailure::NoToken);
        }
        value.set_sensitive(true);
        Ok(value)
    }
}

/// An answer, whatever its status.
#[derive(Debug)]
pub struct Read {
    /// Its status.
    pub status: StatusCode,
    /// Its header fields.
    pub headers: HeaderMap,
    /// Its whole body.
    pub body: Bytes,
    /// From the request to the last byte.
    pub took: Duration,
}

/// Why there is no answer. No text holds the token.
#[derive(Debug)]
pub enum ReadFailure {
    /// The token's file cannot be read.
    TokenFile(io::Error),
    /// What should be the token is empty or no token.
    NoToken,
    /// The path cannot be asked for.
    Path,
    /// No connection, or no answer on it.
    Unanswered(hyper_util::client::legacy::Error),
    /// The answer did not come to its end.
    Broken,
    /// It took too long.
    Late,
}

impl fmt::Display for ReadFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TokenFile(_) => f.write_str("token_file cannot be read"),
            Self::NoToken => f.write_str("the token is empty or holds characters that no token has"),
            Self::Path => f.write_str("the path cannot be asked for"),
            Self::Unanswered(_) => f.write_str("the provider gave no answer"),
            Self::Broken => write!(f, "the provider's answer broke off or is above {} MiB", MAX_ANSWER >> 20),
            Self::Late => f.write_str("the provider did not answer in time"),
        }
    }
}

impl std::error::Error for ReadFailure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::TokenFile(cause) => Some(cause),
            Self::Unanswered(cause) => Some(cause),
            Self::NoToken | Self::Path | Self::Broken | Self::Late => None,
        }
    }
}

/// Reads from the provider. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct Reader {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    settings: Settings,
}

impl Reader {
    /// A reader with no connection open yet.
    pub fn new(settings: Settings) -> Self {
        let mut sockets = HttpConnector::new();
        sockets.set_connect_timeout(Some(settings.connect_timeout));
        sockets.set_nodelay(true);
        sockets.enforce_http(false);
        // The connector names the protocols itself.
        let mut tls = (*settings.tls.config()).clone();
        tls.alpn_protocols.clear();
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls);
        let connector = connector.https_or_http().enable_http1().wrap_connector(sockets);
        let client =
            Client::builder(TokioExecutor::new()).pool_idle_timeout(settings.idle_timeout).build(connector);
        Self { client, settings }
    }

    /// Asks for a path with its query, which must not hold the token.
    ///
    /// # Errors
    /// [`ReadFailure`]; an answer of any status is none.
    pub async fn get(&self, path_and_query: &str, token: &Token) -> Result<Read, ReadFailure> {
        let started = Instant::now();
        let limit = self.settings.connect_timeout.saturating_add(self.settings.response_timeout);
        let read = tokio::time::timeout(limit, self.exchange(path_and_query, token));
        let (parts, body) = read.await.map_err(|_| ReadFailure::Late)??;
        Ok(Read { status: parts.status, headers: parts.headers, body, took: started.elapsed() })
    }

    async fn exchange(
        &self,
        path_and_query: &str,
        token: &Token,
    ) -> Result<(http::response::Parts, Bytes), ReadFailure> {
        let mut request = Request::get(self.uri(path_and_query)?)
            .header(http::header::ACCEPT, "application/json")
            .body(Empty::new())
            .map_err(|_| ReadFailure::Path)?;
        request.headers_mut().insert(AUTHORIZATION, token.header().await?);
        let response = self.client.request(request).await.map_err(ReadFailure::Unanswered)?;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(|_| ReadFailure::Broken)?;
        Ok((parts, body.to_bytes()))
    }

    fn uri(&self, path_and_query: &str) -> Result<Uri, ReadFailure> {
        let origin = &self.settings.origin;
        let path: PathAndQuery = path_and_query.parse().map_err(|_| ReadFailure::Path)?;
        Uri::builder()
            .scheme(if origin.https { Scheme::HTTPS } else { Scheme::HTTP })
            .authority(origin.authority().as_bytes())
            .path_and_query(path)
            .build()
            .map_err(|_| ReadFailure::Path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::redact::Redacted;

    #[tokio::test]
    async fn a_token_shows_itself_nowhere_and_a_file_is_read_anew() {
        let held = Token::Held(Redacted::new("EAASECRET".to_owned()));
        assert!(!format!("{held:?}").contains("SECRET"));
        let header = held.header().await.unwrap();
        assert_eq!(header.as_bytes(), b"Bearer EAASECRET");
        assert!(!format!("{header:?}").contains("SECRET"));
        let folder = tempfile::tempdir().unwrap();
        let file = Token::File(folder.path().join("token"));
        assert!(matches!(file.header().await, Err(ReadFailure::TokenFile(_))));
        for token in ["one\n", "two"] {
            std::fs::write(folder.path().join("token"), token).unwrap();
            assert_eq!(file.header().await.unwrap(), format!("Bearer {}", token.trim()));
        }
        for none in ["", " \n", "a\u{7}b"] {
            let token = Token::Held(Redacted::new(none.to_owned()));
            assert!(matches!(token.header().await, Err(ReadFailure::NoToken)), "{none:?}");
        }
    }
}
