//! Writing the file anew without what was erased.
//!
//! redb never writes over a page that is in use: it writes a changed copy elsewhere, and what the old page held stays in the file until the page happens to
//! be used again. So after an erasure everything that is still known is copied into a fresh file, a piece at a time between other work, and the fresh file
//! takes the place of the old one in one step. Dying at any moment leaves the old file as it was.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};

use redb::{
    Database, ReadableDatabase, ReadableTable, Table, TableDefinition, TableHandle, WriteTransaction,
};

use crate::store::place::Place;

use super::groups::GROUPS;
use super::notes::{NUMBERS, SENT, SUMS, TEXTS};
use super::row::Row;
use super::tables::{
    self, Bytes, CHECKPOINTS, CONFIRMED, DIRTY, DOSSIERS, GATE, META, SECRETS, TEMPLATES, TENANTS, WORDINGS,
};

/// How many people are copied between two looks at what else is to be done.
const PIECE: usize = 1_000;

/// Why a file could not be written anew; the old one is in use as before.
#[derive(Debug)]
pub(super) enum RewriteError {
    Database(redb::Error),
    File(io::Error),
    /// A table that nobody here copies: leaving it out would lose it.
    UnknownTable(String),
}

impl fmt::Display for RewriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database(_) => f.write_str("reading the old file or writing the fresh one failed"),
            Self::File(_) => f.write_str("the fresh file could not be made or put in place"),
            Self::UnknownTable(name) => {
                write!(f, "the file has a table that this program does not know: {name}")
            }
        }
    }
}

impl std::error::Error for RewriteError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Database(source) => Some(source),
            Self::File(source) => Some(source),
            Self::UnknownTable(_) => None,
        }
    }
}

impl<E: Into<redb::Error>> From<E> for RewriteError {
    fn from(error: E) -> Self {
        Self::Database(error.into())
    }
}

/// Whether everything was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    More,
    Complete,
}

/// A fresh file in the making.
pub(super) struct Rewrite {
    fresh: Database,
    target: PathBuf,
    /// The last place that was copied.
    copied_to: Option<Vec<u8>>,
    complete: bool,
    /// Places that were copied and have changed since.
    changed: BTreeSet<Vec<u8>>,
    /// The number of the next dossier in the fresh file.
    next: u64,
}

/// Where a store's fresh file stands while it is made.
pub(super) fn fresh_path(target: &Path) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(".fresh");
    PathBuf::from(name)
}

