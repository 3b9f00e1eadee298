//! Events of a CSV file: a header row of dotted columns, one event a row, turned into the JSON shape of the admin API.

use std::io::{self, BufRead, Chain, Read};

use csv::{ByteRecord, Reader, ReaderBuilder, Terminator};

use super::header::{Cell, Column, Header, Ignored};
use super::rejects::Table;
use super::source::{Fault, Item, Place};

/// Put behind every file, so that the last row ends as the others do and its line can be told.
const LAST_LINE_END: &[u8] = b"\n";
/// How much is read for one row at most: what is longer has lost the end of a quoted cell, and would take in the rest of the file.
const LONGEST_ROW: u64 = 1 << 20;

/// The rows of a file.
pub(super) struct Rows<R> {
    reader: Reader<Chain<Bounded<R>, &'static [u8]>>,
    /// Where the reader began.
    from: Place,
    header: Header,
}

/// A file of which so much more may be read.
struct Bounded<R> {
    file: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, TOO_LONG));
        }
        let read = self.file.read(into)?;
        self.left = self.left.saturating_sub(read as u64);
        Ok(read)
    }
}

const TOO_LONG: &str = "a row goes on for more than 1 MiB; is a quotation mark in it never closed?";

fn reader<R: Read>(file: R, separator: u8) -> Reader<Chain<Bounded<R>, &'static [u8]>> {
    // A carriage return at the end of a line is white space of its last cell: so every line end counts as one line.
    let mut builder = ReaderBuilder::new();
    builder.flexible(true).terminator(Terminator::Any(b'\n')).has_headers(false).delimiter(separator);
    builder.from_reader(Bounded { file, left: LONGEST_ROW }.chain(LAST_LINE_END))
}

impl<R: BufRead> Rows<R> {
    /// Reads the header row; an error names everything that is wrong with it.
    pub(super) fn new(mut file: R, ignored: Ignored<'_>) -> Result<Self, String> {
        let header = Header::read(&mut file, ignored)?;
        Ok(Self { reader: reader(file, header.separator), from: header.end, header })
    }

    /// Reads on from a place where a row begins, which is where `file` stands.
    pub(super) fn go_on(&mut self, file: R, from: Place) {
        self.reader = reader(file, self.header.separator);
        self.from = from;
    }

    /// How the file is written.
    pub(super) fn table(&self) -> Table {
        Table { columns: self.header.names(), separator: self.header.separator, marked: self.header.marked }
    }

    /// Which columns are left out because they are no field of an event.
    pub(super) fn left_out(&self) -> &[String] {
        &self.header.left_out
    }

