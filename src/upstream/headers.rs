//! Which header fields travel on, in both directions.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// Fields that concern one connection only (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Fields that tell where a request came from, which is none of the provider's business; and `Expect`, which the listener has answered.
const NOT_FOR_THE_PROVIDER: [HeaderName; 4] =
    [header::FORWARDED, HeaderName::from_static("x-real-ip"), header::EXPECT, header::HOST];

const FORWARDED_PREFIX: &str = "x-forwarded-";

/// Makes a caller's header fields the provider's: hop-by-hop and forwarding fields are dropped, `Host` is the provider's own.
pub fn prepare_request(headers: &mut HeaderMap, host: &HeaderValue) {
    strip_listed(headers);
    for name in HOP_BY_HOP.iter().chain(&NOT_FOR_THE_PROVIDER) {
        headers.remove(name);
    }
    let forwarded: Vec<HeaderName> =
        headers.keys().filter(|name| name.as_str().starts_with(FORWARDED_PREFIX)).cloned().collect();
    for name in forwarded {
        headers.remove(name);
    }
    headers.insert(header::HOST, host.clone());
}

/// Drops from an answer what concerned the connection to the provider.
pub fn prepare_response(headers: &mut HeaderMap) {
    strip_listed(headers);
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

/// Drops the fields that `Connection` names.
fn strip_listed(headers: &mut HeaderMap) {
    if !headers.contains_key(header::CONNECTION) {
        return;
    }
    let listed: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
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
