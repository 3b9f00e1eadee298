//! What can be wrong with the framing of a request.

use std::fmt;

/// Why a request was refused before it became one.
///
/// Names the rule and never quotes the caller's bytes, so it may be logged and counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FramingFault {
    /// The request line is not three parts separated by single spaces, or does not begin the message.
    RequestLine,
    /// The method is not an upper-case token, or is `CONNECT` or `TRACE`.
    Method,
    /// The target is not in origin-form, or holds a byte that no URI may hold.
    Target,
    /// The version is not exactly `HTTP/1.0` or `HTTP/1.1`.
    Version,
    /// A line of the head ends with a bare LF.
    LineEnd,
    /// A field line is folded.
    Folded,
    /// A field name is not a token directly followed by a colon.
    FieldName,
    /// A field value holds a control character.
    FieldValue,
    /// The head is larger than is read.
    HeadTooLarge,
    /// The head has more fields than are read.
    TooManyFields,
    /// `Host` (or `:authority`) is missing, repeated, contradictory or not a host.
    Host,
    /// `Content-Length` is repeated or not a plain number.
    ContentLength,
    /// `Transfer-Encoding` is repeated, not exactly `chunked`, or in a protocol that has none.
    TransferEncoding,
    /// Both `Content-Length` and `Transfer-Encoding` are present.
    TwoLengths,
    /// A field that only concerns one connection names more than we can honor.
    Connection,
    /// The caller wants to leave HTTP on this connection.
    Upgrade,
    /// `Expect` asks for something else than `100-continue`.
    Expect,
    /// The message carries or announces trailer fields.
    Trailer,
    /// A chunk does not begin with a plain hexadecimal size and CRLF.
    ChunkSize,
    /// A chunk is not followed by CRLF.
    ChunkEnd,
}

impl FramingFault {
    /// A stable word for metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RequestLine => "request_line",
            Self::Method => "method",
            Self::Target => "target",
            Self::Version => "version",
            Self::LineEnd => "line_end",
            Self::Folded => "folded_field",
            Self::FieldName => "field_name",
            Self::FieldValue => "field_value",
            Self::HeadTooLarge => "head_too_large",
            Self::TooManyFields => "too_many_fields",
            Self::Host => "host",
            Self::ContentLength => "content_length",
            Self::TransferEncoding => "transfer_encoding",
            Self::TwoLengths => "two_lengths",
            Self::Connection => "connection",
            Self::Upgrade => "upgrade",
            Self::Expect => "expect",
            Self::Trailer => "trailer",
            Self::ChunkSize => "chunk_size",
            Self::ChunkEnd => "chunk_end",
        }
    }
}

impl fmt::Display for FramingFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the framing of the request breaks a rule: {}", self.as_str())
    }
}

impl std::error::Error for FramingFault {}
