//! How many calls each account has made in the hour, as Meta counts them for the management edges, and what it answers above the limit.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::errors::GraphError;
use super::json::{Object, list};

const HOUR: Duration = Duration::from_secs(3600);
/// What Meta allows an account with a registered number.
const CALLS_AN_HOUR: u64 = 5_000;

/// The calls of every account.
pub(super) struct Usage(Mutex<Tally>);

struct Tally {
    limit: u64,
    regain_minutes: u64,
    accounts: HashMap<String, (Instant, u64)>,
}

impl Usage {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Tally { limit: CALLS_AN_HOUR, regain_minutes: 60, accounts: HashMap::new() }))
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the body of `POST /_sandbox/limits`, and begins to count anew: `{"calls_per_hour":200,"regain_minutes":1}`.
    pub(super) fn limit(&self, body: &[u8]) -> Result<(), &'static str> {
        let value: Value = serde_json::from_slice(body).map_err(|_| "the body is not JSON")?;
        let number = |name: &str| value.get(name).and_then(Value::as_u64);
        let limit = number("calls_per_hour").filter(|calls| *calls > 0);
        let limit = limit.ok_or("calls_per_hour is no number above 0")?;
        let regain_minutes = number("regain_minutes").unwrap_or(60);
        *self.tally() = Tally { limit, regain_minutes, accounts: HashMap::new() };
        Ok(())
    }

    /// Counts a call.
    pub(super) fn count(&self, account: &str) -> Result<(), GraphError> {
        let mut tally = self.tally();
        let limit = tally.limit;
        let calls = tally.accounts.entry(account.to_owned()).or_insert((Instant::now(), 0));
        if calls.0.elapsed() > HOUR {
            *calls = (Instant::now(), 0);
        }
        calls.1 += 1;
        if calls.1 > limit { Err(GraphError::account_limited()) } else { Ok(()) }
    }

    /// The value of `X-Business-Use-Case-Usage` for a path, if it is one of an account that has made calls.
    pub(super) fn header(&self, path: &[String]) -> Option<String> {
        let tally = self.tally();
        let account = path.first()?;
        let (_, calls) = tally.accounts.get(account)?;
        let percent = calls.saturating_mul(100).checked_div(tally.limit)?;
        let regain = if *calls > tally.limit { tally.regain_minutes } else { 0 };
        let usage = Object::new().text("type", "whatsapp_business_management").raw("call_count", percent);
        let usage = usage.raw("total_cputime", 0).raw("total_time", 0);
        let usage = usage.raw("estimated_time_to_regain_access", regain).finish();
        Some(Object::new().raw(account, list([usage])).finish())
    }
}
