//! The template catalogue: which category a template of an account has, as the provider lists it and changes it.
//!
//! Kept in the consent store, read from memory: what is known of an account is swapped at once, so that a lookup takes no lock and allocates nothing.
//! Three things keep it true: the whole list, read in the background (the keeper); webhooks ([`Catalogue::learn`]); and a look-up of what a send
//! names and nobody knows ([`Catalogue::seek`]). Knows neither how the provider writes a list nor what follows from a category.

mod account;
mod entry;
mod index;
mod keeper;
mod pace;
mod provider;
mod scout;
mod settings;
mod stored;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Mutex;

use crate::consent::{Clock, Timestamp};
use crate::store::{ConsentStore, StoreError};
use crate::wire::classify::CatalogueAnswer;
use crate::wire::cloud::templates::ListedTemplate;
use crate::wire::webhook::{TemplateNews, TemplateNotice};

pub use account::{AccountList, Row};
pub use entry::{Announced, Source};
pub use keeper::keep;
pub use provider::{Provider, Tokens};
pub use settings::Settings;

use account::Reading;
use index::{Index, Kept};
use scout::Scout;

/// How often a change is made anew because another node was faster.
const ATTEMPTS: usize = 32;

/// The template catalogue. Cheap to clone; every clone sees the same catalogue.
#[derive(Clone)]
pub struct Catalogue {
    inner: Arc<Inner>,
}

struct Inner {
    store: ConsentStore,
    clock: Clock,
    settings: Settings,
    held: ArcSwap<Held>,
    /// One change at a time: each builds on the one before.
    changing: Mutex<()>,
    /// Looks up what is not known; there is none without a token.
    scout: OnceLock<Arc<Scout>>,
}

/// Every account's list, by the account's id.
pub type Accounts = BTreeMap<String, Arc<AccountList>>;

#[derive(Default)]
struct Held {
    accounts: BTreeMap<String, Arc<Kept>>,
    index: Index,
    /// Whether it was ever read: before, an unknown template may well be known to the store.
    loaded: bool,
}

impl Catalogue {
    /// An empty catalogue, kept in a store; [`Catalogue::load`] fills it.
    pub fn new(store: ConsentStore, clock: Clock, settings: Settings) -> Self {
        let (held, changing, scout) = (ArcSwap::default(), Mutex::default(), OnceLock::new());
        Self { inner: Arc::new(Inner { store, clock, settings, held, changing, scout }) }
    }

    /// Reads what the store keeps.
    ///
    /// A list that cannot be read is left out and reported in the log: its templates are unknown then, which is strict.
    pub async fn load(&self) -> Result<(), StoreError> {
        let _one_at_a_time = self.inner.changing.lock().await;
        let mut accounts = BTreeMap::new();
        let before = self.inner.held.load();
        for (account, bytes) in self.inner.store.templates().await? {
            let Some(list) = decode(&account, &bytes) else { continue };
            let same = before.accounts.get(&account).filter(|kept| *kept.list == list);
            let kept = same.cloned().unwrap_or_else(|| self.kept(list));
            accounts.insert(account, kept);
        }
        self.hold(accounts, true);
        Ok(())
    }

    /// Replaces the list that the operator gave of an account, in the store and then here; gives how many templates it has.
    ///
    /// # Cancel safety
    /// A dropped future leaves the catalogue as it was or replaced in the store only, to be read at the next [`Catalogue::load`].
    pub async fn replace(&self, account: &str, templates: Vec<ListedTemplate>) -> Result<usize, StoreError> {
        let now = self.inner.clock.now();
        self.change(account, |list| list.import(templates.clone(), now)).await
    }

    /// Learns what webhooks tell of templates. Returns once it is kept in the store and in force here.
    pub async fn learn(&self, notices: &[TemplateNotice]) -> Result<(), StoreError> {
        let mut by_account: BTreeMap<&str, Vec<&TemplateNotice>> = BTreeMap::new();
        for notice in notices {
            by_account.entry(&notice.account).or_default().push(notice);
        }
        for (account, notices) in by_account {
            let heard = self
                .change(account, |list| {
                    let hear = |notice: &&TemplateNotice| (list.hear(notice), list.is_in_doubt(notice));
                    notices.iter().map(hear).collect::<Vec<_>>()
                })
                .await?;
            if let Some(scout) = self.inner.scout.get() {
                for (notice, (listed, in_doubt)) in notices.iter().zip(heard) {
                    if !listed || in_doubt || notice.what == TemplateNews::Rewritten {
                        scout.read_again(self, (account, &notice.name), listed);
                    }
                }
            }
        }
        Ok(())
    }

    /// What is known of a template; name and language are compared byte for byte.
    ///
    /// Without an account, the strictest over all accounts that hold it.
    pub fn entry(&self, account: Option<&str>, name: &str, language: &str) -> CatalogueAnswer {
        let held = self.inner.held.load();
        held.index.entry(account, name, language).map_or(CatalogueAnswer::Unknown, CatalogueAnswer::Known)
    }

    /// Looks up a template that [`Catalogue::entry`] does not know, and waits a little for it; many who seek the same wait for one look-up.
    ///
    /// # Cancel safety
    /// A dropped future leaves the look-up running for others.
    pub async fn seek(&self, account: &str, name: &str, language: &str) -> CatalogueAnswer {
        if let Some(scout) = self.inner.scout.get().filter(|_| self.is_loaded()) {
            scout.seek(self, account, name).await;
        }
        self.entry(Some(account), name, language)
    }

