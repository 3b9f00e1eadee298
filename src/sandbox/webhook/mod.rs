//! The other half of Meta: signed webhooks to one endpoint, about what was sent, what people do, and what becomes of templates.
//!
//! Without a subscription nothing is told to anybody. With one, Meta's rules hold in brief: the endpoint is verified first, every body is
//! signed over its bytes, whatever is not answered 200 is repeated (five attempts, with pauses of 1, 2, 4 and 8 seconds), and what concerns one person
//! arrives in its order. At most 2048 webhooks wait in each of eight lanes; further ones are dropped and counted.

mod asked;
pub(super) mod control;
mod courier;
mod endpoint;
mod payload;
mod person;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::errors::GraphError;
use super::recipient::Recipient;
use courier::{Courier, Parcel};
use endpoint::{Attempt, Endpoint};
use payload::Stage;
use person::Person;

pub use endpoint::{Subscription, Unverified};
pub(super) use payload::now;

/// Beyond this many people nobody else is remembered as having stopped marketing.
const MOST_STOPPED: usize = 100_000;
/// What a marketing message to somebody who stopped them fails with.
const STOPPED: u32 = 131_050;

/// A message that was accepted, of which webhooks will tell.
pub(super) struct Accepted {
    /// The number that it was sent from.
    pub(super) sender: String,
    pub(super) id: String,
    pub(super) recipient: Recipient,
    /// The category that Meta bills.
    pub(super) billed: String,
    /// What the caller wants repeated in every status.
    pub(super) callback_data: Option<String>,
    /// Why it will not arrive.
    pub(super) failure: Option<GraphError>,
}

impl Accepted {
    fn person(&self) -> Option<Person> {
        Person::behind(&self.recipient)
    }

    fn is_marketing(&self) -> bool {
        self.billed.starts_with("marketing")
    }

    /// The stages that it comes to, in order.
    fn stages(&self) -> &'static [Stage] {
        match (&self.failure, &self.recipient) {
            (Some(_), _) => &[Stage::Failed],
            // Who of a group has it and read it would be told of each member, and none is known.
            (None, Recipient::Group(_)) => &[Stage::Sent],
            (None, Recipient::Phone { .. } | Recipient::User(_)) => {
                &[Stage::Sent, Stage::Delivered, Stage::Read]
            }
        }
    }
}

/// One change of a template.
pub(super) struct News {
    /// The account that owns the template; `None`: the sandbox's own.
    pub(super) account: Option<String>,
    /// The template's name: what concerns one template is told in order.
    pub(super) name: String,
    pub(super) field: &'static str,
    /// JSON.
    pub(super) value: String,
}

/// Everything that one sandbox tells.
pub(super) struct Webhooks {
    account: String,
    /// Before the first repetition of a delivery.
    pause: Duration,
    courier: Mutex<Option<Arc<Courier>>>,
    /// Who has stopped marketing messages in their own app.
    stopped: Mutex<HashSet<String>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Webhooks {
    pub(super) fn new(account: &str, pause: Duration) -> Self {
        Webhooks { account: account.to_owned(), pause, courier: Mutex::default(), stopped: Mutex::default() }
    }

    /// Verifies an endpoint and sends webhooks there from now on, and to no other.
    pub(super) async fn subscribe(
        &self,
        subscription: Subscription,
        challenge: &str,
    ) -> Result<(), Unverified> {
        let endpoint = Endpoint::new(subscription).map_err(Unverified::Tls)?;
        endpoint.verify(challenge).await?;
        *locked(&self.courier) = Some(Arc::new(Courier::to(endpoint, self.pause)));
        Ok(())
    }

    /// Sends no more webhooks, not even those that wait.
    fn unsubscribe(&self) {
        *locked(&self.courier) = None;
    }

    fn courier(&self) -> Option<Arc<Courier>> {
        locked(&self.courier).clone()
    }

    /// Tells what becomes of messages.
    pub(super) fn tell_of(&self, messages: Vec<Accepted>) {
        let Some(courier) = self.courier() else { return };
        for mut message in messages {
            let person = message.person();
            let key = person.as_ref().map_or(message.recipient.key(), Person::key).to_owned();
            if message.is_marketing() && locked(&self.stopped).contains(&key) {
                message.failure = message.failure.or_else(|| GraphError::listed(STOPPED));
            }
            for stage in message.stages() {
                courier.send(&key, parcel("messages", &payload::status(&self.account, &message, *stage)));
            }
        }
    }

    /// Tells what became of a template.
    pub(super) fn tell_of_template(&self, news: &[News]) {
        let Some(courier) = self.courier() else { return };
        for News { account, field, value, name } in news {
            let account = account.as_ref().unwrap_or(&self.account);
            courier.send(name, parcel(field, &payload::of_account(account, now(), (field, value))));
        }
    }

    /// Remembers the switch in a person's own app.
    fn switch(&self, person: &Person, wish: &str) {
        let mut stopped = locked(&self.stopped);
        if wish == "resume" {
            stopped.remove(person.key());
        } else if stopped.len() < MOST_STOPPED {
            stopped.insert(person.key().to_owned());
        }
    }
}

fn parcel(field: &str, body: &str) -> Parcel {
    Parcel::new(field, payload::escaped(body))
}

/// How the first attempt to deliver something went.
type Told = oneshot::Receiver<Attempt>;
