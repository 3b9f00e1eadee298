//! Keeping the catalogue true in the background: whole lists are read again and again, announced changes come into force, old lists grow stale.
//!
//! Of several nodes on one store one reads an account's list at a time, and the others take it from the store: who begins says so there.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinSet;

use super::pace::jittered;
use super::provider::{Failure, Provider};
use super::scout::Scout;
use super::{AccountList, Catalogue};
use crate::consent::Timestamp;
use crate::metrics::{Metrics, TemplateSync};
use crate::net::pulse::in_step;
use crate::store::StoreError;

/// How often to look whether there is something to do.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Accounts that are read at the same time.
const AT_ONCE: usize = 4;
/// For how long a node that has begun a reading keeps the others from it.
const CLAIM: Duration = Duration::from_secs(120);
/// A claim that ends later than this was made by a clock that is wrong.
const LONGEST_CLAIM: Duration = Duration::from_secs(26 * 3600);

/// Lets the catalogue look up what it does not know, on the runtime that this is called on; the future keeps it true for as long as the gate runs.
pub fn keep(
    catalogue: Catalogue,
    provider: Provider,
    metrics: Metrics,
) -> impl Future<Output = ()> + Send + 'static {
    let began = catalogue.inner.clock.now();
    let (provider, wait) = (Arc::new(provider), catalogue.inner.settings.lookup_wait);
    let scout = Scout::new(Arc::clone(&provider), wait, (Handle::current(), began), metrics.clone());
    let scout = Arc::clone(catalogue.inner.scout.get_or_init(|| Arc::new(scout)));
    run(Keeper { catalogue, provider, metrics, offsets: BTreeMap::new(), since: began }, scout)
}

async fn run(mut keeper: Keeper, scout: Arc<Scout>) {
    let (mut readings, mut busy) = (JoinSet::new(), BTreeSet::new());
    let mut looks = in_step(LOOK_EVERY);
    loop {
        tokio::select! {
            _ = looks.tick() => {}
            Some(done) = readings.join_next() => {
                // A reading that panicked leaves its account to the next one.
                match done {
                    Ok(account) => { busy.remove(&account); }
                    Err(_) => busy.clear(),
                }
                continue;
            }
        }
        for (account, name) in keeper.keep_up().await {
            scout.read_again(&keeper.catalogue, (&account, &name), true);
        }
        for account in keeper.due() {
            if busy.len() < AT_ONCE && busy.insert(account.clone()) {
                readings.spawn(keeper.reading().read(account));
            }
        }
    }
}

struct Keeper {
    catalogue: Catalogue,
    provider: Arc<Provider>,
    metrics: Metrics,
    /// By how much this node reads an account later than it must, so that nodes and accounts do not all come at once.
    offsets: BTreeMap<String, Duration>,
    /// Until when time has been kept up with.
    since: Timestamp,
}

impl Keeper {
    async fn keep_up(&mut self) -> Vec<(String, String)> {
        let now = self.catalogue.inner.clock.now();
        let due = self.catalogue.keep_up_with_time(self.since).await;
        self.since = now;
        due
    }

    /// The accounts whose lists are to be read now.
    fn due(&mut self) -> Vec<String> {
        let Some(every) = self.catalogue.inner.settings.sync_every.filter(|_| self.catalogue.is_loaded())
        else {
            return Vec::new();
        };
        let now = self.catalogue.inner.clock.now();
        let mut accounts = self.provider.accounts();
        accounts.retain(|account| {
            let offset = *self
                .offsets
                .entry(account.clone())
                .or_insert_with(|| jittered(every).saturating_sub(every) / 5);
            let held = self.catalogue.inner.held.load();
            let list = held.accounts.get(account).map(|kept| &*kept.list);
            is_due(list, now, every.saturating_add(offset))
                && self.provider.pace(account, |pace, now| pace.may_list(now))
        });
        accounts
    }

    fn reading(&self) -> WholeList {
        let (catalogue, metrics) = (self.catalogue.clone(), self.metrics.clone());
        WholeList { catalogue, provider: Arc::clone(&self.provider), metrics }
    }
}

fn is_due(list: Option<&AccountList>, now: Timestamp, every: Duration) -> bool {
    list.is_none_or(|list| {
        let waits = list.not_before.is_some_and(|until| until > now && until < now.plus(LONGEST_CLAIM));
        !waits && list.synced_at.is_none_or(|at| now.since(at) >= every)
    })
}

/// Reads one account's whole list.
struct WholeList {
    catalogue: Catalogue,
    provider: Arc<Provider>,
    metrics: Metrics,
}

impl WholeList {
    /// Gives the account back.
    async fn read(self, account: String) -> String {
        match self.claim(&account).await {
            Ok(true) => {}
            Ok(false) => return account,
            Err(error) => {
                self.not_stored(&account, &error);
                return account;
            }
        }
        let (reading, end) = self.provider.whole_list(&account).await;
        let count = reading.templates.len();
        let stored = self.catalogue.take_in(&account, reading).await;
        match (end, stored) {
            (Ok(()), Ok(())) => {
                self.metrics.template_sync(TemplateSync::Read);
                tracing::info!(account, templates = count, "an account's template list was read");
            }
            (Err(failure), _) => self.failed(&account, &failure).await,
            (Ok(()), Err(error)) => self.not_stored(&account, &error),
        }
        account
    }

    /// Tells the other nodes, unless one of them was faster.
    async fn claim(&self, account: &str) -> Result<bool, StoreError> {
        let now = self.catalogue.inner.clock.now();
        let every = self.catalogue.inner.settings.sync_every.unwrap_or_default();
        let claim = |list: &mut AccountList| {
            let due = is_due(Some(list), now, every);
            if due {
                list.not_before = Some(now.plus(CLAIM));
            }
            due
        };
        self.catalogue.change(account, claim).await
    }

    async fn failed(&self, account: &str, failure: &Failure) {
        let (outcome, wait) = match failure {
            Failure::Limited(wait) => (TemplateSync::Limited, *wait),
            Failure::NoToken
            | Failure::Unread(_)
            | Failure::NotPermitted(_)
            | Failure::Refused(_)
            | Failure::NotAPage(_)
            | Failure::Endless => {
                (TemplateSync::Failed, self.provider.pace(account, super::pace::Pace::failed_at))
            }
        };
        self.metrics.template_sync(outcome);
        tracing::warn!(
            account,
            error = failure as &dyn Error,
            retry_ms = wait.as_millis(),
            "an account's template list could not be read"
        );
        let until = self.catalogue.inner.clock.now().plus(wait);
        let pause = |list: &mut AccountList| list.not_before = Some(until);
        if let Err(error) = self.catalogue.change(account, pause).await {
            self.not_stored(account, &error);
        }
    }

    fn not_stored(&self, account: &str, error: &StoreError) {
        self.provider.pace(account, super::pace::Pace::failed_at);
        self.metrics.template_sync(TemplateSync::Failed);
        tracing::warn!(
            account,
            error = error as &dyn Error,
            "an account's template list could not be stored"
        );
    }
}
