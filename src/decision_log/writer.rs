//! The thread that hashes, formats and writes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::event::Event;
use super::kept::Keeper;
use super::lane::Lane;
use super::line::{KeyedHash, Lines};
use super::output::Output;
use super::shared::{Closing, Shared};

/// Lines are handed to the system in pieces of about this size. The longer a piece, the larger the pages in which the system keeps it, and those are most of what a write
/// costs: a line in 64 KiB costs a third more than in 256 KiB.
const PIECE: usize = 256 << 10;
/// How long the thread rests between two looks into the queues while many sends come.
const TICK: Duration = Duration::from_millis(16);
/// How long while few come: the longest that a line waits where the core is free. A look costs 90 us however little it finds, and whoever calls meanwhile waits for as long (at 1,000 sends a
/// second the log took 7.8 us of each with the shorter rest, 3.8 us with this one).
const CALM_TICK: Duration = Duration::from_millis(64);
/// So many at one look are few. Of more, the queue's high water wakes the thread out of a long rest.
const FEW: usize = 256;
/// After so many of few, the thread lets others go first: who waits for this core waits for these in place of all. Of many it does not, for each time costs it a turn.
const STRETCH: usize = 8;
/// After so long without an event it waits to be woken instead.
const DOZE_AFTER: Duration = Duration::from_millis(250);
/// Between two attempts to write to a sink that failed.
const RETRY: Duration = Duration::from_millis(100);

/// The writing thread's own state.
pub(super) struct Writer {
    shared: Arc<Shared>,
    output: Output,
    form: Lines,
    keeper: Option<Keeper>,
    lanes: Vec<Reader>,
    /// Formatted and not yet written.
    text: Vec<u8>,
    lines: usize,
    /// Lines given up because closing ran out of time.
    lost: usize,
}

/// This thread's side of a lane.
struct Reader {
    lane: Arc<Lane>,
    events: VecDeque<Box<Event>>,
    /// Events whose lines are not yet written: their slots are still taken.
    unwritten: usize,
}

impl Reader {
    fn next(&mut self) -> Option<Box<Event>> {
        let event = self.events.pop_front()?;
        self.unwritten += 1;
        Some(event)
    }
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, output: Output, hash: KeyedHash, keeper: Option<Keeper>) -> Self {
        let text = Vec::with_capacity(PIECE + (PIECE >> 3));
        Self { shared, output, form: Lines::new(hash), keeper, lanes: Vec::new(), text, lines: 0, lost: 0 }
    }

    /// Writes until closing is asked for and everything is written, or its time ran out.
    pub(super) fn run(mut self) {
        let mut last_event = Instant::now();
        loop {
            let drained = self.drain();
            if drained > 0 {
                last_event = Instant::now();
            }
            if self.shared.take_reopen() {
                self.output.reopen();
            }
            if let Some(keeper) = &mut self.keeper {
                keeper.tidy();
            }
            match self.shared.closing() {
                Closing::Open => self.rest(last_event, drained),
                Closing::Until(deadline) if drained > 0 && Instant::now() < deadline => {}
                Closing::Until(_) | Closing::Written | Closing::GaveUp => return self.close(),
            }
        }
    }

    /// Writes everything that waits now; returns how many events that were.
    fn drain(&mut self) -> usize {
        self.meet_new_lanes();
        for reader in &mut self.lanes {
            reader.lane.take(&mut reader.events);
        }
        let mut drained = 0;
        // Where slots are short somebody may wait for those of the events that are taken.
        let gives_way = self.lanes.iter().map(|reader| reader.events.len()).sum::<usize>() <= FEW
            && self.lanes.iter().all(|reader| reader.lane.is_ample())
            && matches!(self.shared.closing(), Closing::Open);
        let tenants = self.shared.metrics().tenants();
        for index in 0..self.lanes.len() {
            while let Some(event) = self.lanes.get_mut(index).and_then(Reader::next) {
                if gives_way && drained > 0 && drained % STRETCH == 0 {
                    thread::yield_now();
                }
                self.form.write(&event, &tenants, &mut self.text);
                self.lines += 1;
                drained += 1;
                if self.text.len() >= PIECE {
                    self.write();
                }
            }
        }
        self.write();
        drained
    }

    fn meet_new_lanes(&mut self) {
        let lanes = self.shared.lanes();
        for lane in lanes.iter().skip(self.lanes.len()) {
            self.lanes.push(Reader { lane: Arc::clone(lane), events: VecDeque::new(), unwritten: 0 });
        }
    }

    /// Writes what is formatted, however often it takes, then gives the slots back.
    fn write(&mut self) {
        if self.write_text() {
            self.shared.recent().push(&self.text, self.lines);
            if let Some(keeper) = &mut self.keeper {
                keeper.write(&self.text, self.lines);
            }
        } else {
            self.lost += self.lines;
        }
        self.text.clear();
        self.lines = 0;
        for reader in &mut self.lanes {
            reader.lane.release(std::mem::take(&mut reader.unwritten));
        }
    }

    /// Whether all of it was written; `false` only when closing ran out of time.
    fn write_text(&mut self) -> bool {
        let mut written = 0;
        while written < self.text.len() {
            if self.shared.take_reopen() {
                self.output.reopen();
                // The new file starts with a whole line.
                written = start_of_line(&self.text, written);
            }
            match self.output.write(self.text.get(written..).unwrap_or_default()) {
                Ok(bytes) => written += bytes,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) if self.out_of_time() => return false,
                Err(_) => thread::park_timeout(RETRY),
            }
        }
        true
    }

    fn out_of_time(&self) -> bool {
        match self.shared.closing() {
            Closing::Until(deadline) => Instant::now() >= deadline,
            Closing::GaveUp => true,
            Closing::Open | Closing::Written => false,
        }
    }

    fn rest(&self, last_event: Instant, drained: usize) {
        if last_event.elapsed() < DOZE_AFTER {
            // Where slots are short somebody may wait for one, and whoever holds the others wakes nobody.
            let is_calm = drained <= FEW && self.lanes.iter().all(|reader| reader.lane.is_ample());
            return thread::park_timeout(if is_calm { CALM_TICK } else { TICK });
        }
        self.shared.set_asleep(true);
        // Who enqueued before the flag was up did not wake us, so look once more: both sides go through the same locks.
        let no_new_lane = self.shared.lanes().len() == self.lanes.len();
        if no_new_lane && self.lanes.iter().all(|reader| reader.lane.is_empty()) {
            match &self.keeper {
                None => thread::park(),
                Some(keeper) => thread::park_timeout(keeper.tidy_every()),
            }
        }
        self.shared.set_asleep(false);
    }

    /// Shuts the lanes, writes what came in meanwhile, and says how it went.
    fn close(mut self) {
        for reader in &self.lanes {
            reader.lane.shut();
        }
        self.drain();
        self.output.sync();
        if self.lost > 0 {
            self.shared.metrics().decision_log_dropped(u64::try_from(self.lost).unwrap_or(u64::MAX));
            tracing::error!(decisions = self.lost, "decision log closed with decisions unwritten");
        }
        self.shared.set_closed(if self.lost == 0 { Closing::Written } else { Closing::GaveUp });
    }
}

/// Where the line that holds this byte begins.
fn start_of_line(text: &[u8], at: usize) -> usize {
    let before = text.get(..at).unwrap_or_default();
    memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_begins_after_the_newline_before_it() {
        let text = b"first\nsecond\n";
        for (at, start) in [(0, 0), (3, 0), (6, 6), (9, 6), (13, 13)] {
            assert_eq!(start_of_line(text, at), start, "{at}");
        }
    }
}
