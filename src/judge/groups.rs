//! The members of a group, each looked up as if the send went to them alone.

use tokio::time::timeout;

use crate::consent::lookup::Source;
use crate::consent::record::SERVICE_WINDOW;
use crate::consent::{Lookup, RecipientKey, Timestamp};
use crate::policy::Members;
use crate::policy::settings::Groups;
use crate::store::Group;
use crate::wire::Send;
use crate::wire::identify::Identified;

use super::Judge;

/// What the store says of a group's members.
pub(super) struct Asked {
    lookups: Vec<Lookup>,
    wrote_at: Option<Timestamp>,
}

impl Asked {
    pub(super) fn as_of(&self, now: Timestamp) -> Members<'_> {
        let window_open = self.wrote_at.is_some_and(|at| at.plus(SERVICE_WINDOW) > now);
        Members { lookups: &self.lookups, window_open }
    }
}

impl Judge {
    /// Asks about everybody in the group that a send goes to, where the policy judges by them; `None` if nobody knows who they are.
    pub(super) async fn members(
        &self,
        tenant: Option<usize>,
        send: &Send<'_>,
        identified: &Identified,
    ) -> Option<Asked> {
        let (Identified::Group, Groups::Members, Some(tenant), Some(group)) =
            (identified, self.policy().groups(), tenant, &send.to)
        else {
            return None;
        };
        // Boxed: what goes to people must not pay for what goes to groups.
        Box::pin(self.sought_members(tenant, (&send.sender, group))).await
    }

    /// The same for a send that was judged a moment ago.
    pub(super) async fn members_again(&self, tenant: usize, group: &str) -> Option<Asked> {
        match self.policy().groups() {
            Groups::Members => self.ask_members(tenant, group).await,
            Groups::Refuse | Groups::Permit => None,
        }
    }

    /// Where nobody told who is in the group, the provider may: it is asked once for everybody who sends to it. Only where webhooks tell who joins later.
    async fn sought_members(&self, tenant: usize, (sender, group): (&str, &str)) -> Option<Asked> {
        let known = self.ask_members(tenant, group).await;
        if known.is_some() || !self.inner.relay || !self.inner.senders.seek_group(tenant, sender, group).await
        {
            return known;
        }
        self.ask_members(tenant, group).await
    }

    async fn ask_members(&self, tenant: usize, group: &str) -> Option<Asked> {
        if !self.inner.catalogue.is_loaded() {
            // The store has not been reached yet.
            return Some(Asked { lookups: vec![Lookup::Unavailable], wrote_at: None });
        }
        let patience = self.inner.store.lookup_deadline();
        let Ok(Ok(Group { members, wrote_at })) =
            timeout(patience, self.inner.store.group(tenant, group)).await
        else {
            return Some(Asked { lookups: vec![Lookup::Unavailable], wrote_at: None });
        };
        let members = members?;
        let (mut lookups, fetched) = self.look_up_all(tenant, &members).await;
        if fetched {
            // While one was looked up, another may have said no; by now all of them are cached.
            (lookups, _) = self.look_up_all(tenant, &members).await;
        }
        Some(Asked { lookups, wrote_at })
    }

    /// What is known of each, and whether any of it had to be fetched.
    async fn look_up_all(&self, tenant: usize, members: &[RecipientKey]) -> (Vec<Lookup>, bool) {
        let (mut lookups, mut fetched) = (Vec::with_capacity(members.len()), false);
        for member in members {
            let answer = self.inner.store.lookup(tenant, member).await;
            fetched |= answer.source == Source::Store;
            lookups.push(answer.lookup);
        }
        (lookups, fetched)
    }
}
