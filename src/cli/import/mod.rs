//! `optgate consent import`: a file of events, sent in chunks, every bad line reported and every good one kept.

mod lines;
mod rows;
mod tally;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::ExitCode;

use serde_json::Value;

use super::args::Global;
use super::client::Client;
use super::consent::{Format, ImportArgs};
use super::failure::Failure;
use super::output::{print, print_json};
use lines::Lines;
use rows::Rows;
use tally::Tally;

/// How many events go into one request: each is one answer to wait for, and one chunk to repeat after a failure.
const CHUNK_EVENTS: usize = 5_000;
/// How many bytes go into one request at most, whatever the number of events.
const CHUNK_BYTES: usize = 4 << 20;

/// One event of a file, with the line that it stands on.
struct Item {
    line: u64,
    /// As JSON, without an end of line; or why it is no event.
    event: Result<Vec<u8>, String>,
}

/// The events of a file.
enum Source {
    Lines(Lines<Box<dyn BufRead>>),
    Rows(Box<Rows<Box<dyn BufRead>>>),
}

impl Source {
    fn open(args: &ImportArgs) -> Result<Self, Failure> {
        let is_csv = args.file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
        let format = args.format.unwrap_or(if is_csv { Format::Csv } else { Format::Ndjson });
        let reader = BufReader::with_capacity(1 << 16, open(&args.file)?);
        let (reader, tenant): (Box<dyn BufRead>, _) = (Box::new(reader), args.tenant.clone());
        match format {
            Format::Ndjson => Ok(Self::Lines(Lines::new(reader, tenant))),
            Format::Csv => Rows::new(reader, tenant)
                .map(|rows| Self::Rows(Box::new(rows)))
                .map_err(|why| Failure::Senseless(format!("{}: {why}", args.file.display()))),
        }
    }

    fn next(&mut self) -> io::Result<Option<Item>> {
        match self {
            Self::Lines(lines) => lines.next(),
            Self::Rows(rows) => rows.next(),
        }
    }
}

/// Events on their way, and the line of each.
#[derive(Default)]
struct Chunk {
    body: Vec<u8>,
    lines: Vec<u64>,
    /// Lines between them that are no events, and why.
    unreadable: Vec<(u64, Vec<String>)>,
}

impl Chunk {
    fn push(&mut self, line: u64, event: &[u8]) {
        self.body.extend_from_slice(event);
        self.body.push(b'\n');
        self.lines.push(line);
    }

    fn is_full(&self) -> bool {
        self.lines.len() + self.unreadable.len() >= CHUNK_EVENTS || self.body.len() >= CHUNK_BYTES
    }
}

pub(super) fn run(args: &ImportArgs, global: &Global) -> Result<ExitCode, Failure> {
    let client = Client::new(global)?;
    let mut source = Source::open(args)?;
    let mut tally = Tally::new(global.json);
    let sent = send_all(&client, &mut source, &mut tally, args);
    tally.end_progress();
    if let Err(cause) = sent {
        return Err(Failure::CutShort(tally.so_far(), Box::new(cause)));
    }
    if global.json { print_json(&tally.json()) } else { print(&format!("{}\n", tally.summary())) }?;
    Ok(if tally.rejected() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn send_all(
    client: &Client,
    source: &mut Source,
    tally: &mut Tally,
    args: &ImportArgs,
) -> Result<(), Failure> {
    let mut chunk = Chunk::default();
    let unreadable = |cause| Failure::Input(args.file.display().to_string(), cause);
    while let Some(item) = source.next().map_err(unreadable)? {
        match item.event {
            Ok(event) => chunk.push(item.line, &event),
            Err(reason) => chunk.unreadable.push((item.line, vec![reason])),
        }
        if chunk.is_full() {
            send(client, std::mem::take(&mut chunk), tally)?;
        }
    }
    send(client, chunk, tally)
}

fn send(client: &Client, chunk: Chunk, tally: &mut Tally) -> Result<(), Failure> {
    let answer = if chunk.lines.is_empty() {
        Value::Null
    } else {
        client.write("POST", "/v1/events", ("application/x-ndjson", &chunk.body))?
    };
    tally.take(&answer, chunk);
    Ok(())
}

fn open(path: &Path) -> Result<Box<dyn Read>, Failure> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(io::stdin()));
    }
    let file = File::open(path).map_err(|cause| Failure::Input(path.display().to_string(), cause))?;
    Ok(Box::new(file))
}

/// Everything in a file, or on standard input for `-`.
pub(super) fn read_whole(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut all = Vec::new();
    let read = open(path)?.read_to_end(&mut all);
    read.map(|_| all).map_err(|cause| Failure::Input(path.display().to_string(), cause))
}
