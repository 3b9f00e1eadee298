//! Looking up templates that a send names and nobody knows: one look-up for everybody who seeks the same, a bounded wait, and a budget.

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};

use super::Catalogue;
use super::provider::{Failure, Provider, Tokens};
use crate::consent::Timestamp;
use crate::metrics::{Metrics, TemplateLookup};

/// Look-ups that are made at the same time; more wait for their turn.
const AT_ONCE: usize = 4;
/// Look-ups that are made or wait; more are not begun.
const MOST: usize = 64;
/// How long an answer stands before the same name is looked up again.
const ANSWERED: Duration = Duration::from_secs(60);
/// The same after a failure.
const FAILED: Duration = Duration::from_secs(10);
/// The provider tells whole seconds: what is read so long after a webhook is newer than what that tells.
const SETTLED: Duration = Duration::from_secs(3);
/// How long nobody waits for an account whose look-up came too late for somebody.
const LATE: Duration = Duration::from_secs(10);

/// Account and name.
type Sought = (String, String);

/// Looks up templates.
pub(super) struct Scout {
    provider: Arc<Provider>,
    wait: Duration,
    metrics: Metrics,
    /// Where look-ups run: those who seek may go away.
    runtime: Handle,
    began: Timestamp,
    turns: Semaphore,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Closed when the look-up is over.
    flights: HashMap<Sought, watch::Receiver<()>, ahash::RandomState>,
    /// What was looked up and until when that stands.
    answered: HashMap<Sought, Instant, ahash::RandomState>,
    /// Accounts that were too slow, and until when nobody waits for them.
    late: HashMap<String, Instant, ahash::RandomState>,
}

impl Scout {
    pub(super) fn new(
        provider: Arc<Provider>,
        wait: Duration,
        (runtime, began): (Handle, Timestamp),
        metrics: Metrics,
    ) -> Self {
        let (turns, state) = (Semaphore::new(AT_ONCE), Mutex::default());
        Self { provider, wait, metrics, runtime, began, turns, state }
    }

    /// The accounts that can be read, with when that began.
    pub(super) fn accounts(&self) -> Vec<(String, Timestamp)> {
        self.provider.accounts().into_iter().map(|account| (account, self.began)).collect()
    }

    /// Reads other accounts from now on, or the same with other tokens.
    pub(super) fn serve(&self, tokens: Tokens) {
        self.provider.serve(tokens);
    }

    /// Waits until a name was looked up, or no longer than is worth it.
    pub(super) async fn seek(self: &Arc<Self>, catalogue: &Catalogue, account: &str, name: &str) {
        let Some(mut flight) = self.board(catalogue, (account, name), Duration::ZERO) else { return };
        if self.is_late(account) || self.wait.is_zero() {
            return;
        }
        // Nothing is ever sent: the look-up's end closes the channel.
        if tokio::time::timeout(self.wait, flight.changed()).await.is_err() {
            self.metrics.template_lookup(TemplateLookup::Late);
            self.lock().late.insert(account.to_owned(), Instant::now() + LATE);
        }
    }

    /// Begins a look-up although there may have been one: something has happened to the template since. It waits until nobody can take the answer for older
    /// than that, if it is `listed` already.
    pub(super) fn read_again(
        self: &Arc<Self>,
        catalogue: &Catalogue,
        (account, name): (&str, &str),
        listed: bool,
    ) {
        self.lock().answered.remove(&(account.to_owned(), name.to_owned()));
        let delay = if listed { SETTLED } else { Duration::ZERO };
        // Whoever needs it waits for it.
        let _ = self.board(catalogue, (account, name), delay);
    }

    /// Joins the look-up of a name, or begins one. `None` if it was looked up just now, or may not be.
    fn board(
        self: &Arc<Self>,
        catalogue: &Catalogue,
        (account, name): (&str, &str),
        delay: Duration,
    ) -> Option<watch::Receiver<()>> {
        if !self.provider.reads(account) {
            return None;
        }
        let sought = (account.to_owned(), name.to_owned());
        let mut state = self.lock();
        if let Some(flight) = state.flights.get(&sought) {
            return Some(flight.clone());
        }
        let now = Instant::now();
        state.answered.retain(|_, until| *until > now);
        if state.answered.contains_key(&sought) {
            return None;
        }
        let may = state.flights.len() < MOST && self.provider.pace(account, super::pace::Pace::may_look_up);
        if !may {
            self.metrics.template_lookup(TemplateLookup::Refused);
            return None;
        }
        let (end, flight) = watch::channel(());
        state.flights.insert(sought.clone(), flight.clone());
        let landing = Landing { scout: Arc::clone(self), sought, stands: FAILED, end: Some(end) };
        self.runtime.spawn(landing.fly(catalogue.clone(), delay));
        Some(flight)
    }

    fn is_late(&self, account: &str) -> bool {
        let mut state = self.lock();
        let now = Instant::now();
        state.late.retain(|_, until| *until > now);
        state.late.contains_key(account)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A look-up on its way. However it ends, those who wait are told and the next may begin.
struct Landing {
    scout: Arc<Scout>,
    sought: Sought,
    /// How long its answer stands.
    stands: Duration,
    end: Option<watch::Sender<()>>,
}

impl Landing {
    async fn fly(mut self, catalogue: Catalogue, delay: Duration) {
        let scout = Arc::clone(&self.scout);
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let Ok(_turn) = scout.turns.acquire().await else { return };
        let (account, name) = &self.sought;
        let (reading, end) = scout.provider.look_up(account, name).await;
        let found = reading.templates.iter().any(|(template, _)| template.name == *name);
        if !reading.templates.is_empty()
            && let Err(error) = catalogue.take_in(account, reading).await
        {
            tracing::warn!(
                account,
                error = &error as &dyn Error,
                "a template that was looked up could not be stored"
            );
            scout.metrics.template_lookup(TemplateLookup::Failed);
            return;
        }
        let outcome = match end {
            Ok(()) if found => TemplateLookup::Found,
            Ok(()) => TemplateLookup::NotFound,
            Err(failure) => {
                told(account, &failure);
                TemplateLookup::Failed
            }
        };
        if outcome != TemplateLookup::Failed {
            self.stands = ANSWERED;
        }
        scout.metrics.template_lookup(outcome);
    }
}

fn told(account: &str, failure: &Failure) {
    tracing::warn!(
        account,
        error = failure as &dyn Error,
        "a template could not be looked up; it counts as marketing"
    );
}

impl Drop for Landing {
    fn drop(&mut self) {
        let mut state = self.scout.lock();
        state.flights.remove(&self.sought);
        state.answered.insert(self.sought.clone(), Instant::now() + self.stands);
        drop(state);
        drop(self.end.take());
    }
}