    /// The next row.
    pub(super) fn next(&mut self) -> io::Result<Option<Item>> {
        let mut row = ByteRecord::new();
        let begin = self.at().lines.saturating_add(1);
        let told = |cause: csv::Error| io::Error::other(format!("from line {begin} on: {cause}"));
        loop {
            self.reader.get_mut().get_mut().0.left = LONGEST_ROW;
            if !self.reader.read_byte_record(&mut row).map_err(told)? {
                return Ok(None);
            }
            if row.iter().any(|cell| !cell.trim_ascii().is_empty()) {
                let (line, end) = (self.line_of(&row), self.at());
                let (event, faults) = self.event(&row);
                return Ok(Some(Item { line, end, event, faults, row: Some(self.told(&row)) }));
            }
        }
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

    /// The row without what is left out.
    fn told(&self, row: &ByteRecord) -> ByteRecord {
        let is_told = |at: usize| match self.header.columns.get(at) {
            Some(Column::Field(..)) => true,
            Some(Column::LeftOut | Column::Nameless) => false,
            None => row.get(at).is_some_and(|cell| !cell.trim_ascii().is_empty()),
        };
        row.iter().enumerate().filter(|(at, _)| is_told(*at)).map(|(_, cell)| cell.trim_ascii_end()).collect()
    }

    /// The event of a row, and what is wrong with its cells. A cell at fault is written as what no field takes, so that the gate rejects the event and
    /// names everything else that is wrong with it.
    fn event(&self, row: &ByteRecord) -> (Result<Vec<u8>, String>, Vec<Fault>) {
        let columns = &self.header.columns;
        let too_many = row.iter().skip(columns.len()).any(|cell| !cell.trim_ascii().is_empty());
        if row.len() < columns.len() || too_many {
            let why = format!("has {} cells, the header has {}", row.len(), columns.len());
            let remedy =
                if too_many { "; put a text that holds the separator into quotation marks" } else { "" };
            return (Err(why + remedy), Vec::new());
        }
        let (mut event, mut evidence, mut faults) = (b"{".to_vec(), Vec::new(), Vec::new());
        for (at, (column, bytes)) in columns.iter().zip(row).enumerate() {
            let (name, cell) = match column {
                Column::Field(name, cell) => (*name, *cell),
                Column::LeftOut => continue,
                Column::Nameless if bytes.trim_ascii().is_empty() => continue,
                Column::Nameless => {
                    let why = format!("cell {} stands under no name in the first row", at + 1);
                    return (Err(why), faults);
                }
            };
            let text = std::str::from_utf8(bytes).map(str::trim);
            if text == Ok("") {
                continue;
            }
            let (field, into) = match name.strip_prefix("evidence.") {
                Some(field) => (field, &mut evidence),
                None => (name, &mut event),
            };
            into.extend([b"\"", field.as_bytes(), b"\":"].concat());
            if let Ok(text) = text {
                cell.write(text, into);
            } else {
                faults.push(Fault { field: name, why: NOT_UTF8 });
                into.extend(b"{}");
            }
            into.push(b',');
        }
        if evidence.pop().is_some() {
            event.extend([b"\"evidence\":{", evidence.as_slice(), b"},"].concat());
        }
        if event.len() > 1 {
            event.pop();
        }
        event.push(b'}');
        (Ok(event), faults)
    }
}

const NOT_UTF8: &str = "is not UTF-8; save the file as UTF-8 (in Excel as \"CSV UTF-8\")";

impl Cell {
    /// Writes a cell's text as JSON. What is no yes or no stays a text, which the gate names.
    fn write(self, text: &str, into: &mut Vec<u8>) {
        // Plain data always becomes JSON, and a vector takes every byte.
        let _ = match self {
            Self::Text => serde_json::to_writer(into, text),
            Self::List => {
                let items = text.split([';', '|', ',']).map(str::trim).filter(|item| !item.is_empty());
                serde_json::to_writer(into, &items.collect::<Vec<_>>())
            }
            Self::YesNo => match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "1" => serde_json::to_writer(into, &true),
                "false" | "no" | "0" => serde_json::to_writer(into, &false),
                _ => serde_json::to_writer(into, text),
            },
        };
    }
}

#[cfg(test)]
mod tests {
    use super::super::header::COLUMNS;
    use super::*;
    use crate::consent::event::EventAsWritten;
    use serde_json::Value;

    const REST: &str = "kind,occurred_at,actor,source";

    fn rows(text: &[u8]) -> Rows<&[u8]> {
        Rows::new(text, Ignored::default()).unwrap()
    }

    fn read(text: &str) -> Vec<(u64, Result<Value, String>)> {
        let mut rows = rows(text.as_bytes());
        let mut found = Vec::new();
        while let Some(item) = rows.next().unwrap() {
            found.push((item.line, item.event.map(|event| serde_json::from_slice(&event).unwrap())));
        }
        found
    }

    #[test]
    fn a_row_becomes_an_event() {
        let text = "recipient,kind,categories,tenant,links,evidence.channel,reasons,evidence.number_confirmed,occurred_at,actor,source\n\
             +15550000001,grant,marketing; utility,,US.1|US.2,website,told before,yes,t,person,web\n";
        let expected = serde_json::json!({"recipient": "+15550000001", "kind": "grant", "categories": ["marketing", "utility"],
            "links": ["US.1", "US.2"], "occurred_at": "t", "actor": "person", "source": "web",
            "evidence": {"channel": "website", "number_confirmed": true}});
        assert_eq!(read(text), [(2, Ok(expected.clone()))]);
        for (separator, list) in
            [(";", "marketing,utility"), ("\t", "marketing;utility"), (";", "\"marketing;utility\"")]
        {
            let text =
                text.replace("marketing; utility", "LIST").replace(',', separator).replace("LIST", list);
            assert_eq!(
                read(&format!("{text}{}\n", separator.repeat(10))),
                [(2, Ok(expected.clone()))],
                "{text}"
            );
        }
    }

