//! The business that an opt-in names, and the numbers it sends from.

use std::collections::HashMap;
use std::time::Duration;

use super::evidence::EvidenceField;
use super::phone::E164;
use super::terms::Terms;

/// A tenant's number in the store: allocated once, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantId(pub u32);

/// The name of the tenant that exists when none is configured.
pub const DEFAULT_TENANT: &str = "default";

/// Which opt-in rules a tenant's grants are held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OptInRules {
    /// The guideline set of active, evident, third-party opt-in.
    #[default]
    Strict,
    /// Meta's rule since November 2024: gave the number, agreed to be messaged, business named.
    General,
}

/// A business: the scope of consent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Its configured name.
    pub name: String,
    /// The rules its grants are held to.
    pub opt_in_rules: OptInRules,
    /// What the evidence of its grants must state beyond the rules.
    pub required_fields: Vec<EvidenceField>,
    /// Whether grants that are marked as legacy may come without evidence.
    pub legacy_imports: bool,
    /// Whether a grant counts only once the person has confirmed it.
    pub double_opt_in: bool,
    /// How long a grant holds at most.
    pub grants_expire_after: Option<Duration>,
    /// When its grants end by what the tenant says.
    pub terms: Terms,
}

impl Tenant {
    /// A tenant held to the default rules.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            opt_in_rules: OptInRules::default(),
            required_fields: Vec::new(),
            legacy_imports: false,
            double_opt_in: false,
            grants_expire_after: None,
            terms: Terms::default(),
        }
    }
}

/// A business phone number that sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    /// The provider's phone number id.
    pub phone_number_id: String,
    /// The account (WABA id) that owns the sender's templates, if configured.
    pub account: Option<String>,
    /// The sender's own number, which says how a bare recipient might be read.
    pub phone: Option<E164>,
    /// Its tenant's place in [`Tenants::all`].
    pub tenant: usize,
}

/// Every configured tenant and sender.
#[derive(Clone, Debug, Default)]
pub struct Tenants {
    all: Vec<Tenant>,
    senders: HashMap<String, Sender, ahash::RandomState>,
    closed: bool,
}

/// Whose message a sender id sends.
#[derive(Clone, Copy, Debug)]
pub enum Sending<'a> {
    /// A configured sender.
    Known(&'a Sender),
    /// No tenants are configured: every sender belongs to the default tenant.
    Default,
    /// Tenants are configured and none of them has this sender.
    Unknown,
}

impl Tenants {
    /// The tenants as configured; with none, the single default tenant to which every sender belongs.
    pub fn new(all: Vec<Tenant>, senders: Vec<Sender>) -> Self {
        let closed = !all.is_empty();
        let all = if closed { all } else { vec![Tenant::named(DEFAULT_TENANT)] };
        let senders = senders.into_iter().map(|s| (s.phone_number_id.clone(), s)).collect();
        Self { all, senders, closed }
    }

    /// Every tenant, in configured order.
    pub fn all(&self) -> &[Tenant] {
        &self.all
    }

    /// The place of a tenant in [`Tenants::all`] by its name.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.all.iter().position(|t| t.name == name)
    }

    /// Every configured sender.
    pub fn senders(&self) -> impl Iterator<Item = &Sender> {
        self.senders.values()
    }

    /// Whose message a phone number id sends.
    pub fn sending(&self, phone_number_id: &str) -> Sending<'_> {
        match self.senders.get(phone_number_id) {
            Some(sender) => Sending::Known(sender),
            None if self.closed => Sending::Unknown,
            None => Sending::Default,
        }
    }

    /// Whether a phone number id is configured.
    pub fn knows(&self, phone_number_id: &str) -> bool {
        self.senders.contains_key(phone_number_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_tenants_every_sender_is_the_default_tenants() {
        let tenants = Tenants::new(vec![], vec![]);
        assert_eq!(tenants.all()[0].name, DEFAULT_TENANT);
        assert!(matches!(tenants.sending("1"), Sending::Default));
    }

    #[test]
    fn with_tenants_a_sender_of_nobody_is_unknown() {
        let acme = Tenant::named("acme");
        let sender = Sender { phone_number_id: "1".into(), account: None, phone: None, tenant: 0 };
        let tenants = Tenants::new(vec![acme], vec![sender]);
        assert!(matches!(tenants.sending("1"), Sending::Known(s) if s.tenant == 0));
        assert!(matches!(tenants.sending("2"), Sending::Unknown));
    }
}
