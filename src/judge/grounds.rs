//! What a permit rests on, kept in case the send cannot leave at once.

use crate::consent::{Quality, Recipient};
use crate::policy::{Confirmation, Decision, Denial};
use crate::wire::Send;
use crate::wire::classify::Classified;
use crate::wire::identify::{Identified, Readings as People};

use super::confirming::Confirming;
use super::{Decided, Judge, Who};

/// What a permit rests on.
#[derive(Clone, Debug)]
pub struct Grounds {
    pub(super) tenant: usize,
    pub(super) people: People,
    /// The group that it goes to, in place of people.
    group: Option<Box<str>>,
    classified: Classified,
    quality: Quality,
    pub(super) confirmation: Confirmation,
}

impl Grounds {
    /// The tenant and the one person whom the send reaches, unless it could reach several.
    pub fn only_person(&self) -> Option<(usize, &Recipient)> {
        let mut people = self.people.iter();
        people.next().filter(|_| people.next().is_none()).map(|person| (self.tenant, person))
    }

    /// Those of a permit; `None` of a denial.
    pub(super) fn of(
        decided: &Decided,
        (tenant, quality): (Option<usize>, Quality),
        (identified, send): (&Identified, &Send<'_>),
        classified: Classified,
    ) -> Option<Self> {
        let (Decision::Allow(_), Some(tenant)) = (&decided.decision, tenant) else { return None };
        let (people, group) = match identified {
            Identified::Readings(people) => (people.clone(), None),
            Identified::Group => (People::default(), Some(Box::from(send.to.as_deref()?))),
            Identified::Unreadable(_) => return None,
        };
        Some(Self { tenant, people, group, classified, quality, confirmation: decided.confirmation })
    }
}

impl Judge {
    /// Asks again whether a permit would be given: for a send that had to wait between its decision and its first byte, in which time somebody may have said no,
    /// or joined the group.
    ///
    /// # Errors
    /// The denial that the send gets now.
    pub async fn still_permits(&self, grounds: &Grounds) -> Result<(), Denial> {
        let (identified, members) = match &grounds.group {
            None => (Identified::Readings(grounds.people.clone()), None),
            // Boxed: what goes to people must not pay for what goes to groups.
            Some(group) => (Identified::Group, Box::pin(self.members_again(grounds.tenant, group)).await),
        };
        let confirming = Confirming::As(grounds.confirmation);
        let who = Who { tenant: Some(grounds.tenant), quality: grounds.quality, members: members.as_ref() };
        match self.decide(who, &identified, &grounds.classified, confirming).await.decision {
            Decision::Allow(_) => Ok(()),
            Decision::Deny(denial) => Err(denial),
        }
    }
}
