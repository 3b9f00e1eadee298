//! The numbers of tenants and of their wordings: allocated once in Redis, shared by all nodes, never reused.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use redis::Value;
use redis::aio::MultiplexedConnection;
use tokio::sync::Mutex;

use crate::consent::TenantId;
use crate::consent::terms::Terms;
use crate::store::wordings::{AllNumbers, Wordings, listed};

use super::door::{ask, bytes};
use super::fault::RedisFault;
use super::keys;

const PATIENCE: Duration = Duration::from_secs(1);

/// Gives each name its number. A number that a node already works with is kept where the name is missing: after the database was emptied nothing may move.
const SETTLE: &str = r"
local top = 0
for _, number in ipairs(redis.call('HVALS', KEYS[1])) do top = math.max(top, tonumber(number)) end
local numbers = {}
for i = 1, #ARGV, 2 do
  local number = tonumber(redis.call('HGET', KEYS[1], ARGV[i]) or nil)
  if not number then
    number = tonumber(ARGV[i + 1])
    if not number then number = top + 1 end
    top = math.max(top, number)
    redis.call('HSET', KEYS[1], ARGV[i], number)
  end
  numbers[#numbers + 1] = number
end
return numbers
";

/// Gives each listed version of a tenant its number and answers with every number there is. As with tenants, a number that a node works with is kept.
const SETTLE_WORDINGS: &str = r"
local top = {}
local function note(field, number)
  local tenant = string.match(field, '^(%d+)%.')
  top[tenant] = math.max(top[tenant] or 0, number)
end
local stored = redis.call('HGETALL', KEYS[1])
for i = 1, #stored, 2 do note(stored[i], tonumber(stored[i + 1])) end
for i = 1, #ARGV, 2 do
  if redis.call('HEXISTS', KEYS[1], ARGV[i]) == 0 then
    local tenant = string.match(ARGV[i], '^(%d+)%.')
    local number = tonumber(ARGV[i + 1])
    if number == 0 then number = (top[tenant] or 0) + 1 end
    if number <= 255 then
      redis.call('HSET', KEYS[1], ARGV[i], number)
      note(ARGV[i], number)
    end
  end
end
return redis.call('HGETALL', KEYS[1])
";

/// The configured tenants and, once Redis has told them, their numbers.
pub(super) struct Numbering {
    /// Locked while Redis is asked, so that an answer about fewer names never replaces one about more.
    names: Mutex<Vec<String>>,
    numbers: Arc<ArcSwapOption<Vec<TenantId>>>,
    wordings: Arc<Wordings>,
}

impl Numbering {
    pub(super) fn new(
        names: Vec<String>,
        numbers: Arc<ArcSwapOption<Vec<TenantId>>>,
        wordings: Arc<Wordings>,
    ) -> Self {
        Self { names: Mutex::new(names), numbers, wordings }
    }

    /// Learns the numbers, or makes sure that they are still the same.
    pub(super) async fn settle(&self, connection: &MultiplexedConnection) -> Result<(), RedisFault> {
        let names = self.names.lock().await;
        self.learn(connection, &names, self.wordings.terms()).await
    }

    /// Takes other names: those of before at their places, new ones after them. On a failure the old ones stay.
    pub(super) async fn rename(
        &self,
        connection: &MultiplexedConnection,
        names: Vec<String>,
        terms: Arc<[Terms]>,
    ) -> Result<(), RedisFault> {
        let mut old = self.names.lock().await;
        self.learn(connection, &names, terms).await?;
        *old = names;
        Ok(())
    }

    async fn learn(
        &self,
        connection: &MultiplexedConnection,
        names: &[String],
        terms: Arc<[Terms]>,
    ) -> Result<(), RedisFault> {
        let known = self.numbers.load_full();
        let known = known.as_deref().map(Vec::as_slice).unwrap_or_default();
        let mut eval = redis::cmd("EVAL");
        eval.arg(SETTLE).arg(1).arg(keys::TENANTS);
        for (place, name) in names.iter().enumerate() {
            let number = known.get(place).map(|number| number.0.to_string());
            eval.arg(name).arg(number.unwrap_or_default());
        }
        let numbers = numbers(&ask(connection, &eval, PATIENCE).await?).ok_or(RedisFault::TenantsChanged)?;
        if numbers.len() != names.len() || !numbers.starts_with(known) {
            // Every record would be read under another tenant's number.
            self.numbers.store(None);
            return Err(RedisFault::TenantsChanged);
        }
        // Records are judged by the wordings' numbers as soon as they can be found.
        self.settle_wordings(connection, &numbers, terms).await?;
        self.numbers.store(Some(Arc::new(numbers)));
        Ok(())
    }

    /// Learns the numbers of wordings again: other nodes may list versions that this one does not.
    pub(super) async fn refresh_wordings(
        &self,
        connection: &MultiplexedConnection,
    ) -> Result<(), RedisFault> {
        // Terms that are about to be replaced must not come back.
        let _names = self.names.lock().await;
        match self.numbers.load_full() {
            Some(tenants) => self.settle_wordings(connection, &tenants, self.wordings.terms()).await,
            None => Ok(()),
        }
    }

    async fn settle_wordings(
        &self,
        connection: &MultiplexedConnection,
        tenants: &[TenantId],
        terms: Arc<[Terms]>,
    ) -> Result<(), RedisFault> {
        let mut eval = redis::cmd("EVAL");
        eval.arg(SETTLE_WORDINGS).arg(1).arg(keys::WORDINGS);
        for (place, tenant) in tenants.iter().enumerate() {
            for version in listed(&terms, place) {
                let field = format!("{}.{version}", tenant.0);
                eval.arg(field).arg(self.wordings.number(*tenant, version));
            }
        }
        let answer = ask(connection, &eval, PATIENCE).await?;
        self.wordings.settle(terms, tenants, wordings(&answer).ok_or(RedisFault::TenantsChanged)?);
        Ok(())
    }
}

fn wordings(answer: &Value) -> Option<AllNumbers> {
    let Value::Array(flat) = answer else { return None };
    let mut all = AllNumbers::default();
    for row in flat.chunks_exact(2) {
        let [field, number] = row else { return None };
        let field = std::str::from_utf8(bytes(field)?).ok()?;
        let number = std::str::from_utf8(bytes(number)?).ok()?.parse().ok()?;
        let (tenant, version) = field.split_once('.')?;
        all.entry(TenantId(tenant.parse().ok()?)).or_default().note(version.to_owned(), number);
    }
    Some(all)
}

fn numbers(answer: &Value) -> Option<Vec<TenantId>> {
    let Value::Array(numbers) = answer else { return None };
    let number = |value: &Value| {
        let Value::Int(number) = value else { return None };
        u32::try_from(*number).ok().map(TenantId)
    };
    numbers.iter().map(number).collect()
}
