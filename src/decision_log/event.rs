//! What is recorded about one decision, as the stages of the journey fill it in.
//!
//! Holds the recipient itself: hashing happens on the writing thread. `Debug` shows no person, because none of the types does.

use std::fmt;
use std::sync::Arc;

use super::id::DecisionId;
use crate::consent::{Basis, Category, DenyReason, Lookup, Recipient, Timestamp};
use crate::policy::{Decision, Mode, Policy, WindowKnowledge};
use crate::wire::cloud::answer::MessageId;

/// One decision.
#[derive(Debug)]
pub struct Event {
    pub(super) id: DecisionId,
    /// When the send was judged: the same moment as in the facts, so that a replay judges by it.
    pub(super) time: Timestamp,
    /// The tenant's place in the configuration.
    pub tenant: Option<usize>,
    /// The phone number id of the path.
    pub sender: Option<Text<31>>,
    /// The configured name of the caller.
    pub caller: Option<Arc<str>>,
    /// Everybody whom the send could reach.
    pub readings: Readings,
    /// The strictest category.
    pub category: Option<Category>,
    /// Name and language; see [`Event::set_template`].
    pub(super) template: Option<Template>,
    /// Whether the template stood in the catalogue; `None` without a template.
    pub listed: Option<bool>,
    /// How it was decided; see also [`Event::decided`].
    pub verdict: Option<Verdict>,
    /// The rule of the policy that decided, if one did.
    pub rule: Option<Arc<str>>,
    /// The revision of the policy.
    pub revision: Option<Text<31>>,
    /// Whether refusals are carried out.
    pub mode: Option<Mode>,
    /// What was known of customer service windows, for a send that needed to know.
    pub window: Option<WindowKnowledge>,
    /// The message id that the provider answered with; see [`Event::set_message_id`].
    pub(super) message_id: Option<MessageId>,
    pub(super) outcome: Outcome,
}

impl Event {
    pub(super) fn new(id: DecisionId, time: Timestamp) -> Self {
        Self {
            id,
            time,
            tenant: None,
            sender: None,
            caller: None,
            readings: Readings::default(),
            category: None,
            template: None,
            listed: None,
            verdict: None,
            rule: None,
            revision: None,
            mode: None,
            window: None,
            message_id: None,
            outcome: Outcome::Aborted,
        }
    }

    /// Records when the send was judged: looking somebody up may have taken a while.
    pub fn judged_at(&mut self, at: Timestamp) {
        self.time = at;
    }

    /// Records a decision with the policy that it was made under.
    pub fn decided(&mut self, decision: &Decision, policy: &Policy) {
        self.verdict = Some(Verdict::of(decision));
        self.mode = Some(policy.mode());
        self.revision = Text::plain(policy.revision());
    }

    /// Records the sender; text that cannot be a phone number id is left out.
    pub fn set_sender(&mut self, phone_number_id: &str) {
        self.sender = Text::plain(phone_number_id);
    }

    /// Records the template as `name/language`; a name that no template can have is left out, for it could be anything.
    pub fn set_template(&mut self, name: &str, language: &str) {
        let short = name.len() <= 512 && language.len() <= 16;
        let known = short && is_plain(name) && is_plain(language);
        self.template = known.then(|| Template::of(name, language));
    }

    /// Records the provider's message id, which the log holds only hashed; one that is implausibly long is left out.
    pub fn set_message_id(&mut self, id: MessageId) {
        self.message_id = Some(id).filter(|id| id.danger_bytes().len() <= 512);
    }
}

/// A template as `name/language`, nearly always without an allocation.
#[derive(Clone, Debug)]
pub(super) enum Template {
    Short([u8; Self::SHORT], u8),
    Long(Box<str>),
}

impl Template {
    const SHORT: usize = 62;

    fn of(name: &str, language: &str) -> Self {
        Self::short(name, language).unwrap_or_else(|| Self::Long([name, "/", language].concat().into()))
    }

    fn short(name: &str, language: &str) -> Option<Self> {
        let mut bytes = [0; Self::SHORT];
        let (before, after) = bytes.split_at_mut_checked(name.len())?;
        let (slash, after) = after.split_first_mut()?;
        after.get_mut(..language.len())?.copy_from_slice(language.as_bytes());
        before.copy_from_slice(name.as_bytes());
        *slash = b'/';
        Some(Self::Short(bytes, u8::try_from(name.len() + 1 + language.len()).ok()?))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Short(bytes, len) => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Self::Long(text) => text.as_bytes(),
        }
    }
}

/// One person whom a send could reach, and what the store said.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The person.
    pub recipient: Recipient,
    /// The store's answer; `None` if it was not asked.
    pub lookup: Option<Lookup>,
}

/// Everybody whom a send could reach: nearly always one, so the first is kept without an allocation.
#[derive(Debug, Default)]
pub struct Readings {
    first: Option<Reading>,
    rest: Vec<Reading>,
}

