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
    is_made_of(value, &HOST)
}

/// Whether the bytes are a token as RFC 9110 §5.6.2 defines it.
pub(super) fn is_token(bytes: &[u8]) -> bool {
    is_made_of(bytes, &TOKEN)
}

fn is_made_of(bytes: &[u8], allowed: &[bool; 256]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| allowed.get(usize::from(byte)) == Some(&true))
}

/// Whether a field value holds a control character other than HTAB.
pub(super) fn has_control(value: &[u8]) -> bool {
    holds(value, |byte| byte < 0x20 && byte != b'\t' || byte == 0x7f)
}

/// Whether any byte is of the kind. Looks at all of them instead of stopping early, sixteen at once: the last sixteen of a text that does not
/// divide, and the last eight of a shorter one, are rather looked at twice than one by one.
fn holds(bytes: &[u8], kind: impl Fn(u8) -> bool) -> bool {
    let Some(last) = bytes.last_chunk::<16>() else { return holds_short(bytes, kind) };
    let mut found = [0; 16];
    let mut look = |chunk: &[u8; 16]| {
        for (found, byte) in found.iter_mut().zip(chunk) {
            *found |= u8::from(kind(*byte));
        }
    };
    bytes.as_chunks().0.iter().for_each(&mut look);
    look(last);
    u128::from_ne_bytes(found) != 0
}

fn holds_short(bytes: &[u8], kind: impl Fn(u8) -> bool) -> bool {
    let any = |bytes: &[u8]| bytes.iter().fold(false, |any, &byte| any | kind(byte));
    let wide = |bytes: &[u8; 8]| u64::from_ne_bytes(bytes.map(|byte| u8::from(kind(byte)))) != 0;
    match (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        (Some(first), Some(last)) => wide(first) | wide(last),
        _ => any(bytes),
    }
}

/// Strips the optional white space around a field value.
pub(in crate::net) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Strips the optional white space before a field value.
pub(super) fn trim_start(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    value
}

static TOKEN: [bool; 256] = letters_and(b"!#$%&'*+-.^_`|~");
static HOST: [bool; 256] = letters_and(b".-_~:[]");

#[allow(clippy::indexing_slicing, reason = "evaluated while compiling")]
const fn letters_and(punctuation: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
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
