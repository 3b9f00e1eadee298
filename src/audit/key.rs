//! The key that signs checkpoints and receipts, and the secret of the multiset sums, both from one seed.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

/// What the multiset secret is derived under.
const MULTISET: &[u8] = b"optgate multiset 1";

/// An Ed25519 public key.
pub type PublicKey = [u8; 32];

/// Signs, and knows the secret of the sums.
pub struct Signer {
    pair: Ed25519KeyPair,
    public: PublicKey,
    multiset: hmac::Key,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("key_id", &key_id(&self.public)).finish_non_exhaustive()
    }
}

impl Signer {
    /// The signer of a seed; `None` only if the cryptographic library refuses 32 bytes, which it does not.
    pub fn from_seed(seed: &[u8; 32]) -> Option<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
        let public = pair.public_key().as_ref().try_into().ok()?;
        let derived = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, seed), MULTISET);
        Some(Self { pair, public, multiset: hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()) })
    }

    /// The public half.
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs bytes; the signature in hexadecimal digits.
    pub(super) fn sign(&self, bytes: &[u8]) -> String {
        hex::encode(self.pair.sign(bytes).as_ref())
    }

    /// What the elements of the sums are keyed with.
    pub(super) const fn multiset(&self) -> &hmac::Key {
        &self.multiset
    }
}

/// A short name of a public key: the first 8 bytes of its SHA-256, in hexadecimal digits.
pub fn key_id(public: &PublicKey) -> String {
    hex::encode(digest(&SHA256, public).as_ref().get(..8).unwrap_or_default())
}

/// Whether a signature, in hexadecimal digits, over some bytes was made with the private half of a key.
pub(super) fn is_signed(public: &PublicKey, bytes: &[u8], signature: &str) -> bool {
    hex::decode(signature)
        .is_ok_and(|signature| UnparsedPublicKey::new(&ED25519, public).verify(bytes, &signature).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_bytes_and_key_alone() {
        let [one, other] = [[1; 32], [2; 32]].map(|seed| Signer::from_seed(&seed).unwrap());
        let signature = one.sign(b"text");
        assert!(is_signed(one.public(), b"text", &signature));
        for (key, bytes, signature) in [
            (other.public(), &b"text"[..], signature.as_str()),
            (one.public(), b"Text", &signature),
            (one.public(), b"text", &signature[2..]),
            (one.public(), b"text", "no digits"),
            (one.public(), b"text", ""),
        ] {
            assert!(!is_signed(key, bytes, signature));
        }
    }

    /// RFC 8032, section 7.1, test 1.
    #[test]
    fn the_public_half_is_the_one_of_the_standard() {
        let mut seed = [0; 32];
        hex::decode_to_slice("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", &mut seed)
            .unwrap();
        let signer = Signer::from_seed(&seed).unwrap();
        assert_eq!(
            hex::encode(signer.public()),
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
        );
        assert!(signer.sign(b"").starts_with("e5564300c360ac729086e2cc806e828a"));
    }
}
