//! Events of a CSV file: a header row of dotted columns, one event a row, turned into the JSON shape of the admin API.

use std::io::{self, Chain, Read};

use csv::{ByteRecord, Reader, ReaderBuilder, Terminator};
use serde_json::{Map, Value};

use super::Item;

/// How the cell of a column is written in JSON.
#[derive(Clone, Copy)]
enum Cell {
    Text,
    /// Several values, separated by `;` or `|`.
    List,
    YesNo,
}

/// Every column that an event can have.
const COLUMNS: [(&str, Cell); 24] = [
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
];

/// Put behind every file, so that the last row ends as the others do and its line can be told.
const LAST_LINE_END: &[u8] = b"\n";

/// The rows of a file.
pub(super) struct Rows<R> {
    reader: Reader<Chain<R, &'static [u8]>>,
    columns: Vec<(&'static str, Cell)>,
    tenant: Option<String>,
}

impl<R: Read> Rows<R> {
    /// Reads the header row; an error names every column that is unknown or stands twice.
    pub(super) fn new(reader: R, tenant: Option<String>) -> Result<Self, String> {
        // A carriage return at the end of a line is white space of its last cell: so every line end counts as one line.
        let mut builder = ReaderBuilder::new();
        builder.flexible(true).terminator(Terminator::Any(b'\n'));
        let mut reader = builder.from_reader(reader.chain(LAST_LINE_END));
        let header = reader.headers().map_err(|cause| format!("the header row cannot be read: {cause}"))?;
        let (mut columns, mut problems) = (Vec::new(), Vec::new());
        for name in header.iter().map(str::trim) {
            match COLUMNS.into_iter().find(|(column, _)| *column == name) {
                Some((column, _)) if columns.iter().any(|(known, _)| *known == column) => {
                    problems.push(format!("the column {name:?} stands twice"));
                }
                Some(column) => columns.push(column),
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
        Ok(Self { reader, columns, tenant })
    }

    /// The next row.
    pub(super) fn next(&mut self) -> io::Result<Option<Item>> {
        let mut row = ByteRecord::new();
        while self.reader.read_byte_record(&mut row)? {
            if row.len() > 1 || !row.as_slice().trim_ascii().is_empty() {
                return Ok(Some(Item { line: self.line_of(&row), event: self.event(&row) }));
            }
        }
        Ok(None)
    }

    /// The line on which the row just read begins.
    ///
    /// Counted back from where it ended: its own position is that of the blank lines before it, if there are any.
    fn line_of(&self, row: &ByteRecord) -> u64 {
        let inside = row.iter().map(|cell| memchr::memchr_iter(b'\n', cell).count() as u64).sum::<u64>();
        self.reader.position().line().saturating_sub(inside + 1)
    }

    fn event(&self, row: &ByteRecord) -> Result<Vec<u8>, String> {
        if row.len() != self.columns.len() {
            return Err(format!("has {} cells, the header has {}", row.len(), self.columns.len()));
        }
        let (mut event, mut evidence) = (Map::new(), Map::new());
        if let Some(tenant) = &self.tenant {
            event.insert("tenant".to_owned(), Value::from(tenant.as_str()));
        }
        for ((name, cell), bytes) in self.columns.iter().zip(row) {
            let text = std::str::from_utf8(bytes).map_err(|_| format!("{name}: is not UTF-8"))?.trim();
            if text.is_empty() {
                continue;
            }
            let value = cell.value(text).map_err(|why| format!("{name}: {why}"))?;
            match name.strip_prefix("evidence.") {
                Some(field) => evidence.insert(field.to_owned(), value),
                None => event.insert((*name).to_owned(), value),
            };
        }
        if !evidence.is_empty() {
            event.insert("evidence".to_owned(), Value::Object(evidence));
        }
        Ok(Value::Object(event).to_string().into_bytes())
    }
}

impl Cell {
    fn value(self, text: &str) -> Result<Value, String> {
        match self {
            Self::Text => Ok(Value::from(text)),
            Self::List => {
                let items = text.split([';', '|']).map(str::trim).filter(|item| !item.is_empty());
                Ok(items.map(Value::from).collect())
            }
            Self::YesNo => match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "1" => Ok(Value::Bool(true)),
                "false" | "no" | "0" => Ok(Value::Bool(false)),
                _ => Err("write true or false".to_owned()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::event::EventAsWritten;

    fn read(text: &str) -> Vec<(u64, Result<Value, String>)> {
        let mut rows = Rows::new(text.as_bytes(), Some("acme".to_owned())).unwrap();
        let mut found = Vec::new();
        while let Some(item) = rows.next().unwrap() {
            found.push((item.line, item.event.map(|event| serde_json::from_slice(&event).unwrap())));
        }
        found
    }

    #[test]
    fn a_row_becomes_an_event() {
        let found = read(
            "recipient,kind,categories,tenant,links,evidence.channel,evidence.number_confirmed\n\
             +15550000001,grant,marketing; utility,,US.1|US.2,website,yes\n",
        );
        let expected = serde_json::json!({"recipient": "+15550000001", "kind": "grant", "categories": ["marketing", "utility"],
            "tenant": "acme", "links": ["US.1", "US.2"], "evidence": {"channel": "website", "number_confirmed": true}});
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
    fn a_row_that_is_not_utf8_is_rejected_alone() {
        let text = b"recipient,source\n+1,\xff\n+2,web\n";
        let mut rows = Rows::new(&text[..], None).unwrap();
        assert_eq!(rows.next().unwrap().unwrap().event.unwrap_err(), "source: is not UTF-8");
        assert!(rows.next().unwrap().unwrap().event.is_ok());
    }

    #[test]
    fn every_column_fault_is_named() {
        let why = Rows::new("recipient,phone,recipient\n".as_bytes(), None).err().unwrap();
        assert!(why.contains("\"phone\" is unknown; the column \"recipient\" stands twice"), "{why}");
        assert!(Rows::new("".as_bytes(), None).is_err());
    }

    #[test]
    fn every_column_is_a_field_of_an_event_and_every_field_has_a_column() {
        let row = "i,t,+15550000001,grant,call,2026-01-31T09:30:00Z,2026-01-31T09:30:00Z,2026-01-31T09:30:00Z,person,s,US.1,1,e,0,c,u,1,0,call,b,w,v,l,h";
        let header = COLUMNS.map(|(name, _)| name).join(",");
        let (_, event) = read(&format!("{header}\n{row}\n")).remove(0);
        let event = event.unwrap();
        let written: EventAsWritten = serde_json::from_value(event.clone()).unwrap();
        assert_eq!(serde_json::to_value(&written).unwrap(), event);
    }
}