impl Readings {
    /// Adds a reading.
    pub fn push(&mut self, recipient: Recipient, lookup: Option<Lookup>) {
        let reading = Reading { recipient, lookup };
        match self.first {
            None => self.first = Some(reading),
            Some(_) => self.rest.push(reading),
        }
    }

    /// Every reading, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = &Reading> {
        self.first.iter().chain(&self.rest)
    }
}

/// How a send was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Allowed.
    Allow {
        /// On what it rests.
        basis: Basis,
        /// What enforcing would have answered, in shadow mode.
        would_deny: Option<DenyReason>,
    },
    /// Denied.
    Deny(DenyReason),
}

impl Verdict {
    /// What the log keeps of a decision.
    pub fn of(decision: &Decision) -> Self {
        match decision {
            Decision::Allow(permit) => Self::Allow {
                basis: permit.basis(),
                would_deny: permit.would_deny().map(|denial| denial.reason),
            },
            Decision::Deny(denial) => Self::Deny(denial.reason),
        }
    }
}

/// What became of a send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The upstream answered.
    Forwarded {
        /// With this status.
        status: u16,
    },
    /// It was refused.
    Refused,
    /// The caller went away before it was forwarded.
    Aborted,
    /// The upstream could not be reached: nothing was sent.
    UpstreamNotReached,
    /// The upstream failed after bytes were written: it may have been delivered.
    OutcomeUnknown,
}

impl Outcome {
    /// The name in the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Forwarded { .. } => "forwarded",
            Self::Refused => "refused",
            Self::Aborted => "aborted",
            Self::UpstreamNotReached => "upstream_not_reached",
            Self::OutcomeUnknown => "outcome_unknown",
        }
    }

    pub(super) const fn status(self) -> Option<u16> {
        match self {
            Self::Forwarded { status } => Some(status),
            Self::Refused | Self::Aborted | Self::UpstreamNotReached | Self::OutcomeUnknown => None,
        }
    }
}

/// A short name kept inline: letters, digits and `_ - . :`, at most `N` of them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Text<const N: usize> {
    bytes: [u8; N],
    len: u8,
}

impl<const N: usize> Text<N> {
    /// The text, if it is of this kind.
    pub fn plain(text: &str) -> Option<Self> {
        let mut bytes = [0; N];
        bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        let len = u8::try_from(text.len()).ok()?;
        is_plain(text).then_some(Self { bytes, len })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.bytes()).unwrap_or_default()
    }

    /// The text, for who does not mind that it is text.
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// Which bytes plain text has.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let (mut rest, mut byte) = (plain.as_mut_slice(), 0_u8);
    while let Some((entry, others)) = rest.split_first_mut() {
        *entry = byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':');
        byte = byte.wrapping_add(1);
        rest = others;
    }
    plain
};

fn is_plain(text: &str) -> bool {
    // Without a way out at the first odd byte, which hardly any text has.
    let plain = |so_far: bool, b: u8| so_far & PLAIN.get(usize::from(b)).copied().unwrap_or_default();
    !text.is_empty() && text.bytes().fold(true, plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_plain_text_is_kept() {
        assert_eq!(Text::<31>::plain("106540352242922").unwrap().as_str(), "106540352242922");
        for bad in ["", "+15550000001", "a b", "12345678901234567890123456789012", "é"] {
            assert!(Text::<31>::plain(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_template_name_that_no_template_has_is_left_out() {
        let mut event =
            Event::new(DecisionId::parse("01ARYZ6S410000000000000000").unwrap(), Timestamp::EPOCH);
        event.set_template("order_update", "en_US");
        let kept = |event: &Event| event.template.as_ref().map(|template| template.bytes().to_vec());
        assert_eq!(kept(&event).as_deref(), Some(&b"order_update/en_US"[..]));
        event.set_template("Hello Ann, your code is 1234", "en_US");
        assert_eq!(kept(&event), None);
        for length in [1, 55, 56, 57, 58, 512] {
            let name = "n".repeat(length);
            event.set_template(&name, "en_US");
            assert_eq!(kept(&event), Some(format!("{name}/en_US").into_bytes()), "{length}");
        }
        event.set_template(&"n".repeat(513), "en_US");
        assert_eq!(kept(&event), None);
    }

    #[test]
    fn plain_text_is_letters_digits_and_four_signs() {
        for byte in 0..=u8::MAX {
            let expected = byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte);
            assert_eq!(PLAIN[usize::from(byte)], expected, "{byte}");
        }
    }

    #[test]
    fn debug_shows_no_person() {
        let mut event =
            Event::new(DecisionId::parse("01ARYZ6S410000000000000000").unwrap(), Timestamp::EPOCH);
        event.readings.push(Recipient::parse("+15550000001").unwrap(), None);
        event.set_message_id(MessageId::of("wamid.HBgLMTU1NTAwMDAwMDE"));
        let shown = format!("{event:?}");
        assert!(!shown.contains("5550000") && !shown.contains("wamid"), "{shown}");
    }
}
