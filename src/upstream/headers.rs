//! Which header fields travel on, in both directions.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// Makes a caller's header fields the provider's: hop-by-hop and forwarding fields are dropped, `Host` is the provider's own.
pub fn prepare_request(headers: &mut HeaderMap, host: &HeaderValue) {
    strip(headers, |name| is_hop_by_hop(name) || is_not_for_the_provider(name));
    // Nearly always it is there, once; inserting would make room for it all the same.
    let once = headers.keys_len() == headers.len();
    match headers.get_mut(header::HOST).filter(|_| once) {
        Some(value) => *value = host.clone(),
        None => drop(headers.insert(header::HOST, host.clone())),
    }
}

/// Asks for an answer that is not compressed: what a send came to is read here too, and a few hundred bytes gain nothing by it.
///
/// A caller who named no coding, or refuses an answer without one, keeps its own wish.
pub fn ask_for_plain(headers: &mut HeaderMap) {
    // A look at each name costs less than one search for a name that is not there.
    if !headers.keys().any(|name| *name == header::ACCEPT_ENCODING) {
        return;
    }
    let wishes = || {
        headers
            .get_all(header::ACCEPT_ENCODING)
            .iter()
            .flat_map(|value| value.as_bytes().split(|b| *b == b','))
    };
    if !wishes().any(refuses_plain) {
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
}

/// Whether an item of `Accept-Encoding` may exclude the answer as it is (RFC 9110, section 12.5.3); it is not read more closely than that.
fn refuses_plain(item: &[u8]) -> bool {
    let (coding, weight) = item.split_at(item.iter().position(|b| *b == b';').unwrap_or(item.len()));
    let coding = coding.trim_ascii();
    (coding.eq_ignore_ascii_case(b"identity") || coding == b"*") && !weight.is_empty()
}

/// Drops from an answer what concerned the connection to the provider.
///
/// One that is framed by both fields was read by `Transfer-Encoding`, so its `Content-Length` is no length (RFC 9112, section 6.3).
pub fn prepare_response(headers: &mut HeaderMap) {
    if !headers.keys().any(|name| is_hop_by_hop(name.as_str())) {
        return;
    }
    if headers.contains_key(header::TRANSFER_ENCODING) {
        headers.remove(header::CONTENT_LENGTH);
    }
    strip(headers, is_hop_by_hop);
}

/// Fields that concern one connection only (RFC 9110, section 7.6.1).
fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authorization"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// Fields that tell where a request came from, which is none of the provider's business; and `Expect`, which the listener has answered.
fn is_not_for_the_provider(name: &str) -> bool {
    matches!(name, "forwarded" | "x-real-ip" | "expect") || name.starts_with("x-forwarded-")
}

/// Drops fields, and those that `Connection` names. Most requests and answers have none of them and cost one look at each name.
fn strip(headers: &mut HeaderMap, unwanted: impl Fn(&str) -> bool) {
    if !headers.keys().any(|name| unwanted(name.as_str())) {
        return;
    }
    strip_listed(headers);
    let doomed: Vec<HeaderName> = headers.keys().filter(|name| unwanted(name.as_str())).cloned().collect();
    for name in doomed {
        headers.remove(name);
    }
}

/// Drops the fields that `Connection` names.
fn strip_listed(headers: &mut HeaderMap) {
    let listed: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(str::trim_ascii))
        // Nearly always it says how long the connection lives, and `Keep-Alive` goes anyway.
        .filter(|name| !name.eq_ignore_ascii_case("keep-alive") && !name.eq_ignore_ascii_case("close"))
        .filter_map(|name| name.parse().ok())
        .collect();
    for name in listed {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn only_end_to_end_fields_reach_the_provider() {
        let mut headers = fields(&[
            ("host", "gate.example"),
            ("connection", "close, x-mine"),
            ("x-mine", "1"),
            ("te", "trailers"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-whatever", "1"),
            ("forwarded", "for=10.0.0.1"),
            ("x-real-ip", "10.0.0.1"),
            ("expect", "100-continue"),
            ("authorization", "Bearer x"),
            ("content-type", "application/json"),
            ("x-fb-trace", "kept"),
        ]);
        prepare_request(&mut headers, &HeaderValue::from_static("graph.facebook.com"));
        let mut left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["authorization", "content-type", "host", "x-fb-trace"]);
        assert_eq!(headers[header::HOST], "graph.facebook.com");
    }

    #[test]
    fn the_provider_sees_its_own_host_once_whatever_the_caller_wrote() {
        for hosts in [&[][..], &["gate.example"], &["gate.example", "other.example"]] {
            let mut headers = HeaderMap::with_capacity(0);
            for host in hosts {
                headers.append(header::HOST, HeaderValue::from_static(host));
            }
            headers.append("x-a", HeaderValue::from_static("1"));
            headers.append("x-a", HeaderValue::from_static("2"));
            prepare_request(&mut headers, &HeaderValue::from_static("graph.facebook.com"));
            let left: Vec<_> = headers.get_all(header::HOST).iter().collect();
            assert_eq!(left, ["graph.facebook.com"], "{hosts:?}");
            assert_eq!(headers.get_all("x-a").iter().count(), 2);
        }
    }

    #[test]
    fn a_plain_answer_is_asked_for_unless_the_caller_refuses_it() {
        for (asked, travels) in [
            ("gzip, deflate, br, zstd", "identity"),
            ("gzip;q=1.0, *", "identity"),
            ("identity", "identity"),
            ("", "identity"),
            ("gzip, identity;q=0", "gzip, identity;q=0"),
            ("br , *;q=0", "br , *;q=0"),
        ] {
            let mut headers = fields(&[("accept-encoding", asked), ("accept-encoding", asked)]);
            ask_for_plain(&mut headers);
            assert_eq!(headers[header::ACCEPT_ENCODING], travels, "{asked}");
        }
        let mut headers = HeaderMap::new();
        ask_for_plain(&mut headers);
        assert!(headers.is_empty());
    }

    #[test]
    fn a_length_beside_chunks_does_not_travel_on() {
        let mut headers = fields(&[("transfer-encoding", "chunked"), ("content-length", "60")]);
        prepare_response(&mut headers);
        assert!(headers.is_empty());
        let mut headers = fields(&[("content-length", "60")]);
        prepare_response(&mut headers);
        assert_eq!(headers.len(), 1);
    }

    #[test]
    fn an_answer_keeps_everything_but_its_connection() {
        let mut headers = fields(&[
            ("connection", "keep-alive"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("x-app-usage", "{}"),
        ]);
        prepare_response(&mut headers);
        assert_eq!(headers.len(), 1);
    }
}
