//! The decision log: one JSON object a line for every decision, enough to replay it without the number.
//!
//! A send first reserves a slot in its worker's queue; the [`Guard`] that it gets fills the event as the stages speak and enqueues it
//! whatever becomes of the send: dropped unfinished, it records `aborted`. Hashing, formatting and writing happen on one thread of their own.
//! Lines of one worker stand in the order in which its decisions ended; lines of different workers may be some milliseconds out of order.
//!
//! | field | holds |
//! |---|---|
//! | `time`, `id` | when the send was judged (RFC 3339); the decision id, 26 characters |
//! | `tenant`, `sender`, `caller` | names from the configuration, and the phone number id of the path |
//! | `recipient_hash` | the first 16 bytes of HMAC-SHA256 over the canonical recipient, in hex; a list where a number has several readings; `null` as long as the key could not be read from the store |
//! | `country` | the recipient's country, two letters; `null` where a number belongs to none |
//! | `category`, `template` | what was judged; the template as `name/language` |
//! | `category_source` | `catalogue` if the template stood in it, `unlisted` if it did not and therefore is marketing, `request` without a template |
//! | `decision`, `reason`, `basis` | `allow` or `deny`; why denied, or would have been in shadow mode; on what it was allowed |
//! | `rule`, `revision`, `mode` | the rule and the policy that decided |
//! | `event_seq`, `gate_record` | the record that was read: its sequence and its 40 bytes in hex; `null` without a record, `unavailable` where the store did not answer, `remembered` where it did not and a withdrawal of before refused; lists where `recipient_hash` is one |
//! | `window` | the customer service window: `open`, `closed`, `unknown`, `unavailable` |
//! | `outcome`, `upstream_status` | what became of it: see [`Outcome`] |
//! | `message_id` | a keyed hash like `recipient_hash`: the provider's own id has the recipient's number in it |
//!
//! Every field is always there; what is not known is `null`. Knows neither HTTP nor where consent is kept.

mod country;
mod event;
mod id;
mod kept;
mod lane;
mod line;
mod output;
mod recent;
mod shared;
mod writer;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

pub use event::{Event, Outcome, Reading, Readings, Text, Verdict};
pub use id::DecisionId;
pub use kept::{Keep, Revision};
pub use lane::{Guard, QueueFull, WorkerLog};
pub use line::KeyedHash;
pub use output::open;

use crate::consent::Timestamp;
use crate::metrics::Metrics;
use crate::policy::Policy;
use kept::{Archive, Keeper, Revisions};
use output::Output;
use shared::Shared;
use writer::Writer;

/// How many decisions are kept in memory when nothing else is said.
pub const RECENT_DEFAULT: usize = 10_000;

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sink {
    /// The standard output.
    Stdout,
    /// A file, appended to.
    File(PathBuf),
}

/// What happens to a send when the queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnFull {
    /// It waits, then is refused: every decision leaves a record.
    #[default]
    Wait,
    /// It goes on, and its decision is counted as dropped instead of recorded.
    Drop,
}

/// How decisions are recorded.
#[derive(Clone)]
pub struct Settings {
    /// Where lines go.
    pub sink: Sink,
    /// How many events each worker may have in hand or waiting to be written.
    pub queue: usize,
    /// What happens when that many are.
    pub on_full: OnFull,
    /// How many decisions to keep in memory for [`DecisionLog::recent`].
    pub recent: usize,
    /// Where and how long decisions are kept beyond that, across restarts; `None` is not at all.
    pub keep: Option<Keep>,
    /// The key of the hashes, the same on every node; one that is known only later is handed to [`DecisionLog::hash`].
    pub hash_key: Option<[u8; 32]>,
}

/// The log. Clones are handles to the same log.
#[derive(Clone)]
pub struct DecisionLog {
    shared: Arc<Shared>,
    hash: KeyedHash,
    keep: Option<Keep>,
    revisions: Arc<Revisions>,
    writer: Arc<Mutex<Option<thread::JoinHandle<()>>>>,
}

