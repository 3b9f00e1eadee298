//! Who may call the admin API: tokens and their scopes.
//!
//! Only digests of tokens are held; a presented token is hashed and compared with every digest in constant time.

use std::fmt;

use aws_lc_rs::{constant_time, digest};
use http::HeaderMap;
use http::header::AUTHORIZATION;

pub use super::scope::{Scope, Scopes};
use crate::metrics::AuthFailure;

/// A configured token, known by its digest only.
#[derive(Clone)]
pub struct Token {
    /// What the operator calls it.
    pub name: String,
    /// SHA-256 of the token.
    pub sha256: [u8; 32],
    /// What it may be used for.
    pub scopes: Scopes,
    /// The tenants that it is confined to, by their place in [`Tenants::all`](crate::consent::tenant::Tenants::all); `None` is all of them.
    pub tenants: Option<Vec<usize>>,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("name", &self.name)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

/// The token that a request presents, if it is a known one.
///
/// Compares with every digest, so that the time taken tells nothing about which of them came close.
pub(super) fn recognize<'a>(tokens: &'a [Token], headers: &HeaderMap) -> Result<&'a Token, AuthFailure> {
    let presented = digest::digest(&digest::SHA256, presented(headers)?);
    let mut found = None;
    for token in tokens {
        if constant_time::verify_slices_are_equal(presented.as_ref(), &token.sha256).is_ok() {
            found = Some(token);
        }
    }
    found.ok_or(AuthFailure::Unknown)
}

/// The token of the one `Authorization` header, if there is exactly one and it is a bearer's.
fn presented(headers: &HeaderMap) -> Result<&[u8], AuthFailure> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let only = all.next().ok_or(AuthFailure::Missing)?;
    if all.next().is_some() {
        return Err(AuthFailure::Malformed);
    }
    let (scheme, token) = only.as_bytes().split_at_checked(b"Bearer ".len()).ok_or(AuthFailure::Malformed)?;
    let token = token.trim_ascii();
    let well_formed = scheme.eq_ignore_ascii_case(b"Bearer ") && !token.is_empty();
    well_formed.then_some(token).ok_or(AuthFailure::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(scopes: &[Scope]) -> Vec<Token> {
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(digest::digest(&digest::SHA256, b"secret").as_ref());
        let scopes = scopes.iter().copied().collect();
        vec![Token { name: "crm".into(), sha256, scopes, tenants: Some(vec![1]) }]
    }

    fn recognized(values: &[&str]) -> Result<String, AuthFailure> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, value.parse().unwrap());
        }
        recognize(&tokens(&[Scope::ConsentRead]), &headers).map(|token| token.name.clone())
    }

    #[test]
    fn only_one_well_formed_bearer_token_is_recognized() {
        for good in ["Bearer secret", "bearer  secret"] {
            assert_eq!(recognized(&[good]).as_deref(), Ok("crm"));
        }
        let bad: [(&[&str], AuthFailure); 7] = [
            (&[], AuthFailure::Missing),
            (&["secret"], AuthFailure::Malformed),
            (&["Bearer"], AuthFailure::Malformed),
            (&["Bearer "], AuthFailure::Malformed),
            (&["Basic secret"], AuthFailure::Malformed),
            (&["Bearer other"], AuthFailure::Unknown),
            (&["Bearer secret", "Bearer secret"], AuthFailure::Malformed),
        ];
        for (values, why) in bad {
            assert_eq!(recognized(values), Err(why), "{values:?}");
        }
    }

    #[test]
    fn a_token_opens_its_own_scopes_and_admin_opens_all() {
        let scopes = |scopes: &[Scope]| scopes.iter().copied().collect::<Scopes>();
        assert!(!scopes(&[Scope::ConsentWrite]).contains(Scope::ConsentRead));
        assert!(scopes(&[Scope::ConsentRead]).contains(Scope::ConsentRead));
        assert!(Scope::ALL.into_iter().all(|scope| scopes(&[Scope::Admin]).contains(scope)));
    }

    #[test]
    fn scope_names_round_trip() {
        assert!(Scope::ALL.into_iter().all(|scope| Scope::from_name(scope.name()) == Some(scope)));
        assert_eq!(Scope::from_name("consent"), None);
    }

    #[test]
    fn debug_shows_no_digest() {
        let shown = format!("{:?}", tokens(&[Scope::Admin]));
        assert!(shown.contains("crm") && !shown.contains("sha256"), "{shown}");
    }
}
