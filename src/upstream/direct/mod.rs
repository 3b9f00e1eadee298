//! A connection for requests whose bodies are in memory: written and read by whoever waits for the answer.
//!
//! Such a request needs no stream of frames, no channel and no task of its own: its head and body leave in one write, and its answer is read where it is
//! waited for. What streams goes over a [`Link`](super::link::Link). Speaks HTTP/1.1 (RFC 9112) and nothing else.

mod answer;
mod request;

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http::{Method, Response};
use tokio::io::{AsyncReadExt, AsyncWrite};

use super::pool::Waits;
use super::stream::Stream;
use crate::net::Patience;
use answer::Head;

pub(super) use answer::Framing;

/// Bounds the head of an answer.
const MAX_HEAD: usize = 64 * 1024;

/// How much is read at once.
const READ_BYTES: usize = 4 * 1024;

/// A body that is as short as this with its head is copied behind it: that costs less than a second piece costs the kernel (0.03 us against 0.23 us here).
const COPIED: usize = 2 * 1024;

/// A longer head is not kept for the next request to be written over.
const KEPT_HEAD: usize = 16 * 1024;

/// A connection.
pub(super) struct Line {
    stream: Stream,
    /// What came and was not given on yet.
    read: BytesMut,
    /// The head of the request on its way.
    head: Vec<u8>,
    patience: Patience,
}

/// An answer without its body.
pub(super) struct Begun {
    pub(super) response: Response<()>,
    /// How its body ends.
    pub(super) framing: Framing,
    /// Whether the connection may be used again when it has.
    pub(super) keeps: bool,
}

impl Line {
    pub(super) fn new(stream: Stream) -> Self {
        Self { stream, read: BytesMut::new(), head: Vec::new(), patience: Patience::default() }
    }

    /// Writes a request and waits for the head of its answer.
    ///
    /// # Cancel safety
    /// Dropped, the request may have been written in part: drop the connection with it.
    ///
    /// # Errors
    /// The connection broke, what came is no answer, or nothing moved for so long (`TimedOut`). Some of the request may have been written.
    pub(super) async fn exchange(
        &mut self,
        parts: &Parts,
        body: Option<&Bytes>,
        longest: Duration,
    ) -> io::Result<Begun> {
        request::write_head(&mut self.head, parts, body.map_or(0, Bytes::len));
        self.patience.restart();
        let body = match body {
            Some(body) if self.head.len() + body.len() > COPIED => &body[..],
            Some(body) => {
                self.head.extend_from_slice(body);
                &[]
            }
            None => &[],
        };
        let mut sending = Sending { written: 0, flushed: false, broken: None, answered: None };
        let begun =
            std::future::poll_fn(|cx| self.poll_exchange(cx, (body, &mut sending), (&parts.method, longest)));
        let begun = begun.await;
        if self.head.capacity() > KEPT_HEAD {
            self.head = Vec::new();
        }
        begun
    }

    fn poll_exchange(
        &mut self,
        cx: &mut Context<'_>,
        (body, sending): (&[u8], &mut Sending),
        (method, longest): (&Method, Duration),
    ) -> Poll<io::Result<Begun>> {
        if !sending.is_over() {
            self.poll_send(cx, body, sending);
        }
        if sending.answered.is_none() {
            match self.poll_head(cx, method) {
                Poll::Ready(Ok(begun)) => sending.answered = Some(begun),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(sending.broken.take().unwrap_or(error))),
                Poll::Pending => {}
            }
        }
        // A provider may answer before it has read everything. One that takes the request may still need the rest of it.
        let over = sending.is_over();
        if let Some(mut begun) =
            sending.answered.take_if(|begun| over || !begun.response.status().is_success())
        {
            begun.keeps &= sending.flushed;
            return Poll::Ready(Ok(begun));
        }
        ready!(self.patience.poll_exhausted(cx, longest));
        let late = || io::Error::new(io::ErrorKind::TimedOut, LATE);
        Poll::Ready(sending.answered.take().map(|begun| Begun { keeps: false, ..begun }).ok_or_else(late))
    }

    /// Writes on as far as it goes. What breaks is kept: there may be an answer all the same.
    fn poll_send(&mut self, cx: &mut Context<'_>, body: &[u8], sending: &mut Sending) {
        match self.poll_write(cx, body, sending) {
            Poll::Ready(Ok(())) => sending.flushed = true,
            Poll::Ready(Err(error)) => sending.broken = Some(error),
            Poll::Pending => {}
        }
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        body: &[u8],
        sending: &mut Sending,
    ) -> Poll<io::Result<()>> {
        let head = self.head.as_slice();
        while sending.written < head.len() + body.len() {
            let head_left = head.get(sending.written..).unwrap_or_default();
            let body_left = body.get(sending.written.saturating_sub(head.len())..).unwrap_or_default();
            let stream = Pin::new(&mut self.stream);
            let written = match (head_left, body_left) {
                (only, []) | ([], only) => stream.poll_write(cx, only),
                (head, body) => stream.poll_write_vectored(cx, &[IoSlice::new(head), IoSlice::new(body)]),
            };
            let written = ready!(written)?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            sending.written += written;
            // The clock runs only while nothing moves.
            self.patience.restart();
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_head(&mut self, cx: &mut Context<'_>, method: &Method) -> Poll<io::Result<Begun>> {
        loop {
            while !self.read.is_empty() {
                match answer::read_head(&mut self.read, method)? {
                    Head::Final(begun) => return Poll::Ready(Ok(begun)),
                    Head::Interim => {}
                    Head::Unfinished if self.read.len() > MAX_HEAD => {
                        return Poll::Ready(Err(answer::broken(
                            "the head of the provider's answer is above 64 KiB",
                        )));
                    }
                    Head::Unfinished => break,
                }
            }
            if ready!(self.poll_fill(cx))? == 0 {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, NO_ANSWER)));
            }
        }
    }

    /// Reads more; 0 at the end of the stream.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.read.capacity() - self.read.len() < READ_BYTES / 4 {
            self.read.reserve(READ_BYTES);
        }
        pin!(self.stream.read_buf(&mut self.read)).poll(cx)
    }

    /// The next piece of a body; `None` at its end.
    pub(super) fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        framing: &mut Framing,
    ) -> Poll<Option<io::Result<Bytes>>> {
        loop {
            match framing.next(&mut self.read) {
                Ok(answer::Piece::Bytes(bytes)) => return Poll::Ready(Some(Ok(bytes))),
                Ok(answer::Piece::End) => return Poll::Ready(None),
                Ok(answer::Piece::More) => {}
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
            match ready!(self.poll_fill(cx)) {
                Ok(0) => return Poll::Ready(framing.closed().err().map(Err)),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
    }
}

impl Waits for Line {
    /// An unused connection on which something comes was closed, or speaks out of turn.
    fn is_ready(&mut self) -> bool {
        self.read.is_empty() && self.stream.is_silent()
    }
}

/// How much of a request has left.
struct Sending {
    written: usize,
    flushed: bool,
    broken: Option<io::Error>,
    /// An answer that came meanwhile.
    answered: Option<Begun>,
}

impl Sending {
    fn is_over(&self) -> bool {
        self.flushed || self.broken.is_some()
    }
}

const LATE: &str = "the provider did not answer within [upstream] response_timeout_ms";

const NO_ANSWER: &str = "the provider closed the connection without an answer";

#[cfg(test)]
mod tests;
