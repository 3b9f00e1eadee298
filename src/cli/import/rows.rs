//! Events of a CSV file: a header row of dotted columns, one event a row, turned into the JSON shape of the admin API.

use std::io::{self, Chain, Read};

use csv::{ByteRecord, Reader, ReaderBuilder, Terminator};

use super::rejects::REASONS;
use super::source::{Item, Place};

/// How the cell of a column is written in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Cell {
    Text,
    /// Several values, separated by `;` or `|`.
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

/// Put behind every file, so that the last row ends as the others do and its line can be told.
const LAST_LINE_END: &[u8] = b"\n";

/// The rows of a file.
pub(super) struct Rows<R> {
    reader: Reader<Chain<R, &'static [u8]>>,
    /// Where the reader began.
    from: Place,
    /// In the order of the file; `None` holds an earlier import's reasons.
    columns: Vec<Option<(&'static str, Cell)>>,
}

fn reader<R: Read>(file: R, has_header: bool) -> Reader<Chain<R, &'static [u8]>> {
    // A carriage return at the end of a line is white space of its last cell: so every line end counts as one line.
    let mut builder = ReaderBuilder::new();
    builder.flexible(true).terminator(Terminator::Any(b'\n')).has_headers(has_header);
    builder.from_reader(file.chain(LAST_LINE_END))
}

impl<R: Read> Rows<R> {
    /// Reads the header row; an error names every column that is unknown or stands twice.
    pub(super) fn new(file: R) -> Result<Self, String> {
        let mut reader = reader(file, true);
        let header = reader.headers().map_err(|cause| format!("the header row cannot be read: {cause}"))?;
        let (mut columns, mut problems) = (Vec::new(), Vec::new());
        for name in header.iter().map(str::trim) {
            match COLUMNS.into_iter().find(|(column, _)| *column == name) {
                Some(column) if columns.contains(&Some(column)) => {
                    problems.push(format!("the column {name:?} stands twice"));
                }
                Some(column) => columns.push(Some(column)),
                None if name == REASONS => columns.push(None),
                None => problems.push(format!("the column {name:?} is unknown")),
            }
        }
        if !problems.is_empty() || columns.is_empty() {
            let known = COLUMNS.map(|(name, _)| name).join(", ");
            return Err(format!(
                "{}; the first row names the columns, of these: {known}",
                problems.join("; ")
            ));
        }
        Ok(Self { reader, from: Place::default(), columns })
    }

    /// Reads on from a place where a row begins, which is where `file` stands.
    pub(super) fn go_on(&mut self, file: R, from: Place) {
        self.reader = reader(file, false);
        self.from = from;
    }

    /// The names of the columns that say something about an event.
    pub(super) fn header(&self) -> Vec<String> {
        self.columns.iter().flatten().map(|(name, _)| (*name).to_owned()).collect()
    }

    /// The next row.
    pub(super) fn next(&mut self) -> io::Result<Option<Item>> {
        let mut row = ByteRecord::new();
        while self.reader.read_byte_record(&mut row)? {
            if row.len() > 1 || !row.as_slice().trim_ascii().is_empty() {
                let (line, end) = (self.line_of(&row), self.at());
                return Ok(Some(Item { line, end, event: self.event(&row), row: Some(self.told(&row)) }));
            }
        }
        Ok(None)
    }

    /// How far the file is read.
    fn at(&self) -> Place {
        let position = self.reader.position();
        Place {
            bytes: self.from.bytes.saturating_add(position.byte()),
            lines: self.from.lines.saturating_add(position.line().saturating_sub(1)),
        }
    }

    /// The line on which the row just read begins.
    ///
    /// Counted back from where it ended: its own position is that of the blank lines before it, if there are any.
    fn line_of(&self, row: &ByteRecord) -> u64 {
        let inside = row.iter().map(|cell| memchr::memchr_iter(b'\n', cell).count() as u64).sum::<u64>();
        self.at().lines.saturating_sub(inside)
    }

    /// The row without an earlier import's reasons.
    fn told(&self, row: &ByteRecord) -> ByteRecord {
        let is_told = |at: usize| self.columns.get(at).is_none_or(Option::is_some);
        row.iter().enumerate().filter(|(at, _)| is_told(*at)).map(|(_, cell)| cell.trim_ascii_end()).collect()
    }

    fn event(&self, row: &ByteRecord) -> Result<Vec<u8>, String> {
        if row.len() != self.columns.len() {
            return Err(format!("has {} cells, the header has {}", row.len(), self.columns.len()));
        }
        let (mut event, mut evidence) = (b"{".to_vec(), Vec::new());
        for (column, bytes) in self.columns.iter().zip(row) {
            let Some((name, cell)) = column else { continue };
            let text = std::str::from_utf8(bytes).map_err(|_| format!("{name}: is not UTF-8"))?.trim();
            if text.is_empty() {
                continue;
            }
            let (field, into) = match name.strip_prefix("evidence.") {
                Some(field) => (field, &mut evidence),
                None => (*name, &mut event),
            };
            into.extend([b"\"", field.as_bytes(), b"\":"].concat());
            cell.write(text, into).map_err(|why| format!("{name}: {why}"))?;
            into.push(b',');
        }
        if evidence.pop().is_some() {
            event.extend([b"\"evidence\":{", evidence.as_slice(), b"},"].concat());
        }
        if event.len() > 1 {
            event.pop();
        }
        event.push(b'}');
        Ok(event)
    }
}

