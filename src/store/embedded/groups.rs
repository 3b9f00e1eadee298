//! Groups in the file: one row for each mark.

use redb::{ReadableTable, TableDefinition, WriteTransaction};

use crate::store::StoreError;
use crate::store::groups::{GroupName, Marks, Renamed, holds};

use super::Embedded;
use super::jobs::Job;
use super::tables::{Bytes, Snapshot, note_dirty, read_failed, write_failed};

/// Tenant, group and mark -> its value.
pub(super) const GROUPS: TableDefinition<(u32, &str, Bytes), u64> = TableDefinition::new("groups");

/// What the writer does about groups.
pub(super) enum Change {
    Mark(Marks),
    Rename(Renamed),
}

impl Embedded {
    pub(in crate::store) async fn mark_group(&self, marks: Marks) -> Result<(), StoreError> {
        self.ask(Change::Mark(marks), Job::Group).await
    }

    pub(in crate::store) async fn rename_member(&self, renamed: Renamed) -> Result<(), StoreError> {
        self.ask(Change::Rename(renamed), Job::Group).await
    }

    pub(in crate::store) async fn group(&self, name: GroupName) -> Result<Vec<(Vec<u8>, u64)>, StoreError> {
        self.read(move |snapshot| snapshot.group(&name).map_err(read_failed)).await
    }
}

impl Snapshot {
    fn group(&self, name: &GroupName) -> Result<Vec<(Vec<u8>, u64)>, redb::Error> {
        rows(&self.transaction.open_table(GROUPS)?, name)
    }
}

fn rows(
    table: &impl ReadableTable<(u32, &'static str, Bytes), u64>,
    name: &GroupName,
) -> Result<Vec<(Vec<u8>, u64)>, redb::Error> {
    let mut found = Vec::new();
    for row in table.range((name.tenant, name.hash.as_str(), &[][..])..)? {
        let (key, value) = row?;
        let (tenant, hash, field) = key.value();
        if (tenant, hash) != (name.tenant, &name.hash) {
            break;
        }
        found.push((field.to_vec(), value.value()));
    }
    Ok(found)
}

fn key<'a>(group: &'a GroupName, field: &'a [u8]) -> (u32, &'a str, &'a [u8]) {
    (group.tenant, &group.hash, field)
}

/// Makes a change within a transaction.
pub(super) fn change(transaction: &WriteTransaction, change: &Change) -> Result<(), StoreError> {
    match change {
        Change::Mark(marks) => mark(transaction, marks),
        Change::Rename(renamed) => rename(transaction, renamed),
    }
    .map_err(write_failed)
}

fn mark(transaction: &WriteTransaction, marks: &Marks) -> Result<(), redb::Error> {
    let Marks { group, rows: told, forget_before } = marks;
    let mut table = transaction.open_table(GROUPS)?;
    for (field, value) in told {
        let kept = table.get(key(group, field))?.map_or(0, |kept| kept.value());
        if *value > kept {
            table.insert(key(group, field), value)?;
        }
    }
    for (field, value) in rows(&table, group)? {
        if !holds(value) && value < *forget_before {
            table.remove(key(group, &field))?;
        }
    }
    Ok(())
}

fn rename(transaction: &WriteTransaction, renamed: &Renamed) -> Result<(), redb::Error> {
    let Renamed { tenant, from, to } = renamed;
    let mut table = transaction.open_table(GROUPS)?;
    let mut found = Vec::new();
    for row in table.range((*tenant, "", &[][..])..(tenant.saturating_add(1), "", &[][..]))? {
        let (key, value) = row?;
        let (_, hash, field) = key.value();
        if field == from {
            found.push((hash.to_owned(), value.value()));
        }
    }
    for (hash, value) in &found {
        table.remove((*tenant, hash.as_str(), from.as_slice()))?;
        table.insert((*tenant, hash.as_str(), to.as_slice()), value)?;
    }
    // The name still stands in pages that are not in use any more.
    if found.is_empty() { Ok(()) } else { note_dirty(transaction) }
}
