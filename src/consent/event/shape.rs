//! What each kind of event asks of the fields: whether it can be an event at all, not whether a grant keeps the opt-in rules.

use super::{Actor, EventAsWritten, EventId, Kind};
use crate::consent::blank::is_blank;
use crate::consent::evidence::Evidence;
use crate::consent::plan;
use crate::consent::recipient::Recipient;
use crate::consent::time::Timestamp;

/// How far ahead of our clock an event may claim to have happened before it is refused.
pub(super) const CLOCK_SKEW: std::time::Duration = std::time::Duration::from_secs(300);

/// What is asked of an event that arrives, and not of one that was stored before it was asked.
pub(super) fn check_arrival(written: &EventAsWritten) -> Vec<String> {
    let blank =
        |text: &Option<String>| text.as_deref().is_some_and(|text| !text.trim().is_empty() && is_blank(text));
    let by_business = written.actor.is_some_and(|actor| !actor.speaks_for_person());
    let by_another = written.actor.is_some_and(|actor| actor != Actor::Person);
    [
        (
            is_unclear(&written.recipient),
            "recipient: no possible phone number in plain form; write + and the country calling code, then the number without a trunk prefix (+447911123456, not +4407911123456)",
        ),
        (
            written.links.iter().any(|link| is_unclear(link)),
            "links: one is no possible phone number in plain form; write + and the country calling code, then the number without a trunk prefix",
        ),
        (blank(&written.source), "source: shows nothing; write the system or page it came from, such as website"),
        (blank(&written.confirms), "confirms: shows nothing; write the id of the pending grant, or leave it out"),
        (
            written.kind == Some(Kind::Inbound) && by_business,
            "actor: only the person writes to you; write person, or provider where the provider tells of it: what your own side does opens no customer service window",
        ),
        (
            // The business confirming for them is told of by the shape.
            written.confirms.is_some() && by_another && !by_business,
            "confirms: only the person confirms; write what they did with \"actor\":\"person\", or leave the field out",
        ),
    ]
    .into_iter()
    .filter(|(wrong, _)| *wrong)
    .map(|(_, what)| what.to_owned())
    .collect()
}

/// Whether it is written as a number that nobody can have, or in more than one reading; what is no number at all others tell.
fn is_unclear(recipient: &str) -> bool {
    match Recipient::parse(recipient) {
        Some(Recipient::Phone(number)) => !plan::is_plain(&number),
        Some(Recipient::UserId(_) | Recipient::Hashed(_)) | None => false,
    }
}

/// What a kind asks of an event beyond the fields that all share.
pub(super) fn check_kind(kind: Kind, written: &EventAsWritten, now: Timestamp, problems: &mut Vec<String>) {
    if written.categories.as_ref().is_some_and(Vec::is_empty) {
        problems.push("categories: empty; name at least one, or leave the field out to mean all".to_owned());
    }
    match kind {
        Kind::Grant => {
            if written.categories.is_none() {
                problems.push(
                    "categories: missing; a grant names what was agreed to, such as [\"utility\"]".to_owned(),
                );
            }
            check_standing(written, problems);
            if written.occurred_at.is_some_and(|at| at > now.plus(CLOCK_SKEW)) {
                problems.push("occurred_at: lies in the future; write when the person agreed".to_owned());
            }
            if written.expires_at.is_some() && written.expires_at <= written.occurred_at {
                problems.push("expires_at: must be later than occurred_at".to_owned());
            }
        }
        Kind::Link => {
            if written.links.is_empty() {
                problems.push("links: missing; name the other identities of the same person".to_owned());
            }
        }
        // What an export says of an erasure keeps its force when it is imported.
        Kind::Erase if written.id.as_ref().is_some_and(|id| id.starts_with(EventId::ERASURE)) => {
            if written.categories.is_some() {
                problems.push("categories: an erasure withdraws everything; leave the field out".to_owned());
            }
        }
        Kind::Erase => {
            problems.push(
                "kind: erase is not an event to post; use DELETE /v1/tenants/{tenant}/recipients/{recipient}"
                    .to_owned(),
            );
        }
        Kind::Revoke | Kind::Resume | Kind::Inbound => {}
    }
    if written.observed == Some(true) && written.links.is_empty() {
        problems
            .push("observed: says how links came to be known; leave it out where there are none".to_owned());
    }
    if kind != Kind::Grant {
        let only = [
            (written.expires_at.is_some(), "expires_at: only a grant can expire"),
            (
                written.pending == Some(true),
                "pending: only a grant can wait for its confirmation; leave it out",
            ),
            (written.confirms.is_some(), "confirms: only a grant confirms another; leave it out"),
            (written.legacy == Some(true), "legacy: only a grant can be without evidence; leave it out"),
        ];
        problems.extend(only.into_iter().filter(|(wrong, _)| *wrong).map(|(_, what)| what.to_owned()));
    }
}

/// Whether a grant says clearly what it stands on: evidence, the grant that it confirms, or neither because it is old.
fn check_standing(written: &EventAsWritten, problems: &mut Vec<String>) {
    let legacy = written.legacy == Some(true);
    if !legacy && written.evidence.as_ref().is_none_or(Evidence::is_empty) {
        problems.push(
            "evidence: missing; a grant must state how the person agreed (channel, user_action, wording, ...)"
                .to_owned(),
        );
    }
    if written.confirms.as_ref().is_some_and(|id| id.trim().is_empty()) {
        problems.push("confirms: empty; write the id of the pending grant, or leave it out".to_owned());
    }
    if written.confirms.is_some() && written.actor.is_some_and(|actor| !actor.speaks_for_person()) {
        problems.push(
            "confirms: only the person confirms; write what they did with \"actor\":\"person\", or leave the field out"
                .to_owned(),
        );
    }
    if written.pending == Some(true) && written.confirms.is_some() {
        problems.push(
            "pending, confirms: a grant that confirms another is not pending itself; write one of the two"
                .to_owned(),
        );
    }
    if legacy && (written.pending == Some(true) || written.confirms.is_some()) {
        problems.push(
            "legacy: a legacy grant neither waits for a confirmation nor is one; leave pending and confirms out"
                .to_owned(),
        );
    }
}
