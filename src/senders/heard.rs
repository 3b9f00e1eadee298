//! What webhooks say about messages, on its way to the keeper.

use std::collections::{HashSet, VecDeque};
use std::time::Instant;

use super::filter::IdHash;
use crate::consent::redact::Redacted;
use crate::consent::{Category, RecipientKey, Timestamp};
use crate::metrics::StatusResult;
use crate::wire::webhook::{Notice, Stage, Status};

/// "User has stopped marketing messages". Source of the codes: Meta, "Error codes".
const STOPPED: u64 = 131_050;
/// "Message undeliverable".
const UNDELIVERABLE: u64 = 131_026;
/// "The business has blocked the user".
const BLOCKED: u64 = 130_403;
/// How many statuses are remembered, so that one that is delivered again is not counted again.
const REMEMBERED: usize = 1 << 16;

/// A status of a message.
pub(super) struct Heard {
    pub(super) sender: String,
    pub(super) tenant: usize,
    pub(super) id: Redacted<String>,
    pub(super) at: Timestamp,
    pub(super) stage: Stage,
    pub(super) result: Option<StatusResult>,
    /// A code that may be owed to how the consent was obtained.
    pub(super) code: Option<u64>,
    pub(super) billed: Option<Category>,
    pub(super) person: Option<RecipientKey>,
}

/// A status that waits to be compared.
pub(super) struct Due {
    pub(super) since: Instant,
    pub(super) sender: String,
    pub(super) hash: IdHash,
    pub(super) at: Timestamp,
    pub(super) accuses: bool,
    pub(super) billed: Option<Category>,
}

impl Heard {
    pub(super) fn of(notice: &Notice, status: &Status, tenant: usize) -> Self {
        let code = [STOPPED, UNDELIVERABLE, BLOCKED].into_iter().find(|code| status.codes.contains(code));
        Self {
            sender: notice.sender.clone(),
            tenant,
            id: Redacted::new(status.id.clone()),
            at: notice.at,
            stage: status.stage,
            result: result(status.stage, code),
            code: code.filter(|_| status.stage == Stage::Failed),
            billed: status.billed,
            person: notice.person.identities().first().map(crate::consent::Recipient::key),
        }
    }

    /// Whether the status came about when the message was sent, so that its time is the message's.
    ///
    /// A message is delivered or read, or given up, weeks after it was sent, when nobody may remember it.
    pub(super) fn tells_when_it_was_sent(&self) -> bool {
        self.stage == Stage::Sent || matches!(self.code, Some(STOPPED | BLOCKED))
    }
}

fn result(stage: Stage, code: Option<u64>) -> Option<StatusResult> {
    match (stage, code) {
        (Stage::Sent, _) => Some(StatusResult::Sent),
        (Stage::Delivered, _) => Some(StatusResult::Delivered),
        (Stage::Read, _) => Some(StatusResult::Read),
        (Stage::Failed, Some(STOPPED)) => Some(StatusResult::Stopped),
        (Stage::Failed, Some(UNDELIVERABLE)) => Some(StatusResult::Undeliverable),
        (Stage::Failed, Some(BLOCKED)) => Some(StatusResult::Blocked),
        (Stage::Failed, _) => Some(StatusResult::Failed),
        (Stage::Other, _) => None,
    }
}

/// The last statuses, or whatever else comes again, as hashes.
#[derive(Default)]
pub(super) struct Remembered {
    known: HashSet<u64, ahash::RandomState>,
    order: VecDeque<u64>,
}

impl Remembered {
    /// Whether a status is new.
    pub(super) fn is_new(&mut self, status: u64) -> bool {
        if !self.known.insert(status) {
            return false;
        }
        self.order.push_back(status);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }

    /// Takes one back: it is new again.
    pub(super) fn forget(&mut self, status: u64) {
        if self.known.remove(&status) {
            self.order.retain(|known| *known != status);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_statuses_are_remembered_and_no_more() {
        let mut remembered = Remembered::default();
        assert!(remembered.is_new(0) && !remembered.is_new(0));
        assert!((1..=REMEMBERED as u64).all(|status| remembered.is_new(status)));
        assert!(remembered.is_new(0) && !remembered.is_new(2));
        assert_eq!(remembered.known.len(), REMEMBERED);
    }

    #[test]
    fn only_what_happens_at_once_accuses() {
        let heard = |stage, codes: Vec<u64>| {
            let status = Status { id: "wamid.A".to_owned(), stage, codes, billed: None };
            let notice = Notice {
                sender: "1".to_owned(),
                at: Timestamp::from_secs(5),
                person: crate::wire::webhook::Person::default(),
                what: crate::wire::webhook::What::Status(status.clone()),
            };
            Heard::of(&notice, &status, 0)
        };
        for (stage, codes, result, accuses) in [
            (Stage::Sent, vec![], Some(StatusResult::Sent), true),
            (Stage::Delivered, vec![], Some(StatusResult::Delivered), false),
            (Stage::Read, vec![], Some(StatusResult::Read), false),
            (Stage::Failed, vec![131_026], Some(StatusResult::Undeliverable), false),
            (Stage::Failed, vec![131_050], Some(StatusResult::Stopped), true),
            (Stage::Failed, vec![130_403], Some(StatusResult::Blocked), true),
            (Stage::Failed, vec![131_000], Some(StatusResult::Failed), false),
            (Stage::Other, vec![], None, false),
        ] {
            let heard = heard(stage, codes);
            assert_eq!((heard.result, heard.tells_when_it_was_sent()), (result, accuses), "{stage:?}");
        }
    }
}
