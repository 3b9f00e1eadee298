//! Reading every dossier of a tenant, a page at a time.

use std::collections::HashSet;
use std::time::Duration;

use redis::Value;
use redis::aio::MultiplexedConnection;

use crate::consent::dossier::Dossier;
use crate::consent::{RecipientKey, TenantId};
use crate::store::StoreError;
use crate::store::place::Place;

use super::door::{ask, ask_all, bytes};
use super::keys;
use super::writing::stored;

/// How many keys the server looks at in one step; other commands run in between.
const STEP: usize = 1000;
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Where a reading stands.
#[derive(Clone, Debug, Default)]
pub(in crate::store) struct Position {
    /// Keys that the server has named and that were not read yet.
    named: Vec<RecipientKey>,
    /// Where the server goes on; `None` at the beginning and at the end.
    cursor: Option<u64>,
    begun: bool,
    /// Once the tombstones have been read: whose they were.
    tombstones: Option<Keys>,
    /// Whose tombstones have been read so far.
    met: Keys,
}

type Keys = HashSet<RecipientKey, ahash::RandomState>;

impl Position {
    /// The beginning, in a store whose tombstones stand in people's own places.
    pub(super) fn without_tombstones() -> Self {
        Self { tombstones: Some(HashSet::default()), ..Self::default() }
    }
}

/// A page and where to go on; `None` is the end.
pub(in crate::store) type Found = (Vec<(RecipientKey, Dossier)>, Option<Position>);

/// The next dossiers, tombstones first: whoever takes an export in has them before anybody whom they may concern. Never empty before the end; a dossier may
/// come twice if the server's table grows or shrinks meanwhile.
pub(super) async fn page(
    connection: &MultiplexedConnection,
    tenant: TenantId,
    mut position: Position,
    limit: usize,
) -> Result<Found, StoreError> {
    loop {
        let pattern = match &position.tombstones {
            None => keys::hashed_dossiers_of(tenant),
            Some(_) => keys::dossiers_of(tenant),
        };
        let mut next = named(connection, &pattern, &mut position, limit).await?;
        match &mut position.tombstones {
            None if next.is_empty() => {
                position = Position { tombstones: Some(position.met), ..Position::default() };
            }
            None => position.met.extend(next.iter().cloned()),
            Some(_) if next.is_empty() => return Ok((Vec::new(), None)),
            Some(tombstones) => next.retain(|key| !tombstones.contains(key)),
        }
        let found = read(connection, tenant, next).await?;
        if !found.is_empty() {
            return Ok((found, Some(position)));
        }
    }
}

/// The first keys that are wanted. The server names them a step at a time; other commands run in between.
pub(super) async fn find(
    connection: &MultiplexedConnection,
    tenant: TenantId,
    limit: usize,
    wanted: impl Fn(&RecipientKey) -> bool,
) -> Result<Vec<RecipientKey>, StoreError> {
    let mut position = Position::default();
    let mut found: Vec<RecipientKey> = Vec::new();
    let pattern = keys::dossiers_of(tenant);
    while found.len() < limit {
        let named = named(connection, &pattern, &mut position, STEP).await?;
        if named.is_empty() {
            break;
        }
        // The server may name a key twice.
        let fresh: Vec<_> = named.into_iter().filter(|key| wanted(key) && !found.contains(key)).collect();
        found.extend(fresh);
    }
    found.truncate(limit);
    Ok(found)
}

/// Whose keys match a pattern, at most `limit` at a time; nobody is the end.
pub(super) async fn named(
    connection: &MultiplexedConnection,
    pattern: &str,
    position: &mut Position,
    limit: usize,
) -> Result<Vec<RecipientKey>, StoreError> {
    while position.named.is_empty() && !(position.begun && position.cursor.is_none()) {
        step(connection, pattern, position).await?;
    }
    let rest = position.named.len().saturating_sub(limit.max(1));
    Ok(position.named.split_off(rest))
}

/// Lets the server name some more keys.
async fn step(
    connection: &MultiplexedConnection,
    pattern: &str,
    position: &mut Position,
) -> Result<(), StoreError> {
    let mut scan = redis::cmd("SCAN");
    scan.arg(position.cursor.unwrap_or_default());
    scan.arg("MATCH").arg(pattern).arg("COUNT").arg(STEP);
    let answer = ask(connection, &scan, PATIENCE).await?;
    let (cursor, named) = parts(&answer).ok_or(StoreError::Unreadable)?;
    position.begun = true;
    position.cursor = Some(cursor).filter(|cursor| *cursor != 0);
    position.named = named;
    Ok(())
}

fn parts(answer: &Value) -> Option<(u64, Vec<RecipientKey>)> {
    let Value::Array(parts) = answer else { return None };
    let [cursor, Value::Array(named)] = parts.as_slice() else { return None };
    let cursor = std::str::from_utf8(bytes(cursor)?).ok()?.parse().ok()?;
    // A key that is no place was not written by us.
    let key = |value: &Value| {
        let name = bytes(value)?;
        Some(keys::place_of_dossier(name).or_else(|| keys::place_of_gate(name))?.key)
    };
    Some((cursor, named.iter().filter_map(key).collect()))
}

async fn read(
    connection: &MultiplexedConnection,
    tenant: TenantId,
    wanted: Vec<RecipientKey>,
) -> Result<Vec<(RecipientKey, Dossier)>, StoreError> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let mut gets = redis::pipe();
    for key in &wanted {
        gets.cmd("GET").arg(keys::dossier(&Place { tenant, key: key.clone() }));
    }
    let answers = ask_all(connection, &gets, PATIENCE).await?;
    let mut found = Vec::with_capacity(wanted.len());
    for (key, answer) in wanted.into_iter().zip(answers) {
        // It may have gone since it was named.
        if let Some(bytes) = stored(answer)? {
            found.push((key, Dossier::decode(&bytes).ok_or(StoreError::Unreadable)?));
        }
    }
    Ok(found)
}
