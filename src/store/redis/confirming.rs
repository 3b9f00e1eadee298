//! The reservation of a confirmation in Redis: one key that only the first can set.

use redis::Value;

use crate::store::StoreError;
use crate::store::confirming::{Ask, STANDS, Wanted};

use super::door::ask;
use super::{PATIENCE, Redis, keys};

impl Redis {
    /// Whether the confirmation is free, and with [`Ask::Reserve`] from now on this caller's.
    pub(in crate::store) async fn confirm(&self, wanted: Wanted) -> Result<bool, StoreError> {
        let key = keys::confirmed(&wanted.place);
        let connection = self.control().await?;
        match wanted.ask {
            Ask::Look => {
                let mut get = redis::cmd("GET");
                get.arg(key);
                Ok(ask(&connection, &get, PATIENCE).await? == Value::Nil)
            }
            Ask::GiveBack => {
                let mut unlink = redis::cmd("UNLINK");
                unlink.arg(key);
                ask(&connection, &unlink, PATIENCE).await?;
                Ok(true)
            }
            Ask::Reserve => {
                let mut set = redis::cmd("SET");
                set.arg(key).arg(1).arg("NX").arg("EX").arg(STANDS.as_secs());
                let free = ask(&connection, &set, PATIENCE).await? != Value::Nil;
                if free {
                    // Reserved at a primary that is lost a moment later it would be had twice.
                    self.shared.writing().await?.confirm().await?;
                }
                Ok(free)
            }
        }
    }
}
