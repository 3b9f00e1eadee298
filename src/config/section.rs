//! A checked walk over the tree of settings: every problem is noted, none ends the walk.
//!
//! A key that nobody asks for is unknown, so a key cannot be documented and forgotten, or read and left out of the check.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::layer::{Entry, Node, Table};
use super::problem::{Place, Problem};

/// Why a value will not do.
pub(super) struct Wrong {
    pub(super) wrong: String,
    pub(super) right: String,
}

impl Wrong {
    pub(super) fn new(wrong: impl Into<String>, right: impl Into<String>) -> Self {
        Self { wrong: wrong.into(), right: right.into() }
    }
}

/// What a whole walk gathers.
#[derive(Default)]
pub(super) struct Walk {
    pub(super) problems: RefCell<Vec<Problem>>,
    /// Every key that was asked for, with `[]` for any element of a list.
    pub(super) asked: RefCell<BTreeSet<String>>,
}

/// One table of settings in the walk.
pub(super) struct Section<'a> {
    table: &'a Table,
    place: &'a Place,
    /// With the number of each list element, for people.
    path: String,
    /// Without, for [`Walk::asked`].
    pattern: String,
    asked: RefCell<BTreeSet<&'static str>>,
    walk: &'a Walk,
}

impl<'a> Section<'a> {
    /// Walks over the whole tree.
    pub(super) fn root<T>(table: &'a Table, walk: &'a Walk, read: impl Fn(&Self) -> Option<T>) -> Option<T> {
        Self::visit(
            &Self {
                table,
                place: &Place::Defaults,
                path: String::new(),
                pattern: String::new(),
                asked: RefCell::default(),
                walk,
            },
            read,
        )
    }

    fn visit<T>(section: &Self, read: impl Fn(&Self) -> Option<T>) -> Option<T> {
        let value = read(section);
        let asked = section.asked.borrow();
        for (key, entry) in section.table.iter().filter(|(key, _)| !asked.contains(key.as_str())) {
            let near = asked.iter().filter(|known| edits(known, key) <= 1 + known.len() / 4);
            let right = match near.min_by_key(|known| edits(known, key)) {
                Some(known) => format!("did you mean `{known}`?"),
                None => format!("known here: {}", asked.iter().copied().collect::<Vec<_>>().join(", ")),
            };
            section.note(&entry.place, key, Wrong::new("unknown key", right));
        }
        value
    }

    /// A setting that must be there, by default or in a file.
    pub(super) fn value<T>(&self, key: &'static str, read: impl Fn(&Entry) -> Result<T, Wrong>) -> Option<T> {
        let value = self.optional(key, read)?;
        if value.is_none() {
            self.note(self.place, key, Wrong::new("missing", "this key has no default"));
        }
        value
    }

