//! Sealing what is queued, so that it is readable to this deployment alone.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};

use crate::store::StoreError;

/// AES-256-GCM under a secret of the store's, with a nonce of its own for each parcel.
pub(super) struct Seal(Option<RandomizedNonceKey>);

impl Seal {
    pub(super) fn new(secret: &[u8; 32]) -> Self {
        // The key has the length that is asked for: it cannot be refused.
        Self(RandomizedNonceKey::new(&AES_256_GCM, secret).ok())
    }

    /// The content with its tag, then the nonce. It can be opened under the same lane only.
    pub(super) fn close(&self, lane: &str, mut content: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        let key = self.0.as_ref().ok_or(StoreError::Unreadable)?;
        let sealed = key.seal_in_place_append_tag(Aad::from(lane.as_bytes()), &mut content);
        let nonce = sealed.map_err(|_| StoreError::Unreadable)?;
        content.extend_from_slice(nonce.as_ref());
        Ok(content)
    }

    /// What was sealed; an error if it was not sealed by this store, for this lane.
    pub(super) fn open(&self, lane: &str, mut sealed: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        let key = self.0.as_ref().ok_or(StoreError::Unreadable)?;
        let at = sealed.len().checked_sub(NONCE_LEN).ok_or(StoreError::Unreadable)?;
        let nonce = Nonce::try_assume_unique_for_key(&sealed.split_off(at));
        let nonce = nonce.map_err(|_| StoreError::Unreadable)?;
        let opened = key.open_in_place(nonce, Aad::from(lane.as_bytes()), &mut sealed);
        let length = opened.map_err(|_| StoreError::Unreadable)?.len();
        sealed.truncate(length);
        Ok(sealed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_opened_by_the_same_key_and_lane_alone() {
        let seal = Seal::new(&[7; 32]);
        let closed = seal.close("1", b"private".to_vec()).unwrap();
        assert!(!closed.windows(7).any(|bytes| bytes == b"private"));
        assert_eq!(seal.open("1", closed.clone()).unwrap(), b"private");
        assert!(seal.open("2", closed.clone()).is_err());
        assert!(Seal::new(&[8; 32]).open("1", closed.clone()).is_err());
        let mut changed = closed;
        changed[0] ^= 1;
        assert!(seal.open("1", changed).is_err() && seal.open("1", vec![1, 2]).is_err());
    }
}
