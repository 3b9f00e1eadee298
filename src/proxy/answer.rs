//! The body of an answer to the caller.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::upstream::Arriving;

/// Either made here or on its way from the provider.
pub enum Answer {
    /// Whole: a refusal, or a provider's short answer that was read to its end.
    Whole(Option<Bytes>),
    /// Streams through.
    Arriving(Box<Arriving>),
}

impl Answer {
    /// A body that is whole.
    pub fn whole(body: Bytes) -> Self {
        Self::Whole(Some(body).filter(|b| !b.is_empty()))
    }

    /// The bytes, if they are whole.
    pub fn read(&self) -> Option<&[u8]> {
        match self {
            Self::Whole(body) => body.as_deref(),
            Self::Arriving(_) => None,
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::Whole(body) => Poll::Ready(body.take().map(|b| Ok(Frame::data(b)))),
            Self::Arriving(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_none(),
            Self::Arriving(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => SizeHint::with_exact(body.as_ref().map_or(0, |b| b.len() as u64)),
            Self::Arriving(body) => body.size_hint(),
        }
    }
}
