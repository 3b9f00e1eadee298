//! Asking the provider how each number is doing, with the gate's own token: seldom, spread over time, and less often where it refuses.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Inner, Senders};
use crate::metrics::PollResult;
use crate::net::pulse::in_step;
use crate::upstream::{Read, ReadFailure, Reader, Token};
use crate::wire::cloud::health;

/// How often to look whose turn it is.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// The longest pause after answers that refuse.
const LONGEST: Duration = Duration::from_secs(3600);
/// "Too many calls", of the app and of the account. Source: Meta, "Rate limits".
const LIMITS: [u64; 4] = [4, 80_007, 80_008, 130_429];

/// Asks about every sender that has a token.
pub struct Poller {
    inner: Arc<Inner>,
    reader: Reader,
    /// When each sender is asked about next, and the pause after that.
    turns: BTreeMap<String, Turn>,
}

#[derive(Clone, Copy, Debug)]
struct Turn {
    at: u64,
    pause: Duration,
}

/// Whole seconds, as far as they go.
pub(super) fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

impl Poller {
    /// Asks through a reader; `None` if nobody is to be asked about.
    pub fn new(senders: &Senders, reader: Reader) -> Option<Self> {
        let inner = Arc::clone(&senders.inner);
        let some = !inner.settings.tokens.is_empty() || inner.settings.usual_token.is_some();
        let asks = !inner.settings.poll_every.is_zero() && some;
        asks.then_some(Self { inner, reader, turns: BTreeMap::new() })
    }

    /// Runs until it is dropped.
    pub async fn run(mut self) {
        let mut looks = in_step(LOOK_EVERY);
        loop {
            looks.tick().await;
            for sender in &self.askable() {
                let token = self.inner.token_of(sender).cloned();
                if let Some(token) = token.filter(|_| self.inner.is_ours(sender) && self.is_due(sender)) {
                    let result = self.ask(sender, &token).await;
                    self.inner.metrics.sender_polled(sender, result);
                    self.plan(sender, result);
                }
            }
        }
    }

    /// The configured senders, and those that were heard of.
    fn askable(&self) -> Vec<String> {
        let strangers = self.inner.strangers.load();
        self.inner.settings.tokens.keys().chain(strangers.keys()).cloned().collect()
    }

    fn is_due(&mut self, sender: &str) -> bool {
        let now = self.inner.clock.now();
        let every = self.inner.settings.poll_every;
        match self.turns.get(sender) {
            // A short while after the start, so that nodes that start together do not ask together.
            None => {
                let turn = Turn {
                    at: now.plus(part_of(every.min(Duration::from_secs(10)))).as_secs_u32().into(),
                    pause: every,
                };
                self.turns.insert(sender.to_owned(), turn);
                false
            }
            Some(turn) if u64::from(now.as_secs_u32()) < turn.at => false,
            Some(_) => {
                // Another node may have asked meanwhile.
                let asked = self.inner.board().of(sender).health.asked_at;
                let fresh = now.as_secs_u32().saturating_sub(asked) < seconds(every) / 2;
                if fresh {
                    self.plan(sender, PollResult::Ok);
                }
                !fresh
            }
        }
    }

    /// When to ask again: after the usual time and up to a tenth more, or after ever longer pauses where asking is refused.
    fn plan(&mut self, sender: &str, result: PollResult) {
        let every = self.inner.settings.poll_every;
        let before = self.turns.get(sender).map_or(every, |turn| turn.pause);
        let pause = match result {
            PollResult::Ok => every,
            PollResult::Refused | PollResult::Limited | PollResult::Unanswered => {
                before.saturating_mul(2).min(LONGEST.max(every))
            }
        };
        let at = self.inner.clock.now().plus(pause).plus(part_of(pause / 10));
        self.turns.insert(sender.to_owned(), Turn { at: at.as_secs_u32().into(), pause });
    }

    async fn ask(&self, sender: &str, token: &Token) -> PollResult {
        let read = match self.reader.get(&health::path(sender), token).await {
            Ok(read) => read,
            Err(failure) => return unread(sender, &failure),
        };
        match health::parse(&read.body).filter(|_| read.status.is_success()) {
            Some(health) => {
                let now = self.inner.clock.now();
                self.inner.meet(sender);
                let mut board = self.inner.board();
                let facts = board.of(sender);
                if let Some(phone) = health.phone {
                    facts.is_called(phone, now.as_secs_u32());
                }
                facts.change_health(|known| {
                    known.answered(health, now);
                    true
                });
                drop(board);
                self.inner.call(sender);
                self.inner.rate(sender);
                PollResult::Ok
            }
            None => refused(sender, &read),
        }
    }
}

fn unread(sender: &str, failure: &ReadFailure) -> PollResult {
    tracing::warn!(
        sender,
        error = failure as &dyn std::error::Error,
        "the provider could not be asked how a number is doing"
    );
    PollResult::Unanswered
}

fn refused(sender: &str, read: &Read) -> PollResult {
    let code = health::error_code(&read.body);
    let limited = read.status.as_u16() == 429 || code.is_some_and(|code| LIMITS.contains(&code));
    tracing::warn!(
        sender,
        status = read.status.as_u16(),
        code,
        "the provider did not tell how a number is doing; the token needs the permission whatsapp_business_management"
    );
    if limited { PollResult::Limited } else { PollResult::Refused }
}

/// A random part of a duration.
fn part_of(duration: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or_default();
    duration.mul_f64(f64::from(random) / f64::from(u32::MAX))
}
