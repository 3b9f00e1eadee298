//! What a decision rests on.

use crate::consent::{Category, CategorySet, Lookup, Quality, Timestamp, Validity};

/// Whom a send would reach, with what the store says of each.
#[derive(Clone, Copy, Debug)]
pub enum Addressee<'a> {
    /// Everybody whom the provider could take the recipient for; all of them must be permitted.
    People {
        /// What the store says, one entry for each.
        lookups: &'a [Lookup],
        /// Whether they are several readings of one number, so that the remedy is to write it with `+`.
        ambiguous: bool,
    },
    /// A group; without its members, if nobody knows who they are.
    Group(Option<Members<'a>>),
    /// Nobody that can be read, and why.
    Unreadable(&'static str),
}

/// Everybody in a group.
#[derive(Clone, Copy, Debug)]
pub struct Members<'a> {
    /// What the store says, an entry or more for each.
    pub lookups: &'a [Lookup],
    /// Whether somebody has written to the group within the customer service window.
    pub window_open: bool,
}

/// Whether a closed customer service window can be told from one that nobody told us about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowKnowledge {
    /// Inbound messages are learnt for this tenant: no open window means closed.
    Learnt,
    /// Nothing was ever learnt.
    NotLearnt,
    /// The store could not say.
    Unavailable,
    /// Somebody wrote to the group that the send goes to, which opened it for everybody in it.
    Open,
}

/// Whether this send is the one that may confirm a person's stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmation {
    /// It is reserved for this send alone.
    Reserved,
    /// It is not.
    NotReserved,
}

/// Whether the sender may send through this gate at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SenderScope {
    /// It belongs to a tenant.
    Permitted,
    /// Tenants are configured and this sender belongs to none.
    Unknown,
}

/// Everything that [`decide`](super::decide()) looks at. There is no default: every stage must have spoken.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The moment of the decision.
    pub now: Timestamp,
    /// Whether the sender is one of ours.
    pub sender: SenderScope,
    /// How the provider rates the sender's number.
    pub quality: Quality,
    /// Whom it would reach.
    pub addressee: Addressee<'a>,
    /// Every category that must be permitted.
    pub needs: CategorySet,
    /// The strictest of them, by which the send is counted.
    pub headline: Category,
    /// When the tenant's grants end by what the tenant says.
    pub validity: &'a Validity,
    /// What is known of customer service windows.
    pub window: WindowKnowledge,
    /// Whether it may confirm a stop.
    pub confirmation: Confirmation,
}
