//! From a send to a decision: identify, classify, look up, decide.
//!
//! One judge serves the proxy, the check endpoint and the tests, so that what is previewed is what is enforced.
//! Knows neither HTTP nor how a refusal is written.

mod confirming;
mod grounds;
mod groups;

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use crate::consent::lookup::Source;
use crate::consent::tenant::{Sender, Sending, Tenants};
use crate::consent::{Category, Clock, GateRecord, Lookup, Quality, RecipientKey, Timestamp, Validity};
use crate::decision_log::Readings;
use crate::policy::facts::SenderScope;
use crate::policy::{Addressee, Confirmation, Decision, Facts, Members, Policy, WindowKnowledge, decide};
use crate::senders::Senders;
use crate::store::ConsentStore;
use crate::templates::Catalogue;
use crate::wire::Send;
use crate::wire::classify::{CatalogueAnswer, Classified, classify};
use crate::wire::identify::{BareNumbers, Identified, MAX_READINGS, identify};

use confirming::{Confirming, confirmed};

pub use grounds::Grounds;

/// What a judge works with.
#[derive(Clone)]
pub struct Settings {
    /// The configured tenants and senders, until [`Judge::serve`] brings others.
    pub tenants: Arc<Tenants>,
    /// How a number without `+` is read.
    pub bare_numbers: BareNumbers,
    /// Whether inbound messages arrive through a relay, so that an unopened window is a closed one.
    pub relay: bool,
    /// How the numbers of senders are doing.
    pub senders: Senders,
}

/// Judges sends. Cheap to clone.
#[derive(Clone)]
pub struct Judge {
    inner: Arc<Inner>,
}

struct Inner {
    bare_numbers: BareNumbers,
    relay: bool,
    senders: Senders,
    tenants: ArcSwap<Tenants>,
    policy: ArcSwap<Policy>,
    store: ConsentStore,
    catalogue: Catalogue,
    clock: Clock,
}

/// What was decided about one send, and on what.
#[derive(Debug)]
pub struct Judgement {
    /// The decision.
    pub decision: Decision,
    /// Whose send it is, by place among the tenants.
    pub tenant: Option<usize>,
    /// The number of the sender's pulse, if it has one.
    pub sender: Option<u32>,
    /// What it was classified as.
    pub classified: Classified,
    /// Whether the catalogue knew the template; `None` without one.
    pub listed: Option<bool>,
    /// Everybody whom it could reach, as far as that could be read, and what the store said of each.
    pub readings: Readings,
    /// Where the slowest answer about a recipient came from, and how long all of them took; `None` if nobody was looked up.
    pub lookup: Option<(Source, Duration)>,
    /// What was known of customer service windows, where that mattered.
    pub window: Option<WindowKnowledge>,
    /// The policy that it was judged by.
    pub policy: Arc<Policy>,
    /// The moment of the decision.
    pub at: Timestamp,
    /// What a permit rests on, if it rests on people.
    pub grounds: Option<Grounds>,
}

/// A decision with what it was made of.
struct Decided {
    decision: Decision,
    answers: Answers,
    window: WindowKnowledge,
    policy: Arc<Policy>,
    at: Timestamp,
    confirmation: Confirmation,
}

/// Who sends, and to which group.
#[derive(Clone, Copy)]
struct Who<'a> {
    tenant: Option<usize>,
    quality: Quality,
    /// `None` where no group is judged by its members, or where they are not known.
    members: Option<&'a groups::Asked>,
}

/// The store's answers about everybody whom a send could reach.
struct Answers {
    lookups: [Lookup; MAX_READINGS],
    count: usize,
    source: Source,
    took: Duration,
}

impl Judge {
    /// A judge over a store and a catalogue, by a first policy.
    pub fn new(
        settings: Settings,
        policy: Policy,
        store: ConsentStore,
        catalogue: Catalogue,
        clock: Clock,
    ) -> Self {
        let Settings { tenants, bare_numbers, relay, senders } = settings;
        let (policy, tenants) = (ArcSwap::from_pointee(policy), ArcSwap::new(tenants));
        Self {
            inner: Arc::new(Inner { bare_numbers, relay, senders, tenants, policy, store, catalogue, clock }),
        }
    }

    /// The configured tenants and senders: a snapshot that a request is recognized and judged by from its beginning to its end.
    pub fn tenants(&self) -> Arc<Tenants> {
        self.inner.tenants.load_full()
    }

