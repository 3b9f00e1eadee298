//! The template catalogue: which category a template of an account has, as the provider lists it.
//!
//! Kept in the consent store, read from memory: the whole catalogue is swapped at once, so that a lookup takes no lock and allocates nothing.
//! Knows neither how the provider writes a list nor what follows from a category.

mod index;
mod stored;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Mutex;

use crate::consent::{Clock, Timestamp};
use crate::store::{ConsentStore, StoreError};
use crate::wire::classify::CatalogueAnswer;
use crate::wire::cloud::templates::ListedTemplate;
use index::Index;

/// The template catalogue. Cheap to clone; every clone sees the same catalogue.
#[derive(Clone)]
pub struct Catalogue {
    inner: Arc<Inner>,
}

struct Inner {
    store: ConsentStore,
    clock: Clock,
    held: ArcSwap<Held>,
    /// One replacement at a time: each builds on the one before.
    replacing: Mutex<()>,
}

/// One account's templates, as last replaced.
#[derive(Clone, Debug)]
pub struct AccountList {
    /// When they were.
    pub replaced_at: Timestamp,
    /// The templates, their languages in the spelling that sends use.
    pub templates: Vec<ListedTemplate>,
}

/// Every account's list, by the account's id.
pub type Accounts = BTreeMap<String, Arc<AccountList>>;

#[derive(Default)]
struct Held {
    accounts: Arc<Accounts>,
    index: Index,
    /// Whether it was ever read: before, an unknown template may well be known to the store.
    loaded: bool,
}

impl From<Accounts> for Held {
    fn from(accounts: Accounts) -> Self {
        Self { index: Index::of(&accounts), accounts: Arc::new(accounts), loaded: true }
    }
}

impl Catalogue {
    /// An empty catalogue, kept in a store; [`Catalogue::load`] fills it.
    pub fn new(store: ConsentStore, clock: Clock) -> Self {
        let (held, replacing) = (ArcSwap::default(), Mutex::default());
        Self { inner: Arc::new(Inner { store, clock, held, replacing }) }
    }

    /// Reads what the store keeps.
    ///
    /// A list that cannot be read is left out and reported in the log: its templates are unknown then, which is strict.
    pub async fn load(&self) -> Result<(), StoreError> {
        let _one_at_a_time = self.inner.replacing.lock().await;
        let mut accounts = Accounts::new();
        for (account, bytes) in self.inner.store.templates().await? {
            if let Some(list) = stored::decode(&bytes) {
                accounts.insert(account, Arc::new(list));
            } else {
                tracing::warn!(
                    account,
                    "the stored template list of an account cannot be read; import it again"
                );
            }
        }
        self.inner.held.store(Arc::new(accounts.into()));
        Ok(())
    }

    /// Replaces an account's list, in the store and then here; gives how many templates it has.
    ///
    /// # Cancel safety
    /// A dropped future leaves the catalogue as it was or replaced in the store only, to be read at the next [`Catalogue::load`].
    pub async fn replace(&self, account: &str, templates: Vec<ListedTemplate>) -> Result<usize, StoreError> {
        let templates: Vec<ListedTemplate> = templates.into_iter().map(in_the_spelling_of_sends).collect();
        let list = AccountList { replaced_at: self.inner.clock.now(), templates };
        let count = list.templates.len();
        let _one_at_a_time = self.inner.replacing.lock().await;
        self.inner.store.put_templates(account, stored::encode(&list)).await?;
        let mut accounts = Accounts::clone(&self.accounts());
        accounts.insert(account.to_owned(), Arc::new(list));
        self.inner.held.store(Arc::new(accounts.into()));
        Ok(count)
    }

    /// What is known of a template; name and language are compared byte for byte.
    ///
    /// Without an account, the strictest over all accounts that hold it.
    pub fn entry(&self, account: Option<&str>, name: &str, language: &str) -> CatalogueAnswer {
        let held = self.inner.held.load();
        held.index.entry(account, name, language).map_or(CatalogueAnswer::Unknown, CatalogueAnswer::Known)
    }

    /// Whether it has been read from the store. Before that, nothing may rest on a template's being unknown.
    pub fn is_loaded(&self) -> bool {
        self.inner.held.load().loaded
    }

    /// Every account's list.
    pub fn accounts(&self) -> Arc<Accounts> {
        Arc::clone(&self.inner.held.load().accounts)
    }

    /// How many templates are known, languages counted singly.
    pub fn count(&self) -> usize {
        self.accounts().values().map(|list| list.templates.len()).sum()
    }

    /// How long ago the oldest list was replaced; `None` while there is none.
    pub fn age(&self) -> Option<Duration> {
        let oldest = self.accounts().values().map(|list| list.replaced_at).min()?;
        Some(self.inner.clock.now().since(oldest))
    }
}

/// Lists write `en-US` here and there, sends must write `en_US`.
fn in_the_spelling_of_sends(mut template: ListedTemplate) -> ListedTemplate {
    template.language = template.language.replace('-', "_");
    template
}

#[cfg(test)]
mod tests;
