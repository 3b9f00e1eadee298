//! A recipient as a keyed hash: recognizable to whoever holds the key and the number, readable to nobody.
//!
//! Knows neither where the key is kept nor when a hash stands in place of a number.

use std::fmt;
use std::sync::Arc;

use super::mac::MacKey;
use super::recipient::RecipientKey;
use super::tenant::TenantId;

/// The first 16 bytes of HMAC-SHA-256 over a tenant's number and a recipient's key.
///
/// The same person is another hash at every tenant and in every store. `Debug` shows nothing of it: a hash still tells one person from another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecipientHash {
    /// [`RecipientHash::MARK`], then the hash.
    key: [u8; Self::KEY_BYTES],
}

impl RecipientHash {
    /// How many bytes of the HMAC are kept.
    pub const BYTES: usize = 16;
    /// The size of the form in keys of the store.
    pub const KEY_BYTES: usize = Self::BYTES + 1;
    /// What every hash begins with in keys of the store: no number, user id or tenant does.
    const MARK: u8 = b'#';
    /// What every hash begins with where people read it.
    pub const PREFIX: &'static str = "hash:";

    const fn new(hash: [u8; Self::BYTES]) -> Self {
        let mut key = [Self::MARK; Self::KEY_BYTES];
        if let Some((_, rest)) = key.split_first_mut() {
            rest.copy_from_slice(&hash);
        }
        Self { key }
    }

    /// The form in keys of the store.
    pub(super) const fn key_bytes(&self) -> &[u8] {
        &self.key
    }

    /// Reads the form in keys of the store.
    pub(super) fn from_key_bytes(bytes: &[u8]) -> Option<Self> {
        let (&Self::MARK, hash) = bytes.split_first()? else { return None };
        Some(Self::new(hash.try_into().ok()?))
    }

    /// Reads `hash:` and 32 hexadecimal digits in small letters.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(Self::PREFIX)?;
        let mut hash = [0; Self::BYTES];
        let small = !digits.bytes().any(|b| b.is_ascii_uppercase());
        (small && hex::decode_to_slice(digits, &mut hash).is_ok()).then(|| Self::new(hash))
    }

    /// The hash as the admin API and exports write it. For answers about the person and for storing, never for logs.
    pub fn danger_string(&self) -> String {
        format!("{}{}", Self::PREFIX, hex::encode(self.key.get(1..).unwrap_or_default()))
    }
}

impl fmt::Debug for RecipientHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecipientHash([redacted])")
    }
}

/// Makes the hashes of one store. Cheap to clone; computing one allocates nothing.
#[derive(Clone)]
pub struct RecipientHasher {
    /// Shared, because what is computed ahead of every hash takes some space.
    key: Arc<MacKey>,
}

impl RecipientHasher {
    /// A hasher under a store's secret.
    pub fn new(secret: &[u8; 32]) -> Self {
        Self { key: Arc::new(MacKey::new(secret)) }
    }

    /// The key under which a recipient of a tenant stands as a hash. A hash and the tenant's own record are what they are.
    pub fn hashed(&self, tenant: TenantId, key: &RecipientKey) -> RecipientKey {
        match key {
            RecipientKey::Phone(_) | RecipientKey::UserId(_) => RecipientKey::Hashed(self.hash(tenant, key)),
            RecipientKey::Hashed(_) | RecipientKey::Tenant => key.clone(),
        }
    }

    /// The hash of a recipient of a tenant; that of a hash is the hash itself.
    pub fn hash(&self, tenant: TenantId, key: &RecipientKey) -> RecipientHash {
        if let RecipientKey::Hashed(hash) = key {
            return *hash;
        }
        let tag = self.key.hash([&tenant.0.to_be_bytes(), key.bytes()]);
        RecipientHash::new(tag.first_chunk().copied().unwrap_or_default())
    }
}

/// What the fingerprint of a hasher begins with; no recipient does.
const FINGERPRINT: &[u8] = b"optgate hash key 1\0";

impl RecipientHasher {
    /// Tells a tenant's hashes from those under another key, or of a tenant with another number, without telling anything about the key.
    pub fn fingerprint(&self, tenant: TenantId) -> String {
        let tag = self.key.hash([FINGERPRINT, &tenant.0.to_be_bytes()]);
        hex::encode(tag.get(..8).unwrap_or_default())
    }
}

impl fmt::Debug for RecipientHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecipientHasher([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::hmac;

    use super::*;
    use crate::consent::Recipient;

    fn key(text: &str) -> RecipientKey {
        Recipient::parse(text).unwrap().key()
    }

    #[test]
    fn it_is_hmac_sha256_over_the_tenant_and_the_canonical_recipient() {
        let hasher = RecipientHasher::new(&[7; 32]);
        let hash = hasher.hash(TenantId(3), &key("+5215555500011"));
        let whole = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]), b"\0\0\0\x03525555500011");
        let expected = format!("hash:{}", hex::encode(&whole.as_ref()[..16]));
        assert_eq!(hash.danger_string(), expected);
        assert_eq!(RecipientHash::parse(&expected), Some(hash));
    }

    #[test]
    fn people_tenants_and_stores_have_hashes_of_their_own() {
        let hasher = RecipientHasher::new(&[7; 32]);
        let ann = hasher.hash(TenantId(1), &key("+15550000001"));
        assert_eq!(hasher.hash(TenantId(1), &key("+15550000001")), ann);
        assert_eq!(hasher.hash(TenantId(2), &RecipientKey::Hashed(ann)), ann);
        for other in [
            hasher.hash(TenantId(1), &key("+15550000002")),
            hasher.hash(TenantId(1), &key("US.15550000001")),
            hasher.hash(TenantId(2), &key("+15550000001")),
            RecipientHasher::new(&[8; 32]).hash(TenantId(1), &key("+15550000001")),
        ] {
            assert_ne!(other, ann);
        }
        assert_eq!(hasher.hashed(TenantId(1), &RecipientKey::Tenant), RecipientKey::Tenant);
        assert_eq!(hasher.hashed(TenantId(1), &key("+15550000001")), RecipientKey::Hashed(ann));
    }

    #[test]
    fn a_fingerprint_tells_keys_and_tenants_apart() {
        let of = |secret: u8, tenant| RecipientHasher::new(&[secret; 32]).fingerprint(TenantId(tenant));
        assert_eq!((of(7, 1), of(7, 1).len()), (of(7, 1), 16));
        assert_ne!(of(7, 1), of(7, 2));
        assert_ne!(of(7, 1), of(8, 1));
    }

    #[test]
    fn only_the_exact_text_form_is_a_hash() {
        let text = "hash:000102030405060708090a0b0c0d0e0f";
        assert_eq!(RecipientHash::parse(text).unwrap().danger_string(), text);
        for bad in [
            "000102030405060708090a0b0c0d0e0f",
            "hash:000102030405060708090A0B0C0D0E0F",
            "hash:000102030405060708090a0b0c0d0e",
            "hash:000102030405060708090a0b0c0d0e0f00",
            "hash:+00102030405060708090a0b0c0d0e0f",
            "HASH:000102030405060708090a0b0c0d0e0f",
            "hash:",
            "",
        ] {
            assert!(RecipientHash::parse(bad).is_none(), "{bad}");
        }
    }
}
