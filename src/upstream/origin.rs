//! The provider's address.

use std::fmt;

use http::HeaderValue;
use http::uri::{Scheme, Uri};

/// Scheme, host and port of the provider. The host is pinned: no request can choose another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Whether TLS is spoken.
    pub https: bool,
    /// Name or address, without brackets.
    pub host: String,
    /// The port, the scheme's own if the URL names none.
    pub port: u16,
    authority: HeaderValue,
}

/// Why a URL is no origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAnOrigin;

impl fmt::Display for NotAnOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an origin: write http:// or https://, a host, and a port if it is not the usual one, such as https://graph.facebook.com")
    }
}

impl std::error::Error for NotAnOrigin {}

impl std::str::FromStr for Origin {
    type Err = NotAnOrigin;

    fn from_str(url: &str) -> Result<Self, NotAnOrigin> {
        Self::try_from(&url.parse::<Uri>().map_err(|_| NotAnOrigin)?)
    }
}

impl TryFrom<&Uri> for Origin {
    type Error = NotAnOrigin;

    fn try_from(uri: &Uri) -> Result<Self, NotAnOrigin> {
        let https = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(_) | None => return Err(NotAnOrigin),
        };
        let authority = uri.authority().filter(|a| !a.as_str().contains('@')).ok_or(NotAnOrigin)?;
        if uri.path() != "/" || uri.query().is_some() {
            return Err(NotAnOrigin);
        }
        Ok(Self {
            https,
            host: authority.host().trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: authority.port_u16().unwrap_or(if https { 443 } else { 80 }),
            authority: HeaderValue::from_str(authority.as_str()).map_err(|_| NotAnOrigin)?,
        })
    }
}

impl Origin {
    /// The value of the `Host` field.
    pub fn authority(&self) -> &HeaderValue {
        &self.authority
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_scheme_a_host_and_perhaps_a_port() {
        let meta: Origin = "https://graph.facebook.com".parse().unwrap();
        assert_eq!((meta.https, meta.host.as_str(), meta.port), (true, "graph.facebook.com", 443));
        let local: Origin = "http://[::1]:8090/".parse().unwrap();
        assert_eq!((local.https, local.host.as_str(), local.port), (false, "::1", 8090));
        assert_eq!(local.authority(), "[::1]:8090");
        for bad in ["graph.facebook.com", "ftp://x", "https://x/v23.0", "https://x/?a=b", "https://u:p@x", ""]
        {
            assert!(bad.parse::<Origin>().is_err(), "{bad}");
        }
    }
}
