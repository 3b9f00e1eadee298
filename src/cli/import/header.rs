//! The header row of a CSV file: what separates its cells, and which field of an event each column holds.
//!
//! Spreadsheets write commas, semicolons or tabs, as the country of their user has it. Which one it is tells the header itself, by the columns that it names.

use std::collections::BTreeSet;
use std::io::{self, BufRead, Read};

use super::rejects::REASONS;
use super::source::Place;
use crate::config::edits;

/// How the cell of a column is written in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Cell {
    Text,
    /// Several values, separated by `;`, `|` or `,`.
    List,
    YesNo,
}

/// Every column that an event can have.
pub(in crate::cli) const COLUMNS: [(&str, Cell); 27] = [
    ("id", Cell::Text),
    ("tenant", Cell::Text),
    ("recipient", Cell::Text),
    ("kind", Cell::Text),
    ("categories", Cell::List),
    ("occurred_at", Cell::Text),
    ("received_at", Cell::Text),
    ("expires_at", Cell::Text),
    ("actor", Cell::Text),
    ("source", Cell::Text),
    ("links", Cell::List),
    ("pending", Cell::YesNo),
    ("confirms", Cell::Text),
    ("legacy", Cell::YesNo),
    ("observed", Cell::YesNo),
    ("hash_key", Cell::Text),
    ("evidence.channel", Cell::Text),
    ("evidence.user_action", Cell::Text),
    ("evidence.name_and_logo_shown", Cell::YesNo),
    ("evidence.number_confirmed", Cell::YesNo),
    ("evidence.categories_shown", Cell::List),
    ("evidence.business_named", Cell::Text),
    ("evidence.wording", Cell::Text),
    ("evidence.wording_version", Cell::Text),
    ("evidence.locale", Cell::Text),
    ("evidence.url", Cell::Text),
    ("evidence.reference", Cell::Text),
];

/// What every event needs, whatever its kind.
const REQUIRED: [&str; 5] = ["recipient", "kind", "occurred_at", "actor", "source"];
/// What may separate cells; the first one does where the header does not tell.
const SEPARATORS: [u8; 3] = [b',', b';', b'\t'];
/// The longest header row that is read.
const LONGEST: u64 = 64 * 1024;
/// What other programs call the columns.
const ELSEWHERE: [(&str, &[&str]); 6] = [
    (
        "recipient",
        &[
            "phone",
            "phone_number",
            "mobile",
            "mobile_number",
            "msisdn",
            "number",
            "to",
            "wa_id",
            "whatsapp",
            "contact",
        ],
    ),
    ("kind", &["type", "event", "event_type", "action", "status"]),
    (
        "occurred_at",
        &[
            "date",
            "time",
            "timestamp",
            "created_at",
            "consent_date",
            "opt_in_date",
            "consented_at",
            "opted_in_at",
        ],
    ),
    ("categories", &["category", "topics", "lists"]),
    ("source", &["origin", "system"]),
    ("links", &["user_id", "bsuid"]),
];

/// Which columns of a file say nothing that an import wants.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ignored<'a> {
    /// These.
    pub(super) columns: &'a [String],
    /// Every one that no event has.
    pub(super) unknown: bool,
}

/// One column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    /// A field of the event.
    Field(&'static str, Cell),
    /// The reasons of an earlier import, or what the import was told to leave out.
    LeftOut,
    /// What has no name; nothing may stand in it.
    Nameless,
}

/// A header row.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) separator: u8,
    /// Whether the file begins with a byte order mark.
    pub(super) marked: bool,
    /// Where the first row begins.
    pub(super) end: Place,
    pub(super) columns: Vec<Column>,
    /// Columns without a field that are left out because all of their kind are.
    pub(super) left_out: Vec<String>,
}

impl Header {
    /// Reads the header row. An error names everything that is wrong with it.
    pub(super) fn read(mut file: impl BufRead, ignored: Ignored<'_>) -> Result<Self, String> {
        let mut end = Place::default();
        let mut line = first_line(&mut file, &mut end).map_err(|cause| cause.to_string())?;
        let marked = line.starts_with(BYTE_ORDER_MARK);
        if marked {
            line.drain(..BYTE_ORDER_MARK.len());
        }
        let mut separator = told_separator(&line);
        if separator.is_some() {
            line = first_line(&mut file, &mut end).map_err(|cause| cause.to_string())?;
        }
        let separator = *separator.get_or_insert_with(|| likeliest_separator(&line));
        let names = cells(&line, separator)?;
        if names.iter().all(String::is_empty) {
            return Err(format!("no row: the first one names the columns, of these: {}", known()));
        }
        let (columns, left_out) = columns(&names, ignored)?;
        Ok(Self { separator, marked, end, columns, left_out })
    }

