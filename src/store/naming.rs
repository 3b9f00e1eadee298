//! Under which keys a store keeps people: their own, or keyed hashes. Also where a person's tombstone stands.
//!
//! Every key passes here before a place is made of it, so nothing else of a store knows the difference.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use crate::consent::event::Kind;
use crate::consent::redact::Redacted;
use crate::consent::{Event, Recipient, RecipientHash, RecipientHasher, RecipientKey, TenantId};

use super::place::Place;
use super::wordings::Wordings;

/// What to do about a store that has another key than the configured one.
pub(super) const OTHER_KEY: &str = "was made with another key of keyed hashes than [privacy] recipients_key_file holds, and cannot change it: put the former key back (`optgate consent key` prints it), leave the setting out, or start with an empty store";

/// The name of the secret under which a store hashes recipients.
pub(super) const SECRET: &str = "recipients";

/// How a store keeps recipients; chosen when it is made and never changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As numbers and user ids.
    Plain,
    /// As keyed hashes only.
    Hashed,
}

impl Form {
    /// The form that `[privacy] hash_recipients` asks for.
    pub const fn asked(hash_recipients: bool) -> Self {
        if hash_recipients { Self::Hashed } else { Self::Plain }
    }

    /// What to do about a store that keeps recipients in this form where the other one is configured.
    pub(super) const fn remedy(self) -> &'static str {
        match self {
            Self::Plain => {
                "keeps recipients as numbers, and [privacy] hash_recipients = true was configured, which cannot be switched on later: set it to false, or start with an empty store and import into it what the old one exports"
            }
            Self::Hashed => {
                "keeps recipients as keyed hashes, and [privacy] hash_recipients = false was configured, which cannot be switched off because the numbers are not known: set it to true, or start with an empty store"
            }
        }
    }

    /// The name under which a store notes it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Hashed => "hashed",
        }
    }
}

/// What a store is told of tenants and recipients when it is opened.
#[derive(Clone, Debug)]
pub(super) struct Names {
    /// The configured tenants.
    pub(super) tenants: Vec<String>,
    /// How recipients are to be kept.
    pub(super) form: Form,
    /// The key that the store must have, if one is configured.
    pub(super) key: Option<Redacted<[u8; 32]>>,
    /// Where the numbers of the tenants' wordings are noted once they are known.
    pub(super) wordings: Arc<Wordings>,
}

/// What a store says of itself before it can be asked about anybody.
pub(super) struct Identity {
    /// The store's own number of each configured tenant, in configured order.
    pub(super) tenants: Vec<TenantId>,
    pub(super) naming: Naming,
}

/// An identity that may not be known yet.
pub(super) type Identities = Arc<ArcSwapOption<Identity>>;

/// Maps recipients to the keys that a store keeps them under.
#[derive(Clone, Debug)]
pub(super) struct Naming {
    form: Form,
    hasher: RecipientHasher,
    secret: Redacted<[u8; 32]>,
}

impl Naming {
    pub(super) fn new(form: Form, secret: [u8; 32]) -> Self {
        Self { form, hasher: RecipientHasher::new(&secret), secret: Redacted::new(secret) }
    }

    pub(super) const fn secret(&self) -> &Redacted<[u8; 32]> {
        &self.secret
    }

    /// Where somebody's records stand. Copies a number and counts up a user id's reference: nothing is allocated on the hot path.
    pub(super) fn place(&self, tenant: TenantId, key: &RecipientKey) -> Place {
        let key = match self.form {
            Form::Plain => key.clone(),
            Form::Hashed => self.hasher.hashed(tenant, key),
        };
        Place { tenant, key }
    }

    /// An event as it is stored.
    pub(super) fn event(&self, tenant: TenantId, mut event: Event) -> Event {
        if self.form == Form::Hashed {
            let hashed =
                |recipient: &Recipient| Recipient::Hashed(self.hasher.hash(tenant, &recipient.key()));
            event.links = event.links.iter().map(hashed).collect();
            event.recipient = hashed(&event.recipient);
        }
        event
    }

    /// The hash of whoever stands at a place; `None` for the tenant.
    pub(super) fn hash(&self, place: &Place) -> Option<RecipientHash> {
        match &place.key {
            RecipientKey::Tenant => None,
            key @ (RecipientKey::Phone(_) | RecipientKey::UserId(_) | RecipientKey::Hashed(_)) => {
                Some(self.hasher.hash(place.tenant, key))
            }
        }
    }

