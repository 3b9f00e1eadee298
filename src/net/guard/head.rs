//! Reading the head of an HTTP/1 request line by line: is it beyond doubt, and how is its body framed.
//!
//! Pure: sees bytes, never a socket. May be called with a growing prefix of one head; no byte of it is
//! looked at twice. Whoever makes a request of the head is told where its parts are, so as not to look for them again.

use std::ops::Range;

use memchr::memchr;

use super::fault::FramingFault as Fault;
use super::name::Known;
use super::rules;

/// The longest head that is read, request line and blank line included.
pub(super) const MAX_HEAD_BYTES: usize = 16 * 1024;
/// The most field lines that are read; hyper's own limit is the same.
const MAX_FIELDS: usize = 100;

/// How the body that follows a head is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::net) enum Framing {
    /// By its length, zero when the head names none.
    Sized(u64),
    /// By chunks.
    Chunked,
}

/// The part of one head that has been read so far.
#[derive(Debug, Default)]
pub(in crate::net) struct Head {
    scanned: usize,
    line_start: usize,
    version: Option<Version>,
    fields: usize,
    has_host: bool,
    length: Option<u64>,
    chunked: bool,
    special: bool,
    noted: Option<Box<Noted>>,
}

/// Where the parts of a head are that was read.
#[derive(Debug, Default)]
pub(in crate::net) struct Noted {
    /// Of the request line: the method, and the target behind it.
    pub(in crate::net) method: Range<usize>,
    pub(in crate::net) target: Range<usize>,
    /// In the order of their lines.
    pub(in crate::net) fields: Vec<Field>,
}

/// Where one field is.
#[derive(Clone, Copy, Debug)]
pub(in crate::net) struct Field {
    /// Which one it is, if it is known; its name is then spelled in any letter case.
    pub(in crate::net) known: Option<Known>,
    name: Part,
    value: Part,
}

/// A part of a head, which is short.
#[derive(Clone, Copy, Debug)]
struct Part {
    start: u16,
    end: u16,
}

const _: () = assert!(MAX_HEAD_BYTES <= u16::MAX as usize, "parts of a head are told in 16 bits");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    Http10,
    Http11,
}

impl Field {
    /// Its name.
    pub(in crate::net) fn name(&self) -> Range<usize> {
        self.name.range()
    }

    /// Its value without the white space around it.
    pub(in crate::net) fn value(&self) -> Range<usize> {
        self.value.range()
    }
}

impl Part {
    fn new(start: usize, length: usize) -> Self {
        let short = |place| u16::try_from(place).unwrap_or(u16::MAX);
        Self { start: short(start), end: short(start + length) }
    }

    fn range(self) -> Range<usize> {
        usize::from(self.start)..usize::from(self.end)
    }
}

impl Head {
    /// One whose parts are noted.
    pub(in crate::net) fn noting() -> Self {
        Self { noted: Some(Box::default()), ..Self::default() }
    }

    /// Begins with the next head.
    pub(in crate::net) fn restart(&mut self) {
        let mut noted = self.noted.take();
        if let Some(noted) = &mut noted {
            noted.fields.clear();
        }
        *self = Self { noted, ..Self::default() };
    }

    /// Where the parts of the head are, if they are noted.
    pub(in crate::net) fn noted(&self) -> Option<&Noted> {
        self.noted.as_deref()
    }

    /// Reads on in `bytes`, which begin where the head begins; at its end says how many bytes it has and how
    /// the body is framed.
    pub(in crate::net) fn read(&mut self, bytes: &[u8]) -> Result<Option<(usize, Framing)>, Fault> {
        // Something that is no HTTP at all (a TLS hello, a blank line) need not wait for a line end.
        if bytes.first().is_some_and(|first| !first.is_ascii_uppercase()) {
            return Err(Fault::RequestLine);
        }
        while let Some(at) = memchr(b'\n', bytes.get(self.scanned..).unwrap_or_default()) {
            let line_end = self.scanned + at;
            let line = bytes.get(self.line_start..line_end).unwrap_or_default();
            let start = self.line_start;
            self.scanned = line_end + 1;
            self.line_start = self.scanned;
            check_size(self.scanned)?;
            let line = line.strip_suffix(b"\r").ok_or(Fault::LineEnd)?;
            if line.is_empty() {
                return Ok(Some((self.scanned, self.framing()?)));
            }
            if self.version.is_some() {
                self.field(line, start)?;
            } else {
                self.request_line(line, start)?;
            }
        }
        self.scanned = bytes.len();
        check_size(self.scanned)?;
        Ok(None)
    }

    /// Whether it asks for nothing but an answer: HTTP/1.1, no expectation, and a connection that goes on.
    pub(in crate::net) fn is_plain(&self) -> bool {
        !self.special && self.version == Some(Version::Http11)
    }

