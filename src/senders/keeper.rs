//! The task that keeps what is known: it empties the lanes, writes to the store and reads from it, and compares statuses with what was sent.

use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{mpsc, oneshot};

use super::Inner;
use super::filter::{Judged, Marker, blocks};
use super::heard::{Due, Heard, Remembered};
use super::links::Links;
use super::sent::{Count, Kinds, Lanes, Sent, Told, Who};
use super::sources::{Bounds, Name, Origin};
use crate::consent::{Category, Quality, Timestamp};
use crate::net::pulse::in_step;
use crate::policy::settings::SenderHealth;
use crate::store::StoreError;
use crate::store::notes::{Block, Filter, Mark, SENT_DAYS};
use crate::wire::cloud::answer::taken;

/// How often the lanes are emptied.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How often what is new is written.
const WRITE_EVERY: Duration = Duration::from_secs(1);
/// How often what other nodes wrote is read.
const READ_EVERY: Duration = Duration::from_secs(5);
/// How many marks may wait for a store that is away; about 4 MB.
const MAX_MARKS: usize = 200_000;
/// How many statuses are compared at once.
const AT_ONCE: usize = 256;
/// How many statuses may wait to be compared.
const MAX_DUE: usize = 1 << 17;
pub(super) const DAY_SECONDS: u32 = 86_400;

/// Keeps what is known of senders, until it is told to end.
pub struct Keeper {
    pub(super) inner: Arc<Inner>,
    lanes: Lanes,
    hearing: mpsc::Receiver<Heard>,
    /// None until the store has told the key, and where filters are switched off.
    pub(super) marker: Option<Marker>,
    /// Whether what the store knows has been read.
    pub(super) recalled: bool,
    pub(super) marks: Vec<Mark>,
    pub(super) sums: BTreeMap<(u32, String), u64>,
    due: VecDeque<Due>,
    remembered: Remembered,
    links: Links,
    bounds: Bounds,
    /// When each sender was last warned of in the log.
    warned: BTreeMap<String, u32>,
    pub(super) announced: u32,
    pub(super) store_failed: bool,
}

impl Keeper {
    pub(super) fn new(inner: Arc<Inner>, lanes: Lanes, hearing: mpsc::Receiver<Heard>) -> Self {
        // Nobody knows what was sent while no node stood here, or by one that died before it could tell.
        let now = inner.clock.now();
        inner.board().open_gap(None, now.plus(inner.settings.settle));
        let links = Links::new(&inner);
        Self {
            inner,
            lanes,
            hearing,
            marker: None,
            recalled: false,
            marks: Vec::new(),
            sums: BTreeMap::new(),
            due: VecDeque::new(),
            remembered: Remembered::default(),
            links,
            bounds: Bounds::default(),
            warned: BTreeMap::new(),
            announced: 0,
            store_failed: false,
        }
    }

    /// Runs until `ended` is dropped, and then writes what is left.
    pub async fn run(mut self, mut ended: oneshot::Receiver<()>) {
        self.links.start();
        let [mut looks, mut writes, mut reads] = [LOOK_EVERY, WRITE_EVERY, READ_EVERY].map(in_step);
        // Looks that take long are followed by others at once: the end must not wait until a draw falls on it.
        while matches!(ended.try_recv(), Err(TryRecvError::Empty)) {
            tokio::select! {
                _ = &mut ended => break,
                _ = looks.tick() => {
                    self.hear_all().await;
                    self.empty_lanes();
                    self.compare_due().await;
                    self.write_marks().await;
                }
                _ = writes.tick() => {
                    self.write(false).await;
                    // What was learnt before is needed as soon as the store can be read.
                    if !self.recalled {
                        self.read().await;
                    }
                }
                _ = reads.tick() => self.read().await,
            }
        }
        self.hear_all().await;
        self.empty_lanes();
        self.write(true).await;
        self.links.finish().await;
    }

    /// Takes over what workers told. What a message tells of its sender is looked at once for all of a kind: there may be thousands.
    fn empty_lanes(&mut self) {
        let now = self.inner.clock.now();
        let gap = now.plus(self.inner.settings.settle);
        let mut lost = u64::from(self.lanes.have_lost());
        if lost > 0 {
            self.inner.board().open_gap(None, gap);
        }
        let mut kinds = Kinds::default();
        let mut lanes = std::mem::take(&mut self.lanes);
        lanes.take(|sent| self.take(sent, now, &mut kinds));
        self.lanes = lanes;
        for ((who, category), Count { sent, unknown }) in kinds {
            let sender = self.sender(who);
            if unknown > 0 {
                lost += unknown;
                self.inner.board().open_gap(sender.as_deref(), gap);
            }
            if let Some(sender) = sender {
                self.has_sent(&sender, category, sent, now);
            }
        }
        if lost > 0 {
            self.inner.metrics.message_ids_lost(lost);
        }
    }

