//! The body of an answer to the caller.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;

use crate::upstream::Arriving;

/// Either made here or on its way from the provider.
pub enum Answer {
    /// Whole: a refusal, or a provider's short answer that was read to its end.
    Whole(Option<Bytes>),
    /// Streams through.
    Arriving(Box<Arriving>),
    /// Turned out to be long while it was read: what was read, then the rest as it comes.
    Begun(Option<Bytes>, Box<Arriving>),
}

impl Answer {
    /// A body that is whole.
    pub fn whole(body: Bytes) -> Self {
        Self::Whole(Some(body).filter(|b| !b.is_empty()))
    }

    /// Reads a body whole if it ends within so many bytes; else it streams on from where that was noticed.
    ///
    /// # Errors
    /// It broke off.
    pub async fn read_short(mut body: Arriving, short: usize) -> Result<Self, std::io::Error> {
        // Nearly always it comes in one piece, which is not copied.
        let (mut first, mut joined) = (Bytes::new(), BytesMut::new());
        while let Some(frame) = body.frame().await {
            // Trailers are dropped, as those of requests are.
            let Ok(chunk) = frame?.into_data() else { continue };
            if first.is_empty() && joined.is_empty() {
                first = chunk;
            } else {
                joined.extend_from_slice(&std::mem::take(&mut first));
                joined.extend_from_slice(&chunk);
            }
            if first.len().max(joined.len()) > short {
                let read = if joined.is_empty() { first } else { joined.freeze() };
                return Ok(Self::Begun(Some(read), Box::new(body)));
            }
        }
        Ok(Self::whole(if joined.is_empty() { first } else { joined.freeze() }))
    }

    /// The bytes, if they are whole.
    pub fn read(&self) -> Option<&[u8]> {
        match self {
            Self::Whole(body) => body.as_deref(),
            Self::Arriving(_) | Self::Begun(..) => None,
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        match self.get_mut() {
            Self::Whole(body) => Poll::Ready(body.take().map(|b| Ok(Frame::data(b)))),
            Self::Arriving(body) => Pin::new(body).poll_frame(cx),
            Self::Begun(read, rest) => match read.take() {
                Some(read) => Poll::Ready(Some(Ok(Frame::data(read)))),
                None => Pin::new(rest).poll_frame(cx),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_none(),
            Self::Arriving(body) => body.is_end_stream(),
            Self::Begun(read, rest) => read.is_none() && rest.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => SizeHint::with_exact(body.as_ref().map_or(0, |b| b.len() as u64)),
            Self::Arriving(body) => body.size_hint(),
            // Its length was not announced.
            Self::Begun(..) => SizeHint::default(),
        }
    }
}
