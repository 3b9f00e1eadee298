//! The one message that may confirm a stop: when judging asks for it, and what is decided then.

use crate::consent::{Basis, DenyReason, Lookup, Recipient, RecipientKey};
use crate::policy::{Confirmation, Decision, Facts, Policy, decide};
use crate::store::ConfirmationAsk;
use crate::wire::identify::Identified;

use super::{Answers, Grounds, Judge, found};

/// What judging does about the one confirmation of a stop.
#[derive(Clone, Copy)]
pub(super) enum Confirming {
    /// Reserves it, if the send can only pass as that.
    Reserve,
    /// Counts on it while it is free.
    IfFree,
    /// Knows whether it is reserved for the send.
    As(Confirmation),
}

impl Confirming {
    pub(super) const fn known(self) -> Confirmation {
        match self {
            Self::As(confirmation) => confirmation,
            Self::Reserve | Self::IfFree => Confirmation::NotReserved,
        }
    }

    /// What to do when the same send is judged once more.
    pub(super) const fn after(self, confirmation: Confirmation) -> Self {
        match confirmation {
            Confirmation::Reserved => Self::As(confirmation),
            Confirmation::NotReserved => self,
        }
    }
}

impl Judge {
    /// Whether the one confirmation of the recipients' stops is this send's: the only question for which judging asks the store twice.
    pub(super) async fn may_confirm(
        &self,
        tenant: usize,
        identified: &Identified,
        answers: &Answers,
        confirming: Confirming,
    ) -> bool {
        let ask = match confirming {
            Confirming::Reserve => ConfirmationAsk::Reserve,
            Confirming::IfFree => ConfirmationAsk::Look,
            Confirming::As(_) => return false,
        };
        let Identified::Readings(people) = identified else { return false };
        let now = self.inner.clock.now();
        let stopped = |(recipient, lookup): (&Recipient, &Lookup)| {
            found(lookup).is_some_and(|record| record.confirmable(now)).then(|| recipient.key())
        };
        let keys: Vec<RecipientKey> =
            people.iter().zip(answers.lookups.iter().take(answers.count)).filter_map(stopped).collect();
        self.inner.store.confirm(tenant, &keys, ask).await
    }
}

impl Judge {
    /// Gives back what was reserved for a send that is not forwarded after all, because the rest of its request was refused or the provider was not reached.
    pub async fn give_back(&self, grounds: &Grounds) {
        if grounds.confirmation == Confirmation::Reserved {
            let people: Vec<RecipientKey> = grounds.people.iter().map(Recipient::key).collect();
            self.inner.store.give_back_confirmation(grounds.tenant, &people).await;
        }
    }
}

/// What would be decided if the confirmation of a stop were reserved, where that makes the difference: nowhere but behind a withdrawal.
pub(super) fn confirmed(policy: &Policy, facts: &Facts<'_>, decision: &Decision) -> Option<Decision> {
    let denial = match decision {
        Decision::Allow(permit) => permit.would_deny()?,
        Decision::Deny(denial) => denial,
    };
    if denial.reason != DenyReason::ConsentRevoked {
        return None;
    }
    let facts = Facts { confirmation: Confirmation::Reserved, ..*facts };
    match decide(policy, &facts) {
        Decision::Allow(permit) if permit.basis() == Basis::Confirmation => Some(Decision::Allow(permit)),
        Decision::Allow(_) | Decision::Deny(_) => None,
    }
}
