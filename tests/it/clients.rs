//! Real clients through the gate: what they send arrives, and a refusal is an error of theirs that they do not retry.
//!
//! The gate stands in front of the sandbox, so that a client gets Meta's answers and the sandbox's journal tells what really arrived.
//! [`sdk`] plays one scene with real packages in their own languages; [`variants`] sends what other clients were seen to send.

pub(crate) mod sdk;
mod variants;

use std::sync::Arc;
use std::time::Duration;

use optgate::sandbox::{Body, Entry, Journal, Sandbox, Settings};
use serde_json::json;

use crate::journey::{grant, inbound, revoke};
use crate::support::gate::Gate;
use crate::support::runtime;

/// Agreed to utility and marketing, and wrote an hour ago.
const FRIEND: &str = "+15550000001";
/// The same for somebody who is known by a business-scoped user id only.
const FRIEND_ID: &str = "US.13491208655302741918";
/// Never agreed to anything.
const STRANGER: &str = "+15550000002";
const STRANGER_ID: &str = "US.13491208655302741919";
/// Agreed to utility and marketing, then withdrew marketing.
const LEAVER: &str = "+15550000003";
/// Agreed and wrote, but the sandbox answers with Meta's error 131026.
const UNDELIVERABLE: &str = "+12099131026";

const AGREED: &[&str] = &["utility", "marketing"];
const HOUR: Duration = Duration::from_secs(60 * 60);

/// A gate in front of a sandbox, with everybody above in its store.
struct Stage {
    gate: Gate,
    sandbox: Sandbox,
}

impl Stage {
    fn set() -> Self {
        let sandbox = runtime().block_on(Sandbox::start(Settings::default())).unwrap();
        let gate = Gate::to(&sandbox.url()).start();
        for friend in [FRIEND, FRIEND_ID, UNDELIVERABLE] {
            gate.apply(&[grant(friend, AGREED), inbound(friend, HOUR)]);
        }
        gate.apply(&[grant(LEAVER, AGREED), revoke(LEAVER, &["marketing"])]);
        gate.put_templates(&json!([
            {"name": "order_update", "language": "en_US", "status": "APPROVED", "category": "UTILITY", "id": "1"},
            {"name": "promo_sale", "language": "en_US", "status": "APPROVED", "category": "MARKETING", "id": "2"},
        ]));
        Self { gate, sandbox }
    }

    fn journal(&self) -> Arc<Journal> {
        self.sandbox.journal()
    }

    /// Whether anything has reached the upstream that was meant for somebody who did not agree.
    #[track_caller]
    fn assert_nothing_reached(&self, nobody: &[&str]) {
        for entry in self.journal().entries() {
            for send in &entry.sends {
                assert!(
                    !nobody.contains(&send.to.as_str()),
                    "reached a {} by {}",
                    send.category,
                    entry.target
                );
            }
        }
    }
}

/// The sends of a request as `(recipient, category)`.
fn sends(entry: &Entry) -> Vec<(&str, &str)> {
    entry.sends.iter().map(|send| (send.to.as_str(), send.category.as_str())).collect()
}

fn body(entry: &Entry) -> &[u8] {
    match &entry.body {
        Body::Whole(bytes) => bytes,
        Body::Digest { .. } => panic!("larger than any body of these tests"),
    }
}
