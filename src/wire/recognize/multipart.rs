//! Parameters in a `multipart/form-data` body.

use std::borrow::Cow;

use memchr::memmem;

use super::fields::Fields;
use super::form;
use super::names::Spelled;
use super::part::{self, PartKind};

const ODD: &str = "the multipart body cannot be read with certainty; send parts with one plain name each, CRLF line ends and nothing outside of them";

/// One part of a body.
pub(super) struct Part<'a> {
    kind: PartKind,
    /// Its one name.
    pub(super) name: &'a str,
    /// Its content, to be read only if it [`is_field`](Self::is_field).
    pub(super) value: &'a [u8],
}

impl Part<'_> {
    /// Whether every reader takes the content as it stands for the value of a field: no file, no transfer encoding, no other charset.
    pub(super) fn is_field(&self) -> bool {
        self.kind == PartKind::Field || (self.kind == PartKind::Latin1 && self.value.is_ascii())
    }
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
        let head = part::read(head).ok_or(ODD)?;
        Ok(Some(Part { kind: head.kind, name: head.name, value }))
    }
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
        if !part.is_field() && Spelled::of(part.name) == Spelled::Otherwise {
            continue;
        }
        if !part.is_field() {
            return Err(ODD);
        }
        let value = std::str::from_utf8(part.value).map_err(|_| ODD)?;
        form::read_parameter(part.name, Cow::Borrowed(value), fields)?;
    }
    Ok(())
}
