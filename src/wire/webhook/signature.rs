//! Whether the provider itself wrote a webhook: an HMAC over its raw bytes. Source: Meta, "Validate payloads".

use aws_lc_rs::hmac;

/// The field that holds the signature.
pub const HEADER: &str = "x-hub-signature-256";

/// The secrets of the apps whose webhooks are accepted; several while one is replaced.
#[derive(Clone)]
pub struct Secrets(Vec<hmac::Key>);

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

impl Secrets {
    /// From the app secrets as the provider's dashboard shows them.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        Self(secrets.into_iter().map(|secret| hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes())).collect())
    }

    /// Whether a field's value is the signature of these bytes; compared in constant time.
    pub fn accept(&self, signature: &[u8], body: &[u8]) -> bool {
        let Some(written) = signature.strip_prefix(b"sha256=") else { return false };
        let Ok(tag) = hex::decode(written) else { return false };
        // All of them are tried: the time tells nothing about which one came close.
        self.0.iter().fold(false, |accepted, key| hmac::verify(key, body, &tag).is_ok() | accepted)
    }

    /// The field's value for these bytes under the first secret.
    pub fn sign(&self, body: &[u8]) -> Option<String> {
        let tag = hmac::sign(self.0.first()?, body);
        Some(format!("sha256={}", hex::encode(tag.as_ref())))
    }
}
