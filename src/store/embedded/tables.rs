//! The tables of the file, how it is opened, and how a snapshot of it is read.

use std::io;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use redb::{
    AccessGuard, Database, DatabaseError, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable,
    StorageError, TableDefinition, WriteTransaction,
};

use crate::consent::dossier::Dossier;
use crate::consent::terms::Terms;
use crate::consent::{RecipientKey, TenantId};
use crate::store::file;
use crate::store::naming::{self, Form, Identity, Names, Naming};
use crate::store::place::Place;
use crate::store::wordings::{AllNumbers, listed};
use crate::store::{OpenError, StoreError};

use super::groups::GROUPS;
use super::notes;
use super::rewrite;
use super::row::Row;

pub(super) use file::{begin, prepare, read_failed, write_failed};

pub(super) type Bytes = &'static [u8];

/// Place -> [`Row`]: all that the hot path reads.
pub(super) const GATE: TableDefinition<Bytes, Bytes> = TableDefinition::new("gate");
/// The number that a row names -> dossier.
pub(super) const DOSSIERS: TableDefinition<u64, Bytes> = TableDefinition::new("dossiers");
/// Tenant's name -> its number. Rows are never removed, so a number is never given twice.
pub(super) const TENANTS: TableDefinition<&str, u32> = TableDefinition::new("tenants");
/// Tenant's number and wording version -> the version's number. Rows are never removed, so a number is never given twice.
pub(super) const WORDINGS: TableDefinition<(u32, &str), u8> = TableDefinition::new("wordings");
/// Account -> template list.
pub(super) const TEMPLATES: TableDefinition<&str, Bytes> = TableDefinition::new("templates");
/// Name -> secret.
pub(super) const SECRETS: TableDefinition<&str, [u8; 32]> = TableDefinition::new("secrets");
/// Tenant and moment -> checkpoint.
pub(super) const CHECKPOINTS: TableDefinition<(u32, u32), Bytes> = TableDefinition::new("checkpoints");
/// The hash of whoever said a stop -> until when its confirmation stays reserved.
pub(super) const CONFIRMED: TableDefinition<Bytes, u32> = TableDefinition::new("confirmed");
/// What the file says of itself.
pub(super) const META: TableDefinition<&str, u32> = TableDefinition::new("meta");
/// The entry of [`META`] that says whether recipients are kept as hashes.
const HASHED: &str = "recipients_hashed";
/// The entry of [`META`] that says whether somebody who was erased still stands in unused pages.
pub(super) const DIRTY: &str = "erased_in_unused_pages";

const FORMAT: u32 = 1;
/// Pages that redb keeps in memory; its own default is a gigabyte. The rest is left to the system's page cache.
const PAGE_CACHE_BYTES: usize = 256 * 1024 * 1024;

/// Opens or makes the file and gives the tenants their numbers.
pub(super) fn open(path: &Path, names: &Names) -> Result<(Database, Identity), OpenError> {
    prepare(path).map_err(|source| OpenError::NotAccessible { path: path.to_owned(), source })?;
    let database = builder().create(path).map_err(|error| refused(path, error))?;
    // Only now: before the file was locked, another process might have been writing it.
    rewrite::remove_leftover(path)
        .map_err(|source| OpenError::NotAccessible { path: rewrite::fresh_path(path), source })?;
    let unreadable = |source| OpenError::Unreadable { path: path.to_owned(), source: Some(Box::new(source)) };
    match initialize(&database, names).map_err(unreadable)? {
        Made::Usable(identity) => Ok((database, identity)),
        Made::Randomness(source) => Err(OpenError::Randomness { source }),
        Made::OtherFormat(found) => {
            Err(OpenError::WrongVersion { path: path.to_owned(), found, known: FORMAT })
        }
        Made::OtherForm(kept) => Err(OpenError::OtherForm { path: path.to_owned(), kept }),
        Made::OtherKey => Err(OpenError::OtherKey { path: path.to_owned() }),
    }
}

/// How files are opened and made.
pub(super) fn builder() -> redb::Builder {
    file::builder(PAGE_CACHE_BYTES)
}

/// Notes that somebody was erased, whose bytes are still in the file.
pub(super) fn note_dirty(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    transaction.open_table(META)?.insert(DIRTY, 1)?;
    Ok(())
}

/// What a file turned out to be.
enum Made {
    Usable(Identity),
    OtherFormat(u32),
    OtherForm(Form),
    OtherKey,
    Randomness(getrandom::Error),
}

#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "redb's errors, an open set: whatever else is wrong, the file cannot be read"
)]
fn refused(path: &Path, error: DatabaseError) -> OpenError {
    let path = path.to_owned();
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
            OpenError::Locked { path }
        }
        // "Invalid data" is how redb says that the file does not begin like one of its own.
        DatabaseError::Storage(StorageError::Io(source)) if source.kind() != io::ErrorKind::InvalidData => {
            OpenError::NotAccessible { path, source }
        }
        other => OpenError::Unreadable { path, source: Some(Box::new(other.into())) },
    }
}

