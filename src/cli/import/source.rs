//! A file of events, read item by item in constant memory, with the place of each so that an import can go on from there.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use csv::ByteRecord;
use serde::{Deserialize, Serialize};

use super::header::{self, Ignored};
use super::lines::Lines;
use super::rejects::Table;
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
    /// What is wrong with fields of which the gate cannot say it.
    pub(super) faults: Vec<Fault>,
    /// The row that it was, of a file that has rows.
    pub(super) row: Option<ByteRecord>,
}

/// What is wrong with one field of an event, in place of what the gate says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) field: &'static str,
    pub(super) why: &'static str,
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
        let mut file = open(&args.file, 0)?;
        let head = file.fill_buf().map_err(|cause| Failure::Input(args.file.display().to_string(), cause))?;
        if let Some(why) = foreign(head, format(args)) {
            return Err(senseless(why.to_owned()));
        }
        let go_on = from != Place::default();
        match format(args) {
            Format::Ndjson if go_on => Ok(Self::Lines(Lines::new(open(&args.file, from.bytes)?, from))),
            Format::Ndjson => Ok(Self::Lines(Lines::new(file, from))),
            Format::Csv => {
                let ignored = Ignored { columns: &args.ignore_column, unknown: args.ignore_unknown_columns };
                let mut rows = Rows::new(file, ignored).map_err(senseless)?;
                if go_on {
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

    /// How the file is written, if it has rows.
    pub(super) fn table(&self) -> Option<Table> {
        match self {
            Self::Lines(_) => None,
            Self::Rows(rows) => Some(rows.table()),
        }
    }

    /// Which columns are left out because they are no field of an event.
    pub(super) fn left_out(&self) -> &[String] {
        match self {
            Self::Lines(_) => &[],
            Self::Rows(rows) => rows.left_out(),
        }
    }
}

/// What a file is that holds no events in the form that was told or read from its name, and what to do about it.
fn foreign(head: &[u8], format: Format) -> Option<&'static str> {
    let first = head.split(|b| *b == b'\n').next().unwrap_or_default();
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    match format {
        _ if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") || first.contains(&0) => Some(
            "is not UTF-8 but UTF-16, or no text at all; save it as UTF-8: Excel calls that \"CSV UTF-8\"; or: iconv -f UTF-16 -t UTF-8 FILE > NEW_FILE",
        ),
        _ if head.starts_with(b"PK\x03\x04") => {
            Some("is a workbook or an archive; save the sheet as \"CSV UTF-8\" and import that")
        }
        _ if head.starts_with(b"\x1f\x8b") => Some(
            "is compressed; unpack it on the way: zcat FILE | optgate consent import - --format csv (or ndjson)",
        ),
        Format::Csv if text.first() == Some(&b'{') => {
            Some("holds JSON, one object a line it seems, and no rows; if so: --format ndjson")
        }
        Format::Ndjson if header::is_header(first) => {
            Some("begins with the names of columns; if it is CSV: --format csv")
        }
        Format::Ndjson | Format::Csv => None,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_another_kind_is_told_with_what_to_do_about_it() {
        for (head, format, says) in [
            (&b"\xff\xfer\0e\0c\0"[..], Format::Csv, Some("UTF-16")),
            (b"\xfe\xff\0{\0\"", Format::Ndjson, Some("UTF-16")),
            (b"r\0e\0c\0\n\0", Format::Csv, Some("UTF-16")),
            (b"PK\x03\x04\x14", Format::Csv, Some("workbook")),
            (b"\x1f\x8b\x08", Format::Ndjson, Some("zcat")),
            (b"\xef\xbb\xbf{\"id\":\"a\"}", Format::Csv, Some("--format ndjson")),
            (b"recipient;kind\n", Format::Ndjson, Some("--format csv")),
            (b"recipient;kind\n", Format::Csv, None),
            (b"{\"recipient\":\"kind\"}\n", Format::Ndjson, None),
            (b"", Format::Ndjson, None),
        ] {
            let why = foreign(head, format);
            assert_eq!(why.is_some(), says.is_some(), "{head:?} {why:?}");
            assert!(why.unwrap_or_default().contains(says.unwrap_or_default()), "{head:?} {why:?}");
        }
    }
}
