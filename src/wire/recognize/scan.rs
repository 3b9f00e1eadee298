//! Looking through a write that is not a send edge: does it carry a batch, a recipient or content after all, or would it steer the provider?

use std::borrow::Cow;

use serde::de::{Error, MapAccess};

use super::content::Content;
use super::form;
use super::hidden;
use super::multipart;
use super::names::{Name, Seen, Spelled, holds, is_near};
use super::strict::{self, Entries, Object, Skip};
use super::walk::{Messages, Walk};

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// The judged names, in any spelling.
    pub(super) seen: Seen,
    /// Those that only a reader of forms would see, in a JSON body.
    pub(super) hidden: Seen,
    /// Whether one of the steering keys was there.
    pub(super) steers: bool,
    /// Whether a whole message lies deeper in a JSON body.
    pub(super) sends: bool,
}

const UNREADABLE: &str = "the body cannot be read with certainty, so it could hold a send; encode it as its Content-Type says, in UTF-8";

/// Looks through query and body.
///
/// # Errors
///
/// Why it cannot be told what the body holds.
pub(super) fn look(
    query: Option<&str>,
    content: &Content,
    body: &[u8],
    keys: &[&str],
) -> Result<Found, &'static str> {
    let in_query = pairs(query.unwrap_or_default().as_bytes(), keys);
    let in_body = match (content, shape(body)?) {
        (_, Shape::Empty) => Found::default(),
        (Content::Multipart(boundary), Shape::Dashes) => parts(body, boundary, keys)?,
        (Content::Json, Shape::Braces) => object(body, keys)?.with_hidden(hidden(body, keys))?,
        (Content::Form, Shape::Text) => pairs(body, keys),
        (Content::Other, Shape::Text) => lines(body, keys)?,
        // What `curl -d '{...}'` sends: neither reading may be a send.
        (Content::Form | Content::Other, Shape::Braces) => object(body, keys)?.and(pairs(body, keys)),
        (Content::Json | Content::Form | Content::Multipart(_) | Content::Other, _) => {
            return Err(UNREADABLE);
        }
    };
    Ok(in_query.and(in_body))
}

impl Found {
    /// Both together.
    fn and(mut self, other: Self) -> Self {
        self.seen.merge(other.seen);
        self.hidden.merge(other.hidden);
        Self { steers: self.steers || other.steers, sends: self.sends || other.sends, ..self }
    }

    /// Both together; the operations of a batch are forms, so only another batch or a key of the edge itself is hidden among them.
    fn with_hidden(self, hidden: Self) -> Result<Self, &'static str> {
        match (self.seen.has(Name::Batch), hidden.hidden.has(Name::Batch)) {
            (true, true) => Err(UNREADABLE),
            (true, false) => Ok(Self { steers: self.steers || hidden.steers, ..self }),
            (false, _) => Ok(self.and(hidden)),
        }
    }

    /// As a request is seen whose edge contacts nobody whatever it carries: only a batch hidden in it matters.
    pub(super) fn harmless(mut self) -> Self {
        if self.hidden.has(Name::Batch) {
            self.seen.insert(Name::Batch);
        }
        self
    }

    /// Whether all that could be content is a place, and nothing says that it is sent.
    pub(super) fn is_only_a_place(self) -> bool {
        let others = self.seen.without(Name::Location);
        let said = [Name::Type, Name::MessagingProduct, Name::RecipientType, Name::Batch];
        !others.has_payload() && !others.has_recipient() && !said.iter().any(|name| others.has(*name))
    }

    /// As everybody together sees it.
    pub(super) fn whole(mut self) -> Self {
        self.seen.merge(self.hidden);
        self
    }
}

/// What a body looks like, whatever it declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Nothing but white space.
    Empty,
    /// JSON.
    Braces,
    /// Multipart.
    Dashes,
    /// Anything else: a form, or bytes.
    Text,
}

/// Looks at the first bytes of a body.
///
/// # Errors
///
/// It is compressed, or text in another encoding than UTF-8.
pub(super) fn shape(body: &[u8]) -> Result<Shape, &'static str> {
    let trimmed = body.trim_ascii_start();
    Ok(match without_space(trimmed) {
        [] => Shape::Empty,
        // A comment and a single quote are where a loose reader of JSON may begin.
        [b'{' | b'[' | b'"' | b'/' | b'\'', ..] => Shape::Braces,
        [b'-', b'-', ..] => Shape::Dashes,
        // Compressed, or in another encoding of text.
        [0x1f, 0x8b, ..]
        | [0x78, 0x01 | 0x5e | 0x9c | 0xda, ..]
        | [0x28, 0xb5, 0x2f, 0xfd, ..]
        | [0xef, 0xbb, 0xbf, ..] => return Err(UNREADABLE),
        _ if trimmed.iter().take(8).any(|b| *b == 0 || *b >= 0xfe) => return Err(UNREADABLE),
        _ => Shape::Text,
    })
}

