//! HMAC-SHA-256 of short texts under a key that stays: several for every send.
//!
//! By `hmac` and `sha2` instead of aws-lc, which hashes a long text as fast but copies and wipes a kilobyte of context for each: twice the time for a number
//! or a message id, on a processor that has instructions for SHA-256.
//! Knows nothing of what is hashed.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// A key with everything computed that does not depend on the text. `Debug` shows nothing of it.
#[derive(Clone)]
pub struct MacKey(Hmac<Sha256>);

impl MacKey {
    /// A key of 32 bytes.
    pub fn new(key: &[u8; 32]) -> Self {
        // RFC 2104: a key that is shorter than a block is filled up with zeros.
        let mut block = [0; 64];
        let (filled, _) = block.split_at_mut(key.len());
        filled.copy_from_slice(key);
        Self(Hmac::new(&block.into()))
    }

    /// The hash of these texts, one after the other.
    pub fn hash<const N: usize>(&self, texts: [&[u8]; N]) -> [u8; 32] {
        let mut mac = self.0.clone();
        for text in texts {
            mac.update(text);
        }
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::hmac;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_hmac_sha_256_whatever_the_text_and_however_it_is_cut(
            key in any::<[u8; 32]>(),
            text in prop::collection::vec(any::<u8>(), 0..300),
            cut in any::<prop::sample::Index>(),
        ) {
            let (before, after) = text.split_at(cut.index(text.len() + 1));
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), &text);
            let (whole, cut) = (MacKey::new(&key).hash([&text]), MacKey::new(&key).hash([before, after]));
            prop_assert_eq!((&whole[..], &cut[..]), (tag.as_ref(), tag.as_ref()));
        }
    }
}
