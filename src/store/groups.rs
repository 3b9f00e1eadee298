//! Who is in a group, as webhooks and the provider told: a set of marks, each with the time from which it holds or holds no more.
//!
//! Of each mark the latest word counts, whenever it arrives; at equal times it holds, so that nobody is left out. A member is kept under the key of their
//! records, and under a hash once they are erased. Knows nothing of what may be sent to whom.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_lc_rs::digest;

use crate::consent::{RecipientKey, Timestamp};

use super::place::Place;
use super::{Backend, ConsentStore, StoreError};

/// More identities than this are somebody's mistake: a group has at most eight people in it.
const MAX_MEMBERS: usize = 64;
/// Marks that hold no more are forgotten once the provider does not repeat what came before them: after seven days.
const FORGOTTEN_AFTER_SECONDS: u32 = 8 * 86_400;

const EXISTS: &[u8] = b"=";
const UNCLEAR: &[u8] = b"?";
const WROTE: &[u8] = b">";

/// Something that holds of a group or does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupMark {
    /// It is there, and of everybody in it was told: it was made within hearing, or the provider listed who is in it.
    Exists,
    /// Somebody is in it who cannot be named.
    Unclear,
    /// Somebody wrote to it.
    Wrote,
    /// This identity is in it.
    Member(RecipientKey),
}

/// What is known of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// Everybody in it, by each of their identities; `None` if that is not known for certain.
    pub members: Option<Vec<RecipientKey>>,
    /// When somebody last wrote to it.
    pub wrote_at: Option<Timestamp>,
}

/// Marks of one group, on their way into the store.
#[derive(Clone, Debug)]
pub(super) struct Marks {
    /// The tenant's number and a hash of the group's id.
    pub(super) group: GroupName,
    /// Field and value, see [`value`].
    pub(super) rows: Vec<(Vec<u8>, u64)>,
    /// Values below this that do not hold are forgotten.
    pub(super) forget_before: u64,
}

/// A group's name in a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GroupName {
    pub(super) tenant: u32,
    pub(super) hash: String,
}

/// A member's name that is to become a hash.
#[derive(Clone, Debug)]
pub(super) struct Renamed {
    pub(super) tenant: u32,
    pub(super) from: Vec<u8>,
    pub(super) to: Vec<u8>,
}

/// What the store keeps of a mark: the greater of two is the later, or the one that holds.
fn value(at: Timestamp, holds: bool) -> u64 {
    u64::from(at.as_secs_u32()) * 2 + u64::from(holds)
}

/// Whether a mark holds.
pub(super) fn holds(value: u64) -> bool {
    value % 2 == 1
}

impl Group {
    /// Reads the rows of a group.
    pub(super) fn of(rows: &[(Vec<u8>, u64)]) -> Self {
        let known =
            |field: &[u8]| rows.iter().find(|(f, value)| f == field && holds(*value)).map(|(_, v)| *v);
        let wrote_at = known(WROTE).map(|value| Timestamp::from_secs(value / 2));
        let named = |field: &[u8]| ![EXISTS, UNCLEAR, WROTE].contains(&field);
        let inside = rows.iter().filter(|(field, value)| named(field) && holds(*value));
        // A row that cannot be read is a member who cannot be asked about.
        let members: Option<Vec<RecipientKey>> =
            inside.map(|(field, _)| RecipientKey::from_bytes(field)).collect();
        let certain = known(EXISTS).is_some() && known(UNCLEAR).is_none();
        let members = members.filter(|all| certain && !all.is_empty() && all.len() <= MAX_MEMBERS);
        Self { members, wrote_at }
    }
}

impl ConsentStore {
    /// Keeps what holds of a group, or does not, since a time. Returns once it is durable and every node sees it.
    pub async fn tell_group(
        &self,
        tenant: usize,
        group: &str,
        at: Timestamp,
        marks: &[(GroupMark, bool)],
    ) -> Result<(), StoreError> {
        let mut rows = Vec::new();
        for (mark, holds) in marks {
            for field in self.fields(tenant, mark, *holds).await? {
                rows.push((field, value(at, *holds)));
            }
        }
        let now = self.inner.clock.now().as_secs_u32();
        let forget_before = u64::from(now.saturating_sub(FORGOTTEN_AFTER_SECONDS)) * 2;
        let marks = Marks { group: self.group_name(tenant, group)?, rows, forget_before };
        match &self.inner.backend {
            Backend::Embedded(store) => store.mark_group(marks).await,
            Backend::Redis(store) => store.mark_group(&marks).await,
        }
    }

    /// What is known of a group.
    pub async fn group(&self, tenant: usize, group: &str) -> Result<Group, StoreError> {
        let name = self.group_name(tenant, group)?;
        let rows = match &self.inner.backend {
            Backend::Embedded(store) => store.group(name).await?,
            Backend::Redis(store) => store.group(&name).await?,
        };
        Ok(Group::of(&rows))
    }

