//! Notes about senders in the file.

use std::collections::BTreeMap;

use redb::{ReadableTable, TableDefinition, WriteTransaction};

use crate::store::StoreError;
use crate::store::notes::{BLOCK_BYTES, Block, Filter, Known, Notes, SENT_DAYS, SUM_DAYS, Sum};

use super::Embedded;
use super::jobs::Job;
use super::tables::{Bytes, Snapshot, read_failed, write_failed};

/// Name -> number.
pub(super) const NUMBERS: TableDefinition<&str, u64> = TableDefinition::new("sender_numbers");
/// Name -> text.
pub(super) const TEXTS: TableDefinition<&str, Bytes> = TableDefinition::new("sender_texts");
/// Day and name -> sum.
pub(super) const SUMS: TableDefinition<(u32, &str), u64> = TableDefinition::new("sender_sums");
/// Day, blocks of the filter and block -> its bits.
pub(super) const SENT: TableDefinition<(u32, u32, u32), [u8; BLOCK_BYTES]> =
    TableDefinition::new("sent_messages");

impl Embedded {
    pub(in crate::store) async fn note(&self, notes: Notes) -> Result<(), StoreError> {
        self.ask(notes, Job::Note).await
    }

    pub(in crate::store) async fn notes(&self) -> Result<Known, StoreError> {
        self.read(Snapshot::notes).await
    }

    pub(in crate::store) async fn sums(&self, from: u32, today: u32) -> Result<Vec<Sum>, StoreError> {
        self.read(move |snapshot| snapshot.sums(from, today)).await
    }

    pub(in crate::store) async fn sent(&self, asked: Vec<(Filter, u32)>) -> Result<Vec<Block>, StoreError> {
        self.read(move |snapshot| snapshot.sent(&asked)).await
    }
}

/// Makes the tables, so that a reader finds them.
pub(super) fn make(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    transaction.open_table(NUMBERS)?;
    transaction.open_table(TEXTS)?;
    transaction.open_table(SUMS)?;
    transaction.open_table(SENT)?;
    Ok(())
}

/// Keeps notes within a transaction.
pub(super) fn put(transaction: &WriteTransaction, notes: &Notes) -> Result<(), StoreError> {
    write(transaction, notes).map_err(write_failed)
}

fn write(transaction: &WriteTransaction, notes: &Notes) -> Result<(), redb::Error> {
    let mut numbers = transaction.open_table(NUMBERS)?;
    for (name, number) in &notes.raised {
        let kept = numbers.get(name.as_str())?.map_or(0, |kept| kept.value());
        if *number > kept {
            numbers.insert(name.as_str(), number)?;
        }
    }
    let mut texts = transaction.open_table(TEXTS)?;
    for (name, text) in &notes.texts {
        texts.insert(name.as_str(), text.as_slice())?;
    }
    let mut sums = transaction.open_table(SUMS)?;
    for (day, name, more) in &notes.sums {
        let kept = sums.get((*day, name.as_str()))?.map_or(0, |kept| kept.value());
        sums.insert((*day, name.as_str()), kept.saturating_add(*more))?;
    }
    let oldest = notes.today.saturating_sub(SUM_DAYS - 1);
    sums.retain_in::<(u32, &str), _>(..(oldest, ""), |_, _| false)?;
    mark(transaction, notes)
}

fn mark(transaction: &WriteTransaction, notes: &Notes) -> Result<(), redb::Error> {
    let mut sent = transaction.open_table(SENT)?;
    let mut blocks: BTreeMap<(u32, u32, u32), Block> = BTreeMap::new();
    for mark in &notes.sent {
        let key = (mark.filter.day, mark.filter.blocks, mark.block);
        let block = match blocks.entry(key) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(sent.get(key)?.map_or([0; BLOCK_BYTES], |kept| kept.value()))
            }
        };
        mark.set_in(block);
    }
    for (key, block) in blocks {
        sent.insert(key, block)?;
    }
    let oldest = notes.today.saturating_sub(SENT_DAYS - 1);
    sent.retain_in(..(oldest, 0, 0), |_, _| false)?;
    Ok(())
}

impl Snapshot {
    fn notes(&self) -> Result<Known, StoreError> {
        let numbers = self.transaction.open_table(NUMBERS).map_err(read_failed)?;
        let texts = self.transaction.open_table(TEXTS).map_err(read_failed)?;
        let mut known = Known::default();
        for row in numbers.iter().map_err(read_failed)? {
            let (name, number) = row.map_err(read_failed)?;
            known.numbers.push((name.value().to_owned(), number.value()));
        }
        for row in texts.iter().map_err(read_failed)? {
            let (name, text) = row.map_err(read_failed)?;
            known.texts.push((name.value().to_owned(), text.value().to_vec()));
        }
        Ok(known)
    }

    fn sums(&self, from: u32, today: u32) -> Result<Vec<Sum>, StoreError> {
        let table = self.transaction.open_table(SUMS).map_err(read_failed)?;
        let end = today.saturating_add(1);
        let rows = table.range::<(u32, &str)>((from, "")..(end, "")).map_err(read_failed)?;
        rows.map(|row| {
            let (key, sum) = row?;
            let (day, name) = key.value();
            Ok((day, name.to_owned(), sum.value()))
        })
        .collect::<Result<_, redb::StorageError>>()
        .map_err(read_failed)
    }

    fn sent(&self, asked: &[(Filter, u32)]) -> Result<Vec<Block>, StoreError> {
        let table = self.transaction.open_table(SENT).map_err(read_failed)?;
        let block = |(filter, block): &(Filter, u32)| {
            let kept = table.get((filter.day, filter.blocks, *block))?;
            Ok(kept.map_or([0; BLOCK_BYTES], |kept| kept.value()))
        };
        asked.iter().map(block).collect::<Result<_, redb::StorageError>>().map_err(read_failed)
    }
}