/// What a JSON body tells a reader of forms.
pub(super) fn hidden(body: &[u8], keys: &[&str]) -> Found {
    let mut steers = false;
    let seen = hidden::find(body, |name, value| steers |= is_steering(name, value, keys));
    Found { hidden: seen, steers, ..Found::default() }
}

/// What follows everything that some reader skips as space: control characters, and the spaces of other scripts.
pub(super) fn without_space(mut text: &[u8]) -> &[u8] {
    while let Some(c) = first_char(text).filter(|c| is_space(*c)) {
        text = text.get(c.len_utf8()..).unwrap_or_default();
    }
    text
}

fn first_char(text: &[u8]) -> Option<char> {
    let longest = text.get(..text.len().min(4))?;
    longest.utf8_chunks().next()?.valid().chars().next()
}

/// White space, control characters, and what is invisible; not the byte order mark.
fn is_space(c: char) -> bool {
    let is_invisible = matches!(c, '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}');
    is_invisible || c.is_whitespace() || c.is_control()
}

fn pairs(text: &[u8], keys: &[&str]) -> Found {
    split(text, form::SEPARATORS, keys)
}

/// A body of a kind that is not read by its own rules: every line of it may be a parameter to somebody (HTML's `text/plain` forms are), and nothing in it
/// may be a document or text of another encoding.
fn lines(body: &[u8], keys: &[&str]) -> Result<Found, &'static str> {
    let is_plain = |b: u8| !matches!(b, 0x00..=0x08 | 0x0b | 0x0c | 0x0e..=0x1f | 0x7f | b'{' | b'\\');
    if body.iter().copied().all(is_plain) && std::str::from_utf8(body).is_ok() {
        Ok(split(body, &[form::SEPARATORS, b"\r\n"].concat(), keys))
    } else {
        Err(UNREADABLE)
    }
}

fn split(text: &[u8], separators: &[u8], keys: &[&str]) -> Found {
    let mut steers = false;
    let seen = form::scan(text, separators, |name, value| steers |= is_steering(name, value, keys));
    Found { seen, steers, ..Found::default() }
}

fn parts(body: &[u8], boundary: &str, keys: &[&str]) -> Result<Found, &'static str> {
    let mut found = Found::default();
    for part in multipart::parts(body, boundary) {
        let part = part?;
        if let Some(judged) = Spelled::of(part.name).name() {
            found.seen.insert(judged);
        }
        found.steers |= is_steering(part.name, &String::from_utf8_lossy(part.value), keys);
    }
    Ok(found)
}

fn object(body: &[u8], keys: &[&str]) -> Result<Found, &'static str> {
    let mut found = Found::default();
    strict::whole(body, Object(Looking { found: &mut found, keys })).map_err(|()| UNREADABLE)?;
    Ok(found)
}

/// `calling.sip` matches `sip` inside `calling`, and text of `calling` that could hold it; `*member` matches every name that holds `member`.
pub(super) fn is_steering(name: &str, value: &str, keys: &[&str]) -> bool {
    keys.iter().any(|key| match key.split_once('.') {
        None => key.strip_prefix('*').map_or_else(|| is_near(name, key), |word| holds(name, word)),
        Some((outer, inner)) => {
            let holds = |text: &str| text.to_ascii_lowercase().contains(inner);
            is_near(name, outer) && (holds(value) || holds(name) || value.contains('\\'))
        }
    })
}

struct Looking<'f> {
    found: &'f mut Found,
    keys: &'f [&'f str],
}

impl<'de> Entries<'de> for Looking<'_> {
    fn entry<A: MapAccess<'de>>(&mut self, name: Cow<'de, str>, map: &mut A) -> Result<(), A::Error> {
        if let Some(judged) = Spelled::of(&name).name() {
            self.found.seen.insert(judged);
        }
        if self.keys.iter().any(|key| key.split_once('.').is_some_and(|(outer, _)| is_near(&name, outer))) {
            let value: &'de serde_json::value::RawValue = map.next_value()?;
            strict::whole(value.get().as_bytes(), Skip).map_err(|()| A::Error::custom(""))?;
            self.found.steers |= is_steering(&name, value.get(), self.keys);
            return Ok(());
        }
        self.found.steers |= is_steering(&name, "", self.keys);
        map.next_value_seed(Walk::<Messages>::noting(&mut self.found.sends))
    }
}