    /// Under which fields a mark is kept. Who leaves does so under every identity that they are known to have.
    async fn fields(&self, tenant: usize, mark: &GroupMark, holds: bool) -> Result<Vec<Vec<u8>>, StoreError> {
        let member = match mark {
            GroupMark::Exists => return Ok(vec![EXISTS.to_vec()]),
            GroupMark::Unclear => return Ok(vec![UNCLEAR.to_vec()]),
            GroupMark::Wrote => return Ok(vec![WROTE.to_vec()]),
            GroupMark::Member(member) => member,
        };
        let place = self.place(tenant, member)?;
        let mut fields = vec![place.key.bytes().to_vec()];
        if !holds {
            let everybody = self.everybody(tenant, &place).await?;
            fields = everybody.into_iter().map(|key| key.bytes().to_vec()).collect();
            let identity = self.identity()?;
            // Who was erased while they were in it leaves under their hash.
            fields.extend(identity.naming.tombstone(&place).map(|place| place.key.bytes().to_vec()));
        }
        Ok(fields)
    }

    /// All identities of a person, this one among them.
    async fn everybody(&self, tenant: usize, start: &Place) -> Result<BTreeSet<RecipientKey>, StoreError> {
        let (mut met, mut left) = (BTreeSet::from([start.key.clone()]), vec![start.key.clone()]);
        while let Some(key) = left.pop() {
            let Some(dossier) = self.dossier(tenant, &key).await? else { continue };
            left.extend(dossier.links().map(|(key, _)| key.clone()).filter(|key| met.insert(key.clone())));
        }
        Ok(met)
    }

    /// Keeps an erased member only as a hash, in every group: what is left of them refuses, until they leave.
    pub(super) async fn hide_in_groups(&self, tenant: usize, key: &RecipientKey) -> Result<(), StoreError> {
        let start = self.place(tenant, key)?;
        self.hide_members(tenant, self.everybody(tenant, &start).await?).await
    }

    /// The same for each of these, and nobody who is linked to them.
    pub(super) async fn hide_members(
        &self,
        tenant: usize,
        members: impl IntoIterator<Item = RecipientKey>,
    ) -> Result<(), StoreError> {
        let naming = self.identity()?.naming.clone();
        for key in members {
            let place = Place { tenant: self.tenant(tenant)?, key };
            let Some(hidden) = naming.tombstone(&place) else { continue };
            let (from, to) = (place.key.bytes().to_vec(), hidden.key.bytes().to_vec());
            let renamed = Renamed { tenant: place.tenant.0, from, to };
            match &self.inner.backend {
                Backend::Embedded(store) => store.rename_member(renamed).await?,
                Backend::Redis(store) => store.rename_member(&renamed).await?,
            }
        }
        Ok(())
    }

    /// How long a question of the hot path may take.
    pub fn lookup_deadline(&self) -> Duration {
        self.inner.lookup_deadline
    }

    fn group_name(&self, tenant: usize, group: &str) -> Result<GroupName, StoreError> {
        let hash = digest::digest(&digest::SHA256, group.as_bytes());
        let hash = hex::encode(hash.as_ref().get(..16).unwrap_or_default());
        Ok(GroupName { tenant: self.tenant(tenant)?.0, hash })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    fn row(field: &[u8], seconds: u64, holds: bool) -> (Vec<u8>, u64) {
        (field.to_vec(), value(at(seconds), holds))
    }

    #[test]
    fn the_later_word_counts_and_at_one_time_the_one_that_holds() {
        assert!(value(at(5), true) > value(at(5), false) && value(at(6), false) > value(at(5), true));
        assert!(holds(value(at(5), true)) && !holds(value(at(5), false)));
    }

    #[test]
    fn members_are_known_only_for_certain() {
        let ann = RecipientKey::from_bytes(b"15550000001").unwrap();
        let (exists, joined) = (row(EXISTS, 1, true), row(b"15550000001", 2, true));
        let members = |rows: &[(Vec<u8>, u64)]| Group::of(rows).members;
        assert_eq!(members(&[exists.clone(), joined.clone()]), Some(vec![ann]));
        for unknown in [
            vec![],
            vec![joined.clone()],
            vec![exists.clone()],
            vec![exists.clone(), row(b"15550000001", 3, false)],
            vec![row(EXISTS, 3, false), joined.clone()],
            vec![exists.clone(), joined.clone(), row(UNCLEAR, 3, true)],
            vec![exists.clone(), joined.clone(), row(b"not a key", 3, true)],
        ] {
            assert_eq!(members(&unknown), None, "{unknown:?}");
        }
        let many = (0..=MAX_MEMBERS).map(|n| row(format!("1555000{n:04}").as_bytes(), 2, true));
        assert_eq!(members(&many.chain([exists, joined]).collect::<Vec<_>>()), None);
    }
}
