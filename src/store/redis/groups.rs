//! Groups in Redis: a hash of marks for each, and a hash that names all groups.

use redis::Value;

use crate::store::StoreError;
use crate::store::groups::{GroupName, Marks, Renamed};

use super::door::{ask, bytes};
use super::{PATIENCE, Redis, keys};

/// Keeps the greater values, forgets what does not hold and is old, and notes that there is such a group. Values are below 2^53.
const MARK: &str = r"
for i = 3, #ARGV, 2 do
  local kept = redis.call('HGET', KEYS[1], ARGV[i])
  if not kept or tonumber(ARGV[i + 1]) > tonumber(kept) then redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
end
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local value = tonumber(all[i + 1])
  if value % 2 == 0 and value < tonumber(ARGV[1]) then redis.call('HDEL', KEYS[1], all[i]) end
end
redis.call('HSET', KEYS[2], ARGV[2], 1)
return 1
";

/// Gives a member another name in every group of a tenant. All groups stand in one slot.
const RENAME: &str = r"
local groups = redis.call('HGETALL', KEYS[1])
for i = 1, #groups, 2 do
  local group = groups[i]
  if string.sub(group, 1, #ARGV[2]) == ARGV[2] then
    local value = redis.call('HGET', ARGV[1] .. group, ARGV[3])
    if value then
      redis.call('HDEL', ARGV[1] .. group, ARGV[3])
      redis.call('HSET', ARGV[1] .. group, ARGV[4], value)
    end
  end
end
return 1
";

impl GroupName {
    fn text(&self) -> String {
        format!("{}.{}", self.tenant, self.hash)
    }
}

impl Redis {
    pub(in crate::store) async fn mark_group(&self, marks: &Marks) -> Result<(), StoreError> {
        let name = marks.group.text();
        let mut call = redis::cmd("EVAL");
        call.arg(MARK).arg(2).arg(keys::group(&name)).arg(keys::GROUPS).arg(marks.forget_before).arg(name);
        for (field, value) in &marks.rows {
            call.arg(field.as_slice()).arg(*value);
        }
        self.change_groups(&call).await
    }

    pub(in crate::store) async fn rename_member(&self, renamed: &Renamed) -> Result<(), StoreError> {
        let Renamed { tenant, from, to } = renamed;
        let mut call = redis::cmd("EVAL");
        call.arg(RENAME).arg(1).arg(keys::GROUPS).arg(keys::group("")).arg(format!("{tenant}."));
        call.arg(from.as_slice()).arg(to.as_slice());
        self.change_groups(&call).await
    }

    pub(in crate::store) async fn group(&self, name: &GroupName) -> Result<Vec<(Vec<u8>, u64)>, StoreError> {
        let mut call = redis::cmd("HGETALL");
        call.arg(keys::group(&name.text()));
        let Value::Map(pairs) = ask(&self.control().await?, &call, PATIENCE).await? else {
            return Err(StoreError::Unreadable);
        };
        let row = |(field, value): &(Value, Value)| {
            let value = std::str::from_utf8(bytes(value)?).ok()?.parse().ok()?;
            Some((bytes(field)?.to_vec(), value))
        };
        pairs.iter().map(row).collect::<Option<_>>().ok_or(StoreError::Unreadable)
    }

    async fn change_groups(&self, call: &redis::Cmd) -> Result<(), StoreError> {
        if ask(&self.control().await?, call, PATIENCE).await? != Value::Int(1) {
            return Err(StoreError::Unreadable);
        }
        // A member of whom a lost primary alone knew would be written to without being asked about.
        self.shared.writing().await?.confirm().await
    }
}
