//! Where a recipient's records stand: a tenant's number and the recipient's key.

use crate::consent::{RecipientKey, TenantId};

/// A tenant's number and a key within the tenant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    pub(super) tenant: TenantId,
    pub(super) key: RecipientKey,
}

impl Place {
    /// The stored form: the tenant's number, big-endian so that a tenant's places stand together, then the key's bytes.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let key = self.key.bytes();
        let mut bytes = Vec::with_capacity(size_of::<u32>().saturating_add(key.len()));
        bytes.extend_from_slice(&self.tenant.0.to_be_bytes());
        bytes.extend_from_slice(key);
        bytes
    }

    /// Reads what [`Place::bytes`] wrote.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (tenant, key) = bytes.split_first_chunk()?;
        Some(Self { tenant: TenantId(u32::from_be_bytes(*tenant)), key: RecipientKey::from_bytes(key)? })
    }
}
