//! What a token of the admin API may be used for.

/// What a token may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
    /// Read the page of metrics, where that asks for a token.
    MetricsRead,
    /// Everything.
    Admin,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 8] = [
        Self::ConsentRead,
        Self::ConsentWrite,
        Self::ConsentErase,
        Self::TemplatesWrite,
        Self::DecisionsRead,
        Self::PolicyWrite,
        Self::MetricsRead,
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
            Self::MetricsRead => "metrics:read",
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
