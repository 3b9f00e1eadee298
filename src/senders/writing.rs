//! What the keeper writes to the store: all that is new once a second, and messages that were sent as soon as there are many.

use std::error::Error;
use std::time::Duration;

use super::keeper::{DAY_SECONDS, Keeper};
use super::polling;
use crate::store::notes::Notes;

/// From how many marks on they do not wait for the next writing. A second's worth in one go would hold up those who ask the same Redis.
const MARKS_AT_ONCE: usize = 64;
/// For how long a node that used filters of another size may still use them unseen.
const FILTER_SEEN: Duration = Duration::from_secs(600);

impl Keeper {
    /// Writes what is new.
    pub(super) async fn write(&mut self, all: bool) {
        let now = self.inner.clock.now().as_secs_u32();
        let mut notes = self.inner.board().unkept(all);
        notes.today = now / DAY_SECONDS;
        notes.sent = std::mem::take(&mut self.marks);
        notes.sums =
            std::mem::take(&mut self.sums).into_iter().map(|((day, name), sum)| (day, name, sum)).collect();
        // Nodes whose filters have another size do not see this one's messages.
        if all || now.saturating_sub(self.announced) >= polling::seconds(FILTER_SEEN) / 2 {
            let until = now.saturating_add(polling::seconds(FILTER_SEEN));
            notes.raised.push((format!("filter/{}", self.blocks()), until.into()));
            self.announced = now;
        }
        self.keep(notes).await;
    }

    /// Writes many marks at once, where others ask the same store; a file of our own is better written seldom.
    pub(super) async fn write_marks(&mut self) {
        if self.marks.len() >= MARKS_AT_ONCE && self.inner.store.is_shared() && !self.store_failed {
            let today = self.inner.clock.now().as_secs_u32() / DAY_SECONDS;
            let sent = std::mem::take(&mut self.marks);
            self.keep(Notes { today, sent, ..Notes::default() }).await;
        }
    }

    async fn keep(&mut self, notes: Notes) {
        if notes.is_empty() {
            return;
        }
        let again = notes.clone();
        match self.inner.store.note(notes).await {
            Ok(()) => self.store_failed = false,
            Err(error) => {
                if !std::mem::replace(&mut self.store_failed, true) {
                    tracing::warn!(
                        error = &error as &dyn Error,
                        "what is known of senders could not be kept; trying again"
                    );
                }
                self.take_back(again);
            }
        }
    }

    /// What was not written is written later.
    fn take_back(&mut self, notes: Notes) {
        if !notes.raised.is_empty() || !notes.texts.is_empty() {
            self.inner.board().forget_kept();
            self.announced = 0;
        }
        self.marks.extend(notes.sent);
        for (day, name, sum) in notes.sums {
            *self.sums.entry((day, name)).or_default() += sum;
        }
    }
}
