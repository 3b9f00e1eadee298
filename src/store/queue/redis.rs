//! The queue in Redis: its scripts, each one step, by the server's clock so that nodes need not agree on the time.
//!
//! All keys share one slot. A parcel is a hash; sorted sets say what is due, since when it waits, and what is dead.

use std::time::Duration;

use redis::{Cmd, Value};

use crate::consent::Timestamp;
use crate::store::StoreError;
use crate::store::redis::{QueueDoor, Redis};

use super::{DeadLetter, Fill, KEPT, LEASE, Parcel, Put};

/// Parcels by when they are due.
const DUE: &str = "og:q:{og}:due";
/// Those that wait, by when they came.
const SINCE: &str = "og:q:{og}:since";
/// Dead letters by when they were given up.
const DEAD: &str = "og:q:{og}:dead";
/// What all parcels take.
const BYTES: &str = "og:q:{og}:bytes";
/// The number of the next parcel.
const NEXT: &str = "og:q:{og}:next";
/// What every parcel's key begins with.
const PARCEL: &str = "og:q:{og}:p:";
/// No more than this is taken at once, whatever the number of parcels, so that others get their answers in between.
const AT_ONCE_BYTES: usize = 8 << 20;
/// How many old dead letters are forgotten in one step.
const FORGOTTEN_AT_ONCE: usize = 64;

/// What every script begins with.
const NOW: &str = "local t = redis.call('TIME') local now = t[1] * 1000 + math.floor(t[2] / 1000) ";
/// KEYS are always the five above, in that order; `key` makes a parcel's.
const PUT: &str = r"
local held = tonumber(redis.call('GET', KEYS[4]) or '0')
if held + #ARGV[4] > tonumber(ARGV[2]) then return 0 end
local id = string.format('%016x', redis.call('INCR', KEYS[5]))
redis.call('HSET', ARGV[1] .. id, 'b', ARGV[4], 'l', ARGV[3], 't', now, 'n', 0)
redis.call('ZADD', KEYS[1], now, id)
redis.call('ZADD', KEYS[2], now, id)
redis.call('INCRBY', KEYS[4], #ARGV[4])
return 1";
const TAKE: &str = r"
local taken, bytes = {}, 0
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[2])) do
  local p = redis.call('HMGET', ARGV[1] .. id, 'l', 't', 'n', 'b')
  if p[4] then
    bytes = bytes + #p[4]
    if #taken > 0 and bytes > tonumber(ARGV[4]) then break end
    redis.call('ZADD', KEYS[1], now + tonumber(ARGV[3]), id)
    taken[#taken + 1] = {id, p[1], p[2], p[3], p[4]}
  else
    redis.call('ZREM', KEYS[1], id)
    redis.call('ZREM', KEYS[2], id)
  end
end
return taken";
const REMOVE: &str = r"
if not redis.call('ZSCORE', KEYS[tonumber(ARGV[3])], ARGV[2]) then return 0 end
local size = redis.call('HSTRLEN', ARGV[1] .. ARGV[2], 'b')
local there = redis.call('UNLINK', ARGV[1] .. ARGV[2])
if there == 1 then redis.call('DECRBY', KEYS[4], size) end
redis.call('ZREM', KEYS[1], ARGV[2])
redis.call('ZREM', KEYS[2], ARGV[2])
redis.call('ZREM', KEYS[3], ARGV[2])
return there";
const PUT_OFF: &str = r"
if redis.call('ZADD', KEYS[1], 'XX', 'CH', now + tonumber(ARGV[3]), ARGV[2]) == 1 then
  redis.call('HINCRBY', ARGV[1] .. ARGV[2], 'n', 1)
  redis.call('HSET', ARGV[1] .. ARGV[2], 'w', ARGV[4])
end
return 1";
const GIVE_UP: &str = r"
if redis.call('ZREM', KEYS[1], ARGV[2]) == 1 then
  redis.call('ZREM', KEYS[2], ARGV[2])
  redis.call('ZADD', KEYS[3], now, ARGV[2])
  redis.call('HINCRBY', ARGV[1] .. ARGV[2], 'n', 1)
  redis.call('HSET', ARGV[1] .. ARGV[2], 'w', ARGV[3])
end
return 1";
const REVIVE: &str = r"
if redis.call('ZREM', KEYS[3], ARGV[2]) == 0 then return 0 end
redis.call('ZADD', KEYS[1], now, ARGV[2])
redis.call('ZADD', KEYS[2], now, ARGV[2])
redis.call('HSET', ARGV[1] .. ARGV[2], 't', now, 'n', 0)
return 1";
const LIST: &str = r"
local dead = {}
local from = tonumber(ARGV[2])
local rows = redis.call('ZRANGE', KEYS[3], from, from + tonumber(ARGV[3]) - 1, 'WITHSCORES')
for n = 1, #rows, 2 do
  local key = ARGV[1] .. rows[n]
  local p = redis.call('HMGET', key, 'l', 't', 'n', 'w')
  dead[#dead + 1] = {rows[n], rows[n + 1], p[1] or '', p[2] or '0', p[3] or '0', p[4] or '', redis.call('HSTRLEN', key, 'b')}
end
return dead";
const FILL: &str = r"
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now - tonumber(ARGV[2]), 'LIMIT', 0, ARGV[3])) do
  redis.call('DECRBY', KEYS[4], redis.call('HSTRLEN', ARGV[1] .. id, 'b'))
  redis.call('UNLINK', ARGV[1] .. id)
  redis.call('ZREM', KEYS[3], id)
end
local oldest = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
return {redis.call('ZCARD', KEYS[2]), redis.call('ZCARD', KEYS[3]), tonumber(redis.call('GET', KEYS[4]) or '0'), oldest[2] or ''}";