    /// Takes over what a worker told of one message, or of what may be one.
    fn take(&mut self, Sent { who, category, asked, told }: Sent, now: Timestamp, kinds: &mut Kinds) {
        let known = match &told {
            Told::Message(id) => self.mark(Some(id.danger_bytes()), category, now),
            Told::Nothing => self.mark(None, category, now),
            Told::Answer(body) | Told::Perhaps(body) => {
                let taken = taken(body.danger_reveal());
                if matches!(told, Told::Perhaps(_)) && taken.id.is_none() {
                    return;
                }
                if let Some(asked) = &asked {
                    self.links.learn(asked, &taken);
                }
                self.mark(taken.id.as_ref().map(|id| id.danger_reveal().as_bytes()), category, now)
            }
        };
        kinds.entry((who, category)).or_default().add(known);
    }

    /// Notes that a message was sent; whether that will be known.
    fn mark(&mut self, id: Option<&[u8]>, category: Option<Category>, now: Timestamp) -> bool {
        match (id, &self.marker) {
            (Some(id), Some(marker)) if self.marks.len() < MAX_MARKS => {
                let hash = marker.hash(id);
                self.marks.push(marker.mark(hash, now.as_secs_u32() / DAY_SECONDS, category));
                true
            }
            _ => self.inner.settings.messages_per_day == 0,
        }
    }

    fn sender(&self, who: Who) -> Option<String> {
        match who {
            Who::Number(number) => self.inner.board().by_number.get(&number).cloned(),
            Who::Named(name) => {
                let name = String::from(name);
                (self.inner.is_ours(&name) && self.inner.meet(&name)).then_some(name)
            }
            Who::Nobody => None,
        }
    }

    fn has_sent(&mut self, sender: &str, category: Option<Category>, messages: u64, now: Timestamp) {
        let at = now.as_secs_u32();
        let mut board = self.inner.board();
        let facts = board.of(sender);
        facts.moments.send = facts.moments.send.max(at);
        if category != Some(Category::Marketing) {
            return;
        }
        facts.moments.marketing = facts.moments.marketing.max(at);
        let quality = facts.health.rating(now);
        drop(board);
        if quality < Quality::Yellow || self.inner.brake() == SenderHealth::Off {
            return;
        }
        self.inner.metrics.sender_warned(sender, messages);
        let hour = at / 3600;
        if self.warned.insert(sender.to_owned(), hour) != Some(hour) {
            let quality = quality.name();
            tracing::warn!(sender, quality, "a number that is rated badly sends marketing");
        }
    }

    /// Takes what webhooks told, at intervals: waiting for each would have every webhook wake this thread, which costs more than to hear it.
    async fn hear_all(&mut self) {
        for _ in 0..self.hearing.len() {
            let Ok(heard) = self.hearing.try_recv() else { return };
            self.hear(heard).await;
        }
    }

    /// Counts a status, and lets it wait until every node has told what it sent.
    async fn hear(&mut self, heard: Heard) {
        let Some(marker) = &self.marker else { return self.inner.metrics.statuses_dropped(1) };
        let hash = marker.hash(heard.id.danger_reveal().as_bytes());
        let [first, ..] = hash.words();
        if !self.remembered.is_new(first ^ (heard.stage as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)) {
            return;
        }
        self.count(&heard).await;
        let accuses = heard.tells_when_it_was_sent();
        if !accuses && heard.billed.is_none() {
            return;
        }
        if self.due.len() >= MAX_DUE {
            self.inner.metrics.statuses_dropped(1);
        } else {
            let Heard { sender, at, billed, .. } = heard;
            self.due.push_back(Due { since: Instant::now(), sender, hash, at, accuses, billed });
        }
    }

