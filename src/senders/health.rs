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
    /// When the limit was told; 0 is never.
    #[serde(default)]
    pub(super) limit_at: u32,
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
        let NumberHealth { quality, status, limit, can_send, obstacles, phone: _ } = health;
        self.at = now.as_secs_u32();
        self.asked_at = self.at;
        self.quality = quality.unwrap_or_default();
        self.status = status;
        if limit.is_some() {
            (self.limit, self.limit_at) = (limit, self.at);
        }
        self.can_send = can_send;
        self.obstacles = obstacles;
    }

    /// Takes in what a webhook says; whether that is news. Webhooks come late, in any order and more than once: of each statement the latest counts.
    pub(super) fn told(&mut self, event: NumberEvent, limit: Option<String>, at: Timestamp) -> bool {
        let at = at.as_secs_u32();
        let before = self.clone();
        let flagged = self.status.as_deref() == Some("FLAGGED");
        match event {
            NumberEvent::Flagged if at >= self.at => {
                self.at = at;
                self.status = Some("FLAGGED".to_owned());
            }
            // Of two that were told for one second the flag counts.
            NumberEvent::Unflagged if at > self.at || (at == self.at && !flagged) => {
                self.at = at;
                self.status = Some("CONNECTED".to_owned());
                // It was for a low rating that it was flagged.
                self.quality = if self.quality == Quality::Red { Quality::Unknown } else { self.quality };
            }
            NumberEvent::Flagged | NumberEvent::Unflagged | NumberEvent::Other => {}
        }
        if limit.is_some() && (at, &limit) > (self.limit_at, &self.limit) {
            (self.limit, self.limit_at) = (limit, at);
        }
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
    /// When the limit was told; 0 is never.
    #[serde(default)]
    pub(super) limit_at: u32,
}

impl AccountState {
    /// Nothing was told yet.
    pub(super) fn unknown() -> Self {
        Self { at: 0, event: String::new(), words: String::new(), until: None, limit: None, limit_at: 0 }
    }

    /// Takes in what a webhook says; whether that is news. The latest great event counts, whenever it comes, and small ones only where there was none.
    pub(super) fn told(&mut self, news: &AccountNews, at: Timestamp) -> bool {
        let (limit, limit_at) = (self.limit.clone(), self.limit_at);
        let now = Self {
            at: at.as_secs_u32(),
            event: news.event.name().to_owned(),
            words: news.words.clone(),
            until: news.until.map(Timestamp::as_secs_u32),
            limit,
            limit_at,
        };
        let counts = now.rank() > self.rank();
        if counts {
            *self = now;
        }
        counts
    }

    /// Takes in how many people the account's numbers may write to; whether that is news.
    pub(super) fn limited(&mut self, limit: &str, at: Timestamp) -> bool {
        let (at, limit) = (at.as_secs_u32(), Some(limit.to_owned()));
        let before = self.limit.clone();
        if (at, &limit) > (self.limit_at, &self.limit) {
            (self.limit, self.limit_at) = (limit, at);
        }
        self.limit != before
    }

    /// Takes in what the store has.
    pub(super) fn learn(&mut self, stored: Self) {
        if (stored.limit_at, &stored.limit) > (self.limit_at, &self.limit) {
            (self.limit, self.limit_at) = (stored.limit.clone(), stored.limit_at);
        }
        if stored.rank() > self.rank() {
            let (limit, limit_at) = (self.limit.take(), self.limit_at);
            *self = Self { limit, limit_at, ..stored };
        }
    }

    /// Of two states the one with the greater rank counts, so that their order does not matter.
    fn rank(&self) -> (bool, u32, &str, &str, Option<u32>) {
        let small = [AccountEvent::Other.name(), AccountEvent::Alert.name(), ""];
        (!small.contains(&self.event.as_str()), self.at, &self.event, &self.words, self.until)
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
    fn the_order_and_number_of_webhooks_do_not_matter() {
        use AccountEvent::{Alert, Other, Reinstated, Restriction};
        use NumberEvent::{Flagged, Unflagged};
        let number = |order: &[usize]| {
            let told = [
                (Flagged, Some("TIER_1K"), 100),
                (NumberEvent::Other, Some("TIER_100K"), 40),
                (Unflagged, None, 60),
                (Flagged, None, 60),
                (Unflagged, Some("TIER_2K"), 80),
            ];
            let mut health = Health::default();
            for (event, limit, ago) in order.iter().map(|n| told[*n]) {
                health.told(event, limit.map(str::to_owned), seconds_ago(ago));
            }
            (health.rating(NOW), health.limit)
        };
        let account = |order: &[usize]| {
            let told = [
                (Other, "O", 10),
                (Restriction, "R", 100),
                (Alert, "A", 5),
                (Reinstated, "OK", 50),
                (Restriction, "S", 50),
            ];
            let mut account = AccountState::unknown();
            for (event, words, ago) in order.iter().map(|n| told[*n]) {
                account.told(&AccountNews { event, words: words.to_owned(), until: None }, seconds_ago(ago));
                account.limited(&format!("TIER_{ago}"), seconds_ago(ago));
            }
            (account.words, account.limit)
        };
        for turn in 0..625 {
            let seed = [turn % 5, turn / 5 % 5, turn / 25 % 5, turn / 125];
            // Whatever came before, once each of them has come.
            let order: Vec<usize> = seed.into_iter().chain([4, 2, 0, 3, 1]).collect();
            assert_eq!(number(&order), (Quality::Red, Some("TIER_100K".to_owned())), "{order:?}");
            assert_eq!(account(&order), ("S".to_owned(), Some("TIER_5".to_owned())), "{order:?}");
        }
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
