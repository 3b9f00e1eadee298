//! Deciding whether one send may go out.
//!
//! Pure: reads no clock, no store, no socket. Everything arrives as [`Facts`], so a decision can be replayed from the decision log.

use super::facts::{Addressee, Confirmation, Facts, Members, SenderScope, WindowKnowledge};
use super::permit::{Denial, Permit};
use super::settings::{FailureStance, Groups, Mode, Policy, SenderHealth, ServiceWindow, Steering};
use crate::consent::{Basis, Category, DenyReason, GateRecord, Lookup, Quality, Standing};

/// What was decided about one send.
#[derive(Debug)]
#[must_use]
pub enum Decision {
    /// It may go out once.
    Allow(Permit),
    /// It must not.
    Deny(Denial),
}

/// Decides one send.
///
/// A lookup that failed is a fact like any other: the policy's [`FailureStance`] settles it, so an unreachable store can never let a send through by accident.
/// The same facts and the same revision always give the same decision. A denial is never overridden by what comes later.
pub fn decide(policy: &Policy, facts: &Facts<'_>) -> Decision {
    // The kill switch is for emergencies: it holds in shadow mode too.
    if facts.needs.iter().any(|category| policy.kill_switch().contains(category)) {
        return Decision::Deny(Denial::of(DenyReason::KillSwitch));
    }
    match judge(policy, facts) {
        Ok(basis) => Decision::Allow(Permit::resting_on(basis)),
        Err(denial) => refuse(policy, denial),
    }
}

/// Carries a refusal out, or in shadow mode records it and lets pass.
pub fn refuse(policy: &Policy, denial: Denial) -> Decision {
    match policy.mode() {
        Mode::Enforce => Decision::Deny(denial),
        Mode::Shadow => Decision::Allow(Permit::shadow(denial)),
    }
}

/// Decides a write that could move webhooks away or make the provider send by itself.
pub fn decide_steering(policy: &Policy, edge: &'static str) -> Decision {
    match policy.steering() {
        Steering::Pass => Decision::Allow(Permit::resting_on(Basis::Policy)),
        Steering::Refuse => refuse(policy, Denial::because(DenyReason::SteeringWrite, edge)),
    }
}

fn judge(policy: &Policy, facts: &Facts<'_>) -> Result<Basis, Denial> {
    match facts.sender {
        SenderScope::Unknown => Err(Denial::because(
            DenyReason::CallerNotPermitted,
            "the phone number id of the path belongs to no configured tenant; add it under [[tenants.senders]]",
        )),
        SenderScope::Permitted => match facts.addressee {
            Addressee::Unreadable(why) => Err(Denial::because(DenyReason::RecipientUnreadable, why)),
            Addressee::Group(members) => group(policy, facts, members),
            Addressee::People { lookups: [], .. } => Err(Denial::of(DenyReason::RecipientUnreadable)),
            Addressee::People { lookups, ambiguous } => {
                let basis = people(policy, facts, lookups, ambiguous)?;
                // Last: what a person said is the better reason.
                healthy(policy, facts).map(|()| basis)
            }
        },
    }
}

fn group(policy: &Policy, facts: &Facts<'_>, members: Option<Members<'_>>) -> Result<Basis, Denial> {
    let refused = |why: &'static str| Denial::because(DenyReason::GroupNotPermitted, why);
    match (policy.groups(), members) {
        (Groups::Permit, _) if facts.headline != Category::Marketing => Ok(Basis::Policy),
        (Groups::Permit | Groups::Refuse, _) => Err(Denial::of(DenyReason::GroupNotPermitted)),
        (Groups::Members, None) => Err(refused(
            "it is not known who is in the group: webhooks must have told of its creation and of everybody who joined, or the provider must tell the gate's own token who is in it",
        )),
        (Groups::Members, Some(Members { lookups, window_open })) => {
            // Whoever wrote to the group opened it for all; each of the others must have agreed all the same.
            let window = if window_open { WindowKnowledge::Open } else { facts.window };
            let basis = people(policy, &Facts { window, ..*facts }, lookups, false).map_err(|denial| {
                // These two may pass later, and say nothing about a member.
                let later = matches!(denial.reason, DenyReason::WindowClosed | DenyReason::StoreUnavailable);
                if later {
                    denial
                } else {
                    refused("not every member of the group has agreed to this kind of message")
                }
            })?;
            healthy(policy, facts).map(|()| basis)
        }
    }
}

/// Marketing from a number that is about to be blocked would get it blocked.
fn healthy(policy: &Policy, facts: &Facts<'_>) -> Result<(), Denial> {
    match (policy.sender_health(), facts.quality) {
        (SenderHealth::Refuse, Quality::Red) if facts.needs.contains(Category::Marketing) => {
            Err(Denial::because(
                DenyReason::SenderHealth,
                "WhatsApp rates the sender's number red, because recipients block or report it; marketing waits until it is better, see `optgate senders`",
            ))
        }
        (
            SenderHealth::Refuse | SenderHealth::Warn | SenderHealth::Off,
            Quality::Unknown | Quality::Green | Quality::Yellow | Quality::Red,
        ) => Ok(()),
    }
}

