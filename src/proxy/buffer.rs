//! Reading a body whole, within a limit, a budget and a time.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

use super::Worker;
use super::budget::Held;
use crate::net::{Inbound, within};

/// Why a body was not read whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// It is larger than what is judged.
    TooLarge,
    /// It ended before its end, or stalled.
    Broken,
    /// The worker holds so many bodies that there is no room for it.
    NoRoom,
}

/// Reads a body whole. One that arrives in one piece is not copied.
pub(super) async fn read(worker: &Worker, body: Inbound) -> Result<Bytes, Unread> {
    let body = match body {
        Inbound::Read(body) => return hold(worker, body),
        Inbound::Unread(body) => body,
    };
    let announced = body.size_hint().lower();
    if announced > worker.settings.max_send_body as u64 {
        return Err(Unread::TooLarge);
    }
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    // What is announced must fit, and what has arrived counts: a caller who only announces takes no room from others.
    let fits = usize::try_from(announced).is_ok_and(|announced| worker.budget.hold(announced).is_some());
    let held = worker.budget.hold(0).filter(|_| fits).ok_or(Unread::NoRoom)?;
    read_within(worker, body, held).await
}

/// Counts what was read before anybody asked for it, as far as there is room. What need not be read to be decided needs none: it is here already.
pub(super) fn counted(worker: &Worker, body: Bytes) -> Bytes {
    match worker.budget.hold_if_ample(body.len()) {
        Some(held) if !body.is_empty() => held.around(body),
        Some(_) | None => body,
    }
}

/// What was read before anybody asked for it, within the budget.
fn hold(worker: &Worker, body: Bytes) -> Result<Bytes, Unread> {
    if body.len() > worker.settings.max_send_body {
        return Err(Unread::TooLarge);
    }
    if body.is_empty() {
        return Ok(body);
    }
    let held = worker.budget.hold(body.len()).ok_or(Unread::NoRoom)?;
    Ok(held.around(body))
}

/// The same within a part of the budget that is held already, as far as it goes.
pub(super) async fn read_within(worker: &Worker, mut body: Incoming, held: Held) -> Result<Bytes, Unread> {
    let limit = worker.settings.max_send_body;
    let read = within(worker.settings.body_patience, collect(&mut body, limit, held)).await;
    read.unwrap_or(Err(Unread::Broken))
}

async fn collect(body: &mut Incoming, limit: usize, mut held: Held) -> Result<Bytes, Unread> {
    let mut first = Bytes::new();
    let mut joined = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(chunk) = frame.map_err(|_| Unread::Broken)?.into_data() else { continue };
        let length = first.len().saturating_add(joined.len()).saturating_add(chunk.len());
        if length > limit {
            return Err(Unread::TooLarge);
        }
        if !held.covers(length) {
            return Err(Unread::NoRoom);
        }
        if joined.is_empty() && first.is_empty() {
            first = chunk;
        } else {
            joined.extend_from_slice(&std::mem::take(&mut first));
            joined.extend_from_slice(&chunk);
        }
    }
    Ok(held.around(if joined.is_empty() { first } else { joined.freeze() }))
}
