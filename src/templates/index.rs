//! The catalogue arranged for lookups by borrowed names.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::account::AccountList;
use super::entry::stricter;
use crate::consent::{Category, Timestamp};
use crate::wire::classify::TemplateEntry;

type Map<V> = HashMap<Box<str>, V, ahash::RandomState>;

/// What the gate knows of one account, and how it is judged now.
pub(super) struct Kept {
    pub(super) list: Arc<AccountList>,
    /// By name, then by language.
    names: Map<Map<Known>>,
    /// How many templates are known, languages counted singly.
    pub(super) count: usize,
    /// When this will be judged otherwise by itself.
    pub(super) changes_at: Option<Timestamp>,
}

#[derive(Clone, Copy)]
struct Known {
    entry: TemplateEntry,
    stale: bool,
}

impl Kept {
    pub(super) fn of(list: Arc<AccountList>, now: Timestamp, stale_after: Option<Duration>) -> Self {
        let mut names = Map::<Map<Known>>::default();
        let mut count = 0;
        for row in list.rows(now, stale_after) {
            count += 1;
            let known = Known { entry: row.entry, stale: row.stale };
            names.entry(row.name.into()).or_default().insert(row.language.into(), known);
        }
        let changes_at = list.changes_at(now, stale_after);
        Self { list, names, count, changes_at }
    }

    fn known(&self, name: &str, language: &str) -> Option<Known> {
        self.names.get(name)?.get(language).copied()
    }
}

/// Templates by account, name and language.
#[derive(Default)]
pub(super) struct Index(HashMap<String, Arc<Kept>, ahash::RandomState>);

impl Index {
    pub(super) fn of(accounts: &BTreeMap<String, Arc<Kept>>) -> Self {
        Self(accounts.iter().map(|(account, kept)| (account.clone(), Arc::clone(kept))).collect())
    }

    pub(super) fn entry(&self, account: Option<&str>, name: &str, language: &str) -> Option<TemplateEntry> {
        match account {
            Some(account) => {
                let known = self.0.get(account)?.known(name, language)?;
                (!known.stale).then_some(known.entry)
            }
            None => {
                self.0.values().filter_map(|kept| kept.known(name, language)).map(counted).reduce(stricter)
            }
        }
    }
}

/// What is stale is marketing wherever it stands.
fn counted(known: Known) -> TemplateEntry {
    let marketing = TemplateEntry { category: Category::Marketing, ..known.entry };
    if known.stale { marketing } else { known.entry }
}
