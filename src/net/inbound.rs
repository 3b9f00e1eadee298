//! The body of a request, as it reaches whoever answers it.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

/// The body of a request.
pub enum Inbound {
    /// Read whole: it came with its head.
    Read(Bytes),
    /// Still on its way from the caller.
    Unread(Incoming),
}

impl Body for Inbound {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::Read(body) if body.is_empty() => Poll::Ready(None),
            Self::Read(body) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(body))))),
            Self::Unread(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Read(body) => body.is_empty(),
            Self::Unread(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Read(body) => SizeHint::with_exact(body.len() as u64),
            Self::Unread(body) => body.size_hint(),
        }
    }
}
