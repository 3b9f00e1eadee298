//! Writing segments and removing old ones. On the writing thread: a write more per batch, and nothing that a send could wait for.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::{Keep, segment_path, segments};
use crate::metrics::Metrics;

/// How often age is looked at, where decisions are kept long enough.
const TIDY_EVERY: Duration = Duration::from_secs(60);
/// How long nothing is tried after a write failed: each trial makes a file.
const PAUSE: Duration = Duration::from_secs(5);
/// How often a fault that stays is reported.
const REPORT_EVERY: Duration = Duration::from_secs(60);

/// Keeps what is written. Never fails: a decision that cannot be kept is logged all the same, and counted.
pub(in crate::decision_log) struct Keeper {
    keep: Keep,
    metrics: Metrics,
    current: Option<Current>,
    tidied: Option<Instant>,
    failed: Option<Instant>,
    reported: Option<Instant>,
}

/// The segment that is being written.
struct Current {
    file: File,
    bytes: u64,
    opened: Instant,
}

impl Keeper {
    /// Makes the folder, for its owner alone, and removes what is too old.
    pub(in crate::decision_log) fn open(keep: Keep, metrics: Metrics) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(&keep.dir)?;
        segments(&keep.dir)?;
        let mut keeper = Self { keep, metrics, current: None, tidied: None, failed: None, reported: None };
        keeper.tidy();
        Ok(keeper)
    }

    /// How long the writing thread may sleep before it calls [`Keeper::tidy`].
    pub(in crate::decision_log) fn tidy_every(&self) -> Duration {
        TIDY_EVERY.min(self.keep.segment_time())
    }

    /// Keeps whole lines.
    pub(in crate::decision_log) fn write(&mut self, text: &[u8], lines: usize) {
        if text.is_empty() {
            return;
        }
        if self.failed.is_some_and(|at| at.elapsed() < PAUSE) {
            return self.lose(lines);
        }
        match self.append(text) {
            Ok(()) => {
                if self.failed.take().is_some() {
                    tracing::info!("decisions are kept again");
                }
            }
            Err(error) => {
                // What follows goes to a file of its own: a line cut short stands at the end of its file, where it does no harm.
                self.current = None;
                self.failed = Some(Instant::now());
                self.lose(lines);
                self.report(&error);
            }
        }
    }

    fn lose(&self, lines: usize) {
        self.metrics.decisions_not_kept(u64::try_from(lines).unwrap_or(u64::MAX));
    }

    fn report(&mut self, error: &io::Error) {
        if self.reported.is_none_or(|at| at.elapsed() >= REPORT_EVERY) {
            self.reported = Some(Instant::now());
            tracing::error!(error = %error, "decisions cannot be kept for explaining; they are still logged");
        }
    }

    fn append(&mut self, text: &[u8]) -> io::Result<()> {
        let more = u64::try_from(text.len()).unwrap_or(u64::MAX);
        let full = |current: &Current| current.bytes.saturating_add(more) > self.keep.segment_bytes();
        if self.current.as_ref().is_some_and(|current| full(current) || self.is_old(current)) {
            self.current = None;
        }
        let current = match &mut self.current {
            Some(current) => current,
            none => {
                make_room(&self.keep, more)?;
                none.insert(create(&self.keep)?)
            }
        };
        current.file.write_all(text)?;
        current.bytes = current.bytes.saturating_add(more);
        Ok(())
    }

    fn is_old(&self, current: &Current) -> bool {
        current.opened.elapsed() >= self.keep.segment_time()
    }

    /// Removes segments whose last line is older than decisions are kept. Cheap to call often.
    pub(in crate::decision_log) fn tidy(&mut self) {
        if self.tidied.is_some_and(|at| at.elapsed() < self.tidy_every()) {
            return;
        }
        self.tidied = Some(Instant::now());
        if self.current.as_ref().is_some_and(|current| self.is_old(current)) {
            self.current = None;
        }
        if let Err(error) = self.remove_old() {
            self.report(&error);
        }
    }

    fn remove_old(&self) -> io::Result<()> {
        let now = SystemTime::now();
        let mut segments = segments(&self.keep.dir)?;
        if self.current.is_some() {
            segments.pop();
        }
        for segment in segments {
            let written = fs::metadata(&segment.path)?.modified()?;
            if now.duration_since(written).is_ok_and(|age| age >= self.keep.time) {
                fs::remove_file(&segment.path)?;
            }
        }
        Ok(())
    }
}

/// Removes the oldest until another segment fits.
fn make_room(keep: &Keep, more: u64) -> io::Result<()> {
    let segments = segments(&keep.dir)?;
    let sizes = segments.iter().map(|s| fs::metadata(&s.path).map(|found| found.len()));
    let sizes = sizes.collect::<io::Result<Vec<u64>>>()?;
    let mut total = sizes.iter().sum::<u64>().saturating_add(keep.segment_bytes().max(more));
    for (segment, size) in segments.iter().zip(sizes) {
        if total <= keep.max_bytes {
            break;
        }
        fs::remove_file(&segment.path)?;
        total = total.saturating_sub(size);
    }
    Ok(())
}

/// A new segment, named by the time; a name that is taken is followed by the next one.
fn create(keep: &Keep) -> io::Result<Current> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut opened = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    loop {
        let path = segment_path(&keep.dir, opened);
        match OpenOptions::new().append(true).create_new(true).mode(0o600).open(path) {
            Ok(file) => return Ok(Current { file, bytes: 0, opened: Instant::now() }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => opened = opened.saturating_add(1),
            Err(error) => return Err(error),
        }
    }
}
