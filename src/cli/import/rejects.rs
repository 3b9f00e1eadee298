//! The file of rejected events: written like the file that they came from, with the reasons beside each, to be corrected and imported again.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use csv::ByteRecord;
use serde_json::{Value, json};

use crate::cli::output::create_private;

/// The column or member that holds the reasons. An import ignores it.
pub(super) const REASONS: &str = "reasons";

/// An event that was not taken.
#[derive(Debug)]
pub(super) struct Rejected<'a> {
    /// The line in the file that it begins on.
    pub(super) line: u64,
    pub(super) reasons: Vec<String>,
    pub(super) original: Original<'a>,
}

/// What stood in the file.
#[derive(Clone, Copy, Debug)]
pub(super) enum Original<'a> {
    Line(&'a [u8]),
    Row(&'a ByteRecord),
    /// It was too long to be kept.
    Unknown,
}

/// How a file with rows is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) columns: Vec<&'static str>,
    pub(super) separator: u8,
    /// Whether it begins with a byte order mark, by which Excel knows UTF-8.
    pub(super) marked: bool,
}

/// Where rejected events go, opened when the first one comes.
pub(super) struct Rejects {
    path: Option<PathBuf>,
    table: Option<Table>,
    /// What an import that goes on has written before.
    kept: u64,
    file: Option<BufWriter<File>>,
}

impl Rejects {
    pub(super) fn new(path: Option<PathBuf>, table: Option<Table>, kept: u64) -> Self {
        Self { path, table, kept, file: None }
    }

    /// The file, once something stands in it.
    pub(super) fn path(&self) -> Option<&Path> {
        self.path.as_deref().filter(|_| self.kept > 0)
    }

    /// How much of the file is written.
    pub(super) fn bytes(&self) -> u64 {
        self.kept
    }

    /// Adds rejected events, so that they are in the file when this returns.
    pub(super) fn add(&mut self, rejected: &[Rejected<'_>]) -> Result<(), (PathBuf, io::Error)> {
        let Some(path) = self.path.clone().filter(|_| !rejected.is_empty()) else { return Ok(()) };
        self.write(&path, rejected).map_err(|cause| (path, cause))
    }

    fn write(&mut self, path: &Path, rejected: &[Rejected<'_>]) -> io::Result<()> {
        if self.file.is_none() {
            self.file = Some(self.open(path)?);
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        for rejected in rejected {
            match &self.table {
                Some(table) => file.write_all(&row(rejected, table)?)?,
                None => writeln!(file, "{}", line(rejected))?,
            }
        }
        file.flush()?;
        self.kept = file.stream_position()?;
        Ok(())
    }

    /// Goes on behind what is kept, or begins a file. One from an earlier import may be half corrected: it is set aside.
    fn open(&self, path: &Path) -> io::Result<BufWriter<File>> {
        if self.kept > 0 && path.exists() {
            let mut file = OpenOptions::new().write(true).open(path)?;
            file.set_len(self.kept)?;
            file.seek(SeekFrom::End(0))?;
            return Ok(BufWriter::new(file));
        }
        if path.exists() {
            fs::rename(path, aside(path))?;
        }
        let mut file = BufWriter::new(create_private(path)?);
        if let Some(table) = &self.table {
            let names = table.columns.iter().copied().chain([REASONS]);
            file.write_all(if table.marked { b"\xef\xbb\xbf" } else { b"" })?;
            file.write_all(&csv_row(names.map(str::as_bytes), table.separator)?)?;
        }
        Ok(file)
    }
}

/// Where an earlier file of the same name goes.
fn aside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".old");
    name.into()
}

/// The name of the file of rejected events that belongs to a file: `opt-ins.csv` has `opt-ins.rejected.csv`.
pub(super) fn beside(file: &Path, is_csv: bool) -> PathBuf {
    file.with_extension(if is_csv { "rejected.csv" } else { "rejected.ndjson" })
}

fn row(rejected: &Rejected<'_>, table: &Table) -> io::Result<Vec<u8>> {
    let (columns, reasons) = (table.columns.len(), rejected.reasons.join("; "));
    match rejected.original {
        Original::Row(row) => {
            let missing = std::iter::repeat_n(&b""[..], columns.saturating_sub(row.len()));
            csv_row(row.iter().chain(missing).chain([reasons.as_bytes()]), table.separator)
        }
        Original::Line(_) | Original::Unknown => {
            csv_row(std::iter::repeat_n(&b""[..], columns).chain([reasons.as_bytes()]), table.separator)
        }
    }
}

fn csv_row<'a>(cells: impl Iterator<Item = &'a [u8]>, separator: u8) -> io::Result<Vec<u8>> {
    let mut writer = csv::WriterBuilder::new().flexible(true).delimiter(separator).from_writer(Vec::new());
    writer.write_record(cells)?;
    writer.into_inner().map_err(|error| io::Error::other(error.to_string()))
}

