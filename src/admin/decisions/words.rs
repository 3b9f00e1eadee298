//! A decision in plain words.

use std::fmt::Write as _;
use std::time::Duration;

use super::consent::{Consent, Status};
use super::line::Line;
use crate::consent::{Category, DenyReason};
use crate::wire::refusal;

/// What happened and why.
pub(super) fn why(line: &Line, consent: &Consent) -> String {
    let tenant = line.tenant.as_deref().unwrap_or("the business");
    let kind = line.category.map_or("", Category::name);
    let mut text = match (line.allowed, line.basis.as_deref(), line.reason) {
        (Some(true), Some("consent"), _) => {
            format!(
                "Allowed, because the recipient had agreed to {kind} messages from {tenant}{}.",
                event(consent)
            )
        }
        (Some(true), Some("window"), _) => format!(
            "Allowed, because the recipient had written to {tenant} within the 24 hours before{}.",
            event(consent)
        ),
        (Some(true), Some("confirmation"), _) => format!(
            "Allowed once, as the one message that may confirm a stop within five minutes{}.",
            event(consent)
        ),
        (Some(true), Some("fail_open"), _) => format!(
            "Let pass without knowing: the consent store did not answer, and the policy's failure_stance for {kind} is open."
        ),
        (Some(true), Some("shadow"), Some(reason)) => format!(
            "Forwarded only because the policy's mode was shadow; enforcing would have refused it ({}): {}{}.",
            reason.name(),
            told(line, reason).what,
            event(consent)
        ),
        (Some(true), _, _) => "Let pass by the policy without looking anybody up.".to_owned(),
        (Some(false), _, Some(reason)) => {
            format!("Refused ({}): {}{}.", reason.name(), told(line, reason).what, event(consent))
        }
        (Some(false), _, None) => "Refused.".to_owned(),
        (None, _, _) => "Not decided: the caller went away before.".to_owned(),
    };
    text += &outcome(line);
    text
}

/// The event behind it, in a clause.
fn event(consent: &Consent) -> String {
    match (consent.status, consent.people.iter().find_map(|person| person.event.as_ref())) {
        (Status::Shown, Some(shown)) => {
            let (id, source) = (shown.event.id.as_deref(), shown.event.source.as_deref());
            let at = shown.event.occurred_at.map(|at| at.to_string());
            let [id, source, at] = [id, source, at.as_deref()].map(Option::unwrap_or_default);
            format!(" (event {id} of {at}, source {source})")
        }
        (Status::Erased, _) => " (the person has been erased since)".to_owned(),
        (_, _) => String::new(),
    }
}

fn outcome(line: &Line) -> String {
    match (line.outcome.as_str(), line.upstream_status) {
        ("forwarded", Some(status)) => format!(" The provider answered {status}."),
        ("upstream_not_reached", _) => " The provider could not be reached; nothing was sent.".to_owned(),
        ("outcome_unknown", _) => {
            " The provider did not answer; the message may have been delivered.".to_owned()
        }
        ("aborted", _) if line.allowed == Some(true) => {
            " The caller went away before it was forwarded.".to_owned()
        }
        (_, _) => String::new(),
    }
}

/// What to do next, where something was refused, would have been, or failed.
pub(super) fn remedy(line: &Line) -> Option<String> {
    let failed = match line.outcome.as_str() {
        "upstream_not_reached" => Some("Send it again."),
        "outcome_unknown" => Some("Check the message statuses before sending it again."),
        _ => None,
    };
    let Some(reason) = line.reason else { return failed.map(str::to_owned) };
    let mut text = told(line, reason).remedy.to_owned() + ".";
    if line.category_source.as_deref() == Some("unlisted") {
        text += " If the template is not marketing, import the account's templates (optgate templates import): what is not in the catalogue counts as marketing.";
    }
    if let (DenyReason::NoConsent | DenyReason::ConsentExpired, Some(category)) = (reason, line.category) {
        let category = category.name();
        let _ = write!(
            text,
            " To record it: optgate consent grant RECIPIENT --category {category}, with the evidence."
        );
    }
    Some(text)
}

fn told(line: &Line, reason: DenyReason) -> refusal::Told {
    refusal::told(reason, line.category)
}

/// A span of time in its largest unit.
pub(super) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        172_800.. => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_told_in_their_largest_unit() {
        for (seconds, told) in [(5, "5 s"), (300, "5 min"), (10_800, "3 h"), (604_800, "7 days")] {
            assert_eq!(span(Duration::from_secs(seconds)), told);
        }
    }
}
