//! Rows as they are stored, and the checkpoints over them.

use redis::Value;

use crate::consent::{RecipientKey, TenantId};
use crate::store::StoreError;
use crate::store::place::Place;
use crate::store::rows::{Checkpoints, Counted, Rows, StoredRow};

use super::door::{ask, ask_all, bytes};
use super::fault::RedisFault;
use super::recall::Erasures;
use super::scan::{self, PATIENCE, Position};
use super::writing::stored;
use super::{Redis, keys};

/// Rows and where to go on; `None` is the end.
type Found = (Vec<StoredRow>, Option<Position>);

impl Redis {
    pub(in crate::store) async fn rows(
        &self,
        (tenant, which): (TenantId, Rows),
        mut position: Position,
        limit: usize,
    ) -> Result<Found, StoreError> {
        let connection = self.control().await?;
        let pattern = match which {
            Rows::All => keys::dossiers_of(tenant),
            Rows::Hashed => keys::hashed_dossiers_of(tenant),
            Rows::Gates => keys::gates_of(tenant),
        };
        let named = scan::named(&connection, &pattern, &mut position, limit).await?;
        if named.is_empty() {
            return Ok((Vec::new(), None));
        }
        let mut gets = redis::pipe();
        for key in &named {
            let place = Place { tenant, key: key.clone() };
            // One command: both are of the same moment.
            gets.cmd("MGET").arg(keys::dossier(&place)).arg(keys::gate(&place));
        }
        let answers = ask_all(&connection, &gets, PATIENCE).await?;
        let mut rows = Vec::with_capacity(named.len());
        for (key, answer) in named.into_iter().zip(answers) {
            rows.extend(row(key, answer)?);
        }
        Ok((rows, Some(position)))
    }

    pub(in crate::store) async fn row(&self, place: Place) -> Result<Option<Vec<u8>>, StoreError> {
        let mut get = redis::cmd("GET");
        get.arg(keys::dossier(&place));
        stored(ask(&self.control().await?, &get, PATIENCE).await?)
    }

    pub(in crate::store) async fn tombstones_counted(&self) -> Result<Counted, StoreError> {
        let identity = self.shared.identity.load_full().ok_or(StoreError::NotReady)?;
        Ok(Erasures::count(&self.control().await?, &identity.naming).await?.counted())
    }

    pub(in crate::store) async fn checkpoints(
        &self,
        tenant: TenantId,
    ) -> Result<Vec<(u32, Vec<u8>)>, StoreError> {
        let mut all = redis::cmd("HGETALL");
        all.arg(keys::checkpoints(tenant));
        let answer = ask(&self.control().await?, &all, PATIENCE).await?;
        let Value::Map(checkpoints) = answer else { return Err(StoreError::Unreadable) };
        let checkpoint = |(at, checkpoint): &(Value, Value)| {
            let at = std::str::from_utf8(bytes(at)?).ok()?.parse().ok()?;
            Some((at, bytes(checkpoint)?.to_vec()))
        };
        checkpoints.iter().map(checkpoint).collect::<Option<_>>().ok_or(StoreError::Unreadable)
    }

    pub(in crate::store) async fn put_checkpoint(&self, change: Checkpoints) -> Result<(), StoreError> {
        let Checkpoints { tenant, kept: (at, checkpoint), dropped } = change;
        let key = keys::checkpoints(tenant);
        let mut put = redis::pipe();
        put.cmd("HSET").arg(&key).arg(at).arg(checkpoint);
        if !dropped.is_empty() {
            put.cmd("HDEL").arg(&key).arg(dropped);
        }
        for answer in ask_all(&self.control().await?, &put, PATIENCE).await? {
            if let Value::ServerError(error) = &answer {
                return Err(RedisFault::of_reply(error).into());
            }
        }
        Ok(())
    }
}

/// `None` for the tenant's own record, and for what has gone since it was named.
fn row(key: RecipientKey, answer: Value) -> Result<Option<StoredRow>, StoreError> {
    if let Value::ServerError(error) = &answer {
        return Err(RedisFault::of_reply(error).into());
    }
    let Value::Array(both) = answer else { return Err(StoreError::Unreadable) };
    // A value that is no string reads as none; where there is a name without a value, that is for whoever looks for tampering to say.
    let mut both = both.into_iter().map(|value| bytes(&value).map(<[u8]>::to_vec));
    let (dossier, gate) = (both.next().flatten(), both.next().flatten());
    let absent = key == RecipientKey::Tenant || (dossier.is_none() && gate.is_none());
    Ok((!absent).then_some(StoredRow { key, dossier, gate }))
}
