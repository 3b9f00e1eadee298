//! The numbers that send: whether they are heard of, how the provider rates them, and whether it delivers messages for them that this deployment never
//! forwarded.
//!
//! Everything here happens beside the way of a send, which reads one byte of it (see [`crate::consent::Pulse`]) and pushes each message that the provider took
//! into a lane. What is known is kept in the store, so that all nodes share it. Knows no rules of consent and no JSON of the provider's.

mod board;
mod filter;
mod groups;
mod heard;
mod health;
mod keeper;
mod links;
mod polling;
mod recall;
mod report;
mod sent;
mod sources;
mod writing;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;

use crate::consent::tenant::{Sender, Sending, Tenants};
use crate::consent::{Clock, Felt, Pulse, Quality};
use crate::metrics::{Metrics, SenderState};
use crate::policy::settings::SenderHealth;
use crate::store::ConsentStore;
use crate::upstream::Token;
use crate::wire::webhook::{News, NumberEvent, Reading, Tiding, What};
use board::Board;
use heard::Heard;

pub use keeper::Keeper;
pub use polling::Poller;
pub use report::{AccountReport, Failures, OwnNumber, Period, Relay, SenderDetail, SenderReport};
pub use sent::{Asked, Recorder, Sent, Told, Who, Written};

/// How many statuses may wait for the keeper; of further ones it is only counted that they were left out.
const WAITING: usize = 1 << 16;
/// How many senders are known beside the configured ones.
const MAX_STRANGERS: usize = 1000;

/// How senders are watched.
#[derive(Clone, Debug)]
pub struct Settings {
    /// For how many messages a day the filters are made; 0 keeps none.
    pub messages_per_day: u64,
    /// How long a status waits until every node has told of its messages.
    pub settle: Duration,
    /// How often the provider is asked about each number; zero is never.
    pub poll_every: Duration,
    /// Whether a recipient without `+` may be read as a number of the sender's own country, so that its own number matters.
    pub read_nationally: bool,
    /// The tokens to ask with, by phone number id.
    pub tokens: BTreeMap<String, Token>,
    /// The token to ask with about senders that are not configured, where none have to be.
    pub usual_token: Option<Token>,
}

/// What the watch stands on.
pub struct Ground {
    /// Where what is known is kept.
    pub store: ConsentStore,
    /// Where it is shown.
    pub metrics: Metrics,
    /// What time it is.
    pub clock: Clock,
    /// Who sends.
    pub tenants: Arc<Tenants>,
}

/// What is known of senders. Cheap to clone; all clones see the same.
#[derive(Clone)]
pub struct Senders {
    inner: Arc<Inner>,
}

struct Inner {
    settings: Settings,
    store: ConsentStore,
    metrics: Metrics,
    clock: Clock,
    tenants: ArcSwap<Tenants>,
    /// The pulses of senders that are not configured, where none have to be.
    strangers: ArcSwap<HashMap<String, Pulse, ahash::RandomState>>,
    board: Mutex<Board>,
    heard: mpsc::Sender<Heard>,
    /// Looks groups up, once it may.
    scout: OnceLock<groups::Scout>,
    /// A [`SenderHealth`], by its place in [`BRAKES`].
    brake: AtomicU8,
}

const BRAKES: [SenderHealth; 3] = [SenderHealth::Refuse, SenderHealth::Warn, SenderHealth::Off];

/// The watch, with a recorder for each worker and the task that keeps everything.
pub fn open(settings: Settings, ground: Ground, workers: usize) -> (Senders, Vec<Recorder>, Keeper) {
    let Ground { store, metrics, clock, tenants } = ground;
    let (heard, hearing) = mpsc::channel(WAITING);
    let (recorders, lanes) = sent::lanes(workers);
    let inner = Arc::new(Inner {
        settings,
        store,
        metrics,
        clock,
        tenants: ArcSwap::new(Arc::clone(&tenants)),
        strangers: ArcSwap::default(),
        board: Mutex::default(),
        heard,
        scout: OnceLock::new(),
        brake: AtomicU8::new(0),
    });
    let senders = Senders { inner: Arc::clone(&inner) };
    senders.serve(&tenants);
    (senders, recorders, Keeper::new(inner, lanes, hearing))
}

