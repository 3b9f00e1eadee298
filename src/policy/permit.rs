//! Authority as a value: only a decision makes a permit, only a permit (or an allow-listed passthrough) makes a clearance, only a clearance opens the upstream.
//!
//! Nobody can make a permit by hand:
//! ```compile_fail
//! let permit = optgate::policy::Permit { basis: optgate::consent::Basis::Consent, would_deny: None };
//! ```
//! nor a clearance:
//! ```compile_fail
//! let clearance = optgate::policy::Clearance { _private: () };
//! ```
//! nor use a permit twice:
//! ```compile_fail
//! fn twice(permit: optgate::policy::Permit) {
//!     let first = optgate::policy::Clearance::send(permit);
//!     let second = optgate::policy::Clearance::send(permit);
//! }
//! ```

use std::borrow::Cow;

use crate::consent::{Basis, DenyReason};
use crate::wire::recognize::Passage;

/// Why a send is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The reason, also the metric label.
    pub reason: DenyReason,
    /// What is wrong with this request in particular and what would be right, where more can be said than the reason tells.
    pub why: Option<Cow<'static, str>>,
    /// Which operation of a batch, counted from 0.
    pub operation: Option<usize>,
}

impl Denial {
    /// A denial that its reason explains.
    pub fn of(reason: DenyReason) -> Self {
        Self { reason, why: None, operation: None }
    }

    /// A denial with a word about this request.
    pub fn because(reason: DenyReason, why: impl Into<Cow<'static, str>>) -> Self {
        Self { why: Some(why.into()), ..Self::of(reason) }
    }
}

/// The permission to forward one send once.
#[derive(Debug)]
#[must_use = "a permit that is not spent is a send that was allowed and never forwarded"]
pub struct Permit {
    basis: Basis,
    would_deny: Option<Denial>,
}

impl Permit {
    pub(super) fn resting_on(basis: Basis) -> Self {
        Self { basis, would_deny: None }
    }

    pub(super) fn shadow(denial: Denial) -> Self {
        Self { basis: Basis::Shadow, would_deny: Some(denial) }
    }

    /// On what it rests.
    pub fn basis(&self) -> Basis {
        self.basis
    }

    /// What enforcing the policy would have answered, in shadow mode.
    pub fn would_deny(&self) -> Option<&Denial> {
        self.would_deny.as_ref()
    }
}

/// The authority to forward one request once: spent permits, one for each of its sends, or an allow-listed passthrough.
#[derive(Debug)]
#[must_use = "a clearance that is not spent is a request that was cleared and never forwarded"]
pub struct Clearance {
    _private: (),
}

impl Clearance {
    /// Spends the permit of a request with one send.
    pub fn send(_spent: Permit) -> Self {
        Self { _private: () }
    }

    /// Spends the permits of a batch; `None` unless there is exactly one for each of its sends.
    #[allow(clippy::needless_pass_by_value, reason = "spending consumes the permits")]
    pub fn batch(spent: Vec<Permit>, sends: usize) -> Option<Self> {
        (spent.len() == sends && sends > 0).then_some(Self { _private: () })
    }

    /// Clears a request that is no send.
    pub fn passthrough(_passage: Passage) -> Self {
        Self { _private: () }
    }
}
