//! Reads again what sends use and what will soon be too old, so that few of them have to wait for it.
//!
//! It is asked for where the sends that use it would ask: a lane of another thread may reach another server, and what that one says must not live on in memory.

use std::time::Duration;

use redis::Value;
use redis::aio::MultiplexedConnection;
use tokio::time::timeout;

use crate::consent::Lookup;
use crate::store::front::Front;

use super::door::ask_all;
use super::fault::RedisFault;
use super::{gate_record_of, keys};

/// How many are asked for in one call: lookups wait behind it for about a microsecond each and lane.
const A_CALL: usize = 64;
/// How many are asked for at once; the others come next time.
const AT_ONCE: usize = 512;
/// How long that may take. What is not answered then is left, and the next heartbeat says whether the server answers at all.
const PATIENCE: Duration = Duration::from_millis(100);

/// Reads some of what this thread noted. An error says that the connection broke.
pub(super) async fn renew(front: &Front, connection: &MultiplexedConnection) -> Result<(), RedisFault> {
    match timeout(PATIENCE, renew_all(front, connection)).await {
        Ok(Err(RedisFault::TooSlow)) | Err(_) => Ok(()),
        Ok(renewed) => renewed,
    }
}

/// One call after the other, so that the server turns to others in between.
async fn renew_all(front: &Front, connection: &MultiplexedConnection) -> Result<(), RedisFault> {
    for places in front.renewals.take(AT_ONCE).chunks(A_CALL) {
        let renewals: Vec<_> =
            places.iter().filter_map(|place| Some((place, front.renewing(place)?))).collect();
        if renewals.is_empty() {
            continue;
        }
        let mut calls = redis::pipe();
        for (place, _) in &renewals {
            calls.cmd("GET").arg(keys::gate(place));
        }
        let answers = ask_all(connection, &calls, PATIENCE).await?;
        for ((place, renewal), answer) in renewals.into_iter().zip(&answers) {
            if matches!(answer, Value::ServerError(_)) {
                continue;
            }
            if let Lookup::Found(record) = gate_record_of(answer) {
                front.renewed(place, renewal, record);
            } else {
                // Gone or unreadable, and nobody said so: whoever sends next asks for it in all its forms.
                front.forget(place);
            }
        }
    }
    Ok(())
}
