//! Who may call the admin API: tokens, scopes, and the tenants that a token is confined to.
//!
//! Only digests of tokens are held; a presented token is hashed and compared with every digest in constant time.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::{constant_time, digest};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::caller::Caller;
use super::problem::{Fault, Problem};

/// What a token may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Read what recipients agreed to, and ask how a send would be judged.
    ConsentRead,
    /// Write consent events.
    ConsentWrite,
    /// Erase a person.
    ConsentErase,
    /// Read and replace the template catalogue.
    TemplatesWrite,
    /// Read decisions.
    DecisionsRead,
    /// Change the policy.
    PolicyWrite,
    /// Everything.
    Admin,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 7] = [
        Self::ConsentRead,
        Self::ConsentWrite,
        Self::ConsentErase,
        Self::TemplatesWrite,
        Self::DecisionsRead,
        Self::PolicyWrite,
        Self::Admin,
    ];

    /// The name in configuration and errors.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ConsentRead => "consent:read",
            Self::ConsentWrite => "consent:write",
            Self::ConsentErase => "consent:erase",
            Self::TemplatesWrite => "templates:write",
            Self::DecisionsRead => "decisions:read",
            Self::PolicyWrite => "policy:write",
            Self::Admin => "admin",
        }
    }

    /// Reads a name as [`Scope::name`] writes it.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of scopes; `admin` contains every other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Scopes(u8);

impl Scopes {
    /// Whether a scope is granted.
    pub const fn contains(self, scope: Scope) -> bool {
        self.0 & (scope.bit() | Scope::Admin.bit()) != 0
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | scope.bit()))
    }
}

/// A configured token, known by its digest only.
#[derive(Clone)]
pub struct Token {
    /// What the operator calls it.
    pub name: String,
    /// SHA-256 of the token.
    pub sha256: [u8; 32],
    /// What it may be used for.
    pub scopes: Scopes,
    /// The tenants that it is confined to, by their place in [`Tenants::all`]; `None` is all of them.
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

/// One scope in front of one route.
#[derive(Clone)]
pub(super) struct Guard {
    pub(super) tokens: Arc<[Token]>,
    pub(super) scope: Scope,
}

impl Guard {
    /// Accepts the bearer of a token with the scope.
    fn admit(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        let token = presented(headers).and_then(|presented| self.find(presented)).ok_or_else(|| {
            Problem::new(
                Fault::TokenMissing,
                "send the header Authorization: Bearer TOKEN with a token of this gate",
            )
        })?;
        if !token.scopes.contains(self.scope) {
            return Err(Problem::new(
                Fault::ScopeMissing,
                format!("this request needs the scope {}", self.scope.name()),
            ));
        }
        Ok(Caller::new(&token.name, token.tenants.as_deref()).holding(token.scopes))
    }

    /// Compares with every digest, so that the time taken tells nothing about which of them came close.
    fn find(&self, presented: &[u8]) -> Option<&Token> {
        let presented = digest::digest(&digest::SHA256, presented);
        let mut found = None;
        for token in self.tokens.iter() {
            if constant_time::verify_slices_are_equal(presented.as_ref(), &token.sha256).is_ok() {
                found = Some(token);
            }
        }
        found
    }
}

/// The token of the one `Authorization` header, if there is exactly one and it is a bearer's.
fn presented(headers: &HeaderMap) -> Option<&[u8]> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let (Some(only), None) = (all.next(), all.next()) else { return None };
    let (scheme, token) = only.as_bytes().split_at_checked(b"Bearer ".len())?;
    let token = token.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"Bearer ") && !token.is_empty()).then_some(token)
}

/// Lets a request through to its handler, with its [`Caller`], or answers it.
pub(super) async fn admit(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    match guard.admit(request.headers()) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(scopes: &[Scope]) -> Guard {
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(digest::digest(&digest::SHA256, b"secret").as_ref());
        let scopes = scopes.iter().copied().collect();
        let token = Token { name: "crm".into(), sha256, scopes, tenants: Some(vec![1]) };
        Guard { tokens: vec![token].into(), scope: Scope::ConsentRead }
    }

    fn admitted(guard: &Guard, values: &[&str]) -> Result<Caller, u16> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, value.parse().unwrap());
        }
        guard.admit(&headers).map_err(|problem| problem.into_response().status().as_u16())
    }

    #[test]
    fn only_one_well_formed_bearer_token_is_accepted() {
        let guard = guard(&[Scope::ConsentRead]);
        assert!(
            admitted(&guard, &["Bearer secret"]).is_ok() && admitted(&guard, &["bearer  secret"]).is_ok()
        );
        let bad: [&[&str]; 7] = [
            &[],
            &["secret"],
            &["Bearer"],
            &["Bearer "],
            &["Basic secret"],
            &["Bearer other"],
            &["Bearer secret", "Bearer secret"],
        ];
        for values in bad {
            assert_eq!(admitted(&guard, values).unwrap_err(), 401, "{values:?}");
        }
    }

    #[test]
    fn a_token_opens_its_own_scopes_and_admin_opens_all() {
        assert_eq!(admitted(&guard(&[Scope::ConsentWrite]), &["Bearer secret"]).unwrap_err(), 403);
        let caller = admitted(&guard(&[Scope::Admin]), &["Bearer secret"]).unwrap();
        assert!(caller.may_touch(1) && !caller.may_touch(0));
    }

    #[test]
    fn scope_names_round_trip() {
        assert!(Scope::ALL.into_iter().all(|scope| Scope::from_name(scope.name()) == Some(scope)));
        assert_eq!(Scope::from_name("consent"), None);
    }

    #[test]
    fn debug_shows_no_digest() {
        let shown = format!("{:?}", guard(&[Scope::Admin]).tokens);
        assert!(shown.contains("crm") && !shown.contains("sha256"), "{shown}");
    }
}
