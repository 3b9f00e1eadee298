//! The labels: closed sets, so that a request cannot make a new time series.

use crate::consent::{Basis, Category, DenyReason};
use crate::policy::Mode;

/// Defines a label whose values have a name and a place.
macro_rules! label {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// Every value, in the order in which the page shows them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The value of the label.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            pub(super) const fn index(self) -> usize {
                self as usize
            }
        }
    };
}

label! {
    /// What became of a request.
    Kind {
        /// A send, or a batch of them, that was allowed; forwarded, or failed on the way to the upstream.
        Send = "send",
        /// Not a send: passed on.
        Passthrough = "passthrough",
        /// Refused.
        Refused = "refused",
    }
}

label! {
    /// How forwarding an allowed send failed.
    UpstreamFailure {
        /// No byte was written: a retry is safe.
        NotReached = "not_reached",
        /// Bytes were written and no answer came: it may have been delivered.
        OutcomeUnknown = "outcome_unknown",
    }
}

label! {
    /// Why a request to the admin API was turned away.
    AuthFailure {
        /// It had no token.
        Missing = "missing",
        /// What it had is no bearer token, or there were several.
        Malformed = "malformed",
        /// The token is none of the configured ones.
        Unknown = "unknown_token",
        /// The token is known and lacks the scope.
        Scope = "scope",
        /// It had no valid token, as too many before it from the same address or from all together.
        Limited = "rate_limited",
    }
}

label! {
    /// What became of a webhook.
    WebhookOutcome {
        /// Learnt, and taken by the bot.
        Relayed = "relayed",
        /// Learnt, and queued for the bot.
        Queued = "queued",
        /// Learnt; no bot wants it.
        Learnt = "learnt",
        /// Its signature is not the provider's: nothing was learnt.
        Forged = "forged",
        /// It is no webhook.
        Unreadable = "unreadable",
        /// It is longer than webhooks are.
        TooLarge = "too_large",
        /// It is great, and so are many others that are held: nothing was learnt; the provider repeats it.
        NoRoom = "no_room",
        /// The store could not keep what it tells; the provider repeats it.
        NotStored = "not_stored",
        /// Learnt, but the queue has no room; the provider repeats it.
        QueueFull = "queue_full",
        /// Learnt, but the bot did not take it; the provider repeats it.
        BotFailed = "bot_failed",
    }
}

label! {
    /// What a sender's message came to.
    StatusResult {
        /// The provider has sent it on.
        Sent = "sent",
        /// It arrived.
        Delivered = "delivered",
        /// It was read.
        Read = "read",
        /// The person has stopped marketing messages.
        Stopped = "failed_131050",
        /// The person cannot be reached.
        Undeliverable = "failed_131026",
        /// The business has blocked the person.
        Blocked = "failed_130403",
        /// It failed for any other reason.
        Failed = "failed_other",
    }
}

label! {
    /// How asking the provider about a number went.
    PollResult {
        /// It answered.
        Ok = "ok",
        /// It refused the token or the question.
        Refused = "refused",
        /// It asked for fewer questions.
        Limited = "rate_limited",
        /// No answer came.
        Unanswered = "unanswered",
    }
}

label! {
    /// What became of a link between identities that an answer to a send told of.
    AnswerLink {
        /// It is in the store now.
        Learnt = "learnt",
        /// It was there already.
        Known = "known",
        /// Too many waited for the store; the person's next message tells of it again.
        Lost = "lost",
    }
}

label! {
    /// How the reading of an account's whole template list went.
    TemplateSync {
        /// It was read to its end.
        Read = "read",
        /// The account's allowance of calls is used up.
        Limited = "limited",
        /// It failed otherwise.
        Failed = "failed",
    }
}

label! {
    /// What came of looking up a template that a send named and nobody knew.
    TemplateLookup {
        /// The provider lists it.
        Found = "found",
        /// The provider does not list it.
        NotFound = "not_found",
        /// The provider gave no list.
        Failed = "failed",
        /// A send did not wait for the answer any longer and was judged as marketing.
        Late = "late",
        /// The account's allowance, or the gate's own limit, left no room for it.
        Refused = "refused",
    }
}

label! {
    /// The class of an upstream's answer.
    StatusClass {
        /// 1xx.
        Informational = "1xx",
        /// 2xx.
        Success = "2xx",
        /// 3xx.
        Redirection = "3xx",
        /// 4xx.
        ClientError = "4xx",
        /// 5xx and above.
        ServerError = "5xx",
    }
}

label! {
    /// How an attempt to reload the configuration went.
    Reload {
        /// It is in force.
        Ok = "ok",
        /// The one before stays in force.
        Failed = "failed",
    }
}

impl StatusClass {
    /// The class of a status, given as its code or as `http::StatusCode`.
    pub fn of(status: impl Into<u16>) -> Self {
        match status.into() {
            ..200 => Self::Informational,
            200..300 => Self::Success,
            300..400 => Self::Redirection,
            400..500 => Self::ClientError,
            500.. => Self::ServerError,
        }
    }
}

/// How a decision went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Allowed, resting on this.
    Allow(Basis),
    /// Denied, because of this.
    Deny(DenyReason),
}

impl Outcome {
    pub(super) const COUNT: usize = Basis::ALL.len() + DenyReason::ALL.len();

    /// Every outcome, in the order of [`Outcome::index`].
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let allow = Basis::ALL.iter().copied().map(Self::Allow);
        allow.chain(DenyReason::ALL.iter().copied().map(Self::Deny))
    }

    pub(super) const fn index(self) -> usize {
        match self {
            Self::Allow(basis) => basis.index(),
            Self::Deny(reason) => Basis::ALL.len() + reason.index(),
        }
    }

    /// The labels `decision` and `reason`; on allow the reason is the basis.
    pub(super) const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Allow(basis) => ("allow", basis.name()),
            Self::Deny(reason) => ("deny", reason.name()),
        }
    }
}

/// By what a decision is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecisionLabels {
    /// The tenant's place in the configuration; `None` for a sender of nobody.
    pub tenant: Option<usize>,
    /// The category, once it was read.
    pub category: Option<Category>,
    /// How it went.
    pub outcome: Outcome,
    /// Whether refusals are carried out.
    pub mode: Mode,
}

/// The place of a mode in the cells.
pub(super) const fn mode_index(mode: Mode) -> usize {
    match mode {
        Mode::Enforce => 0,
        Mode::Shadow => 1,
    }
}

/// The place of a category in the cells; unread ones stand last.
pub(super) const fn category_index(category: Option<Category>) -> usize {
    match category {
        Some(category) => category.index(),
        None => Category::ALL.len(),
    }
}
