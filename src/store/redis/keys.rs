//! The names of everything that optgate keeps in Redis. What stands in braces decides the slot, so that a recipient's keys share one.

use crate::consent::{RecipientKey, TenantId};
use crate::store::notes::Filter;
use crate::store::place::Place;

/// What the tracking link listens to: gate records and nothing that changes with every send.
pub(super) const TRACKED: &str = "og:c:";
/// Tenant names to numbers.
pub(super) const TENANTS: &str = "og:tenants:{og}";
/// Tenants' numbers and wording versions to the versions' numbers.
pub(super) const WORDINGS: &str = "og:wordings:{og}";
/// In which form recipients are kept.
pub(super) const RECIPIENTS: &str = "og:recipients:{og}";
/// Counts tombstones, so that writers look for them only where there are any. Made with the store; missing, it was lost.
pub(super) const ERASURES: &str = "og:erasures:{og}";
/// Accounts to template lists.
pub(super) const TEMPLATES: &str = "og:templates:{og}";
/// Counts changes of the template lists, under the tracked prefix so that every node hears of them.
/// It stands in the slot of the lists, so that one script changes both.
pub(super) const TEMPLATES_CHANGED: &str = "og:c:{og}.templates";
/// Names to numbers that only grow, about senders.
pub(super) const SENDER_NUMBERS: &str = "og:senders:{og}";
/// Names to texts about senders.
pub(super) const SENDER_TEXTS: &str = "og:senders:{og}:texts";
/// Names every group.
pub(super) const GROUPS: &str = "og:groups:{og}";
/// Ids to events whose writing to several keys is not finished.
pub(super) const INTENTS: &str = "og:intents:{og}";
/// Written before WAIT, so that replicas that have it have everything before it.
pub(super) const ACKNOWLEDGED: &str = "og:acknowledged:{og}";

/// Where a gate record stands.
pub(super) fn gate(place: &Place) -> Vec<u8> {
    under(b"og:c:{", place)
}

/// Where a dossier stands.
pub(super) fn dossier(place: &Place) -> Vec<u8> {
    under(b"og:r:{", place)
}

/// Where it stands that a person's stop was confirmed.
pub(super) fn confirmed(place: &Place) -> Vec<u8> {
    let mut key = under(b"og:f:{", place);
    key.extend_from_slice(b":confirmed");
    key
}

/// What the dossiers of a tenant match.
pub(super) fn dossiers_of(tenant: TenantId) -> String {
    format!("og:r:{{{}.*", tenant.0)
}

/// What the dossiers of people under a keyed hash match.
pub(super) fn hashed_dossiers_of(tenant: TenantId) -> String {
    format!("og:r:{{{}.#*", tenant.0)
}

/// What the gate records of a tenant match.
pub(super) fn gates_of(tenant: TenantId) -> String {
    format!("og:c:{{{}.*", tenant.0)
}

/// Where the checkpoints of a tenant stand, by their moments.
pub(super) fn checkpoints(tenant: TenantId) -> String {
    format!("og:checkpoints:{{og}}:{}", tenant.0)
}

/// Where a secret stands.
pub(super) fn secret(name: &str) -> String {
    format!("og:secret:{{og}}:{name}")
}

/// Where the marks of a group stand.
pub(super) fn group(name: &str) -> String {
    format!("og:group:{{og}}:{name}")
}

/// Where the sums of a day stand, by name.
pub(super) fn sums(day: u32) -> String {
    format!("og:sums:{{og}}:{day}")
}

/// Where the bits of a day's messages stand.
pub(super) fn sent(Filter { day, blocks }: Filter) -> String {
    format!("og:sent:{{og}}:{blocks}:{day}")
}

/// A node's own tracked key.
pub(super) fn canary(node: u64) -> String {
    format!("og:c:{{og.canary.{node:016x}}}")
}

/// Whose gate record stands at a key.
pub(super) fn place_of_gate(key: &[u8]) -> Option<Place> {
    place(key.strip_prefix(b"og:c:{")?)
}

/// Whose dossier stands at a key.
pub(super) fn place_of_dossier(key: &[u8]) -> Option<Place> {
    place(key.strip_prefix(b"og:r:{")?)
}

fn under(prefix: &[u8], place: &Place) -> Vec<u8> {
    let key = place.key.bytes();
    let tenant = place.tenant.0.to_string();
    let mut bytes = Vec::with_capacity(prefix.len() + tenant.len() + key.len() + 2);
    bytes.extend_from_slice(prefix);
    bytes.extend_from_slice(tenant.as_bytes());
    bytes.push(b'.');
    bytes.extend_from_slice(key);
    bytes.push(b'}');
    bytes
}

fn place(tagged: &[u8]) -> Option<Place> {
    let inside = tagged.strip_suffix(b"}")?;
    let dot = inside.iter().position(|b| *b == b'.')?;
    let (tenant, key) = inside.split_at_checked(dot)?;
    let tenant = std::str::from_utf8(tenant).ok()?.parse().ok()?;
    Some(Place { tenant: TenantId(tenant), key: RecipientKey::from_bytes(key.get(1..)?)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::Recipient;

    #[test]
    fn a_key_names_its_place_and_says_so_when_read() {
        let person = |text: &str| Recipient::parse(text).unwrap().key();
        for key in [person("+15550000001"), person("US.ENT.aB3"), RecipientKey::Tenant] {
            let place = Place { tenant: TenantId(7), key };
            assert_eq!(place_of_gate(&gate(&place)), Some(place.clone()));
            assert_eq!(place_of_dossier(&dossier(&place)), Some(place));
        }
        let ann = Place { tenant: TenantId(7), key: person("+15550000001") };
        assert_eq!(gate(&ann), b"og:c:{7.15550000001}");
    }

    #[test]
    fn keys_that_are_no_place_are_told_apart() {
        for key in [TEMPLATES_CHANGED, &canary(3), "og:c:{7.}", "og:c:{7}", "og:c:7.1555", ""] {
            assert_eq!(place_of_gate(key.as_bytes()), None, "{key}");
        }
    }
}
