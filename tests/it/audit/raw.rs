//! The bytes of a real store, behind the back of the gate that owns it.

use std::path::PathBuf;

use crate::support::gate::{Gate, GateBuilder};
use crate::support::redis::{Redis, Reply};
use tempfile::TempDir;

/// A gate and its store.
pub(super) enum Desk {
    /// The file is changed while no gate runs.
    Embedded { folder: Option<TempDir>, gate: Option<Gate> },
    /// Rows are changed while the gate runs.
    Redis { server: Redis, gate: Option<Gate> },
}

const TENANT: u32 = 1;

type Bytes = &'static [u8];

impl Desk {
    pub(super) fn embedded() -> Self {
        let mut desk = Self::Embedded { folder: None, gate: None };
        desk.open();
        desk
    }

    pub(super) fn redis() -> Self {
        let mut desk = Self::Redis { server: Redis::start(), gate: None };
        desk.open();
        desk
    }

    pub(super) fn both() -> [Self; 2] {
        [Self::embedded(), Self::redis()]
    }

    fn builder() -> GateBuilder {
        Gate::to("http://127.0.0.1:9").set("audit", "grace_seconds", "4").set(
            "audit",
            "checkpoint_every_seconds",
            "0",
        )
    }

    /// Starts a gate on the store.
    pub(super) fn open(&mut self) {
        match self {
            Self::Embedded { folder, gate } => {
                let builder = Self::builder();
                let builder = match folder.take() {
                    Some(folder) => builder.in_folder(folder),
                    None => builder,
                };
                *gate = Some(builder.start());
            }
            Self::Redis { server, gate } => *gate = Some(Self::builder().redis(&server.url()).start()),
        }
    }

    pub(super) fn gate(&self) -> &Gate {
        match self {
            Self::Embedded { gate, .. } | Self::Redis { gate, .. } => {
                gate.as_ref().expect("the gate was stopped")
            }
        }
    }

    /// Changes the store behind the gate's back; an embedded store while its gate is stopped.
    pub(super) fn tamper(&mut self, change: impl FnOnce(&Raw<'_>)) {
        match self {
            Self::Embedded { folder, gate } => {
                let mut running = gate.take().expect("the gate was stopped");
                assert!(running.stop().success());
                *folder = Some(running.kill9());
                let file = folder.as_ref().unwrap().path().join("data/store.redb");
                change(&Raw::File(file));
                self.open();
            }
            Self::Redis { server, .. } => change(&Raw::Server(server)),
        }
    }
}

/// A recipient's row.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Row {
    pub(super) dossier: Option<Vec<u8>>,
    pub(super) gate: Option<Vec<u8>>,
}

pub(super) enum Raw<'s> {
    File(PathBuf),
    Server(&'s Redis),
}

const GATE: redb::TableDefinition<Bytes, Bytes> = redb::TableDefinition::new("gate");
const DOSSIERS: redb::TableDefinition<u64, Bytes> = redb::TableDefinition::new("dossiers");
const CHECKPOINTS: redb::TableDefinition<(u32, u32), Bytes> = redb::TableDefinition::new("checkpoints");

fn place(digits: &str) -> Vec<u8> {
    [&TENANT.to_be_bytes()[..], digits.as_bytes()].concat()
}

impl Raw<'_> {
    fn write<T>(&self, change: impl FnOnce(&redb::WriteTransaction) -> T) -> T {
        let Self::File(file) = self else { panic!("no file") };
        let database = redb::Database::open(file).unwrap();
        let transaction = database.begin_write().unwrap();
        let done = change(&transaction);
        transaction.commit().unwrap();
        done
    }

    pub(super) fn row(&self, digits: &str) -> Row {
        if let Self::Server(server) = self {
            let get = |kind: &str| {
                let key = format!("og:{kind}:{{{TENANT}.{digits}}}");
                let Reply::Bulk(value) = server.command(&["GET", &key]) else {
                    panic!("no string at {kind}")
                };
                value
            };
            return Row { dossier: get("r"), gate: get("c") };
        }
        self.write(|transaction| {
            use redb::ReadableTable;
            let gates = transaction.open_table(GATE).unwrap();
            let Some(row) = gates.get(place(digits).as_slice()).unwrap().map(|row| row.value().to_vec())
            else {
                return Row::default();
            };
            let (gate, number) = row.split_at(40);
            let number = number.try_into().map(u64::from_le_bytes).ok();
            let dossiers = transaction.open_table(DOSSIERS).unwrap();
            let dossier =
                number.and_then(|number| dossiers.get(number).unwrap().map(|bytes| bytes.value().to_vec()));
            Row { dossier, gate: Some(gate.to_vec()) }
        })
    }

    pub(super) fn put(&self, digits: &str, row: &Row) {
        if let Self::Server(server) = self {
            for (kind, value) in [("r", &row.dossier), ("c", &row.gate)] {
                let key = format!("og:{kind}:{{{TENANT}.{digits}}}");
                match value {
                    Some(value) => server.command(&[b"SET", key.as_bytes(), value]),
                    None => server.command(&["DEL", &key]),
                };
            }
            return;
        }
        self.write(|transaction| {
            use redb::ReadableTable;
            let mut gates = transaction.open_table(GATE).unwrap();
            let mut dossiers = transaction.open_table(DOSSIERS).unwrap();
            let known = gates
                .get(place(digits).as_slice())
                .unwrap()
                .and_then(|row| row.value().get(40..48).map(<[u8]>::to_vec));
            let number = match known {
                Some(number) => u64::from_le_bytes(number.try_into().unwrap()),
                None => dossiers.last().unwrap().map_or(0, |(number, _)| number.value() + 1),
            };
            let Some(gate) = &row.gate else {
                gates.remove(place(digits).as_slice()).unwrap();
                dossiers.remove(number).unwrap();
                return;
            };
            let mut value = gate.clone();
            if let Some(dossier) = &row.dossier {
                value.extend(number.to_le_bytes());
                dossiers.insert(number, dossier.as_slice()).unwrap();
            }
            gates.insert(place(digits).as_slice(), value.as_slice()).unwrap();
        });
    }

    /// Replaces one byte sequence by another of the same length in every checkpoint.
    pub(super) fn edit_checkpoints(&self, from: &str, to: &str) {
        let edit =
            |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap().replacen(from, to, 1).into_bytes();
        if let Self::Server(server) = self {
            let key = format!("og:checkpoints:{{og}}:{TENANT}");
            let Reply::Array(all) = server.command(&["HGETALL", &key]) else { panic!("no checkpoints") };
            for pair in all.chunks(2) {
                let [Reply::Bulk(Some(at)), Reply::Bulk(Some(bytes))] = pair else { panic!("{pair:?}") };
                server.command(&[b"HSET", key.as_bytes(), at, &edit(bytes)]);
            }
            return;
        }
        self.write(|transaction| {
            use redb::ReadableTable;
            let mut table = transaction.open_table(CHECKPOINTS).unwrap();
            let all: Vec<_> = table
                .iter()
                .unwrap()
                .map(|row| row.map(|(k, v)| (k.value(), v.value().to_vec())).unwrap())
                .collect();
            for (key, bytes) in all {
                table.insert(key, edit(&bytes).as_slice()).unwrap();
            }
        });
    }
}