/// Makes the tables that are missing. A file that cannot be used is left as it was.
fn initialize(database: &Database, names: &Names) -> Result<Made, redb::Error> {
    let transaction = begin(database)?;
    let made = make(&transaction, names)?;
    match made {
        Made::Usable(_) => transaction.commit()?,
        Made::OtherFormat(_) | Made::OtherForm(_) | Made::OtherKey | Made::Randomness(_) => {
            transaction.abort()?;
        }
    }
    Ok(made)
}

fn make(transaction: &WriteTransaction, names: &Names) -> Result<Made, redb::Error> {
    let mut meta = transaction.open_table(META)?;
    let noted = |name| -> Result<Option<u32>, redb::Error> { Ok(meta.get(name)?.map(|value| value.value())) };
    let (format, hashed) = (noted("format")?, noted(HASHED)?);
    if let Some(other) = format.filter(|format| *format != FORMAT) {
        return Ok(Made::OtherFormat(other));
    }
    // Files from before there was a choice keep numbers.
    let kept = Form::asked(hashed == Some(1));
    if kept != names.form && holds_anybody(&transaction.open_table(GATE)?)? {
        return Ok(Made::OtherForm(kept));
    }
    meta.insert("format", FORMAT)?;
    meta.insert(HASHED, u32::from(names.form == Form::Hashed))?;
    transaction.open_table(GATE)?;
    transaction.open_table(DOSSIERS)?;
    transaction.open_table(TEMPLATES)?;
    transaction.open_table(CHECKPOINTS)?;
    notes::make(transaction)?;
    if let Some(key) = &names.key {
        keep_secret(transaction, naming::SECRET, *key.danger_reveal())?;
    }
    transaction.open_table(CONFIRMED)?;
    transaction.open_table(GROUPS)?;
    let secret = match find_or_make_secret(transaction, naming::SECRET)? {
        Ok(secret) => secret,
        Err(error) => return Ok(Made::Randomness(error)),
    };
    if names.key.as_ref().is_some_and(|key| *key.danger_reveal() != secret) {
        return Ok(Made::OtherKey);
    }
    let tenants = number(transaction, &names.tenants)?;
    let terms = names.wordings.terms();
    names.wordings.settle(Arc::clone(&terms), &tenants, number_wordings(transaction, &tenants, &terms)?);
    Ok(Made::Usable(Identity { tenants, naming: Naming::new(names.form, secret) }))
}

