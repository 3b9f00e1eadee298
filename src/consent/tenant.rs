//! The business that an opt-in names, and the numbers it sends from.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use super::evidence::EvidenceField;
use super::phone::E164;
use super::pulse::Pulse;
use super::terms::Terms;
use super::words::OptOut;

/// A tenant's number in the store: allocated once, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantId(pub u32);

/// The name of the tenant that exists when none is configured.
pub const DEFAULT_TENANT: &str = "default";

/// Stands for the tenant where there is one alone; no tenant can have this name.
pub const ONLY_TENANT: &str = "-";

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
    /// The words by which people stop and resume its messages.
    pub opt_out: OptOut,
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
            opt_out: OptOut::default(),
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
    /// How its number is doing.
    pub pulse: Pulse,
}

/// Every configured tenant and sender.
#[derive(Clone, Debug, Default)]
pub struct Tenants {
    all: Vec<Tenant>,
    senders: HashMap<String, Sender, ahash::RandomState>,
    closed: bool,
    /// Places of tenants that are configured no more: nobody sends for them and nobody may name them.
    retired: BTreeSet<usize>,
    /// The place of the default tenant, where every sender belongs to it.
    home: usize,
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
        Self { all, senders, closed, retired: BTreeSet::new(), home: 0 }
    }

    /// The same, where the default tenant hears people out in this way; configured tenants say so themselves.
    #[must_use]
    pub fn hearing(mut self, opt_out: OptOut) -> Self {
        if let (false, Some(home)) = (self.closed, self.all.get_mut(self.home)) {
            home.opt_out = opt_out;
        }
        self
    }

    /// What these become when the configuration says something else while the gate runs.
    ///
    /// A tenant's place is its name in the store, the metrics and every decision on its way, so places never move: a new tenant gets a new place, one that
    /// is gone keeps its place and loses its senders, and one that comes back finds its place again.
    #[must_use]
    pub fn succeeded_by(&self, written: Self) -> Self {
        let mut all = self.all.clone();
        let mut places = Vec::with_capacity(written.all.len());
        for tenant in written.all {
            let known = all.iter_mut().enumerate().find(|(_, t)| t.name == tenant.name);
            places.push(if let Some((place, known)) = known {
                *known = tenant;
                place
            } else {
                all.push(tenant);
                all.len().saturating_sub(1)
            });
        }
        let moved = |(id, sender): (String, Sender)| {
            let tenant = places.get(sender.tenant).copied()?;
            // What is known of a number outlives the configuration that named it.
            let pulse = self.senders.get(&id).map_or(sender.pulse, |known| known.pulse.clone());
            Some((id, Sender { tenant, pulse, ..sender }))
        };
        Self {
            senders: written.senders.into_iter().filter_map(moved).collect(),
            closed: written.closed,
            retired: (0..all.len()).filter(|place| !places.contains(place)).collect(),
            home: places.get(written.home).copied().unwrap_or_default(),
            all,
        }
    }

    /// Every tenant by its place: in configured order, and then those that were added while the gate ran. Retired ones are among them.
    pub fn all(&self) -> &[Tenant] {
        &self.all
    }

    /// The tenants that are configured now, with their places in [`Tenants::all`].
    pub fn current(&self) -> impl Iterator<Item = (usize, &Tenant)> {
        self.all.iter().enumerate().filter(|(place, _)| !self.retired.contains(place))
    }

    /// The place of a configured tenant in [`Tenants::all`] by its name.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.current().find(|(_, t)| t.name == name).map(|(place, _)| place)
    }

    /// The name of the tenant at a place.
    pub fn name_of(&self, place: usize) -> String {
        self.all().get(place).map(|tenant| tenant.name.clone()).unwrap_or_default()
    }

    /// The place of the configured tenant where there is one alone.
    pub fn only(&self) -> Option<usize> {
        let mut current = self.current();
        current.next().filter(|_| current.next().is_none()).map(|(place, _)| place)
    }

    /// The place of the tenant whose message a phone number id sends.
    pub fn tenant_of(&self, phone_number_id: &str) -> Option<usize> {
        match self.sending(phone_number_id) {
            Sending::Known(sender) => Some(sender.tenant),
            Sending::Default => Some(self.home),
            Sending::Unknown => None,
        }
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
    use crate::consent::Quality;

    #[test]
    fn without_tenants_every_sender_is_the_default_tenants() {
        let tenants = Tenants::new(vec![], vec![]);
        assert_eq!(tenants.all()[0].name, DEFAULT_TENANT);
        assert!(matches!(tenants.sending("1"), Sending::Default));
    }

    #[test]
    fn with_tenants_a_sender_of_nobody_is_unknown() {
        let acme = Tenant::named("acme");
        let sender = Sender {
            phone_number_id: "1".into(),
            account: None,
            phone: None,
            tenant: 0,
            pulse: Pulse::default(),
        };
        let tenants = Tenants::new(vec![acme], vec![sender]);
        assert!(matches!(tenants.sending("1"), Sending::Known(s) if s.tenant == 0));
        assert!(matches!(tenants.sending("2"), Sending::Unknown));
    }

    fn written(tenants: &[(&str, &str)]) -> Tenants {
        let all = tenants.iter().map(|(name, _)| Tenant::named(*name));
        let sender = |(tenant, (_, id)): (usize, &(&str, &str))| Sender {
            phone_number_id: (*id).into(),
            account: None,
            phone: None,
            tenant,
            pulse: Pulse::default(),
        };
        Tenants::new(all.collect(), tenants.iter().enumerate().map(sender).collect())
    }

    #[test]
    fn places_never_move_whatever_the_configuration_becomes() {
        let first = written(&[("acme", "1"), ("globex", "2")]);
        let second = first.succeeded_by(written(&[("initech", "3"), ("globex", "2")]));
        assert_eq!((second.position("acme"), second.position("globex")), (None, Some(1)));
        assert_eq!(["1", "2", "3"].map(|id| second.tenant_of(id)), [None, Some(1), Some(2)]);
        assert_eq!(second.all().len(), 3);
        let third = second.succeeded_by(written(&[("acme", "3"), ("hooli", "4")]));
        assert_eq!((third.position("acme"), third.position("initech")), (Some(0), None));
        assert_eq!(["1", "2", "3", "4"].map(|id| third.tenant_of(id)), [None, None, Some(0), Some(3)]);
    }

    #[test]
    fn a_sender_keeps_its_rating_over_a_reload() {
        let first = written(&[("acme", "1")]);
        for sender in first.senders() {
            sender.pulse.rate(Quality::Red);
        }
        let second = first.succeeded_by(written(&[("globex", "1"), ("acme", "2")]));
        let rating = |id: &str| second.senders().find(|s| s.phone_number_id == id).unwrap().pulse.quality();
        assert_eq!((rating("1"), rating("2")), (Quality::Red, Quality::Unknown));
    }

    #[test]
    fn the_default_tenant_has_its_own_place_when_it_comes_late() {
        let open = written(&[("acme", "1")]).succeeded_by(Tenants::new(vec![], vec![]));
        assert_eq!((open.tenant_of("1"), open.position("acme")), (Some(1), None));
        let closed = open.succeeded_by(written(&[("acme", "1")]));
        assert_eq!((closed.tenant_of("1"), closed.tenant_of("2")), (Some(0), None));
    }
}