    /// Reads other accounts from the provider from now on, or the same with other tokens.
    pub fn read_with(&self, tokens: Tokens) {
        if let Some(scout) = self.inner.scout.get() {
            scout.serve(tokens);
        }
    }

    /// Whether it has been read from the store. Before that, nothing may rest on a template's being unknown.
    pub fn is_loaded(&self) -> bool {
        self.inner.held.load().loaded
    }

    /// Every account's list.
    pub fn accounts(&self) -> Arc<Accounts> {
        let held = self.inner.held.load();
        Arc::new(held.accounts.iter().map(|(id, kept)| (id.clone(), Arc::clone(&kept.list))).collect())
    }

    /// How the templates of a list are judged now.
    pub fn rows(&self, list: &AccountList) -> Vec<Row> {
        list.rows(self.inner.clock.now(), self.inner.settings.stale_after)
    }

    /// How many templates are known, languages counted singly.
    pub fn count(&self) -> usize {
        self.inner.held.load().accounts.values().map(|kept| kept.count).sum()
    }

    /// How long ago the oldest list was whole; `None` while there is none.
    pub fn age(&self) -> Option<Duration> {
        let held = self.inner.held.load();
        let oldest = held.accounts.values().filter_map(|kept| kept.list.whole_at()).min()?;
        Some(self.inner.clock.now().since(oldest))
    }

    /// How long ago each account's list was whole, by who gave it. One that should be read and never was is as old as the gate.
    pub fn ages(&self) -> Vec<(String, Source, Duration)> {
        let now = self.inner.clock.now();
        let accounts = self.accounts();
        let scout = self.inner.scout.get();
        let mut ages = Vec::new();
        for (account, list) in accounts.iter() {
            let imported = list.replaced_at.map(|at| (account.clone(), Source::Operator, now.since(at)));
            let read = list.synced_at.map(|at| (account.clone(), Source::Provider, now.since(at)));
            ages.extend(imported.into_iter().chain(read));
        }
        for (account, began) in scout.map(|scout| scout.accounts()).unwrap_or_default() {
            if accounts.get(&account).is_none_or(|list| list.synced_at.is_none()) {
                ages.push((account, Source::Provider, now.since(began)));
            }
        }
        ages
    }

    /// Takes in what was read from the provider.
    async fn take_in(&self, account: &str, reading: Reading) -> Result<(), StoreError> {
        self.change(account, |list| list.merge(reading.clone())).await
    }

    /// Makes a change to what the store has of an account, then here. It is made anew if another node was faster, and nothing is written if it changes nothing.
    async fn change<T>(
        &self,
        account: &str,
        change: impl Fn(&mut AccountList) -> T,
    ) -> Result<T, StoreError> {
        let _one_at_a_time = self.inner.changing.lock().await;
        for _ in 0..ATTEMPTS {
            let stored = self.inner.store.template_list(account).await?;
            let before = stored.as_deref().and_then(|bytes| decode(account, bytes));
            let mut list = before.clone().unwrap_or_default();
            let outcome = change(&mut list);
            let changes = before.as_ref().unwrap_or(&AccountList::default()) != &list;
            if changes && !self.inner.store.swap_templates(account, stored, stored::encode(&list)).await? {
                continue;
            }
            let held = self.inner.held.load();
            if held.accounts.get(account).map_or(changes, |kept| *kept.list != list) {
                let mut accounts = held.accounts.clone();
                accounts.insert(account.to_owned(), self.kept(list));
                self.hold(accounts, held.loaded);
            }
            return Ok(outcome);
        }
        Err(StoreError::Contended)
    }

    /// Judges anew what time has changed: what was announced is due, or a list has grown stale. Gives the names whose announced change came into force since
    /// `since`, by account.
    async fn keep_up_with_time(&self, since: Timestamp) -> Vec<(String, String)> {
        let now = self.inner.clock.now();
        let passed = |kept: &Kept| kept.changes_at.is_some_and(|at| at <= now);
        if !self.inner.held.load().accounts.values().any(|kept| passed(kept)) {
            return Vec::new();
        }
        let _one_at_a_time = self.inner.changing.lock().await;
        let mut accounts = self.inner.held.load().accounts.clone();
        let mut due = Vec::new();
        for (account, kept) in accounts.iter_mut().filter(|(_, kept)| passed(kept)) {
            let names = kept.list.came_due(since, now);
            due.extend(names.into_iter().map(|name| (account.clone(), name)));
            *kept = Arc::new(Kept::of(Arc::clone(&kept.list), now, self.inner.settings.stale_after));
        }
        let loaded = self.inner.held.load().loaded;
        self.hold(accounts, loaded);
        due
    }

    fn kept(&self, list: AccountList) -> Arc<Kept> {
        Arc::new(Kept::of(Arc::new(list), self.inner.clock.now(), self.inner.settings.stale_after))
    }

    fn hold(&self, accounts: BTreeMap<String, Arc<Kept>>, loaded: bool) {
        self.inner.held.store(Arc::new(Held { index: Index::of(&accounts), accounts, loaded }));
    }
}

fn decode(account: &str, bytes: &[u8]) -> Option<AccountList> {
    let list = stored::decode(bytes);
    if list.is_none() {
        tracing::warn!(account, "the stored template list of an account cannot be read; import it again");
    }
    list
}

#[cfg(test)]
mod tests;