    /// Serves other tenants, for every request that begins from now on. They must stand at the places of those before; see [`Tenants::succeeded_by`].
    pub fn serve(&self, tenants: Arc<Tenants>) {
        self.inner.tenants.store(tenants);
    }

    /// The moment now, by the clock that judgements are made by.
    pub fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// The policy in force.
    pub fn policy(&self) -> Arc<Policy> {
        self.inner.policy.load_full()
    }

    /// Puts another policy in force, for every decision that begins from now on.
    pub fn enforce(&self, policy: Policy) {
        self.inner.policy.store(Arc::new(policy));
    }

    /// Whose send it would be.
    pub fn tenant_of(&self, phone_number_id: &str) -> Option<usize> {
        self.inner.tenants.load().tenant_of(phone_number_id)
    }

    /// Judges by the tenants of now what a send would come to, and changes nothing.
    pub async fn preview(&self, send: &Send<'_>) -> Judgement {
        self.judge_as(&self.tenants(), send, Confirming::IfFree).await
    }

    /// Judges one send of a snapshot's tenants: ③ identify, ④ classify, ⑤ look up, ⑥ decide.
    ///
    /// # Cancel safety
    /// Judging changes nothing, except that the one confirmation of a stop is reserved for the send that it permits, until [`Judge::give_back`].
    pub async fn judge_among(&self, tenants: &Tenants, send: &Send<'_>) -> Judgement {
        self.judge_as(tenants, send, Confirming::Reserve).await
    }

    async fn judge_as(&self, tenants: &Tenants, send: &Send<'_>, confirming: Confirming) -> Judgement {
        let (sender, pulse) = match tenants.sending(&send.sender) {
            Sending::Known(sender) => (Some(sender), Some(sender.pulse.felt())),
            Sending::Default => (None, self.inner.senders.stranger(&send.sender)),
            Sending::Unknown => (None, None),
        };
        let quality = pulse.map_or(Quality::Unknown, |felt| felt.quality);
        let tenant = tenants.tenant_of(&send.sender);
        // What the operator wrote counts before what was learnt.
        let phone = sender.and_then(|sender| sender.phone).or_else(|| pulse?.phone());
        let identified = identify(send, phone.as_ref(), self.inner.bare_numbers);
        let (classified, listed) = self.classify(send, sender).await;
        let members = self.members(tenant, send, &identified).await;
        let who = Who { tenant, quality, members: members.as_ref() };
        let mut decided = self.decide(who, &identified, &classified, confirming).await;
        if decided.answers.count > 1 && decided.answers.source == Source::Store {
            // While one of several people was looked up, another may have said no; by now all of them are cached.
            let waited = decided.answers.took;
            let confirming = confirming.after(decided.confirmation);
            decided = Box::pin(self.decide(who, &identified, &classified, confirming)).await;
            decided.answers.took += waited;
            decided.answers.source = Source::Store;
        }
        let grounds = Grounds::of(&decided, (tenant, quality), (&identified, send), classified);
        let answers = decided.answers;
        Judgement {
            grounds,
            decision: decided.decision,
            tenant,
            sender: pulse.map(|felt| felt.number),
            window: Some(decided.window).filter(|_| classified.needs.contains(Category::Service)),
            lookup: (answers.count > 0).then_some((answers.source, answers.took)),
            readings: readings(identified, &answers),
            classified,
            listed,
            policy: decided.policy,
            at: decided.at,
        }
    }

    /// ⑤ look up, ⑥ decide.
    async fn decide(
        &self,
        Who { tenant, quality, members }: Who<'_>,
        identified: &Identified,
        classified: &Classified,
        confirming: Confirming,
    ) -> Decided {
        let answers = self.look_up(tenant, identified).await;
        let window = self.window_knowledge(tenant, classified, &answers).await;
        let policy = self.policy();
        let at = self.inner.clock.now();
        let validity = tenant.and_then(|tenant| self.inner.store.validity(tenant));
        let facts = Facts {
            now: at,
            sender: if tenant.is_some() { SenderScope::Permitted } else { SenderScope::Unknown },
            quality,
            addressee: addressee(
                identified,
                answers.lookups.get(..answers.count).unwrap_or_default(),
                members.map(|members| members.as_of(at)),
            ),
            needs: classified.needs,
            headline: classified.headline,
            validity: validity.as_deref().unwrap_or(&Validity::UNLIMITED),
            window,
            confirmation: confirming.known(),
        };
        let mut decision = decide(&policy, &facts);
        let mut confirmation = facts.confirmation;
        if let (Some(tenant), Some(confirmed)) = (tenant, confirmed(&policy, &facts, &decision))
            // Boxed, as everything here that nearly no send needs: each of them would carry its room.
            && Box::pin(self.may_confirm(tenant, identified, &answers, confirming)).await
        {
            (decision, confirmation) = (confirmed, Confirmation::Reserved);
        }
        Decided { decision, answers, window, policy, at, confirmation }
    }

