//! The opt-in rules: what a grant must show before it is stored, and a resume.
//!
//! One table, each rule with where it comes from and a sentence of remedy. Whoever writes the grant, the rules are the same.
//! Pure: reads no clock and no store. Says nothing about whether an event is one at all; that is [`Event::check`](crate::consent::Event::check)'s.

mod channel;
mod link;
mod rules;

use crate::consent::event::EventAsWritten;
use crate::consent::evidence::Evidence;
use crate::consent::tenant::{OptInRules, Tenant};
use crate::consent::{Actor, CategorySet, Kind};

pub use rules::{RULES, Rule};

/// What a grant or a resume claims, as the rules see it.
#[derive(Debug)]
pub struct Claim<'a> {
    /// A grant or a resume; nothing is asked of other kinds.
    pub kind: Kind,
    /// Who is said to have acted.
    pub actor: Option<Actor>,
    /// What the person is said to have agreed to.
    pub granted: CategorySet,
    /// Where it is said to come from.
    pub source: Option<&'a str>,
    /// How it came about.
    pub evidence: &'a Evidence,
}

/// Every rule of a set that a claim breaks.
pub fn broken(rules: OptInRules, claim: &Claim<'_>) -> Vec<&'static Rule> {
    RULES.iter().filter(|rule| rule.asked_of(claim.kind, rules) && !rule.is_kept(claim)).collect()
}

/// Holds a written event to a tenant's rules and marks it as the tenant wants its grants: pending until confirmed, ending by themselves.
///
/// # Errors
/// Every broken rule, each with the field at fault and the remedy; the offending values are not repeated.
pub fn admit(tenant: &Tenant, written: &mut EventAsWritten) -> Result<(), Vec<String>> {
    let problems = match written.presumed_kind() {
        Some(Kind::Grant) => problems_of_grant(tenant, written),
        Some(Kind::Resume) => problems_of_resume(tenant, written),
        Some(Kind::Revoke | Kind::Inbound | Kind::Link | Kind::Erase) | None => return Ok(()),
    };
    if !problems.is_empty() {
        return Err(problems);
    }
    if written.kind == Some(Kind::Grant) {
        mark(tenant, written);
    }
    Ok(())
}

fn problems_of_grant(tenant: &Tenant, written: &EventAsWritten) -> Vec<String> {
    if written.legacy == Some(true) {
        // What was recorded before anybody asked for evidence cannot keep the rules.
        return if tenant.legacy_imports { Vec::new() } else { vec![NO_LEGACY.to_owned()] };
    }
    let nothing = Evidence::default();
    let evidence = written.evidence.as_ref().unwrap_or(&nothing);
    let broken = broken(tenant.opt_in_rules, &claim(written, evidence));
    let required = tenant.required_fields.iter().filter(|field| !evidence.states(**field));
    let missing = |name| format!("evidence.{name}: missing; this tenant requires it [required_fields]");
    broken.into_iter().map(Rule::problem).chain(required.map(|field| missing(field.name()))).collect()
}

/// Of what the business writes nothing is asked: it is stored and lifts nothing.
fn problems_of_resume(tenant: &Tenant, written: &EventAsWritten) -> Vec<String> {
    if written.actor.is_some_and(|actor| !actor.speaks_for_person()) {
        return Vec::new();
    }
    let nothing = Evidence::default();
    let evidence = written.evidence.as_ref().unwrap_or(&nothing);
    let broken = broken(tenant.opt_in_rules, &claim(written, evidence));
    broken.into_iter().map(Rule::problem).collect()
}

fn claim<'a>(written: &'a EventAsWritten, evidence: &'a Evidence) -> Claim<'a> {
    Claim {
        kind: written.kind.unwrap_or(Kind::Grant),
        actor: written.actor,
        granted: written.categories.iter().flatten().copied().collect(),
        source: written.source.as_deref(),
        evidence,
    }
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