impl Cell {
    /// Writes a cell's text as JSON.
    fn write(self, text: &str, into: &mut Vec<u8>) -> Result<(), String> {
        let written = match self {
            Self::Text => serde_json::to_writer(into, text),
            Self::List => {
                let items = text.split([';', '|']).map(str::trim).filter(|item| !item.is_empty());
                serde_json::to_writer(into, &items.collect::<Vec<_>>())
            }
            Self::YesNo => match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "1" => serde_json::to_writer(into, &true),
                "false" | "no" | "0" => serde_json::to_writer(into, &false),
                _ => return Err("write true or false".to_owned()),
            },
        };
        written.map_err(|cause| cause.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::event::EventAsWritten;
    use serde_json::Value;

    fn read(text: &str) -> Vec<(u64, Result<Value, String>)> {
        let mut rows = Rows::new(text.as_bytes()).unwrap();
        let mut found = Vec::new();
        while let Some(item) = rows.next().unwrap() {
            found.push((item.line, item.event.map(|event| serde_json::from_slice(&event).unwrap())));
        }
        found
    }

    #[test]
    fn a_row_becomes_an_event() {
        let found = read(
            "recipient,kind,categories,tenant,links,evidence.channel,reasons,evidence.number_confirmed\n\
             +15550000001,grant,marketing; utility,,US.1|US.2,website,told before,yes\n",
        );
        let expected = serde_json::json!({"recipient": "+15550000001", "kind": "grant", "categories": ["marketing", "utility"],
            "links": ["US.1", "US.2"], "evidence": {"channel": "website", "number_confirmed": true}});
        assert_eq!(found, [(2, Ok(expected))]);
    }

    #[test]
    fn bad_rows_are_named_by_the_line_they_begin_on_and_good_rows_kept() {
        for (line_end, end) in [("\n", ""), ("\n", "\n"), ("\r\n", "\n")] {
            let text = format!(
                "recipient,evidence.wording,evidence.number_confirmed\n+1,\"two\nlines\n\",\n+2,x\n+3,y,maybe\n\n+4,z,no{end}"
            );
            let found = read(&text.replace('\n', line_end));
            let lines: Vec<_> =
                found.iter().map(|(line, event)| (*line, event.as_ref().err().map(String::as_str))).collect();
            let expected = [
                (2, None),
                (5, Some("has 2 cells, the header has 3")),
                (6, Some("evidence.number_confirmed: write true or false")),
                (8, None),
            ];
            assert_eq!(lines, expected);
        }
    }

    #[test]
    fn reading_goes_on_from_any_place_that_a_row_ended_at() {
        let text = "recipient,evidence.wording\n+1,\"two\nlines\"\n\n+2,\"a \"\"b\"\"\"\n+3,c\n+4,d\n";
        for (line_end, mark) in [("\n", ""), ("\r\n", ""), ("\r\n", "\u{feff}"), ("\n", "\u{feff}")] {
            let text = format!("{mark}{}", text.replace('\n', line_end));
            let mut whole = Rows::new(text.as_bytes()).unwrap();
            let mut items = Vec::new();
            while let Some(item) = whole.next().unwrap() {
                items.push(item);
            }
            assert_eq!(items.iter().map(|item| item.line).collect::<Vec<_>>(), [2, 5, 6, 7]);
            for (n, item) in items.iter().enumerate() {
                let mut rest = Rows::new(text.as_bytes()).unwrap();
                rest.go_on(&text.as_bytes()[usize::try_from(item.end.bytes).unwrap()..], item.end);
                let mut after = Vec::new();
                while let Some(item) = rest.next().unwrap() {
                    after.push((item.line, item.end, item.event));
                }
                let expected = items[n + 1..].iter().map(|item| (item.line, item.end, item.event.clone()));
                assert_eq!(after, expected.collect::<Vec<_>>(), "after item {n} of {text:?}");
            }
        }
    }

    #[test]
    fn a_row_that_is_not_utf8_is_rejected_alone() {
        let text = b"recipient,source\n+1,\xff\n+2,web\n";
        let mut rows = Rows::new(&text[..]).unwrap();
        assert_eq!(rows.next().unwrap().unwrap().event.unwrap_err(), "source: is not UTF-8");
        assert!(rows.next().unwrap().unwrap().event.is_ok());
    }

    #[test]
    fn every_column_fault_is_named() {
        let why = Rows::new("recipient,phone,recipient\n".as_bytes()).err().unwrap();
        assert!(why.contains("\"phone\" is unknown; the column \"recipient\" stands twice"), "{why}");
        assert!(Rows::new("".as_bytes()).is_err());
    }

    #[test]
    fn every_column_is_a_field_of_an_event_and_every_field_has_a_column() {
        let row = "i,t,+15550000001,grant,call,2026-01-31T09:30:00Z,2026-01-31T09:30:00Z,2026-01-31T09:30:00Z,person,s,US.1,1,e,0,1,k,c,u,1,0,call,b,w,v,l,h,r";
        let header = COLUMNS.map(|(name, _)| name).join(",");
        let (_, event) = read(&format!("{header}\n{row}\n")).remove(0);
        let event = event.unwrap();
        let written: EventAsWritten = serde_json::from_value(event.clone()).unwrap();
        assert_eq!(serde_json::to_value(&written).unwrap(), event);
    }
}
