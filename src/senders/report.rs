//! What is shown of a sender.

use serde::Serialize;
use utoipa::ToSchema;

use super::health::AccountState;
use super::recall::NUMBERLESS;
use super::sources::Totals;
use super::{Inner, Senders};
use crate::consent::tenant::Sending;
use crate::consent::{Quality, Timestamp};
use crate::store::StoreError;

const DAY_SECONDS: u32 = 86_400;

/// Whether a sender's webhooks come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Relay {
    /// One came within a day.
    Live,
    /// None came for a day, though the sender sends.
    Silent,
    /// None came for a day, and nothing was sent.
    Idle,
}

/// From where a sender's own number is known, which says how a recipient without `+` might be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OwnNumber {
    /// It is written beneath `[[tenants.senders]]`.
    Configured,
    /// The provider told it.
    Learnt,
    /// Nobody has told it.
    Unknown,
}

/// One sender.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SenderReport {
    /// The provider's phone number id.
    #[schema(example = "106540352242922")]
    pub sender: String,
    /// Whose it is.
    #[schema(example = "acme")]
    pub tenant: String,
    /// The account that owns it, if configured.
    pub account: Option<String>,
    /// From where its own number is known.
    pub own_number: OwnNumber,
    /// Whether its webhooks come.
    pub relay: Relay,
    /// When its last genuine webhook came.
    pub last_webhook: Option<Timestamp>,
    /// When the provider last took a message of it.
    pub last_send: Option<Timestamp>,
    /// When the provider last took a marketing message of it.
    pub last_marketing: Option<Timestamp>,
    /// How its number is rated, by which marketing is refused.
    pub quality: Quality,
    /// `CONNECTED`, `FLAGGED` and the like, in the provider's words.
    #[schema(example = "CONNECTED")]
    pub status: Option<String>,
    /// `AVAILABLE`, `LIMITED` or `BLOCKED`.
    #[schema(example = "AVAILABLE")]
    pub can_send: Option<String>,
    /// What stands in its way, in the provider's words, with the codes of errors.
    pub obstacles: Vec<String>,
    /// How many people it may write to in a day.
    #[schema(example = "TIER_2K")]
    pub messaging_limit: Option<String>,
    /// When rating and status were last told.
    pub health_at: Option<Timestamp>,
    /// What was last told about its account.
    pub account_state: Option<AccountReport>,
    /// What an operator should do.
    pub warnings: Vec<&'static str>,
}

/// What was last told about an account.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AccountReport {
    /// `violation`, `restriction`, `disabled`, `reinstated`, `deleted`, `alert`, `review` or `other`.
    #[schema(example = "restriction")]
    pub event: String,
    /// The provider's words for it.
    pub words: String,
    /// When it was told.
    pub at: Timestamp,
    /// Until when it holds, if that was told.
    pub until: Option<Timestamp>,
}

/// One sender, with what its messages came to.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SenderDetail {
    /// The sender.
    pub sender: SenderReport,
    /// What its messages came to, over the last 7 and the last 28 days.
    pub messages: Vec<Period>,
}

/// What a sender's messages came to.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Period {
    /// Over how many days, today included.
    #[schema(example = 7)]
    pub days: u32,
    /// How many the provider sent on.
    pub sent: u64,
    /// How many failed.
    pub failed: u64,
    /// Those that failed for a reason that may lie in how the consent was obtained, by its source; the most frequent first.
    pub failures: Vec<Failures>,
}

/// Messages that failed with one code, to people whose consent came from one source.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Failures {
    /// The provider's code: 131050 stopped marketing, 131026 undeliverable, 130403 blocked by the business.
    #[schema(example = 131_050)]
    pub code: u64,
    /// How many.
    pub count: u64,
    /// Of all that were sent or failed, per mille.
    pub per_mille: u64,
    /// The source of the grant; `unknown` without one, `other` beyond the number that is told apart.
    #[schema(example = "website")]
    pub source: String,
    /// The channel of its evidence.
    pub channel: Option<String>,
    /// The version of its wording.
    pub wording_version: Option<String>,
    /// Whether it was taken in from old records without evidence.
    pub legacy: bool,
}

impl Senders {
    /// Every sender that is configured or was heard of, in the order of their ids.
    pub fn report(&self) -> Vec<SenderReport> {
        let known: Vec<String> = self.inner.board().senders.keys().cloned().collect();
        known.iter().filter_map(|sender| self.inner.report(sender)).collect()
    }

    /// The place of the tenant whose sender it is, if it is known.
    pub fn tenant_of(&self, sender: &str) -> Option<usize> {
        let known = self.inner.board().senders.contains_key(sender);
        self.inner.tenants.load().tenant_of(sender).filter(|_| known)
    }

