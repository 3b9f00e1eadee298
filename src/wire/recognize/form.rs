//! Parameters in a query string or an urlencoded form.

use std::borrow::Cow;

use super::fields::{Fields, Slot};
use super::json;
use super::names::{Name, Seen, Spelled};
use super::path::escape;

/// Why a pair cannot be read.
pub(super) const ODD: &str =
    "the query or form holds broken percent escapes, other text than UTF-8, or `;`; encode it plainly";

/// The pairs of a query or form, decoded.
pub(super) struct Pairs<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Pairs<'a> {
    /// Splits at `&`.
    pub(super) fn of(text: &'a [u8]) -> Self {
        Self { rest: Some(text).filter(|text| !text.is_empty()) }
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = Result<(Cow<'a, str>, Cow<'a, str>), &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let rest = self.rest?;
            let end = memchr::memchr(b'&', rest);
            let pair = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
            self.rest = end.and_then(|end| rest.get(end + 1..));
            if !pair.is_empty() {
                return Some(read_pair(pair));
            }
        }
    }
}

fn read_pair(pair: &[u8]) -> Result<(Cow<'_, str>, Cow<'_, str>), &'static str> {
    let equals = memchr::memchr(b'=', pair).unwrap_or(pair.len());
    let (name, value) = pair.split_at_checked(equals).unwrap_or((pair, &[]));
    let value = value.strip_prefix(b"=").unwrap_or(value);
    Ok((decode(name).ok_or(ODD)?, decode(value).ok_or(ODD)?))
}

/// Decodes `+` and percent escapes; `None` for broken escapes and other text than UTF-8.
pub(super) fn decode(text: &[u8]) -> Option<Cow<'_, str>> {
    if memchr::memchr2(b'%', b'+', text).is_none() {
        return std::str::from_utf8(text).ok().map(Cow::Borrowed);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        let (decoded, after) = match byte {
            b'%' => escape(after)?,
            b'+' => (b' ', after),
            _ => (byte, after),
        };
        out.push(decoded);
        rest = after;
    }
    String::from_utf8(out).ok().map(Cow::Owned)
}

/// Decodes as PHP does: what can be decoded is, a broken escape stands for itself, and so a name is seen whatever follows it.
pub(super) fn decode_lossy(text: &[u8]) -> Cow<'_, str> {
    decode(text).unwrap_or_else(|| {
        let mut out = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some((&byte, after)) = rest.split_first() {
            let escaped = if byte == b'%' { escape(after) } else { None };
            let plain = if byte == b'+' { b' ' } else { byte };
            let (decoded, after) = escaped.unwrap_or((plain, after));
            out.push(decoded);
            rest = after;
        }
        Cow::Owned(String::from_utf8_lossy(&out).into_owned())
    })
}

/// Reads the pairs of a send into its fields; object parameters hold JSON text.
///
/// # Errors
///
/// What is wrong with a pair.
pub(super) fn read<'a>(text: &'a [u8], fields: &mut Fields<'a>) -> Result<(), &'static str> {
    if memchr::memchr(b';', text).is_some() {
        return Err(ODD);
    }
    Pairs::of(text).try_for_each(|pair| pair.and_then(|(name, value)| read_parameter(&name, value, fields)))
}

/// Reads one parameter of a form, query or multipart body.
pub(super) fn read_parameter<'a>(
    name: &str,
    value: Cow<'a, str>,
    fields: &mut Fields<'a>,
) -> Result<(), &'static str> {
    match fields.open(name)? {
        Slot::Text(name) => fields.set_text(name, value),
        Slot::Recipient if value.starts_with('{') => {
            json::read_parameter(&value, &Slot::Ignored, fields)?;
            fields.recipient_is_object = true;
        }
        Slot::Recipient => fields.set_text(Name::Recipient, value),
        slot @ (Slot::Template | Slot::Interactive) => json::read_parameter(&value, &slot, fields)?,
        Slot::Ignored => {}
        Slot::Unknown => fields.unknown_object |= value.trim_start().starts_with('{'),
    }
    Ok(())
}

/// What some reader takes for the end of a pair.
pub(super) const SEPARATORS: &[u8] = b"&;";

/// The judged names among the parameters, in any spelling; for requests that are not read as sends.
pub(super) fn scan(text: &[u8], separators: &[u8], mut on: impl FnMut(&str, &str)) -> Seen {
    let mut seen = Seen::default();
    for (name, value) in loose(text, separators) {
        if let Some(judged) = Spelled::of(&name).name() {
            seen.insert(judged);
        }
        on(&name, &value);
    }
    seen
}

/// The pairs, decoded as far as can be.
fn loose<'t>(text: &'t [u8], separators: &[u8]) -> impl Iterator<Item = (Cow<'t, str>, Cow<'t, str>)> {
    text.split(|b| separators.contains(b)).filter(|part| !part.is_empty()).map(loose_pair)
}

/// One pair, decoded as far as can be.
pub(super) fn loose_pair(part: &[u8]) -> (Cow<'_, str>, Cow<'_, str>) {
    let equals = memchr::memchr(b'=', part).unwrap_or(part.len());
    let (name, value) = part.split_at_checked(equals).unwrap_or((part, &[]));
    (decode_lossy(name), decode_lossy(value.strip_prefix(b"=").unwrap_or(value)))
}