    fn framing(&self) -> Result<Framing, Fault> {
        let version = self.version.ok_or(Fault::RequestLine)?;
        if !self.has_host {
            return Err(Fault::Host);
        }
        match (self.chunked, self.length) {
            (true, Some(_)) => Err(Fault::TwoLengths),
            (true, None) if version == Version::Http10 => Err(Fault::TransferEncoding),
            (true, None) => Ok(Framing::Chunked),
            (false, length) => Ok(Framing::Sized(length.unwrap_or(0))),
        }
    }

    fn request_line(&mut self, line: &[u8], start: usize) -> Result<(), Fault> {
        let (method, target, version) = request_line(line)?;
        self.version = Some(version);
        if let Some(noted) = &mut self.noted {
            noted.method = start..start + method;
            noted.target = start + method + 1..start + method + 1 + target;
        }
        Ok(())
    }

    fn field(&mut self, line: &[u8], start: usize) -> Result<(), Fault> {
        if matches!(line.first(), Some(b' ' | b'\t')) {
            return Err(Fault::Folded);
        }
        self.fields += 1;
        if self.fields > MAX_FIELDS {
            return Err(Fault::TooManyFields);
        }
        let colon = memchr(b':', line).ok_or(Fault::FieldName)?;
        let (name, value) =
            (line.get(..colon).unwrap_or_default(), line.get(colon + 1..).unwrap_or_default());
        let known = Known::of(name);
        if known.is_none() && !rules::is_token(name) {
            return Err(Fault::FieldName);
        }
        if rules::has_control(value) {
            return Err(Fault::FieldValue);
        }
        let from_value = rules::trim_start(value);
        let value_start = start + line.len() - from_value.len();
        let value = rules::trim(from_value);
        if let Some(noted) = &mut self.noted {
            let (name, value) = (Part::new(start, colon), Part::new(value_start, value.len()));
            noted.fields.push(Field { known, name, value });
        }
        known.map_or(Ok(()), |known| self.known_field(known, value))
    }

    /// The fields that decide where the message ends, whom it is for, or what becomes of the connection.
    fn known_field(&mut self, known: Known, value: &[u8]) -> Result<(), Fault> {
        match known {
            Known::Host => self.host(value),
            Known::Expect => {
                self.special = true;
                rules::expect(value)
            }
            Known::Upgrade | Known::Http2Settings => Err(Fault::Upgrade),
            Known::Trailer => Err(Fault::Trailer),
            Known::Connection => {
                self.special |= !value.eq_ignore_ascii_case(b"keep-alive");
                rules::connection(value)
            }
            Known::ContentLength => self.content_length(value),
            Known::TransferEncoding => self.transfer_encoding(value),
            Known::Accept
            | Known::AcceptEncoding
            | Known::Authorization
            | Known::ContentType
            | Known::UserAgent => Ok(()),
        }
    }

    fn host(&mut self, value: &[u8]) -> Result<(), Fault> {
        if self.has_host || !rules::is_host(value) {
            return Err(Fault::Host);
        }
        self.has_host = true;
        Ok(())
    }

    fn content_length(&mut self, value: &[u8]) -> Result<(), Fault> {
        let length = rules::length(value).ok_or(Fault::ContentLength)?;
        match self.length.replace(length) {
            Some(_) => Err(Fault::ContentLength),
            None => Ok(()),
        }
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Fault> {
        if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Fault::TransferEncoding);
        }
        self.chunked = true;
        Ok(())
    }
}

fn check_size(bytes: usize) -> Result<(), Fault> {
    if bytes > MAX_HEAD_BYTES { Err(Fault::HeadTooLarge) } else { Ok(()) }
}

/// How long method and target are, and the version.
fn request_line(line: &[u8]) -> Result<(usize, usize, Version), Fault> {
    let usual = line.strip_prefix(b"POST ").and_then(|rest| rest.strip_suffix(b" HTTP/1.1"));
    // A target that holds a space is none.
    if let Some(target) = usual
        && rules::target(target).is_ok()
    {
        return Ok((4, target.len(), Version::Http11));
    }
    let (method, rest) = split_at_byte(line, b' ').ok_or(Fault::RequestLine)?;
    // The target is everything up to the second space; a third one is then an impossible version.
    let (target, version) = split_at_byte(rest, b' ').ok_or(Fault::RequestLine)?;
    if target.is_empty() {
        return Err(Fault::RequestLine);
    }
    rules::method(method)?;
    rules::target(target)?;
    let version = match version {
        b"HTTP/1.1" => Version::Http11,
        b"HTTP/1.0" => Version::Http10,
        _ => return Err(Fault::Version),
    };
    Ok((method.len(), target.len(), version))
}

fn split_at_byte(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let position = memchr(at, bytes)?;
    Some((bytes.get(..position)?, bytes.get(position + 1..)?))
}
