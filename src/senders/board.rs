//! What this node knows of every sender, and what of it the store does not have yet.

use std::collections::{BTreeMap, HashMap};

use super::health::{AccountState, Health};
use crate::consent::{E164, Timestamp};
use crate::metrics::Moments;
use crate::store::notes::{Known, Notes};

/// How much newer a moment must be to be written again: nobody needs it to the second.
const COARSE_SECONDS: u32 = 10;
/// Stands for all senders in the names of gaps.
const ALL: &str = "*";

/// What is known of one sender.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    pub(super) moments: Moments,
    pub(super) health: Health,
    /// Until when messages of it may have been sent of which nobody here knows.
    gap: u32,
    kept: Moments,
    kept_gap: u32,
    changed: bool,
    own: Option<Own>,
    own_changed: bool,
}

/// A sender's own number. It is kept apart from the health, which nodes that do not know the number write as well; of two the latest counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Own {
    at: u32,
    phone: E164,
}

impl Own {
    fn encode(self) -> Vec<u8> {
        format!("{} {}", self.at, self.phone.digits()).into_bytes()
    }

    fn decode(text: &[u8]) -> Option<Self> {
        let (at, digits) = std::str::from_utf8(text).ok()?.split_once(' ')?;
        Some(Self { at: at.parse().ok()?, phone: E164::from_digits(digits.as_bytes())? })
    }
}

/// All senders, and what concerns all of them.
#[derive(Debug, Default)]
pub(super) struct Board {
    pub(super) senders: BTreeMap<String, Facts>,
    accounts: BTreeMap<String, (AccountState, bool)>,
    /// The senders by the numbers of their pulses.
    pub(super) by_number: HashMap<u32, String, ahash::RandomState>,
    gap: u32,
    kept_gap: u32,
    /// When nodes that use filters of other sizes were last seen.
    other_filters: u32,
}

impl Board {
    /// What is known of a sender, to be changed.
    pub(super) fn of(&mut self, sender: &str) -> &mut Facts {
        if !self.senders.contains_key(sender) {
            self.senders.insert(sender.to_owned(), Facts::default());
        }
        // It was just put in.
        self.senders.entry(sender.to_owned()).or_default()
    }

    pub(super) fn account(&self, account: &str) -> Option<&AccountState> {
        self.accounts.get(account).map(|(state, _)| state)
    }

    /// Changes what is known of an account; `change` says whether it did.
    pub(super) fn change_account(&mut self, account: &str, change: impl FnOnce(&mut AccountState) -> bool) {
        let unknown = || (AccountState::unknown(), false);
        let (state, changed) = self.accounts.entry(account.to_owned()).or_insert_with(unknown);
        *changed |= change(state);
    }

    /// From now on nobody is suspected of what a sender, or any, sent until `until`.
    pub(super) fn open_gap(&mut self, sender: Option<&str>, until: Timestamp) {
        let gap = match sender {
            Some(sender) => &mut self.of(sender).gap,
            None => &mut self.gap,
        };
        *gap = (*gap).max(until.as_secs_u32());
    }

    /// The end of the last gap that concerns a sender.
    pub(super) fn gap(&self, sender: &str) -> u32 {
        let own = self.senders.get(sender).map_or(0, |facts| facts.gap);
        own.max(self.gap).max(self.other_filters)
    }

    /// What was taken for kept is not: all of it is written again.
    pub(super) fn forget_kept(&mut self) {
        self.kept_gap = 0;
        for facts in self.senders.values_mut() {
            (facts.kept, facts.kept_gap, facts.changed) =
                (Moments::default(), 0, facts.health.at > 0 || facts.health.limit.is_some());
            facts.own_changed = facts.own.is_some();
        }
        for (state, changed) in self.accounts.values_mut() {
            *changed = state.at > 0 || state.limit.is_some();
        }
    }