/// Removes what a process left that died while it wrote a file anew.
pub(super) fn remove_leftover(target: &Path) -> io::Result<()> {
    match fs::remove_file(fresh_path(target)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

impl Rewrite {
    /// Begins an empty file beside the old one.
    pub(super) fn begin(target: &Path) -> Result<Self, RewriteError> {
        remove_leftover(target).map_err(RewriteError::File)?;
        let path = fresh_path(target);
        tables::prepare(&path).map_err(RewriteError::File)?;
        let fresh = tables::builder().create(&path)?;
        Ok(Self {
            fresh,
            target: target.to_owned(),
            copied_to: None,
            complete: false,
            changed: BTreeSet::new(),
            next: 0,
        })
    }

    /// Takes in that a place of the old file was written: it is copied again if it was copied before.
    pub(super) fn note(&mut self, place: &Place) {
        let place = place.bytes();
        if self.complete || self.copied_to.as_ref().is_some_and(|to| *to >= place) {
            self.changed.insert(place);
        }
    }

    /// Copies a piece of the old file as it is now.
    pub(super) fn step(&mut self, old: &Database) -> Result<Progress, RewriteError> {
        let read = old.begin_read()?;
        let (gate, dossiers) = (read.open_table(GATE)?, read.open_table(DOSSIERS)?);
        let write = self.fresh.begin_write()?;
        {
            let mut copy = Copy {
                gate: write.open_table(GATE)?,
                dossiers: write.open_table(DOSSIERS)?,
                next: self.next,
            };
            if self.complete {
                for _ in 0..PIECE {
                    let Some(place) = self.changed.pop_first() else { break };
                    let row = gate.get(place.as_slice())?;
                    copy.put(&place, row.as_ref().map(redb::AccessGuard::value), &dossiers)?;
                }
            } else {
                let from = self.copied_to.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
                let mut rows = gate.range::<&[u8]>((from, Bound::Unbounded))?;
                let mut last = None;
                for _ in 0..PIECE {
                    let Some(row) = rows.next() else {
                        self.complete = true;
                        break;
                    };
                    let (place, row) = row?;
                    copy.put(place.value(), Some(row.value()), &dossiers)?;
                    last = Some(place.value().to_vec());
                }
                self.copied_to = last.or(self.copied_to.take());
            }
            self.next = copy.next;
        }
        write.commit()?;
        let done = self.complete && self.changed.is_empty();
        Ok(if done { Progress::Complete } else { Progress::More })
    }

    /// Copies the small tables and puts the fresh file in the place of the old one; to be called when a step was complete and nothing was written since.
    ///
    /// `dirty` says that somebody was erased after they were copied.
    pub(super) fn finish(self, old: &Database, dirty: bool) -> Result<Database, RewriteError> {
        let read = old.begin_read()?;
        let known = [
            GATE.name(),
            DOSSIERS.name(),
            TENANTS.name(),
            WORDINGS.name(),
            TEMPLATES.name(),
            SECRETS.name(),
            CHECKPOINTS.name(),
            CONFIRMED.name(),
            META.name(),
            NUMBERS.name(),
            TEXTS.name(),
            SUMS.name(),
            SENT.name(),
            GROUPS.name(),
        ];
        if let Some(unknown) = read.list_tables()?.find(|table| !known.contains(&table.name())) {
            return Err(RewriteError::UnknownTable(unknown.name().to_owned()));
        }
        let write = tables::begin(&self.fresh)?;
        copy_all(&write, &read.open_table(TENANTS)?, TENANTS)?;
        copy_all(&write, &read.open_table(WORDINGS)?, WORDINGS)?;
        copy_all(&write, &read.open_table(TEMPLATES)?, TEMPLATES)?;
        copy_all(&write, &read.open_table(SECRETS)?, SECRETS)?;
        copy_all(&write, &read.open_table(CHECKPOINTS)?, CHECKPOINTS)?;
        copy_all(&write, &read.open_table(CONFIRMED)?, CONFIRMED)?;
        copy_all(&write, &read.open_table(META)?, META)?;
        copy_all(&write, &read.open_table(NUMBERS)?, NUMBERS)?;
        copy_all(&write, &read.open_table(TEXTS)?, TEXTS)?;
        copy_all(&write, &read.open_table(SUMS)?, SUMS)?;
        copy_all(&write, &read.open_table(SENT)?, SENT)?;
        copy_all(&write, &read.open_table(GROUPS)?, GROUPS)?;
        write.open_table(META)?.insert(DIRTY, u32::from(dirty))?;
        write.commit()?;
        fs::rename(fresh_path(&self.target), &self.target).map_err(RewriteError::File)?;
        // From here on the fresh file is the store, whatever the system says about its folder.
        if let Some(Err(error)) =
            self.target.parent().map(|folder| File::open(folder).and_then(|f| f.sync_all()))
        {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the folder of the consent store was not synced"
            );
        }
        Ok(self.fresh)
    }
}

/// The tables of the fresh file that hold people.
struct Copy<'t> {
    gate: Table<'t, Bytes, Bytes>,
    dossiers: Table<'t, u64, Bytes>,
    next: u64,
}

impl Copy<'_> {
    /// Makes a place what the old file says of it.
    fn put(
        &mut self,
        place: &[u8],
        row: Option<&[u8]>,
        dossiers: &impl ReadableTable<u64, Bytes>,
    ) -> Result<(), RewriteError> {
        let before = self.gate.get(place)?.and_then(|row| Row::decode(row.value())?.dossier);
        let Some(row) = row else {
            self.gate.remove(place)?;
            before.map(|number| self.dossiers.remove(number)).transpose()?;
            return Ok(());
        };
        // What cannot be read is kept as it is: it stays unreadable and refuses.
        let Some(Row { gate, dossier: Some(number) }) = Row::decode(row) else {
            self.gate.insert(place, row)?;
            return Ok(());
        };
        let fresh = before.unwrap_or(self.next);
        self.next = self.next.max(fresh.saturating_add(1));
        if let Some(dossier) = dossiers.get(number)? {
            self.dossiers.insert(fresh, dossier.value())?;
        }
        self.gate.insert(place, Row { gate, dossier: Some(fresh) }.encode().as_slice())?;
        Ok(())
    }
}

fn copy_all<K: redb::Key + 'static, V: redb::Value + 'static>(
    write: &WriteTransaction,
    from: &impl ReadableTable<K, V>,
    table: TableDefinition<'static, K, V>,
) -> Result<(), RewriteError> {
    let mut to = write.open_table(table)?;
    for row in from.iter()? {
        let (key, value) = row?;
        to.insert(key.value(), value.value())?;
    }
    Ok(())
}
