//! Identifiers shaped like Meta's: message and call ids, object ids, trace ids.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

/// A source of ids that never repeats within one sandbox and hardly between two.
pub(super) struct Ids {
    seed: u64,
    next: AtomicU64,
}

impl Ids {
    pub(super) fn new() -> io::Result<Self> {
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).map_err(|_| io::Error::other("the system gives no randomness"))?;
        Ok(Ids { seed: u64::from_le_bytes(seed), next: AtomicU64::new(0) })
    }

    fn unique(&self) -> u64 {
        mixed(self.seed.wrapping_add(self.next.fetch_add(1, Ordering::Relaxed)))
    }

    /// `wamid.` and the base64 of the recipient and an 18-digit key, framed as in Meta's own.
    pub(super) fn message(&self, recipient: &str) -> String {
        let key = format!("{:018X}", self.unique());
        format!("wamid.{}", STANDARD.encode(framed(recipient, &key)))
    }

    /// `wacid.` and the base64 of the callee and a 32-digit key.
    pub(super) fn call(&self, recipient: &str) -> String {
        let key = format!("{:016X}{:016X}", self.unique(), self.unique());
        format!("wacid.{}", STANDARD.encode(framed(recipient, &key)))
    }

    /// A 16-digit object id that starts with `prefix`.
    pub(super) fn object(&self, prefix: &str) -> String {
        let width = 16_usize.saturating_sub(prefix.len());
        let digits = format!("{:020}", self.unique());
        let tail = digits.get(digits.len().saturating_sub(width)..).unwrap_or_default();
        format!("{prefix}{tail}")
    }

    /// A trace id: `A` and 22 characters.
    pub(super) fn trace(&self) -> String {
        let bytes = (u128::from(self.unique()) << 64) | u128::from(self.unique());
        format!("A{}", URL_SAFE_NO_PAD.encode(bytes.to_le_bytes()))
    }
}

/// Thrift's compact framing of one recipient and one key, as found in Meta's documented ids.
fn framed(recipient: &str, key: &str) -> Vec<u8> {
    let recipient = recipient.as_bytes();
    let recipient = recipient.get(..recipient.len().min(127)).unwrap_or_default();
    let length = |bytes: &[u8]| u8::try_from(bytes.len()).unwrap_or(127);
    let mut out = vec![0x1c, 0x18, length(recipient)];
    out.extend_from_slice(recipient);
    out.extend_from_slice(&[0x15, 0x02, 0x00, 0x11, 0x18, length(key.as_bytes())]);
    out.extend_from_slice(key.as_bytes());
    out.push(0);
    out
}

/// SplitMix64: a bijection, so different counters give different ids.
pub(super) fn mixed(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