/// Everybody whom the send could reach must have permitted every category that it needs.
fn people(policy: &Policy, facts: &Facts<'_>, lookups: &[Lookup], ambiguous: bool) -> Result<Basis, Denial> {
    let mut weakest = None;
    let mut worst = None;
    for lookup in lookups {
        for category in facts.needs.iter() {
            match person(policy, facts, *lookup, category) {
                Ok(basis) => weakest = weakest.into_iter().chain([basis]).max_by_key(|b| weaker(*b)),
                Err(reason) => worst = worst.into_iter().chain([reason]).min_by_key(|r| graver(*r)),
            }
        }
    }
    match (worst, weakest) {
        (Some(_), _) if ambiguous => Err(Denial::because(
            DenyReason::RecipientAmbiguous,
            "without + the number can be read as several people's and not all of them agreed; write it with + and the country calling code",
        )),
        (Some(reason), _) => Err(Denial::of(reason)),
        (None, Some(basis)) => Ok(basis),
        // No category was needed: nothing was classified, so nothing is known to be permitted.
        (None, None) => Err(Denial::of(DenyReason::UnrecognizedSend)),
    }
}

/// One person and one category.
fn person(
    policy: &Policy,
    facts: &Facts<'_>,
    lookup: Lookup,
    category: Category,
) -> Result<Basis, DenyReason> {
    let record = match lookup {
        Lookup::Found(record) => record,
        Lookup::Absent => GateRecord::default(),
        Lookup::Unavailable => return unavailable(policy, category),
        Lookup::Remembered(before) => {
            return match before.standing(category, facts.validity, facts.now) {
                Standing::Revoked => Err(DenyReason::ConsentRevoked),
                Standing::Absent | Standing::Granted | Standing::Expired => unavailable(policy, category),
            };
        }
    };
    match (category, record.standing(category, facts.validity, facts.now)) {
        // The one answer to a stop; whoever asks has reserved it.
        (Category::Service, Standing::Revoked)
            if facts.confirmation == Confirmation::Reserved && record.confirmable(facts.now) =>
        {
            Ok(Basis::Confirmation)
        }
        // A person's own revoke wins over every exemption, the service window included: they said no.
        (_, Standing::Revoked) => Err(DenyReason::ConsentRevoked),
        (Category::Service, _) if record.window_open(facts.now) => Ok(Basis::Window),
        (_, Standing::Expired) => Err(DenyReason::ConsentExpired),
        (_, Standing::Absent) => Err(DenyReason::NoConsent),
        (Category::Service, Standing::Granted) => outside_window(policy, facts.window),
        (
            Category::Authentication | Category::Call | Category::Marketing | Category::Utility,
            Standing::Granted,
        ) => Ok(Basis::Consent),
    }
}

/// Free-form to somebody who agreed to it, with no window known to be open.
fn outside_window(policy: &Policy, knowledge: WindowKnowledge) -> Result<Basis, DenyReason> {
    match (policy.service_window(), knowledge) {
        (ServiceWindow::Auto, WindowKnowledge::NotLearnt)
        | (ServiceWindow::Auto | ServiceWindow::Required, WindowKnowledge::Open) => Ok(Basis::Consent),
        (ServiceWindow::Auto, WindowKnowledge::Unavailable) => unavailable(policy, Category::Service),
        (ServiceWindow::Auto, WindowKnowledge::Learnt)
        | (
            ServiceWindow::Required,
            WindowKnowledge::Learnt | WindowKnowledge::NotLearnt | WindowKnowledge::Unavailable,
        ) => Err(DenyReason::WindowClosed),
    }
}

fn unavailable(policy: &Policy, category: Category) -> Result<Basis, DenyReason> {
    match policy.failure_stance(category) {
        FailureStance::Open => Ok(Basis::FailOpen),
        FailureStance::Closed => Err(DenyReason::StoreUnavailable),
    }
}

/// Of several reasons the one to answer with: a person's no before everything, what a retry could mend last.
fn graver(reason: DenyReason) -> u8 {
    match reason {
        DenyReason::ConsentRevoked => 0,
        DenyReason::NoConsent => 1,
        DenyReason::ConsentExpired => 2,
        DenyReason::WindowClosed => 3,
        DenyReason::StoreUnavailable => 4,
        DenyReason::RecipientUnreadable
        | DenyReason::RecipientAmbiguous
        | DenyReason::RequestUnreadable
        | DenyReason::UnrecognizedSend
        | DenyReason::OpaquePayload
        | DenyReason::GroupNotPermitted
        | DenyReason::SteeringWrite
        | DenyReason::QuietHours
        | DenyReason::FrequencyCap
        | DenyReason::Duplicate
        | DenyReason::PolicyRule
        | DenyReason::SenderHealth
        | DenyReason::CallerNotPermitted
        | DenyReason::KillSwitch
        | DenyReason::Overloaded => 5,
    }
}

/// Of several bases the one to record: the least certain.
fn weaker(basis: Basis) -> u8 {
    match basis {
        Basis::Consent => 0,
        Basis::Window => 1,
        Basis::Confirmation => 2,
        Basis::Policy => 3,
        Basis::FailOpen => 4,
        Basis::Shadow => 5,
    }
}

#[cfg(test)]
mod tests;
