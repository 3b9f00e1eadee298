//! What the upstream does with a request.

use std::time::Duration;

/// What the server does with a request: when it acts, what it writes, what it does then.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(super) when: When,
    pub(super) delay: Duration,
    pub(super) held: bool,
    pub(super) bytes: Vec<u8>,
    /// How many bytes of `filler` follow.
    pub(super) fill: u64,
    pub(super) then: Then,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// As soon as the head is in.
    Head,
    /// When the whole request is in.
    Request,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    KeepAlive,
    Close,
    Reset,
    /// Keeps the connection open and writes nothing more.
    Hang,
}

impl Answer {
    /// A whole response with a JSON body.
    pub(crate) fn json(status: u16, body: &str) -> Self {
        let length = body.len();
        Self::raw(format!(
            "HTTP/1.1 {status} Answer\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
    }

    /// Exactly these bytes, which must be a whole response.
    pub(crate) fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            when: When::Request,
            delay: Duration::ZERO,
            held: false,
            bytes: bytes.into(),
            fill: 0,
            then: Then::KeepAlive,
        }
    }

    /// What Meta answers to a send.
    pub(crate) fn sent() -> Self {
        Self::json(
            200,
            r#"{"messaging_product":"whatsapp","contacts":[{"input":"15550000001","wa_id":"15550000001"}],"messages":[{"id":"wamid.TEST"}]}"#,
        )
    }

    /// A sized response whose body is `length` bytes of [`filler`], written as fast as it is read.
    pub(crate) fn stream(length: u64) -> Self {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {length}\r\n\r\n"
        );
        Self { fill: length, ..Self::raw(head) }
    }

    /// Nothing, ever, on an open connection.
    pub(crate) fn silent() -> Self {
        Self { then: Then::Hang, ..Self::raw("") }
    }

    /// FIN instead of an answer.
    pub(crate) fn close() -> Self {
        Self { then: Then::Close, ..Self::raw("") }
    }

    /// RST instead of an answer.
    pub(crate) fn reset() -> Self {
        Self { then: Then::Reset, ..Self::raw("") }
    }

    /// Only the first `count` bytes of this answer, then what [`Answer::then_close`], [`Answer::then_reset`] or
    /// [`Answer::then_hang`] say (FIN unless told).
    pub(crate) fn cut_after(mut self, count: usize) -> Self {
        self.bytes.truncate(count);
        Self { fill: 0, then: Then::Close, ..self }
    }

    pub(crate) fn then_close(self) -> Self {
        Self { then: Then::Close, ..self }
    }

    pub(crate) fn then_reset(self) -> Self {
        Self { then: Then::Reset, ..self }
    }

    pub(crate) fn then_hang(self) -> Self {
        Self { then: Then::Hang, ..self }
    }

    /// The same, some time later.
    pub(crate) fn after(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    /// The same, once the test calls [`release`](super::Upstream::release).
    pub(crate) fn held(self) -> Self {
        Self { held: true, ..self }
    }

    /// The same, as soon as the head is in and without reading the body first.
    pub(crate) fn at_head(self) -> Self {
        Self { when: When::Head, ..self }
    }
}

/// The `at`-th byte of every generated body: it never repeats at a power of two, so shifted pieces are noticed.
pub(crate) fn filler(at: u64) -> u8 {
    u8::try_from(at % 251).unwrap_or_default()
}
