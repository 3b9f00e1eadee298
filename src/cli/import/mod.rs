//! `optgate consent import`: a file of events, sent in chunks, every bad line reported and kept aside, every good one stored.
//!
//! One thread reads while another waits for the gate. A chunk is settled before the next is sent, so that events take effect in the order of the file.

mod chunk;
mod lines;
mod progress;
mod rejects;
mod resume;
mod rows;
mod source;
mod tally;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;

use serde_json::Value;

use super::args::Global;
use super::client::{Client, segment};
use super::consent::{Format, ImportArgs};
use super::failure::Failure;
use super::output::{print, print_json};
use chunk::Chunk;
use progress::Progress;
use rejects::Rejects;
use resume::{Bookmark, Settled, Started};
use source::{Source, is_stdin};
use tally::Tally;

pub(super) use rows::{COLUMNS, Cell};
pub(super) use source::read_whole;

/// How many chunks are read ahead.
const AHEAD: usize = 1;

/// An import under way.
struct Import<'a> {
    client: Client,
    path: String,
    file: &'a str,
    bookmark: Option<Bookmark>,
    rejects: Rejects,
    tally: Tally,
    progress: Progress,
}

pub(super) fn run(args: &ImportArgs, global: &Global) -> Result<ExitCode, Failure> {
    let format = source::format(args);
    let rejects = rejects_path(args, format)?;
    let bookmark = bookmark(args, global, rejects.as_ref())?;
    let settled = begin(args, bookmark.as_ref())?;
    let source = Source::open(args, settled.through)?;
    let name = args.file.display().to_string();
    let mut import = Import {
        client: Client::new(global)?,
        path: path(args),
        file: &name,
        rejects: Rejects::new(rejects, source.header(), settled.rejects_bytes),
        tally: Tally::new(settled.counts, args.dry_run, global.json),
        progress: Progress::new(length(args), settled.through),
        bookmark,
    };
    let sent = import.send_all(source, args.chunk);
    import.progress.end();
    if let Err(cause) = sent {
        return Err(Failure::CutShort(import.so_far(), Box::new(cause)));
    }
    if let Some(bookmark) = &import.bookmark {
        bookmark.remove();
    }
    let (tally, rejects) = (&import.tally, import.rejects.path());
    if global.json { print_json(&tally.json(rejects)) } else { print(&tally.ending(rejects)) }?;
    Ok(if tally.counts.rejected == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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
    let format = format!("{:?}", source::format(args)).to_lowercase();
    let started = Started::with(
        &args.file,
        &global.admin,
        args.tenant.as_deref(),
        &format,
        rejects.map(PathBuf::as_path),
    );
    let started = started.map_err(|cause| Failure::Input(args.file.display().to_string(), cause))?;
    Ok(Some(Bookmark::beside(&args.file, started)))
}

/// Where the import begins.
fn begin(args: &ImportArgs, bookmark: Option<&Bookmark>) -> Result<Settled, Failure> {
    let Some(bookmark) = bookmark else { return Ok(Settled::default()) };
    if !args.resume {
        bookmark.remove();
        return Ok(Settled::default());
    }
    let found = bookmark.find().map_err(Failure::Senseless)?;
    match &found {
        Some(settled) => eprintln!("goes on after line {}", settled.through.lines),
        None => eprintln!("nothing to go on from: begins at the beginning"),
    }
    Ok(found.unwrap_or_default())
}

fn length(args: &ImportArgs) -> Option<u64> {
    std::fs::metadata(&args.file).ok().filter(std::fs::Metadata::is_file).map(|known| known.len())
}

impl Import<'_> {
    fn send_all(&mut self, source: Source, events: u64) -> Result<(), Failure> {
        let (to, chunks) = mpsc::sync_channel(AHEAD);
        thread::scope(|scope| {
            thread::Builder::new()
                .name("import-reader".to_owned())
                .spawn_scoped(scope, move || read_all(source, events, &to))
                .map_err(|cause| Failure::Input(self.file.to_owned(), cause))?;
            // Taken by value: an import that ends early must not leave the reader waiting for room.
            self.settle_all(chunks)
        })
    }

    fn settle_all(&mut self, chunks: Receiver<io::Result<Chunk>>) -> Result<(), Failure> {
        for chunk in chunks {
            let chunk = chunk.map_err(|cause| Failure::Input(self.file.to_owned(), cause))?;
            self.settle(&chunk)?;
        }
        Ok(())
    }

    fn settle(&mut self, chunk: &Chunk) -> Result<(), Failure> {
        let answer = if chunk.body.is_empty() {
            Value::Null
        } else {
            self.client.write("POST", &self.path, ("application/x-ndjson", &chunk.body))?
        };
        let rejected = chunk.rejected(&answer);
        let rejects = self.rejects.add(&rejected);
        for text in self.tally.take(&answer, &rejected) {
            self.progress.tell(&text);
        }
        rejects.map_err(|(path, cause)| Failure::Written(path.display().to_string(), cause))?;
        self.keep_place(chunk);
        self.progress.advance(chunk.len(), chunk.end, &self.tally.summary());
        Ok(())
    }

    /// An import whose place cannot be kept goes on; only it cannot be resumed.
    fn keep_place(&mut self, chunk: &Chunk) {
        let Some(bookmark) = &self.bookmark else { return };
        let (counts, rejects_bytes) = (self.tally.counts, self.rejects.bytes());
        let kept = bookmark.keep(&Settled { through: chunk.end, counts, rejects_bytes });
        if let Err(cause) = kept {
            let path = bookmark.path().display();
            self.progress.tell(&format!("{path} cannot be written, so --resume will not work: {cause}"));
            self.bookmark = None;
        }
    }

    /// What is settled when an import ends early.
    fn so_far(&self) -> String {
        let how = if self.bookmark.is_some() { "the same command with --resume" } else { "the import again" };
        let summary = self.tally.summary();
        format!("until then: {summary}; run {how}: what is stored already is not stored twice")
    }
}

/// Reads until the end, or until nobody waits for more.
fn read_all(mut source: Source, events: u64, to: &SyncSender<io::Result<Chunk>>) {
    let mut chunk = Chunk::default();
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
        if chunk.is_full(events) && to.send(Ok(std::mem::take(&mut chunk))).is_err() {
            return;
        }
    }
    if chunk.len() > 0 {
        let _ = to.send(Ok(chunk));
    }
}
