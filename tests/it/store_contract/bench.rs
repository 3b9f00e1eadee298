//! A place where a store is opened, closed and opened again.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use optgate::consent::{Clock, RecipientKey, Timestamp};
use optgate::store::{ConsentStore, Form, Kind, OpenError, Settings};
use tempfile::TempDir;

use crate::support::redis::{Redis, Reply};

/// The tenants of every bench, by their place.
pub(crate) const ACME: usize = 0;
pub(crate) const UMBRELLA: usize = 1;

/// Where one store's data lives while a test runs.
pub(crate) enum Bench {
    Folder(TempDir),
    Server(Redis),
}

impl Bench {
    pub(crate) fn embedded() -> Self {
        Self::Folder(tempfile::tempdir().unwrap())
    }

    pub(crate) fn redis() -> Self {
        // Values on disk as they are, so that they can be searched.
        Self::Server(Redis::with(&["appendonly yes", "appendfsync no", "rdbcompression no"]))
    }

    /// An empty one of the same kind.
    pub(crate) fn another(&self) -> Self {
        match self {
            Self::Folder(_) => Self::embedded(),
            Self::Server(_) => Self::redis(),
        }
    }

    /// Takes away what a server counts tombstones by; an embedded store has no count.
    pub(crate) fn lose_the_count(&self) {
        if let Self::Server(server) = self {
            assert_eq!(server.command(&["DEL", "og:erasures:{og}"]), Reply::Integer(1));
        }
    }

    /// The embedded store's file.
    pub(crate) fn file(&self) -> PathBuf {
        match self {
            Self::Folder(folder) => folder.path().join("consent.redb"),
            Self::Server(_) => panic!("Redis has no file here"),
        }
    }

    pub(crate) fn settings(&self) -> Settings {
        match self {
            Self::Folder(_) => settings(&self.file()),
            Self::Server(server) => redis_settings(server.addr()),
        }
    }

    pub(crate) async fn open(&self) -> ConsentStore {
        self.try_open().await.unwrap()
    }

    pub(crate) async fn try_open(&self) -> Result<ConsentStore, OpenError> {
        ConsentStore::open(self.settings(), Clock::System).await
    }

    /// The store, kept as `form` says, at which it is always `now`.
    pub(crate) async fn open_at(&self, form: Form, now: Timestamp) -> ConsentStore {
        let settings = Settings { form, ..self.settings() };
        ConsentStore::open(settings, Clock::manual(now)).await.unwrap()
    }

    /// Every byte of the store, which must be closed: the file, or all keys and values of the server and what it has on disk.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Folder(folder) => {
                let files = std::fs::read_dir(folder.path()).unwrap();
                files.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
            }
            Self::Server(server) => [of_server(server), server.files()].concat(),
        }
    }

    /// Every key and value of the server, whatever stands in its files.
    pub(crate) fn values(&self) -> Vec<u8> {
        match self {
            Self::Folder(_) => self.bytes(),
            Self::Server(server) => of_server(server),
        }
    }

    /// The same without waiting for the store to close: enough to see that a search finds what is there.
    pub(crate) fn bytes_while_open(&self) -> Vec<u8> {
        self.bytes()
    }

    /// Has the server write its append-only file anew, as an operator does who wants the old bytes gone.
    pub(crate) fn forget_old_bytes(&self) {
        if let Self::Server(server) = self {
            server.rewrite_files();
        }
    }

    /// Puts bytes where a recipient's gate record stands; the store must be closed.
    pub(crate) fn spoil_gate_record(&self, tenant: u32, key: &RecipientKey, bytes: &[u8]) {
        if let Self::Server(server) = self {
            let place = [format!("og:c:{{{tenant}.").as_bytes(), key.bytes(), b"}"].concat();
            server.command(&[b"SET", place.as_slice(), bytes]);
            return;
        }
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

/// All keys and values, whatever their type.
fn of_server(server: &Redis) -> Vec<u8> {
    let Reply::Array(keys) = server.command(&["KEYS", "*"]) else { panic!("no keys") };
    let mut bytes = Vec::new();
    for key in keys {
        let Reply::Bulk(Some(key)) = key else { panic!("no key") };
        bytes.extend_from_slice(&key);
        let Reply::Bulk(Some(value)) = server.command(&[b"DUMP", key.as_slice()]) else { panic!("no value") };
        bytes.extend_from_slice(&value);
    }
    bytes
}

/// The settings of a store on a Redis server.
pub(crate) fn redis_settings(addr: SocketAddr) -> Settings {
    let server = optgate::store::redis::Settings {
        host: addr.ip().to_string(),
        port: addr.port(),
        tls: None,
        username: None,
        password: None,
        database: 0,
        wait_replicas: 0,
    };
    Settings { kind: Kind::Redis(server), ..settings(Path::new("")) }
}

/// The settings of an embedded store whose lookups may take as long as a busy machine needs.
pub(crate) fn settings(file: &Path) -> Settings {
    Settings {
        kind: Kind::Embedded { path: file.to_owned() },
        lookup_deadline: Duration::from_secs(10),
        cache_capacity: 100_000,
        tenants: vec!["acme".into(), "umbrella".into()],
        terms: Vec::new(),
        form: Form::Plain,
        recipients_key: None,
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
