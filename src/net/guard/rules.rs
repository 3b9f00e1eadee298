//! The rules about single parts of a request that both protocol versions share.

use super::fault::FramingFault as Fault;

/// The longest `Content-Length` that is read: every number of so many digits fits in 64 bits.
const MAX_LENGTH_DIGITS: usize = 19;

/// Refuses a method that is not an upper-case token, or that asks for a tunnel or an echo.
pub(in crate::net) fn method(method: &[u8]) -> Result<(), Fault> {
    let plain = is_token(method) && !method.iter().any(u8::is_ascii_lowercase);
    if plain && method != b"CONNECT" && method != b"TRACE" { Ok(()) } else { Err(Fault::Method) }
}

/// Refuses a target that is not in origin-form: `/`, then visible ASCII without a fragment.
pub(in crate::net) fn target(target: &[u8]) -> Result<(), Fault> {
    let odd = |byte: u8| !(0x21..=0x7e).contains(&byte) || byte == b'#';
    if target.first() == Some(&b'/') && !holds(target, odd) { Ok(()) } else { Err(Fault::Target) }
}

/// Refuses every expectation but `100-continue`.
pub(in crate::net) fn expect(value: &[u8]) -> Result<(), Fault> {
    if value.eq_ignore_ascii_case(b"100-continue") { Ok(()) } else { Err(Fault::Expect) }
}

/// Refuses connection options that would have us drop fields which an intermediary relies on.
pub(super) fn connection(value: &[u8]) -> Result<(), Fault> {
    for option in value.split(|&byte| byte == b',').map(trim) {
        if option.eq_ignore_ascii_case(b"upgrade") || option.eq_ignore_ascii_case(b"http2-settings") {
            return Err(Fault::Upgrade);
        }
        let known: [&[u8]; 3] = [b"close", b"keep-alive", b"te"];
        if !known.iter().any(|name| option.eq_ignore_ascii_case(name)) {
            return Err(Fault::Connection);
        }
    }
    Ok(())
}

/// Reads a `Content-Length`: digits and nothing else.
pub(in crate::net) fn length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > MAX_LENGTH_DIGITS || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(value.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}

/// Whether the value can be a host with an optional port: one name, no list, no user.
pub(in crate::net) fn is_host(value: &[u8]) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b".-_~:[]".contains(byte);
    !value.is_empty() && value.iter().all(allowed)
}

/// Whether the bytes are a token as RFC 9110 §5.6.2 defines it.
pub(super) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| TOKEN.get(usize::from(byte)) == Some(&true))
}

/// Whether a field value holds a control character other than HTAB.
pub(super) fn has_control(value: &[u8]) -> bool {
    holds(value, |byte| byte < 0x20 && byte != b'\t' || byte == 0x7f)
}

/// Whether any byte is of the kind. Looks at all of them instead of stopping early, which the compiler turns into
/// wide instructions.
fn holds(bytes: &[u8], kind: impl Fn(u8) -> bool) -> bool {
    bytes.iter().fold(0, |found, &byte| found | u8::from(kind(byte))) != 0
}

/// Strips the optional white space around a field value.
pub(in crate::net) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

const TOKEN: [bool; 256] = token_table();

#[allow(clippy::indexing_slicing, reason = "evaluated while compiling")]
const fn token_table() -> [bool; 256] {
    let mut table = [false; 256];
    let punctuation = b"!#$%&'*+-.^_`|~";
    let mut at = 0;
    while at < punctuation.len() {
        table[punctuation[at] as usize] = true;
        at += 1;
    }
    let mut byte = 0u8;
    while byte < 128 {
        table[byte as usize] |= byte.is_ascii_alphanumeric();
        byte += 1;
    }
    table
}
