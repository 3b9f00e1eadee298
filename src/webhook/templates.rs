//! What a webhook tells of templates goes to the catalogue.

use super::Relay;
use crate::store::StoreError;
use crate::wire::webhook::Reading;

/// Has the catalogue keep what a webhook tells. Returns once it is durable and in force on this node.
pub(super) async fn learn(relay: &Relay, reading: &Reading) -> Result<(), StoreError> {
    if reading.templates.is_empty() {
        return Ok(());
    }
    relay.catalogue.learn(&reading.templates).await
}
