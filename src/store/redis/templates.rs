//! Template lists: one field of a hash for each account, and a counter that tells every node of a change.

use redis::Value;

use super::door::{ask, bytes};
use super::script::sha1hex;
use super::{PATIENCE, Redis, keys};
use crate::store::StoreError;

/// Compares by digest, so that the list before does not travel.
const SWAP: &str = r"
local stored = redis.call('HGET', KEYS[1], ARGV[1])
if (stored and redis.sha1hex(stored) or '') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('INCR', KEYS[2])
return 1
";

impl Redis {
    pub(in crate::store) async fn swap_templates(
        &self,
        account: &str,
        before: Option<Vec<u8>>,
        list: Vec<u8>,
    ) -> Result<bool, StoreError> {
        let mut swap = redis::cmd("EVAL");
        swap.arg(SWAP).arg(2).arg(keys::TEMPLATES).arg(keys::TEMPLATES_CHANGED);
        swap.arg(account).arg(before.as_deref().map(sha1hex).unwrap_or_default()).arg(list);
        let Value::Int(swapped) = ask(&self.control().await?, &swap, PATIENCE).await? else {
            return Err(StoreError::Unreadable);
        };
        Ok(swapped == 1)
    }

    pub(in crate::store) async fn template_list(&self, account: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let mut one = redis::cmd("HGET");
        one.arg(keys::TEMPLATES).arg(account);
        let list = ask(&self.control().await?, &one, PATIENCE).await?;
        if list == Value::Nil {
            return Ok(None);
        }
        bytes(&list).map(|list| Some(list.to_vec())).ok_or(StoreError::Unreadable)
    }

    pub(in crate::store) async fn templates(&self) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let mut all = redis::cmd("HGETALL");
        all.arg(keys::TEMPLATES);
        let Value::Map(lists) = ask(&self.control().await?, &all, PATIENCE).await? else {
            return Err(StoreError::Unreadable);
        };
        let list = |(account, list): &(Value, Value)| {
            let account = String::from_utf8(bytes(account)?.to_vec()).ok()?;
            Some((account, bytes(list)?.to_vec()))
        };
        let mut lists: Vec<_> =
            lists.iter().map(list).collect::<Option<_>>().ok_or(StoreError::Unreadable)?;
        lists.sort();
        Ok(lists)
    }
}
