//! Parameters in a `multipart/form-data` body.

use std::borrow::Cow;

use memchr::memmem;

use super::fields::Fields;
use super::form;
use super::names::Spelled;

const ODD: &str = "the multipart body cannot be read with certainty; send parts with one plain name each, CRLF line ends and nothing outside of them";

/// One part of a body.
pub(super) struct Part<'a> {
    head: &'a str,
    /// Its one name.
    pub(super) name: Cow<'a, str>,
    /// Its content, to be read only if it [`is_field`](Self::is_field).
    pub(super) value: &'a [u8],
}

impl Part<'_> {
    /// Whether every reader takes the content as it stands for the value of a field: no file, no transfer encoding, no other charset.
    pub(super) fn is_field(&self) -> bool {
        self.head.split("\r\n").all(|line| {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.trim_matches([' ', '\t']);
            match name {
                _ if name.eq_ignore_ascii_case("content-disposition") => is_field_disposition(value),
                _ if name.eq_ignore_ascii_case("content-type") => is_field_type(value),
                _ => name.eq_ignore_ascii_case("content-length"),
            }
        })
    }
}

/// `form-data; name="to"` and nothing else.
fn is_field_disposition(value: &str) -> bool {
    let name = value
        .split_once(';')
        .filter(|(kind, _)| kind.trim().eq_ignore_ascii_case("form-data"))
        .map(|(_, name)| name.trim());
    name.and_then(|name| name.split_once('=')).is_some_and(|(key, name)| {
        let bare = name.strip_prefix('"').and_then(|name| name.strip_suffix('"')).unwrap_or(name);
        key.eq_ignore_ascii_case("name") && bare.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    })
}

fn is_field_type(value: &str) -> bool {
    ["text/plain", "application/json"].iter().any(|kind| {
        let rest = value
            .get(..kind.len())
            .filter(|start| start.eq_ignore_ascii_case(kind))
            .and_then(|_| value.get(kind.len()..));
        let parameter = rest.map(|rest| rest.trim_start_matches([';', ' ']));
        parameter.is_some_and(|p| {
            p.is_empty()
                || p.eq_ignore_ascii_case("charset=utf-8")
                || p.eq_ignore_ascii_case("charset=us-ascii")
        })
    })
}

/// The parts of a body that was read whole.
///
/// Strict: what is before, between and after the parts must be nothing but the delimiters.
pub(super) fn parts<'a>(body: &'a [u8], boundary: &str) -> Parts<'a> {
    let delimiter = format!("--{boundary}").into_bytes();
    let rest = body.strip_prefix(delimiter.as_slice());
    Parts { rest: rest.ok_or(ODD), delimiter: [b"\r\n", delimiter.as_slice()].concat(), failed: false }
}

/// See [`parts`].
pub(super) struct Parts<'a> {
    rest: Result<&'a [u8], &'static str>,
    delimiter: Vec<u8>,
    failed: bool,
}

impl<'a> Iterator for Parts<'a> {
    type Item = Result<Part<'a>, &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let part = self.part().transpose();
        self.failed = !matches!(part, Some(Ok(_)));
        part
    }
}

impl<'a> Parts<'a> {
    /// The next part; `None` after the closing delimiter.
    fn part(&mut self) -> Result<Option<Part<'a>>, &'static str> {
        let rest = self.rest?;
        if let Some(epilogue) = rest.strip_prefix(b"--") {
            return if epilogue.trim_ascii().is_empty() { Ok(None) } else { Err(ODD) };
        }
        let part = rest.strip_prefix(b"\r\n").ok_or(ODD)?;
        let end = memmem::find(part, &self.delimiter).ok_or(ODD)?;
        let (part, after) = part.split_at_checked(end).ok_or(ODD)?;
        self.rest = after.strip_prefix(self.delimiter.as_slice()).ok_or(ODD);
        let bare = self.delimiter.get(2..).unwrap_or_default();
        let blank = memmem::find(part, b"\r\n\r\n").ok_or(ODD)?;
        let (head, value) = part.split_at_checked(blank).ok_or(ODD)?;
        let value = value.strip_prefix(b"\r\n\r\n").ok_or(ODD)?;
        // A lenient reader splits at every delimiter, also inside a line.
        if memmem::find(part, bare).is_some() {
            return Err(ODD);
        }
        let head = std::str::from_utf8(head).map_err(|_| ODD)?;
        name(head).map(|name| Some(Part { head, name, value }))
    }
}

