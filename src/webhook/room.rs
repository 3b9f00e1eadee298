//! How much of the provider's bodies the relay holds at a time.
//!
//! Whoever reaches the relay may send a body, and only a body that was read whole can be told from a forgery. What nearly every webhook takes is free, so that
//! great bodies, genuine or not, never keep the small ones out.

use std::cell::Cell;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body;

use crate::metrics::WebhookOutcome;
use crate::net::Inbound;

/// Meta: "payloads can be up to 3 MB"; its megabytes may be of either kind.
const MAX_BODY: usize = 3 << 20;
/// What of each body is not counted.
const FREE: usize = 16 << 10;
/// How much of all bodies may be held beyond that.
const ROOM: usize = 128 << 20;

/// What one thread holds.
#[derive(Debug, Default)]
pub(super) struct Room {
    taken: Cell<usize>,
}

/// A part of the room, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Held<'r> {
    room: &'r Room,
    bytes: usize,
}

impl Room {
    /// Reads a body to its end; it is paid for as long as what stands beside it is held.
    ///
    /// # Errors
    /// What becomes of a webhook whose body cannot be had whole.
    pub(super) async fn read(&self, body: Inbound) -> Result<(Bytes, Held<'_>), WebhookOutcome> {
        self.read_any(body).await
    }

    async fn read_any<B>(&self, body: B) -> Result<(Bytes, Held<'_>), WebhookOutcome>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let mut body = Limited::new(body, MAX_BODY);
        let mut held = Held { room: self, bytes: 0 };
        let (mut parts, mut length) = (Vec::new(), 0usize);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|cause| {
                if cause.is::<LengthLimitError>() {
                    WebhookOutcome::TooLarge
                } else {
                    WebhookOutcome::Unreadable
                }
            })?;
            let Ok(part) = frame.into_data() else { continue };
            length = length.saturating_add(part.len());
            if !held.covers(length.saturating_sub(FREE)) {
                return Err(WebhookOutcome::NoRoom);
            }
            parts.push(part);
        }
        Ok((joined(parts, length), held))
    }
}

/// Nearly every body comes in one piece, which is not copied.
fn joined(mut parts: Vec<Bytes>, length: usize) -> Bytes {
    match (parts.pop(), parts.is_empty()) {
        (None, _) => Bytes::new(),
        (Some(only), true) => only,
        (Some(last), false) => {
            let mut whole = BytesMut::with_capacity(length);
            for part in parts.iter().chain([&last]) {
                whole.extend_from_slice(part);
            }
            whole.freeze()
        }
    }
}

impl Held<'_> {
    /// Whether the part could be made to cover so many bytes.
    fn covers(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        let taken = self.room.taken.get().saturating_add(more);
        let fits = taken <= ROOM;
        if fits {
            self.room.taken.set(taken);
            self.bytes = self.bytes.saturating_add(more);
        }
        fits
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.room.taken.set(self.room.taken.get().saturating_sub(self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{Full, StreamBody};
    use hyper::body::Frame;

    use super::*;

    #[tokio::test]
    async fn great_bodies_fill_the_room_and_small_ones_always_pass() {
        let room = Room::default();
        let great = || Full::new(Bytes::from(vec![b'x'; MAX_BODY]));
        let mut all = Vec::new();
        let refused = loop {
            match room.read_any(great()).await {
                Ok(read) => all.push(read),
                Err(outcome) => break outcome,
            }
        };
        assert_eq!((refused, all.len()), (WebhookOutcome::NoRoom, ROOM / (MAX_BODY - FREE)));
        assert_eq!(room.read_any(Full::new(Bytes::from(vec![b'x'; FREE]))).await.unwrap().0.len(), FREE);
        all.pop();
        assert_eq!(room.read_any(great()).await.unwrap().0.len(), MAX_BODY);
        drop(all);
        assert_eq!(room.taken.get(), 0);
        let too_great = Full::new(Bytes::from(vec![b'x'; MAX_BODY + 1]));
        assert_eq!(room.read_any(too_great).await.unwrap_err(), WebhookOutcome::TooLarge);
        assert_eq!(room.taken.get(), 0, "what was refused is held no more");
    }

    #[tokio::test]
    async fn a_body_in_pieces_is_whole() {
        for pieces in [&[][..], &["a"], &["a", "bc", "", "d"]] {
            let frames = pieces
                .iter()
                .map(|piece| Ok::<_, std::io::Error>(Frame::data(Bytes::copy_from_slice(piece.as_bytes()))));
            let body = StreamBody::new(futures_util::stream::iter(frames.collect::<Vec<_>>()));
            let room = Room::default();
            let (whole, _held) = room.read_any(body).await.unwrap();
            assert_eq!(whole, pieces.concat());
        }
    }
}
