//! The one message by which a business may confirm a person's stop.
//!
//! A stop that withdraws everything would refuse even the answer "you will hear no more from us", which people expect and which the rules on consent let pass
//! once. Source: FCC, 47 CFR 64.1200(a)(12): a single text within five minutes that confirms and contains no marketing.

use std::time::Duration;

use super::Dossier;
use super::ruling::lifted;
use crate::consent::event::Kind;
use crate::consent::record::State;
use crate::consent::words::SAID;
use crate::consent::{Actor, Category, Event, RecipientKey, Timestamp};

/// How long after a stop its confirmation may pass.
const WITHIN: Duration = Duration::from_secs(5 * 60);

/// A stop that may be confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmable {
    /// Under which of the person's identities the stop was said: the same for everybody whom it was shared with.
    pub said_by: RecipientKey,
    /// Until when.
    pub until: Timestamp,
}

impl Dossier {
    /// The stop that one service message may confirm, whether or not one has.
    ///
    /// Only what the person said with a word is confirmed, and only if nothing else withdrew service messages: of several words in a row the first counts, so
    /// repeating it earns no second answer.
    pub fn confirmable(&self) -> Option<Confirmable> {
        if self.category_record(Category::Service).state != State::Revoked {
            return None;
        }
        let overcome = self
            .latest(|e| self.grants(e, Category::Service) && e.actor.speaks_for_person() && !e.legacy)
            .map(Event::effective_at);
        let resumed = self.resumed(Category::Service);
        let standing = |e: &&Event| {
            e.kind.is_withdrawal()
                && e.covers(Category::Service)
                && !lifted(e, &resumed)
                && overcome.is_none_or(|grant| e.effective_at() >= grant)
        };
        let mut standing = self.events.values().filter(standing);
        if !standing.clone().all(is_word) {
            return None;
        }
        let first = standing.clone().map(Event::effective_at).min()?;
        let stop = standing.find(|e| e.effective_at() == first)?;
        Some(Confirmable { said_by: stop.recipient.key(), until: first.plus(WITHIN) })
    }
}

fn is_word(event: &Event) -> bool {
    event.kind == Kind::Revoke && event.actor == Actor::Person && event.source == SAID
}