    /// The names of the columns that say something about an event.
    pub(super) fn names(&self) -> Vec<&'static str> {
        let name = |column: &Column| match column {
            Column::Field(name, _) => Some(*name),
            Column::LeftOut | Column::Nameless => None,
        };
        self.columns.iter().filter_map(name).collect()
    }
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The next line that is not blank.
fn first_line(file: &mut impl BufRead, end: &mut Place) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    while line.trim_ascii().is_empty() {
        line.clear();
        let read = file.by_ref().take(LONGEST).read_until(b'\n', &mut line)?;
        if read == 0 {
            break;
        }
        end.bytes += read as u64;
        end.lines += 1;
    }
    Ok(line)
}

/// Excel understands a first line `sep=;`, and so it is written by whoever writes for Excel.
fn told_separator(line: &[u8]) -> Option<u8> {
    match line.trim_ascii_end().to_ascii_lowercase().strip_prefix(b"sep=") {
        Some([separator]) => Some(*separator),
        // A tab is white space at the end of the line.
        Some([]) => Some(b'\t'),
        Some(_) | None => None,
    }
}

/// What separates the most names that are columns, or the most names at all where none is one.
pub(super) fn likeliest_separator(line: &[u8]) -> u8 {
    let mut best = ((0, 0), SEPARATORS[0]);
    for separator in SEPARATORS {
        let named = cells(line, separator).unwrap_or_default();
        let known = named.iter().filter(|name| field(name).is_some()).count();
        if (known, named.len()) > best.0 {
            best = ((known, named.len()), separator);
        }
    }
    best.1
}

/// Whether a line looks like a header row.
pub(super) fn is_header(line: &[u8]) -> bool {
    let named = cells(line, likeliest_separator(line)).unwrap_or_default();
    named.iter().filter(|name| field(name).is_some()).count() > 1
}

fn cells(line: &[u8], separator: u8) -> Result<Vec<String>, String> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).delimiter(separator).from_reader(line);
    let mut row = csv::ByteRecord::new();
    reader.read_byte_record(&mut row).map_err(|cause| format!("the header row cannot be read: {cause}"))?;
    let not_utf8 =
        || "the header row is not UTF-8: save the file as UTF-8 (in Excel as \"CSV UTF-8\")".to_owned();
    row.iter()
        .map(|cell| std::str::from_utf8(cell).map(|name| name.trim().to_owned()).map_err(|_| not_utf8()))
        .collect()
}

fn field(name: &str) -> Option<(&'static str, Cell)> {
    COLUMNS.into_iter().find(|(column, _)| column.eq_ignore_ascii_case(name))
}

/// What each name stands for, and which unknown ones are left out.
fn columns(names: &[String], ignored: Ignored<'_>) -> Result<(Vec<Column>, Vec<String>), String> {
    let (mut columns, mut left_out, mut problems) = (Vec::new(), Vec::new(), Vec::new());
    let mut seen = BTreeSet::new();
    for name in names {
        let is_told = ignored.columns.iter().any(|column| column == name);
        columns.push(match field(name) {
            _ if is_told || name.eq_ignore_ascii_case(REASONS) => Column::LeftOut,
            Some((field, cell)) => {
                if !seen.insert(field) {
                    problems.push(format!("the column {field:?} stands twice"));
                }
                Column::Field(field, cell)
            }
            None if name.is_empty() => Column::Nameless,
            None if ignored.unknown => {
                left_out.push(name.clone());
                Column::LeftOut
            }
            None => {
                problems.push(unknown(name));
                Column::LeftOut
            }
        });
    }
    let foreign = ignored.columns.iter().filter(|column| !names.contains(column));
    problems.extend(foreign.map(|column| format!("--ignore-column {column:?}: there is no such column")));
    let missing: Vec<_> = REQUIRED.into_iter().filter(|name| !seen.contains(name)).collect();
    if !missing.is_empty() {
        problems.push(format!("missing: {}; every event needs {}", missing.join(", "), REQUIRED.join(", ")));
    }
    if problems.is_empty() {
        return Ok((columns, left_out));
    }
    Err(format!(
        "the first row does not name the columns of events\n  - {}\nthe columns are: {}\n--ignore-column NAME leaves a column out, --ignore-unknown-columns \
         every one that is not among them",
        problems.join("\n  - "),
        known()
    ))
}

fn known() -> String {
    COLUMNS.map(|(name, _)| name).join(", ")
}

fn unknown(name: &str) -> String {
    match nearest(name) {
        Some(column) => format!("the column {name:?} is unknown; did you mean {column:?}?"),
        None => format!("the column {name:?} is unknown"),
    }
}

