//! One account's templates: what the operator imported, what was read from the provider, and what changes them.
//!
//! Pure: every change is a function of the list and of what came, so that several nodes can make theirs one after the other on what the store has.

use std::collections::BTreeMap;
use std::time::Duration;

use super::entry::{Announced, Entry, Source, stricter};
use crate::consent::Timestamp;
use crate::wire::classify::TemplateEntry;
use crate::wire::cloud::templates::{ListedTemplate, in_the_spelling_of_sends};
use crate::wire::webhook::TemplateNotice;

/// Name and language.
pub(super) type Key = (String, String);
pub(super) type Entries = BTreeMap<Key, Entry>;

/// One account's templates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountList {
    /// When the operator last imported a list.
    pub replaced_at: Option<Timestamp>,
    /// When the provider's list was last read from beginning to end.
    pub synced_at: Option<Timestamp>,
    /// Until when no node needs to begin another reading: one of them reads, or the provider has asked for patience.
    pub(super) not_before: Option<Timestamp>,
    pub(super) imported: Entries,
    pub(super) read: Entries,
}

/// Templates as they were read, each with the time of its page.
#[derive(Clone, Debug, Default)]
pub(super) struct Reading {
    pub(super) templates: Vec<(ListedTemplate, Timestamp)>,
    /// When the first page of a whole list was read; `None` if this is not the whole list.
    pub(super) whole_since: Option<Timestamp>,
}

/// How one template is judged, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Its language.
    pub language: String,
    /// What it counts as, unless it is stale.
    pub entry: TemplateEntry,
    /// A change of category that is announced.
    pub announced: Option<Announced>,
    /// `APPROVED` and the like. Judged by nobody: the provider itself refuses what is paused or rejected.
    pub status: Option<String>,
    /// `GREEN` and the like.
    pub quality: Option<String>,
    /// Who says so.
    pub source: Source,
    /// When it was last said.
    pub as_of: Timestamp,
    /// Whether that is too long ago: it counts as unknown.
    pub stale: bool,
}

impl AccountList {
    /// Takes a list from the operator in place of theirs before; gives how many templates it has.
    pub(super) fn import(&mut self, templates: Vec<ListedTemplate>, now: Timestamp) -> usize {
        let before = std::mem::take(&mut self.imported);
        for mut template in templates {
            template.language = in_the_spelling_of_sends(&template.language);
            let key = (template.name.clone(), template.language.clone());
            let mut entry = Entry::listed(template, now);
            if let Some(twice) = self.imported.remove(&key) {
                // One template stands twice: what both say counts.
                let both = stricter(
                    twice.effect(Source::Operator, now),
                    Entry::listed(entry.listed.clone(), now).effect(Source::Operator, now),
                );
                entry.listed.category = both.category;
                entry.listed.correct_category = both.correct_category;
                entry.listed.asks_to_call = both.asks_to_call;
            }
            entry = entry.succeed(Source::Operator, before.get(&key));
            entry.keep_only_what_is_to_come(now);
            self.imported.insert(key, entry);
        }
        self.replaced_at = Some(now);
        self.imported.len()
    }

    /// Takes in what was read from the provider. Only a whole list makes templates disappear, and none that was read since it began.
    pub(super) fn merge(&mut self, reading: Reading) {
        if let Some(since) = reading.whole_since {
            let listed: Vec<Key> = reading.templates.iter().map(|(template, _)| key(template)).collect();
            let listed: std::collections::BTreeSet<&Key> = listed.iter().collect();
            self.read.retain(|key, entry| entry.as_of >= since || listed.contains(key));
            self.synced_at = self.synced_at.max(Some(since));
            self.not_before = None;
        }
        for (template, as_of) in reading.templates {
            let key = key(&template);
            let before = self.read.get(&key);
            if before.is_none_or(|before| before.as_of <= as_of) {
                let entry = Entry::listed(template, as_of).succeed(Source::Provider, before);
                self.read.insert(key, entry);
            }
        }
    }

