//! What HTTP/2 requests must satisfy beyond what the h2 crate checks.
//!
//! Frames leave no doubt where a message ends, but the fields can still contradict each other once an
//! intermediary writes them as HTTP/1.1 (RFC 9113 §8.2, §8.3, §10.3).

use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderName, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::uri::Authority;

use super::guard::FramingFault as Fault;
use super::guard::rules;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
const MAX_FIELDS: usize = 100;

/// Refuses a request head that HTTP/1.1 could not carry with the same meaning.
pub fn check_h2(head: &Parts) -> Result<(), Fault> {
    rules::method(head.method.as_str().as_bytes())?;
    let target = head.uri.path_and_query().ok_or(Fault::Target)?;
    rules::target(target.as_str().as_bytes())?;
    check_authority(head.uri.authority(), &head.headers)?;
    check_fields(&head.headers)
}

/// Refuses trailer fields: nothing that arrives after the body may change what was judged.
pub fn check_trailers(trailers: &HeaderMap) -> Result<(), Fault> {
    if trailers.is_empty() { Ok(()) } else { Err(Fault::Trailer) }
}

fn check_authority(authority: Option<&Authority>, fields: &HeaderMap) -> Result<(), Fault> {
    let mut hosts = fields.get_all(HOST).iter().map(http::HeaderValue::as_bytes);
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(Fault::Host);
    }
    let authority = authority.map(|authority| authority.as_str().as_bytes());
    match (authority, host) {
        (Some(authority), Some(host)) if !authority.eq_ignore_ascii_case(host) => Err(Fault::Host),
        (Some(name), _) | (None, Some(name)) if rules::is_host(name) => Ok(()),
        _neither_or_no_host => Err(Fault::Host),
    }
}

fn check_fields(fields: &HeaderMap) -> Result<(), Fault> {
    if fields.len() > MAX_FIELDS {
        return Err(Fault::TooManyFields);
    }
    if fields.contains_key(TRANSFER_ENCODING) {
        return Err(Fault::TransferEncoding);
    }
    if [CONNECTION, KEEP_ALIVE, PROXY_CONNECTION].iter().any(|name| fields.contains_key(name)) {
        return Err(Fault::Connection);
    }
    if [UPGRADE, HTTP2_SETTINGS].iter().any(|name| fields.contains_key(name)) {
        return Err(Fault::Upgrade);
    }
    if fields.contains_key(TRAILER) {
        return Err(Fault::Trailer);
    }
    check_lengths(fields)?;
    fields.get_all(EXPECT).iter().try_for_each(|value| rules::expect(value.as_bytes()))
}

fn check_lengths(fields: &HeaderMap) -> Result<(), Fault> {
    let mut lengths = fields.get_all(CONTENT_LENGTH).iter().map(|value| rules::length(value.as_bytes()));
    match (lengths.next(), lengths.next()) {
        (None | Some(Some(_)), None) => Ok(()),
        (Some(None), None) | (_, Some(_)) => Err(Fault::ContentLength),
    }
}
