//! An answer: its head, and where its body ends (RFC 9112, section 6.3).

use std::io;
use std::mem::MaybeUninit;
use std::sync::LazyLock;

use bytes::{Buf, Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use memchr::memmem::Finder;

use super::Begun;

/// More fields than any answer has.
const MAX_FIELDS: usize = 100;

/// How long the line before a chunk, or all trailers together, may be.
const MAX_LINE: usize = 4 * 1024;

/// What stands at the start of what was read.
pub(super) enum Head {
    /// No whole head yet.
    Unfinished,
    /// One that announces another (1xx); it is gone.
    Interim,
    /// The answer's own; it is gone.
    Final(Begun),
}

/// Takes a head off what was read.
///
/// # Errors
/// It is none that has one reading.
pub(super) fn read_head(read: &mut BytesMut, method: &Method) -> io::Result<Head> {
    let Some(end) = HEAD_END.find(read) else { return Ok(Head::Unfinished) };
    let text = read.split_to(end + HEAD_END.needle().len()).freeze();
    let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut head = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    match config.parse_response_with_uninit_headers(&mut head, &text, &mut fields) {
        Ok(httparse::Status::Complete(length)) if length == text.len() => {}
        Ok(_) | Err(_) => return Err(broken("what the provider sent is no HTTP/1.1 answer")),
    }
    let status = status(&head)?;
    if status.is_informational() {
        return Ok(Head::Interim);
    }
    let (headers, connection) = fields_of(&text, head.headers)?;
    let framing = Framing::of(&headers, &connection, (method, status))?;
    let keeps = head.version == Some(1) && framing != Framing::UntilClosed && !connection.closes;
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(Head::Final(Begun { response, framing, keeps }))
}

/// Every head ends in an empty line. One whose lines end otherwise is waited for in vain.
static HEAD_END: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\r\n\r\n"));

fn status(head: &httparse::Response<'_, '_>) -> io::Result<StatusCode> {
    let status = head.code.and_then(|code| StatusCode::from_u16(code).ok());
    match status {
        Some(StatusCode::SWITCHING_PROTOCOLS) => {
            Err(broken("the provider changed the protocol, which nobody asked for"))
        }
        Some(status) => Ok(status),
        None => Err(broken("the provider's answer has no status")),
    }
}

/// What a head says of its connection.
#[derive(Default)]
struct Connection {
    /// It ends with this answer.
    closes: bool,
    /// The body is encoded for transfer; whether it is chunked last.
    encoded: Option<bool>,
}

impl Connection {
    /// Notes a field that concerns nobody beyond; `false` for any other.
    fn takes(&mut self, name: &HeaderName, value: &[u8]) -> bool {
        let mut options = value.split(|b| *b == b',').map(<[u8]>::trim_ascii);
        if *name == TRANSFER_ENCODING {
            self.encoded =
                Some(options.next_back().is_some_and(|coding| coding.eq_ignore_ascii_case(b"chunked")));
            return true;
        }
        // One that names other fields stays until they are dropped with it.
        let is_plain =
            |option: &[u8]| [&b"close"[..], b"keep-alive"].iter().any(|o| option.eq_ignore_ascii_case(o));
        if *name == CONNECTION {
            self.closes |= options.clone().any(|option| option.eq_ignore_ascii_case(b"close"));
            return options.all(is_plain);
        }
        false
    }
}

/// The fields of a head, without those of its connection; their values are parts of it, not copies.
fn fields_of(head: &Bytes, fields: &[httparse::Header<'_>]) -> io::Result<(HeaderMap, Connection)> {
    let odd = || broken("a header field of the provider's answer cannot be read");
    let mut connection = Connection::default();
    // Two are added on the way to the caller.
    let mut headers = HeaderMap::with_capacity(fields.len() + 2);
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| odd())?;
        if !connection.takes(&name, field.value) {
            let value = HeaderValue::from_maybe_shared(head.slice_ref(field.value)).map_err(|_| odd())?;
            headers.append(name, value);
        }
    }
    // Beside an encoding it is no length (RFC 9112, section 6.3).
    if connection.encoded.is_some() {
        headers.remove(CONTENT_LENGTH);
    }
    Ok((headers, connection))
}

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::upstream) enum Framing {
    /// After so many more bytes; there may be none.
    Sized(u64),
    /// With its last chunk.
    Chunked(Chunk),
    /// With its connection.
    UntilClosed,
}

/// Where in a chunked body the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::upstream) enum Chunk {
    /// At the line that tells a chunk's size.
    Size,
    /// In a chunk of which so many bytes are left.
    Data(u64),
    /// At the line break behind one.
    Break,
    /// In the trailers, of which so many bytes have passed.
    Trailers(usize),
    /// Behind the last.
    End,
}