    async fn count(&mut self, heard: &Heard) {
        let Some(result) = heard.result else { return };
        self.inner.metrics.sender_status(&heard.sender, result);
        let today = self.inner.clock.now().as_secs_u32() / DAY_SECONDS;
        let sender = || heard.sender.clone();
        match heard.stage {
            crate::wire::webhook::Stage::Sent => self.add(today, &Name::Sent(sender())),
            crate::wire::webhook::Stage::Failed => self.add(today, &Name::Failed(sender())),
            crate::wire::webhook::Stage::Delivered
            | crate::wire::webhook::Stage::Read
            | crate::wire::webhook::Stage::Other => {}
        }
        let (Some(code), Some(person)) = (heard.code, &heard.person) else { return };
        // While the store is away the origin is unknown.
        let dossier = self.inner.store.dossier(heard.tenant, person).await.unwrap_or_default();
        let source = self.bounds.within(today, Origin::of(dossier.as_ref()));
        self.add(today, &Name::Code(sender(), code, source));
    }

    fn add(&mut self, day: u32, name: &Name) {
        *self.sums.entry((day, name.encode())).or_default() += 1;
    }

    /// Compares the statuses that have waited long enough with what was sent.
    async fn compare_due(&mut self) {
        let settle = self.inner.settings.settle;
        while self.due.front().is_some_and(|due| due.since.elapsed() >= settle) {
            let ready = self.due.iter().take(AT_ONCE).take_while(|due| due.since.elapsed() >= settle).count();
            let ready: Vec<Due> = self.due.drain(..ready).collect();
            // What cannot be looked up is nobody's fault.
            if let Err(error) = self.compare(&ready).await {
                tracing::debug!(
                    error = &error as &dyn Error,
                    "statuses were not compared with what was sent"
                );
            }
        }
    }

    async fn compare(&self, ready: &[Due]) -> Result<(), StoreError> {
        let Some(marker) = &self.marker else { return Ok(()) };
        // Nearly all were sent a moment ago: the days before are asked for only where that does not find them.
        let mut strangers = Vec::new();
        for (due, found) in ready.iter().zip(self.look_up(marker, ready.iter(), 0..3).await?) {
            if found.is_empty() { strangers.push(due) } else { self.compare_category(due, &found) }
        }
        let rest = 3..usize::try_from(SENT_DAYS).unwrap_or(usize::MAX);
        let found = self.look_up(marker, strangers.iter().copied(), rest).await?;
        for (due, found) in strangers.into_iter().zip(found) {
            if found.is_empty() { self.suspect(due) } else { self.compare_category(due, &found) }
        }
        Ok(())
    }

    /// As what each message was judged, as far as it was sent on these days, counted back from the day after its status.
    async fn look_up<'d>(
        &self,
        marker: &Marker,
        ready: impl Iterator<Item = &'d Due> + Clone,
        days: std::ops::Range<usize>,
    ) -> Result<Vec<Vec<Judged>>, StoreError> {
        let places = |due: &Due| {
            let places = marker.places(due.hash, due.at.as_secs_u32() / DAY_SECONDS + 1);
            places.skip(days.start).take(days.len()).collect::<Vec<(Filter, u32)>>()
        };
        let asked: Vec<(Filter, u32)> = ready.clone().flat_map(places).collect();
        if asked.is_empty() {
            return Ok(ready.map(|_| Vec::new()).collect());
        }
        let found: Vec<Block> = self.inner.store.sent(asked).await?;
        let mut blocks = found.chunks(days.len().max(1));
        let judged = |due: &Due| {
            let of_due = blocks.next().unwrap_or_default();
            let mut judged: Vec<Judged> =
                of_due.iter().flat_map(|block| marker.judged(due.hash, block)).collect();
            judged.sort_unstable();
            judged.dedup();
            judged
        };
        Ok(ready.map(judged).collect())
    }

    /// A message of ours: what it was billed as must be what it was judged as.
    fn compare_category(&self, due: &Due, found: &[Judged]) {
        // Where the filter is not sure nothing is said; a call is billed as what asked for it.
        if let ([Some(judged)], Some(billed)) = (found, due.billed)
            && *judged != billed
            && *judged != Category::Call
        {
            self.inner.metrics.category_mismatch(*judged, billed);
        }
    }

    /// A message that no node has told of.
    fn suspect(&self, due: &Due) {
        let slack = self.inner.settings.settle.as_secs();
        let certain =
            due.at > Timestamp::from_secs(u64::from(self.inner.board().gap(&due.sender)) + slack.min(60));
        if due.accuses && certain && self.inner.settings.messages_per_day > 0 {
            self.inner.metrics.bypass_suspected(&due.sender);
            tracing::warn!(
                sender = due.sender,
                "the provider tells of a message that this deployment has not forwarded: somebody sends around the gate"
            );
        }
    }

    pub(super) fn blocks(&self) -> u32 {
        blocks(self.inner.settings.messages_per_day)
    }
}