    async fn classify(&self, send: &Send<'_>, sender: Option<&Sender>) -> (Classified, Option<bool>) {
        let account = sender.and_then(|s| s.account.as_deref());
        let template = send.payload.template.as_ref();
        let mut entry = template.map(|t| self.inner.catalogue.entry(account, &t.name, &t.language));
        if let (Some(CatalogueAnswer::Unknown), Some(t), Some(account)) = (entry, template, account) {
            // The provider may know it. Boxed: what is known must not pay for what is not.
            entry = Some(Box::pin(self.inner.catalogue.seek(account, &t.name, &t.language)).await);
        }
        (classify(send, entry), entry.map(|entry| entry != CatalogueAnswer::Unknown))
    }

    async fn look_up(&self, tenant: Option<usize>, identified: &Identified) -> Answers {
        let mut answers = Answers {
            lookups: [Lookup::Unavailable; MAX_READINGS],
            count: 0,
            source: Source::Cache,
            took: Duration::ZERO,
        };
        let (Some(tenant), Identified::Readings(readings)) = (tenant, identified) else {
            return answers;
        };
        let started = Instant::now();
        for (slot, recipient) in answers.lookups.iter_mut().zip(readings.iter()) {
            if !self.inner.catalogue.is_loaded() {
                // The store has not been reached yet: a template that looks unknown now may be known in a moment.
                answers.count += 1;
                continue;
            }
            let answer = self.inner.store.lookup(tenant, &recipient.key()).await;
            *slot = answer.lookup;
            answers.count += 1;
            if answer.source == Source::Store {
                answers.source = Source::Store;
            }
        }
        answers.took = started.elapsed();
        answers
    }

    /// Asks whether windows are known for the tenant, only where the answer could matter: a service send to somebody without an open one.
    async fn window_knowledge(
        &self,
        tenant: Option<usize>,
        classified: &Classified,
        answers: &Answers,
    ) -> WindowKnowledge {
        let all_open = || {
            let now = self.inner.clock.now();
            let open = |lookup: &Lookup| found(lookup).is_some_and(|record| record.window_open(now));
            answers.lookups.iter().take(answers.count).all(open)
        };
        match tenant {
            Some(tenant)
                if classified.needs.contains(Category::Service) && !self.inner.relay && !all_open() =>
            {
                match self.inner.store.lookup(tenant, &RecipientKey::Tenant).await.lookup {
                    Lookup::Found(record) if record.window_until != 0 => WindowKnowledge::Learnt,
                    Lookup::Found(_) | Lookup::Absent => WindowKnowledge::NotLearnt,
                    Lookup::Unavailable | Lookup::Remembered(_) => WindowKnowledge::Unavailable,
                }
            }
            Some(_) | None => WindowKnowledge::Learnt,
        }
    }
}

fn found(lookup: &Lookup) -> Option<GateRecord> {
    match lookup {
        Lookup::Found(record) => Some(*record),
        Lookup::Absent | Lookup::Unavailable | Lookup::Remembered(_) => None,
    }
}

fn addressee<'a>(
    identified: &Identified,
    lookups: &'a [Lookup],
    members: Option<Members<'a>>,
) -> Addressee<'a> {
    match identified {
        Identified::Readings(readings) => Addressee::People { lookups, ambiguous: readings.ambiguous() },
        Identified::Group => Addressee::Group(members),
        Identified::Unreadable(why) => Addressee::Unreadable(why),
    }
}

fn readings(identified: Identified, answers: &Answers) -> Readings {
    let mut readings = Readings::default();
    if let Identified::Readings(people) = identified {
        let lookups = answers.lookups.iter().take(answers.count).copied().map(Some);
        for (recipient, lookup) in people.into_iter().zip(lookups.chain(std::iter::repeat(None))) {
            readings.push(recipient, lookup);
        }
    }
    readings
}