/// The one name of a part.
fn name(head: &str) -> Result<Cow<'_, str>, &'static str> {
    let mut names = names(head);
    match (names.next(), names.next()) {
        // A backslash quotes what follows it, to some readers.
        (Some(name), None) if !name.contains('\\') => Ok(name),
        _ => Err(ODD),
    }
}

/// Everything in the head of a part that a reader could take for its name.
fn names(head: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let is_plainly_quoted = is_plainly_quoted(head);
    let starts =
        head.as_bytes().windows(4).enumerate().filter(|(_, word)| word.eq_ignore_ascii_case(b"name"));
    starts.filter_map(move |(at, _)| {
        let before = head.get(..at)?;
        if before.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_')
            || (is_plainly_quoted && is_within_quotes(before))
        {
            return None;
        }
        name_after(head.get(at + 4..)?)
    })
}

/// Whether every reader agrees where quoted texts begin and end: no escapes, no single quotes, each one closed on its line.
fn is_plainly_quoted(head: &str) -> bool {
    !head.contains(['\\', '\'']) && head.lines().all(|line| line.matches('"').count().is_multiple_of(2))
}

fn is_within_quotes(before: &str) -> bool {
    !before.rsplit('\n').next().unwrap_or(before).matches('"').count().is_multiple_of(2)
}

/// The name in what follows the word `name`.
fn name_after(text: &str) -> Option<Cow<'_, str>> {
    let extended = text.strip_prefix('*');
    if extended.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) {
        // A piece of a name (RFC 2231) is none that can be judged.
        return Some(Cow::Borrowed(""));
    }
    let value = extended.unwrap_or(text).trim_start().strip_prefix('=')?.trim_start();
    if extended.is_some() {
        let encoded = value.rsplit('\'').next().unwrap_or(value);
        let encoded = encoded.split([';', ' ', '\t', '\r', '\n']).next().unwrap_or(encoded);
        return Some(form::decode_lossy(encoded.as_bytes()));
    }
    for quote in ['"', '\''] {
        if let Some(quoted) = value.strip_prefix(quote) {
            return Some(Cow::Borrowed(quoted.split(quote).next().unwrap_or(quoted)));
        }
    }
    value.split([';', ' ', '\t', '\r', '\n']).next().map(Cow::Borrowed)
}

/// Whether the head of a part has one name that can be read: not pieces of one, not an encoded word (RFC 2047), no other encoding of text.
pub(super) fn is_named(head: &[u8]) -> bool {
    std::str::from_utf8(head)
        .ok()
        .filter(|head| !head.contains('\0'))
        .and_then(|head| name(head).ok())
        .is_some_and(|name| !name.is_empty() && !name.contains("=?"))
}

/// Whether the head of a part names something that a watched write must not carry.
pub(super) fn is_telling(head: &[u8], telling: impl Fn(Spelled) -> bool) -> bool {
    let head = String::from_utf8_lossy(head);
    names(&head).any(|name| telling(Spelled::of(&name)) || telling(Spelled::of(&name.replace('\\', ""))))
}

/// Reads the parts of a send into its fields.
///
/// # Errors
///
/// What is odd about the body.
pub(super) fn read<'a>(body: &'a [u8], boundary: &str, fields: &mut Fields<'a>) -> Result<(), &'static str> {
    for part in parts(body, boundary) {
        let part = part?;
        // A file under a name that nobody judges, such as Messenger's `filedata`, says nothing about a send.
        if !part.is_field() && Spelled::of(&part.name) == Spelled::Otherwise {
            continue;
        }
        if !part.is_field() {
            return Err(ODD);
        }
        let value = std::str::from_utf8(part.value).map_err(|_| ODD)?;
        form::read_parameter(&part.name, Cow::Borrowed(value), fields)?;
    }
    Ok(())
}
