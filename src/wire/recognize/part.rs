//! The head of one part of a multipart body: one grammar, for bodies that are read whole and for uploads that are watched.
//!
//! Readers of part heads disagree about nearly everything: where lines end (CR, LF, after 5120 bytes, at NUL), which lines continue the one before, whether `;`
//! separates within quotes, what `name*0` is. So only what all of them read alike is accepted, which is what clients write; the rest is refused.
//! Knows no name of a send.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use memchr::memmem;

/// A head that every reader understands alike.
pub(super) struct PartHead<'a> {
    /// The one name, of plain ASCII.
    pub(super) name: &'a str,
    /// Whether the content stands as it is for the value of a field: no file, no transfer encoding, no other charset.
    pub(super) kind: PartKind,
}

/// What a part holds, as far as its head tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PartKind {
    /// Text in UTF-8.
    Field,
    /// Text in Latin-1, which is the same as UTF-8 as long as it is ASCII.
    Latin1,
    /// A file, or what somebody could decode.
    Other,
}

/// No head of a part is longer. PHP cuts lines of more than 5120 bytes in two.
pub(super) const MAX_HEAD: usize = 2 * 1024;

/// Reads a head: what stands between the delimiter's own line and the blank line, without either; `None` for what two readers could understand differently.
pub(super) fn read(head: &[u8]) -> Option<PartHead<'_>> {
    if head.len() > MAX_HEAD {
        return None;
    }
    let mut read = Reading { name: None, lines: [false; LINES.len()], kind: PartKind::Field };
    let mut rest = head;
    loop {
        let end = memmem::find(rest, b"\r\n");
        read.line(rest.get(..end.unwrap_or(rest.len()))?)?;
        match end {
            Some(end) => rest = rest.get(end + 2..)?,
            None => return Some(PartHead { name: read.name?, kind: read.kind }),
        }
    }
}

/// The lines that clients write, each at most once. Source: RFC 7578 section 4; `Content-Length` and `Content-ID` are what OkHttp, Ruby and Spring add.
const LINES: [&[u8]; 5] =
    [b"content-disposition", b"content-type", b"content-transfer-encoding", b"content-length", b"content-id"];

struct Reading<'a> {
    name: Option<&'a str>,
    lines: [bool; LINES.len()],
    kind: PartKind,
}

impl<'a> Reading<'a> {
    fn line(&mut self, line: &'a [u8]) -> Option<()> {
        if line.iter().any(u8::is_ascii_control) {
            return None;
        }
        let (name, value) = line.split_at_checked(memchr::memchr(b':', line)?)?;
        let value = trimmed(value.get(1..)?);
        let at = LINES.iter().position(|known| name.eq_ignore_ascii_case(known))?;
        if std::mem::replace(self.lines.get_mut(at)?, true) {
            return None;
        }
        if at == 0 {
            return self.disposition(value);
        }
        if holds_name(value) {
            return None;
        }
        match (at, self.kind) {
            (1, PartKind::Field) => self.kind = kind_of(value),
            (2, _) if !is_identity(value) => self.kind = PartKind::Other,
            _ => {}
        }
        Some(())
    }

    /// `form-data; name="file"; filename="a.png"`.
    fn disposition(&mut self, value: &'a [u8]) -> Option<()> {
        let split = memchr::memchr(b';', value)?;
        let (kind, rest) = value.split_at_checked(split)?;
        if !trimmed(kind).eq_ignore_ascii_case(b"form-data") {
            return None;
        }
        let (mut rest, mut plain, mut extended) = (after_separator(rest), false, false);
        while !rest.is_empty() {
            let (key, value, after) = parameter(rest)?;
            rest = after;
            let twice = match key {
                b"name" => self.name.replace(plain_name(value.bytes())?).is_some(),
                b"filename" => {
                    is_filename(value, self.name.is_some()).then_some(())?;
                    std::mem::replace(&mut plain, true)
                }
                b"filename*" => {
                    is_extended(value.bytes()).then_some(())?;
                    std::mem::replace(&mut extended, true)
                }
                _ => return None,
            };
            if twice {
                return None;
            }
        }
        if plain || extended {
            self.kind = PartKind::Other;
        }
        self.name.map(|_| ())
    }
}

/// The value of a parameter, without its quotes.
#[derive(Clone, Copy)]
enum Value<'a> {
    Quoted(&'a [u8]),
    Bare(&'a [u8]),
}

impl<'a> Value<'a> {
    fn bytes(self) -> &'a [u8] {
        match self {
            Self::Quoted(bytes) | Self::Bare(bytes) => bytes,
        }
    }
}

/// The next parameter and what follows its separator.
fn parameter(text: &[u8]) -> Option<(&[u8], Value<'_>, &[u8])> {
    let (key, rest) = text.split_at_checked(memchr::memchr(b'=', text)?)?;
    let rest = rest.get(1..)?;
    let (value, rest) = if let Some(quoted) = rest.strip_prefix(b"\"") {
        let end = closing_quote(quoted)?;
        (Value::Quoted(quoted.get(..end)?), quoted.get(end + 1..)?)
    } else {
        let end = rest.iter().position(|b| matches!(b, b';' | b' ')).unwrap_or(rest.len());
        let (bare, rest) = rest.split_at_checked(end)?;
        (Value::Bare(bare), rest)
    };
    let next = trimmed(rest);
    if next.is_empty() || next.starts_with(b";") { Some((key, value, after_separator(next))) } else { None }
}