    /// What the store does not have yet; all of it, or only what is new enough. It counts as kept from now on.
    pub(super) fn unkept(&mut self, all: bool) -> Notes {
        let mut notes = Notes::default();
        let step = if all { 1 } else { COARSE_SECONDS };
        let mut raise = |name: &str, of: &str, now: u32, kept: &mut u32, step: u32| {
            if now > 0 && now >= kept.saturating_add(step) {
                notes.raised.push((format!("{name}/{of}"), now.into()));
                *kept = now;
            }
        };
        raise("gap", ALL, self.gap, &mut self.kept_gap, 1);
        for (sender, facts) in &mut self.senders {
            let (now, kept) = (facts.moments, &mut facts.kept);
            raise("webhook", sender, now.webhook, &mut kept.webhook, step);
            raise("send", sender, now.send, &mut kept.send, step);
            raise("marketing", sender, now.marketing, &mut kept.marketing, step);
            raise("gap", sender, facts.gap, &mut facts.kept_gap, 1);
        }
        for (sender, facts) in &mut self.senders {
            if std::mem::take(&mut facts.changed) {
                // Plain data serializes.
                let text = serde_json::to_vec(&facts.health).unwrap_or_default();
                notes.texts.push((format!("number/{sender}"), text));
            }
            if let (true, Some(own)) = (std::mem::take(&mut facts.own_changed), facts.own) {
                notes.texts.push((format!("phone/{sender}"), own.encode()));
            }
        }
        for (account, (state, changed)) in &mut self.accounts {
            if std::mem::take(changed) {
                let text = serde_json::to_vec(state).unwrap_or_default();
                notes.texts.push((format!("account/{account}"), text));
            }
        }
        notes
    }

    /// Takes in what the store has, of senders that `is_ours` knows; `blocks` is the size of this node's filters.
    pub(super) fn learn(&mut self, known: Known, blocks: u32, is_ours: impl Fn(&str) -> bool) {
        self.other_filters = 0;
        for (name, number) in known.numbers {
            let Some((what, of)) = name.split_once('/') else { continue };
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            match what {
                "gap" if of == ALL => {
                    self.kept_gap = self.kept_gap.max(number);
                    self.gap = self.gap.max(number);
                }
                "filter" if of.parse() != Ok(blocks) => self.other_filters = self.other_filters.max(number),
                "webhook" | "send" | "marketing" | "gap" if is_ours(of) => self.of(of).raise(what, number),
                _ => {}
            }
        }
        for (name, text) in known.texts {
            match name.split_once('/') {
                Some(("number", of)) if is_ours(of) => self.of(of).learn(&text),
                Some(("phone", of)) if is_ours(of) => self.of(of).learn_own(&text),
                Some(("account", of)) => self.learn_account(of, &text),
                _ => {}
            }
        }
    }

    fn learn_account(&mut self, account: &str, text: &[u8]) {
        let Ok(stored) = serde_json::from_slice::<AccountState>(text) else { return };
        let (state, _) =
            self.accounts.entry(account.to_owned()).or_insert_with(|| (AccountState::unknown(), false));
        // What is not written yet is merged with what others wrote.
        state.learn(stored);
    }
}

impl Facts {
    /// From now on the health is other than the store has it.
    pub(super) fn change_health(&mut self, change: impl FnOnce(&mut Health) -> bool) {
        let changed = change(&mut self.health);
        self.changed |= changed;
    }

    /// The sender's own number, if it was told.
    pub(super) fn phone(&self) -> Option<E164> {
        self.own.map(|own| own.phone)
    }

    /// Takes in which number the sender is. Told again it is no news: nearly every webhook tells it.
    pub(super) fn is_called(&mut self, phone: E164, at: u32) {
        if self.own.is_none_or(|own| own.phone != phone && own.at <= at) {
            (self.own, self.own_changed) = (Some(Own { at, phone }), true);
        }
    }

    fn learn_own(&mut self, text: &[u8]) {
        if let Some(stored) = Own::decode(text).filter(|stored| self.own < Some(*stored)) {
            (self.own, self.own_changed) = (Some(stored), false);
        }
    }

    fn raise(&mut self, what: &str, to: u32) {
        let (now, kept) = match what {
            "webhook" => (&mut self.moments.webhook, &mut self.kept.webhook),
            "send" => (&mut self.moments.send, &mut self.kept.send),
            "marketing" => (&mut self.moments.marketing, &mut self.kept.marketing),
            _ => (&mut self.gap, &mut self.kept_gap),
        };
        *now = (*now).max(to);
        *kept = (*kept).max(to);
    }

