//! The numbers of tenants and of their wordings, allocated once in Redis, shared by all nodes, never reused; and in which form, under which secret, recipients are kept.

use std::sync::Arc;
use std::time::Duration;

use redis::Value;
use redis::aio::MultiplexedConnection;
use tokio::sync::Mutex;

use crate::consent::TenantId;
use crate::consent::redact::Redacted;
use crate::consent::terms::Terms;
use crate::store::naming::{self, Form, Identities, Identity, Names, Naming};
use crate::store::wordings::{AllNumbers, Wordings, listed};

use super::door::{ask, ask_all, bytes};
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

/// Notes how recipients are kept, once and for all. Tenants without a note are of a time when all were kept as numbers. Only a store that is made now
/// begins to count erasures at none: where the counter is missing later it was lost.
const FORM: &str = r"
local form = redis.call('GET', KEYS[1])
if not form then
  form = ARGV[1]
  if #redis.call('HVALS', KEYS[2]) > 0 then form = 'plain' else redis.call('SET', KEYS[3], 0, 'NX') end
  redis.call('SET', KEYS[1], form)
end
return form
";

/// The configured tenants, the form in which recipients are to be kept and, once Redis has told them, numbers and secret.
pub(super) struct Numbering {
    /// Locked while Redis is asked, so that an answer about fewer names never replaces one about more.
    names: Mutex<Vec<String>>,
    form: Form,
    /// The key that the store must have, if one is configured.
    key: Option<Redacted<[u8; 32]>>,
    identity: Identities,
    wordings: Arc<Wordings>,
}

impl Numbering {
    pub(super) fn new(names: Names, identity: Identities) -> Self {
        let Names { tenants, form, key, wordings } = names;
        Self { names: Mutex::new(tenants), form, key, identity, wordings }
    }

    /// Learns who the store is, or makes sure that it is still the same.
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
        let settled = self.ask(connection, names, terms).await;
        if let Err(RedisFault::TenantsChanged | RedisFault::OtherForm(_) | RedisFault::OtherKey) = settled {
            // Every record would be read under another tenant's number, or not be found.
            self.identity.store(None);
        }
        settled
    }

    async fn ask(
        &self,
        connection: &MultiplexedConnection,
        names: &[String],
        terms: Arc<[Terms]>,
    ) -> Result<(), RedisFault> {
        self.check_form(connection).await?;
        let known = self.identity.load_full();
        let known_tenants = known.as_ref().map(|known| known.tenants.as_slice()).unwrap_or_default();
        let tenants = number(connection, names, known_tenants).await?;
        let own = known.as_ref().map(|known| known.naming.secret()).or(self.key.as_ref());
        let secret = share_secret(connection, own).await?;
        if self.key.as_ref().is_some_and(|key| *key.danger_reveal() != secret) {
            return Err(RedisFault::OtherKey);
        }
        let other = |known: &Identity| *known.naming.secret().danger_reveal() != secret;
        if !tenants.starts_with(known_tenants) || known.as_deref().is_some_and(other) {
            return Err(RedisFault::TenantsChanged);
        }
        let naming = known.map_or_else(|| Naming::new(self.form, secret), |known| known.naming.clone());
        // Records are judged by the wordings' numbers as soon as they can be found.
        self.settle_wordings(connection, &tenants, terms).await?;
        self.identity.store(Some(Arc::new(Identity { tenants, naming })));
        Ok(())
    }

    /// Learns the numbers of wordings again: other nodes may list versions that this one does not.
    pub(super) async fn refresh_wordings(
        &self,
        connection: &MultiplexedConnection,
    ) -> Result<(), RedisFault> {
        // Terms that are about to be replaced must not come back.
        let _names = self.names.lock().await;
        match self.identity.load_full() {
            Some(known) => self.settle_wordings(connection, &known.tenants, self.wordings.terms()).await,
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

    async fn check_form(&self, connection: &MultiplexedConnection) -> Result<(), RedisFault> {
        let mut note = redis::cmd("EVAL");
        note.arg(FORM).arg(3).arg(keys::RECIPIENTS).arg(keys::TENANTS).arg(keys::ERASURES);
        note.arg(self.form.name());
        let noted = ask(connection, &note, PATIENCE).await?;
        let is = |form: Form| bytes(&noted) == Some(form.name().as_bytes());
        match self.form {
            form if is(form) => Ok(()),
            Form::Plain => Err(RedisFault::OtherForm(Form::Hashed)),
            Form::Hashed => Err(RedisFault::OtherForm(Form::Plain)),
        }
    }
}

async fn number(
    connection: &MultiplexedConnection,
    names: &[String],
    known: &[TenantId],
) -> Result<Vec<TenantId>, RedisFault> {
    let mut eval = redis::cmd("EVAL");
    eval.arg(SETTLE).arg(1).arg(keys::TENANTS);
    for (place, name) in names.iter().enumerate() {
        let number = known.get(place).map(|number| number.0.to_string());
        eval.arg(name).arg(number.unwrap_or_default());
    }
    let numbers = numbers(&ask(connection, &eval, PATIENCE).await?);
    numbers.filter(|numbers| numbers.len() == names.len()).ok_or(RedisFault::TenantsChanged)
}

/// The secret under which all nodes hash recipients. One that a node already works with is put back where it is missing, as numbers are.
async fn share_secret(
    connection: &MultiplexedConnection,
    known: Option<&Redacted<[u8; 32]>>,
) -> Result<[u8; 32], RedisFault> {
    let mut secret = [0; 32];
    match known {
        Some(known) => secret = *known.danger_reveal(),
        None => getrandom::fill(&mut secret).map_err(|_| RedisFault::Other("no randomness".to_owned()))?,
    }
    let key = keys::secret(naming::SECRET);
    let mut share = redis::pipe();
    share.cmd("SET").arg(&key).arg(&secret[..]).arg("NX").cmd("GET").arg(&key);
    let answers = ask_all(connection, &share, PATIENCE).await?;
    if let Some(Value::ServerError(error)) = answers.iter().find(|a| matches!(a, Value::ServerError(_))) {
        return Err(RedisFault::of_reply(error));
    }
    let shared = answers.last().and_then(bytes).and_then(|bytes| bytes.try_into().ok());
    shared.ok_or(RedisFault::TenantsChanged)
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
