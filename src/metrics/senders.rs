//! The numbers about senders, which are counted in the background and shared by all workers.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::Metrics;
use super::labels::{AnswerLink, PollResult, StatusResult};
use crate::consent::{Category, Quality};
use crate::wire::webhook::AccountEvent;

/// How many senders have series of their own; the senders of a gate without configured tenants are not known beforehand.
const MAX_SENDERS: usize = 1000;

/// When a sender last did something, in seconds since the epoch; 0 is never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moments {
    /// A genuine webhook about it came.
    pub webhook: u32,
    /// The provider took a message of it.
    pub send: u32,
    /// The provider took a marketing message of it.
    pub marketing: u32,
}

/// How a sender is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SenderState {
    /// When it last did what.
    pub moments: Moments,
    /// How its number is rated.
    pub quality: Quality,
    /// Whether the provider says that it can send; `None` if that is not known.
    pub can_send: Option<bool>,
}

/// Everything about senders.
#[derive(Debug, Default)]
pub(super) struct SenderNumbers(Mutex<Numbers>);

/// By senders and closed sets.
#[derive(Clone, Debug, Default)]
pub(super) struct Numbers {
    pub(super) senders: BTreeMap<String, OfSender>,
    pub(super) mismatches: BTreeMap<(&'static str, &'static str), u64>,
    pub(super) account_events: BTreeMap<&'static str, u64>,
    pub(super) ids_lost: u64,
    pub(super) statuses_dropped: u64,
    pub(super) links: [u64; AnswerLink::ALL.len()],
}

/// One sender's.
#[derive(Clone, Debug, Default)]
pub(super) struct OfSender {
    pub(super) state: SenderState,
    pub(super) statuses: [u64; StatusResult::ALL.len()],
    pub(super) polls: [u64; PollResult::ALL.len()],
    pub(super) bypasses: u64,
    pub(super) warned: u64,
}

impl SenderNumbers {
    pub(super) fn now(&self) -> Numbers {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn with<T>(&self, change: impl FnOnce(&mut Numbers) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn of(&self, sender: &str, change: impl FnOnce(&mut OfSender)) {
        self.with(|numbers| {
            let known = numbers.senders.len();
            match numbers.senders.get_mut(sender) {
                Some(of_sender) => change(of_sender),
                None if known < MAX_SENDERS => {
                    change(numbers.senders.entry(sender.to_owned()).or_default());
                }
                None => {}
            }
        });
    }
}

impl Metrics {
    /// Shows how a sender is doing.
    pub fn set_sender(&self, sender: &str, state: SenderState) {
        self.0.senders.of(sender, |numbers| numbers.state = state);
    }

    /// Counts a status that a sender's message came to.
    pub fn sender_status(&self, sender: &str, result: StatusResult) {
        self.0.senders.of(sender, |numbers| bump(&mut numbers.statuses, result.index()));
    }

    /// Counts an attempt to ask the provider how a sender's number is doing.
    pub fn sender_polled(&self, sender: &str, result: PollResult) {
        self.0.senders.of(sender, |numbers| bump(&mut numbers.polls, result.index()));
    }

    /// Counts a message of a sender that this deployment has not forwarded.
    pub fn bypass_suspected(&self, sender: &str) {
        self.0.senders.of(sender, |numbers| numbers.bypasses += 1);
    }

    /// Counts marketing messages from a number that is rated badly, which the policy only warns of.
    pub fn sender_warned(&self, sender: &str, messages: u64) {
        self.0.senders.of(sender, |numbers| numbers.warned += messages);
    }

    /// Counts a message that was billed as another category than it was judged as.
    pub fn category_mismatch(&self, judged: Category, billed: Category) {
        let labels = (judged.name(), billed.name());
        self.0.senders.with(|numbers| *numbers.mismatches.entry(labels).or_default() += 1);
    }

    /// Counts something that happened to an account.
    pub fn account_event(&self, event: AccountEvent) {
        self.0.senders.with(|numbers| *numbers.account_events.entry(event.name()).or_default() += 1);
    }

    /// Counts messages whose ids nobody here knows.
    pub fn message_ids_lost(&self, messages: u64) {
        self.0.senders.with(|numbers| numbers.ids_lost += messages);
    }

    /// Counts statuses that were neither counted nor compared with what was sent, because too many came at once.
    pub fn statuses_dropped(&self, statuses: u64) {
        self.0.senders.with(|numbers| numbers.statuses_dropped += statuses);
    }

    /// Counts what became of links between identities that answers to sends told of.
    pub fn answer_links(&self, link: AnswerLink, links: u64) {
        self.0.senders.with(|numbers| add(&mut numbers.links, link.index(), links));
    }
}

fn bump(counts: &mut [u64], at: usize) {
    add(counts, at, 1);
}

fn add(counts: &mut [u64], at: usize, more: u64) {
    if let Some(count) = counts.get_mut(at) {
        *count += more;
    }
}
