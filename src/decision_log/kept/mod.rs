//! Decisions kept for explaining, beyond what is in memory and across restarts: the log's own lines in segment files of bounded age and size.
//!
//! A decision is found by its id, whose first characters are its time, or by the keyed hash of the provider's message id. Of this node only.
//! Holds nothing that the log does not: no number, and nothing that leads to one.

mod keeper;
mod revisions;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use memchr::memmem;
use serde_json::Value;

pub(super) use keeper::Keeper;
pub use revisions::Revision;
pub(super) use revisions::Revisions;

use super::id::DecisionId;
use super::recent::line_around;

/// How many segments the space is divided into: the oldest is removed as a whole.
const SEGMENTS: u64 = 16;
/// A segment is read whole when something is looked for.
const MAX_SEGMENT: u64 = 16 << 20;
const MIN_SEGMENT: u64 = 64 << 10;
const SUFFIX: &str = ".ndjson";

/// Where decisions are kept, how long, and in how much space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keep {
    /// The folder; made if it does not exist.
    pub dir: PathBuf,
    /// A decision is kept at least so long, and an eighth longer at most, unless space runs out.
    pub time: Duration,
    /// The oldest make room when this many bytes are reached.
    pub max_bytes: u64,
}

impl Keep {
    fn segment_bytes(&self) -> u64 {
        (self.max_bytes / SEGMENTS).clamp(MIN_SEGMENT, MAX_SEGMENT)
    }

    fn segment_time(&self) -> Duration {
        self.time / 8
    }
}

/// One file of lines.
struct Segment {
    /// Milliseconds since the epoch.
    opened: u64,
    path: PathBuf,
}

/// The segments of a folder, oldest first. Other files are somebody else's.
fn segments(dir: &Path) -> io::Result<Vec<Segment>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(opened) = name.strip_suffix(SUFFIX).and_then(|digits| digits.parse().ok()) {
            found.push(Segment { opened, path });
        }
    }
    found.sort_by_key(|segment| segment.opened);
    Ok(found)
}

fn segment_path(dir: &Path, opened: u64) -> PathBuf {
    dir.join(format!("{opened:013}{SUFFIX}"))
}

/// Reads what a [`Keeper`] wrote, also one of an earlier process.
#[derive(Clone, Debug)]
pub(super) struct Archive {
    dir: PathBuf,
}

impl Archive {
    pub(super) fn of(keep: &Keep) -> Self {
        Self { dir: keep.dir.clone() }
    }

    /// The line of a decision. It stands in the segment of its time or, if the provider took long, in a later one; the others are looked into in case the clock was set.
    pub(super) fn by_id(&self, id: &DecisionId) -> Option<String> {
        let mut segments = segments(&self.dir).ok()?;
        let first =
            segments.partition_point(|segment| segment.opened <= id.time().as_millis()).saturating_sub(1);
        segments.rotate_left(first);
        segments.iter().find_map(|segment| find_in(segment, "id", id.as_str()))
    }

    /// The newest line in which a field has a value.
    pub(super) fn newest(&self, field: &str, value: &str) -> Option<String> {
        segments(&self.dir).ok()?.iter().rev().find_map(|segment| find_in(segment, field, value))
    }
}

/// The last whole line of a segment in which a field has a value that needs no escaping. What a dying process cut short is no line.
fn find_in(segment: &Segment, field: &str, value: &str) -> Option<String> {
    // Removed between listing and reading, if its time has come.
    let text = fs::read(&segment.path).ok()?;
    let wanted = format!("\"{field}\":\"{value}\"");
    let mut hits = memmem::rfind_iter(&text, &wanted);
    hits.find_map(|at| {
        let line = line_around(&text, at)?;
        let parsed: Value = serde_json::from_str(&line).ok()?;
        (parsed.get(field).and_then(Value::as_str) == Some(value)).then_some(line)
    })
}

#[cfg(test)]
mod tests;
