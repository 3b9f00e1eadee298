//! `optgate consent import`: a file of events, sent in chunks, every bad line reported and kept aside, every good one stored.
//!
//! One thread reads while another waits for the gate. A chunk is settled before the next is sent, so that events take effect in the order of the file. The
//! command's own thread waits for the end of both or for a signal.

mod chunk;
mod header;
mod interruption;
mod lines;
mod progress;
mod rejects;
mod resume;
mod rows;
mod source;
mod standing;
mod tally;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{self, Sender, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use serde_json::Value;

use super::args::Global;
use super::client::{Client, segment};
use super::consent::{Format, ImportArgs};
use super::failure::Failure;
use chunk::Chunk;
use interruption::Interruption;
use progress::Progress;
use rejects::Rejects;
use resume::{Bookmark, Settled, Started};
use source::{Source, is_stdin};
use standing::Standing;
use tally::Tally;

pub(super) use header::{COLUMNS, Cell};
pub(super) use source::read_whole;

/// How many chunks are read ahead.
const AHEAD: usize = 1;
/// How many events the first chunk has; each has twice as many as the one before, so that an import that ends early has come somewhere.
const FIRST: u64 = 250;

/// Where events go.
struct Way {
    client: Client,
    path: String,
    file: String,
}

/// What the command's own thread waits for.
enum Occurrence {
    /// The import has ended, well or not.
    Ended(Result<(), Failure>),
    Interrupted(Interruption),
}

pub(super) fn run(args: &ImportArgs, global: &Global) -> Result<ExitCode, Failure> {
    let format = source::format(args);
    check_columns(args, format)?;
    let rejects = rejects_path(args, format)?;
    let bookmark = bookmark(args, global, rejects.as_ref())?;
    let settled = begin(args, bookmark.as_ref())?;
    let source = Source::open(args, settled.through)?;
    let way = Way { client: Client::new(global)?, path: path(args), file: args.file.display().to_string() };
    if !source.left_out().is_empty() {
        eprintln!("left out, as no event has these columns: {}", source.left_out().join(", "));
    }
    let mut standing = Standing {
        rejects: Rejects::new(rejects, source.table(), settled.rejects_bytes),
        tally: Tally::new(settled.counts, args.dry_run, global.json),
        progress: Progress::new(length(args), settled.through),
        through: settled.through,
        bookmark,
    };
    let (to, occurrences) = mpsc::channel();
    let interrupted = to.clone();
    interruption::watch(move |interruption| {
        // Where the import has ended nobody needs to know.
        let _ = interrupted.send(Occurrence::Interrupted(interruption));
    });
    // Before anything is sent: whatever ends this import, the next one can go on.
    standing.keep_place();
    let standing = Arc::new(Mutex::new(standing));
    let died = || Failure::Input(args.file.display().to_string(), io::Error::other("the import died"));
    send_all(way, source, (args.chunk, &standing), to)?;
    let occurrence = occurrences.recv().map_err(|_| died())?;
    // What is settled meanwhile waits, so that what is told and what is kept is the same.
    let standing = lock(&standing);
    standing.progress.end();
    match occurrence {
        Occurrence::Interrupted(interruption) => {
            eprintln!("optgate: {interruption}\n{}", standing.so_far());
            Ok(interruption.exit_code())
        }
        Occurrence::Ended(Err(cause)) => Err(Failure::CutShort(standing.so_far(), Box::new(cause))),
        Occurrence::Ended(Ok(())) => standing.conclude(global.json),
    }
}

fn lock(standing: &Mutex<Standing>) -> MutexGuard<'_, Standing> {
    standing.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends everything, on a thread of its own, and tells when it has.
fn send_all(
    way: Way,
    source: Source,
    (events, standing): (u64, &Arc<Mutex<Standing>>),
    ended: Sender<Occurrence>,
) -> Result<(), Failure> {
    let (name, standing) = (way.file.clone(), Arc::clone(standing));
    thread::Builder::new()
        .name("import-sender".to_owned())
        .spawn(move || {
            let _ = ended.send(Occurrence::Ended(way.send_all(source, events, &standing)));
        })
        .map_err(|cause| Failure::Input(name, cause))?;
    Ok(())
}

/// Only rows have columns.
fn check_columns(args: &ImportArgs, format: Format) -> Result<(), Failure> {
    if format == Format::Csv || (args.ignore_column.is_empty() && !args.ignore_unknown_columns) {
        return Ok(());
    }
    let what = "--ignore-column and --ignore-unknown-columns are for CSV: an NDJSON file has no columns";
    Err(Failure::Senseless(what.to_owned()))
}

/// Where events go, with what holds for all of them.
fn path(args: &ImportArgs) -> String {
    let tenant = args.tenant.as_deref().map(|tenant| format!("&tenant={}", segment(tenant)));
    format!("/v1/events?dry_run={}{}", args.dry_run, tenant.unwrap_or_default())
}

/// Where rejected events go: as told, else beside the file.
fn rejects_path(args: &ImportArgs, format: Format) -> Result<Option<PathBuf>, Failure> {
    let beside = || (!is_stdin(&args.file)).then(|| rejects::beside(&args.file, format == Format::Csv));
    let path = args.rejects.clone().or_else(beside);
    if path.as_ref().is_some_and(|path| *path == args.file) {
        return Err(Failure::Senseless(
            "--rejects names the imported file itself: name another one".to_owned(),
        ));
    }
    Ok(path)
}

/// A dry run stores nothing to go on from; neither is there a place to go on from in what comes through a pipe.
fn bookmark(
    args: &ImportArgs,
    global: &Global,
    rejects: Option<&PathBuf>,
) -> Result<Option<Bookmark>, Failure> {
    let is_file = args.file.is_file();
    if args.resume && !is_file {
        return Err(Failure::Senseless(
            "--resume needs a file that can be read again from a place in it".to_owned(),
        ));
    }
    if args.dry_run || !is_file {
        return Ok(None);
    }
    let started = Started::with(args, &global.admin, rejects.map(PathBuf::as_path));
    let started = started.map_err(|cause| Failure::Input(args.file.display().to_string(), cause))?;
    Ok(Some(Bookmark::beside(&args.file, started)))
}

/// Where the import begins.
fn begin(args: &ImportArgs, bookmark: Option<&Bookmark>) -> Result<Settled, Failure> {
    let Some(bookmark) = bookmark else { return Ok(Settled::default()) };
    let found = bookmark.find();
    if !args.resume {
        if let Ok(Some(Settled { through, .. })) = found
            && through.lines > 0
        {
            eprintln!(
                "an import of this file ended early after line {}: --resume would go on there",
                through.lines
            );
        }
        return Ok(Settled::default());
    }
    let found = found.map_err(Failure::Senseless)?;
    match &found {
        Some(settled) if settled.through.lines > 0 => {
            eprintln!("goes on after line {}", settled.through.lines);
        }
        Some(_) | None => eprintln!("nothing to go on from: begins at the beginning"),
    }
    Ok(found.unwrap_or_default())
}

fn length(args: &ImportArgs) -> Option<u64> {
    std::fs::metadata(&args.file).ok().filter(std::fs::Metadata::is_file).map(|known| known.len())
}

impl Way {
    fn send_all(&self, source: Source, events: u64, standing: &Mutex<Standing>) -> Result<(), Failure> {
        let (to, chunks) = mpsc::sync_channel(AHEAD);
        let cannot_read = |cause| Failure::Input(self.file.clone(), cause);
        thread::Builder::new()
            .name("import-reader".to_owned())
            .spawn(move || read_all(source, events, &to))
            .map_err(cannot_read)?;
        for chunk in chunks {
            let chunk = chunk.map_err(cannot_read)?;
            let answer = self.send(&chunk)?;
            lock(standing).settle(&chunk, &answer)?;
        }
        Ok(())
    }

    fn send(&self, chunk: &Chunk) -> Result<Value, Failure> {
        if chunk.body.is_empty() {
            return Ok(Value::Null);
        }
        Ok(self.client.write("POST", &self.path, ("application/x-ndjson", &chunk.body))?)
    }
}

/// Reads until the end, or until nobody waits for more.
fn read_all(mut source: Source, events: u64, to: &SyncSender<io::Result<Chunk>>) {
    let (mut chunk, mut size) = (Chunk::default(), events.min(FIRST));
    loop {
        match source.next() {
            Ok(Some(item)) => chunk.push(item),
            Ok(None) => break,
            Err(cause) => {
                // What was read before the failure is good.
                let _ = to.send(Ok(chunk)).and_then(|()| to.send(Err(cause)));
                return;
            }
        }
        if chunk.is_full(size) {
            if to.send(Ok(std::mem::take(&mut chunk))).is_err() {
                return;
            }
            size = size.saturating_mul(2).min(events);
        }
    }
    if chunk.len() > 0 {
        let _ = to.send(Ok(chunk));
    }
}
