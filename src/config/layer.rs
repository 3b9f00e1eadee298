//! The layers of a configuration, and one tree of settings over all of them that knows where each was written.
//!
//! Knows TOML and the naming of environment variables, no key in particular.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::problem::{Place, Problem};

/// What the names of our environment variables begin with.
pub(super) const PREFIX: &str = "OPTGATE_";

/// Settings by key.
pub(super) type Table = BTreeMap<String, Entry>;

/// A setting and where it was written.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) node: Node,
    pub(super) place: Place,
}

/// What was written.
#[derive(Clone)]
pub(super) enum Node {
    /// From a place without types (a variable or a flag): what it means is up to the key.
    Untyped(String),
    Text(String),
    Number(i64),
    Switch(bool),
    List(Vec<Entry>),
    Table(Table),
    /// A TOML type for which no key asks: a date, a fraction, a number out of range.
    Other(&'static str),
}

impl Node {
    /// The type, as a problem names it.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Untyped(_) | Self::Text(_) => "a string",
            Self::Number(_) => "a number",
            Self::Switch(_) => "true or false",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Other(name) => name,
        }
    }
}

/// Puts a layer over a table: tables merge key by key, anything else is replaced.
pub(super) fn put_over(below: &mut Table, above: Table) {
    for (key, entry) in above {
        let Some(under) = below.get_mut(&key) else {
            below.insert(key, entry);
            continue;
        };
        match (&mut under.node, entry) {
            (Node::Table(table), Entry { node: Node::Table(over), place }) => {
                put_over(table, over);
                // What is missing from a section is said where somebody wrote the section.
                if under.place == Place::Defaults {
                    under.place = place;
                }
            }
            (_, entry) => *under = entry,
        }
    }
}

/// A table that holds one setting at the end of a path of keys.
pub(super) fn nested(path: &[&str], entry: Entry) -> Table {
    let Some((last, parents)) = path.split_last() else { return Table::new() };
    let place = entry.place.clone();
    let innermost = Table::from([((*last).to_owned(), entry)]);
    parents.iter().rev().fold(innermost, |table, key| {
        Table::from([((*key).to_owned(), Entry { node: Node::Table(table), place: place.clone() })])
    })
}

/// Reads TOML text. A text with syntax errors gives what could be read beside them.
pub(super) fn from_toml(text: &str, place_at: impl Fn(usize, usize) -> Place) -> (Table, Vec<Problem>) {
    let place = |span: Range<usize>| {
        let (line, column) = position(text, span.start);
        place_at(line, column)
    };
    let (document, errors) = DeTable::parse_recoverable(text);
    let problems = errors.iter().map(|error| Problem {
        place: place(error.span().unwrap_or(0..0)),
        key: String::new(),
        wrong: format!("not TOML: {}", error.message()),
        right: String::new(),
    });
    (table(document.get_ref(), &place), problems.collect())
}

fn table(written: &DeTable<'_>, place: &dyn Fn(Range<usize>) -> Place) -> Table {
    let entry = |(key, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
        let key: &toml::Spanned<std::borrow::Cow<'_, str>> = key;
        (key.get_ref().to_string(), Entry { node: node(value.get_ref(), place), place: place(key.span()) })
    };
    written.iter().map(entry).collect()
}

fn node(written: &DeValue<'_>, place: &dyn Fn(Range<usize>) -> Place) -> Node {
    match written {
        DeValue::String(text) => Node::Text(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(&number.as_str().replace('_', ""), number.radix())
            .map_or(Node::Other("a number out of range"), Node::Number),
        DeValue::Boolean(on) => Node::Switch(*on),
        DeValue::Float(_) => Node::Other("a fraction"),
        DeValue::Datetime(_) => Node::Other("a date"),
        DeValue::Array(items) => Node::List(
            items.iter().map(|i| Entry { node: node(i.get_ref(), place), place: place(i.span()) }).collect(),
        ),
        DeValue::Table(inner) => Node::Table(table(inner, place)),
    }
}

/// The line and column of a byte, both counted from 1.
fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
    (before.matches('\n').count() + 1, column)
}

/// Reads the text of a file that the operator named.
pub(super) fn from_text(path: &Path, text: &str) -> (Table, Vec<Problem>) {
    from_toml(text, |line, column| Place::File { path: path.to_owned(), line, column })
}

/// Reads a file that the operator named.
pub(super) fn from_file(path: &Path) -> (Table, Vec<Problem>) {
    let place_at = |line, column| Place::File { path: path.to_owned(), line, column };
    match std::fs::read_to_string(path) {
        Ok(text) => from_text(path, &text),
        Err(error) => {
            let problem = Problem {
                place: place_at(0, 0),
                key: String::new(),
                wrong: format!("cannot be read: {error}"),
                right: "name a TOML file that exists and is readable".to_owned(),
            };
            (Table::new(), vec![problem])
        }
    }
}

/// Reads the environment: `OPTGATE_PROXY__LISTEN` is `proxy.listen`, `OPTGATE__DATA_DIR` the top level's `data_dir`.
///
/// A variable without a double underscore is somebody else's. Lists, tables and quoted strings are TOML values.
pub(super) fn from_environment(variables: impl Iterator<Item = (String, String)>) -> (Table, Vec<Problem>) {
    let (mut all, mut problems) = (Table::new(), Vec::new());
    for (name, text) in variables {
        let Some(key) = name.strip_prefix(PREFIX).filter(|_| name.contains("__")) else { continue };
        let key = key.to_lowercase();
        let path: Vec<&str> = key.strip_prefix('_').unwrap_or(&key).split("__").collect();
        match untyped(text, &name) {
            Ok(node) => {
                put_over(&mut all, nested(&path, Entry { node, place: Place::Variable(name.clone()) }));
            }
            Err(wrong) => problems.push(Problem {
                place: Place::Variable(name.clone()),
                key: path.join("."),
                wrong,
                right: "lists are written as in TOML, such as [\"a\", \"b\"]".to_owned(),
            }),
        }
    }
    (all, problems)
}

fn untyped(text: String, variable: &str) -> Result<Node, String> {
    if !text.trim_start().starts_with(['[', '{', '"']) {
        return Ok(Node::Untyped(text));
    }
    let wrapped = format!("value = {text}");
    let place_at = |_, _| Place::Variable(variable.to_owned());
    let (mut table, problems) = from_toml(&wrapped, place_at);
    match (problems.into_iter().next(), table.remove("value")) {
        (None, Some(entry)) if table.is_empty() => Ok(entry.node),
        (problem, _) => Err(problem.map_or_else(|| "not one TOML value".to_owned(), |p| p.wrong)),
    }
}
