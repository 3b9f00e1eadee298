//! A place where a store is opened, closed and opened again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use optgate::consent::{Clock, RecipientKey};
use optgate::store::{ConsentStore, Kind, OpenError, Settings};
use tempfile::TempDir;

/// The tenants of every bench, by their place.
pub(crate) const ACME: usize = 0;
pub(crate) const UMBRELLA: usize = 1;

/// Where one store's data lives while a test runs.
pub(crate) struct Bench {
    folder: TempDir,
}

impl Bench {
    pub(crate) fn embedded() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("consent.redb")
    }

    pub(crate) fn settings(&self) -> Settings {
        settings(&self.file())
    }

    pub(crate) async fn open(&self) -> ConsentStore {
        self.try_open().await.unwrap()
    }

    pub(crate) async fn try_open(&self) -> Result<ConsentStore, OpenError> {
        ConsentStore::open(self.settings(), Clock::System).await
    }

    /// Puts bytes where a recipient's gate record stands; the store must be closed.
    pub(crate) fn spoil_gate_record(&self, tenant: u32, key: &RecipientKey, bytes: &[u8]) {
        let place = [&tenant.to_be_bytes()[..], key.bytes()].concat();
        self.write_raw("gate", |transaction| {
            let gate = redb::TableDefinition::<&[u8], &[u8]>::new("gate");
            transaction.open_table(gate).unwrap().insert(place.as_slice(), bytes).unwrap();
        });
    }

    /// Changes the file behind the store's back.
    pub(crate) fn write_raw(&self, what: &str, change: impl FnOnce(&redb::WriteTransaction)) {
        let database = redb::Database::open(self.file()).unwrap_or_else(|e| panic!("{what}: {e}"));
        let transaction = database.begin_write().unwrap();
        change(&transaction);
        transaction.commit().unwrap();
    }
}

/// The settings of an embedded store whose lookups may take as long as a busy machine needs.
pub(crate) fn settings(file: &Path) -> Settings {
    Settings {
        kind: Kind::Embedded { path: file.to_owned() },
        lookup_deadline: Duration::from_secs(10),
        cache_capacity: 100_000,
        tenants: vec!["acme".into(), "umbrella".into()],
    }
}

/// An error with everything behind it, as a log line shows it.
pub(crate) fn described(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
