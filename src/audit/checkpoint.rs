//! A signed statement of what all chains of a tenant were at one moment.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use aws_lc_rs::digest::{SHA256, digest};

use super::canonical::{canonical, canonical_without};
use super::key::{Signer, is_signed, key_id};
use super::sums::{Sums, Total};
use crate::consent::Timestamp;

const VERSION: u64 = 1;

/// A checkpoint that was read and whose form is right; its signature is checked where it is compared.
#[derive(Clone)]
pub struct Checkpoint {
    value: Value,
    tenant: String,
    at: u32,
    recipients: u64,
    entries: u64,
    sums: Sums,
    previous: Option<String>,
}

impl std::fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checkpoint")
            .field("tenant", &self.tenant)
            .field("at", &self.at())
            .finish_non_exhaustive()
    }
}

impl Checkpoint {
    /// States and signs what stood at a moment.
    pub(super) fn sign(
        signer: &Signer,
        tenant: &str,
        at: u32,
        total: Total,
        previous: Option<&Self>,
    ) -> Self {
        let previous = previous.map(Self::hash);
        let mut value = json!({
            "v": VERSION,
            "tenant": tenant,
            "at": at,
            "recipients": total.recipients,
            "entries": total.entries,
            "sums": STANDARD.encode(total.sums.to_bytes()),
            "previous": previous,
            "key": key_id(signer.public()),
        });
        let signature = signer.sign(canonical(&value).as_bytes());
        if let Some(members) = value.as_object_mut() {
            members.insert("signature".to_owned(), signature.into());
        }
        let Total { sums, recipients, entries } = total;
        Self { value, tenant: tenant.to_owned(), at, recipients, entries, sums, previous }
    }

    /// The stored form.
    pub(super) fn encode(&self) -> Vec<u8> {
        canonical(&self.value).into_bytes()
    }

    /// Reads the stored form; `None` for anything else.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(bytes).ok()?;
        if value.get("v")?.as_u64()? != VERSION {
            return None;
        }
        let stated = value.get("previous")?;
        let previous = stated.as_str().map(str::to_owned);
        if previous.is_none() && !stated.is_null() {
            return None;
        }
        Some(Self {
            tenant: value.get("tenant")?.as_str()?.to_owned(),
            at: u32::try_from(value.get("at")?.as_u64()?).ok()?,
            recipients: value.get("recipients")?.as_u64()?,
            entries: value.get("entries")?.as_u64()?,
            sums: Sums::from_bytes(&STANDARD.decode(value.get("sums")?.as_str()?).ok()?)?,
            previous,
            value,
        })
    }

    /// Whether it was signed by this signer's key, as it stands.
    pub(super) fn is_signed_by(&self, signer: &Signer) -> bool {
        let signature = self.value.get("signature").and_then(Value::as_str).unwrap_or_default();
        is_signed(signer.public(), canonical_without(&self.value, "signature").as_bytes(), signature)
    }

    /// Its SHA-256 in hexadecimal digits, as the program log states it.
    pub fn hash(&self) -> String {
        hex::encode(digest(&SHA256, canonical(&self.value).as_bytes()).as_ref())
    }

    /// The tenant's name.
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// The moment that it speaks about.
    pub fn at(&self) -> Timestamp {
        Timestamp::from_secs(u64::from(self.at))
    }

    pub(super) const fn moment(&self) -> u32 {
        self.at
    }

    /// How many recipients had a chain.
    pub const fn recipients(&self) -> u64 {
        self.recipients
    }

    /// How many entries the chains had.
    pub const fn entries(&self) -> u64 {
        self.entries
    }

    pub(super) const fn sums(&self) -> &Sums {
        &self.sums
    }

    /// The hash of the checkpoint before it.
    pub(super) fn previous(&self) -> Option<&str> {
        self.previous.as_deref()
    }

    /// Whether it would say nothing new.
    pub(super) fn says(&self, total: &Total) -> bool {
        self.sums == total.sums && self.recipients == total.recipients && self.entries == total.entries
    }
}

/// Which of some checkpoints, oldest first, are kept: the latest 24, before them the first of each day for 30 days, before those the first of each 30 days.
pub(super) fn kept(moments: &[u32]) -> Vec<u32> {
    const DAY: u32 = 86_400;
    const HOURLY: usize = 24;
    let newest = moments.last().copied().unwrap_or_default();
    let recent = moments.len().saturating_sub(HOURLY);
    let mut kept: Vec<u32> = Vec::new();
    let mut period = None;
    for (n, at) in moments.iter().copied().enumerate() {
        let days = if newest.saturating_sub(at) > 30 * DAY { 30 } else { 1 };
        let now = Some((days, at / (days * DAY)));
        if n >= recent || now != period {
            kept.push(at);
        }
        period = now;
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed() -> (Signer, Checkpoint) {
        let signer = Signer::from_seed(&[3; 32]).unwrap();
        let first = Checkpoint::sign(&signer, "acme", 100, Total::default(), None);
        let second =
            Checkpoint::sign(&signer, "acme", 200, Total { recipients: 2, ..Total::default() }, Some(&first));
        (signer, second)
    }

    #[test]
    fn what_is_stored_is_read_back_and_still_signed() {
        let (signer, checkpoint) = signed();
        let read = Checkpoint::decode(&checkpoint.encode()).unwrap();
        assert!(read.is_signed_by(&signer));
        assert!(!read.is_signed_by(&Signer::from_seed(&[4; 32]).unwrap()));
        assert_eq!(
            (read.hash(), read.moment(), read.previous()),
            (checkpoint.hash(), 200, checkpoint.previous())
        );
    }

    #[test]
    fn no_member_can_be_edited() {
        let (signer, checkpoint) = signed();
        let text = String::from_utf8(checkpoint.encode()).unwrap();
        for (from, to) in [
            ("\"at\":200", "\"at\":201"),
            ("\"recipients\":2", "\"recipients\":1"),
            ("\"acme\"", "\"acne\""),
            ("\"sums\":\"AA", "\"sums\":\"AB"),
            ("\"v\":1", "\"v\":1,\"w\":1"),
        ] {
            let edited = text.replacen(from, to, 1);
            assert_ne!(edited, text);
            assert!(!Checkpoint::decode(edited.as_bytes()).unwrap().is_signed_by(&signer), "{from}");
        }
    }

    #[test]
    fn the_number_of_checkpoints_stays_bounded() {
        let hours: Vec<u32> = (0..3 * 365 * 24).map(|n| 1_790_000_000 + n * 3600).collect();
        let kept = kept(&hours);
        assert!((24 + 29..24 + 32 + 37).contains(&kept.len()), "{}", kept.len());
        assert_eq!(kept.first(), hours.first());
        assert_eq!(kept[kept.len() - 24..], hours[hours.len() - 24..]);
        assert_eq!(super::kept(&[]), Vec::<u32>::new());
    }
}
