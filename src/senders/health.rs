//! What is known of a number's health, as it is kept: the newest statement counts, whoever made it.

use serde::{Deserialize, Serialize};

use crate::consent::{Quality, Timestamp};
use crate::wire::cloud::health::NumberHealth;
use crate::wire::webhook::{AccountEvent, AccountNews, NumberEvent};

/// How long a statement that nobody repeats is believed. WhatsApp flags a number for seven days.
const BELIEVED_SECONDS: u32 = 8 * 86_400;

/// A number's health.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Health {
    /// When the newest statement was made; 0 is never.
    pub(super) at: u32,
    #[serde(default)]
    pub(super) quality: Quality,
    #[serde(default)]
    pub(super) status: Option<String>,
    #[serde(default)]
    pub(super) limit: Option<String>,
    #[serde(default)]
    pub(super) can_send: Option<String>,
    #[serde(default)]
    pub(super) obstacles: Vec<String>,
    /// When it was last asked for with success; 0 is never.
    #[serde(default)]
    pub(super) asked_at: u32,
}

impl Health {
    /// The rating that sends are judged by.
    pub(super) fn rating(&self, now: Timestamp) -> Quality {
        if now.as_secs_u32().saturating_sub(self.at) > BELIEVED_SECONDS {
            return Quality::Unknown;
        }
        match self.status.as_deref() {
            // What WhatsApp calls a number whose quality is low.
            Some("FLAGGED" | "RESTRICTED") => Quality::Red,
            Some(_) | None => self.quality,
        }
    }

    /// Takes in an answer of the provider's.
    pub(super) fn answered(&mut self, health: NumberHealth, now: Timestamp) {
        let NumberHealth { quality, status, limit, can_send, obstacles } = health;
        self.at = now.as_secs_u32();
        self.asked_at = self.at;
        self.quality = quality.unwrap_or_default();
        self.status = status;
        self.limit = limit.or(self.limit.take());
        self.can_send = can_send;
        self.obstacles = obstacles;
    }

    /// Takes in what a webhook says; whether that is news.
    pub(super) fn told(&mut self, event: NumberEvent, limit: Option<String>, at: Timestamp) -> bool {
        let at = at.as_secs_u32();
        // Webhooks come late and more than once.
        if at < self.at {
            return false;
        }
        let before = self.clone();
        match event {
            NumberEvent::Flagged => self.status = Some("FLAGGED".to_owned()),
            NumberEvent::Unflagged => {
                self.status = Some("CONNECTED".to_owned());
                // It was for a low rating that it was flagged.
                self.quality = if self.quality == Quality::Red { Quality::Unknown } else { self.quality };
            }
            NumberEvent::Other => {}
        }
        self.limit = limit.or(self.limit.take());
        self.at = at;
        *self != before
    }
}

/// What was last told about an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AccountState {
    pub(super) at: u32,
    /// The name of an [`AccountEvent`].
    pub(super) event: String,
    pub(super) words: String,
    #[serde(default)]
    pub(super) until: Option<u32>,
    /// How many people its numbers may write to in a day.
    #[serde(default)]
    pub(super) limit: Option<String>,
}

impl AccountState {
    /// Nothing was told yet.
    pub(super) fn unknown() -> Self {
        Self { at: 0, event: String::new(), words: String::new(), until: None, limit: None }
    }

    /// Takes in what a webhook says; whether that is news.
    pub(super) fn told(&mut self, news: &AccountNews, at: Timestamp) -> bool {
        let at = at.as_secs_u32();
        if at < self.at || matches!(news.event, AccountEvent::Other | AccountEvent::Alert) && self.at > 0 {
            return false;
        }
        let now = Self {
            at,
            event: news.event.name().to_owned(),
            words: news.words.clone(),
            until: news.until.map(Timestamp::as_secs_u32),
            limit: self.limit.take(),
        };
        let changed = now != *self;
        *self = now;
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000_000_000);

    fn seconds_ago(n: u64) -> Timestamp {
        Timestamp::from_secs(1_000_000_000 - n)
    }

    fn of(quality: Quality, status: &str) -> NumberHealth {
        NumberHealth { quality: Some(quality), status: Some(status.to_owned()), ..NumberHealth::default() }
    }

    #[test]
    fn the_worse_of_rating_and_status_counts_until_it_is_old() {
        let mut health = Health::default();
        assert_eq!(health.rating(NOW), Quality::Unknown);
        for (quality, status, rating) in [
            (Quality::Green, "CONNECTED", Quality::Green),
            (Quality::Yellow, "CONNECTED", Quality::Yellow),
            (Quality::Red, "CONNECTED", Quality::Red),
            (Quality::Green, "FLAGGED", Quality::Red),
            (Quality::Unknown, "RESTRICTED", Quality::Red),
            (Quality::Green, "A_NEW_WORD", Quality::Green),
        ] {
            health.answered(of(quality, status), NOW);
            assert_eq!(health.rating(NOW), rating, "{status}");
        }
        health.answered(of(Quality::Red, "CONNECTED"), seconds_ago(9 * 86_400));
        assert_eq!(health.rating(NOW), Quality::Unknown);
    }

    #[test]
    fn the_newest_statement_counts_in_whatever_order_they_come() {
        let mut health = Health::default();
        assert!(health.told(NumberEvent::Flagged, Some("TIER_2K".to_owned()), seconds_ago(100)));
        assert_eq!((health.rating(NOW), health.limit.as_deref()), (Quality::Red, Some("TIER_2K")));
        assert!(health.told(NumberEvent::Unflagged, None, seconds_ago(50)));
        assert!(!health.told(NumberEvent::Flagged, None, seconds_ago(100)), "late");
        assert!(!health.told(NumberEvent::Unflagged, None, seconds_ago(50)), "repeated");
        assert_eq!((health.rating(NOW), health.limit.as_deref()), (Quality::Unknown, Some("TIER_2K")));
        health.answered(of(Quality::Green, "CONNECTED"), seconds_ago(10));
        assert!(!health.told(NumberEvent::Flagged, None, seconds_ago(20)), "older than the answer");
        assert_eq!(health.rating(NOW), Quality::Green);
    }

    #[test]
    fn small_news_do_not_hide_great_ones() {
        let news = |event, words: &str| AccountNews { event, words: words.to_owned(), until: None };
        let mut account = AccountState::unknown();
        assert!(account.told(&news(AccountEvent::Restriction, "R"), seconds_ago(100)));
        assert!(!account.told(&news(AccountEvent::Other, "PARTNER_ADDED"), seconds_ago(50)));
        assert!(!account.told(&news(AccountEvent::Violation, "V"), seconds_ago(200)), "late");
        assert_eq!(account.words, "R");
        assert!(account.told(&news(AccountEvent::Reinstated, "OK"), seconds_ago(10)));
    }
}