/// The column that somebody may have meant.
fn nearest(name: &str) -> Option<&'static str> {
    let plain = |name: &str| name.trim().to_lowercase().replace([' ', '-', '.'], "_");
    let written = plain(name);
    let last = |column: &'static str| column.rsplit('.').next().unwrap_or(column);
    let meant =
        ELSEWHERE.into_iter().find(|(_, names)| names.contains(&written.as_str())).map(|(column, _)| column);
    meant.or_else(|| {
        let distance =
            |column: &'static str| edits(&written, &plain(column)).min(edits(&written, last(column)));
        let near = COLUMNS.into_iter().map(|(column, _)| (distance(column), column));
        near.filter(|(edits, column)| *edits <= last(column).len() / 4).min().map(|(_, column)| column)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: &str = "kind,occurred_at,actor,source";

    fn read(text: &str) -> Result<Header, String> {
        Header::read(text.as_bytes(), Ignored::default())
    }

    #[test]
    fn the_header_tells_what_separates_the_cells() {
        for (separator, name) in [(",", "comma"), (";", "semicolon"), ("\t", "tab")] {
            for mark in ["", "\u{feff}"] {
                let text = format!("{mark}recipient,{REST}\r\n+1\n").replace(',', separator);
                let header = read(&text).unwrap();
                assert_eq!(
                    (header.separator, header.marked),
                    (separator.as_bytes()[0], !mark.is_empty()),
                    "{name}"
                );
                assert_eq!(header.names(), ["recipient", "kind", "occurred_at", "actor", "source"], "{name}");
                assert_eq!(header.end, Place { bytes: text.len() as u64 - 3, lines: 1 }, "{name}");
            }
        }
        let why = read("Telefon;Datum\n").unwrap_err();
        assert!(
            why.contains("the column \"Telefon\" is unknown") && why.contains("\"Datum\" is unknown"),
            "{why}"
        );
        let quoted = read(&format!("\"Recipient\";\"{}\"\n", REST.replace(',', "\";\""))).unwrap();
        assert_eq!((quoted.separator, quoted.names().len()), (b';', 5));
    }

    #[test]
    fn a_line_for_excel_tells_what_separates_the_cells() {
        for (line, separator) in [("sep=;", ";"), ("SEP=|", "|"), ("sep=\t", "\t"), ("\u{feff}sep=,", ",")] {
            let text = format!("{line}\r\n{}\r\n", format!("recipient,{REST}").replace(',', separator));
            let header = read(&text).unwrap();
            assert_eq!((header.separator, header.names().len()), (separator.as_bytes()[0], 5), "{line}");
            assert_eq!(header.end, Place { bytes: text.len() as u64, lines: 2 });
        }
    }

    #[test]
    fn everything_that_is_wrong_with_a_header_is_told_at_once() {
        let why =
            read("crm_id,phone,Kind,occured_at,channel,evidence_wording,kind,evidence.wordng\n").unwrap_err();
        for says in [
            "the column \"crm_id\" is unknown\n",
            "\"phone\" is unknown; did you mean \"recipient\"?",
            "\"occured_at\" is unknown; did you mean \"occurred_at\"?",
            "\"channel\" is unknown; did you mean \"evidence.channel\"?",
            "\"evidence_wording\" is unknown; did you mean \"evidence.wording\"?",
            "\"evidence.wordng\" is unknown; did you mean \"evidence.wording\"?",
            "the column \"kind\" stands twice",
            "missing: recipient, occurred_at, actor, source; every event needs",
            "--ignore-column NAME",
            "the columns are: id, tenant, recipient",
        ] {
            assert!(why.contains(says), "{says}: {why}");
        }
        for empty in ["", "\n\n", "\u{feff}", "sep=;\n", ";;;\n"] {
            let why = read(empty).unwrap_err();
            assert!(
                why.contains("the first one names the columns, of these: id,")
                    || why.contains("missing: recipient"),
                "{empty:?}: {why}"
            );
        }
        let why = Header::read(&b"recipient,stra\xdfe\n"[..], Ignored::default()).unwrap_err();
        assert!(why.contains("not UTF-8"), "{why}");
    }

    #[test]
    fn columns_that_are_to_be_ignored_are_left_out() {
        let text = format!("crm_id,recipient,evidence.url,{REST},Name,reasons,\n");
        let columns = ["crm_id".to_owned(), "evidence.url".to_owned()];
        let one = Header::read(text.as_bytes(), Ignored { columns: &columns, unknown: true }).unwrap();
        assert_eq!(one.names(), ["recipient", "kind", "occurred_at", "actor", "source"]);
        assert_eq!(one.left_out, ["Name"]);
        assert_eq!(
            (one.columns[0], one.columns[8], one.columns[9]),
            (Column::LeftOut, Column::LeftOut, Column::Nameless)
        );
        let wrong = ["crm-id".to_owned(), "kind".to_owned()];
        let why = Header::read(text.as_bytes(), Ignored { columns: &wrong, unknown: false }).unwrap_err();
        for says in
            ["\"crm_id\" is unknown", "--ignore-column \"crm-id\": there is no such column", "missing: kind;"]
        {
            assert!(why.contains(says), "{says}: {why}");
        }
    }
}
