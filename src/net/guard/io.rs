//! The guard as a stream: reads from the socket, passes on what was checked, holds back what is not whole yet.

use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::fault::FramingFault;
use super::messages::{Messages, Reading};
use crate::net::patience::Patience;

/// What hyper is fed in place of a fault. NUL is allowed nowhere in a head or in a chunk line, so hyper
/// refuses at this byte; the blank line makes sure that it looks.
const POISON: &[u8] = b"\0\r\n\r\n";
/// How much is read at once while a head is incomplete.
const HELD_READ_BYTES: usize = 4096;
/// How long, and for how many bytes, a refused caller is listened to so that it can read its answer: closing a
/// socket with unread bytes resets the connection and may take the answer with it.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 1024 * 1024;

/// How long a caller may be silent.
#[derive(Clone, Copy, Debug)]
pub struct GuardPatience {
    /// Between two requests.
    pub idle: Duration,
    /// From the first byte of a head to its last.
    pub head: Duration,
    /// Between two bytes of a body that is waited for, and between two bytes of an answer that it takes.
    pub body: Duration,
}

impl Default for GuardPatience {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { idle: seconds(75), head: seconds(10), body: seconds(60) }
    }
}

/// A stream that passes on only HTTP/1 requests with one possible reading.
///
/// In the common case (a whole head in one read, a sized body) bytes go from the socket straight into the
/// reader's buffer and are looked at there. Only an incomplete head or chunk line is copied aside.
/// A caller that is silent for too long is treated as one that has left.
#[derive(Debug)]
pub struct GuardedIo<S> {
    io: S,
    messages: Messages,
    /// Bytes from the socket which the reader has not got: first `ready` checked ones, then an incomplete unit.
    held: BytesMut,
    ready: usize,
    fault: Arc<OnceLock<FramingFault>>,
    limits: GuardPatience,
    patience: Patience,
    writing: Patience,
    linger: Option<usize>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> GuardedIo<S> {
    /// Guards a stream.
    pub fn new(io: S, limits: GuardPatience) -> Self {
        Self {
            io,
            messages: Messages::new(),
            held: BytesMut::new(),
            ready: 0,
            fault: Arc::default(),
            limits,
            patience: Patience::default(),
            writing: Patience::default(),
            linger: None,
        }
    }

    /// Guards the rest of a stream, which begins with bytes that were read already and with a wait that has begun.
    pub(in crate::net) fn resumed(
        io: S,
        limits: GuardPatience,
        (held, patience): (BytesMut, Patience),
    ) -> Self {
        let mut this = Self { held, patience, ..Self::new(io, limits) };
        let reading = this.look();
        this.note_progress(reading.passed > 0);
        this
    }

    /// Where the fault will stand that ends this connection, for whoever outlives the stream.
    pub fn fault(&self) -> Arc<OnceLock<FramingFault>> {
        Arc::clone(&self.fault)
    }

    /// Reads into the reader's own buffer and leaves there what may be passed; says how much that is, `None`
    /// at the end of the stream.
    fn poll_direct(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<Option<usize>>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        let fresh = buf.filled().get(before..).unwrap_or_default();
        if fresh.is_empty() {
            return Poll::Ready(Ok(None));
        }
        let reading = self.messages.read(fresh);
        if reading.fault.is_none() {
            self.held.extend_from_slice(fresh.get(reading.passed..).unwrap_or_default());
        }
        buf.set_filled(before + reading.passed);
        self.poison_if_faulty(&reading);
        self.note_progress(reading.passed > 0 || !self.held.is_empty());
        Poll::Ready(Ok(Some(reading.passed)))
    }

    /// Reads behind an incomplete unit; whatever may be passed then is `ready`. `None` at the end of the stream.
    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<usize>>> {
        self.held.reserve(HELD_READ_BYTES);
        if ready!(pin!(self.io.read_buf(&mut self.held)).poll(cx))? == 0 {
            return Poll::Ready(Ok(None));
        }
        let reading = self.look();
        // More bytes of the same head do not prolong its deadline, or a byte a second would hold us for hours.
        self.note_progress(reading.passed > 0);
        Poll::Ready(Ok(Some(0)))
    }

    /// Reads in what is held, as far as it goes.
    fn look(&mut self) -> Reading {
        let reading = self.messages.read(&self.held);
        self.ready = reading.passed;
        if reading.fault.is_some() {
            self.held.truncate(reading.passed);
        }
        self.poison_if_faulty(&reading);
        reading
    }

    fn poison_if_faulty(&mut self, reading: &Reading) {
        if let Some(fault) = reading.fault {
            // Only the first fault of a connection is ever found.
            let _first = self.fault.set(fault);
            self.held.extend_from_slice(POISON);
            self.ready = self.held.len();
        }
    }

    fn note_progress(&mut self, progress: bool) {
        if progress {
            self.patience.restart();
        }
    }

    /// Keeps time of a write: an answer that the caller does not take must not be held for it forever.
    fn watch_write(
        &mut self,
        cx: &mut Context<'_>,
        write: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if write.is_pending() {
            let silent = self.writing.poll_exhausted(cx, self.limits.body);
            return silent.map(|()| Err(io::ErrorKind::TimedOut.into()));
        }
        self.writing.restart();
        // Nobody is waited for while an answer is written, but a head that has begun keeps its deadline.
        self.note_progress(self.held.is_empty());
        write
    }

    fn give_ready(&mut self, buf: &mut ReadBuf<'_>) {
        let bytes = self.ready.min(buf.remaining());
        buf.put_slice(self.held.get(..bytes).unwrap_or_default());
        self.held.advance(bytes);
        self.ready -= bytes;
        if self.held.is_empty() {
            // Hardly any request comes in parts: what was held for one is not kept for the next.
            self.held = BytesMut::new();
        }
    }

    fn limit(&self) -> Duration {
        if !self.messages.between_requests() {
            self.limits.body
        } else if self.held.is_empty() {
            self.limits.idle
        } else {
            self.limits.head
        }
    }

    /// Whether bytes of a request that was not read to its end may still arrive.
    fn leaves_bytes_unread(&self) -> bool {
        !self.messages.between_requests() || !self.held.is_empty()
    }

    /// Lets the caller read its answer before the socket goes: discards what it still sends.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut scratch = [0; 2048];
        loop {
            let left = self.linger.get_or_insert_with(|| {
                self.patience.restart();
                LINGER_BYTES
            });
            let mut buf = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.io).poll_read(cx, &mut buf) {
                Poll::Pending => return self.patience.poll_exhausted(cx, LINGER),
                Poll::Ready(Ok(())) if !buf.filled().is_empty() && *left > 0 => {
                    *left = left.saturating_sub(buf.filled().len());
                }
                Poll::Ready(_) => return Poll::Ready(()),
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for GuardedIo<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.ready > 0 {
                this.give_ready(buf);
                return Poll::Ready(Ok(()));
            }
            if this.messages.refused() || buf.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            let read = if this.held.is_empty() { this.poll_direct(cx, buf) } else { this.poll_held(cx) };
            match read? {
                Poll::Ready(Some(0)) => {}
                Poll::Ready(Some(_) | None) => return Poll::Ready(Ok(())),
                Poll::Pending => return this.patience.poll_exhausted(cx, this.limit()).map(Ok),
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for GuardedIo<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let write = Pin::new(&mut self.io).poll_write(cx, buf);
        self.watch_write(cx, write)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let write = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.watch_write(cx, write)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.linger.is_none() {
            ready!(Pin::new(&mut this.io).poll_shutdown(cx))?;
        }
        if this.leaves_bytes_unread() { this.poll_linger(cx).map(Ok) } else { Poll::Ready(Ok(())) }
    }
}