/// Where a quoted value ends; a backslash quotes a quote or another backslash, as curl and Go write them.
fn closing_quote(quoted: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', quoted.get(at..)?)?;
        match quoted.get(at..at + 2) {
            Some([b'\\', _]) => at += 2,
            Some(_) | None => return Some(at).filter(|at| quoted.get(*at) == Some(&b'"')),
        }
    }
}

fn after_separator(text: &[u8]) -> &[u8] {
    trimmed(text.strip_prefix(b";").unwrap_or(text))
}

/// Without spaces; a tab is refused before.
fn trimmed(mut text: &[u8]) -> &[u8] {
    while let [b' ', rest @ ..] | [rest @ .., b' '] = text {
        text = rest;
    }
    text
}

/// A name that means the same to everybody, written with or without quotes.
fn plain_name(text: &[u8]) -> Option<&str> {
    let is_plain = |b: &u8| b.is_ascii_alphanumeric() || b"_.-[]".contains(b);
    let plain = !text.is_empty() && text.iter().all(is_plain);
    std::str::from_utf8(text).ok().filter(|_| plain)
}

/// Whether a file's name hides no other parameter from readers that split at `;`, know no escapes, search for `name=`, or decode words first.
fn is_filename(value: Value<'_>, is_named: bool) -> bool {
    let text = match value {
        Value::Bare(text) => return !text.iter().any(|b| b"\"'\\".contains(b)) && !holds_name(text),
        Value::Quoted(text) => text,
    };
    let split = memchr::memchr(b';', text).and_then(|at| text.get(at..));
    let escapes = memchr::memchr(b'\\', text).is_some();
    let plain_split = split.is_none_or(|after| !escapes && !holds_name(after) && !text.contains(&b'\''));
    // Whoever searches from the left finds the name first.
    plain_split && (is_named || !holds_name(text)) && is_harmless_when_decoded(text)
}

/// Encoded words (RFC 2047), as .NET writes them, hold no delimiter once they are decoded.
fn is_harmless_when_decoded(text: &[u8]) -> bool {
    let Some(at) = memmem::find(text, b"=?") else { return true };
    let word = text.get(at + 2..).and_then(|word| word.strip_suffix(b"?="));
    let Some((charset, rest)) = word.and_then(|word| word.split_at_checked(memchr::memchr(b'?', word)?))
    else {
        return false;
    };
    let decoded = match rest {
        [b'?', b'B' | b'b', b'?', encoded @ ..] => STANDARD.decode(encoded).ok(),
        _ => None,
    };
    let is_plain = |b: &u8| !b.is_ascii_control() && !b"\"';\\".contains(b);
    at == 0 && charset.eq_ignore_ascii_case(b"utf-8") && decoded.is_some_and(|text| text.iter().all(is_plain))
}

/// `UTF-8''a%20b.png` (RFC 5987).
fn is_extended(text: &[u8]) -> bool {
    let is_plain = |b: &u8| b.is_ascii_alphanumeric() || b"%'!#$&+.^_`|~-()".contains(b);
    // To PHP a single quote opens a quoted text, which the next one closes.
    let quotes = memchr::memchr_iter(b'\'', text).count();
    text.iter().all(is_plain) && quotes.is_multiple_of(2) && !holds_name_assigned(text)
}

fn holds_name_assigned(text: &[u8]) -> bool {
    text.windows(7).any(|word| word.eq_ignore_ascii_case(b"name%3d"))
}

fn holds_name(text: &[u8]) -> bool {
    text.windows(4).any(|word| word.eq_ignore_ascii_case(b"name"))
}

/// Source: RFC 2045 section 6: these three leave the content as it is.
fn is_identity(value: &[u8]) -> bool {
    [&b"7bit"[..], b"8bit", b"binary"].iter().any(|known| value.eq_ignore_ascii_case(known))
}

fn kind_of(content_type: &[u8]) -> PartKind {
    let (essence, parameter) = match memchr::memchr(b';', content_type) {
        Some(at) => content_type.split_at_checked(at).unwrap_or_default(),
        None => (content_type, &[][..]),
    };
    let is = |text: &[u8], known: &[&[u8]]| known.iter().any(|known| text.eq_ignore_ascii_case(known));
    let parameter = after_separator(parameter);
    if !is(trimmed(essence), &[b"text/plain", b"application/json"]) {
        PartKind::Other
    } else if parameter.is_empty() || is(parameter, &[b"charset=utf-8", b"charset=us-ascii"]) {
        PartKind::Field
    } else if is(parameter, &[b"charset=iso-8859-1"]) {
        PartKind::Latin1
    } else {
        PartKind::Other
    }
}
