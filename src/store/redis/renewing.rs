//! Reads again what sends use and what will soon be too old, so that none of them has to wait for it.

use std::time::Duration;

use redis::Value;
use redis::aio::MultiplexedConnection;

use crate::consent::Lookup;

use super::door::ask_all;
use super::fault::RedisFault;
use super::{Shared, gate_record_of, keys};

/// How many are asked for in one call: lookups wait behind it for about a microsecond each.
const A_CALL: usize = 64;
/// A send that misses one of them meanwhile waits for the answer, no longer than its own deadline.
const PATIENCE: Duration = Duration::from_millis(500);

/// Reads them, one call after the other, so that Redis turns to others in between.
pub(super) async fn renew(shared: &Shared, connection: &MultiplexedConnection) -> Result<(), RedisFault> {
    let front = &shared.front;
    for places in front.renewals.take().chunks(A_CALL) {
        let renewing = |place| Some((place, front.renewing(place, PATIENCE)?));
        let tickets: Vec<_> = places.iter().filter_map(renewing).collect();
        if tickets.is_empty() {
            continue;
        }
        let mut calls = redis::pipe();
        for (place, _) in &tickets {
            calls.cmd("GET").arg(keys::gate(place));
        }
        let answers = ask_all(connection, &calls, PATIENCE).await?;
        for ((place, ticket), answer) in tickets.into_iter().zip(&answers) {
            if matches!(answer, Value::ServerError(_)) {
                continue;
            }
            if let Lookup::Found(record) = gate_record_of(answer) {
                front.renewed(place, ticket, record);
            } else {
                // It is gone and nobody said so: whoever sends next asks for it in all its forms.
                front.forget(place);
            }
        }
    }
    Ok(())
}
