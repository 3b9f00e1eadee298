//! Why a send was refused or let through: closed sets, also the metric labels.

/// Defines an enum whose variants have a stable name on the wire, with `ALL`, `name` and `index`.
macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// Every value, in the order in which metrics count them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The stable name on the wire and in metrics.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// The place of this value in `ALL`.
            pub const fn index(self) -> usize {
                self as usize
            }
        }
    };
}

named! {
    /// Why a send was refused.
    DenyReason {
        /// Nobody agreed.
        NoConsent = "no_consent",
        /// The person withdrew.
        ConsentRevoked = "consent_revoked",
        /// The agreement ended.
        ConsentExpired = "consent_expired",
        /// Free-form outside the customer service window.
        WindowClosed = "window_closed",
        /// The recipient cannot be read.
        RecipientUnreadable = "recipient_unreadable",
        /// The recipient can be read as several people, and not all of them agreed.
        RecipientAmbiguous = "recipient_ambiguous",
        /// The request cannot be read with certainty.
        RequestUnreadable = "request_unreadable",
        /// It could be a send, in a form that is not judged.
        UnrecognizedSend = "unrecognized_send",
        /// The content is encrypted for the provider.
        OpaquePayload = "opaque_payload",
        /// A group, whose members are not known.
        GroupNotPermitted = "group_not_permitted",
        /// A write that would move webhooks or make the provider send by itself.
        SteeringWrite = "steering_write",
        /// Outside the hours in which the recipient may be disturbed.
        QuietHours = "quiet_hours",
        /// The recipient has had enough messages.
        FrequencyCap = "frequency_cap",
        /// The same message was sent a moment ago.
        Duplicate = "duplicate",
        /// A rule of the policy.
        PolicyRule = "policy_rule",
        /// The sending number is at risk.
        SenderHealth = "sender_health",
        /// The caller or the sender is not permitted.
        CallerNotPermitted = "caller_not_permitted",
        /// Sending is switched off.
        KillSwitch = "kill_switch",
        /// The consent store could not answer.
        StoreUnavailable = "store_unavailable",
        /// The gate is full.
        Overloaded = "overloaded",
    }
}

named! {
    /// On what a permitted send rests.
    Basis {
        /// The recipient agreed.
        Consent = "consent",
        /// The customer service window is open.
        Window = "window",
        /// It is the one message that may confirm the recipient's stop.
        Confirmation = "confirmation",
        /// The store was away and the policy lets this category pass then.
        FailOpen = "fail_open",
        /// The policy lets this kind of request pass without asking anybody's record: a group, a steering write.
        Policy = "policy",
        /// The policy only watches; it would have been refused.
        Shadow = "shadow",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_stands_at_its_index() {
        assert!(DenyReason::ALL.iter().enumerate().all(|(at, r)| r.index() == at));
        assert!(Basis::ALL.iter().enumerate().all(|(at, b)| b.index() == at));
        assert_eq!(DenyReason::ALL.len(), 20);
    }
}
