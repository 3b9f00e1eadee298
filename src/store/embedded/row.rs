//! What the gate table holds at a place: the gate record and where the dossier behind it stands.
//!
//! Dossiers stand under ascending numbers, not under their places: people come in no order, and a tree that is filled at its end rewrites a few pages per
//! transaction where one that is filled all over rewrites every page it has. Only the small rows of the gate table are filled all over.

use crate::consent::GateRecord;

/// A row of the gate table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) gate: GateRecord,
    /// The dossier's number; a tenant's own record has no dossier.
    pub(super) dossier: Option<u64>,
}

impl Row {
    /// The gate record, then the dossier's number.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = self.gate.encode().to_vec();
        if let Some(number) = self.dossier {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    /// Reads what [`Row::encode`] wrote; `None` for anything else.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (gate, number) = bytes.split_at_checked(GateRecord::BYTES)?;
        let dossier = match number {
            [] => None,
            number => Some(u64::from_le_bytes(number.try_into().ok()?)),
        };
        Some(Self { gate: GateRecord::decode(gate)?, dossier })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_round_trip_and_nothing_else_is_a_row() {
        for dossier in [None, Some(0), Some(u64::MAX)] {
            let row = Row { gate: GateRecord { window_until: 7, ..GateRecord::default() }, dossier };
            assert_eq!(Row::decode(&row.encode()), Some(row));
        }
        let bytes = Row { gate: GateRecord::default(), dossier: Some(1) }.encode();
        for length in (0..40).chain(41..48) {
            assert_eq!(Row::decode(&bytes[..length]), None, "{length} bytes");
        }
        assert_eq!(Row::decode(&[&bytes[..], &[0]].concat()), None);
    }
}
