//! Reading a body whole, within a limit and a time.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

/// Why a body was not read whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// It is larger than what is judged.
    TooLarge,
    /// It ended before its end, or stalled.
    Broken,
}

/// Reads a body whole. One that arrives in one piece is not copied.
pub(super) async fn read(mut body: Incoming, limit: usize, patience: Duration) -> Result<Bytes, Unread> {
    let announced = body.size_hint().lower();
    if announced > limit as u64 {
        return Err(Unread::TooLarge);
    }
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    match tokio::time::timeout(patience, collect(&mut body, limit)).await {
        Ok(read) => read,
        Err(_elapsed) => Err(Unread::Broken),
    }
}

async fn collect(body: &mut Incoming, limit: usize) -> Result<Bytes, Unread> {
    let mut first = Bytes::new();
    let mut joined = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(chunk) = frame.map_err(|_| Unread::Broken)?.into_data() else { continue };
        if first.len().saturating_add(joined.len()).saturating_add(chunk.len()) > limit {
            return Err(Unread::TooLarge);
        }
        if joined.is_empty() && first.is_empty() {
            first = chunk;
        } else {
            joined.extend_from_slice(&std::mem::take(&mut first));
            joined.extend_from_slice(&chunk);
        }
    }
    Ok(if joined.is_empty() { first } else { joined.freeze() })
}
