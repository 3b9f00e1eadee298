//! Reading the head of an HTTP/1 request line by line: is it beyond doubt, and how is its body framed.
//!
//! Pure: sees bytes, never a socket. May be called with a growing prefix of one head; no byte of it is
//! looked at twice.

use memchr::memchr;

use super::fault::FramingFault as Fault;
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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    Http10,
    Http11,
}

impl Head {
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
            self.scanned = line_end + 1;
            self.line_start = self.scanned;
            check_size(self.scanned)?;
            let line = line.strip_suffix(b"\r").ok_or(Fault::LineEnd)?;
            if line.is_empty() {
                return Ok(Some((self.scanned, self.framing()?)));
            }
            self.line(line)?;
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

    fn line(&mut self, line: &[u8]) -> Result<(), Fault> {
        if self.version.is_some() {
            return self.field(line);
        }
        self.version = Some(request_line(line)?);
        Ok(())
    }

    fn field(&mut self, line: &[u8]) -> Result<(), Fault> {
        if matches!(line.first(), Some(b' ' | b'\t')) {
            return Err(Fault::Folded);
        }
        self.fields += 1;
        if self.fields > MAX_FIELDS {
            return Err(Fault::TooManyFields);
        }
        let (name, value) = split_at_byte(line, b':').ok_or(Fault::FieldName)?;
        if !rules::is_token(name) {
            return Err(Fault::FieldName);
        }
        if rules::has_control(value) {
            return Err(Fault::FieldValue);
        }
        self.known_field(name, rules::trim(value))
    }

    /// The fields that decide where the message ends, whom it is for, or what becomes of the connection.
    fn known_field(&mut self, name: &[u8], value: &[u8]) -> Result<(), Fault> {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        match name.len() {
            4 if is("host") => self.host(value),
            6 if is("expect") => {
                self.special = true;
                rules::expect(value)
            }
            7 if is("upgrade") => Err(Fault::Upgrade),
            7 if is("trailer") => Err(Fault::Trailer),
            10 if is("connection") => {
                self.special |= !value.eq_ignore_ascii_case(b"keep-alive");
                rules::connection(value)
            }
            14 if is("http2-settings") => Err(Fault::Upgrade),
            14 if is("content-length") => self.content_length(value),
            17 if is("transfer-encoding") => self.transfer_encoding(value),
            _ => Ok(()),
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

fn request_line(line: &[u8]) -> Result<Version, Fault> {
    let (method, rest) = split_at_byte(line, b' ').ok_or(Fault::RequestLine)?;
    // The target is everything up to the second space; a third one is then an impossible version.
    let (target, version) = split_at_byte(rest, b' ').ok_or(Fault::RequestLine)?;
    if target.is_empty() {
        return Err(Fault::RequestLine);
    }
    rules::method(method)?;
    rules::target(target)?;
    match version {
        b"HTTP/1.1" => Ok(Version::Http11),
        b"HTTP/1.0" => Ok(Version::Http10),
        _ => Err(Fault::Version),
    }
}

fn split_at_byte(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let position = memchr(at, bytes)?;
    Some((bytes.get(..position)?, bytes.get(position + 1..)?))
}