/// What comes next of a body.
pub(super) enum Piece {
    /// These bytes.
    Bytes(Bytes),
    /// What has not arrived yet.
    More,
    /// Nothing.
    End,
}

impl Framing {
    fn of(
        headers: &HeaderMap,
        connection: &Connection,
        (method, status): (&Method, StatusCode),
    ) -> io::Result<Self> {
        if *method == Method::HEAD || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
            return Ok(Self::Sized(0));
        }
        match connection.encoded {
            Some(true) => return Ok(Self::Chunked(Chunk::Size)),
            Some(false) => return Ok(Self::UntilClosed),
            None => {}
        }
        let mut lengths = headers.get_all(CONTENT_LENGTH).iter().map(length);
        let Some(first) = lengths.next() else { return Ok(Self::UntilClosed) };
        match first {
            Some(length) if lengths.all(|other| other == first) => Ok(Self::Sized(length)),
            Some(_) | None => Err(broken("the length of the provider's answer cannot be read")),
        }
    }

    /// Whether nothing more comes.
    pub(in crate::upstream) fn is_over(self) -> bool {
        matches!(self, Self::Sized(0) | Self::Chunked(Chunk::End))
    }

    /// How many bytes come, where that was announced.
    pub(in crate::upstream) fn left(self) -> Option<u64> {
        match self {
            Self::Sized(left) => Some(left),
            Self::Chunked(Chunk::End) => Some(0),
            Self::Chunked(_) | Self::UntilClosed => None,
        }
    }

    /// Takes the next piece off what was read.
    pub(super) fn next(&mut self, read: &mut BytesMut) -> io::Result<Piece> {
        match self {
            Self::Sized(0) => Ok(Piece::End),
            Self::UntilClosed if read.is_empty() => Ok(Piece::More),
            Self::UntilClosed => Ok(Piece::Bytes(read.split().freeze())),
            Self::Sized(left) => Ok(take(read, left)),
            Self::Chunked(chunk) => chunk.next(read),
        }
    }

    /// Whether a body may end where its connection does.
    pub(super) fn closed(&mut self) -> io::Result<()> {
        match self {
            Self::UntilClosed => {
                *self = Self::Sized(0);
                Ok(())
            }
            Self::Sized(_) | Self::Chunked(_) => {
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the provider's answer broke off"))
            }
        }
    }
}

impl Chunk {
    fn next(&mut self, read: &mut BytesMut) -> io::Result<Piece> {
        loop {
            let (used, then) = match self {
                Self::Data(left) => {
                    let piece = take(read, left);
                    if *left == 0 {
                        *self = Self::Break;
                    }
                    return Ok(piece);
                }
                Self::End => return Ok(Piece::End),
                Self::Size => match httparse::parse_chunk_size(read) {
                    Ok(httparse::Status::Complete((used, 0))) => (used, Self::Trailers(0)),
                    Ok(httparse::Status::Complete((used, size))) => (used, Self::Data(size)),
                    Ok(httparse::Status::Partial) => return unfinished(read.len()),
                    Err(httparse::InvalidChunkSize) => return Err(broken(ODD_CHUNK)),
                },
                Self::Break => match read.as_ref() {
                    [b'\r', b'\n', ..] => (2, Self::Size),
                    [] | [b'\r'] => return Ok(Piece::More),
                    [..] => return Err(broken(ODD_CHUNK)),
                },
                // They are dropped, as those of requests are.
                Self::Trailers(passed) => match memchr::memchr(b'\n', read) {
                    None => return unfinished(read.len() + *passed),
                    Some(end) if read.get(..end).unwrap_or_default().trim_ascii().is_empty() => {
                        (end + 1, Self::End)
                    }
                    Some(end) if *passed + end < MAX_LINE => (end + 1, Self::Trailers(*passed + end + 1)),
                    Some(_) => return Err(broken(ODD_CHUNK)),
                },
            };
            read.advance(used);
            *self = then;
        }
    }
}

/// As much as has arrived of so many bytes.
fn take(read: &mut BytesMut, left: &mut u64) -> Piece {
    if read.is_empty() {
        return Piece::More;
    }
    let bytes = usize::try_from(*left).map_or(read.len(), |left| left.min(read.len()));
    *left -= bytes as u64;
    Piece::Bytes(read.split_to(bytes).freeze())
}

fn unfinished(length: usize) -> io::Result<Piece> {
    if length > MAX_LINE { Err(broken(ODD_CHUNK)) } else { Ok(Piece::More) }
}

/// A length is digits and nothing else.
fn length(value: &HeaderValue) -> Option<u64> {
    let text = value.to_str().ok()?;
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

pub(super) fn broken(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

const ODD_CHUNK: &str = "a chunk of the provider's answer cannot be read";