impl DecisionLog {
    /// Opens the sink and starts the writing thread.
    ///
    /// # Errors
    /// The file cannot be opened for appending, the folder of kept decisions cannot be used, or the thread cannot be started.
    pub fn open(settings: Settings, metrics: Metrics) -> io::Result<Self> {
        let hash = settings.hash_key.as_ref().map(KeyedHash::new).unwrap_or_default();
        let shared = Arc::new(Shared::new(&settings, metrics.clone()));
        let keep = settings.keep;
        let keeper = keep.clone().map(|keep| Keeper::open(keep, metrics)).transpose()?;
        let revisions = Arc::new(Revisions::open(keep.as_ref().map(|keep| keep.dir.as_path())));
        let output = Output::open(settings.sink, settings.on_full)?;
        let writer = Writer::new(Arc::clone(&shared), output, hash.clone(), keeper);
        let thread = thread::Builder::new().name("decision-log".to_owned()).spawn(move || writer.run())?;
        shared.set_writer(thread.thread().clone());
        Ok(Self { shared, hash, keep, revisions, writer: Arc::new(Mutex::new(Some(thread))) })
    }

    /// A queue of its own for one worker.
    ///
    /// # Errors
    /// The system gives no random bytes to seed the decision ids with.
    pub fn worker(&self) -> io::Result<WorkerLog> {
        WorkerLog::new(&self.shared)
    }

    /// Opens the file anew, after log rotation has renamed it. Events in the queue go to the new file.
    pub fn reopen(&self) {
        self.shared.ask_reopen();
    }

    /// The line of a recent decision; `None` once it is older than those kept, or before it is written (some 20 milliseconds after it ended).
    pub fn recent(&self, id: &DecisionId) -> Option<String> {
        self.shared.recent().find("id", id.as_str())
    }

    /// The line of the recent decision that the provider answered with this message id.
    pub fn recent_by_message_id(&self, message_id: &str) -> Option<String> {
        self.shared.recent().find("message_id", &self.hash.message_id(message_id)?)
    }

    /// The line of a decision of this node, recent or kept. Reads files: not for a thread that serves others.
    pub fn find(&self, id: &DecisionId) -> Option<String> {
        self.recent(id).or_else(|| Archive::of(self.keep.as_ref()?).by_id(id))
    }

    /// The same for the decision that the provider answered with this message id.
    pub fn find_by_message_id(&self, message_id: &str) -> Option<String> {
        let kept =
            || Archive::of(self.keep.as_ref()?).newest("message_id", &self.hash.message_id(message_id)?);
        self.recent_by_message_id(message_id).or_else(kept)
    }

    /// How long decisions are kept, and where.
    pub fn keep(&self) -> Option<&Keep> {
        self.keep.as_ref()
    }

    /// Notes the policy that is in force from now on, so that [`DecisionLog::policy`] can show it when it no longer is.
    pub fn note_policy(&self, policy: &Policy, now: Timestamp) {
        self.revisions.note(policy, now);
    }

    /// The policy of a revision that was in force at a moment.
    pub fn policy(&self, revision: &str, at: Timestamp) -> Option<Revision> {
        self.revisions.find(revision, at)
    }

    /// The hash under which recipients and message ids stand in the log.
    pub fn hash(&self) -> &KeyedHash {
        &self.hash
    }

    /// Writes everything queued and stops, blocking until then. Call it when no worker is left; what ends later is counted as dropped.
    ///
    /// # Errors
    /// Not everything could be written within the deadline.
    pub fn close(&self, deadline: Duration) -> io::Result<()> {
        let written = self.shared.ask_close(deadline);
        if written {
            let thread = self.writer.lock().ok().and_then(|mut slot| slot.take());
            thread
                .map_or(Ok(()), thread::JoinHandle::join)
                .map_err(|_| io::Error::other("the writing thread panicked"))?;
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, "decisions were left unwritten"))
    }
}

#[cfg(test)]
mod tests;
