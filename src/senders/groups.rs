//! Asking the provider who is in a group of which webhooks did not tell: one look-up for everybody who sends to it, a bounded wait, and a budget.
//!
//! Groups that were made before the relay stood here would else be refused for ever. What is found is kept in the store, so that every node judges by it, and
//! webhooks keep it true from then on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};

use super::links::Found;
use super::{Inner, Senders};
use crate::consent::{E164, Recipient, Timestamp};
use crate::store::{GroupMark, Incoming, StoreError};
use crate::upstream::{Reader, Token};
use crate::wire::cloud::group;
use crate::wire::webhook::Person;

/// Look-ups that are made at the same time; more wait for their turn.
const AT_ONCE: usize = 2;
/// Look-ups that are made or wait; more are not begun.
const MOST: usize = 32;
/// How long nobody asks about the same group again, whatever the answer was.
const ANSWERED: Duration = Duration::from_secs(60);
/// How many groups may be asked about within that time.
const BUDGET: usize = 300;
/// How long a send waits for the answer.
const WAIT: Duration = Duration::from_secs(2);

/// The tenant's place and the provider's id of the group.
type Sought = (usize, String);

/// Looks groups up.
pub(super) struct Scout {
    reader: Reader,
    /// Where look-ups run: those who seek may go away.
    runtime: Handle,
    turns: Semaphore,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Closed when the look-up is over.
    flights: HashMap<Sought, watch::Receiver<()>, ahash::RandomState>,
    /// Until when nobody asks again.
    answered: HashMap<Sought, Instant, ahash::RandomState>,
}

impl Scout {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Senders {
    /// Lets groups be looked up through a reader, on this runtime, with the senders' tokens.
    pub fn look_groups_up(&self, reader: Reader, runtime: Handle) {
        let scout = Scout { reader, runtime, turns: Semaphore::new(AT_ONCE), state: Mutex::default() };
        // Nobody sets it twice.
        let _ = self.inner.scout.set(scout);
    }

    /// Asks the provider who is in a group, unless it was asked just now; whether there may be news in the store.
    pub async fn seek_group(&self, tenant: usize, sender: &str, group: &str) -> bool {
        let Some(mut flight) = self.board(tenant, sender, group) else { return false };
        // Nothing is ever sent: the look-up's end closes the channel.
        tokio::time::timeout(WAIT, flight.changed()).await.is_ok()
    }

    /// Joins the look-up of a group, or begins one. `None` if it was looked up just now, or may not be.
    fn board(&self, tenant: usize, sender: &str, group: &str) -> Option<watch::Receiver<()>> {
        let scout = self.inner.scout.get()?;
        let token = self.inner.token_of(sender)?.clone();
        let path = group::path(group)?;
        let sought = (tenant, group.to_owned());
        let mut state = scout.lock();
        if let Some(flight) = state.flights.get(&sought) {
            return Some(flight.clone());
        }
        let now = Instant::now();
        state.answered.retain(|_, until| *until > now);
        let spent = state.flights.len() >= MOST || state.answered.len() >= BUDGET;
        if spent || state.answered.contains_key(&sought) {
            return None;
        }
        let (end, flight) = watch::channel(());
        state.flights.insert(sought.clone(), flight.clone());
        let own = self.inner.own_number(sender);
        let landing = Landing { inner: Arc::clone(&self.inner), sought, own, end: Some(end) };
        scout.runtime.spawn(landing.fly(path, token));
        Some(flight)
    }
}

/// A look-up on its way. However it ends, those who wait are told and the next may begin.
struct Landing {
    inner: Arc<Inner>,
    sought: Sought,
    /// The sender's own number, which the provider may list too.
    own: Option<E164>,
    end: Option<watch::Sender<()>>,
}

impl Landing {
    async fn fly(self, path: String, token: Token) {
        let Some(scout) = self.inner.scout.get() else { return };
        let Ok(_turn) = scout.turns.acquire().await else { return };
        // Whoever joins while the answer is on its way is told of by a webhook that is later than this.
        let at = self.inner.clock.now();
        let (tenant, group) = (self.sought.0, self.sought.1.as_str());
        let read = match scout.reader.get(&path, &token).await {
            Ok(read) => read,
            Err(failure) => {
                let error = &failure as &dyn std::error::Error;
                return tracing::warn!(error, "the provider could not be asked who is in a group");
            }
        };
        let Some(people) = group::parse(&read.body, group).filter(|_| read.status.is_success()) else {
            let status = read.status.as_u16();
            return tracing::warn!(
                status,
                "the provider did not tell who is in a group; sends to it are refused"
            );
        };
        if let Err(error) = self.keep(tenant, (group, at), &people).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "who is in a group could not be stored; sends to it are refused");
        }
    }

    /// Only adds members: who left is told of by webhooks, and one too many refuses.
    async fn keep(
        &self,
        tenant: usize,
        (group, at): (&str, Timestamp),
        people: &[Person],
    ) -> Result<(), StoreError> {
        let others = people.iter().filter(|person| person.phone.is_none() || person.phone != self.own);
        let all: Vec<Vec<Recipient>> = others.map(Person::identities).collect();
        let met: Vec<Incoming> = all.iter().filter_map(|identities| met(tenant, identities, at)).collect();
        if !met.is_empty() {
            self.inner.store.apply(met).await?;
        }
        let members = all.iter().flatten().map(|identity| (GroupMark::Member(identity.key()), true));
        let sure = [(GroupMark::Unclear, false), (GroupMark::Exists, true)];
        let marks: Vec<(GroupMark, bool)> = members.chain(sure).collect();
        self.inner.store.tell_group(tenant, group, at, &marks).await
    }
}

/// The link between the identities that a member is listed by.
fn met(tenant: usize, identities: &[Recipient], at: Timestamp) -> Option<Incoming> {
    let (person, others) = identities.split_first().filter(|(_, others)| !others.is_empty())?;
    let id = format!("l-{}", at.as_secs_u32());
    Some(Found { tenant, person: person.clone(), others: others.to_vec(), id, at }.incoming())
}

impl Drop for Landing {
    fn drop(&mut self) {
        if let Some(scout) = self.inner.scout.get() {
            let mut state = scout.lock();
            state.flights.remove(&self.sought);
            state.answered.insert(self.sought.clone(), Instant::now() + ANSWERED);
        }
        drop(self.end.take());
    }
}