    #[test]
    fn bad_rows_are_named_by_the_line_they_begin_on_and_good_rows_kept() {
        for (line_end, end) in [("\n", ""), ("\n", "\n"), ("\r\n", "\n")] {
            let text = format!(
                "recipient,{REST},evidence.wording,\n+1,k,o,a,s,\"two\nlines\n\",\n+2,x\n+3,k,o,a,s,y,maybe\n\n+4,k,o,a,s,z,{end}"
            );
            let found = read(&text.replace('\n', line_end));
            let lines: Vec<_> =
                found.iter().map(|(line, event)| (*line, event.as_ref().err().map(String::as_str))).collect();
            let expected = [
                (2, None),
                (5, Some("has 2 cells, the header has 7")),
                (6, Some("cell 7 stands under no name in the first row")),
                (8, None),
            ];
            assert_eq!(lines, expected);
        }
        let (_, found) = read(&format!("recipient,{REST}\n+1,k,o,a,I agree, really\n")).remove(0);
        assert!(found.unwrap_err().contains("has 6 cells, the header has 5; put a text"));
    }

    #[test]
    fn reading_goes_on_from_any_place_that_a_row_ended_at() {
        let text = format!(
            "recipient,evidence.wording,{REST}\n+1,\"two\nlines\",k,o,a,s\n\n+2,\"a \"\"b\"\"\",k,o,a,s\n+3,c,k,o,a,s\n+4,d,k,o,a,s\n"
        );
        for (line_end, mark) in [("\n", ""), ("\r\n", ""), ("\r\n", "\u{feff}"), ("\n", "\u{feff}sep=,\n")] {
            let text = format!("{mark}{}", text.replace('\n', line_end));
            let mut whole = rows(text.as_bytes());
            let mut items = Vec::new();
            while let Some(item) = whole.next().unwrap() {
                items.push(item);
            }
            let before = mark.matches('\n').count() as u64;
            assert_eq!(items.iter().map(|item| item.line - before).collect::<Vec<_>>(), [2, 5, 6, 7]);
            for (n, item) in items.iter().enumerate() {
                let mut rest = rows(text.as_bytes());
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
    fn a_cell_that_is_not_utf8_or_no_yes_or_no_leaves_the_rest_of_the_row_to_the_gate() {
        let text =
            [format!("recipient,legacy,{REST}\n").as_bytes(), b"+1,perhaps,k,o,a,\xff\n+2,0,k,o,a,s\n"]
                .concat();
        let mut rows = rows(&text);
        let item = rows.next().unwrap().unwrap();
        let event: Value = serde_json::from_slice(&item.event.unwrap()).unwrap();
        assert_eq!((&event["source"], &event["legacy"]), (&serde_json::json!({}), &Value::from("perhaps")));
        assert!(serde_json::from_value::<EventAsWritten>(event).is_err(), "no gate takes it");
        assert_eq!(item.faults.iter().map(|fault| fault.field).collect::<Vec<_>>(), ["source"]);
        let next = rows.next().unwrap().unwrap();
        assert!(next.event.is_ok() && next.faults.is_empty());
    }

    #[test]
    fn a_quotation_mark_that_is_never_closed_does_not_take_in_the_rest_of_the_file() {
        let rest = "+2,k,o,a,s\n".repeat(1 << 18);
        let text = format!("recipient,{REST}\n+1,k,o,a,s\n+2,k,o,a,\"s\n{rest}");
        let mut rows = rows(text.as_bytes());
        assert_eq!(rows.next().unwrap().unwrap().line, 2);
        let why = rows.next().unwrap_err().to_string();
        assert!(why.contains("from line 3 on: a row goes on for more than 1 MiB"), "{why}");
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