/// Whether there is any row but the tenants' own. Those are few.
fn holds_anybody(gate: &impl ReadableTable<Bytes, Bytes>) -> Result<bool, redb::Error> {
    for row in gate.iter()? {
        if Place::from_bytes(row?.0.value()).is_none_or(|place| place.key != RecipientKey::Tenant) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A secret, made if there is none yet; the inner error says that the system gave no randomness.
pub(super) fn find_or_make_secret(
    transaction: &WriteTransaction,
    name: &str,
) -> Result<Result<[u8; 32], getrandom::Error>, redb::Error> {
    let mut secrets = transaction.open_table(SECRETS)?;
    if let Some(known) = secrets.get(name)?.map(|secret| secret.value()) {
        return Ok(Ok(known));
    }
    let mut secret = [0; 32];
    if let Err(error) = getrandom::fill(&mut secret) {
        return Ok(Err(error));
    }
    secrets.insert(name, secret)?;
    Ok(Ok(secret))
}

/// Keeps a secret that was given, unless there is one already; in a store that holds nobody it takes the other's place.
fn keep_secret(transaction: &WriteTransaction, name: &str, secret: [u8; 32]) -> Result<(), redb::Error> {
    let mut secrets = transaction.open_table(SECRETS)?;
    let known = secrets.get(name)?.is_some();
    if !known || !holds_anybody(&transaction.open_table(GATE)?)? {
        secrets.insert(name, secret)?;
    }
    Ok(())
}

/// The tenants' numbers; one that has none yet gets the next.
pub(super) fn number(
    transaction: &WriteTransaction,
    tenants: &[String],
) -> Result<Vec<TenantId>, redb::Error> {
    let mut table = transaction.open_table(TENANTS)?;
    let mut highest = 0;
    for row in table.iter()? {
        highest = highest.max(row?.1.value());
    }
    let mut numbers = Vec::with_capacity(tenants.len());
    for name in tenants {
        let known = table.get(name.as_str())?.map(|number| number.value());
        let number = known.unwrap_or_else(|| highest.saturating_add(1));
        if known.is_none() {
            table.insert(name.as_str(), number)?;
            highest = number;
        }
        numbers.push(TenantId(number));
    }
    Ok(numbers)
}

/// Gives listed versions the numbers that they lack, and reads all there are: a version that is listed no longer keeps its own.
pub(super) fn number_wordings(
    transaction: &WriteTransaction,
    tenants: &[TenantId],
    terms: &[Terms],
) -> Result<AllNumbers, redb::Error> {
    let mut table = transaction.open_table(WORDINGS)?;
    let mut all = AllNumbers::default();
    for row in table.iter()? {
        let (key, number) = row?;
        let (tenant, version) = key.value();
        all.entry(TenantId(tenant)).or_default().note(version.to_owned(), number.value());
    }
    for (place, tenant) in tenants.iter().enumerate() {
        let known = all.entry(*tenant).or_default();
        for version in listed(terms, place) {
            if known.of(Some(version)) == 0
                && let Some(number) = known.next()
            {
                table.insert((tenant.0, version), number)?;
                known.note(version.to_owned(), number);
            }
        }
    }
    Ok(all)
}

/// The file as of its last commit.
pub(super) struct Snapshot {
    pub(super) gate: ReadOnlyTable<Bytes, Bytes>,
    pub(super) transaction: ReadTransaction,
}

impl Snapshot {
    pub(super) fn of(database: &Database) -> Result<Self, redb::Error> {
        let transaction = database.begin_read()?;
        Ok(Self { gate: transaction.open_table(GATE)?, transaction })
    }

    /// The row of a place as it is stored.
    pub(super) fn row(&self, place: &Place) -> Result<Option<AccessGuard<'_, Bytes>>, StorageError> {
        self.gate.get(place.bytes().as_slice())
    }

    pub(super) fn dossier(&self, place: &Place) -> Result<Option<Dossier>, StoreError> {
        let dossiers = self.transaction.open_table(DOSSIERS).map_err(read_failed)?;
        match self.row(place).map_err(read_failed)? {
            Some(row) => dossier_of(&dossiers, row.value()),
            None => Ok(None),
        }
    }

    pub(super) fn page(
        &self,
        tenant: TenantId,
        after: Option<RecipientKey>,
        limit: usize,
    ) -> Result<Vec<(RecipientKey, Dossier)>, StoreError> {
        let dossiers = self.transaction.open_table(DOSSIERS).map_err(read_failed)?;
        let start = match after {
            Some(key) => Bound::Excluded(Place { tenant, key }.bytes()),
            None => Bound::Included(tenant.0.to_be_bytes().to_vec()),
        };
        let start = start.as_ref().map(Vec::as_slice);
        let mut page = Vec::new();
        for row in self.gate.range::<&[u8]>((start, Bound::Unbounded)).map_err(read_failed)? {
            let (key, row) = row.map_err(read_failed)?;
            let place = Place::from_bytes(key.value()).ok_or(StoreError::Unreadable)?;
            if place.tenant != tenant || page.len() >= limit {
                break;
            }
            if let Some(dossier) = dossier_of(&dossiers, row.value())? {
                page.push((place.key, dossier));
            }
        }
        Ok(page)
    }

    /// The first keys of a tenant that are wanted.
    pub(super) fn find(
        &self,
        tenant: TenantId,
        limit: usize,
        wanted: &dyn Fn(&RecipientKey) -> bool,
    ) -> Result<Vec<RecipientKey>, StoreError> {
        let mut found = Vec::new();
        for row in self.gate.range::<&[u8]>(&tenant.0.to_be_bytes()[..]..).map_err(read_failed)? {
            let (key, _) = row.map_err(read_failed)?;
            let place = Place::from_bytes(key.value()).ok_or(StoreError::Unreadable)?;
            if place.tenant != tenant || found.len() >= limit {
                break;
            }
            if wanted(&place.key) {
                found.push(place.key);
            }
        }
        Ok(found)
    }

    pub(super) fn template_list(&self, account: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let templates = self.transaction.open_table(TEMPLATES).map_err(read_failed)?;
        Ok(templates.get(account).map_err(read_failed)?.map(|list| list.value().to_vec()))
    }

    pub(super) fn templates(&self) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let templates = self.transaction.open_table(TEMPLATES).map_err(read_failed)?;
        let rows = templates.iter().map_err(read_failed)?;
        rows.map(|row| row.map(|(account, list)| (account.value().to_owned(), list.value().to_vec())))
            .collect::<Result<_, _>>()
            .map_err(read_failed)
    }

    /// Whether somebody who was erased still stands in unused pages.
    pub(super) fn is_dirty(&self) -> Result<bool, redb::Error> {
        let meta = self.transaction.open_table(META)?;
        Ok(meta.get(DIRTY)?.is_some_and(|dirty| dirty.value() != 0))
    }

    pub(super) fn secret(&self, name: &str) -> Result<Option<[u8; 32]>, StoreError> {
        let secrets = self.transaction.open_table(SECRETS).map_err(read_failed)?;
        let secret = secrets.get(name).map_err(read_failed)?;
        Ok(secret.map(|secret| secret.value()))
    }
}

/// The dossier behind a stored row; `None` for a tenant's own.
pub(super) fn dossier_of(
    dossiers: &impl ReadableTable<u64, Bytes>,
    row: &[u8],
) -> Result<Option<Dossier>, StoreError> {
    let Some(number) = Row::decode(row).ok_or(StoreError::Unreadable)?.dossier else { return Ok(None) };
    let stored = dossiers.get(number).map_err(read_failed)?.ok_or(StoreError::Unreadable)?;
    Dossier::decode(stored.value()).map(Some).ok_or(StoreError::Unreadable)
}