    /// A setting that may be left out: `None` is a problem, `Some(None)` is absence.
    #[allow(
        clippy::option_option,
        reason = "the outer one is whether the walk can go on, as everywhere here"
    )]
    pub(super) fn optional<T>(
        &self,
        key: &'static str,
        read: impl Fn(&Entry) -> Result<T, Wrong>,
    ) -> Option<Option<T>> {
        let Some(entry) = self.entry(key) else { return Some(None) };
        read(entry).map(Some).map_err(|wrong| self.note(&entry.place, key, wrong)).ok()
    }

    /// A table of settings; an absent one is walked as an empty one, so that missing keys are named.
    pub(super) fn table<T>(&self, key: &'static str, read: impl Fn(&Section<'_>) -> Option<T>) -> Option<T> {
        let nothing = Table::new();
        match self.optional_table(key, &read)? {
            Some(value) => Some(value),
            None => Section::visit(&self.child(&nothing, self.place, (key.to_owned(), key)), read),
        }
    }

    /// A table of settings that may be left out.
    #[allow(
        clippy::option_option,
        reason = "the outer one is whether the walk can go on, as everywhere here"
    )]
    pub(super) fn optional_table<T>(
        &self,
        key: &'static str,
        read: impl Fn(&Section<'_>) -> Option<T>,
    ) -> Option<Option<T>> {
        let Some(entry) = self.entry(key) else { return Some(None) };
        let Node::Table(table) = &entry.node else {
            let wrong = format!("is {}, must be a table", entry.node.type_name());
            self.note(&entry.place, key, Wrong::new(wrong, format!("write [{key}]")));
            return None;
        };
        Section::visit(&self.child(table, &entry.place, (key.to_owned(), key)), read).map(Some)
    }

    /// A list of tables; an absent one is empty.
    pub(super) fn tables<T>(
        &self,
        key: &'static str,
        read: impl Fn(&Section<'_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let Some(entry) = self.entry(key) else { return Some(Vec::new()) };
        let Node::List(items) = &entry.node else {
            let wrong = format!("is {}, must be a list of tables", entry.node.type_name());
            self.note(&entry.place, key, Wrong::new(wrong, format!("write [[{}]]", self.path_of(key))));
            return None;
        };
        let element = |(at, item): (usize, &'a Entry)| {
            let Node::Table(table) = &item.node else {
                let wrong = format!("holds {}, must hold tables", item.node.type_name());
                self.note(&item.place, key, Wrong::new(wrong, ""));
                return None;
            };
            let name = (format!("{key}[{at}]"), &*format!("{key}[]"));
            Section::visit(&self.child(table, &item.place, name), &read)
        };
        // Every element is walked before the first that failed ends the list.
        items.iter().enumerate().map(element).collect::<Vec<_>>().into_iter().collect()
    }

    /// Notes a problem of a key, at the place where the key was written or else where the section was.
    pub(super) fn reject(&self, key: &str, wrong: Wrong) {
        let place = self.table.get(key).map_or(self.place, |entry| &entry.place);
        self.note(place, key, wrong);
    }

    /// As [`Section::reject`], for a key of a table in this one.
    pub(super) fn reject_in(&self, table: &str, key: &str, wrong: Wrong) {
        let inner = self.table.get(table).map(|entry| (&entry.node, &entry.place));
        let place = match inner {
            Some((Node::Table(inner), place)) => inner.get(key).map_or(place, |entry| &entry.place),
            Some((_, place)) => place,
            None => self.place,
        };
        self.note(place, &join(table, key), wrong);
    }

    /// Refuses a key that a later version will know, if it is there.
    pub(super) fn refuse_later(&self, key: &'static str, wrong: Wrong) {
        self.asked.borrow_mut().insert(key);
        if self.table.contains_key(key) {
            self.reject(key, wrong);
        }
    }

    /// Whether a key was written as a table.
    pub(super) fn holds_table(&self, key: &str) -> bool {
        matches!(self.table.get(key), Some(Entry { node: Node::Table(_), .. }))
    }

    /// Where a key was written.
    pub(super) fn place_of(&self, key: &str) -> Option<&Place> {
        self.table.get(key).map(|entry| &entry.place)
    }

    fn entry(&self, key: &'static str) -> Option<&'a Entry> {
        self.asked.borrow_mut().insert(key);
        self.walk.asked.borrow_mut().insert(join(&self.pattern, key));
        self.table.get(key)
    }

    fn child<'b>(
        &'b self,
        table: &'b Table,
        place: &'b Place,
        (name, pattern): (String, &str),
    ) -> Section<'b> {
        Section {
            table,
            place,
            path: self.path_of(&name),
            pattern: join(&self.pattern, pattern),
            asked: RefCell::default(),
            walk: self.walk,
        }
    }

    fn note(&self, place: &Place, key: &str, wrong: Wrong) {
        let Wrong { wrong, right } = wrong;
        let problem = Problem { place: place.clone(), key: self.path_of(key), wrong, right };
        self.walk.problems.borrow_mut().push(problem);
    }

    fn path_of(&self, key: &str) -> String {
        join(&self.path, key)
    }
}

fn join(parent: &str, key: &str) -> String {
    if parent.is_empty() { key.to_owned() } else { format!("{parent}.{key}") }
}

/// How many letters must be put in, taken out or changed to make one word the other.
pub(crate) fn edits(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut left = i + 1;
        let above = row.clone();
        let mut next = vec![left];
        for (b, pair) in other.chars().zip(above.windows(2)) {
            let &[diagonal, up] = pair else { continue };
            left = (diagonal + usize::from(a != b)).min(up + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}
