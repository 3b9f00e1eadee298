//! A redb file, whatever stands in it: who may read it, how it is opened and written, and what its errors mean. Knows no table.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use redb::{Database, WriteTransaction};

use super::StoreError;

/// Makes the folder, and the file readable by this user alone: it holds personal data.
pub(super) fn prepare(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

/// How a file is opened and made that keeps so many bytes of its pages in memory.
pub(super) fn builder(page_cache_bytes: usize) -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(page_cache_bytes);
    builder
}

/// Begins a transaction that is on disk when it is committed, and that costs nothing to recover after a crash.
pub(super) fn begin(database: &Database) -> Result<WriteTransaction, redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(redb::Durability::Immediate)?;
    transaction.set_quick_repair(true);
    Ok(transaction)
}

pub(super) fn read_failed(error: impl Into<redb::Error>) -> StoreError {
    StoreError::Read(Arc::new(error.into()))
}

pub(super) fn write_failed(error: impl Into<redb::Error>) -> StoreError {
    StoreError::Write(Arc::new(error.into()))
}