/// The line with its reasons as a last member; what is no object is quoted.
fn line(rejected: &Rejected<'_>) -> String {
    let reasons = json!(rejected.reasons);
    match rejected.original {
        Original::Line(text) => match as_object(text) {
            Some("{") => format!("{{\"{REASONS}\":{reasons}}}"),
            Some(open) => format!("{open},\"{REASONS}\":{reasons}}}"),
            None => json!({ "line": rejected.line, "text": String::from_utf8_lossy(text), REASONS: reasons })
                .to_string(),
        },
        Original::Row(_) | Original::Unknown => {
            json!({ "line": rejected.line, REASONS: reasons }).to_string()
        }
    }
}

/// An object without its end.
fn as_object(text: &[u8]) -> Option<&str> {
    let _: serde_json::Map<String, Value> = serde_json::from_slice(text).ok()?;
    Some(std::str::from_utf8(text).ok()?.strip_suffix('}')?.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejected(original: Original<'_>) -> Rejected<'_> {
        Rejected { line: 7, reasons: vec!["a: \"b\"".to_owned(), "c".to_owned()], original }
    }

    #[test]
    fn a_line_comes_back_with_its_reasons_and_loses_them_again_when_it_is_read() {
        for text in ["{}", "{ }", "{\"a\":1}", "{\"a\":1,\"a\":{}} "] {
            let text = text.trim();
            let written = line(&rejected(Original::Line(text.as_bytes())));
            let value: Value = serde_json::from_str(&written).unwrap();
            assert_eq!(value[REASONS], json!(["a: \"b\"", "c"]), "{written}");
            let read = super::super::lines::without_reasons(written.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(read).unwrap().replace(' ', ""), text.replace(' ', ""));
        }
    }

    #[test]
    fn what_is_no_object_is_quoted() {
        let written = line(&rejected(Original::Line(b"[1, \xff")));
        let value: Value = serde_json::from_str(&written).unwrap();
        assert_eq!((&value["line"], &value["text"]), (&json!(7), &json!("[1, \u{fffd}")));
    }

    #[test]
    fn a_row_that_is_too_short_is_filled_up_so_that_reasons_stand_in_their_column() {
        let short = ByteRecord::from(vec!["+1", "two\nlines"]);
        for separator in [',', ';', '\t'] {
            let table = Table { columns: vec!["a", "b", "c"], separator: separator as u8, marked: false };
            let written = String::from_utf8(row(&rejected(Original::Row(&short)), &table).unwrap()).unwrap();
            let expected = "+1,\"two\nlines\",,\"a: \"\"b\"\"; c\"\n".replace(',', &separator.to_string());
            assert_eq!(written, expected);
        }
    }

    #[test]
    fn an_earlier_file_is_set_aside_and_an_import_that_goes_on_adds_to_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = beside(&folder.path().join("opt-ins.csv"), true);
        assert!(path.ends_with("opt-ins.rejected.csv"));
        fs::write(&path, "half corrected").unwrap();
        let header = || Some(Table { columns: vec!["recipient"], separator: b';', marked: true });
        let cells = ByteRecord::from(vec!["+1"]);
        let mut rejects = Rejects::new(Some(path.clone()), header(), 0);
        assert!(rejects.path().is_none());
        rejects.add(&[rejected(Original::Row(&cells))]).unwrap();
        assert_eq!(fs::read_to_string(aside(&path)).unwrap(), "half corrected");
        let kept = rejects.bytes();
        rejects.add(&[rejected(Original::Row(&cells))]).unwrap();
        let mut on = Rejects::new(Some(path.clone()), header(), kept);
        on.add(&[rejected(Original::Row(&cells))]).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 3, "what was not settled is not kept: {text}");
        assert_eq!(text.lines().next(), Some("\u{feff}recipient;reasons"));
    }
}