impl Senders {
    /// Watches other senders from now on, as a reload names them.
    pub fn serve(&self, tenants: &Arc<Tenants>) {
        self.inner.tenants.store(Arc::clone(tenants));
        let mut board = self.inner.board();
        for sender in tenants.senders() {
            board.by_number.insert(sender.pulse.number(), sender.phone_number_id.clone());
            board.of(&sender.phone_number_id);
        }
        drop(board);
        self.inner.show_all();
    }

    /// What the policy makes of numbers that are rated badly.
    pub fn brake(&self, brake: SenderHealth) {
        let at = BRAKES.iter().position(|known| *known == brake).and_then(|at| u8::try_from(at).ok());
        self.inner.brake.store(at.unwrap_or_default(), Ordering::Relaxed);
    }

    /// What is felt of a sender that is not configured, once it is known.
    pub fn stranger(&self, phone_number_id: &str) -> Option<Felt> {
        self.inner.strangers.load().get(phone_number_id).map(Pulse::felt)
    }

    /// Takes in a genuine webhook: that it came, what it says about numbers and accounts, and what it says about messages.
    pub fn heard(&self, reading: &Reading) {
        let now = self.inner.clock.now().as_secs_u32();
        for sender in reading.senders.iter().filter(|sender| self.inner.is_ours(sender)) {
            self.inner.meet(sender);
            let mut board = self.inner.board();
            let webhook = &mut board.of(sender).moments.webhook;
            *webhook = (*webhook).max(now);
        }
        for (sender, phone) in reading.phones.iter().filter(|(sender, _)| self.inner.is_ours(sender)) {
            self.inner.board().of(sender).is_called(*phone, now);
            self.inner.call(sender);
        }
        for news in &reading.news {
            self.inner.told(news);
        }
        for notice in &reading.notices {
            let What::Status(status) = &notice.what else { continue };
            if let Some(tenant) = self.inner.tenants.load().tenant_of(&notice.sender) {
                // Beyond what can wait, statuses are left out: they hold up nothing.
                if self.inner.heard.try_send(Heard::of(notice, status, tenant)).is_err() {
                    self.inner.metrics.statuses_dropped(1);
                }
            }
        }
    }
}

impl Inner {
    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The token to ask the provider with about a sender.
    fn token_of(&self, sender: &str) -> Option<&Token> {
        let usual = || match self.tenants.load().sending(sender) {
            Sending::Default => self.settings.usual_token.as_ref(),
            Sending::Known(_) | Sending::Unknown => None,
        };
        self.settings.tokens.get(sender).or_else(usual)
    }

    fn brake(&self) -> SenderHealth {
        BRAKES.get(usize::from(self.brake.load(Ordering::Relaxed))).copied().unwrap_or_default()
    }

    /// Whether a phone number id sends through this gate.
    fn is_ours(&self, sender: &str) -> bool {
        let digits = (1..=32).contains(&sender.len()) && sender.bytes().all(|b| b.is_ascii_digit());
        digits && self.tenants.load().tenant_of(sender).is_some()
    }

    /// Gives a sender that is not configured a pulse, if there is room; whether it has one.
    fn meet(&self, sender: &str) -> bool {
        match self.tenants.load().sending(sender) {
            Sending::Known(_) => return true,
            Sending::Unknown => return false,
            Sending::Default => {}
        }
        let strangers = self.strangers.load_full();
        if strangers.contains_key(sender) {
            return true;
        }
        if strangers.len() >= MAX_STRANGERS {
            return false;
        }
        let pulse = Pulse::default();
        self.board().by_number.insert(pulse.number(), sender.to_owned());
        self.strangers.rcu(|known| {
            let mut known = HashMap::clone(known);
            known.insert(sender.to_owned(), pulse.clone());
            known
        });
        true
    }

