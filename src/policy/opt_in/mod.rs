//! The opt-in rules: what a grant must show before it is stored.
//!
//! One table, each rule with where it comes from and a sentence of remedy. Whoever writes the grant, the rules are the same.
//! Pure: reads no clock and no store. Says nothing about whether an event is one at all; that is [`Event::check`](crate::consent::Event::check)'s.

mod channel;
mod rules;

use crate::consent::event::EventAsWritten;
use crate::consent::evidence::Evidence;
use crate::consent::tenant::{OptInRules, Tenant};
use crate::consent::{CategorySet, Kind};

pub use rules::{RULES, Rule};

/// What a grant claims, as the rules see it.
#[derive(Debug)]
pub struct Claim<'a> {
    granted: CategorySet,
    evidence: &'a Evidence,
}

impl<'a> Claim<'a> {
    /// A claim that the person agreed to `granted`, in the way that the evidence states.
    pub const fn new(granted: CategorySet, evidence: &'a Evidence) -> Self {
        Self { granted, evidence }
    }
}

/// Every rule of a set that a claim breaks.
pub fn broken(rules: OptInRules, claim: &Claim<'_>) -> Vec<&'static Rule> {
    RULES.iter().filter(|rule| rule.asked_by(rules) && !rule.is_kept(claim)).collect()
}

/// Holds a written event to a tenant's rules and marks it as the tenant wants its grants: pending until confirmed, ending by themselves.
///
/// # Errors
/// Every broken rule, each with the field at fault and the remedy; the offending values are not repeated.
pub fn admit(tenant: &Tenant, written: &mut EventAsWritten) -> Result<(), Vec<String>> {
    if written.kind != Some(Kind::Grant) {
        return Ok(());
    }
    let problems = problems(tenant, written);
    if problems.is_empty() {
        mark(tenant, written);
        Ok(())
    } else {
        Err(problems)
    }
}

fn problems(tenant: &Tenant, written: &EventAsWritten) -> Vec<String> {
    if written.legacy == Some(true) {
        // What was recorded before anybody asked for evidence cannot keep the rules.
        return if tenant.legacy_imports { Vec::new() } else { vec![NO_LEGACY.to_owned()] };
    }
    let nothing = Evidence::default();
    let evidence = written.evidence.as_ref().unwrap_or(&nothing);
    let granted = written.categories.iter().flatten().copied().collect();
    let broken = broken(tenant.opt_in_rules, &Claim::new(granted, evidence));
    let required = tenant.required_fields.iter().filter(|field| !evidence.states(**field));
    let missing = |name| format!("evidence.{name}: missing; this tenant requires it [required_fields]");
    broken.into_iter().map(Rule::problem).chain(required.map(|field| missing(field.name()))).collect()
}

const NO_LEGACY: &str = "legacy: this tenant takes no grants without evidence; state in evidence how the person agreed and leave legacy out, \
                         or set legacy_imports = true for the tenant";

fn mark(tenant: &Tenant, written: &mut EventAsWritten) {
    if tenant.double_opt_in && written.confirms.is_none() && written.legacy != Some(true) {
        written.pending = Some(true);
    }
    if let (Some(length), Some(begin)) = (tenant.grants_expire_after, written.occurred_at) {
        let end = begin.plus(length);
        written.expires_at = Some(written.expires_at.map_or(end, |stated| stated.min(end)));
    }
}

#[cfg(test)]
mod tests;
