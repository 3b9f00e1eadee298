//! Telling HTTP/1.1 from HTTP/2 on one port by the first bytes, within a deadline of our own.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::timeout;

/// What an HTTP/2 client with prior knowledge says first (RFC 9113 §3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The protocol a caller speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.0 or HTTP/1.1, or anything else: the guard will tell.
    Http1,
    /// HTTP/2 with prior knowledge.
    Http2,
}

/// Reads until the first bytes can be only one of the two protocols; `None` if the caller leaves before that,
/// or says too little for too long. The bytes are read again by whoever reads the returned stream.
pub async fn sniff<S>(io: S, deadline: Duration) -> Option<(Protocol, Replayed<S>)>
where
    S: AsyncRead + Unpin,
{
    let mut replayed = Replayed { io, prefix: [0; PREFACE.len()], given: 0, filled: 0 };
    let protocol = timeout(deadline, replayed.fill()).await.ok()?.ok()??;
    Some((protocol, replayed))
}

/// A stream whose first bytes have been looked at.
#[derive(Debug)]
pub struct Replayed<S> {
    io: S,
    prefix: [u8; PREFACE.len()],
    given: usize,
    filled: usize,
}

impl<S: AsyncRead + Unpin> Replayed<S> {
    async fn fill(&mut self) -> io::Result<Option<Protocol>> {
        loop {
            let room = self.prefix.get_mut(self.filled..).unwrap_or_default();
            match self.io.read(room).await? {
                0 => return Ok(None),
                bytes => self.filled += bytes,
            }
            let seen = self.prefix.get(..self.filled).unwrap_or_default();
            if seen == PREFACE {
                return Ok(Some(Protocol::Http2));
            }
            if !PREFACE.starts_with(seen) {
                return Ok(Some(Protocol::Http1));
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Replayed<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let prefix = this.prefix.get(this.given..this.filled).unwrap_or_default();
        if prefix.is_empty() {
            return Pin::new(&mut this.io).poll_read(cx, buf);
        }
        let bytes = prefix.len().min(buf.remaining());
        buf.put_slice(prefix.get(..bytes).unwrap_or_default());
        this.given += bytes;
        // The rest of the first request is usually here already: one read, not two. An error comes again later.
        let _rest = Pin::new(&mut this.io).poll_read(cx, buf);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Replayed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
