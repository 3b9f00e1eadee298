//! `optgate consent export`: every event that a gate holds, as a file that imports back.
//!
//! The gate ends an export with a line that says so. Without it the export was cut off, and no file is left that could be taken for a whole one.

use std::fs;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};

use super::args::Global;
use super::client::{Client, segment};
use super::consent::{ExportArgs, Format};
use super::failure::Failure;
use super::import::{COLUMNS, Cell};
use super::output::{create_private, print, print_json, shown};

/// Longer than any event can be.
const MAX_LINE: u64 = 1 << 20;

pub(super) fn run(args: &ExportArgs, global: &Global) -> Result<ExitCode, Failure> {
    let query = args.tenant.as_deref().map(|tenant| format!("?tenant={}", segment(tenant)));
    let answer = Client::new(global)?.stream(&format!("/v1/export{}", query.unwrap_or_default()))?;
    let events = BufReader::with_capacity(1 << 16, answer);
    let Some(path) = &args.output else {
        return match copy(events, io::stdout().lock(), format(args)) {
            // A reader who has gone away, such as `head`, is no failure.
            Err(Failure::Output(cause)) if cause.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
            done => done.map(|_| ExitCode::SUCCESS),
        };
    };
    let part = part(path);
    let written = create_private(&part).map_err(Failure::Output);
    let copied = written.and_then(|file| copy(events, file, format(args)));
    let moved = copied.and_then(|events| {
        fs::rename(&part, path)
            .map(|()| events)
            .map_err(|cause| Failure::Written(path.display().to_string(), cause))
    });
    match moved {
        Ok(events) if global.json => {
            print_json(&json!({ "events": events, "file": path.display().to_string() }))?;
        }
        Ok(events) => eprintln!("{events} events in {}", path.display()),
        Err(failure) => {
            // Nothing is left that looks like an export.
            let _ = fs::remove_file(&part);
            return Err(failure);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// `optgate consent key`
pub(super) fn key(global: &Global) -> Result<ExitCode, Failure> {
    let key = Client::new(global)?.get("/v1/export/key")?;
    if global.json { print_json(&key) } else { print(&(shown(&key, "recipients_key") + "\n")) }?;
    Ok(ExitCode::SUCCESS)
}

fn format(args: &ExportArgs) -> Format {
    let is_csv =
        |path: &PathBuf| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
    let by_name = if args.output.as_ref().is_some_and(is_csv) { Format::Csv } else { Format::Ndjson };
    args.format.unwrap_or(by_name)
}

/// Where an export stands until it is whole.
fn part(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

/// Copies every event; returns how many they were.
fn copy(mut events: impl BufRead, to: impl Write, format: Format) -> Result<u64, Failure> {
    let mut writer = match format {
        Format::Ndjson => Writer::Lines(BufWriter::new(to)),
        Format::Csv => Writer::rows(to)?,
    };
    let mut count = 0u64;
    loop {
        let mut line = Vec::new();
        let read = events.by_ref().take(MAX_LINE).read_until(b'\n', &mut line);
        if read.map_err(|cause| cut_off(count, &cause.to_string()))? == 0 {
            return Err(cut_off(count, "its last line is missing"));
        }
        if line.starts_with(b"{\"export\":") {
            // An NDJSON file keeps its last line: whoever is handed the file can see that it is whole.
            writer.end(&line)?;
            return Ok(count);
        }
        writer.event(&line)?;
        count = count.saturating_add(1);
    }
}

fn cut_off(events: u64, why: &str) -> Failure {
    Failure::Senseless(format!("the export was cut off after {events} events: {why}; export again"))
}

enum Writer<W: Write> {
    Lines(BufWriter<W>),
    Rows(Box<csv::Writer<W>>),
}

impl<W: Write> Writer<W> {
    fn rows(to: W) -> Result<Self, Failure> {
        let mut rows = csv::Writer::from_writer(to);
        rows.write_record(COLUMNS.map(|(name, _)| name)).map_err(unwritten)?;
        Ok(Self::Rows(Box::new(rows)))
    }

    fn event(&mut self, line: &[u8]) -> Result<(), Failure> {
        match self {
            Self::Lines(to) => to.write_all(line).map_err(Failure::Output),
            Self::Rows(rows) => {
                let event: Value = serde_json::from_slice(line).map_err(|cause| {
                    Failure::Senseless(format!("the gate sent a line that is no event: {cause}"))
                })?;
                rows.write_record(COLUMNS.map(|(name, cell)| text(&event, name, cell))).map_err(unwritten)
            }
        }
    }

    fn end(self, line: &[u8]) -> Result<(), Failure> {
        match self {
            Self::Lines(mut to) => to.write_all(line).and_then(|()| to.flush()).map_err(Failure::Output),
            Self::Rows(mut rows) => rows.flush().map_err(Failure::Output),
        }
    }
}

fn unwritten(error: csv::Error) -> Failure {
    Failure::Output(error.into())
}

/// An event's field as the cell of its column.
fn text(event: &Value, name: &str, cell: Cell) -> String {
    let value = name.split('.').try_fold(event, |within, part| within.get(part));
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match (value, cell) {
        (None | Some(Value::Null), _) => String::new(),
        (Some(Value::Array(items)), Cell::List) => items.iter().map(word).collect::<Vec<_>>().join(";"),
        (Some(value), Cell::Text | Cell::List | Cell::YesNo) => word(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = "{\"recipient\":\"+1\",\"categories\":[\"call\",\"service\"],\"evidence\":{\"wording\":\"a, \\\"b\\\"\\nc\",\"number_confirmed\":true}}\n";

    fn copied(text: &str, format: Format) -> Result<(u64, String), String> {
        let mut written = Vec::new();
        let events = copy(text.as_bytes(), &mut written, format).map_err(|failure| failure.to_string())?;
        Ok((events, String::from_utf8(written).unwrap()))
    }

    #[test]
    fn a_whole_export_is_copied_with_its_end() {
        let text = format!("{EVENT}{EVENT}{{\"export\":\"complete\",\"events\":2}}\n");
        assert_eq!(copied(&text, Format::Ndjson), Ok((2, text)));
    }

    #[test]
    fn an_export_without_its_last_line_was_cut_off() {
        for format in [Format::Ndjson, Format::Csv] {
            let why = copied(EVENT, format).unwrap_err();
            assert!(why.contains("cut off after 1 events"), "{why}");
        }
    }

    #[test]
    fn an_event_becomes_a_row_of_every_column() {
        let text = format!("{EVENT}{{\"export\":\"complete\",\"events\":1}}\n");
        let (_, written) = copied(&text, Format::Csv).unwrap();
        let mut rows = csv::Reader::from_reader(written.as_bytes());
        let header = rows.headers().unwrap().clone();
        let row = rows.records().next().unwrap().unwrap();
        let cell = |name: &str| row.get(header.iter().position(|column| column == name).unwrap()).unwrap();
        assert_eq!(header.len(), COLUMNS.len());
        assert_eq!((cell("recipient"), cell("categories")), ("+1", "call;service"));
        assert_eq!((cell("evidence.wording"), cell("evidence.number_confirmed")), ("a, \"b\"\nc", "true"));
        assert_eq!(cell("links"), "");
    }
}