    fn learn(&mut self, text: &[u8]) {
        let Ok(stored) = serde_json::from_slice::<Health>(text) else { return };
        if !self.changed && (stored.at, stored.asked_at) >= (self.health.at, self.health.asked_at) {
            self.health = stored;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::Quality;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    /// What a store holds after these notes.
    fn stored(notes: &Notes) -> Known {
        Known { numbers: notes.raised.clone(), texts: notes.texts.clone() }
    }

    #[test]
    fn what_one_node_writes_the_other_knows() {
        let mut here = Board::default();
        here.of("1").moments = Moments { webhook: 100, send: 200, marketing: 150 };
        here.of("1").change_health(|health| {
            (health.at, health.quality) = (120, Quality::Yellow);
            true
        });
        let phone = E164::parse("+15550783881").unwrap();
        here.of("1").is_called(phone, 110);
        here.open_gap(Some("1"), at(90));
        here.open_gap(None, at(80));
        here.change_account("7", |account| {
            (account.at, account.words) = (5, "R".to_owned());
            true
        });
        let notes = here.unkept(true);
        assert!(here.unkept(true).is_empty(), "everything is kept");
        let mut there = Board::default();
        there.learn(stored(&notes), 10, |sender| sender == "1");
        assert_eq!(there.of("1").moments, here.of("1").moments);
        assert_eq!(there.of("1").health, here.of("1").health);
        assert_eq!(there.of("1").phone(), Some(phone));
        assert_eq!((there.gap("1"), there.gap("2")), (90, 80));
        assert_eq!(there.account("7").map(|account| account.words.as_str()), Some("R"));
        assert!(there.unkept(true).is_empty(), "what came from the store is kept");
        let mut stranger = Board::default();
        stranger.learn(stored(&notes), 10, |_| false);
        assert!(stranger.senders.is_empty());
    }

    #[test]
    fn moments_are_written_coarsely_and_never_go_back() {
        let mut board = Board::default();
        board.of("1").moments.send = 1000;
        assert_eq!(board.unkept(false).raised, [("send/1".to_owned(), 1000)]);
        board.of("1").moments.send = 1009;
        assert!(board.unkept(false).is_empty());
        assert_eq!(board.unkept(true).raised, [("send/1".to_owned(), 1009)]);
        board.learn(Known { numbers: vec![("send/1".to_owned(), 500)], texts: vec![] }, 1, |_| true);
        assert_eq!(board.of("1").moments.send, 1009);
    }

    #[test]
    fn of_two_numbers_of_a_sender_the_later_counts_on_every_node_whichever_it_hears_first() {
        let [old, new] = ["+15550783881", "+919876543210"].map(|phone| E164::parse(phone).unwrap());
        let (mut early, mut late) = (Board::default(), Board::default());
        early.of("1").is_called(old, 100);
        late.of("1").is_called(new, 200);
        let [told_early, told_late] = [&mut early, &mut late].map(|board| stored(&board.unkept(true)));
        early.learn(told_late, 1, |_| true);
        late.learn(told_early, 1, |_| true);
        assert_eq!((early.of("1").phone(), late.of("1").phone()), (Some(new), Some(new)));
        late.of("1").is_called(new, 300);
        assert!(late.unkept(true).is_empty(), "told again it is not written again");
        late.forget_kept();
        assert_eq!(late.unkept(true).texts, [("phone/1".to_owned(), b"200 919876543210".to_vec())]);
        for broken in ["", "x", "1", "1 x", "x 15550783881", "1 15550783881 "] {
            early.learn(
                Known { numbers: vec![], texts: vec![("phone/1".to_owned(), broken.into())] },
                1,
                |_| true,
            );
        }
        assert_eq!(early.of("1").phone(), Some(new));
    }

    #[test]
    fn another_size_of_filters_is_a_gap_while_it_is_in_use() {
        let mut board = Board::default();
        let numbers = vec![("filter/10".to_owned(), 900), ("filter/20".to_owned(), 700)];
        board.learn(Known { numbers, texts: vec![] }, 10, |_| true);
        assert_eq!(board.gap("1"), 700);
    }

    #[test]
    fn what_is_newer_here_is_not_overwritten_by_the_store() {
        let mut board = Board::default();
        board.of("1").change_health(|health| {
            health.at = 50;
            true
        });
        let older = serde_json::to_vec(&Health { at: 40, ..Health::default() }).unwrap();
        board.learn(Known { numbers: vec![], texts: vec![("number/1".to_owned(), older)] }, 1, |_| true);
        assert_eq!(board.of("1").health.at, 50);
    }
}