/// The queue that all nodes of one Redis share.
pub(super) struct SharedQueue(QueueDoor);

impl SharedQueue {
    pub(super) fn of(store: &Redis) -> Self {
        Self(store.queue_door())
    }

    pub(super) async fn put(&self, lane: &str, sealed: &[u8], max: u64) -> Result<Put, StoreError> {
        let mut put = script(PUT);
        put.arg(max).arg(lane).arg(sealed);
        if self.0.ask(&put).await? == Value::Int(0) {
            return Ok(Put::Full);
        }
        self.0.confirm().await?;
        Ok(Put::Queued)
    }

    pub(super) async fn take(&self, limit: usize) -> Result<Vec<Parcel>, StoreError> {
        let mut take = script(TAKE);
        take.arg(limit).arg(LEASE.as_millis()).arg(AT_ONCE_BYTES);
        rows(self.0.ask(&take).await?)?
            .into_iter()
            .map(|row| parcel(row).ok_or(StoreError::Unreadable))
            .collect()
    }

    pub(super) async fn remove(&self, id: &str) -> Result<(), StoreError> {
        self.take_out(id, 2).await.map(drop)
    }

    pub(super) async fn drop_dead(&self, id: &str) -> Result<bool, StoreError> {
        self.take_out(id, 3).await
    }

    /// Removes a parcel that stands in the set of that number.
    async fn take_out(&self, id: &str, set: u32) -> Result<bool, StoreError> {
        let mut remove = script(REMOVE);
        remove.arg(id).arg(set);
        Ok(self.0.ask(&remove).await? == Value::Int(1))
    }

    pub(super) async fn put_off(&self, id: &str, after: Duration, why: &str) -> Result<(), StoreError> {
        let mut put_off = script(PUT_OFF);
        put_off.arg(id).arg(after.as_millis()).arg(why);
        self.0.ask(&put_off).await.map(drop)
    }

    pub(super) async fn give_up(&self, id: &str, why: &str) -> Result<(), StoreError> {
        let mut give_up = script(GIVE_UP);
        give_up.arg(id).arg(why);
        self.0.ask(&give_up).await.map(drop)
    }

    pub(super) async fn dead(&self, after: usize, limit: usize) -> Result<Vec<DeadLetter>, StoreError> {
        let mut list = script(LIST);
        list.arg(after).arg(limit);
        let listed = rows(self.0.ask(&list).await?)?;
        listed.into_iter().map(|row| dead_letter(row).ok_or(StoreError::Unreadable)).collect()
    }

    pub(super) async fn revive(&self, id: &str) -> Result<bool, StoreError> {
        let mut revive = script(REVIVE);
        revive.arg(id);
        Ok(self.0.ask(&revive).await? == Value::Int(1))
    }

    pub(super) async fn fill(&self) -> Result<Fill, StoreError> {
        let mut fill = script(FILL);
        fill.arg(KEPT.as_millis()).arg(FORGOTTEN_AT_ONCE);
        let Value::Array(told) = self.0.ask(&fill).await? else { return Err(StoreError::Unreadable) };
        let number = |at: usize| told.get(at).and_then(number).unwrap_or_default();
        let oldest = told.get(3).and_then(number_of_text);
        Ok(Fill {
            waiting: number(0),
            dead: number(1),
            bytes: number(2),
            oldest: oldest.map(Timestamp::from_millis),
        })
    }
}

/// A call of a script, with what all of them take.
fn script(body: &str) -> Cmd {
    let mut call = redis::cmd("EVAL");
    call.arg(format!("{NOW}{body}")).arg(5).arg(DUE).arg(SINCE).arg(DEAD).arg(BYTES).arg(NEXT).arg(PARCEL);
    call
}

fn rows(answer: Value) -> Result<Vec<Vec<Value>>, StoreError> {
    let Value::Array(rows) = answer else { return Err(StoreError::Unreadable) };
    let row = |row| if let Value::Array(cells) = row { Ok(cells) } else { Err(StoreError::Unreadable) };
    rows.into_iter().map(row).collect()
}

fn parcel(row: Vec<Value>) -> Option<Parcel> {
    let [id, lane, queued_at, attempts, Value::BulkString(content)] = <[Value; 5]>::try_from(row).ok()?
    else {
        return None;
    };
    Some(Parcel {
        id: text(&id)?,
        lane: text(&lane)?,
        queued_at: Timestamp::from_millis(number(&queued_at)?),
        attempts: number(&attempts)?.try_into().ok()?,
        content,
    })
}

fn dead_letter(row: Vec<Value>) -> Option<DeadLetter> {
    let [id, died_at, lane, queued_at, attempts, why, bytes] = <[Value; 7]>::try_from(row).ok()?;
    Some(DeadLetter {
        id: text(&id)?,
        lane: text(&lane)?,
        queued_at: Timestamp::from_millis(number(&queued_at)?),
        died_at: Timestamp::from_millis(number(&died_at)?),
        attempts: number(&attempts)?.try_into().ok()?,
        bytes: number(&bytes)?,
        why: text(&why)?,
    })
}

fn text(value: &Value) -> Option<String> {
    if let Value::BulkString(bytes) = value { String::from_utf8(bytes.clone()).ok() } else { None }
}

fn number(value: &Value) -> Option<u64> {
    if let Value::Int(number) = value { u64::try_from(*number).ok() } else { number_of_text(value) }
}

/// Scores are told as texts, as whole numbers where they are whole.
fn number_of_text(value: &Value) -> Option<u64> {
    text(value)?.parse().ok()
}
