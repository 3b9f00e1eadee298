//! The one script by which a dossier and its gate record change together, if and only if the dossier is still as the writer knows it.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, Value};

use crate::consent::GateRecord;
use crate::store::StoreError;
use crate::store::front::Front;
use crate::store::place::Place;
use crate::store::stamps::Stamps;
use crate::store::wordings::Wordings;

use super::batch::Change;
use super::door::ask_all;
use super::fault::RedisFault;
use super::keys;
use super::recall::Erasures;
use super::writing::PATIENCE;

/// A value that is not the expected one is given back, so that nobody has to ask for it.
pub(super) const COMPARE_AND_WRITE: &str = r"
local stored = redis.call('GET', KEYS[1])
if stored then
  if redis.sha1hex(stored) ~= ARGV[1] then return stored end
elseif ARGV[1] ~= '' then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2])
redis.call('SET', KEYS[2], ARGV[3])
return 1
";
/// What a call takes beside the dossier: the script's name, keys, lengths.
const CALL_BYTES: usize = 512;

/// The script's name at the server.
static NAME: LazyLock<String> = LazyLock::new(|| sha1hex(COMPARE_AND_WRITE.as_bytes()));

/// As the script computes it.
pub(super) fn sha1hex(bytes: &[u8]) -> String {
    hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, bytes))
}

/// Places where a dossier is not what the writer took it for, each with the stored value as far as it is known.
pub(super) type Lost = HashMap<Place, Option<Vec<u8>>, ahash::RandomState>;

/// What a chunk is written with, on a task of its own.
pub(super) struct Pen {
    pub(super) connection: MultiplexedConnection,
    pub(super) front: Arc<Front>,
    pub(super) wordings: Arc<Wordings>,
}

/// Writes some dossiers; returns where something else stands.
pub(super) async fn write(
    pen: Pen,
    mut changes: Vec<Change>,
    erasures: Erasures,
) -> Result<Lost, StoreError> {
    let Pen { connection, front, wordings } = pen;
    let mut stamps = Stamps::of(&front);
    changes.iter_mut().try_for_each(|change| stamps.seal(&mut change.dossier))?;
    let (mut calls, gates) = calls(&changes, &wordings);
    calls.cmd("GET").arg(keys::ERASURES);
    let mut answers = match ask_all(&connection, &calls, PATIENCE).await {
        Ok(answers) => answers,
        Err(fault) => {
            // What came through is not known: whoever was concerned is asked for again.
            for change in &changes {
                front.forget(&change.place);
            }
            return Err(fault.into());
        }
    };
    let erased_meanwhile = erasures.have_grown(answers.pop().unwrap_or(Value::Nil))?;
    let mut lost = Lost::default();
    let mut failed = None;
    for ((change, gate), answer) in changes.into_iter().zip(gates).zip(answers) {
        if answer == Value::Int(1) {
            front.overwritten(&change.place, gate);
            // Absent before an erasure and absent after it looks the same: with the tombstone in view it is done again.
            if erased_meanwhile && change.seen.is_none() {
                lost.insert(change.place, None);
            }
            continue;
        }
        front.forget(&change.place);
        match instead(answer) {
            Ok(stored) => drop(lost.insert(change.place, stored)),
            Err(error) => failed = Some(error),
        }
    }
    failed.map_or(Ok(lost), Err)
}

/// One call for each change, and the gate record that it writes.
fn calls(changes: &[Change], wordings: &Wordings) -> (Pipeline, Vec<GateRecord>) {
    let mut calls = Pipeline::with_capacity(changes.len());
    let mut gates = Vec::with_capacity(changes.len());
    for (n, Change { place, dossier, seen }) in changes.iter().enumerate() {
        let gate = wordings.gate_record(place.tenant, dossier);
        let dossier = dossier.encode();
        let mut call = Cmd::with_capacity(8, dossier.len().saturating_add(CALL_BYTES));
        // The first of a chunk brings the script along, so that the others find it.
        match n {
            0 => call.arg("EVAL").arg(COMPARE_AND_WRITE),
            _ => call.arg("EVALSHA").arg(NAME.as_str()),
        };
        call.arg(2).arg(keys::dossier(place)).arg(keys::gate(place));
        call.arg(seen.as_deref().unwrap_or_default()).arg(dossier).arg(&gate.encode()[..]);
        calls.add_command(call);
        gates.push(gate);
    }
    (calls, gates)
}

/// The stored value that a refused call gives back; `None` where it has to be asked for.
fn instead(answer: Value) -> Result<Option<Vec<u8>>, StoreError> {
    if let Value::BulkString(stored) = answer {
        Ok(Some(stored))
    } else if answer == Value::Int(0) || is_no_script(&answer) {
        Ok(None)
    } else if let Value::ServerError(error) = answer {
        Err(RedisFault::of_reply(&error).into())
    } else {
        Err(StoreError::Unreadable)
    }
}

/// Somebody emptied the server's scripts in between: the next round brings ours again.
fn is_no_script(answer: &Value) -> bool {
    matches!(answer, Value::ServerError(error) if error.code() == "NOSCRIPT")
}