    /// Where the tombstone of whoever stands at a place would be, if elsewhere: among hashes it takes the person's own place.
    pub(super) fn tombstone(&self, place: &Place) -> Option<Place> {
        match &place.key {
            key @ (RecipientKey::Phone(_) | RecipientKey::UserId(_)) => {
                Some(Place { tenant: place.tenant, key: self.hasher.hashed(place.tenant, key) })
            }
            RecipientKey::Hashed(_) | RecipientKey::Tenant => None,
        }
    }

    /// Whether a key names a person here: among numbers a hash names nobody.
    pub(super) fn names(&self, key: &RecipientKey) -> bool {
        match key {
            RecipientKey::Phone(_) | RecipientKey::UserId(_) => true,
            RecipientKey::Hashed(_) => self.form == Form::Hashed,
            RecipientKey::Tenant => false,
        }
    }

    /// Whether tombstones take people's own places.
    pub(super) fn buries_in_place(&self) -> bool {
        self.form == Form::Hashed
    }

    /// What tells whether a tenant's hashes were made under the same key: exports state it beside every hash.
    pub(super) fn hash_key(&self, tenant: TenantId) -> String {
        self.hasher.fingerprint(tenant)
    }

    /// Why an event from an export cannot be taken in: its hashes name nobody here.
    pub(super) fn foreign(
        &self,
        tenant: TenantId,
        event: &Event,
        hash_key: Option<&str>,
    ) -> Option<&'static str> {
        let hashed = |recipient: &Recipient| matches!(recipient, Recipient::Hashed(_));
        if !hashed(&event.recipient) && !event.links.iter().any(hashed) {
            return None;
        }
        match hash_key {
            Some(key) if key == self.hash_key(tenant) => None,
            Some(_) => Some(
                "hash_key: these hashes were made under another key and name nobody here; import into a store that was made with [privacy] recipients_key_file holding the key of the store that the export came from (`optgate consent key` prints it there), with the same tenants listed in the same order, or erase the people concerned here as well",
            ),
            // Among hashes a person is written by the hash that the gate answers with.
            None if self.form == Form::Hashed => None,
            None => Some(
                "hash_key: missing; an export states beside every hash under which key it was made: export again, or erase the people concerned here as well",
            ),
        }
    }

    /// Why an event cannot be stored here: among numbers a hash names nobody, except in what an export says of an erasure.
    pub(super) fn objection(&self, event: &Event) -> Option<&'static str> {
        let hashed = |recipient: &Recipient| matches!(recipient, Recipient::Hashed(_));
        let named = (hashed(&event.recipient) && event.kind != Kind::Erase) || event.links.iter().any(hashed);
        (self.form == Form::Plain && named).then_some(
            "recipient, links: a hash names nobody in this store, which keeps numbers; write +E.164 or a BSUID, or import into the store that the export came from",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ann() -> RecipientKey {
        Recipient::parse("+15550000001").unwrap().key()
    }

    #[test]
    fn a_plain_store_keeps_numbers_and_has_its_tombstones_elsewhere() {
        let naming = Naming::new(Form::Plain, [7; 32]);
        let place = naming.place(TenantId(1), &ann());
        assert_eq!(place.key, ann());
        let tombstone = naming.tombstone(&place).unwrap();
        assert!(matches!(tombstone.key, RecipientKey::Hashed(hash) if Some(hash) == naming.hash(&place)));
        assert_eq!(naming.tombstone(&tombstone), None);
        assert_eq!(naming.tombstone(&naming.place(TenantId(1), &RecipientKey::Tenant)), None);
    }

    #[test]
    fn a_hashed_store_keeps_hashes_alone_and_has_its_tombstones_in_place() {
        let [plain, hashed] = [Form::Plain, Form::Hashed].map(|form| Naming::new(form, [7; 32]));
        let place = hashed.place(TenantId(1), &ann());
        assert_eq!(Some(&place), plain.tombstone(&plain.place(TenantId(1), &ann())).as_ref());
        assert_eq!((hashed.tombstone(&place), hashed.place(TenantId(1), &place.key)), (None, place));
    }
}
