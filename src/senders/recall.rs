//! What the store knows of senders, and whose own numbers nobody knows.

use std::time::Duration;

use tokio::time::timeout;

use super::filter::Marker;
use super::{Inner, Keeper, Senders};
use crate::consent::E164;
use crate::consent::tenant::Sending;

/// The name under which the key of the ids' hashes stands in the store.
const SECRET: &str = "senders.message_ids";
/// How long the start waits for what was learnt before.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many senders a warning names.
const NAMED: usize = 5;

const NOBODY: &str = "no [[tenants.senders]] is configured and no sender's own number is known yet, so a recipient without + is read as an international number only, though the provider may take it for one of the sender's own country: name the sender with its phone, let the gate learn it from [webhook] or, once it has sent, with [upstream] token_file, or have callers write +";
/// What to do about one sender whose own number nobody knows.
pub(super) const NUMBERLESS: &str = "its own number is not known, so a recipient without + is read as an international number only, though the provider may take it for one of the sender's own country: write phone beneath [[tenants.senders]], let the gate learn it from [webhook] or with [upstream] token_file, or have callers write +";

impl Keeper {
    /// Reads what was learnt before, so that the first send is judged by it; gives up on a store that does not answer in time, which is asked again.
    pub async fn recall(&mut self) {
        let _ = timeout(PATIENCE, self.read()).await;
    }

    /// Takes in what other nodes wrote.
    pub(super) async fn read(&mut self) {
        if self.marker.is_none()
            && let Ok(secret) = self.inner.store.secret(SECRET).await
        {
            self.marker = Some(Marker::new(&secret, self.blocks()));
        }
        if let Ok(known) = self.inner.store.notes().await {
            let inner = &self.inner;
            let names = known.numbers.iter().map(|(name, _)| name);
            for name in names.chain(known.texts.iter().map(|(name, _)| name)) {
                if let Some((_, sender)) = name.split_once('/').filter(|(_, sender)| inner.is_ours(sender)) {
                    inner.meet(sender);
                }
            }
            inner.board().learn(known, self.blocks(), |sender| inner.is_ours(sender));
            self.recalled = true;
        }
        self.inner.show_all();
    }
}

impl Senders {
    /// What an operator should know: whose own number is neither configured nor learnt. Nothing where recipients without + have one reading anyway.
    pub fn warnings(&self) -> Vec<String> {
        let inner = &self.inner;
        if !inner.settings.read_nationally {
            return Vec::new();
        }
        let known: Vec<String> = inner.board().senders.keys().cloned().collect();
        let known: Vec<&String> = known.iter().filter(|sender| inner.is_ours(sender)).collect();
        let unknown: Vec<&str> = known
            .iter()
            .filter(|sender| inner.own_number(sender).is_none())
            .map(|sender| sender.as_str())
            .collect();
        match unknown.as_slice() {
            [] if known.is_empty() => vec![NOBODY.to_owned()],
            [] => Vec::new(),
            some => vec![format!("the own number of {} is not known. Of each: {NUMBERLESS}", named(some))],
        }
    }
}

impl Inner {
    /// A sender's own number, configured or learnt.
    pub(super) fn own_number(&self, sender: &str) -> Option<E164> {
        let configured = match self.tenants.load().sending(sender) {
            Sending::Known(known) => known.phone,
            Sending::Default | Sending::Unknown => None,
        };
        configured.or_else(|| self.pulse(sender)?.felt().phone())
    }
}

fn named(senders: &[&str]) -> String {
    let first: Vec<&str> = senders.iter().take(NAMED).copied().collect();
    match senders.len().saturating_sub(NAMED) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}
