//! The tenants' numbers: allocated once in Redis, shared by all nodes, never reused.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use redis::Value;
use redis::aio::MultiplexedConnection;
use tokio::sync::Mutex;

use crate::consent::TenantId;

use super::door::ask;
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

/// The configured tenants and, once Redis has told them, their numbers.
pub(super) struct Numbering {
    /// Locked while Redis is asked, so that an answer about fewer names never replaces one about more.
    names: Mutex<Vec<String>>,
    numbers: Arc<ArcSwapOption<Vec<TenantId>>>,
}

impl Numbering {
    pub(super) fn new(names: Vec<String>, numbers: Arc<ArcSwapOption<Vec<TenantId>>>) -> Self {
        Self { names: Mutex::new(names), numbers }
    }

    /// Learns the numbers, or makes sure that they are still the same.
    pub(super) async fn settle(&self, connection: &MultiplexedConnection) -> Result<(), RedisFault> {
        let names = self.names.lock().await;
        self.learn(connection, &names).await
    }

    /// Takes other names: those of before at their places, new ones after them. On a failure the old ones stay.
    pub(super) async fn rename(
        &self,
        connection: &MultiplexedConnection,
        names: Vec<String>,
    ) -> Result<(), RedisFault> {
        let mut old = self.names.lock().await;
        self.learn(connection, &names).await?;
        *old = names;
        Ok(())
    }

    async fn learn(&self, connection: &MultiplexedConnection, names: &[String]) -> Result<(), RedisFault> {
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
        self.numbers.store(Some(Arc::new(numbers)));
        Ok(())
    }
}

fn numbers(answer: &Value) -> Option<Vec<TenantId>> {
    let Value::Array(numbers) = answer else { return None };
    let number = |value: &Value| {
        let Value::Int(number) = value else { return None };
        u32::try_from(*number).ok().map(TenantId)
    };
    numbers.iter().map(number).collect()
}
