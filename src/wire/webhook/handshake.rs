//! The question that the provider asks an endpoint before it trusts it. Source: Meta, "Create a webhook endpoint", verification requests.

use aws_lc_rs::constant_time;
use percent_encoding::percent_decode_str;

/// What a GET asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// It knows the token: answer with these bytes.
    Known(Vec<u8>),
    /// It does not.
    Unknown,
}

/// Answers the query of a verification request.
pub fn handshake(query: &str, verify_token: &str) -> Handshake {
    let field = |name: &str| {
        let mut of_name = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .filter(|(key, _)| decoded(key) == name.as_bytes());
        match (of_name.next(), of_name.next()) {
            (Some((_, value)), None) => Some(decoded(value)),
            _ => None,
        }
    };
    let token = field("hub.verify_token").unwrap_or_default();
    let genuine = constant_time::verify_slices_are_equal(&token, verify_token.as_bytes()).is_ok();
    match (field("hub.mode").as_deref(), field("hub.challenge")) {
        (Some(b"subscribe"), Some(challenge)) if genuine && !verify_token.is_empty() => {
            Handshake::Known(challenge)
        }
        _ => Handshake::Unknown,
    }
}

fn decoded(text: &str) -> Vec<u8> {
    percent_decode_str(&text.replace('+', " ")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_is_answered_and_the_challenge_comes_back_as_it_was() {
        let ask = |query: &str| handshake(query, "let me+in");
        let known = Handshake::Known(b"1158201444".to_vec());
        assert_eq!(ask("hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=let+me%2Bin"), known);
        assert_eq!(
            ask("hub%2Emode=subscribe&hub.challenge=%31158201444&hub.verify_token=let%20me%2bin"),
            known
        );
        for query in [
            "",
            "hub.mode=subscribe",
            "hub.mode=subscribe&hub.challenge=1&hub.verify_token=other",
            "hub.challenge=1&hub.verify_token=let+me%2Bin",
            "hub.mode=unsubscribe&hub.challenge=1&hub.verify_token=let+me%2Bin",
            "hub.mode=subscribe&hub.verify_token=let+me%2Bin",
            "hub.mode=subscribe&hub.challenge=1&hub.verify_token=let+me%2Bin&hub.verify_token=x",
        ] {
            assert_eq!(ask(query), Handshake::Unknown, "{query}");
        }
        assert_eq!(handshake("hub.mode=subscribe&hub.challenge=1&hub.verify_token=", ""), Handshake::Unknown);
    }
}