    /// Notes what a webhook told; gives whether anybody lists the template.
    pub(super) fn hear(&mut self, notice: &TemplateNotice) -> bool {
        let key = (notice.name.clone(), notice.language.clone());
        let mut listed = false;
        for (entries, source) in [(&mut self.imported, Source::Operator), (&mut self.read, Source::Provider)]
        {
            if let Some(entry) = entries.get_mut(&key) {
                entry.hear(source, notice.at, &notice.what);
                listed = true;
            }
        }
        listed
    }

    /// Whether the provider's list of a template should be looked at again.
    pub(super) fn is_in_doubt(&self, notice: &TemplateNotice) -> bool {
        let entry = self.read.get(&(notice.name.clone(), notice.language.clone()));
        entry.is_some_and(|entry| entry.is_in_doubt(Source::Provider))
    }

    /// How every template is judged at a time.
    pub fn rows(&self, now: Timestamp, stale_after: Option<Duration>) -> Vec<Row> {
        let keys =
            self.imported.keys().chain(self.read.keys().filter(|key| !self.imported.contains_key(*key)));
        let row = |key: &Key| row((self.imported.get(key), self.read.get(key)), now, stale_after);
        let mut rows: Vec<Row> = keys.filter_map(row).collect();
        rows.sort_by(|one, other| (&one.name, &one.language).cmp(&(&other.name, &other.language)));
        rows
    }

    /// When the list was last known to be whole, by whoever knew it later.
    pub fn whole_at(&self) -> Option<Timestamp> {
        self.replaced_at.max(self.synced_at)
    }

    /// When [`AccountList::rows`] will say something else by itself, if ever.
    pub(super) fn changes_at(&self, now: Timestamp, stale_after: Option<Duration>) -> Option<Timestamp> {
        let due = self.imported.values().chain(self.read.values()).filter_map(|entry| entry.announced()?.due);
        let stale = stale_after.into_iter().flat_map(|limit| {
            // Stale is what is older than the limit, so one millisecond later.
            let limit = limit.saturating_add(Duration::from_millis(1));
            self.read.values().map(move |entry| entry.as_of.plus(limit))
        });
        due.chain(stale).filter(|at| *at > now).min()
    }

    /// Names whose announced change came into force in a span of time, to be read again.
    pub(super) fn came_due(&self, since: Timestamp, until: Timestamp) -> Vec<String> {
        let due = |entry: &&Entry| {
            entry.announced().and_then(|told| told.due).is_some_and(|due| due > since && due <= until)
        };
        self.read.values().filter(due).map(|entry| entry.listed.name.clone()).collect()
    }
}

fn key(template: &ListedTemplate) -> Key {
    (template.name.clone(), template.language.clone())
}

fn row(
    (imported, read): (Option<&Entry>, Option<&Entry>),
    now: Timestamp,
    stale_after: Option<Duration>,
) -> Option<Row> {
    let of_imported = imported.map(|entry| entry.effect(Source::Operator, now));
    let of_read = read.map(|entry| entry.effect(Source::Provider, now));
    let (entry, source) = match (of_imported, of_read) {
        (Some(one), Some(other)) => (stricter(one, other), Source::Both),
        (Some(one), None) => (one, Source::Operator),
        (None, Some(other)) => (other, Source::Provider),
        (None, None) => return None,
    };
    // What the provider says is newer, if it says anything.
    let newest = read.or(imported)?;
    let too_old = |limit: Duration| now.since(newest.as_of) > limit;
    Some(Row {
        name: newest.listed.name.clone(),
        language: newest.listed.language.clone(),
        entry,
        announced: newest.announced().filter(|told| told.due.is_none_or(|due| due > now)),
        status: newest.status().cloned(),
        quality: newest.quality().cloned(),
        source,
        as_of: newest.as_of,
        stale: source == Source::Provider && stale_after.is_some_and(too_old),
    })
}