    /// One sender with what its messages came to; `None` if nobody knows it.
    pub async fn detail(&self, sender: &str) -> Result<Option<SenderDetail>, StoreError> {
        if self.tenant_of(sender).is_none() {
            return Ok(None);
        }
        let Some(report) = self.inner.report(sender) else { return Ok(None) };
        let today = self.inner.clock.now().as_secs_u32() / DAY_SECONDS;
        let sums = self.inner.store.sums(today.saturating_sub(27), today).await?;
        let period = |days: u32| {
            let totals = Totals::of(sender, &sums, today.saturating_sub(days - 1));
            period(days, totals)
        };
        Ok(Some(SenderDetail { sender: report, messages: [7, 28].map(period).into() }))
    }
}

fn period(days: u32, totals: Totals) -> Period {
    let all = totals.sent.saturating_add(totals.failed).max(1);
    let mut failures: Vec<Failures> = totals
        .codes
        .into_iter()
        .map(|((code, source), count)| Failures {
            code,
            count,
            per_mille: count.saturating_mul(1000) / all,
            source: source.source,
            channel: source.channel,
            wording_version: source.wording,
            legacy: source.legacy,
        })
        .collect();
    failures.sort_by_key(|failures| std::cmp::Reverse(failures.count));
    Period { days, sent: totals.sent, failed: totals.failed, failures }
}

impl Inner {
    fn report(&self, sender: &str) -> Option<SenderReport> {
        let tenants = self.tenants.load();
        let (account, configured) = match tenants.sending(sender) {
            Sending::Known(known) => (known.account.clone(), known.phone),
            Sending::Default => (None, None),
            Sending::Unknown => return None,
        };
        let now = self.clock.now();
        let board = self.board();
        let facts = board.senders.get(sender)?;
        let state = account.as_deref().and_then(|account| board.account(account));
        let lately = |at: u32| at > 0 && now.as_secs_u32().saturating_sub(at) < DAY_SECONDS;
        let (moments, health) = (facts.moments, facts.health.clone());
        let relay = match (lately(moments.webhook), lately(moments.send)) {
            (true, _) => Relay::Live,
            (false, true) => Relay::Silent,
            (false, false) => Relay::Idle,
        };
        let quality = health.rating(now);
        let own_number = match (configured, facts.phone()) {
            (Some(_), _) => OwnNumber::Configured,
            (None, Some(_)) => OwnNumber::Learnt,
            (None, None) => OwnNumber::Unknown,
        };
        let mut warnings = Vec::new();
        if own_number == OwnNumber::Unknown && self.settings.read_nationally {
            warnings.push(NUMBERLESS);
        }
        if let (Some(configured), Some(told)) = (configured, facts.phone())
            && configured.canonical() != told.canonical()
        {
            warnings.push("WhatsApp says that it has another number than the phone configured for it, by whose country recipients without + are read");
        }
        if relay == Relay::Silent && lately(moments.marketing) {
            warnings.push("sends marketing, but no webhook came for a day: replies, stops and preferences are not learnt; subscribe the app to the field messages and point its callback at [webhook] listen");
        }
        match quality {
            Quality::Red => warnings
                .push("rated red: recipients block or report it; send less, and only what people asked for"),
            Quality::Yellow => {
                warnings
                    .push("rated yellow: send less, and look which source of consent the stops come from");
            }
            Quality::Unknown | Quality::Green => {}
        }
        if health.can_send.as_deref().is_some_and(|can_send| can_send != "AVAILABLE") {
            warnings.push("WhatsApp says that it cannot send freely: see obstacles");
        }
        Some(SenderReport {
            sender: sender.to_owned(),
            tenant: tenants.name_of(tenants.tenant_of(sender)?),
            account,
            own_number,
            relay,
            last_webhook: moment(moments.webhook),
            last_send: moment(moments.send),
            last_marketing: moment(moments.marketing),
            quality,
            status: health.status,
            can_send: health.can_send,
            obstacles: health.obstacles,
            messaging_limit: health.limit.or_else(|| state.and_then(|state| state.limit.clone())),
            health_at: moment(health.at),
            account_state: state.and_then(account_report),
            warnings,
        })
    }
}

fn account_report(state: &AccountState) -> Option<AccountReport> {
    let until = state.until.and_then(moment);
    let at = moment(state.at)?;
    Some(AccountReport { event: state.event.clone(), words: state.words.clone(), at, until })
}

/// A moment in seconds, of which 0 is none.
fn moment(at: u32) -> Option<Timestamp> {
    (at > 0).then(|| Timestamp::from_secs(at.into()))
}
