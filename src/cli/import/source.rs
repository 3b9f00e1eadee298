//! A file of events, read item by item in constant memory, with the place of each so that an import can go on from there.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use csv::ByteRecord;
use serde::{Deserialize, Serialize};

use super::lines::Lines;
use super::rows::Rows;
use crate::cli::consent::{Format, ImportArgs};
use crate::cli::failure::Failure;

/// How much is read from the file at once.
const BUFFER: usize = 1 << 17;

/// How far a file was read: everything before is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) bytes: u64,
    pub(super) lines: u64,
}

/// One event of a file.
#[derive(Debug)]
pub(super) struct Item {
    /// The line that it begins on, from 1.
    pub(super) line: u64,
    /// Where the next one begins.
    pub(super) end: Place,
    /// As JSON, without an end of line; or why it is no event.
    pub(super) event: Result<Vec<u8>, String>,
    /// The row that it was, of a file that has rows.
    pub(super) row: Option<ByteRecord>,
}

/// The events of a file.
pub(super) enum Source {
    Lines(Lines<Box<dyn BufRead + Send>>),
    Rows(Box<Rows<Box<dyn BufRead + Send>>>),
}

impl Source {
    /// Opens a file at a place where an item begins.
    pub(super) fn open(args: &ImportArgs, from: Place) -> Result<Self, Failure> {
        let senseless = |why: String| Failure::Senseless(format!("{}: {why}", args.file.display()));
        match format(args) {
            Format::Ndjson => Ok(Self::Lines(Lines::new(open(&args.file, from.bytes)?, from))),
            Format::Csv => {
                let mut rows = Rows::new(open(&args.file, 0)?).map_err(senseless)?;
                if from != Place::default() {
                    rows.go_on(open(&args.file, from.bytes)?, from);
                }
                Ok(Self::Rows(Box::new(rows)))
            }
        }
    }

    pub(super) fn next(&mut self) -> io::Result<Option<Item>> {
        match self {
            Self::Lines(lines) => lines.next(),
            Self::Rows(rows) => rows.next(),
        }
    }

    /// The names of the columns, of a file that has rows.
    pub(super) fn header(&self) -> Option<Vec<String>> {
        match self {
            Self::Lines(_) => None,
            Self::Rows(rows) => Some(rows.header()),
        }
    }
}

/// How a file is written: as told, else as its name says.
pub(super) fn format(args: &ImportArgs) -> Format {
    let is_csv = args.file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
    args.format.unwrap_or(if is_csv { Format::Csv } else { Format::Ndjson })
}

/// Whether a path means standard input.
pub(super) fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn open(path: &Path, from: u64) -> Result<Box<dyn BufRead + Send>, Failure> {
    if is_stdin(path) {
        return Ok(Box::new(BufReader::with_capacity(BUFFER, io::stdin())));
    }
    let opened = File::open(path).and_then(|mut file| file.seek(SeekFrom::Start(from)).map(|_| file));
    let file = opened.map_err(|cause| Failure::Input(path.display().to_string(), cause))?;
    Ok(Box::new(BufReader::with_capacity(BUFFER, file)))
}

/// Everything in a file, or on standard input for `-`.
pub(in crate::cli) fn read_whole(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut all = Vec::new();
    let read = open(path, 0)?.read_to_end(&mut all);
    read.map(|_| all).map_err(|cause| Failure::Input(path.display().to_string(), cause))
}