    /// Takes in what is told about a number or an account.
    fn told(&self, news: &News) {
        let at = news.at.unwrap_or_else(|| self.clock.now());
        match &news.what {
            Tiding::Number { number, event, limit } => {
                for sender in self.senders_of(&news.account, *number) {
                    self.meet(&sender);
                    let mut board = self.board();
                    board.of(&sender).change_health(|health| health.told(*event, limit.clone(), at));
                    drop(board);
                    if *event != NumberEvent::Other {
                        tracing::warn!(sender, number.event = ?event, "the provider told about a number's quality");
                    }
                    self.rate(&sender);
                }
            }
            Tiding::Limit(limit) => {
                self.board().change_account(&news.account, |account| account.limited(limit, at));
            }
            Tiding::Account(told) => {
                self.metrics.account_event(told.event);
                let mut changed = false;
                self.board().change_account(&news.account, |account| {
                    changed = account.told(told, at);
                    changed
                });
                if changed {
                    let (event, words) = (told.event.name(), &told.words);
                    tracing::warn!(
                        account = news.account,
                        account.event = event,
                        account.words = words,
                        "the provider told about an account"
                    );
                }
            }
        }
    }

    /// The senders of an account that have a number, which webhooks about numbers name as it is displayed; the only one, if its number is not configured.
    fn senders_of(&self, account: &str, number: Option<crate::consent::E164>) -> Vec<String> {
        let tenants = self.tenants.load();
        let of_account: Vec<_> = tenants
            .senders()
            .filter(|sender| sender.account.as_deref().is_none_or(|own| own == account))
            .collect();
        let phone = |sender: &Sender| sender.phone.or_else(|| sender.pulse.felt().phone());
        let named = of_account.iter().filter(|sender| number.is_some() && phone(sender) == number);
        let mut found: Vec<String> = named.map(|sender| sender.phone_number_id.clone()).collect();
        if let ([only], []) = (of_account.as_slice(), found.as_slice())
            && phone(only).is_none()
        {
            found.push(only.phone_number_id.clone());
        }
        let strangers = self.strangers.load();
        let named = strangers.iter().filter(|(_, pulse)| number.is_some() && pulse.felt().phone() == number);
        found.extend(named.map(|(sender, _)| sender.clone()));
        found
    }

    /// What sends see of a sender.
    fn pulse(&self, sender: &str) -> Option<Pulse> {
        match self.tenants.load().sending(sender) {
            Sending::Known(known) => Some(known.pulse.clone()),
            Sending::Default => self.strangers.load().get(sender).cloned(),
            Sending::Unknown => None,
        }
    }

    /// Lets sends see which number a sender is.
    fn call(&self, sender: &str) {
        let phone = self.board().of(sender).phone();
        if let (Some(phone), Some(pulse)) = (phone, self.pulse(sender))
            && pulse.call(&phone)
        {
            tracing::info!(
                sender,
                "a sender's own number was learnt: a recipient without + is read as a number of its country too"
            );
        }
    }

    /// Lets sends see how a number is rated now.
    fn rate(&self, sender: &str) {
        let quality = self.board().of(sender).health.rating(self.clock.now());
        let before = self.pulse(sender).map(|pulse| pulse.rate(quality));
        if let Some(before) = before.filter(|before| *before != quality) {
            let (before, now) = (before.name(), quality.name());
            if quality >= Quality::Yellow && self.brake() != SenderHealth::Off {
                tracing::warn!(
                    sender,
                    quality.before = before,
                    quality.now = now,
                    "a number is rated badly: recipients block or report it"
                );
            } else {
                tracing::info!(
                    sender,
                    quality.before = before,
                    quality.now = now,
                    "a number is rated differently"
                );
            }
        }
        self.show(sender);
    }

    fn show(&self, sender: &str) {
        let mut board = self.board();
        let facts = board.of(sender);
        let state = SenderState {
            moments: facts.moments,
            quality: facts.health.rating(self.clock.now()),
            can_send: facts.health.can_send.as_deref().map(|can_send| can_send == "AVAILABLE"),
        };
        drop(board);
        self.metrics.set_sender(sender, state);
    }

    fn show_all(&self) {
        let all: Vec<String> = self.board().senders.keys().cloned().collect();
        for sender in &all {
            self.call(sender);
            self.rate(sender);
        }
    }
}
