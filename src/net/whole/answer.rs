//! An answer as it is written: its head, and how its body is delimited.

use std::error::Error;
use std::io::{self, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, HeaderMap, TRANSFER_ENCODING};
use http::response::Parts;
use http::{HeaderName, HeaderValue, StatusCode};
use http_body::Body;

/// How the body of an answer is delimited, and how much of it is still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// The status allows no body (RFC 9110, sections 15.3.5 and 15.4.5).
    Bodiless,
    /// By its length.
    Sized(u64),
    /// By chunks.
    Chunked,
    /// By chunks, and the last was written.
    Ended,
}

impl Length {
    pub(super) fn of(status: StatusCode, exact: Option<u64>) -> Self {
        match exact {
            _ if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) => Self::Bodiless,
            Some(length) => Self::Sized(length),
            None => Self::Chunked,
        }
    }

    /// Whether nothing more comes.
    pub(super) fn is_over(self) -> bool {
        matches!(self, Self::Bodiless | Self::Sized(0) | Self::Ended)
    }

    /// Makes way for the next piece of so many bytes, or for the end: writes what stands before it and says what stands behind it.
    ///
    /// # Errors
    /// The body is not as long as announced.
    pub(super) fn take(&mut self, piece: Option<usize>, before: &mut Vec<u8>) -> io::Result<&'static [u8]> {
        let odd = |what| Err(io::Error::new(io::ErrorKind::InvalidData, what));
        match (*self, piece) {
            (Self::Sized(left), Some(bytes)) => match left.checked_sub(bytes as u64) {
                Some(left) => {
                    *self = Self::Sized(left);
                    Ok(b"")
                }
                None => odd("the body of the answer is longer than announced"),
            },
            (Self::Sized(left), None) if left > 0 => odd("the body of the answer is shorter than announced"),
            (Self::Chunked, Some(bytes)) => {
                write!(before, "{bytes:x}\r\n")?;
                Ok(b"\r\n")
            }
            (Self::Chunked, None) => {
                *self = Self::Ended;
                Ok(b"0\r\n\r\n")
            }
            (Self::Bodiless | Self::Sized(_) | Self::Ended, _) => Ok(b""),
        }
    }
}

/// The next bytes of a body. Trailers are dropped, as those of requests are.
pub(super) fn poll_piece<B>(mut body: Pin<&mut B>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    loop {
        match ready!(body.as_mut().poll_frame(cx)) {
            None => return Poll::Ready(None),
            Some(Err(error)) => return Poll::Ready(Some(Err(io::Error::other(error)))),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(bytes) if !bytes.is_empty() => return Poll::Ready(Some(Ok(bytes))),
                Ok(_) | Err(_) => {}
            },
        }
    }
}

/// Whether whoever answers wants the connection to end: the only option that it names.
pub(super) fn closes(headers: &HeaderMap) -> bool {
    headers.contains_key(CONNECTION)
}

/// Writes a head over what stands there. The types of `http` let no line break into a name or a value.
pub(super) fn write_head(
    head: &mut Vec<u8>,
    parts: &Parts,
    (length, closing): (Length, bool),
    clock: &mut Clock,
) {
    head.clear();
    write_status(head, parts.status);
    let mut is_dated = false;
    for (name, value) in &parts.headers {
        if !is_ours(name, parts.status) {
            is_dated |= *name == DATE;
            write_field(head, name, value);
        }
    }
    if !is_dated {
        head.extend_from_slice(b"date: ");
        head.extend_from_slice(clock.date().as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    match length {
        Length::Sized(length) => {
            head.extend_from_slice(b"content-length: ");
            head.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
            head.extend_from_slice(b"\r\n");
        }
        Length::Chunked => head.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Length::Bodiless | Length::Ended => {}
    }
    head.extend_from_slice(if closing { b"connection: close\r\n\r\n".as_slice() } else { b"\r\n" });
}

/// What says how this connection goes on is written here. A `304` tells the length of what it does not send.
fn is_ours(name: &HeaderName, status: StatusCode) -> bool {
    *name == TRANSFER_ENCODING
        || *name == CONNECTION
        || (*name == CONTENT_LENGTH && status != StatusCode::NOT_MODIFIED)
}

fn write_status(head: &mut Vec<u8>, status: StatusCode) {
    head.extend_from_slice(b"HTTP/1.1 ");
    head.extend_from_slice(status.as_str().as_bytes());
    head.push(b' ');
    head.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    head.extend_from_slice(b"\r\n");
}

fn write_field(head: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    head.extend_from_slice(name.as_str().as_bytes());
    head.extend_from_slice(b": ");
    head.extend_from_slice(value.as_bytes());
    head.extend_from_slice(b"\r\n");
}

/// Tells the date as HTTP writes it (RFC 9110, section 5.6.7), written anew once a second.
#[derive(Debug, Default)]
pub(super) struct Clock {
    second: u64,
    date: String,
}

impl Clock {
    fn date(&mut self) -> &str {
        let now = SystemTime::now();
        let second = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        if second != self.second || self.date.is_empty() {
            self.date = httpdate::fmt_http_date(now);
            self.second = second;
        }
        &self.date
    }
}
